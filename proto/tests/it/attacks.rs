//! Attacks on authority and the view: what a thief tries, and what happens.

use std::collections::BTreeSet;

use skep_proto::hash::Sha256;
use skep_proto::log::entry::{
    Advisory, Approve, Attest, Body, Entry, Grant, HandleOperation, Role, Severity, Subject,
};
use skep_proto::log::tree;
use skep_proto::repo::authority::{self, Why};
use skep_proto::repo::chain::{Chain, Error, Outcome, State};
use skep_proto::repo::root::{Limits, Pin, SignedRoot};
use skep_proto::repo::sequence::LogUse;
use skep_proto::repo::view::{Pending, ReleaseState, View};

use crate::world::{World, name, version};

// Cuts and forks

#[test]
fn entry_behind_a_cut_is_never_visible_whatever_it_claims() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    world.cut(&key, 1);
    let entry = |claimed_at| Entry {
        claimed_at,
        body: Body::Hello,
    };
    world.say_raw(key, entry(0).encode().expect("an entry"));
    world.publish(key, "drop", "0.9.0", "back-dated");
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
    assert_eq!(world.release("drop", "0.9.0"), None);
}

#[test]
fn author_who_forks_to_void_old_releases_is_undone_by_a_cut() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    world.evidence.insert(key);
    assert_eq!(world.release("drop", "1.0.0"), None);
    assert_eq!(world.view().logs[&key], LogUse::Forked);
    world.cut(&key, 1);
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
}

#[test]
fn branch_that_a_cut_does_not_name_counts_for_nothing() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "good");
    world.cut(&key, 1);
    world.logs.remove(&key);
    world.publish(key, "drop", "1.0.0", "bad");
    assert_eq!(world.release("drop", "1.0.0"), None);
    assert!(matches!(world.view().logs[&key], LogUse::NotHeld { .. }));
}

#[test]
fn larger_cut_does_not_bring_back_a_voided_release() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    world.publish(key, "drop", "1.1.0", "bad");
    world.cut(&key, 1);
    world.cut(&key, 2);
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
    assert_eq!(world.release("drop", "1.1.0"), None);
}

#[test]
fn root_cut_replaces_what_a_registrar_cut() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    world.cut(&key, 0);
    assert_eq!(world.release("drop", "1.0.0"), None);
    let mark = world.mark(&key, 1);
    world.root_cut(mark);
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
}

#[test]
fn forked_registrar_leaves_nothing_visible() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "good");
    world.evidence.insert(world.registrar);
    let view = world.view();
    assert!(view.records().is_empty());
    assert_eq!(view.authority.admitted(), BTreeSet::from([world.registrar]));
}

// Stolen registrars

#[test]
fn stolen_registrar_cannot_replace_a_package() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    let (thief, thiefs) = world.publisher("thief", "drop");
    world.grant(thief, Role::Publisher, &["d-r_o-p", "drop"]);
    world.publish(thiefs, "drop", "1.0.0", "bad");
    world.publish(thiefs, "drop", "9.9.9", "bad");
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
    assert_eq!(world.release("drop", "9.9.9"), None);
    assert!(!world.is_quarantined("drop", "1.0.0"));
}

#[test]
fn name_that_is_granted_twice_stays_with_its_first_owner_and_spelling() {
    let mut world = World::new();
    let (ana, _) = world.publisher("ana", "rate-limit");
    let (ben, _) = world.publisher("ben", "rate_limit");
    let view = world.view();
    assert_eq!(view.authority.owner_of(&name("rate-limit")), Some(ana));
    assert_eq!(view.authority.owner_of(&name("rate_limit")), None);
    let last = view.authority.judged.last().expect("a grant");
    assert_eq!(
        last.outcome,
        authority::Outcome::Effective {
            ignored: vec![name("rate_limit")]
        }
    );
    assert!(
        view.handle(&ben)
            .is_some_and(|handle| handle.roles.len() == 1)
    );
}

