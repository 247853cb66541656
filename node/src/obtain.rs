//! A release and all its files, from whoever has them, into the store.

use std::sync::Arc;

use skep_proto::control::BlobRef;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, Version};

use crate::core::{Command, Holding, HoldingReason, Input, Reply, WantEnd};
use crate::driver::Handle;
use crate::in_use::Lease;
use crate::release::{self, Files};
use crate::snapshot::Snapshot;
use crate::store::Store;

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) repo: RepoId,
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) manifest: Sha256,
}

/// Fetches what of a release is not here, and remembers that it is held and why. Fails in words.
pub(crate) async fn obtain(
    wanted: &Wanted,
    why: HoldingReason,
    snapshot: &Snapshot,
    node: &Handle,
    store: &Arc<dyn Store>,
) -> Result<(), String> {
    // Until the release is held, its files are nobody's.
    let mut lease = node.in_use().lease();
    let files = files(wanted, &mut lease, snapshot, node, store).await?;
    let blobs = files.blobs();
    lease.add(blobs.iter().map(|blob| blob.hash));
    fetch(wanted.repo, &blobs, node).await?;
    let holding = Holding {
        why,
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
    done(node.ask(|id| Input::Command(id, hold)).await)
}

/// How large a release is with all its files, in bytes, before any but the list of them is fetched.
pub(crate) async fn size_bytes(
    wanted: &Wanted,
    snapshot: &Snapshot,
    node: &Handle,
    store: &Arc<dyn Store>,
) -> Result<u64, String> {
    let mut lease = node.in_use().lease();
    let files = files(wanted, &mut lease, snapshot, node, store).await?;
    Ok(files.size_bytes())
}

/// What a reply says to whoever only needs to know whether it was done.
pub(crate) fn done(reply: Option<Reply>) -> Result<(), String> {
    match reply {
        Some(Reply::Done) => Ok(()),
        Some(Reply::Refused(why)) => Err(why),
        _ => Err("the node is stopping".to_owned()),
    }
}

/// The files of a release, by its manifest; what lists them is fetched if it is not here.
async fn files(
    wanted: &Wanted,
    lease: &mut Lease,
    snapshot: &Snapshot,
    node: &Handle,
    store: &Arc<dyn Store>,
) -> Result<Files, String> {
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
        lease.add([tree.hash]);
        fetch(wanted.repo, &[tree], node).await?;
        let reading = Arc::clone(store);
        let read = tokio::task::spawn_blocking(move || release::read_tree(reading.as_ref(), &tree));
        let bytes = in_words(read.await)?;
        files.add_tree(&bytes).map_err(|e| crate::in_words(&e))?;
    }
    Ok(files)
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
