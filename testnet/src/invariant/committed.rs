//! What is committed of a log was said by its author, lies under a checkpoint, and was asked for.

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree;

use super::{Broken, ensure};
use crate::author::World;
use crate::host::Host;

const SIGNED: &str = "every committed entry lies under a valid checkpoint";

/// After entries were made durable.
pub fn what_is_committed_is_signed(host: &Host, repo: &RepoId, key: &Key) -> Result<(), Broken> {
    let folder = host.disk.folder(repo);
    let Some(log) = folder.logs.get(key) else {
        return Ok(());
    };
    let signed = |checkpoint: &Checkpoint| checkpoint.key == *key && checkpoint.verify(repo);
    let checkpoints = [&log.whole, &log.ahead].into_iter().flatten();
    for checkpoint in checkpoints.clone() {
        ensure(signed(checkpoint), SIGNED, || {
            "a false signature".to_owned()
        })?;
    }
    if let Some(whole) = &log.whole {
        let leaves = log.entries.iter().map(|entry| tree::leaf(entry));
        let leaves: Vec<Sha256> = leaves.take(at(whole.size)).collect();
        let matches = leaves.len() == at(whole.size) && tree::root(&leaves) == whole.root;
        ensure(matches, SIGNED, || {
            "the whole one has another root".to_owned()
        })?;
    }
    let covered = checkpoints.map(|checkpoint| checkpoint.size).max();
    ensure(covered >= Some(log.size()), SIGNED, || {
        format!("{} entries under {covered:?}", log.size())
    })
}

/// After entries were made durable: compared with all that any key of the run ever signed.
pub fn what_is_committed_was_said(
    host: &Host,
    world: &World,
    repo: &RepoId,
    key: &Key,
) -> Result<(), Broken> {
    let entries = host.disk.entries(repo, key, 0, u64::MAX);
    let Some(truth) = world.repo(repo) else {
        return Ok(());
    };
    let branches = truth.branches();
    let mut branches = branches.get(key).into_iter().flatten();
    let said = branches.any(|branch| branch.entries.starts_with(&entries));
    ensure(said, "what is committed was said", || {
        format!(
            "{} entries that begin no branch of their key",
            entries.len()
        )
    })
}

/// After entries were made durable.
pub fn only_admitted_logs_are_kept(world: &World, repo: &RepoId, key: &Key) -> Result<(), Broken> {
    let admitted = world
        .repo(repo)
        .is_none_or(|repo| repo.branches().contains_key(key));
    ensure(admitted, "only admitted logs are kept", || {
        format!("a log of `{key}`")
    })
}

fn at(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
