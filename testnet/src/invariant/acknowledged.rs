//! What was acknowledged is never lost: it is on the disk when the reply leaves, and stays.

use skep_node::core::{Command, Reply, RequestId, WantEnd};
use skep_node::store::FactKind;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::tree;

use super::{Broken, ensure};
use crate::author::World;
use crate::disk::Folder;
use crate::host::Host;

const LAW: &str = "what was acknowledged is not lost";

/// When a reply leaves.
pub fn what_is_replied_is_durable(
    host: &Host,
    world: &World,
    id: RequestId,
    reply: &Reply,
) -> Result<(), Broken> {
    match (host.asked.get(&id), reply) {
        (Some(command), Reply::Done) => is_kept(host, world, command),
        _ => Ok(()),
    }
}

/// At a restart, and at the end of a run.
pub fn everything_acknowledged_is_there(host: &Host, world: &World) -> Result<(), Broken> {
    for (id, reply) in &host.replies {
        what_is_replied_is_durable(host, world, *id, reply)?;
    }
    Ok(())
}

/// At the end of a run: what was wanted, and was said to be stored.
pub fn everything_stored_is_there(
    host: &Host,
    wanted: &[(RequestId, Vec<Blake3>)],
) -> Result<(), Broken> {
    for (id, blobs) in wanted {
        if host.replies.get(id) == Some(&Reply::Want(WantEnd::Stored)) {
            for hash in blobs {
                super::blobs::what_is_stored_has_its_hash(host, hash)?;
            }
        }
    }
    Ok(())
}

fn is_kept(host: &Host, world: &World, command: &Command) -> Result<(), Broken> {
    let (kept, what) = match command {
        Command::PutRoot { repo, root } => {
            let roots = folder(host, repo).roots;
            let kept = roots.values().any(|held| held.payload == root.payload);
            (kept, "a root document".to_owned())
        }
        // Of a key that signed two logs one is kept, and which is for the registrar to say.
        Command::Append { repo, key, .. }
            if world.repo(repo).is_some_and(|repo| repo.has_forked(key)) =>
        {
            (true, String::new())
        }
        Command::Append {
            repo,
            key,
            checkpoint,
            ..
        } => {
            let kept = root_at(host, repo, key, checkpoint.size) == Some(checkpoint.root);
            (kept, format!("{} entries of a log", checkpoint.size))
        }
        Command::Carry(carry)
            if world
                .repo(&carry.repo)
                .is_some_and(|repo| repo.has_forked(&carry.checkpoint.key)) =>
        {
            (true, String::new())
        }
        Command::Carry(carry) => {
            let end = carry.from + carry.entries.len() as u64;
            let entries = host
                .disk
                .entries(&carry.repo, &carry.checkpoint.key, carry.from, end);
            (
                entries == carry.entries,
                format!("{end} entries of a log from a file"),
            )
        }
        Command::Hold { repo, manifest, .. } => {
            let at = (FactKind::Holding, manifest.to_string());
            let kept = folder(host, repo).facts.contains_key(&at);
            (kept, "that a release is held".to_owned())
        }
        Command::Admit {
            repo,
            name,
            version,
            ..
        } => {
            let at = (FactKind::Admitted, format!("{name}@{version}"));
            let kept = folder(host, repo).facts.contains_key(&at);
            (kept, "that a release was admitted".to_owned())
        }
        // Nobody lets anything go in these runs.
        Command::LetGo { .. } | Command::Purge { .. } | Command::AwaitSync { .. } => {
            (true, String::new())
        }
    };
    ensure(kept, LAW, || format!("{what} is not on the disk"))
}

fn folder(host: &Host, repo: &RepoId) -> Folder {
    host.disk.folder(repo)
}

/// Root of the first entries of a log, if so many are held.
fn root_at(host: &Host, repo: &RepoId, key: &Key, size: u64) -> Option<Sha256> {
    let entries = host.disk.entries(repo, key, 0, size);
    let leaves: Vec<Sha256> = entries.iter().map(|entry| tree::leaf(entry)).collect();
    (leaves.len() as u64 == size).then(|| tree::root(&leaves))
}
