//! Yanks and quarantines that this node has shown, and that stay until their own key lifts them.
//!
//! Who steals a key of a handle or the registrar's can make a yank vanish from the view: by a cut
//! below it, by a fork, by dropping the key. A node that showed it goes on refusing the release,
//! until a person says otherwise. Suspensions are not among them: they are the registrar's own word,
//! and the root document that replaces a stolen registrar takes them back for everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::key::Key;
use skep_proto::log::entry::StatusState;
use skep_proto::name::{Name, Version};
use skep_proto::repo::fact::Fact;
use skep_proto::repo::sequence::{EntryRef, LogUse};
use skep_proto::repo::view::{Release, ReleaseState, View};

use super::Repository;
use crate::store::{Change, FactKind};

/// Most keys whose yank of one release is remembered: more than one handle has at a time.
const YANKERS_MAX: usize = 64;
/// Longest [`Restriction`] in bytes: each place takes at most 45.
const RESTRICTION_BYTES_MAX: usize = 45 * YANKERS_MAX + 8;

/// Of what kind, and of which release.
pub type RestrictionKey = (RestrictionKind, Name, Version);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RestrictionKind {
    Yanked,
    Quarantined,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The entries that said so; of a quarantine none.
    pub because: Vec<EntryRef>,
    /// The view no longer has it, and its own key did not say so.
    pub vanished: bool,
}

impl RestrictionKind {
    const ALL: [Self; 2] = [Self::Yanked, Self::Quarantined];

    fn as_str(self) -> &'static str {
        match self {
            Self::Yanked => "yanked",
            Self::Quarantined => "quarantined",
        }
    }
}

impl Restriction {
    /// CBOR `[[0*64 [key, index]], vanished]`: a fact of the store, under [`fact_key`].
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2).array(self.because.len());
        for at in &self.because {
            writer.array(2).bytes(at.key.as_bytes()).uint(at.index);
        }
        writer.bool(self.vanished);
        writer.finish()
    }

    pub fn from_bytes(input: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(input, RESTRICTION_BYTES_MAX)?;
        reader.array(2)?;
        let because = reader.items("entries", YANKERS_MAX, |reader| {
            reader.array(2)?;
            Ok(EntryRef {
                key: Key::read(reader)?,
                index: reader.uint()?,
            })
        })?;
        let vanished = reader.bool()?;
        reader.end()?;
        Ok(Self { because, vanished })
    }
}

/// `KIND+NAME@VERSION`.
fn fact_key((kind, name, version): &RestrictionKey) -> String {
    format!("{}+{name}@{version}", kind.as_str())
}

/// Reads what [`fact_key`] wrote.
pub fn restriction_key(key: &str) -> Option<RestrictionKey> {
    let (kind, release) = key.split_once('+')?;
    let (name, version) = release.split_once('@')?;
    let kind = RestrictionKind::ALL
        .into_iter()
        .find(|k| k.as_str() == kind)?;
    Some((kind, name.parse().ok()?, version.parse().ok()?))
}

impl Repository {
    /// Takes over what the view restricts, and lets go what its own key lifted.
    pub(super) fn refresh_restrictions(&mut self) -> Vec<Change> {
        let Some(view) = self.view.clone().filter(|_| self.pause().is_none()) else {
            return Vec::new();
        };
        let mut now = in_view(&view);
        let (mut changes, mut kept) = (Vec::new(), BTreeMap::new());
        for (key, before) in self.restrictions.iter() {
            if now.contains_key(key) {
                continue;
            }
            let (kind, name, version) = key;
            let lifted = match kind {
                RestrictionKind::Yanked => {
                    let mut because = before.because.iter();
                    because.all(|at| self.took_back(&view, at, name, version))
                }
                RestrictionKind::Quarantined => false,
            };
            if lifted {
                changes.push(self.forget_restriction(key));
            } else {
                kept.insert(key.clone(), before.clone());
            }
        }
        for restriction in kept.values_mut() {
            restriction.vanished = true;
        }
        now.extend(kept);
        for (key, restriction) in &now {
            if self.restrictions.get(key) != Some(restriction) {
                let value = restriction.to_bytes();
                changes.push(self.fact(FactKind::Restriction, fact_key(key), value));
            }
        }
        self.restrictions = Arc::new(now);
        changes
    }

    fn forget_restriction(&self, key: &RestrictionKey) -> Change {
        Change::ForgetFact {
            repo: self.id,
            kind: FactKind::Restriction,
            key: fact_key(key),
        }
    }

    /// Whether the key that yanked there says later, in what counts of its log, that it does not.
    fn took_back(&self, view: &View, at: &EntryRef, name: &Name, version: &Version) -> bool {
        let Some(log) = self.facts.get(&at.key) else {
            return false;
        };
        let counts = match view.logs.get(&at.key) {
            Some(LogUse::Whole) => self.whole(&at.key).map_or(0, |whole| whole.size),
            Some(LogUse::UpTo { size, .. }) => *size,
            Some(LogUse::NotHeld { .. } | LogUse::Forked) | None => 0,
        };
        let (from, to) = (usize::try_from(at.index), usize::try_from(counts));
        let (Ok(from), Ok(to)) = (from, to) else {
            return false;
        };
        let later = log.facts().get(from..to).unwrap_or_default();
        let said = later.iter().rev().find_map(|fact| match fact {
            Fact::Status {
                name: of,
                version: Some(at),
                state: StatusState::Yanked,
                on,
            } if of == name && at == version => Some(*on),
            _ => None,
        });
        said == Some(false)
    }

    /// A person accepted a release: what is said of it from now on is what the view says.
    pub(super) fn lift(&mut self, name: &Name, version: &Version) -> Vec<Change> {
        let of = |key: &RestrictionKey| (&key.1, &key.2) == (name, version);
        let vanished = self.restrictions.iter().filter(|(_, r)| r.vanished);
        let lifted: Vec<RestrictionKey> = vanished
            .map(|(key, _)| key)
            .filter(|key| of(key))
            .cloned()
            .collect();
        if !lifted.is_empty() {
            let restrictions = Arc::make_mut(&mut self.restrictions);
            restrictions.retain(|key, _| !lifted.contains(key));
        }
        lifted
            .iter()
            .map(|key| self.forget_restriction(key))
            .collect()
    }
}

fn in_view(view: &View) -> BTreeMap<RestrictionKey, Restriction> {
    let mut found = BTreeMap::new();
    for package in view.packages.values() {
        for (version, release) in &package.releases {
            for (kind, because) in of_release(release) {
                let key = (kind, package.name.clone(), version.clone());
                let vanished = false;
                found.insert(key, Restriction { because, vanished });
            }
        }
    }
    found
}

fn of_release(release: &Release) -> Vec<(RestrictionKind, Vec<EntryRef>)> {
    let mut found = Vec::new();
    if release.yanked.on {
        let because = release.yanked.because.iter().take(YANKERS_MAX).copied();
        found.push((RestrictionKind::Yanked, because.collect()));
    }
    if release.state == ReleaseState::Quarantined {
        found.push((RestrictionKind::Quarantined, Vec::new()));
    }
    found
}
