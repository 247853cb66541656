//! Whom to dial: nodes that somebody configured, that a ticket names, or that this network shows.

use std::collections::BTreeMap;

use skep_proto::id::NodeId;

use super::effect::Effect;
use super::queues::Queue;
use super::{Core, Time};

/// How long a peer that did what no honest one does is not spoken to.
pub(super) const BAN_S: u64 = 600;
/// How often a known node that is not connected is dialled.
const REDIAL_MS: u64 = 10_000;
/// How soon it is dialled again after the first time, then after twice as long: whoever waits for a
/// file waits for some seconds, and a first dial may meet a node that has not noticed yet that the
/// last command of this home has ended.
const REDIAL_SOON_MS: u64 = 1_000;
/// Most nodes that are remembered with their addresses.
const KNOWN_MAX: usize = 256;

/// Nodes worth dialling, with their addresses.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<NodeId, Vec<String>>,
    next_dial: Time,
    /// How long after the next dial another one follows; 0 before the first.
    again_ms: u64,
}

impl Peers {
    pub(super) fn next_dial(&self) -> Time {
        self.next_dial
    }

    pub(super) fn dial_soon(&mut self) {
        self.dial_at(Time::default());
    }

    fn dial_at(&mut self, when: Time) {
        self.next_dial = when;
        self.again_ms = REDIAL_SOON_MS;
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
            self.peers.dial_at(self.now);
        }
        self.dial_configured();
    }

    /// Dials every known node that no session is open with: soon again at first, then every
    /// [`REDIAL_MS`].
    pub(super) fn dial_configured(&mut self) {
        if self.now < self.peers.next_dial {
            return;
        }
        let again_ms = match self.peers.known.is_empty() {
            true => REDIAL_MS,
            false => self.peers.again_ms.max(REDIAL_SOON_MS),
        };
        self.peers.next_dial = self.now.after(again_ms);
        self.peers.again_ms = (again_ms * 2).min(REDIAL_MS);
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
