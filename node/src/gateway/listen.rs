//! Listening: connections with limits, so that a client which is slow on purpose holds back nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::places::{Place, Places};
use super::{Doors, Mode, routes};

/// How long a request's head may take, and a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines of a request: browsers send twenty.
const HEADERS_MAX: usize = 64;
/// How long a client may take over a chunk of an answer (128 KiB): slower than 4 KiB/s is stalled.
const STALL_WITHIN: Duration = Duration::from_secs(30);
/// What the system holds of an answer for a client that is slow, and of requests that came early;
/// it would grow to megabytes for each. It doubles the figure for its own needs.
const SEND_BUFFER_BYTES: u32 = 256 << 10;
const RECEIVE_BUFFER_BYTES: u32 = 32 << 10;
/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1_024;
/// How long to wait after the system refused a connection (no descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long open answers may go on when the node stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Listens; a port in use is the caller's to explain.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted node gets its port back at once.
    socket.set_reuseaddr(true)?;
    // What is accepted inherits these.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    mode: Mode,
    doors: Arc<Doors>,
    mut stop: watch::Receiver<bool>,
) {
    let router = routes(doors, mode, listener.local_addr().ok());
    let places = Places::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let place = tokio::select! {
            _ = stop.changed() => break,
            place = places.take() => Arc::new(place),
        };
        tokio::spawn(connection(stream, router.clone(), place, stop.clone()));
    }
}

async fn connection(
    stream: TcpStream,
    router: axum::Router,
    place: Arc<Place>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting for more to write only delays them.
    drop(stream.set_nodelay(true));
    let io = TokioIo::new(Paced::new(stream, Arc::clone(&place)));
    let router = TowerToHyperService::new(router);
    let answering = Arc::clone(&place);
    let service = service_fn(move |request| {
        answering.busy();
        let (answer, answering) = (router.call(request), Arc::clone(&answering));
        async move {
            let answer = answer.await;
            answering.moved();
            answer
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    tokio::pin!(served);
    tokio::select! {
        // A client that breaks off or breaks the protocol is its own loss.
        ended = served.as_mut() => return drop(ended),
        () = place.needed() => return,
        _ = stop.changed() => served.as_mut().graceful_shutdown(),
    }
    drop(tokio::time::timeout(DRAIN_WITHIN, served).await);
}

/// A stream whose reader must not stall.
struct Paced {
    stream: TcpStream,
    place: Arc<Place>,
    /// Running from the first write that had to wait until everything is written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(stream: TcpStream, place: Arc<Place>) -> Self {
        Self {
            stream,
            place,
            stalled: None,
        }
    }

    /// What a write came to: it and those that follow may wait for [`STALL_WITHIN`] in all.
    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.place.moved();
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL_WITHIN)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.paced(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is flushed when nothing is left to be written.
        self.stalled = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.paced(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
