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
use skep_proto::repo::chain::Chain;
use skep_proto::repo::fact::LogFacts;
use skep_proto::repo::root::{Pin, SignedRoot, Visibility};
use skep_proto::repo::sequence::LogUse;
use skep_proto::repo::view::View;
use skep_proto::sync::trie::{Frontier, Part, Prefix, Trie};
use skep_proto::sync::wire::{ENTRIES_BYTES_MAX, ROOTS_MAX, Record, TrieNode};
use skep_proto::trust::file::{RepoFile, Share};

use super::Time;
use super::input::{Holding, HoldingReason, SessionId};
use crate::snapshot::{LogPosition, RepoSnapshot};
use crate::store::{Change, FactKind};

/// A log's newest checkpoint is gossiped at most this often.
const GOSSIP_EVERY_MS: u64 = 1_000;

/// What the store held of one repository when it was opened.
#[derive(Debug)]
pub struct Restored {
    pub repo: RepoId,
    pub roots: Vec<SignedRoot>,
    /// The latest document of the branch that was followed.
    pub followed: Option<Pin>,
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
    chain: Arc<Chain>,
    facts: BTreeMap<Key, LogFacts>,
    logs: BTreeMap<Key, Log>,
    evidence: BTreeMap<Key, ForkEvidence>,
    /// None while the chain gives none.
    view: Option<Arc<View>>,
    admitted_keys: BTreeSet<Key>,
    trie: Trie,
    holdings: Arc<BTreeMap<Sha256, Holding>>,
    offered: Arc<BTreeSet<Blake3>>,
    admitted: Arc<BTreeMap<(Name, Version), Sha256>>,
    stale: bool,
}

impl Repository {
    pub(super) fn new(id: RepoId, settings: (Name, RepoFile)) -> Self {
        let mut repo = Self::restore(Restored::nothing(id));
        repo.settings = Some(settings);
        repo.repin();
        repo
    }

    pub(super) fn restore(restored: Restored) -> Self {
        let Restored {
            repo: id, followed, ..
        } = restored;
        let chain = Chain::resume(id, restored.roots, followed, None);
        let mut facts = BTreeMap::new();
        let mut logs = BTreeMap::new();
        for (key, log) in restored.logs {
            facts.insert(key, log.facts);
            let log = Log {
                whole: log.whole,
                ahead: log.ahead,
                ..Log::default()
            };
            logs.insert(key, log);
        }
        let mut repo = Self {
            id,
            settings: None,
            chain: Arc::new(chain),
            facts,
            logs,
            evidence: restored.evidence,
            view: None,
            admitted_keys: BTreeSet::new(),
            trie: Trie::new(),
            holdings: Arc::new(restored.holdings),
            offered: Arc::default(),
            admitted: Arc::new(restored.admitted),
            stale: true,
        };
        repo.refresh();
        repo
    }

    pub(super) fn is_followed(&self) -> bool {
        self.settings.is_some()
    }

    /// Whether peers are told that it is followed, and served: members-only repositories are
    /// neither until their members can be told from others.
    pub(super) fn is_shared(&self) -> bool {
        let members = self
            .chain
            .latest()
            .is_some_and(|link| link.document.visibility == Visibility::Members);
        self.is_followed() && !members
    }

    /// Whether everybody may read it, by a document that is here.
    pub(super) fn is_public(&self) -> bool {
        self.is_shared() && self.chain.latest().is_some()
    }

    /// Topic of this repository's checkpoints.
    pub(super) fn topic(&self) -> [u8; 32] {
        *Blake3::of(&[b"skep.topic", self.id.as_bytes()]).as_bytes()
    }

    // Root documents.

    fn pin(&self) -> Option<Pin> {
        let (_, file) = self.settings.as_ref()?;
        Some(Pin {
            version: file.root.version,
            sha256: file.root.sha256,
        })
    }

