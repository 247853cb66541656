//! Pipes, colour and signals.

use std::fs;
use std::process::Stdio;

use crate::fixture::Fixture;

#[test]
fn a_reader_that_leaves_is_no_error() {
    let fixture = Fixture::new();
    let mut child = fixture
        .skep("help environment")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("skep runs");
    // Closed before anything was read; what skep writes to it afterwards is refused by the system.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let fixture = Fixture::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = fixture
        .skep("help json")
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("skep runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("error: could not write the result to stdout\n"),
        "{stderr}"
    );
}

#[test]
fn colour_is_for_terminals_and_those_who_insist() {
    let fixture = Fixture::new();
    let coloured = |line: &str, variables: &[(&str, &str)]| {
        let output = fixture
            .skep(line)
            .envs(variables.iter().copied())
            .output()
            .expect("skep runs");
        assert_eq!(output.status.code(), Some(4));
        output.stderr.contains(&0x1b)
    };
    assert!(!coloured("key", &[]));
    assert!(coloured("key", &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(
        "key",
        &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]
    ));
    assert!(coloured("key --color always", &[("NO_COLOR", "1")]));
    assert!(!coloured("key --color never", &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn without_a_terminal_a_passphrase_is_an_error_and_never_a_hang() {
    let fixture = Fixture::new();
    let mut command = fixture.skep("key new");
    let output = command.env_remove("SKEP_PASSPHRASE").output();
    let output = output.expect("skep runs");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: a passphrase is needed, and there is no terminal to ask on\n\
         hint: set `SKEP_PASSPHRASE` (empty: none), or give --passphrase-file FILE\n"
    );
    assert!(
        !fixture.home().join("keys/ana").exists(),
        "nothing was made"
    );
}

#[test]
fn without_a_home_there_is_an_error_and_still_help() {
    let fixture = Fixture::new();
    let nowhere = |line: &str| {
        let mut command = fixture.skep(line);
        command.env_remove("HOME").env_remove("SKEP_HOME");
        command.output().expect("skep runs")
    };
    let output = nowhere("key");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: no home: neither `XDG_DATA_HOME` nor `HOME` is set\n\
         hint: --home DIR, or set `SKEP_HOME`\n"
    );
    assert!(nowhere("").status.success());
}

#[test]
fn ctrl_c_ends_even_a_command_that_waits() {
    let fixture = Fixture::new();
    // A key that never arrives: opening the pipe to write waits until skep has opened it to read.
    let pipe = fixture.path().join("pipe");
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).expect("a pipe");
    let child = fixture
        .skep("key import pipe")
        .stderr(Stdio::piped())
        .spawn()
        .expect("skep runs");
    let writer = fs::OpenOptions::new().write(true).open(&pipe);
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    drop(writer);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: interrupted\n"
    );
}

#[test]
fn a_log_that_takes_nothing_stops_no_node() {
    let fixture = Fixture::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let mut node = fixture
        .skep("node run --with-stdin")
        .env("SKEP_LOG", "skep_node=trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(full.expect("Linux has it"))
        .spawn()
        .expect("skep runs");
    fixture.run("node status --wait 30");
    // Its answers are logged as well.
    fixture.run("publish drop --yes");
    fixture.run("node stop");
    assert_eq!(node.wait().expect("it ends").code(), Some(0));
}
