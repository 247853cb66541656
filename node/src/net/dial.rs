//! Dialing: TCP first, QUIC a moment later or as soon as TCP has failed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;

use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};

use super::address::{self, Resolved};
use super::admission::Refusal;
use super::limits::ADDRESSES_IN_ALL_MAX;

/// Peers that are dialed at once; the core has no use for more.
const DIALS_MAX: usize = 256;

/// One peer that is being dialed.
#[derive(Debug, Default)]
struct Dial {
    /// Every address that it was to be dialed at, as it was given.
    given: Vec<String>,
    /// Groups of them that are still being looked up.
    looked_up: usize,
    /// Addresses for later.
    quic: Vec<Multiaddr>,
    running: BTreeSet<ConnectionId>,
    errors: Vec<String>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Dial these, and tell [`Dials::running`].
    Dial(Vec<Multiaddr>),
    Wait,
    /// All is tried.
    Failed(String),
}

#[derive(Debug, Default)]
pub(super) struct Dials(BTreeMap<PeerId, Dial>);

impl Dials {
    /// Notes that a peer is to be dialed; gives the addresses that are to be looked up, those that
    /// are new if it is being dialed already, and `None` if there are none of these.
    ///
    /// # Errors
    /// Too many at once.
    pub(super) fn begin(
        &mut self,
        peer: PeerId,
        mut addresses: Vec<String>,
    ) -> Result<Option<Vec<String>>, String> {
        let dials = self.0.len();
        let dial = match self.0.entry(peer) {
            Entry::Vacant(_) if dials >= DIALS_MAX => {
                return Err(format!("{DIALS_MAX} others are being dialed"));
            }
            Entry::Vacant(vacant) => vacant.insert(Dial::default()),
            Entry::Occupied(running) => {
                let given = &running.get().given;
                addresses.retain(|address| !given.contains(address));
                addresses.truncate(ADDRESSES_IN_ALL_MAX.saturating_sub(given.len()));
                if addresses.is_empty() {
                    return Ok(None);
                }
                running.into_mut()
            }
        };
        dial.given.extend(addresses.iter().cloned());
        dial.looked_up += 1;
        Ok(Some(addresses))
    }

    pub(super) fn resolved(&mut self, peer: &PeerId, resolved: Resolved) -> Next {
        let Some(dial) = self.0.get_mut(peer) else {
            return Next::Wait;
        };
        dial.looked_up = dial.looked_up.saturating_sub(1);
        dial.errors.extend(resolved.errors);
        dial.quic.extend(resolved.quic);
        if resolved.tcp.is_empty() {
            self.advance(peer)
        } else {
            Next::Dial(resolved.tcp)
        }
    }

    pub(super) fn running(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(dial) = self.0.get_mut(peer) {
            dial.running.insert(connection);
        }
    }

    /// TCP has had its time alone.
    pub(super) fn head_start_over(&mut self, peer: &PeerId) -> Next {
        match self.0.get_mut(peer) {
            Some(dial) if !dial.quic.is_empty() => Next::Dial(std::mem::take(&mut dial.quic)),
            _ => Next::Wait,
        }
    }

    pub(super) fn failed(&mut self, peer: &PeerId, id: ConnectionId, error: &DialError) -> Next {
        let Some(dial) = self.0.get_mut(peer) else {
            return Next::Wait;
        };
        dial.running.remove(&id);
        dial.errors.extend(explain(error));
        self.advance(peer)
    }

