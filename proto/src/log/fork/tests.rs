use super::*;
use crate::key::SigningKey;
use crate::log::tree::{SIZE_MAX, Tree, leaf};

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"a repository"]))
}

fn signing() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// A log of `size` entries that differs between branches from `fork` on.
fn log(size: u64, fork: u64, branch: &str) -> Tree {
    let entry = |i| {
        if i < fork {
            format!("{i}")
        } else {
            format!("{i} {branch}")
        }
    };
    (0..size).map(|i| leaf(entry(i).as_bytes())).collect()
}

fn signed(tree: &Tree, size: u64) -> Checkpoint {
    let root = tree.root_at(size).expect("held");
    Checkpoint::sign(&repo(), &signing(), size, root).expect("a size in range")
}

/// What an honest holder of `tree` answers to whoever shows it `theirs`.
fn answer(tree: &Tree, theirs: &Checkpoint) -> Result<Verified<ForkEvidence>, Error> {
    let mine = signed(tree, tree.size());
    let root_at = tree.root_at(theirs.size).expect("held");
    let proof = tree.consistency_proof(theirs.size, tree.size());
    ForkEvidence::between(&repo(), &mine, theirs, root_at, &proof.expect("held"))
}

#[test]
fn an_honest_answer_is_the_evidence() {
    for (m, n, fork) in [
        (1, 1, 0),
        (3, 3, 2),
        (1, 9, 0),
        (5, 9, 4),
        (8, 9, 0),
        (7, 64, 6),
    ] {
        let (left, right) = (log(m, fork, "left"), log(n, fork, "right"));
        let evidence = answer(&right, &signed(&left, m)).expect("two branches");
        assert_eq!(*evidence.key(), signing().key());
        assert_eq!((evidence.a.size, evidence.b.size), (m, n));
        let decoded = ForkEvidence::from_bytes(&evidence.to_bytes()).expect("canonical");
        assert_eq!(decoded.verify(&repo()), Ok(evidence));
    }
}

#[test]
fn one_history_convicts_nobody() {
    let tree = log(9, 9, "");
    for m in 1..=9 {
        let refused = Err(Error::Same { size: m });
        assert_eq!(answer(&tree, &signed(&tree, m)), refused);
    }
}

#[test]
fn a_lie_about_the_longer_branch_convicts_nobody() {
    let tree = log(9, 9, "");
    let (mine, theirs) = (signed(&tree, 9), signed(&tree, 5));
    let lie = leaf(b"a lie");
    let proof = tree.consistency_proof(5, 9).expect("held");
    let refused = ForkEvidence::between(&repo(), &mine, &theirs, lie, &proof);
    assert!(matches!(refused, Err(Error::Proof(_))));
    assert_eq!(refused.map_err(|error| error.fault()), Err(Fault::Peer));
}

#[test]
fn a_stranger_or_another_repository_convicts_nobody() {
    let (left, right) = (log(3, 0, "left"), log(5, 0, "right"));
    let evidence = answer(&right, &signed(&left, 3))
        .expect("two branches")
        .into_inner();
    let elsewhere = RepoId::from_hash(Sha256::of(&[b"another"]));
    let refused = Claimed(evidence.clone()).verify(&elsewhere);
    assert!(matches!(refused, Err(Error::Checkpoint(_))));

    let stranger = SigningKey::from_seed(&[2; 32]);
    let root = evidence.b.root;
    let mut forged = evidence.clone();
    forged.b = Checkpoint::sign(&repo(), &stranger, 5, root).expect("a size in range");
    assert_eq!(Claimed(forged).verify(&repo()), Err(Error::Keys));

    let mut swapped = evidence;
    std::mem::swap(&mut swapped.a, &mut swapped.b);
    assert!(matches!(
        Claimed(swapped).verify(&repo()),
        Err(Error::Proof(_))
    ));
}

#[test]
fn equal_sizes_leave_no_room_for_other_bytes() {
    let (left, right) = (log(4, 3, "left"), log(4, 3, "right"));
    let evidence = answer(&right, &signed(&left, 4))
        .expect("two branches")
        .into_inner();
    assert_eq!(
        (evidence.alt_root, evidence.proof.len()),
        (evidence.b.root, 0)
    );
    let mut padded = evidence.clone();
    padded.proof.push(leaf(b"x"));
    assert!(matches!(
        Claimed(padded).verify(&repo()),
        Err(Error::Proof(_))
    ));
    let other_root = ForkEvidence {
        alt_root: leaf(b"x"),
        ..evidence
    };
    assert!(matches!(
        Claimed(other_root).verify(&repo()),
        Err(Error::Proof(_))
    ));
}

#[test]
fn the_largest_evidence_fits_and_one_hash_more_does_not() {
    let (left, right) = (log(3, 0, "left"), log(5, 0, "right"));
    let mut evidence = answer(&right, &signed(&left, 3))
        .expect("two branches")
        .into_inner();
    (evidence.a.size, evidence.b.size) = (SIZE_MAX, SIZE_MAX);
    evidence.proof = vec![leaf(b"x"); PROOF_HASHES_MAX];
    assert!(ForkEvidence::from_bytes(&evidence.to_bytes()).is_ok());
    evidence.proof.push(leaf(b"x"));
    assert!(ForkEvidence::from_bytes(&evidence.to_bytes()).is_err());
}

#[test]
fn evidence_carries_no_cosignatures() {
    use crate::log::checkpoint::Cosignature;
    let (left, right) = (log(3, 0, "left"), log(5, 0, "right"));
    let mut theirs = signed(&left, 3);
    let cosignature = Cosignature::sign(&repo(), &theirs, &SigningKey::from_seed(&[3; 32]), 1);
    assert!(theirs.add_cosignature(&repo(), cosignature));
    let evidence = answer(&right, &theirs).expect("two branches");
    assert!(evidence.a.cosignatures.is_empty());
    let mut writer = Writer::new();
    writer.array(4);
    theirs.write(&mut writer);
    evidence.b.write(&mut writer);
    writer.bytes(evidence.alt_root.as_bytes()).array(0);
    assert!(ForkEvidence::from_bytes(&writer.finish()).is_err());
}
