//! One repository as the core holds it: chain, logs, evidence, view, frontier trie.

mod frontier;
mod logs;
mod memory;
mod restrictions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::name::{Name, Version};
use skep_proto::repo::chain::{self, Chain};
use skep_proto::repo::fact::LogFacts;
use skep_proto::repo::root::{Pin, SignedRoot, Visibility};
use skep_proto::repo::view::View;
use skep_proto::sync::trie::Trie;
use skep_proto::sync::wire::{self, ROOTS_MAX};
use skep_proto::trust::file::RepoFile;

use super::Time;
use super::input::Holding;
use crate::snapshot::{LogPosition, RepoSnapshot};
use crate::store::{Change, FactKind};

pub use frontier::Basis;
use frontier::Last;
pub use logs::CutProof;
use logs::Log;
pub(super) use logs::{Contradiction, Standing, Target};
pub use restrictions::{Restriction, RestrictionKey, RestrictionKind, restriction_key};

/// What the store held of one repository when it was opened.
#[derive(Debug)]
pub struct Restored {
    pub repo: RepoId,
    pub roots: Vec<SignedRoot>,
    /// The latest document of the branch that was followed.
    pub followed: Option<Pin>,
    pub logs: BTreeMap<Key, RestoredLog>,
    /// Branches that cuts did not name.
    pub aside: BTreeMap<Key, RestoredLog>,
    pub cuts: BTreeMap<Key, CutProof>,
    /// What the last whole view was made of, while there is none.
    pub shown: Option<Basis>,
    pub evidence: BTreeMap<Key, ForkEvidence>,
    pub holdings: BTreeMap<Sha256, Holding>,
    pub admitted: BTreeMap<(Name, Version), Sha256>,
    pub restrictions: BTreeMap<RestrictionKey, Restriction>,
    /// Registrars whose log a peer was seen to hold.
    pub confirmed: BTreeSet<Key>,
}

#[derive(Debug, Default)]
pub struct RestoredLog {
    pub facts: LogFacts,
    pub whole: Option<Checkpoint>,
    pub ahead: Option<Checkpoint>,
}

pub(super) struct Repository {
    pub(super) id: RepoId,
    /// Alias and file; none while the repository is stored but no longer followed.
    pub(super) settings: Option<(Name, RepoFile)>,
    chain: Arc<Chain>,
    facts: BTreeMap<Key, LogFacts>,
    logs: BTreeMap<Key, Log>,
    /// The branch of a log that a cut did not name: kept, since the cut may be a thief's.
    aside: BTreeMap<Key, RestoredLog>,
    evidence: BTreeMap<Key, ForkEvidence>,
    /// None while the chain gives none.
    view: Option<Arc<View>>,
    /// The last view whose registrars' logs were one sequence.
    last: Option<Last>,
    /// It is what readers see, and the store knows.
    paused: bool,
    admitted_keys: BTreeSet<Key>,
    /// Keys that the trie was last made of.
    compared: BTreeSet<Key>,
    trie: Trie,
    holdings: Arc<BTreeMap<Sha256, Holding>>,
    offered: Arc<BTreeSet<Blake3>>,
    admitted: Arc<BTreeMap<(Name, Version), Sha256>>,
    restrictions: Arc<BTreeMap<RestrictionKey, Restriction>>,
    /// Registrars whose log a peer was seen to hold, in any run.
    ever_confirmed: BTreeSet<Key>,
    stale: bool,
    /// When the view was last computed.
    refreshed: Time,
}

impl Repository {
    pub(super) fn new(id: RepoId, settings: (Name, RepoFile)) -> Self {
        let mut repo = Self::restore(Restored::nothing(id));
        repo.settings = Some(settings);
        // Of a chain without documents nothing is followed yet: nothing to persist.
        drop(repo.repin());
        repo
    }

