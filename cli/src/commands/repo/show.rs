//! Everything about a repository.

use super::repo;
use crate::client::Client;
use crate::error::Result;
use crate::report::{Report, Table};

pub(super) async fn show(name: &str, verb: &'static str, client: &mut Client) -> Result<Report> {
    let repo = repo(name, client).await?;
    let mut handles = Table::new(&["label", "publish", "change", "roles", "fingerprints"]);
    for handle in &repo.handles {
        let keys: Vec<String> = handle.keys.iter().map(|key| key.fingerprint()).collect();
        handles.push([
            handle.label.as_str().into(),
            handle.m.into(),
            handle.c.into(),
            handle.roles.clone().into(),
            keys.into(),
        ]);
    }
    let line = &repo.line;
    Ok(Report::answer(verb)
        .fact("alias", line.alias.as_ref().map(ToString::to_string))
        .fact("id", line.id.to_string())
        .fact("state", line.state.as_str())
        .fact("calls_itself", repo.name.as_str())
        .fact("root_document", line.version)
        .fact("root_sha256", repo.root_sha256.map(|hash| hash.to_string()))
        .fact("visibility", repo.visibility.as_str())
        .fact("witnesses", repo.witnesses as u64)
        .fact("expires", repo.expires.clone())
        .fact("registrar", repo.registrar.map(|key| key.fingerprint()))
        .fact("packages", line.packages as u64)
        .fact("releases", line.releases as u64)
        .fact("logs", line.logs as u64)
        .fact("void_entries", repo.void_entries)
        .fact("unknown_entries", repo.unknown_entries)
        .fact("view", line.view_hash.map(|hash| hash.to_string()))
        .table("handles", handles))
}
