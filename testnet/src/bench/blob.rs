//! One file of 1 GiB from one node to another, verified and in the store, beside `curl` from nginx
//! and then `b3sum`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use skep_proto::control::{Request, Response};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::get::release;
use super::home::{Home, ms_since};
use super::machine::{cpu_s, memory_mib};
use super::nginx::{Nginx, Scheme, program};
use super::package;

const ROUNDS: u32 = 5;
const SIZE_BYTES: u64 = 1 << 30;
const FILE: &str = "large.bin";

/// What one side of a transfer needed.
#[derive(Default)]
struct Needed {
    memory_mib: Vec<f64>,
    cpu_s: Vec<f64>,
}

impl Needed {
    fn note(&mut self, pid: u32, before_s: f64) -> Result<()> {
        self.memory_mib.push(memory_mib(pid, "VmHWM")?);
        self.cpu_s.push(cpu_s(pid)? - before_s);
        Ok(())
    }

    fn findings(self, side: &str) -> [Finding; 2] {
        [
            Finding::new(
                format!("peak memory of the node that {side} (VmHWM)"),
                Samples::new("MiB", self.memory_mib),
            )
            .goal(Goal::AllAtMost(64.0)),
            Finding::new(
                format!("processor time of the node that {side}"),
                Samples::new("s", self.cpu_s),
            ),
        ]
    }
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let dir = bench.dir.join("blob");
    fs::create_dir(&dir)?;
    let nginx = Nginx::start(&dir)?.zip(program("b3sum"));
    super::say("making and publishing a file of 1 GiB");
    let folder = dir.join("package");
    package::write_large(&folder, FILE, "1.0.0", SIZE_BYTES)?;
    if let Some((nginx, _)) = &nginx {
        fs::hard_link(folder.join(FILE), nginx.root().join(FILE))?;
    }
    let mut author = Home::new(bench.product, dir.join("author"))?;
    author.ok(&["publish", &folder.display().to_string()])?;
    let (mut ours, mut tls, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let (mut gives, mut takes) = (Needed::default(), Needed::default());
    for round in 0..bench.rounds(ROUNDS) {
        // A new process each time: its peak of memory is that of one transfer.
        author.start()?;
        let ticket = author.ok(&["repo", "ticket", "ana", "drop"])?;
        let mut friend = Home::new(bench.product, dir.join(format!("friend-{round}")))?;
        friend.start()?;
        friend.ok(&["repo", "add", &ticket])?;
        let before = (cpu_s(author.pid()?)?, cpu_s(friend.pid()?)?);
        ours.push(gb_per_s(fetch_ms(&friend)?));
        gives.note(author.pid()?, before.0)?;
        takes.note(friend.pid()?, before.1)?;
        friend.stop()?;
        author.stop()?;
        fs::remove_dir_all(friend.dir())?;
        if let Some((nginx, b3sum)) = &nginx {
            tls.push(gb_per_s(curl_ms(nginx, Scheme::Tls, b3sum, &dir)?));
            plain.push(gb_per_s(curl_ms(nginx, Scheme::Plain, b3sum, &dir)?));
        }
    }
    let mut rate = Finding::new(
        "1 GiB from one node to another, verified and in the store",
        Samples::new("GB/s", ours),
    )
    .goal(Goal::RatioAtLeast(0.3))
    .note("ours is on disk when it counts as done; curl's file is in the page cache only");
    if !tls.is_empty() {
        rate = rate
            .beside(
                "nginx and curl over TLS, then b3sum",
                Samples::new("GB/s", tls),
            )
            .beside("nginx and curl, then b3sum", Samples::new("GB/s", plain));
    }
    let mut findings = vec![rate];
    findings.extend(gives.findings("gives"));
    findings.extend(takes.findings("takes"));
    Ok(findings)
}

fn gb_per_s(ms: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^30 is exact")]
    let bytes = SIZE_BYTES as f64;
    bytes / ms / 1e6
}

/// Milliseconds until the node says that it has every file of the release.
fn fetch_ms(home: &Home<'_>) -> Result<f64> {
    let mut control = home.control()?;
    let request = release("ana/drop");
    control.ask_until(&request, |response| {
        matches!(response, Response::Release(_))
    })?;
    let Response::Release(found) = control.ask(&request)? else {
        bail!("the release went away");
    };
    let request = Request::Fetch {
        repo: found.repo,
        name: found.name,
        version: found.version,
        manifest: found.manifest,
    };
    let begun = Instant::now();
    match control.ask(&request)? {
        Response::Done => Ok(ms_since(begun)),
        other => bail!("the node fetched nothing: {other:?}"),
    }
}

/// Milliseconds that `curl`, and `b3sum` after it, take.
fn curl_ms(nginx: &Nginx, scheme: Scheme, b3sum: &Path, dir: &Path) -> Result<f64> {
    let to: PathBuf = dir.join("curl");
    fs::create_dir(&to)?;
    let fetched = nginx.curl_ms(scheme, &[FILE.to_owned()], &to)?;
    let begun = Instant::now();
    let summed = Command::new(b3sum)
        .arg(to.join(FILE))
        .stdout(Stdio::null())
        .status()
        .context("b3sum did not start")?;
    let hashed = ms_since(begun);
    ensure!(summed.success(), "b3sum ended with {summed}");
    fs::remove_dir_all(&to)?;
    Ok(fetched + hashed)
}
