//! What the swarm reports, turned into what the driver or the sessions have to know.

use std::collections::BTreeMap;

use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns, ping};
use skep_proto::id::NodeId;
use tokio::time::Instant;

use super::{Actor, Event, PoisonError, address, gossip, streams};
use crate::net::swarm::BehaviourEvent;

impl Actor {
    pub(super) fn hear(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.hear_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.lost(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id: Some(peer),
                error,
            } => {
                let next = self.dials.failed(&peer, connection_id, &error);
                self.dial_next(peer, next);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.listening(&address, true),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.listening(&address, false),
            SwarmEvent::ListenerClosed { addresses, .. } => {
                addresses
                    .iter()
                    .for_each(|address| self.listening(address, false));
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a port of ours has a problem");
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "an inbound connection failed");
            }
            _ => {}
        }
    }

    fn hear_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(streams::Event::Opened { id, result }) => {
                self.opened(id, result);
            }
            BehaviourEvent::Streams(streams::Event::Inbound {
                peer,
                connection,
                protocol,
                stream,
            }) => match protocol {
                streams::Protocol::Sync => self.accept_session(peer, connection, stream),
                streams::Protocol::Blob => self.serve(peer, stream),
            },
            BehaviourEvent::Gossip(gossip::Event::Inner(event)) => self.hear_gossip(event),
            BehaviourEvent::Gossip(gossip::Event::TooManyStreams(peer)) => {
                self.misbehaved(&peer, "gossip: streams with malformed frames".to_owned());
            }
            BehaviourEvent::Identify(event) => self.hear_identify(event),
            BehaviourEvent::Ping(event) => self.hear_ping(&event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.discovered(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) => {}
            BehaviourEvent::Admission(never) => match never {},
        }
    }

    fn hear_gossip(&mut self, event: libp2p::gossipsub::Event) {
        use libp2p::gossipsub::Event as Gossip;
        match event {
            Gossip::Message {
                propagation_source,
                message,
                ..
            } => {
                let Some(swarm) = self.swarm.behaviour_mut().gossip.as_mut() else {
                    return;
                };
                let now = Instant::now();
                let heard = self.gossip.hear(swarm, propagation_source, message, now);
                if let (Some(heard), Some(from)) = (heard, address::node_of(&propagation_source)) {
                    self.tell(Event::Gossip {
                        id: heard.id,
                        topic: heard.topic,
                        from,
                        data: heard.data,
                    });
                }
            }
            Gossip::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "gossip for a slow peer was dropped");
            }
            _ => {}
        }
    }

    /// A peer says at which address it sees us. If it dialed us, that address can be dialed; if we
    /// dialed it, only if it names a port that we listen at.
    fn hear_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        let Some(address) = address::reachable(&info.observed_addr) else {
            return;
        };
        let mine = self.listens_at_port_of(&info.observed_addr);
        let Some(peer) = self.peers.peer(&peer_id) else {
            return;
        };
        let Some(link) = peer.link(connection_id) else {
            return;
        };
        if mine || !link.outbound {
            let by = peer.node;
            self.tell(Event::Observed { address, by });
        }
    }

    fn hear_ping(&mut self, event: &ping::Event) {
        let Some(peer) = self.peers.peer(&event.peer) else {
            return;
        };
        match &event.result {
            Ok(trip) => {
                peer.ping_answered(event.connection);
                let peer = peer.node;
                let micros = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
                self.tell(Event::RoundTrip { peer, micros });
            }
            Err(ping::Failure::Unsupported) => {}
            Err(_) => self.ping_failed(&event.peer, event.connection),
        }
    }

    fn ping_failed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let known = self.peers.peer(peer);
        if known.is_some_and(|peer| peer.ping_failed(connection)) {
            self.swarm.close_connection(connection);
        }
    }

    /// Nodes on the local network, each told once with all its addresses.
    fn discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut nodes: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        for (peer, at) in found {
            if let (Some(node), Some(text)) = (address::node_of(&peer), address::reachable(&at)) {
                nodes.entry(node).or_default().push(text);
            }
        }
        for (peer, addresses) in nodes {
            self.tell(Event::Discovered { peer, addresses });
        }
    }

    fn listening(&mut self, address: &Multiaddr, now: bool) {
        let text = address::text(address);
        let mut listening = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let changed = if now {
            listening.insert(text.clone())
        } else {
            listening.remove(&text)
        };
        drop(listening);
        if changed && now {
            self.tell(Event::Listening { address: text });
        }
    }

    fn listens_at_port_of(&self, observed: &Multiaddr) -> bool {
        let port = address::port(observed);
        self.swarm
            .listeners()
            .any(|mine| address::port(mine) == port && address::same_transport(mine, observed))
    }
}
