use std::fs;
use std::path::Path;

use super::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, Config, GATEWAYS_MAX};
use crate::environment::Environment;
use crate::error::{Exit, Result};
use crate::home::Home;

/// Settings from files given as (path below a folder that has `home/` and `etc/`, text).
fn read(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let env = Environment {
        etc: folder.path().join("etc"),
        ..Environment::default()
    };
    let home = Home::locate(Some(&folder.path().join("home")), &env).expect("given");
    let config = Config::read(&home, &env);
    (folder, config)
}

fn refused(text: &str) -> String {
    let (_folder, config) = read(&[("home/config.toml", text)]);
    let error = config.expect_err("refused");
    assert_eq!(error.exit, Exit::Usage);
    error.causes.join("\n")
}

#[test]
fn without_files_all_is_default() {
    let (_folder, config) = read(&[]);
    let config = config.expect("defaults");
    let listen: Vec<String> = config
        .listen
        .value
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["0.0.0.0:7701", "[::]:7701"]);
    assert_eq!(config.listen.from, None);
    assert!(config.mdns.value && config.gossip.value);
    assert!(config.peers.value.is_empty() && config.files.is_empty());
}

#[test]
fn the_home_wins_then_a_later_drop_in_then_the_administrators_file() {
    let (folder, config) = read(&[
        (
            "etc/config.toml",
            "listen = 1\nmdns = false\ngossip = false\npeers = [\"a\"]",
        ),
        ("etc/config.d/10.toml", "listen = 2\npeers = [\"b\"]"),
        ("etc/config.d/20.toml", "peers = [\"c\", \"d\"]"),
        ("etc/config.d/30.toml.off", "peers = 7"),
        ("home/config.toml", "mdns = true"),
    ]);
    let config = config.expect("four files");
    let from = |path: &str| Some(folder.path().join(path));
    assert_eq!(config.listen.value[0].port(), 2);
    assert_eq!(config.listen.from, from("etc/config.d/10.toml"));
    assert_eq!(config.peers.value, ["c", "d"]);
    assert_eq!(config.peers.from, from("etc/config.d/20.toml"));
    assert!(config.mdns.value);
    assert_eq!(config.mdns.from, from("home/config.toml"));
    assert!(!config.gossip.value);
    assert_eq!(config.gossip.from, from("etc/config.toml"));
    assert_eq!(config.files.len(), 4);
}

#[test]
fn addresses_say_where_to_listen_and_none_is_nowhere() {
    let listen = |text: &str| {
        let (_folder, config) = read(&[("home/config.toml", text)]);
        config.expect("addresses").listen.value
    };
    assert_eq!(listen("listen = []"), []);
    let two = listen("listen = [\"127.0.0.1:7701\", \"[::1]:9\"]");
    assert_eq!(two.len(), 2);
}

#[test]
fn unknown_keys_are_errors_with_a_caret() {
    assert_eq!(
        refused("mdns = true\nmnds = false\n"),
        "TOML parse error at line 2, column 1\n  |\n2 | mnds = false\n  | ^^^^\n\
         unknown field `mnds`, expected one of `listen`, `peers`, `mdns`, `gossip`, `addresses`, `gateway`, `quota`\n"
    );
    for text in [
        "listen = 65536",
        "listen = [\"localhost\"]",
        "listen = true",
    ] {
        let why = refused(text);
        assert!(why.contains("a port such as 7701"), "{text}: {why}");
    }
}

#[test]
fn addresses_are_limited_in_number_and_length() {
    let peers = |count: usize, len: usize| {
        let peer = format!("\"{}\"", "p".repeat(len));
        format!("peers = [{}]", vec![peer; count].join(", "))
    };
    let good = peers(ADDRESSES_MAX, ADDRESS_BYTES_MAX);
    let (_folder, config) = read(&[("home/config.toml", &good)]);
    assert_eq!(
        config.expect("at the limits").peers.value.len(),
        ADDRESSES_MAX
    );
    assert_eq!(
        refused(&peers(ADDRESSES_MAX + 1, 1)),
        "more than 64 addresses in `listen` or `peers`"
    );
    assert_eq!(
        refused(&peers(1, ADDRESS_BYTES_MAX + 1)),
        "an address in `peers` or `addresses` has 256 bytes of text where at most 255 are allowed"
    );
    let listen = vec!["\"127.0.0.1:1\""; ADDRESSES_MAX + 1].join(", ");
    assert!(refused(&format!("listen = [{listen}]")).starts_with("more than 64"));
}

