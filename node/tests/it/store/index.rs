//! The index may vanish, rot or belong to somebody else: nothing is lost.

use std::path::{Path, PathBuf};

use skep_node::store::contract::{Author, blob, load, repo};
use skep_node::store::disk::Disk;
use skep_node::store::{Change, Event, Faults, Loaded, Store as _};
use skep_proto::hash::Blake3;

/// A store with a log and blobs whose lists are in the index.
fn filled(dir: &Path, n: u8) {
    let store = Disk::open(dir, Faults::none()).expect("made");
    let author = Author::new(repo(n), n, 5);
    for change in [Change::Follow { repo: author.repo }, author.append(0, 5, 5)] {
        store.persist(&change).expect("kept");
    }
    for bytes in blobs(n) {
        store.import(&mut bytes.as_slice()).expect("imported");
    }
}

fn blobs(n: u8) -> [Vec<u8>; 3] {
    [blob(n, 10), blob(n, 300_000), blob(n + 100, 2_000_000)]
}

/// Everything that the store was given is there, and stays when it is asked for twice.
fn assert_whole(store: &Disk, n: u8) -> Vec<Loaded> {
    for bytes in blobs(n).iter().chain(&blobs(n)) {
        let hash = Blake3::of(&[bytes]);
        let list = store.group_list(&hash).expect("asked").expect("complete");
        assert_eq!(
            list.len(),
            if bytes.len() > 262_144 {
                32 * bytes.len().div_ceil(262_144)
            } else {
                0
            }
        );
        for (index, group) in (0..).zip(bytes.chunks(262_144)) {
            let read = store.read_group(&hash, index).expect("read");
            assert!(read.as_deref() == Some(group), "group {index}");
        }
    }
    let all = load(store);
    assert_eq!(all.len(), 3, "repository, entries, checkpoints");
    all
}

fn index_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir.join("index")).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn an_index_that_is_deleted_costs_nothing_but_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    filled(&dir, 1);
    std::fs::remove_dir_all(dir.join("index")).expect("removed");
    let store = Disk::open(&dir, Faults::none()).expect("opened");
    assert_whole(&store, 1);
    assert_eq!(store.events(), [], "to begin an index is no news");
}

#[test]
fn an_index_file_that_is_cut_or_lost_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    filled(&dir, 1);
    let names = index_files(&dir);
    assert!(names.len() >= 2, "{names:?}");
    for path in names {
        for keep in [None, Some(0), Some(1), Some(100)] {
            match keep {
                None => std::fs::remove_file(&path).unwrap_or_default(),
                Some(len) => {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    std::fs::write(&path, &bytes[..bytes.len().min(len)]).expect("written");
                }
            }
            let store = Disk::open(&dir, Faults::none()).expect("opened");
            assert_whole(&store, 1);
        }
    }
}

#[test]
fn flipped_bytes_anywhere_in_the_index_cost_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    filled(&dir, 1);
    let saved: Vec<_> = index_files(&dir)
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("read");
            (path, bytes)
        })
        .collect();
    for seed in 0..40_u64 {
        drop(std::fs::remove_dir_all(dir.join("index")));
        std::fs::create_dir(dir.join("index")).expect("made");
        let mut dice = blake3::Hasher::new();
        let mut dice = dice.update(&seed.to_le_bytes()).finalize_xof();
        let mut roll = |below: usize| {
            let mut bytes = [0; 8];
            dice.fill(&mut bytes);
            usize::try_from(u64::from_le_bytes(bytes) % below.max(1) as u64).expect("small")
        };
        for (path, bytes) in &saved {
            let mut bytes = bytes.clone();
            // Where the rows are, not in the empty rest of a segment.
            let used = bytes
                .iter()
                .rposition(|b| *b != 0)
                .map_or(0, |last| last + 1);
            for _ in 0..=roll(20) {
                if used > 0 {
                    bytes[roll(used)] ^= 1 << roll(8);
                }
            }
            std::fs::write(path, bytes).expect("written");
        }
        let store = Disk::open(&dir, Faults::none());
        let store = store.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_whole(&store, 1);
    }
}

#[test]
fn an_index_of_another_store_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    filled(&ours, 1);
    filled(&theirs, 2);
    for round in ["once", "twice"] {
        std::fs::remove_dir_all(ours.join("index")).expect("removed");
        std::fs::create_dir(ours.join("index")).expect("made");
        for path in index_files(&theirs) {
            let name = path.file_name().expect("a file");
            std::fs::copy(&path, ours.join("index").join(name)).expect("copied");
        }
        let store = Disk::open(&ours, Faults::none()).expect("opened");
        assert_whole(&store, 1);
        let events = store.events();
        assert!(
            matches!(&events[..], [Event::IndexSetAside { .. }]),
            "{round}: {events:?}"
        );
        let aside = std::fs::read_dir(&ours).expect("listed").filter(|entry| {
            let name = entry.as_ref().expect("listed").file_name();
            name.to_string_lossy().starts_with("index.broken-")
        });
        assert_eq!(aside.count(), 1, "{round}: one is kept");
    }
}

#[test]
fn a_snapshot_that_a_kill_left_unfinished_does_not_stop_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    filled(&dir, 1);
    let unfinished = dir.join("index/snap.0000000000FFFFFF.generating");
    std::fs::write(&unfinished, b"").expect("written");
    let store = Disk::open(&dir, Faults::none()).expect("opened");
    assert!(!unfinished.exists());
    assert_whole(&store, 1);
    assert_eq!(store.events(), [], "the index itself was fine");
}

#[test]
fn an_index_that_cannot_be_made_is_done_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    filled(&dir, 1);
    std::fs::remove_dir_all(dir.join("index")).expect("removed");
    // A name that sled cannot use, and that cannot be set aside while it is open.
    std::fs::write(dir.join("index"), b"not a folder").expect("written");
    let store = Disk::open(&dir, Faults::none()).expect("opened");
    assert_whole(&store, 1);
    let events = store.events();
    assert!(
        matches!(&events[..], [Event::IndexSetAside { .. }]),
        "{events:?}"
    );
}
