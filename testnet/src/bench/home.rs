//! A home of skep for a bench, and the node that runs in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use skep_proto::control::{Request, Response};

use super::control::{Control, LOOK_AGAIN, PATIENCE};
use super::product::Product;

/// Loopback only, any free port; all else as by default. mDNS would speak to other machines.
const CONFIG: &str =
    "listen = [\"127.0.0.1:0\"]\nmdns = false\n\n[[gateway]]\nlisten = \"127.0.0.1:0\"\n";

pub(super) struct Home<'a> {
    product: &'a Product,
    dir: PathBuf,
    node: Option<Child>,
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            // One that has ended already is what we want.
            drop(node.kill());
            drop(node.wait());
        }
    }
}

impl<'a> Home<'a> {
    pub(super) fn new(product: &'a Product, dir: PathBuf) -> Result<Self> {
        fs::create_dir(&dir).with_context(|| format!("could not make `{}`", dir.display()))?;
        fs::write(dir.join("config.toml"), CONFIG)?;
        Ok(Self {
            product,
            dir,
            node: None,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.product.path());
        // Settings of whoever measures, such as SKEP_OFFLINE, are not the bench's.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SKEP_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(&self.dir)
            .env("SKEP_HOME", &self.dir)
            .env("SKEP_PASSPHRASE", "")
            .env("SKEP_YES", "1")
            .env("USER", "ana")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed, and gives what it prints.
    pub(super) fn ok(&self, args: &[&str]) -> Result<String> {
        let out = self.command(args).output().context("skep did not start")?;
        ensure!(
            out.status.success(),
            "skep {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&out.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Runs a command that must succeed, and gives how long it took, from its start to its end.
    pub(super) fn time_ms(&self, args: &[&str]) -> Result<f64> {
        let begun = Instant::now();
        self.ok(args)?;
        Ok(ms_since(begun))
    }

    pub(super) fn control(&self) -> Result<Control> {
        Control::connect(&self.dir.join("skep.sock"))
    }

    /// Starts a node, and gives the milliseconds until it answered.
    pub(super) fn start(&mut self) -> Result<f64> {
        let log = fs::File::create(self.dir.join("node.log"))?;
        let mut command = self.command(&["node", "run"]);
        command.stdout(Stdio::null()).stderr(log);
        let begun = Instant::now();
        self.node = Some(command.spawn().context("a node did not start")?);
        while !self.is_ready() {
            if begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.dir.join("node.log")).unwrap_or_default();
                bail!("a node was not ready after {PATIENCE:?}: {said}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(ms_since(begun))
    }

    fn is_ready(&self) -> bool {
        let answer = self.control().and_then(|mut it| it.ask(&Request::Status));
        matches!(answer, Ok(Response::Status(_)))
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        if let Some(mut node) = self.node.take() {
            self.control()?.ask(&Request::Stop)?;
            let ended = node.wait()?;
            ensure!(ended.success(), "a node ended with {ended}");
        }
        Ok(())
    }

    /// The process of the node.
    pub(super) fn pid(&self) -> Result<u32> {
        let node = self.node.as_ref().context("no node runs in this home")?;
        Ok(node.id())
    }
}

pub(super) fn ms_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
