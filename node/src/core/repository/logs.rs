//! The logs of a repository: what is held of each, under which checkpoint, and of which branch.

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::hash::Sha256;
use skep_proto::key::Key;
use skep_proto::limits::{
    CHECKPOINT_BYTES_MAX, COSIGNATURES_MAX, PROOF_HASHES_MAX, REGISTRAR_BYTES_MAX,
    REGISTRAR_ENTRIES_MAX,
};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::entry::Mark;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tree::{self, verify_consistency};
use skep_proto::repo::fact::LogFacts;
use skep_proto::repo::sequence::LogUse;

use super::Repository;
use crate::core::Time;
use crate::core::input::SessionId;
use crate::store::{Change, FactKind};

/// A log's newest checkpoint is gossiped at most this often.
const GOSSIP_EVERY_MS: u64 = 1_000;
/// Longest [`CutProof`] in bytes: a checkpoint, 63 hashes of 34 bytes, and change.
const CUT_PROOF_BYTES_MAX: usize =
    CHECKPOINT_BYTES_MAX + COSIGNATURES_MAX * 128 + PROOF_HASHES_MAX * 34 + 128;

/// The checkpoints of a log; its entries' facts are in [`Repository::facts`].
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every entry under it is held: the only one that counts and is told to others.
    pub(super) whole: Option<Checkpoint>,
    /// While only a prefix of it is held: proves that the prefix is the author's.
    pub(super) ahead: Option<Checkpoint>,
    /// Where a cut ends it before a checkpoint does.
    pub(super) cut: Option<CutProof>,
    /// A peer was seen to hold exactly what is whole here, in this run.
    pub(super) confirmed: bool,
    /// It reached the limits of a log: nothing more of it is committed.
    pub(super) full: bool,
    pub(super) fetching: Option<SessionId>,
    pub(super) gossip: Option<Gossip>,
    /// When a checkpoint that others gossiped may be passed on again.
    pub(super) pass_on: Time,
}

/// When a log's checkpoint may be gossiped, and whether there is something to gossip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gossip {
    not_before: Time,
    waiting: bool,
}

/// That the branch which a cut names is the author's: the proof from there to a signed checkpoint
/// at or beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutProof {
    pub mark: Mark,
    pub checkpoint: Checkpoint,
    /// Empty where both are of one size.
    pub proof: Vec<Sha256>,
}

/// Entries of which branch are fetched, and up to where.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::core) struct Target {
    pub(in crate::core) checkpoint: Checkpoint,
    /// Where to stop, if a cut names a place before the checkpoint.
    pub(in crate::core) cut: Option<CutProof>,
}

/// How a checkpoint stands to what is held.
#[derive(Debug)]
pub(in crate::core) enum Standing {
    /// Larger: what is between may be fetched.
    Ahead,
    Consistent,
    Contradicts(Contradiction),
}

#[derive(Debug)]
pub(in crate::core) enum Contradiction {
    Proven(Box<ForkEvidence>),
    /// The larger checkpoint of ours is not whole yet: evidence follows when it is.
    Unproven,
}

/// What a commit did.
pub(in crate::core) struct Committed {
    pub(in crate::core) changes: Vec<Change>,
    /// The checkpoint's entries are all here.
    pub(in crate::core) whole: bool,
    /// Some are missing still, and may be asked for.
    pub(in crate::core) more: bool,
}

impl Target {
    /// To the end of a checkpoint.
    pub(in crate::core) fn whole(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            cut: None,
        }
    }

    /// To where a cut ends the log.
    pub(in crate::core) fn cut(cut: CutProof) -> Self {
        Self {
            checkpoint: cut.checkpoint.clone(),
            cut: Some(cut),
        }
    }

    /// Size and root of the tree that the entries make in the end.
    pub(in crate::core) fn end(&self) -> (u64, Sha256) {
        match &self.cut {
            Some(cut) => (cut.mark.size, cut.mark.root),
            None => (self.checkpoint.size, self.checkpoint.root),
        }
    }
}

impl CutProof {
    /// Whether the checkpoint, whose signature is another matter, has the branch.
    pub(in crate::core) fn is_consistent(&self) -> bool {
        let (mark, checkpoint) = (&self.mark, &self.checkpoint);
        let (size, root) = (checkpoint.size, checkpoint.root);
        checkpoint.key == mark.key
            && verify_consistency(mark.size, &mark.root, size, &root, &self.proof).is_ok()
    }

