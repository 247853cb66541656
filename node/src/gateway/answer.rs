//! Answers: a stretch of an archive, or a refusal in words.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::BytesMut;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use skep_proto::hash::Blake3;
use skep_proto::render::Piece;

use super::described::Archive;
use super::range::{self, Wanted};
use super::refusals::Refused;
use super::{Doors, Mode};

/// Read of files at once: what each client holds of the node's memory while it is being answered.
const CHUNK_BYTES: u64 = CAPACITY as u64;
const CAPACITY: usize = 128 << 10;
/// Files that one answer keeps open: as many as a manifest lists itself.
pub(super) const OPEN_MAX: usize = 64;
/// Of the header by which an answer that no policy admitted is told from one that it did.
const MODE_HEADER: &str = "skep-mode";

/// An archive that may be handed out, with its files open.
pub(super) struct Ready {
    pub(super) archive: Arc<Archive>,
    pub(super) files: Files,
    pub(super) media_type: &'static str,
}

/// The files of an archive. What is open stays readable when it is removed from the store; of an
/// archive of very many files only some are, since descriptors are few.
pub(super) struct Files {
    open: BTreeMap<Blake3, Arc<File>>,
    doors: Arc<Doors>,
}

impl Files {
    pub(super) fn new(doors: &Arc<Doors>) -> Self {
        Self {
            open: BTreeMap::new(),
            doors: Arc::clone(doors),
        }
    }

    /// Keeps one open, if there is room.
    pub(super) fn keep(&mut self, hash: Blake3, file: Arc<File>) {
        if self.open.len() < OPEN_MAX {
            self.open.insert(hash, file);
        }
    }

    /// One that is open, or is opened again and is still what was verified.
    fn get(&mut self, hash: &Blake3) -> io::Result<Arc<File>> {
        if let Some(file) = self.open.get(hash) {
            return Ok(Arc::clone(file));
        }
        let (blobs, store) = (&self.doors.blobs, self.doors.store.as_ref());
        let found = blobs.open_seen(store, hash).map_err(io::Error::other)?;
        let open = found.ok_or_else(|| io::Error::other("a file changed while it was sent"))?;
        while self.open.len() >= OPEN_MAX {
            self.open.pop_first();
        }
        self.open.insert(*hash, Arc::clone(&open.file));
        Ok(open.file)
    }
}

/// The archive, or the range of it that the request asks for.
pub(super) fn archive(ready: Ready, method: &Method, asked: &HeaderMap, mode: Mode) -> Response {
    let size = ready.archive.content.size();
    let tag = format!("\"{}\"", ready.archive.tag);
    // Twice the same header says nothing.
    let text = |name| {
        let mut values = asked.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none());
        only.and_then(|value: &HeaderValue| value.to_str().ok())
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
                archive: ready.archive,
                left: range.clone(),
                files: ready.files,
                buffer: BytesMut::new(),
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
    archive: Arc<Archive>,
    left: Range<u64>,
    files: Files,
    /// Where the chunk before was: its memory is taken again when it was sent.
    buffer: BytesMut,
}

impl Reading {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.left.is_empty() {
            return None;
        }
        let end = self.left.end.min(self.left.start + CHUNK_BYTES);
        let mut rest = Filling {
            pieces: self.archive.content.pieces(self.left.start..end).into(),
            done: 0,
        };
        self.left.start = end;
        if !self.buffer.try_reclaim(CAPACITY) {
            self.buffer = BytesMut::with_capacity(CAPACITY);
        }
        // What the system has in memory is copied here and now; who waits for a disk does so
        // elsewhere.
        let filled = match rest.fill(&mut self.files, &mut self.buffer, Patience::None) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let reading = tokio::task::spawn_blocking(move || {
                    let filled = rest.fill(&mut self.files, &mut self.buffer, Patience::Disk);
                    (filled, self)
                });
                match reading.await {
                    Ok((filled, reading)) => {
                        self = reading;
                        filled
                    }
                    Err(error) => {
                        tracing::error!(%error, "an answer was broken off");
                        return None;
                    }
                }
            }
            filled => filled,
        };
        let chunk = filled.map(|()| self.buffer.split().freeze());
        Some((chunk, self))
    }
}

/// Whether a read may wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    Disk,
}

/// The pieces of a chunk that are not read yet.
struct Filling {
    pieces: VecDeque<Piece>,
    /// Bytes of the first one that were read.
    done: u64,
}

impl Filling {
    /// Reads on, to the end or to what would block.
    fn fill(
        &mut self,
        files: &mut Files,
        buffer: &mut BytesMut,
        patience: Patience,
    ) -> io::Result<()> {
        while let Some(piece) = self.pieces.front() {
            match piece {
                Piece::Bytes(bytes) => buffer.extend_from_slice(bytes),
                Piece::File { blake3, range } => {
                    let file = files.get(blake3)?;
                    let start = range.start + self.done;
                    if start < range.end {
                        let n = read(&file, start..range.end, buffer, patience)?;
                        self.done += n;
                        continue;
                    }
                }
            }
            self.pieces.pop_front();
            self.done = 0;
        }
        Ok(())
    }
}

/// Appends what one read gives of a range that is not empty: at least a byte.
fn read(
    file: &File,
    range: Range<u64>,
    buffer: &mut BytesMut,
    patience: Patience,
) -> io::Result<u64> {
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let before = buffer.len();
    buffer.resize(before + len, 0);
    let room = &mut buffer[before..];
    let read = match patience {
        Patience::Disk => file.read_at(room, range.start),
        Patience::None => {
            let mut room = [io::IoSliceMut::new(room)];
            match preadv2(file, &mut room, range.start, ReadWriteFlags::NOWAIT) {
                Ok(n) => Ok(n),
                // Not in memory, or a file system that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(error) => Err(error.into()),
            }
        }
    };
    buffer.truncate(before + *read.as_ref().unwrap_or(&0));
    match read? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => Ok(n as u64),
    }
}
