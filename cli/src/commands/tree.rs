//! `mirror --tree`: what a gateway hands to l3afd, as files for `file://` URLs, on a stick or a
//! server that runs nothing.
//!
//! `DIR/REPO/NAME/VERSION/PLATFORM/ARTIFACT`, the bytes that a gateway answers with. The names of two
//! repositories never meet, so `file://DIR/REPO` is the URL of one. l3afd asks by the code name of its
//! distribution, which says nothing about the archive: every word leads to the same file.

mod folder;

use std::collections::BTreeMap;
use std::path::Path;

use skep_proto::control::{Package, Release, Request, Response, Status};
use skep_proto::l3afd::{artifact_of, is_plain};
use skep_proto::render::l3afd::{PLATFORM_LEN_MAX, Platform};

use super::archive::Archive;
use super::release::{called, checked_manifest, reasons, release};
use super::{Session, contents};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::{Report, Table, Value};
use folder::{Folder, Place};

/// The words by which machines ask unless others are given: releases of Ubuntu and Debian that are
/// maintained, or were until lately. Each is one more name of the same file.
const PLATFORMS: [&str; 10] = [
    "bionic", "focal", "jammy", "noble", "plucky", "questing", "buster", "bullseye", "bookworm",
    "trixie",
];
/// Most words: more are a slip.
const PLATFORMS_MAX: usize = 64;
/// The word for the newest release that is admitted, which l3afd's root programs are asked by.
const LATEST: &str = "latest";

/// A release that is not in the tree.
struct LeftOut {
    release: String,
    why: String,
    hint: String,
}

/// Writes the tree and says what is in it; what was in it and is admitted no more goes.
pub(crate) async fn write(
    dir: &Path,
    platforms: &[String],
    session: &Session<'_>,
) -> Result<Report> {
    let platforms = words(platforms)?;
    let mut client = Client::looking(session).await?;
    let written = write_all(dir, &platforms, session, &mut client).await;
    client.close().await;
    written
}

fn words(given: &[String]) -> Result<Vec<&str>> {
    if given.is_empty() {
        return Ok(PLATFORMS.to_vec());
    }
    let hint = || Hint::new("--platform jammy,noble: what `lsb_release -cs` prints there");
    if given.len() > PLATFORMS_MAX {
        let message = format!(
            "{} platforms, where at most {PLATFORMS_MAX} make sense",
            given.len()
        );
        return Err(CliError::usage(message, hint()));
    }
    let mut words: Vec<&str> = given.iter().map(String::as_str).collect();
    words.sort_unstable();
    words.dedup();
    let fits = |word: &&str| is_plain(word) && word.len() <= PLATFORM_LEN_MAX;
    match words.iter().find(|word| !fits(word)) {
        Some(word) => {
            let message = format!("`{word}` is no word for a platform");
            Err(CliError::usage(message, hint()))
        }
        None => Ok(words),
    }
}

async fn write_all(
    dir: &Path,
    platforms: &[&str],
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let home = &session.home;
    let taken = [home.store_dir(), home.keys_dir(), home.repos_dir()];
    let mut folder = Folder::open(dir, &taken)?;
    let mut left_out = Vec::new();
    let mut urls = Table::new(&["repository", "url"]);
    let mut releases = 0_u64;
    let mut progress = session.ui.progress("writing the tree", None);
    for line in status(client).await?.repos {
        let repo = line
            .alias
            .map_or(line.id.to_string(), |alias| alias.to_string());
        let mut any = false;
        for package in packages(&repo, client).await? {
            let newest = newest(&repo, &package, client).await?;
            for version in &package.releases {
                let reference = format!("{repo}/{}@{}", package.name, version.version);
                let one = one(&reference, client).await?;
                let latest = newest
                    .as_ref()
                    .is_some_and(|it| it.manifest == one.manifest);
                let wanted = Wanted {
                    repo: &repo,
                    platforms,
                    latest,
                };
                match wanted.write(&one, &mut folder, client).await {
                    Ok(()) => {
                        any = true;
                        releases += 1;
                    }
                    Err(Failed::LeftOut(one)) => left_out.push(one),
                    Err(Failed::Whole(error)) => return Err(error),
                }
                progress.add(1);
            }
        }
        if any {
            urls.push([repo.as_str().into(), folder.url(&repo).into()]);
        }
    }
    drop(progress);
    let counts = folder.finish()?;
    for file in &counts.kept {
        session.ui.warn(&format!(
            "`{file}` is not what was written there, and stays"
        ));
    }
    let mut table = Table::new(&["release", "why", "hint"]);
    for one in left_out {
        table.push([one.release.into(), one.why.into(), one.hint.into()]);
    }
    Ok(Report::answer("mirror.tree")
        .fact("folder", folder.path())
        .fact("releases", releases)
        .fact("files", counts.files)
        .fact("size", Value::Size(counts.size_bytes))
        .fact("written", counts.written)
        .fact("removed", counts.removed)
        .table("urls", urls)
        .table("left_out", table))
}

