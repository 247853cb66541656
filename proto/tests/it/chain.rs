//! The chain of root documents: what follows what, for a newcomer and for who follows.

use std::collections::BTreeSet;

use proptest::prelude::*;
use skep_proto::key::Key;
use skep_proto::repo::chain::{Chain, Error, Outcome, State};
use skep_proto::repo::root::{
    Pin, RootDocument, SignedRoot, Visibility, Witness, Witnesses, message,
};

use crate::world::World;

/// What becomes of the next document after `edit`.
fn offered(edit: impl FnOnce(&mut RootDocument)) -> Result<Outcome, Error> {
    let world = World::new();
    world.chain().accept(world.next(edit))
}

fn without(signed: &SignedRoot, key: Key) -> SignedRoot {
    let others = signed.signatures.iter().filter(|(by, _)| *by != key);
    SignedRoot {
        payload: signed.payload.clone(),
        signatures: others.copied().collect(),
    }
}

fn pin(signed: &SignedRoot, version: u64) -> Pin {
    Pin {
        version,
        sha256: signed.sha256(),
    }
}

#[test]
fn first_document_is_signed_by_every_key_that_it_lists() {
    let world = World::new();
    let first = &world.documents[0];
    for key in world.latest().keys() {
        let mut chain = Chain::new(world.repo, None);
        let refused = chain.accept(without(first, key));
        assert_eq!(refused, Err(Error::NotHeld { version: 1, key }));
        assert_eq!(chain.accept(first.clone()), Ok(Outcome::Extended));
        assert_eq!(chain.state(), &State::Ok);
    }
}

#[test]
fn what_is_fixed_for_ever_stays() {
    assert_eq!(offered(|_| {}), Ok(Outcome::Extended));
    let members = offered(|document| document.visibility = Visibility::Members);
    assert_eq!(members, Err(Error::Fixed(2, "visibility")));
    let limits = offered(|document| document.limits.entries_per_log += 1);
    assert_eq!(limits, Err(Error::Fixed(2, "limits")));
}

#[test]
fn registrars_are_only_replaced() {
    let mut world = World::new();
    let (one, two) = (world.key(), world.key());
    let mut chain = world.chain();
    let swapped = world.next(|document| document.registrars.live = one);
    assert_eq!(chain.accept(swapped), Err(Error::Registrars(2)));
    let mark = world.mark(&one, 0);
    let inserted = world.next(|document| document.registrars.fixed.push(mark));
    assert_eq!(chain.accept(inserted), Err(Error::Registrars(2)));
    let mark = world.mark(&world.registrar.clone(), 0);
    let twice = world.next(|document| {
        document.replace_registrar(mark.size, mark.root, one);
        document.replace_registrar(mark.size, mark.root, two);
    });
    assert_eq!(chain.accept(twice), Err(Error::Registrars(2)));
    world.replace_registrar(0, |_| {});
    let replaced = world.documents[1].clone();
    assert_eq!(chain.accept(replaced), Ok(Outcome::Extended));
    // What was fixed once stays fixed there.
    let moved = world.next(|document| document.registrars.fixed[0].size += 1);
    assert_eq!(chain.accept(moved), Err(Error::Registrars(3)));
}

#[test]
fn new_threshold_of_new_keys_must_sign() {
    let mut world = World::new();
    let new: Vec<Key> = (0..3).map(|_| world.key()).collect();
    let rotated = world.next(|document| document.root.keys.clone_from(&new));
    let mut chain = world.chain();
    for key in &new {
        assert!(matches!(
            chain.clone().accept(without(&rotated, *key)),
            Err(Error::NotHeld { version: 2, .. })
        ));
    }
    assert_eq!(chain.accept(rotated.clone()), Ok(Outcome::Extended));
    world.documents.push(rotated);
    // The keys that were retired sign nothing any more.
    let next = world.next(|_| {});
    let by_old = world.sign_root(next.payload, &world.roots.clone());
    assert!(matches!(
        chain.accept(by_old),
        Err(Error::OldThreshold { signed: 0, .. })
    ));
}

#[test]
fn higher_threshold_among_old_keys_must_be_met_by_the_new_document() {
    let world = World::new();
    let stricter = world.next(|document| document.root.threshold = 3);
    let two = without(&stricter, world.roots[0]);
    assert_eq!(
        world.chain().accept(two),
        Err(Error::NewThreshold {
            version: 2,
            signed: 2,
            threshold: 3
        })
    );
}

#[test]
fn witnesses_prove_that_they_hold_their_keys() {
    let mut world = World::new();
    let key = world.key();
    let witnessed = world.next(|document| {
        let name = "wit".to_owned();
        document.witnesses = Some(Witnesses {
            keys: vec![Witness { name, key }],
            quorum: 1,
            max_age_s: 60,
        });
    });
    let mut chain = world.chain();
    let refused = chain.accept(without(&witnessed, key));
    assert_eq!(refused, Err(Error::NotHeld { version: 2, key }));
    assert_eq!(chain.accept(witnessed), Ok(Outcome::Extended));
}

