//! The swarm: what of libp2p is used, how it is set up. Built in this one place, so that the
//! compiler makes its code once.

use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{SwarmBuilder, identify, mdns, noise, ping, tcp, tls, yamux};

use super::{Config, Error, admission, gossip, streams};

/// The protocol that `identify` names: nodes of another protocol family are not ours.
const FAMILY: &str = "skep/1";
/// What the node says of itself: no host, no system, no build.
const AGENT: &str = concat!("skep/", env!("CARGO_PKG_VERSION"));
/// How long an encrypted connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Connections without streams are closed after this time; a session is a stream.
const IDLE: Duration = Duration::from_secs(10);
/// Streams that a peer may have open on one connection: ours, gossip, identify and ping need ten.
const STREAMS_MAX: usize = 64;
/// Bytes that a peer may have on the way to us on one QUIC stream, and on one connection.
const QUIC_STREAM_BYTES: u32 = 4 << 20;
const QUIC_CONNECTION_BYTES: u32 = 8 << 20;
const QUIC_STREAMS_MAX: u32 = 64;

/// Everything that listens on a connection. The order matters: who is not admitted costs the
/// others nothing.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) admission: admission::Behaviour,
    pub(super) streams: streams::Behaviour,
    pub(super) gossip: Toggle<gossip::Gossipsub>,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

pub(super) type Swarm = libp2p::Swarm<Behaviour>;

/// Builds a swarm that does not listen yet. TLS is offered before Noise, because it can be
/// hastened by the processor; no process-wide provider of rustls is needed, libp2p names its own.
pub(super) fn build(config: &Config) -> Result<Swarm, Error> {
    let failed = |part| move |why: String| Error::Part { part, why };
    let mut seed = *config.key.seed();
    let key = Keypair::ed25519_from_bytes(&mut seed)
        .map_err(|error| failed("the identity")(error.to_string()))?;
    let behaviour = behaviour(config, &key)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::new().nodelay(true),
            (tls::Config::new, noise::Config::new),
            yamux_config,
        )
        .map_err(|error| failed("TCP")(error.to_string()))?
        .with_quic_config(|mut quic| {
            quic.max_stream_data = QUIC_STREAM_BYTES;
            quic.max_connection_data = QUIC_CONNECTION_BYTES;
            quic.max_concurrent_stream_limit = QUIC_STREAMS_MAX;
            quic
        })
        .with_behaviour(|_| behaviour)
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE))
        .with_connection_timeout(CONNECT_WITHIN)
        .build();
    Ok(swarm)
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

fn behaviour(config: &Config, key: &Keypair) -> Result<Behaviour, Error> {
    // No addresses of ours, and none of others: who may be told where we listen gets a ticket.
    let identify = identify::Config::new(FAMILY.to_owned(), key.public())
        .with_agent_version(AGENT.to_owned())
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    let gossip = config.gossip.then(gossip::behaviour).transpose()?;
    let mdns = config
        .mdns
        .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), key.public().to_peer_id()));
    let mdns = mdns.transpose().map_err(|error| Error::Part {
        part: "the search on the local network",
        why: error.to_string(),
    })?;
    Ok(Behaviour {
        admission: admission::Behaviour::new(&config.limits),
        streams: streams::Behaviour::default(),
        gossip: gossip.into(),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new()),
        mdns: mdns.into(),
    })
}
