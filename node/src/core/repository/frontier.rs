//! What a repository's readers and peers see: the view, the frontier trie, and what peers ask for.

use std::sync::Arc;

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::hash::Sha256;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::repo::chain::Chain;
use skep_proto::repo::root::{Document, Pin, REGISTRARS_MAX, SignedRoot};
use skep_proto::repo::sequence::LogUse;
use skep_proto::repo::view::View;
use skep_proto::sync::trie::{Frontier, Part, Prefix};
use skep_proto::sync::wire::{ENTRIES_BYTES_MAX, Record, TrieNode};

use super::Repository;
use crate::core::Time;
use crate::store::{Change, FactKind};

/// How often a view is computed while logs come in: what readers see is no older than this.
const VIEW_EVERY_MS: u64 = 250;
/// The key of the fact that there is one of.
const SHOWN: &str = "view";
/// Longest [`Basis`] in bytes: each registrar takes at most 45.
const BASIS_BYTES_MAX: usize = 45 * REGISTRARS_MAX + 64;

/// From what a view was made whose registrars' logs were one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The latest root document.
    pub pin: Pin,
    /// How many entries of each registrar counted.
    pub registrars: Vec<(Key, u64)>,
}

/// The last such view. Readers are answered from it while there is none: an empty list of packages
/// would be what a thief wants, and what a thief says is not believed either.
#[derive(Debug, Clone)]
pub(super) struct Last {
    view: Arc<View>,
    basis: Basis,
}

/// What became of the view.
#[derive(Debug, Default)]
pub(in crate::core) struct Refreshed {
    pub(in crate::core) view_changed: bool,
    pub(in crate::core) changes: Vec<Change>,
}

impl Basis {
    /// CBOR `[version, sha256: bstr 32, [1*64 [key, entries]]]`: a fact of the store.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(3)
            .uint(self.pin.version)
            .bytes(self.pin.sha256.as_bytes())
            .array(self.registrars.len());
        for (key, entries) in &self.registrars {
            writer.array(2).bytes(key.as_bytes()).uint(*entries);
        }
        writer.finish()
    }

    pub fn from_bytes(input: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(input, BASIS_BYTES_MAX)?;
        reader.array(3)?;
        let pin = Pin {
            version: reader.uint()?,
            sha256: Sha256::from_bytes(reader.bytes_of()?),
        };
        let registrars = reader.items("registrars", REGISTRARS_MAX, |reader| {
            reader.array(2)?;
            Ok((Key::read(reader)?, reader.uint()?))
        })?;
        reader.end()?;
        Ok(Self { pin, registrars })
    }
}

fn is_whole(view: &View) -> bool {
    view.authority.sequence.is_whole()
}

impl Repository {
    /// Computes the view and the trie again if anything changed.
    pub(in crate::core) fn refresh(&mut self, now: Time) -> Refreshed {
        if !std::mem::take(&mut self.stale) {
            return Refreshed::default();
        }
        self.refreshed = now;
        let before = self.view_hash();
        self.compute();
        let mut changes = self.take_back();
        if !changes.is_empty() {
            self.compute();
            self.stale = false;
            self.refresh_offered();
        }
        changes.extend(self.keep_last());
        changes.extend(self.refresh_restrictions());
        self.refresh_trie();
        Refreshed {
            view_changed: self.view_hash() != before,
            changes,
        }
    }

    /// When the view is to be computed again, if it is stale: at once, unless more of its logs are
    /// just coming in. A view is computed whole, so one for each of ten thousand logs would cost a
    /// newcomer the square of them.
    pub(in crate::core) fn refresh_due(&self) -> Option<Time> {
        let fetching = || self.logs.values().any(|log| log.fetching.is_some());
        self.stale.then(|| match fetching() {
            true => self.refreshed.after(VIEW_EVERY_MS),
            false => Time::default(),
        })
    }

