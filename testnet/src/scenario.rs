//! What may happen in a run, as a list that a seed draws up or a test writes down.

use skep_node::core::{Command, Holding, HoldingReason};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::sync::wire::ENTRIES_BYTES_MAX;

use crate::author::Released;
use crate::dice::Dice;
use crate::invariant::Broken;
use crate::lie::Lie;
use crate::link::{Place, Weather};
use crate::sim::Sim;

/// Publishers of each repository at its beginning.
const PUBLISHERS: usize = 3;
/// Longest time between two things that happen, in milliseconds.
const PAUSE_MS: u64 = 4_000;
/// Longest file of a release: three groups and a bit, so that lists are needed.
const BLOB_BYTES_MAX: u64 = 3 * 262_144 + 77;
/// Longest filler of a manifest: some logs then need more than one answer.
const FILLER_BYTES_MAX: u64 = 30_000;
/// When a late node comes, in milliseconds.
const LATE_MS: u64 = 70_000;
/// Most files in one run: hashing them is what a run costs.
const BLOBS_MAX: usize = 6;

/// A situation. Everything else in a run follows from the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Honest nodes.
    pub nodes: usize,
    pub repos: usize,
    pub weather: Weather,
    /// One liar for each, with what it lies about.
    pub liars: Vec<Vec<Lie>>,
    /// How many things happen before the network is whole again.
    pub events: u32,
    pub partitions: bool,
    pub crashes: bool,
    /// Writes that fail.
    pub full_disks: bool,
    /// Keys that sign two logs.
    pub forks: bool,
    /// Registrars who say which of them counts.
    pub cuts: bool,
    /// Files that are published and fetched.
    pub blobs: bool,
    /// Logs of which a newcomer needs several answers.
    pub bulk: bool,
    /// A node that comes when most has happened.
    pub late: bool,
    /// Nodes that stop following a repository, and follow it again.
    pub fickle: bool,
}

impl Plan {
    /// Five nodes on a quiet network, where people publish.
    pub fn calm() -> Self {
        Self {
            nodes: 5,
            repos: 1,
            weather: Weather::CALM,
            liars: Vec::new(),
            events: 25,
            partitions: false,
            crashes: false,
            full_disks: false,
            forks: false,
            cuts: false,
            blobs: false,
            bulk: false,
            late: false,
            fickle: false,
        }
    }

    /// What a seed draws: each thing that can go wrong is there or not, so that runs differ in
    /// kind.
    pub fn of(dice: &mut Dice) -> Self {
        const OFTEN: u64 = 500;
        let weather = match dice.below(3) {
            0 => Weather::CALM,
            1 => Weather::ROUGH,
            _ => Weather::ROUGH.without_gossip(),
        };
        let liars = match dice.below(3) {
            0 => vec![some_lies(dice)],
            _ => Vec::new(),
        };
        Self {
            nodes: 5,
            repos: 1 + usize::from(dice.chance(OFTEN / 2)),
            weather,
            liars,
            events: 20 + u32::try_from(dice.below(20)).unwrap_or(0),
            partitions: dice.chance(OFTEN),
            crashes: dice.chance(OFTEN),
            full_disks: dice.chance(OFTEN / 2),
            forks: dice.chance(OFTEN / 2),
            cuts: dice.chance(OFTEN),
            blobs: dice.chance(OFTEN),
            bulk: dice.chance(OFTEN / 3),
            late: dice.chance(OFTEN / 2),
            fickle: dice.chance(OFTEN / 2),
        }
    }

    /// Lets it happen, and checks at the end what holds at the end of every run.
    pub fn run(&self, sim: &mut Sim) -> Result<(), Broken> {
        self.begin(sim)?;
        let mut story = Story::default();
        for _ in 0..self.events {
            self.next(sim, &mut story)?;
            let ms = sim.dice.below(PAUSE_MS);
            sim.run_ms(ms)?;
        }
        sim.finish()
    }

    fn begin(&self, sim: &mut Sim) -> Result<(), Broken> {
        sim.net.weather = self.weather;
        let repos: Vec<RepoId> = (0..self.repos)
            .map(|number| {
                let at = sim.world.found(&format!("repo-{number}"), PUBLISHERS);
                sim.world.repos[at].id
            })
            .collect();
        for _ in 0..self.nodes {
            sim.add_host(&repos, &[]);
        }
        for lies in &self.liars {
            sim.add_host(&repos, lies);
        }
        sim.start_all();
        if self.late {
            sim.run_ms(0)?;
            sim.crash(self.nodes - 1, LATE_MS)?;
        }
        Ok(())
    }

