//! Nodes that cannot run, and say why and what to do.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use super::home::{Home, author};

/// A home whose node listens at this port.
fn at_port(port: u16) -> Home {
    let home = Home::new(true);
    home.configure(&format!(
        "listen = [\"127.0.0.1:{port}\"]\nmdns = false\ngateway = []\n"
    ));
    home
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = |at: std::io::Result<std::net::SocketAddr>| at.expect("an address").port();
    for (port, transport) in [
        (port(tcp.local_addr()), "tcp"),
        (port(udp.local_addr()), "udp"),
    ] {
        let home = at_port(port);
        let said = home.fails(1, &["node", "run"]);
        let what = format!("port {port} ({transport}) at `127.0.0.1` is in use by another process");
        assert!(said.contains(&what), "{said}");
        assert!(
            said.contains("hint: another port: set `listen` in config.toml"),
            "{said}"
        );
        // Nothing stays behind that would keep the next one from starting.
        home.configure("listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = []\n");
        home.publish("0.1.0");
    }
}

#[test]
fn two_nodes_on_one_port_name_it() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let mut first = at_port(port);
    first.start();
    let said = at_port(port).fails(1, &["node", "run"]);
    assert!(said.contains(&format!("port {port} (tcp)")), "{said}");
    assert!(first.is_up());
}

#[test]
fn a_port_of_the_http_side_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    let home = Home::new(true);
    home.configure(&format!(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n[[gateway]]\nlisten = \"{at}\"\n"
    ));
    let said = home.fails(1, &["node", "run"]);
    assert!(
        said.contains(&format!("could not listen on {at} for HTTP")),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
    assert!(said.contains("hint: another port"), "{said}");
}

#[test]
fn an_address_that_is_not_of_this_machine_is_named() {
    let home = Home::new(true);
    // TEST-NET-1: nobody has it.
    home.configure("listen = [\"192.0.2.1:0\"]\nmdns = false\ngateway = []\n");
    let said = home.fails(1, &["node", "run"]);
    assert!(
        said.contains("could not listen at `/ip4/192.0.2.1/tcp/0`"),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
}

#[test]
fn a_second_node_on_one_store_names_the_first() {
    let mut author = author(true);
    let pid = author.node.as_ref().expect("a node").id();
    // With the socket gone nobody could tell that a node runs, but for the lock.
    fs::remove_file(author.path().join("skep.sock")).expect("removed");
    let said = author.fails(1, &["node", "run"]);
    let what = format!("in use by process {pid}");
    assert!(said.contains(&what), "{said}");
    assert!(said.contains("another home: --home DIR"), "{said}");
    // A command waits ten seconds for the other one, and says the same.
    let said = author.fails(1, &["repo"]);
    assert!(said.contains(&what), "{said}");
    assert!(author.is_up());
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new(true);
    home.publish("0.1.0");
    let path = home.path().join("store/format");
    let newer = fs::read_to_string(&path)
        .expect("read")
        .replacen('1', "2", 1);
    fs::write(&path, &newer).expect("written");
    let package = home.package("0.2.0");
    for args in [&["repo"][..], &["node", "run"], &["publish", &package]] {
        let said = home.fails(1, args);
        assert!(
            said.contains("has format 2, and this program knows formats up to 1"),
            "{said}"
        );
        assert!(
            said.contains("hint: use the skep that made it, or a newer one"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), newer);
    }
    fs::write(&path, newer.replacen('2', "1", 1)).expect("written");
    assert_eq!(home.newest().as_deref(), Some("0.1.0"));
}
