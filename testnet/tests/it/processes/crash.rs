//! kill -9 at every durable step, and at any moment.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::home::{Home, author, was_killed};

/// The fault points of the files that a command writes itself.
#[path = "../../../../cli/src/home/faults/points.rs"]
mod of_home;

/// What a command that was killed while it wrote a file leaves behind, anywhere below a folder.
fn unfinished_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(".new") {
            found.push(entry.path());
        } else if entry.path().is_dir() && name != "store" {
            found.extend(unfinished_below(&entry.path()));
        }
    }
    found
}

/// Kills a first command at a point, and has the next ones finish what it began; whether it was
/// killed.
fn killed_first(point: &str, args: &[&str]) -> bool {
    killed_first_in(&Home::new(true), point, args)
}

fn killed_first_in(home: &Home, point: &str, args: &[&str]) -> bool {
    let package = home.package("0.1.0");
    let args: Vec<&str> = args
        .iter()
        .map(|arg| if *arg == "PACKAGE" { &package } else { *arg })
        .collect();
    let mut command = home.command(&args);
    let out = command
        .env("SKEP_FAULT_POINT", point)
        .output()
        .expect("skep starts");
    let said = String::from_utf8_lossy(&out.stderr);
    if !was_killed(&out) {
        assert!(out.status.success(), "{point}: {}: {said}", out.status);
        return false;
    }
    let again = home.run(&args);
    let said = String::from_utf8_lossy(&again.stderr);
    // A repository that was whole before the kill is there, and cannot be made twice.
    let whole = said.contains("you follow a repository `ana` already");
    assert!(
        again.status.success() || args[0] == "repo" && whole,
        "{point}: {said}"
    );
    home.ok(&["publish", &package]);
    let toml = fs::read_to_string(home.path().join("drop/skep.toml")).expect("read");
    assert!(toml.contains("repository = "), "{point}: {toml}");
    home.publish("0.2.0");
    is_sound(home, &["0.1.0".to_owned(), "0.2.0".to_owned()]);
    assert_eq!(home.ok(&["repo", "--json"]).lines().count(), 1, "{point}");
    let left = unfinished_below(home.path());
    assert_eq!(left, [""; 0].map(std::path::PathBuf::from), "{point}");
    true
}

/// The first key that is written is the node's, then there are the person's, the registrar's and
/// the root's.
const KEYS: u32 = 4;
/// The registrar's and the person's tip, each signed, confirmed, and once more for the release.
const TIPS: u32 = 6;

#[test]
fn a_crash_at_any_step_of_a_first_publish_is_made_good_by_the_same_again() {
    // A tree is no part of it.
    let points = of_home::POINTS.iter();
    for point in points.filter(|point| !point.starts_with("tree.")) {
        let times = match point.split('.').next() {
            Some("key") => KEYS,
            Some("tip") => TIPS,
            _ => 1,
        };
        for nth in 1..=times {
            let point = format!("{point}:{nth}");
            assert!(
                killed_first(&point, &["publish", "PACKAGE"]),
                "{point} was not reached"
            );
        }
    }
}

#[test]
fn a_crash_at_any_durable_step_of_a_first_publish_is_made_good_by_the_same_again() {
    let reached = skep_node::store::POINTS
        .iter()
        .filter(|point| killed_first(point, &["publish", "PACKAGE"]));
    let reached = reached.count();
    assert!(reached >= 10, "only {reached} points were reached");
}

#[test]
fn a_crash_while_a_repository_is_created_is_made_good_by_the_same_again() {
    for point in of_home::POINTS
        .iter()
        .filter(|point| point.starts_with("repo.") || point.starts_with("tip."))
    {
        assert!(
            killed_first(point, &["repo", "create", "ana"]),
            "{point} was not reached"
        );
    }
    for point in [
        "follow.after-rename",
        "root.before-rename",
        "root.after-rename",
        "append.before-fsync",
    ] {
        assert!(
            killed_first(point, &["repo", "create", "ana"]),
            "{point} was not reached"
        );
    }
}

/// The node has not heard of what the command had only just written.
#[test]
fn a_crash_of_a_first_publish_beside_a_node_that_runs_is_made_good_by_the_same_again() {
    for point in ["key.after-naming", "repo.after-naming", "tip.after-naming"] {
        let mut home = Home::new(true);
        home.start();
        assert!(
            killed_first_in(&home, point, &["publish", "PACKAGE"]),
            "{point} was not reached"
        );
    }
}