    fn next(&self, sim: &mut Sim, story: &mut Story) -> Result<(), Broken> {
        let repo = sim.dice.index(self.repos);
        match sim.dice.below(15) {
            0..5 => publish(sim, story, repo, self.blobs),
            5 => {
                let publishers = sim.world.repos[repo].publishers.len();
                let publisher = sim.dice.index(publishers);
                let on = sim.dice.chance(700);
                sim.world.repos[repo].yank(publisher, "1.0.0", on);
                bring(sim, repo);
            }
            6 => change_authority(sim, repo),
            7 if self.partitions => part(sim),
            8 if self.partitions => sim.net.heal(),
            9 if self.crashes => crash(sim)?,
            10 if self.full_disks => {
                let writes = sim.dice.below(8);
                if let Some(at) = sim.anybody() {
                    sim.host_mut(at).fail_in = Some(writes);
                }
            }
            11 if self.forks => fork(sim, repo, self.cuts),
            12 if self.bulk && !std::mem::replace(&mut story.bulk, true) => {
                publish_much(sim, story, repo);
            }
            13 if self.fickle => change_mind(sim, repo),
            14 => {
                if let Some(at) = sim.anybody() {
                    let repo = sim.world.repos[repo].id;
                    sim.command(at, Command::AwaitSync { repo });
                }
            }
            _ if self.blobs => want(sim, story),
            _ => bring(sim, repo),
        }
        Ok(())
    }
}

/// What has happened so far.
#[derive(Default)]
struct Story {
    released: usize,
    /// Whether much was published at once.
    bulk: bool,
    files: Vec<File>,
}

/// A file of a release, and whose.
struct File {
    repo: RepoId,
    hash: skep_proto::hash::Blake3,
    size: u64,
}

fn some_lies(dice: &mut Dice) -> Vec<Lie> {
    let count = 1 + dice.index(3);
    (0..count)
        .map(|_| Lie::ALL[dice.index(Lie::ALL.len())])
        .collect()
}

/// Somebody publishes, and brings it to a node, perhaps with a file.
fn publish(sim: &mut Sim, story: &mut Story, repo: usize, with_file: bool) {
    let publisher = sim.dice.index(sim.world.repos[repo].publishers.len());
    let filler = match sim.dice.chance(100) {
        true => sim.dice.below(FILLER_BYTES_MAX),
        false => sim.dice.below(200),
    };
    story.released += 1;
    let version = format!("1.{}.0", story.released - 1);
    let filler = usize::try_from(filler).unwrap_or(0);
    let released = sim.world.repos[repo].publish(publisher, &version, filler);
    if with_file && story.files.len() < BLOBS_MAX {
        offer(sim, story, &released);
    }
    bring(sim, repo);
}

/// Somebody publishes more than one answer holds.
fn publish_much(sim: &mut Sim, story: &mut Story, repo: usize) {
    let publisher = sim.dice.index(sim.world.repos[repo].publishers.len());
    let filler = usize::try_from(FILLER_BYTES_MAX).unwrap_or(0);
    for _ in 0..ENTRIES_BYTES_MAX / filler + 3 {
        story.released += 1;
        let version = format!("1.{}.0", story.released - 1);
        sim.world.repos[repo].publish(publisher, &version, filler);
    }
    bring(sim, repo);
}

/// A node follows a repository no longer, or again.
fn change_mind(sim: &mut Sim, repo: usize) {
    let repo = sim.world.repos[repo].id;
    if let Some(at) = sim.anybody() {
        let follows = sim.host(at).follows(&repo);
        sim.follow(at, repo, !follows);
    }
}

/// A node has the file of a release, and offers it to others.
fn offer(sim: &mut Sim, story: &mut Story, released: &Released) {
    let Some(at) = sim.anybody() else {
        return;
    };
    let size = sim.dice.below(BLOB_BYTES_MAX);
    let fill = sim.dice.bytes();
    let len = usize::try_from(size).unwrap_or(0);
    let bytes: Vec<u8> = fill.iter().copied().cycle().take(len).collect();
    let (hash, size) = sim.host_mut(at).disk.import(&bytes);
    let hold = Command::Hold {
        repo: released.repo,
        manifest: released.manifest,
        holding: Holding {
            why: HoldingReason::Published,
            blobs: vec![(hash, size)],
        },
    };
    sim.command(at, hold);
    story.files.push(File {
        repo: released.repo,
        hash,
        size,
    });
}

