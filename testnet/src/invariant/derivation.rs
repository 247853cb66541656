//! Every listed release has a derivation, from the root document to the entry that publishes it,
//! recomputed here from the bytes on the disk and not with the code of the view.

use std::collections::BTreeMap;

use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::Key;
use skep_proto::log::entry::{Body, Entry, Mark, Parsed, Role, parse};
use skep_proto::name::{Name, Version};
use skep_proto::repo::root::RootDocument;

use super::{Broken, ensure};
use crate::author::World;
use crate::disk::{Folder, LogFile};
use crate::host::Host;

const LAW: &str = "what is listed follows from what is durable";

/// After readers were shown something else.
pub fn what_is_listed_follows_from_the_disk(host: &mut Host, world: &World) -> Result<(), Broken> {
    let snapshot = std::sync::Arc::clone(&host.snapshot);
    for repo in snapshot.repos() {
        let Some(view) = &repo.view else {
            continue;
        };
        if host.checked.insert(repo.id, view.hash) == Some(view.hash) {
            continue;
        }
        let folder = host.disk.folder(&repo.id);
        let derived = Derived::of(&repo.id, &folder);
        for package in view.packages.values() {
            for (version, release) in &package.releases {
                let Some(manifest) = release.listed() else {
                    continue;
                };
                let follows = derived.allows(&folder, &package.name, version, &manifest);
                ensure(follows && world.repo(&repo.id).is_some(), LAW, || {
                    format!("{}@{version} does not", package.name)
                })?;
            }
        }
    }
    Ok(())
}

/// Who may publish what, by the registrar's log.
struct Derived {
    /// Every key that a handle ever listed.
    keys: BTreeMap<HandleId, Vec<Key>>,
    names: BTreeMap<Name, HandleId>,
    /// The lowest cut or drop of each key.
    cuts: BTreeMap<Key, u64>,
    /// Handles, by the hash of their latest operation.
    tips: BTreeMap<Sha256, HandleId>,
}

impl Derived {
    /// In runs here one signature is enough for everything.
    fn of(id: &RepoId, folder: &Folder) -> Self {
        let mut derived = Self {
            keys: BTreeMap::new(),
            names: BTreeMap::new(),
            cuts: BTreeMap::new(),
            tips: BTreeMap::new(),
        };
        // Runs here have no rival documents.
        let documents = folder.roots.values();
        let documents = documents.filter_map(|root| RootDocument::parse(&root.payload).ok());
        let Some(latest) = documents.max_by_key(|document| document.version) else {
            return derived;
        };
        let fixed = latest.registrars.fixed.iter();
        let fixed = fixed.map(|mark| (mark.key, at(mark.size)));
        for (key, size) in fixed.chain([(latest.registrars.live, usize::MAX)]) {
            let log = folder.logs.get(&key);
            for entry in log.iter().flat_map(|log| said(log).take(size)) {
                derived.take(id, entry.body);
            }
        }
        derived
    }

    fn take(&mut self, id: &RepoId, body: Body) {
        match body {
            Body::Handle(operation) => {
                let hash = operation.hash(id);
                let handle = match operation.prev {
                    None => Some(HandleId::from_bytes(*hash.as_bytes())),
                    Some(prev) => self.tips.remove(&prev),
                };
                let Some(handle) = handle else {
                    return;
                };
                self.tips.insert(hash, handle);
                self.keys.entry(handle).or_default().extend(operation.keys);
                for mark in operation.drop {
                    self.cut(mark);
                }
            }
            Body::Grant(grant) if grant.role == Role::Publisher => {
                for name in grant.names {
                    self.names.entry(name).or_insert(grant.handle);
                }
            }
            Body::Cut(cut) => self.cut(cut.mark),
            _ => {}
        }
    }

    fn cut(&mut self, mark: Mark) {
        let size = self.cuts.entry(mark.key).or_insert(mark.size);
        *size = mark.size.min(*size);
    }

    fn allows(&self, folder: &Folder, name: &Name, version: &Version, manifest: &Sha256) -> bool {
        let owner = self.names.get(name).and_then(|owner| self.keys.get(owner));
        let mut keys = owner.into_iter().flatten();
        keys.any(|key| {
            let cut = self.cuts.get(key);
            let counts = cut.is_some() || !folder.evidence.contains_key(key);
            let bound = cut.map_or(usize::MAX, |size| {
                usize::try_from(*size).unwrap_or(usize::MAX)
            });
            let log = folder.logs.get(key);
            let mut entries = log.iter().flat_map(|log| said(log).take(bound));
            counts && entries.any(|entry| publishes(&entry.body, name, version, manifest))
        })
    }
}

fn publishes(body: &Body, name: &Name, version: &Version, manifest: &Sha256) -> bool {
    matches!(body, Body::Publish(publish)
        if publish.name == *name
            && publish.version == *version
            && Sha256::of(&[&publish.payload]) == *manifest)
}

fn said(log: &LogFile) -> impl Iterator<Item = Entry> {
    log.entries.iter().filter_map(|entry| match parse(entry) {
        Parsed::Entry(entry) => Some(entry),
        Parsed::Unknown { .. } | Parsed::Void => None,
    })
}

fn at(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
