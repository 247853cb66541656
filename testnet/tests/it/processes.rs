//! Real processes on loopback: what two strangers do, and what crashes and mistakes do to them.
//!
//! The binary is the one that `SKEP_BIN` names, else it is built first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The program under test.
fn skep() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("SKEP_BIN") {
            return given.into();
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "-p", "skep"])
            .status()
            .expect("cargo runs");
        assert!(built.success(), "skep is built");
        // This test's own file is TARGET/debug/deps/it-….
        let own = std::env::current_exe().expect("a test has a file");
        own.ancestors()
            .nth(2)
            .expect("a target folder")
            .join("skep")
    })
}

/// A home, and the node that runs in it.
struct Home {
    dir: TempDir,
    node: Option<Child>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Home {
    fn new(gossip: bool) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let config =
            format!("listen = [\"127.0.0.1:0\"]\nmdns = false\ngossip = {gossip}\ngateway = []\n");
        fs::write(dir.path().join("config.toml"), config).expect("written");
        Self { dir, node: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(skep());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("SKEP_HOME", self.dir.path())
            .env("SKEP_PASSPHRASE", "")
            .env("SKEP_YES", "1")
            .env("USER", "ana")
            .env_remove("SKEP_NODE")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("skep starts")
    }

    /// What a command prints that must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// What a command says that must fail with `code`.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let out = self.run(args);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        said
    }

    fn start(&mut self) {
        let mut command = self.command(&["node", "run"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.node = Some(command.spawn().expect("a node starts"));
        self.ok(&["node", "status", "--wait", "30"]);
    }

    fn stop(&mut self) {
        self.ok(&["node", "stop"]);
        if let Some(mut node) = self.node.take() {
            assert!(node.wait().expect("it ends").success());
        }
    }

    /// As kill -9.
    fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            // One that has ended already is what we want.
            drop(node.kill());
            drop(node.wait());
        }
    }

    /// The package of these tests, in a version.
    fn package(&self, version: &str) -> String {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
        let dir = self.dir.path().join("drop");
        fs::create_dir_all(&dir).expect("a folder");
        for name in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
            fs::copy(demo.join(name), dir.join(name)).expect("copied");
        }
        let text = fs::read_to_string(demo.join("skep.toml")).expect("read");
        let text = text.replace("\"0.1.0\"", &format!("\"{version}\""));
        fs::write(dir.join("skep.toml"), text).expect("written");
        dir.display().to_string()
    }

    fn publish(&self, version: &str) {
        let package = self.package(version);
        self.ok(&["publish", &package]);
    }

    fn ticket(&self) -> String {
        self.ok(&["repo", "ticket", "ana", "drop"])
    }

    /// The version that `info ana/drop` speaks of.
    fn newest(&self) -> Option<String> {
        let out = self.run(&["info", "ana/drop", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout);
        let after = text.split("\"version\":\"").nth(1)?;
        after.split('"').next().map(str::to_owned)
    }

    fn wait_for(&self, version: &str) {
        let begun = Instant::now();
        while self.newest().as_deref() != Some(version) {
            let patient = begun.elapsed() < PATIENCE;
            assert!(
                patient,
                "{version} did not arrive, {:?} is here",
                self.newest()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn same_files(&self, folder: &str) {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
        for name in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
            let got = fs::read(self.dir.path().join(folder).join(name)).expect(name);
            assert_eq!(got, fs::read(demo.join(name)).expect(name), "{name}");
        }
    }
}

/// An author with a release and a node.
fn author(gossip: bool) -> Home {
    let mut author = Home::new(gossip);
    author.publish("0.1.0");
    author.start();
    author
}

fn what_is_published_is_fetched(gossip: bool) {
    let author = author(gossip);
    let mut friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket()]);
    friend.start();
    let refused = friend.fails(3, &["get", "ana/drop"]);
    assert!(refused.contains("skep trust add ana/drop"), "{refused}");
    assert!(!friend.dir.path().join("drop-0.1.0").exists());
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
    let author = author(true);
    let friend = Home::new(true);
    friend.ok(&["get", &author.ticket()]);
    friend.same_files("drop-0.1.0");
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
    let mut author = author(true);
    let mut friend = Home::new(true);
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
    fs::remove_dir_all(friend.dir.path().join("drop-0.1.0")).expect("removed");
    friend.ok(&["get", "ana/drop"]);
    friend.same_files("drop-0.1.0");
}

#[test]
fn a_yank_hides_and_its_undo_brings_back() {
    let author = author(true);
    author.publish("0.2.0");
    let mut friend = Home::new(true);
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
}

#[test]
fn a_second_node_on_one_store_names_the_first() {
    let author = author(true);
    let pid = author.node.as_ref().expect("a node").id().to_string();
    fs::remove_file(author.dir.path().join("skep.sock")).expect("removed");
    let said = author.fails(1, &["node", "run"]);
    assert!(said.contains(&pid), "{said}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new(true);
    home.publish("0.1.0");
    let path = home.dir.path().join("store/format");
    let newer = fs::read_to_string(&path)
        .expect("read")
        .replacen('1', "2", 1);
    fs::write(&path, &newer).expect("written");
    let said = home.fails(1, &["repo"]);
    assert!(said.contains("format 2"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("read"), newer);
}

#[test]
fn a_flipped_bit_in_a_file_on_disk_reaches_nobody() {
    let mut author = author(true);
    author.stop();
    let blobs = author.dir.path().join("store/blobs");
    let object = fs::metadata(Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo/drop.bpf.o"));
    let size = object.expect("the object").len();
    for folder in fs::read_dir(&blobs).expect("blobs").flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let mut bytes = fs::read(file.path()).expect("read");
            if bytes.len() as u64 == size {
                bytes[100] ^= 1;
                fs::write(file.path(), bytes).expect("written");
            }
        }
    }
    author.start();
    let friend = Home::new(true);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    let out = friend.run(&["get", "ana/drop"]);
    assert!(matches!(out.status.code(), Some(3 | 5)), "{:?}", out.status);
    assert!(!friend.dir.path().join("drop-0.1.0").exists());
}

#[test]
fn a_crash_at_any_durable_step_of_publish_loses_nothing_and_kills_no_key() {
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let home = Home::new(true);
        home.publish("0.1.0");
        let package = home.package("0.2.0");
        let mut command = home.command(&["publish", &package]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        home.ok(&["publish", &package]);
        assert_eq!(home.newest().as_deref(), Some("0.2.0"), "{point}");
        home.ok(&["info", "ana/drop@0.1.0"]);
        home.publish("0.3.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}

#[test]
fn a_crash_at_any_durable_step_of_get_is_made_good_by_the_next() {
    let author = author(true);
    let ticket = author.ticket();
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let friend = Home::new(true);
        let mut command = friend.command(&["get", &ticket]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        friend.ok(&["get", &ticket]);
        friend.same_files("drop-0.1.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}
