//! What the demo plays on: temporary homes, the nodes that run in them, and this program, started
//! again for each step.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result, could_not};
use crate::report::Table;

/// How long anything may take before the demo counts as failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Three homes, the nodes that run in them, and what was done.
pub(super) struct Stage<'a> {
    pub(super) exe: PathBuf,
    pub(super) dir: PathBuf,
    nodes: Vec<Child>,
    pub(super) steps: Table,
    pub(super) session: &'a Session<'a>,
    pub(super) keep: bool,
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

impl<'a> Stage<'a> {
    /// An empty one, in a new folder.
    pub(super) fn new(keep: bool, session: &'a Session<'a>) -> Result<Self> {
        // Before there is a folder that could be left behind.
        let interrupted = interrupted()?;
        Ok(Self {
            exe: std::env::current_exe().map_err(|e| could_not("find this program", &e))?,
            dir: folder()?,
            nodes: Vec::new(),
            steps: Table::new(&["step", "took", "verified"]),
            session,
            keep,
            interrupted,
        })
    }
}

impl Stage<'_> {
    pub(super) fn home(&self, who: &str) -> PathBuf {
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
    pub(super) fn skep<S: AsRef<OsStr>>(&self, who: &str, args: &[S]) -> Result<Output> {
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
    pub(super) fn ok(
        &mut self,
        step: &str,
        verified: &str,
        who: &str,
        args: &[&str],
    ) -> Result<()> {
        let begun = Instant::now();
        let out = self.skep(who, args)?;
        if !out.status.success() {
            return Err(self.failed(step, &out));
        }
        self.step(step, begun, verified);
        Ok(())
    }

    /// What a command prints.
    pub(super) fn text(&self, who: &str, args: &[&str]) -> Result<String> {
        let out = self.skep(who, args)?;
        if !out.status.success() {
            return Err(self.failed(&args.join(" "), &out));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Starts a node, and waits until it answers.
    pub(super) fn node(&mut self, who: &str) -> Result<()> {
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
    pub(super) fn wait_until(
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

    pub(super) fn step(&mut self, step: &str, begun: Instant, verified: &str) {
        let took = format!("{} ms", begun.elapsed().as_millis());
        self.session.ui.say(&format!("{took:>8}  {step}"));
        self.steps.push([step.into(), took.into(), verified.into()]);
    }

    pub(super) fn failed(&self, step: &str, out: &Output) -> CliError {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        CliError::new(Exit::Failed, format!("the demo stopped at: {step}"), bug())
            .detail("it said", said.trim().to_owned())
    }
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

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| CliError::io("write", path, &e))
}

/// A field of a JSON document, as text.
pub(super) fn field(json: &[u8], name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    match value.get(name)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

pub(super) fn indented(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines()
        .map(|line| format!("          | {line}\n"))
        .collect()
}

pub(super) fn bug() -> Hint {
    Hint::new("run it again with --keep and look into the nodes' logs")
}
