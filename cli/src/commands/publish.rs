//! `skep publish`: packed, signed where the key is, and given to the node as a peer would give it.

mod package;
mod place;
mod status;

use skep_proto::control::{Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::log::entry::{self, Body};
use skep_proto::name::{Name, Version};
use skep_proto::package::dsse;
use skep_proto::package::source::{Assembled, Problem, assemble};

use super::{Session, bundle};
use crate::args::publish::Publish;
use crate::author::Author;
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, could_not};
use crate::report::{Report, Value};

use package::{Package, put_files, remember_repository};
use place::{Place, Where, first_place, own_name, place};
use status::say_status;

pub(crate) async fn run(args: &Publish, session: &Session<'_>) -> Result<Report> {
    let package = match (&args.yank, &args.deprecate) {
        (None, None) => Some(Package::read(&args.dir, session.ui)?),
        _ => None,
    };
    let output = args.to.as_deref().map(bundle::Output::begin).transpose()?;
    let mut client = match args.dry_run {
        true => Client::looking(session).await?,
        false => Client::connect(session).await?,
    };
    let done = match &package {
        Some(package) => publish(package, args, output, session, &mut client).await,
        None => say_status(args, session, &mut client).await,
    };
    client.close().await;
    done
}

async fn publish(
    package: &Package<'_>,
    args: &Publish,
    output: Option<bundle::Output>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    // Problems of the package come before any question.
    let nowhere = RepoId::from_hash(Sha256::of(&[]));
    let draft = assemble(&package.source, &nowhere, &package.found).map_err(|p| problems(&p))?;
    let place = match place(package, args, session, client).await? {
        Where::In(place) => *place,
        Where::First(alias) if args.dry_run => return Ok(first_dry_run(&draft, &alias, session)),
        Where::First(alias) => first_place(&alias, session, client).await?,
    };
    let assembled = assemble(&package.source, &place.repo, &package.found);
    let assembled = assembled.map_err(|p| problems(&p))?;
    let manifest = &assembled.manifest;
    let payload = manifest
        .to_payload()
        .map_err(|e| could_not("write the manifest", &e))?;
    let hash = skep_proto::package::manifest::manifest_hash(&payload);
    let size: u64 = manifest.files.iter().map(|file| file.size).sum();
    let called = format!("{}/{}@{}", place.alias, manifest.name, manifest.version);
    let report = Report::answer("publish")
        .fact("release", called.as_str())
        .fact("files", manifest.files.len() as u64)
        .fact("size", Value::Size(size))
        .fact("manifest", hash.to_string())
        .fact("signed_by", place.key.file.key().fingerprint());
    let exact = format!("{}/{}@{}", place.repo, manifest.name, manifest.version);
    if already(&place, &manifest.name, &manifest.version, hash, client).await? {
        session.ui.say(&format!("already published: {called}"));
        if !args.dry_run {
            // The disk may have spoiled a file, or that they are offered.
            offer(package, &assembled, (place.repo, hash), session, client).await?;
            // The command that published it may have been ended before it could.
            remember_repository(package, &place.repo, session.ui);
        }
        return packed(report, &exact, output, session, client).await;
    }
    if args.dry_run {
        session.ui.say("nothing was signed or kept (dry run)");
        return Ok(report.verbatim("payload", String::from_utf8_lossy(&payload)));
    }
    let signing = place.open(session)?;
    own_name(&place, &manifest.name, args.alone, session, client).await?;
    offer(package, &assembled, (place.repo, hash), session, client).await?;
    let said = Body::Publish(entry::Publish {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        signatures: dsse::sign(dsse::IN_TOTO, &payload, &signing),
        payload,
    });
    let mut author = Author::open(&session.home, place.repo, &signing, client).await?;
    // What an interrupted command had signed is told to the node only now, and another command may
    // have been faster: from here on nobody else signs with this key.
    if !already(&place, &manifest.name, &manifest.version, hash, client).await? {
        author.say(vec![said], client).await?;
    }
    remember_repository(package, &place.repo, session.ui);
    let published = (&manifest.name, &manifest.version);
    next_step(&place, published, session, client).await?;
    packed(report, &exact, output, session, client).await
}

/// Writes the release into a file as well, where one was named.
async fn packed(
    report: Report,
    exact: &str,
    output: Option<bundle::Output>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let Some(output) = output else {
        return Ok(report);
    };
    let path = output.path().to_owned();
    bundle::export(&[exact.to_owned()], output, session, client).await?;
    Ok(report.fact("file", path.as_path()))
}

/// The files are in the store, and the node offers them to its peers from now on.
async fn offer(
    package: &Package<'_>,
    assembled: &Assembled,
    (repo, manifest): (RepoId, Sha256),
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let blobs = put_files(package, assembled, session.ui, client).await?;
    let request = Request::Publish {
        repo,
        manifest,
        blobs,
    };
    client.ask(request).await.map(|_| ())
}

/// What a first publish would do. The manifest names the repository, whose id is not known before
/// it is made: there is no payload to show.
fn first_dry_run(draft: &Assembled, alias: &Name, session: &Session<'_>) -> Report {
    let manifest = &draft.manifest;
    let size = manifest.files.iter().map(|file| file.size).sum();
    session.ui.say(&format!(
        "the repository `{alias}` would be created first\nnothing was signed or kept (dry run)"
    ));
    Report::answer("publish")
        .fact(
            "release",
            format!("{alias}/{}@{}", manifest.name, manifest.version),
        )
        .fact("files", manifest.files.len() as u64)
        .fact("size", Value::Size(size))
        .fact("manifest", Value::None)
        .fact("signed_by", Value::None)
}

/// Whether this very manifest is published; another one under the version is an error.
async fn already(
    place: &Place,
    name: &Name,
    version: &Version,
    hash: Sha256,
    client: &mut Client,
) -> Result<bool> {
    let request = Request::Release {
        package: format!("{}/{name}@{version}", place.repo),
        normal: true,
        allow_yanked: true,
        accept_change: true,
    };
    match client.ask(request).await {
        Ok(Response::Release(release)) if release.manifest == hash => Ok(true),
        Ok(Response::Release(_)) => Err(CliError::new(
            Exit::Failed,
            format!(
                "{}/{name}@{version} is published, with other content",
                place.alias
            ),
            Hint::new("bump the version in skep.toml: a published version never changes"),
        )),
        Ok(other) => Err(unexpected(&other)),
        Err(error) if error.exit == Exit::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn next_step(
    place: &Place,
    (name, version): (&Name, &Version),
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    session
        .ui
        .say(&format!("published {}/{name}@{version}", place.alias));
    if client.is_own() {
        session
            .ui
            .say("kept here; shared while a node runs: run `skep node run` for a ticket");
    } else {
        let repo = place.repo.to_string();
        let ticket = super::repo::ticket(&repo, Some(name), session, client).await?;
        let ticket = ticket.to_text_that_fits();
        session.ui.say(&format!("give a friend: skep get {ticket}"));
    }
    Ok(())
}

fn problems(problems: &[Problem]) -> CliError {
    let first = problems.first();
    let (message, hint) = first.map_or(("", ""), |p| (p.message.as_str(), p.hint.as_str()));
    let mut error = CliError::new(Exit::Failed, message, Hint::new(hint));
    for problem in problems.iter().skip(1) {
        error = error.detail("also", format!("{}; {}", problem.message, problem.hint));
    }
    error
}
