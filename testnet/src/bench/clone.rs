//! Minutes from a clean clone to the end of each command of the README, each in a clone of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::finding::{Finding, Goal, Samples};
use super::home::ms_since;

/// What a person or CI types, and the minutes that it may take.
const COMMANDS: [(&str, Option<f64>); 3] = [
    ("cargo run --release -- demo", None),
    ("testnet/check --quick", Some(8.0)),
    ("testnet/check", Some(30.0)),
];
/// Lines of a command that failed that are shown.
const LAST_LINES: usize = 20;

pub(super) fn run(dir: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (n, (command, minutes)) in COMMANDS.iter().enumerate() {
        super::say(&format!("in a clean clone: {command}"));
        let clone = dir.join(format!("clone-{n}"));
        let took = Samples::new("min", vec![in_clone(command, &clone)?]);
        let finding = Finding::new(format!("from a clean clone: {command}"), took)
            .note("what the registry serves is on the machine already");
        findings.push(match minutes {
            Some(minutes) => finding.goal(Goal::AllAtMost(*minutes)),
            None => finding,
        });
        fs::remove_dir_all(&clone)?;
    }
    Ok(findings)
}

/// Clones what is committed here, and gives the minutes until the command has ended well.
fn in_clone(command: &str, clone: &Path) -> Result<f64> {
    let log = clone.with_extension("log");
    let said = fs::File::create(&log)?;
    let mut words = command.split(' ');
    let program = words.next().context("a command has a first word")?;
    let begun = Instant::now();
    let cloned = Command::new("git")
        .args([
            "clone",
            "--quiet",
            concat!(env!("CARGO_MANIFEST_DIR"), "/.."),
        ])
        .arg(clone)
        .status()
        .context("git did not start")?;
    ensure!(cloned.success(), "git clone ended with {cloned}");
    // A program of the clone is not looked for in the folder that we are in.
    let program = match program.contains('/') {
        true => clone.join(program),
        false => program.into(),
    };
    let ended = Command::new(&program)
        .args(words)
        .current_dir(clone)
        // Built and found in the clone, whatever this program was built by.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .env_remove("SKEP_BIN")
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .status()
        .with_context(|| format!("could not run `{}`", program.display()))?;
    let minutes = ms_since(begun) / 60_000.0;
    let text = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    ensure!(
        ended.success(),
        "{command} ended with {ended}:\n{}",
        last.join("\n")
    );
    Ok(minutes)
}
