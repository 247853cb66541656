//! Commands that run at the same time in one home, and one that is interrupted.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::home::{Home, author, demo, failed, wait_until, with_and_without_gossip};
use super::hostile::{Liar, Lie};

/// Sixteen MiB: 64 groups.
const HEAVY_BYTES: usize = 16 << 20;
const HEAVY_GROUPS: usize = HEAVY_BYTES / (256 << 10);

fn succeeds(command: Child) -> String {
    let out = command.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{}: {said}", out.status);
    said
}

fn interrupt(command: &Child) {
    let pid = i32::try_from(command.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), Signal::INT).expect("it is there");
}

/// An author whose node does not run, with a release of 16 MiB, and its ticket.
fn heavy_author(gossip: bool) -> (Home, String) {
    let mut author = Home::new(gossip);
    let package = author.heavy_package("0.1.0", HEAVY_BYTES);
    author.ok(&["publish", &package]);
    author.start();
    let ticket = author.ticket();
    author.stop();
    (author, ticket)
}

/// No node runs: the first command runs one, the others use it, whoever ends first.
#[test]
fn several_gets_at_once_in_one_home_all_succeed() {
    with_and_without_gossip(|gossip| {
        let author = author(gossip);
        author.publish("0.2.0");
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        let gets = [
            ["get", "ana/drop@0.1.0", "-o", "a"],
            ["get", "ana/drop@0.2.0", "-o", "b"],
            ["get", "ana/drop@0.2.0", "-o", "c"],
            ["get", "ana/drop@0.2.0", "-o", "c"],
        ];
        let running: Vec<Child> = gets.iter().map(|args| friend.spawn(args)).collect();
        for get in running {
            succeeds(get);
        }
        for folder in ["a/drop-0.1.0", "b/drop-0.2.0", "c/drop-0.2.0"] {
            friend.same_files(folder);
        }
        for folder in ["a", "b", "c"] {
            let names = fs::read_dir(friend.path().join(folder)).expect("a folder");
            assert_eq!(names.count(), 1, "no part stays in {folder}");
        }
    });
}

/// A command that is done before another one that uses its node waits for that one.
#[test]
fn a_get_that_ends_first_does_not_take_the_node_from_another() {
    with_and_without_gossip(|gossip| {
        let (author, ticket) = heavy_author(gossip);
        let slow = Liar::start(&author, Lie::Slow, gossip);
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &slow.instead_of(&ticket), "--trust"]);
        // Runs the node, and is interrupted long before the other is done.
        let short = friend.spawn(&["get", "ana/drop", "-o", "short"]);
        wait_until("the first get fetches", || slow.served() > 4);
        let long = friend.spawn(&["get", "ana/drop", "-o", "long"]);
        // It finds that node within this time, or runs one later: the outcome is the same.
        std::thread::sleep(std::time::Duration::from_millis(300));
        interrupt(&short);
        let out = short.wait_with_output().expect("it ends");
        failed(130, &out);
        succeeds(long);
        friend.same_files("long/drop-0.1.0");
        assert!(!friend.path().join("short/drop-0.1.0").exists());
    });
}

#[test]
fn a_get_succeeds_while_a_publish_runs_in_the_same_home() {
    with_and_without_gossip(|gossip| {
        let home = Home::new(gossip);
        home.publish("0.1.0");
        let heavy = home.heavy_package("0.2.0", HEAVY_BYTES);
        for n in 0..4 {
            let publish = home.spawn(&["publish", &heavy]);
            let out = format!("out-{n}");
            let get = home.spawn(&["get", "ana/drop@0.1.0", "-o", &out]);
            succeeds(get);
            succeeds(publish);
            home.same_files(&format!("{out}/drop-0.1.0"));
        }
        assert_eq!(home.newest().as_deref(), Some("0.2.0"));
        home.publish("0.3.0");
    });
}

