//! What is in the way, damaged or mistyped: refused or passed over, said in words, with what to do.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::Fixture;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fails(fixture: &Fixture, line: &str, exit: i32) -> String {
    let output = fixture.skep(line).output().expect("skep runs");
    assert_eq!(
        output.status.code(),
        Some(exit),
        "skep {line}: {}",
        said(&output)
    );
    said(&output)
}

/// Runs a line that must succeed, and gives what it says on stderr.
fn talks(fixture: &Fixture, line: &str) -> String {
    let output = fixture.skep(line).output().expect("skep runs");
    assert!(output.status.success(), "skep {line}: {}", said(&output));
    said(&output)
}

#[test]
fn a_line_that_cannot_be_read_is_an_object_where_json_is_wanted() {
    use std::os::unix::ffi::OsStrExt as _;
    let fixture = Fixture::new();
    let object = |output: &Output| -> serde_json::Value {
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let text = said(output);
        let object: serde_json::Value = serde_json::from_str(&text).expect("one object");
        assert_eq!(object["schema"], "skep.error/1");
        assert_eq!(object["exit"], 2);
        object
    };
    let of = |line: &str| object(&fixture.skep(line).output().expect("skep runs"));
    let unknown = of("--json keyy");
    assert_eq!(unknown["message"], "unrecognized subcommand 'keyy'");
    assert_eq!(
        unknown["details"][0],
        "tip: a similar subcommand exists: 'key'"
    );
    assert_eq!(unknown["hint"], "Usage: skep [OPTIONS] [COMMAND]");
    let missing = of("--json get");
    assert!(
        missing["message"].as_str().expect("text").contains("<"),
        "{missing}"
    );
    assert_eq!(of("get --json --bogus")["causes"], serde_json::json!([]));
    let mut twin = fixture.skep("keyy");
    object(&twin.env("SKEP_JSON", "1").output().expect("skep runs"));
    let mut odd = fixture.skep("--json get");
    odd.arg(std::ffi::OsStr::from_bytes(b"\xff"));
    object(&odd.output().expect("skep runs"));
    // What is behind `--` is no flag, and without it people are talked to.
    for line in ["keyy", "key list -- --json"] {
        let text = fails(&fixture, line, 2);
        assert!(text.starts_with("error: "), "{text}");
    }
}

#[test]
fn a_key_file_that_is_not_needed_stops_nothing() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let keys = fixture.home().join("keys");
    let (root, notes) = (keys.join("ana.root"), keys.join("notes"));
    let whole = fs::read_to_string(&root).expect("a key");
    fs::write(&root, whole.replace("AAAA", "AAAB")).expect("damaged");
    fs::write(&notes, "call ben").expect("written");
    for line in ["key list", "publish newer"] {
        let text = talks(&fixture, line);
        for path in [&root, &notes] {
            let named = format!("`{}`", path.display());
            assert_eq!(text.matches(&named).count(), 1, "{text}");
        }
        assert!(text.contains("move it away"), "{text}");
    }
    assert_eq!(fixture.run("key --json").matches("\"ana\"").count(), 1);
    // The one that is needed is.
    let own = keys.join("ana");
    let whole = fs::read_to_string(&own).expect("a key");
    fs::write(&own, whole.replace("AAAA", "AAAB")).expect("damaged");
    let text = fails(&fixture, "key", 1);
    assert!(text.contains(&own.display().to_string()), "{text}");
}

#[test]
fn a_damaged_key_of_the_node_is_replaced_once_it_is_moved_away() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let node = fixture.home().join("keys/node");
    fs::write(&node, "no key").expect("damaged");
    let text = fails(&fixture, "publish newer", 1);
    let line = format!("mv {0} {0}.damaged", node.display());
    assert!(text.contains(&line), "{text}");
    fs::rename(&node, node.with_extension("damaged")).expect("moved");
    fixture.run("publish newer");
}

