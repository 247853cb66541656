//! Nodes on a local network of their own: with no settings at all, and two of which neither was told
//! where the other is.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::full_disk::skipped;
use super::home::Home;

/// Two network namespaces joined by one cable; gone when it is dropped.
struct Cable {
    ends: [String; 2],
}

impl Cable {
    /// None, said in words, where this user may not make namespaces.
    fn lay() -> Option<Self> {
        // Tests run beside each other.
        static LAID: AtomicU32 = AtomicU32::new(0);
        let id = (std::process::id(), LAID.fetch_add(1, Ordering::Relaxed));
        let end = |name| format!("skep-{name}-{}-{}", id.0, id.1);
        let ends = [end("a"), end("b")];
        if !ends.iter().all(|end| ip(&["netns", "add", end])) {
            skipped("finding peers on a network needs namespaces, and this user may not make them");
            return None;
        }
        let cable = Self { ends };
        let [a, b] = &cable.ends;
        let made = ip(&[
            "-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b,
        ]);
        assert!(made, "a cable between two namespaces");
        for (end, address) in cable.ends.iter().zip(["10.77.0.1/24", "10.77.0.2/24"]) {
            for line in [
                &["link", "set", "lo", "up"][..],
                &["address", "add", address, "dev", "wire"],
                &["link", "set", "wire", "up"],
                &["route", "add", "224.0.0.0/4", "dev", "wire"],
            ] {
                let line = [&["-n", end.as_str()], line].concat();
                assert!(ip(&line), "{line:?}");
            }
        }
        Some(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in &self.ends {
            ip(&["netns", "delete", end]);
        }
    }
}

fn ip(args: &[&str]) -> bool {
    let done = Command::new("ip").args(args).output();
    done.is_ok_and(|out| out.status.success())
}

fn on_the_network(gossip: bool) -> String {
    format!("listen = [\"0.0.0.0:0\"]\nmdns = true\ngossip = {gossip}\ngateway = []\n")
}

fn two_nodes_find_each_other(gossip: bool) {
    let Some(cable) = Cable::lay() else {
        return;
    };
    let [a, b] = &cable.ends;
    let mut author = Home::new(gossip);
    author.publish("0.1.0");
    author.configure(&on_the_network(gossip));
    author.start_within(a);

    let mut friend = Home::new(gossip);
    friend.configure(&on_the_network(gossip));
    let shown = author.ok(&["repo", "show", "ana"]);
    let fact = |name: &str| {
        let mut lines = shown.lines();
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix('\t')
                .map(str::to_owned)
        })
    };
    let (id, sha256) = (
        fact("id").expect("an id"),
        fact("root_sha256").expect("a hash"),
    );
    let file = format!("id = \"{id}\"\nroot = {{ version = 1, sha256 = \"{sha256}\" }}\n");
    let repos = friend.path().join("repos.d");
    std::fs::create_dir_all(&repos).expect("a folder");
    std::fs::write(repos.join("ana.toml"), file).expect("written");
    friend.start_within(b);

    friend.wait_for("0.1.0");
    friend.ok(&["get", "ana/drop", "--normal"]);
    friend.same_files("drop-0.1.0");
    drop((author, friend));
}

#[test]
fn nodes_on_one_network_find_each_other() {
    two_nodes_find_each_other(true);
}

#[test]
fn nodes_on_one_network_find_each_other_without_gossip() {
    two_nodes_find_each_other(false);
}

#[test]
fn a_node_without_any_settings_listens_on_every_address() {
    let Some(cable) = Cable::lay() else {
        return;
    };
    let [a, _] = &cable.ends;
    let mut home = Home::new(true);
    home.configure("");
    home.start_within(a);
    let status = home.ok(&["node", "status"]);
    for listening in ["/ip4/10.77.0.1/tcp/7701", "/ip4/10.77.0.1/udp/7701/quic-v1"] {
        assert!(status.contains(listening), "{status}");
    }
    assert!(status.contains("http://127.0.0.1:7700"), "{status}");
}
