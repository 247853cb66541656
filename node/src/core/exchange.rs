//! Which peer is asked for which chunk groups: nearest first, slow ones lose work to fast ones.
//!
//! A want is a set of blobs that a command or a keep rule needs. A blob of several groups first
//! needs its group list, from any one peer; then each useful peer gets a run of groups that it can
//! deliver in about a second by what was measured of it; what nobody else has left to do is asked
//! a second time rather than waited for. Bytes never pass here: the adapter verifies each group,
//! writes it, and reports.

use std::collections::{BTreeMap, BTreeSet};

use skep_proto::blob;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};

use super::Time;
use super::effect::Effect;
use super::input::{FetchEnd, Held, RequestId};
use super::queues::Queue;

/// Most requests that one peer has outstanding: enough that small files pipeline, few enough that
/// a peer which stalls holds back little.
pub(super) const REQUESTS_PER_PEER_MAX: usize = 16;
/// Groups in the first request to a peer of which nothing is known: 4 MiB.
const FIRST_RUN_GROUPS: u64 = 16;
/// Most groups in one request: 64 MiB, some seconds of a fast disk.
const RUN_GROUPS_MAX: u64 = 256;
/// How long a run should take at the measured goodput.
const RUN_MS: u64 = 1_000;
/// How long a blob waits for a peer that has it: a node that has just started connects within
/// this time, and a mirror may be about to have it.
pub(super) const PATIENCE_MS: u64 = 5_000;
/// How often one group may be asked of different peers at the same time.
const ASKED_TWICE_MAX: usize = 2;

/// What one peer was measured at, smoothed.
#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    /// Bytes per millisecond; 0 before the first group.
    goodput: u64,
}

#[derive(Debug)]
struct Want {
    missing: BTreeSet<Blake3>,
    /// What of it went wrong, if it did: peers that lied, by blob.
    liars: BTreeSet<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// Not needed, or held.
    Known,
    Wanted,
    AskedOf(NodeId),
}

/// A run of groups that one peer owes: the next one that has not come, and the end.
#[derive(Debug, Clone, Copy)]
struct Run {
    next: u64,
    end: u64,
    since: Time,
}

#[derive(Debug)]
struct Blob {
    repo: RepoId,
    size_bytes: u64,
    groups: u64,
    list: List,
    have: Vec<bool>,
    runs: BTreeMap<NodeId, Run>,
    /// Peers that do not have it, lied about it, or stalled: not asked again for this blob.
    useless: BTreeSet<NodeId>,
    /// Peers whose connection failed: asked again when they have connected again.
    failed: BTreeSet<NodeId>,
    begun: bool,
    /// When it is given up if no peer that is connected can help.
    until: Time,
}

/// The scheduler of all blobs that are being fetched.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    wants: BTreeMap<RequestId, Want>,
    blobs: BTreeMap<Blake3, Blob>,
    peers: BTreeMap<NodeId, Measured>,
}

/// How a want ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantEnd {
    Stored,
    /// No connected peer has it, or none that did not lie.
    Failed {
        missing: Vec<Blake3>,
        liars: Vec<NodeId>,
    },
    /// Our disk failed, and why.
    Broken(String),
}

impl Exchange {
    /// Begins a want; the store says what of it is held already.
    pub(super) fn want(
        &mut self,
        now: Time,
        id: RequestId,
        repo: RepoId,
        blobs: &[(Blake3, u64)],
        out: &mut Vec<Effect>,
    ) -> Option<WantEnd> {
        let missing: BTreeSet<Blake3> = blobs.iter().map(|(hash, _)| *hash).collect();
        if missing.is_empty() {
            return Some(WantEnd::Stored);
        }
        for (hash, size_bytes) in blobs {
            let groups = blob::group_count(*size_bytes);
            self.blobs.entry(*hash).or_insert_with(|| {
                out.push(Effect::BeginBlob {
                    hash: *hash,
                    size_bytes: *size_bytes,
                });
                Blob {
                    repo,
                    size_bytes: *size_bytes,
                    groups,
                    list: if groups > 1 {
                        List::Wanted
                    } else {
                        List::Known
                    },
                    have: Vec::new(),
                    runs: BTreeMap::new(),
                    useless: BTreeSet::new(),
                    failed: BTreeSet::new(),
                    begun: false,
                    until: now.after(PATIENCE_MS),
                }
            });
        }
        let want = Want {
            missing,
            liars: BTreeSet::new(),
        };
        self.wants.insert(id, want);
        None
    }

