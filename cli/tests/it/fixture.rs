//! A folder of its own for every case: an empty home, and files to meet.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use skep_proto::key::SigningKey;
use skep_proto::key::file::{Protection, encode};

/// Every variable that skep reads, and its value in tests: nobody's settings get in.
pub(crate) const ENVIRONMENT: [(&str, &str); 21] = [
    ("SKEP_PASSPHRASE", ""),
    ("SKEP_PASSPHRASE_FILE", ""),
    ("SKEP_JSON", ""),
    ("SKEP_QUIET", ""),
    ("SKEP_COLOR", ""),
    // How much of it there is depends on how slow a machine is.
    ("SKEP_NO_PROGRESS", "1"),
    ("SKEP_OFFLINE", ""),
    ("SKEP_YES", ""),
    ("SKEP_NODE", ""),
    ("SKEP_KEY", ""),
    ("XDG_DATA_HOME", ""),
    ("XDG_RUNTIME_DIR", ""),
    ("TMPDIR", ""),
    ("USER", "ana"),
    ("LOGNAME", ""),
    ("NOTIFY_SOCKET", ""),
    ("WATCHDOG_USEC", ""),
    ("WATCHDOG_PID", ""),
    ("NO_COLOR", ""),
    ("CLICOLOR_FORCE", ""),
    // Pages are as wide everywhere.
    ("COLUMNS", "100"),
];

/// Settings of every home: nothing leaves this machine.
const LOOPBACK: &str = "listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = []\n";

/// l3afd's configuration as many have it, and a payload as people type it.
const L3AFD: &str = "[l3afd]\npid-file: /run/l3afd.pid\ndatacenter: here\nbpf-dir: /dev/shm\n\
    bpf-chaining-enabled: false\nBpfMapDefaultPath: /sys/fs/bpf\nhttp-client-timeout: 10s\n\n\
    [ebpf-repo]\nurl: http://127.0.0.1:7700/l3afd/ana\n\n\
    [l3af-config-store]\nfilename: /var/lib/l3afd/store.json\n\n[mtls]\nenabled: false\n";
const PAYLOAD: &str = r#"[{"host_name": "elsewhere", "iface": "eth0", "bpf_programs": {"xdp_ingress": [
  {"name": "drop", "version": "../up", "artifact": "drop.tar.gz", "prog_type": "xdp"}]}}]"#;

/// A node that runs; killed when it is dropped.
pub(crate) struct Node(Option<Child>);

impl Node {
    /// Waits until the node has ended by itself, and gives its stdout.
    pub(crate) fn stdout(mut self) -> String {
        let child = self.0.take().expect("only this takes it");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Sends a signal, and waits until the node has ended.
    pub(crate) fn end(mut self, signal: rustix::process::Signal) -> Output {
        let child = self.0.take().expect("only this takes it");
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, signal).expect("it runs");
        child.wait_with_output().expect("it ends")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that has ended already is what we want.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The temporary folder of one case. `home/` in it is skep's: settings, and nothing else at first.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Self { folder };
        fs::create_dir(fixture.path()).expect("made");
        fixture.write_files();
        fixture.write_packages();
        fixture.new_home("home");
        fixture
    }

    /// A home whose node reaches no further than this machine, on any free port.
    pub(crate) fn new_home(&self, name: &str) -> PathBuf {
        let home = self.path().join(name);
        fs::create_dir(&home).expect("made");
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("ours");
        fs::write(home.join("config.toml"), LOOPBACK).expect("written");
        home
    }

    /// Runs a node in the home `name`; it is ready when this returns.
    pub(crate) fn node(&self, name: &str) -> Node {
        self.node_with(name, "")
    }

