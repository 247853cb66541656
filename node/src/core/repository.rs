//! One repository as the core holds it: chain, logs, evidence, view, frontier trie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::limits::{REGISTRAR_BYTES_MAX, REGISTRAR_ENTRIES_MAX};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tree;
use skep_proto::name::{Name, Version};
use skep_proto::repo::root::{Chain, SignedRoot};
use skep_proto::repo::sequence::LogFacts;
use skep_proto::repo::view::View;
use skep_proto::sync::trie::{self, Trie};
use skep_proto::sync::wire::{ENTRIES_BYTES_MAX, ROOTS_MAX, Record, TrieNode};
use skep_proto::trust::file::RepoFile;

use super::Time;
use super::input::{Holding, SessionId};
use crate::snapshot::RepoSnapshot;
use crate::store::{Change, FactKind};

/// A log's newest checkpoint is gossiped at most this often.
const GOSSIP_EVERY_MS: u64 = 1_000;

/// What the store held of one repository when it was opened.
#[derive(Debug)]
pub struct Restored {
    pub repo: RepoId,
    pub roots: Vec<SignedRoot>,
    pub logs: BTreeMap<Key, RestoredLog>,
    pub evidence: BTreeMap<Key, ForkEvidence>,
    pub holdings: BTreeMap<Sha256, Holding>,
    pub admitted: BTreeMap<(Name, Version), Sha256>,
}

#[derive(Debug, Default)]
pub struct RestoredLog {
    pub facts: LogFacts,
    pub whole: Option<Checkpoint>,
    pub ahead: Option<Checkpoint>,
}

/// The checkpoints of a log; its entries' facts are in [`Repository::facts`].
#[derive(Debug, Default)]
struct Log {
    /// Every entry under it is held: the only one that counts and is told to others.
    whole: Option<Checkpoint>,
    /// While only a prefix of it is held: proves that the prefix is the author's.
    ahead: Option<Checkpoint>,
    edge: tree::Edge,
    fetching: Option<SessionId>,
    gossip: Option<Gossip>,
}

/// When a log's checkpoint may be gossiped, and whether there is something to gossip.
#[derive(Debug, Clone, Copy)]
struct Gossip {
    not_before: Time,
    waiting: bool,
}

/// How a checkpoint stands to what is held.
#[derive(Debug)]
pub(super) enum Standing {
    /// Larger: what is between may be fetched.
    Ahead,
    Consistent,
    Contradicts(Contradiction),
}

#[derive(Debug)]
pub(super) enum Contradiction {
    Proven(Box<ForkEvidence>),
    /// The larger checkpoint of ours is not whole yet: evidence follows when it is.
    Unproven,
}

/// What a commit did.
pub(super) struct Committed {
    pub(super) change: Option<Change>,
    /// The checkpoint's entries are all here.
    pub(super) whole: bool,
    /// Some are missing still, and may be asked for.
    pub(super) more: bool,
}

pub(super) struct Repository {
    pub(super) id: RepoId,
    /// Alias and file; none while the repository is stored but no longer followed.
    pub(super) settings: Option<(Name, RepoFile)>,
    roots: Vec<SignedRoot>,
    chain: Arc<Chain>,
    facts: BTreeMap<Key, LogFacts>,
    logs: BTreeMap<Key, Log>,
    evidence: BTreeMap<Key, ForkEvidence>,
    view: Arc<View>,
    admitted_keys: BTreeSet<Key>,
    trie: Trie,
    holdings: Arc<BTreeMap<Sha256, Holding>>,
    admitted: Arc<BTreeMap<(Name, Version), Sha256>>,
    stale: bool,
}

impl Repository {
    pub(super) fn new(id: RepoId, settings: (Name, RepoFile)) -> Self {
        let mut repo = Self::restore(Restored {
            repo: id,
            roots: Vec::new(),
            logs: BTreeMap::new(),
            evidence: BTreeMap::new(),
            holdings: BTreeMap::new(),
            admitted: BTreeMap::new(),
        });
        repo.settings = Some(settings);
        repo.repin();
        repo
    }

