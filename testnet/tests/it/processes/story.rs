//! What two strangers do: publish, fetch, catch up, restart, yank.

use std::fs;

use super::home::{Home, author, with_and_without_gossip};

fn what_is_published_is_fetched(gossip: bool) {
    let author = author(gossip);
    let mut friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket()]);
    friend.start();
    let refused = friend.fails(3, &["get", "ana/drop"]);
    assert!(refused.contains("skep trust add ana/drop"), "{refused}");
    assert!(!friend.path().join("drop-0.1.0").exists());
    author.publish("0.2.0");
    friend.wait_for("0.2.0");
    friend.ok(&["trust", "add", "ana/drop"]);
    friend.ok(&["get", "ana/drop"]);
    friend.same_files("drop-0.2.0");
    friend.ok(&["get", "ana/drop@0.1.0"]);
    friend.same_files("drop-0.1.0");
}

#[test]
fn what_is_published_is_fetched_elsewhere_byte_for_byte() {
    what_is_published_is_fetched(true);
}

#[test]
fn what_is_published_is_fetched_elsewhere_without_gossip() {
    what_is_published_is_fetched(false);
}

#[test]
fn a_ticket_is_all_that_a_friend_needs() {
    with_and_without_gossip(|gossip| {
        let author = author(gossip);
        let friend = Home::new(gossip);
        friend.ok(&["get", &author.ticket()]);
        friend.same_files("drop-0.1.0");
    });
}

fn a_late_node_catches_up(gossip: bool) {
    let mut author = author(gossip);
    let mut friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket()]);
    author.stop();
    author.publish("0.2.0");
    author.publish("0.3.0");
    author.start();
    friend.ok(&["repo", "add", &author.ticket()]);
    friend.start();
    friend.wait_for("0.3.0");
}

#[test]
fn a_node_that_was_off_catches_up() {
    a_late_node_catches_up(true);
}

#[test]
fn a_node_that_was_off_catches_up_without_gossip() {
    a_late_node_catches_up(false);
}

#[test]
fn a_node_that_is_restarted_or_killed_keeps_everything() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        let mut friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        friend.start();
        friend.ok(&["get", "ana/drop"]);
        let view = |home: &Home| home.ok(&["repo", "show", "ana", "--json"]);
        let before = view(&friend);
        friend.stop();
        friend.start();
        assert_eq!(view(&friend), before);
        author.kill();
        friend.kill();
        friend.start();
        assert_eq!(view(&friend), before);
        fs::remove_dir_all(friend.path().join("drop-0.1.0")).expect("removed");
        friend.ok(&["get", "ana/drop"]);
        friend.same_files("drop-0.1.0");
    });
}

#[test]
fn a_yank_hides_and_its_undo_brings_back() {
    with_and_without_gossip(|gossip| {
        let author = author(gossip);
        author.publish("0.2.0");
        let mut friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        friend.start();
        friend.wait_for("0.2.0");
        author.ok(&[
            "publish",
            "--yank",
            "ana/drop@0.2.0",
            "--because",
            "crashes",
        ]);
        friend.wait_for("0.1.0");
        friend.fails(3, &["get", "ana/drop@0.2.0"]);
        friend.ok(&["get", "ana/drop@0.2.0", "--allow-yanked"]);
        author.ok(&["publish", "--yank", "ana/drop@0.2.0", "--undo"]);
        friend.wait_for("0.2.0");
    });
}

/// The address that is known leads nowhere: the one of a new ticket is dialed at once, not when the
/// old one has been given up.
fn a_node_that_moved_is_found(gossip: bool) {
    let mut author = author(gossip);
    let friend = Home::new(gossip);
    for n in 2..4 {
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        author.kill();
        let version = format!("0.{n}.0");
        author.publish(&version);
        author.start();
        friend.ok(&["repo", "add", &author.ticket()]);
        assert_eq!(friend.newest(), Some(version));
    }
}

#[test]
fn a_node_that_moved_is_found_by_a_new_ticket() {
    a_node_that_moved_is_found(true);
}

#[test]
fn a_node_that_moved_is_found_by_a_new_ticket_without_gossip() {
    a_node_that_moved_is_found(false);
}