#[test]
fn stolen_registrar_cannot_add_its_key_to_a_handle() {
    let mut world = World::new();
    let (ana, key) = world.publisher("ana", "drop");
    let thief = world.key();
    let change = world.changed(ana, (1, 1), &[key, thief]);
    world.change(ana, change, &[thief]);
    assert_eq!(
        world.last_is_ineffective(),
        Some(Why::TooFewSigned {
            signed: 0,
            threshold: 1,
            falsely_signed: Vec::new()
        })
    );
}

#[test]
fn removed_key_is_not_taken_back() {
    let mut world = World::new();
    let (ana, stolen) = world.publisher("ana", "drop");
    let new = world.key();
    let change = world.changed(ana, (1, 1), &[new]);
    world.change(ana, change, &[stolen, new]);
    assert_eq!(world.last_is_ineffective(), None);
    let back = world.changed(ana, (1, 1), &[new, stolen]);
    world.change(ana, back, &[stolen, new]);
    assert_eq!(world.last_is_ineffective(), Some(Why::KeyTaken(stolen)));
    world.publish(stolen, "drop", "1.0.0", "bad");
    assert_eq!(world.release("drop", "1.0.0"), None);
}

#[test]
fn operation_that_is_replayed_does_nothing() {
    let mut world = World::new();
    let (ana, old) = world.publisher("ana", "drop");
    let new = world.key();
    let change = world.changed(ana, (1, 1), &[new]);
    world.change(ana, change, &[old, new]);
    let log = world.log(&world.registrar.clone()).to_vec();
    for raw in log {
        world.say_raw(world.registrar, raw);
    }
    let view = world.view();
    let handle = view.handle(&ana).expect("a handle");
    assert_eq!(handle.keys, BTreeSet::from([new]));
    assert_eq!(world.last_is_ineffective(), Some(Why::NotLatest));
}

#[test]
fn label_that_is_taken_stays_taken_by_any_spelling() {
    let mut world = World::new();
    world.publisher("ana-lee", "drop");
    let thief = world.key();
    world.handle("ana_lee", (1, 1), &[thief]);
    assert_eq!(world.last_is_ineffective(), Some(Why::LabelTaken));
}

#[test]
fn key_that_a_root_document_cut_changes_nothing_any_more() {
    let mut world = World::new();
    let (ana, stolen) = world.publisher("ana", "drop");
    let thief = world.key();
    let mark = world.mark(&stolen, 0);
    world.root_cut(mark);
    let change = world.changed(ana, (1, 1), &[stolen, thief]);
    world.change(ana, change, &[stolen, thief]);
    assert!(matches!(
        world.last_is_ineffective(),
        Some(Why::TooFewSigned { signed: 0, .. })
    ));
}

#[test]
fn withheld_log_of_a_replaced_registrar_leaves_nothing_visible() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "bad");
    world.cut(&key, 0);
    let old = world.registrar;
    world.replace_registrar(world.log(&old).len(), |_| {});
    assert_eq!(world.release("drop", "1.0.0"), None);
    assert!(!world.view().records().is_empty());
    let withheld = world.logs.remove(&old).expect("a log");
    assert!(world.view().records().is_empty());
    // One entry short, or with a forged end, is as good as none.
    let short = &withheld[..withheld.len() - 1];
    world.logs.insert(old, short.to_vec());
    assert!(world.view().records().is_empty());
    world.say(old, Body::Hello);
    assert!(world.view().records().is_empty());
}

#[test]
fn evidence_about_a_replaced_registrar_changes_nothing() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    let old = world.registrar;
    world.replace_registrar(world.log(&old).len(), |_| {});
    world.evidence.insert(old);
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
}

#[test]
fn hidden_packages_come_back_when_the_registrar_is_replaced() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let kept = world.publish(key, "drop", "1.0.0", "good");
    let honest = world.log(&world.registrar.clone()).len();
    world.suspend(Subject::Package(name("drop")), true);
    world.cut(&key, 0);
    assert_eq!(world.release("drop", "1.0.0"), None);
    world.replace_registrar(honest, |_| {});
    let view = world.view();
    assert_eq!(world.listed("drop", "1.0.0"), Some(kept));
    assert!(!view.package(&name("drop")).expect("a package").suspended.on);
}

// What owners do to each other

