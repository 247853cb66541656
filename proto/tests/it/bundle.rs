//! The .skep file: what is written is read, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use skep_proto::bundle::{
    Check, Checked, Error, Frames, Item, LogPart, NAMED_REPOS_MAX, Piece, Place, Plan,
};
use skep_proto::hash::Blake3;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree::{self, Tree};
use skep_proto::package::source::{FileDigest, Found, Source, assemble};

use crate::golden;
use crate::world::World;

const OBJECT: &[u8] = include_bytes!("../../../cli/demo/drop.bpf.o");

/// Files of releases by their hash.
pub(crate) type Blobs = BTreeMap<Blake3, Vec<u8>>;

/// A repository of one publisher and one release of two files.
pub(crate) fn world() -> (World, Key, Blobs) {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let blobs = publish(&mut world, key, "1.0.0");
    (world, key, blobs)
}

/// Publishes `drop` with two files, and gives them.
pub(crate) fn publish(world: &mut World, key: Key, version: &str) -> Blobs {
    let files = [
        ("README.md", format!("# drop {version}\n").into_bytes()),
        ("drop.bpf.o", OBJECT.to_vec()),
    ];
    let found = files.iter().map(|(path, bytes)| Found {
        path: (*path).to_owned(),
        executable: false,
        digest: FileDigest::of(bytes),
        object: path.ends_with(".o").then(|| skep_proto::ebpf::read(bytes)),
    });
    let found: Vec<Found> = found.collect();
    let text = format!(
        "[package]\nname = \"drop\"\nversion = \"{version}\"\nlicense = \"GPL-2.0-only OR \
         BSD-2-Clause\"\n\n[[object]]\nfile = \"drop.bpf.o\"\n"
    );
    let source = Source::parse(&text).expect("a source");
    let assembled = assemble(&source, &world.repo, &found).expect("a manifest");
    let payload = assembled.manifest.to_payload().expect("a payload");
    let payload = String::from_utf8(payload).expect("JSON");
    world.publish(key, "drop", version, &payload);
    files
        .into_iter()
        .map(|(_, bytes)| (Blake3::of(&[&bytes]), bytes))
        .collect()
}

/// Everything of a world, as a plan; the entries of a log in `cut` end before its checkpoint.
pub(crate) fn plan(world: &World, blobs: &Blobs, cut: &BTreeMap<Key, usize>) -> Plan {
    let mut small = Vec::new();
    // As a chain keeps them: with the signatures that count.
    for link in world.chain().links() {
        let version = link.document.version;
        small.push(Plan::document(world.repo, version, &link.signed));
    }
    for (key, entries) in &world.logs {
        small.extend(log_files(world, key, entries, cut.get(key).copied()));
    }
    let large = blobs.iter().map(|(hash, bytes)| Item {
        place: Place::Blob(*hash),
        size: bytes.len() as u64,
        blake3: *hash,
    });
    Plan::new(small, large.collect())
}

fn log_files(
    world: &World,
    key: &Key,
    entries: &[Vec<u8>],
    cut: Option<usize>,
) -> Vec<(Place, Vec<u8>)> {
    let tree: Tree = entries.iter().map(|entry| tree::leaf(entry)).collect();
    let root = tree.root_at(tree.size()).expect("held");
    let checkpoint = Checkpoint::sign(&world.repo, world.secret(key), tree.size(), root);
    let note = checkpoint.expect("a size").to_note(&world.repo, &[]);
    let held = cut.unwrap_or(entries.len());
    let mut frames = Vec::new();
    for entry in &entries[..held] {
        Frames::write(entry, &mut frames);
    }
    let place = |part| Place::Log {
        repo: world.repo,
        key: *key,
        part,
    };
    let mut files = vec![
        (place(LogPart::Checkpoint), note.into_bytes()),
        (place(LogPart::Entries), frames),
    ];
    if held < entries.len() {
        let proof = tree.consistency_proof(held as u64, tree.size());
        let proof = proof.expect("held").into_iter();
        let proof = proof.flat_map(|hash| *hash.as_bytes()).collect();
        files.push((place(LogPart::Proof), proof));
    }
    files
}

