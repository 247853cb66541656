//! The simulator: a virtual clock, a queue of what is due, and dice. The same seed gives the same run.
//!
//! What is due is ordered by time and, at equal times, by the order in which it was scheduled. Every
//! step takes one thing, lets one node have it, and carries out what leaves that node.

use std::collections::BTreeMap;

use skep_node::core::{Command, Input, Reply, RequestId, SessionId, Time};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::name::Name;
use skep_proto::sync::wire::Message;
use skep_proto::trust::file::RepoFile;

use crate::author::World;
use crate::dice::Dice;
use crate::exchange::{Ask, Told};
use crate::host::{Act, Host, Read};
use crate::invariant::{Broken, acknowledged, answered, blobs, convergence, restart};
use crate::lie::Lie;
use crate::link::{Network, Place, Weather};
use crate::trace::Trace;

/// A handshake takes so many times the latency.
const HANDSHAKE_TRIPS: u64 = 3;
/// How long an end may still hear a stream that it has closed: what waits between its network and
/// its core.
const CLOSING_MS: u64 = 4;
/// How long the other end of a broken stream may believe in it.
const BREAK_SEEN_MS: u64 = 2_000;
/// How long a node that died of itself stays down, at least and at most.
const DOWN_MS: (u64, u64) = (500, 20_000);
/// Steps of one run; more is a storm of messages.
const STEPS_MAX: u64 = 300_000;
/// How often an author tries to bring a node what it signed, a second apart, before the run is
/// broken: longer than a node stays down or read-only.
const BRINGS_MAX: u32 = 60;
/// How long everybody has to agree after the network is whole: several rounds of comparing, some
/// of them with a liar, and the end of every ban.
const AGREE_MINUTES: u64 = 12;
/// How long after that nobody may write.
const QUIET_MINUTES: u64 = 3;

pub struct Sim {
    pub now: Time,
    pub dice: Dice,
    pub world: World,
    pub net: Network,
    pub trace: Trace,
    hosts: Vec<Host>,
    /// What was wanted at which node.
    wants: BTreeMap<Place, Vec<(RequestId, Vec<Blake3>)>>,
    due: BTreeMap<(Time, u64), Due>,
    number: u64,
    steps: u64,
}

/// Something that is due.
#[derive(Debug)]
enum Due {
    /// A node that waits for a time.
    Wake {
        at: Place,
        life: u64,
    },
    /// An input of a node's own, for the life in which it began.
    Own {
        at: Place,
        life: u64,
        input: Input,
    },
    /// Entries that are read from a disk for a peer.
    Read {
        at: Place,
        life: u64,
        read: Read,
    },
    Opened {
        ends: [Place; 2],
    },
    Frame {
        stream: u64,
        to: Place,
        frame: Vec<u8>,
    },
    Closed {
        stream: u64,
        at: Place,
    },
    Gossip {
        from: Place,
        to: Place,
        topic: [u8; 32],
        data: Vec<u8>,
    },
    Asked {
        from: Place,
        life: u64,
        to: Place,
        ask: Ask,
    },
    Told {
        to: Place,
        life: u64,
        fetch: u64,
        told: Told,
    },
    Start {
        at: Place,
    },
    Recover {
        at: Place,
        life: u64,
    },
}

impl Sim {
    pub fn new(seed: u64, traced: bool) -> Self {
        Self {
            now: Time::default(),
            dice: Dice::new(seed),
            world: World::default(),
            net: Network::new(Weather::CALM),
            trace: Trace::new(traced),
            hosts: Vec::new(),
            wants: BTreeMap::new(),
            due: BTreeMap::new(),
            number: 0,
            steps: 0,
        }
    }

    // Who is there.

    /// A node that follows these repositories; it starts when it is told to.
    pub fn add_host(&mut self, repos: &[RepoId], lies: &[Lie]) -> Place {
        let place = self.hosts.len();
        let mut host = Host::new(node_id(place));
        host.config = self.config(repos);
        host.lies = lies.to_vec();
        if host.is_honest() {
            self.world.honest.insert(host.id);
        }
        self.hosts.push(host);
        place
    }

