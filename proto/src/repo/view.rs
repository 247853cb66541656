//! The view: what root documents, entries and fork evidence say, the same on every node.
//!
//! A pure function, computed anew whenever something changes; no clock, no order of arrival and
//! nothing local takes part. What a person believes of it is another matter ([`crate::trust`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::Subject;
use crate::name::{Fold, Name, Version};
use crate::repo::authority::{Authority, Handle};
use crate::repo::chain::Chain;
use crate::repo::fact::{Fact, LogFacts};
use crate::repo::sequence::{EntryRef, LogUse, log_use, root_cuts};
use crate::sorted::Sorted;

mod record;
mod release;
mod said;

use record::view_hash;
use release::Judge;
use said::Said;

/// Everything that readers ask of a repository. Texts and payloads are in the store, at the places
/// that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Handles, names, members, and what became of each operation.
    pub authority: Authority,
    /// How the log of every key that a handle ever listed is used.
    pub logs: BTreeMap<Key, LogUse>,
    /// One for each owned name, also without releases.
    pub packages: BTreeMap<Fold, Package>,
    /// Visible reviews and advisories of each name.
    pub notes: BTreeMap<Fold, Vec<Note>>,
    /// Visible attestations about each subject.
    pub attestations: BTreeMap<Sha256, Vec<Note>>,
    /// Entries that count and are void.
    pub void: u64,
    /// Entries that count and need a newer program.
    pub unknown: u64,
    /// Equal on two nodes that say the same.
    pub hash: Sha256,
}

/// A name and what its owner published under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: Name,
    pub owner: HandleId,
    /// The name's own flag; its owner's is apart.
    pub suspended: Flag,
    pub deprecated: Flag,
    pub releases: Sorted<Version, Release>,
}

/// One version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub state: ReleaseState,
    /// The manifests that enough of the owner's keys published and enough approvers approved,
    /// sorted.
    pub eligible: Vec<Sha256>,
    /// Every manifest that a key of the owner published, eligible or not.
    pub claims: Sorted<Sha256, Claim>,
    /// Where a key published another manifest after its first, which alone counts.
    pub repeated: Vec<EntryRef>,
    pub yanked: Flag,
    pub deprecated: Flag,
    /// The version's own flag; its package's and its owner's are apart.
    pub suspended: Flag,
}

/// What may be done with a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseState {
    Pending(Pending),
    /// This manifest may be used.
    Listed(Sha256),
    /// Two or more manifests are eligible, and none is settled.
    Quarantined,
}

/// What a pending release waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// More keys of the owner publish the same manifest.
    Keys { published: usize, needed: usize },
    /// More approver handles approve it.
    Approvals { approved: usize, needed: usize },
    /// It was settled on this manifest, which is not eligible.
    Settled(Sha256),
}

/// One manifest that somebody of the owner's published under a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The keys that published it, and where: any of these entries has the payload.
    pub published: Sorted<Key, u64>,
    /// The approver handles that approve it, and where each of their keys does; also those of which
    /// too few keys do.
    pub approved: Sorted<HandleId, Sorted<Key, u64>>,
}

/// Something that is said, or not, and where the words for it are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flag {
    pub on: bool,
    /// The entries that say so; empty when it is off.
    pub because: Vec<EntryRef>,
}

/// A visible review, advisory or attestation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub at: EntryRef,
    pub leaf: Sha256,
    pub kind: NoteKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    Review,
    Advisory,
    Attestation,
}

impl View {
    /// The view of a repository, from its chain, the committed entries of each key and the keys
    /// with a proven fork. `None` where the chain gives no view. Entries of keys that nobody
    /// admitted are ignored.
    pub fn compute(
        chain: &Chain,
        logs: &BTreeMap<Key, LogFacts>,
        evidence: &BTreeSet<Key>,
    ) -> Option<Self> {
        let latest = chain.latest().filter(|_| chain.gives_view())?;
        let authority = Authority::of(chain, logs, evidence);
        let usable = Usable::of(chain, &authority, logs, evidence);
        let said = Said::of(&authority, &usable);
        let judge = Judge {
            authority: &authority,
            said: &said,
            approvals: usize::from(latest.document.approvals),
        };
        let packages = authority.names.iter();
        let packages = packages
            .filter_map(|(fold, owned)| Some((fold.clone(), judge.package(owned)?)))
            .collect();
        let (void, unknown) = counts(&authority, &usable, logs);
        let mut view = Self {
            packages,
            notes: said.notes(),
            attestations: said.attestations(),
            logs: usable.uses(),
            void,
            unknown,
            authority,
            hash: Sha256::from_bytes([0; 32]),
        };
        view.hash = view_hash(&view);
        Some(view)
    }

