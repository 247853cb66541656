//! Blobs: imported, fetched group by group, resumed.

use std::io::Read;

use skep_proto::blob::{self, GROUP_BYTES, GroupList, GroupLister};
use skep_proto::claimed::Verified;
use skep_proto::hash::Blake3;

use super::Open;
use super::made::blob;
use crate::store::{BlobInfo, Error, Held, Store};

const GROUP: usize = 262_144;

fn list_of(bytes: &[u8]) -> Verified<GroupList> {
    let mut lister = GroupLister::new();
    lister.update(bytes).expect("below the limit");
    lister.finish()
}

fn group(bytes: &[u8], index: usize) -> &[u8] {
    &bytes[index * GROUP..bytes.len().min((index + 1) * GROUP)]
}

fn part(groups: &[u64]) -> Held {
    Held::Part {
        groups: groups.to_vec(),
        list: true,
    }
}

/// The store holds exactly these bytes, complete.
fn assert_complete(store: &dyn Store, bytes: &[u8]) {
    let list = list_of(bytes);
    let hash = *list.hash();
    let size = bytes.len() as u64;
    let info = store.blob(&hash).expect("asked");
    assert_eq!(info, Some(BlobInfo { hash, size }));
    let mut read = Vec::new();
    let file = store.open(&hash).expect("opened").expect("it is complete");
    std::io::BufReader::new(file)
        .read_to_end(&mut read)
        .expect("read");
    assert!(read == bytes, "the file is the blob");
    let held = store.group_list(&hash).expect("asked");
    assert_eq!(held, Some(list.to_bytes()));
    for index in 0..blob::group_count(size) {
        let found = store.read_group(&hash, index).expect("read");
        let at = usize::try_from(index).expect("small");
        assert!(found.as_deref() == Some(group(bytes, at)), "group {index}");
    }
    let past = store.read_group(&hash, blob::group_count(size));
    assert_eq!(past.expect("read"), None);
    assert_eq!(store.begin(&hash, size, None).expect("asked"), Held::Whole);
    let refused = store.begin(&hash, size + 1, None);
    assert!(matches!(
        refused,
        Err(Error::Blob(blob::Error::OtherSize { .. }))
    ));
}

/// The store knows nothing of this blob that could be read.
fn assert_absent(store: &dyn Store, hash: &Blake3) {
    assert_eq!(store.blob(hash).expect("asked"), None);
    assert!(store.open(hash).expect("asked").is_none());
    assert_eq!(store.group_list(hash).expect("asked"), None);
    assert_eq!(store.read_group(hash, 0).expect("asked"), None);
}

pub(super) fn blobs_that_end_at_the_same_time_are_all_whole(open: Open<'_>) {
    let fetched: Vec<Vec<u8>> = (10..30).map(|n| blob(n, 100 + usize::from(n))).collect();
    let imported = blob(31, GROUP + 1);
    let store = open();
    for bytes in &fetched {
        let hash = *list_of(bytes).hash();
        let size = bytes.len() as u64;
        let begun = store.begin(&hash, size, None).expect("begun");
        assert_eq!(begun, part(&[]));
        store.write_group(&hash, 0, bytes).expect("written");
    }
    std::thread::scope(|scope| {
        // Each from two sides, as when two wants meet.
        for bytes in fetched.iter().chain(&fetched) {
            let store = store.as_ref();
            scope.spawn(move || {
                let hash = *list_of(bytes).hash();
                store.finish(&hash).expect("it is whole");
                let begun = store.begin(&hash, bytes.len() as u64, None).expect("asked");
                assert_eq!(begun, Held::Whole);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| store.import(&mut imported.as_slice()).expect("imported"));
        }
    });
    for bytes in fetched.iter().chain([&imported]) {
        assert_complete(store.as_ref(), bytes);
    }
    drop(store);
    let again = open();
    for bytes in fetched.iter().chain([&imported]) {
        assert_complete(again.as_ref(), bytes);
    }
}

pub(super) fn an_imported_blob_is_complete(open: Open<'_>) {
    let sizes = [0, 1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5];
    let blobs: Vec<_> = (0..).zip(sizes).map(|(n, size)| blob(n, size)).collect();
    {
        let store = open();
        for bytes in &blobs {
            let hash = Blake3::of(&[bytes]);
            assert_absent(store.as_ref(), &hash);
            for _ in 0..2 {
                let info = store.import(&mut bytes.as_slice()).expect("imported");
                let size = bytes.len() as u64;
                assert_eq!(info, BlobInfo { hash, size });
            }
            assert_complete(store.as_ref(), bytes);
        }
    }
    let store = open();
    for bytes in &blobs {
        assert_complete(store.as_ref(), bytes);
    }
}

/// Gives some bytes, then fails.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::other("the disk of the author"));
        }
        let n = self.0.min(buffer.len());
        self.0 -= n;
        buffer[..n].fill(7);
        Ok(n)
    }
}

