//! What needs a node that runs, or two: signals, and a ticket from one person to another.

use std::process::Stdio;

use rustix::process::Signal;

use crate::fixture::Fixture;

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
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let temporary = fixture.path().join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    let is_empty = || {
        std::fs::read_dir(&temporary)
            .expect("there")
            .next()
            .is_none()
    };
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
        let read = |dir: &str| std::fs::read(fixture.path().join(dir).join(file)).expect("there");
        assert!(read("drop") == read("out/drop-0.1.0"), "{file} differs");
    }

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
