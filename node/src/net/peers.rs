//! The connections with each peer, and which of them carries the session.

use std::collections::BTreeMap;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use skep_proto::id::NodeId;

use super::address::Transport;
use super::limits::{BLOB_STREAMS_PER_PEER_MAX, PING_FAILURES_MAX};
use super::session::SessionId;

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) address: String,
    pub(super) transport: Transport,
    pub(super) outbound: bool,
    /// Unanswered pings in a row.
    pub(super) ping_failures: u32,
}

/// How far the session with a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    None,
    Opening(ConnectionId),
    Open(SessionId, ConnectionId),
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) links: Vec<Link>,
    pub(super) session: Session,
    /// Blob streams of this peer that we serve.
    pub(super) serving: usize,
    /// The driver dialed this peer and has heard neither of a session nor of a failure. Holds why
    /// there is no session yet.
    pub(super) owed: Option<String>,
    /// The driver dialed this peer while a session was ending: where, when all of it has ended.
    pub(super) again: Option<Vec<String>>,
}

impl Peer {
    fn new(node: NodeId) -> Self {
        Self {
            node,
            links: Vec::new(),
            session: Session::None,
            serving: 0,
            owed: None,
            again: None,
        }
    }

    pub(super) fn link(&self, id: ConnectionId) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id)
    }

    /// The best connection for bulk: TCP moves twice as much as QUIC for the same work.
    pub(super) fn bulk_link(&self) -> Option<&Link> {
        self.links.iter().min_by_key(|link| link.transport)
    }

    /// Takes one of the places for blob streams.
    pub(super) fn take_serving(&mut self) -> bool {
        let free = self.serving < BLOB_STREAMS_PER_PEER_MAX;
        if free {
            self.serving += 1;
        }
        free
    }

    /// Counts an unanswered ping; whether the connection is to be given up.
    pub(super) fn ping_failed(&mut self, id: ConnectionId) -> bool {
        let link = self.links.iter_mut().find(|link| link.id == id);
        link.is_some_and(|link| {
            link.ping_failures += 1;
            link.ping_failures >= PING_FAILURES_MAX
        })
    }

    pub(super) fn ping_answered(&mut self, id: ConnectionId) {
        if let Some(link) = self.links.iter_mut().find(|link| link.id == id) {
            link.ping_failures = 0;
        }
    }

    /// Connections besides `kept`.
    pub(super) fn others(&self, kept: ConnectionId) -> Vec<ConnectionId> {
        let others = self.links.iter().filter(|link| link.id != kept);
        others.map(|link| link.id).collect()
    }

    /// Nothing is left of it.
    pub(super) fn gone(&self) -> bool {
        self.links.is_empty() && self.session == Session::None
    }
}

/// All peers that are connected.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<PeerId, Peer>);

impl Peers {
    pub(super) fn peer(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.0.get_mut(id)
    }

    /// Adds a connection, and the peer if it is the first one.
    pub(super) fn connected(&mut self, id: PeerId, node: NodeId, link: Link) -> &mut Peer {
        let peer = self.0.entry(id).or_insert_with(|| Peer::new(node));
        peer.links.push(link);
        peer
    }

    /// Forgets a peer of which nothing is left; returns it if so.
    pub(super) fn forget_gone(&mut self, id: &PeerId) -> Option<Peer> {
        if self.0.get(id).is_some_and(Peer::gone) {
            self.0.remove(id)
        } else {
            None
        }
    }
}
