//! `skep get` of a package of six files as a whole process, beside one `curl` of the same files.

use std::fs;
use std::path::Path;

use anyhow::Result;
use skep_proto::control::{Request, Response};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::home::Home;
use super::nginx::{Nginx, Scheme};
use super::package;

const ROUNDS: u32 = 30;

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let dir = bench.dir.join("get");
    fs::create_dir(&dir)?;
    let nginx = Nginx::start(&dir)?;
    let mut author = Home::new(bench.product, dir.join("author"))?;
    publish(&author, &dir, "1.0.0")?;
    author.start()?;
    let ticket = author.ok(&["repo", "ticket", "ana", "drop"])?;
    let mut friend = Home::new(bench.product, dir.join("friend"))?;
    friend.ok(&["repo", "add", &ticket])?;
    friend.ok(&["trust", "add", "ana/drop"])?;
    friend.start()?;
    let (mut near, mut held, mut cold, mut curl) = (vec![], vec![], vec![], vec![]);
    for round in 1..=bench.rounds(ROUNDS) {
        let version = format!("1.0.{round}");
        publish(&author, &dir, &version)?;
        let reference = format!("ana/drop@{version}");
        arrived(&friend, &reference)?;
        near.push(friend.time_ms(&["get", &reference, "-o", "near"])?);
        if let Some(nginx) = &nginx {
            curl.push(curl_ms(nginx, &dir, &version)?);
        }
        held.push(friend.time_ms(&["get", &reference, "-o", "held"])?);
        let stranger = Home::new(bench.product, dir.join(format!("stranger-{round}")))?;
        cold.push(stranger.time_ms(&["get", &ticket])?);
        fs::remove_dir_all(stranger.dir())?;
    }
    let beside = |finding: Finding| match curl.is_empty() {
        true => finding,
        false => finding.beside(
            "curl, the six files from nginx over TLS",
            Samples::new("ms", curl.clone()),
        ),
    };
    Ok(vec![
        beside(Finding::new(
            "get, warm: a node runs, knows the release and fetches its files from a peer",
            Samples::new("ms", near),
        ))
        .goal(Goal::RatioAtMost(2.0)),
        beside(Finding::new(
            "get, warm: a node runs and has the files",
            Samples::new("ms", held),
        ))
        .goal(Goal::RatioAtMost(2.0)),
        beside(Finding::new(
            "get, cold: by ticket, no node, no home: keys, repository, trust, files",
            Samples::new("ms", cold),
        )),
    ])
}

fn folder(version: &str) -> String {
    format!("package-{version}")
}

fn publish(author: &Home<'_>, dir: &Path, version: &str) -> Result<()> {
    let folder = package::write(&dir.join(folder(version)), version)?;
    author.ok(&["publish", &folder.display().to_string()])?;
    Ok(())
}

/// Waits until a node knows a release.
fn arrived(home: &Home<'_>, reference: &str) -> Result<()> {
    let request = release(reference);
    let mut control = home.control()?;
    control.ask_until(&request, |response| {
        matches!(response, Response::Release(_))
    })?;
    Ok(())
}

pub(super) fn release(reference: &str) -> Request {
    Request::Release {
        package: reference.to_owned(),
        normal: true,
        allow_yanked: false,
        accept_change: false,
    }
}

fn curl_ms(nginx: &Nginx, dir: &Path, version: &str) -> Result<f64> {
    let served = nginx.root().join(version);
    let from = dir.join(folder(version));
    for name in package::FILES {
        let to = served.join(name);
        fs::create_dir_all(to.parent().unwrap_or(&served))?;
        fs::copy(from.join(name), to)?;
    }
    let paths = package::FILES.map(|name| format!("{version}/{name}"));
    let to = dir.join(format!("curl-{version}"));
    fs::create_dir(&to)?;
    nginx.curl_ms(Scheme::Tls, &paths, &to)
}
