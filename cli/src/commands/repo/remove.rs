//! `skep repo remove`: follow no more, and perhaps forget.

use skep_proto::control::{Collected, Request, Response};
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;

use super::{repo, ticket};
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::commands::parse::parse_repo;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::repos::Repos;
use crate::report::text::size;
use crate::report::{Report, Value};

/// Stops following. What is stored stays unless it is to be forgotten: said with how much that is.
pub(super) async fn remove(
    name: &str,
    purge: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let repos = Repos::of(&session.home);
    let reference = parse_repo(name)?;
    let followed = match (repos.find(&reference), &reference) {
        (Err(error), RepoRef::Id(id)) if purge && error.exit == Exit::NotFound => {
            // It was removed before; what is stored of it has no other name.
            agree(name, session)?;
            let forgotten = forget(*id, client).await?;
            return Ok(report(None, *id, (0, 0), &forgotten));
        }
        (found, _) => found?,
    };
    let alias = &followed.alias;
    let held = repo(alias.as_str(), client).await?;
    if purge {
        agree(name, session)?;
    }
    let again = match held.line.version {
        0 => None,
        _ => Some(ticket(alias.as_str(), None, session, client).await?),
    };
    repos.remove(alias)?;
    client.ask(Request::Reload).await?;
    if let Some(again) = again {
        let again = again.to_text_that_fits();
        session
            .ui
            .say(&format!("to follow it again: skep repo add {again}"));
    }
    let id = followed.file.id;
    if purge {
        let forgotten = forget(id, client).await?;
        return Ok(report(Some(alias.as_str()), id, (0, 0), &forgotten));
    }
    session.ui.say(&format!(
        "its log and the files of {} of its releases ({}) stay in {}; to forget them: skep repo remove --purge {id}",
        held.held_releases,
        size(held.held_bytes),
        quoted(&session.home.store_dir())
    ));
    let kept = (held.held_releases as u64, held.held_bytes);
    Ok(report(
        Some(alias.as_str()),
        id,
        kept,
        &Collected::default(),
    ))
}

fn agree(name: &str, session: &Session<'_>) -> Result<()> {
    let question = format!(
        "forget everything that is stored of `{name}`, what was published here and may be nowhere else too?"
    );
    match session.ui.confirm(&question, false)? {
        true => Ok(()),
        false => Err(CliError::new(
            Exit::Failed,
            "nothing was removed",
            Hint::new(format!("to keep what is stored: skep repo remove {name}")),
        )),
    }
}

async fn forget(id: RepoId, client: &mut Client) -> Result<Collected> {
    match client.ask(Request::Purge { repo: id }).await? {
        Response::Collected(collected) => Ok(collected),
        other => Err(unexpected(&other)),
    }
}

fn report(
    alias: Option<&str>,
    id: RepoId,
    (kept_releases, kept_bytes): (u64, u64),
    forgotten: &Collected,
) -> Report {
    Report::answer("repo.remove")
        .fact("alias", alias)
        .fact("id", id.to_string())
        .fact("kept_releases", kept_releases)
        .fact("kept", Value::Size(kept_bytes))
        .fact("forgotten_releases", forgotten.let_go.len() as u64)
        .fact("freed", Value::Size(forgotten.size_bytes))
}
