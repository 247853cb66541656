//! A full disk: a clear error, nothing half-written, reads go on, and all is well when room is back.

use std::path::{Path, PathBuf};
use std::process::Command;

use skep_node::store::contract::{Author, blob, load, repo};
use skep_node::store::disk::Disk;
use skep_node::store::{Change, Error, Faults, Store};
use skep_proto::hash::Blake3;

/// A small file system in memory; gone when it is dropped.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// None, said in words, where this user may not mount.
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            _ => {
                skipped("a full disk needs a small tmpfs, and this user may not mount one");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmounted");
    }
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

fn no_room(error: &Error) -> bool {
    use std::error::Error as _;
    let cause = error
        .source()
        .and_then(|e| e.downcast_ref::<std::io::Error>());
    cause.is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull)
}

/// Takes all the room there is.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("ballast");
    let mut size = 1 << 20;
    let mut file = std::fs::File::create(&path).expect("made");
    while size > 0 {
        use std::io::Write as _;
        if file.write_all(&vec![7; size]).is_err() {
            size /= 2;
        }
    }
    path
}

/// What was there before the disk was full is there, and nothing of what failed.
fn assert_holds(store: &dyn Store, author: &Author, kept: &[u8], failed: &[u8]) {
    let entries = store.entries(&author.repo, &author.key(), 0, 99);
    assert_eq!(entries.expect("read"), author.entries(0, 3));
    assert_eq!(load(store).len(), 3, "repository, entries, checkpoints");
    let hash = Blake3::of(&[kept]);
    for (index, group) in (0..).zip(kept.chunks(262_144)) {
        let read = store.read_group(&hash, index).expect("read");
        assert!(read.as_deref() == Some(group));
    }
    let hash = Blake3::of(&[failed]);
    assert_eq!(store.blob(&hash).expect("asked"), None);
}

/// `follow_fails`: a folder in memory takes an inode, but no room.
fn fails_without_room(
    small: &Small,
    follow_fails: bool,
    exhaust: impl Fn(&Path) -> Box<dyn FnOnce()>,
) {
    let dir = small.path().join("store");
    let author = Author::new(repo(1), 1, 50);
    let (kept, failed) = (blob(1, 600_000), blob(2, 600_000));
    let hash = Blake3::of(&[&failed]);
    let big = Author::new(repo(1), 2, 0).with_entries(vec![vec![1; 60_000]; 40]);
    let fact = Change::Fact {
        repo: author.repo,
        kind: skep_node::store::FactKind::Holding,
        key: "k".into(),
        value: vec![1; 100_000],
    };
    let store = Disk::open(&dir, Faults::none()).expect("made");
    for change in [Change::Follow { repo: author.repo }, author.append(0, 3, 3)] {
        store.persist(&change).expect("kept");
    }
    store.import(&mut kept.as_slice()).expect("imported");

    let relieve = exhaust(small.path());
    let follow = Change::Follow { repo: repo(2) };
    let changes = [&big.append(0, 40, 40), &fact, &follow];
    for change in &changes[..if follow_fails { 3 } else { 2 }] {
        let error = store.persist(change).expect_err("no room");
        assert!(no_room(&error), "{error:?}");
    }
    let error = store.import(&mut failed.as_slice()).expect_err("no room");
    assert!(no_room(&error), "{error:?}");
    let mut lister = skep_proto::blob::GroupLister::new();
    lister.update(&failed).expect("below the limit");
    let list = lister.finish();
    let begun = store.begin(&hash, 600_000, Some(&list));
    let written = begun.and_then(|_| store.write_group(&hash, 0, &failed[..262_144]));
    let error = written.expect_err("no room");
    assert!(no_room(&error), "{error:?}");
    let tmp = std::fs::read_dir(dir.join("tmp")).expect("listed");
    assert_eq!(tmp.count(), 0, "temporary files are gone");
    assert_holds(&store, &author, &kept, &failed);
    drop(store);
    let store = Disk::open(&dir, Faults::none()).expect("a full store opens");
    assert_holds(&store, &author, &kept, &failed);

    relieve();
    for change in changes {
        store.persist(change).expect("there is room again");
    }
    store
        .import(&mut failed.as_slice())
        .expect("there is room again");
    assert!(store.read_group(&hash, 2).expect("read").is_some());
    let entries = store.entries(&big.repo, &big.key(), 0, 99).expect("read");
    assert_eq!(entries, big.entries(0, 40));
}

#[test]
fn a_full_disk_is_an_error_and_no_more() {
    let Some(small) = Small::mount("size=12m") else {
        return;
    };
    fails_without_room(&small, false, |dir| {
        let ballast = fill(dir);
        Box::new(move || std::fs::remove_file(ballast).expect("removed"))
    });
}

#[test]
fn a_disk_without_inodes_is_an_error_and_no_more() {
    let Some(small) = Small::mount("size=12m,nr_inodes=80") else {
        return;
    };
    fails_without_room(&small, true, |dir| {
        let mut ballast = Vec::new();
        for n in 0.. {
            let path = dir.join(format!("ballast-{n}"));
            match std::fs::File::create(&path) {
                Ok(_) => ballast.push(path),
                Err(_) => break,
            }
        }
        Box::new(move || {
            for path in ballast {
                std::fs::remove_file(path).expect("removed");
            }
        })
    });
}
