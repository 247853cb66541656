//! What a stranger's file can have kept and read, at each limit and one past it.

use super::*;
use crate::blob::GroupLister;
use crate::package::manifest::{Details, FILES_MAX as INLINE_MAX, Facts};

/// SPEC.md has them in figures.
const _: () = assert!(
    NAMED_MAX == 1_056_768 && WAITING_BYTES_MAX == 67_108_864 && LISTS_BYTES_MAX == 1_073_741_824
);

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

fn file(path: &str, kind: FileKind, bytes: &[u8]) -> File {
    File {
        path: path.to_owned(),
        kind,
        size: bytes.len() as u64,
        sha256: Sha256::of(&[bytes]),
        blake3: Blake3::of(&[bytes]),
        executable: false,
        endian: None,
        os: None,
        arch: None,
    }
}

/// The entry's content that publishes version `number` of a package with these files.
fn published(number: usize, files: &[File]) -> Publish {
    let manifest = Manifest {
        repo: repo(),
        name: "drop".parse().expect("a name"),
        version: format!("{number}.0.0").parse().expect("a version"),
        details: Details {
            license: "GPL-2.0-only".to_owned(),
            description: String::new(),
            platform: "linux".to_owned(),
            facts: Some(Facts::default()),
            ..Details::default()
        },
        files: files.to_vec(),
        unknown: BTreeMap::new(),
    };
    Publish {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        payload: manifest.to_payload().expect("a payload"),
        signatures: Vec::new(),
    }
}

/// A file whose contents promise these.
fn promising(files: &[File]) -> Found {
    let mut items: Vec<Item> = files
        .iter()
        .map(|file| Item {
            place: Place::Blob(file.blake3),
            size: file.size,
            blake3: file.blake3,
        })
        .collect();
    items.sort_unstable_by_key(|item| item.place);
    let mut found = Found::default();
    found.promise(&items);
    found
}

/// Reads a blob of the file.
fn read(found: &mut Found, bytes: &[u8]) -> Result<(), Error> {
    let mut lister = GroupLister::new();
    lister.update(bytes).expect("no longer than a blob");
    let list = lister.finish();
    let hash = *list.hash();
    found.begin(&hash, bytes.len() as u64, 0);
    found.bytes(bytes);
    found.end(&hash, list)
}

#[test]
fn of_a_release_that_is_not_carried_nothing_is_kept() {
    let (here, elsewhere) = (
        file("a", FileKind::Other, b"a"),
        file("b", FileKind::Other, b"b"),
    );
    let mut found = promising(std::slice::from_ref(&here));
    let release = published(1, &[here.clone(), elsewhere.clone()]);
    found.publish(&repo(), release).expect("few");
    let tree = file("list", FileKind::Tree, b"not here");
    found.publish(&repo(), published(2, &[tree])).expect("few");
    // Of the size that it has.
    let mut longer = here.clone();
    longer.size += 1;
    found
        .publish(&repo(), published(3, &[longer]))
        .expect("few");
    assert!(found.listed.is_empty() && found.waiting.is_empty());
    assert_eq!((found.named, found.waiting_bytes), (0, 0));
    found.publish(&repo(), published(4, &[here])).expect("few");
    assert_eq!(found.listed.len(), 1);
}

#[test]
fn releases_name_so_many_files_together() {
    let texts: Vec<String> = (0..INLINE_MAX).map(|n| format!("{n:02}")).collect();
    let files: Vec<File> = texts
        .iter()
        .map(|text| file(text, FileKind::Other, text.as_bytes()))
        .collect();
    let mut found = promising(&files);
    found.named = NAMED_MAX - INLINE_MAX;
    let release = published(1, &files);
    assert_eq!(found.publish(&repo(), release.clone()), Ok(()));
    assert_eq!(found.named, NAMED_MAX);
    let one = published(2, &files[..1]);
    assert_eq!(found.publish(&repo(), one), Err(Error::TooManyNames));
}

#[test]
fn manifests_that_wait_for_a_list_have_so_many_bytes() {
    let tree = file("list", FileKind::Tree, b"a list");
    let mut found = promising(std::slice::from_ref(&tree));
    let release = published(1, std::slice::from_ref(&tree));
    let len = release.payload.len();
    found.waiting_bytes = WAITING_BYTES_MAX - len;
    assert_eq!(found.publish(&repo(), release), Ok(()));
    let next = published(2, &[tree]);
    assert_eq!(found.publish(&repo(), next), Err(Error::TooManyNames));
}

#[test]
fn a_list_is_read_so_often() {
    // No list: what counts is that it is read.
    let bytes = b"no list";
    let tree = file("list", FileKind::Tree, bytes);
    for (count, expected) in [(2, Ok(())), (3, Err(Error::TooManyNames))] {
        let mut found = promising(std::slice::from_ref(&tree));
        found.lists_bytes = LISTS_BYTES_MAX - 2 * bytes.len() as u64;
        for number in 0..count {
            let release = published(number, std::slice::from_ref(&tree));
            found.publish(&repo(), release).expect("few");
        }
        assert_eq!(read(&mut found, bytes), expected, "{count}");
        assert!(found.listed.is_empty(), "it is no list");
    }
}
