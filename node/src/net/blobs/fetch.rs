//! Fetching blobs: a request to one peer, whose groups come one by one, not verified.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::Stream;
use skep_proto::claimed::Claimed;
use skep_proto::fault::Fault;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::blobs::{
    ANSWER_BYTES_MAX, Answer, Ask, GROUPS_MAX, Group, List, REQUEST_GROUPS_MAX, Request, Said,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::net::budget::Pace;
use crate::net::frames::{self, FrameError};
use crate::net::limits::BLOB_STREAMS_PER_PEER_MAX;
use crate::net::{Command, Limits};

/// Where the answer to [`Command::OpenBlob`] goes.
pub(in crate::net) type Opened = oneshot::Sender<Result<Stream, FetchError>>;

/// Why a request was not answered in full. What came before it stands.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the peer is not connected")]
    NotConnected,
    #[error("could not ask the peer: {0}")]
    Refused(String),
    #[error("the peer is busy, and says to ask again in {seconds} s")]
    Busy { seconds: u64 },
    #[error("the peer does not offer this blob")]
    NotFound,
    #[error("the peer sends too slowly")]
    Stalled,
    #[error("the connection broke off")]
    Lost(#[source] std::io::Error),
    #[error("the caller stopped waiting before")]
    Abandoned,
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(String),
    #[error("{count} groups from number {first} on are not a request")]
    Range { first: u64, count: u64 },
}

impl FetchError {
    /// Only nonsense is a fault: slowness and absence happen to everybody.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Misbehaved(_) => Some(Fault::Peer),
            Self::Range { .. } | Self::Abandoned => Some(Fault::Us),
            _ => None,
        }
    }
}

impl From<FrameError> for FetchError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Stalled => Self::Stalled,
            FrameError::Io(error) => Self::Lost(error),
            FrameError::Length { .. } => Self::Misbehaved(format!("blob answer: {error}")),
        }
    }
}

/// A stream on which nothing is outstanding.
struct Line {
    stream: Stream,
    /// The id of the next request.
    next: u32,
}

/// One peer's streams.
struct Lines {
    /// One permit a stream, in use or not.
    permits: Arc<Semaphore>,
    idle: Vec<Line>,
}

#[derive(Default)]
struct Pool(BTreeMap<NodeId, Lines>);

/// The asking side, shared by all who fetch.
#[derive(Clone)]
pub(in crate::net) struct Fetching {
    /// Weak: who only fetches does not keep the network alive.
    commands: mpsc::WeakSender<Command>,
    pool: Arc<Mutex<Pool>>,
    limits: Limits,
}

