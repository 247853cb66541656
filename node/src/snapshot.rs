//! What readers are answered from: an immutable picture that is swapped whole.
//!
//! Commands, the HTTP side and the serving of blobs read it without asking the core. It holds no
//! payload: manifests are read from the store, at the place that the view names.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod report;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::name::{Name, RepoRef, Version};
use skep_proto::repo::chain::Chain;
use skep_proto::repo::view::View;
use skep_proto::trust::file::{RepoFile, Rule};

pub(crate) use report::facts;
pub use resolve::{NotFound, Resolved};

use crate::core::{CutProof, Holding, Restriction, RestrictionKey, RestrictionKind};

/// Everything that is read of a node.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub me: NodeId,
    repos: BTreeMap<RepoId, Arc<RepoSnapshot>>,
    /// Connected peers, with what both follow.
    pub peers: Vec<(NodeId, BTreeSet<RepoId>)>,
    /// Why nothing new is taken, if so.
    pub read_only: Option<String>,
}

/// One repository, as this node sees it.
#[derive(Debug, Clone)]
pub struct RepoSnapshot {
    pub id: RepoId,
    /// Alias and file; none while it is stored but no longer followed.
    pub settings: Option<(Name, RepoFile)>,
    pub chain: Arc<Chain>,
    /// None while the chain gives no view; the last one that was whole while [`Self::paused`].
    pub view: Option<Arc<View>>,
    /// Of the view that follows from what is held: equal on two nodes that hold the same.
    pub view_hash: Option<Sha256>,
    /// Why nothing new is admitted, though the chain is believed.
    pub paused: Option<&'static str>,
    /// Releases whose files are here, by manifest.
    pub holdings: Arc<BTreeMap<Sha256, Holding>>,
    /// Blobs that peers are offered.
    pub offered: Arc<BTreeSet<Blake3>>,
    /// What trusted mode admitted before.
    pub admitted: Arc<BTreeMap<(Name, Version), Sha256>>,
    /// Yanks and quarantines that were shown, also those that the view no longer has.
    pub restrictions: Arc<BTreeMap<RestrictionKey, Restriction>>,
    pub logs: BTreeMap<Key, LogPosition>,
}

/// How much of a log is held.
#[derive(Debug, Clone)]
pub struct LogPosition {
    pub size: u64,
    /// The checkpoint whose entries are all held.
    pub whole: Option<Checkpoint>,
    /// Where a cut ends it before a checkpoint does.
    pub cut: Option<CutProof>,
    /// Of a registrar's: a peer was seen to hold exactly that, in this run.
    pub confirmed: bool,
    /// Of a registrar's: a peer was ever seen to hold what was here then.
    pub ever_confirmed: bool,
}

impl Snapshot {
    pub fn new(
        me: NodeId,
        repos: Vec<Arc<RepoSnapshot>>,
        peers: Vec<(NodeId, BTreeSet<RepoId>)>,
        read_only: Option<String>,
    ) -> Self {
        Self {
            me,
            repos: repos.into_iter().map(|repo| (repo.id, repo)).collect(),
            peers,
            read_only,
        }
    }

    /// Of a node that knows nothing yet.
    pub fn empty(me: NodeId) -> Self {
        Self::new(me, Vec::new(), Vec::new(), None)
    }

    /// Repositories that are followed.
    pub fn repos(&self) -> impl Iterator<Item = &Arc<RepoSnapshot>> {
        self.repos.values().filter(|repo| repo.settings.is_some())
    }

    /// Repositories of which something is stored, also those that are no longer followed.
    pub fn stored(&self) -> impl Iterator<Item = &Arc<RepoSnapshot>> {
        self.repos.values()
    }

    pub fn repo(&self, reference: &RepoRef) -> Option<&Arc<RepoSnapshot>> {
        match reference {
            RepoRef::Id(id) => self.repos.get(id).filter(|repo| repo.settings.is_some()),
            RepoRef::Alias(alias) => self.repos().find(|repo| repo.alias() == Some(alias)),
        }
    }

    /// Of all releases that are here, in bytes, each with all its files: what a quota counts.
    pub fn held_bytes(&self) -> u64 {
        let holdings = self.stored().flat_map(|repo| repo.holdings.values());
        let sizes = holdings.map(Holding::size_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Whether a blob may be served to peers in a repository.
    pub fn offers(&self, repo: &RepoId, hash: &Blake3) -> bool {
        let repo = self.repos.get(repo);
        repo.is_some_and(|repo| repo.settings.is_some() && repo.offered.contains(hash))
    }
}

impl RepoSnapshot {
    pub fn alias(&self) -> Option<&Name> {
        self.settings.as_ref().map(|(alias, _)| alias)
    }

    /// What was said of a release before, and vanished without its own key's word.
    pub(crate) fn vanished(&self, name: &Name, version: &Version) -> Option<RestrictionKind> {
        let kinds = [RestrictionKind::Yanked, RestrictionKind::Quarantined];
        kinds.into_iter().find(|kind| {
            let key = (*kind, name.clone(), version.clone());
            self.restrictions.get(&key).is_some_and(|r| r.vanished)
        })
    }

    pub fn rules(&self) -> &[Rule] {
        self.settings.as_ref().map_or(&[], |(_, file)| &file.trust)
    }

    /// What people call it: the alias, else the id.
    pub fn called(&self) -> String {
        self.alias()
            .map_or_else(|| self.id.to_string(), ToString::to_string)
    }
}
