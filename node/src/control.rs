//! The control socket: what commands ask of a running node.
//!
//! A thread of its own for each connection: few come, and files are handed over by descriptor.
//! Questions are answered from the snapshot and the store; only what changes something, or misses
//! something, goes through the driver.

mod answer;
mod connection;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use skep_proto::control::{Hello, VERSION};

pub(crate) use answer::{Answers, Stopped, without};
pub use connection::{Connection, Error};

/// Commands that talk to a node at the same time.
const CONNECTIONS_MAX: usize = 32;

/// A control socket that is served; it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the thread that accepts, so that it ends and lets the store go. A socket that stays
        // behind is replaced by the next node: nothing to do about a failure.
        drop(UnixStream::connect(&self.path));
        drop(std::fs::remove_file(&self.path));
    }
}

/// Listens on `path`, mode 0600. A socket that nobody answers is replaced; the lock of the store
/// has made sure that no other node owns it.
pub(crate) fn listen(path: &Path, answers: Arc<Answers>) -> io::Result<Socket> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let socket = Socket {
        path: path.to_owned(),
        closed: Arc::new(AtomicBool::new(false)),
    };
    let closed = Arc::clone(&socket.closed);
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || accept(&listener, &answers, &closed))?;
    Ok(socket)
}

fn accept(listener: &UnixListener, answers: &Arc<Answers>, closed: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if closed.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            continue;
        };
        if !is_ours(&stream) || open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::AcqRel);
        let (answers, open) = (Arc::clone(answers), Arc::clone(&open));
        let serving = std::thread::Builder::new().name("control-connection".into());
        let serve = move || {
            serve(stream, &answers);
            open.fetch_sub(1, Ordering::AcqRel);
        };
        if let Err(error) = serving.spawn(serve) {
            tracing::warn!(%error, "no thread for a control connection");
        }
    }
}

/// The socket's mode keeps others out; a root process is let in as well.
fn is_ours(stream: &UnixStream) -> bool {
    let Ok(peer) = rustix::net::sockopt::socket_peercred(stream) else {
        return false;
    };
    peer.uid == rustix::process::geteuid() || peer.uid.is_root()
}

fn serve(stream: UnixStream, answers: &Answers) {
    let mut connection = Connection::new(stream);
    let hello = Hello {
        version: VERSION,
        pid: std::process::id(),
    };
    let greeted = connection.send(&hello, None).is_ok()
        && connection
            .receive::<Hello>()
            .is_ok_and(|(theirs, _)| theirs.version == VERSION);
    if !greeted {
        return;
    }
    let mut known = None;
    // What a command puts into the store stays until it has said what it is, or is gone.
    let mut lease = answers.node.in_use().lease();
    loop {
        let (request, file) = match connection.receive() {
            Ok(received) => received,
            Err(error) => {
                if !matches!(error, Error::Gone) {
                    tracing::debug!(%error, "a control connection ended");
                }
                return;
            }
        };
        if let Err(error) = answers.answer(request, file, &mut known, &mut connection, &mut lease) {
            tracing::debug!(%error, "a control connection ended in mid-answer");
            return;
        }
    }
}
