//! One sync session: who is at the other end, what both follow, and what is still unanswered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::sync::trie::Prefix;

use super::Time;
use super::queues::Queue;
use super::repository::Target;

/// Unanswered requests of ours in one session; what would be more waits its turn.
pub(super) const ASKED_MAX: usize = 8;
/// How long an answer may take before the request goes elsewhere.
pub(super) const ANSWER_MS: u64 = 20_000;
/// Prefixes of one walk that wait: beside the deepest path that can be ground out stand half as many.
pub(super) const WALK_PREFIXES_MAX: usize = 1 << 16;
/// Signature checks that one peer may cost us in a second: about 2 % of a core.
pub(super) const SIGNATURE_CHECKS_PER_S: u32 = 256;
/// A peer that stops following a repository and begins again is compared with at most this often:
/// as often as with a random one.
const GREET_EVERY_MS: u64 = 60_000;

/// How often one peer may ask for a proof in one log: an honest one needs one to learn that the log
/// forked.
pub(super) const PROOF_EVERY_MS: u64 = 1_000;

/// What we asked and are waiting for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Hello,
    Tags,
    Roots {
        repo: RepoId,
    },
    Trie {
        repo: RepoId,
        prefixes: Vec<Prefix>,
    },
    /// Entries from what we hold towards something that this peer offered.
    Entries {
        repo: RepoId,
        key: Key,
        from: u64,
        target: Box<Target>,
    },
    /// How the prefix of ours at `m` relates to the checkpoint that contradicts what is held.
    Proof {
        repo: RepoId,
        key: Key,
        m: u64,
        target: Box<Target>,
    },
}

/// A walk over the peer's frontier trie: what is still to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// The deepest last, and asked for first: so only what stands beside one path waits.
    pub(super) prefixes: Vec<Prefix>,
    /// How many were asked for.
    pub(super) nodes: usize,
    /// The registrar's log grew meanwhile: what was dropped as not admitted may be admitted now.
    pub(super) again: bool,
    /// Entries that this walk found and that are still being fetched.
    pub(super) fetching: BTreeSet<Key>,
    /// Logs that this peer has more of, and that are just being fetched elsewhere: who of the two tells
    /// the truth shows when that is over.
    pub(super) blocked: BTreeSet<Key>,
    /// More was found in a second than this peer may have checked: it goes on then.
    pub(super) paused: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: NodeId,
    /// Whether we opened the stream: decides roles in tags.
    pub(super) opener: bool,
    pub(super) nonce: [u8; 32],
    pub(super) their_nonce: Option<[u8; 32]>,
    /// Repositories that both ends follow.
    pub(super) shared: BTreeSet<RepoId>,
    next_id: u32,
    pub(super) asked: BTreeMap<u32, (Asked, Time)>,
    /// Waiting for a free place among [`ASKED_MAX`].
    pub(super) waiting: VecDeque<Asked>,
    pub(super) walks: BTreeMap<RepoId, Walk>,
    /// It is about to be closed for what its peer did: nothing more counts of what it brings.
    pub(super) banned: bool,
    checks: (u64, u32),
    /// When proofs were last given, of the last [`PROOF_EVERY_MS`].
    proofs: BTreeMap<(RepoId, Key), Time>,
    /// When the peer last said that it follows a repository too, of those that it did.
    greeted: BTreeMap<RepoId, Time>,
}

impl Session {
    pub(super) fn new(peer: NodeId, opener: bool, nonce: [u8; 32]) -> Self {
        Self {
            peer,
            opener,
            nonce,
            their_nonce: None,
            shared: BTreeSet::new(),
            next_id: 0,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            walks: BTreeMap::new(),
            banned: false,
            checks: (0, 0),
            proofs: BTreeMap::new(),
            greeted: BTreeMap::new(),
        }
    }

    /// A fresh request id, for what was just asked.
    pub(super) fn ask(&mut self, asked: Asked, now: Time) -> u32 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.asked.insert(id, (asked, now.after(ANSWER_MS)));
        id
    }

    /// Whether this peer may cost us one more signature check in this second.
    pub(super) fn may_check(&mut self, now: Time) -> bool {
        let second = now.0 / 1_000;
        if self.checks.0 != second {
            self.checks = (second, 0);
        }
        self.checks.1 += 1;
        self.checks.1 <= SIGNATURE_CHECKS_PER_S
    }

    /// What a walk found could not be checked in this second: it goes on in the next one, and once
    /// more from the beginning.
    pub(super) fn pause(&mut self, repo: &RepoId, now: Time) {
        if let Some(walk) = self.walks.get_mut(repo) {
            walk.again = true;
            walk.paused = Some(Time((now.0 / 1_000 + 1) * 1_000));
        }
    }

    /// Repositories whose walks may go on.
    pub(super) fn resume(&mut self, now: Time) -> Vec<RepoId> {
        let mut resumed = Vec::new();
        for (repo, walk) in &mut self.walks {
            if walk.paused.is_some_and(|until| until <= now) {
                walk.paused = None;
                resumed.push(*repo);
            }
        }
        resumed
    }

    pub(super) fn queues(&self) -> [Queue; 2] {
        let asked = Queue {
            name: "unanswered requests to a peer",
            len: self.asked.len(),
            limit: ASKED_MAX,
        };
        let walks = self.walks.values().map(|walk| walk.prefixes.len());
        let prefixes = Queue {
            name: "prefixes of a walk",
            len: walks.max().unwrap_or(0),
            limit: WALK_PREFIXES_MAX,
        };
        [asked, prefixes]
    }

    /// Whether this peer may be given a proof in this log now.
    pub(super) fn may_prove(&mut self, now: Time, repo: RepoId, key: Key) -> bool {
        self.proofs.retain(|_, at| now.since(*at) < PROOF_EVERY_MS);
        let first = !self.proofs.contains_key(&(repo, key));
        if first {
            self.proofs.insert((repo, key), now);
        }
        first
    }

    /// Whether a peer that says it follows a repository is compared with at once. One that says so
    /// again and again would have us verify its root documents each time; it waits for its turn.
    pub(super) fn may_greet(&mut self, now: Time, repo: RepoId) -> bool {
        let recent = |at: &Time| now.since(*at) < GREET_EVERY_MS;
        let first = !self.greeted.get(&repo).is_some_and(recent);
        if first {
            self.greeted.insert(repo, now);
        }
        first
    }

    /// When the first unanswered request is overdue, or a walk goes on.
    pub(super) fn deadline(&self) -> Option<Time> {
        let paused = self.walks.values().filter_map(|walk| walk.paused);
        let asked = self.asked.values().map(|(_, deadline)| *deadline);
        asked.chain(paused).min()
    }
}