    /// A connection came about.
    pub(super) fn done(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    fn advance(&mut self, peer: &PeerId) -> Next {
        let Some(dial) = self.0.get_mut(peer) else {
            return Next::Wait;
        };
        if !dial.quic.is_empty() {
            return Next::Dial(std::mem::take(&mut dial.quic));
        }
        if !dial.running.is_empty() || dial.looked_up > 0 {
            return Next::Wait;
        }
        let errors = std::mem::take(&mut dial.errors);
        self.0.remove(peer);
        Next::Failed(if errors.is_empty() {
            "no address".to_owned()
        } else {
            errors.join("; ")
        })
    }
}

/// What went wrong, an item an address, without libp2p's layers of wrapping.
fn explain(error: &DialError) -> Vec<String> {
    match error {
        DialError::Transport(errors) => errors
            .iter()
            .map(|(at, error)| {
                let mut root: &dyn std::error::Error = error;
                while let Some(source) = root.source() {
                    root = source;
                }
                format!("`{}`: {root}", address::text(at))
            })
            .collect(),
        DialError::WrongPeerId { address, .. } => {
            vec![format!(
                "`{}`: another node answers there",
                address::text(address)
            )]
        }
        DialError::LocalPeerId { address } => {
            vec![format!(
                "`{}`: this node itself answers there",
                address::text(address)
            )]
        }
        DialError::Denied { cause } => match cause.downcast_ref::<Refusal>() {
            Some(refusal) => vec![format!("refused by this node: {refusal}")],
            None => vec![
                cause
                    .source()
                    .map_or_else(|| cause.to_string(), ToString::to_string),
            ],
        },
        // Another dial has led to a connection.
        DialError::DialPeerConditionFalse(_) | DialError::Aborted => Vec::new(),
        DialError::NoAddresses => vec!["no address".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use skep_proto::id::NodeId;
    use skep_proto::key::Key;

    use super::*;

    fn peer(n: u16) -> PeerId {
        let mut public = [0; 32];
        public[..2].copy_from_slice(&n.to_be_bytes());
        address::peer_of(&NodeId::from_key(Key::ed25519(&public)))
    }

    fn at(text: &str) -> Vec<Multiaddr> {
        vec![text.parse().expect("a multiaddress")]
    }

    fn given() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    fn both() -> Resolved {
        Resolved {
            tcp: at("/ip4/192.0.2.1/tcp/1"),
            quic: at("/ip4/192.0.2.1/udp/1/quic-v1"),
            errors: vec!["`x`: no multiaddress".to_owned()],
        }
    }

    #[test]
    fn quic_is_dialed_when_the_head_start_is_over_and_only_once() {
        let (mut dials, peer) = (Dials::default(), peer(1));
        assert_eq!(dials.begin(peer, given()), Ok(Some(given())));
        assert_eq!(dials.begin(peer, given()), Ok(None));
        assert_eq!(dials.resolved(&peer, both()), Next::Dial(both().tcp));
        dials.running(&peer, ConnectionId::new_unchecked(1));
        assert_eq!(dials.head_start_over(&peer), Next::Dial(both().quic));
        dials.running(&peer, ConnectionId::new_unchecked(2));
        assert_eq!(dials.head_start_over(&peer), Next::Wait);
        let first = ConnectionId::new_unchecked(1);
        assert_eq!(
            dials.failed(&peer, first, &DialError::NoAddresses),
            Next::Wait
        );
        let second = ConnectionId::new_unchecked(2);
        let why = "`x`: no multiaddress; no address; no address".to_owned();
        assert_eq!(
            dials.failed(&peer, second, &DialError::NoAddresses),
            Next::Failed(why)
        );
        assert_eq!(dials.begin(peer, given()), Ok(Some(given())), "and again");
    }

    #[test]
    fn quic_is_dialed_at_once_when_tcp_has_failed_or_there_is_none() {
        let (mut dials, peer) = (Dials::default(), peer(1));
        assert_eq!(dials.begin(peer, given()), Ok(Some(given())));
        assert_eq!(dials.resolved(&peer, both()), Next::Dial(both().tcp));
        let first = ConnectionId::new_unchecked(1);
        dials.running(&peer, first);
        assert_eq!(
            dials.failed(&peer, first, &DialError::NoAddresses),
            Next::Dial(both().quic)
        );
        dials.done(&peer);
        assert_eq!(dials.begin(peer, given()), Ok(Some(given())));
        let quic = Resolved {
            tcp: Vec::new(),
            ..both()
        };
        assert_eq!(dials.resolved(&peer, quic), Next::Dial(both().quic));
    }

    #[test]
    fn an_address_that_comes_while_others_are_dialed_is_dialed_too() {
        let (mut dials, peer) = (Dials::default(), peer(1));
        dials.begin(peer, given()).expect("room");
        assert_eq!(dials.resolved(&peer, both()), Next::Dial(both().tcp));
        let first = ConnectionId::new_unchecked(1);
        dials.running(&peer, first);
        let more = vec!["b".to_owned(), "c".to_owned()];
        assert_eq!(dials.begin(peer, more), Ok(Some(vec!["c".to_owned()])));
        // The old ones fail meanwhile: the new one counts.
        dials.head_start_over(&peer);
        let failed = dials.failed(&peer, first, &DialError::NoAddresses);
        assert_eq!(failed, Next::Wait);
        let new = Resolved {
            tcp: at("/ip4/192.0.2.2/tcp/2"),
            ..Resolved::default()
        };
        assert_eq!(
            dials.resolved(&peer, new),
            Next::Dial(at("/ip4/192.0.2.2/tcp/2"))
        );
        let many = (0..100).map(|n| n.to_string()).collect();
        let rest = dials.begin(peer, many).expect("room");
        assert_eq!(rest.map(|rest| rest.len()), Some(ADDRESSES_IN_ALL_MAX - 3));
    }

    #[test]
    fn no_address_and_too_many_at_once_fail() {
        let mut dials = Dials::default();
        for n in 0..u16::try_from(DIALS_MAX).expect("small") {
            assert_eq!(dials.begin(peer(n), given()), Ok(Some(given())));
        }
        assert!(dials.begin(peer(9_999), given()).is_err());
        let none = dials.resolved(&peer(0), Resolved::default());
        assert_eq!(none, Next::Failed("no address".to_owned()));
        assert_eq!(dials.begin(peer(9_999), given()), Ok(Some(given())));
    }
}
