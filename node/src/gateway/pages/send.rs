//! Pages as answers: their headers, and what a browser that has one already is told.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use skep_proto::hash::Blake3;

use super::super::Mode;
use super::super::answer::{mark, put};

/// Nothing runs, nothing is loaded from elsewhere, nobody frames us, forms come back here.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
/// Most names of an `If-None-Match` that are compared: a browser sends one.
const TAGS_MAX: usize = 16;

/// A page, or that the one which the browser has is still right.
pub(super) fn page(html: String, asked: &HeaderMap, mode: Mode) -> Response {
    // Of the page itself: it also shows what is local (trust, what is held), which no hash of a view
    // covers. It has the mode in it.
    let tag = format!("\"{}\"", Blake3::of(&[html.as_bytes()]));
    let mut response = match is_known(asked.get(header::IF_NONE_MATCH), &tag) {
        true => with_status(StatusCode::NOT_MODIFIED, Body::empty()),
        false => html_with(StatusCode::OK, html),
    };
    put(&mut response, header::ETAG, &tag);
    put(&mut response, header::CACHE_CONTROL, "no-cache");
    protect(&mut response);
    mark(&mut response, mode);
    response
}

/// A page that says why there is none.
pub(super) fn error(status: StatusCode, html: String, mode: Mode) -> Response {
    let mut response = html_with(status, html);
    put(&mut response, header::CACHE_CONTROL, "no-store");
    protect(&mut response);
    mark(&mut response, mode);
    response
}

/// The headers that everything for a browser has.
pub(super) fn protect(response: &mut Response) {
    put(response, header::CONTENT_SECURITY_POLICY, POLICY);
    put(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(response, header::REFERRER_POLICY, "no-referrer");
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        put(response, HeaderName::from_static(name), "same-origin");
    }
}

fn html_with(status: StatusCode, html: String) -> Response {
    let mut response = with_status(status, Body::from(html));
    put(
        &mut response,
        header::CONTENT_TYPE,
        "text/html; charset=utf-8",
    );
    response
}

fn with_status(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// `If-None-Match` of RFC 9110 §13.1.2, compared weakly.
fn is_known(header: Option<&HeaderValue>, tag: &str) -> bool {
    let Some(names) = header.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let names = names.split(',').map(str::trim).take(TAGS_MAX);
    names
        .map(|name| name.strip_prefix("W/").unwrap_or(name))
        .any(|name| name == "*" || name == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        let known = |header: &str| {
            let value = HeaderValue::from_str(header).expect("a header");
            is_known(Some(&value), "\"a\"")
        };
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(known(header), "{header}");
        }
        for header in ["a", "\"b\"", "", "\"a", "W/a"] {
            assert!(!known(header), "{header}");
        }
        let others = "\"b\",".repeat(TAGS_MAX - 1);
        assert!(known(&format!("{others}\"a\"")));
        assert!(!known(&format!("{others}\"b\",\"a\"")));
        assert!(!is_known(None, "\"a\""));
    }
}
