//! A package and one version of it: how it is installed, what it does, who signed it, and what this
//! node thinks of it.

mod contents;
mod install;
mod signatures;
mod versions;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use skep_proto::control::{FactOutcome, Release};
use skep_proto::name::{Name, RepoRef, Requirement, Version};
use skep_proto::repo::view;
use skep_proto::trust;

use super::super::refusals::Refused;
use super::super::{Door, Doors, Mode};
use super::frame::{Frame, day, piece};
use super::query::Query;
use super::rows::Rows;
use super::{Asked, missing, page};
use crate::release;
use crate::snapshot::{RepoSnapshot, Resolved};
use contents::{Contents, L3afd, Readme};
use install::Install;
use signatures::Signature;
use versions::Versions;

#[derive(Template)]
#[template(path = "package.html")]
struct Page {
    frame: Frame,
    repo: String,
    repo_id: String,
    name: String,
    version: String,
    manifest: String,
    publisher: String,
    badges: Vec<Badge>,
    said: Vec<Said>,
    install: Install,
    contents: Contents,
    signatures: Rows<Signature>,
    decision: Vec<Looked>,
    admitted: bool,
    versions: Versions,
}

/// Something about a release in a word or two, with a colour beside it.
struct Badge {
    class: &'static str,
    text: String,
}

impl Badge {
    fn new(class: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { class, text }
    }
}

/// What its owner or a registrar says against it.
struct Said {
    what: String,
    reason: String,
    instead: Option<(String, String)>,
    day: String,
    by: String,
}

/// One thing that a decision looked at.
struct Looked {
    class: &'static str,
    outcome: &'static str,
    check: String,
    text: String,
}

/// What an address names.
pub(super) struct Found {
    pub(super) repo: Arc<RepoSnapshot>,
    pub(super) resolved: Resolved,
}

pub(super) async fn newest(
    state: State<Door>,
    Path((repo, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    page(state, uri, headers, move |asked, frame| {
        let found = find(&asked.door, &repo, &name, None)?;
        make(asked, frame, &found)
    })
    .await
}

pub(super) async fn version(
    state: State<Door>,
    Path((repo, name, version)): Path<(String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    page(state, uri, headers, move |asked, frame| {
        let found = find(&asked.door, &repo, &name, Some(&version))?;
        make(asked, frame, &found)
    })
    .await
}

/// The release that an address names, whether it is admitted or not; the newest without a version.
pub(super) fn find(
    door: &Door,
    repo: &str,
    name: &str,
    version: Option<&str>,
) -> Result<Found, Refused> {
    let bad = |e: &(dyn std::error::Error + 'static)| missing(crate::in_words(e), "");
    let reference: RepoRef = repo.parse().map_err(|e| bad(&e))?;
    let name: Name = name.parse().map_err(|e| bad(&e))?;
    let version = version.map(str::parse::<Version>).transpose();
    let version = version.map_err(|e| bad(&e))?;
    let snapshot = door.doors.node.snapshot();
    let repo = snapshot.repo(&reference).ok_or_else(|| {
        let why = format!("this node does not follow a repository `{reference}`");
        missing(why, "skep repo add TICKET")
    })?;
    let asked = trust::Asked {
        normal: door.mode == Mode::Normal,
        ..trust::Asked::default()
    };
    let resolved = repo.resolve(&name, version.map(Requirement::Exact).as_ref(), &asked);
    let resolved = resolved.map_err(|e| {
        let hint = format!("skep repo show {}", repo.called());
        missing(crate::in_words(&e), hint)
    })?;
    Ok(Found {
        repo: Arc::clone(repo),
        resolved,
    })
}

/// Address of a version's page.
pub(super) fn address(repo: &str, name: &Name, version: &Version) -> String {
    let pieces = [repo, name.as_str(), &version.to_string()].map(piece);
    format!("/p/{}", pieces.join("/"))
}

fn make(asked: &Asked, frame: Frame, found: &Found) -> Result<Page, Refused> {
    let doors = asked.door.doors.as_ref();
    let Found { repo, resolved } = found;
    let store = doors.store.as_ref();
    let described = release::describe(repo, store, resolved);
    let described = described.map_err(|e| super::failed(&crate::in_words(&e)))?;
    let view = repo.view.as_deref();
    let package = view.and_then(|view| view.package(&described.name));
    let (Some(view), Some(package)) = (view, package) else {
        return Err(missing("the package is gone", ""));
    };
    let called = repo.called();
    let here = address(&called, &described.name, &described.version);
    let install = Install::of(&asked.door, &called, &described);
    let contents = Contents::of(doors, repo, &described, &here, install.l3afd_url.as_deref());
    Ok(Page {
        frame,
        repo_id: repo.id.to_string(),
        name: described.name.to_string(),
        version: described.version.to_string(),
        manifest: described.manifest.to_string(),
        publisher: described.owner.label.to_string(),
        badges: badges(&described, &contents, asked.door.mode),
        said: said(&called, repo, doors, package, &described),
        install,
        signatures: Rows::of(
            signatures::of(repo, view, package, &described, &contents).into_iter(),
        ),
        decision: described.facts.iter().map(looked).collect(),
        admitted: described.admitted,
        versions: Versions::of(doors, repo, package, &called, Query::of(&asked.uri).page),
        contents,
        repo: called,
    })
}

fn badges(release: &Release, contents: &Contents, mode: Mode) -> Vec<Badge> {
    let mut badges = vec![match (mode, release.admitted) {
        (Mode::Normal, _) => Badge::new("plain", "trust not asked"),
        (Mode::Trusted, true) => Badge::new("good", "trusted here"),
        (Mode::Trusted, false) => Badge::new("bad", "not trusted here"),
    }];
    let line = &release.line;
    if line.state != "listed" {
        badges.push(Badge::new("bad", line.state.as_str()));
    }
    for (is, word) in [
        (line.yanked, "yanked"),
        (line.deprecated, "deprecated"),
        (line.suspended, "suspended"),
    ] {
        if is {
            badges.push(Badge::new("bad", word));
        }
    }
    badges.push(match release.held {
        true => Badge::new("good", "files on this node"),
        false => Badge::new("plain", "files not on this node"),
    });
    badges.extend(contents.hooks.iter().map(|hook| Badge::new("plain", hook)));
    if !contents.license.is_empty() {
        badges.push(Badge::new("plain", &contents.license));
    }
    badges
}

fn said(
    called: &str,
    repo: &RepoSnapshot,
    doors: &Doors,
    package: &view::Package,
    described: &Release,
) -> Vec<Said> {
    let Some(release) = package.releases.get(&described.version) else {
        return Vec::new();
    };
    let words = release::said(repo, doors.store.as_ref(), package, release);
    let words = words.into_iter().map(|said| Said {
        what: match said.whole_package {
            true => format!("The package is {}", said.state),
            false => format!("This version is {}", said.state),
        },
        reason: said.reason,
        instead: said.successor.map(|name| {
            let address = format!("/p/{}/{}", piece(called), piece(name.as_str()));
            (format!("{called}/{name}"), address)
        }),
        day: day(said.claimed_at),
        by: said.by.fingerprint(),
    });
    words.collect()
}

fn looked(fact: &skep_proto::control::Fact) -> Looked {
    let (class, outcome) = match fact.outcome {
        FactOutcome::Ok => ("good", "ok"),
        FactOutcome::Fail => ("bad", "fails"),
        FactOutcome::Note => ("plain", "note"),
    };
    Looked {
        class,
        outcome,
        check: fact.check.clone(),
        text: fact.text.clone(),
    }
}