#[test]
fn a_first_publish_from_a_folder_that_cannot_be_written_publishes() {
    let fixture = Fixture::new();
    let skep = fixture.skep("publish drop --yes");
    let mut command = Command::new("unshare");
    let read_only = "mount --bind drop drop && mount -o remount,ro,bind drop drop && exec \"$@\"";
    command
        .args(["--mount", "sh", "-c", read_only, "sh"])
        .arg(skep.get_program())
        .args(skep.get_args())
        .current_dir(fixture.path())
        .envs(
            skep.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let mounts = Command::new("unshare").args(["--mount", "true"]).status();
    if !mounts.is_ok_and(|status| status.success()) {
        skipped("a folder that nobody can write needs a mount, and this user may not make one");
        return;
    }
    let output = command.output().expect("it starts");
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.starts_with("repository = "));
    let line = line.expect("the line to add is said");
    assert!(text.contains("could not edit `drop/skep.toml`"), "{text}");
    let path = fixture.path().join("drop/skep.toml");
    let before = fs::read_to_string(&path).expect("there");
    assert!(!before.contains("repository"), "{before}");
    fixture.run("info ana/drop@0.1.0");
    // The next one from a folder that can be written finds it published, and writes the line.
    fixture.run("publish drop");
    let after = fs::read_to_string(&path).expect("there");
    assert!(after.contains(line), "{after}");
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

fn pipe(path: &Path) {
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).expect("a pipe");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let fixture = Fixture::new();
    let toml = fixture.path().join("empty/skep.toml");
    pipe(&toml);
    let text = fails(&fixture, "publish empty", 2);
    assert!(text.contains("is not a regular file"), "{text}");
    fs::remove_file(&toml).expect("there");
    fs::write(&toml, b"[package]\nname = \"\xff\"\n").expect("written");
    let text = fails(&fixture, "publish empty", 2);
    assert!(
        text.contains("is not text") && text.contains("hint: "),
        "{text}"
    );
    fixture.run("publish drop --yes");
    pipe(&fixture.home().join("keys/pipe"));
    fixture.run("publish newer");
}

#[test]
fn a_skep_file_is_a_file_on_a_disk() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes --to drop.skep");
    let (there, link) = (fixture.path().join("pipe"), fixture.path().join("link"));
    pipe(&there);
    std::os::unix::fs::symlink("pipe", &link).expect("a link");
    for name in ["pipe", "link", "newer"] {
        for line in [
            format!("bundle export ana/drop -o {name}"),
            format!("publish newer --to {name}"),
            format!("bundle import {name}"),
        ] {
            let text = fails(&fixture, &line, 1);
            let what = if name == "newer" {
                "`newer` is a folder".to_owned()
            } else {
                format!("`{name}` is no regular file")
            };
            assert!(text.contains(&what) && text.contains("hint: "), "{text}");
        }
    }
    let kind = fs::symlink_metadata(&there).expect("there").file_type();
    assert!(
        std::os::unix::fs::FileTypeExt::is_fifo(&kind),
        "what stood there was replaced"
    );
    // Nothing was published that could not be written.
    let versions = fixture.run("info ana/drop --json");
    assert!(!versions.contains("0.2.0"), "{versions}");
    // A link to a file, and one whose writer was killed.
    let (target, left) = (
        fixture.path().join("target.skep"),
        fixture.path().join(".target.skep.999999999.new"),
    );
    for file in [&target, &left] {
        fs::write(file, "before").expect("written");
    }
    fs::remove_file(&link).expect("there");
    std::os::unix::fs::symlink("target.skep", &link).expect("a link");
    fixture.run("bundle export ana/drop -o link");
    assert!(link.is_symlink());
    let read = |path: &Path| fs::read(path).expect("read");
    assert!(read(&target) == read(&fixture.path().join("drop.skep")));
    assert!(!left.exists(), "what a dead process left stays for ever");
}

