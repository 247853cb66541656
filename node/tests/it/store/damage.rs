//! Media that forget, tear and flip: found when it is read, said, and never served.

use std::path::{Path, PathBuf};

use skep_node::store::contract::{Author, blob, load, repo, signed_root};
use skep_node::store::disk::Disk;
use skep_node::store::{Change, Error, Event, FactKind, Faults, Held, Loaded, Store as _};
use skep_proto::hash::Blake3;

struct Folder {
    _temporary: tempfile::TempDir,
    dir: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let dir = temporary.path().join("store");
        Self {
            _temporary: temporary,
            dir,
        }
    }

    fn open(&self) -> Disk {
        Disk::open(&self.dir, Faults::none()).expect("the store opens")
    }

    fn log(&self, author: &Author) -> PathBuf {
        let logs = self.dir.join("repos").join(author.repo.to_string());
        logs.join("logs").join(author.key().to_string())
    }

    /// A person has looked at what was set aside.
    fn forget_damage(&self) {
        let damaged = self.dir.join("damaged");
        std::fs::remove_dir_all(&damaged).expect("removed");
        std::fs::create_dir(&damaged).expect("made");
    }

    fn facts(&self, author: &Author) -> PathBuf {
        let repos = self.dir.join("repos").join(author.repo.to_string());
        repos.join("facts")
    }

    fn keep(&self, changes: impl IntoIterator<Item = Change>) {
        let store = self.open();
        for change in changes {
            store.persist(&change).expect("kept");
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[at] ^= 1 << (at % 8);
    std::fs::write(path, bytes).expect("written");
}

/// A log of three entries under its checkpoint, and the folder it is in.
fn small_log() -> (Folder, Author) {
    let folder = Folder::new();
    let author = Author::new(repo(1), 1, 5);
    folder.keep([Change::Follow { repo: author.repo }, author.append(0, 3, 3)]);
    (folder, author)
}

fn entries(store: &Disk, author: &Author) -> Vec<Vec<u8>> {
    let held = store.entries(&author.repo, &author.key(), 0, 99);
    held.expect("the log can be read")
}

#[test]
fn a_torn_append_is_cut_off_at_every_byte() {
    let (folder, author) = small_log();
    let path = folder.log(&author).join("entries");
    let committed = std::fs::read(&path).expect("read");
    let mut appended = committed.clone();
    for entry in author.entries(3, 5) {
        appended.extend_from_slice(&u16::try_from(entry.len()).expect("short").to_be_bytes());
        appended.extend_from_slice(&entry);
    }
    for len in committed.len() + 1..=appended.len() {
        for zeroed in [false, true] {
            let mut torn = appended[..len].to_vec();
            if zeroed {
                torn[committed.len()..].fill(0);
            }
            std::fs::write(&path, torn).expect("written");
            let store = folder.open();
            assert_eq!(entries(&store, &author), author.entries(0, 3), "{len}");
            let cut = Event::TailCut {
                repo: author.repo,
                key: author.key(),
                bytes: (len - committed.len()) as u64,
            };
            assert_eq!(store.events(), [cut], "said once");
            load(&store);
            assert_eq!(store.events(), []);
            assert_eq!(std::fs::read(&path).expect("read"), committed);
        }
    }
    folder.keep([author.append(3, 5, 5)]);
    assert_eq!(entries(&folder.open(), &author), author.entries(0, 5));
}

/// The log is empty, its checkpoint is remembered, and it can be filled again.
fn assert_begins_anew(folder: &Folder, author: &Author, remembers: bool, what: &str) {
    {
        let store = folder.open();
        let remembered = load(&store).into_iter().find_map(|item| match item {
            Loaded::Entries { .. } => panic!("{what}: damaged entries were given"),
            Loaded::Checkpoints { whole, ahead, .. } => Some((whole, ahead)),
            _ => None,
        });
        let expected = remembers.then(|| (None, Some(author.checkpoint(3))));
        assert_eq!(remembered, expected, "{what}");
        let events = store.events();
        let [Event::LogDamaged { kept, .. }] = events.as_slice() else {
            panic!("{what}: {events:?}");
        };
        assert!(kept.is_dir(), "{what}: kept for people");
        assert_eq!(entries(&store, author), Vec::<Vec<u8>>::new(), "{what}");
        store.persist(&author.append(0, 3, 3)).expect("kept");
    }
    folder.forget_damage();
    let store = folder.open();
    assert_eq!(entries(&store, author), author.entries(0, 3), "{what}");
    assert_eq!(store.events(), [], "{what}");
}

#[test]
fn a_flipped_bit_in_the_entries_is_found_at_every_byte() {
    let (folder, author) = small_log();
    let path = folder.log(&author).join("entries");
    for at in 0..std::fs::read(&path).expect("read").len() {
        flip(&path, at);
        assert_begins_anew(&folder, &author, true, &format!("byte {at}"));
    }
}

#[test]
fn entries_that_are_shorter_than_they_should_be_are_found_at_every_length() {
    let (folder, author) = small_log();
    let path = folder.log(&author).join("entries");
    let len = std::fs::read(&path).expect("read").len();
    for len in 0..len {
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|f| f.set_len(len as u64)).expect("cut");
        assert_begins_anew(&folder, &author, true, &format!("{len} bytes"));
    }
    std::fs::remove_file(&path).expect("removed");
    assert_begins_anew(&folder, &author, true, "no file");
}

