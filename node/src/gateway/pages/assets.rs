//! The style sheet and the icon, under names that change with them.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use skep_proto::hash::Blake3;

use super::super::Door;
use super::super::answer::put;
use super::{error, missing, send};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");
/// Nobody need ask again for what has its hash as its name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Browsers ask for an icon by themselves, under a name that never changes.
const A_DAY: &str = "public, max-age=86400";

/// The name of the style sheet: the BLAKE3 of its bytes.
static STYLE_FILE: LazyLock<String> =
    LazyLock::new(|| format!("{}.css", Blake3::of(&[STYLE.as_bytes()])));

/// Where a page finds its style sheet.
pub(super) fn style_path() -> String {
    format!("/assets/{}", *STYLE_FILE)
}

pub(super) async fn asset(
    State(door): State<Door>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response {
    match file == *STYLE_FILE {
        true => send_bytes(STYLE, "text/css; charset=utf-8", FOR_EVER),
        false => {
            let why = "there is no such file: it was of another version of this node";
            error::answer(&missing(why, ""), &door, &headers)
        }
    }
}

pub(super) async fn icon() -> Response {
    send_bytes(ICON, "image/svg+xml", A_DAY)
}

fn send_bytes(bytes: &'static str, media_type: &str, keep: &str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::OK;
    put(&mut response, header::CONTENT_TYPE, media_type);
    put(&mut response, header::CACHE_CONTROL, keep);
    send::protect(&mut response);
    response
}