    /// Tells every node of all the others, at its next start, and starts it.
    pub fn start_all(&mut self) {
        let ids: Vec<NodeId> = self.hosts.iter().map(|host| host.id).collect();
        for at in 0..self.hosts.len() {
            let others = ids.iter().filter(|id| **id != ids[at]);
            self.hosts[at].contacts = others.copied().collect();
            self.start(at);
        }
    }

    fn config(&self, repos: &[RepoId]) -> Vec<(Name, RepoFile)> {
        let repos = repos.iter().filter_map(|id| self.world.repo(id));
        repos
            .map(|repo| (repo.alias.clone(), repo.file()))
            .collect()
    }

    fn place(&self, id: &NodeId) -> Option<Place> {
        self.hosts.iter().position(|host| host.id == *id)
    }

    pub fn host(&self, at: Place) -> &Host {
        &self.hosts[at]
    }

    pub fn host_mut(&mut self, at: Place) -> &mut Host {
        &mut self.hosts[at]
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Steps until now.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// An honest node that is up, by chance.
    pub fn anybody(&mut self) -> Option<Place> {
        let up: Vec<Place> = (0..self.hosts.len())
            .filter(|at| self.hosts[*at].is_up() && self.hosts[*at].is_honest())
            .collect();
        (!up.is_empty()).then(|| up[self.dice.index(up.len())])
    }

    // What scenarios do.

    pub fn start(&mut self, at: Place) {
        self.schedule(0, Due::Start { at });
    }

    /// A command at a node, as its control socket brings it.
    pub fn command(&mut self, at: Place, command: Command) -> RequestId {
        let host = &mut self.hosts[at];
        let ((id, input), life) = (host.request(command), host.life);
        self.schedule(0, Due::Own { at, life, input });
        id
    }

    /// A node follows a repository from now on, or no longer: its file comes or goes.
    pub fn follow(&mut self, at: Place, repo: RepoId, on: bool) {
        let mut followed: Vec<RepoId> = self.world.repos.iter().map(|repo| repo.id).collect();
        followed.retain(|id| match *id == repo {
            true => on,
            false => self.hosts[at].follows(id),
        });
        let repos = self.config(&followed);
        let host = &mut self.hosts[at];
        host.config.clone_from(&repos);
        let life = host.life;
        let input = Input::Configured { repos };
        self.schedule(0, Due::Own { at, life, input });
    }

    /// A node needs blobs.
    pub fn want(&mut self, at: Place, repo: RepoId, blobs: Vec<(Blake3, u64)>) -> RequestId {
        let host = &mut self.hosts[at];
        let (id, life) = (host.request_id(), host.life);
        let hashes = blobs.iter().map(|(hash, _)| *hash).collect();
        self.wants.entry(at).or_default().push((id, hashes));
        let input = Input::Wanted { id, repo, blobs };
        self.schedule(0, Due::Own { at, life, input });
        id
    }

    /// An author takes a log to a node, once, and perhaps in vain.
    pub fn bring(&mut self, at: Place, repo: usize, key: &Key) -> Option<RequestId> {
        let id = self.world.repos[repo].id;
        let held = self.hosts[at].disk.size(&id, key);
        let log = self.world.repos[repo].log_mut(key)?;
        let command = log.append(held)?;
        Some(self.command(at, command))
    }

    /// The same of a log's other branch.
    pub fn bring_branch(&mut self, at: Place, repo: usize, publisher: usize) -> Option<RequestId> {
        let repo = &self.world.repos[repo];
        let branch = repo.publishers[publisher].branch.as_ref()?;
        let held = self.hosts[at].disk.size(&repo.id, &branch.key());
        let command = branch.append(held)?;
        Some(self.command(at, command))
    }

    /// How much of a publisher's own branch the node has that has most of it.
    pub fn longest_held(&self, repo: usize, publisher: usize) -> usize {
        let repo = &self.world.repos[repo];
        let log = repo.publishers[publisher].log();
        let held = self.honest().map(|host| {
            let entries = host.disk.entries(&repo.id, &log.key(), 0, u64::MAX);
            let common = entries.iter().zip(&log.entries);
            match entries.len() <= log.entries.len() && common.clone().all(|(a, b)| a == b) {
                true => entries.len(),
                false => 0,
            }
        });
        held.max().unwrap_or(0)
    }

    /// Documents of a repository, taken to a node once.
    pub fn bring_documents(&mut self, at: Place, repo: usize) -> Option<RequestId> {
        let (id, documents) = {
            let repo = &self.world.repos[repo];
            (repo.id, repo.documents.clone())
        };
        let puts = documents.into_iter().map(|root| {
            let put = Command::PutRoot { repo: id, root };
            self.command(at, put)
        });
        puts.last()
    }

    /// The authors of a repository take everything to nodes, again and again as people do after a
    /// crash, until it is done. Of a key that has forked only what a node will take.
    pub fn bring_all(&mut self, repo: usize) -> Result<(), Broken> {
        self.until_done(|sim, at| sim.bring_documents(at, repo))?;
        let logs = self.world.repos[repo].logs();
        let signed = logs.filter(|log| !log.entries.is_empty());
        let keys: Vec<Key> = signed.map(|log| log.key()).collect();
        for key in keys {
            if self.world.repos[repo].has_forked(&key) {
                if let Some(at) = self.anybody() {
                    self.bring(at, repo, &key);
                }
                continue;
            }
            self.until_done(|sim, at| sim.bring(at, repo, &key))?;
            if let Some(log) = self.world.repos[repo].log_mut(&key) {
                let size = log.tip.size();
                log.tip
                    .acknowledge(size)
                    .map_err(|e| Broken::law("a tip takes what was acknowledged", e.to_string()))?;
            }
        }
        Ok(())
    }

    fn until_done(
        &mut self,
        bring: impl Fn(&mut Self, Place) -> Option<RequestId>,
    ) -> Result<(), Broken> {
        const TRY_MS: u64 = 1_000;
        let mut last = None;
        for _ in 0..BRINGS_MAX {
            let Some(at) = self.anybody() else {
                self.run_ms(TRY_MS)?;
                continue;
            };
            let Some(id) = bring(self, at) else {
                self.run_ms(TRY_MS)?;
                continue;
            };
            self.run_ms(TRY_MS)?;
            last = self.hosts[at].replies.get(&id).cloned();
            if last == Some(Reply::Done) {
                return Ok(());
            }
        }
        Err(Broken::law(
            "a node takes what its author brings",
            format!("{last:?}"),
        ))
    }

    /// Nothing passes between these two groups any more.
    pub fn cut(&mut self, ones: &[Place], others: &[Place]) {
        let pairs = ones.iter().flat_map(|a| others.iter().map(|b| (*a, *b)));
        for (a, b) in pairs.collect::<Vec<_>>() {
            self.net.cut(a, b);
            for stream in self.net.between(a, b) {
                self.break_stream(stream);
            }
        }
    }

    /// The process at a place ends, and starts again after so long.
    pub fn crash(&mut self, at: Place, back_in_ms: u64) -> Result<(), Broken> {
        let host = &self.hosts[at];
        if !host.is_up() {
            return Ok(());
        }
        if host.is_honest() && host.snapshot.read_only.is_none() {
            // Between two inputs: everything that was decided is on the disk.
            restart::a_restart_changes_nothing(host)?;
        }
        self.hosts[at].crash(&mut self.dice);
        self.crashed(at);
        self.schedule(back_in_ms, Due::Start { at });
        Ok(())
    }

    /// Runs for so long.
    pub fn run_ms(&mut self, ms: u64) -> Result<(), Broken> {
        let end = self.now.after(ms);
        while let Some(((at, _), _)) = self.due.first_key_value()
            && *at <= end
        {
            self.step()?;
        }
        self.now = end;
        Ok(())
    }

    pub fn run_minutes(&mut self, minutes: u64) -> Result<(), Broken> {
        self.run_ms(minutes * 60_000)
    }

    /// What holds at the end of every run: with the weather calm and the network whole, everybody
    /// agrees within minutes, and then nothing more is written; a restart changes nothing.
    pub fn finish(&mut self) -> Result<(), Broken> {
        self.net.heal();
        let gossip = self.net.weather.gossip;
        self.net.weather = Weather {
            gossip,
            ..Weather::CALM
        };
        for at in 0..self.hosts.len() {
            for repo in self
                .world
                .repos
                .iter()
                .map(|repo| repo.id)
                .collect::<Vec<_>>()
            {
                if !self.hosts[at].follows(&repo) {
                    self.follow(at, repo, true);
                }
            }
        }
        for repo in 0..self.world.repos.len() {
            self.bring_all(repo)?;
        }
        self.run_minutes(AGREE_MINUTES)?;
        self.check_agreement()?;
        for (at, host) in self.hosts.iter().enumerate() {
            acknowledged::everything_acknowledged_is_there(host, &self.world)?;
            blobs::every_blob_has_its_hash(host)?;
            answered::who_asks_is_answered(host)?;
            let wants = self.wants.get(&at);
            acknowledged::everything_stored_is_there(host, wants.map_or(&[], Vec::as_slice))?;
        }
        let writes = |sim: &Self| sim.honest().map(|host| host.disk.changes).sum::<u64>();
        let before = writes(self);
        self.run_minutes(QUIET_MINUTES)?;
        let more = writes(self) - before;
        if more > 0 {
            let what = format!("{more} changes");
            return Err(Broken::law("who agrees writes nothing", what));
        }
        self.honest()
            .try_for_each(restart::a_restart_changes_nothing)
    }

    fn honest(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.is_honest())
    }

