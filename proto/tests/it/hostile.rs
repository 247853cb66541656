//! Every decoder of the protocol against bytes from strangers: whatever comes, reading ends without
//! a panic, and what is accepted is the one encoding of what was read.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use skep_proto::blob::GroupList;
use skep_proto::bytes::{DEPTH_MAX, Reader, Writer};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::json;
use skep_proto::key::file::KeyFile;
use skep_proto::key::{Key, SigningKey};
use skep_proto::limits::{ENTRY_BYTES_MAX, MANIFEST_BYTES_MAX, ROOT_DOCUMENT_BYTES_MAX};
use skep_proto::log::checkpoint::{Checkpoint, Cosignature};
use skep_proto::log::entry::{self, Body, Entry, Parsed, Review};
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tip::Tip;
use skep_proto::log::tree::{self, Tree};
use skep_proto::name::{Name, PackageRef, Requirement, Version};
use skep_proto::package::manifest::{Manifest, read_facts, read_tree, write_facts, write_tree};
use skep_proto::package::source::{FileDigest, Found, Source, assemble};
use skep_proto::repo::root::{Document, SignedRoot};
use skep_proto::sync::blobs;
use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{Answer, Message, Push, Record, Request, TrieNode};
use skep_proto::ticket::Ticket;
use skep_proto::trust::file::RepoFile;

use crate::world::World;

const OBJECT: &[u8] = include_bytes!("../../../cli/demo/drop.bpf.o");

/// A way in, something it accepts, and what it makes of bytes: none where it refuses them, else
/// what it would write for what it has read.
struct Decoder {
    name: &'static str,
    sample: Vec<u8>,
    read: fn(&[u8]) -> Option<Vec<u8>>,
}

fn signing() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn witness() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

fn named_witnesses() -> [(String, Key); 1] {
    [("w.example".to_owned(), witness().key())]
}

/// Of the readers that keep no bytes apart: what they accept stands for itself.
fn kept<T, E>(input: &[u8], read: Result<T, E>) -> Option<Vec<u8>> {
    read.ok().map(|_| input.to_vec())
}

/// Of the readers of one line of text: how they write what they read.
fn line<T: std::str::FromStr + ToString>(input: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(input).ok()?;
    Some(text.parse::<T>().ok()?.to_string().into_bytes())
}

fn text(input: &[u8]) -> &str {
    std::str::from_utf8(input).unwrap_or_default()
}

fn cosigned() -> Checkpoint {
    let root = Sha256::of(&[b"root"]);
    let mut checkpoint = Checkpoint::sign(&repo(), &signing(), 5, root).expect("a size in range");
    let cosignature = Cosignature::sign(&repo(), &checkpoint, &witness(), 1_800_000_000);
    assert!(checkpoint.add_cosignature(&repo(), cosignature));
    checkpoint
}

fn evidence() -> ForkEvidence {
    let tree = |branch: u8| -> Tree { (0..4_u8).map(|n| tree::leaf(&[branch, n])).collect() };
    let (a, b) = (tree(1), tree(2));
    let signed = |tree: &Tree, size| {
        let root = tree.root_at(size).expect("held");
        Checkpoint::sign(&repo(), &signing(), size, root).expect("a size in range")
    };
    let proof = b.consistency_proof(3, 4).expect("held");
    let at = b.root_at(3).expect("held");
    let evidence = ForkEvidence::between(&repo(), &signed(&b, 4), &signed(&a, 3), at, &proof);
    evidence.expect("two branches").into_inner()
}

fn messages() -> Vec<Message> {
    let (repo, key) = (repo(), signing().key());
    let records = vec![
        Record::Log(cosigned()),
        Record::Forked(evidence()),
        Record::Cut {
            key,
            size: 1,
            root: Sha256::of(&[b"cut"]),
            checkpoint: Some(cosigned()),
            proof: vec![Sha256::of(&[b"p"])],
        },
    ];
    let prefixes = vec![Prefix::default(), Prefix::new(&[1, 15]).expect("nibbles")];
    let nodes = vec![
        TrieNode::Children(Box::new([Sha256::of(&[]); 16])),
        TrieNode::Records(records),
    ];
    let entries = vec![vec![0x84, 1, 0, 0, 0x80], vec![]];
    let checkpoints = vec![cosigned()];
    let documents = World::new().documents;
    vec![
        Message::Request {
            id: 1,
            request: Request::Trie { repo, prefixes },
        },
        Message::Answer {
            id: 1,
            answer: Answer::Trie(nodes),
        },
        Message::Answer {
            id: 1,
            answer: Answer::Get {
                entries,
                proof: vec![Sha256::of(&[b"p"])],
            },
        },
        Message::Answer {
            id: 1,
            answer: Answer::Roots {
                documents,
                more: false,
            },
        },
        Message::Push(Push::Checkpoints { repo, checkpoints }),
        Message::Push(Push::Evidence {
            repo,
            evidence: evidence(),
        }),
    ]
}