    /// The store's answer to `BeginBlob`.
    pub(super) fn begun(&mut self, hash: Blake3, held: &Held) -> Vec<(RequestId, WantEnd)> {
        match held {
            Held::Whole => self.stored(hash),
            Held::Part { groups, list } => {
                if let Some(blob) = self.blobs.get_mut(&hash) {
                    let count = usize::try_from(blob.groups).unwrap_or(usize::MAX);
                    blob.have = vec![false; count];
                    for group in groups {
                        mark(&mut blob.have, *group);
                    }
                    blob.begun = true;
                    if *list {
                        blob.list = List::Known;
                    }
                }
                Vec::new()
            }
        }
    }

    pub(super) fn list_proven(&mut self, hash: &Blake3) {
        if let Some(blob) = self.blobs.get_mut(hash) {
            blob.list = List::Known;
        }
    }

    /// One verified group is in the store. True when it was the last that was missing.
    pub(super) fn group_stored(
        &mut self,
        now: Time,
        from: NodeId,
        hash: &Blake3,
        group: u64,
        size_bytes: u64,
    ) -> bool {
        let Some(blob) = self.blobs.get_mut(hash) else {
            return false;
        };
        let news = mark(&mut blob.have, group);
        if let Some(run) = blob.runs.get_mut(&from) {
            let elapsed_ms = now.since(run.since).max(1);
            run.next = run.next.max(group + 1);
            run.since = now;
            let measured = self.peers.entry(from).or_default();
            let latest = size_bytes / elapsed_ms;
            measured.goodput = match measured.goodput {
                0 => latest,
                before => (3 * before + latest) / 4,
            };
        }
        news && blob.have.iter().all(|have| *have)
    }

    /// The blob is whole and in its place.
    pub(super) fn stored(&mut self, hash: Blake3) -> Vec<(RequestId, WantEnd)> {
        self.blobs.remove(&hash);
        let mut ended = Vec::new();
        self.wants.retain(|id, want| {
            want.missing.remove(&hash);
            if want.missing.is_empty() {
                ended.push((*id, WantEnd::Stored));
            }
            !want.missing.is_empty()
        });
        ended
    }

    /// Our disk failed: whoever waits for the blob is told.
    pub(super) fn lost(&mut self, hash: Blake3, why: &str) -> Vec<(RequestId, WantEnd)> {
        self.blobs.remove(&hash);
        let mut ended = Vec::new();
        self.wants.retain(|id, want| {
            let lost = want.missing.contains(&hash);
            if lost {
                ended.push((*id, WantEnd::Broken(why.to_owned())));
            }
            !lost
        });
        ended
    }

    /// `peer` will deliver nothing more of what it was asked for `hash`.
    pub(super) fn fetch_ended(&mut self, peer: NodeId, hash: &Blake3, why: FetchEnd) {
        let Some(blob) = self.blobs.get_mut(hash) else {
            return;
        };
        blob.runs.remove(&peer);
        if blob.list == List::AskedOf(peer) {
            blob.list = List::Wanted;
        }
        match why {
            FetchEnd::Done => {}
            FetchEnd::NotFound | FetchEnd::Stalled => {
                blob.useless.insert(peer);
            }
            FetchEnd::Failed => {
                blob.failed.insert(peer);
            }
            FetchEnd::Lied => {
                blob.useless.insert(peer);
                let wants = self.wants.values_mut();
                for want in wants.filter(|want| want.missing.contains(hash)) {
                    want.liars.insert(peer);
                }
            }
        }
    }

    /// A peer has connected again.
    pub(super) fn peer_back(&mut self, peer: &NodeId) {
        for blob in self.blobs.values_mut() {
            blob.failed.remove(peer);
        }
    }

    /// A peer is gone: what it owed goes to others.
    pub(super) fn peer_gone(&mut self, peer: &NodeId) {
        for blob in self.blobs.values_mut() {
            blob.runs.remove(peer);
            if blob.list == List::AskedOf(*peer) {
                blob.list = List::Wanted;
            }
        }
    }

    /// When the first blob that nobody can help with is given up.
    pub(super) fn deadline(&self, now: Time) -> Option<Time> {
        let blobs = self.blobs.values();
        // One that is past waits for a place at a busy peer, not for a time.
        let idle = blobs.filter(|blob| blob.begun && blob.runs.is_empty() && blob.until > now);
        idle.map(|blob| blob.until).min()
    }

