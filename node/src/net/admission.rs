//! Who may connect: bans, and places by peer, by subnet and in all.
//!
//! libp2p's own behaviours for this keep an entry for every key that ever connected, and a
//! stranger can make keys without end; this one forgets what is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Duration, Instant};

use super::limits::{BANS_MAX, CONNECTIONS_PER_PEER_MAX, PENDING_INBOUND_MAX};
use super::{Limits, address};

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("its key is not Ed25519")]
    KeyKind,
    #[error("it is banned")]
    Banned,
    #[error("there are {0} connections with it already")]
    ConnectionsOfPeer(usize),
    #[error("there are {0} peers already")]
    Peers(usize),
    #[error("there are {0} inbound peers already")]
    Inbound(usize),
    #[error("there are {0} inbound peers of its subnet already")]
    Subnet(usize),
    #[error("there are {0} connections already that have not proved who they are")]
    Pending(usize),
}

/// One connection that was let in.
#[derive(Debug)]
struct Seat {
    peer: PeerId,
    /// Where it came from; `None` if we dialed.
    inbound: Option<[u8; 7]>,
}

/// The places and who has them; knows no clock.
#[derive(Debug)]
struct Seats {
    limits: Limits,
    seats: BTreeMap<ConnectionId, Seat>,
    pending: BTreeSet<ConnectionId>,
    /// Until when.
    bans: BTreeMap<PeerId, Instant>,
}

impl Seats {
    fn banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.bans.get(peer).is_some_and(|until| *until > now)
    }

    fn ban(&mut self, peer: PeerId, until: Instant, now: Instant) {
        self.bans.retain(|_, until| *until > now);
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&peer) {
            let soonest = self.bans.iter().min_by_key(|(_, until)| **until);
            if let Some(soonest) = soonest.map(|(peer, _)| *peer) {
                self.bans.remove(&soonest);
            }
        }
        self.bans.insert(peer, until);
    }

    fn knock(&mut self, connection: ConnectionId) -> Result<(), Refusal> {
        if self.pending.len() >= PENDING_INBOUND_MAX {
            return Err(Refusal::Pending(self.pending.len()));
        }
        self.pending.insert(connection);
        Ok(())
    }

    /// Gives a connection a place, or says why not.
    fn admit(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        inbound: Option<[u8; 7]>,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.pending.remove(&connection);
        if address::node_of(&peer).is_none() {
            return Err(Refusal::KeyKind);
        }
        if self.banned(&peer, now) {
            return Err(Refusal::Banned);
        }
        let of_peer = self.seats.values().filter(|seat| seat.peer == peer).count();
        if of_peer >= CONNECTIONS_PER_PEER_MAX {
            return Err(Refusal::ConnectionsOfPeer(of_peer));
        }
        if of_peer == 0 {
            self.check_room(inbound)?;
        }
        self.seats.insert(connection, Seat { peer, inbound });
        Ok(())
    }

    /// Whether one more peer may come.
    fn check_room(&self, inbound: Option<[u8; 7]>) -> Result<(), Refusal> {
        let peers = self.peers(|_| true);
        if peers >= self.limits.peers {
            return Err(Refusal::Peers(peers));
        }
        let Some(subnet) = inbound else {
            return Ok(());
        };
        let strangers = self.peers(|seat| seat.inbound.is_some());
        if strangers
            >= self
                .limits
                .peers
                .saturating_sub(self.limits.outbound_reserved)
        {
            return Err(Refusal::Inbound(strangers));
        }
        let neighbours = self.peers(|seat| seat.inbound == Some(subnet));
        if neighbours >= self.limits.inbound_per_subnet {
            return Err(Refusal::Subnet(neighbours));
        }
        Ok(())
    }

    fn peers(&self, which: impl Fn(&Seat) -> bool) -> usize {
        let peers: BTreeSet<PeerId> = self
            .seats
            .values()
            .filter(|seat| which(seat))
            .map(|seat| seat.peer)
            .collect();
        peers.len()
    }

    fn leave(&mut self, connection: ConnectionId) {
        self.seats.remove(&connection);
        self.pending.remove(&connection);
    }
}

pub(super) struct Behaviour {
    seats: Seats,
    /// Peers whose connections are to be closed.
    closing: VecDeque<PeerId>,
}

impl Behaviour {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            seats: Seats {
                limits: limits.clone(),
                seats: BTreeMap::new(),
                pending: BTreeSet::new(),
                bans: BTreeMap::new(),
            },
            closing: VecDeque::new(),
        }
    }

    pub(super) fn ban_for(&mut self, peer: PeerId, time: Duration) {
        let now = Instant::now();
        self.seats.ban(peer, now + time, now);
        if self.seats.seats.values().any(|seat| seat.peer == peer) {
            self.closing.push_back(peer);
        }
    }

    pub(super) fn banned(&self, peer: &PeerId) -> bool {
        self.seats.banned(peer, Instant::now())
    }

    fn admit(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        inbound: Option<[u8; 7]>,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.seats
            .admit(connection, peer, inbound, Instant::now())
            .map(|()| dummy::ConnectionHandler)
            .map_err(ConnectionDenied::new)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.seats.knock(connection).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(connection, peer, Some(address::subnet(remote)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(connection, peer, None)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.seats.leave(closed.connection_id),
            FromSwarm::ListenFailure(failed) => self.seats.leave(failed.connection_id),
            FromSwarm::DialFailure(failed) => self.seats.leave(failed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.closing.pop_front() {
            Some(peer_id) => Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::All,
            }),
            // Only `ban` fills the queue, and the swarm is polled after every command.
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
