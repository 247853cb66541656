//! Taking what is new of .skep files. All are checked to their ends first; a repository that is not
//! followed yet is then followed by the root document in its file, which `--expect` or a person
//! vouches for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use skep_proto::bundle::NAMED_REPOS_MAX;
use skep_proto::control::{Bundle, BundleRepo, Request, Take};
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::trust::file::{Pin, RepoFile};

use super::said::{above_quota, as_report, say};
use super::{about, as_bundle, ask, open_regular};
use crate::client::Client;
use crate::commands::Session;
use crate::commands::repo::alias_of;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::repos::Repos;
use crate::report::Report;

/// How files are taken.
pub(super) struct Import {
    pub(super) expect: BTreeSet<RepoId>,
    pub(super) dry_run: bool,
    pub(super) older: bool,
}

/// The repositories that a person named.
pub(super) fn expected(ids: &[String]) -> Result<BTreeSet<RepoId>> {
    let parsed = ids.iter().map(|id| id.parse::<RepoId>());
    let parsed: std::result::Result<_, _> = parsed.collect();
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
    let mut checked = Vec::new();
    for path in files {
        let bundle = check(path, &how.expect, session, client).await;
        checked.push(bundle.map_err(|error| about(path, error))?);
    }
    if let Some(over) = above_quota(&checked) {
        session.ui.warn(&over);
    }
    if how.dry_run {
        checked.iter().for_each(|bundle| say(bundle, true, session));
        session.ui.say("nothing was taken (dry run)");
        return Ok(as_report("bundle.import", &checked));
    }
    let followed = follow(&checked, &how.expect, session, client).await;
    // Of several files a person is asked about none in particular.
    followed.map_err(|error| match files {
        [path] => about(path, error),
        _ => error,
    })?;
    let mut taken = Vec::new();
    for path in files {
        let request = Request::ImportBundle {
            expect: how.expect.clone(),
            older: how.older,
            take: Take::All,
        };
        let bundle = take(path, request, session, client).await;
        let bundle = bundle.map_err(|error| {
            let before = files.iter().take(taken.len());
            before.fold(about(path, error), |error, path| {
                error.detail("taken before", quoted(path))
            })
        })?;
        say(&bundle, false, session);
        taken.push(bundle);
    }
    Ok(as_report("bundle.import", &taken))
}

/// Takes of a file what is asked for.
pub(crate) async fn take(
    path: &Path,
    request: Request,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Bundle> {
    let file = open_regular(path)?;
    as_bundle(ask("taking what is new", request, file, session, client).await?)
}

/// Reads a file to its end; gives what it has.
pub(crate) async fn check(
    path: &Path,
    expect: &BTreeSet<RepoId>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Bundle> {
    let file = open_regular(path)?;
    let expect = expect.clone();
    let request = Request::CheckBundle { expect };
    as_bundle(ask("checking the file", request, file, session, client).await?)
}

/// Follows the repositories that files are of by the root documents in them, once a person has
/// vouched for all that are not followed yet.
pub(crate) async fn follow(
    bundles: &[Bundle],
    expect: &BTreeSet<RepoId>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let all = bundles.iter().flat_map(|bundle| &bundle.repos);
    let mut new: Vec<&BundleRepo> = Vec::new();
    for repo in all.clone().filter(|repo| repo.alias.is_none()) {
        if !new.iter().any(|known| known.id == repo.id) {
            new.push(repo);
        }
    }
    for repo in new.iter().filter(|repo| !expect.contains(&repo.id)) {
        session.ui.say(&format!(
            "the file is of a repository that calls itself `{}`:\n{}\ncompare its id with the one that its owner tells",
            repo.name, repo.id
        ));
        let question = format!("follow the repository {}?", repo.id);
        if !session.ui.confirm(&question, false)? {
            let message = format!("the repository {} is not followed", repo.id);
            let hint = Hint::new(expecting(all.map(|repo| repo.id).collect()));
            return Err(CliError::new(Exit::Untrusted, message, hint));
        }
    }
    for repo in new {
        follow_one(repo, session, client).await?;
    }
    Ok(())
}

/// What to type for files of these repositories.
fn expecting(ids: BTreeSet<RepoId>) -> String {
    if ids.len() > NAMED_REPOS_MAX {
        return "skep bundle import FILE, with --expect ID for each that skep bundle show FILE lists"
            .to_owned();
    }
    let flags: Vec<String> = ids.iter().map(|id| format!(" --expect {id}")).collect();
    format!("skep bundle import FILE{}", flags.concat())
}

async fn follow_one(repo: &BundleRepo, session: &Session<'_>, client: &mut Client) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use skep_proto::hash::Sha256;

    use super::*;

    #[test]
    fn a_few_repositories_are_named_in_the_line_to_type() {
        let ids = |count: usize| -> BTreeSet<RepoId> {
            let bytes = (0..count).map(|n| n.to_be_bytes());
            bytes
                .map(|n| RepoId::from_hash(Sha256::of(&[&n])))
                .collect()
        };
        let line = expecting(ids(NAMED_REPOS_MAX));
        assert_eq!(line.matches(" --expect skep1").count(), NAMED_REPOS_MAX);
        let line = expecting(ids(NAMED_REPOS_MAX + 1));
        assert!(line.contains("skep bundle show FILE"), "{line}");
    }
}