    /// The same under a checkpoint whose cosignatures were looked at.
    pub(in crate::core) fn of(self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint, ..self }
    }

    /// CBOR `[size, root: bstr 32, checkpoint, [0*63 bstr 32]]`: a fact of the store.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(4)
            .uint(self.mark.size)
            .bytes(self.mark.root.as_bytes());
        self.checkpoint.write(&mut writer);
        writer.array(self.proof.len());
        for hash in &self.proof {
            writer.bytes(hash.as_bytes());
        }
        writer.finish()
    }

    pub fn from_bytes(input: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(input, CUT_PROOF_BYTES_MAX)?;
        reader.array(4)?;
        let (size, root) = (reader.uint()?, Sha256::from_bytes(reader.bytes_of()?));
        let checkpoint = Checkpoint::read(&mut reader)?;
        let proof = reader.items("hashes of a proof", PROOF_HASHES_MAX, |reader| {
            reader.bytes_of().map(Sha256::from_bytes)
        })?;
        reader.end()?;
        let key = checkpoint.key;
        Ok(Self {
            mark: Mark { key, size, root },
            checkpoint,
            proof,
        })
    }
}

/// What is held of a branch, in memory.
impl Repository {
    pub(in crate::core) fn is_admitted(&self, key: &Key) -> bool {
        self.admitted_keys.contains(key)
    }

    pub(in crate::core) fn is_registrar(&self, key: &Key) -> bool {
        let registrars = self.chain.latest().map(|link| &link.document.registrars);
        registrars.is_some_and(|registrars| {
            registrars.live == *key || registrars.fixed.iter().any(|mark| mark.key == *key)
        })
    }

    /// Entries held of a log.
    pub(in crate::core) fn size(&self, key: &Key) -> u64 {
        self.facts.get(key).map_or(0, |facts| facts.len() as u64)
    }

    pub(in crate::core) fn whole(&self, key: &Key) -> Option<&Checkpoint> {
        self.logs.get(key).and_then(|log| log.whole.as_ref())
    }

    /// Whether exactly this position of the log is held, whole.
    pub(in crate::core) fn holds(&self, checkpoint: &Checkpoint) -> bool {
        self.whole(&checkpoint.key)
            .is_some_and(|whole| (whole.size, whole.root) == (checkpoint.size, checkpoint.root))
    }

    /// Whether anything under a checkpoint could be committed: it is within the limits of its log,
    /// which is not full, and no cut or evidence ends the log before.
    pub(in crate::core) fn has_room_for(&self, checkpoint: &Checkpoint) -> bool {
        let key = &checkpoint.key;
        let within = match self.use_of(key) {
            LogUse::Whole => true,
            LogUse::NotHeld { size, .. } => checkpoint.size <= size,
            LogUse::UpTo { .. } | LogUse::Forked => false,
        };
        let full = self.logs.get(key).is_some_and(|log| log.full);
        within && !full && checkpoint.size <= self.limits(key).0
    }

    /// Most entries and bytes of a log.
    fn limits(&self, key: &Key) -> (u64, u64) {
        if self.is_registrar(key) {
            (REGISTRAR_ENTRIES_MAX, REGISTRAR_BYTES_MAX)
        } else {
            let first = self.chain.links().first();
            let limits = first.map(|link| link.document.limits).unwrap_or_default();
            (limits.entries_per_log, limits.bytes_per_log)
        }
    }

    /// A claim on fetching a log: one session at a time.
    pub(in crate::core) fn claim(&mut self, key: &Key, session: SessionId) -> bool {
        let log = self.logs.entry(*key).or_default();
        if log.fetching.is_some() {
            return false;
        }
        log.fetching = Some(session);
        true
    }

    pub(in crate::core) fn unclaim(&mut self, key: &Key, session: SessionId) {
        if let Some(log) = self.logs.get_mut(key)
            && log.fetching == Some(session)
        {
            log.fetching = None;
        }
    }

    /// Whether a session fetches it.
    pub(in crate::core) fn is_claimed(&self, key: &Key) -> bool {
        self.logs.get(key).is_some_and(|log| log.fetching.is_some())
    }

    /// A session ended: what it fetched may be fetched by another.
    pub(in crate::core) fn release(&mut self, session: SessionId) {
        for log in self.logs.values_mut() {
            if log.fetching == Some(session) {
                log.fetching = None;
            }
        }
    }

    pub(super) fn tree(&self, key: &Key) -> Option<&tree::Tree> {
        self.facts.get(key).map(LogFacts::tree)
    }

