//! Listening: connections with limits, so that a client which is slow on purpose holds back nobody.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Doors, Mode, routes};

/// Connections at a time on one listener: the tools of one machine, and people who look.
const CONNECTIONS_MAX: usize = 512;
/// How long a request's head may take, and a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a client may take nothing of an answer.
const STALL_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait after the system refused a connection (no descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long open answers may go on when the node stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Listens; a port in use is the caller's to explain.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
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
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        let (Ok(place), Ok((stream, _))) = accepted else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            connection(stream, router, stop).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, router: axum::Router, mut stop: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more to write only delays them.
    drop(stream.set_nodelay(true));
    let io = TokioIo::new(Paced::new(stream));
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    tokio::pin!(served);
    tokio::select! {
        // A client that breaks off or breaks the protocol is its own loss.
        ended = served.as_mut() => return drop(ended),
        _ = stop.changed() => served.as_mut().graceful_shutdown(),
    }
    drop(tokio::time::timeout(DRAIN_WITHIN, served).await);
}

/// A stream whose reader must not stall.
struct Paced {
    stream: TcpStream,
    /// Running while something cannot be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            stalled: None,
        }
    }

    /// What a write came to: one that waits may do so for [`STALL_WITHIN`].
    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
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
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.paced(cx, flushed)
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
