//! Opening the ports.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use futures::StreamExt as _;
use libp2p::TransportError;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use tokio::time::{Duration, timeout};

use super::Actor;
use crate::net::address::{self, Transport};
use crate::net::{Error, Listen};

/// How long a port may take until its address is known.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);

impl Actor {
    /// Listens at every address, by both transports, and waits until the addresses are known.
    pub(in crate::net) async fn listen(&mut self, at: &[Listen]) -> Result<(), Error> {
        // All before the first is taken: an ordinary socket at `::` is one at `0.0.0.0` as well.
        at.iter().try_for_each(check_free)?;
        let mut due = Vec::new();
        for listen in at {
            for transport in [Transport::Tcp, Transport::Quic] {
                due.push(self.listen_at(listen, transport)?);
            }
        }
        // An interface without an address tells none; then there is nothing to wait for.
        timeout(LISTEN_WITHIN, self.until_listening(due)).await.ok();
        Ok(())
    }

    fn listen_at(&mut self, listen: &Listen, transport: Transport) -> Result<ListenerId, Error> {
        let address = address::listen_address(listen, transport);
        self.swarm
            .listen_on(address.clone())
            .map_err(|error| match error {
                TransportError::Other(error) => failed(listen, transport, error),
                error @ TransportError::MultiaddrNotSupported(_) => Error::Listen {
                    address: address.to_string(),
                    source: std::io::Error::other(error.to_string()),
                },
            })
    }

    async fn until_listening(&mut self, mut due: Vec<ListenerId>) {
        while !due.is_empty() {
            let event = self.swarm.select_next_some().await;
            if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
                due.retain(|id| id != listener_id);
            }
            self.hear(event);
        }
    }
}

/// Tries both ports with ordinary sockets first. libp2p lets several processes of one user share a
/// TCP port, so that each would get a part of the connections; and what it says of a UDP port does
/// not tell one in use from other trouble.
fn check_free(listen: &Listen) -> Result<(), Error> {
    let at = (listen.ip, listen.port);
    let tcp = TcpListener::bind(at).map(drop);
    tcp.map_err(|error| failed(listen, Transport::Tcp, error))?;
    let udp = UdpSocket::bind(at).map(drop);
    udp.map_err(|error| failed(listen, Transport::Quic, error))
}

fn failed(listen: &Listen, transport: Transport, error: std::io::Error) -> Error {
    if error.kind() == ErrorKind::AddrInUse {
        return Error::PortInUse {
            ip: listen.ip,
            port: listen.port,
            transport: transport.name(),
        };
    }
    Error::Listen {
        address: address::listen_address(listen, transport).to_string(),
        source: error,
    }
}
