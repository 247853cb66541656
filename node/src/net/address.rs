//! Addresses and identities: ours as text and keys, libp2p's as multiaddresses and PeerIds.

use std::net::{IpAddr, SocketAddr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use skep_proto::id::NodeId;
use skep_proto::key::Key;

use super::Listen;
use super::limits::{ADDRESSES_MAX, RESOLVE_WITHIN};

/// What stands before the 32 bytes of an Ed25519 key in its PeerId: the identity multihash (0x00)
/// of 36 bytes (0x24), a protobuf of key type 1 (08 01) and 32 bytes of key (12 20).
const ED25519_PEER: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// `None` for keys of another kind.
pub(super) fn node_of(peer: &PeerId) -> Option<NodeId> {
    let bytes = peer.to_bytes();
    let public = bytes.strip_prefix(&ED25519_PEER)?.try_into().ok()?;
    Some(NodeId::from_key(Key::ed25519(public)))
}

pub(super) fn peer_of(node: &NodeId) -> PeerId {
    let bytes = [&ED25519_PEER[..], node.key().public_bytes()].concat();
    PeerId::from_bytes(&bytes).expect("an identity multihash of the right length")
}

/// Reads `/…/p2p/PEER`: the node, and its address without `/p2p`.
pub(super) fn parse_peer(text: &str) -> Option<(NodeId, String)> {
    let mut address: Multiaddr = text.parse().ok()?;
    match address.pop()? {
        Protocol::P2p(peer) => Some((node_of(&peer)?, address.to_string())),
        _ => None,
    }
}

/// Whether a text says how to reach a node, and not which one.
pub(super) fn is_address(text: &str) -> bool {
    let carries = |part: &Protocol<'_>| matches!(part, Protocol::Tcp(_) | Protocol::Udp(_));
    let is_peer = |part: Protocol<'_>| matches!(part, Protocol::P2p(_));
    text.parse::<Multiaddr>()
        .is_ok_and(|all| all.iter().any(|part| carries(&part)) && !all.iter().any(is_peer))
}

/// What [`parse_peer`] reads.
pub(super) fn peer_text(node: &NodeId, address: &str) -> String {
    format!("{address}/p2p/{}", peer_of(node))
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Quic,
}

impl Transport {
    /// The transport of a connection's address.
    pub(super) fn of(address: &Multiaddr) -> Self {
        if address.iter().any(|part| matches!(part, Protocol::Udp(_))) {
            Self::Quic
        } else {
            Self::Tcp
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "udp",
        }
    }
}

/// The address at which one listens.
pub(super) fn listen_address(listen: &Listen, transport: Transport) -> Multiaddr {
    on(listen.ip, listen.port, transport)
}

fn on(ip: IpAddr, port: u16, transport: Transport) -> Multiaddr {
    let address = Multiaddr::from(ip);
    match transport {
        Transport::Tcp => address.with(Protocol::Tcp(port)),
        Transport::Quic => address.with(Protocol::Udp(port)).with(Protocol::QuicV1),
    }
}

/// The text of an address, without the identity at its end.
pub(super) fn text(address: &Multiaddr) -> String {
    let mut address = address.clone();
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address.to_string()
}

/// The port that an address names.
pub(super) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

pub(super) fn same_transport(a: &Multiaddr, b: &Multiaddr) -> bool {
    Transport::of(a) == Transport::of(b)
}

/// The text of an address that can be dialed as it is, an IP address and a port of a transport of
/// ours; `None` for every other shape, for a peer may claim any.
pub(super) fn reachable(address: &Multiaddr) -> Option<String> {
    let mut parts: Vec<Protocol<'_>> = address.iter().collect();
    if let Some(Protocol::P2p(_)) = parts.last() {
        parts.pop();
    }
    let ip = match parts.first()? {
        Protocol::Ip4(ip) => IpAddr::V4(*ip),
        Protocol::Ip6(ip) => IpAddr::V6(*ip),
        _ => return None,
    };
    let (port, transport) = match &parts[1..] {
        [Protocol::Tcp(port)] => (*port, Transport::Tcp),
        [Protocol::Udp(port), Protocol::QuicV1] => (*port, Transport::Quic),
        _ => return None,
    };
    let usable = port != 0 && !ip.is_unspecified() && !ip.is_multicast();
    usable.then(|| on(ip, port, transport).to_string())
}

/// The network that an address belongs to: /24 (IPv4) or /48 (IPv6). What is no IP address is
/// counted as one network.
pub(super) fn subnet(address: &Multiaddr) -> [u8; 7] {
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    });
    match ip {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            [4, a, b, c, 0, 0, 0]
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, e, f, ..] = ip.octets();
            [6, a, b, c, d, e, f]
        }
        None => [0; 7],
    }
}