    pub(in crate::core) fn standing(&self, checkpoint: &Checkpoint) -> Standing {
        let tree = self.tree(&checkpoint.key);
        match tree.and_then(|tree| tree.root_at(checkpoint.size)) {
            None => Standing::Ahead,
            Some(ours) if ours == checkpoint.root => Standing::Consistent,
            Some(ours) => Standing::Contradicts(self.contradiction(checkpoint, ours)),
        }
    }

    /// Evidence that `theirs`, no larger than what is held, is of another branch.
    fn contradiction(&self, theirs: &Checkpoint, ours: Sha256) -> Contradiction {
        let whole = self.whole(&theirs.key);
        let evidence = whole
            .filter(|whole| whole.size >= theirs.size)
            .and_then(|whole| {
                let tree = self.tree(&theirs.key)?;
                let proof = tree.consistency_proof(theirs.size, whole.size)?;
                ForkEvidence::between(&self.id, whole, theirs, ours, &proof).ok()
            });
        match evidence {
            Some(evidence) => Contradiction::Proven(Box::new(evidence.into_inner())),
            None => Contradiction::Unproven,
        }
    }

    /// Whether these entries, after what is held, lie in the tree of this size and root.
    pub(in crate::core) fn proves(
        &self,
        key: &Key,
        entries: &[Vec<u8>],
        (end, end_root): (u64, Sha256),
        proof: &[Sha256],
    ) -> bool {
        let mut edge = self.tree(key).map(tree::Tree::edge).unwrap_or_default();
        for entry in entries {
            edge.push(tree::leaf(entry));
        }
        let (size, root) = (edge.size(), edge.root());
        if size == end {
            return proof.is_empty() && root == end_root;
        }
        size < end && verify_consistency(size, &root, end, &end_root, proof).is_ok()
    }

    /// Commits entries that [`Self::proves`] said yes to, as far as the log's limits allow.
    pub(in crate::core) fn commit(
        &mut self,
        key: &Key,
        mut entries: Vec<Vec<u8>>,
        target: &Target,
    ) -> Committed {
        let from = self.size(key);
        let (entries_max, bytes_max) = self.limits(key);
        let used = self.use_of(key);
        let facts = self.facts.entry(*key).or_default();
        let mut bytes = facts.bytes();
        let mut size = from;
        let within = entries.iter().take_while(|entry| {
            bytes += entry.len() as u64;
            size += 1;
            bytes <= bytes_max && size <= entries_max
        });
        let within = within.count();
        let full = within < entries.len();
        entries.truncate(within);
        let log = self.logs.entry(*key).or_default();
        log.full |= full;
        for entry in &entries {
            facts.push(&self.id, entry);
        }
        let (held, checkpoint) = (facts.len() as u64, &target.checkpoint);
        let whole = held == checkpoint.size;
        if whole {
            log.whole = Some(checkpoint.clone());
            log.ahead = None;
            log.confirmed = false;
        } else {
            log.ahead = Some(checkpoint.clone());
        }
        facts.whole_up_to(log.whole.as_ref().map_or(0, |whole| whole.size));
        let cut = target.cut.as_ref().filter(|cut| held == cut.mark.size);
        if let Some(cut) = cut {
            log.cut = Some(cut.clone());
        }
        // A remainder changes nothing that is seen, unless a cut ends in it: else a peer that serves
        // entry by entry would have everything computed again for each.
        let cut_ends = matches!(used, LogUse::NotHeld { size, .. } if from < size && size <= held);
        self.stale |= whole || cut.is_some() || cut_ends;
        let mut changes = Vec::new();
        if !entries.is_empty() {
            changes.push(Change::Append {
                repo: self.id,
                key: *key,
                from,
                entries,
                checkpoint: checkpoint.clone(),
            });
        }
        if let Some(cut) = cut.filter(|_| !whole) {
            changes.push(self.fact(FactKind::CutProof, key.to_string(), cut.to_bytes()));
        }
        Committed {
            changes,
            whole,
            more: held < target.end().0 && !full,
        }
    }

    /// Forgets what was fetched for a checkpoint that was never whole: another one is of another
    /// branch, and whoever offered the first did not serve it to the end.
    pub(in crate::core) fn drop_remainder(&mut self, key: &Key) -> Option<Change> {
        let log = self.logs.get_mut(key)?;
        let to = log.whole.as_ref().map_or(0, |whole| whole.size);
        let facts = self.facts.get_mut(key)?;
        if facts.len() as u64 <= to {
            return None;
        }
        facts.truncate(to);
        log.ahead = None;
        self.stale = true;
        Some(Change::Rewind {
            repo: self.id,
            key: *key,
            to,
        })
    }

