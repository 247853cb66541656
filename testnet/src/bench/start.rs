//! A node from its start until it answers, what it needs when idle, and how large the program is.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use super::crowd::PACKAGES;
use super::finding::{Finding, Goal, Samples};
use super::home::{Home, ms_since};
use super::machine::{cpu_s, memory_mib};
use super::mirror;

const ROUNDS: u32 = 20;
/// Of the home with many releases, whose start takes longer.
const CROWDED_ROUNDS: u32 = 5;
/// What a node does after its start is over by then.
const IDLE: Duration = Duration::from_secs(10);

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let (mut first, mut again, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds(ROUNDS) {
        let dir = bench.dir.join(format!("start-{round}"));
        let mut home = Home::new(bench.product, dir)?;
        first.push(home.start()?);
        home.stop()?;
        again.push(home.start()?);
        home.stop()?;
        bare.push(bare_ms(bench)?);
        std::fs::remove_dir_all(home.dir())?;
    }
    let mut home = Home::new(bench.product, bench.dir.join("idle"))?;
    home.start()?;
    std::thread::sleep(IDLE);
    let idle = memory_mib(home.pid()?, "VmRSS")?;
    home.stop()?;
    let crowded = with_many_releases(bench)?;
    let bare = Samples::new("ms", bare);
    let process = "skep --version, the bare process";
    let mut findings = vec![
        Finding::new(
            "node start to ready, in an empty home",
            Samples::new("ms", first),
        )
        .beside(process, bare.clone())
        .goal(Goal::AllAtMost(1000.0)),
        Finding::new(
            "node start to ready, in a home that is there",
            Samples::new("ms", again),
        )
        .beside(process, bare)
        .goal(Goal::AllAtMost(1000.0))
        .note("ready: the control socket answers; looked at every millisecond"),
        Finding::new(
            "memory of an idle node after 10 s (VmRSS)",
            Samples::new("MiB", vec![idle]),
        )
        .goal(Goal::AllAtMost(40.0)),
        Finding::new(
            "size of the release binary",
            Samples::new("MiB", vec![bench.product.size_mib()?]),
        )
        .goal(Goal::AllAtMost(40.0)),
    ];
    findings.extend(crowded);
    Ok(findings)
}

/// The same of a home that mirrors 10,000 releases.
fn with_many_releases(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let mut home = mirror::make(bench, "mirror")?;
    let mut ready = Vec::new();
    for _ in 0..bench.rounds(CROWDED_ROUNDS) {
        ready.push(home.start()?);
        home.stop()?;
    }
    home.start()?;
    std::thread::sleep(IDLE);
    let idle = memory_mib(home.pid()?, "VmRSS")?;
    let most = memory_mib(home.pid()?, "VmHWM")?;
    let busy = cpu_s(home.pid()?)?;
    home.stop()?;
    std::fs::remove_dir_all(home.dir())?;
    Ok(vec![
        Finding::new(
            format!("node start to ready, in a home with {PACKAGES} releases"),
            Samples::new("ms", ready),
        )
        .goal(Goal::AllAtMost(2000.0)),
        Finding::new(
            format!("memory of an idle node with {PACKAGES} releases after 10 s (VmRSS)"),
            Samples::new("MiB", vec![idle]),
        )
        .goal(Goal::AllAtMost(40.0))
        .note(format!(
            "at most {most:.1} MiB until then; {busy:.2} s of processor time"
        ))
        .note("its index for searching is in it"),
    ])
}

fn bare_ms(bench: &Bench<'_>) -> Result<f64> {
    let begun = Instant::now();
    let ended = Command::new(bench.product.path())
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .context("skep did not start")?;
    ensure!(ended.success(), "skep --version ended with {ended}");
    Ok(ms_since(begun))
}
