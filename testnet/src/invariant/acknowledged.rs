//! What was acknowledged is never lost: it is on the disk when the reply leaves, and stays.

use skep_node::core::{Command, Reply, RequestId};
use skep_node::store::FactKind;
use skep_proto::repo::fact::LogFacts;

use super::{Broken, ensure};
use crate::host::Host;

const LAW: &str = "what was acknowledged is not lost";

/// When a reply leaves.
pub fn what_is_replied_is_durable(
    host: &Host,
    id: RequestId,
    reply: &Reply,
) -> Result<(), Broken> {
    match (host.asked.get(&id), reply) {
        (Some(command), Reply::Done) => is_kept(host, command),
        _ => Ok(()),
    }
}

/// At a restart, and at the end of a run.
pub fn everything_acknowledged_is_there(host: &Host) -> Result<(), Broken> {
    for (id, reply) in &host.replies {
        what_is_replied_is_durable(host, *id, reply)?;
    }
    Ok(())
}

fn is_kept(host: &Host, command: &Command) -> Result<(), Broken> {
    let folder = |repo| host.disk.repos.get(repo);
    let (kept, what) = match command {
        Command::PutRoot { repo, root } => {
            let kept = folder(repo).is_some_and(|f| f.roots.contains_key(&root.sha256()));
            (kept, "a root document".to_owned())
        }
        Command::Append {
            repo,
            key,
            checkpoint,
            ..
        } => {
            let mut facts = LogFacts::new();
            if let Some(log) = host.disk.log(repo, key) {
                log.entries.iter().for_each(|entry| facts.push(repo, entry));
            }
            let kept = facts.matches(checkpoint.size, checkpoint.root);
            (kept, format!("{} entries of a log", checkpoint.size))
        }
        Command::Hold { repo, manifest, .. } => {
            let at = (FactKind::Holding, manifest.to_string());
            let kept = folder(repo).is_some_and(|f| f.facts.contains_key(&at));
            (kept, "that a release is held".to_owned())
        }
        Command::Admit {
            repo,
            name,
            version,
            ..
        } => {
            let at = (FactKind::Admitted, format!("{name}@{version}"));
            let kept = folder(repo).is_some_and(|f| f.facts.contains_key(&at));
            (kept, "that a release was admitted".to_owned())
        }
        Command::AwaitSync { .. } => (true, String::new()),
    };
    ensure(kept, LAW, || format!("{what} is not on the disk"))
}
