//! Connecting: limits, bans, ports, failures to dial.

use skep_node::net::{Error, Limits, Why};

use super::*;

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind((LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let mut config = config(1);
    config.listen[0].port = port;
    let error = start_error(config).await;
    assert!(
        matches!(error, Error::PortInUse { port: named, transport: "tcp", .. } if named == port)
    );
    let text = format!("port {port} (tcp) at `127.0.0.1` is in use by another process");
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_udp_port_in_use_is_named() {
    let taken = std::net::UdpSocket::bind((LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let mut config = config(1);
    config.listen[0].port = port;
    let error = start_error(config).await;
    assert!(
        matches!(error, Error::PortInUse { port: named, transport: "udp", .. } if named == port)
    );
}

#[tokio::test]
async fn a_port_of_another_node_is_in_use() {
    let first = Node::plain(1).await;
    let mut config = config(2);
    let at = first.at(Way::Tcp).remove(0);
    let port = at.rsplit('/').next().expect("a port");
    config.listen[0].port = port.parse().expect("a number");
    assert!(matches!(
        start_error(config).await,
        Error::PortInUse {
            transport: "tcp",
            ..
        }
    ));
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_an_error() {
    let mut config = config(1);
    config.listen[0].ip = "192.0.2.1".parse().expect("an address");
    let error = start_error(config).await;
    assert_eq!(
        error.to_string(),
        "could not listen at `/ip4/192.0.2.1/tcp/0`"
    );
}

async fn start_error(config: Config) -> Error {
    match Net::start(config, Arc::new(Shelf::default())).await {
        Err(error) => error,
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn strangers_come_up_to_the_limit_and_not_one_past() {
    let seeds: [u8; 4] = seeds();
    for host in [0, 3] {
        let mut limited = config(seeds[host]);
        limited.limits = Limits {
            inbound_per_subnet: 2,
            ..brisk()
        };
        let mut host_node = Node::start(limited, Shelf::default()).await;
        let mut guests = Vec::new();
        for seed in seeds.iter().filter(|seed| **seed != seeds[host]) {
            guests.push(Node::plain(*seed).await);
        }
        let [first, second, third] = &mut guests[..] else {
            panic!("three guests");
        };
        let sessions = join(first, &mut host_node, Way::Tcp).await;
        join(second, &mut host_node, Way::Quic).await;
        third.net.dial(host_node.id, host_node.at(Way::Tcp)).await;
        assert_eq!(third.dial_failed().await.0, host_node.id);
        speak(first, &mut host_node, sessions).await;
        // One that we want ourselves still has a place.
        join(&mut host_node, third, Way::Tcp).await;
    }
}

#[tokio::test]
async fn a_banned_peer_is_disconnected_and_stays_away() {
    let [low, high] = seeds();
    for (judge, bad) in [(low, high), (high, low)] {
        let (mut a, mut b) = (Node::plain(judge).await, Node::plain(bad).await);
        let (in_a, in_b) = join(&mut a, &mut b, Way::Tcp).await;
        a.net.ban(b.id, 3_600).await;
        assert_eq!(a.closed().await, (in_a, Why::ByUs));
        assert_eq!(b.closed().await.0, in_b);
        a.net.dial(b.id, b.at(Way::Tcp)).await;
        assert_eq!(a.dial_failed().await, (b.id, "it is banned".to_owned()));
        b.net.dial(a.id, a.at(Way::Tcp)).await;
        assert_eq!(b.dial_failed().await.0, a.id);
        a.net.ban(b.id, 0).await;
        join(&mut b, &mut a, Way::Tcp).await;
    }
}

#[tokio::test]
async fn what_cannot_be_dialed_says_why() {
    let [low, high, other] = seeds();
    let (mut a, b) = (Node::plain(low).await, Node::plain(high).await);
    let closed = std::net::TcpListener::bind((LOCALHOST, 0)).expect("a free port");
    let port = closed.local_addr().expect("bound").port();
    drop(closed);
    let nobody = format!("/ip4/127.0.0.1/tcp/{port}");
    let at_b = b.at(Way::Tcp).remove(0);
    let check = async |a: &mut Node, peer: NodeId, addresses: &[&str], why: &str| {
        let addresses = addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect();
        a.net.dial(peer, addresses).await;
        let (failed, said) = a.dial_failed().await;
        assert_eq!(failed, peer);
        assert_eq!(said, why);
    };
    let other = node_id(other);
    let id = a.id;
    check(&mut a, other, &[], "no address").await;
    check(&mut a, other, &["nonsense"], "`nonsense`: no multiaddress").await;
    check(&mut a, id, &[&nobody], "this is the node itself").await;
    let refused = format!("`{nobody}`: Connection refused (os error 111)");
    check(&mut a, other, &[&nobody], &refused).await;
    let wrong = format!("`{at_b}`: another node answers there");
    check(&mut a, other, &[&at_b], &wrong).await;
    a.net
        .dial(b.id, vec!["nonsense".to_owned(), nobody, at_b])
        .await;
    assert_eq!(a.connected().await.1, b.id, "one good address is enough");
}

#[tokio::test]
async fn names_are_resolved() {
    let [low, high] = seeds();
    let (mut a, b) = (Node::plain(low).await, Node::plain(high).await);
    let at = b
        .at(Way::Tcp)
        .remove(0)
        .replace("/ip4/127.0.0.1/", "/dns/localhost/");
    a.net.dial(b.id, vec![at]).await;
    assert_eq!(a.connected().await.1, b.id);
}

#[tokio::test]
async fn a_node_that_listens_nowhere_can_dial() {
    let [low, high] = seeds();
    for (dialer, listener) in [(low, high), (high, low)] {
        let mut silent = config(dialer);
        silent.listen.clear();
        let mut a = Node::start(silent, Shelf::default()).await;
        assert!(a.net.addresses().is_empty());
        let mut b = Node::plain(listener).await;
        let sessions = join(&mut a, &mut b, Way::Tcp).await;
        speak(&mut a, &mut b, sessions).await;
    }
}
