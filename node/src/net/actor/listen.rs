//! Opening the ports.

use std::io::ErrorKind;
use std::net::TcpListener;

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
        let mut due = Vec::new();
        for listen in at {
            check_free(listen)?;
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

/// libp2p lets several processes of one user share a TCP port, and each would get a part of the
/// connections. An ordinary socket does not share it.
fn check_free(listen: &Listen) -> Result<(), Error> {
    TcpListener::bind((listen.ip, listen.port))
        .map(drop)
        .map_err(|error| failed(listen, Transport::Tcp, error))
}

fn failed(listen: &Listen, transport: Transport, error: std::io::Error) -> Error {
    if kinds(&error).contains(&ErrorKind::AddrInUse) {
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

/// What an error of the system is, and each one that it wraps: libp2p wraps them several times.
fn kinds(error: &std::io::Error) -> Vec<ErrorKind> {
    let mut kinds = vec![error.kind()];
    let mut inner: Option<&(dyn std::error::Error + 'static)> =
        error.get_ref().map(|inner| inner as _);
    while let Some(error) = inner {
        inner = match error.downcast_ref::<std::io::Error>() {
            Some(error) => {
                kinds.push(error.kind());
                error.get_ref().map(|inner| inner as _)
            }
            None => error.source(),
        };
    }
    kinds
}
