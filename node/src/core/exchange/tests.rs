use skep_proto::hash::Sha256;
use skep_proto::key::SigningKey;

use super::*;

const GROUP: u64 = blob::GROUP_BYTES;

fn peer(n: u8) -> NodeId {
    NodeId::from_key(SigningKey::from_seed(&[n; 32]).key())
}

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

fn hash(n: u8) -> Blake3 {
    Blake3::of(&[&[n]])
}

/// Of whom, from which group on, how many.
type Asked = (NodeId, u64, u64);

/// An exchange, and the peers that are connected.
struct Fetching {
    exchange: Exchange,
    peers: Vec<NodeId>,
    now: Time,
}

impl Fetching {
    /// One blob of `groups` groups is wanted, and its list is known.
    fn of(groups: u64, peers: &[u8]) -> Self {
        let mut exchange = Exchange::default();
        let size = groups * GROUP;
        let begun = exchange.want(
            Time(0),
            RequestId(1),
            repo(),
            &[(hash(1), size)],
            &mut vec![],
        );
        assert_eq!(begun, None);
        let held = Held::Part {
            groups: vec![],
            list: true,
        };
        exchange.begun(hash(1), &held);
        Self {
            exchange,
            peers: peers.iter().map(|n| peer(*n)).collect(),
            now: Time(0),
        }
    }

    /// What is asked of whom now: (peer, first, count).
    fn asked(&mut self) -> (Vec<Asked>, Vec<(RequestId, WantEnd)>) {
        let mut out = Vec::new();
        let peers = self.peers.clone();
        let ended = self
            .exchange
            .schedule(self.now, &|_| peers.clone(), &mut out);
        let asked = out.into_iter().filter_map(|effect| match effect {
            Effect::FetchGroups {
                peer, first, count, ..
            } => Some((peer, first, count)),
            _ => None,
        });
        (asked.collect(), ended)
    }
}

#[test]
fn a_blob_of_several_groups_first_needs_its_list_from_one_peer() {
    let mut exchange = Exchange::default();
    exchange.want(
        Time(0),
        RequestId(1),
        repo(),
        &[(hash(1), 3 * GROUP)],
        &mut vec![],
    );
    let held = Held::Part {
        groups: vec![],
        list: false,
    };
    exchange.begun(hash(1), &held);
    let mut out = Vec::new();
    exchange.schedule(Time(0), &|_| vec![peer(1), peer(2)], &mut out);
    assert!(
        matches!(out.as_slice(), [Effect::FetchList { .. }]),
        "{out:?}"
    );
}

#[test]
fn every_peer_gets_a_run_and_no_group_is_asked_twice_while_others_are_free() {
    let mut fetching = Fetching::of(64, &[1, 2]);
    let (asked, _) = fetching.asked();
    assert_eq!(asked, [(peer(1), 0, 16), (peer(2), 16, 16)]);
    let (again, _) = fetching.asked();
    assert_eq!(again, [], "both are busy");
}

#[test]
fn in_the_end_game_a_slow_peer_loses_its_work() {
    let mut fetching = Fetching::of(32, &[1, 2]);
    fetching.asked();
    for group in 16..32 {
        fetching.now = Time(group);
        let (now, from) = (fetching.now, peer(2));
        fetching
            .exchange
            .group_stored(now, from, &hash(1), group, GROUP);
    }
    fetching
        .exchange
        .fetch_ended(peer(2), &hash(1), FetchEnd::Done);
    let (asked, _) = fetching.asked();
    assert!(
        matches!(asked.as_slice(), [(from, 0, _)] if *from == peer(2)),
        "{asked:?}"
    );
}

#[test]
fn a_liar_is_named_and_not_asked_again() {
    let mut fetching = Fetching::of(2, &[1]);
    fetching.asked();
    fetching
        .exchange
        .fetch_ended(peer(1), &hash(1), FetchEnd::Lied);
    assert_eq!(fetching.asked(), (vec![], vec![]), "it waits for another");
    fetching.now = Time(PATIENCE_MS);
    let (_, ended) = fetching.asked();
    let end = WantEnd::Failed {
        missing: vec![hash(1)],
        liars: vec![peer(1)],
    };
    assert_eq!(ended, [(RequestId(1), end)]);
}

#[test]
fn what_is_held_already_is_not_asked_for() {
    let mut fetching = Fetching::of(4, &[1]);
    let held = Held::Part {
        groups: vec![0, 1, 3],
        list: true,
    };
    fetching.exchange.begun(hash(1), &held);
    assert_eq!(fetching.asked().0, [(peer(1), 2, 1)]);
    let whole = fetching
        .exchange
        .group_stored(Time(1), peer(1), &hash(1), 2, GROUP);
    assert!(whole, "the last group that was missing");
    assert_eq!(
        fetching.exchange.stored(hash(1)),
        [(RequestId(1), WantEnd::Stored)]
    );
}

#[test]
fn a_peer_that_is_gone_owes_nothing() {
    let mut fetching = Fetching::of(4, &[1]);
    fetching.asked();
    fetching.exchange.peer_gone(&peer(1));
    fetching.peers = vec![peer(2)];
    assert_eq!(fetching.asked().0, [(peer(2), 0, 4)]);
}

#[test]
fn a_want_of_nothing_is_met_at_once() {
    let mut exchange = Exchange::default();
    let end = exchange.want(Time(0), RequestId(1), repo(), &[], &mut vec![]);
    assert_eq!(end, Some(WantEnd::Stored));
}