/// The bytes of a plan.
pub(crate) fn written(plan: &Plan, blobs: &Blobs) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in plan.pieces() {
        match piece {
            Piece::Bytes(piece) => bytes.extend(piece),
            Piece::File(item) => bytes.extend(&blobs[&item.blake3]),
        }
    }
    assert_eq!(bytes.len() as u64, plan.size_bytes());
    bytes
}

pub(crate) fn checked(bytes: &[u8]) -> Result<Checked, Error> {
    checked_in(bytes, bytes.len().max(1))
}

fn checked_in(bytes: &[u8], piece: usize) -> Result<Checked, Error> {
    let mut check = Check::new(BTreeSet::new());
    for piece in bytes.chunks(piece) {
        check.push(piece)?;
    }
    check.finish()
}

fn file() -> (World, Vec<u8>) {
    let (world, _, blobs) = world();
    let bytes = written(&plan(&world, &blobs, &BTreeMap::new()), &blobs);
    (world, bytes)
}

#[test]
fn what_is_written_is_read_in_pieces_of_any_size() {
    let (world, bytes) = file();
    for piece in [1, 2, 511, 513, 4096, bytes.len()] {
        let checked = checked_in(&bytes, piece).expect("a file");
        assert_eq!(checked.size_bytes, bytes.len() as u64);
        let carried = &checked.repos[&world.repo];
        assert_eq!(carried.view.hash, world.view().hash);
        assert_eq!(carried.releases.len(), 1);
        assert_eq!(carried.releases[0].blobs.len(), 2);
        for blob in &checked.blobs {
            let at = usize::try_from(blob.offset).expect("small");
            let size = usize::try_from(blob.list.size()).expect("small");
            let of = &bytes[at..at + size];
            assert_eq!(Blake3::of(&[of]), *blob.list.hash());
        }
    }
}

#[test]
fn a_stock_reader_lists_it() {
    let (world, bytes) = file();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let paths: Vec<String> = archive
        .entries()
        .expect("a tar")
        .map(|entry| {
            let entry = entry.expect("an entry");
            entry.path().expect("a path").display().to_string()
        })
        .collect();
    assert_eq!(paths[0], "contents");
    assert_eq!(paths[1], format!("repos/{}/1.json", world.repo));
    assert!(paths.last().expect("a path").starts_with("blobs/"));
    assert_eq!(paths.len(), 1 + 1 + 2 * 2 + 2);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let (_, bytes) = file();
    let mut before = Check::new(BTreeSet::new());
    for (at, byte) in bytes.iter().enumerate() {
        let mut check = before.clone();
        let flipped = [byte ^ (1 << (at % 8))];
        let rest = &bytes[at + 1..];
        let read = check.push(&flipped).and_then(|()| check.push(rest));
        let read = read.and_then(|()| check.finish());
        assert!(read.is_err(), "byte {at}");
        before.push(&[*byte]).expect("the file as it is");
    }
}

#[test]
fn a_cut_file_is_said_to_be_cut() {
    let (_, bytes) = file();
    let mut before = Check::new(BTreeSet::new());
    for (at, byte) in bytes.iter().enumerate() {
        let refused = before.clone().finish().expect_err("a cut file");
        match refused {
            Error::NotABundle => assert_eq!(at, 0),
            Error::Cut { at: said, .. } => assert_eq!(said, at as u64),
            other => panic!("{at}: {other}"),
        }
        before.push(&[*byte]).expect("the file as it is");
    }
    before.clone().finish().expect("a file");
    let refused = before.push(&[0]).expect_err("a longer file");
    assert_eq!(refused, Error::Trailing(bytes.len() as u64));
}

#[test]
fn a_file_is_of_no_other_repositories_than_those_that_are_expected() {
    let (world, bytes) = file();
    let other = World::named("another").repo;
    let mut check = Check::new(BTreeSet::from([other]));
    let refused = check.push(&bytes).expect_err("of another repository");
    assert_eq!(refused, Error::NotExpected(vec![world.repo]));
    for expected in [vec![world.repo], vec![world.repo, other]] {
        let mut check = Check::new(expected.into_iter().collect());
        check.push(&bytes).expect("of this repository");
        check.finish().expect("a file");
    }
    // Of a file of two, both must be.
    let documents = ["one", "another"].map(World::named);
    let documents = documents.iter().map(|world| {
        let chain = world.chain();
        let link = chain.latest().expect("a document");
        Plan::document(world.repo, link.document.version, &link.signed)
    });
    let both = written(&Plan::new(documents.collect(), Vec::new()), &Blobs::new());
    let mut check = Check::new(BTreeSet::from([other]));
    let refused = check.push(&both).expect_err("of one more repository");
    assert_eq!(refused, Error::NotExpected(vec![World::named("one").repo]));
}

