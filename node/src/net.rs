//! The network: the only place that says libp2p.
//!
//! The adapter is dumb. It moves frames and group bytes, keeps the limits that can be kept without
//! knowing what the bytes mean, and reports; what to say and whom to believe is decided by the
//! core. Who breaks those limits or the framing is banned here, for what a message says by the core. No type of libp2p leaves this module.
//!
//! One task owns the swarm (`actor`). A *session* is one stream per pair of nodes and has a task
//! of its own (`session`) that reads as fast as the budget of the peer and the driver allow, never
//! faster: there is no queue without a bound, and nothing is read ahead. Blobs travel on other
//! streams (`blobs`), served by tasks here and fetched in the task of whoever asks.

mod actor;
mod address;
mod admission;
mod blobs;
mod budget;
mod dial;
mod frames;
mod gossip;
mod limits;
mod peers;
mod session;
mod streams;
mod swarm;
#[cfg(test)]
mod taken;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::SigningKey;
use tokio::sync::{mpsc, oneshot};

pub use self::blobs::fetch::{FetchError, Groups};
pub use self::blobs::serve::BlobSource;
pub use self::gossip::{MessageId, Verdict};
pub use self::limits::Limits;
pub use self::session::{SessionId, Why};
#[cfg(test)]
pub(crate) use self::taken::{Asked, Taken};
use skep_proto::claimed::Claimed;
use skep_proto::sync::blobs::List;

/// Commands that wait for the task of the swarm; it always takes them, so a short queue does.
const COMMANDS_MAX: usize = 256;
/// Events that wait for the driver. Each may hold a frame of 1 MiB, so the queue is short.
const EVENTS_MAX: usize = 32;

/// Reads `/…/p2p/PEER`, as configuration and files of repositories name peers: the node, and its
/// address without `/p2p`.
pub fn parse_peer(text: &str) -> Option<(NodeId, String)> {
    address::parse_peer(text)
}

/// What [`parse_peer`] reads.
pub fn peer_text(node: &NodeId, address: &str) -> String {
    address::peer_text(node, address)
}

/// A network address to listen at, by TCP and by QUIC (UDP) each. Port 0: any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    pub ip: IpAddr,
    pub port: u16,
}

pub struct Config {
    /// The key of the node, which connections are made with; never a signing key of a person.
    pub key: SigningKey,
    /// Nothing here: dial only.
    pub listen: Vec<Listen>,
    /// Look for nodes on the local network. Loopback is skipped.
    pub mdns: bool,
    /// Take part in gossipsub; without it subscriptions and publishing do nothing.
    pub gossip: bool,
    pub limits: Limits,
}

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("port {port} ({transport}) at `{ip}` is in use by another process")]
    PortInUse {
        ip: IpAddr,
        port: u16,
        transport: &'static str,
    },
    #[error("could not listen at `{address}`")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error("could not start {part} of the network: {why}")]
    Part { part: &'static str, why: String },
}

/// What happened on the network.
#[derive(Debug)]
pub enum Event {
    /// We can be reached at this multiaddress (without `/p2p`).
    Listening { address: String },
    /// A session with a peer began.
    Connected {
        session: SessionId,
        peer: NodeId,
        address: String,
        outbound: bool,
    },
    /// One frame of a session, 1 byte to 1 MiB.
    Frame { session: SessionId, bytes: Vec<u8> },
    /// The last event of a session.
    Closed { session: SessionId, why: Why },
    /// A message of a topic; must be judged within five seconds, or it is not passed on.
    Gossip {
        id: MessageId,
        topic: [u8; 32],
        /// Who passed it on; gossip does not tell who made it.
        from: NodeId,
        data: Vec<u8>,
    },
    /// Nodes announced themselves on the local network.
    Discovered {
        peer: NodeId,
        addresses: Vec<String>,
    },
    /// A peer sees us at an address that others may reach.
    Observed { address: String, by: NodeId },
    /// A measured round trip to a peer, every 15 s.
    RoundTrip { peer: NodeId, micros: u64 },
    /// What was dialed did not become a session.
    DialFailed { peer: NodeId, why: String },
    /// A peer broke a protocol, was disconnected, and is refused for a while.
    Misbehaved { peer: NodeId, what: String },
}

/// What the handle asks of the task that owns the swarm.
enum Command {
    Dial(NodeId, Vec<String>),
    Ban(NodeId, u64),
    Subscribe([u8; 32]),
    Unsubscribe([u8; 32]),
    Publish([u8; 32], Vec<u8>),
    Judge(MessageId, Verdict),
    OpenBlob(NodeId, blobs::fetch::Opened),
    Misbehaved(NodeId, String),
    Stop(oneshot::Sender<()>),
}

