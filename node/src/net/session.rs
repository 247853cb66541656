//! A session: one stream with a peer, read and written by one task.
//!
//! The task itself tells the driver of the beginning, of each frame and of the end, so that they
//! come in this order. It reads no further while the driver has not taken what was read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use skep_proto::id::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::budget::{Bucket, Pace};
use super::frames::{self, FrameError};
use super::limits::{DRAIN_WITHIN, FRAME_BYTES_MAX, QUEUE_FRAMES_MAX};
use super::{Event, Limits};

/// One session; a peer that comes again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// We closed it.
    ByUs,
    /// The peer closed it.
    ByPeer,
    /// The connection was lost.
    Lost,
    /// More was to be sent than the queue holds, or a frame longer than 1 MiB: it takes too little.
    Overflow,
    /// A frame came, or was taken, slower than the least rate.
    Stalled,
    /// The peer broke the protocol; [`Event::Misbehaved`] says how.
    Misbehaved,
    /// The peer began another session, on another connection.
    Replaced,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ByUs => "closed by this node",
            Self::ByPeer => "closed by the peer",
            Self::Lost => "the connection was lost",
            Self::Overflow => "the peer takes too little of what is sent",
            Self::Stalled => "the peer is too slow",
            Self::Misbehaved => "the peer broke the protocol",
            Self::Replaced => "the peer connected anew",
        })
    }
}

/// Where frames for a session are put.
#[derive(Debug)]
struct Outbox {
    queue: mpsc::Sender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    end: oneshot::Sender<Why>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    queue_bytes_max: usize,
    outboxes: BTreeMap<SessionId, Outbox>,
}

/// The sessions that take frames.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry(Arc<Mutex<Table>>);

/// The task's side of an outbox.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: mpsc::Receiver<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    end: oneshot::Receiver<Why>,
}

#[cfg(test)]
impl Inbox {
    pub(super) fn try_next(&mut self) -> Result<Vec<u8>, mpsc::error::TryRecvError> {
        self.queue.try_recv()
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, limits: &Limits) -> (SessionId, Inbox) {
        let (queue, queued) = mpsc::channel(QUEUE_FRAMES_MAX);
        let (end, ended) = oneshot::channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let mut table = self.lock();
        let id = SessionId(table.next);
        table.next += 1;
        table.queue_bytes_max = limits.queue_bytes;
        let outbox = Outbox {
            queue,
            queued_bytes: Arc::clone(&queued_bytes),
            end,
        };
        table.outboxes.insert(id, outbox);
        let inbox = Inbox {
            queue: queued,
            queued_bytes,
            end: ended,
        };
        (id, inbox)
    }

    pub(super) fn send(&self, session: SessionId, frame: Vec<u8>) {
        let mut table = self.lock();
        let max = table.queue_bytes_max;
        let Some(outbox) = table.outboxes.get(&session) else {
            return;
        };
        if !outbox.put(frame, max)
            && let Some(outbox) = table.outboxes.remove(&session)
        {
            // An error means that the session has just ended by itself.
            outbox.end.send(Why::Overflow).ok();
        }
    }

    /// Whether a session takes frames.
    pub(super) fn is_open(&self, session: SessionId) -> bool {
        self.lock().outboxes.contains_key(&session)
    }

    /// Takes no more frames; the task ends when it has sent what is queued.
    pub(super) fn close(&self, session: SessionId) {
        drop(self.lock().outboxes.remove(&session));
    }

    /// Ends a session at once.
    pub(super) fn end(&self, session: SessionId, why: Why) {
        if let Some(outbox) = self.lock().outboxes.remove(&session) {
            outbox.end.send(why).ok();
        }
    }
}

impl Outbox {
    /// Whether there was room.
    fn put(&self, frame: Vec<u8>, max: usize) -> bool {
        let len = frame.len();
        if len == 0 || len > FRAME_BYTES_MAX {
            tracing::error!(size_bytes = len, "a frame of ours is empty or too long");
            return false;
        }
        let before = self.queued_bytes.fetch_add(len, Ordering::Relaxed);
        before.saturating_add(len) <= max && self.queue.try_send(frame).is_ok()
    }
}

/// What the task of a session is made of.
pub(super) struct Setup<S> {
    pub(super) id: SessionId,
    pub(super) peer: NodeId,
    /// Where the peer is, as text.
    pub(super) address: String,
    pub(super) outbound: bool,
    /// Whether we opened the stream; then the peer says first that it took it.
    pub(super) opener: bool,
    pub(super) stream: S,
    pub(super) inbox: Inbox,
    pub(super) registry: Registry,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) limits: Limits,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It never began: the driver was told nothing.
    Refused,
    Ended(Why),
}

