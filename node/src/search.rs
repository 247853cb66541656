//! Searching the packages that this node lists.
//!
//! Every listed release can be found, held or not: its manifest stands in a log. The index follows
//! the snapshot: [`Search::follow`] brings it up to date when the view has changed, and whoever asks
//! first after a change does the same, so that nobody is answered from before what they have seen.

mod follow;
mod index;
mod packed;
mod rank;
pub mod scan;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use skep_proto::id::RepoId;
use skep_proto::name::Name;
pub use skep_proto::search::{Document, Filter, Found, Hit, Page, Query, QueryError, Sort, Word};
use tokio::sync::watch;

pub use index::{Entry, Full, INDEX_BYTES_MAX, Index, Matches};

use crate::driver::Handle;
use crate::snapshot::Snapshot;
use crate::store::Store;
use follow::State;

/// How long a node runs before it makes an index that nobody has asked for: a command that runs a node
/// inside itself has ended by then.
const MADE_AFTER: Duration = Duration::from_secs(1);

/// The index of a running node.
#[derive(Clone)]
pub struct Search {
    store: Arc<dyn Store>,
    state: Arc<RwLock<State>>,
}

impl Search {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            state: Arc::new(RwLock::new(State::new())),
        }
    }

    /// The packages of a snapshot that fit. If the snapshot is newer than the index, this reads
    /// manifests from the disk: it may block.
    pub fn find(&self, snapshot: &Snapshot, query: &Query, page: &Page) -> Found {
        self.follow(snapshot, &|| false);
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let matches = state.index.find(query, page, &|reference| {
            snapshot.repo(reference).map(|repo| repo.id)
        });
        let alias = |id: &RepoId| {
            let mut repos = snapshot.repos().filter(|repo| repo.id == *id);
            repos.next().and_then(|repo| repo.alias().cloned())
        };
        let entries = matches.entries.iter();
        Found {
            total: matches.total,
            hits: entries
                .map(|entry| hit(entry, alias(&entry.repo)))
                .collect(),
            left_out: state.left_out(),
        }
    }

    /// Brings the index up to date, unless it is told to stop meanwhile.
    fn follow(&self, snapshot: &Snapshot, stopping: &dyn Fn() -> bool) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.is_current(snapshot) {
            return;
        }
        drop(state);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.follow(snapshot, self.store.as_ref(), stopping);
    }
}

/// Keeps the index up to date whenever readers see something else, until `stop`: so that who asks need
/// not wait for it.
pub(crate) async fn follow(search: Search, mut node: Handle, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.changed() => return,
        () = tokio::time::sleep(MADE_AFTER) => {}
    }
    loop {
        let (search, snapshot, stopping) = (search.clone(), node.snapshot(), stop.clone());
        let followed = tokio::task::spawn_blocking(move || {
            search.follow(&snapshot, &|| *stopping.borrow());
        });
        if let Err(error) = followed.await {
            tracing::error!(%error, "the index for searching could not be brought up to date");
        }
        tokio::select! {
            _ = stop.changed() => return,
            alive = node.changed() => if !alive { return },
        }
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
