//! `skep get`: trust is decided before anything is fetched, and again at the end.

mod ask;
mod file;
mod folder;
mod snippet;

use std::collections::BTreeSet;
use std::path::Path;

use skep_proto::control::{Release, Request, Response};
use skep_proto::hash::Blake3;
use skep_proto::id::HandleId;
use skep_proto::package::dsse::{IN_TOTO, envelope};
use skep_proto::package::manifest::Manifest;
use skep_proto::ticket::Ticket;

use file::{get_from, is_file, take_release};

use super::parse::parse_package;
use super::release::{against, called, checked_manifest, refused, release, signatures};
use super::repo::{follow, known_or_online, parse_ticket};
use super::trust::{believe_for, publisher_line};
use super::{Session, contents, lookalike};
use crate::args::get::{Get, Snippet};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::report::{Report, Value};
use snippet::Target;

pub(crate) async fn run(args: &Get, session: &Session<'_>) -> Result<Report> {
    if let Some(path) = file_of(args) {
        // Everything that proves it is in the file: nobody is asked.
        let mut client = Client::connect_offline(session).await?;
        let got = get_from(path, args, session, &mut client).await;
        client.close().await;
        return got;
    }
    let is_ticket = args.reference.trim_start().starts_with("skept1");
    let ticket = if is_ticket {
        Some(parse_ticket(&args.reference)?)
    } else {
        parse_package(&args.reference, "get")?;
        None
    };
    if let Some(ticket) = &ticket {
        known_or_online(ticket, session)?;
    }
    let mut client = match args.snippet {
        None => Client::connect(session).await?,
        Some(_) => running(session).await?,
    };
    let got = get(ticket.as_ref(), args, session, &mut client).await;
    client.close().await;
    got
}

/// The .skep file that is meant.
fn file_of(args: &Get) -> Option<&Path> {
    is_file(&args.reference).then(|| Path::new(&args.reference))
}

/// The node that runs: one in here has no gateway that others could ask.
async fn running(session: &Session<'_>) -> Result<Client> {
    Client::running(session).await?.ok_or_else(|| {
        let message = "no node is running, and a snippet is printed once its gateway has answered";
        CliError::new(Exit::Unreachable, message, Hint::new("skep node run"))
    })
}

/// What came of a release whose files are here.
struct Handed {
    report: Report,
    said: String,
    warnings: Vec<String>,
}

async fn get(
    ticket: Option<&Ticket>,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let reference = match ticket {
        Some(ticket) => by_ticket(ticket, args, session, client).await?,
        None => args.reference.clone(),
    };
    get_release(&reference, args, session, client).await
}

async fn get_release(
    reference: &str,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let target = match args.snippet {
        Some(Snippet::L3afd) => Some(Target::of(args, session, client).await?),
        None => None,
    };
    if args.normal {
        session.ui.warn("normal mode: your policy is skipped for this release; hashes and signatures still hold");
    }
    let release = release(request(reference, args), client).await?;
    let (found, _) = checked_manifest(&release)?;
    if args.dsse {
        return Ok(dsse(&release));
    }
    if !release.admitted {
        return Err(refused(&release));
    }
    let bytes: u64 = found.files.iter().map(|file| file.size).sum();
    session.ui.if_interrupted(
        format!(
            "interrupted; what was fetched of `{}@{}` is kept",
            called(&release),
            release.version
        ),
        Hint::new(format!("to go on from there: {}", again(&release, args))),
    );
    for line in against(&release, "deprecated") {
        session.ui.warn(&line);
    }
    bring(&release, bytes, args, session, client).await?;
    let target = target.as_ref();
    let handed = match hand_over(&release, &found, args, target, session, client).await {
        // What was fetched long ago may be spoiled by now.
        Err(error)
            if error.exit == Exit::Untrusted
                && is_spoiled(&release, &found, session, client).await? =>
        {
            bring(&release, bytes, args, session, client).await?;
            hand_over(&release, &found, args, target, session, client).await?
        }
        handed => handed?,
    };
    admitted_still(&release, args, client).await?;
    session.ui.say(&handed.said);
    for warning in &handed.warnings {
        session.ui.warn(warning);
    }
    Ok(handed.report)
}

