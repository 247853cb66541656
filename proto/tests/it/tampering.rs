//! What a peer alters is refused, each thing for a reason of its own; what was signed in one place
//! is worth nothing in another.

use std::collections::BTreeSet;

use skep_proto::blob::{GROUP_BYTES, GroupLister};
use skep_proto::claimed::Claimed;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, Signature, SigningKey};
use skep_proto::log::checkpoint::{Checkpoint, Cosignature};
use skep_proto::log::entry::{Body, HandleOperation, handle_message};
use skep_proto::log::tree::{self, Tree};
use skep_proto::package::dsse;
use skep_proto::package::manifest::{FileKind, Manifest, manifest_hash};
use skep_proto::package::source::{FileDigest, Found, Source, assemble};
use skep_proto::repo::authority::Why;
use skep_proto::repo::root;

use crate::world::World;

const OBJECT: &[u8] = include_bytes!("../objects/kinds.bpf.o");
const OBJECT_BIG: &[u8] = include_bytes!("../objects/kinds-big.bpf.o");

fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

/// A release of one object that requires another package.
fn manifest(object: &[u8]) -> Manifest {
    let text = format!(
        "[package]\nname = \"kinds\"\nversion = \"1.1.0\"\nlicense = \"GPL-2.0-only\"\n\n\
         [[object]]\nfile = \"kinds.bpf.o\"\n\n[[program]]\nname = \"_untold\"\nhook = \"xdp\"\n\n\
         [[requires]]\nrepository = \"{}\"\nname = \"base\"\nversion = \"^1\"\n",
        repo()
    );
    let found = Found {
        path: "kinds.bpf.o".to_owned(),
        executable: false,
        digest: FileDigest::of(object),
        object: Some(skep_proto::ebpf::read(object)),
    };
    let source = Source::parse(&text).expect("a source");
    let assembled = assemble(&source, &repo(), &[found]).expect("a manifest");
    assembled.manifest
}

/// With one bit flipped in the middle.
fn altered(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn six_altered_things_are_refused_for_six_reasons() {
    let key = signing(1);
    let mut reasons = BTreeSet::new();

    // A file, by the chunk group that the bit is in.
    let bytes = vec![7; 3 * usize::try_from(GROUP_BYTES).expect("small")];
    let mut lister = GroupLister::new();
    lister.update(&bytes).expect("within the limit");
    let list = lister.finish();
    let group = bytes.len() / 3;
    let refused = list.verify_group(1, &altered(&bytes[..group]));
    reasons.insert(refused.expect_err("an altered group").to_string());

    // A manifest: its signature is of other bytes, and it is of another release.
    let payload = manifest(OBJECT).to_payload().expect("a payload");
    let signatures = dsse::sign(dsse::IN_TOTO, &payload, &key);
    let other = String::from_utf8(payload)
        .expect("JSON")
        .replacen("1.1.0", "1.2.0", 1);
    assert!(dsse::signers(dsse::IN_TOTO, other.as_bytes(), &signatures).is_empty());
    let name = "kinds".parse().expect("a name");
    let version = "1.1.0".parse().expect("a version");
    let refused = Manifest::parse(other.as_bytes()).expect("a manifest still");
    let refused = refused.check_binding(&repo(), &name, &version);
    reasons.insert(refused.expect_err("an altered manifest").to_string());

    // An entry: it does not lead to the root that was signed.
    let entries: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 8]).collect();
    let whole: Tree = entries.iter().map(|entry| tree::leaf(entry)).collect();
    let signed = whole.root_at(5).expect("held");
    let proof = whole.consistency_proof(3, 5).expect("held");
    let mut received: Vec<Sha256> = entries[..3].iter().map(|entry| tree::leaf(entry)).collect();
    let honest = tree::root(&received);
    assert_eq!(
        tree::verify_consistency(3, &honest, 5, &signed, &proof),
        Ok(())
    );
    received[1] = tree::leaf(&altered(&entries[1]));
    let refused = tree::verify_consistency(3, &tree::root(&received), 5, &signed, &proof);
    reasons.insert(refused.expect_err("an altered entry").to_string());

    // A checkpoint: its signature is of another text.
    let mut checkpoint = Checkpoint::sign(&repo(), &key, 5, signed).expect("a size in range");
    checkpoint.size = 4;
    let refused = Claimed(checkpoint).verify(&repo(), &[]);
    reasons.insert(refused.expect_err("an altered checkpoint").to_string());

    // A handle operation: its signatures are of another message.
    let mut world = World::new();
    let key = world.key();
    let ana = world.handle("ana", (1, 1), &[key]);
    let signed = world.sign(world.changed(ana, (1, 1), &[key]), &[key]);
    let operation = HandleOperation {
        about: "altered".to_owned(),
        ..signed
    };
    world.say(world.registrar, Body::Handle(Box::new(operation)));
    let why = world.last_is_ineffective().expect("it has no effect");
    assert!(matches!(why, Why::TooFewSigned { signed: 0, .. }), "{why}");
    reasons.insert(why.to_string());

    // A root document: it is not the one that the chain's keys signed.
    let mut document = world.next(|document| document.approvals = 1);
    let at = document
        .payload
        .windows(13)
        .position(|it| it == b"\"approvals\":1");
    document.payload[at.expect("it is there") + 12] = b'2';
    let refused = world.chain().accept(document);
    reasons.insert(refused.expect_err("an altered document").to_string());

    assert_eq!(reasons.len(), 6, "{reasons:#?}");
}