pub(super) fn an_import_that_fails_leaves_nothing(open: Open<'_>) {
    let store = open();
    let before = store.space().expect("counted").used;
    let failed = store.import(&mut Broken(2 * GROUP + 3));
    assert!(matches!(failed, Err(Error::Source(_))));
    assert_absent(store.as_ref(), &Blake3::of(&[&vec![7; 2 * GROUP + 3]]));
    assert_eq!(store.space().expect("counted").used, before);
}

pub(super) fn a_fetched_blob_is_readable_group_by_group_and_complete_at_the_end(open: Open<'_>) {
    let bytes = blob(1, 3 * GROUP + 5);
    let list = list_of(&bytes);
    let (hash, size) = (*list.hash(), list.size());
    {
        let store = open();
        let nothing = store.begin(&hash, size, None).expect("asked");
        let (groups, no) = (Vec::new(), false);
        assert_eq!(nothing, Held::Part { groups, list: no });
        assert_absent(store.as_ref(), &hash);
        let begun = store.begin(&hash, size, Some(&list)).expect("begun");
        assert_eq!(begun, part(&[]));
        let served = store.group_list(&hash).expect("asked");
        assert_eq!(served, Some(list.to_bytes()));
        for index in [3, 0, 2, 1] {
            let n = index as u64;
            assert_eq!(
                store.read_group(&hash, n).expect("asked"),
                None,
                "group {n}"
            );
            let unfinished = store.finish(&hash);
            assert!(matches!(unfinished, Err(Error::Incomplete { .. })));
            for _ in 0..2 {
                let written = store.write_group(&hash, n, group(&bytes, index));
                written.expect("it verifies");
            }
            let read = store.read_group(&hash, n).expect("asked");
            assert!(read.as_deref() == Some(group(&bytes, index)), "group {n}");
            assert_eq!(store.blob(&hash).expect("asked"), None, "not complete");
            assert!(store.open(&hash).expect("asked").is_none(), "not complete");
        }
        store.finish(&hash).expect("all are there");
        store.finish(&hash).expect("twice is fine");
        assert_complete(store.as_ref(), &bytes);
        let late = store.write_group(&hash, 1, group(&bytes, 1));
        late.expect("a late group is no error");
    }
    assert_complete(open().as_ref(), &bytes);
}

pub(super) fn nothing_that_does_not_verify_is_written(open: Open<'_>) {
    let bytes = blob(1, 2 * GROUP + 5);
    let list = list_of(&bytes);
    let (hash, size) = (*list.hash(), list.size());
    let store = open();
    store.begin(&hash, size, Some(&list)).expect("begun");
    let mut flipped = group(&bytes, 1).to_vec();
    flipped[GROUP / 2] ^= 1;
    let wrong: [(u64, &[u8]); 6] = [
        (1, &flipped),
        (1, group(&bytes, 0)),
        (1, &flipped[..GROUP - 1]),
        (1, &[]),
        (2, &group(&bytes, 2)[..4]),
        (3, group(&bytes, 2)),
    ];
    for (index, bytes) in wrong {
        let refused = store.write_group(&hash, index, bytes);
        assert!(
            matches!(refused, Err(Error::Blob(_))),
            "{index}: {refused:?}"
        );
        assert_eq!(store.read_group(&hash, index).expect("asked"), None);
    }
    assert_eq!(store.begin(&hash, size, None).expect("asked"), part(&[]));
    let refused = store.begin(&hash, size, Some(&list_of(&flipped)));
    assert!(
        matches!(refused, Err(Error::OtherList { .. })),
        "of another blob"
    );
}

pub(super) fn a_blob_of_one_group_needs_no_list(open: Open<'_>) {
    let store = open();
    for (n, size) in [(1, 0), (2, 1), (3, GROUP)] {
        let bytes = blob(n, size);
        let hash = Blake3::of(&[&bytes]);
        let begun = store.begin(&hash, size as u64, None).expect("begun");
        assert_eq!(begun, part(&[]));
        let refused = store.write_group(&hash, 0, b"something else");
        assert!(matches!(refused, Err(Error::Blob(_))));
        store.write_group(&hash, 0, &bytes).expect("it verifies");
        store.finish(&hash).expect("all is there");
        assert_complete(store.as_ref(), &bytes);
    }
}

pub(super) fn a_blob_that_was_not_begun_takes_no_groups(open: Open<'_>) {
    let store = open();
    let bytes = blob(1, 100);
    let hash = Blake3::of(&[&bytes]);
    let refused = store.write_group(&hash, 0, &bytes);
    assert!(matches!(refused, Err(Error::NotBegun { .. })));
    let refused = store.finish(&hash);
    assert!(matches!(refused, Err(Error::NotBegun { .. })));
    let too_large = store.begin(&hash, blob::BLOB_BYTES_MAX + 1, None);
    assert!(
        matches!(too_large, Ok(Held::Part { list: false, .. })),
        "no list can prove it"
    );
    assert_absent(store.as_ref(), &hash);
}

