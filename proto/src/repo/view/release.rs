//! Which releases there are, in which state, and why.

use std::collections::BTreeMap;

use super::said::{Published, Said};
use super::{Claim, Flag, Package, Pending, Release, ReleaseState};
use crate::hash::Sha256;
use crate::id::HandleId;
use crate::key::Key;
use crate::log::entry::{StatusState, Subject};
use crate::name::{Name, Version};
use crate::repo::authority::{Authority, Handle, Owned};
use crate::repo::sequence::EntryRef;
use crate::sorted::Sorted;

/// Everything from which the state of a release follows.
pub(super) struct Judge<'a> {
    pub(super) authority: &'a Authority,
    pub(super) said: &'a Said<'a>,
    pub(super) approvals: usize,
}

impl Judge<'_> {
    /// `None` never happens: names are granted to handles that exist.
    pub(super) fn package(&self, owned: &Owned) -> Option<Package> {
        let owner = self.authority.handles.get(&owned.owner)?;
        let name = &owned.name;
        let published = self.said.published(name);
        let versions = published.chunk_by(|a, b| a.version == b.version);
        let releases = versions.filter_map(|published| {
            let version = published.first()?.version;
            Some((
                version.clone(),
                self.release(owner, name, version, published),
            ))
        });
        Some(Package {
            name: name.clone(),
            owner: owner.id,
            suspended: self.suspended(&Subject::Package(name.clone())),
            deprecated: self.status(owner, name, None, StatusState::Deprecated),
            releases: releases.collect(),
        })
    }

    fn release(
        &self,
        owner: &Handle,
        name: &Name,
        version: &Version,
        published: &[Published<'_>],
    ) -> Release {
        let claims = self.claims(name, version, published);
        let eligible: Vec<Sha256> = claims
            .iter()
            .filter(|(_, claim)| self.lacks(owner, claim).is_none())
            .map(|(manifest, _)| *manifest)
            .collect();
        let settled = self.authority.settled(name, version);
        let state = match (eligible.as_slice(), settled) {
            ([], _) => ReleaseState::Pending(self.why_pending(owner, &claims)),
            (eligible, Some(settled)) if eligible.contains(&settled) => {
                ReleaseState::Listed(settled)
            }
            (_, Some(settled)) => ReleaseState::Pending(Pending::Settled(settled)),
            ([only], None) => ReleaseState::Listed(*only),
            (_, None) => ReleaseState::Quarantined,
        };
        let repeated = self.said.repeated.get(&(name, version));
        Release {
            state,
            eligible,
            claims,
            repeated: repeated.cloned().unwrap_or_default(),
            yanked: self.status(owner, name, Some(version), StatusState::Yanked),
            deprecated: self.status(owner, name, Some(version), StatusState::Deprecated),
            suspended: self.suspended(&Subject::Release(name.clone(), version.clone())),
        }
    }

    fn claims(
        &self,
        name: &Name,
        version: &Version,
        published: &[Published<'_>],
    ) -> Sorted<Sha256, Claim> {
        let mut by_manifest: BTreeMap<Sha256, Vec<(Key, u64)>> = BTreeMap::new();
        for it in published {
            let of_manifest = by_manifest.entry(it.manifest).or_default();
            of_manifest.push((it.key, it.index));
        }
        let approved = self.said.approved.get(&(name, version));
        let claims = by_manifest.into_iter().map(|(manifest, published)| {
            let handles = approved.and_then(|approved| approved.get(&manifest));
            let handles = handles.into_iter().flatten();
            let claim = Claim {
                published: published.into_iter().collect(),
                approved: handles
                    .map(|(id, keys)| (*id, keys.iter().map(|(key, at)| (*key, *at)).collect()))
                    .collect(),
            };
            (manifest, claim)
        });
        claims.collect()
    }

    /// What a claim lacks to be eligible.
    fn lacks(&self, owner: &Handle, claim: &Claim) -> Option<Pending> {
        let (published, needed) = (claim.published.len(), needed(owner, &claim.published));
        if published < needed {
            return Some(Pending::Keys { published, needed });
        }
        let (approved, needed) = (self.approvers(claim).count(), self.approvals);
        (approved < needed).then_some(Pending::Approvals { approved, needed })
    }

    /// The approver handles of which enough keys approve a claim.
    fn approvers<'c>(&self, claim: &'c Claim) -> impl Iterator<Item = HandleId> + use<'c, '_> {
        let approved = claim.approved.iter();
        let enough = |(id, keys): &(&HandleId, &Sorted<Key, u64>)| {
            let handle = self.authority.handles.get(id);
            handle.is_some_and(|handle| keys.len() >= needed(handle, keys))
        };
        approved.filter(enough).map(|(id, _)| *id)
    }

    /// Of claims that all lack something: what the furthest one lacks.
    fn why_pending(&self, owner: &Handle, claims: &Sorted<Sha256, Claim>) -> Pending {
        let progress = |pending: &Pending| match *pending {
            Pending::Keys { published, .. } => (0, published),
            Pending::Approvals { approved, .. } => (1, approved),
            Pending::Settled(_) => (2, 0),
        };
        let lacking = claims.values().filter_map(|claim| self.lacks(owner, claim));
        lacking.max_by_key(progress).unwrap_or(Pending::Keys {
            published: 0,
            needed: usize::from(owner.publish_threshold),
        })
    }

    fn suspended(&self, subject: &Subject) -> Flag {
        match self.authority.suspended.get(subject) {
            Some((true, position)) => Flag {
                on: true,
                because: self
                    .authority
                    .sequence
                    .entry_ref(*position)
                    .into_iter()
                    .collect(),
            },
            _ => Flag::default(),
        }
    }

    /// On if a current key says on; what only removed keys say yields to as many current ones that
    /// say off as change the handle.
    fn status(
        &self,
        owner: &Handle,
        name: &Name,
        version: Option<&Version>,
        state: StatusState,
    ) -> Flag {
        let Some(words) = self.said.statuses.get(&(name, version, state)) else {
            return Flag::default();
        };
        let current = |key: &Key| owner.keys.contains(key);
        let because: Vec<EntryRef> = words
            .iter()
            .filter(|(_, (on, _))| *on)
            .map(|(key, (_, index))| EntryRef {
                key: *key,
                index: *index,
            })
            .collect();
        let off = words.iter().filter(|(key, (on, _))| !on && current(key));
        let yields = off.count() >= usize::from(owner.change_threshold);
        if because.is_empty() || (yields && !because.iter().any(|at| current(&at.key))) {
            return Flag::default();
        }
        Flag { on: true, because }
    }
}

/// How many keys of `handle` must say the same: as many as publish, and not fewer than published
/// when the least bound of `keys` was listed. So what one stolen key of two said alone does not
/// come to count when the key is dropped and the threshold lowered.
fn needed(handle: &Handle, keys: &Sorted<Key, u64>) -> usize {
    let least = keys.keys().filter_map(|key| handle.least.get(key)).min();
    let least = least.copied().unwrap_or(0);
    usize::from(least.max(handle.publish_threshold))
}
