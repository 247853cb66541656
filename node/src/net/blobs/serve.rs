//! Serving blobs: what is offered to whom is asked anew for every group.

use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use skep_proto::claimed::Claimed;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::blobs::{Answer, Ask, List, REQUEST_BYTES_MAX, Request, Said, group_head};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::net::Limits;
use crate::net::frames::{self, FrameError};

/// What a peer hears that asks while everything is in use, in seconds.
const BUSY_S: u64 = 1;
/// What a peer hears when our disk fails, in seconds: others may have the blob.
const BROKEN_S: u64 = 60;

/// Read-only access to what may be served. Called on threads that may block.
pub trait BlobSource: Send + Sync {
    /// Whether this repository offers this blob to this peer, now. Asked for every group, so that
    /// what is taken away is gone in the middle of a transfer too.
    fn offered(&self, peer: &NodeId, repo: &RepoId, hash: &Blake3) -> bool;

    /// Size and list of a blob; `None` if it is not here.
    ///
    /// # Errors
    /// The disk failed.
    fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>>;

    /// One group of a blob; `None` if it is not here.
    ///
    /// # Errors
    /// The disk failed.
    fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>>;
}

/// What all streams share.
#[derive(Clone)]
pub(in crate::net) struct Serving {
    source: Arc<dyn BlobSource>,
    places: Arc<Semaphore>,
    limits: Limits,
}

/// A piece of an answer to a request.
enum Found {
    Here(Vec<u8>),
    List(List),
    Missing,
    Broken,
}

impl Serving {
    pub(in crate::net) fn new(source: Arc<dyn BlobSource>, limits: &Limits) -> Self {
        Self {
            source,
            places: Arc::new(Semaphore::new(limits.blob_requests)),
            limits: limits.clone(),
        }
    }

    /// Answers the requests of one stream, one after the other, until it ends. Returns what the
    /// peer did wrong, if it did.
    pub(in crate::net) async fn run<S>(self, peer: NodeId, stream: S) -> Option<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut from, mut to) = stream.split();
        frames::write_hello(&mut to).await.ok()?;
        loop {
            let next = frames::read_frame_or_end(&mut from, REQUEST_BYTES_MAX, &self.limits);
            let frame = match timeout(self.limits.blob_idle, next).await {
                Ok(Ok(Some(frame))) => frame,
                Ok(Err(error @ FrameError::Length { .. })) => {
                    return Some(format!("blob stream: {error}"));
                }
                Ok(Ok(None) | Err(_)) | Err(_) => return None,
            };
            let request = match Request::decode(&frame) {
                Ok(request) => request,
                Err(error) => return Some(error.to_string()),
            };
            // A peer that takes nothing is let go, without blame.
            self.answer(&peer, &request, &mut to).await.ok()?;
        }
    }

    async fn answer(
        &self,
        peer: &NodeId,
        request: &Request,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), FrameError> {
        let Ok(_place) = self.places.try_acquire() else {
            return self
                .say(request.id, Said::Busy { seconds: BUSY_S }, to)
                .await;
        };
        let (first, count) = match request.ask {
            Ask::List => (0, 1),
            Ask::Groups { first, count } => (first, count),
        };
        for index in first..first + count {
            match self.find(*peer, *request, index).await {
                Found::Here(bytes) => {
                    let head = group_head(request.id, index, bytes.len());
                    frames::write_frame(to, &head, &bytes, &self.limits).await?;
                }
                Found::List(list) => {
                    return self.say(request.id, Said::List(Claimed(list)), to).await;
                }
                Found::Missing => return self.say(request.id, Said::NotFound, to).await,
                Found::Broken => {
                    let seconds = BROKEN_S;
                    return self.say(request.id, Said::Busy { seconds }, to).await;
                }
            }
        }
        frames::flush(to, &self.limits).await
    }

    async fn say(
        &self,
        id: u32,
        said: Said,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), FrameError> {
        let frame = Answer { id, said }.encode();
        frames::write_frame(to, &[], &frame, &self.limits).await?;
        frames::flush(to, &self.limits).await
    }

    /// Looks on a thread that may block. Whether a blob is offered is asked there too, so that a
    /// refusal takes the way that an absence takes.
    async fn find(&self, peer: NodeId, request: Request, index: u64) -> Found {
        let source = Arc::clone(&self.source);
        let found = tokio::task::spawn_blocking(move || {
            if !source.offered(&peer, &request.repo, &request.hash) {
                return Ok(None);
            }
            match request.ask {
                Ask::List => source.list(&request.hash).map(|list| list.map(Found::List)),
                Ask::Groups { .. } => source
                    .group(&request.hash, index)
                    .map(|bytes| bytes.map(Found::Here)),
            }
        });
        match found.await {
            Ok(Ok(found)) => found.unwrap_or(Found::Missing),
            Ok(Err(error)) => {
                tracing::error!(%error, blob = %request.hash, "could not read a blob to serve it");
                Found::Broken
            }
            Err(error) => {
                tracing::error!(%error, blob = %request.hash, "serving a blob broke off");
                Found::Broken
            }
        }
    }
}
