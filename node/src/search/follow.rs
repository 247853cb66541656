//! What the index is made of: the release that stands for each package, read from its log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_proto::control::BlobRef;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::log::entry::{Body, Parsed, parse};
use skep_proto::name::{Name, Requirement, Version};
use skep_proto::package::manifest::{Facts, FileKind, Manifest};
use skep_proto::search::Document;
use skep_proto::trust::Asked;

use super::index::{Entry, INDEX_BYTES_MAX, Index};
use crate::release;
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;

/// The index, and what it was made of.
pub(super) struct State {
    pub(super) index: Index,
    seen: BTreeMap<RepoId, Seen>,
}

/// What of a repository is in the index.
struct Seen {
    repo: Arc<RepoSnapshot>,
    /// Packages for which there was no room.
    left_out: usize,
    /// Packages whose facts stand in a file that was not here: it may come.
    without_facts: BTreeSet<Name>,
}

impl Seen {
    /// Whether nothing that the index was made of has changed.
    fn is_same(&self, now: &Arc<RepoSnapshot>) -> bool {
        let seen = &self.repo;
        let view = |repo: &RepoSnapshot| repo.view.as_ref().map(Arc::as_ptr);
        Arc::ptr_eq(seen, now)
            || (view(seen) == view(now)
                && Arc::ptr_eq(&seen.chain, &now.chain)
                && Arc::ptr_eq(&seen.admitted, &now.admitted)
                && Arc::ptr_eq(&seen.restrictions, &now.restrictions)
                && (self.without_facts.is_empty() || Arc::ptr_eq(&seen.holdings, &now.holdings))
                && seen.paused == now.paused
                && seen.settings == now.settings)
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            index: Index::new(INDEX_BYTES_MAX),
            seen: BTreeMap::new(),
        }
    }

    /// Whether the index says what a snapshot says.
    pub(super) fn is_current(&self, snapshot: &Snapshot) -> bool {
        let mut count = 0;
        let mut repos = snapshot.repos().inspect(|_| count += 1);
        let same = repos.all(|repo| self.seen.get(&repo.id).is_some_and(|it| it.is_same(repo)));
        same && count == self.seen.len()
    }

    pub(super) fn left_out(&self) -> usize {
        self.seen.values().map(|seen| seen.left_out).sum()
    }

    /// Brings the index to what a snapshot says; a repository at which it is told to stop is begun
    /// again the next time.
    pub(super) fn follow(
        &mut self,
        snapshot: &Snapshot,
        store: &dyn Store,
        stopping: &dyn Fn() -> bool,
    ) {
        let followed: BTreeMap<RepoId, &Arc<RepoSnapshot>> =
            snapshot.repos().map(|repo| (repo.id, repo)).collect();
        let seen = self.seen.keys();
        let gone: Vec<RepoId> = seen
            .filter(|id| !followed.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.keep_only(&id, &BTreeMap::new());
            self.seen.remove(&id);
        }
        for (id, repo) in followed {
            if !self.seen.get(&id).is_some_and(|seen| seen.is_same(repo)) {
                let Some(seen) = self.follow_repo(repo, store, stopping) else {
                    return;
                };
                self.seen.insert(id, seen);
                self.index.shrink();
            }
        }
    }

    fn follow_repo(
        &mut self,
        repo: &Arc<RepoSnapshot>,
        store: &dyn Store,
        stopping: &dyn Fn() -> bool,
    ) -> Option<Seen> {
        let wanted = representatives(repo);
        self.keep_only(&repo.id, &wanted);
        let before = self.seen.remove(&repo.id);
        let had_no_facts = before.map(|seen| seen.without_facts).unwrap_or_default();
        let mut seen = Seen {
            repo: Arc::clone(repo),
            left_out: 0,
            without_facts: BTreeSet::new(),
        };
        for (name, shown) in wanted {
            if stopping() {
                return None;
            }
            let trusted = shown.is_trusted(repo, &name);
            let is_same = self
                .index
                .has(&repo.id, &name, &shown.version, &shown.manifest);
            if is_same && !had_no_facts.contains(&name) {
                self.index.mark(&repo.id, &name, trusted, shown.deprecated);
                continue;
            }
            let Some(read) = shown.read(repo, &name, store) else {
                self.index.remove(&repo.id, &name);
                continue;
            };
            if !read.has_facts {
                seen.without_facts.insert(name);
            }
            let entry = Entry {
                repo: repo.id,
                manifest: shown.manifest,
                document: read.document,
                published_at: read.published_at,
                deprecated: shown.deprecated,
                trusted,
            };
            if self.index.insert(entry).is_err() {
                seen.left_out += 1;
            }
        }
        Some(seen)
    }

    /// Takes out what of a repository is not wanted any more.
    fn keep_only(&mut self, repo: &RepoId, wanted: &BTreeMap<Name, Shown>) {
        let held = self.index.of_repo(repo);
        let gone: Vec<Name> = held
            .filter(|name| !wanted.contains_key(name))
            .cloned()
            .collect();
        for name in gone {
            self.index.remove(repo, &name);
        }
    }
}