    /// The file of the repository may have changed: its pin, and what is offered.
    pub(super) fn repin(&mut self) {
        if self.chain.pin() != self.pin() {
            let documents = self.chain.documents().cloned().collect();
            let followed = self.chain.followed();
            let chain = Chain::resume(self.id, documents, followed, self.pin());
            self.chain = Arc::new(chain);
            self.stale = true;
        }
        self.refresh_offered();
    }

    /// How many documents of the chain can be believed.
    pub(super) fn version(&self) -> u64 {
        self.chain.links().len() as u64
    }

    pub(super) fn has_document(&self, payload: &[u8]) -> bool {
        self.chain.documents().any(|root| root.payload == payload)
    }

    /// Takes the documents that continue the chain, add signatures, or rival one of its own; says
    /// what to persist. What fits nowhere is not an error: another peer may have sent it first.
    pub(super) fn accept_roots(&mut self, documents: Vec<SignedRoot>) -> Vec<Change> {
        let before = self.chain.followed();
        let held: Vec<SignedRoot> = self.chain.documents().cloned().collect();
        if before.is_some() {
            let chain = Arc::make_mut(&mut self.chain);
            for document in documents {
                // An invalid one is nobody's fault that could be named: it may be the peer's of our peer.
                drop(chain.accept(document));
            }
        } else {
            // A newcomer reads everything at once, since a pin chooses backwards.
            let all = held.iter().cloned().chain(documents).collect();
            self.chain = Arc::new(Chain::build(self.id, all, self.pin()));
        }
        let news = self.chain.documents().filter(|root| !held.contains(root));
        let mut changes: Vec<Change> = news
            .map(|root| Change::Root {
                repo: self.id,
                signed: root.clone(),
            })
            .collect();
        if !changes.is_empty() {
            self.stale = true;
        }
        if let Some(followed) = self.chain.followed().filter(|pin| Some(*pin) != before) {
            changes.push(self.fact(FactKind::Followed, "chain".to_owned(), pin_bytes(&followed)));
        }
        changes
    }

    fn fact(&self, kind: FactKind, key: String, value: Vec<u8>) -> Change {
        Change::Fact {
            repo: self.id,
            kind,
            key,
            value,
        }
    }

    /// Documents of versions above `have`, lowest first, and whether there are more.
    pub(super) fn documents_above(&self, have: u64) -> (Vec<SignedRoot>, bool) {
        let have = usize::try_from(have).unwrap_or(usize::MAX);
        let links = self.chain.links().get(have..).unwrap_or_default();
        let rivals = self.chain.rivals().iter().map(|rival| &rival.signed);
        let above = links.iter().map(|link| &link.signed).chain(rivals);
        let above: Vec<SignedRoot> = above.take(ROOTS_MAX).cloned().collect();
        let more = links.len() > ROOTS_MAX;
        (above, more)
    }

    /// Keys whose cosignatures are kept.
    pub(super) fn witnesses(&self) -> Vec<Key> {
        let document = self.chain.latest().map(|link| &link.document);
        let witnesses = document.and_then(|document| document.witnesses.as_ref());
        let keys = witnesses.map(|w| w.keys.iter().map(|witness| witness.key).collect());
        keys.unwrap_or_default()
    }

    // Logs.

    pub(super) fn is_admitted(&self, key: &Key) -> bool {
        self.admitted_keys.contains(key)
    }

    pub(super) fn is_registrar(&self, key: &Key) -> bool {
        let registrars = self.chain.latest().map(|link| &link.document.registrars);
        registrars.is_some_and(|registrars| {
            registrars.live == *key || registrars.fixed.iter().any(|mark| mark.key == *key)
        })
    }