pub(super) fn what_was_fetched_before_a_restart_is_not_fetched_again(open: Open<'_>) {
    let bytes = blob(1, 4 * GROUP + 5);
    let list = list_of(&bytes);
    let (hash, size) = (*list.hash(), list.size());
    {
        let store = open();
        store.begin(&hash, size, Some(&list)).expect("begun");
        for index in [1, 4] {
            let written = store.write_group(&hash, index as u64, group(&bytes, index));
            written.expect("it verifies");
        }
    }
    {
        let store = open();
        let resumed = store.begin(&hash, size, None).expect("resumed");
        assert_eq!(
            resumed,
            part(&[1, 4]),
            "with the list that was given before"
        );
        let read = store.read_group(&hash, 4).expect("asked");
        assert!(read.as_deref() == Some(group(&bytes, 4)));
        for index in [0, 2] {
            let written = store.write_group(&hash, index as u64, group(&bytes, index));
            written.expect("it verifies");
        }
    }
    let store = open();
    let resumed = store.begin(&hash, size, None).expect("resumed");
    assert_eq!(resumed, part(&[0, 1, 2, 4]));
    store
        .write_group(&hash, 3, group(&bytes, 3))
        .expect("it verifies");
    store.finish(&hash).expect("all are there");
    assert_complete(store.as_ref(), &bytes);
}

pub(super) fn a_false_size_costs_no_group_that_is_held(open: Open<'_>) {
    let bytes = blob(1, 2 * GROUP + 5);
    let list = list_of(&bytes);
    let (hash, size) = (*list.hash(), list.size());
    let store = open();
    store.begin(&hash, size, Some(&list)).expect("begun");
    store
        .write_group(&hash, 0, group(&bytes, 0))
        .expect("it verifies");
    store
        .write_group(&hash, 2, group(&bytes, 2))
        .expect("it verifies");
    // Another publisher says that it is longer; as many groups, so the list proves it.
    let longer = GroupList::prove(&hash, size + 1, &list.to_bytes()).expect("as many groups");
    let begun = store.begin(&hash, size + 1, Some(&longer)).expect("begun");
    assert_eq!(begun, part(&[0]), "the last group does not verify under it");
    let refused = store.write_group(&hash, 2, group(&bytes, 2));
    assert!(matches!(
        refused,
        Err(Error::Blob(blob::Error::OtherSize { .. }))
    ));
    store
        .write_group(&hash, 1, group(&bytes, 1))
        .expect("it verifies");
    let again = store.begin(&hash, size, Some(&list)).expect("begun");
    let Held::Part { groups, list: true } = again else {
        panic!("{again:?}");
    };
    assert!(groups.starts_with(&[0, 1]), "{groups:?}");
    store
        .write_group(&hash, 2, group(&bytes, 2))
        .expect("it verifies");
    store.finish(&hash).expect("all are there");
    assert_complete(store.as_ref(), &bytes);
    assert!(size < GROUP_BYTES * 3);
}

pub(super) fn a_removed_blob_is_gone(open: Open<'_>) {
    let (complete, begun) = (blob(1, 2 * GROUP), blob(2, 2 * GROUP));
    let list = list_of(&begun);
    let hashes = [Blake3::of(&[&complete]), *list.hash()];
    {
        let store = open();
        store.import(&mut complete.as_slice()).expect("imported");
        store
            .begin(&hashes[1], list.size(), Some(&list))
            .expect("begun");
        store
            .write_group(&hashes[1], 0, group(&begun, 0))
            .expect("it verifies");
        for hash in hashes {
            store.remove_blob(&hash).expect("removed");
            store.remove_blob(&hash).expect("twice is fine");
            assert_absent(store.as_ref(), &hash);
        }
    }
    let store = open();
    for hash in hashes {
        assert_absent(store.as_ref(), &hash);
    }
    store.import(&mut complete.as_slice()).expect("imported");
    assert_complete(store.as_ref(), &complete);
}

pub(super) fn every_blob_is_found_once(open: Open<'_>) {
    let (complete, begun) = (blob(1, 2 * GROUP), blob(2, 2 * GROUP));
    let list = list_of(&begun);
    let store = open();
    let whole = store
        .import(&mut complete.as_slice())
        .expect("imported")
        .hash;
    let begin = || store.begin(list.hash(), list.size(), Some(&list)).map(drop);
    begin().expect("begun");
    store
        .write_group(list.hash(), 0, group(&begun, 0))
        .expect("it verifies");
    let found = || {
        let mut found = Vec::new();
        let listed = store.blobs(&mut |blob| found.push((blob.hash, blob.size_bytes)));
        listed.expect("listed");
        found.sort();
        found
    };
    let mut expected = vec![(whole, 2 * GROUP as u64), (*list.hash(), GROUP as u64)];
    expected.sort();
    assert_eq!(found(), expected);
    store.remove_blob(&whole).expect("removed");
    assert_eq!(found(), [(*list.hash(), GROUP as u64)]);
}

pub(super) fn space_is_counted(open: Open<'_>) {
    let store = open();
    let before = store.space().expect("counted");
    assert!(before.free > 0);
    let bytes = blob(1, 3 * GROUP);
    store.import(&mut bytes.as_slice()).expect("imported");
    let after = store.space().expect("counted");
    let grown = after.used - before.used;
    assert!(
        (3 * GROUP as u64..5 * GROUP as u64).contains(&grown),
        "{grown}"
    );
}