#[test]
fn other_bytes_under_a_listed_version_are_quarantined_until_settled() {
    let mut world = World::new();
    let (one, two) = (world.key(), world.key());
    let ana = world.handle("ana", (1, 1), &[one, two]);
    world.grant(ana, Role::Publisher, &["drop"]);
    let first = world.publish(one, "drop", "1.0.0", "good");
    world.publish(two, "drop", "1.0.0", "bad");
    assert!(world.is_quarantined("drop", "1.0.0"));
    world.settle("drop", "1.0.0", first);
    assert_eq!(world.listed("drop", "1.0.0"), Some(first));
}

#[test]
fn same_key_publishing_twice_is_held_to_its_first_word() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let first = world.publish(key, "drop", "1.0.0", "first");
    world.publish(key, "drop", "1.0.0", "second");
    let release = world.release("drop", "1.0.0").expect("a release");
    assert_eq!(release.listed(), Some(first));
    assert_eq!(release.repeated.len(), 1);
    assert_eq!(release.repeated[0].index, 1);
}

#[test]
fn yank_is_not_undone_by_another_key() {
    let mut world = World::new();
    let (one, two) = (world.key(), world.key());
    let ana = world.handle("ana", (1, 1), &[one, two]);
    world.grant(ana, Role::Publisher, &["drop"]);
    world.publish(one, "drop", "1.0.0", "good");
    world.yank(one, "drop", "1.0.0", true);
    world.yank(two, "drop", "1.0.0", false);
    let yanked = |world: &World| world.release("drop", "1.0.0").expect("a release").yanked;
    assert!(yanked(&world).on);
    assert_eq!(yanked(&world).because[0].key, one);
    world.yank(one, "drop", "1.0.0", false);
    assert!(!yanked(&world).on);
}

#[test]
fn yank_of_a_removed_key_yields_to_as_many_current_keys_as_change_the_handle() {
    let mut world = World::new();
    let keys = [world.key(), world.key(), world.key()];
    let ana = world.handle("ana", (1, 2), &keys);
    world.grant(ana, Role::Publisher, &["drop"]);
    world.publish(keys[0], "drop", "1.0.0", "good");
    world.yank(keys[0], "drop", "1.0.0", true);
    let change = world.changed(ana, (1, 2), &keys[1..]);
    world.change(ana, change, &keys[1..]);
    let yanked = |world: &World| world.release("drop", "1.0.0").expect("a release").yanked.on;
    assert!(yanked(&world));
    world.yank(keys[1], "drop", "1.0.0", false);
    assert!(yanked(&world));
    world.yank(keys[2], "drop", "1.0.0", false);
    assert!(!yanked(&world));
}

// Thresholds

#[test]
fn one_key_counts_once_toward_a_threshold_of_publishers() {
    let mut world = World::new();
    let (one, two) = (world.key(), world.key());
    let ana = world.handle("ana", (2, 2), &[one, two]);
    world.grant(ana, Role::Publisher, &["drop"]);
    world.publish(one, "drop", "1.0.0", "good");
    world.publish(one, "drop", "1.0.0", "good");
    let release = world.release("drop", "1.0.0").expect("a release");
    let missing = Pending::Keys {
        published: 1,
        needed: 2,
    };
    assert_eq!(release.state, ReleaseState::Pending(missing));
    let manifest = world.publish(two, "drop", "1.0.0", "good");
    assert_eq!(world.listed("drop", "1.0.0"), Some(manifest));
}

#[test]
fn one_key_counts_once_toward_a_change_of_keys() {
    let mut world = World::new();
    let keys = [world.key(), world.key()];
    let ana = world.handle("ana", (1, 2), &keys);
    let thief = world.key();
    let change = world.changed(ana, (1, 2), &[keys[0], thief]);
    world.change(ana, change, &[keys[0], keys[0], thief]);
    assert!(matches!(
        world.last_is_ineffective(),
        Some(Why::TooFewSigned { signed: 1, .. })
    ));
}