#[test]
fn what_a_release_requires_is_what_its_publisher_signed() {
    let publisher = signing(1);
    let honest = manifest(OBJECT);
    let payload = honest.to_payload().expect("a payload");
    let signatures = dsse::sign(dsse::IN_TOTO, &payload, &publisher);
    let signers = |payload: &[u8]| dsse::signers(dsse::IN_TOTO, payload, &signatures);
    assert_eq!(signers(&payload), BTreeSet::from([publisher.key()]));

    let mut other = honest;
    other.details.requires[0].name = "evil".parse().expect("a name");
    let other = other.to_payload().expect("a payload");
    assert!(
        Manifest::parse(&other).is_ok(),
        "only its hash gives it away"
    );
    assert_ne!(manifest_hash(&other), manifest_hash(&payload));
    assert!(signers(&other).is_empty());
}

#[test]
fn an_object_of_the_other_byte_order_is_refused() {
    let manifest = manifest(OBJECT);
    let facts = manifest.details.facts.clone().expect("facts");
    let check = |bytes: &[u8]| {
        let object = skep_proto::ebpf::read(bytes).expect("an object");
        manifest.check_object(&facts, "kinds.bpf.o", &object)
    };
    assert_eq!(check(OBJECT), Ok(()));
    let refused = check(OBJECT_BIG).expect_err("another byte order");
    assert!(refused.to_string().contains("byte order"), "{refused}");
    let file = manifest.file_of(FileKind::Object).expect("the object");
    assert!(FileDigest::of(OBJECT).is(file) && !FileDigest::of(OBJECT_BIG).is(file));
}

/// Every kind of text that a key of a repository signs.
fn signed_texts(world: &mut World) -> Vec<(&'static str, Vec<u8>)> {
    let key = world.key();
    let ana = world.handle("ana", (1, 1), &[key]);
    let operation = world.changed(ana, (1, 1), &[key]);
    let checkpoint = Checkpoint::sign(&world.repo, world.secret(&key), 1, Sha256::of(&[b"root"]));
    let checkpoint = checkpoint.expect("a size in range");
    let text = checkpoint.signed_text(&world.repo);
    vec![
        ("checkpoint", text.clone().into_bytes()),
        (
            "cosignature",
            format!("cosignature/v1\ntime 1\n{text}").into_bytes(),
        ),
        ("handle operation", handle_message(&world.repo, &operation)),
        ("root document", root::message(&world.documents[0].payload)),
        ("manifest", dsse::pae(dsse::IN_TOTO, b"{}")),
        (
            "attestation of a root",
            dsse::pae(dsse::IN_TOTO, &world.documents[0].payload),
        ),
    ]
}

/// Where what is signed begins the same, the first byte that differs comes before anything that a
/// signer chooses.
#[test]
fn no_signed_text_is_one_of_another_kind() {
    let texts = signed_texts(&mut World::new());
    let prefixes = [
        "skep/v1/",
        "cosignature/v1\n",
        "skep-handle/v1\n",
        "DSSEv1 ",
    ];
    for (kind, text) in &texts {
        let of = |prefix: &&&str| text.starts_with(prefix.as_bytes());
        assert_eq!(prefixes.iter().filter(of).count(), 1, "{kind}");
    }
    for (at, one) in prefixes.iter().enumerate() {
        let others = prefixes.iter().skip(at + 1);
        assert!(
            others
                .clone()
                .all(|other| !one.starts_with(other) && !other.starts_with(one))
        );
    }
    let distinct: BTreeSet<_> = texts.iter().map(|(_, text)| text).collect();
    assert_eq!(distinct.len(), texts.len());
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    let mut world = World::new();
    let texts = signed_texts(&mut world);
    let key = world.key();
    for (kind, text) in &texts {
        let signature = world.secret(&key).sign(text);
        let accepted: Vec<&str> = texts
            .iter()
            .filter(|(_, other)| key.verify(other, &signature))
            .map(|(kind, _)| *kind)
            .collect();
        assert_eq!(accepted, [*kind]);
    }
}

#[test]
fn a_cosignature_is_no_checkpoint_and_a_checkpoint_no_cosignature() {
    let (author, witness) = (signing(1), signing(2));
    let root = Sha256::of(&[b"root"]);
    let checkpoint = Checkpoint::sign(&repo(), &author, 3, root).expect("a size in range");
    let cosignature = Cosignature::sign(&repo(), &checkpoint, &witness, 7);
    let forged = Checkpoint {
        key: witness.key(),
        signature: cosignature.signature,
        ..checkpoint.clone()
    };
    assert!(!forged.verify(&repo()));
    let own = Checkpoint::sign(&repo(), &witness, 3, root).expect("a size in range");
    let forged = Cosignature {
        key: witness.key(),
        time: 7,
        signature: own.signature,
    };
    assert!(!forged.verify(&repo(), &checkpoint));
}

#[test]
fn a_key_of_another_algorithm_never_verifies() {
    let key = signing(1);
    let signature = key.sign(b"text");
    assert!(key.key().verify(b"text", &signature));
    for algorithm in (0..=u8::MAX).filter(|algorithm| *algorithm != 1) {
        let mut bytes = [0; 33];
        bytes[0] = algorithm;
        bytes[1..].copy_from_slice(key.key().public_bytes());
        assert!(!Key::from_bytes(bytes).verify(b"text", &signature));
    }
    // Nor do keys that are no points, and signatures that say nothing.
    let nothing = Signature::from_bytes([0; 64]);
    for byte in [0, 1, 2, 0x7f, 0xed, 0xff] {
        assert!(!Key::ed25519(&[byte; 32]).verify(b"text", &nothing));
    }
}