    fn compute(&mut self) {
        let forked = self.evidence.keys().copied().collect();
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
    }

    /// Remembers the view while it is whole; says what to persist when it ceases or comes back.
    fn keep_last(&mut self) -> Option<Change> {
        let view = self.view.as_ref()?;
        if !is_whole(view) {
            let last = self.last.as_ref().filter(|_| !self.paused)?;
            let value = last.basis.to_bytes();
            self.paused = true;
            return Some(self.fact(FactKind::Shown, SHOWN.to_owned(), value));
        }
        let count = |(key, used): &(Key, LogUse)| match used {
            LogUse::UpTo { size, .. } => (*key, *size),
            _ => (*key, self.whole(key).map_or(0, |whole| whole.size)),
        };
        let registrars = view.authority.sequence.registrars.iter().map(count);
        let basis = Basis {
            pin: self.chain.latest_pin()?,
            registrars: registrars.collect(),
        };
        let view = Arc::clone(view);
        self.last = Some(Last { view, basis });
        std::mem::take(&mut self.paused).then(|| Change::ForgetFact {
            repo: self.id,
            kind: FactKind::Shown,
            key: SHOWN.to_owned(),
        })
    }

    /// After a restart: makes the view that was last whole again, from what it was made of.
    pub(super) fn restore_last(&mut self, basis: Basis) {
        self.paused = true;
        self.last = self.view_on(&basis).map(|view| Last {
            view: Arc::new(view),
            basis,
        });
    }

    fn view_on(&self, basis: &Basis) -> Option<View> {
        let no_later = |signed: &&SignedRoot| {
            Document::parse(&signed.payload).is_ok_and(|d| d.version() <= basis.pin.version)
        };
        let documents = self.chain.documents().filter(no_later).cloned().collect();
        let pin = Some(basis.pin);
        let chain = Chain::resume(self.id, documents, pin, pin);
        let mut logs = self.facts.clone();
        for (key, entries) in &basis.registrars {
            let log = logs.entry(*key).or_default();
            if (log.len() as u64) < *entries {
                return None;
            }
            log.truncate(*entries);
        }
        // Evidence about registrars is what made the pause.
        let registrar = |key: &&Key| {
            basis
                .registrars
                .iter()
                .any(|(registrar, _)| registrar == *key)
        };
        let evidence = self.evidence.keys().filter(|key| !registrar(key));
        let evidence = evidence.copied().collect();
        View::compute(&chain, &logs, &evidence).filter(is_whole)
    }

    /// The view that readers see: the last one that was whole, while there is none.
    pub(super) fn shown(&self) -> Option<&Arc<View>> {
        let view = self.view.as_ref()?;
        let last = self.last.as_ref().map(|last| &last.view);
        Some(last.filter(|_| !is_whole(view)).unwrap_or(view))
    }

