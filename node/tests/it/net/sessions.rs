//! Sessions: frames in order, one per pair, their ends.

use skep_node::net::{Event, Limits, Why};

use super::*;

async fn frames_both_ways(way: Way, dialer: usize) {
    const FRAMES: u32 = 200;
    let seeds: [u8; 2] = seeds();
    let (mut a, mut b) = (
        Node::plain(seeds[dialer]).await,
        Node::plain(seeds[1 - dialer]).await,
    );
    let (in_a, in_b) = join(&mut a, &mut b, way).await;
    for i in 0..FRAMES {
        a.net.send(in_a, i.to_be_bytes().to_vec());
        b.net.send(in_b, (i + FRAMES).to_be_bytes().to_vec());
    }
    for i in 0..FRAMES {
        assert_eq!(b.frame().await, (in_b, i.to_be_bytes().to_vec()));
        assert_eq!(a.frame().await, (in_a, (i + FRAMES).to_be_bytes().to_vec()));
    }
    let longest = pattern(1 << 20);
    a.net.send(in_a, longest.clone());
    assert!(b.frame().await == (in_b, longest));
}

#[tokio::test]
async fn two_nodes_exchange_frames_in_order_over_tcp() {
    frames_both_ways(Way::Tcp, 0).await;
    frames_both_ways(Way::Tcp, 1).await;
}

#[tokio::test]
async fn two_nodes_exchange_frames_in_order_over_quic() {
    frames_both_ways(Way::Quic, 0).await;
    frames_both_ways(Way::Quic, 1).await;
}

#[tokio::test]
async fn tcp_is_preferred_where_both_are_offered() {
    let [low, high] = seeds();
    let (mut a, b) = (Node::plain(low).await, Node::plain(high).await);
    let mut addresses = b.net.addresses();
    addresses.sort_by_key(|address| address.contains("/tcp/"));
    a.net.dial(b.id, addresses).await;
    let address = a
        .until(|event| match event {
            Event::Connected {
                address, outbound, ..
            } => outbound.then_some(address),
            _ => None,
        })
        .await;
    assert_eq!(vec![address], b.at(Way::Tcp));
}

#[tokio::test]
async fn both_dialing_at_once_have_one_session() {
    for way in [Way::Tcp, Way::Quic] {
        let [low, high] = seeds();
        let (mut a, mut b) = (Node::plain(low).await, Node::plain(high).await);
        let (at_a, at_b) = (a.at(way), b.at(way));
        tokio::join!(a.net.dial(b.id, at_b), b.net.dial(a.id, at_a));
        let (in_a, in_b) = (a.connected().await.0, b.connected().await.0);
        speak(&mut a, &mut b, (in_a, in_b)).await;
        a.net.close(in_a);
        // Any further session would have begun before this end, or would be told of before it.
        let others = |event: Event| match event {
            Event::Connected { session, .. } => Some(Some(session)),
            Event::Closed { .. } => Some(None),
            _ => None,
        };
        assert_eq!(a.until(others).await, None);
        assert_eq!(b.until(others).await, None);
    }
}

#[tokio::test]
async fn a_closed_session_sends_what_was_queued_and_a_new_one_has_a_new_id() {
    let [low, high] = seeds();
    let (mut a, mut b) = (Node::plain(low).await, Node::plain(high).await);
    let mut ids = BTreeSet::new();
    // Often enough that a connection closed too soon is seen.
    for _ in 0..20 {
        let (in_a, in_b) = join(&mut b, &mut a, Way::Tcp).await;
        assert!(ids.insert((in_a, in_b)));
        b.net.send(in_a, vec![1; 300_000]);
        b.net.send(in_a, b"bye".to_vec());
        b.net.close(in_a);
        b.net.send(in_a, b"too late".to_vec());
        assert_eq!(a.frame().await.1.len(), 300_000);
        assert_eq!(a.frame().await, (in_b, b"bye".to_vec()));
        assert_eq!(b.closed().await, (in_a, Why::ByUs));
        let (session, why) = a.closed().await;
        assert!(
            session == in_b && matches!(why, Why::ByPeer | Why::Lost),
            "{why:?}"
        );
    }
}

