//! What to do: everything the core answers. An interpreter matches it without a wildcard.

use std::sync::Arc;

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::sync::wire::Message;

use super::Time;
use super::exchange::WantEnd;
use super::input::{GossipId, RequestId, SessionId};
use crate::snapshot::Snapshot;
use crate::store::Change;

/// Effects are carried out in order; a `Persist` is durable before a later effect leaves.
#[derive(Debug, Clone)]
pub enum Effect {
    Persist(Change),
    Send {
        session: SessionId,
        message: Message,
    },
    /// Answers a request for entries: the adapter reads [from, to) and streams them with the proof.
    SendEntries {
        session: SessionId,
        request: u32,
        repo: RepoId,
        key: Key,
        from: u64,
        to: u64,
        proof: Vec<Sha256>,
    },
    Gossip {
        topic: [u8; 32],
        data: Vec<u8>,
    },
    Judge {
        id: GossipId,
        verdict: Verdict,
    },
    Subscribe {
        topic: [u8; 32],
    },
    Unsubscribe {
        topic: [u8; 32],
    },
    Dial {
        peer: NodeId,
        addresses: Vec<String>,
    },
    /// Ends a session; with `ban_s` the peer is not spoken to for that long.
    Disconnect {
        session: SessionId,
        ban_s: Option<u64>,
    },
    BeginBlob {
        hash: Blake3,
        size_bytes: u64,
    },
    FetchList {
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        size_bytes: u64,
    },
    FetchGroups {
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        first: u64,
        count: u64,
    },
    /// Every group is there: check, and put the blob in its place.
    FinishBlob {
        hash: Blake3,
    },
    /// From now on readers see this.
    Show(Arc<Snapshot>),
    Reply(RequestId, Reply),
    WakeAt(Time),
    Tell(Event),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Ignore,
    Reject,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    /// Not done, and why, in words for people.
    Refused(String),
    /// The log has this many entries, not what the author's tool expected.
    Size(u64),
    Want(WantEnd),
    /// No peer was compared with to the end within the time.
    TimedOut,
    /// As `TimedOut`, and this peer was found to say something false meanwhile.
    Lied {
        peer: NodeId,
        what: String,
    },
}

/// News for logs, metrics and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Connected {
        peer: NodeId,
    },
    Disconnected {
        peer: NodeId,
    },
    /// A peer did what no honest one does.
    Misbehaved {
        peer: NodeId,
        what: String,
    },
    LogAdvanced {
        repo: RepoId,
        key: Key,
        size: u64,
    },
    RootAccepted {
        repo: RepoId,
        version: u64,
    },
    Forked {
        repo: RepoId,
        key: Key,
    },
    ViewChanged {
        repo: RepoId,
        view_hash: Option<Sha256>,
    },
    /// A log of a repository could not be stored as asked.
    ReadOnly {
        why: String,
    },
}
