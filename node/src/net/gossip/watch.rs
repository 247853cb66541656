//! Counts the gossipsub streams that a peer opens on one connection.
//!
//! gossipsub closes a stream that carries a malformed frame, tells nobody, and takes the next one.
//! An honest peer needs one stream; who opens them again and again sends what cannot be read.

use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::handler::{ConnectionEvent, ConnectionHandlerEvent};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour,
    SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::net::limits::GOSSIP_STREAMS_MAX;

pub(in crate::net) struct Watched<B: NetworkBehaviour> {
    inner: B,
    /// Peers that were over the limit, each reported once.
    over: Vec<PeerId>,
}

#[derive(Debug)]
pub(in crate::net) enum Event<E> {
    Inner(E),
    /// This peer opened more streams than it needs.
    TooManyStreams(PeerId),
}

#[derive(Debug)]
pub(in crate::net) enum FromHandler<E> {
    Inner(E),
    TooManyStreams,
}

impl<B: NetworkBehaviour> Watched<B> {
    pub(super) fn new(inner: B) -> Self {
        Self {
            inner,
            over: Vec::new(),
        }
    }
}

impl<B: NetworkBehaviour> Deref for Watched<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.inner
    }
}

impl<B: NetworkBehaviour> DerefMut for Watched<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Watched<B> {
    type ConnectionHandler = Handler<B::ConnectionHandler>;
    type ToSwarm = Event<B::ToSwarm>;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(connection, peer, local, remote)
            .map(Handler::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(connection, peer, address, role, port)
            .map(Handler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            FromHandler::Inner(event) => {
                self.inner
                    .on_connection_handler_event(peer, connection, event);
            }
            FromHandler::TooManyStreams => self.over.push(peer),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer) = self.over.pop() {
            return Poll::Ready(ToSwarm::GenerateEvent(Event::TooManyStreams(peer)));
        }
        self.inner.poll(cx).map(|to| to.map_out(Event::Inner))
    }
}

/// A connection's end, with its count.
pub(in crate::net) struct Handler<H> {
    inner: H,
    streams: u32,
    report: bool,
}

impl<H> Handler<H> {
    fn new(inner: H) -> Self {
        Self {
            inner,
            streams: 0,
            report: false,
        }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Handler<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = FromHandler<H::ToBehaviour>;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if std::mem::take(&mut self.report) {
            let event = FromHandler::TooManyStreams;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        self.inner
            .poll(cx)
            .map(|event| event.map_custom(FromHandler::Inner))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner
            .poll_close(cx)
            .map(|event| event.map(FromHandler::Inner))
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        if matches!(event, ConnectionEvent::FullyNegotiatedInbound(_)) {
            self.streams = self.streams.saturating_add(1);
            // Once, so that the reports of a peer are as few as its connections.
            self.report |= self.streams == GOSSIP_STREAMS_MAX + 1;
        }
        self.inner.on_connection_event(event);
    }
}
