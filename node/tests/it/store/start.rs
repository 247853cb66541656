//! Starting: format, lock, what is no store.

use std::path::Path;

use skep_node::store::contract::{load, repo};
use skep_node::store::disk::Disk;
use skep_node::store::{Change, Error, Faults, Store as _};

/// Every path below a folder with its length.
fn tree(dir: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        let metadata = path.metadata().expect("there");
        found.push((path.display().to_string(), metadata.len()));
        if metadata.is_dir() {
            found.extend(tree(&path));
        }
    }
    found.sort();
    found
}

fn open(dir: &Path) -> Result<Disk, Error> {
    Disk::open(dir, Faults::none())
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    drop(open(&dir).expect("made"));
    let format = std::fs::read_to_string(dir.join("format")).expect("read");
    std::fs::write(
        dir.join("format"),
        format.replace("skep-store 1", "skep-store 2"),
    )
    .expect("written");
    let before = tree(&dir);
    let refused = open(&dir).expect_err("newer");
    assert_eq!(
        refused.to_string(),
        format!(
            "the store `{}` has format 2, and this program knows formats up to 1",
            dir.display()
        )
    );
    assert_eq!(tree(&dir), before);
}

#[test]
fn a_folder_of_something_else_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let formats: [&[u8]; 5] = [
        b"",
        b"skep-store one\n",
        b"skep-store 1\n",
        b"\xff",
        b"x\n\n",
    ];
    for format in formats {
        std::fs::write(folder.path().join("format"), format).expect("written");
        let before = tree(folder.path());
        let refused = open(folder.path());
        assert!(
            matches!(refused, Err(Error::NotAStore { .. })),
            "{format:?}"
        );
        assert_eq!(tree(folder.path()), before);
    }
    std::fs::remove_file(folder.path().join("format")).expect("removed");
    std::fs::write(folder.path().join("thesis.tex"), b"x").expect("written");
    let before = tree(folder.path());
    let refused = open(folder.path());
    assert!(matches!(refused, Err(Error::NotAStore { .. })));
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_second_process_is_refused_by_the_number_of_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let first = open(&dir).expect("made");
    first
        .persist(&Change::Follow { repo: repo(1) })
        .expect("kept");
    let refused = open(&dir).expect_err("in use");
    let pid = std::process::id().to_string();
    assert!(
        matches!(&refused, Error::Locked { pid: found, .. } if *found == pid),
        "{refused}"
    );
    assert_eq!(load(&first).len(), 1, "the first goes on");
    drop(first);
    assert_eq!(load(&open(&dir).expect("free again")).len(), 1);
}

#[test]
fn what_a_killed_process_left_unnamed_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    drop(open(&dir).expect("made"));
    std::fs::write(dir.join("lock"), b"4194304").expect("written");
    std::fs::write(dir.join("tmp/7"), b"x").expect("written");
    std::fs::create_dir_all(dir.join("trash/skep1x/logs")).expect("made");
    std::fs::write(dir.join("partial/00.list"), b"x").expect("written");
    let store = open(&dir).expect("opened");
    for folder in ["tmp", "trash", "partial"] {
        assert_eq!(tree(&dir.join(folder)), [], "{folder}");
    }
    assert_eq!(load(&store), []);
}

#[test]
fn the_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    drop(open(&dir).expect("made"));
    let mode = dir.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
