//! From `skep publish` until the release is seen on a second node, each time in another log.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use skep_proto::control::{Request, Response};

use super::Bench;
use super::control::Control;
use super::finding::{Finding, Goal, Samples};
use super::get::release;
use super::home::{Home, ms_since};
use super::{package, ping};

/// As many logs, each in a repository of its own.
const ROUNDS: u32 = 200;
/// What is told apart from the rest, since it has a cause of its own.
const LATE_MS: f64 = 1_000.0;
/// How often one follows the other. A node takes 64 frames a second of a peer, and a publish is
/// several of them: what comes faster for long is slowed down, which is another figure.
const EVERY: Duration = Duration::from_millis(250);

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let rounds = bench.rounds(ROUNDS);
    let dir = bench.dir.join("publish");
    fs::create_dir(&dir)?;
    let mut author = Home::new(bench.product, dir.join("author"))?;
    author.start()?;
    let mut friend = Home::new(bench.product, dir.join("friend"))?;
    friend.start()?;
    super::say(&format!("making and following {rounds} repositories"));
    let aliases: Vec<String> = (0..rounds).map(|n| format!("repo-{n}")).collect();
    let first = package::write(&dir.join("first"), "0.1.0")?;
    for alias in &aliases {
        author.ok(&["repo", "create", alias])?;
        publish_first(&author, alias, &first)?;
        let ticket = author.ok(&["repo", "ticket", alias])?;
        friend.ok(&["repo", "add", &ticket])?;
    }
    move_keys_away(author.dir())?;
    let pings = ping::round_trips_ms(rounds)?;
    let (mut whole, mut passed) = (Vec::new(), Vec::new());
    for (round, alias) in aliases.iter().enumerate() {
        let begun = Instant::now();
        let version = format!("1.0.{round}");
        let folder = package::write(&dir.join(alias), &version)?;
        let Seen {
            by_friend,
            passed: on,
        } = publish(&author, &friend, alias, &folder, &version)?;
        if by_friend > LATE_MS {
            super::say(&format!(
                "publish {round} took {by_friend:.0} ms, {on:.0} of them between the nodes"
            ));
        }
        whole.push(by_friend);
        passed.push(on);
        std::thread::sleep(EVERY.saturating_sub(begun.elapsed()));
    }
    let after = ping::round_trips_ms(rounds)?;
    let pings = Samples::new("ms", [pings, after].concat());
    let peer = "a bare ping of libp2p, TCP and TLS";
    Ok(vec![
        Finding::new(
            "publish to visible: from the start of `skep publish`, a whole process, to the other node",
            Samples::new("ms", whole),
        )
        .beside(peer, pings.clone())
        .goal(Goal::MedianAtMost(50.0))
        .goal(Goal::P99AtMost(250.0))
        .note("six new files each, hashed and made durable; visible: the other node's control socket gives the release, asked every millisecond; four a second"),
        Finding::new(
            "passed on: from visible on the author's node to visible on the other",
            Samples::new("ms", passed),
        )
        .beside(peer, pings),
    ])
}

/// The release before the one that is measured: its name is granted.
fn publish_first(author: &Home<'_>, alias: &str, folder: &Path) -> Result<()> {
    let source = folder.join("skep.toml");
    let text = fs::read(&source)?;
    let folder = folder.display().to_string();
    author.ok(&["publish", "--repo", alias, &folder])?;
    // Without the repository that the publish has written into it.
    fs::write(&source, text)?;
    Ok(())
}

/// What `repo create` advises: an author's home then has the key that signs, and not hundreds that
/// every command reads.
fn move_keys_away(home: &Path) -> Result<()> {
    for entry in fs::read_dir(home.join("keys"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".pub").unwrap_or(&name);
        if name.ends_with(".root") || name.ends_with(".registrar") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

struct Seen {
    by_friend: f64,
    passed: f64,
}

/// Publishes, and looks for the release on both nodes at once.
fn publish(
    author: &Home<'_>,
    friend: &Home<'_>,
    alias: &str,
    folder: &Path,
    version: &str,
) -> Result<Seen> {
    let request = release(&format!("{alias}/drop@{version}"));
    let (mut near, mut far) = (author.control()?, friend.control()?);
    let folder = folder.display().to_string();
    let args = ["publish", "--repo", alias, &folder];
    let begun = Instant::now();
    let (on_author, on_friend) = std::thread::scope(|scope| {
        let near = scope.spawn(|| until_visible(&mut near, &request));
        let far = scope.spawn(|| until_visible(&mut far, &request));
        author.ok(&args)?;
        let panicked = "a thread that looks does not panic";
        let near = near.join().ok().context(panicked)??;
        let far = far.join().ok().context(panicked)??;
        anyhow::Ok((near, far))
    })?;
    let passed = match on_friend.checked_duration_since(on_author) {
        Some(later) => later.as_secs_f64() * 1000.0,
        // The author's node was asked later than the other one: less than a look apart.
        None => 0.0,
    };
    let by_friend = ms_since(begun) - ms_since(on_friend);
    Ok(Seen { by_friend, passed })
}

fn until_visible(control: &mut Control, request: &Request) -> Result<Instant> {
    control.ask_until(request, |response| matches!(response, Response::Release(_)))
}