#[test]
fn release_waits_for_as_many_approvers_as_the_document_asks() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let manifest = world.publish(key, "drop", "1.0.0", "good");
    world.document(|document| document.approvals = 1);
    let missing = Pending::Approvals {
        approved: 0,
        needed: 1,
    };
    let release = world.release("drop", "1.0.0").expect("a release");
    assert_eq!(release.state, ReleaseState::Pending(missing));
    let sec = world.key();
    let approver = world.handle("sec", (1, 1), &[sec]);
    world.approve(sec, "drop", "1.0.0", manifest);
    assert_eq!(world.listed("drop", "1.0.0"), None); // no approver yet
    world.grant(approver, Role::Approver, &[]);
    assert_eq!(world.listed("drop", "1.0.0"), Some(manifest));
    world.suspend(Subject::Handle(approver), true);
    assert_eq!(world.listed("drop", "1.0.0"), None);
}

#[test]
fn owner_does_not_approve_itself() {
    let mut world = World::new();
    let (ana, key) = world.publisher("ana", "drop");
    world.grant(ana, Role::Approver, &[]);
    let manifest = world.publish(key, "drop", "1.0.0", "good");
    world.approve(key, "drop", "1.0.0", manifest);
    world.document(|document| document.approvals = 1);
    assert_eq!(world.listed("drop", "1.0.0"), None);
}

#[test]
fn stolen_key_of_two_is_not_listed_when_it_is_dropped_and_one_suffices() {
    let mut world = World::new();
    let (stolen, other) = (world.key(), world.key());
    let ana = world.handle("ana", (2, 2), &[stolen, other]);
    world.grant(ana, Role::Publisher, &["drop"]);
    world.publish(stolen, "drop", "1.0.0", "bad");
    let change = world.changed(ana, (1, 1), &[other]);
    world.change(ana, change, &[stolen, other]);
    assert_eq!(world.last_is_ineffective(), None);
    assert_eq!(world.listed("drop", "1.0.0"), None);
    let manifest = world.publish(other, "drop", "1.1.0", "good");
    assert_eq!(world.listed("drop", "1.1.0"), Some(manifest));
}

#[test]
fn stolen_key_of_two_approves_nothing_when_it_is_dropped_and_one_suffices() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    let manifest = world.publish(key, "drop", "1.0.0", "bad");
    let (stolen, other) = (world.key(), world.key());
    let sec = world.handle("sec", (2, 2), &[stolen, other]);
    world.grant(sec, Role::Approver, &[]);
    world.approve(stolen, "drop", "1.0.0", manifest);
    let change = world.changed(sec, (1, 1), &[other]);
    world.change(sec, change, &[stolen, other]);
    world.document(|document| document.approvals = 1);
    assert_eq!(world.listed("drop", "1.0.0"), None);
    world.approve(other, "drop", "1.0.0", manifest);
    assert_eq!(world.listed("drop", "1.0.0"), Some(manifest));
}

#[test]
fn stolen_key_in_ci_publishes_and_does_not_change_the_handle() {
    let mut world = World::new();
    let keys = [world.key(), world.key(), world.key()];
    let ana = world.handle("ana", (1, 2), &keys);
    world.grant(ana, Role::Publisher, &["drop"]);
    let manifest = world.publish(keys[0], "drop", "1.0.0", "from ci");
    assert_eq!(world.listed("drop", "1.0.0"), Some(manifest));
    let thief = world.key();
    let change = world.changed(ana, (1, 1), &[keys[0], thief]);
    world.change(ana, change, &[keys[0], thief]);
    assert!(matches!(
        world.last_is_ineffective(),
        Some(Why::TooFewSigned {
            signed: 1,
            threshold: 2,
            ..
        })
    ));
}

#[test]
fn strangers_key_in_a_handle_needs_its_signature() {
    let mut world = World::new();
    let (mine, strangers) = (world.key(), world.key());
    let id = world.handle("ana", (1, 1), &[mine, strangers]);
    let log = world.logs.get_mut(&world.registrar).expect("a log");
    log.clear();
    let change = world.changed(id, (1, 1), &[mine, strangers]);
    let creation = HandleOperation {
        prev: None,
        ..change
    };
    world.change(id, creation.clone(), &[mine]);
    assert_eq!(world.last_is_ineffective(), Some(Why::NotSigned(strangers)));

    // A signature of another message is one that does not verify.
    let mut forged = world.sign(creation, &[mine, strangers]);
    forged.signatures[1].1 = forged.signatures[0].1;
    world.say(world.registrar, Body::Handle(Box::new(forged)));
    let why = world.last_is_ineffective().expect("ineffective");
    assert_eq!(why, Why::FalseSignature(strangers));
    assert!(why.to_string().contains("a false signature"));
}

