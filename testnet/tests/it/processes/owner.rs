//! A home of a service's user: root asks its node, and writes nothing there that it could not read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::full_disk::skipped;
use super::home::{Home, author, skep};

/// `nobody`, whom every system has and who owns nothing.
const USER: u32 = 65_534;

/// Whose everything in a folder is, by path.
fn owners(folder: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            // What a node was doing may be gone by now.
            let Ok(of) = fs::symlink_metadata(&path) else {
                continue;
            };
            found.insert(path.display().to_string(), of.uid());
            if of.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// A home of `nobody`; none, said in words, where this user may not make one.
fn home_of_nobody() -> Option<Home> {
    let may = rustix::process::geteuid().is_root() && {
        let mut as_nobody = Command::new(skep());
        let tried = as_nobody.arg("--version").uid(USER).gid(USER).output();
        tried.is_ok_and(|out| out.status.success())
    };
    if !may {
        skipped("a home of another user, because only root, and with a binary for everybody, can");
        return None;
    }
    let home = Home::new(true);
    for path in [home.path().to_owned(), home.path().join("config.toml")] {
        chown(path, Some(USER), Some(USER)).expect("root may");
    }
    Some(home)
}

const HINT: &str = "hint: sudo -u nobody skep --home /";

#[test]
fn root_writes_nothing_into_the_home_of_a_service_that_does_not_run() {
    let Some(home) = home_of_nobody() else {
        return;
    };
    let before = owners(home.path());
    let author = author(true);
    let ticket = author.ticket();
    let lines: [&[&str]; 7] = [
        &["node", "run"],
        &["key", "new"],
        &["repo", "create", "own"],
        &["repo", "add", &ticket, "--trust"],
        &["get", &ticket],
        &["bundle", "import", "absent.skep"],
        &["node", "gc"],
    ];
    for line in lines {
        let said = home.fails(1, line);
        assert!(said.contains("belongs to `nobody`"), "{line:?}: {said}");
        assert!(said.contains(HINT), "{line:?}: {said}");
        assert_eq!(owners(home.path()), before, "{line:?}");
    }
}

#[test]
fn root_asks_the_node_of_a_service_and_changes_nothing_beside_it() {
    let Some(mut home) = home_of_nobody() else {
        return;
    };
    let author = author(true);
    let mut add = home.command(&["repo", "add", &author.ticket(), "--trust"]);
    let added = add.uid(USER).gid(USER).output().expect("skep starts");
    assert!(added.status.success(), "{added:?}");
    home.start_as(USER);
    home.wait_for("0.1.0");
    let out = tempfile::tempdir().expect("a folder");
    let out = out.path().join("out");
    let out = out.to_str().expect("a plain path");
    let lines: [&[&str]; 6] = [
        &["search", "drop"],
        &["mirror", "status"],
        &["mirror", "remove", "ana/*", "--dry-run"],
        &["verify", "--explain", "ana/drop"],
        &["get", "ana/drop", "--output", out],
        &["node", "gc"],
    ];
    for line in lines {
        home.ok(line);
    }
    let doctor = home.ok(&["doctor"]);
    assert!(doctor.contains("warn\thome\t"), "{doctor}");
    let rules = fs::read(home.path().join("repos.d/ana.toml")).expect("a file");
    let lines: [&[&str]; 6] = [
        &["mirror", "add", "ana/*"],
        &["repo", "remove", "ana"],
        &["trust", "remove", "ana/ana"],
        &["repo", "create", "own"],
        &["key", "new"],
        &["repo", "add", "--alias", "other", &author.ticket()],
    ];
    for line in lines {
        let said = home.fails(1, line);
        assert!(said.contains(HINT), "{line:?}: {said}");
    }
    assert_eq!(
        fs::read(home.path().join("repos.d/ana.toml")).expect("a file"),
        rules
    );
    let mut owners = owners(home.path());
    // What this test gave the node to log into.
    owners.retain(|path, _| !path.ends_with("/node.log"));
    owners.retain(|_, owner| *owner != USER);
    assert_eq!(owners, BTreeMap::new());
    home.kill();
    home.start_as(USER);
}
