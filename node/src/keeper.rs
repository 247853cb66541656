//! What keep rules ask for, fetched: every listed release that fits, trusted or not. Trust is asked
//! at use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_proto::control::BlobRef;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, Version};
use tokio::sync::watch;

use crate::core::{Command, Holding, HoldingReason, Input, Reply, WantEnd};
use crate::driver::Handle;
use crate::release::{self, Files};
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;

/// How long a release that could not be fetched is left alone.
const RETRY: Duration = Duration::from_secs(30);

/// One release that a rule wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    repo: RepoId,
    name: Name,
    version: Version,
    manifest: Sha256,
}

/// Fetches what is missing whenever readers see something else, until `stop`.
pub(crate) async fn run(mut node: Handle, store: Arc<dyn Store>, mut stop: watch::Receiver<bool>) {
    let mut failed: BTreeMap<Wanted, Instant> = BTreeMap::new();
    let mut peers = Vec::new();
    loop {
        let now = Instant::now();
        failed.retain(|_, at| now.duration_since(*at) < RETRY);
        let snapshot = node.snapshot();
        if snapshot.peers != peers {
            // Somebody new may have what nobody had.
            failed.clear();
            peers.clone_from(&snapshot.peers);
        }
        let missing = missing(&snapshot);
        let next = missing
            .into_iter()
            .find(|wanted| !failed.contains_key(wanted));
        let work = async {
            match &next {
                Some(wanted) => keep(wanted, &snapshot, &node, &store).await,
                None => Ok(()),
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            kept = work => {
                if let (Some(wanted), Err(why)) = (next, kept) {
                    tracing::info!(
                        release = %format!("{}/{}@{}", wanted.repo, wanted.name, wanted.version),
                        why, "could not keep a release yet"
                    );
                    failed.insert(wanted, Instant::now());
                    continue;
                } else if !missing_is_done(&node, &failed) {
                    continue;
                }
            }
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(RETRY), if !failed.is_empty() => {}
            alive = node.changed() => if !alive { return },
        }
    }
}

fn missing_is_done(node: &Handle, failed: &BTreeMap<Wanted, Instant>) -> bool {
    let missing = missing(&node.snapshot());
    missing.iter().all(|wanted| failed.contains_key(wanted))
}

/// Releases that some rule wants and that are not kept yet.
fn missing(snapshot: &Snapshot) -> Vec<Wanted> {
    snapshot.repos().flat_map(|repo| missing_of(repo)).collect()
}

fn missing_of(repo: &RepoSnapshot) -> Vec<Wanted> {
    let (Some((_, file)), Some(view)) = (&repo.settings, repo.view.as_deref()) else {
        return Vec::new();
    };
    let Some(keep) = &file.keep else {
        return Vec::new();
    };
    let newest = usize::try_from(keep.newest).unwrap_or(usize::MAX);
    let is_kept = |manifest: &Sha256| {
        let holding = repo.holdings.get(manifest);
        holding.is_some_and(|holding| holding.why >= HoldingReason::Kept)
    };
    let of_package = view.packages.values().flat_map(|package| {
        let releases = package.releases.iter().rev();
        let listed = releases.filter_map(|(version, release)| Some((version, release.listed()?)));
        listed.take(newest).map(|(version, manifest)| Wanted {
            repo: repo.id,
            name: package.name.clone(),
            version: version.clone(),
            manifest,
        })
    });
    of_package
        .filter(|wanted| !is_kept(&wanted.manifest))
        .collect()
}

async fn keep(
    wanted: &Wanted,
    snapshot: &Snapshot,
    node: &Handle,
    store: &Arc<dyn Store>,
) -> Result<(), String> {
    let repo = snapshot
        .repos()
        .find(|repo| repo.id == wanted.repo)
        .cloned();
    let repo = repo.ok_or("the repository is gone")?;
    let (reading, of) = (Arc::clone(store), wanted.clone());
    let read = tokio::task::spawn_blocking(move || {
        let Wanted {
            repo: id,
            name,
            version,
            manifest,
        } = &of;
        let payload = release::payload(&repo, reading.as_ref(), name, version, *manifest)?;
        Files::of(&payload.bytes, id, name, version)
    });
    let mut files = in_words(read.await)?;
    if let Some(tree) = files.tree() {
        fetch(wanted.repo, &[tree], node).await?;
        let reading = Arc::clone(store);
        let read = tokio::task::spawn_blocking(move || release::read_tree(reading.as_ref(), &tree));
        let bytes = in_words(read.await)?;
        files.add_tree(&bytes).map_err(|e| crate::in_words(&e))?;
    }
    let blobs = files.blobs();
    fetch(wanted.repo, &blobs, node).await?;
    let holding = Holding {
        why: HoldingReason::Kept,
        blobs: blobs
            .iter()
            .map(|blob| (blob.hash, blob.size_bytes))
            .collect(),
    };
    let hold = Command::Hold {
        repo: wanted.repo,
        manifest: wanted.manifest,
        holding,
    };
    match node.ask(|id| Input::Command(id, hold)).await {
        Some(Reply::Done) => Ok(()),
        Some(Reply::Refused(why)) => Err(why),
        _ => Err("the node is stopping".to_owned()),
    }
}

async fn fetch(repo: RepoId, blobs: &[BlobRef], node: &Handle) -> Result<(), String> {
    let blobs = blobs
        .iter()
        .map(|blob| (blob.hash, blob.size_bytes))
        .collect();
    match node.ask(|id| Input::Wanted { id, repo, blobs }).await {
        Some(Reply::Want(WantEnd::Stored)) => Ok(()),
        Some(Reply::Want(WantEnd::Failed { missing, .. })) => Err(format!(
            "no connected peer has {} of its files",
            missing.len()
        )),
        Some(Reply::Want(WantEnd::Broken(why)) | Reply::Refused(why)) => Err(why),
        _ => Err("the node is stopping".to_owned()),
    }
}

fn in_words<T>(
    read: Result<Result<T, release::Error>, tokio::task::JoinError>,
) -> Result<T, String> {
    match read {
        Ok(read) => read.map_err(|e| crate::in_words(&e)),
        Err(failed) => Err(failed.to_string()),
    }
}