#[tokio::test]
async fn a_queue_that_overflows_ends_the_session_and_says_so() {
    let [low, high] = seeds();
    let mut slow = config(low);
    slow.limits = Limits {
        queue_bytes: 3 << 20,
        ..brisk()
    };
    let mut a = Node::start(slow, Shelf::default()).await;
    let mut b = Node::plain(high).await;
    let (in_a, in_b) = join(&mut a, &mut b, Way::Tcp).await;
    // Nobody takes the events of `b`, so it stops reading, and what we send piles up.
    for _ in 0..200 {
        a.net.send(in_a, vec![7; 1 << 20]);
    }
    assert_eq!(a.closed().await, (in_a, Why::Overflow));
    let (session, _) = b.closed().await;
    assert_eq!(session, in_b);
}

#[tokio::test]
async fn a_node_that_restarts_has_a_new_session_with_everybody() {
    let [low, high] = seeds();
    for (first, second) in [(low, high), (high, low)] {
        let (mut a, mut b) = (Node::plain(first).await, Node::plain(second).await);
        let (old, _) = join(&mut a, &mut b, Way::Tcp).await;
        let at = b.net.addresses();
        let port = at
            .iter()
            .find_map(|at| at.strip_prefix("/ip4/127.0.0.1/tcp/"));
        let port = port.expect("a TCP port").parse().expect("a number");
        b.net.stop().await;
        let (session, why) = a.closed().await;
        assert!(
            session == old && matches!(why, Why::ByPeer | Why::Lost),
            "{why:?}"
        );
        let mut again = config(second);
        again.listen[0].port = port;
        let mut b = Node::start(again, Shelf::default()).await;
        let sessions = join(&mut a, &mut b, Way::Tcp).await;
        assert_ne!(sessions.0, old);
        speak(&mut a, &mut b, sessions).await;
    }
}

/// Over TCP the system says that a process has ended; over QUIC nobody does.
#[tokio::test]
async fn a_peer_whose_process_ended_unnoticed_has_a_new_session_when_it_comes_again() {
    let [low, high] = seeds();
    let mut a = Node::plain(low).await;
    let (id, at) = (a.id, a.at(Way::Quic));
    let process = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let there = at.clone();
    let first = process.spawn(async move {
        let mut b = Node::plain(high).await;
        b.net.dial(id, there).await;
        b.connected().await;
        b
    });
    let first = first.await.expect("it runs");
    let (old, _) = a.connected().await;
    // Its only thread stands still from here: not even that it ends is said.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    process.spawn(async move { ended.recv() });
    let mut b = Node::plain(high).await;
    b.net.dial(id, at).await;
    assert_eq!(a.closed().await, (old, Why::Replaced));
    let (in_a, in_b) = (a.connected().await.0, b.connected().await.0);
    speak(&mut a, &mut b, (in_a, in_b)).await;
    drop((end, first));
    process.shutdown_background();
}

#[tokio::test]
async fn the_network_ends_when_its_last_handle_is_dropped() {
    let [low, high] = seeds();
    let (mut a, mut b) = (Node::plain(low).await, Node::plain(high).await);
    join(&mut a, &mut b, Way::Tcp).await;
    let Node {
        net, mut events, ..
    } = a;
    drop(net);
    let ended = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the events end");
    b.closed().await;
}

#[tokio::test]
async fn a_peer_is_read_no_faster_than_its_budget() {
    let [low, high] = seeds();
    let mut slow = config(low);
    slow.limits = Limits {
        frames_per_s: 2,
        ..brisk()
    };
    let mut a = Node::start(slow, Shelf::default()).await;
    let mut b = Node::plain(high).await;
    let (_, in_b) = join(&mut a, &mut b, Way::Tcp).await;
    let since = tokio::time::Instant::now();
    for i in 0..5_u8 {
        b.net.send(in_b, vec![i]);
    }
    for i in 0..5_u8 {
        assert_eq!(a.frame().await.1, vec![i]);
    }
    // A second's worth and one more at once, then one every half second.
    assert!(since.elapsed() >= Duration::from_millis(900));
}

#[tokio::test]
async fn round_trips_and_our_own_addresses_are_told() {
    let [low, high] = seeds();
    let (a, mut b) = (Node::plain(low).await, Node::plain(high).await);
    a.net.dial(b.id, b.at(Way::Tcp)).await;
    let mut seen = (None, None);
    let (observed, micros) = b
        .until(|event| {
            match event {
                Event::Observed { address, by } if by == a.id => seen.0 = Some(address),
                Event::RoundTrip { peer, micros } if peer == a.id => seen.1 = Some(micros),
                _ => {}
            }
            Some((seen.0.clone()?, seen.1?))
        })
        .await;
    assert_eq!(vec![observed], b.at(Way::Tcp));
    assert!(micros > 0);
}