fn manifest() -> Manifest {
    let text = "[package]\nname = \"drop\"\nversion = \"0.1.0\"\nlicense = \"GPL-2.0-only OR \
                BSD-2-Clause\"\n\n[[object]]\nfile = \"drop.bpf.o\"\n";
    let found = Found {
        path: "drop.bpf.o".to_owned(),
        executable: false,
        digest: FileDigest::of(OBJECT),
        object: Some(skep_proto::ebpf::read(OBJECT)),
    };
    let source = Source::parse(text).expect("a source");
    let assembled = assemble(&source, &repo(), &[found]).expect("a manifest");
    assembled.manifest
}

fn entries() -> Vec<Vec<u8>> {
    let mut world = World::new();
    let (ana, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "good");
    let change = world.changed(ana, (1, 1), &[key]);
    world.change(ana, change, &[key]);
    world.cut(&key, 1);
    world.say(
        key,
        Body::Review(Review {
            name: "drop".parse().expect("a name"),
            version: None,
            rating: Some(5),
            tags: vec!["fast".to_owned()],
            language: "en".to_owned(),
            text: "good\n".to_owned(),
        }),
    );
    world.logs.into_values().flatten().collect()
}

fn read_entry(input: &[u8]) -> Option<Vec<u8>> {
    match entry::decode(input).ok()? {
        Parsed::Entry(entry) => Some(Entry::encode(&entry).expect("what was read can be written")),
        Parsed::Unknown { .. } => Some(input.to_vec()),
        Parsed::Void => panic!("a void entry is an error here"),
    }
}

fn read_note(input: &[u8]) -> Option<Vec<u8>> {
    let input = std::str::from_utf8(input).ok()?;
    let note = skep_proto::claimed::Claimed::<Checkpoint>::from_note;
    let checkpoint = note(input.as_ref(), &repo(), &named_witnesses()).ok()?;
    Some(
        checkpoint
            .0
            .to_note(&repo(), &named_witnesses())
            .into_bytes(),
    )
}