#[test]
fn an_error_names_a_few_of_the_repositories_that_are_not_expected() {
    let ids: Vec<_> = (0..=NAMED_REPOS_MAX)
        .map(|n| World::named(&format!("r{n}")).repo)
        .collect();
    let (some, all) = (&ids[..NAMED_REPOS_MAX], &ids);
    let said = Error::NotExpected(some.to_vec()).to_string();
    assert!(
        some.iter().all(|id| said.contains(&id.to_string())),
        "{said}"
    );
    assert!(!said.contains("more"), "{said}");
    let said = Error::NotExpected(all.clone()).to_string();
    assert!(!said.contains(&ids[NAMED_REPOS_MAX].to_string()), "{said}");
    assert!(
        said.ends_with(" and 1 more, which are not expected"),
        "{said}"
    );
}

#[test]
fn a_log_that_is_cut_is_carried_to_its_cut() {
    let (mut world, key, blobs) = world();
    publish(&mut world, key, "2.0.0");
    world.cut(&key, 1);
    let cut = BTreeMap::from([(key, 1)]);
    let bytes = written(&plan(&world, &blobs, &cut), &blobs);
    let checked = checked(&bytes).expect("a file");
    let carried = &checked.repos[&world.repo];
    assert_eq!(carried.view.hash, world.view().hash);
    assert_eq!(carried.releases.len(), 1);
    assert!(
        carried.logs[&key]
            .proof_from(1)
            .is_some_and(|proof| !proof.is_empty())
    );
    // With what comes after the cut it is another file.
    let whole = written(&plan(&world, &blobs, &BTreeMap::new()), &blobs);
    assert!(matches!(
        super::bundle::checked(&whole),
        Err(Error::Entries(_))
    ));
}

#[test]
fn a_log_that_ends_early_without_a_cut_is_refused() {
    let (mut world, key, blobs) = world();
    publish(&mut world, key, "2.0.0");
    let early = BTreeMap::from([(key, 1)]);
    let bytes = written(&plan(&world, &blobs, &early), &blobs);
    assert!(matches!(checked(&bytes), Err(Error::Entries(_))));
}

#[test]
fn a_file_of_no_release_and_a_release_without_a_file_are_refused() {
    let (world, _, mut blobs) = world();
    let stray = b"for something else".to_vec();
    blobs.insert(Blake3::of(&[&stray]), stray.clone());
    let bytes = written(&plan(&world, &blobs, &BTreeMap::new()), &blobs);
    let refused = checked(&bytes).expect_err("a stray file");
    assert_eq!(refused, Error::Extra(Blake3::of(&[&stray])));
    blobs.remove(&Blake3::of(&[&stray]));
    let gone = *blobs.keys().next().expect("a file");
    blobs.remove(&gone);
    let bytes = written(&plan(&world, &blobs, &BTreeMap::new()), &blobs);
    assert!(matches!(checked(&bytes), Err(Error::Extra(_))));
}

#[test]
fn the_log_of_a_key_that_nobody_admitted_is_refused() {
    let (mut world, _, blobs) = world();
    let stranger = world.key();
    world.yank(stranger, "drop", "1.0.0", true);
    let bytes = written(&plan(&world, &blobs, &BTreeMap::new()), &blobs);
    let refused = checked(&bytes).expect_err("a stranger's log");
    assert_eq!(refused, Error::Unadmitted(world.repo, stranger));
}

#[test]
fn a_file_is_pinned() {
    let (world, bytes) = file();
    let vector = json!({
        "repository": world.repo.to_string(),
        "file": data_encoding::HEXLOWER.encode(&bytes),
    });
    golden::check("bundle.json", &vector);
}