#[test]
fn a_file_that_cannot_be_read_is_not_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("config.toml")).expect("a folder of that name");
    let home = Home::locate(Some(folder.path()), &Environment::default()).expect("given");
    let env = Environment {
        etc: Path::new("/nonexistent").to_owned(),
        ..Environment::default()
    };
    assert!(Config::read(&home, &env).is_err());
}

#[test]
fn several_gateways_each_with_its_mode() {
    let gateways = |text: &str| {
        let (_folder, config) = read(&[("home/config.toml", text)]);
        let gateways = config.expect("gateways").gateways.value;
        let shown: Vec<String> = gateways.iter().map(ToString::to_string).collect();
        shown
    };
    assert_eq!(gateways(""), ["127.0.0.1:7700 trusted"]);
    assert_eq!(gateways("gateway = []"), [""; 0]);
    let two = "[[gateway]]\nlisten = \"127.0.0.1:7700\"\n\
               [[gateway]]\nlisten = \"127.0.0.1:7710\"\nmode = \"normal\"\n";
    assert_eq!(
        gateways(two),
        ["127.0.0.1:7700 trusted", "127.0.0.1:7710 normal"]
    );
    assert_eq!(
        refused(&two.replace("7710", "7700")),
        "two `[[gateway]]` listen on 127.0.0.1:7700"
    );
    let why = refused("[[gateway]]\nlisten = \"127.0.0.1:1\"\nmode = \"open\"\n");
    assert!(why.contains("unknown variant `open`"), "{why}");
    let many = |count: usize| {
        let entries = (1..=count).map(|n| format!("[[gateway]]\nlisten = \"127.0.0.1:{n}\"\n"));
        entries.collect::<String>()
    };
    assert_eq!(gateways(&many(GATEWAYS_MAX)).len(), GATEWAYS_MAX);
    assert_eq!(
        refused(&many(GATEWAYS_MAX + 1)),
        "more than 8 `[[gateway]]`"
    );
}

#[test]
fn what_is_suggested_when_a_port_is_taken_can_be_pasted() {
    let (_folder, config) = read(&[]);
    let config = config.expect("defaults");
    let lines = [config.listen_elsewhere(), config.gateway_elsewhere()];
    assert_eq!(
        lines,
        [
            "listen = [\"0.0.0.0:7702\", \"[::]:7702\"]",
            "gateway = [{ listen = \"127.0.0.1:7710\" }]"
        ]
    );
    let (_folder, config) = read(&[("home/config.toml", &lines.join("\n"))]);
    let config = config.expect("as it was suggested");
    assert_eq!(config.listen.value[0].port(), 7702);
    assert_eq!(config.gateways.value[0].listen.port(), 7710);
}

#[test]
fn what_tickets_would_name_must_be_an_address() {
    let good = "addresses = [\"/dns4/example.org/tcp/7701\", \"/ip4/192.0.2.7/udp/7701/quic-v1\"]";
    let (_folder, config) = read(&[("home/config.toml", good)]);
    assert_eq!(config.expect("addresses").addresses.value.len(), 2);
    let with_peer = "/ip4/192.0.2.7/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    for bad in ["x", "", "192.0.2.7:7701", "/ip4/192.0.2.7", with_peer] {
        let why = refused(&format!("addresses = [\"{bad}\"]"));
        assert!(why.starts_with(&format!("`{bad}` in `addresses`")), "{why}");
    }
}

#[test]
fn a_quota_is_a_size_and_none_by_default() {
    let (_folder, config) = read(&[("home/config.toml", "quota = \"200 GiB\"")]);
    let quota = config.expect("a size").quota.value;
    assert_eq!(quota.map(|size| size.0), Some(200 << 30));
    let (_folder, config) = read(&[]);
    assert_eq!(config.expect("defaults").quota.value, None);
    assert!(refused("quota = \"200 GB\"").contains("`200 GB` is not a size"));
    assert!(refused("quota = 200").contains("string"));
}