    pub(super) fn restore(restored: Restored) -> Self {
        let Restored {
            repo: id, followed, ..
        } = restored;
        let chain = Chain::resume(id, restored.roots, followed, None);
        let mut facts = BTreeMap::new();
        let mut logs = BTreeMap::new();
        let mut cuts = restored.cuts;
        for (key, mut log) in restored.logs {
            let whole = log.whole.as_ref().map_or(0, |whole| whole.size);
            log.facts.whole_up_to(whole);
            log.facts.shrink();
            facts.insert(key, log.facts);
            let log = Log {
                whole: log.whole,
                ahead: log.ahead,
                cut: cuts.remove(&key),
                ..Log::default()
            };
            logs.insert(key, log);
        }
        let mut aside = restored.aside;
        for log in aside.values_mut() {
            let whole = log.whole.as_ref().map_or(0, |whole| whole.size);
            log.facts.whole_up_to(whole);
        }
        let mut repo = Self {
            id,
            settings: None,
            chain: Arc::new(chain),
            facts,
            logs,
            aside,
            evidence: restored.evidence,
            view: None,
            last: None,
            paused: false,
            admitted_keys: BTreeSet::new(),
            compared: BTreeSet::new(),
            trie: Trie::new(),
            holdings: Arc::new(restored.holdings),
            offered: Arc::default(),
            admitted: Arc::new(restored.admitted),
            restrictions: Arc::new(restored.restrictions),
            ever_confirmed: restored.confirmed,
            stale: true,
            refreshed: Time::default(),
        };
        if let Some(basis) = restored.shown {
            repo.restore_last(basis);
        }
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
        wire::topic(&self.id)
    }

    // Root documents.

    fn pin(&self) -> Option<Pin> {
        let (_, file) = self.settings.as_ref()?;
        Some(Pin {
            version: file.root.version,
            sha256: file.root.sha256,
        })
    }

    /// The file of the repository may have changed: its pin, and what is offered. A pin on a document
    /// beside the chain is a person's word on which of two branches to follow.
    pub(super) fn repin(&mut self) -> Option<Change> {
        let (before, pin) = (self.chain.followed(), self.pin());
        if self.chain.pin() != pin {
            let documents = self.chain.documents().cloned().collect();
            let mut chain = Chain::resume(self.id, documents, before, pin);
            let beside = |pin: &Pin| chain.rivals().iter().any(|r| r.sha256 == pin.sha256);
            if let Some(pin) = pin.filter(beside) {
                // One that no chain leads to changes nothing.
                drop(chain.settle(pin));
            }
            self.chain = Arc::new(chain);
            self.stale = true;
        }
        self.refresh_offered();
        self.followed_since(before)
    }

    /// What to persist if another document than before is the latest that is followed.
    fn followed_since(&self, before: Option<Pin>) -> Option<Change> {
        let followed = self.chain.followed().filter(|pin| Some(*pin) != before)?;
        Some(self.fact(FactKind::Followed, "chain".to_owned(), pin_bytes(&followed)))
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
                // [`Self::refute`] names what is wrong with one that is not taken.
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
        changes.extend(self.followed_since(before));
        changes
    }

    /// Why one of these documents is of no chain of this repository, if one is not: a node keeps and
    /// passes on only what it has checked, so whoever sends such a document is to blame for it.
    pub(super) fn refute(&self, documents: &[SignedRoot]) -> Option<chain::Error> {
        let mut chain = Chain::clone(&self.chain);
        let mut accepted = documents.iter().map(|signed| chain.accept(signed.clone()));
        accepted.find_map(Result::err)
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

    pub(super) fn snapshot(&self) -> Arc<RepoSnapshot> {
        let positions = self.facts.iter().map(|(key, facts)| {
            let position = LogPosition {
                size: facts.len() as u64,
                whole: self.whole(key).cloned(),
                cut: self.logs.get(key).and_then(|log| log.cut.clone()),
                confirmed: self.logs.get(key).is_some_and(|log| log.confirmed),
                ever_confirmed: self.ever_confirmed.contains(key),
            };
            (*key, position)
        });
        Arc::new(RepoSnapshot {
            id: self.id,
            settings: self.settings.clone(),
            chain: Arc::clone(&self.chain),
            view: self.shown().cloned(),
            view_hash: self.view_hash(),
            paused: self.pause(),
            holdings: Arc::clone(&self.holdings),
            offered: Arc::clone(&self.offered),
            admitted: Arc::clone(&self.admitted),
            restrictions: Arc::clone(&self.restrictions),
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
            aside: BTreeMap::new(),
            cuts: BTreeMap::new(),
            shown: None,
            evidence: BTreeMap::new(),
            holdings: BTreeMap::new(),
            admitted: BTreeMap::new(),
            restrictions: BTreeMap::new(),
            confirmed: BTreeSet::new(),
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