    /// Whoever asked for this want no longer waits.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.wants.remove(&id);
        let wanted: BTreeSet<Blake3> = self
            .wants
            .values()
            .flat_map(|want| want.missing.iter().copied())
            .collect();
        self.blobs.retain(|hash, _| wanted.contains(hash));
    }

    /// What the busiest peer owes.
    pub(super) fn queue(&self) -> Queue {
        Queue {
            name: "requests for blobs to one peer",
            len: self.outstanding().into_values().max().unwrap_or(0),
            limit: REQUESTS_PER_PEER_MAX,
        }
    }

    fn outstanding(&self) -> BTreeMap<NodeId, usize> {
        let mut outstanding: BTreeMap<NodeId, usize> = BTreeMap::new();
        for blob in self.blobs.values() {
            for peer in blob.runs.keys() {
                *outstanding.entry(*peer).or_default() += 1;
            }
            if let List::AskedOf(peer) = blob.list {
                *outstanding.entry(peer).or_default() += 1;
            }
        }
        outstanding
    }

    /// Gives work to every peer that can do some; `sharing` are the connected peers of a repository.
    pub(super) fn schedule(
        &mut self,
        now: Time,
        sharing: &impl Fn(&RepoId) -> Vec<NodeId>,
        out: &mut Vec<Effect>,
    ) -> Vec<(RequestId, WantEnd)> {
        let mut outstanding = self.outstanding();
        let mut hopeless = Vec::new();
        for (hash, blob) in &mut self.blobs {
            if !blob.begun {
                continue;
            }
            let mut peers = sharing(&blob.repo);
            peers.retain(|peer| !blob.useless.contains(peer) && !blob.failed.contains(peer));
            if peers.is_empty() && blob.runs.is_empty() {
                if now >= blob.until {
                    hopeless.push(*hash);
                }
                continue;
            }
            let goodput = |peer: &NodeId| self.peers.get(peer).map_or(0, |m| m.goodput);
            peers.sort_by_key(|peer| std::cmp::Reverse(goodput(peer)));
            peers
                .retain(|peer| outstanding.get(peer).copied().unwrap_or(0) < REQUESTS_PER_PEER_MAX);
            match blob.list {
                List::AskedOf(_) => continue,
                List::Wanted => {
                    if let Some(peer) = peers.first() {
                        blob.list = List::AskedOf(*peer);
                        *outstanding.entry(*peer).or_default() += 1;
                        out.push(Effect::FetchList {
                            peer: *peer,
                            repo: blob.repo,
                            hash: *hash,
                            size_bytes: blob.size_bytes,
                        });
                    }
                    continue;
                }
                List::Known => {}
            }
            for peer in peers {
                if blob.runs.contains_key(&peer) {
                    continue;
                }
                let Some((first, count)) = blob.next_run(run_length(goodput(&peer))) else {
                    break;
                };
                let run = Run {
                    next: first,
                    end: first + count,
                    since: now,
                };
                blob.runs.insert(peer, run);
                *outstanding.entry(peer).or_default() += 1;
                out.push(Effect::FetchGroups {
                    peer,
                    repo: blob.repo,
                    hash: *hash,
                    first,
                    count,
                });
            }
        }
        self.give_up(&hopeless)
    }

    fn give_up(&mut self, hopeless: &[Blake3]) -> Vec<(RequestId, WantEnd)> {
        if hopeless.is_empty() {
            return Vec::new();
        }
        for hash in hopeless {
            self.blobs.remove(hash);
        }
        let mut ended = Vec::new();
        self.wants.retain(|id, want| {
            let failed = hopeless.iter().any(|hash| want.missing.contains(hash));
            if failed {
                let end = WantEnd::Failed {
                    missing: want.missing.iter().copied().collect(),
                    liars: want.liars.iter().copied().collect(),
                };
                ended.push((*id, end));
            }
            !failed
        });
        ended
    }
}

impl Blob {
    /// The next groups to ask for: first those that nobody was asked for, then, in the end game,
    /// those that the slowest still owes.
    fn next_run(&self, most: u64) -> Option<(u64, u64)> {
        let owed = |group: u64| {
            self.runs
                .values()
                .filter(|run| run.next <= group && group < run.end)
                .count()
        };
        let groups = || (0u64..).zip(&self.have).filter(|(_, have)| !**have);
        let from = |first: u64, limit: usize| {
            let free = |group: u64| {
                usize::try_from(group)
                    .ok()
                    .and_then(|i| self.have.get(i))
                    .is_some_and(|have| !have && owed(group) < limit)
            };
            let count = (first..first + most)
                .take_while(|group| free(*group))
                .count();
            u64::try_from(count).unwrap_or(0)
        };
        for limit in 1..=ASKED_TWICE_MAX {
            if let Some((first, _)) = groups().find(|(group, _)| owed(*group) < limit) {
                return Some((first, from(first, limit)));
            }
        }
        None
    }
}

fn run_length(goodput: u64) -> u64 {
    if goodput == 0 {
        return FIRST_RUN_GROUPS;
    }
    (goodput * RUN_MS / blob::GROUP_BYTES).clamp(1, RUN_GROUPS_MAX)
}

/// Marks one group as held; true if it was not.
fn mark(have: &mut [bool], group: u64) -> bool {
    usize::try_from(group)
        .ok()
        .and_then(|i| have.get_mut(i))
        .is_some_and(|have| !std::mem::replace(have, true))
}

#[cfg(test)]
mod tests;