/// A repository of somebody else that has our name is not taken for one that we began.
#[test]
fn a_repository_that_is_followed_is_never_created_over() {
    let author = author(true);
    let friend = Home::new(true);
    friend.ok(&["repo", "add", &author.ticket()]);
    let before = fs::read_to_string(friend.path().join("repos.d/ana.toml")).expect("followed");
    let package = friend.package("0.1.0");
    for args in [&["repo", "create", "ana"][..], &["publish", &package]] {
        let said = friend.fails(1, args);
        assert!(
            said.contains("you follow a repository `ana` already"),
            "{said}"
        );
        assert!(said.contains("hint: take another alias"), "{said}");
    }
    let after = fs::read_to_string(friend.path().join("repos.d/ana.toml")).expect("followed");
    assert_eq!(after, before);
    author.fails(1, &["repo", "create", "ana"]);
}

/// What lies hidden beside the files of a home, and what a killed `get` was writing, goes at the next
/// start, unless its process lives or it is no file of ours.
#[test]
fn what_a_killed_command_was_writing_goes_at_the_next_start() {
    let author = author(true);
    let friend = Home::new(true);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    // A process that has ended, and whose number nobody has had since.
    let mut ended = std::process::Command::new("true")
        .spawn()
        .expect("a process");
    let dead = ended.id();
    ended.wait().expect("it ends");
    let alive = std::process::id();
    let gone = [
        format!("keys/.ana.root.{dead}.new"),
        format!("keys/tips/.tip.{dead}.new"),
        format!("repos.d/.ana.toml.{dead}.new"),
        format!("out/.drop-0.1.0.{dead}.new/README.md"),
    ];
    let kept = [
        format!("keys/.ana.root.{alive}.new"),
        format!("out/.drop-0.1.0.{alive}.new/README.md"),
        format!("out/.other-0.1.0.{dead}.new/README.md"),
        format!(".ana.root.{dead}.new"),
        format!("keys/.ana.root.{dead}.old"),
    ];
    for path in gone.iter().chain(&kept) {
        let path = friend.path().join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("made");
        fs::write(path, "secret").expect("written");
    }
    friend.ok(&["get", "ana/drop", "-o", "out"]);
    for path in gone {
        assert!(!friend.path().join(&path).exists(), "{path}");
    }
    for path in kept {
        assert!(friend.path().join(&path).exists(), "{path}");
    }
    friend.same_files("out/drop-0.1.0");
    // And beside a package.
    let package = author.package("0.2.0");
    let beside = std::path::Path::new(&package).join(format!(".skep.toml.{dead}.new"));
    fs::write(&beside, "half").expect("written");
    author.ok(&["publish", &package]);
    assert!(!beside.exists());
}