/// All of them.
fn decoders() -> Vec<Decoder> {
    let mut decoders = Vec::new();
    let mut add = |name, sample: Vec<u8>, read| decoders.push(Decoder { name, sample, read });
    for message in messages() {
        add("message", message.encode(), |input| {
            Message::decode(input).ok().map(|it| it.encode())
        });
    }
    for entry in entries() {
        add("entry", entry, read_entry);
    }
    for document in World::new().documents {
        add("signed root document", document.encode(), |input| {
            SignedRoot::decode(input).ok().map(|it| it.encode())
        });
        add("root document", document.payload, |input| {
            kept(input, Document::parse(input))
        });
    }
    let ask = blobs::Request {
        id: 1,
        repo: repo(),
        hash: Blake3::of(&[b"blob"]),
        ask: blobs::Ask::List,
    };
    add("blob request", ask.encode(), |input| {
        blobs::Request::decode(input).ok().map(|it| it.encode())
    });
    let said = blobs::Said::Busy { seconds: 9 };
    let answer = blobs::Answer { id: 1, said };
    add("blob answer", answer.encode(), |input| {
        blobs::Answer::decode(input.to_vec())
            .ok()
            .map(|it| it.encode())
    });
    add("group list", vec![7; 96], |input| {
        let (hash, size) = (Blake3::of(&[input]), input.len() as u64 * 8_192);
        GroupList::prove(&hash, size, input)
            .ok()
            .map(|it| it.to_bytes())
    });
    add("checkpoint", cosigned().to_bytes(), |input| {
        Checkpoint::from_bytes(input).ok().map(|it| it.0.to_bytes())
    });
    let note = cosigned().to_note(&repo(), &named_witnesses());
    add("note", note.into_bytes(), read_note);
    add("evidence", evidence().to_bytes(), |input| {
        ForkEvidence::from_bytes(input)
            .ok()
            .map(|it| it.0.to_bytes())
    });
    let mut tip = Tip::new(repo(), signing().key());
    tip.append(&signing(), vec![b"entry".to_vec()])
        .expect("signed");
    add("tip", tip.to_bytes(), |input| {
        let tip = Tip::from_bytes(input, &repo(), &signing().key());
        tip.ok().map(|it| it.to_bytes())
    });
    let manifest = manifest();
    add(
        "manifest",
        manifest.to_payload().expect("a payload"),
        |input| kept(input, Manifest::parse(input)),
    );
    add("tree", write_tree(&manifest.files), |input| {
        kept(input, read_tree(input))
    });
    let facts = manifest.details.facts.as_ref().expect("facts");
    add("facts", write_facts(facts), |input| {
        kept(input, read_facts(input))
    });
    add("object", OBJECT.to_vec(), |input| {
        kept(input, skep_proto::ebpf::read(input))
    });
    let ticket = Ticket {
        repo: repo(),
        root: (2, Sha256::of(&[b"document"])),
        nodes: vec![(
            NodeId::from_key(signing().key()),
            vec!["/ip4/192.0.2.7/tcp/7701".to_owned()],
        )],
        package: Some("drop".parse().expect("a name")),
        handle: None,
        secret: None,
    };
    add(
        "ticket",
        ticket.to_text().expect("short").into_bytes(),
        |input| {
            // Either case is one ticket, and no other byte differs.
            let ticket = text(input).parse::<Ticket>().ok()?;
            let canonical = ticket.to_text().expect("what was read can be written");
            canonical
                .eq_ignore_ascii_case(text(input))
                .then(|| input.to_vec())
        },
    );
    let key = signing().key();
    add("key", key.to_string().into_bytes(), line::<Key>);
    add("key line", key.to_openssh().into_bytes(), |input| {
        kept(input, Key::from_openssh(text(input)))
    });
    add(
        "key file",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n".to_vec(),
        |input| kept(input, KeyFile::parse(text(input))),
    );
    add(
        "repository id",
        repo().to_string().into_bytes(),
        line::<RepoId>,
    );
    add("name", b"rate-limit__er".to_vec(), line::<Name>);
    add("version", b"1.2.3-rc.1".to_vec(), line::<Version>);
    add("requirement", b"^1.2".to_vec(), |input| {
        kept(input, text(input).parse::<Requirement>())
    });
    add("package", b"ana/drop@^1".to_vec(), |input| {
        kept(input, text(input).parse::<PackageRef>())
    });
    let file = format!(
        "id = \"{}\"\n[root]\nversion = 1\nsha256 = \"{}\"\n",
        repo(),
        repo_hash()
    );
    add("file of a repository", file.into_bytes(), |input| {
        kept(input, RepoFile::parse(text(input)))
    });
    let source = "[package]\nname = \"drop\"\nversion = \"0.1.0\"\nlicense = \"MIT\"\n";
    add("package file", source.into(), |input| {
        kept(input, Source::parse(text(input)))
    });
    decoders
}

fn repo_hash() -> Sha256 {
    Sha256::of(&[b"document"])
}

#[test]
fn every_sample_is_read_and_written_as_it_was() {
    let refused = ["group list", "key file"]; // nobody can make one that passes by chance
    for Decoder { name, sample, read } in decoders() {
        let again = read(&sample);
        if refused.contains(&name) {
            assert_eq!(again, None, "{name}");
        } else {
            assert_eq!(again.as_ref(), Some(&sample), "{name}");
        }
    }
}

