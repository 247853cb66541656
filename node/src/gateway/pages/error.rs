//! Why there is no page: for a browser as a page, for others in lines.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::super::refusals::Refused;
use super::super::{Door, answer};
use super::frame::Frame;
use super::{missing, send};

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    frame: Frame,
    heading: &'static str,
    why: &'a str,
    hint: &'a str,
}

pub(super) async fn not_found(State(door): State<Door>, headers: HeaderMap) -> Response {
    answer(
        &missing("there is nothing at this address", ""),
        &door,
        &headers,
    )
}

pub(super) fn answer(refused: &Refused, door: &Door, headers: &HeaderMap) -> Response {
    if !is_browser(headers) {
        return answer::refusal(refused, door.mode);
    }
    let page = Page {
        frame: Frame::of(door),
        heading: match refused.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not admitted",
            _ => "Not now",
        },
        why: &refused.why,
        hint: &refused.hint,
    };
    match page.render() {
        Ok(html) => send::error(refused.status, html, door.mode),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            answer::refusal(refused, door.mode)
        }
    }
}

fn is_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}
