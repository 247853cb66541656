//! A node from its start until it answers, what it needs when idle, and how large the program is.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::home::{Home, ms_since};
use super::machine::memory_mib;

const ROUNDS: u32 = 20;
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
    let bare = Samples::new("ms", bare);
    let process = "skep --version, the bare process";
    Ok(vec![
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
