//! A disk that spoils what it holds: said in true words, and healed where somebody has it.

use std::fs;
use std::path::{Path, PathBuf};

use skep_proto::key::Key;
use skep_proto::ticket::Ticket;

use super::home::{Home, author, failed, with_and_without_gossip};

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("written");
}

/// The key `keys/NAME` of a home.
fn key(home: &Home, name: &str) -> Key {
    let text = fs::read_to_string(home.path().join(format!("keys/{name}.pub")));
    let text = text.expect("a public key");
    Key::from_openssh(text.trim()).expect("a key")
}

fn repo_dir(home: &Home) -> PathBuf {
    let repos = fs::read_dir(home.path().join("store/repos")).expect("a store");
    let mut repos = repos.flatten();
    let only = repos.next().expect("a repository").path();
    assert!(repos.next().is_none());
    only
}

fn log_of(home: &Home, name: &str) -> PathBuf {
    repo_dir(home)
        .join("logs")
        .join(key(home, name).to_string())
}

/// Where an entry of a log begins, in its file.
fn entry_at(entries: &Path, index: usize) -> usize {
    let bytes = fs::read(entries).expect("read");
    (0..index).fold(0, |at, _| {
        at + 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
    })
}

fn damaged(home: &Home) -> Vec<PathBuf> {
    let found = fs::read_dir(home.path().join("store/damaged")).expect("a store");
    found.flatten().map(|entry| entry.path()).collect()
}

/// What a command said on the way, which must have succeeded.
fn said(home: &Home, args: &[&str]) -> String {
    let out = home.run(args);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{args:?}: {}\n{said}", out.status);
    said
}

/// The doctor's list, which must have failures.
fn diagnosed(home: &Home) -> String {
    let out = home.run(&["doctor"]);
    failed(6, &out);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn remove_what_is_damaged(home: &Home) {
    for path in damaged(home) {
        match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        }
        .expect("removed");
    }
}

/// An author with two releases and no node.
fn alone() -> Home {
    let author = Home::new(false);
    author.publish("0.1.0");
    author.publish("0.2.0");
    author
}

/// A friend's node that has what the author has published so far; the author's ends.
fn backed_up(author: &mut Home, gossip: bool) -> Home {
    let mut friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    friend.start();
    author.stop();
    friend
}

/// From now on the author knows where the friend's node is.
fn knows(author: &Home, friend: &Home) {
    let ticket: Ticket = friend.ticket().parse().expect("a ticket");
    let (node, addresses) = ticket.nodes.first().expect("an address");
    let peers: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"{}\"", skep_node::net::peer_text(node, address)))
        .collect();
    author.configure(&format!(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = []\npeers = [{}]\n",
        peers.join(", ")
    ));
}

#[test]
fn an_authors_spoiled_log_that_nobody_has_is_told_in_true_words() {
    let author = alone();
    let entries = log_of(&author, "ana").join("entries");
    flip(&entries, entry_at(&entries, 1) + 40);
    let warned = said(&author, &["repo", "show", "ana"]);
    assert!(warned.contains("was damaged on disk"), "{warned}");
    let kept = damaged(&author);
    assert_eq!(kept.len(), 1);
    let kept = kept[0].display().to_string();
    assert!(warned.contains(&kept), "{warned}");

    let shown = author.ok(&["repo", "show", "ana"]);
    let what = "and it is not here again yet";
    assert!(shown.contains(what), "{shown}");

    let package = author.package("0.3.0");
    let refused = author.fails(1, &["publish", &package]);
    assert!(!refused.contains("somebody else"), "{refused}");
    let what = "the store has 0 of the 3 entries that SHA256:";
    assert!(
        refused.contains(what) && refused.contains(&kept),
        "{refused}"
    );

    // Kept until a person has looked at it.
    for _ in 0..2 {
        let list = diagnosed(&author);
        let what = "ana: 0 of the 3 entries that SHA256:";
        assert!(list.contains(what), "{list}");
        assert!(list.contains(&format!("rm -r {kept}")), "{list}");
    }
}

#[test]
fn a_registrars_spoiled_log_is_not_taken_for_a_repository_where_one_may_not_publish() {
    let author = alone();
    let entries = log_of(&author, "ana.registrar").join("entries");
    flip(&entries, entry_at(&entries, 1) + 9);
    let package = author.package("0.3.0");
    for args in [
        &["publish", &package][..],
        &["publish", "--repo", "ana", &package],
    ] {
        let refused = author.fails(1, args);
        assert!(!refused.contains("none of your keys"), "{refused}");
        assert!(refused.contains("the store has 0 of the"), "{refused}");
    }
}

