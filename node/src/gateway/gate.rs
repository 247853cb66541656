//! What no route has to think of: a request is a GET or HEAD of a short target, to one host, without
//! content. Everything else is refused before it is looked at further, and its connection closed, so
//! that nothing that follows it is taken for a request.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Mode;
use super::answer::mark;

/// Longest target of a request, in bytes: l3afd's has 700 at most, a search of people is shorter.
pub(super) const TARGET_BYTES_MAX: usize = 4_096;
/// What may be asked.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

pub(super) async fn pass(State(mode): State<Mode>, request: Request, next: Next) -> Response {
    let mut response = match refused(&request) {
        None => next.run(request).await,
        Some((status, why)) => refusal(status, why),
    };
    // Every answer, to whatever was asked.
    mark(&mut response, mode);
    response
}

fn refusal(status: StatusCode, why: &'static str) -> Response {
    let mut response = (status, why).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, METHODS);
    }
    response
}

fn refused<B>(request: &axum::http::Request<B>) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let why = "nothing is changed here: GET and HEAD\n";
        return Some((StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let target = request.uri();
    let target = target.path().len() + target.query().map_or(0, |query| query.len() + 1);
    if target > TARGET_BYTES_MAX {
        return Some((StatusCode::URI_TOO_LONG, "the target is too long\n"));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0") {
        return Some((StatusCode::BAD_REQUEST, "a request has no content here\n"));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        return Some((StatusCode::BAD_REQUEST, "a request names one host\n"));
    }
    if headers.contains_key(header::EXPECT) {
        let why = "there is nothing to expect of a request without content\n";
        return Some((StatusCode::EXPECTATION_FAILED, why));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        version: Version,
    ) -> Option<StatusCode> {
        let mut request = axum::http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.version(version).body(()).expect("a request");
        refused(&request).map(|(status, _)| status)
    }

    #[test]
    fn a_target_has_its_longest() {
        let of = |len: usize| {
            let target = format!("/{}?{}", "a".repeat(9), "b".repeat(len - 11));
            status("GET", &target, &[("host", "x")], Version::HTTP_11)
        };
        assert_eq!(of(TARGET_BYTES_MAX), None);
        assert_eq!(of(TARGET_BYTES_MAX + 1), Some(StatusCode::URI_TOO_LONG));
    }

    #[test]
    fn only_what_is_asked_of_one_host_without_content_passes() {
        let host = ("host", "x");
        for (method, headers, version, expected) in [
            ("GET", &[host][..], Version::HTTP_11, None),
            ("HEAD", &[host], Version::HTTP_11, None),
            ("GET", &[], Version::HTTP_10, None),
            (
                "GET",
                &[host, ("content-length", "0")],
                Version::HTTP_11,
                None,
            ),
            ("GET", &[], Version::HTTP_11, Some(400)),
            ("GET", &[host, host], Version::HTTP_11, Some(400)),
            ("GET", &[host, host], Version::HTTP_10, Some(400)),
            (
                "GET",
                &[host, ("content-length", "1")],
                Version::HTTP_11,
                Some(400),
            ),
            (
                "GET",
                &[host, ("content-length", "00")],
                Version::HTTP_11,
                Some(400),
            ),
            (
                "GET",
                &[host, ("transfer-encoding", "chunked")],
                Version::HTTP_11,
                Some(400),
            ),
            (
                "GET",
                &[host, ("expect", "100-continue")],
                Version::HTTP_11,
                Some(417),
            ),
            ("POST", &[host], Version::HTTP_11, Some(405)),
            ("OPTIONS", &[host], Version::HTTP_11, Some(405)),
            ("BREW", &[host], Version::HTTP_11, Some(405)),
        ] {
            let found = status(method, "/", headers, version).map(|status| status.as_u16());
            assert_eq!(found, expected, "{method} {headers:?}");
        }
    }
}
