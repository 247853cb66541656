//! Judges operations, each at its position, from what stands before it.

use std::collections::{BTreeMap, BTreeSet};

use super::speech::Speech;
use super::{Authority, CutInForce, Handle, Judged, Outcome, Owned, Why};
use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::{Grant, Mark, Role, Settle};
use crate::name::Name;
use crate::repo::fact::{HandleFact, Operation};
use crate::repo::sequence::Position;

impl Authority {
    pub(super) fn take(
        &mut self,
        operation: &Operation,
        at: Position,
        leaf: Sha256,
        speech: &Speech,
    ) {
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
