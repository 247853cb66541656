//! Nodes that cannot run, and say why and what to do.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use skep_proto::hash::Sha256;
use skep_proto::ticket::Ticket;

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
            said.contains("hint: another port") && said.contains("listen = "),
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

/// What is wrong in a package is found before anything is signed or kept.
#[test]
fn a_package_that_is_refused_leaves_nothing_behind() {
    let home = Home::new(true);
    home.publish("0.1.0");
    let state = || {
        let shown = home.ok(&["repo", "show", "ana", "--json"]);
        let blobs = fs::read_dir(home.path().join("store/blobs")).expect("blobs");
        let tips = fs::read_dir(home.path().join("keys/tips"))
            .expect("tips")
            .flatten();
        let mut tips: Vec<_> = tips
            .map(|tip| fs::read(tip.path()).expect("a tip"))
            .collect();
        tips.sort();
        (shown, blobs.count(), tips)
    };
    let before = state();
    let object = "file = \"drop.bpf.o\"";
    let cases = [
        (
            object,
            "file = \"../drop/drop.bpf.o\"",
            1,
            "`../drop/drop.bpf.o` has a component",
        ),
        (
            object,
            "file = \"/bin/sh\"",
            1,
            "the path `/bin/sh` is absolute",
        ),
        (
            object,
            "file = \"nothing.o\"",
            4,
            "skep.toml names `nothing.o`, which is not there",
        ),
        (
            object,
            "file = \"README.md\"",
            1,
            "`README.md`: not an eBPF object",
        ),
        ("\"drop\"", "\"Drop It\"", 1, "`Drop It` is not a name"),
        ("\"0.2.0\"", "\"2\"", 1, "`2` is not a version"),
        (
            "GPL-2.0-only OR",
            "GPL-2-ish OR",
            1,
            "is no SPDX expression",
        ),
    ];
    for (from, to, code, what) in cases {
        let package = home.package("0.2.0");
        let toml = std::path::Path::new(&package).join("skep.toml");
        let text = fs::read_to_string(&toml).expect("read");
        let wrong = text.replacen(from, to, 1);
        assert_ne!(text, wrong, "{to}");
        fs::write(&toml, wrong).expect("written");
        let said = home.fails(code, &["publish", &package]);
        assert!(said.contains(what), "{to}: {said}");
        assert!(said.contains("hint: "), "{to}: {said}");
        assert_eq!(state(), before, "{to}");
    }
    // A release that is there, with other content.
    let package = home.package("0.1.0");
    fs::write(std::path::Path::new(&package).join("README.md"), "another").expect("written");
    let said = home.fails(1, &["publish", &package]);
    assert!(
        said.contains("ana/drop@0.1.0 is published, with other content"),
        "{said}"
    );
    assert!(said.contains("hint: bump the version"), "{said}");
    assert_eq!(state(), before);
    home.publish("0.2.0");
}

#[test]
fn a_key_that_others_can_read_or_that_does_not_open_stops_what_needs_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new(true);
    home.publish("0.1.0");
    let package = home.package("0.2.0");
    let open_to_others = |name: &str, args: &[&str]| {
        let path = home.path().join("keys").join(name);
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        mode(0o644).expect("changed");
        let said = home.fails(1, args);
        let what = format!(
            "the key file `{}` is open to others (mode 0644)",
            path.display()
        );
        assert!(said.contains(&what), "{said}");
        assert!(
            said.contains(&format!("hint: chmod 600 {}", path.display())),
            "{said}"
        );
        mode(0o600).expect("changed");
    };
    open_to_others("ana", &["publish", &package]);
    open_to_others("node", &["node", "run"]);
    assert_eq!(home.newest().as_deref(), Some("0.1.0"));
    home.ok(&["publish", &package]);

    let home = Home::new(true);
    let package = home.package("0.1.0");
    let with = |passphrase: &str| {
        let mut command = home.command(&["publish", &package]);
        command.env("SKEP_PASSPHRASE", passphrase);
        command.output().expect("skep starts")
    };
    assert!(with("right").status.success());
    let package = home.package("0.2.0");
    let said = super::home::failed(1, &with("wrong"));
    assert!(said.contains("could not open the key `ana`"), "{said}");
    assert!(said.contains("the passphrase is wrong"), "{said}");
    assert!(
        said.contains("hint: check it with: ssh-keygen -y -f "),
        "{said}"
    );
    assert_eq!(home.newest().as_deref(), Some("0.1.0"));
    let mut command = home.command(&["publish", &package]);
    command.env("SKEP_PASSPHRASE", "right");
    assert!(command.output().expect("skep starts").status.success());
    assert_eq!(home.newest().as_deref(), Some("0.2.0"));
}

/// Whatever one letter of it is mistyped, a ticket is refused, and nothing is followed.
#[test]
fn a_ticket_with_a_typing_error_is_refused() {
    let author = author(true);
    let ticket = author.ticket();
    let friend = Home::new(true);
    for at in [7, ticket.len() / 2, ticket.len() - 1] {
        let other = if ticket.as_bytes()[at] == b'q' {
            "p"
        } else {
            "q"
        };
        let mut mistyped = ticket.clone();
        mistyped.replace_range(at..=at, other);
        for args in [&["get", &mistyped][..], &["repo", "add", &mistyped]] {
            let said = friend.fails(2, args);
            assert!(
                said.contains("this ticket was mistyped or cut off"),
                "{said}"
            );
            assert!(said.contains("hint: copy the whole ticket again"), "{said}");
        }
    }
    assert!(!friend.path().join("repos.d").join("ana.toml").exists());
    friend.nothing_written();
    friend.ok(&["get", &ticket]);
}

/// A ticket names a root document as another channel does: what cannot be is refused, what may be
/// somewhere is waited for.
#[test]
fn a_ticket_of_another_first_root_document_is_refused_and_one_of_a_newer_is_noted() {
    let author = author(true);
    let mut ticket: Ticket = author.ticket().parse().expect("a ticket");
    let (version, sha256) = ticket.root;
    author.ok(&["--offline", "repo", "add", &ticket.to_text().expect("fits")]);
    ticket.root.1 = Sha256::of(&[b"another document"]);
    let text = ticket.to_text().expect("fits");
    // A repository is named after its first one, so that the ticket contradicts itself.
    let said = author.fails(2, &["--offline", "repo", "add", &text]);
    assert!(
        said.contains("not the one that its repository is named after"),
        "{said}"
    );
    ticket.root = (version + 1, sha256);
    let text = ticket.to_text().expect("fits");
    let said = author.run(&["--offline", "repo", "add", &text]).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("none newer than 1 was found yet"), "{said}");
}