#[test]
fn a_crash_at_any_durable_step_of_publish_loses_nothing_and_kills_no_key() {
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let home = Home::new(true);
        home.publish("0.1.0");
        let package = home.package("0.2.0");
        let mut command = home.command(&["publish", &package]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        home.ok(&["publish", &package]);
        assert_eq!(home.newest().as_deref(), Some("0.2.0"), "{point}");
        home.ok(&["info", "ana/drop@0.1.0"]);
        home.publish("0.3.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}

#[test]
fn a_crash_at_any_durable_step_of_get_is_made_good_by_the_next() {
    let author = author(true);
    let ticket = author.ticket();
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let friend = Home::new(true);
        let mut command = friend.command(&["get", &ticket]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        friend.ok(&["get", &ticket]);
        friend.same_files("drop-0.1.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}

/// What was signed before a crash is published by the next command, whatever that one is for: other
/// content under the same version comes too late.
#[test]
fn other_content_after_a_crash_is_refused_if_the_first_was_signed() {
    let home = Home::new(true);
    home.publish("0.1.0");
    let package = home.package("0.2.0");
    let mut command = home.command(&["publish", &package]);
    let out = command
        .env("SKEP_FAULT_POINT", "append.before-fsync")
        .output()
        .expect("skep starts");
    assert!(was_killed(&out), "{}", out.status);
    fs::write(home.path().join("drop/README.md"), "another").expect("written");
    let said = home.fails(1, &["publish", &package]);
    assert!(
        said.contains("ana/drop@0.2.0 is published, with other content"),
        "{said}"
    );
    let info = home.ok(&["info", "ana/drop@0.2.0", "--json"]);
    assert!(info.contains("\"state\":\"listed\""), "{info}");
    home.ok(&["get", "ana/drop@0.2.0"]);
    home.same_files("drop-0.2.0");
    home.publish("0.3.0");
}

/// How often a process is killed, in all.
const KILLS: u32 = 50;
/// A version that is killed on its way: long enough that every step of it is hit.
const WEIGHT_BYTES: usize = 2 << 20;

/// `SKEP_SEED`, or a seed that no run had before.
#[expect(clippy::print_stderr, reason = "who wants the same run again needs it")]
fn seed() -> u32 {
    let seed = match std::env::var("SKEP_SEED") {
        Ok(seed) => seed.parse().expect("SKEP_SEED is a number"),
        Err(_) => rand::random(),
    };
    eprintln!("the same moments again, as far as the machine allows: SKEP_SEED={seed}");
    seed
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn slow_tests() -> bool {
    let slow = std::env::var_os("SKEP_SLOW_TESTS").is_some();
    if !slow {
        eprintln!("skipped: {KILLS} kills take minutes, and SKEP_SLOW_TESTS is not set");
    }
    slow
}

/// Kills a command after a random part of `usual`; whether it was done before.
fn killed(mut command: Child, usual: Duration, dice: &mut StdRng) -> bool {
    std::thread::sleep(usual.mul_f64(dice.random_range(0.0..1.1)));
    // It may have ended meanwhile.
    drop(command.kill());
    let out = command.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() || was_killed(&out),
        "{}: {said}",
        out.status
    );
    out.status.success()
}

/// How long something takes when nobody kills it.
fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Everything that was acknowledged is there, whole, and nothing else is wrong with the home.
fn is_sound(home: &Home, acknowledged: &[String]) {
    for version in acknowledged {
        home.ok(&["info", &format!("ana/drop@{version}")]);
    }
    let repo = home.ok(&["repo", "show", "ana", "--json"]);
    assert!(repo.contains("\"forked_keys\":[]"), "{repo}");
    home.ok(&["doctor"]);
}

#[test]
fn fifty_kills_at_random_moments_lose_nothing_and_kill_no_key() {
    if !slow_tests() {
        return;
    }
    let mut dice = StdRng::seed_from_u64(seed().into());
    let gossip = dice.random();
    let mut author = Home::new(gossip);
    let mut acknowledged = Vec::new();
    let package = author.heavy_package("1.0.0", WEIGHT_BYTES);
    let publishing = timed(|| drop(author.ok(&["publish", &package])));
    acknowledged.push("1.0.0".to_owned());
    author.start();
    let mut friend = Home::new(gossip);
    friend.ok(&["repo", "add", &author.ticket(), "--trust"]);
    let getting = timed(|| drop(friend.ok(&["get", "ana/drop", "-o", "out"])));
    for n in 1..=KILLS {
        let version = format!("1.{n}.0");
        match dice.random_range(0..4) {
            // The command, with its node inside or beside it.
            0 => {
                if dice.random() {
                    author.stop();
                }
                let package = author.heavy_package(&version, WEIGHT_BYTES);
                let publish = author.spawn(&["publish", &package]);
                if killed(publish, publishing, &mut dice) {
                    acknowledged.push(version.clone());
                }
                is_sound(&author, &acknowledged);
                author.ok(&["publish", &package]);
                acknowledged.push(version);
            }
            // The node under the command.
            1 => {
                let package = author.heavy_package(&version, WEIGHT_BYTES);
                let publish = author.spawn(&["publish", &package]);
                std::thread::sleep(publishing.mul_f64(dice.random_range(0.0..1.1)));
                author.kill();
                // It goes on with a node of its own.
                let out = publish.wait_with_output().expect("it ends");
                let said = String::from_utf8_lossy(&out.stderr);
                assert!(out.status.success(), "{}: {said}", out.status);
                acknowledged.push(version);
                is_sound(&author, &acknowledged);
            }
            // A get, with its node inside it.
            2 => {
                let newest = acknowledged.last().expect("the first").clone();
                let reference = format!("ana/drop@{newest}");
                restart(&mut author);
                friend.kill();
                friend.ok(&["repo", "add", &author.ticket()]);
                let get = friend.spawn(&["get", &reference, "-o", "out"]);
                killed(get, getting, &mut dice);
                friend.ok(&["get", &reference, "-o", "out"]);
                friend.same_files(&format!("out/drop-{newest}"));
                is_sound(&friend, &[newest]);
            }
            // A mirror that has just heard of something.
            _ => {
                restart(&mut author);
                friend.ok(&["repo", "add", &author.ticket()]);
                restart(&mut friend);
                let package = author.heavy_package(&version, WEIGHT_BYTES);
                author.ok(&["publish", &package]);
                acknowledged.push(version.clone());
                std::thread::sleep(getting.mul_f64(dice.random_range(0.0..1.1)));
                friend.kill();
                friend.start();
                friend.wait_for(&version);
                is_sound(&friend, std::slice::from_ref(&version));
            }
        }
        if author.node.is_none() {
            author.start();
        }
        fs::remove_dir_all(friend.path().join("out")).ok();
    }
    is_sound(&author, &acknowledged);
    let package = author.heavy_package("2.0.0", WEIGHT_BYTES);
    author.ok(&["publish", &package]);
    assert_eq!(author.newest().as_deref(), Some("2.0.0"));
}

/// A node that runs goes on, another one is started.
fn restart(home: &mut Home) {
    if home.node.is_none() {
        home.start();
    }
}
