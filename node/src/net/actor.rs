//! The one task that owns the swarm: takes commands, hears the swarm, tells the driver.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};

use futures::StreamExt as _;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, Stream};
use libp2p::{Multiaddr, PeerId};
use skep_proto::id::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

use super::address::{self, Resolved, Transport};
use super::blobs::fetch::{FetchError, Fetching, Opened};
use super::blobs::serve::{BlobSource, Serving};
use super::dial::{Dials, Next};
use super::gossip::{self, Gossip};
use super::limits::{BAN, HEAD_START};
use super::peers::{Link, Peers, Session};
use super::session::{self, End, Registry, SessionId, Setup, Why};
use super::streams::{self, OpenId, Protocol};
use super::swarm::{self, Swarm};
use super::{Command, Config, Error, Event, Limits, Listening, Net};

mod listen;
mod news;

/// Events that may wait for room in the driver's queue. While one waits the swarm is not polled,
/// so only commands add to them, one each at most.
const WAITING_MAX: usize = 1_024;

/// A stream that is being opened, and for what.
enum Opening {
    Session(PeerId, ConnectionId),
    Blob(Opened),
}

/// What a task of ours ended with.
enum Done {
    Resolved(PeerId, Resolved),
    HeadStart(PeerId),
    /// The time is over in which a connection must have come to a session.
    SessionDue(PeerId, ConnectionId),
    Session {
        peer: PeerId,
        id: SessionId,
        end: End,
    },
    Served {
        peer: PeerId,
        what: Option<String>,
    },
}

pub(super) struct Actor {
    me: NodeId,
    swarm: Swarm,
    peers: Peers,
    dials: Dials,
    opening: BTreeMap<OpenId, Opening>,
    gossip: Gossip,
    serving: Serving,
    tasks: JoinSet<Done>,
    waiting: VecDeque<Event>,
    events: mpsc::Sender<Event>,
    sessions: Registry,
    listening: Listening,
    fetching: Fetching,
    limits: Limits,
}

impl Actor {
    pub(super) fn new(
        config: &Config,
        blobs: Arc<dyn BlobSource>,
        events: mpsc::Sender<Event>,
        net: &Net,
    ) -> Result<Self, Error> {
        Ok(Self {
            me: NodeId::from_key(config.key.key()),
            swarm: swarm::build(config)?,
            peers: Peers::default(),
            dials: Dials::default(),
            opening: BTreeMap::new(),
            gossip: Gossip::new(&config.limits),
            serving: Serving::new(blobs, &config.limits),
            tasks: JoinSet::new(),
            waiting: VecDeque::new(),
            events,
            sessions: net.sessions.clone(),
            listening: Arc::clone(&net.listening),
            fetching: net.fetching.clone(),
            limits: config.limits.clone(),
        })
    }

