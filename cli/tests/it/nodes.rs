//! What needs a node that runs, or two: signals, and a ticket from one person to another.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fixture::Fixture;

/// How long a node may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_node_ends_cleanly_at_ctrl_c_and_when_a_supervisor_says_so() {
    let fixture = Fixture::new();
    for signal in [Signal::INT, Signal::TERM] {
        let output = fixture.node("home").end(signal);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{signal:?}: {stderr}");
        assert!(stderr.ends_with("\nstopping\n"), "{signal:?}: {stderr}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "stopped\tyes\n",
            "{signal:?}"
        );
        assert!(!fixture.home().join("skep.sock").exists(), "{signal:?}");
    }
}

#[test]
fn a_node_was_started_at_one_moment_whenever_it_is_asked() {
    let fixture = Fixture::new();
    let _node = fixture.node("home");
    let begun = Instant::now();
    let mut said = std::collections::BTreeSet::new();
    // Asked at every part of a second.
    while begun.elapsed() < Duration::from_millis(1_500) {
        let status = fixture.run("node status --json");
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        said.insert(status["started"].as_str().expect("a time").to_owned());
    }
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let temporary = fixture.path().join("tmp");
    fs::create_dir(&temporary).expect("made");
    let is_empty = || fs::read_dir(&temporary).expect("there").next().is_none();
    let child = fixture
        .skep("demo")
        .env("TMPDIR", &temporary)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("skep runs");
    while is_empty() {
        std::thread::yield_now();
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.ends_with("error: interrupted\n"), "{stderr}");
    assert!(is_empty(), "a folder was left");
}

#[test]
fn a_friend_with_a_ticket_is_asked_and_then_has_the_package() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let author = fixture.node("home");
    let ticket = fixture.run("repo ticket ana drop");
    let ticket = ticket.trim();
    fixture.new_home("friend");

    let line = format!("get {ticket} --home friend -o out");
    let output = fixture.skep(&line).output().expect("skep runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.starts_with("publisher  ana   SHA256:")
            && stderr.contains("trust ana for ana/drop?"),
        "{stderr}"
    );
    assert!(!fixture.path().join("out").exists(), "nothing was written");

    fixture.run(&format!("{line} --yes"));
    for file in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
        let read = |dir: &str| fs::read(fixture.path().join(dir).join(file)).expect("there");
        assert!(read("drop") == read("out/drop-0.1.0"), "{file} differs");
    }

    // Whoever runs no node passes on where the author's is.
    let onward = fixture.run("repo ticket ana drop --home friend");
    fixture.new_home("third");
    fixture.run(&format!(
        "get {} --home third -o third-out --yes",
        onward.trim()
    ));

    // What was fetched needs nobody any more.
    drop(author);
    fixture.run("get ana/drop --home friend --offline -o again");
}

#[test]
fn a_ticket_without_a_package_lists_them() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let _author = fixture.node("home");
    let ticket = fixture.run("repo ticket ana");
    fixture.new_home("friend");
    let line = format!("get {} --home friend", ticket.trim());
    let output = fixture.skep(&line).output().expect("skep runs");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: this ticket leads to the repository `ana`, and names no package\n  \
           package  ana/drop\n\
         hint: skep get ana/drop\n"
    );
}

#[test]
fn a_get_that_is_interrupted_keeps_what_came_and_says_how_to_go_on() {
    let fixture = Fixture::new();
    // Long enough that the signal comes before the end, also on a fast machine.
    let bytes: Vec<u8> = (0..48_u32 << 20).flat_map(|n| n.to_le_bytes()).collect();
    fs::write(fixture.path().join("drop/big.bin"), &bytes).expect("written");
    let toml = fixture.path().join("drop/skep.toml");
    let text = fs::read_to_string(&toml).expect("a package");
    fs::write(&toml, format!("{text}\n[[file]]\npath = \"big.bin\"\n")).expect("written");
    fixture.run("publish drop --yes");
    let author = fixture.node("home");
    let ticket = fixture.run("repo ticket ana drop");
    fixture.new_home("friend");

    let line = format!("get {} --home friend -o out --yes", ticket.trim());
    let child = fixture
        .skep(&line)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("skep runs");
    let partial = fixture.path().join("friend/store/partial");
    let begun = || fs::read_dir(&partial).is_ok_and(|mut files| files.next().is_some());
    while !begun() {
        std::thread::yield_now();
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.ends_with(
            "error: interrupted; what was fetched of `ana/drop@0.1.0` is kept\n\
             hint: to go on from there: skep get ana/drop@0.1.0 -o out\n"
        ),
        "{stderr}"
    );
    assert!(begun(), "what came is gone");
    assert!(
        !fixture.path().join("out").exists(),
        "nothing is half there"
    );

    fixture.run("get ana/drop@0.1.0 -o out --home friend");
    assert!(fs::read(fixture.path().join("out/drop-0.1.0/big.bin")).expect("there") == bytes);
    drop(author);
}

#[test]
fn a_ticket_of_a_repository_that_is_followed_needs_nobody_who_answers() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let author = fixture.node("home");
    let ticket = fixture.run("repo ticket ana drop");
    let ticket = ticket.trim();
    fixture.new_home("friend");
    fixture.run(&format!("get {ticket} --home friend -o out --yes"));
    drop(author);

    let line = format!("get {ticket} --home friend -o again");
    let output = fixture.skep(&line).output().expect("skep runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains(
            "warning: no peer that has the repository could be reached; going on with what is known here\n"
        ),
        "{stderr}"
    );
    assert!(fixture.path().join("again/drop-0.1.0/dropctl").exists());

    // Of one that is not, it says whom it tried.
    fixture.new_home("stranger");
    let line = format!("get {ticket} --home stranger");
    let output = fixture.skep(&line).output().expect("skep runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(
        stderr.contains("\n  tried  /ip4/127.0.0.1/tcp/"),
        "{stderr}"
    );
    let repos = fixture.path().join("stranger/repos.d");
    assert!(
        fs::read_dir(repos).expect("there").next().is_none(),
        "it is not followed"
    );
}

#[test]
fn a_demo_that_is_killed_takes_its_nodes_with_it() {
    let fixture = Fixture::new();
    let temporary = fixture.path().join("tmp");
    fs::create_dir(&temporary).expect("made");
    let mut demo = fixture
        .skep("demo")
        .env("TMPDIR", &temporary)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("skep runs");
    let said = BufReader::new(demo.stderr.take().expect("a pipe"));
    let mut lines = said.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("  mirror: a node runs")));
    demo.kill().expect("it runs");
    demo.wait().expect("it ends");
    let folder = fs::read_dir(&temporary).expect("there").next();
    let folder = folder.expect("it could not be removed").expect("an entry");
    for home in ["author", "mirror"] {
        let home = folder.path().join(home);
        let begun = Instant::now();
        while home.join("skep.sock").exists() {
            assert!(begun.elapsed() < PATIENCE, "a node runs on");
            std::thread::yield_now();
        }
        // It ended as at Ctrl-C.
        let log = fs::read_to_string(home.join("node.log")).expect("a log");
        assert!(log.contains("\nstopping\n"), "{log}");
    }
}