/// A handle to the network; cheap to clone. The network ends when the last one is dropped.
#[derive(Clone)]
pub struct Net {
    commands: mpsc::Sender<Command>,
    sessions: session::Registry,
    listening: Listening,
    fetching: blobs::fetch::Fetching,
}

/// The addresses we listen at, as text.
type Listening = Arc<Mutex<BTreeSet<String>>>;

impl Net {
    /// Opens the ports and starts the task of the network on the current tokio runtime. Returns
    /// when every port is open.
    ///
    /// The receiver must be read: while it is full, nothing more is taken from peers.
    ///
    /// # Errors
    /// A port in use, an address that is not ours, no multicast for mDNS.
    pub async fn start(
        config: Config,
        blobs: Arc<dyn BlobSource>,
    ) -> Result<(Self, mpsc::Receiver<Event>), Error> {
        let (commands, commanded) = mpsc::channel(COMMANDS_MAX);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let net = Self {
            fetching: blobs::fetch::Fetching::new(commands.downgrade(), &config.limits),
            commands,
            sessions: session::Registry::default(),
            listening: Listening::default(),
        };
        let mut actor = actor::Actor::new(&config, blobs, events, &net)?;
        actor.listen(&config.listen).await?;
        tokio::spawn(actor.run(commanded));
        Ok((net, receiver))
    }

    /// Connects to a peer at any of `addresses` (multiaddresses; DNS names are resolved). TCP is
    /// tried first, QUIC a moment later. Ends in [`Event::Connected`] or [`Event::DialFailed`],
    /// or in nothing if there is a session already.
    pub async fn dial(&self, peer: NodeId, addresses: Vec<String>) {
        self.ask(Command::Dial(peer, addresses)).await;
    }

    /// Queues a frame, 1 byte to 1 MiB. Never waits: a session whose queue overflows is closed
    /// ([`Why::Overflow`]), and a session that ended takes nothing.
    pub fn send(&self, session: SessionId, frame: Vec<u8>) {
        self.sessions.send(session, frame);
    }

    /// Ends a session after what is queued was sent, and disconnects the peer.
    pub fn close(&self, session: SessionId) {
        self.sessions.close(session);
    }

    /// Disconnects a peer and refuses it for so many seconds.
    pub async fn ban(&self, peer: NodeId, for_s: u64) {
        self.ask(Command::Ban(peer, for_s)).await;
    }

    pub async fn subscribe(&self, topic: [u8; 32]) {
        self.ask(Command::Subscribe(topic)).await;
    }

    pub async fn unsubscribe(&self, topic: [u8; 32]) {
        self.ask(Command::Unsubscribe(topic)).await;
    }

    /// Gossips `data`, at most 64 KiB less its envelope. That nobody is subscribed is no error.
    pub async fn publish(&self, topic: [u8; 32], data: Vec<u8>) {
        self.ask(Command::Publish(topic, data)).await;
    }

    /// Says whether a gossiped message is passed on.
    pub async fn judge(&self, message: MessageId, verdict: Verdict) {
        self.ask(Command::Judge(message, verdict)).await;
    }

    /// Asks a connected peer for the size and the list of a blob.
    ///
    /// # Errors
    /// See [`FetchError`]; what came is not verified.
    pub async fn fetch_list(
        &self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
    ) -> Result<Claimed<List>, FetchError> {
        self.fetching.list(peer, repo, hash).await
    }

    /// Asks a connected peer for `count` groups from number `first` on; they come one by one from
    /// [`Groups::next`]. At most two requests to a peer run at once, further ones wait.
    ///
    /// # Errors
    /// See [`FetchError`]; what comes is not verified.
    pub async fn fetch_groups(
        &self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        first: u64,
        count: u64,
    ) -> Result<Groups, FetchError> {
        self.fetching.groups(peer, repo, hash, first, count).await
    }

    /// The multiaddresses we listen at, without `/p2p`.
    pub fn addresses(&self) -> Vec<String> {
        let listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listening.iter().cloned().collect()
    }

    /// Closes everything and returns when the ports are free again.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        self.ask(Command::Stop(done)).await;
        // An error means that the task was gone already.
        drop(stopped.await);
    }

    /// Waits for room. An error means that the network has ended; then there is nothing to do.
    async fn ask(&self, command: Command) {
        drop(self.commands.send(command).await);
    }
}
