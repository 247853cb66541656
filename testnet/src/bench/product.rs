//! The program that is measured: a release build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

pub(super) struct Product {
    path: PathBuf,
}

impl Product {
    /// The binary that `SKEP_BIN` names, else one that is built beside this program.
    pub(super) fn build() -> Result<Self> {
        if let Some(given) = std::env::var_os("SKEP_BIN") {
            return Ok(Self { path: given.into() });
        }
        let own = std::env::current_exe().context("could not find this program")?;
        let folder = own.parent().context("this program lies nowhere")?;
        ensure!(
            folder.ends_with("release"),
            "figures of a debug build say nothing: cargo run --release -p skep-testnet -- bench …"
        );
        let target = folder.parent().context("no target folder")?;
        super::say("building skep");
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--locked", "-p", "skep"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .context("could not run cargo")?;
        ensure!(built.success(), "skep could not be built");
        Ok(Self {
            path: folder.join("skep"),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size_mib(&self) -> Result<f64> {
        let metadata = std::fs::metadata(&self.path)
            .with_context(|| format!("could not read `{}`", self.path.display()))?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a binary is far below 2^53 bytes"
        )]
        let bytes = metadata.len() as f64;
        Ok(bytes / f64::from(1 << 20))
    }
}