    /// [`Fixture::node`], with more flags.
    pub(crate) fn node_with(&self, name: &str, flags: &str) -> Node {
        let child = self
            .skep(&format!("node run --home {name} {flags}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("skep runs");
        self.run(&format!("node status --wait 30 --home {name}"));
        Node(Some(child))
    }

    /// The current folder of the case.
    pub(crate) fn path(&self) -> PathBuf {
        self.page().with_extension("in")
    }

    /// Where `trycmd` expects a page whose current folder is [`Fixture::path`].
    pub(crate) fn page(&self) -> PathBuf {
        self.folder.path().join("case.md")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// `skep` with this home, this folder as the current one, and no terminal.
    pub(crate) fn skep(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .stdin(std::process::Stdio::null())
            .envs(ENVIRONMENT)
            .env("HOME", self.path())
            .env("SKEP_HOME", self.home());
        command
    }

    /// Runs a line that must succeed, and gives its stdout.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.skep(line).output().expect("skep runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "skep {line}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The files that transcripts meet. Keys are derived, none of them is anybody's.
    fn write_files(&self) {
        let friend = SigningKey::from_seed(&[1; 32]);
        let protection = Protection {
            passphrase: "secret",
            salt: [2; 16],
            checkint: 3,
        };
        let protected = encode(&friend, "friend", Some(protection)).expect("encodes");
        let open = encode(&SigningKey::from_seed(&[4; 32]), "open", None).expect("encodes");
        let public = format!("{} friend\n", friend.key().to_openssh());
        for (name, mode, text) in [
            ("friend.key", 0o600, protected.as_str()),
            ("friend.pub", 0o644, &public),
            ("open.key", 0o644, open.as_str()),
            ("rsa.key", 0o600, &rsa()),
            ("garbled.key", 0o600, &protected.replace("AAAA", "AAAB")),
            ("right.txt", 0o600, "secret\n"),
            ("wrong.txt", 0o600, "guess\n"),
            ("open.txt", 0o644, "secret\n"),
            ("typo.toml", 0o644, "listen = 7702\nmnds = false\n"),
            ("good.toml", 0o644, "listen = 7702\nmdns = false\n"),
            ("text.o", 0o644, "int main(void) { return 0; }\n"),
            ("l3afd.cfg", 0o644, L3AFD),
            ("payload.json", 0o644, PAYLOAD),
        ] {
            let path = self.path().join(name);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        }
    }
}

impl Fixture {
    /// The package of the demo in `drop/`, and others that differ from it in one thing.
    fn write_packages(&self) {
        let package = |folder: &str, from: &str, to: &str| {
            let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo");
            let into = self.path().join(folder);
            fs::create_dir(&into).expect("made");
            for file in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
                fs::copy(demo.join(file), into.join(file)).expect("copied");
            }
            let text = fs::read_to_string(demo.join("skep.toml")).expect("the demo");
            assert!(text.contains(from), "{from}");
            fs::write(into.join("skep.toml"), text.replace(from, to)).expect("written");
        };
        package("drop", "", "");
        package("changed", "Counts packets", "Counts no packets");
        package("filter", "\"drop\"", "\"filter\"");
        package("newer", "\"0.1.0\"", "\"0.2.0\"");
        package("escapes", "\"drop.bpf.o\"", "\"../drop/drop.bpf.o\"");
        package("absolute", "\"dropctl\"", "\"/bin/sh\"");
        package("misnamed", "\"drop\"", "\"Drop It\"");
        package("misversioned", "\"0.1.0\"", "\"1.0\"");
        package("missing", "\"dropctl\"", "\"dropd\"");
        package("unlicensed", "GPL-2.0-only OR", "GPL-2-ish OR");
        package("typo", "description", "descripton");
        package("text", "", "");
        fs::copy(
            self.path().join("text.o"),
            self.path().join("text/drop.bpf.o"),
        )
        .expect("copied");
        package("linked", "", "");
        let link = self.path().join("linked/dropctl");
        fs::remove_file(&link).expect("there");
        std::os::unix::fs::symlink("/bin/sh", &link).expect("a link");
        fs::create_dir(self.path().join("empty")).expect("made");
    }
}

/// As much of an RSA key file as says that it is one.
fn rsa() -> String {
    let mut bytes = b"openssh-key-v1\0".to_vec();
    let public = [&7_u32.to_be_bytes()[..], b"ssh-rsa"].concat();
    for (count, string) in [(0, &b"none"[..]), (0, b"none"), (0, b""), (1, &public)] {
        if count > 0 {
            bytes.extend(u32::to_be_bytes(count));
        }
        let len = u32::try_from(string.len()).expect("short");
        bytes.extend(len.to_be_bytes());
        bytes.extend(string);
    }
    let inside = data_encoding::BASE64.encode(&bytes);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{inside}\n-----END OPENSSH PRIVATE KEY-----\n")
}