#[test]
fn a_flipped_bit_in_the_state_is_found_at_every_byte() {
    let (folder, author) = small_log();
    let path = folder.log(&author).join("state");
    let len = std::fs::read(&path).expect("read").len();
    let mut proven = 0;
    for at in 0..len {
        flip(&path, at);
        let store = folder.open();
        let held = entries(&store, &author);
        let events = store.events();
        let [Event::LogDamaged { held: said, .. }] = events.as_slice() else {
            panic!("byte {at}: {events:?}");
        };
        assert_eq!(held.len() as u64, *said, "byte {at}");
        if held.is_empty() {
            store.persist(&author.append(0, 3, 3)).expect("kept");
        } else {
            // Its author's signature over the entries was not what the medium spoiled.
            assert_eq!(held, author.entries(0, 3), "byte {at}");
            proven += 1;
        }
        drop(store);
        folder.forget_damage();
        assert_eq!(entries(&folder.open(), &author), author.entries(0, 3));
    }
    assert!(proven >= 64, "the seal and the root at least: {proven}");
    for len in [0, 1, 31, 32, 33, len - 1] {
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|f| f.set_len(len as u64)).expect("cut");
        assert_begins_anew(&folder, &author, false, &format!("{len} bytes"));
    }
}

#[test]
fn a_damaged_root_document_or_evidence_is_set_aside_and_said() {
    let (folder, author) = small_log();
    let root = |version| Change::Root {
        repo: author.repo,
        signed: signed_root(version, 3),
    };
    let evidence = Change::Evidence {
        repo: author.repo,
        evidence: author.evidence(2),
    };
    folder.keep([root(1), root(2), evidence.clone()]);
    let before = load(&folder.open());
    let dir = folder.dir.join("repos").join(author.repo.to_string());
    let paths = [
        dir.join("roots")
            .join(signed_root(2, 3).sha256().to_string()),
        dir.join("evidence").join(author.key().to_string()),
    ];
    for path in &paths {
        let len = std::fs::read(path).expect("read").len();
        flip(path, len / 2);
    }
    let store = folder.open();
    assert_eq!(load(&store).len(), before.len() - 2, "neither is given");
    let events = store.events();
    assert_eq!(events.len(), 2);
    for event in events {
        assert!(
            matches!(&event, Event::FileDamaged { kept } if kept.is_file()),
            "{event}"
        );
    }
    drop(store);
    folder.keep([root(2), evidence]);
    assert_eq!(load(&folder.open()), before);
}

