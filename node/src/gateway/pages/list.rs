//! Packages in a list: all of them, or those that a query finds.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use skep_proto::name::{Name, Version};
use skep_proto::package::manifest::Manifest;
use skep_proto::trust;

use super::super::refusals::Refused;
use super::super::{Door, Mode};
use super::frame::{Frame, day, piece};
use super::query::{Paging, Query};
use super::{Asked, page};
use crate::release;
use crate::snapshot::RepoSnapshot;

/// Packages on a page: what fits 30 KB with long descriptions.
const ROWS_MAX: usize = 30;

#[derive(Template)]
#[template(path = "list.html")]
struct Page {
    frame: Frame,
    heading: String,
    rows: Vec<Row>,
    all: usize,
    paging: Paging,
    /// Whether this node follows anything at all.
    follows: bool,
}

struct Row {
    name: String,
    address: String,
    version: String,
    description: String,
    facts: Vec<String>,
    day: String,
    trusted: bool,
}

pub(super) async fn newest(state: State<Door>, uri: Uri, headers: HeaderMap) -> Response {
    page(state, uri, headers, all).await
}

pub(super) async fn search(state: State<Door>, uri: Uri, headers: HeaderMap) -> Response {
    page(state, uri, headers, all).await
}

fn all(asked: &Asked, frame: Frame) -> Result<Page, Refused> {
    let query = Query::of(&asked.uri);
    let snapshot = asked.door.doors.node.snapshot();
    let packages: Vec<(&RepoSnapshot, &Name)> = snapshot
        .repos()
        .flat_map(|repo| {
            let view = repo.view.iter();
            let packages = view.flat_map(|view| view.packages.values());
            let packages = packages.filter(|package| !package.releases.is_empty());
            packages.map(|package| (repo.as_ref(), &package.name))
        })
        .collect();
    let paging = Paging::new(query.page, packages.len(), ROWS_MAX, "/?page=".to_owned());
    let shown = packages
        .iter()
        .skip(paging.skipped(ROWS_MAX))
        .take(ROWS_MAX);
    Ok(Page {
        rows: shown
            .filter_map(|(repo, name)| row(&asked.door, repo, name))
            .collect(),
        all: packages.len(),
        heading: "Packages".to_owned(),
        paging,
        follows: snapshot.repos().next().is_some(),
        frame: frame.with_query(query.text),
    })
}

fn row(door: &Door, repo: &RepoSnapshot, name: &Name) -> Option<Row> {
    let asked = trust::Asked {
        normal: door.mode == Mode::Normal,
        ..trust::Asked::default()
    };
    let resolved = repo.resolve(name, None, &asked).ok()?;
    let subject = &resolved.subject;
    let version: &Version = &subject.version;
    let store = door.doors.store.as_ref();
    let payload = release::payload(repo, store, name, version, subject.manifest).ok()?;
    let details = Manifest::parse(&payload.bytes).ok()?.details;
    let found = repo.view.as_deref()?.package(name)?.releases.get(version)?;
    let mut facts: Vec<String> = details
        .facts
        .iter()
        .flat_map(|facts| &facts.programs)
        .filter_map(|program| program.hook.clone())
        .collect();
    facts.sort_unstable();
    facts.dedup();
    facts.push(details.license);
    Some(Row {
        name: format!("{}/{name}", repo.called()),
        address: format!("/p/{}/{}", piece(&repo.called()), piece(name.as_str())),
        version: version.to_string(),
        description: details.description,
        facts,
        day: release::published_at(repo, store, found).map_or(String::new(), day),
        trusted: resolved.decision.admitted,
    })
}
