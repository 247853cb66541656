//! Pages, as a browser loads them for the first time: how many bytes, in how many requests; and how
//! many a node writes in a second, beside nginx that has the same page as a file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use skep_proto::control::{Request, Response};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::gateway::{output, per_second};
use super::home::Home;
use super::nginx::{Nginx, program};

/// More than a page of the list shows.
const PACKAGES: u32 = 40;
/// About what registries have as descriptions: a line or two.
const DESCRIPTION: &str = "Counts packets and bytes per IP protocol where they arrive, drops UDP to \
                           a port that is set in a map, and leaves all else as it is";
/// What the first view may take: that of a slow line in a second.
const BYTES_MAX: f64 = 30.0 * 1024.0;
const REQUESTS_MAX: f64 = 2.0;
const ROUNDS: u32 = 5;
const CONNECTIONS: u32 = 16;
const ROUND_S: u32 = 3;

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let Some(curl) = program("curl") else {
        return Ok(Vec::new());
    };
    let dir = bench.dir.join("pages");
    fs::create_dir(&dir)?;
    let nginx = Nginx::start(&dir)?;
    let mut site = Home::new(bench.product, dir.join("site"))?;
    site.start()?;
    for number in 0..PACKAGES {
        let name = format!("drop-{number}");
        let package = package(&dir.join(&name), &name)?;
        site.ok(&["publish", &package])?;
    }
    let status = match site.control()?.ask(&Request::Status)? {
        Response::Status(status) => status,
        other => anyhow::bail!("no status: {other:?}"),
    };
    let gateway = status.gateways.first().context("no gateway listens")?;
    let address = gateway.address.clone();
    let views = [
        ("the list, 25 of 40 packages", "/".to_owned()),
        ("a package with its README", "/p/ana/drop-0".to_owned()),
        ("the node", "/node".to_owned()),
        ("a search", "/search?q=hook:xdp+drop".to_owned()),
    ];
    let mut findings = Vec::new();
    for (what, path) in &views {
        let view = first_view(&curl, &address, path)?;
        let bytes = Samples::new("bytes", vec![view.bytes]);
        findings.push(
            Finding::new(format!("first view of {what}"), bytes)
                .goal(Goal::AllAtMost(BYTES_MAX))
                .note("not compressed; headers are not counted"),
        );
        let requests = Samples::new("requests", vec![view.requests]);
        findings.push(
            Finding::new(format!("first view of {what}"), requests)
                .goal(Goal::AllAtMost(REQUESTS_MAX)),
        );
    }
    if let Some(wrk) = program("wrk") {
        for (what, path) in &views {
            let rate = rate(bench, &wrk, &curl, &address, (what, path), nginx.as_ref())?;
            findings.push(rate);
        }
    }
    site.stop()?;
    Ok(findings)
}

struct View {
    bytes: f64,
    requests: f64,
}

/// The page, and all that a browser loads for it.
fn first_view(curl: &Path, address: &str, path: &str) -> Result<View> {
    let page = body(curl, address, path)?;
    let mut parts = Vec::new();
    // Every way in which a page of ours could load something.
    for attribute in [
        "rel=\"stylesheet\" href=\"",
        " src=\"",
        "rel=\"icon\" href=\"",
    ] {
        let found = page.split(attribute).skip(1);
        parts.extend(found.filter_map(|rest| rest.split('"').next()));
    }
    ensure!(!parts.is_empty(), "{path} has no style sheet");
    let mut bytes = page.len();
    for part in &parts {
        bytes += body(curl, address, part)?.len();
    }
    let count = |n: usize| u32::try_from(n).map(f64::from);
    Ok(View {
        bytes: count(bytes)?,
        requests: count(1 + parts.len())?,
    })
}

fn body(curl: &Path, address: &str, path: &str) -> Result<String> {
    let mut command = Command::new(curl);
    command
        // No settings of whoever measures.
        .arg("--disable")
        .args(["--silent", "--show-error", "--fail"])
        .arg(format!("{address}{path}"));
    output(&mut command)
}

/// How often a page is written, beside a server that only reads it.
fn rate(
    bench: &Bench<'_>,
    wrk: &Path,
    curl: &Path,
    address: &str,
    (what, path): (&str, &str),
    nginx: Option<&Nginx>,
) -> Result<Finding> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    if let Some(nginx) = nginx {
        fs::write(nginx.root().join("page"), body(curl, address, path)?)?;
    }
    for _ in 0..bench.rounds(ROUNDS) {
        let url = format!("{address}{path}");
        ours.push(per_second(wrk, &url, CONNECTIONS, ROUND_S)?);
        if let Some(nginx) = nginx {
            theirs.push(per_second(wrk, &nginx.url("page"), CONNECTIONS, ROUND_S)?);
        }
    }
    let name = format!("requests for {what}, {CONNECTIONS} connections of wrk");
    let finding = Finding::new(name, Samples::new("requests/s", ours))
        .note("for information: each page is written anew from the snapshot and the store");
    Ok(match theirs.is_empty() {
        true => finding,
        false => finding.beside(
            "nginx, the same bytes as a file",
            Samples::new("requests/s", theirs),
        ),
    })
}

/// The package of the demo under another name.
fn package(dir: &Path, name: &str) -> Result<String> {
    fs::create_dir(dir)?;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    for file in ["drop.bpf.o", "dropctl", "README.md", "LICENSE"] {
        fs::copy(demo.join(file), dir.join(file))?;
    }
    let source = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n\
         license = \"GPL-2.0-only OR BSD-2-Clause\"\ndescription = \"{DESCRIPTION}\"\n\n\
         [[object]]\nfile = \"drop.bpf.o\"\n\n[user]\nfile = \"dropctl\"\n"
    );
    fs::write(dir.join("skep.toml"), source)?;
    Ok(dir.display().to_string())
}