// Root documents that come later

#[test]
fn later_override_does_not_make_an_old_operation_effective() {
    let mut world = World::new();
    let (ana, key) = world.publisher("ana", "drop");
    let thief = world.key();
    let theft = world.changed(ana, (1, 1), &[key, thief]);
    let leaf = world.change(ana, theft.clone(), &[thief]);
    assert!(world.last_is_ineffective().is_some());
    world.document(|document| document.overrides.push(leaf));
    assert!(world.last_is_ineffective().is_some());
    // Said again after the document was seen, it is.
    world.change(ana, theft, &[thief]);
    assert_eq!(world.last_is_ineffective(), None);
}

#[test]
fn override_is_not_undone_by_a_later_document() {
    let mut world = World::new();
    let (ana, lost) = world.publisher("ana", "drop");
    let new = world.key();
    let change = world.changed(ana, (1, 1), &[new]);
    let signed = world.sign(change.clone(), &[new]);
    let claimed_at = 1_800_000_000;
    let body = Body::Handle(Box::new(signed));
    let raw = Entry { claimed_at, body }.encode().expect("an entry");
    world.document(|document| document.overrides.push(tree::leaf(&raw)));
    world.change(ana, change, &[new]);
    assert_eq!(world.last_is_ineffective(), None);
    world.document(|_| {});
    assert_eq!(world.last_is_ineffective(), None);
    assert!(
        !world
            .view()
            .handle(&ana)
            .expect("a handle")
            .keys
            .contains(&lost)
    );
}

#[test]
fn registrar_that_keeps_silent_about_a_root_document_does_not_evade_it() {
    let mut world = World::new();
    let (ana, stolen) = world.publisher("ana", "drop");
    let (mark, thief) = (world.mark(&stolen, 0), world.key());
    // The registrar never says that it knows this document; what it says after `seen` is judged by
    // it all the same.
    world.root_cut(mark);
    let change = world.changed(ana, (1, 1), &[stolen, thief]);
    world.change(ana, change, &[stolen, thief]);
    assert!(world.last_is_ineffective().is_some());
}

#[test]
fn root_cut_does_not_change_what_was_decided_before_its_signers_saw_it() {
    let mut world = World::new();
    let (ana, old) = world.publisher("ana", "drop");
    let new = world.key();
    let change = world.changed(ana, (1, 1), &[new]);
    world.change(ana, change, &[old, new]);
    let mark = world.mark(&old, 0);
    world.root_cut(mark);
    let view = world.view();
    assert_eq!(
        view.handle(&ana).expect("a handle").keys,
        BTreeSet::from([new])
    );
}

#[test]
fn root_document_without_the_old_threshold_is_refused() {
    let mut world = World::new();
    let honest = world.next(|document| document.approvals = 1);
    let one = world.sign_root(honest.payload.clone(), &world.roots[..1]);
    let mut chain = world.chain();
    assert_eq!(
        chain.accept(one.clone()),
        Err(Error::OldThreshold {
            version: 2,
            signed: 1,
            threshold: 2
        })
    );
    // One key twice is one key.
    let mut twice = one;
    twice.signatures.push(twice.signatures[0]);
    assert!(matches!(
        chain.accept(twice),
        Err(Error::OldThreshold { signed: 1, .. })
    ));
    assert_eq!(chain.accept(honest.clone()), Ok(Outcome::Extended));
    world.documents.push(honest);
    assert_eq!(world.chain().links(), chain.links());
}

