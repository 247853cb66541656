//! What contributors say that counts: sorted by what it is about, judged by who may say it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Note, NoteKind, Usable};
use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::{Role, StatusState, Subject};
use crate::name::{Fold, Name, Version};
use crate::repo::authority::{Authority, Handle};
use crate::repo::fact::Fact;
use crate::repo::sequence::EntryRef;

type ReleaseKey<'a> = (&'a Name, &'a Version);
type StatusKey<'a> = (&'a Name, Option<&'a Version>, StatusState);
/// A manifest that a key of the owner published, and where.
pub(super) struct Published<'a> {
    name: &'a Name,
    pub(super) version: &'a Version,
    pub(super) key: Key,
    pub(super) manifest: Sha256,
    pub(super) index: u64,
}

/// By manifest and approver: which keys, and where.
type Approved = BTreeMap<Sha256, BTreeMap<HandleId, BTreeMap<Key, u64>>>;

#[derive(Default)]
pub(super) struct Said<'a> {
    /// The first of each key for each release, sorted by name, version and key: a list, since of
    /// most releases there is one, and a tree of trees takes a kilobyte for it.
    published: Vec<Published<'a>>,
    /// Where a key published another manifest after its first.
    pub(super) repeated: BTreeMap<ReleaseKey<'a>, Vec<EntryRef>>,
    pub(super) approved: BTreeMap<ReleaseKey<'a>, Approved>,
    /// By key of the owner: the last word, and where.
    pub(super) statuses: BTreeMap<StatusKey<'a>, BTreeMap<Key, (bool, u64)>>,
    /// The last by key and name.
    reviews: BTreeMap<(Key, &'a Name), (Fold, Note)>,
    /// The last by key and id.
    advisories: BTreeMap<(Key, &'a str), (Fold, Note)>,
    /// By subject, then key and leaf.
    attestations: BTreeMap<Sha256, BTreeMap<(Key, Sha256), Note>>,
}

impl<'a> Said<'a> {
    pub(super) fn of(authority: &Authority, usable: &Usable<'a>) -> Self {
        let mut said = Self::default();
        for handle in authority.handles.values() {
            let hears = Hears {
                handle,
                authority,
                suspended: authority.is_suspended(&Subject::Handle(handle.id)),
            };
            for key in handle.least.keys() {
                for (at, fact, leaf) in usable.of_key(key) {
                    said.hear(&hears, at, fact, leaf);
                }
            }
        }
        said.keep_first();
        said
    }

    /// What the owner of a name published under it, sorted by version and key.
    pub(super) fn published(&self, name: &Name) -> &[Published<'a>] {
        let from = self.published.partition_point(|it| it.name < name);
        let to = self.published.partition_point(|it| it.name <= name);
        &self.published[from..to]
    }

    /// Reviews and advisories by name.
    pub(super) fn notes(&self) -> BTreeMap<Fold, Vec<Note>> {
        let mut notes: BTreeMap<Fold, Vec<Note>> = BTreeMap::new();
        for (fold, note) in self.reviews.values().chain(self.advisories.values()) {
            notes.entry(fold.clone()).or_default().push(note.clone());
        }
        notes
    }

    /// By subject; the same entry twice in a log is one.
    pub(super) fn attestations(&self) -> BTreeMap<Sha256, Vec<Note>> {
        let subjects = self.attestations.iter();
        let notes = subjects.map(|(subject, notes)| (*subject, notes.values().cloned().collect()));
        notes.collect()
    }

    fn hear(&mut self, by: &Hears<'_>, at: EntryRef, fact: &'a Fact, leaf: Sha256) {
        match fact {
            Fact::Publish {
                name,
                version,
                manifest,
            } if by.owns(name) => self.published.push(Published {
                name,
                version,
                key: at.key,
                manifest: *manifest,
                index: at.index,
            }),
            Fact::Approve {
                name,
                version,
                manifest,
            } if by.approves(name) => {
                let release = self.approved.entry((name, version)).or_default();
                let approvers = release.entry(*manifest).or_default();
                let keys = approvers.entry(by.handle.id).or_default();
                keys.entry(at.key).or_insert(at.index);
            }
            Fact::Status {
                name,
                version,
                state,
                on,
            } if by.owns(name) => {
                let words = self.statuses.entry((name, version.as_ref(), *state));
                words.or_default().insert(at.key, (*on, at.index));
            }
            Fact::Review { name } if by.has(Role::Reviewer) && by.hears_of_others(name) => {
                let note = Note::of(at, leaf, NoteKind::Review);
                self.reviews.insert((at.key, name), (name.fold(), note));
            }
            Fact::Attest { subject } if by.has(Role::Attester) => {
                self.attest(*subject, Note::of(at, leaf, NoteKind::Attestation));
            }
            Fact::Advisory { id, name } if by.has(Role::Advisor) && by.owner(name).is_some() => {
                let note = Note::of(at, leaf, NoteKind::Advisory);
                self.advisories.insert((at.key, id), (name.fold(), note));
            }
            _ => {}
        }
    }

    /// Of what a key published under one version the first counts.
    fn keep_first(&mut self) {
        // Stable: what a key published first stands first.
        let release = |it: &Published<'a>| (it.name, it.version, it.key);
        self.published.sort_by_key(release);
        let repeated = &mut self.repeated;
        self.published.dedup_by(|later, first| {
            let again = release(later) == release(first);
            if again && later.manifest != first.manifest {
                let (key, index) = (later.key, later.index);
                let of_release = repeated.entry((first.name, first.version)).or_default();
                of_release.push(EntryRef { key, index });
            }
            again
        });
    }

    fn attest(&mut self, subject: Sha256, note: Note) {
        let notes = self.attestations.entry(subject).or_default();
        notes.entry((note.at.key, note.leaf)).or_insert(note);
    }
}

impl Note {
    fn of(at: EntryRef, leaf: Sha256, kind: NoteKind) -> Self {
        Self { at, leaf, kind }
    }

    /// What stands for it in a record.
    pub(super) fn hash(&self) -> Sha256 {
        Sha256::of(&[self.at.key.as_bytes(), self.leaf.as_bytes()])
    }

    /// What stands for each of several, sorted, each once.
    pub(super) fn hashes(notes: &[Self]) -> BTreeSet<Sha256> {
        notes.iter().map(Self::hash).collect()
    }
}

/// Who is speaking.
struct Hears<'a> {
    handle: &'a Handle,
    authority: &'a Authority,
    suspended: bool,
}

impl Hears<'_> {
    fn has(&self, role: Role) -> bool {
        self.handle.roles.contains(&role)
    }

    fn owner(&self, name: &Name) -> Option<HandleId> {
        self.authority.owner_of(name)
    }

    fn owns(&self, name: &Name) -> bool {
        self.owner(name) == Some(self.handle.id)
    }

    fn hears_of_others(&self, name: &Name) -> bool {
        self.owner(name)
            .is_some_and(|owner| owner != self.handle.id)
    }

    fn approves(&self, name: &Name) -> bool {
        self.has(Role::Approver) && !self.suspended && self.hears_of_others(name)
    }
}