#[test]
fn a_log_keeps_what_the_checkpoint_of_fewer_entries_proves() {
    // Two entries are whole, two more came for a checkpoint of five.
    let (folder, author) = (Folder::new(), Author::new(repo(1), 1, 5));
    let follow = Change::Follow { repo: author.repo };
    folder.keep([follow, author.append(0, 2, 2), author.append(2, 4, 5)]);
    let path = folder.log(&author).join("entries");
    let file = std::fs::read(&path).expect("read");
    let whole: usize = author.entries(0, 2).iter().map(|e| 2 + e.len()).sum();
    for at in 0..file.len() {
        flip(&path, at);
        let store = folder.open();
        let stay: u8 = if at < whole { 0 } else { 2 };
        assert_eq!(
            entries(&store, &author),
            author.entries(0, stay.into()),
            "{at}"
        );
        let events = store.events();
        assert!(
            matches!(events[..], [Event::LogDamaged { held, .. }] if held == u64::from(stay)),
            "{at}: {events:?}"
        );
        if stay == 2 {
            let told = load(&store).into_iter().find_map(|item| match item {
                Loaded::Checkpoints { whole, ahead, .. } => Some((whole, ahead)),
                _ => None,
            });
            let held = (Some(author.checkpoint(2)), Some(author.checkpoint(5)));
            assert_eq!(told, Some(held), "{at}");
        } else {
            store.persist(&author.append(0, 2, 2)).expect("kept");
        }
        store.persist(&author.append(2, 4, 5)).expect("kept");
        drop(store);
        folder.forget_damage();
        assert_eq!(std::fs::read(&path).expect("read"), file, "{at}");
    }
}

#[test]
fn what_was_set_aside_of_a_log_fills_its_gap_if_the_author_signed_it() {
    let (folder, author) = small_log();
    let path = folder.log(&author).join("entries");
    let first: usize = 2 + author.entries(0, 1)[0].len();
    // In the first entry: the others are good, and only they can be had from here.
    flip(&path, first - 1);
    let store = folder.open();
    let salvaged = |size, tail: &[Vec<u8>]| {
        let found = store.salvage(&author.repo, &author.checkpoint(size), tail);
        found.expect("it can be read")
    };
    assert_eq!(entries(&store, &author).len(), 0);
    assert_eq!(
        salvaged(3, &[]),
        None,
        "the first one is not what was signed"
    );
    store
        .persist(&author.append(0, 1, 3))
        .expect("a peer has it");
    assert_eq!(salvaged(3, &[]), Some(author.entries(1, 3)));
    // With what the author has signed since.
    assert_eq!(
        salvaged(5, &author.entries(3, 5)),
        Some(author.entries(1, 3))
    );
    assert_eq!(salvaged(5, &author.entries(4, 5)), None, "one is missing");
    assert_eq!(salvaged(2, &author.entries(0, 3)), None, "more than that");
    let other = Author::new(author.repo, 2, 5).checkpoint(3);
    let of_other = store.salvage(&author.repo, &other, &[]).expect("asked");
    assert_eq!(of_other, None, "nothing of its log was set aside");
}

#[test]
fn what_was_set_aside_of_a_log_first_stays_when_that_happens_again() {
    let (folder, author) = small_log();
    let log = folder.log(&author);
    let last = std::fs::read(log.join("entries")).expect("read").len() - 1;
    flip(&log.join("entries"), last);
    drop(entries(&folder.open(), &author));
    folder.keep([author.append(0, 1, 1)]);
    flip(&log.join("entries"), 3);
    let store = folder.open();
    assert_eq!(entries(&store, &author).len(), 0);
    let kept = store.damaged().expect("listed");
    let sizes: Vec<usize> = kept
        .iter()
        .map(|kept| std::fs::read(kept.join("entries")).expect("read").len())
        .collect();
    let one = 2 + author.entries(0, 1)[0].len();
    assert_eq!(sizes, [last + 1, one]);
    // The last entry of the first copy was spoiled, and the only one of the second.
    store.persist(&author.append(0, 1, 2)).expect("kept");
    let gap = store.salvage(&author.repo, &author.checkpoint(2), &[]);
    assert_eq!(gap.expect("read"), Some(author.entries(1, 2)));
}

fn fact(author: &Author, kind: FactKind, key: &str, value: &[u8]) -> Change {
    Change::Fact {
        repo: author.repo,
        kind,
        key: key.into(),
        value: value.into(),
    }
}

