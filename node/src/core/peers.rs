//! Whom to dial: nodes that somebody configured, that a ticket names, or that this network shows.

use std::collections::BTreeMap;

use skep_proto::id::NodeId;

use super::effect::Effect;
use super::queues::Queue;
use super::{Core, Time};

/// How long a peer that did what no honest one does is not spoken to.
pub(super) const BAN_S: u64 = 600;
/// How often a configured node that is not connected is dialled.
const REDIAL_MS: u64 = 10_000;
/// Most nodes that are remembered with their addresses.
const KNOWN_MAX: usize = 256;

/// Nodes worth dialling, with their addresses.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<NodeId, Vec<String>>,
    next_dial: Time,
}

impl Peers {
    pub(super) fn next_dial(&self) -> Time {
        self.next_dial
    }

    pub(super) fn dial_soon(&mut self) {
        self.next_dial = Time::default();
    }

    pub(super) fn queue(&self) -> Queue {
        Queue {
            name: "nodes that are remembered",
            len: self.known.len(),
            limit: KNOWN_MAX,
        }
    }
}

impl Core {
    pub(super) fn discovered(&mut self, peer: NodeId, addresses: Vec<String>) {
        if peer == self.me {
            return;
        }
        let full = self.peers.known.len() >= KNOWN_MAX && !self.peers.known.contains_key(&peer);
        if !full {
            self.peers.known.insert(peer, addresses);
            self.peers.next_dial = self.now;
        }
        self.dial_configured();
    }

    /// Dials every known node that no session is open with, at most every [`REDIAL_MS`].
    pub(super) fn dial_configured(&mut self) {
        if self.now < self.peers.next_dial {
            return;
        }
        self.peers.next_dial = self.now.after(REDIAL_MS);
        for (peer, addresses) in &self.peers.known {
            if !self.sessions.values().any(|s| s.peer == *peer) {
                self.out.push(Effect::Dial {
                    peer: *peer,
                    addresses: addresses.clone(),
                });
            }
        }
    }
}