#[test]
fn a_spoiled_root_document_is_not_taken_for_a_repository_where_one_may_not_publish() {
    let author = alone();
    let roots = fs::read_dir(repo_dir(&author).join("roots")).expect("roots");
    for root in roots.flatten() {
        flip(&root.path(), 50);
    }
    let package = author.package("0.3.0");
    let refused = author.fails(4, &["publish", &package]);
    assert!(refused.contains("nothing is known of `ana`"), "{refused}");
    assert!(diagnosed(&author).contains("a root document of ana"));
}

#[test]
fn a_log_whose_state_is_spoiled_is_proven_by_its_authors_signature() {
    let author = alone();
    for name in ["ana", "ana.registrar"] {
        // In the seal; then the whole of it.
        flip(&log_of(&author, name).join("state"), 3);
        assert!(said(&author, &["info", "ana/drop"]).contains("was damaged on disk"));
        assert_eq!(author.newest().as_deref(), Some("0.2.0"), "{name}");
        assert!(diagnosed(&author).contains("damaged"), "{name}");
        remove_what_is_damaged(&author);
        author.ok(&["doctor"]);

        fs::write(log_of(&author, name).join("state"), "nonsense").expect("written");
        let warned = said(&author, &["info", "ana/drop"]);
        assert!(warned.contains("0 of its entries are proven"), "{warned}");
        // The entries were good, and the key's tip knows it.
        assert_eq!(author.newest().as_deref(), Some("0.2.0"), "{name}");
        remove_what_is_damaged(&author);
        author.ok(&["doctor"]);
    }
    // Lost, not spoiled: nothing is set aside, and the entries are where they were.
    fs::remove_file(log_of(&author, "ana").join("state")).expect("removed");
    author.ok(&["doctor"]);
    assert_eq!(author.newest().as_deref(), Some("0.2.0"));
    // Both at once: the registrar's log admits the other.
    for name in ["ana", "ana.registrar"] {
        fs::write(log_of(&author, name).join("state"), "nonsense").expect("written");
    }
    said(&author, &["info", "ana/drop@0.2.0"]);
    author.publish("0.3.0");
    assert_eq!(author.newest().as_deref(), Some("0.3.0"));
}

#[test]
fn a_spoiled_log_comes_back_from_a_peer() {
    with_and_without_gossip(|gossip| {
        for name in ["ana", "ana.registrar"] {
            let mut author = author(gossip);
            author.publish("0.2.0");
            let friend = backed_up(&mut author, gossip);
            let entries = log_of(&author, name).join("entries");
            flip(&entries, entry_at(&entries, 0) + 20);
            knows(&author, &friend);
            author.publish("0.3.0");
            author.ok(&["info", "ana/drop@0.2.0"]);
            author.start();
            friend.wait_for("0.3.0");
            remove_what_is_damaged(&author);
            author.ok(&["doctor"]);
        }
    });
}

/// The friend has the entry that the disk has spoiled, and lacks the one that was acknowledged last.
#[test]
fn what_a_peer_has_and_what_the_disk_left_make_a_log_whole() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        let friend = backed_up(&mut author, gossip);
        author.publish("0.2.0");
        let entries = log_of(&author, "ana").join("entries");
        flip(&entries, entry_at(&entries, 0) + 20);
        knows(&author, &friend);
        author.publish("0.3.0");
        author.ok(&["info", "ana/drop@0.2.0"]);
        author.start();
        friend.wait_for("0.3.0");
        friend.ok(&["info", "ana/drop@0.2.0"]);
    });
}

#[test]
fn a_spoiled_fact_stops_its_repository_alone_and_the_line_to_type_helps() {
    with_and_without_gossip(|gossip| {
        let (one, other) = (author(gossip), author(gossip));
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &one.ticket(), "--trust"]);
        friend.ok(&["get", "ana/drop"]);
        let first = repo_dir(&friend);
        friend.ok(&["repo", "add", &other.ticket(), "--alias", "bea", "--trust"]);
        let fact = first.join("facts/admitted/drop@0.1.0");
        flip(&fact, 40);
        for args in [
            &["info", "ana/drop"][..],
            &["get", "ana/drop", "-o", "a"],
            &["repo", "show", "ana"],
        ] {
            let refused = friend.fails(1, args);
            let line = format!("mv {}", fact.display());
            assert!(refused.contains(&line), "{args:?}: {refused}");
        }
        friend.ok(&["get", "bea/drop", "-o", "b"]);
        let list = friend.ok(&["repo"]);
        assert!(list.contains("stopped: "), "{list}");
        let list = diagnosed(&friend);
        assert!(list.contains("ana: stopped: "), "{list}");
        // What was said is typed.
        let damaged = friend.path().join("store/damaged");
        fs::rename(&fact, damaged.join("fact")).expect("moved");
        friend.ok(&["get", "ana/drop", "-o", "c"]);
        friend.same_files("c/drop-0.1.0");
    });
}

