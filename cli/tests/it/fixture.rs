//! A folder of its own for every case: an empty home, and files to meet.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use skep_proto::key::SigningKey;
use skep_proto::key::file::{Protection, encode};

/// Every variable that skep reads, and its value in tests: nobody's settings get in.
pub(crate) const ENVIRONMENT: [(&str, &str); 18] = [
    ("SKEP_PASSPHRASE", ""),
    ("SKEP_PASSPHRASE_FILE", ""),
    ("SKEP_JSON", ""),
    ("SKEP_QUIET", ""),
    ("SKEP_COLOR", ""),
    ("SKEP_NO_PROGRESS", ""),
    ("SKEP_OFFLINE", ""),
    ("SKEP_YES", ""),
    ("SKEP_NODE", ""),
    ("SKEP_KEY", ""),
    ("XDG_DATA_HOME", ""),
    ("XDG_RUNTIME_DIR", ""),
    ("TMPDIR", ""),
    ("USER", "ana"),
    ("LOGNAME", ""),
    ("NO_COLOR", ""),
    ("CLICOLOR_FORCE", ""),
    // Pages are as wide everywhere.
    ("COLUMNS", "100"),
];

/// The temporary folder of one case. `home/` in it is skep's, and not there at first.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Self { folder };
        fs::create_dir(fixture.path()).expect("made");
        fixture.write_files();
        fixture
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
        ] {
            let path = self.path().join(name);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        }
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