    /// Whether all honest nodes say the same of every repository.
    pub fn check_agreement(&self) -> Result<(), Broken> {
        self.world.repos.iter().try_for_each(|repo| {
            let followers = self.honest().filter(|host| host.follows(&repo.id));
            convergence::views_agree(&repo.id, followers)
        })
    }

    // Steps.

    fn schedule(&mut self, ms: u64, due: Due) {
        self.schedule_at(self.now.after(ms), due);
    }

    fn schedule_at(&mut self, at: Time, due: Due) {
        self.number += 1;
        self.due.insert((at, self.number), due);
    }

    fn step(&mut self) -> Result<(), Broken> {
        let Some(((at, _), due)) = self.due.pop_first() else {
            return Ok(());
        };
        self.now = at;
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Broken::law("a run comes to rest", "a storm of messages"));
        }
        match due {
            Due::Wake { at, life } => {
                let host = &self.hosts[at];
                if host.life == life && host.is_due(self.now) {
                    return self.turn(at, Input::Woken);
                }
            }
            Due::Own { at, life, input } => {
                if self.hosts[at].life == life {
                    return self.turn(at, input);
                }
            }
            Due::Read { at, life, read } => {
                if self.hosts[at].life == life {
                    let acts = self.hosts[at].read(read, &mut self.dice)?;
                    acts.into_iter().for_each(|act| self.act(at, act));
                }
            }
            Due::Opened { ends } => return self.opened(ends),
            Due::Frame { stream, to, frame } => {
                if self.net.reaches(stream, to) {
                    let session = SessionId(stream);
                    return self.turn(to, Input::Heard { session, frame });
                }
            }
            Due::Closed { stream, at } => return self.closed(stream, at),
            Due::Gossip {
                from,
                to,
                topic,
                data,
            } => return self.gossiped(from, to, topic, data),
            Due::Asked {
                from,
                life,
                to,
                ask,
            } => self.asked(from, life, to, &ask),
            Due::Told {
                to,
                life,
                fetch,
                told,
            } => {
                if self.hosts[to].life == life {
                    let inputs = self.hosts[to].told(fetch, told);
                    return inputs
                        .into_iter()
                        .try_for_each(|input| self.turn(to, input));
                }
            }
            Due::Start { at } => return self.started(at),
            Due::Recover { at, life } => {
                if self.hosts[at].life == life && self.hosts[at].is_up() {
                    let why = "the node recovered from a failed write";
                    for act in self.hosts[at].rebuild(why) {
                        self.act(at, act);
                    }
                    let configured = self.hosts[at].configured();
                    return self.turn(at, configured);
                }
            }
        }
        Ok(())
    }

    /// One input for the node at a place, and all that leaves it.
    fn turn(&mut self, at: Place, input: Input) -> Result<(), Broken> {
        self.trace
            .note(self.now, || format!("n{at} <- {}", brief(&input)));
        let acts = self.hosts[at].turn(self.now, input, &self.world, &mut self.dice)?;
        for act in acts {
            self.act(at, act);
        }
        Ok(())
    }

    fn act(&mut self, at: Place, act: Act) {
        self.trace
            .note(self.now, || format!("n{at} -> {}", brief_act(&act)));
        let life = self.hosts[at].life;
        match act {
            Act::Frame { session, frame } => self.send(at, session, frame),
            Act::Gossip { topic, data } => self.gossip(at, None, topic, &data),
            Act::Forward { from, topic, data } => {
                let except = self.place(&from);
                self.gossip(at, except, topic, &data);
            }
            Act::Dial { peer } => {
                if let Some(peer) = self.place(&peer) {
                    self.dial(at, peer);
                }
            }
            Act::Close { session } => self.close(at, session.0),
            Act::Ban { peer } => {
                if let Some(peer) = self.place(&peer) {
                    for stream in self.net.between(at, peer) {
                        self.close(at, stream);
                    }
                }
            }
            Act::Ask(ask) => self.ask(at, life, ask),
            Act::Later { ms, input } => self.schedule(ms, Due::Own { at, life, input }),
            Act::Wake(time) => self.schedule_at(time, Due::Wake { at, life }),
            Act::Crashed => {
                self.crashed(at);
                let (least, most) = DOWN_MS;
                let back_in_ms = least + self.dice.below(most - least);
                self.schedule(back_in_ms, Due::Start { at });
            }
            // For the trace.
            Act::Kept(_)
            | Act::NotKept
            | Act::Subscribed(_)
            | Act::Unsubscribed(_)
            | Act::Shown { .. }
            | Act::Replied(..) => {}
            Act::Read { ms, read } => self.schedule(ms, Due::Read { at, life, read }),
            Act::CloseAll => self.crashed(at),
            Act::Recover { ms } => self.schedule(ms, Due::Recover { at, life }),
        }
    }

    // Streams.

    fn dial(&mut self, from: Place, to: Place) {
        if self.net.dial(from, to) {
            let ms = HANDSHAKE_TRIPS * self.net.weather.delay_ms(&mut self.dice);
            self.schedule(ms, Due::Opened { ends: [from, to] });
        }
    }

    fn opened(&mut self, ends: [Place; 2]) -> Result<(), Broken> {
        let takes = |sim: &Self, at: Place, peer: Place| {
            let host = &sim.hosts[at];
            host.is_up() && !host.is_banned(&sim.hosts[peer].id, sim.now)
        };
        let [a, b] = ends;
        let taken = takes(self, a, b) && takes(self, b, a);
        let Some(stream) = self.net.opened(ends, self.now) else {
            return Ok(());
        };
        if !taken {
            self.net.close(stream, a);
            self.net.close(stream, b);
            return Ok(());
        }
        for (at, peer) in [(a, b), (b, a)] {
            let peer = self.hosts[peer].id;
            let (session, nonce) = (SessionId(stream), self.dice.bytes());
            let host = &mut self.hosts[at];
            host.connected(session, peer);
            let input = Input::Connected {
                session,
                peer,
                opener: host.id < peer,
                nonce,
            };
            self.turn(at, input)?;
        }
        Ok(())
    }

    fn send(&mut self, from: Place, session: SessionId, frame: Vec<u8>) {
        let stream = session.0;
        if self.dice.below(1_000_000) < self.net.weather.breaks_ppm {
            return self.break_stream(stream);
        }
        let sent = self.net.send(stream, from, self.now, &mut self.dice);
        if let Some((to, at)) = sent {
            self.schedule_at(at, Due::Frame { stream, to, frame });
        }
    }

    /// What is on its way is lost, and each end finds out at its own time.
    fn break_stream(&mut self, number: u64) {
        let Some(stream) = self.net.streams.get_mut(&number) else {
            return;
        };
        stream.broken = true;
        for at in stream.ends {
            let ms = self.dice.below(BREAK_SEEN_MS);
            self.schedule(ms, Due::Closed { stream: number, at });
        }
    }

    /// One end closes a stream: what it sent before still arrives, and what it has heard already
    /// may still be waiting for its core.
    fn close(&mut self, at: Place, stream: u64) {
        if let Some((to, when)) = self.net.send(stream, at, self.now, &mut self.dice) {
            self.schedule_at(when, Due::Closed { stream, at: to });
        }
        let ms = self.dice.below(CLOSING_MS + 1);
        self.schedule(ms, Due::Closed { stream, at });
    }

    fn closed(&mut self, stream: u64, at: Place) -> Result<(), Broken> {
        if !self.net.close(stream, at) {
            return Ok(());
        }
        let inputs = self.hosts[at].closed(SessionId(stream));
        inputs
            .into_iter()
            .try_for_each(|input| self.turn(at, input))
    }

    // Gossip.

    fn gossip(&mut self, from: Place, except: Option<Place>, topic: [u8; 32], data: &[u8]) {
        if !self.net.weather.gossip {
            return;
        }
        let mut peers: Vec<Place> = self.net.streams_of(from).map(|(_, peer)| peer).collect();
        peers.sort_unstable();
        peers.dedup();
        for to in peers {
            if Some(to) == except || self.net.is_cut(from, to) {
                continue;
            }
            let weather = self.net.weather;
            let lost = self.dice.chance(weather.gossip_loss);
            let copies = u64::from(!lost) + u64::from(self.dice.chance(weather.gossip_twice));
            for _ in 0..copies {
                let ms = weather.delay_ms(&mut self.dice);
                let data = data.to_vec();
                self.schedule(
                    ms,
                    Due::Gossip {
                        from,
                        to,
                        topic,
                        data,
                    },
                );
            }
        }
    }

    fn gossiped(
        &mut self,
        from: Place,
        to: Place,
        topic: [u8; 32],
        data: Vec<u8>,
    ) -> Result<(), Broken> {
        let from = self.hosts[from].id;
        let host = &mut self.hosts[to];
        if !host.subscribes(&topic) || host.is_banned(&from, self.now) {
            return Ok(());
        }
        let input = host.gossiped(from, topic, data);
        self.turn(to, input)
    }

    // Blobs.

    fn ask(&mut self, from: Place, life: u64, ask: Ask) {
        if let Some(to) = self.place(&ask.peer) {
            let ms = self.net.weather.delay_ms(&mut self.dice);
            self.schedule(
                ms,
                Due::Asked {
                    from,
                    life,
                    to,
                    ask,
                },
            );
        }
    }

    fn asked(&mut self, from: Place, life: u64, to: Place, ask: &Ask) {
        if !self.hosts[to].is_up() || self.net.is_cut(from, to) {
            // The connection breaks sooner or later, and the fetch with it.
            return;
        }
        let asker = self.hosts[from].id;
        let told = self.hosts[to].serve_blob(&asker, ask, &mut self.dice);
        let mut ms = self.net.weather.delay_ms(&mut self.dice);
        for told in told {
            ms += told.size_bytes() / self.net.weather.bytes_per_ms.max(1);
            let (to, fetch) = (from, ask.fetch);
            self.schedule(
                ms,
                Due::Told {
                    to,
                    life,
                    fetch,
                    told,
                },
            );
        }
    }

    // Life and death.

    fn started(&mut self, at: Place) -> Result<(), Broken> {
        let seed = self.dice.bytes();
        acknowledged::everything_acknowledged_is_there(&self.hosts[at], &self.world)?;
        let inputs = self.hosts[at].start(seed);
        inputs
            .into_iter()
            .try_for_each(|input| self.turn(at, input))
    }

    /// A node has no sessions any more: whoever was connected finds out sooner or later.
    fn crashed(&mut self, at: Place) {
        let streams: Vec<u64> = self.net.streams_of(at).map(|(stream, _)| stream).collect();
        for stream in streams {
            self.break_stream(stream);
            self.net.close(stream, at);
        }
    }
}

fn node_id(place: Place) -> NodeId {
    let seed = Sha256::of(&[b"node", &place.to_be_bytes()]);
    NodeId::from_key(SigningKey::from_seed(seed.as_bytes()).key())
}

/// An input in one line, frames as the messages that they are.
fn brief(input: &Input) -> String {
    match input {
        Input::Heard { session, frame } => {
            format!("heard in {}: {:?}", session.0, Message::decode(frame))
        }
        other => format!("{other:?}"),
    }
}

fn brief_act(act: &Act) -> String {
    match act {
        Act::Frame { session, frame } => {
            format!("sends in {}: {:?}", session.0, Message::decode(frame))
        }
        other => format!("{other:?}"),
    }
}
