//! What commands leave in a home, and what they make of one that is damaged or in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::fixture::Fixture;

/// Every file and folder below `dir`.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

fn fails(fixture: &Fixture, line: &str, exit: i32) -> String {
    let Output { status, stderr, .. } = fixture.skep(line).output().expect("skep runs");
    let stderr = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(exit), "skep {line}: {stderr}");
    stderr
}

#[test]
fn what_only_looks_makes_nothing_in_a_new_home() {
    let fixture = Fixture::new();
    let before = below(&fixture.home());
    let temporary = fixture.path().join("tmp");
    fs::create_dir(&temporary).expect("made");
    let run = |line: &str| {
        let output = fixture.skep(line).env("TMPDIR", &temporary).output();
        output.expect("skep runs").status.code()
    };
    assert_eq!(run("publish drop --dry-run"), Some(0));
    for line in [
        "info ana/drop",
        "verify ana/drop",
        "trust test ana/drop",
        "repo show ana",
    ] {
        assert_eq!(run(line), Some(4), "{line}");
    }
    for line in ["repo", "trust", "key list", "doctor", "doctor --config"] {
        assert_eq!(run(line), Some(0), "{line}");
    }
    assert_eq!(below(&fixture.home()), before);
    assert_eq!(below(&temporary), [] as [PathBuf; 0]);
}

#[test]
fn a_dry_run_signs_and_stores_nothing_where_there_is_something() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let kept = |dir: &str| below(&fixture.home().join(dir));
    let (keys, blobs, logs) = (kept("keys"), kept("store/blobs"), kept("store/repos"));
    let tips = kept("keys/tips")
        .into_iter()
        .map(|tip| fs::read(tip).expect("a tip"));
    let tips: Vec<Vec<u8>> = tips.collect();
    let payload = fixture.run("publish newer --dry-run");
    assert!(payload.contains("\"version\":\"0.2.0\""), "{payload}");
    assert_eq!(
        (keys, blobs, logs),
        (kept("keys"), kept("store/blobs"), kept("store/repos"))
    );
    let after = kept("keys/tips")
        .into_iter()
        .map(|tip| fs::read(tip).expect("a tip"));
    assert_eq!(tips, after.collect::<Vec<_>>());
    assert!(fails(&fixture, "get ana/drop@0.2.0", 4).contains("0.1.0"));
}

#[test]
fn doctor_finds_a_file_that_changed_on_the_disk_and_says_how_to_have_it_again() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let checks = fixture.run("doctor");
    assert!(
        checks.contains("\tfiles\t4 of 4 files read and hashed again"),
        "{checks}"
    );

    let blobs = below(&fixture.home().join("store/blobs"));
    let victim = blobs.iter().find(|path| path.is_file()).expect("four");
    let mut bytes = fs::read(victim).expect("a file");
    bytes[0] ^= 1;
    fs::write(victim, bytes).expect("written");
    let stderr = fails(&fixture, "doctor", 6);
    assert!(
        stderr.ends_with("hint: fetch it again: skep get ana/drop@0.1.0\n"),
        "{stderr}"
    );
}

#[test]
fn doctor_names_the_port_that_somebody_else_has() {
    let fixture = Fixture::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = other.local_addr().expect("bound").port();
    let config = fixture.home().join("config.toml");
    let text = format!("listen = [\"127.0.0.1:{port}\"]\nmdns = false\ngateway = []\n");
    fs::write(&config, text).expect("written");
    let us = std::process::id();
    let checks = fixture.run("doctor");
    let holder = format!("warn\tports\t127.0.0.1:{port} is used by process {us} (`");
    assert!(checks.contains(&holder), "{checks}");
    let next = port.wrapping_add(1);
    let hint = format!("config.toml: listen = [\"127.0.0.1:{next}\"]\n");
    assert!(checks.contains(&hint), "{checks}");

    let text = format!("listen = []\nmdns = false\n[[gateway]]\nlisten = \"127.0.0.1:{port}\"\n");
    fs::write(&config, text).expect("written");
    let checks = fixture.run("doctor");
    assert!(
        checks.contains("config.toml: gateway = [{ listen = "),
        "{checks}"
    );
    drop(other);
    assert!(fixture.run("doctor").contains("\tports\tfree: "));
}

#[test]
fn of_several_gateways_the_first_one_answers() {
    let fixture = Fixture::new();
    let config = fixture.home().join("config.toml");
    let text = "listen = []\nmdns = false\n\
                [[gateway]]\nlisten = \"127.0.0.1:0\"\n\
                [[gateway]]\nlisten = \"127.0.0.1:0\"\nmode = \"normal\"\n";
    fs::write(config, text).expect("written");
    let node = fixture.node("home");
    let status = fixture.run("node status");
    let http = status
        .lines()
        .find_map(|line| line.strip_prefix("http\thttp://"));
    let mut stream = std::net::TcpStream::connect(http.expect("an address")).expect("it listens");
    let mut answer = String::new();
    std::io::Write::write_all(&mut stream, b"GET /readyz HTTP/1.0\r\n\r\n").expect("sent");
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    assert!(
        fixture
            .run("doctor")
            .contains("gateway\tonly the first one listens so far")
    );
    drop(node);
}

#[test]
fn a_repository_of_ones_own_that_was_removed_can_be_followed_again() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let ticket = fixture.run("repo ticket ana");
    fixture.run("repo remove ana");
    assert!(fails(&fixture, "info ana/drop", 4).contains("does not follow"));
    // Nobody else has it: what is in the store is enough.
    fixture.run(&format!("repo add {}", ticket.trim()));
    fixture.run("info ana/drop@0.1.0");
    // Rules went with the file.
    assert!(fails(&fixture, "get ana/drop", 3).contains("skep trust add ana/drop"));
}

#[test]
fn a_release_of_many_files_lists_them_all() {
    let fixture = Fixture::new();
    let toml = fixture.path().join("drop/skep.toml");
    let mut text = fs::read_to_string(&toml).expect("a package");
    // Too many for the manifest itself, which then names a file that lists them.
    for n in 0..600 {
        let path = format!("data-{n:03}.bin");
        fs::write(fixture.path().join("drop").join(&path), [0, 159, 146, 150]).expect("written");
        text.push_str(&format!("\n[[file]]\npath = \"{path}\"\n"));
    }
    fs::write(&toml, text).expect("written");
    fixture.run("publish drop --yes");
    let info = fixture.run("info ana/drop");
    let listed = info.lines().filter(|line| line.starts_with("files\tdata-"));
    assert_eq!(listed.count(), 600);

    // Before it is fetched nobody knows what the list holds, and that is said.
    let author = fixture.node("home");
    let ticket = fixture.run("repo ticket ana");
    fixture.new_home("friend");
    fixture.run(&format!("repo add {} --home friend", ticket.trim()));
    let output = fixture.skep("info ana/drop --home friend").output();
    let output = output.expect("skep runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("a list of this release is not here"),
        "{stderr}"
    );
    fixture.run("get ana/drop --normal --home friend -q");
    let info = fixture.run("info ana/drop --home friend");
    assert!(info.contains("\nfiles\tdata-599.bin\t4\t"), "{info}");
    drop(author);
}