/// Where something can be dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// An address that we know how to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    host: Host,
    port: u16,
    transport: Transport,
}

/// Reads `/ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT` or `…/udp/PORT/quic-v1`, with `/p2p/PEER` of the
/// very peer at its end or nothing.
fn parse(address: &str, peer: &PeerId) -> Result<Target, String> {
    let refuse = |why: &str| format!("`{address}`: {why}");
    let parsed: Multiaddr = address.parse().map_err(|_| refuse("no multiaddress"))?;
    let mut parts: Vec<Protocol<'_>> = parsed.iter().collect();
    if let Some(Protocol::P2p(named)) = parts.last() {
        if named != peer {
            return Err(refuse("the address of another node"));
        }
        parts.pop();
    }
    let host = match parts.first() {
        Some(Protocol::Ip4(ip)) => Host::Ip(IpAddr::V4(*ip)),
        Some(Protocol::Ip6(ip)) => Host::Ip(IpAddr::V6(*ip)),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            Host::Name(name.to_string())
        }
        _ => return Err(refuse("neither an IP address nor a name")),
    };
    let (port, transport) = match &parts[1..] {
        [Protocol::Tcp(port)] => (*port, Transport::Tcp),
        [Protocol::Udp(port), Protocol::QuicV1] => (*port, Transport::Quic),
        _ => return Err(refuse("neither `/tcp/PORT` nor `/udp/PORT/quic-v1`")),
    };
    Ok(Target {
        host,
        port,
        transport,
    })
}

/// Addresses of a peer that can be dialed as they are, by transport, and what was wrong with the
/// others.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) tcp: Vec<Multiaddr>,
    pub(super) quic: Vec<Multiaddr>,
    pub(super) errors: Vec<String>,
}

impl Resolved {
    fn add(&mut self, ip: IpAddr, target: &Target) {
        let address = on(ip, target.port, target.transport);
        let list = match target.transport {
            Transport::Tcp => &mut self.tcp,
            Transport::Quic => &mut self.quic,
        };
        if !list.contains(&address) && list.len() < ADDRESSES_MAX {
            list.push(address);
        }
    }
}

