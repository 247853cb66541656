//! Pages: what this node holds, for people with a browser.
//!
//! Rendered here, whole, from the snapshot and the store; no script, no request to anybody else.
//! All that strangers wrote is text: it is escaped by the template engine with [`Escape`], a README
//! is written from events of which only known ones become tags, and files of a package are never
//! pages of ours.

mod assets;
mod error;
mod escape;
mod files;
mod frame;
mod list;
mod node;
mod package;
mod query;
mod readme;
mod rows;
mod send;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use skep_proto::control;

pub(crate) use escape::Escape;

use super::Door;
use super::refusals::Refused;
use frame::Frame;

/// What a node says of itself, wherever it is asked: commands and pages show the same.
pub(crate) trait About: Send + Sync {
    fn status(&self) -> control::Status;
    fn peers(&self) -> Vec<control::Peer>;
    fn mirror(&self) -> control::Mirror;
}

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/", get(list::newest))
        .route("/search", get(list::search))
        .route("/p/{repo}/{name}", get(package::newest))
        .route("/p/{repo}/{name}/{version}", get(package::version))
        .route(files::ROUTE, get(files::file))
        .route("/node", get(node::shown))
        .route("/assets/{file}", get(assets::asset))
        .route("/favicon.ico", get(assets::icon))
        .fallback(error::not_found)
}

/// What a page is made from.
struct Asked {
    door: Door,
    uri: Uri,
    headers: HeaderMap,
}

/// What `make` gives, away from the threads that serve: it may read the disk.
async fn page<T, F>(State(door): State<Door>, uri: Uri, headers: HeaderMap, make: F) -> Response
where
    T: askama::Template + 'static,
    F: FnOnce(&Asked, Frame) -> Result<T, Refused> + Send + 'static,
{
    let asked = Arc::new(Asked { door, uri, headers });
    let making = Arc::clone(&asked);
    let made = tokio::task::spawn_blocking(move || {
        let page = make(&making, Frame::of(&making.door))?;
        page.render().map_err(|error| {
            tracing::error!(%error, "a page could not be written");
            failed("this node could not write the page")
        })
    });
    let made = made.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be made");
        Err(failed("this node could not make the page"))
    });
    match made {
        Ok(html) => send::page(html, &asked.headers, asked.door.mode),
        Err(refused) => error::answer(&refused, &asked.door, &asked.headers),
    }
}

fn failed(why: &str) -> Refused {
    Refused {
        status: axum::http::StatusCode::SERVICE_UNAVAILABLE,
        why: why.to_owned(),
        hint: "skep doctor".to_owned(),
    }
}

fn missing(why: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused {
        status: axum::http::StatusCode::NOT_FOUND,
        why: why.into(),
        hint: hint.into(),
    }
}
