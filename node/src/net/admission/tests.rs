use std::time::Duration;

use skep_proto::id::NodeId;
use skep_proto::key::Key;

use super::*;

fn peer(n: u16) -> PeerId {
    let mut public = [0; 32];
    public[..2].copy_from_slice(&n.to_be_bytes());
    address::peer_of(&NodeId::from_key(Key::ed25519(&public)))
}

fn connection(n: u16) -> ConnectionId {
    ConnectionId::new_unchecked(n.into())
}

fn seats(limits: Limits) -> Seats {
    Seats {
        limits,
        seats: BTreeMap::new(),
        pending: BTreeSet::new(),
        bans: BTreeMap::new(),
    }
}

/// Lets peers `0..n` in, each from a subnet of its own.
fn strangers(seats: &mut Seats, n: u16) -> Result<(), Refusal> {
    (0..n).try_for_each(|i| {
        let [a, b] = i.to_be_bytes();
        seats.admit(
            connection(i),
            peer(i),
            Some([4, a, b, 0, 0, 0, 0]),
            Instant::now(),
        )
    })
}

#[test]
fn strangers_never_take_the_places_of_peers_that_we_dial() {
    let mut seats = seats(Limits::default());
    assert_eq!(strangers(&mut seats, 120), Ok(()));
    let now = Instant::now();
    let late = seats.admit(connection(500), peer(500), Some([9; 7]), now);
    assert_eq!(late, Err(Refusal::Inbound(120)));
    for i in 600..608 {
        assert_eq!(seats.admit(connection(i), peer(i), None, now), Ok(()));
    }
    let one_more = seats.admit(connection(608), peer(608), None, now);
    assert_eq!(one_more, Err(Refusal::Peers(128)));
}

#[test]
fn one_subnet_has_sixteen_places_and_leaving_frees_one() {
    let (mut seats, now) = (seats(Limits::default()), Instant::now());
    let subnet = Some([4, 192, 0, 2, 0, 0, 0]);
    for i in 0..16 {
        assert_eq!(seats.admit(connection(i), peer(i), subnet, now), Ok(()));
    }
    let refused = seats.admit(connection(16), peer(16), subnet, now);
    assert_eq!(refused, Err(Refusal::Subnet(16)));
    assert_eq!(
        seats.admit(connection(17), peer(17), None, now),
        Ok(()),
        "we dialed it"
    );
    seats.leave(connection(3));
    assert_eq!(seats.admit(connection(18), peer(16), subnet, now), Ok(()));
}

#[test]
fn a_peer_counts_once_and_has_few_connections() {
    let limits = Limits {
        peers: 2,
        outbound_reserved: 0,
        ..Limits::default()
    };
    let (mut seats, now) = (seats(limits), Instant::now());
    for i in 0..4 {
        assert_eq!(seats.admit(connection(i), peer(0), None, now), Ok(()));
    }
    let fifth = seats.admit(connection(4), peer(0), None, now);
    assert_eq!(fifth, Err(Refusal::ConnectionsOfPeer(4)));
    assert_eq!(seats.admit(connection(5), peer(1), None, now), Ok(()));
    assert_eq!(
        seats.admit(connection(6), peer(2), None, now),
        Err(Refusal::Peers(2))
    );
}

#[test]
fn connections_that_prove_nothing_are_few() {
    let mut seats = seats(Limits::default());
    for i in 0..64 {
        assert_eq!(seats.knock(connection(i)), Ok(()));
    }
    assert_eq!(seats.knock(connection(64)), Err(Refusal::Pending(64)));
    seats.leave(connection(0));
    assert_eq!(seats.knock(connection(65)), Ok(()));
    assert_eq!(
        seats.admit(connection(65), peer(0), None, Instant::now()),
        Ok(())
    );
    assert_eq!(seats.knock(connection(66)), Ok(()));
}

#[test]
fn a_ban_ends_and_bans_are_bounded() {
    let (mut seats, now) = (seats(Limits::default()), Instant::now());
    let after = |s| now + Duration::from_secs(s);
    seats.ban(peer(0), after(10), now);
    assert_eq!(
        seats.admit(connection(0), peer(0), None, now),
        Err(Refusal::Banned)
    );
    assert_eq!(seats.admit(connection(0), peer(0), None, after(10)), Ok(()));
    for i in 0..u16::try_from(BANS_MAX).expect("small") {
        seats.ban(peer(i), after(100 + u64::from(i)), now);
    }
    assert_eq!(seats.bans.len(), BANS_MAX);
    seats.ban(peer(9_000), after(5), now);
    assert_eq!(seats.bans.len(), BANS_MAX);
    assert!(seats.banned(&peer(9_000), now), "the newest counts");
    assert!(
        !seats.banned(&peer(0), now),
        "the one that would have ended first"
    );
    seats.ban(peer(9_001), after(2_000_000), after(1_000_000));
    assert_eq!(seats.bans.len(), 1, "what has ended is forgotten");
}

#[test]
fn nothing_of_a_peer_stays_when_it_has_left() {
    let mut seats = seats(Limits::default());
    assert_eq!(strangers(&mut seats, 100), Ok(()));
    (0..100).for_each(|i| seats.leave(connection(i)));
    assert!(seats.seats.is_empty() && seats.pending.is_empty());
}