    /// Runs until the last handle is gone, the driver is, or it is told to stop.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let events = self.events.clone();
        let stopped = loop {
            let quiet = self.waiting.is_empty();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop(done)) => break Some(done),
                    Some(command) => self.obey(command),
                    None => break None,
                },
                room = events.reserve(), if !quiet => match (room, self.waiting.pop_front()) {
                    (Ok(room), Some(event)) => room.send(event),
                    _ => break None,
                },
                event = self.swarm.select_next_some(), if quiet => self.hear(event),
                Some(done) = self.tasks.join_next(), if quiet => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => tracing::error!(%error, "a task of the network broke off"),
                },
            }
        };
        self.stop(stopped).await;
    }

    /// Closes everything, so that the ports are free when `done` hears of it.
    async fn stop(mut self, done: Option<oneshot::Sender<()>>) {
        self.tasks.shutdown().await;
        drop(self);
        if let Some(done) = done {
            // Nobody needs to be waiting.
            done.send(()).ok();
        }
    }

    /// Has the driver told of something.
    fn tell(&mut self, event: Event) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(event);
        } else {
            tracing::warn!("the driver hears too little; an event is lost");
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Dial(node, addresses) => self.dial(node, addresses),
            Command::Ban(node, for_s) => self.ban(&node, for_s),
            Command::OpenBlob(node, opened) => self.open_blob(&node, opened),
            Command::Misbehaved(node, what) => self.misbehaved(&address::peer_of(&node), what),
            Command::Stop(_) => {} // `run` took it
            gossip => self.obey_gossip(gossip),
        }
    }

    fn obey_gossip(&mut self, command: Command) {
        let Some(swarm) = self.swarm.behaviour_mut().gossip.as_mut() else {
            return;
        };
        match command {
            Command::Subscribe(topic) => gossip::subscribe(swarm, &topic),
            Command::Unsubscribe(topic) => gossip::unsubscribe(swarm, &topic),
            Command::Publish(topic, data) => gossip::publish(swarm, &topic, data),
            Command::Judge(id, verdict) => gossip::judge(swarm, id, verdict),
            _ => {}
        }
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Resolved(peer, resolved) => {
                let next = self.dials.resolved(&peer, resolved);
                self.dial_next(peer, next);
            }
            Done::HeadStart(peer) => {
                let next = self.dials.head_start_over(&peer);
                self.dial_next(peer, next);
            }
            Done::SessionDue(peer, connection) => self.session_due(&peer, connection),
            Done::Session { peer, id, end } => self.session_ended(&peer, id, end),
            Done::Served { peer, what } => {
                if let Some(known) = self.peers.peer(&peer) {
                    known.serving = known.serving.saturating_sub(1);
                }
                if let Some(what) = what {
                    self.misbehaved(&peer, what);
                }
            }
        }
    }

    // Dialing.

    fn dial(&mut self, node: NodeId, addresses: Vec<String>) {
        let peer = address::peer_of(&node);
        if let Some(known) = self.peers.peer(&peer) {
            let open = matches!(known.session, Session::Open(id, _) if self.sessions.is_open(id));
            if !open {
                known.again = Some(addresses);
            }
            return;
        }
        let begun = if node == self.me {
            Err("this is the node itself".to_owned())
        } else if self.swarm.behaviour().admission.banned(&peer) {
            Err("it is banned".to_owned())
        } else {
            self.dials.begin(peer, addresses)
        };
        match begun {
            Ok(Some(new)) => {
                let resolve = address::resolve(peer, new);
                self.tasks
                    .spawn(async move { Done::Resolved(peer, resolve.await) });
            }
            Ok(None) => {}
            Err(why) => self.tell(Event::DialFailed { peer: node, why }),
        }
    }

    fn dial_next(&mut self, peer: PeerId, next: Next) {
        match next {
            Next::Wait => {}
            Next::Failed(why) => self.dial_failed(&peer, why),
            Next::Dial(addresses) => self.dial_at(peer, addresses),
        }
    }

    fn dial_at(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let tcp = addresses
            .iter()
            .any(|at| Transport::of(at) == Transport::Tcp);
        let opts = DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Disconnected)
            .build();
        let id = opts.connection_id();
        self.dials.running(&peer, id);
        if let Err(error) = self.swarm.dial(opts) {
            let next = self.dials.failed(&peer, id, &error);
            return self.dial_next(peer, next);
        }
        if tcp {
            self.tasks.spawn(async move {
                sleep(HEAD_START).await;
                Done::HeadStart(peer)
            });
        }
    }

    fn dial_failed(&mut self, peer: &PeerId, why: String) {
        // The peer may have come by itself meanwhile; what becomes of that is what counts.
        if let Some(known) = self.peers.peer(peer) {
            if known.session == Session::None {
                known.owed = Some(why);
            }
            return;
        }
        if let Some(peer) = address::node_of(peer) {
            self.tell(Event::DialFailed { peer, why });
        }
    }

    // Sessions.

    fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(node) = address::node_of(&peer) else {
            return self.disconnect(&peer);
        };
        let link = Link {
            id,
            address: address::text(endpoint.get_remote_address()),
            transport: Transport::of(endpoint.get_remote_address()),
            outbound: endpoint.is_dialer(),
            ping_failures: 0,
        };
        let known = self.peers.connected(peer, node, link);
        if endpoint.is_dialer() && !matches!(known.session, Session::Open(..)) {
            known.owed = Some("it closed the connection before a session began".to_owned());
        }
        self.dials.done(&peer);
        let within = self.limits.session_within;
        self.tasks.spawn(async move {
            sleep(within).await;
            Done::SessionDue(peer, id)
        });
        if endpoint.is_listener() {
            self.outlived(&peer, id);
        }
        self.want_session(&peer);
    }

    /// Closes the connection that carries the session, if a newer one that the peer opened shows that
    /// it is dead. Who dials has no connection; a process that ended is noticed at once over TCP, and
    /// over QUIC only when it has been silent for long. Of a peer that opens sessions itself the new
    /// session shows it.
    fn outlived(&mut self, peer: &PeerId, newer: ConnectionId) {
        let Some(known) = self.peers.peer(peer) else {
            return;
        };
        let (Session::Opening(on) | Session::Open(_, on)) = known.session else {
            return;
        };
        let hides = |link: &Link| !link.outbound && link.transport == Transport::Quic;
        if on == newer || known.node < self.me || !known.link(on).is_some_and(hides) {
            return;
        }
        if let Session::Open(old, _) = known.session {
            self.sessions.end(old, Why::Replaced);
        }
        known.session = Session::None;
        known.links.retain(|link| link.id != on);
        self.swarm.close_connection(on);
    }

    /// Opens a session on the first connection, if there is none and to open it is on us.
    fn want_session(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.peer(peer) else {
            return;
        };
        if known.session != Session::None || known.node < self.me {
            return;
        }
        let Some(connection) = known.links.first().map(|link| link.id) else {
            return;
        };
        known.session = Session::Opening(connection);
        let streams = &mut self.swarm.behaviour_mut().streams;
        let id = streams.open(*peer, connection, Protocol::Sync);
        self.opening.insert(id, Opening::Session(*peer, connection));
    }

    fn opened(&mut self, id: OpenId, result: Result<Stream, String>) {
        match self.opening.remove(&id) {
            Some(Opening::Session(peer, connection)) => {
                self.session_opened(peer, connection, result);
            }
            Some(Opening::Blob(opened)) => {
                // Who asked may have stopped waiting.
                opened.send(result.map_err(FetchError::Refused)).ok();
            }
            None => {}
        }
    }

    fn session_opened(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        result: Result<Stream, String>,
    ) {
        let Some(known) = self.peers.peer(&peer) else {
            return;
        };
        if known.session != Session::Opening(connection) {
            return;
        }
        match result {
            Ok(stream) => {
                // Both sides may have dialed: one connection is enough, and ours to choose.
                for other in known.others(connection) {
                    self.swarm.close_connection(other);
                }
                self.start_session(peer, connection, stream, true);
            }
            Err(why) => {
                known.session = Session::None;
                let alive = known.link(connection).is_some();
                if let Some(owed) = &mut known.owed {
                    *owed = format!("no session: {why}");
                }
                if alive {
                    self.disconnect(&peer);
                } else {
                    self.want_session(&peer);
                    self.forget_gone(&peer);
                }
            }
        }
    }

    fn start_session(&mut self, peer: PeerId, on: ConnectionId, stream: Stream, opener: bool) {
        let Some(known) = self.peers.peer(&peer) else {
            return;
        };
        let Some(link) = known.link(on).cloned() else {
            return;
        };
        let (id, inbox) = self.sessions.open(&self.limits);
        known.session = Session::Open(id, on);
        known.again = None;
        let setup = Setup {
            id,
            peer: known.node,
            address: link.address,
            outbound: link.outbound,
            opener,
            stream,
            inbox,
            registry: self.sessions.clone(),
            events: self.events.clone(),
            limits: self.limits.clone(),
        };
        self.tasks.spawn(async move {
            let end = session::run(setup).await;
            Done::Session { peer, id, end }
        });
    }

    /// A peer opened a session.
    fn accept_session(&mut self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        let Some(known) = self.peers.peer(&peer) else {
            return;
        };
        if known.node > self.me {
            let what = "session: opened by the node that must not".to_owned();
            return self.misbehaved(&peer, what);
        }
        match known.session {
            Session::Open(_, on) if on == connection => {
                let what = "session: a second one on the same connection".to_owned();
                return self.misbehaved(&peer, what);
            }
            Session::Open(old, _) => self.sessions.end(old, Why::Replaced),
            Session::None | Session::Opening(_) => {}
        }
        self.start_session(peer, connection, stream, false);
    }

    fn session_ended(&mut self, peer: &PeerId, id: SessionId, end: End) {
        self.sessions.close(id);
        let Some(known) = self.peers.peer(peer) else {
            return;
        };
        match (known.session, end) {
            (Session::Open(current, on), end) if current == id => {
                known.session = Session::None;
                match end {
                    // What ended may have been this connection only: a home whose command has just ended
                    // may have come again, by the next one.
                    End::Ended(Why::Lost | Why::ByPeer) => {
                        known.owed = None;
                        known.links.retain(|link| link.id != on);
                        self.swarm.close_connection(on);
                        self.want_session(peer);
                    }
                    End::Ended(why) => {
                        known.owed = None;
                        if why == Why::Misbehaved {
                            self.swarm.behaviour_mut().admission.ban_for(*peer, BAN);
                        }
                        self.disconnect(peer);
                    }
                    End::Refused => self.disconnect(peer),
                }
            }
            // Replaced by another.
            _ => {}
        }
        self.forget_gone(peer);
    }

    fn session_due(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(known) = self.peers.peer(peer) else {
            return;
        };
        let open = matches!(known.session, Session::Open(..));
        if !open && known.link(connection).is_some() {
            self.disconnect(peer);
        }
    }

    fn lost(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(known) = self.peers.peer(peer) {
            known.links.retain(|link| link.id != connection);
        }
        self.forget_gone(peer);
    }

    fn forget_gone(&mut self, peer: &PeerId) {
        let Some(gone) = self.peers.forget_gone(peer) else {
            return;
        };
        self.gossip.forget(peer);
        self.fetching.forget(&gone.node);
        let peer = gone.node;
        match (gone.again, gone.owed) {
            (Some(addresses), _) => self.dial(peer, addresses),
            (None, Some(why)) => self.tell(Event::DialFailed { peer, why }),
            (None, None) => {}
        }
    }

    fn disconnect(&mut self, peer: &PeerId) {
        // An error means that it is disconnected already.
        self.swarm.disconnect_peer_id(*peer).ok();
    }

    /// Reports a peer, ends its session, disconnects it, and refuses it for a while: what broke the
    /// protocol once would cost us the same again and again.
    fn misbehaved(&mut self, peer: &PeerId, what: String) {
        let Some(known) = self.peers.peer(peer) else {
            return;
        };
        let node = known.node;
        if let Session::Open(id, _) = known.session {
            self.sessions.end(id, Why::Misbehaved);
        }
        self.tell(Event::Misbehaved { peer: node, what });
        self.swarm.behaviour_mut().admission.ban_for(*peer, BAN);
        self.disconnect(peer);
    }

    fn ban(&mut self, node: &NodeId, for_s: u64) {
        let peer = address::peer_of(node);
        // Far beyond any ban, and an `Instant` that far can be made.
        let for_s = for_s.min(u64::from(u32::MAX));
        let for_so_long = Duration::from_secs(for_s);
        let admission = &mut self.swarm.behaviour_mut().admission;
        admission.ban_for(peer, for_so_long);
        if let Some(Session::Open(id, _)) = self.peers.peer(&peer).map(|peer| peer.session) {
            self.sessions.end(id, Why::ByUs);
        }
    }

    // Blobs.

    fn open_blob(&mut self, node: &NodeId, opened: Opened) {
        let peer = address::peer_of(node);
        let known = self.peers.peer(&peer);
        let Some(connection) = known.and_then(|peer| peer.bulk_link().map(|link| link.id)) else {
            // Who asked may have stopped waiting.
            opened.send(Err(FetchError::NotConnected)).ok();
            return;
        };
        let streams = &mut self.swarm.behaviour_mut().streams;
        let id = streams.open(peer, connection, Protocol::Blob);
        self.opening.insert(id, Opening::Blob(opened));
    }

    /// A peer opened a stream to ask for blobs. Past its places, the stream is dropped.
    fn serve(&mut self, peer: PeerId, stream: Stream) {
        let Some(known) = self.peers.peer(&peer) else {
            return;
        };
        if !known.take_serving() {
            return;
        }
        let (node, serving) = (known.node, self.serving.clone());
        self.tasks.spawn(async move {
            let what = serving.run(node, stream).await;
            Done::Served { peer, what }
        });
    }
}
