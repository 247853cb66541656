//! `skep get ./x.skep`: the file is taken as `skep bundle import` takes it, then the release in it is
//! got as any other.

use std::path::Path;

use skep_proto::control::{Bundle, BundleRelease};

use super::{asked, get_release};
use crate::args::get::Get;
use crate::client::Client;
use crate::commands::Session;
use crate::commands::bundle::{Import, import};
use crate::error::{CliError, Hint, Result, quoted};
use crate::report::Report;

/// Whether a reference is a file: no name of a package has a dot, or begins with one.
pub(super) fn is_file(reference: &str) -> bool {
    reference.ends_with(".skep")
        || ["./", "../", "/"]
            .iter()
            .any(|way| reference.starts_with(way))
}

pub(super) async fn get_from(
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let path = Path::new(&args.reference);
    let how = Import {
        expect: None,
        dry_run: false,
        // What is held says what is trusted; the file has the bytes.
        older: true,
        offer: false,
    };
    let bundle = import(path, &how, session, client).await?;
    let reference = only_release(&bundle, path)?;
    asked(&reference, None, args, session, client).await?;
    get_release(&reference, args, session, client).await
}

/// The release of a file that has one.
fn only_release(bundle: &Bundle, path: &Path) -> Result<String> {
    let releases = bundle.repos.iter().flat_map(|repo| {
        let called = repo
            .alias
            .as_ref()
            .map_or_else(|| repo.id.to_string(), ToString::to_string);
        let releases = repo.releases.iter();
        releases.map(move |of| (format!("{called}/{}@{}", of.name, of.line.version), of))
    });
    let releases: Vec<(String, &BundleRelease)> = releases.collect();
    match releases.as_slice() {
        [(only, _)] => Ok(only.clone()),
        [] => {
            let hint = Hint::new(format!("skep bundle show {}", quoted(path)));
            let message = format!("no release in `{}` is whole", path.display());
            Err(CliError::usage(message, hint))
        }
        [(first, _), ..] => {
            // The newest that can be got: a yanked one would be refused.
            let usable = |of: &&(String, &BundleRelease)| !of.1.line.yanked && !of.1.line.suspended;
            let newest = releases.iter().filter(usable);
            let newest = newest.max_by_key(|(_, of)| &of.line.version);
            let meant = newest.map_or(first, |(meant, _)| meant);
            let hint = Hint::new(format!("it was taken; now: skep get {meant}"));
            let message = format!("`{}` has several releases", path.display());
            let error = CliError::usage(message, hint);
            let release = |error: CliError, (called, _)| error.detail("release", called);
            Err(releases.into_iter().fold(error, release))
        }
    }
}