async fn status(client: &mut Client) -> Result<Status> {
    match client.ask(Request::Status).await? {
        Response::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

async fn packages(repo: &str, client: &mut Client) -> Result<Vec<Package>> {
    let request = Request::Packages {
        repo: repo.to_owned(),
    };
    match client.ask(request).await? {
        Response::Packages { packages } => Ok(packages),
        other => Err(unexpected(&other)),
    }
}

async fn one(reference: &str, client: &mut Client) -> Result<Release> {
    let request = Request::Release {
        package: reference.to_owned(),
        normal: false,
        allow_yanked: false,
        accept_change: false,
    };
    release(request, client).await
}

/// What `latest` means, as a gateway resolves it.
async fn newest(repo: &str, package: &Package, client: &mut Client) -> Result<Option<Release>> {
    match one(&format!("{repo}/{}", package.name), client).await {
        Ok(release) => Ok(Some(release)),
        Err(error) if error.exit == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a release was not written: it is not to be, or nothing can be.
enum Failed {
    LeftOut(LeftOut),
    Whole(CliError),
}

struct Wanted<'a> {
    repo: &'a str,
    platforms: &'a [&'a str],
    latest: bool,
}

impl Wanted<'_> {
    async fn write(
        &self,
        release: &Release,
        folder: &mut Folder,
        client: &mut Client,
    ) -> std::result::Result<(), Failed> {
        let what = format!("{}@{}", called(release), release.version);
        let left_out = |why: String, hint: String| {
            Failed::LeftOut(LeftOut {
                release: what.clone(),
                why,
                hint,
            })
        };
        // What is wrong with one release is no reason to leave out the others.
        let of_release = |error: CliError| match error.exit {
            Exit::Untrusted | Exit::NotFound => {
                let causes = std::iter::once(error.message).chain(error.causes);
                let why: Vec<String> = causes.collect();
                left_out(
                    why.join(": "),
                    error.hint.text().unwrap_or_default().to_owned(),
                )
            }
            _ => Failed::Whole(error),
        };
        let (manifest, _) = checked_manifest(release).map_err(of_release)?;
        if !release.admitted {
            return Err(left_out(
                format!("not admitted: {}", reasons(release)),
                format!("skep verify --explain {what}"),
            ));
        }
        if !release.held {
            let why = "its files are not here".to_owned();
            return Err(left_out(why, format!("skep get {what}")));
        }
        let files = contents::checked_files(&manifest, client).await;
        let files = files.map_err(of_release)?;
        let artifact = artifact_of(&manifest);
        let mut groups: BTreeMap<Platform, Vec<&str>> = BTreeMap::new();
        for word in self.platforms {
            let platform = Platform::of(word, std::env::consts::ARCH);
            groups.entry(platform).or_default().push(word);
        }
        let versions = [release.version.to_string(), LATEST.to_owned()];
        let versions = &versions[..if self.latest { 2 } else { 1 }];
        for (platform, words) in groups {
            let archive = Archive::of(&what, &files, platform, &artifact, client).await;
            let archive = archive.map_err(of_release)?;
            let hash = archive.blake3(client).await.map_err(of_release)?;
            let mut places = Vec::new();
            for version in versions {
                for word in &words {
                    let parts = [self.repo, release.name.as_str(), version, word];
                    let place = Place::new(parts, &artifact).ok_or_else(|| {
                        let why = format!("`{}` is no path for l3afd", parts.join("/"));
                        left_out(why, format!("skep info {what}"))
                    })?;
                    places.push(place);
                }
            }
            let put = folder.put(&places, &archive, hash, client).await;
            put.map_err(of_release)?;
        }
        Ok(())
    }
}
