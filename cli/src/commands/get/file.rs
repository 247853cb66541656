//! `skep get ./x.skep`: the release of a file is got as any other, but that its logs and its files
//! come from there.

use std::collections::BTreeSet;
use std::path::Path;

use skep_proto::control::{Bundle, BundleRelease, BundleRepo, Release, Request, Take};

use super::{asked, get_release};
use crate::args::get::Get;
use crate::client::Client;
use crate::commands::Session;
use crate::commands::bundle::{check, exact, follow, take};
use crate::error::{CliError, Hint, Result, quoted};
use crate::report::Report;

/// Whether a reference is a file: no name of a package has a dot, or begins with one.
pub(super) fn is_file(reference: &str) -> bool {
    reference.ends_with(".skep")
        || ["./", "../", "/"]
            .iter()
            .any(|way| reference.starts_with(way))
}

/// Decides on what the file and this node know together, as online, before a file of it is taken.
pub(super) async fn get_from(
    path: &Path,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let anything = BTreeSet::new();
    let checked = [check(path, &anything, session, client).await?];
    let [bundle] = &checked;
    let (repo, release) = only_release(bundle, path)?;
    follow(&checked, &anything, session, client).await?;
    let logs = take(path, request(Take::Logs), session, client).await?;
    // By the alias that it has now.
    let repo = logs
        .repos
        .iter()
        .find(|of| of.id == repo.id)
        .unwrap_or(repo);
    let reference = exact(repo, release);
    asked(&reference, None, args, session, client).await?;
    get_release(&reference, args, session, client).await
}

/// Takes the files of a release that was admitted.
pub(super) async fn take_release(
    path: &Path,
    release: &Release,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let of_it = Take::Release {
        repo: release.repo,
        manifest: release.manifest,
    };
    let taken = take(path, request(of_it), session, client).await;
    taken.map(drop)
}

fn request(take: Take) -> Request {
    Request::ImportBundle {
        expect: BTreeSet::new(),
        // What is held says what is trusted; the file has the bytes.
        older: true,
        take,
    }
}

/// The release of a file that has one.
fn only_release<'a>(
    bundle: &'a Bundle,
    path: &Path,
) -> Result<(&'a BundleRepo, &'a BundleRelease)> {
    let repos = bundle.repos.iter();
    let releases = repos.flat_map(|repo| repo.releases.iter().map(move |of| (repo, of)));
    let releases: Vec<(&BundleRepo, &BundleRelease)> = releases.collect();
    match releases.as_slice() {
        [only] => Ok(*only),
        [] => {
            let hint = Hint::new(format!("skep bundle show {}", quoted(path)));
            let message = format!("no release in `{}` is whole", path.display());
            Err(CliError::usage(message, hint))
        }
        several => {
            let hint = Hint::new(format!(
                "skep bundle import {} takes them all; then skep get REPO/NAME@VERSION",
                quoted(path)
            ));
            let message = format!("`{}` has several releases", path.display());
            let error = CliError::usage(message, hint);
            let named = several.iter().map(|(repo, of)| exact(repo, of));
            Err(named.fold(error, |error, named| error.detail("release", named)))
        }
    }
}
