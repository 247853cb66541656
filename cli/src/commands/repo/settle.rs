//! A person chooses between two root documents of one version.

use skep_proto::control::{Repo, Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::trust::file::{Pin, with_root};

use super::repo;
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::commands::parse::parse_repo;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::repos::Repos;
use crate::report::Report;

/// From now on the repository's file pins this document: what contradicts it is not followed.
pub(super) async fn settle(
    name: &str,
    document: Option<&str>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let pin = document.map(parse_pin).transpose()?;
    let repos = Repos::of(&session.home);
    let followed = repos.find(&parse_repo(name)?)?;
    let alias = followed.alias.as_str();
    let known = repo(alias, client).await?;
    let Some(pin) = pin else {
        return which(alias, &known, session);
    };
    let own = known.line.version == pin.version && known.root_sha256 == Some(pin.sha256);
    let mut rivals = known.rivals.iter();
    if !own && !rivals.any(|r| (r.version, r.sha256) == (pin.version, pin.sha256)) {
        let message = format!(
            "no root document {}:{} of `{alias}` is here",
            pin.version, pin.sha256
        );
        let hint = Hint::new(format!("skep repo settle {alias} says which there are"));
        return Err(CliError::new(Exit::NotFound, message, hint));
    }
    let question = format!(
        "Follow the branch of root document {} {} of `{alias}` from now on? Compare the hash with \
         what its root keys' holders say over another channel",
        pin.version, pin.sha256
    );
    if !session.ui.confirm(&question, false)? {
        let hint = format!("skep repo settle {alias} says which there are");
        return Err(CliError::usage("nothing was chosen", Hint::new(hint)));
    }
    let edited = with_root(&followed.text, &pin).map_err(|e| {
        let hint = Hint::new(format!(
            "edit the file of {}",
            quoted(&session.home.repos_dir())
        ));
        CliError::usage("the repository's file cannot be changed", hint).because(&e)
    })?;
    repos.edit(&followed.alias, &edited)?;
    match client.ask(Request::Reload).await? {
        Response::Done => {}
        other => return Err(unexpected(&other)),
    }
    let now = repo(alias, client).await?;
    Ok(report(alias, &now))
}

fn report(alias: &str, now: &Repo) -> Report {
    Report::answer("repo.settle")
        .fact("alias", alias)
        .fact("root_document", now.line.version)
        .fact("root_sha256", now.root_sha256.map(|hash| hash.to_string()))
        .fact("state", now.line.state.as_str())
}

/// What there is to choose from; nothing, usually.
fn which(alias: &str, known: &Repo, session: &Session<'_>) -> Result<Report> {
    if known.rivals.is_empty() {
        session
            .ui
            .say("nothing to settle: no root document contradicts those that are followed");
        return Ok(report(alias, known));
    }
    let mut error = CliError::usage(
        format!("which root document of `{alias}` shall be followed?"),
        Hint::new(format!("skep repo settle {alias} VERSION:SHA256")),
    );
    if let Some(sha256) = known.root_sha256 {
        error = error.detail("followed", format!("{}:{sha256}", known.line.version));
    }
    let rivals = known.rivals.iter();
    let rivals = rivals.map(|rival| format!("{}:{}", rival.version, rival.sha256));
    Err(rivals.fold(error, |error, rival| error.detail("rival", rival)))
}

/// `VERSION:SHA256`.
fn parse_pin(document: &str) -> Result<Pin> {
    let parts = document.split_once(':');
    let pin = parts.and_then(|(version, sha256)| {
        Some(Pin {
            version: version.parse().ok()?,
            sha256: sha256.parse::<Sha256>().ok()?,
        })
    });
    pin.ok_or_else(|| {
        CliError::usage(
            format!("`{document}` names no root document"),
            Hint::new(
                "its version, a colon, and its SHA-256 in hex, as skep repo show prints them",
            ),
        )
    })
}