fn request(reference: &str, args: &Get) -> Request {
    Request::Release {
        package: reference.to_owned(),
        normal: args.normal,
        allow_yanked: args.allow_yanked,
        accept_change: args.accept_change,
    }
}

/// The line that gets this very release.
fn again(release: &Release, args: &Get) -> String {
    let mut line = match file_of(args) {
        Some(path) => format!("skep get {}", quoted(path)),
        None => format!("skep get {}@{}", called(release), release.version),
    };
    if args.snippet.is_some() {
        line.push_str(" --snippet l3afd");
        let place = &args.place;
        let direction = place.direction.map(|direction| direction.to_string());
        for (flag, value) in [
            ("--iface", &place.iface),
            ("--host", &place.host),
            ("--platform", &place.platform),
            ("--program", &place.program),
            ("--direction", &direction),
        ] {
            if let Some(value) = value {
                line.push_str(&format!(" {flag} {}", quoted(Path::new(value))));
            }
        }
    }
    if args.output != Path::new(".") {
        line.push_str(&format!(" -o {}", quoted(&args.output)));
    }
    let flags = [
        (args.normal, "--normal"),
        (args.allow_yanked, "--allow-yanked"),
        (args.accept_change, "--accept-change"),
    ];
    for (_, flag) in flags.iter().filter(|(given, _)| *given) {
        line.push(' ');
        line.push_str(flag);
    }
    line
}

