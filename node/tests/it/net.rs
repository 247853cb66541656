//! The network on loopback: whole nodes, and foreign peers that misuse the protocols.

mod blobs;
mod connections;
mod foreign;
mod gossip;
mod misuse;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skep_node::net::{BlobSource, Config, Event, Limits, Listen, Net, SessionId};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::sync::blobs::{GROUP_BYTES_MAX, List, groups_of};
use tokio::sync::mpsc;

/// After this long something will not happen any more. Only failing tests wait for it.
const PATIENCE: Duration = Duration::from_secs(30);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn signing_key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn node_id(n: u8) -> NodeId {
    NodeId::from_key(signing_key(n).key())
}

/// `n` key seeds whose nodes stand in ascending order, so that the first opens the sessions.
fn seeds<const N: usize>() -> [u8; N] {
    let mut seeds: Vec<u8> = (1..=40).collect();
    seeds.sort_by_key(|seed| node_id(*seed));
    seeds.truncate(N);
    seeds.try_into().expect("fewer than forty")
}

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

/// Blobs in memory, each offered to everybody in `repo()` until it is withdrawn.
#[derive(Default)]
struct Shelf {
    blobs: Mutex<BTreeMap<Blake3, Vec<u8>>>,
    withdrawn: Mutex<BTreeSet<NodeId>>,
    /// Withdraws a blob from everybody as soon as this group of it was served.
    withdraw_after: Option<u64>,
}

impl Shelf {
    fn with(bytes: &[u8]) -> (Self, Blake3) {
        let shelf = Self::default();
        let hash = Blake3::of(&[bytes]);
        shelf
            .blobs
            .lock()
            .expect("nobody panics while holding it")
            .insert(hash, bytes.to_vec());
        (shelf, hash)
    }
}

impl BlobSource for Shelf {
    fn offered(&self, peer: &NodeId, of: &RepoId, hash: &Blake3) -> bool {
        *of == repo()
            && !self
                .withdrawn
                .lock()
                .expect("nobody panics while holding it")
                .contains(peer)
            && self
                .blobs
                .lock()
                .expect("nobody panics while holding it")
                .contains_key(hash)
    }

    fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>> {
        Ok(self
            .blobs
            .lock()
            .expect("nobody panics while holding it")
            .get(hash)
            .map(|bytes| {
                let size = bytes.len() as u64;
                let groups = groups_of(size);
                // What the list proves is none of the network's business: any bytes of the right
                // length do.
                let list = usize::try_from(if groups == 1 { 0 } else { 32 * groups });
                List {
                    size,
                    bytes: vec![7; list.expect("small")],
                }
            }))
    }

    fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>> {
        let mut blobs = self.blobs.lock().expect("nobody panics while holding it");
        let Some(bytes) = blobs.get(hash) else {
            return Ok(None);
        };
        let at = usize::try_from(index).expect("small");
        let group = bytes.chunks(GROUP_BYTES_MAX).nth(at).map(<[u8]>::to_vec);
        if self.withdraw_after == Some(index) {
            blobs.clear();
        }
        Ok(group)
    }
}

/// Bytes that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(len).collect()
}

/// Limits under which a test of something else is not slowed down.
fn brisk() -> Limits {
    Limits {
        frames_per_s: 1_000_000,
        bytes_per_s: 1 << 30,
        ..Limits::default()
    }
}

fn config(seed: u8) -> Config {
    Config {
        key: signing_key(seed),
        listen: vec![Listen {
            ip: LOCALHOST,
            port: 0,
        }],
        mdns: false,
        gossip: false,
        limits: brisk(),
    }
}

/// A running node and what it tells.
struct Node {
    net: Net,
    id: NodeId,
    events: mpsc::Receiver<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tcp,
    Quic,
}

impl Node {
    async fn start(config: Config, blobs: impl BlobSource + 'static) -> Self {
        let id = NodeId::from_key(config.key.key());
        let (net, events) = Net::start(config, Arc::new(blobs))
            .await
            .expect("a free port");
        Self { net, id, events }
    }

    async fn plain(seed: u8) -> Self {
        Self::start(config(seed), Shelf::default()).await
    }

    fn at(&self, way: Way) -> Vec<String> {
        let part = match way {
            Way::Tcp => "/tcp/",
            Way::Quic => "/quic-v1",
        };
        let mut addresses = self.net.addresses();
        addresses.retain(|address| address.contains(part));
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        addresses
    }

    /// The first event that `pick` takes; others are dropped.
    async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let wanted = async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted)
            .await
            .expect("what was waited for happens")
    }

    async fn connected(&mut self) -> (SessionId, NodeId) {
        self.until(|event| match event {
            Event::Connected { session, peer, .. } => Some((session, peer)),
            _ => None,
        })
        .await
    }

    async fn frame(&mut self) -> (SessionId, Vec<u8>) {
        self.until(|event| match event {
            Event::Frame { session, bytes } => Some((session, bytes)),
            _ => None,
        })
        .await
    }

    async fn closed(&mut self) -> (SessionId, skep_node::net::Why) {
        self.until(|event| match event {
            Event::Closed { session, why } => Some((session, why)),
            _ => None,
        })
        .await
    }

    async fn dial_failed(&mut self) -> (NodeId, String) {
        self.until(|event| match event {
            Event::DialFailed { peer, why } => Some((peer, why)),
            _ => None,
        })
        .await
    }

    async fn misbehaved(&mut self) -> (NodeId, String) {
        self.until(|event| match event {
            Event::Misbehaved { peer, what } => Some((peer, what)),
            _ => None,
        })
        .await
    }
}

/// Connects `a` to `b`; returns the session as each of them names it.
async fn join(a: &mut Node, b: &mut Node, way: Way) -> (SessionId, SessionId) {
    a.net.dial(b.id, b.at(way)).await;
    let (in_a, peer_of_a) = a.connected().await;
    let (in_b, peer_of_b) = b.connected().await;
    assert_eq!((peer_of_a, peer_of_b), (b.id, a.id));
    (in_a, in_b)
}

/// That frames pass both ways.
async fn speak(a: &mut Node, b: &mut Node, (in_a, in_b): (SessionId, SessionId)) {
    a.net.send(in_a, b"ping".to_vec());
    assert_eq!(b.frame().await, (in_b, b"ping".to_vec()));
    b.net.send(in_b, b"pong".to_vec());
    assert_eq!(a.frame().await, (in_a, b"pong".to_vec()));
}
