//! What a peer may cost us.

use std::time::Duration;

/// Longest frame on the sync stream, in bytes.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;
/// Connections with one peer: both sides may dial at once, each by TCP and QUIC; one may be a dead
/// one that is not noticed yet.
pub(super) const CONNECTIONS_PER_PEER_MAX: usize = 4;
/// Connections that have not proved who they are: they cost a socket and a handshake each.
pub(super) const PENDING_INBOUND_MAX: usize = 64;
/// Blob streams with one peer, in each direction: more do not make one connection faster.
pub(super) const BLOB_STREAMS_PER_PEER_MAX: usize = 2;
/// Streams that a peer may open on one connection without our having taken them.
pub(super) const INBOUND_STREAMS_WAITING_MAX: usize = 64;
/// Frames that wait to be written to one peer; their bytes are bounded by `queue_bytes`.
pub(super) const QUEUE_FRAMES_MAX: usize = 256;
/// Peers that are banned at once; past it, the ban that ends first is lifted. A ban costs 48
/// bytes, a new key costs an attacker nothing: more would not help.
pub(super) const BANS_MAX: usize = 4_096;
/// How long a peer whose frames or streams break a protocol is refused: as long as the core refuses
/// one whose messages do.
pub(super) const BAN: Duration = Duration::from_secs(600);
/// Addresses of one peer that are dialed.
pub(super) const ADDRESSES_MAX: usize = 16;
/// Most addresses of one peer that are dialled until one of them answers or all have failed, with
/// those that are told meanwhile: where a peer is now may be told while old places are still tried.
pub(super) const ADDRESSES_IN_ALL_MAX: usize = 4 * ADDRESSES_MAX;
/// How long TCP has the field to itself, before QUIC is tried as well. TCP moves twice as much.
pub(super) const HEAD_START: Duration = Duration::from_millis(300);
/// How long a name may take to resolve.
pub(super) const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// How long a closed session may take to send what is queued, and the peer to read it.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Unanswered pings in a row after which a connection is dead. Bulk can delay one.
pub(super) const PING_FAILURES_MAX: u32 = 2;
/// Gossipsub streams that a peer may open on one connection. One is needed; it is opened anew
/// after an error, and an error is what a malformed frame is.
pub(super) const GOSSIP_STREAMS_MAX: u32 = 3;

/// The limits that a test or an operator may want to change, with their defaults.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Peers in all.
    pub peers: usize,
    /// Of these, kept for peers that we dial, so that strangers cannot take every place.
    pub outbound_reserved: usize,
    /// Inbound peers of one /24 (IPv4) or /48 (IPv6).
    pub inbound_per_subnet: usize,
    /// Frames a second that are read from a session; a burst of one second is allowed.
    pub frames_per_s: u32,
    /// Bytes a second that are read from a session; a burst of one second is allowed.
    pub bytes_per_s: u32,
    /// Bytes that wait to be written to one peer: eight answers of 1 MiB, twice.
    pub queue_bytes: usize,
    /// Gossip messages a second that are taken from a peer; the rest is ignored.
    pub gossip_per_s: u32,
    /// Blob requests that are served at once, to all peers together; the rest hears *busy*.
    pub blob_requests: usize,
    /// Where something is awaited from a peer, it must bring `least_bytes_per_s` in every such time.
    pub progress_window: Duration,
    /// See `progress_window`.
    pub least_bytes_per_s: u32,
    /// How long a connection may be without a session.
    pub session_within: Duration,
    /// How long a blob stream may be without a request.
    pub blob_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 128,
            outbound_reserved: 8,
            inbound_per_subnet: 16,
            frames_per_s: 64,
            bytes_per_s: 4 << 20,
            queue_bytes: 16 << 20,
            gossip_per_s: 64,
            blob_requests: 64,
            progress_window: Duration::from_secs(10),
            least_bytes_per_s: 16 << 10,
            session_within: Duration::from_secs(10),
            blob_idle: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// How long a peer may take to take `len` bytes from us.
    pub(super) fn time_to_take(&self, len: usize) -> Duration {
        let rate = f64::from(self.least_bytes_per_s.max(1));
        // A frame has at most 1 MiB: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let needed = Duration::from_secs_f64(len as f64 / rate);
        self.progress_window + needed
    }
}