#[test]
fn signatures_of_copies_are_united_and_strangers_left_out() {
    let mut world = World::new();
    let stranger = world.key();
    let next = world.next(|_| {});
    let message = message(&next.payload);
    let mut first = without(&next, world.roots[0]);
    first
        .signatures
        .push((stranger, world.secret(&stranger).sign(&message)));
    let second = without(&next, world.roots[1]);
    let mut chain = world.chain();
    assert_eq!(chain.accept(first), Ok(Outcome::Extended));
    let signers = |chain: &Chain| chain.latest().expect("a document").signed.signers();
    assert!(!signers(&chain).contains(&world.roots[0]));
    assert_eq!(
        chain.accept(second.clone()),
        Ok(Outcome::Known { grew: true })
    );
    assert_eq!(chain.accept(second), Ok(Outcome::Known { grew: false }));
    assert!(world.roots.iter().all(|key| signers(&chain).contains(key)));
    assert!(!signers(&chain).contains(&stranger));
}

#[test]
fn flipped_bit_in_a_document_or_a_signature_is_refused() {
    let world = World::new();
    let mut minimal = world.next(|_| {});
    minimal
        .signatures
        .retain(|(key, _)| world.roots[..2].contains(key));
    assert_eq!(minimal.signatures.len(), 2);
    let chain = world.chain();
    assert_eq!(chain.clone().accept(minimal.clone()), Ok(Outcome::Extended));
    let refused = |altered: SignedRoot| match chain.clone().accept(altered) {
        Err(_) | Ok(Outcome::Unplaced) => true,
        Ok(_) => false,
    };
    for bit in 0..minimal.payload.len() * 8 {
        let mut altered = minimal.clone();
        altered.payload[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(altered), "bit {bit} of the payload");
    }
    for bit in 0..64 * 8 {
        let mut altered = minimal.clone();
        let mut bytes = *altered.signatures[0].1.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        altered.signatures[0].1 = skep_proto::key::Signature::from_bytes(bytes);
        assert!(refused(altered), "bit {bit} of a signature");
    }
}

#[test]
fn signatures_are_counted() {
    let world = World::new();
    let next = world.next(|_| {});
    let with = |count: usize| SignedRoot {
        payload: next.payload.clone(),
        signatures: next
            .signatures
            .iter()
            .copied()
            .cycle()
            .take(count)
            .collect(),
    };
    assert_eq!(world.chain().accept(with(64)), Ok(Outcome::Extended));
    assert_eq!(
        world.chain().accept(with(65)),
        Err(Error::SignatureCount(65))
    );
    assert_eq!(world.chain().accept(with(0)), Err(Error::SignatureCount(0)));
}

/// The next document, of rules that this program does not know.
fn of_other_rules(world: &World) -> SignedRoot {
    let payload = world.next(|_| {}).payload;
    let text = String::from_utf8(payload).expect("UTF-8");
    let text = text.replace("\"rules\":1", "\"rules\":2,\"new\":null");
    world.sign_root(text.into_bytes(), &world.roots)
}

#[test]
fn unknown_rules_ask_for_an_upgrade_and_keep_the_last_view() {
    let mut world = World::new();
    let newer = of_other_rules(&world);
    let mut follower = world.chain();
    let upgrade = State::Upgrade {
        version: 2,
        rules: 2,
    };
    assert_eq!(follower.accept(newer.clone()), Ok(Outcome::Upgrade));
    assert_eq!(follower.state(), &upgrade);
    assert!(follower.gives_view());

    // Beside a document of known rules it is a rival as any other.
    let known = world.next(|_| {});
    assert!(matches!(follower.accept(known), Ok(Outcome::Rival { .. })));
    assert_eq!(follower.state(), &State::Disputed { version: 2 });

    world.documents.push(newer.clone());
    assert_eq!(world.chain().state(), &upgrade);
    assert!(!world.chain().gives_view());
    let one = world.sign_root(newer.payload, &world.roots[..1]);
    world.documents.pop();
    assert!(matches!(
        world.chain().accept(one),
        Err(Error::OldThreshold { signed: 1, .. })
    ));
}

#[test]
fn nothing_follows_while_a_person_has_not_chosen() {
    let mut world = World::new();
    let rival = world.next(|document| document.approvals = 2);
    world.document(|document| document.approvals = 1);
    let mut chain = world.chain();
    assert!(matches!(
        chain.accept(rival.clone()),
        Ok(Outcome::Rival { .. })
    ));
    let next = world.next(|_| {});
    assert_eq!(chain.accept(next.clone()), Ok(Outcome::Waits));
    let own = chain.latest_pin().expect("a document");
    chain.settle(own).expect("it is held");
    assert_eq!(chain.accept(next), Ok(Outcome::Extended));
    assert_eq!(chain.state(), &State::Ok);
    let unheld = pin(&world.next(|document| document.approvals = 7), 2);
    let kept = chain.clone();
    assert!(matches!(
        chain.settle(unheld),
        Err(Error::NoSuchBranch { .. })
    ));
    assert_eq!(chain, kept);
    assert_eq!(kept.rivals()[0].sha256, rival.sha256());
}