    /// The package of exactly this spelling.
    pub fn package(&self, name: &Name) -> Option<&Package> {
        let package = self.packages.get(&name.fold());
        package.filter(|package| package.name == *name)
    }

    pub fn handle(&self, id: &HandleId) -> Option<&Handle> {
        self.authority.handles.get(id)
    }

    pub fn is_handle_suspended(&self, id: HandleId) -> bool {
        self.authority.is_suspended(&Subject::Handle(id))
    }

    /// The records from which [`View::hash`] follows: deterministic CBOR of each key and value.
    pub fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        record::records(self).collect()
    }
}

impl Release {
    /// The manifest that may be used.
    pub fn listed(&self) -> Option<Sha256> {
        match self.state {
            ReleaseState::Listed(manifest) => Some(manifest),
            _ => None,
        }
    }
}

/// The entries of handles' keys that count.
struct Usable<'a>(BTreeMap<Key, (LogUse, &'a [Fact], &'a [Sha256])>);

impl<'a> Usable<'a> {
    /// A root cut bounds a key's log, else the lowest cut or drop that registrars said.
    fn of(
        chain: &Chain,
        authority: &Authority,
        logs: &'a BTreeMap<Key, LogFacts>,
        evidence: &BTreeSet<Key>,
    ) -> Self {
        let root_cuts = root_cuts(chain.links());
        let limits = chain.links().first().map(|link| link.document.limits);
        let limits = limits.unwrap_or_default();
        let keys = authority.handles.values().flat_map(|h| h.least.keys());
        let usable = keys.map(|key| {
            let cut = authority.cuts.get(key).map(|cut| &cut.mark);
            let bound = root_cuts.get(key).or(cut);
            let forked = evidence.contains(key);
            let (facts, leaves, used) = match logs.get(key) {
                None => {
                    let used = log_use(&LogFacts::new(), 0, bound, forked);
                    (&[][..], &[][..], used)
                }
                Some(log) => {
                    let held = log.within(limits.entries_per_log, limits.bytes_per_log);
                    let used = log_use(log, held, bound, forked);
                    let counts = used.of(log, held);
                    let (facts, leaves) = (log.facts(), log.leaves());
                    (&facts[..counts], &leaves[..counts], used)
                }
            };
            (*key, (used, facts, leaves))
        });
        Self(usable.collect())
    }

    fn uses(&self) -> BTreeMap<Key, LogUse> {
        let uses = self.0.iter().map(|(key, (used, ..))| (*key, *used));
        uses.collect()
    }

    /// What a key says, with the place and the leaf of each entry.
    fn of_key(&self, key: &Key) -> impl Iterator<Item = (EntryRef, &'a Fact, Sha256)> {
        let (key, usable) = (*key, self.0.get(key));
        let entries = usable.map(|(_, facts, leaves)| facts.iter().zip(*leaves).zip(0..));
        entries
            .into_iter()
            .flatten()
            .map(move |((fact, leaf), index)| (EntryRef { key, index }, fact, *leaf))
    }
}

/// How many entries that count are void, and how many of unknown kinds. A key that is registrar and
/// handle key is counted once.
fn counts(
    authority: &Authority,
    usable: &Usable<'_>,
    logs: &BTreeMap<Key, LogFacts>,
) -> (u64, u64) {
    let (mut void, mut unknown) = (0, 0);
    let mut count = |fact: &Fact| match fact {
        Fact::Void => void += 1,
        Fact::Unknown { .. } => unknown += 1,
        _ => {}
    };
    let sequence = &authority.sequence;
    for (position, fact, _) in sequence.entries(logs) {
        let key = sequence.entry_ref(position).map(|at| at.key);
        if key.is_none_or(|key| !usable.0.contains_key(&key)) {
            count(fact);
        }
    }
    for (_, facts, _) in usable.0.values() {
        facts.iter().for_each(&mut count);
    }
    (void, unknown)
}