/// Two publishes at once with one key must not make it sign two histories.
#[test]
fn two_publishes_at_once_leave_one_history() {
    with_and_without_gossip(|gossip| {
        let mut home = Home::new(gossip);
        home.publish("0.1.0");
        let first = home.package("0.2.0");
        let other = home.path().join("other");
        fs::create_dir(&other).expect("a folder");
        for entry in fs::read_dir(&first).expect("a package").flatten() {
            fs::copy(entry.path(), other.join(entry.file_name())).expect("copied");
        }
        let toml = fs::read_to_string(other.join("skep.toml")).expect("read");
        let toml = toml.replace("\"0.2.0\"", "\"0.3.0\"");
        fs::write(other.join("skep.toml"), toml).expect("written");
        // A node runs: both commands talk to it at the same time.
        home.start();
        let both = [first, other.display().to_string()];
        let running = both.map(|package| home.spawn(&["publish", &package]));
        for publish in running {
            succeeds(publish);
        }
        for version in ["0.1.0", "0.2.0", "0.3.0"] {
            home.ok(&["info", &format!("ana/drop@{version}")]);
        }
        home.publish("0.4.0");
        let shown = home.ok(&["repo", "show", "ana", "--json"]);
        assert!(shown.contains("\"forked_keys\":[]"), "{shown}");
    });
}

/// Of two contents under one version one is published, and the other refused: both, and nobody could
/// say which is meant.
#[test]
fn two_publishes_of_one_version_at_once_leave_one_content() {
    with_and_without_gossip(|gossip| {
        let mut home = Home::new(gossip);
        home.publish("0.1.0");
        home.start();
        let first = home.package("0.2.0");
        let other = home.path().join("other");
        fs::create_dir(&other).expect("a folder");
        for entry in fs::read_dir(&first).expect("a package").flatten() {
            fs::copy(entry.path(), other.join(entry.file_name())).expect("copied");
        }
        fs::write(other.join("README.md"), "another").expect("written");
        let both = [first, other.display().to_string()];
        let running = both.map(|package| home.spawn(&["publish", &package]));
        let outs = running.map(|publish| publish.wait_with_output().expect("it ends"));
        let refused: Vec<_> = outs.iter().filter(|out| !out.status.success()).collect();
        assert_eq!(refused.len(), 1, "one of two");
        let said = failed(1, refused[0]);
        assert!(said.contains("is published, with other content"), "{said}");
        let info = home.ok(&["info", "ana/drop@0.2.0", "--json"]);
        assert!(info.contains("\"state\":\"listed\""), "{info}");
    });
}

#[test]
fn a_get_that_is_interrupted_keeps_its_part_and_goes_on_from_there() {
    with_and_without_gossip(|gossip| {
        let (author, ticket) = heavy_author(gossip);
        let slow = Liar::start(&author, Lie::Slow, gossip);
        let ticket = slow.instead_of(&ticket);
        let friend = Home::new(gossip);
        let get = friend.spawn(&["get", &ticket]);
        wait_until("the get is half done", || slow.served() > HEAVY_GROUPS / 2);
        interrupt(&get);
        let said = failed(130, &get.wait_with_output().expect("it ends"));
        assert!(said.contains("interrupted"), "{said}");
        friend.nothing_written();
        let parts = fs::read_dir(friend.path().join("store/partial")).expect("parts");
        assert!(parts.count() > 0, "the part is kept");
        let before = slow.served();
        friend.ok(&["get", &ticket]);
        let again = slow.served() - before;
        friend.same_files("drop-0.1.0");
        let weight = |home: &std::path::Path| fs::read(home.join("weight")).expect("a file");
        assert_eq!(
            weight(&friend.path().join("drop-0.1.0")),
            weight(&author.path().join("drop"))
        );
        // What is sent and not stored when the process ends is asked for again: a few groups.
        assert!(
            again < HEAVY_GROUPS / 2 + 8,
            "{again} of {HEAVY_GROUPS} groups again"
        );
        let parts = fs::read_dir(friend.path().join("store/partial")).expect("parts");
        assert_eq!(parts.count(), 0, "and nothing of it stays");
    });
}

#[test]
fn an_interrupted_publish_is_finished_by_the_next() {
    with_and_without_gossip(|gossip| {
        let home = Home::new(gossip);
        home.publish("0.1.0");
        let heavy = home.heavy_package("0.2.0", HEAVY_BYTES);
        let publish = home.spawn(&["publish", &heavy]);
        std::thread::sleep(std::time::Duration::from_millis(150));
        interrupt(&publish);
        let out = publish.wait_with_output().expect("it ends");
        assert!(matches!(out.status.code(), Some(0 | 130)), "{}", out.status);
        home.ok(&["publish", &heavy]);
        assert_eq!(home.newest().as_deref(), Some("0.2.0"));
        assert!(demo().join("dropctl").exists());
        home.publish("0.3.0");
    });
}
