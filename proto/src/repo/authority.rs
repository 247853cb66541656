//! Authority: what the operations of the sequence have decided, one after the other.
//!
//! Each operation is judged once, at its position, from what stands before it. What a root document
//! says about operations (cuts of keys, overrides) applies from the entry on that its signers had
//! seen, so that neither a silent registrar nor a later document changes what was decided before.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::{Grant, Mark, Member, Role, RootNotice, Settle, Subject};
use crate::name::{Fold, Name, Version};
use crate::repo::chain::{Chain, Link};
use crate::repo::fact::{Fact, HandleFact, LogFacts, Operation};
use crate::repo::sequence::{Position, Sequence};

/// Why an operation has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("a handle of {keys} keys of which {publish} publish and {change} change it")]
    Thresholds {
        publish: u8,
        change: u8,
        keys: usize,
    },
    #[error("a cut at {size} where logs end at {max}")]
    BeyondLimit { size: u64, max: u64 },
    #[error("a handle that begins by dropping keys")]
    CreationDrops,
    #[error("a handle operation that its new key `{0}` has not signed")]
    NotSigned(Key),
    #[error("a handle operation with a false signature of `{0}`")]
    FalseSignature(Key),
    #[error("a handle operation with the key `{0}`, which another operation has listed before")]
    KeyTaken(Key),
    #[error("a handle with the label of an earlier one")]
    LabelTaken,
    #[error("a handle operation after one that is not the latest effective one of a handle")]
    NotLatest,
    #[error("a change of a handle's label")]
    LabelChanged,
    #[error("a change of keys that does not drop exactly the removed ones")]
    Drops,
    #[error(
        "a change signed by {signed} uncut keys of the handle where {threshold} must{}",
        false_signatures(.falsely_signed)
    )]
    TooFewSigned {
        signed: usize,
        threshold: u8,
        falsely_signed: Vec<Key>,
    },
    #[error("a grant to a handle that does not exist before it")]
    NoSuchHandle,
    #[error("a grant of names with a role that has none")]
    RoleWithNames,
    #[error("a cut of the key `{0}`, which no handle has listed before")]
    NeverListed(Key),
}

