//! Answers: a stretch of an archive, or a refusal in words.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use skep_proto::hash::Blake3;
use skep_proto::render::{Content, Piece};

use super::Mode;
use super::range::{self, Wanted};
use super::refusals::Refused;

/// Read of a file at once: a slow client holds no more than two of these.
const CHUNK_BYTES: u64 = 128 << 10;
/// Of the header by which an answer that no policy admitted is told from one that it did.
const MODE_HEADER: &str = "skep-mode";

/// An archive that may be handed out, with its files open.
pub(super) struct Ready {
    pub(super) content: Arc<Content>,
    pub(super) files: BTreeMap<Blake3, Arc<File>>,
    pub(super) media_type: &'static str,
    /// Of exactly these bytes.
    pub(super) tag: String,
}

/// The archive, or the range of it that the request asks for.
pub(super) fn archive(ready: Ready, method: &Method, asked: &HeaderMap, mode: Mode) -> Response {
    let size = ready.content.size();
    let tag = format!("\"{}\"", ready.tag);
    let text = |name| {
        asked
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // A range of something else than the client has begun with is of no use to it.
    let same = text(header::IF_RANGE).is_none_or(|of| of == tag);
    let wanted = match same {
        true => range::parse(text(header::RANGE), size),
        false => Wanted::Whole,
    };
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, String::new(), mode);
            let of = format!("bytes */{size}");
            put(&mut response, header::CONTENT_RANGE, &of);
            return response;
        }
    };
    let body = match *method == Method::HEAD {
        true => Body::empty(),
        false => Body::from_stream(futures::stream::unfold(
            Reading {
                pieces: ready
                    .content
                    .pieces(range.clone())
                    .collect::<Vec<_>>()
                    .into_iter(),
                files: ready.files,
                now: None,
            },
            Reading::next,
        )),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let length = (range.end - range.start).to_string();
    put(&mut response, header::CONTENT_LENGTH, &length);
    put(&mut response, header::CONTENT_TYPE, ready.media_type);
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    put(&mut response, header::ETAG, &tag);
    if status == StatusCode::PARTIAL_CONTENT {
        let of = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        put(&mut response, header::CONTENT_RANGE, &of);
    }
    mark(&mut response, mode);
    response
}

/// The reason, and what to do, for whoever reads the body.
pub(super) fn refusal(refused: &Refused, mode: Mode) -> Response {
    let text = match refused.hint.is_empty() {
        true => format!("{}\n", refused.why),
        false => format!("{}\nhint: {}\n", refused.why, refused.hint),
    };
    plain(refused.status, text, mode)
}

pub(super) fn plain(status: StatusCode, text: String, mode: Mode) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    put(
        &mut response,
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    mark(&mut response, mode);
    response
}

/// Nothing of a normal-mode listener is to be taken for what a policy admitted.
pub(super) fn mark(response: &mut Response, mode: Mode) {
    if mode == Mode::Normal {
        put(
            response,
            header::HeaderName::from_static(MODE_HEADER),
            "normal",
        );
    }
}

pub(super) fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(response.headers_mut().insert(name, value)),
        Err(error) => tracing::error!(%error, %name, "a header of ours cannot be sent"),
    }
}

/// What is still to be sent.
struct Reading {
    pieces: std::vec::IntoIter<Piece>,
    files: BTreeMap<Blake3, Arc<File>>,
    now: Option<(Arc<File>, Range<u64>)>,
}

impl Reading {
    /// The next chunk; small pieces that follow each other come as one.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let mut small = Vec::new();
        loop {
            if let Some((file, range)) = self.now.take() {
                if !small.is_empty() {
                    self.now = Some((file, range));
                    return Some((Ok(small.into()), self));
                }
                let end = range.end.min(range.start + CHUNK_BYTES);
                if end < range.end {
                    self.now = Some((Arc::clone(&file), end..range.end));
                }
                let read = read(file, range.start..end).await;
                return Some((read.map(Bytes::from), self));
            }
            match self.pieces.next() {
                None if small.is_empty() => return None,
                None => return Some((Ok(small.into()), self)),
                Some(Piece::Bytes(bytes)) => small.extend(bytes),
                Some(Piece::File { blake3, range }) => match self.files.get(&blake3) {
                    Some(file) => self.now = Some((Arc::clone(file), range)),
                    None => {
                        let missing = io::Error::other("a file of the archive is not open");
                        return Some((Err(missing), self));
                    }
                },
            }
        }
    }
}

async fn read(file: Arc<File>, range: Range<u64>) -> io::Result<Vec<u8>> {
    let reading = tokio::task::spawn_blocking(move || {
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    });
    reading.await.map_err(io::Error::other)?
}