/// Reads the addresses of a peer and asks the system's resolver for names among them.
pub(super) async fn resolve(peer: PeerId, addresses: Vec<String>) -> Resolved {
    let mut resolved = Resolved::default();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        let target = match parse(address, &peer) {
            Ok(target) => target,
            Err(error) => {
                resolved.errors.push(error);
                continue;
            }
        };
        match &target.host {
            Host::Ip(ip) => resolved.add(*ip, &target),
            Host::Name(name) => match look_up(name, target.port).await {
                Ok(found) => found.iter().for_each(|at| resolved.add(at.ip(), &target)),
                Err(why) => resolved.errors.push(format!("`{address}`: {why}")),
            },
        }
    }
    resolved
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((name, port))).await;
    match found {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the name did not resolve in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use skep_proto::key::SigningKey;

    use super::*;

    fn peer(seed: u8) -> PeerId {
        peer_of(&NodeId::from_key(SigningKey::from_seed(&[seed; 32]).key()))
    }

    #[test]
    fn keys_and_peer_ids_are_the_same_both_ways_and_in_the_same_order() {
        let mut nodes: Vec<NodeId> = (0..32)
            .map(|seed| NodeId::from_key(SigningKey::from_seed(&[seed; 32]).key()))
            .collect();
        for (seed, node) in (0..32).zip(&nodes) {
            let pair = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes");
            assert_eq!(peer_of(node), pair.public().to_peer_id());
            assert_eq!(node_of(&peer_of(node)), Some(*node));
        }
        nodes.sort();
        assert!(nodes.iter().map(peer_of).is_sorted());
    }

    #[test]
    fn keys_of_another_kind_are_no_nodes() {
        // A PeerId that is the SHA-256 of a longer key.
        let hashed = PeerId::from_bytes(&[&[0x12, 0x20][..], &[7; 32]].concat()).expect("SHA-256");
        assert_eq!(node_of(&hashed), None);
        assert_eq!(node_of(&PeerId::random()), None);
    }

    #[test]
    fn what_can_be_dialed_is_read_and_nothing_else() {
        let target = |text: &str| {
            parse(text, &peer(1))
                .ok()
                .map(|t| (t.host, t.port, t.transport))
        };
        let ip = |text: &str| Host::Ip(text.parse().expect("an address"));
        let name = Host::Name("skep.example".to_owned());
        assert_eq!(
            target("/ip4/192.0.2.7/tcp/7701"),
            Some((ip("192.0.2.7"), 7701, Transport::Tcp))
        );
        assert_eq!(
            target("/ip6/2001:db8::7/udp/1/quic-v1"),
            Some((ip("2001:db8::7"), 1, Transport::Quic))
        );
        assert_eq!(
            target("/dns/skep.example/tcp/1"),
            Some((name, 1, Transport::Tcp))
        );
        let mine = format!("/ip4/192.0.2.7/tcp/7701/p2p/{}", peer(1));
        assert!(target(&mine).is_some());
        let other = format!("/ip4/192.0.2.7/tcp/7701/p2p/{}", peer(2));
        let relayed = format!("/ip4/192.0.2.7/tcp/7701/p2p/{}/p2p-circuit", peer(2));
        for refused in [
            "",
            "/",
            "x",
            "/ip4/192.0.2.7",
            "/ip4/192.0.2.7/udp/1",
            "/ip4/192.0.2.7/tcp/70000",
            "/tcp/1",
            "/ip4/192.0.2.7/tcp/1/ws",
            "/unix/x",
            &other,
            &relayed,
        ] {
            assert_eq!(target(refused), None, "{refused}");
        }
    }

    #[test]
    fn neighbours_are_counted_by_24_and_48_bits() {
        let of = |text: &str| subnet(&text.parse().expect("a multiaddress"));
        assert_eq!(
            of("/ip4/192.0.2.1/tcp/1"),
            of("/ip4/192.0.2.255/udp/9/quic-v1")
        );
        assert_ne!(of("/ip4/192.0.2.1/tcp/1"), of("/ip4/192.0.3.1/tcp/1"));
        assert_eq!(
            of("/ip6/2001:db8:7::1/tcp/1"),
            of("/ip6/2001:db8:7:ffff::/tcp/1")
        );
        assert_ne!(
            of("/ip6/2001:db8:7::1/tcp/1"),
            of("/ip6/2001:db8:8::1/tcp/1")
        );
        assert_eq!(
            of("/ip4/192.0.2.1/tcp/1"),
            of("/ip6/::ffff:192.0.2.9/tcp/1")
        );
    }

    #[test]
    fn addresses_are_shown_without_the_peer() {
        let address: Multiaddr = format!("/ip4/192.0.2.7/tcp/1/p2p/{}", peer(1))
            .parse()
            .expect("ok");
        assert_eq!(text(&address), "/ip4/192.0.2.7/tcp/1");
        assert_eq!(port(&address), Some(1));
    }
}
