//! Checkpoints, fork evidence and tips: their golden bytes, and that no other bytes pass for them.

use data_encoding::HEXLOWER;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_assume, proptest};
use serde_json::{Value, json};
use skep_proto::bytes::{Reader, Writer};
use skep_proto::claimed::{Claimed, Verified};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::checkpoint::{Checkpoint, Cosignature};
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tip::Tip;
use skep_proto::log::tree::{self, Edge, Tree, leaf};

use crate::golden;

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"a repository of test vectors"]))
}

fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn entries(count: u64, branch: &str) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| format!("{branch} {i}").into_bytes())
        .collect()
}

fn tree(entries: &[Vec<u8>]) -> Tree {
    entries.iter().map(|entry| leaf(entry)).collect()
}

fn signed(tree: &Tree) -> Checkpoint {
    let root = tree.root_at(tree.size()).expect("held");
    Checkpoint::sign(&repo(), &signing(1), tree.size(), root).expect("a size in range")
}

fn witnesses() -> Vec<(String, Key)> {
    let named = |n: u8| (format!("witness.example/{n}"), signing(n).key());
    vec![named(101), named(102)]
}

fn cosigned() -> Checkpoint {
    let mut checkpoint = signed(&tree(&entries(5, "entry")));
    for (n, time) in [(101, 1_700_000_000), (102, 1_700_000_060)] {
        let cosignature = Cosignature::sign(&repo(), &checkpoint, &signing(n), time);
        assert!(checkpoint.add_cosignature(&repo(), cosignature));
    }
    checkpoint
}

fn evidence(m: u64, n: u64) -> Verified<ForkEvidence> {
    let (left, right) = (tree(&entries(m, "left")), tree(&entries(n, "right")));
    let root_at = right.root_at(m).expect("held");
    let proof = right.consistency_proof(m, n).expect("held");
    ForkEvidence::between(&repo(), &signed(&right), &signed(&left), root_at, &proof)
        .expect("two branches")
}

fn tip(size: u64, acknowledged: u64) -> Tip {
    let mut tip = Tip::new(repo(), signing(1).key());
    if size > 0 {
        tip.append(&signing(1), entries(size, "entry"))
            .expect("few");
    }
    tip.acknowledge(acknowledged).expect("signed");
    tip
}

fn encoded(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut writer = Writer::new();
    checkpoint.write(&mut writer);
    writer.finish()
}

/// What a node believes of received bytes.
fn believed(input: &[u8]) -> Option<Verified<Checkpoint>> {
    let mut reader = Reader::strict(input, 4096).ok()?;
    let checkpoint = Checkpoint::read(&mut reader).ok()?;
    reader.end().ok()?;
    assert_eq!(
        encoded(&checkpoint),
        input,
        "accepted bytes encode to themselves"
    );
    let keys: Vec<Key> = witnesses().into_iter().map(|(_, key)| key).collect();
    Claimed(checkpoint).verify(&repo(), &keys).ok()
}

/// Every truncation and every flip of one bit.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flipped = (0..8 * bytes.len()).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    cut.chain(flipped)
}

#[test]
fn a_damaged_checkpoint_is_refused_or_loses_the_damaged_cosignature() {
    let whole = cosigned();
    assert_eq!(believed(&encoded(&whole)).as_deref(), Some(&whole));
    for damaged in damaged(&encoded(&whole)) {
        if let Some(left) = believed(&damaged) {
            assert_eq!(left.clone().into_inner().bare(), whole.clone().bare());
            assert_eq!(left.cosignatures.len(), 1);
            assert!(whole.cosignatures.contains(&left.cosignatures[0]));
        }
    }
    for damaged in damaged(&encoded(&whole.bare())) {
        assert_eq!(believed(&damaged), None);
    }
}

#[test]
fn a_damaged_note_is_refused_or_loses_the_damaged_cosignature() {
    let (whole, names) = (cosigned(), witnesses());
    let keys: Vec<Key> = names.iter().map(|(_, key)| *key).collect();
    let note = whole.to_note(&repo(), &names);
    for damaged in damaged(note.as_bytes()) {
        let Ok(claimed) = Claimed::from_note(&damaged, &repo(), &names) else {
            continue;
        };
        assert_eq!(claimed.0.to_note(&repo(), &names).as_bytes(), damaged);
        if let Ok(left) = claimed.verify(&repo(), &keys) {
            assert_eq!(left.clone().into_inner().bare(), whole.clone().bare());
            assert!(left.cosignatures.len() < 2);
            assert!(
                left.cosignatures
                    .iter()
                    .all(|one| whole.cosignatures.contains(one))
            );
        }
    }
}

#[test]
fn damaged_evidence_convicts_nobody() {
    for (m, n) in [(3, 3), (3, 7)] {
        for damaged in damaged(&evidence(m, n).to_bytes()) {
            let believed =
                ForkEvidence::from_bytes(&damaged).map(|claimed| claimed.verify(&repo()));
            assert!(!matches!(believed, Ok(Ok(_))));
        }
    }
}

#[test]
fn a_damaged_tip_is_refused() {
    for (size, acknowledged) in [(0, 0), (3, 0), (3, 1), (3, 3)] {
        for damaged in damaged(&tip(size, acknowledged).to_bytes()) {
            assert!(Tip::from_bytes(&damaged, &repo(), &signing(1).key()).is_err());
        }
    }
}

