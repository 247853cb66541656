//! `skep demo`: three nodes on loopback, in temporary homes, run by the verbs that people type.
//!
//! Nothing here knows the inside of a node: each step is this program, started again, or what
//! another program does with the gateway ([`l3afd`]).

mod l3afd;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_proto::hash::Blake3;
use tokio::signal::unix::{SignalKind, signal};

use super::Session;
use crate::args::demo::Demo;
use crate::error::{CliError, Exit, Hint, Result, could_not, quoted};
use crate::report::{Report, Table};

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
/// How long anything may take before the demo counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(crate) async fn run(args: &Demo, session: &Session<'_>) -> Result<Report> {
    let keep = args.keep;
    // Before there is a folder that could be left behind.
    let interrupted = interrupted()?;
    let dir = folder()?;
    let mut stage = Stage {
        exe: std::env::current_exe().map_err(|e| could_not("find this program", &e))?,
        dir,
        nodes: Vec::new(),
        steps: Table::new(&["step", "took", "verified"]),
        session,
        keep,
        interrupted,
    };
    let played = stage.play();
    if played.is_ok() && keep {
        stage.leave();
    }
    let steps = std::mem::replace(&mut stage.steps, Table::new(&[]));
    drop(stage);
    played.map(|()| Report::answer("demo").table("steps", steps))
}

/// True once somebody wants the demo to end. It is looked at between the steps, so that the nodes
/// and the folder are taken away as after any other end.
fn interrupted() -> Result<Arc<AtomicBool>> {
    let heed = |kind| signal(kind).map_err(|e| could_not("heed signals", &e));
    let mut interrupt = heed(SignalKind::interrupt())?;
    let mut terminate = heed(SignalKind::terminate())?;
    let mut hangup = heed(SignalKind::hangup())?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&interrupted);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        heard.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}

fn folder() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("skep-demo-{}", std::process::id()));
    fs::create_dir(&dir).map_err(|e| CliError::io("make the folder", &dir, &e))?;
    Ok(dir)
}

/// Three homes, the nodes that run in them, and what was done.
struct Stage<'a> {
    exe: PathBuf,
    dir: PathBuf,
    nodes: Vec<Child>,
    steps: Table,
    session: &'a Session<'a>,
    keep: bool,
    interrupted: Arc<AtomicBool>,
}

impl Drop for Stage<'_> {
    /// Leaves nothing behind, unless asked to.
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for node in &mut self.nodes {
            // A node that has ended already is what we want.
            drop(node.kill());
            drop(node.wait());
        }
        if let Err(e) = fs::remove_dir_all(&self.dir) {
            let message = format!("could not remove `{}`: {e}", self.dir.display());
            self.session.ui.warn(&message);
        }
    }
}

impl Stage<'_> {
    fn play(&mut self) -> Result<()> {
        for (home, gateway) in [
            ("author", NO_GATEWAY),
            ("mirror", NO_GATEWAY),
            ("friend", GATEWAY),
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
        self.compare(&package)?;
        self.l3afd()
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

    fn compare(&mut self, package: &Path) -> Result<()> {
        let begun = Instant::now();
        let got = self.dir.join("out/drop-0.2.0");
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
        self.step(
            "the friend's files are the author's, byte for byte",
            begun,
            "bytes",
        );
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

    fn home(&self, who: &str) -> PathBuf {
        self.dir.join(who)
    }

    fn command(&self, who: &str) -> Command {
        let mut command = Command::new(&self.exe);
        // Settings of the person who looks on, such as SKEP_OFFLINE, are not the demo's.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SKEP_") {
                command.env_remove(name);
            }
        }
        command
            .env("SKEP_HOME", self.home(who))
            .env("SKEP_PASSPHRASE", "")
            .env("SKEP_YES", "1")
            .env("USER", "ana")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    fn skep<S: AsRef<OsStr>>(&self, who: &str, args: &[S]) -> Result<Output> {
        let mut command = self.command(who);
        command.args(args);
        let output = command
            .output()
            .map_err(|e| could_not("start this program", &e));
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(CliError::interrupted());
        }
        output
    }

    /// Runs a command that must succeed, as a step.
    fn ok(&mut self, step: &str, verified: &str, who: &str, args: &[&str]) -> Result<()> {
        let begun = Instant::now();
        let out = self.skep(who, args)?;
        if !out.status.success() {
            return Err(self.failed(step, &out));
        }
        self.step(step, begun, verified);
        Ok(())
    }

    /// What a command prints.
    fn text(&self, who: &str, args: &[&str]) -> Result<String> {
        let out = self.skep(who, args)?;
        if !out.status.success() {
            return Err(self.failed(&args.join(" "), &out));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Starts a node, and waits until it answers.
    fn node(&mut self, who: &str) -> Result<()> {
        let begun = Instant::now();
        let log = self.home(who).join("node.log");
        let file = fs::File::create(&log).map_err(|e| CliError::io("write", &log, &e))?;
        let mut command = self.command(who);
        command
            .args(["node", "run", "-v"])
            .stdout(Stdio::null())
            .stderr(file);
        if !self.keep {
            // However this process ends, the pipe ends with it, and the node with the pipe.
            command.arg("--with-stdin").stdin(Stdio::piped());
        }
        let child = command.spawn().map_err(|e| could_not("start a node", &e))?;
        self.nodes.push(child);
        let out = self.skep(who, &["node", "status", "--wait", "20"])?;
        if !out.status.success() {
            let said = fs::read(&log).unwrap_or_default();
            let error = self.failed(&format!("{who}: node run"), &out);
            return Err(error.detail("node", String::from_utf8_lossy(&said)));
        }
        self.step(&format!("{who}: a node runs"), begun, "");
        Ok(())
    }

    /// Looks at `info ana/drop` until it says what is waited for.
    fn wait_until(
        &mut self,
        step: &str,
        verified: &str,
        who: &str,
        done: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let out = self.skep(who, &["info", "ana/drop", "--json"])?;
            if out.status.success() && done(&out.stdout) {
                self.step(step, begun, verified);
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.failed(step, &out));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn step(&mut self, step: &str, begun: Instant, verified: &str) {
        let took = format!("{} ms", begun.elapsed().as_millis());
        self.session.ui.say(&format!("{took:>8}  {step}"));
        self.steps.push([step.into(), took.into(), verified.into()]);
    }

    fn failed(&self, step: &str, out: &Output) -> CliError {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        CliError::new(Exit::Failed, format!("the demo stopped at: {step}"), bug())
            .detail("it said", said.trim().to_owned())
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

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| CliError::io("write", path, &e))
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

/// A field of a JSON document, as text.
fn field(json: &[u8], name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    match value.get(name)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn indented(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .map(|line| format!("          | {line}\n"))
        .collect()
}

fn bug() -> Hint {
    Hint::new("run it again with --keep and look into the nodes' logs")
}
