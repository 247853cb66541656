//! `--yank`, `--deprecate` and their `--undo`: what an owner says of what is published.

use skep_proto::control::{Request, Response};
use skep_proto::log::entry::{self, Body, REASON_BYTES_MAX, StatusState};
use skep_proto::name::{Name, PackageRef, Requirement, Version};

use super::place::{Place, place_in};
use crate::args::publish::Publish;
use crate::author::Author;
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::commands::parse::parse_name;
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::Report;

pub(super) async fn say_status(
    args: &Publish,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    let (text, state) = match (&args.yank, &args.deprecate) {
        (Some(text), _) => (text, StatusState::Yanked),
        (None, Some(text)) => (text, StatusState::Deprecated),
        (None, None) => {
            return Err(CliError::usage(
                "nothing to say",
                Hint::new("skep publish --help"),
            ));
        }
    };
    let reference: PackageRef = text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new("skep publish --yank REPO/NAME@VERSION"),
        )
    })?;
    let version = match reference.requirement {
        Some(Requirement::Exact(version)) => Some(version),
        None if state == StatusState::Deprecated => None,
        _ => {
            let hint = Hint::new("skep publish --yank REPO/NAME@VERSION");
            return Err(CliError::usage("a yank is of one exact version", hint));
        }
    };
    let because = args.because.clone().unwrap_or_default();
    skep_proto::text::check_prose(&because, REASON_BYTES_MAX).map_err(|e| {
        let hint = format!("a plain sentence of at most {REASON_BYTES_MAX} bytes: --because TEXT");
        CliError::usage("this reason cannot be signed", Hint::new(hint)).because(&e)
    })?;
    let successor = args.successor.as_deref().map(parse_name).transpose()?;
    let place = place_in(&reference.repo, session, client).await?;
    if !place.handle.names.contains(&reference.name) {
        return Err(CliError::new(
            Exit::Forbidden,
            format!(
                "`{}` is not a package of yours in `{}`",
                reference.name, place.alias
            ),
            Hint::new(format!("skep info {}/{}", place.alias, reference.name)),
        ));
    }
    exists(&place, &reference.name, version.as_ref(), client).await?;
    if let Some(successor) = &successor {
        if *successor == reference.name {
            let message = format!("`{successor}` cannot be its own successor");
            let hint = "--successor NAME is the package to use instead; without one, leave it out";
            return Err(CliError::usage(message, Hint::new(hint)));
        }
        exists(&place, successor, None, client).await?;
    }
    let verb = match (state, args.undo) {
        (StatusState::Yanked, false) => "yank",
        (StatusState::Yanked, true) => "take the yank back of",
        (StatusState::Deprecated, false) => "deprecate",
        (StatusState::Deprecated, true) => "take the deprecation back of",
    };
    let of = version
        .as_ref()
        .map_or(String::new(), |version| format!("@{version}"));
    let what = format!("{}/{}{of}", place.alias, reference.name);
    if state == StatusState::Yanked && !session.ui.confirm(&format!("{verb} {what}?"), false)? {
        return Err(CliError::usage(
            "nothing was said",
            Hint::new("the same again with --yes"),
        ));
    }
    let said = Body::Status(entry::Status {
        name: reference.name.clone(),
        version,
        state,
        on: !args.undo,
        reason: because,
        successor,
    });
    let signing = place.open(session)?;
    let mut author = Author::open(&session.home, place.repo, &signing, client).await?;
    author.say(vec![said], client).await?;
    Ok(Report::answer("publish.status")
        .fact("of", what)
        .fact(
            "state",
            if state == StatusState::Yanked {
                "yanked"
            } else {
                "deprecated"
            },
        )
        .fact("on", !args.undo))
}

async fn exists(
    place: &Place,
    name: &Name,
    version: Option<&Version>,
    client: &mut Client,
) -> Result<()> {
    let request = Request::Packages {
        repo: place.repo.to_string(),
    };
    let packages = match client.ask(request).await? {
        Response::Packages { packages } => packages,
        other => return Err(unexpected(&other)),
    };
    let package = packages.iter().find(|package| package.name == *name);
    let found = match (package, version) {
        (Some(package), Some(version)) => package.releases.iter().any(|r| r.version == *version),
        (Some(_), None) => true,
        (None, _) => false,
    };
    match found {
        true => Ok(()),
        false => Err(CliError::new(
            Exit::NotFound,
            match package {
                Some(_) => format!("there is no such release of `{name}` in `{}`", place.alias),
                None => format!("there is no package `{name}` in `{}`", place.alias),
            },
            Hint::new(match package {
                Some(_) => format!("skep info {}/{name}", place.alias),
                None => format!("skep repo show {}", place.alias),
            }),
        )),
    }
}
