//! Taking what is new of a .skep file. A repository that is not followed yet is followed once the
//! whole file was checked: by the root document in it, which `--expect` or a person vouches for.

use std::fs::File;
use std::path::{Path, PathBuf};

use skep_proto::control::{Bundle, BundleRepo, Request};
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::trust::file::{Pin, RepoFile};

use super::said::{as_report, say};
use super::{about, as_bundle, ask, open_regular};
use crate::client::Client;
use crate::commands::Session;
use crate::commands::repo::alias_of;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::repos::Repos;
use crate::report::Report;

/// How a file is taken.
pub(crate) struct Import {
    pub(crate) expect: Option<RepoId>,
    pub(crate) dry_run: bool,
    pub(crate) older: bool,
    /// Peers are offered its files.
    pub(crate) offer: bool,
}

/// The repository that a person named.
pub(super) fn expected(text: Option<&str>) -> Result<Option<RepoId>> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|e| {
        let hint = Hint::new("skep repo show REPO, where it is followed, prints its id");
        CliError::usage("`--expect` takes the id of a repository", hint).because(&e)
    })
}

pub(super) async fn import_all(
    files: &[PathBuf],
    how: &Import,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    // A file that is refused is found before another one is taken.
    if files.len() > 1 && !how.dry_run {
        for path in files {
            let checked = check(path, how.expect, session, client).await;
            checked.map_err(|error| about(path, error))?;
        }
    }
    let mut taken = Vec::new();
    for path in files {
        let bundle = import(path, how, session, client).await;
        let bundle = bundle.map_err(|error| {
            let error = about(path, error);
            let before = files.iter().take(if how.dry_run { 0 } else { taken.len() });
            before.fold(error, |error, path| {
                error.detail("taken before", quoted(path))
            })
        })?;
        say(&bundle, how.dry_run, session);
        taken.push(bundle);
    }
    if how.dry_run {
        session.ui.say("nothing was taken (dry run)");
    }
    Ok(as_report("bundle.import", &taken))
}

/// Takes one file.
pub(crate) async fn import(
    path: &Path,
    how: &Import,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Bundle> {
    let expect = how.expect;
    let (checked, file) = check(path, expect, session, client).await?;
    if how.dry_run {
        return Ok(checked);
    }
    for repo in checked.repos.iter().filter(|repo| repo.alias.is_none()) {
        follow(repo, expect == Some(repo.id), session, client).await?;
    }
    let request = Request::ImportBundle {
        expect,
        older: how.older,
        offer: how.offer,
    };
    as_bundle(ask("taking what is new", request, file, session, client).await?)
}

/// Reads one file to its end; gives what it has, and the file.
async fn check(
    path: &Path,
    expect: Option<RepoId>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<(Bundle, File)> {
    let file = open_regular(path)?;
    let again = file
        .try_clone()
        .map_err(|e| CliError::io("open", path, &e))?;
    let request = Request::CheckBundle { expect };
    let checked = as_bundle(ask("checking the file", request, file, session, client).await?)?;
    Ok((checked, again))
}

/// Follows a repository by the root document in a file.
async fn follow(
    repo: &BundleRepo,
    expected: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    if !expected {
        session.ui.say(&format!(
            "the file is of a repository that calls itself `{}`:\n{}\ncompare its id with the one that its owner tells",
            repo.name, repo.id
        ));
        let question = format!("follow the repository {}?", repo.id);
        if !session.ui.confirm(&question, false)? {
            let hint = format!("skep bundle import FILE --expect {}", repo.id);
            let message = format!("the repository {} is not followed", repo.id);
            return Err(CliError::new(Exit::Untrusted, message, Hint::new(hint)));
        }
    }
    let _lock = session.home.lock(session.ui).await?;
    let repos = Repos::of(&session.home);
    match repos.find(&RepoRef::Id(repo.id)) {
        Ok(_) => {}
        Err(error) if error.exit == Exit::NotFound => {
            let taken: Vec<_> = repos.list()?.into_iter().map(|f| f.alias).collect();
            let alias = alias_of(&repo.name, &repo.id, &taken)?;
            let file = RepoFile {
                id: repo.id,
                root: Pin {
                    version: repo.version,
                    sha256: repo.root_sha256,
                },
                peers: Vec::new(),
                keep: Vec::new(),
                kept: Vec::new(),
                share: None,
                trust: Vec::new(),
            };
            repos.add(&alias, &file.to_text())?;
            session
                .ui
                .say(&format!("`{alias}` is followed from now on"));
        }
        Err(error) => return Err(error),
    }
    client.ask(Request::Reload).await.map(|_| ())
}