#[test]
fn root_document_that_lists_a_key_that_did_not_sign_is_refused() {
    let mut world = World::new();
    let stranger = world.key();
    let squats = world.next(|document| document.root.keys[2] = stranger);
    let without = squats.signatures.iter().filter(|(key, _)| *key != stranger);
    let squats = SignedRoot {
        signatures: without.copied().collect(),
        payload: squats.payload,
    };
    assert_eq!(
        world.chain().accept(squats),
        Err(Error::NotHeld {
            version: 2,
            key: stranger
        })
    );
}

#[test]
fn rival_root_documents_leave_a_newcomer_without_any_view() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "good");
    let mut follower = world.chain();
    let (a, b) = rivals(&world);
    world.documents.extend([a.clone(), b.clone()]);
    let newcomer = world.chain();
    assert_eq!(newcomer.state(), &State::Disputed { version: 2 });
    let facts = world.facts();
    assert_eq!(View::compute(&newcomer, &facts, &world.evidence), None);
    let culprits: BTreeSet<_> = world.roots.iter().copied().collect();
    assert!(newcomer.rivals().iter().all(|r| r.culprits == culprits));

    // Who followed one of them keeps it and its view, and says so.
    assert_eq!(follower.accept(a.clone()), Ok(Outcome::Extended));
    assert_eq!(follower.accept(b.clone()), Ok(Outcome::Rival { culprits }));
    assert_eq!(follower.state(), &State::Disputed { version: 2 });
    assert_eq!(follower.links()[1].sha256, a.sha256());
    assert!(View::compute(&follower, &facts, &world.evidence).is_some());

    // A person chooses.
    let pin = Pin {
        version: 2,
        sha256: b.sha256(),
    };
    follower.settle(pin).expect("it is held");
    assert_eq!(follower.state(), &State::Ok);
    assert_eq!(follower.links()[1].sha256, b.sha256());
    world.pin = Some(pin);
    assert_eq!(world.chain().links()[1].sha256, b.sha256());
}

#[test]
fn old_root_keys_freeze_nobody_who_is_beyond() {
    let mut world = World::new();
    let (a, b) = rivals(&world);
    world.documents.push(a);
    world.document(|_| {});
    let mut chain = world.chain();
    let latest = chain.latest_pin();
    assert!(matches!(chain.accept(b.clone()), Ok(Outcome::Rival { .. })));
    assert_eq!(chain.state(), &State::Ok);
    assert_eq!(chain.latest_pin(), latest);
    assert_eq!(chain.rivals().len(), 1);
    // Nor who comes with a pin.
    world.documents.push(b);
    assert_eq!(world.chain().state(), &State::Disputed { version: 2 });
    world.pin = latest;
    assert_eq!(world.chain().state(), &State::Ok);
    assert_eq!(world.chain().latest_pin(), latest);
}

fn rivals(world: &World) -> (SignedRoot, SignedRoot) {
    let one = world.next(|document| document.approvals = 1);
    let other = world.next(|document| document.approvals = 2);
    (one, other)
}

// Other repositories, other versions

#[test]
fn nothing_of_another_repository_is_accepted() {
    let mut home = World::named("home");
    let mut abroad = World::named("abroad");
    let (_, key) = abroad.publisher("ana", "drop");
    abroad.publish(key, "drop", "1.0.0", "good");
    abroad.document(|_| {});

    let mut chain = home.chain();
    for document in &abroad.documents {
        assert!(matches!(
            chain.accept(document.clone()),
            Err(Error::OtherRepository(_)) | Ok(Outcome::Unplaced)
        ));
    }
    // The registrar's operations, said by the home registrar: signatures are of another repository.
    for raw in abroad.log(&abroad.registrar.clone()).to_vec() {
        home.say_raw(home.registrar, raw);
    }
    home.logs.extend(abroad.logs);
    assert!(home.view().records().is_empty());
    let judged = home.view().authority.judged;
    assert!(matches!(
        judged[0].outcome,
        authority::Outcome::Ineffective(Why::FalseSignature(_))
    ));
}