#[test]
fn a_damaged_fact_that_must_not_be_forgotten_stops_its_repository_alone() {
    for (kind, name) in [
        (FactKind::Admitted, "admitted"),
        (FactKind::Restriction, "restriction"),
        (FactKind::Followed, "followed"),
    ] {
        let (folder, author) = small_log();
        let other = Author::new(repo(2), 1, 5);
        folder.keep([
            Change::Follow { repo: other.repo },
            other.append(0, 3, 3),
            fact(&author, kind, "a@1.0.0", &[1; 32]),
        ]);
        let before = load(&folder.open());
        let path = folder.facts(&author).join(name).join("a@1.0.0");
        flip(&path, 40);
        let store = folder.open();
        let of = |item: &Loaded| match item {
            Loaded::Repository { repo }
            | Loaded::Root { repo, .. }
            | Loaded::Entries { repo, .. }
            | Loaded::Checkpoints { repo, .. }
            | Loaded::Evidence { repo, .. }
            | Loaded::Fact { repo, .. } => *repo,
        };
        let others: Vec<Loaded> = before
            .iter()
            .filter(|item| of(item) == other.repo)
            .cloned()
            .collect();
        assert_eq!(load(&store), others, "{name}");
        let stopped = store.stopped();
        assert_eq!(stopped.get(&author.repo), Some(&path), "{name}");
        assert_eq!(stopped.len(), 1, "{name}");
        let (repo, named) = (author.repo, path.clone());
        let said = Event::RepositoryStopped { repo, path: named };
        assert_eq!(store.events(), [said], "{name}");
        load(&store);
        assert_eq!(store.events(), [], "{name}: said once");
        let refused = store.persist(&author.append(3, 4, 4));
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        store.persist(&other.append(3, 4, 4)).expect("others go on");
        // What a person is told to do helps.
        std::fs::rename(&path, folder.dir.join("damaged/a@1.0.0")).expect("moved");
        let after = load(&store);
        assert_eq!(after.iter().filter(|i| of(i) == author.repo).count(), 3);
        assert!(store.stopped().is_empty());
        store.persist(&author.append(3, 4, 4)).expect("kept");
    }
}

#[test]
fn a_damaged_fact_that_can_be_done_without_is_set_aside_and_said() {
    for (kind, name, stays) in [
        (FactKind::Holding, "holding", false),
        (FactKind::Shown, "shown", false),
        (FactKind::CutProof, "cut-proof", false),
        (FactKind::Confirmed, "confirmed", true),
    ] {
        let (folder, author) = small_log();
        let without = load(&folder.open());
        let value: &[u8] = if stays { b"" } else { &[7; 50] };
        folder.keep([fact(&author, kind, "some", value)]);
        let with = load(&folder.open());
        flip(&folder.facts(&author).join(name).join("some"), 20);
        let store = folder.open();
        let loaded = load(&store);
        assert_eq!(loaded, if stays { with } else { without }, "{name}");
        let events = store.events();
        assert!(
            matches!(&events[..], [Event::FactDamaged { kept, .. }] if kept.is_file()),
            "{name}: {events:?}"
        );
        assert!(store.stopped().is_empty());
        drop(store);
        let store = folder.open();
        assert_eq!(load(&store), loaded, "{name}");
        assert_eq!(store.events(), [], "{name}: it is in order again");
    }
}

#[test]
fn a_damaged_format_is_told_from_a_folder_that_is_no_store() {
    let (folder, author) = small_log();
    let path = folder.dir.join("format");
    let good = std::fs::read(&path).expect("read");
    let second = good.iter().position(|b| *b == b'\n').expect("two lines");
    for bytes in [&b""[..], &good[..5], &good[..second + 9], &[0xff; 76]] {
        std::fs::write(&path, bytes).expect("written");
        let refused = Disk::open(&folder.dir, Faults::none());
        assert!(
            matches!(&refused, Err(Error::Format { path: named }) if *named == path),
            "{refused:?}"
        );
    }
    std::fs::rename(&path, folder.dir.join("damaged/format")).expect("moved");
    assert_eq!(entries(&folder.open(), &author), author.entries(0, 3));
}

#[test]
fn a_damaged_blob_is_never_served_and_can_be_had_again() {
    for size in [0, 1, 262_144, 262_145, 600_000] {
        let folder = Folder::new();
        let bytes = blob(1, size);
        let hash = Blake3::of(&[&bytes]);
        folder
            .open()
            .import(&mut bytes.as_slice())
            .expect("imported");
        let name = hash.to_string();
        let path = folder.dir.join("blobs").join(&name[..2]).join(&name);
        match size {
            0 => std::fs::write(&path, b"x").expect("written"),
            _ => flip(&path, size / 2),
        }
        let store = folder.open();
        let bad = (size / 2 / 262_144) as u64;
        let refused = store.read_group(&hash, bad);
        assert!(
            matches!(refused, Err(Error::BadBlob { .. })),
            "{size}: {refused:?}"
        );
        let events = store.events();
        assert!(
            matches!(&events[..], [Event::BlobDamaged { kept, .. }] if kept.is_file()),
            "{events:?}"
        );
        assert_eq!(
            store.blob(&hash).expect("asked"),
            None,
            "{size}: it is wanted again"
        );
        store.import(&mut bytes.as_slice()).expect("imported");
        assert!(store.read_group(&hash, bad).expect("read").is_some());
    }
}

