//! Authority: what the operations of the sequence have decided, one after the other.
//!
//! Each operation is judged once, at its position, from what stands before it. What a root document
//! says about operations (cuts of keys, overrides) applies from the entry on that its signers had
//! seen, so that neither a silent registrar nor a later document changes what was decided before.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::{Mark, Member, Role, RootNotice, Subject};
use crate::name::{Fold, Name, Version};
use crate::repo::chain::Chain;
use crate::repo::fact::{Fact, LogFacts};
use crate::repo::sequence::{Position, Sequence};

mod judge;
mod speech;
mod why;

use speech::Speech;
pub use why::Why;

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A grant may be effective without some of its names: they have other owners or spellings.
    Effective {
        ignored: Vec<Name>,
    },
    Ineffective(Why),
}

/// An operation and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub position: Position,
    pub leaf: Sha256,
    pub outcome: Outcome,
}

/// A contributor as its latest effective operation describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle {
    pub id: HandleId,
    pub label: Name,
    /// How many keys publish.
    pub publish_threshold: u8,
    /// How many keys change the handle.
    pub change_threshold: u8,
    /// The current ones.
    pub keys: BTreeSet<Key>,
    /// Every key that was ever listed, with the smallest publish threshold beside which it was.
    pub least: BTreeMap<Key, u8>,
    pub roles: BTreeSet<Role>,
    /// Where its latest operation stands, which also has its receiving keys and what it is about.
    pub latest: Position,
}

/// Who owns a name, in which spelling. For ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub name: Name,
    pub owner: HandleId,
    pub granted: Position,
}

/// A cut or drop in force, and where it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutInForce {
    pub mark: Mark,
    pub position: Position,
}

/// What the sequence has decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    pub sequence: Sequence,
    /// Every operation in order, effective or not.
    pub judged: Vec<Judged>,
    pub handles: BTreeMap<HandleId, Handle>,
    pub names: BTreeMap<Fold, Owned>,
    /// Of registrars' cuts and drops the lowest for each key, at equal size the first. A root cut
    /// goes before them.
    pub cuts: BTreeMap<Key, CutInForce>,
    /// The last word on each subject, and where it was said.
    pub suspended: BTreeMap<Subject, (bool, Position)>,
    /// The last word on each node.
    pub members: BTreeMap<Key, (Member, Position)>,
    /// Which root document the live registrar last said it knows.
    pub notice: Option<RootNotice>,
    settled: BTreeMap<(Name, Version), Vec<(Sha256, Sha256)>>,
    overrides: Vec<Sha256>,
    home: BTreeMap<Key, HandleId>,
    tips: BTreeMap<Sha256, HandleId>,
    labels: BTreeSet<Fold>,
}

impl Authority {
    /// From the documents of `chain`, the registrars' logs and fork evidence.
    pub fn of(chain: &Chain, logs: &BTreeMap<Key, LogFacts>, evidence: &BTreeSet<Key>) -> Self {
        let sequence = Sequence::of(chain, logs, evidence);
        let links = chain.links();
        let overrides = links.iter().flat_map(|link| &link.document.overrides);
        let mut authority = Self {
            overrides: overrides.rev().copied().collect(),
            ..Self::default()
        };
        let speech = Speech::of(links);
        for (position, fact, leaf) in sequence.entries(logs) {
            match fact {
                Fact::Operation(operation) => authority.take(operation, position, leaf, &speech),
                Fact::Root(notice) if position.registrar + 1 == sequence.registrars.len() => {
                    authority.notice = Some(*notice);
                }
                _ => {}
            }
        }
        authority.sequence = sequence;
        authority
    }

    /// The handle that has ever listed `key`.
    pub fn handle_of(&self, key: &Key) -> Option<&Handle> {
        self.handles.get(self.home.get(key)?)
    }

    /// Who owns exactly this spelling.
    pub fn owner_of(&self, name: &Name) -> Option<HandleId> {
        let owned = self.names.get(&name.fold())?;
        (owned.name == *name).then_some(owned.owner)
    }

    /// The keys whose logs are stored, relayed and compared: registrars, and every key that an
    /// effective operation listed.
    pub fn admitted(&self) -> BTreeSet<Key> {
        let registrars = self.sequence.registrars.iter().map(|(key, _)| *key);
        registrars.chain(self.home.keys().copied()).collect()
    }

    /// Which manifest a release was settled on: by the first operation, or the one that the latest
    /// override names, wherever it stands.
    pub fn settled(&self, name: &Name, version: &Version) -> Option<Sha256> {
        let said = self.settled.get(&(name.clone(), version.clone()))?;
        let rank = |leaf: &Sha256| self.overrides.iter().position(|named| named == leaf);
        let overridden = said
            .iter()
            .filter_map(|(leaf, manifest)| Some((rank(leaf)?, manifest)))
            .min();
        let first = said.first().map(|(_, manifest)| manifest);
        overridden.map(|(_, manifest)| manifest).or(first).copied()
    }

    pub fn is_suspended(&self, subject: &Subject) -> bool {
        self.suspended.get(subject).is_some_and(|(on, _)| *on)
    }
}