#[test]
fn void_and_unknown_entries_are_inert_and_counted() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.say_raw(key, vec![0xff]);
    world.say_raw(world.registrar, b"nonsense".to_vec());
    world.say_raw(key, vec![0x84, 1, 0x18, 0x60, 0, 0x80]);
    let manifest = world.publish(key, "drop", "1.0.0", "good");
    let before = world.clone();
    let view = world.view();
    assert_eq!((view.void, view.unknown), (2, 1));
    assert_eq!(world.listed("drop", "1.0.0"), Some(manifest));
    world.say_raw(key, Vec::new());
    assert_eq!(before.view().hash, world.view().hash);
}

#[test]
fn logs_that_nobody_admitted_change_nothing() {
    let mut world = World::new();
    let (_, key) = world.publisher("ana", "drop");
    world.publish(key, "drop", "1.0.0", "good");
    let before = world.view();
    let stranger = world.key();
    world.publish(stranger, "drop", "9.9.9", "bad");
    let (id, role) = (
        *before.authority.handles.keys().next().expect("one"),
        Role::Advisor,
    );
    let names = Vec::new();
    let grant = Grant {
        handle: id,
        role,
        names,
    };
    world.say(stranger, Body::Grant(grant.clone()));
    world.say(key, Body::Grant(grant)); // a handle's key is no registrar
    assert_eq!(world.view().hash, before.hash);
    assert!(!world.view().authority.admitted().contains(&stranger));
}

#[test]
fn entries_beyond_the_limits_of_a_log_do_not_count() {
    let check = |entries_per_log, bytes_per_log, counted: usize| {
        let mut world = World::founded("skep tests", |document| {
            document.limits = Limits {
                entries_per_log,
                bytes_per_log,
            };
        });
        let (_, key) = world.publisher("ana", "drop");
        for of in ["1.0.0", "1.1.0"] {
            world.publish(key, "drop", of, "good");
        }
        let view = world.view();
        let releases = &view.package(&name("drop")).expect("a package").releases;
        assert_eq!(releases.len(), counted);
        world.log(&key)[0].len() as u64
    };
    let used = check(2, u64::from(u32::MAX), 2);
    check(1, u64::from(u32::MAX), 1);
    check(9, 2 * used, 2);
    check(9, 2 * used - 1, 1);
    check(9, used - 1, 0);
}

#[test]
fn roles_decide_who_is_heard() {
    let mut world = World::new();
    world.publisher("ana", "drop");
    let key = world.key();
    let other = world.handle("ben", (1, 1), &[key]);
    let subject = Sha256::of(&[b"manifest"]);
    let said = [
        Body::Attest(Attest {
            subject,
            kind: "https://skep.dev/loads/v1".to_owned(),
            payload: Vec::new(),
            signatures: vec![(key, world.secret(&key).sign(b""))],
        }),
        Body::Advisory(Advisory {
            id: "A-1".to_owned(),
            name: name("drop"),
            ranges: vec!["*".to_owned()],
            severity: Severity::High,
            urls: Vec::new(),
            text: String::new(),
            withdrawn: false,
        }),
        Body::Approve(Approve {
            name: name("drop"),
            version: version("1.0.0"),
            manifest: subject,
        }),
    ];
    for body in said {
        world.say(key, body);
    }
    let view = world.view();
    assert!(view.notes.is_empty() && view.attestations.is_empty());
    world.grant(other, Role::Attester, &[]);
    world.grant(other, Role::Advisor, &[]);
    let view = world.view();
    assert_eq!(view.attestations[&subject].len(), 1);
    assert_eq!(view.notes[&name("drop").fold()][0].at.index, 1);
}

#[test]
fn grant_of_names_is_for_publishers() {
    let mut world = World::new();
    let (ana, _) = world.publisher("ana", "drop");
    world.grant(ana, Role::Reviewer, &["other"]);
    assert_eq!(world.last_is_ineffective(), Some(Why::RoleWithNames));
}

#[test]
fn newcomer_who_does_not_reach_the_pin_has_no_view() {
    let mut world = World::new();
    world.document(|_| {});
    let latest = world.chain().latest_pin().expect("a document");
    world.documents.pop();
    let behind = Chain::build(world.repo, world.documents.clone(), Some(latest));
    assert_eq!(behind.state(), &State::Behind);
    assert!(!behind.gives_view());
}