fn false_signatures(keys: &[Key]) -> String {
    keys.iter()
        .map(|key| format!(", with a false signature of `{key}`"))
        .collect()
}

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

    fn take(&mut self, operation: &Operation, at: Position, leaf: Sha256, speech: &Speech) {
        let outcome = match operation {
            Operation::Handle(handle) => self.take_handle(handle, at, leaf, speech),
            Operation::Grant(grant) => self.take_grant(grant, at),
            Operation::Cut(mark) => self.take_cut(*mark, at, speech.entries_per_log),
            Operation::Suspend { subject, on } => {
                self.suspended.insert(subject.clone(), (*on, at));
                Ok(Vec::new())
            }
            Operation::Settle(settle) => {
                self.take_settle(settle, leaf);
                Ok(Vec::new())
            }
            Operation::Member(member) => {
                self.members.insert(member.node, (member.clone(), at));
                Ok(Vec::new())
            }
        };
        self.judged.push(Judged {
            position: at,
            leaf,
            outcome: match outcome {
                Ok(ignored) => Outcome::Effective { ignored },
                Err(why) => Outcome::Ineffective(why),
            },
        });
    }

    fn take_handle(
        &mut self,
        operation: &HandleFact,
        at: Position,
        leaf: Sha256,
        speech: &Speech,
    ) -> Result<Vec<Name>, Why> {
        check_numbers(operation, speech.entries_per_log)?;
        let id = match operation.prev {
            None => self.create(operation)?,
            Some(prev) => self.change(operation, prev, at, leaf, speech)?,
        };
        for mark in &operation.drop {
            self.lower(*mark, at);
        }
        let m = operation.publish_threshold;
        let handle = self.handles.entry(id).or_insert_with(|| Handle {
            id,
            label: operation.label.clone(),
            publish_threshold: m,
            change_threshold: operation.change_threshold,
            keys: BTreeSet::new(),
            least: BTreeMap::new(),
            roles: BTreeSet::new(),
            latest: at,
        });
        handle.publish_threshold = m;
        handle.change_threshold = operation.change_threshold;
        handle.keys.clone_from(&operation.keys);
        handle.latest = at;
        for key in &operation.keys {
            let least = handle.least.entry(*key).or_insert(m);
            *least = m.min(*least);
            self.home.insert(*key, id);
        }
        self.tips.insert(operation.hash, id);
        Ok(Vec::new())
    }

    fn create(&mut self, operation: &HandleFact) -> Result<HandleId, Why> {
        if !operation.drop.is_empty() {
            return Err(Why::CreationDrops);
        }
        self.check_new(operation, operation.keys.iter())?;
        if !self.labels.insert(operation.label.fold()) {
            return Err(Why::LabelTaken);
        }
        Ok(HandleId::from_bytes(*operation.hash.as_bytes()))
    }

    fn change(
        &mut self,
        operation: &HandleFact,
        prev: Sha256,
        at: Position,
        leaf: Sha256,
        speech: &Speech,
    ) -> Result<HandleId, Why> {
        let id = *self.tips.get(&prev).ok_or(Why::NotLatest)?;
        let handle = self.handles.get(&id).ok_or(Why::NotLatest)?;
        if operation.label != handle.label {
            return Err(Why::LabelChanged);
        }
        self.check_new(operation, operation.keys.difference(&handle.keys))?;
        let removed: BTreeSet<Key> = handle.keys.difference(&operation.keys).copied().collect();
        let dropped: BTreeSet<Key> = operation.drop.iter().map(|mark| mark.key).collect();
        if removed != dropped {
            return Err(Why::Drops);
        }
        let uncut = |key: &&Key| !self.cuts.contains_key(key) && !speech.cuts(key, at);
        let signed = handle.keys.intersection(&operation.signed);
        let signed = signed.filter(uncut).count();
        if signed < usize::from(handle.change_threshold) && !speech.overrides(&leaf, at) {
            let falsely_signed = handle.keys.intersection(&operation.falsely_signed);
            return Err(Why::TooFewSigned {
                signed,
                threshold: handle.change_threshold,
                falsely_signed: falsely_signed.copied().collect(),
            });
        }
        self.tips.remove(&prev);
        Ok(id)
    }

    /// Every new key signed, and is new indeed.
    fn check_new<'a>(
        &self,
        operation: &HandleFact,
        new: impl Iterator<Item = &'a Key>,
    ) -> Result<(), Why> {
        for key in new {
            if operation.falsely_signed.contains(key) {
                return Err(Why::FalseSignature(*key));
            }
            if !operation.signed.contains(key) {
                return Err(Why::NotSigned(*key));
            }
            if self.home.contains_key(key) {
                return Err(Why::KeyTaken(*key));
            }
        }
        Ok(())
    }

    fn take_grant(&mut self, grant: &Grant, at: Position) -> Result<Vec<Name>, Why> {
        if grant.role != Role::Publisher && !grant.names.is_empty() {
            return Err(Why::RoleWithNames);
        }
        let handle = self.handles.get_mut(&grant.handle);
        handle.ok_or(Why::NoSuchHandle)?.roles.insert(grant.role);
        let mut ignored = Vec::new();
        for name in &grant.names {
            let owned = self.names.entry(name.fold()).or_insert_with(|| Owned {
                name: name.clone(),
                owner: grant.handle,
                granted: at,
            });
            if owned.owner != grant.handle || owned.name != *name {
                ignored.push(name.clone());
            }
        }
        Ok(ignored)
    }

    fn take_cut(&mut self, mark: Mark, at: Position, max: u64) -> Result<Vec<Name>, Why> {
        if !self.home.contains_key(&mark.key) {
            return Err(Why::NeverListed(mark.key));
        }
        check_size(mark.size, max)?;
        self.lower(mark, at);
        Ok(Vec::new())
    }

    fn take_settle(&mut self, settle: &Settle, leaf: Sha256) {
        let release = (settle.name.clone(), settle.version.clone());
        let said = self.settled.entry(release).or_default();
        said.push((leaf, settle.manifest));
    }

    /// The lowest cut wins, at equal size the first.
    fn lower(&mut self, mark: Mark, position: Position) {
        let cut = CutInForce { mark, position };
        let held = self.cuts.entry(mark.key).or_insert(cut);
        if mark.size < held.mark.size {
            *held = cut;
        }
    }
}

fn check_numbers(operation: &HandleFact, max: u64) -> Result<(), Why> {
    let (publish, change) = (operation.publish_threshold, operation.change_threshold);
    let keys = operation.keys.len();
    if publish > change || usize::from(change) > keys {
        return Err(Why::Thresholds {
            publish,
            change,
            keys,
        });
    }
    operation
        .drop
        .iter()
        .try_for_each(|mark| check_size(mark.size, max))
}

fn check_size(size: u64, max: u64) -> Result<(), Why> {
    if size > max {
        return Err(Why::BeyondLimit { size, max });
    }
    Ok(())
}

/// What root documents say about operations, and from where on.
struct Speech<'a> {
    /// Each document, with the position from which it speaks.
    documents: Vec<(Position, &'a Link)>,
    /// Of the first document, which all later ones repeat.
    entries_per_log: u64,
}

impl<'a> Speech<'a> {
    /// A document's `seen` counts in the log of the registrar that was live before it.
    fn of(links: &'a [Link]) -> Self {
        let live = |link: &Link| link.document.registrars.fixed.len();
        let before = [0].into_iter().chain(links.iter().map(live));
        let documents = links.iter().zip(before).map(|(link, registrar)| {
            let index = link.document.seen;
            (Position { registrar, index }, link)
        });
        Self {
            documents: documents.collect(),
            entries_per_log: links
                .first()
                .map_or(0, |link| link.document.limits.entries_per_log),
        }
    }

    fn at(&self, position: Position) -> impl Iterator<Item = &'a Link> {
        let speaking = self.documents.iter();
        speaking
            .filter(move |(from, _)| *from <= position)
            .map(|(_, link)| *link)
    }

    fn cuts(&self, key: &Key, at: Position) -> bool {
        self.at(at)
            .flat_map(|link| &link.document.cuts)
            .any(|cut| cut.mark.key == *key)
    }

    fn overrides(&self, leaf: &Sha256, at: Position) -> bool {
        self.at(at)
            .any(|link| link.document.overrides.contains(leaf))
    }
}
