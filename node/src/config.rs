//! What a node is started with. Read once by whoever starts it, and passed down.

use std::net::SocketAddr;
use std::path::PathBuf;

use skep_proto::id::NodeId;
use skep_proto::key::SigningKey;

use crate::gateway::Gateway;

/// Everything that differs between nodes.
pub struct Config {
    /// Node key: transport and membership, no authority over packages.
    pub key: SigningKey,
    /// `repos.d`: one file per repository.
    pub repos: PathBuf,
    pub store: PathBuf,
    pub socket: PathBuf,
    /// The most that all releases together may have on disk, in bytes: rules give way to it.
    pub quota: Option<u64>,
    /// Whether the rules are carried out: what they want is fetched, what they do not want let go. A
    /// node for a command that only looks does neither.
    pub keeps_rules: bool,
    /// Where peers may connect, TCP and QUIC each. Empty: nowhere; the node only dials.
    pub listen: Vec<SocketAddr>,
    /// Addresses that tickets name before those that are observed.
    pub public_addresses: Vec<String>,
    /// Nodes that are dialled whatever the repositories say.
    pub peers: Vec<(NodeId, Vec<String>)>,
    /// Whether anybody is dialled.
    pub dial: bool,
    pub mdns: bool,
    pub gossip: bool,
    /// Where the HTTP side listens, and what each listener hands out.
    pub gateways: Vec<Gateway>,
    /// Seed of the core's dice, and of its nonces.
    pub seed: [u8; 32],
    /// Version of the program, for status and peers.
    pub version: &'static str,
    pub faults: crate::store::Faults,
}