    /// A cut names a branch that is not the one held: makes room for it. What is held is kept aside,
    /// since a cut may be a thief's, and only a root document's is for ever; of several branches
    /// the one that was here first.
    pub(in crate::core) fn make_room(&mut self, key: &Key) -> Option<Change> {
        if self.size(key) == 0 {
            return None;
        }
        self.stale = true;
        if !self.aside.contains_key(key) {
            return Some(self.exchange(key));
        }
        let fetching = self.logs.get(key).and_then(|log| log.fetching);
        let empty = Log {
            fetching,
            ..Log::default()
        };
        self.logs.insert(*key, empty);
        self.facts.remove(key);
        Some(Change::Rewind {
            repo: self.id,
            key: *key,
            to: 0,
        })
    }

    /// What is held of a log and what was set aside change places.
    fn exchange(&mut self, key: &Key) -> Change {
        let aside = self.aside.remove(key).unwrap_or_default();
        let facts = self.facts.insert(*key, aside.facts).unwrap_or_default();
        let log = self.logs.entry(*key).or_default();
        let aside = super::RestoredLog {
            facts,
            whole: std::mem::replace(&mut log.whole, aside.whole),
            ahead: std::mem::replace(&mut log.ahead, aside.ahead),
        };
        (log.cut, log.full, log.confirmed) = (None, false, false);
        if !aside.facts.is_empty() {
            self.aside.insert(*key, aside);
        }
        self.stale = true;
        Change::Exchange {
            repo: self.id,
            key: *key,
        }
    }

    /// Takes back the branch that was set aside, where that is the one which a cut names now.
    pub(super) fn take_back(&mut self) -> Vec<Change> {
        let wanted = |key: &Key, aside: &super::RestoredLog| match self.use_of(key) {
            LogUse::NotHeld { size, root } => aside.facts.matches(size, root),
            _ => false,
        };
        let aside = self.aside.iter();
        let wanted: Vec<Key> = aside
            .filter(|(key, aside)| wanted(key, aside))
            .map(|(key, _)| *key)
            .collect();
        wanted.iter().map(|key| self.exchange(key)).collect()
    }

    /// A peer holds what we hold of a registrar's log. A registrar signs on that only: its home may be
    /// a backup, and the network further. That it was ever so is remembered.
    pub(in crate::core) fn confirm(&mut self, key: &Key) -> Option<Change> {
        if !self.is_registrar(key) {
            return None;
        }
        let log = self.logs.get_mut(key)?;
        log.confirmed = log.whole.is_some();
        let first = log.confirmed && self.ever_confirmed.insert(*key);
        first.then(|| self.fact(FactKind::Confirmed, key.to_string(), Vec::new()))
    }

    /// Whose logs are held, as a whole or in part.
    pub(in crate::core) fn log_keys(&self) -> Vec<Key> {
        self.logs.keys().copied().collect()
    }

    // Gossip.

    pub(in crate::core) fn gossip_later(&mut self, key: Key, now: Time) {
        if let Some(log) = self.logs.get_mut(&key) {
            let gossip = log.gossip.get_or_insert(Gossip {
                not_before: now,
                waiting: false,
            });
            gossip.waiting = true;
        }
    }

    /// Whether a checkpoint of this log that was gossiped may be passed on; then not another one for
    /// a while.
    pub(in crate::core) fn may_pass_on(&mut self, key: &Key, now: Time) -> bool {
        let log = self.logs.entry(*key).or_default();
        let may = log.pass_on <= now;
        if may {
            log.pass_on = now.after(GOSSIP_EVERY_MS);
        }
        may
    }

    /// The newest checkpoints that may be gossiped now.
    pub(in crate::core) fn take_gossip(&mut self, now: Time) -> Vec<Checkpoint> {
        let mut due = Vec::new();
        for log in self.logs.values_mut() {
            let (Some(gossip), Some(whole)) = (&mut log.gossip, &log.whole) else {
                continue;
            };
            if gossip.waiting && gossip.not_before <= now {
                *gossip = Gossip {
                    not_before: now.after(GOSSIP_EVERY_MS),
                    waiting: false,
                };
                due.push(whole.clone());
            }
        }
        due
    }

    /// When there is something to gossip; what may not be gossiped is no reason to wake up.
    pub(in crate::core) fn gossip_due(&self) -> Option<Time> {
        let logs = self.logs.values().filter(|_| self.is_public());
        let gossip = logs.filter(|log| log.whole.is_some());
        let waiting = gossip.filter_map(|log| log.gossip.filter(|gossip| gossip.waiting));
        waiting.map(|gossip| gossip.not_before).min()
    }
}