/// Somebody fetches a file; now and then one whose manifest has its size wrong.
fn want(sim: &mut Sim, story: &Story) {
    let (Some(at), false) = (sim.anybody(), story.files.is_empty()) else {
        return;
    };
    let file = &story.files[sim.dice.index(story.files.len())];
    let size = match sim.dice.chance(100) {
        true => file.size + 1 + sim.dice.below(300_000),
        false => file.size,
    };
    sim.want(at, file.repo, vec![(file.hash, size)]);
    if sim.dice.chance(300) {
        // It is kept, and so offered in its turn.
        let hold = Command::Hold {
            repo: file.repo,
            manifest: Sha256::from_bytes(sim.dice.bytes()),
            holding: Holding {
                why: HoldingReason::Kept,
                blobs: vec![(file.hash, file.size)],
            },
        };
        sim.command(at, hold);
    }
}

/// Authors take what they have to a node, in vain if it does not know them yet.
fn bring(sim: &mut Sim, repo: usize) {
    let Some(at) = sim.anybody() else {
        return;
    };
    if sim.dice.chance(300) || sim.host(at).frontier(&sim.world.repos[repo].id).is_none() {
        sim.bring_documents(at, repo);
    }
    let keys: Vec<_> = sim.world.repos[repo].logs().map(|log| log.key()).collect();
    for key in keys {
        if sim.dice.chance(600) {
            sim.bring(at, repo, &key);
        }
    }
}

fn change_authority(sim: &mut Sim, repo: usize) {
    match sim.dice.below(5) {
        4 => sim.world.repos[repo].replace_registrar(),
        0 => {
            sim.world.repos[repo].admit();
        }
        1 => sim.world.repos[repo].next_document(),
        2 => {
            let publisher = sim.dice.index(sim.world.repos[repo].publishers.len());
            // A key that has forked is dead, and its handle with it in these runs.
            if sim.world.repos[repo].publishers[publisher].branch.is_none() {
                sim.world.repos[repo].replace_key(publisher);
            }
        }
        _ => {
            let stranger = sim.world.repos[repo].stranger();
            let command = sim.world.repos[repo].strangers[stranger].append(0);
            if let (Some(at), Some(command)) = (sim.anybody(), command) {
                sim.command(at, command);
            }
        }
    }
    bring(sim, repo);
}

/// The nodes fall into two groups.
fn part(sim: &mut Sim) {
    let places: Vec<Place> = (0..sim.hosts().len()).collect();
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for place in places {
        let side = if sim.dice.chance(500) {
            &mut ones
        } else {
            &mut others
        };
        side.push(place);
    }
    sim.cut(&ones, &others);
}

/// A node dies: now, or in the middle of what it does next.
fn crash(sim: &mut Sim) -> Result<(), Broken> {
    let Some(at) = sim.anybody() else {
        return Ok(());
    };
    match sim.dice.chance(500) {
        true => {
            let back_in_ms = sim.dice.below(20_000);
            sim.crash(at, back_in_ms)?;
        }
        false => {
            let effects = sim.dice.below(30);
            sim.host_mut(at).crash_in = Some(effects);
        }
    }
    Ok(())
}

/// A key signs two logs, and different nodes get them.
fn fork(sim: &mut Sim, repo: usize, cut: bool) {
    let publisher = sim.dice.index(sim.world.repos[repo].publishers.len());
    let count = sim.world.repos[repo].publishers[publisher]
        .log()
        .entries
        .len();
    if sim.world.repos[repo].publishers[publisher].branch.is_none() {
        sim.world.repos[repo].fork(publisher);
        sim.world.repos[repo].publish(publisher, &format!("2.{count}.0"), 0);
    }
    sim.world.repos[repo].publish_on_branch(publisher, &format!("3.{count}.0"));
    let key = sim.world.repos[repo].publishers[publisher].log().key();
    if let Some(at) = sim.anybody() {
        sim.bring(at, repo, &key);
    }
    if let Some(at) = sim.anybody() {
        sim.bring_branch(at, repo, publisher);
    }
    if cut && sim.dice.chance(500) {
        // What is on no node cannot be looked at, and is not named.
        let size = sim.longest_held(repo, publisher);
        sim.world.repos[repo].cut(publisher, size);
        bring(sim, repo);
    }
}
