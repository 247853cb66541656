//! `skep demo`: three nodes on loopback, in temporary homes, run by the verbs that people type.
//!
//! Nothing here knows the inside of a node: each step is this program, started again, or what
//! another program does with the gateway ([`l3afd`]).

mod l3afd;
mod stage;

use std::fs;
use std::path::Path;
use std::time::Instant;

use skep_proto::hash::Blake3;

use super::Session;
use crate::args::demo::Demo;
use crate::error::{CliError, Exit, Result, could_not, quoted};
use crate::report::{Report, Table};
use stage::{Stage, bug, field, indented, write};

/// The package that is passed along: a real XDP program and a small user-space program.
const PACKAGE: [(&str, &[u8]); 5] = [
    ("drop.bpf.o", include_bytes!("../../demo/drop.bpf.o")),
    ("dropctl", include_bytes!("../../demo/dropctl")),
    ("README.md", include_bytes!("../../demo/README.md")),
    ("LICENSE", include_bytes!("../../demo/LICENSE")),
    ("skep.toml", include_bytes!("../../demo/skep.toml")),
];
/// Settings of a node of the demo: loopback only, any free port.
const CONFIG: &str = "listen = [\"127.0.0.1:0\"]\nmdns = false\n";
/// The HTTP side of those whom l3afd does not ask, and of the one whom it does.
const NO_GATEWAY: &str = "gateway = []\n";
const GATEWAY: &str = "gateway = [{ listen = \"127.0.0.1:0\" }]\n";
/// What l3afd calls the archive, and the release of its system, which is part of what it asks for.
const ARTIFACT: &str = "drop.tar.gz";
const CODENAME: &str = "bookworm";

pub(crate) async fn run(args: &Demo, session: &Session<'_>) -> Result<Report> {
    let mut stage = Stage::new(args.keep, session)?;
    let played = stage.play();
    if played.is_ok() && args.keep {
        stage.leave();
    }
    let steps = std::mem::replace(&mut stage.steps, Table::new(&[]));
    drop(stage);
    played.map(|()| Report::answer("demo").table("steps", steps))
}