#[test]
fn a_fact_that_can_be_done_without_stops_nothing_and_is_said() {
    let mut author = alone();
    let holdings = fs::read_dir(repo_dir(&author).join("facts/holding")).expect("facts");
    for holding in holdings.flatten() {
        flip(&holding.path(), 35);
    }
    let warned = said(&author, &["info", "ana/drop"]);
    assert_eq!(
        warned.matches("something remembered of").count(),
        2,
        "{warned}"
    );
    assert!(diagnosed(&author).contains("that a release of ana is held"));
    // Said again, it is offered again.
    author.publish("0.2.0");
    author.start();
    let friend = Home::new(false);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    friend.ok(&["get", "ana/drop@0.2.0"]);
}

#[test]
fn a_spoiled_format_says_which_line_helps() {
    let author = alone();
    let format = author.path().join("store/format");
    flip(&format, 2);
    let refused = author.fails(1, &["info", "ana/drop"]);
    let kept = author.path().join("store/damaged/format");
    let line = format!("mv {} {}", format.display(), kept.display());
    assert!(refused.contains(&line), "{refused}");
    fs::rename(&format, &kept).expect("moved");
    assert_eq!(author.newest().as_deref(), Some("0.2.0"));
}

/// The file of the store that is as long as this one of the package, which is no other's length.
fn blob_like(home: &Home, name: &str) -> PathBuf {
    let size = fs::metadata(super::home::demo().join(name))
        .expect("a file")
        .len();
    let folders = fs::read_dir(home.path().join("store/blobs")).expect("blobs");
    let files = folders
        .flatten()
        .flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let mut found = files
        .map(|file| file.path())
        .filter(|path| fs::metadata(path).is_ok_and(|found| found.len() == size));
    let only = found.next().expect("it is in the store");
    assert!(found.next().is_none());
    only
}

#[test]
fn get_sets_a_spoiled_file_aside_and_fetches_it_again() {
    with_and_without_gossip(|gossip| {
        let author = author(gossip);
        let friend = Home::new(gossip);
        friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
        friend.ok(&["get", "ana/drop"]);
        for (round, name) in ["drop.bpf.o", "LICENSE", "drop.bpf.o"].iter().enumerate() {
            let blob = blob_like(&friend, name);
            let len = fs::metadata(&blob).expect("there").len();
            match round {
                2 => fs::File::options()
                    .write(true)
                    .open(&blob)
                    .and_then(|file| file.set_len(len - 1))
                    .expect("cut"),
                _ => flip(&blob, 100),
            }
            let folder = format!("round{round}");
            let spoiled = fs::read(&blob).expect("read");
            let args = ["get", "ana/drop", "-o", &folder];
            let refused = friend.run(&[&args[..], &["--offline"]].concat());
            let refused = failed(5, &refused);
            assert!(refused.contains("not every file"), "{refused}");
            // As it was before anybody looked.
            fs::write(&blob, spoiled).expect("written");
            friend.ok(&args);
            friend.same_files(&format!("{folder}/drop-0.1.0"));
            assert!(diagnosed(&friend).contains("a good one is here again"));
            remove_what_is_damaged(&friend);
            friend.ok(&["doctor"]);
        }
    });
}

#[test]
fn what_is_said_against_a_release_is_told_to_whoever_gets_or_verifies_it() {
    let author = alone();
    author.ok(&[
        "publish",
        "--deprecate",
        "ana/drop@0.1.0",
        "--because",
        "too slow",
    ]);
    author.ok(&[
        "publish",
        "--yank",
        "ana/drop@0.2.0",
        "--because",
        "drops too much",
    ]);
    let what = "`ana/drop@0.1.0` is deprecated: too slow";
    let got = said(&author, &["get", "ana/drop@0.1.0"]);
    assert!(got.contains(what), "{got}");
    let verified = author.ok(&["verify", "ana/drop@0.1.0"]);
    assert!(verified.contains(what), "{verified}");
    for args in [["get", "ana/drop@0.2.0"], ["verify", "ana/drop@0.2.0"]] {
        let refused = author.fails(3, &args);
        let what = "`ana/drop@0.2.0` is yanked: drops too much";
        assert!(refused.contains(what), "{refused}");
    }
}