/// A signature over an absurd size is valid, and proves nothing about entries that nobody has.
#[test]
fn a_checkpoint_of_absurd_size_is_only_a_claim_about_its_entries() {
    let absurd = Checkpoint::sign(&repo(), &signing(1), tree::SIZE_MAX, leaf(b"x"));
    let absurd = absurd.expect("a size in range");
    assert!(absurd.verify(&repo()));
    let held = signed(&tree(&entries(5, "entry")));
    let long = vec![leaf(b"x"); 63];
    for len in 0..=63 {
        let (size, root) = (absurd.size, &absurd.root);
        assert!(tree::verify_consistency(5, &held.root, size, root, &long[..len]).is_err());
    }
    assert!(Checkpoint::sign(&repo(), &signing(1), 1 << 63, leaf(b"x")).is_err());
}

proptest! {
    /// Accepted text is the text that is written; anything else is refused, and nothing panics.
    #[test]
    fn a_note_has_one_form(
        at in any::<prop::sample::Index>(),
        remove in 0..3usize,
        insert in "[\u{0}-\u{ff}\u{2014}]{0,3}",
    ) {
        let (whole, names) = (cosigned(), witnesses());
        let note: Vec<char> = whole.to_note(&repo(), &names).chars().collect();
        let at = at.index(note.len());
        let after = (at + remove).min(note.len());
        let edited: String =
            note[..at].iter().copied().chain(insert.chars()).chain(note[after..].iter().copied()).collect();
        if let Ok(Claimed(read)) = Claimed::from_note(edited.as_bytes(), &repo(), &names) {
            prop_assert_eq!(read.to_note(&repo(), &names), edited);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(input in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(believed(&input).is_none());
        prop_assert!(Claimed::<Checkpoint>::from_note(&input, &repo(), &witnesses()).is_err());
        prop_assert!(ForkEvidence::from_bytes(&input).is_err());
        prop_assert!(Tip::from_bytes(&input, &repo(), &signing(1).key()).is_err());
    }

    /// Two branches of any shape are proven; one history never is, whatever proof is offered.
    #[test]
    fn only_forks_are_proven(m in 1..40u64, n in 1..40u64, fork in 0..40u64, lie in any::<bool>()) {
        prop_assume!(m <= n);
        let entry = |i: u64, branch: &str| if i < fork { vec![] } else { branch.into() };
        let log = |len: u64, branch: &str| -> Tree {
            (0..len).map(|i| leaf(&[entry(i, branch), i.to_be_bytes().to_vec()].concat())).collect()
        };
        let (left, right) = (log(m, "left"), log(n, "right"));
        let root_at = if lie { leaf(b"a lie") } else { right.root_at(m).expect("held") };
        let proof = right.consistency_proof(m, n).expect("held");
        let proven = ForkEvidence::between(&repo(), &signed(&left), &signed(&right), root_at, &proof);
        // For equal sizes the two signed roots are the whole proof: no answer is needed.
        prop_assert_eq!(proven.is_ok(), fork < m && (!lie || m == n));
    }
}

#[test]
fn golden_bytes() {
    let hex = |bytes: &[u8]| json!(HEXLOWER.encode(bytes));
    let shown = |hashes: &[Sha256]| json!(hashes.iter().map(Sha256::to_string).collect::<Vec<_>>());
    let log = entries(7, "entry");
    let tree = tree(&log);
    let roots: Vec<Sha256> = (0..=7).map(|n| tree.root_at(n).expect("held")).collect();
    let proofs = [(1, 7), (3, 7), (4, 7), (6, 7), (7, 7)].map(|(m, n)| {
        let proof = tree.consistency_proof(m, n).expect("held");
        json!({ "from": m, "to": n, "proof": shown(&proof) })
    });
    let inclusion = [0, 4, 6].map(|index| {
        let proof = tree.inclusion_proof(index, 7).expect("held");
        json!({ "index": index, "size": 7, "proof": shown(&proof) })
    });
    let mut edge = Edge::new();
    tree.leaves().iter().for_each(|leaf| edge.push(*leaf));
    let mut writer = Writer::new();
    edge.write(&mut writer);
    let names = witnesses();
    let checkpoints = [signed(&tree), cosigned()].map(|checkpoint| {
        json!({
            "cbor": hex(&encoded(&checkpoint)),
            "note": checkpoint.to_note(&repo(), &names),
        })
    });
    let tips = [(0, 0), (3, 0), (3, 2), (3, 3)].map(|(size, acknowledged)| {
        json!({
            "size": size,
            "acknowledged": acknowledged,
            "file": hex(&tip(size, acknowledged).to_bytes()),
        })
    });
    let evidences: Vec<Value> = [(3, 3), (3, 7)]
        .iter()
        .map(|(m, n)| hex(&evidence(*m, *n).to_bytes()))
        .collect();
    let listed = |(name, key): &(String, Key)| json!({ "name": name, "key": key });
    let vectors = json!({
        "repository": repo(),
        "key": signing(1).key(),
        "witnesses": names.iter().map(listed).collect::<Vec<_>>(),
        "entries": log.iter().map(|entry| hex(entry)).collect::<Vec<_>>(),
        "leaves": shown(tree.leaves()),
        "roots": shown(&roots),
        "consistency": proofs,
        "inclusion": inclusion,
        "edge": hex(&writer.finish()),
        "checkpoints": checkpoints,
        "evidence": evidences,
        "tips": tips,
    });
    golden::check("log.json", &vectors);
}
