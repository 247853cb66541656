//! A home on disk, the commands that are run in it, and the node that serves it.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// How often what is waited for is looked at.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The program under test.
pub(super) fn skep() -> &'static Path {
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

/// The package that is published and fetched here.
pub(super) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo")
}

/// Waits for something that must happen.
pub(super) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it does not happen");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Runs a test twice at the same time, with gossip and without.
pub(super) fn with_and_without_gossip(test: impl Fn(bool) + Sync) {
    std::thread::scope(|scope| {
        let both = [true, false].map(|gossip| {
            scope.spawn({
                let test = &test;
                move || test(gossip)
            })
        });
        for one in both {
            if let Err(failed) = one.join() {
                std::panic::resume_unwind(failed);
            }
        }
    });
}

/// A home, and the node that runs in it.
pub(super) struct Home {
    path: PathBuf,
    pub(super) node: Option<Child>,
    /// Last, so that it goes when the node is gone.
    _folder: Option<TempDir>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Home {
    pub(super) fn new(gossip: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut home = Self::at(folder.path(), gossip);
        home._folder = Some(folder);
        home
    }

    /// In a folder that somebody else takes away.
    pub(super) fn at(path: &Path, gossip: bool) -> Self {
        let home = Self {
            path: path.to_owned(),
            node: None,
            _folder: None,
        };
        home.configure(&format!(
            "listen = [\"127.0.0.1:0\"]\nmdns = false\ngossip = {gossip}\ngateway = []\n"
        ));
        home
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `config.toml` anew.
    pub(super) fn configure(&self, config: &str) {
        fs::write(self.path.join("config.toml"), config).expect("written");
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(skep());
        command
            .args(args)
            .current_dir(&self.path)
            .env("SKEP_HOME", &self.path)
            .env("SKEP_PASSPHRASE", "")
            .env("SKEP_YES", "1")
            .env("USER", "ana")
            .env_remove("SKEP_NODE")
            .env_remove("SKEP_FAULT_POINT")
            .stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("skep starts")
    }

    /// A command that goes on while the test does something else.
    pub(super) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("skep starts")
    }

    /// What a command prints that must succeed.
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{args:?}: {}\n{said}", out.status);
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// What a command says that must fail with `code`.
    pub(super) fn fails(&self, code: i32, args: &[&str]) -> String {
        failed(code, &self.run(args))
    }

    pub(super) fn start(&mut self) {
        self.start_with(self.command(&["node", "run"]));
    }

    /// Starts the node as another user, who may do so.
    pub(super) fn start_as(&mut self, user: u32) {
        let mut command = self.command(&["node", "run"]);
        command.uid(user).gid(user);
        self.start_with(command);
    }

    /// Starts the node within a network namespace.
    pub(super) fn start_within(&mut self, namespace: &str) {
        let plain = self.command(&["node", "run"]);
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(&self.path)
            .stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        self.start_with(command);
    }

    fn start_with(&mut self, mut command: Command) {
        let log = fs::File::create(self.path.join("node.log")).expect("a log");
        command
            .env("SKEP_LOG", "skep_node=debug")
            .stdout(Stdio::null())
            .stderr(log);
        self.node = Some(command.spawn().expect("a node starts"));
        self.ok(&["node", "status", "--wait", "30"]);
    }

    /// What the node has logged since it was started.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path.join("node.log")).unwrap_or_default()
    }

    pub(super) fn wait_for_log(&self, what: &str) {
        let begun = Instant::now();
        while !self.log().contains(what) {
            let patient = begun.elapsed() < PATIENCE;
            assert!(patient, "`{what}` is not logged:\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn stop(&mut self) {
        self.ok(&["node", "stop"]);
        if let Some(mut node) = self.node.take() {
            assert!(node.wait().expect("it ends").success());
        }
    }

    /// As kill -9.
    pub(super) fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            // One that has ended already is what we want.
            drop(node.kill());
            drop(node.wait());
        }
    }

    /// The node has not ended by itself.
    pub(super) fn is_up(&mut self) -> bool {
        let node = self.node.as_mut().expect("a node was started");
        node.try_wait().expect("it can be asked for").is_none()
    }

    /// The package of these tests, in a version.
    pub(super) fn package(&self, version: &str) -> String {
        let dir = self.path.join("drop");
        fs::create_dir_all(&dir).expect("a folder");
        for name in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
            fs::copy(demo().join(name), dir.join(name)).expect("copied");
        }
        let text = fs::read_to_string(demo().join("skep.toml")).expect("read");
        let text = text.replace("\"0.1.0\"", &format!("\"{version}\""));
        fs::write(dir.join("skep.toml"), text).expect("written");
        dir.display().to_string()
    }

    /// The package with a file of so many bytes, which differ from version to version.
    pub(super) fn heavy_package(&self, version: &str, size_bytes: usize) -> String {
        let dir = self.package(version);
        let toml = Path::new(&dir).join("skep.toml");
        let text = fs::read_to_string(&toml).expect("read");
        let text = text.replace("[[object]]", "include = [\"weight\"]\n\n[[object]]");
        fs::write(&toml, text).expect("written");
        let mut state = version
            .bytes()
            .fold(1_u64, |all, byte| all * 257 + u64::from(byte));
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        })
        .take(size_bytes)
        .collect();
        fs::write(Path::new(&dir).join("weight"), bytes).expect("written");
        dir
    }

    pub(super) fn publish(&self, version: &str) {
        let package = self.package(version);
        self.ok(&["publish", &package]);
    }

    pub(super) fn ticket(&self) -> String {
        self.ok(&["repo", "ticket", "ana", "drop"])
    }

    /// The version that `info ana/drop` speaks of.
    pub(super) fn newest(&self) -> Option<String> {
        let out = self.run(&["info", "ana/drop", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout);
        let after = text.split("\"version\":\"").nth(1)?;
        after.split('"').next().map(str::to_owned)
    }

    pub(super) fn wait_for(&self, version: &str) {
        let begun = Instant::now();
        while self.newest().as_deref() != Some(version) {
            let patient = begun.elapsed() < PATIENCE;
            assert!(
                patient,
                "{version} did not arrive, {:?} is here; the node says:\n{}",
                self.newest(),
                self.log()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn same_files(&self, folder: &str) {
        for name in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
            let got = fs::read(self.path.join(folder).join(name)).expect(name);
            assert_eq!(got, fs::read(demo().join(name)).expect(name), "{name}");
        }
    }

    /// Neither the folder of a release nor a part of it is in the home.
    pub(super) fn nothing_written(&self) {
        let names = fs::read_dir(&self.path).expect("the home").flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let parts: Vec<String> = names.filter(|name| name.contains("drop-")).collect();
        assert_eq!(parts, [""; 0]);
    }
}

/// What a command said that must have failed with `code`.
pub(super) fn failed(code: i32, out: &Output) -> String {
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{}: {said}", out.status);
    said
}

/// Whether a process was ended by SIGKILL or SIGABRT, as a crash test ends it.
pub(super) fn was_killed(out: &Output) -> bool {
    matches!(out.status.signal(), Some(6 | 9))
}

/// An author with a release and a node.
pub(super) fn author(gossip: bool) -> Home {
    let mut author = Home::new(gossip);
    author.publish("0.1.0");
    author.start();
    author
}
