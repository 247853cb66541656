//! Local trust in every combination: what is stricter admits no more.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::trust::file::{Approvals, Approver, Freshness, LayerSignature, Rule, Who};
use skep_proto::trust::{Asked, Handle, Listing, Subject, decide};

const NAMES: [&str; 3] = ["drop", "dr*", "*"];
const LABELS: [&str; 3] = ["ana", "ben", "sec"];

fn handle(n: u8) -> Handle {
    Handle {
        id: HandleId::from_bytes([n; 32]),
        label: LABELS[usize::from(n) % 3].parse().expect("a name"),
    }
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        (0..3_u8).prop_map(|n| Who::Handle {
            label: handle(n).label,
            handle: handle(n).id,
        }),
        (0..3_u8).prop_map(|n| Who::Key {
            key: key(n).key().fingerprint(),
        }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let approvals = (0..4_u64, vec(0..3_u8, 0..4));
    (
        0..NAMES.len(),
        vec(who(), 1..3),
        prop::option::of(approvals),
    )
        .prop_map(|(name, publishers, approvals)| {
            let names = vec![NAMES[name].parse().expect("a glob")];
            Rule {
                publishers,
                approvals: approvals.map(|(need, of)| Approvals {
                    need,
                    of: of.into_iter().map(approver).collect(),
                }),
                ..Rule::for_handle(names, handle(0).label, handle(0).id)
            }
        })
}

fn approver(n: u8) -> Approver {
    Approver {
        label: handle(n).label,
        handle: handle(n).id,
    }
}

fn subject() -> impl Strategy<Value = Subject> {
    let listing = prop_oneof![
        4 => Just(Listing::Listed),
        1 => Just(Listing::Quarantined),
        1 => Just(Listing::Pending("1 of 2 keys".to_owned())),
    ];
    let people = (0..3_u8, vec(0..3_u8, 0..3), vec(0..3_u8, 0..4));
    let flags = vec(prop::bool::weighted(0.15), 5);
    (listing, people, flags).prop_map(|(listing, (owner, signers, approvers), flags)| Subject {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        name: "drop".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        listing,
        manifest: Sha256::of(&[b"manifest"]),
        owner: handle(owner),
        signers: signers.into_iter().map(|n| key(n).key()).collect(),
        approvers: approvers.into_iter().map(handle).collect(),
        yanked: flags[0],
        vanished: flags[1].then_some("a yank"),
        suspended: flags[2].then_some("the version"),
        members_only: false,
        witnessed: flags[3],
        view_doubt: flags[4].then(|| "disputed".to_owned()),
    })
}

fn admits(rules: &[Rule], subject: &Subject) -> bool {
    decide(rules, subject, &Asked::default()).admitted
}

/// One more condition, whatever the rule has already.
fn stricter(rule: &Rule, which: u8) -> Rule {
    let mut rule = rule.clone();
    match which {
        0 => rule.freshness = Freshness::Required,
        1 => rule.kernel_signature = LayerSignature::Required,
        2 => rule.hypervisor_signature = LayerSignature::Required,
        3 => rule.min_age = Some("7d".to_owned()),
        4 => rule.worst_advisory = Some("low".to_owned()),
        5 => rule.deny = Some(toml::Table::new()),
        6 => rule.attestations = vec![toml::Table::new()],
        7 => {
            let approvals = rule.approvals.get_or_insert(Approvals {
                need: 0,
                of: vec![approver(2)],
            });
            approvals.need += 1;
        }
        8 => {
            if let Some(approvals) = &mut rule.approvals {
                approvals.of.pop();
            }
        }
        9 => drop(rule.publishers.pop()),
        _ => rule.names = vec!["drip".parse().expect("a glob")],
    }
    rule
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_rules_admit_nothing(subject in subject()) {
        prop_assert!(!admits(&[], &subject));
    }

    #[test]
    fn a_stricter_policy_never_admits_more(
        rules in vec(rule(), 1..4),
        subject in subject(),
        at in any::<prop::sample::Index>(),
        which in 0..11_u8,
    ) {
        let mut strict = rules.clone();
        let at = at.index(rules.len());
        strict[at] = stricter(&rules[at], which);
        let mut fewer = rules.clone();
        fewer.remove(at);
        for policy in [strict, fewer] {
            prop_assert!(!admits(&policy, &subject) || admits(&rules, &subject));
        }
    }

    /// Approvals count distinct handles that the rule names, whoever else approves and how often.
    #[test]
    fn approvals_count_handles_once(rule in rule(), subject in subject()) {
        let approved: BTreeSet<HandleId> = subject.approvers.iter().map(|it| it.id).collect();
        if let Some(wanted) = &rule.approvals && admits(std::slice::from_ref(&rule), &subject) {
            let named: BTreeSet<HandleId> = wanted.of.iter().map(|it| it.handle).collect();
            let counted = named.intersection(&approved).count() as u64;
            prop_assert!(counted >= wanted.need);
        }
    }

    /// Normal mode skips the rules and nothing else.
    #[test]
    fn normal_mode_admits_nothing_that_the_view_restricts(subject in subject()) {
        let asked = Asked { normal: true, ..Asked::default() };
        let restricted = subject.listing != Listing::Listed
            || subject.yanked
            || subject.vanished.is_some()
            || subject.suspended.is_some()
            || subject.view_doubt.is_some();
        prop_assert_eq!(decide(&[], &subject, &asked).admitted, !restricted);
    }
}
