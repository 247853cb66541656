//! Searching the packages that this node lists.
//!
//! Every listed release can be found, held or not: its manifest stands in a log. The index follows
//! the snapshot: [`Search::follow`] brings it up to date when the view has changed, and whoever asks
//! first after a change does the same, so that nobody is answered from before what they have seen.

mod index;
mod rank;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::log::entry::{Body, Parsed, parse};
use skep_proto::name::{Name, Requirement, Version};
use skep_proto::package::manifest::Manifest;
pub use skep_proto::search::{Document, Filter, Found, Hit, Page, Query, QueryError, Sort, Word};
use skep_proto::trust::Asked;

use tokio::sync::watch;

pub use index::{Entry, Full, INDEX_BYTES_MAX, Index, Matches};

use crate::driver::Handle;
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;

/// The index of a running node.
#[derive(Clone)]
pub struct Search {
    store: Arc<dyn Store>,
    state: Arc<RwLock<State>>,
}

struct State {
    index: Index,
    /// What of each repository is in the index.
    seen: BTreeMap<RepoId, Arc<RepoSnapshot>>,
    left_out: BTreeMap<RepoId, usize>,
}

impl Search {
    pub fn new(store: Arc<dyn Store>) -> Self {
        let state = State {
            index: Index::new(INDEX_BYTES_MAX),
            seen: BTreeMap::new(),
            left_out: BTreeMap::new(),
        };
        Self {
            store,
            state: Arc::new(RwLock::new(state)),
        }
    }

    /// The packages of a snapshot that fit. Reads the disk if the snapshot is newer than the index,
    /// so it may block.
    pub fn find(&self, snapshot: &Snapshot, query: &Query, page: &Page) -> Found {
        self.follow(snapshot);
        let state = self
            .state
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        let matches = state.index.find(query, page, &|reference| {
            snapshot.repo(reference).map(|repo| repo.id)
        });
        let alias = |id: &RepoId| {
            let mut repos = snapshot.repos().filter(|repo| repo.id == *id);
            repos.next().and_then(|repo| repo.alias().cloned())
        };
        Found {
            total: matches.total,
            hits: matches
                .entries
                .iter()
                .map(|entry| hit(entry, alias(&entry.repo)))
                .collect(),
            left_out: state.left_out.values().sum(),
        }
    }

    /// Brings the index up to date.
    pub fn follow(&self, snapshot: &Snapshot) {
        let is_current = |state: &State| {
            let mut repos = snapshot.repos();
            snapshot.repos().count() == state.seen.len()
                && repos.all(|repo| {
                    let seen = state.seen.get(&repo.id);
                    seen.is_some_and(|seen| is_same(seen, repo))
                })
        };
        if is_current(
            &self
                .state
                .read()
                .unwrap_or_else(|broken| broken.into_inner()),
        ) {
            return;
        }
        let mut state = self
            .state
            .write()
            .unwrap_or_else(|broken| broken.into_inner());
        state.follow(snapshot, self.store.as_ref());
    }
}

/// Keeps the index up to date whenever readers see something else, until `stop`: so who asks need not
/// wait for it.
pub(crate) async fn follow(search: Search, mut node: Handle, mut stop: watch::Receiver<bool>) {
    loop {
        let (search, snapshot) = (search.clone(), node.snapshot());
        let followed = tokio::task::spawn_blocking(move || search.follow(&snapshot));
        if let Err(error) = followed.await {
            tracing::error!(%error, "the index for searching could not be brought up to date");
        }
        tokio::select! {
            _ = stop.changed() => return,
            alive = node.changed() => if !alive { return },
        }
    }
}

/// Whether nothing that the index was made of has changed.
fn is_same(seen: &Arc<RepoSnapshot>, now: &Arc<RepoSnapshot>) -> bool {
    let view = |repo: &RepoSnapshot| repo.view.as_ref().map(Arc::as_ptr);
    Arc::ptr_eq(seen, now)
        || (view(seen) == view(now)
            && Arc::ptr_eq(&seen.chain, &now.chain)
            && Arc::ptr_eq(&seen.admitted, &now.admitted)
            && Arc::ptr_eq(&seen.restrictions, &now.restrictions)
            && seen.paused == now.paused
            && seen.settings == now.settings)
}