#[test]
fn a_blob_of_another_length_is_never_served() {
    let folder = Folder::new();
    let bytes = blob(1, 600_000);
    let hash = Blake3::of(&[&bytes]);
    folder
        .open()
        .import(&mut bytes.as_slice())
        .expect("imported");
    let name = hash.to_string();
    let path = folder.dir.join("blobs").join(&name[..2]).join(&name);
    for len in [0, 1, 262_144, 599_999, 600_001, 900_000] {
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|f| f.set_len(len)).expect("cut");
        let store = folder.open();
        for index in 0..3 {
            let start = usize::try_from(index).expect("small") * 262_144;
            let Ok(Some(group)) = store.read_group(&hash, index) else {
                continue;
            };
            assert!(
                bytes[start..].starts_with(&group),
                "{len} bytes, group {index}"
            );
            assert!(index < 2, "{len} bytes: the last group shows the length");
        }
        store.import(&mut bytes.as_slice()).expect("imported");
    }
}

#[test]
fn a_blob_that_is_to_be_fetched_in_its_length_is_begun_where_the_one_on_disk_is_spoiled() {
    for (size, len) in [(600_000, 599_999), (600_000, 0), (100, 101), (1, 0)] {
        let folder = Folder::new();
        let bytes = blob(1, size);
        let hash = Blake3::of(&[&bytes]);
        let store = folder.open();
        store.import(&mut bytes.as_slice()).expect("imported");
        let size = size as u64;
        // Who asks for another length of a good one is wrong.
        assert!(store.begin(&hash, size + 7, None).is_err());
        assert_eq!(store.begin(&hash, size, None).expect("held"), Held::Whole);
        let name = hash.to_string();
        let path = folder.dir.join("blobs").join(&name[..2]).join(&name);
        let file = std::fs::File::options().write(true).open(&path);
        file.and_then(|f| f.set_len(len)).expect("cut");
        let held = store.begin(&hash, size, None).expect("begun");
        assert!(
            matches!(&held, Held::Part { groups, .. } if groups.is_empty()),
            "{held:?}"
        );
        assert!(matches!(&store.events()[..], [Event::BlobDamaged { .. }]));
        store.import(&mut bytes.as_slice()).expect("imported");
        assert_eq!(store.begin(&hash, size, None).expect("held"), Held::Whole);
    }
}

#[test]
fn a_damaged_group_of_a_partial_blob_is_fetched_again() {
    let folder = Folder::new();
    let bytes = blob(1, 3 * 262_144);
    let mut lister = skep_proto::blob::GroupLister::new();
    lister.update(&bytes).expect("below the limit");
    let list = lister.finish();
    let (hash, size) = (*list.hash(), list.size());
    let group = |n: usize| &bytes[n * 262_144..(n + 1) * 262_144];
    let write = |store: &Disk, n: usize| {
        let written = store.write_group(&hash, n as u64, group(n));
        written.expect("it verifies");
    };
    let data = folder.dir.join(format!("partial/{hash}.data"));
    {
        let store = folder.open();
        store.begin(&hash, size, Some(&list)).expect("begun");
        (0..3).for_each(|n| write(&store, n));
        flip(&data, 300_000);
        // Found when it is read …
        assert_eq!(store.read_group(&hash, 1).expect("asked"), None);
        let unfinished = store.finish(&hash);
        assert!(matches!(
            unfinished,
            Err(Error::Incomplete { missing: 1, .. })
        ));
    }
    let store = folder.open();
    // … and when the fetch is resumed.
    let resumed = store.begin(&hash, size, None).expect("resumed");
    let (groups, list) = (vec![0, 2], true);
    assert_eq!(resumed, Held::Part { groups, list });
    write(&store, 1);
    store.finish(&hash).expect("all are there");
    assert!(store.read_group(&hash, 1).expect("read").is_some());
}
