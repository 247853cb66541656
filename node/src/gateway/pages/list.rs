//! Packages in a list: all of them, the newest first, or those that a query finds.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use skep_proto::search::{self, Found, Hit, Sort};

use super::super::Door;
use super::super::refusals::Refused;
use super::frame::{Frame, day, piece};
use super::query::{Paging, Query};
use super::{Asked, package, page};

/// Packages on a page: with long descriptions still below 30 KB.
const ROWS_MAX: usize = 25;

#[derive(Template)]
#[template(path = "list.html")]
struct Page {
    frame: Frame,
    heading: &'static str,
    /// What was searched for, if anything was.
    query: Option<String>,
    /// Why it was not understood, and what to type instead.
    wrong: Option<(String, String)>,
    rows: Vec<Row>,
    total: usize,
    /// Packages that the index has no room for.
    left_out: usize,
    paging: Paging,
    /// Whether this node follows anything at all.
    follows: bool,
}

/// A package that was found.
struct Row {
    name: String,
    address: String,
    version: String,
    description: String,
    facts: Vec<String>,
    day: String,
    trusted: bool,
    deprecated: bool,
}

pub(super) async fn newest(state: State<Door>, uri: Uri, headers: HeaderMap) -> Response {
    page(state, uri, headers, |asked, frame| {
        let number = Query::of(&asked.uri).page;
        let (found, paging) = find(asked, &search::Query::default(), number, Sort::Newest, "/?");
        Ok::<_, Refused>(listed(asked, frame, found, paging))
    })
    .await
}

pub(super) async fn search(state: State<Door>, uri: Uri, headers: HeaderMap) -> Response {
    page(state, uri, headers, |asked, frame| {
        let typed = Query::of(&asked.uri);
        let frame = frame.with_query(&typed.text);
        let mut wrong = None;
        let made = match search::Query::parse(&typed.text) {
            Ok(query) => {
                let encoded: String =
                    form_urlencoded::byte_serialize(typed.text.as_bytes()).collect();
                let to = format!("/search?q={encoded}&");
                let (found, paging) = find(asked, &query, typed.page, Sort::Best, &to);
                listed(asked, frame, found, paging)
            }
            Err(error) => {
                wrong = Some((error.to_string(), error.hint()));
                listed(asked, frame, Found::default(), Paging::default())
            }
        };
        Ok::<_, Refused>(Page {
            heading: "Search",
            query: Some(made.frame.query.clone()),
            wrong,
            ..made
        })
    })
    .await
}

/// One page of what fits; `to` is the address of the list, up to its last key.
fn find(
    asked: &Asked,
    query: &search::Query,
    number: usize,
    sort: Sort,
    to: &str,
) -> (Found, Paging) {
    let doors = asked.door.doors.as_ref();
    let snapshot = doors.node.snapshot();
    let look = |number: usize| {
        let page = search::Page {
            limit: ROWS_MAX,
            offset: (number - 1) * ROWS_MAX,
            sort,
        };
        doors.search.find(&snapshot, query, &page)
    };
    let mut found = look(number);
    let paging = Paging::new(number, found.total, ROWS_MAX, format!("{to}page="));
    if paging.page != number {
        found = look(paging.page);
    }
    (found, paging)
}

fn listed(asked: &Asked, frame: Frame, found: Found, paging: Paging) -> Page {
    let snapshot = asked.door.doors.node.snapshot();
    Page {
        frame,
        heading: "Packages",
        query: None,
        wrong: None,
        total: found.total,
        left_out: found.left_out,
        rows: found.hits.into_iter().map(|hit| row(asked, hit)).collect(),
        paging,
        follows: snapshot.repos().next().is_some(),
    }
}

fn row(asked: &Asked, hit: Hit) -> Row {
    let repo = match &hit.alias {
        Some(alias) => alias.to_string(),
        None => hit.repo.to_string(),
    };
    let mut address = format!("/p/{}/{}", piece(&repo), piece(hit.name.as_str()));
    // The page of the package may show another version than the index: the one that policy admits.
    let newest = package::find(&asked.door, &repo, hit.name.as_str(), None);
    if newest.is_ok_and(|it| it.resolved.subject.version != hit.version) {
        address.push('/');
        address.push_str(&piece(&hit.version.to_string()));
    }
    let mut facts = hit.hooks;
    facts.push(hit.license);
    Row {
        address,
        name: format!("{repo}/{}", hit.name),
        version: hit.version.to_string(),
        description: hit.description,
        facts,
        day: day(hit.published_at),
        trusted: hit.trusted,
        deprecated: hit.deprecated,
    }
}