    /// Why nothing new is admitted though the chain is believed.
    pub(super) fn pause(&self) -> Option<&'static str> {
        let view = self.view.as_ref().filter(|view| !is_whole(view))?;
        let mut registrars = view.authority.sequence.registrars.iter();
        let forked = registrars.any(|(_, used)| *used == LogUse::Forked);
        Some(match forked {
            true => "its registrar's log has two branches: a new root document has to name one",
            false => "not every registrar's log is here to the place that the root document names",
        })
    }

    fn refresh_trie(&mut self) {
        for key in &self.admitted_keys {
            let path = Frontier::path_of(key);
            match self.frontier(key).map(|frontier| frontier.to_record()) {
                Some(record) if self.trie.get(&path) == Some(&record) => {}
                Some(record) => drop(self.trie.insert(path, record)),
                None => drop(self.trie.remove(&path)),
            }
        }
        for key in self.compared.difference(&self.admitted_keys) {
            self.trie.remove(&Frontier::path_of(key));
        }
        self.compared.clone_from(&self.admitted_keys);
    }

    /// What the trie says of a log: where a cut ends it once that branch is held, before that and
    /// without a cut what is held, and under evidence without a cut that it forked.
    fn frontier(&self, key: &Key) -> Option<Frontier> {
        match self.use_of(key) {
            LogUse::Forked => Some(Frontier::forked(*key)),
            LogUse::UpTo { size, root } => Some(Frontier {
                key: *key,
                size,
                root,
            }),
            LogUse::Whole | LogUse::NotHeld { .. } => self.whole(key).map(|whole| Frontier {
                key: *key,
                size: whole.size,
                root: whole.root,
            }),
        }
    }

    /// How a log counts; a key that is registrar and handle key is compared as a registrar.
    pub(in crate::core) fn use_of(&self, key: &Key) -> LogUse {
        let used = self.view.as_ref().and_then(|view| {
            let registrars = view.authority.sequence.registrars.iter();
            let mut registrar = registrars.filter(|(registrar, _)| registrar == key);
            let registrar = registrar.next_back().map(|(_, used)| *used);
            registrar.or_else(|| view.logs.get(key).copied())
        });
        match used {
            Some(used) => used,
            None if self.evidence.contains_key(key) => LogUse::Forked,
            None => LogUse::Whole,
        }
    }

    /// The hash of the view as it follows from what is held.
    pub(in crate::core) fn view_hash(&self) -> Option<Sha256> {
        self.view.as_ref().map(|view| view.hash)
    }

    pub(in crate::core) fn frontier_root(&self) -> Sha256 {
        self.trie.root()
    }

    /// Prefixes of those children of a peer's node that differ from ours.
    pub(in crate::core) fn differing_children(
        &self,
        prefix: &Prefix,
        theirs: &[Sha256; 16],
    ) -> Vec<Prefix> {
        self.trie.differing(prefix, theirs)
    }

    /// Our node at a prefix, as a peer is told.
    pub(in crate::core) fn trie_node(&self, prefix: &Prefix) -> TrieNode {
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
        match self.use_of(key) {
            LogUse::Forked => self.evidence.get(key).cloned().map(Record::Forked),
            LogUse::UpTo { size, root } => self.cut_record(key, size, root),
            LogUse::Whole | LogUse::NotHeld { .. } => self.whole(key).cloned().map(Record::Log),
        }
    }

    fn cut_record(&self, key: &Key, size: u64, root: Sha256) -> Option<Record> {
        let (checkpoint, proof) = match size {
            0 => (None, Vec::new()),
            _ => {
                let (checkpoint, proof) = self.proof_of_cut(key, size)?;
                (Some(checkpoint), proof)
            }
        };
        Some(Record::Cut {
            key: *key,
            size,
            root,
            checkpoint,
            proof,
        })
    }

    /// A signed checkpoint at or beyond the place where a cut ends a log that is held to there, and
    /// the proof from there to it.
    fn proof_of_cut(&self, key: &Key, size: u64) -> Option<(Checkpoint, Vec<Sha256>)> {
        let whole = self.whole(key).filter(|whole| whole.size >= size);
        if let Some(whole) = whole {
            let proof = self.tree(key)?.consistency_proof(size, whole.size)?;
            return Some((whole.clone(), proof));
        }
        let cut = self.logs.get(key)?.cut.as_ref();
        let cut = cut.filter(|cut| cut.mark.size == size)?;
        Some((cut.checkpoint.clone(), cut.proof.clone()))
    }

    /// Where a served range ends so that it fits a frame, and the proof from there.
    pub(in crate::core) fn serve_entries(
        &self,
        key: &Key,
        from: u64,
        to: u64,
        size: u64,
        root: &Sha256,
    ) -> Option<(u64, Vec<Sha256>)> {
        // What lies beyond a cut is not relayed.
        if let LogUse::UpTo { size: end, .. } = self.use_of(key)
            && to > end
        {
            return None;
        }
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
    pub(in crate::core) fn serve_proof(
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
}