    pub(super) fn restore(restored: Restored) -> Self {
        let chain = Chain::build(&restored.repo, &restored.roots, None);
        let mut facts = BTreeMap::new();
        let mut logs = BTreeMap::new();
        for (key, log) in restored.logs {
            let mut edge = tree::Edge::new();
            for leaf in log.facts.leaves() {
                edge.push(*leaf);
            }
            let RestoredLog {
                facts: log_facts,
                whole,
                ahead,
            } = log;
            facts.insert(key, log_facts);
            logs.insert(
                key,
                Log {
                    whole,
                    ahead,
                    edge,
                    ..Log::default()
                },
            );
        }
        let view = View::compute(&restored.repo, &chain, &facts, &BTreeSet::new());
        Self {
            id: restored.repo,
            settings: None,
            roots: restored.roots,
            chain: Arc::new(chain),
            facts,
            logs,
            evidence: restored.evidence,
            view: Arc::new(view),
            admitted_keys: BTreeSet::new(),
            trie: Trie::new(),
            holdings: Arc::new(restored.holdings),
            admitted: Arc::new(restored.admitted),
            stale: true,
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        self.settings.is_some()
    }

    /// Topic of this repository's checkpoints.
    pub(super) fn topic(&self) -> [u8; 32] {
        *Blake3::of(&[b"skep.topic", self.id.as_bytes()]).as_bytes()
    }

    // Root documents.

    fn pin(&self) -> Option<(u64, Sha256)> {
        let (_, file) = self.settings.as_ref()?;
        Some((file.root.version, file.root.sha256))
    }

    /// The pin may have changed: builds the chain again.
    pub(super) fn repin(&mut self) {
        self.chain = Arc::new(Chain::build(&self.id, &self.roots, self.pin()));
        self.stale = true;
    }

    /// How many documents of the chain can be believed.
    pub(super) fn version(&self) -> u64 {
        self.chain.version()
    }

    pub(super) fn has_document(&self, payload: &[u8]) -> bool {
        self.roots.iter().any(|root| root.payload == payload)
    }

    /// Takes the documents that continue the chain, or rival one of its own; says what to persist.
    pub(super) fn accept_roots(&mut self, documents: Vec<SignedRoot>) -> Vec<Change> {
        let mut changes = Vec::new();
        for document in documents {
            let Some(kept) = self.chain.accepts(&self.roots, document) else {
                continue;
            };
            match self.roots.iter_mut().find(|root| root.payload == kept.payload) {
                Some(held) if *held == kept => continue,
                Some(held) => *held = kept.clone(),
                None => self.roots.push(kept.clone()),
            }
            self.repin();
            changes.push(Change::Root {
                repo: self.id,
                signed: kept,
            });
        }
        changes
    }

    /// Documents of versions above `have`, lowest first, and whether there are more.
    pub(super) fn documents_above(&self, have: u64) -> (Vec<SignedRoot>, bool) {
        let above = self.chain.signed_above(&self.roots, have);
        let more = above.len() > ROOTS_MAX;
        (above.into_iter().take(ROOTS_MAX).collect(), more)
    }

    // Logs.

    pub(super) fn is_admitted(&self, key: &Key) -> bool {
        self.admitted_keys.contains(key)
    }

    pub(super) fn is_registrar(&self, key: &Key) -> bool {
        self.chain.registrars().any(|registrar| registrar == key)
    }

    /// Entries held of a log.
    pub(super) fn size(&self, key: &Key) -> u64 {
        self.facts.get(key).map_or(0, LogFacts::size)
    }

    pub(super) fn whole(&self, key: &Key) -> Option<&Checkpoint> {
        self.logs.get(key).and_then(|log| log.whole.as_ref())
    }

    pub(super) fn whole_size(&self, key: &Key) -> Option<u64> {
        self.whole(key).map(|whole| whole.size)
    }

    /// Whether exactly this position of the log is held, whole.
    pub(super) fn holds(&self, checkpoint: &Checkpoint) -> bool {
        self.whole(&checkpoint.key)
            .is_some_and(|whole| (whole.size, whole.root) == (checkpoint.size, checkpoint.root))
    }

    /// Whether a checkpoint is within the limits of its log.
    pub(super) fn fits(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.size <= self.limits(&checkpoint.key).0
    }

    /// Most entries and bytes of a log.
    fn limits(&self, key: &Key) -> (u64, u64) {
        if self.is_registrar(key) {
            (REGISTRAR_ENTRIES_MAX, REGISTRAR_BYTES_MAX)
        } else {
            self.chain.limits()
        }
    }

    /// A claim on fetching a log: one session at a time.
    pub(super) fn claim(&mut self, key: &Key, session: SessionId) -> bool {
        let log = self.logs.entry(*key).or_default();
        if log.fetching.is_some() {
            return false;
        }
        log.fetching = Some(session);
        true
    }

    pub(super) fn unclaim(&mut self, key: &Key, session: SessionId) {
        if let Some(log) = self.logs.get_mut(key)
            && log.fetching == Some(session)
        {
            log.fetching = None;
        }
    }

    /// A session ended: what it fetched may be fetched by another.
    pub(super) fn release(&mut self, session: SessionId) {
        for log in self.logs.values_mut() {
            if log.fetching == Some(session) {
                log.fetching = None;
            }
        }
    }

    fn leaves(&self, key: &Key) -> &[Sha256] {
        self.facts.get(key).map_or(&[], LogFacts::leaves)
    }

    /// The first `size` leaves, if that many are held.
    fn prefix(&self, key: &Key, size: u64) -> Option<&[Sha256]> {
        self.leaves(key).get(..usize::try_from(size).ok()?)
    }

    pub(super) fn standing(&self, checkpoint: &Checkpoint) -> Standing {
        let Some(prefix) = self.prefix(&checkpoint.key, checkpoint.size) else {
            return Standing::Ahead;
        };
        let ours = tree::root(prefix);
        if ours == checkpoint.root {
            return Standing::Consistent;
        }
        Standing::Contradicts(self.contradiction(checkpoint, ours))
    }

    /// Evidence that `theirs`, no larger than what is held, is of another branch.
    fn contradiction(&self, theirs: &Checkpoint, alt_root: Sha256) -> Contradiction {
        let whole = self.whole(&theirs.key).filter(|whole| whole.size >= theirs.size);
        let proof = whole.and_then(|whole| {
            let leaves = self.prefix(&theirs.key, whole.size)?;
            tree::consistency_proof(leaves, theirs.size)
        });
        match (whole, proof) {
            (Some(whole), Some(proof)) => Contradiction::Proven(Box::new(ForkEvidence {
                a: theirs.bare(),
                b: whole.bare(),
                alt_root,
                proof,
            })),
            _ => Contradiction::Unproven,
        }
    }

    /// Whether these entries, after what is held, lie under the checkpoint.
    pub(super) fn proves(
        &self,
        key: &Key,
        entries: &[Vec<u8>],
        target: &Checkpoint,
        proof: &[Sha256],
    ) -> bool {
        let mut edge = self
            .logs
            .get(key)
            .map(|log| log.edge.clone())
            .unwrap_or_default();
        for entry in entries {
            edge.push(tree::leaf(entry));
        }
        let (size, root) = (edge.size(), edge.root());
        if size == target.size {
            return proof.is_empty() && root == target.root;
        }
        size < target.size
            && tree::verify_consistency(size, &root, target.size, &target.root, proof).is_ok()
    }

    /// Commits entries that [`Self::proves`] said yes to, as far as the log's limits allow.
    pub(super) fn commit(
        &mut self,
        key: &Key,
        mut entries: Vec<Vec<u8>>,
        target: Checkpoint,
    ) -> Committed {
        let from = self.size(key);
        let (entries_max, bytes_max) = self.limits(key);
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
        for entry in &entries {
            facts.push(&self.id, entry);
            log.edge.push(tree::leaf(entry));
        }
        let whole = log.edge.size() == target.size;
        if whole {
            log.whole = Some(target.clone());
            log.ahead = None;
        } else {
            log.ahead = Some(target.clone());
        }
        self.stale = true;
        let change = (!entries.is_empty()).then(|| Change::Append {
            repo: self.id,
            key: *key,
            from,
            entries,
            checkpoint: target,
        });
        Committed {
            change,
            whole,
            more: !whole && !full,
        }
    }

    // Evidence.

    pub(super) fn wants_evidence(&self, key: &Key) -> bool {
        self.is_admitted(key) && !self.evidence.contains_key(key)
    }

    pub(super) fn keep_evidence(&mut self, evidence: ForkEvidence) -> Change {
        let key = *evidence.key();
        self.evidence.insert(key, evidence.clone());
        self.stale = true;
        Change::Evidence {
            repo: self.id,
            evidence,
        }
    }

    // What readers and peers see.

    /// Computes the view and the trie again if anything changed; true if the view did.
    pub(super) fn refresh(&mut self) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        let forked = self.evidence.keys().copied().collect();
        let view = View::compute(&self.id, &self.chain, &self.facts, &forked);
        let changed = view.view_hash() != self.view.view_hash();
        self.admitted_keys = view.admitted_keys(&self.chain);
        self.view = Arc::new(view);
        self.refresh_trie();
        changed
    }

