//! Everything about a repository.

use skep_proto::control::{self, Handle, Package, Request, Response, Rival};

use super::repo;
use crate::client::{Client, unexpected};
use crate::error::Result;
use crate::report::{Report, Table};

pub(super) async fn show(name: &str, verb: &'static str, client: &mut Client) -> Result<Report> {
    let repo = repo(name, client).await?;
    let packages = packages(name, client).await?;
    let line = &repo.line;
    let fingerprints = |keys: &[skep_proto::key::Key]| -> Vec<String> {
        keys.iter().map(|key| key.fingerprint()).collect()
    };
    let mut ineffective = Table::new(&["entry", "operation", "no_effect_because"]);
    for operation in &repo.ineffective {
        ineffective.push([
            operation.position.into(),
            operation.operation.as_str().into(),
            operation.why.as_str().into(),
        ]);
    }
    Ok(Report::answer(verb)
        .fact("alias", line.alias.as_ref().map(ToString::to_string))
        .fact("id", line.id.to_string())
        .fact("state", line.state.as_str())
        .fact("calls_itself", repo.name.as_str())
        .fact("root_document", line.version)
        .fact("root_sha256", repo.root_sha256.map(|hash| hash.to_string()))
        .fact("root_keys", fingerprints(&repo.root_keys))
        .fact("root_threshold", repo.root_threshold)
        .fact("visibility", visibility(&repo))
        .fact("witnesses", repo.witnesses as u64)
        .fact("fresh", fresh(&repo))
        .fact("expires", repo.expires.clone())
        .fact("registrar", repo.registrar.map(|key| key.fingerprint()))
        .fact("releases", line.releases as u64)
        .fact("releases_here", repo.held_releases as u64)
        .fact("logs", line.logs as u64)
        .fact("void_entries", repo.void_entries)
        .fact("unknown_entries", repo.unknown_entries)
        .fact("forked_keys", fingerprints(&repo.forked_keys))
        .fact("view", line.view_hash.map(|hash| hash.to_string()))
        .table("rivals", rival_table(&repo.rivals))
        .table("packages", package_table(&packages))
        .table("handles", handle_table(&repo.handles))
        .table("ineffective", ineffective))
}

async fn packages(name: &str, client: &mut Client) -> Result<Vec<Package>> {
    let request = Request::Packages {
        repo: name.to_owned(),
    };
    match client.ask(request).await? {
        Response::Packages { packages } => Ok(packages),
        other => Err(unexpected(&other)),
    }
}

/// Who may read it; that we refuse to take part in what is for members alone is said here too.
fn visibility(repo: &control::Repo) -> String {
    match repo.visibility.as_str() {
        "members" => "members only: not built yet, nothing of it is passed on".to_owned(),
        other => other.to_owned(),
    }
}

/// What is known of how recent our view is.
fn fresh(repo: &control::Repo) -> String {
    match repo.witnesses {
        _ if repo.root_sha256.is_none() => String::new(),
        0 => "not proven: this repository names no witnesses".to_owned(),
        n => format!("not proven: what its {n} witnesses say is not evaluated yet"),
    }
}

/// Each package with the version that would be chosen first: the newest that nobody took back.
fn package_table(packages: &[Package]) -> Table {
    let mut table = Table::new(&["package", "newest", "releases", "state", "owner"]);
    for package in packages {
        let usable = package.releases.iter().rev().find(|release| {
            release.state == "listed"
                && !release.yanked
                && !release.suspended
                && !release.version.is_pre_release()
        });
        let state = [
            (package.suspended || package.owner.suspended, "suspended"),
            (package.deprecated, "deprecated"),
            (usable.is_none(), "nothing to choose"),
        ];
        let state: Vec<&str> = state
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| *word)
            .collect();
        table.push([
            package.name.as_str().into(),
            usable.map(|release| release.version.to_string()).into(),
            (package.releases.len() as u64).into(),
            match state.is_empty() {
                true => "ok".into(),
                false => state.join(", ").into(),
            },
            package.owner.label.as_str().into(),
        ]);
    }
    table
}

/// Root documents to choose between: skep repo settle.
fn rival_table(rivals: &[Rival]) -> Table {
    let mut table = Table::new(&["root_document", "sha256", "signed_both"]);
    for rival in rivals {
        let culprits: Vec<String> = rival.culprits.iter().map(|k| k.fingerprint()).collect();
        table.push([
            rival.version.into(),
            rival.sha256.to_string().into(),
            culprits.into(),
        ]);
    }
    table
}

fn handle_table(handles: &[Handle]) -> Table {
    let columns = [
        "label",
        "publish",
        "change",
        "roles",
        "state",
        "names",
        "fingerprints",
    ];
    let mut table = Table::new(&columns);
    for handle in handles {
        let keys: Vec<String> = handle.keys.iter().map(|key| key.fingerprint()).collect();
        let names: Vec<String> = handle.names.iter().map(ToString::to_string).collect();
        table.push([
            handle.label.as_str().into(),
            handle.m.into(),
            handle.c.into(),
            handle.roles.clone().into(),
            if handle.suspended { "suspended" } else { "ok" }.into(),
            names.into(),
            keys.into(),
        ]);
    }
    table
}