impl Stage<'_> {
    fn play(&mut self) -> Result<()> {
        for (home, gateway) in [
            ("author", NO_GATEWAY),
            ("mirror", NO_GATEWAY),
            ("friend", GATEWAY),
            ("site", NO_GATEWAY),
        ] {
            let home = self.home(home);
            fs::create_dir(&home).map_err(|e| CliError::io("make the folder", &home, &e))?;
            let config = format!("{CONFIG}{gateway}");
            write(&home.join("config.toml"), config.as_bytes())?;
        }
        let package = self.dir.join("drop");
        fs::create_dir(&package).map_err(|e| CliError::io("make the folder", &package, &e))?;
        for (name, bytes) in PACKAGE {
            write(&package.join(name), bytes)?;
        }
        self.ok(
            "author: make a repository",
            "keys and root document made here",
            "author",
            &["repo", "create", "ana"],
        )?;
        let folder = package.display().to_string();
        self.ok(
            "author: publish drop 0.1.0",
            "object read, manifest signed",
            "author",
            &["publish", &folder],
        )?;
        self.node("author")?;
        let ticket = self.text("author", &["repo", "ticket", "ana", "drop"])?;
        self.ok(
            "mirror: follow ana by ticket, trust it, keep the newest 3",
            "root document, logs, signatures",
            "mirror",
            &["repo", "add", &ticket, "--trust"],
        )?;
        self.node("mirror")?;
        self.wait_until(
            "mirror: both files of drop 0.1.0 are here",
            "every chunk group",
            "mirror",
            |out| field(out, "here").as_deref() == Some("true"),
        )?;
        let near = self.text("mirror", &["repo", "ticket", "ana", "drop"])?;
        self.ok(
            "friend: follow ana by the mirror's ticket",
            "root document, logs, signatures",
            "friend",
            &["repo", "add", &near],
        )?;
        self.node("friend")?;
        self.next_version(&package)?;
        let begun = Instant::now();
        let out = self.skep("friend", &["get", "ana/drop"])?;
        if out.status.code() != Some(i32::from(Exit::Untrusted as u8)) {
            return Err(self.failed("friend: get without trust", &out));
        }
        self.step(
            "friend: get is refused (exit 3): friend trusts nobody",
            begun,
            "trust, before anything was fetched",
        );
        self.session.ui.say(indented(&out.stderr).trim_end());
        self.ok(
            "friend: trust the owner of ana/drop",
            "fingerprint shown",
            "friend",
            &["trust", "add", "ana/drop"],
        )?;
        self.ok(
            "friend: learn by the author's ticket of a second node that has it",
            "the same root document",
            "friend",
            &["repo", "add", &ticket],
        )?;
        let folder = self.dir.join("out").display().to_string();
        self.ok(
            "friend: get ana/drop from the nearest of the two",
            "manifest, b3 and sha256 of every file",
            "friend",
            &["get", "ana/drop", "-o", &folder],
        )?;
        self.compare(
            &package,
            "out",
            "the friend's files are the author's, byte for byte",
        )?;
        self.l3afd()?;
        self.without_network(&package)
    }

    /// Publishes another version, and sees it arrive on a node that the author does not know.
    fn next_version(&mut self, package: &Path) -> Result<()> {
        let path = package.join("skep.toml");
        let text = fs::read_to_string(&path).map_err(|e| CliError::io("read", &path, &e))?;
        write(&path, text.replace("\"0.1.0\"", "\"0.2.0\"").as_bytes())?;
        let folder = package.display().to_string();
        self.ok(
            "author: publish drop 0.2.0",
            "manifest signed",
            "author",
            &["publish", &folder],
        )?;
        self.wait_until(
            "friend: 0.2.0 has arrived over the mirror",
            "checkpoint, consistency, signature",
            "friend",
            |out| field(out, "version").as_deref() == Some("0.2.0"),
        )
    }

    /// The same release on a machine that no network reaches: in a file, with all that proves it.
    fn without_network(&mut self, package: &Path) -> Result<()> {
        let file = self.dir.join("drop.skep").display().to_string();
        self.ok(
            "friend: write ana/drop to a file, with all that proves it",
            "every file, as it is read",
            "friend",
            &["bundle", "export", "ana/drop", "-o", &file],
        )?;
        // In life somebody reads it out on the telephone.
        let shown = self.skep("author", &["repo", "show", "ana", "--json"])?;
        let id = field(&shown.stdout, "id").ok_or_else(|| self.failed("repo show", &shown))?;
        self.ok(
            "site, without a network: take the file",
            "all of it, before anything is kept",
            "site",
            &["bundle", "import", &file, "--expect", &id, "--offline"],
        )?;
        self.ok(
            "site: trust the owner of ana/drop",
            "fingerprint shown",
            "site",
            &["trust", "add", "ana/drop", "--offline"],
        )?;
        let folder = self.dir.join("site-out").display().to_string();
        self.ok(
            "site: get ana/drop, with no node and no network",
            "manifest, b3 and sha256 of every file",
            "site",
            &["get", "ana/drop", "-o", &folder, "--offline"],
        )?;
        let step = "the site's files are the author's, byte for byte";
        self.compare(package, "site-out", step)
    }

    fn compare(&mut self, package: &Path, folder: &str, step: &str) -> Result<()> {
        let begun = Instant::now();
        let got = self.dir.join(folder).join("drop-0.2.0");
        for (name, _) in PACKAGE.iter().filter(|(name, _)| *name != "skep.toml") {
            let (ours, theirs) = (fs::read(package.join(name)), fs::read(got.join(name)));
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) if ours == theirs => {}
                _ => {
                    let message = format!("`{name}` is not what the author published");
                    return Err(CliError::new(Exit::Untrusted, message, bug()));
                }
            }
        }
        self.step(step, begun, "bytes");
        Ok(())
    }

    /// What l3afd does on the friend's machine: it asks the gateway, unpacks what comes without a
    /// check of its own, and must have what the author signed.
    fn l3afd(&mut self) -> Result<()> {
        let step = "l3afd: download drop 0.2.0 from the friend's gateway";
        let begun = Instant::now();
        let status = self.skep("friend", &["node", "status", "--json"])?;
        let gateway = gateway(&status.stdout).ok_or_else(|| self.failed(step, &status))?;
        let path = format!("/l3afd/ana/drop/0.2.0/{CODENAME}/{ARTIFACT}");
        let archive = l3afd::download(&gateway, &path).map_err(|e| could_not(step, &e))?;
        self.step(step, begun, "policy and every file, before a byte leaves");
        let step = "l3afd: unpack it as l3afd does; its files are those that were signed";
        let begun = Instant::now();
        let into = self.dir.join("l3afd/drop/0.2.0");
        let program = l3afd::unpack(&archive, &into, ARTIFACT).map_err(|e| could_not(step, &e))?;
        let signed = self.skep("friend", &["info", "ana/drop@0.2.0", "--json"])?;
        let files = signed_files(&signed.stdout);
        if files.is_empty() {
            return Err(self.failed(step, &signed));
        }
        for (name, hash) in files {
            let path = program.join(&name);
            let bytes = fs::read(&path).map_err(|e| CliError::io("read", &path, &e))?;
            if format!("b3:{}", Blake3::of(&[&bytes])) != hash {
                let message = format!("l3afd's `{name}` is not what the author signed");
                return Err(CliError::new(Exit::Untrusted, message, bug()));
            }
        }
        self.step(step, begun, "b3 of every file, as the manifest has it");
        Ok(())
    }

    /// Says what to try by hand.
    fn leave(&self) {
        let home = self.home("friend");
        let folder = self.exe.parent().unwrap_or(Path::new("."));
        self.session.ui.say(&format!(
            "\nthe nodes go on running; to try by hand:\n\n\
             export PATH={}:$PATH SKEP_HOME={} SKEP_PASSPHRASE=\n\
             skep node status\n\
             skep info ana/drop\n\
             skep verify --explain ana/drop\n\n\
             to end it: for h in author mirror friend; do SKEP_HOME={}/$h skep node stop; done; rm -r {}",
            quoted(folder),
            quoted(&home),
            quoted(&self.dir),
            quoted(&self.dir)
        ));
    }
}

/// Where the gateway of a node listens, by its `node status --json`.
fn gateway(json: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let address = value.get("gateways")?.get(0)?.get("gateway")?.as_str()?;
    address.strip_prefix("http://").map(str::to_owned)
}

/// Name and hash of every file of a release, by its `info --json`.
fn signed_files(json: &[u8]) -> Vec<(String, String)> {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let files = value.get("files").and_then(|files| files.as_array());
    let text = |file: &serde_json::Value, field: &str| Some(file.get(field)?.as_str()?.to_owned());
    let files = files.into_iter().flatten();
    files
        .filter_map(|file| Some((text(file, "file")?, text(file, "blake3")?)))
        .collect()
}