/// Follows the repository of a ticket, asks about trust if it must, and gives the reference.
async fn by_ticket(
    ticket: &Ticket,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<String> {
    let alias = follow(ticket, None, session, client).await?;
    let Some(package) = &ticket.package else {
        return Err(list_packages(alias.as_str(), client).await?);
    };
    let reference = format!("{alias}/{package}");
    asked(&reference, ticket.handle.as_ref(), args, session, client).await?;
    Ok(reference)
}

/// Asks whether its publisher is to be trusted, if that is all that speaks against a release. A
/// ticket names the `handle` that was recommended.
pub(super) async fn asked(
    reference: &str,
    handle: Option<&HandleId>,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let release = release(request(reference, args), client).await?;
    checked_manifest(&release)?;
    let only_trust = release
        .facts
        .iter()
        .filter(|fact| fact.outcome == skep_proto::control::FactOutcome::Fail)
        .all(|fact| fact.check == "publisher");
    if release.admitted || !only_trust {
        return Ok(());
    }
    // Another owner now is not what was recommended.
    if handle.is_some_and(|handle| *handle != release.owner.id) {
        return Err(refused(&release));
    }
    session.ui.say(&publisher_line(&release.owner));
    if let Some(alias) = &release.alias {
        lookalike::warn(alias, Some(&release.name), session)?;
    }
    let question = format!("trust {} for {reference}?", release.owner.label);
    if !session.ui.confirm(&question, false)? {
        return Err(refused(&release));
    }
    believe_for(&release, session, client).await
}

/// A ticket without a package lists them.
async fn list_packages(alias: &str, client: &mut Client) -> Result<CliError> {
    let request = Request::Packages {
        repo: alias.to_owned(),
    };
    let packages = match client.ask(request).await? {
        Response::Packages { packages } => packages,
        other => return Err(unexpected(&other)),
    };
    let first = packages.first().map(|package| package.name.to_string());
    let hint = match &first {
        Some(name) => Hint::new(format!("skep get {alias}/{name}")),
        None => Hint::new("ask its publisher: there is no package yet"),
    };
    let mut error = CliError::usage(
        format!("this ticket leads to the repository `{alias}`, and names no package"),
        hint,
    );
    for package in packages {
        error = error.detail("package", format!("{alias}/{}", package.name));
    }
    Ok(error)
}

fn dsse(release: &Release) -> Report {
    let text = envelope(IN_TOTO, &release.payload.0, &signatures(release));
    Report::answer("get.dsse").verbatim("envelope", text)
}

/// Has the node take what is missing: of the file that is meant, else from peers.
async fn bring(
    release: &Release,
    bytes: u64,
    args: &Get,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    match file_of(args) {
        Some(path) => take_release(path, release, session, client).await,
        None => fetch(release, bytes, session, client).await,
    }
}

/// Has the node fetch what is missing, and shows how far it is.
async fn fetch(
    release: &Release,
    bytes: u64,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let request = Request::Fetch {
        repo: release.repo,
        name: release.name.clone(),
        version: release.version.clone(),
        manifest: release.manifest,
    };
    let (send, mut heard) = tokio::sync::mpsc::channel(16);
    let mut progress = session.ui.progress("fetching", Some(bytes));
    // A full channel means that the bar is slow: what it misses, the next one says.
    let asked = client.ask_long(request, move |done, _| {
        send.try_send(done).ok();
    });
    tokio::pin!(asked);
    let answered = loop {
        tokio::select! {
            answered = &mut asked => break answered,
            Some(done) = heard.recv() => progress.at(done),
        }
    };
    match answered {
        Ok(Response::Done) => progress.done("fetched"),
        Ok(other) => return Err(unexpected(&other)),
        Err(error) if error.exit == Exit::Unreachable && session.global.offline => {
            let message = format!(
                "not every file of `{}@{}` is here, and offline nobody can be asked",
                called(release),
                release.version
            );
            let hint = Hint::new("the same again without --offline");
            return Err(CliError::new(Exit::Unreachable, message, hint));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reads the files from the store and checks them; writes them, or says what a tool is given for them.
async fn hand_over(
    release: &Release,
    found: &Manifest,
    args: &Get,
    target: Option<&Target>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Handed> {
    if let Some(target) = target {
        return snippet::l3afd(release, found, args, target, client).await;
    }
    let files = contents::checked_files(found, client).await?;
    let folder = folder::write(release, &files, &args.output, session, client).await?;
    let size: u64 = files.iter().map(|file| file.size).sum();
    let said = format!(
        "{} {}   {}   b3 and sha256 verified   {}",
        release.name,
        release.version,
        match files.len() {
            1 => "1 file".to_owned(),
            several => format!("{several} files"),
        },
        quoted(&folder)
    );
    let report = Report::answer("get")
        .fact("package", called(release))
        .fact("version", release.version.to_string())
        .fact("manifest", release.manifest.to_string())
        .fact("files", files.len() as u64)
        .fact("size", Value::Size(size))
        .fact("folder", folder.as_path());
    Ok(Handed {
        report,
        said,
        warnings: Vec::new(),
    })
}

/// Has the node read every file of the release again: whether the disk has spoiled one, which it has
/// set aside then.
async fn is_spoiled(
    release: &Release,
    found: &Manifest,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<bool> {
    // One that lists the others is itself checked, and may be the spoiled one.
    let listed = contents::known_here(found, client).await;
    let (listed, _) = listed.unwrap_or_default();
    let all = found.files.iter().chain(listed.iter().flatten());
    let hashes: BTreeSet<Blake3> = all.map(|file| file.blake3).collect();
    let mut spoiled = 0;
    for hash in hashes {
        let request = Request::RecheckBlob { hash };
        match client.ask(request).await {
            Ok(_) => {}
            Err(error) if error.exit == Exit::NotFound => spoiled += 1,
            Err(error) => return Err(error),
        }
    }
    if spoiled > 0 {
        session.ui.warn(&format!(
            "the disk has spoiled {spoiled} of the files of `{}@{}`, which are set aside and fetched \
             again: skep doctor",
            called(release),
            release.version
        ));
    }
    Ok(spoiled > 0)
}

/// Decides once more, on what the node knows now, and remembers what was admitted.
async fn admitted_still(before: &Release, args: &Get, client: &mut Client) -> Result<()> {
    let exact = format!("{}/{}@{}", before.repo, before.name, before.version);
    let now = release(request(&exact, args), client).await?;
    if !now.admitted || now.manifest != before.manifest {
        return Err(refused(&now));
    }
    if args.normal {
        return Ok(());
    }
    let admit = Request::Admit {
        repo: now.repo,
        name: now.name,
        version: now.version,
        manifest: now.manifest,
    };
    client.ask(admit).await.map(|_| ())
}