#[test]
fn of_several_files_none_is_taken_if_one_is_refused() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes --to drop.skep");
    fixture.new_home("site");
    fs::write(fixture.path().join("bad.skep"), "x").expect("written");
    for more in ["", " --dry-run"] {
        let line = format!("bundle import drop.skep bad.skep --yes --home site{more}");
        let text = fails(&fixture, &line, 3);
        assert!(text.contains("bad.skep"), "{text}");
        assert!(!text.contains("taken before"), "{text}");
        fails(&fixture, "info ana/drop --home site", 4);
    }
    fixture.run("bundle import drop.skep drop.skep --yes --home site");
    fixture.run("info ana/drop --home site");
}

#[test]
fn an_object_of_gigabytes_is_refused_by_its_size() {
    let fixture = Fixture::new();
    let size = 3_u64 << 30;
    let object = fs::File::create(fixture.path().join("drop/drop.bpf.o")).expect("a file");
    object.set_len(size).expect("sparse");
    let text = fails(&fixture, "publish drop --yes", 1);
    assert!(text.contains(&format!("has {size} bytes")), "{text}");
    assert!(text.contains("hint: "), "{text}");
    assert!(!fixture.home().join("repos.d").exists());
    // Read whole it would take seconds, and as much memory.
    let text = fails(&fixture, "new big --from drop/drop.bpf.o", 2);
    assert!(text.contains("is longer than"), "{text}");
}

#[test]
fn what_stands_where_a_release_goes_is_named() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let target = fixture.path().join("out/drop-0.1.0");
    fs::create_dir(fixture.path().join("out")).expect("made");
    fs::write(&target, "a file").expect("written");
    let text = fails(&fixture, "get ana/drop -o out", 1);
    assert!(
        text.contains("`out/drop-0.1.0` is there, and is no folder"),
        "{text}"
    );
    fs::remove_file(&target).expect("there");
    std::os::unix::fs::symlink("nowhere", &target).expect("a link");
    let text = fails(&fixture, "get ana/drop -o out", 1);
    assert!(
        text.contains("`out/drop-0.1.0` is there, and is no folder"),
        "{text}"
    );
    fs::remove_file(&target).expect("there");
    fs::create_dir(&target).expect("made");
    let text = fails(&fixture, "get ana/drop -o out", 1);
    assert!(
        text.contains("`out/drop-0.1.0` is there, and is not this release"),
        "{text}"
    );
    fs::remove_dir(&target).expect("there");
    fixture.run("get ana/drop -o out");
    for line in [
        "get ana/drop -o /dev/null",
        "key new --name ben --home /dev/null",
    ] {
        let text = fails(&fixture, line, 1);
        assert!(text.contains("hint: ") && text.contains("ls -ld"), "{text}");
    }
}

#[test]
fn a_reason_that_cannot_be_signed_is_refused_with_its_limit() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let yank = |reason: &str| {
        let mut command = fixture.skep("publish --yes --yank ana/drop@0.1.0 --because");
        command.arg(reason).output().expect("skep runs")
    };
    for reason in [&"x".repeat(513), "a\u{7}b"] {
        let output = yank(reason);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("hint: a plain sentence of at most 512 bytes"));
    }
    assert!(yank(&"x".repeat(512)).status.success());
}

#[test]
fn following_again_under_another_name_and_trusting_nobody_are_said() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let node = fixture.node("home");
    let ticket = fixture.run("repo ticket ana drop");
    let ticket = ticket.trim();
    fixture.new_home("friend");
    let text = fails(
        &fixture,
        &format!("repo add {ticket} --trust --home friend"),
        2,
    );
    assert!(text.contains("`ana` is followed all the same"), "{text}");
    assert!(text.contains("skep repo remove ana"), "{text}");
    let text = talks(
        &fixture,
        &format!("repo add {ticket} --alias other --home friend"),
    );
    assert!(
        text.contains("`ana` is called `other` here from now on"),
        "{text}"
    );
    let text = talks(&fixture, &format!("repo add {ticket} --home friend"));
    assert!(!text.contains("is called"), "{text}");
    drop(node);
}