    fn refresh_trie(&mut self) {
        for key in &self.admitted_keys {
            let record = if self.evidence.contains_key(key) && !self.view.is_cut(key) {
                Some(trie::frontier_record(key, u64::MAX, &Sha256::from_bytes([0; 32])))
            } else {
                let whole = self.logs.get(key).and_then(|log| log.whole.as_ref());
                whole.map(|whole| trie::frontier_record(key, whole.size, &whole.root))
            };
            match record {
                Some(record) => self.trie.insert(trie::frontier_path(key), record),
                None => self.trie.remove(&trie::frontier_path(key)),
            }
        }
    }

    pub(super) fn view_hash(&self) -> Option<Sha256> {
        self.view.view_hash()
    }

    /// Prefixes of those children of a peer's node that differ from ours.
    pub(super) fn differing_children(&self, prefix: &[u8], theirs: &[Sha256; 16]) -> Vec<Vec<u8>> {
        (0u8..16)
            .zip(theirs)
            .map(|(nibble, hash)| ([prefix, &[nibble]].concat(), hash))
            .filter(|(child, hash)| self.trie.hash_at(child) != **hash)
            .map(|(child, _)| child)
            .collect()
    }

    /// Our node at a prefix, as a peer is told.
    pub(super) fn trie_node(&self, prefix: &[u8]) -> TrieNode {
        match self.trie.node(prefix) {
            trie::Node::Children(hashes) => TrieNode::Children(hashes),
            trie::Node::Records(records) => {
                let keys = records.iter().filter_map(|record| trie::frontier_key(record));
                TrieNode::Records(keys.filter_map(|key| self.record(&key)).collect())
            }
        }
    }