impl State {
    fn follow(&mut self, snapshot: &Snapshot, store: &dyn Store) {
        let followed: BTreeMap<RepoId, &Arc<RepoSnapshot>> =
            snapshot.repos().map(|repo| (repo.id, repo)).collect();
        let gone: Vec<RepoId> = self
            .seen
            .keys()
            .filter(|id| !followed.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.forget(&id);
        }
        for (id, repo) in followed {
            if self.seen.get(&id).is_some_and(|seen| is_same(seen, repo)) {
                continue;
            }
            self.follow_repo(repo, store);
            self.seen.insert(id, Arc::clone(repo));
        }
    }

    fn forget(&mut self, id: &RepoId) {
        let names: Vec<Name> = self
            .index
            .of_repo(id)
            .map(|entry| entry.document.name.clone())
            .collect();
        for name in names {
            self.index.remove(id, &name);
        }
        self.seen.remove(id);
        self.left_out.remove(id);
    }

    fn follow_repo(&mut self, repo: &RepoSnapshot, store: &dyn Store) {
        let wanted = representatives(repo);
        let gone: Vec<Name> = self
            .index
            .of_repo(&repo.id)
            .map(|entry| &entry.document.name)
            .filter(|name| !wanted.contains_key(name))
            .cloned()
            .collect();
        for name in gone {
            self.index.remove(&repo.id, &name);
        }
        let mut left_out = 0;
        for (name, shown) in wanted {
            let held = self.index.get(&repo.id, &name);
            let same = held.is_some_and(|held| {
                held.manifest == shown.manifest && held.document.version == shown.version
            });
            let trusted = shown.is_trusted(repo, &name);
            if same {
                self.index.mark(&repo.id, &name, trusted, shown.deprecated);
                continue;
            }
            let Some((document, published_at)) = shown.read(repo, &name, store) else {
                self.index.remove(&repo.id, &name);
                continue;
            };
            let entry = Entry {
                repo: repo.id,
                manifest: shown.manifest,
                document,
                published_at,
                deprecated: shown.deprecated,
                trusted,
            };
            if self.index.insert(entry).is_err() {
                left_out += 1;
            }
        }
        self.left_out.insert(repo.id, left_out);
    }
}

/// The release that stands for a package.
struct Shown {
    version: Version,
    manifest: Sha256,
    deprecated: bool,
}

/// The newest release of each package that can be chosen: listed, neither yanked nor suspended; a
/// pre-release if there is nothing else.
fn representatives(repo: &RepoSnapshot) -> BTreeMap<Name, Shown> {
    let Some(view) = repo.view.as_deref() else {
        return BTreeMap::new();
    };
    let packages = view
        .packages
        .values()
        .filter(|package| !package.suspended.on && !view.is_handle_suspended(package.owner));
    let shown = packages.filter_map(|package| {
        let name = &package.name;
        let releases = package.releases.iter().rev();
        let mut usable = releases.filter(|(version, release)| {
            release.listed().is_some()
                && !release.yanked.on
                && !release.suspended.on
                && repo.vanished(name, version).is_none()
        });
        let first = usable.next()?;
        let stable = std::iter::once(first).chain(usable);
        let mut stable = stable.filter(|(version, _)| !version.is_pre_release());
        let (version, release) = stable.next().unwrap_or(first);
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
    fn is_trusted(&self, repo: &RepoSnapshot, name: &Name) -> bool {
        let exactly = Requirement::Exact(self.version.clone());
        let resolved = repo.resolve(name, Some(&exactly), &Asked::default());
        resolved.is_ok_and(|it| it.decision.admitted && it.subject.manifest == self.manifest)
    }

    /// What its manifest says, and when it was published; none if it cannot be used.
    fn read(&self, repo: &RepoSnapshot, name: &Name, store: &dyn Store) -> Option<(Document, u64)> {
        let release = repo
            .view
            .as_deref()?
            .package(name)?
            .releases
            .get(&self.version)?;
        let claim = release.claims.get(&self.manifest)?;
        let (key, index) = claim.published.iter().next()?;
        let entries = store
            .entries(&repo.id, key, *index, index.saturating_add(1))
            .ok()?;
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
        Some((Document::of(&manifest, None), entry.claimed_at))
    }
}

fn hit(entry: &Entry, alias: Option<Name>) -> Hit {
    let document = &entry.document;
    Hit {
        repo: entry.repo,
        alias,
        name: document.name.clone(),
        version: document.version.clone(),
        manifest: entry.manifest,
        description: document.description.clone(),
        license: document.license.clone(),
        hooks: document.hooks.clone(),
        trusted: entry.trusted,
        deprecated: entry.deprecated,
        published_at: entry.published_at,
    }
}