#[test]
fn no_sample_is_accepted_with_a_byte_more_or_less() {
    // TOML, JSON and lines for people may have white space at their end, names and versions longer
    // ones, objects anything; a note without its last cosignature is one.
    let free = [
        "key line",
        "file of a repository",
        "package file",
        "requirement",
        "package",
        "version",
        "name",
        "root document",
        "manifest",
        "tree",
        "facts",
        "object",
        "group list",
        "key file",
        "note",
    ];
    for Decoder { name, sample, read } in decoders() {
        if free.contains(&name) {
            continue;
        }
        for more in [0, b'\n', b' ', 0x80, 0xf6] {
            let longer = [sample.as_slice(), &[more]].concat();
            assert_eq!(read(&longer), None, "{name} with {more:#x} at its end");
        }
        for len in 0..sample.len() {
            assert_eq!(read(&sample[..len]), None, "{name} cut to {len}");
        }
    }
}

/// What a stranger does to bytes.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Bit(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    /// Heads that claim more than there is, and what other readers stumble over.
    Head(Index, &'static [u8]),
}

const HEADS: [&[u8]; 12] = [
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // array of 2^64 − 1
    &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // bytes of 2^64 − 1
    &[0x7b, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00],
    &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9f, 0x5f, 0x7f, 0xbf, 0xff],
    &[0xc0, 0xf9, 0x7e, 0x00],
    &[0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81],
    b"[[[[[[[[[[[[{\"a\":{\"a\":",
    b"-9223372036854775809e99999",
    b"\\ud800\"\xff\xfe",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Bit(at, bit)),
        at().prop_map(Change::Cut),
        (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (at(), select(HEADS.to_vec())).prop_map(|(at, head)| Change::Head(at, head)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Byte(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Bit(at, bit) => *at.get_mut(bytes) ^= 1 << bit,
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part.into_iter().take(4_096));
            }
            Self::Head(at, head) => {
                let at = at.index(bytes.len());
                bytes.splice(at.., head.iter().copied());
            }
        }
    }
}

/// What is accepted is written again as it came.
fn check(input: &[u8]) -> impl Fn(&Decoder) -> Result<(), TestCaseError> {
    move |Decoder { name, read, .. }| {
        if let Some(again) = read(input) {
            prop_assert_eq!(again.as_slice(), input, "{}", name);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_change_to_a_sample_panics_or_is_read_as_two_things(
        which in any::<Index>(),
        changes in vec(change(), 1..6),
    ) {
        let decoders = decoders_once();
        let decoder = which.get(decoders);
        let mut input = decoder.sample.clone();
        changes.iter().for_each(|change| change.apply(&mut input));
        check(&input)(decoder)?;
    }

    #[test]
    fn no_bytes_panic_in_any_decoder(input in vec(any::<u8>(), 0..600)) {
        decoders_once().iter().try_for_each(check(&input))?;
    }
}

/// Making them takes signatures.
fn decoders_once() -> &'static [Decoder] {
    static DECODERS: std::sync::OnceLock<Vec<Decoder>> = std::sync::OnceLock::new();
    DECODERS.get_or_init(decoders)
}

/// Small inputs that would be large, deep or long if somebody believed them.
#[test]
fn bombs_are_refused_at_their_head() {
    let mut bombs: Vec<Vec<u8>> = HEADS.iter().map(|head| head.to_vec()).collect();
    bombs.push([vec![0x81; ENTRY_BYTES_MAX - 1], vec![0x80]].concat());
    bombs.push(vec![b'['; MANIFEST_BYTES_MAX]);
    bombs.push(b"{\"a\":".repeat(MANIFEST_BYTES_MAX / 5));
    bombs.push(vec![b'9'; ROOT_DOCUMENT_BYTES_MAX]);
    bombs.push(b"\"\\u0000".repeat(6_000));
    for (at, bomb) in bombs.iter().enumerate() {
        for Decoder { name, read, .. } in decoders() {
            assert_eq!(read(bomb), None, "{name} took bomb {at}");
        }
        assert!(json::parse(bomb).is_err(), "bomb {at}");
    }
}

#[test]
fn cbor_is_as_deep_as_the_profile_and_no_deeper() {
    let nested = |levels: usize| {
        let mut writer = Writer::new();
        for _ in 0..levels {
            writer.array(1);
        }
        writer.uint(0);
        writer.finish()
    };
    let read = |input: &[u8]| Reader::strict(input, ENTRY_BYTES_MAX).is_ok();
    assert!(read(&nested(DEPTH_MAX)));
    assert!(!read(&nested(DEPTH_MAX + 1)));
    assert!(!read(&nested(ENTRY_BYTES_MAX - 1)));
}
