//! A network without one: what the driver asks of it is written down, and nothing else happens.

use skep_proto::id::NodeId;
use tokio::sync::mpsc;

use super::blobs::fetch::{FetchError, Fetching};
use super::session::{Inbox, Registry, SessionId};
use super::{COMMANDS_MAX, Command, Limits, Listening, Net};

/// What the driver asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    Frame(Vec<u8>),
    Closed,
    Banned(NodeId),
    Subscribed([u8; 32]),
    Unsubscribed([u8; 32]),
    Published([u8; 32], Vec<u8>),
    Dialed(NodeId),
}

/// The other side of such a network, with one session.
pub(crate) struct Taken {
    commands: mpsc::Receiver<Command>,
    /// None once it is known to be closed.
    inbox: Option<Inbox>,
}

impl Net {
    pub(crate) fn taken() -> (Self, SessionId, Taken) {
        let limits = Limits::default();
        let (commands, commanded) = mpsc::channel(COMMANDS_MAX);
        let net = Self {
            fetching: Fetching::new(commands.downgrade(), &limits),
            commands,
            sessions: Registry::default(),
            listening: Listening::default(),
        };
        let (session, inbox) = net.sessions.open(&limits);
        let taken = Taken {
            commands: commanded,
            inbox: Some(inbox),
        };
        (net, session, taken)
    }
}

impl Taken {
    /// The next thing that was asked for, if there is one by now. Requests for blobs are answered:
    /// nobody is connected.
    pub(crate) fn next(&mut self) -> Option<Asked> {
        if let Some(inbox) = &mut self.inbox {
            match inbox.try_next() {
                Ok(frame) => return Some(Asked::Frame(frame)),
                Err(mpsc::error::TryRecvError::Empty) => {}
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.inbox = None;
                    return Some(Asked::Closed);
                }
            }
        }
        loop {
            return Some(match self.commands.try_recv().ok()? {
                Command::Dial(peer, _) => Asked::Dialed(peer),
                Command::Ban(peer, _) => Asked::Banned(peer),
                Command::Subscribe(topic) => Asked::Subscribed(topic),
                Command::Unsubscribe(topic) => Asked::Unsubscribed(topic),
                Command::Publish(topic, data) => Asked::Published(topic, data),
                Command::OpenBlob(_, opened) => {
                    // Whoever asked may have stopped waiting.
                    drop(opened.send(Err(FetchError::NotConnected)));
                    continue;
                }
                Command::Judge(..) | Command::Misbehaved(..) | Command::Stop(_) => continue,
            });
        }
    }
}
