//! The gateway, beside nginx that serves the same archives as files: bytes per second of a large one,
//! requests per second for a small one, and what memory two hundred busy clients cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use skep_proto::control::{Request, Response};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::home::Home;
use super::machine::{cpu_s, memory_mib};
use super::nginx::{Nginx, program};
use super::package;

const ROUNDS: u32 = 10;
/// Of the noise in an artifact of 256 MiB.
const LARGE_BYTES: u64 = 256 << 20;
/// Of the noise in an artifact of 40 KB, beside the object, the program and the headers.
const SMALL_BYTES: u64 = 25_600;
const LARGE: &str = "1.0.0";
const SMALL: &str = "1.1.0";
/// Of `wrk`: connections, and seconds of a round.
const FEW: u32 = 16;
const MANY: u32 = 200;
const ROUND_S: u32 = 3;
/// Of the many: each of them has an answer under way all the while.
const BUSY_S: u32 = 30;

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let dir = bench.dir.join("gateway");
    fs::create_dir(&dir)?;
    let Some(curl) = program("curl") else {
        return Ok(Vec::new());
    };
    let (nginx, wrk) = (Nginx::start(&dir)?, program("wrk"));
    let mut site = Home::new(bench.product, dir.join("site"))?;
    for (version, size) in [(LARGE, LARGE_BYTES), (SMALL, SMALL_BYTES)] {
        let folder = dir.join(version);
        package::write_large(&folder, "noise", version, size)?;
        site.ok(&["publish", &folder.display().to_string()])?;
    }
    site.ok(&["trust", "add", "ana/drop"])?;
    site.start()?;
    let mut urls = Urls::of(&site)?;
    for (version, name) in [(LARGE, "large"), (SMALL, "small")] {
        let got = dir.join(name);
        seconds(&curl, &urls.ours(version), &got)?;
        if let Some(nginx) = &nginx {
            fs::rename(&got, nginx.root().join(name))?;
        }
    }
    let mut findings = vec![bytes(bench, &curl, &urls, nginx.as_ref())?];
    if let Some(wrk) = &wrk {
        findings.extend(requests(bench, wrk, &site, &urls, nginx.as_ref())?);
        // A new process: its peak is of these clients.
        site.stop()?;
        site.start()?;
        urls = Urls::of(&site)?;
        findings.extend(busy(wrk, &site, &urls)?);
    }
    Ok(findings)
}

/// Where archives are, here and there.
struct Urls {
    gateway: String,
}

impl Urls {
    fn of(site: &Home<'_>) -> Result<Self> {
        let status = match site.control()?.ask(&Request::Status)? {
            Response::Status(status) => status,
            other => anyhow::bail!("no status: {other:?}"),
        };
        let gateway = status.gateways.first().context("no gateway listens")?;
        Ok(Self {
            gateway: gateway.address.clone(),
        })
    }

    fn ours(&self, version: &str) -> String {
        let at = &self.gateway;
        format!("{at}/l3afd/ana/drop/{version}/bookworm/drop.tar.gz")
    }
}

/// A large artifact, as `curl` takes it.
fn bytes(bench: &Bench<'_>, curl: &Path, urls: &Urls, nginx: Option<&Nginx>) -> Result<Finding> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let nowhere = PathBuf::from("/dev/null");
    for _ in 0..bench.rounds(ROUNDS) {
        ours.push(gb_per_s(seconds(curl, &urls.ours(LARGE), &nowhere)?));
        if let Some(nginx) = nginx {
            theirs.push(gb_per_s(seconds(curl, &nginx.url("large"), &nowhere)?));
        }
    }
    let finding = Finding::new(
        "an artifact of 256 MiB, to one curl that throws it away",
        Samples::new("GB/s", ours),
    )
    .goal(Goal::RatioAtLeast(0.7));
    Ok(match theirs.is_empty() {
        true => finding,
        false => finding.beside(
            "nginx, the same file by sendfile",
            Samples::new("GB/s", theirs),
        ),
    })
}

fn gb_per_s(seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^28 is exact")]
    let bytes = LARGE_BYTES as f64;
    bytes / seconds / 1e9
}

/// A small artifact, as often as `wrk` gets it.
fn requests(
    bench: &Bench<'_>,
    wrk: &Path,
    site: &Home<'_>,
    urls: &Urls,
    nginx: Option<&Nginx>,
) -> Result<Vec<Finding>> {
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds(ROUNDS) {
        let before = cpu_s(site.pid()?)?;
        let rate = per_second(wrk, &urls.ours(SMALL), FEW, ROUND_S)?;
        let used = cpu_s(site.pid()?)? - before;
        cpu.push(used * 1e6 / (rate * f64::from(ROUND_S)));
        ours.push(rate);
        if let Some(nginx) = nginx {
            theirs.push(per_second(wrk, &nginx.url("small"), FEW, ROUND_S)?);
        }
    }
    let mut rate = Finding::new(
        format!("requests for an artifact of 40 KB, {FEW} connections of wrk"),
        Samples::new("requests/s", ours),
    )
    .goal(Goal::RatioAtLeast(0.5))
    .note("one process of nginx and one thread of wrk; every answer is decided on the snapshot");
    if !theirs.is_empty() {
        rate = rate.beside("nginx, the same file", Samples::new("requests/s", theirs));
    }
    let cpu = Finding::new(
        "processor time of the node for a request",
        Samples::new("µs", cpu),
    );
    Ok(vec![rate, cpu])
}

/// Memory, when many take small artifacts and then large ones.
fn busy(wrk: &Path, site: &Home<'_>, urls: &Urls) -> Result<Vec<Finding>> {
    let idle = memory_mib(site.pid()?, "VmRSS")?;
    let small = per_second(wrk, &urls.ours(SMALL), MANY, BUSY_S)?;
    per_second(wrk, &urls.ours(LARGE), MANY, BUSY_S)?;
    let peak = memory_mib(site.pid()?, "VmHWM")?;
    Ok(vec![
        Finding::new(
            format!("peak memory of the node under {MANY} busy connections (VmHWM)"),
            Samples::new("MiB", vec![peak]),
        )
        .goal(Goal::AllAtMost(128.0))
        .note(format!(
            "{BUSY_S} s of the artifact of 40 KB ({small:.0} requests/s), then {BUSY_S} s of 256 MiB; {idle:.1} MiB before"
        )),
    ])
}

/// How long one `curl` took for the answer, without the start of its process.
fn seconds(curl: &Path, url: &str, to: &Path) -> Result<f64> {
    let mut command = Command::new(curl);
    command
        // No settings of whoever measures.
        .arg("--disable")
        .args(["--silent", "--show-error", "--fail"])
        .args(["--write-out", "%{time_total}"])
        .arg("--output")
        .arg(to)
        .arg(url);
    let said = output(&mut command)?;
    said.parse().with_context(|| format!("curl said `{said}`"))
}

/// Requests per second that one thread of `wrk` got answered.
pub(super) fn per_second(wrk: &Path, url: &str, connections: u32, seconds: u32) -> Result<f64> {
    let mut command = Command::new(wrk);
    command
        .arg("--threads=1")
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={seconds}s"))
        .args(["--timeout", "60s"])
        .arg(url);
    let said = output(&mut command)?;
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "wrk: {said}"
    );
    let mut lines = said.lines();
    let rate = lines.find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let rate = rate.and_then(|rate| rate.trim().parse().ok());
    rate.with_context(|| format!("wrk said `{said}`"))
}

pub(super) fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("could not start {command:?}"))?;
    ensure!(
        status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&stderr).trim()
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