impl Fetching {
    pub(in crate::net) fn new(commands: mpsc::WeakSender<Command>, limits: &Limits) -> Self {
        Self {
            commands,
            pool: Arc::default(),
            limits: limits.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the idle streams of a peer that is gone.
    pub(in crate::net) fn forget(&self, peer: &NodeId) {
        self.lock().0.remove(peer);
    }

    pub(in crate::net) async fn list(
        &self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
    ) -> Result<Claimed<List>, FetchError> {
        let mut request = self.request(peer, repo, hash, Ask::List).await?;
        match request.answer().await? {
            Said::List(list) => {
                request.finish();
                Ok(list)
            }
            other => Err(request.unexpected(other).await),
        }
    }

    pub(in crate::net) async fn groups(
        &self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        first: u64,
        count: u64,
    ) -> Result<Groups, FetchError> {
        let in_range = first
            .checked_add(count)
            .is_some_and(|end| end <= GROUPS_MAX);
        if count == 0 || count > REQUEST_GROUPS_MAX || !in_range {
            return Err(FetchError::Range { first, count });
        }
        let ask = Ask::Groups { first, count };
        let request = self.request(peer, repo, hash, ask).await?;
        Ok(Groups {
            request: Some(request),
            next: first,
            end: first + count,
        })
    }

    /// Sends a request on an idle stream of the peer, or on a new one.
    async fn request(
        &self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        ask: Ask,
    ) -> Result<Running, FetchError> {
        let permits = {
            let mut pool = self.lock();
            let lines = pool.0.entry(peer).or_insert_with(|| Lines {
                permits: Arc::new(Semaphore::new(BLOB_STREAMS_PER_PEER_MAX)),
                idle: Vec::new(),
            });
            Arc::clone(&lines.permits)
        };
        let permit = permits
            .acquire_owned()
            .await
            .map_err(|_| FetchError::NotConnected)?;
        let reused = self
            .lock()
            .0
            .get_mut(&peer)
            .and_then(|lines| lines.idle.pop());
        if let Some(line) = reused {
            // An idle stream may have been closed meanwhile by the other side.
            match self.begin(peer, line, permit, (repo, hash, ask)).await {
                Ok(running) => return Ok(running),
                Err((FetchError::Lost(_), permit)) => {
                    return self.begin_anew(peer, permit, (repo, hash, ask)).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
        self.begin_anew(peer, permit, (repo, hash, ask)).await
    }

    async fn begin_anew(
        &self,
        peer: NodeId,
        permit: OwnedSemaphorePermit,
        what: (RepoId, Blake3, Ask),
    ) -> Result<Running, FetchError> {
        let line = match self.open(peer).await {
            Err(error @ FetchError::NotConnected) => {
                self.forget(&peer);
                return Err(error);
            }
            opened => opened?,
        };
        self.begin(peer, line, permit, what)
            .await
            .map_err(|(error, _)| error)
    }

    /// Opens a stream and waits until the peer has taken it.
    async fn open(&self, peer: NodeId) -> Result<Line, FetchError> {
        let (opened, stream) = oneshot::channel();
        self.tell(Command::OpenBlob(peer, opened)).await;
        let mut stream = stream.await.map_err(|_| FetchError::NotConnected)??;
        let mut pace = Pace::new(&self.limits);
        match frames::read_hello(&mut stream, &mut pace).await {
            Ok(true) => Ok(Line { stream, next: 0 }),
            Ok(false) => {
                let what = "blob stream: no hello".to_owned();
                Err(self.blame(peer, FetchError::Misbehaved(what)).await)
            }
            Err(FrameError::Io(_)) => {
                Err(FetchError::Refused("it takes no more streams".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn begin(
        &self,
        peer: NodeId,
        mut line: Line,
        permit: OwnedSemaphorePermit,
        (repo, hash, ask): (RepoId, Blake3, Ask),
    ) -> Result<Running, (FetchError, OwnedSemaphorePermit)> {
        let id = line.next;
        line.next = line.next.wrapping_add(1);
        let frame = Request {
            id,
            repo,
            hash,
            ask,
        }
        .encode();
        let sent = async {
            frames::write_frame(&mut line.stream, &[], &frame, &self.limits).await?;
            frames::flush(&mut line.stream, &self.limits).await
        };
        if let Err(error) = sent.await {
            return Err((error.into(), permit));
        }
        Ok(Running {
            fetching: self.clone(),
            peer,
            line,
            permit,
            id,
            pace: Pace::new(&self.limits),
        })
    }

    /// Reports the peer if the error is its fault.
    async fn blame(&self, peer: NodeId, error: FetchError) -> FetchError {
        if let FetchError::Misbehaved(what) = &error {
            self.tell(Command::Misbehaved(peer, what.clone())).await;
        }
        error
    }

    async fn tell(&self, command: Command) {
        if let Some(commands) = self.commands.upgrade() {
            // An error means that the network has ended.
            commands.send(command).await.ok();
        }
    }
}

/// A request whose answers are coming. Dropping it before its end drops the stream, by which the
/// peer learns to stop.
struct Running {
    fetching: Fetching,
    peer: NodeId,
    line: Line,
    permit: OwnedSemaphorePermit,
    id: u32,
    pace: Pace,
}

impl Running {
    async fn answer(&mut self) -> Result<Said, FetchError> {
        let error = match self.read_answer().await {
            Ok(said) => return Ok(said),
            Err(error) => error,
        };
        Err(self.fetching.blame(self.peer, error).await)
    }

    async fn read_answer(&mut self) -> Result<Said, FetchError> {
        let stream = &mut self.line.stream;
        let frame = frames::read_frame(stream, ANSWER_BYTES_MAX, &mut self.pace).await?;
        match Answer::decode(frame) {
            Ok(answer) if answer.id == self.id => Ok(answer.said),
            Ok(_) => Err(FetchError::Misbehaved(
                "blob answer: not to what was asked".to_owned(),
            )),
            Err(error) => Err(FetchError::Misbehaved(error.to_string())),
        }
    }

    /// Ends the request with an answer that is none of what was hoped for.
    async fn unexpected(self, said: Said) -> FetchError {
        match said {
            Said::Busy { seconds } => {
                self.finish();
                FetchError::Busy { seconds }
            }
            Said::NotFound => {
                self.finish();
                FetchError::NotFound
            }
            Said::Group(_) | Said::List(_) => {
                let what = "blob answer: not what was asked for".to_owned();
                let error = FetchError::Misbehaved(what);
                self.fetching.blame(self.peer, error).await
            }
        }
    }

    /// The whole answer came: the stream can serve again, unless the peer is gone.
    fn finish(self) {
        let mut pool = self.fetching.lock();
        if let Some(lines) = pool.0.get_mut(&self.peer)
            && Arc::ptr_eq(&lines.permits, self.permit.semaphore())
        {
            lines.idle.push(self.line);
        }
    }
}

/// Groups of one request, as they come.
pub struct Groups {
    /// `None` after the end, and while its answer is awaited.
    request: Option<Running>,
    next: u64,
    end: u64,
}

impl Groups {
    /// The next group, in the order of their numbers; `None` after the last one. Not verified. The
    /// peer must keep up a least rate while this is awaited.
    ///
    /// # Errors
    /// See [`FetchError`]; after one there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Claimed<Group>, FetchError>> {
        if self.next == self.end {
            return None;
        }
        // Taken out while it is awaited: if the caller stops waiting in the middle of a frame, the
        // stream is of no use any more.
        let Some(mut request) = self.request.take() else {
            self.next = self.end;
            return Some(Err(FetchError::Abandoned));
        };
        let error = match request.answer().await {
            Ok(Said::Group(group)) if group.0.index == self.next => {
                self.next += 1;
                if self.next == self.end {
                    request.finish();
                } else {
                    self.request = Some(request);
                }
                return Some(Ok(group));
            }
            Ok(other) => request.unexpected(other).await,
            Err(error) => error,
        };
        self.next = self.end;
        Some(Err(error))
    }
}