#[test]
fn one_rival_a_version_is_kept() {
    let mut world = World::new();
    let rivals: Vec<SignedRoot> = (2..5)
        .map(|n| world.next(|document| document.approvals = n))
        .collect();
    world.document(|_| {});
    let mut chain = world.chain();
    for rival in rivals {
        assert!(matches!(chain.accept(rival), Ok(Outcome::Rival { .. })));
    }
    assert_eq!(chain.rivals().len(), 1);
    assert_eq!(chain.documents().count(), 3);
}

#[test]
fn restarted_node_stands_where_it_stood() {
    let mut world = World::new();
    let (a, b) = (
        world.next(|document| document.approvals = 1),
        world.next(|document| document.approvals = 2),
    );
    let restarted = |chain: &Chain| {
        let documents = chain.documents().cloned().collect();
        Chain::resume(world.repo, documents, chain.followed(), chain.pin())
    };
    let mut follower = world.chain();
    assert_eq!(restarted(&follower), follower);
    follower.accept(b).expect("a document");
    follower.accept(a.clone()).expect("a document");
    assert_eq!(restarted(&follower), follower);
    let own = follower.latest_pin().expect("a document");
    follower.settle(own).expect("it is held");
    assert_eq!(restarted(&follower), follower);

    // A newcomer that saw a fork is a newcomer again, not one that follows what was before it.
    let documents = follower.documents().cloned().collect();
    let newcomer = Chain::build(world.repo, documents, None);
    assert!(!newcomer.gives_view());
    assert_eq!(restarted(&newcomer), newcomer);
    world.documents.push(a);
    let upgrade = of_other_rules(&world);
    let mut follower = world.chain();
    follower.accept(upgrade).expect("a document");
    let documents = follower.documents().cloned().collect();
    let resumed = Chain::resume(world.repo, documents, follower.followed(), None);
    assert_eq!(resumed, follower);
}

#[test]
fn early_document_waits_for_its_predecessor() {
    let mut world = World::new();
    let mut chain = world.chain();
    world.document(|_| {});
    let third = world.next(|_| {});
    assert_eq!(chain.accept(third.clone()), Ok(Outcome::Unplaced));
    assert_eq!(
        chain.accept(world.documents[1].clone()),
        Ok(Outcome::Extended)
    );
    assert_eq!(chain.accept(third), Ok(Outcome::Extended));
}

#[test]
fn pin_chooses_backwards() {
    let mut world = World::new();
    let rival = world.next(|document| document.approvals = 2);
    world.document(|document| document.approvals = 1);
    world.document(|_| {});
    world.documents.push(rival);
    world.pin = world.documents.get(2).map(|third| pin(third, 3));
    assert_eq!(world.chain().state(), &State::Ok);
    assert_eq!(world.chain().links().len(), 3);
    assert_eq!(world.chain().rivals().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// In any order and however often.
    #[test]
    fn order_of_documents_does_not_matter(
        seed in any::<u64>(),
        fork in any::<bool>(),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut world = World::named(&seed.to_string());
        if fork {
            let rival = world.next(|document| document.approvals = 3);
            world.documents.insert(0, rival);
        }
        world.document(|document| document.approvals = 1);
        world.replace_registrar(0, |_| {});
        let expected = world.chain();
        let mut shuffled = world.documents.clone();
        for pick in picks {
            shuffled.insert(0, pick.get(&world.documents).clone());
            shuffled.rotate_left(pick.index(3));
        }
        shuffled.reverse();
        prop_assert_eq!(Chain::build(world.repo, shuffled, None), expected);
    }

    /// A threshold is more than half.
    #[test]
    fn rivals_share_a_signer_who_is_named(a in 0..3_usize, b in 0..3_usize) {
        let mut world = World::new();
        let sign = |approvals, without: usize| {
            let payload = world.next(|document| document.approvals = approvals).payload;
            let mut by = world.roots.clone();
            by.remove(without);
            world.sign_root(payload, &by)
        };
        let rivals = [sign(1, a), sign(2, b)];
        let signers = rivals.each_ref().map(SignedRoot::signers);
        let shared: BTreeSet<Key> = signers[0].intersection(&signers[1]).copied().collect();
        prop_assert!(!shared.is_empty());
        world.documents.extend(rivals);
        let chain = world.chain();
        prop_assert_eq!(chain.rivals().len(), 2);
        for rival in chain.rivals() {
            prop_assert_eq!(&rival.culprits, &shared);
        }
    }
}