/// The release that stands for a package.
struct Shown {
    version: Version,
    manifest: Sha256,
    deprecated: bool,
}

/// What a log and the store say of it.
struct Read {
    document: Document,
    published_at: u64,
    has_facts: bool,
}

/// The newest release of each package that can be chosen: listed, neither yanked nor suspended; a
/// pre-release if there is nothing else. What was yanked stays so if the yank vanishes.
fn representatives(repo: &RepoSnapshot) -> BTreeMap<Name, Shown> {
    let Some(view) = repo.view.as_deref() else {
        return BTreeMap::new();
    };
    let packages = view.packages.values();
    let visible = packages
        .filter(|package| !package.suspended.on && !view.is_handle_suspended(package.owner));
    let shown = visible.filter_map(|package| {
        let name = &package.name;
        let releases = package.releases.iter().rev();
        let mut usable = releases.filter(|(version, release)| {
            release.listed().is_some()
                && !release.yanked.on
                && !release.suspended.on
                && repo.vanished(name, version).is_none()
        });
        let newest = usable.next()?;
        let mut stable = std::iter::once(newest).chain(usable);
        let stable = stable.find(|(version, _)| !version.is_pre_release());
        let (version, release) = stable.unwrap_or(newest);
        let shown = Shown {
            version: version.clone(),
            manifest: release.listed()?,
            deprecated: package.deprecated.on || release.deprecated.on,
        };
        Some((name.clone(), shown))
    });
    shown.collect()
}

impl Shown {
    /// Whether policy admits this very version.
    fn is_trusted(&self, repo: &RepoSnapshot, name: &Name) -> bool {
        let exactly = Requirement::Exact(self.version.clone());
        let resolved = repo.resolve(name, Some(&exactly), &Asked::default());
        resolved.is_ok_and(|it| it.decision.admitted && it.subject.manifest == self.manifest)
    }

    /// None if its manifest cannot be used: then nothing about it can be believed.
    fn read(&self, repo: &RepoSnapshot, name: &Name, store: &dyn Store) -> Option<Read> {
        let release = repo.view.as_deref()?.package(name)?;
        let claim = release
            .releases
            .get(&self.version)?
            .claims
            .get(&self.manifest)?;
        let (key, index) = claim.published.iter().next()?;
        let to = index.saturating_add(1);
        let entries = store.entries(&repo.id, key, *index, to).ok()?;
        let Parsed::Entry(entry) = parse(entries.first()?) else {
            return None;
        };
        let Body::Publish(publish) = entry.body else {
            return None;
        };
        if Sha256::of(&[&publish.payload]) != self.manifest {
            return None;
        }
        let manifest = Manifest::parse(&publish.payload).ok()?;
        manifest.check_binding(&repo.id, name, &self.version).ok()?;
        let apart = facts_apart(&manifest, store);
        Some(Read {
            document: Document::of(&manifest, apart.as_ref()),
            published_at: entry.claimed_at,
            has_facts: apart.is_some() || manifest.details.facts.is_some(),
        })
    }
}

/// Facts that stand in a file of their own, if that is here.
fn facts_apart(manifest: &Manifest, store: &dyn Store) -> Option<Facts> {
    let file = manifest.file_of(FileKind::Facts)?;
    let file = BlobRef {
        hash: file.blake3,
        size_bytes: file.size,
    };
    let bytes = release::read_tree(store, &file).ok()?;
    manifest.all_facts(Some(&bytes)).ok()
}