/// Runs a session to its end. An event that cannot be delivered means that the driver is gone,
/// and soon the network with it.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut setup: Setup<S>) -> End {
    if !greet(&mut setup).await {
        return End::Refused;
    }
    let connected = Event::Connected {
        session: setup.id,
        peer: setup.peer,
        address: std::mem::take(&mut setup.address),
        outbound: setup.outbound,
    };
    setup.events.send(connected).await.ok();
    let (session, events, limits) = (setup.id, setup.events, setup.limits);
    let (mut from, mut to) = setup.stream.split();
    let reading = read(session, &mut from, &events, &limits);
    let writing = write(
        &mut to,
        setup.inbox.queue,
        &setup.inbox.queued_bytes,
        &limits,
    );
    let ending = asked_to_end(setup.inbox.end);
    tokio::pin!(reading, writing, ending);
    let mut sent = false;
    let (why, what) = loop {
        tokio::select! {
            // Why it is to end comes first: the queue is closed by the same stroke.
            biased;
            why = &mut ending => break (why, None),
            (why, what) = &mut reading => break (if sent { Why::ByUs } else { why }, what),
            why = &mut writing, if !sent => {
                if why != Why::ByUs {
                    break (why, None);
                }
                // The connection is closed after this, and what the peer has sent and nobody read
                // would then reset it, with the frames that the peer has not read yet. So the
                // peer's end is waited for: it closes its side when it has read ours.
                sent = true;
            }
        }
    };
    // Before the driver hears of the end: if it dials at once, there is no session to stand in
    // the way.
    setup.registry.close(session);
    if let Some(what) = what {
        let peer = setup.peer;
        events.send(Event::Misbehaved { peer, what }).await.ok();
    }
    events.send(Event::Closed { session, why }).await.ok();
    End::Ended(why)
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(setup: &mut Setup<S>) -> bool {
    if setup.opener {
        let mut pace = Pace::new(&setup.limits);
        matches!(
            frames::read_hello(&mut setup.stream, &mut pace).await,
            Ok(true)
        )
    } else {
        frames::write_hello(&mut setup.stream).await.is_ok()
    }
}

/// Reads frames until the end; returns why, and what the peer did if it is to blame.
async fn read(
    session: SessionId,
    from: &mut (impl AsyncRead + Unpin),
    events: &mpsc::Sender<Event>,
    limits: &Limits,
) -> (Why, Option<String>) {
    let now = Instant::now();
    let mut frames = Bucket::new(limits.frames_per_s, now);
    let mut bytes = Bucket::new(limits.bytes_per_s, now);
    loop {
        let frame = match frames::read_frame_or_end(from, FRAME_BYTES_MAX, limits).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return (Why::ByPeer, None),
            Err(FrameError::Io(_)) => return (Why::Lost, None),
            Err(FrameError::Stalled) => return (Why::Stalled, None),
            Err(error @ FrameError::Length { .. }) => {
                return (Why::Misbehaved, Some(format!("session: {error}")));
            }
        };
        let now = Instant::now();
        let wait = frames.take(1, now).max(bytes.take(frame.len(), now));
        let bytes = frame;
        if events.send(Event::Frame { session, bytes }).await.is_err() {
            return (Why::ByUs, None);
        }
        sleep(wait).await;
    }
}

/// Writes frames until the queue is closed and empty.
async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    mut queue: mpsc::Receiver<Vec<u8>>,
    queued_bytes: &AtomicUsize,
    limits: &Limits,
) -> Why {
    while let Some(frame) = queue.recv().await {
        let mut written = frames::write_frame(to, &[], &frame, limits).await;
        queued_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        if written.is_ok() && queue.is_empty() {
            written = frames::flush(to, limits).await;
        }
        match written {
            Ok(()) => {}
            Err(FrameError::Stalled) => return Why::Stalled,
            Err(_) => return Why::Lost,
        }
    }
    // The peer may be gone; then there is nobody to tell.
    tokio::time::timeout(limits.progress_window, to.close())
        .await
        .ok();
    Why::ByUs
}

/// Waits until the session is to end without `write` having come to its end.
async fn asked_to_end(end: oneshot::Receiver<Why>) -> Why {
    match end.await {
        Ok(why) => why,
        // Closed: what is queued is sent and read by the peer, if that does not take too long.
        Err(_) => {
            sleep(DRAIN_WITHIN).await;
            Why::ByUs
        }
    }
}

#[cfg(test)]
mod tests;
