//! Streams of our two protocols on the connections of the swarm.
//!
//! Unlike the ready-made behaviour for streams, this one lets its owner choose the connection,
//! hands over every stream that was negotiated instead of dropping those that come in bursts, and
//! keeps nothing of a connection that is gone.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use futures::future::Either;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{ReadyUpgrade, SelectUpgrade};
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandlerEvent, DialUpgradeError, FullyNegotiatedInbound,
    FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::limits::INBOUND_STREAMS_WAITING_MAX;

const SYNC: StreamProtocol = StreamProtocol::new("/skep/sync/1");
const BLOB: StreamProtocol = StreamProtocol::new("/skep/blob/1");

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Sync,
    Blob,
}

impl Protocol {
    fn name(self) -> StreamProtocol {
        match self {
            Self::Sync => SYNC,
            Self::Blob => BLOB,
        }
    }
}

/// Joins what was opened to who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpenId(u64);

#[derive(Debug)]
pub(super) enum Event {
    /// A peer opened a stream.
    Inbound {
        peer: PeerId,
        connection: ConnectionId,
        protocol: Protocol,
        stream: Stream,
    },
    /// What [`Behaviour::open`] began has ended.
    Opened {
        id: OpenId,
        result: Result<Stream, String>,
    },
}

/// To the connection: open a stream.
#[derive(Debug)]
pub(super) struct Open {
    id: OpenId,
    protocol: Protocol,
}

/// From the connection.
#[derive(Debug)]
pub(super) enum FromHandler {
    Inbound(Protocol, Stream),
    Opened(OpenId, Result<Stream, String>),
}

#[derive(Default)]
pub(super) struct Behaviour {
    next: u64,
    /// What is being opened, and where: bounded by its owner, who asks for few.
    opening: BTreeMap<OpenId, ConnectionId>,
    events: VecDeque<ToSwarm<Event, Open>>,
}

impl Behaviour {
    /// Begins to open a stream on this very connection; ends in exactly one [`Event::Opened`].
    pub(super) fn open(
        &mut self,
        peer_id: PeerId,
        connection: ConnectionId,
        protocol: Protocol,
    ) -> OpenId {
        let id = OpenId(self.next);
        self.next += 1;
        self.opening.insert(id, connection);
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event: Open { id, protocol },
        });
        id
    }

    /// What was being opened on a connection that is gone will not be.
    fn forget(&mut self, gone: ConnectionId) {
        let lost: Vec<OpenId> = self
            .opening
            .iter()
            .filter(|(_, connection)| **connection == gone)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.opening.remove(&id);
            self.events.push_back(ToSwarm::GenerateEvent(Event::Opened {
                id,
                result: Err("the connection was lost".to_owned()),
            }));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.forget(closed.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let event = match event {
            FromHandler::Inbound(protocol, stream) => Event::Inbound {
                peer,
                connection,
                protocol,
                stream,
            },
            // `forget` may have answered already.
            FromHandler::Opened(id, _) if self.opening.remove(&id).is_none() => return,
            FromHandler::Opened(id, result) => Event::Opened { id, result },
        };
        self.events.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Filled by the swarm or between two polls of it, so nobody needs to be woken.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// One connection's end.
#[derive(Default)]
pub(super) struct Handler {
    wanted: VecDeque<Open>,
    events: VecDeque<FromHandler>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = FromHandler;
    type InboundProtocol =
        SelectUpgrade<ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenId;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let both = SelectUpgrade::new(ReadyUpgrade::new(SYNC), ReadyUpgrade::new(BLOB));
        SubstreamProtocol::new(both, ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenId, FromHandler>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        let Some(Open { id, protocol }) = self.wanted.pop_front() else {
            return Poll::Pending;
        };
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
            protocol: SubstreamProtocol::new(ReadyUpgrade::new(protocol.name()), id),
        })
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.wanted.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), OpenId>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                let (protocol, stream) = match protocol {
                    Either::Left(stream) => (Protocol::Sync, stream),
                    Either::Right(stream) => (Protocol::Blob, stream),
                };
                // Past the limit the stream is dropped, that is, refused.
                if self.events.len() < INBOUND_STREAMS_WAITING_MAX {
                    self.events
                        .push_back(FromHandler::Inbound(protocol, stream));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info,
            }) => self.events.push_back(FromHandler::Opened(info, Ok(stream))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.events
                    .push_back(FromHandler::Opened(info, Err(explain(&error))));
            }
            _ => {}
        }
    }
}

fn explain(error: &StreamUpgradeError<std::convert::Infallible>) -> String {
    match error {
        StreamUpgradeError::Timeout => "it did not answer in time".to_owned(),
        StreamUpgradeError::NegotiationFailed => "it does not speak our protocol".to_owned(),
        StreamUpgradeError::Io(error) => error.to_string(),
        StreamUpgradeError::Apply(never) => match *never {},
    }
}