    /// Entries held of a log.
    pub(super) fn size(&self, key: &Key) -> u64 {
        self.facts.get(key).map_or(0, |facts| facts.len() as u64)
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
            let first = self.chain.links().first();
            let limits = first.map(|link| link.document.limits).unwrap_or_default();
            (limits.entries_per_log, limits.bytes_per_log)
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

    fn tree(&self, key: &Key) -> Option<&tree::Tree> {
        self.facts.get(key).map(LogFacts::tree)
    }

    pub(super) fn standing(&self, checkpoint: &Checkpoint) -> Standing {
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

    /// Whether these entries, after what is held, lie under the checkpoint.
    pub(super) fn proves(
        &self,
        key: &Key,
        entries: &[Vec<u8>],
        target: &Checkpoint,
        proof: &[Sha256],
    ) -> bool {
        let mut edge = self.tree(key).map(tree::Tree::edge).unwrap_or_default();
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
        }
        let whole = facts.len() as u64 == target.size;
        if whole {
            log.whole = Some(target.clone());
            log.ahead = None;
        } else {
            log.ahead = Some(target.clone());
        }
        self.stale = true;
        let change = (!entries.is_empty()).then_some(Change::Append {
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
        let before = self.view_hash();
        self.view = View::compute(&self.chain, &self.facts, &forked).map(Arc::new);
        let admitted = self.view.as_ref().map(|view| view.authority.admitted());
        self.admitted_keys = admitted.unwrap_or_default();
        // Of a chain that gives no view yet, the registrars are still asked for: who is behind
        // learns the rest from them.
        if let Some(link) = self.chain.latest() {
            let registrars = &link.document.registrars;
            let fixed = registrars.fixed.iter().map(|mark| mark.key);
            self.admitted_keys.extend(fixed.chain([registrars.live]));
        }
        self.refresh_trie();
        self.view_hash() != before
    }

    fn refresh_trie(&mut self) {
        for key in &self.admitted_keys {
            let record = if self.is_forked(key) {
                Some(Frontier::forked(*key))
            } else {
                let whole = self.logs.get(key).and_then(|log| log.whole.as_ref());
                whole.map(|whole| Frontier {
                    key: *key,
                    size: whole.size,
                    root: whole.root,
                })
            };
            let path = Frontier::path_of(key);
            match record.map(|record| record.to_record()) {
                Some(record) if self.trie.get(&path) == Some(&record) => {}
                Some(record) => drop(self.trie.insert(path, record)),
                None => drop(self.trie.remove(&path)),
            }
        }
    }

    /// Under fork evidence, and no cut names the branch to keep.
    fn is_forked(&self, key: &Key) -> bool {
        let cut = self.view.as_ref().is_some_and(|view| {
            let registrars = view.authority.sequence.registrars.iter();
            let registrar = registrars.filter(|(registrar, _)| registrar == key);
            let used = registrar.map(|(_, used)| used).chain(view.logs.get(key));
            used.last().is_some_and(|used| *used != LogUse::Forked)
        });
        self.evidence.contains_key(key) && !cut
    }

    pub(super) fn view_hash(&self) -> Option<Sha256> {
        self.view.as_ref().map(|view| view.hash)
    }

    pub(super) fn frontier(&self) -> Sha256 {
        self.trie.root()
    }

    /// Prefixes of those children of a peer's node that differ from ours.
    pub(super) fn differing_children(&self, prefix: &Prefix, theirs: &[Sha256; 16]) -> Vec<Prefix> {
        self.trie.differing(prefix, theirs)
    }

    /// Our node at a prefix, as a peer is told.
    pub(super) fn trie_node(&self, prefix: &Prefix) -> TrieNode {
        match self.trie.node(prefix) {
            Part::Children(hashes) => TrieNode::Children(hashes),
            Part::Records(records) => {
                let keys = records
                    .iter()
                    .filter_map(|record| Frontier::from_record(record));
                TrieNode::Records(keys.filter_map(|at| self.record(&at.key)).collect())
            }
        }
    }

    fn record(&self, key: &Key) -> Option<Record> {
        match self.evidence.get(key) {
            Some(evidence) if self.is_forked(key) => Some(Record::Forked(evidence.clone())),
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
        let facts = self.facts.get(key)?;
        if facts.tree().root_at(size)? != *root {
            return None;
        }
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
        let mut room = ENTRIES_BYTES_MAX;
        let fitting = facts.lengths().get(range)?.iter().take_while(|length| {
            let length = usize::try_from(**length).unwrap_or(usize::MAX);
            let fits = room.checked_sub(length);
            room = fits.unwrap_or(0);
            fits.is_some()
        });
        let end = from + fitting.count() as u64;
        let proof = if end == size {
            Vec::new()
        } else {
            facts.tree().consistency_proof(end, size)?
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
        let whole = self.whole(key).filter(|whole| whole.size == n)?;
        let tree = self.tree(key)?;
        let proof = tree.consistency_proof(m, n)?;
        Some((tree.root_at(m)?, proof, whole.clone()))
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
        if held
            .get(&manifest)
            .is_some_and(|old| old.why >= holding.why)
        {
            return None;
        }
        held.insert(manifest, holding.clone());
        self.refresh_offered();
        Some(self.fact(FactKind::Holding, manifest.to_string(), holding.to_bytes()))
    }

    /// What is published or kept is offered to peers; what was only used is not, unless the file
    /// of the repository says so.
    fn refresh_offered(&mut self) {
        let file = self.settings.as_ref().map(|(_, file)| file);
        let everything = file.is_some_and(|file| file.share == Some(Share::Everything));
        let holdings = self.holdings.values();
        let shared = self.is_shared();
        let offered = holdings
            .filter(|h| everything || h.why != HoldingReason::Used)
            .filter(|_| shared);
        let blobs = offered.flat_map(|holding| holding.blobs.iter().map(|(hash, _)| *hash));
        self.offered = Arc::new(blobs.collect());
    }

    pub(super) fn admit(
        &mut self,
        name: Name,
        version: Version,
        manifest: Sha256,
    ) -> Option<Change> {
        let key = format!("{name}@{version}");
        let before = Arc::make_mut(&mut self.admitted).insert((name, version), manifest);
        (before != Some(manifest))
            .then(|| self.fact(FactKind::Admitted, key, manifest.as_bytes().to_vec()))
    }

    pub(super) fn snapshot(&self) -> Arc<RepoSnapshot> {
        let positions = self.facts.iter().map(|(key, facts)| {
            let position = LogPosition {
                size: facts.len() as u64,
                whole: self.whole(key).cloned(),
            };
            (*key, position)
        });
        Arc::new(RepoSnapshot {
            id: self.id,
            settings: self.settings.clone(),
            chain: Arc::clone(&self.chain),
            view: self.view.clone(),
            holdings: Arc::clone(&self.holdings),
            offered: Arc::clone(&self.offered),
            admitted: Arc::clone(&self.admitted),
            logs: positions.collect(),
        })
    }
}

impl Restored {
    /// Of a repository of which the store has nothing.
    pub fn nothing(repo: RepoId) -> Self {
        Self {
            repo,
            roots: Vec::new(),
            followed: None,
            logs: BTreeMap::new(),
            evidence: BTreeMap::new(),
            holdings: BTreeMap::new(),
            admitted: BTreeMap::new(),
        }
    }
}

/// `version ‖ sha256`, the value of the fact `followed`.
fn pin_bytes(pin: &Pin) -> Vec<u8> {
    [pin.version.to_be_bytes().as_slice(), pin.sha256.as_bytes()].concat()
}

/// Reads what [`pin_bytes`] wrote.
pub fn pin_from_bytes(bytes: &[u8]) -> Option<Pin> {
    let (version, sha256) = bytes.split_first_chunk()?;
    Some(Pin {
        version: u64::from_be_bytes(*version),
        sha256: Sha256::from_bytes(sha256.try_into().ok()?),
    })
}