    fn record(&self, key: &Key) -> Option<Record> {
        match self.evidence.get(key) {
            Some(evidence) if !self.view.is_cut(key) => Some(Record::Forked(evidence.clone())),
            _ => self.whole(key).cloned().map(Record::Log),
        }
    }

    /// Where a served range ends so that it fits a frame, and the proof from there.
    pub(super) fn serve_entries(
        &self,
        key: &Key,
        from: u64,
        to: u64,
        size: u64,
        root: &Sha256,
    ) -> Option<(u64, Vec<Sha256>)> {
        let leaves = self.prefix(key, size)?;
        if tree::root(leaves) != *root {
            return None;
        }
        let sizes = self.facts.get(key)?.sizes();
        let range = sizes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?;
        let mut room = ENTRIES_BYTES_MAX;
        let fitting = range.iter().take_while(|size| {
            let fits = room.checked_sub(usize::from(**size));
            room = fits.unwrap_or(0);
            fits.is_some()
        });
        let end = from + fitting.count() as u64;
        let proof = if end == size {
            Vec::new()
        } else {
            tree::consistency_proof(leaves, end)?
        };
        (end > from).then_some((end, proof))
    }

    /// The root at `m` and the proof from there to our whole checkpoint, if that has size `n`.
    pub(super) fn serve_proof(
        &self,
        key: &Key,
        m: u64,
        n: u64,
    ) -> Option<(Sha256, Vec<Sha256>, Checkpoint)> {
        let whole = self.whole(key).filter(|whole| whole.size == n && m <= n)?;
        let leaves = self.prefix(key, n)?;
        let root = tree::root(self.prefix(key, m)?);
        Some((root, tree::consistency_proof(leaves, m)?, whole.clone()))
    }

    // Gossip.

    pub(super) fn gossip_later(&mut self, key: Key, now: Time) {
        if let Some(log) = self.logs.get_mut(&key) {
            let gossip = log.gossip.get_or_insert(Gossip {
                not_before: now,
                waiting: false,
            });
            gossip.waiting = true;
        }
    }

    /// The newest checkpoints that may be gossiped now.
    pub(super) fn take_gossip(&mut self, now: Time) -> Vec<Checkpoint> {
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

    pub(super) fn gossip_due(&self) -> Option<Time> {
        let gossip = self.logs.values().filter_map(|log| log.gossip);
        let waiting = gossip.filter(|gossip| gossip.waiting);
        waiting.map(|gossip| gossip.not_before).min()
    }

    // What this node has and has admitted.

    pub(super) fn hold(&mut self, manifest: Sha256, holding: Holding) -> Option<Change> {
        let held = Arc::make_mut(&mut self.holdings);
        if held.get(&manifest).is_some_and(|old| old.why >= holding.why) {
            return None;
        }
        held.insert(manifest, holding.clone());
        Some(Change::Fact {
            repo: self.id,
            kind: FactKind::Holding,
            key: manifest.to_string(),
            value: holding.to_bytes(),
        })
    }

    pub(super) fn admit(&mut self, name: Name, version: Version, manifest: Sha256) -> Option<Change> {
        let key = format!("{name}@{version}");
        let before = Arc::make_mut(&mut self.admitted).insert((name, version), manifest);
        (before != Some(manifest)).then(|| Change::Fact {
            repo: self.id,
            kind: FactKind::Admitted,
            key,
            value: manifest.as_bytes().to_vec(),
        })
    }

    pub(super) fn snapshot(&self) -> Arc<RepoSnapshot> {
        Arc::new(RepoSnapshot {
            id: self.id,
            settings: self.settings.clone(),
            chain: Arc::clone(&self.chain),
            view: Arc::clone(&self.view),
            holdings: Arc::clone(&self.holdings),
            admitted: Arc::clone(&self.admitted),
            sizes: self
                .facts
                .iter()
                .map(|(key, facts)| (*key, facts.size()))
                .collect(),
        })
    }
}
