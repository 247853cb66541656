//! Mirrors keep what their rules say and offer it, let go what no rule wants, and collect what
//! nobody needs: while they serve, and whenever they are killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::home::{Home, wait_until, was_killed};

/// Of the file by which the versions of the package differ, in bytes.
pub(super) const WEIGHT: usize = 100_000;
/// Longer than a collection spares what may be somebody's work.
const LONG_AGO: Duration = Duration::from_secs(30 * 86_400);

fn publish(home: &Home, version: &str, size_bytes: usize) {
    let package = home.heavy_package(version, size_bytes);
    home.ok(&["publish", &package]);
}

/// An author with these versions, and a node.
pub(super) fn author(versions: &[&str]) -> Home {
    let mut author = Home::new(true);
    for version in versions {
        publish(&author, version, WEIGHT);
    }
    author.start();
    author
}

/// What `mirror status` says of `ana/drop@VERSION`: its state, and why.
fn said(home: &Home, version: &str) -> (String, String) {
    let status = home.ok(&["mirror", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let releases = status["releases"].as_array().expect("a list");
    let name = format!("ana/drop@{version}");
    let line = releases.iter().find(|line| line["release"] == name);
    let field = |field: &str| {
        let text = line.and_then(|line| line[field].as_str());
        text.unwrap_or_default().to_owned()
    };
    (field("state"), field("because"))
}

/// Waits until these versions are here by a rule or by name, and no others are known here.
pub(super) fn wait_for_exactly(home: &Home, versions: &[&str], others: &[&str]) {
    let here = |version: &&&str| said(home, version).0 == "here";
    let what = format!("{versions:?} are here and {others:?} are not");
    wait_until(&what, || {
        versions.iter().filter(here).count() == versions.len()
            && !others.iter().any(|version| here(&version))
    });
}

/// Files of the blobs in a store.
pub(super) fn blobs(home: &Home) -> BTreeSet<PathBuf> {
    let folders = fs::read_dir(home.path().join("store/blobs")).expect("a folder");
    let files = folders.flatten().flat_map(|folder| {
        let files = fs::read_dir(folder.path()).expect("a folder");
        files.flatten().map(|file| file.path())
    });
    files.collect()
}

/// How many blobs of a store are as large as what differs between versions.
pub(super) fn heavy_blobs(home: &Home) -> usize {
    let len = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let heavy = blobs(home)
        .into_iter()
        .filter(|path| len(path) == WEIGHT as u64);
    heavy.count()
}

/// As if everything in the store, and what is being fetched, had been written long ago.
fn age(home: &Home) {
    let then = SystemTime::now() - LONG_AGO;
    let partial = fs::read_dir(home.path().join("store/partial")).expect("a folder");
    let partial = partial.flatten().map(|file| file.path());
    for path in blobs(home).into_iter().chain(partial) {
        // One that got its name, or went, meanwhile is not there any more.
        if let Ok(file) = fs::File::options().append(true).open(path) {
            file.set_modified(then).expect("its time is set");
        }
    }
}

fn collected(home: &Home, args: &[&str]) -> serde_json::Value {
    let said = home.ok(&[&["node", "gc", "--json"], args].concat());
    serde_json::from_str(&said).expect("JSON")
}

/// A home that mirrors a repository by a rule.
pub(super) fn mirror(ticket: &str, rule: &[&str]) -> Home {
    let mut home = Home::new(true);
    home.ok(&["repo", "add", ticket]);
    home.ok(&[&["mirror", "add", "ana/*"], rule].concat());
    home.start();
    home
}

#[test]
fn the_newest_two_and_what_is_kept_by_name_are_mirrored_and_offered() {
    let mut author = author(&["0.1.0", "0.2.0", "0.3.0", "0.4.0"]);
    let mirror = mirror(&author.ticket(), &["--newest", "2"]);
    wait_for_exactly(&mirror, &["0.4.0", "0.3.0"], &["0.2.0", "0.1.0"]);
    assert_eq!(heavy_blobs(&mirror), 2);
    mirror.ok(&["mirror", "keep", "ana/drop@0.1.0"]);
    wait_for_exactly(&mirror, &["0.4.0", "0.3.0", "0.1.0"], &["0.2.0"]);

    publish(&author, "0.5.0", WEIGHT);
    wait_for_exactly(&mirror, &["0.5.0", "0.4.0", "0.1.0"], &["0.3.0", "0.2.0"]);
    wait_until("what 0.3.0 alone had is gone", || heavy_blobs(&mirror) == 3);
    author.stop();

    // The mirror alone is asked.
    let third = Home::new(true);
    let ticket = mirror.ticket();
    for version in ["0.5.0", "0.4.0", "0.1.0"] {
        third.ok(&[
            "get",
            &ticket,
            "--yes",
            "--output",
            &format!("of-{version}"),
        ]);
        let release = format!("ana/drop@{version}");
        third.ok(&["get", &release, "--output", version]);
        third.same_files(&format!("{version}/drop-{version}"));
    }
    third.fails(5, &["get", "ana/drop@0.3.0"]);

    mirror.ok(&["mirror", "unkeep", "ana/drop"]);
    wait_for_exactly(&mirror, &["0.5.0", "0.4.0"], &["0.1.0"]);
    wait_until("what 0.1.0 alone had is gone", || heavy_blobs(&mirror) == 2);
    mirror.ok(&["mirror", "remove", "ana/*"]);
    wait_until("nothing is kept", || blobs(&mirror).is_empty());
}

#[test]
fn what_was_only_used_is_not_offered_until_it_is_kept() {
    let mut author = author(&["0.1.0"]);
    let mut user = Home::new(true);
    user.ok(&["get", &author.ticket()]);
    user.start();
    author.stop();
    let third = Home::new(true);
    third.ok(&["repo", "add", &user.ticket()]);
    third.ok(&["trust", "add", "ana/drop"]);
    third.fails(5, &["get", "ana/drop"]);
    user.ok(&["mirror", "keep", "ana/drop"]);
    wait_for_exactly(&user, &["0.1.0"], &[]);
    third.ok(&["get", "ana/drop"]);
    third.same_files("drop-0.1.0");

    // It was used here before it was kept: it stays when it is not kept any more, and is not offered.
    user.ok(&["mirror", "unkeep", "ana/drop"]);
    wait_until("it is only used again", || is_used(&user, "0.1.0"));
    assert_eq!(collected(&user, &["--dry-run"])["files"], 0);
    let fourth = Home::new(true);
    fourth.ok(&["repo", "add", &user.ticket()]);
    fourth.ok(&["trust", "add", "ana/drop"]);
    fourth.fails(5, &["get", "ana/drop"]);
    let would = collected(&user, &["--used", "--dry-run"]);
    assert_eq!(would["let_go"][0], "ana/drop@0.1.0");
    let before = blobs(&user).len();
    assert_eq!(would["files"], before);
    assert_eq!(collected(&user, &["--used"])["files"], before);
    assert_eq!(blobs(&user), BTreeSet::new());
}

#[test]
fn what_was_carried_in_stays_until_a_rule_is_about_it() {
    let author = author(&["0.1.0", "0.2.0"]);
    author.ok(&["bundle", "export", "ana/*", "--output", "all.skep"]);
    let repos = author.ok(&["repo", "--json"]);
    let repo: serde_json::Value = serde_json::from_str(&repos).expect("one repository");
    let id = repo["id"].as_str().expect("an id");
    let file = author.path().join("all.skep").display().to_string();
    let mut site = Home::new(true);
    site.ok(&["bundle", "import", &file, "--expect", id]);
    site.start();
    site.ok(&["mirror", "add", "ana/other", "--newest", "1"]);
    site.ok(&["mirror", "remove", "ana/other"]);
    wait_for_exactly(&site, &["0.1.0", "0.2.0"], &[]);
    assert_eq!(heavy_blobs(&site), 2);
    site.ok(&["mirror", "add", "ana/*", "--newest", "1"]);
    wait_for_exactly(&site, &["0.2.0"], &["0.1.0"]);
    wait_until("its bytes are gone", || heavy_blobs(&site) == 1);
}

#[test]
fn a_quota_and_a_size_are_kept_to() {
    let author = author(&["0.1.0", "0.2.0", "0.3.0"]);
    let config = "listen = [\"127.0.0.1:0\"]\nmdns = false\ngateway = []\n";
    let mut mirror = mirror(&author.ticket(), &["--newest", "all"]);
    wait_for_exactly(&mirror, &["0.1.0", "0.2.0", "0.3.0"], &[]);
    mirror.stop();
    mirror.configure(&format!("{config}quota = \"250 KiB\"\n"));
    mirror.start();
    wait_for_exactly(&mirror, &["0.3.0", "0.2.0"], &["0.1.0"]);
    wait_until("its bytes are gone", || heavy_blobs(&mirror) == 2);
    let (state, why) = said(&mirror, "0.1.0");
    assert_eq!(state, "no-room");
    assert!(why.contains("quota"), "{why}");
    mirror.ok(&["mirror", "add", "ana/*", "--newest", "all", "--max", "150K"]);
    wait_for_exactly(&mirror, &["0.3.0"], &["0.2.0", "0.1.0"]);
    wait_until("its bytes are gone", || heavy_blobs(&mirror) == 1);
    let list = mirror.ok(&["mirror"]);
    assert!(list.starts_with("ana/*\tall\t153600\t3\t1\t"), "{list}");
}

#[test]
fn a_release_that_a_gateway_handed_out_outlives_the_rule_that_fetched_it() {
    use std::io::{Read as _, Write as _};
    let author = author(&["0.1.0"]);
    let mut site = Home::new(true);
    site.configure(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n[[gateway]]\nlisten = \"127.0.0.1:0\"\n",
    );
    site.ok(&["repo", "add", &author.ticket(), "--trust"]);
    site.start();
    wait_for_exactly(&site, &["0.1.0"], &[]);
    let status = site.ok(&["node", "status"]);
    let address = status
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('\t').next());
    let address = address.expect("a gateway");
    let ask = || {
        let mut stream = std::net::TcpStream::connect(address).expect("it listens");
        write!(
            stream,
            "GET /l3afd/ana/drop/0.1.0/jammy/drop.tar.gz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        answer.starts_with(b"HTTP/1.1 200")
    };
    assert!(ask());
    wait_until("that it is used is remembered", || {
        let would = collected(&site, &["--used", "--dry-run"]);
        would["let_go"][0] == "ana/drop@0.1.0"
    });
    site.ok(&["mirror", "remove", "ana/*"]);
    wait_until("it is only used", || is_used(&site, "0.1.0"));
    age(&site);
    assert_eq!(collected(&site, &[])["files"], 0);
    assert!(ask(), "l3afd finds it");
}

#[test]
fn a_collection_spares_what_is_being_fetched_and_takes_what_was_abandoned() {
    const HEAVY: usize = 48 << 20;
    let mut author = Home::new(true);
    publish(&author, "0.1.0", HEAVY);
    author.start();
    let mut user = Home::new(true);
    user.ok(&["repo", "add", &author.ticket(), "--trust"]);
    user.ok(&["mirror", "remove", "ana/*"]);
    user.start();
    // What the commands before had begun to fetch by the rule.
    age(&user);
    user.ok(&["node", "gc"]);
    let mut get = user.command(&["get", "ana/drop"]);
    let mut get = get
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut during = 0;
    while get.try_wait().expect("it can be asked for").is_none() {
        age(&user);
        let collected = collected(&user, &[]);
        assert_eq!(collected["files"], 0, "{collected}");
        during += 1;
    }
    assert!(get.wait().expect("it ends").success());
    assert!(during > 0);
    user.same_files("drop-0.1.0");
    assert_eq!(collected(&user, &[])["files"], 0, "it is used");

    // What a node was killed over, and nobody goes on with.
    user.ok(&["node", "gc", "--used"]);
    let mut get = user.spawn(&["get", "ana/drop", "--output", "again"]);
    wait_until("something has come", || {
        let mut partial = fs::read_dir(user.path().join("store/partial")).expect("a folder");
        partial.any(|file| file.is_ok_and(|file| file.metadata().is_ok_and(|m| m.len() > 1 << 20)))
    });
    user.kill();
    drop(get.kill());
    drop(get.wait());
    author.stop();
    user.start();
    let would = collected(&user, &[]);
    assert_eq!(would["files"], 0, "somebody may come back: {would}");
    assert!(would["fresh_files"].as_u64().is_some_and(|files| files > 0));
    age(&user);
    assert!(
        collected(&user, &[])["files"]
            .as_u64()
            .is_some_and(|files| files > 0)
    );
    assert_eq!(blobs(&user), BTreeSet::new());
    assert!(is_empty(&user.path().join("store/partial")));
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

/// Whether a release is here only because it was used.
fn is_used(home: &Home, version: &str) -> bool {
    let status = home.ok(&["mirror", "status"]);
    let line = format!("ana/drop@{version}\there\t");
    let mut lines = status.lines();
    lines.any(|said| said.contains(&line) && said.contains("\tused"))
}

/// Kills a mirror at a point while it lets two of three releases go, one of which was used here; the
/// next one goes on. Whether the point was reached.
fn killed_at(point: &str, mirrored: &Path) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([mirrored, &folder.path().join("home")])
        .status();
    assert!(copied.expect("cp runs").success());
    let mut home = Home::at(&folder.path().join("home"), true);
    let mut node = home.command(&["node", "run"]);
    node.env("SKEP_FAULT_POINT", point)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut node = node.spawn().expect("a node starts");
    let mut ended = None;
    wait_until("it is killed, or is done", || {
        ended = node.try_wait().expect("it can be asked for");
        // A node that answers after the last step was not killed at it.
        let is_done = || heavy_blobs(&home) == 2 && is_used(&home, "0.2.0");
        ended.is_some() || is_done() && home.run(&["node", "status"]).status.success()
    });
    let reached = ended.is_some();
    if !reached {
        drop(node.kill());
    }
    let out = node.wait_with_output().expect("it ended");
    assert!(was_killed(&out), "{point}");

    home.start();
    wait_for_exactly(&home, &["0.3.0"], &["0.1.0"]);
    wait_until("one is only used", || {
        let used = collected(&home, &["--used", "--dry-run"]);
        used["let_go"].as_array().is_some_and(|all| all.len() == 1)
    });
    age(&home);
    home.ok(&["node", "gc"]);
    assert_eq!(heavy_blobs(&home), 2, "{point}: one is kept, one is used");
    assert_eq!(blobs(&home).len(), 2 + SHARED, "{point}");
    for version in ["0.3.0", "0.2.0"] {
        let release = format!("ana/drop@{version}");
        home.ok(&["get", &release, "--output", version]);
        home.same_files(&format!("{version}/drop-{version}"));
    }
    home.stop();
    reached
}

/// Files that all versions have.
const SHARED: usize = 4;

#[test]
fn a_mirror_that_is_killed_while_it_lets_go_keeps_what_it_keeps() {
    let author = author(&["0.1.0", "0.2.0", "0.3.0"]);
    let mut mirror = Home::new(true);
    mirror.ok(&["repo", "add", &author.ticket(), "--trust"]);
    mirror.start();
    wait_for_exactly(&mirror, &["0.1.0", "0.2.0", "0.3.0"], &[]);
    mirror.ok(&["get", "ana/drop@0.2.0"]);
    mirror.stop();
    drop(author);
    let file = mirror.path().join("repos.d/ana.toml");
    let text = fs::read_to_string(&file).expect("read");
    assert!(text.contains("newest = 3"), "{text}");
    fs::write(&file, text.replace("newest = 3", "newest = 1")).expect("written");
    for point in [
        "forget.after-remove",
        "fact.before-fsync",
        "fact.before-rename",
        "fact.after-rename",
        "remove.after-remove",
    ] {
        assert!(killed_at(point, mirror.path()), "{point} was not reached");
    }
}

#[test]
fn a_repository_that_is_purged_leaves_nothing_that_others_need() {
    let author = author(&["0.1.0"]);
    let mirror = mirror(&author.ticket(), &[]);
    wait_for_exactly(&mirror, &["0.1.0"], &[]);
    mirror.ok(&["repo", "create", "own"]);
    let package = mirror.package("1.0.0");
    let toml = Path::new(&package).join("skep.toml");
    let text = fs::read_to_string(&toml).expect("read");
    fs::write(&toml, text.replace("include = [\"weight\"]", "")).expect("written");
    mirror.ok(&["publish", &package, "--repo", "own"]);
    let id = mirror.ok(&["repo", "--json"]);
    let line = id
        .lines()
        .find(|line| line.contains("\"ana\""))
        .expect("listed");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let id = line["id"].as_str().expect("an id").to_owned();
    mirror.ok(&["repo", "remove", "ana"]);
    assert_eq!(heavy_blobs(&mirror), 1, "it stays until somebody says so");
    assert!(mirror.path().join("store/repos").join(&id).exists());
    let forgotten = mirror.ok(&["repo", "remove", "--purge", &id, "--json"]);
    let forgotten: serde_json::Value = serde_json::from_str(&forgotten).expect("JSON");
    assert_eq!(forgotten["forgotten_releases"], 1);
    assert!(!mirror.path().join("store/repos").join(&id).exists());
    assert_eq!(blobs(&mirror).len(), SHARED, "what is published here stays");
    mirror.ok(&["get", "own/drop", "--output", "own"]);
}
