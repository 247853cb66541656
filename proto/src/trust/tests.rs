use super::file::{
    Approvals, Approver, Error, Glob, RepoFile, append_rule, remove_rules, with_peers,
};
use super::*;
use crate::key::SigningKey;

fn owner() -> Handle {
    Handle {
        id: HandleId::from_bytes([1; 32]),
        label: "acme".parse().expect("a name"),
    }
}

fn signer() -> Key {
    SigningKey::from_seed(&[5; 32]).key()
}

fn subject() -> Subject {
    Subject {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        name: "drop".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        listing: Listing::Listed,
        manifest: Sha256::of(&[b"manifest"]),
        owner: owner(),
        signers: BTreeSet::from([signer()]),
        approvers: vec![],
        yanked: false,
        vanished: None,
        suspended: None,
        members_only: false,
        witnessed: false,
        view_doubt: None,
    }
}

fn rule() -> Rule {
    let names = vec!["drop".parse().expect("a glob")];
    Rule::for_handle(names, owner().label, owner().id)
}

/// Every test of a decision goes through here.
fn check(rules: &[Rule], subject: &Subject, asked: Asked) -> (bool, Vec<&'static str>) {
    let decision = decide(rules, subject, &asked);
    let failed = decision.facts.iter().filter(|f| f.outcome == Outcome::Fail);
    (decision.admitted, failed.map(|f| f.check).collect())
}

#[test]
fn nothing_is_trusted_by_default() {
    assert_eq!(
        check(&[], &subject(), Asked::default()),
        (false, vec!["publisher"])
    );
}

#[test]
fn a_rule_for_the_owner_admits_and_another_name_does_not() {
    assert_eq!(
        check(&[rule()], &subject(), Asked::default()),
        (true, vec![])
    );
    let mut other = subject();
    other.name = "drop2".parse().expect("a name");
    assert_eq!(
        check(&[rule()], &other, Asked::default()),
        (false, vec!["publisher"])
    );
}

#[test]
fn another_handle_under_the_same_label_is_refused() {
    let mut thief = subject();
    thief.owner.id = HandleId::from_bytes([2; 32]);
    assert_eq!(
        check(&[rule()], &thief, Asked::default()),
        (false, vec!["publisher"])
    );
}

#[test]
fn a_key_pin_admits_only_that_key() {
    let mut pinned = rule();
    pinned.publishers = vec![Who::Key {
        key: signer().fingerprint(),
    }];
    assert_eq!(
        check(&[pinned.clone()], &subject(), Asked::default()),
        (true, vec![])
    );
    let mut rotated = subject();
    rotated.signers = BTreeSet::from([SigningKey::from_seed(&[6; 32]).key()]);
    assert_eq!(
        check(&[pinned], &rotated, Asked::default()),
        (false, vec!["publisher"])
    );
}

#[test]
fn any_one_rule_suffices_and_all_its_conditions_must_hold() {
    let mut approved = rule();
    let sec = Handle {
        id: HandleId::from_bytes([3; 32]),
        label: "sec".parse().expect("a name"),
    };
    approved.approvals = Some(Approvals {
        need: 1,
        of: vec![Approver {
            label: sec.label.clone(),
            handle: sec.id,
        }],
    });
    let strict = [approved];
    assert_eq!(
        check(&strict, &subject(), Asked::default()),
        (false, vec!["approvals"])
    );
    let mut passed = subject();
    passed.approvers.push(sec);
    assert_eq!(check(&strict, &passed, Asked::default()), (true, vec![]));
    let both = [strict[0].clone(), rule()];
    assert_eq!(check(&both, &subject(), Asked::default()), (true, vec![]));
}

#[test]
fn an_approver_under_two_labels_approves_once() {
    let sec = Handle {
        id: HandleId::from_bytes([3; 32]),
        label: "sec".parse().expect("a name"),
    };
    let approver = |label: &str, id: u8| Approver {
        label: label.parse().expect("a name"),
        handle: HandleId::from_bytes([id; 32]),
    };
    let mut twice = rule();
    twice.approvals = Some(Approvals {
        need: 2,
        of: vec![
            approver("sec", 3),
            approver("security", 3),
            approver("sec", 4),
        ],
    });
    let rules = [twice];
    let mut passed = subject();
    passed.approvers = vec![sec.clone(), sec];
    assert_eq!(
        check(&rules, &passed, Asked::default()),
        (false, vec!["approvals"])
    );
    passed.approvers[1].id = HandleId::from_bytes([4; 32]);
    assert_eq!(check(&rules, &passed, Asked::default()), (true, vec![]));
}

#[test]
fn what_the_view_restricts_no_rule_admits() {
    let mut pending = subject();
    pending.listing = Listing::Pending("1 of 2 keys".to_owned());
    assert_eq!(
        check(&[rule()], &pending, Asked::default()),
        (false, vec!["listed"])
    );
    let mut quarantined = subject();
    quarantined.listing = Listing::Quarantined;
    assert_eq!(
        check(&[rule()], &quarantined, Asked::default()),
        (false, vec!["listed"])
    );
    let mut suspended = subject();
    suspended.suspended = Some("the version");
    assert_eq!(
        check(&[rule()], &suspended, Asked::default()),
        (false, vec!["suspended"])
    );
    let mut disputed = subject();
    disputed.view_doubt = Some("two root documents of version 2".to_owned());
    assert_eq!(
        check(&[rule()], &disputed, Asked::default()),
        (false, vec!["view"])
    );
    let normal = Asked {
        normal: true,
        ..Asked::default()
    };
    assert_eq!(check(&[], &suspended, normal), (false, vec!["suspended"]));
}

#[test]
fn a_yanked_version_needs_a_word() {
    let mut yanked = subject();
    yanked.yanked = true;
    assert_eq!(
        check(&[rule()], &yanked, Asked::default()),
        (false, vec!["yank"])
    );
    let asked = Asked {
        allow_yanked: true,
        ..Asked::default()
    };
    assert_eq!(check(&[rule()], &yanked, asked), (true, vec![]));
}

#[test]
fn another_manifest_under_an_admitted_version_needs_a_word() {
    let asked = Asked {
        admitted_before: Some(Sha256::of(&[b"another"])),
        ..Asked::default()
    };
    assert_eq!(check(&[rule()], &subject(), asked), (false, vec!["change"]));
    let accepted = Asked {
        accept_change: true,
        ..asked
    };
    assert_eq!(check(&[rule()], &subject(), accepted), (true, vec![]));
}

#[test]
fn a_yank_that_vanished_needs_a_word() {
    let mut vanished = subject();
    vanished.vanished = Some("yanked");
    let asked = Asked::default();
    assert_eq!(
        check(&[rule()], &vanished, asked),
        (false, vec!["restriction"])
    );
    let accepted = Asked {
        accept_change: true,
        ..asked
    };
    assert_eq!(check(&[rule()], &vanished, accepted), (true, vec![]));
}

#[test]
fn in_a_doubtful_view_only_what_was_admitted_before_is_admitted() {
    let mut doubtful = subject();
    doubtful.view_doubt = Some("two root documents of version 2".into());
    let asked = |admitted_before| Asked {
        admitted_before,
        ..Asked::default()
    };
    let before = Some(doubtful.manifest);
    assert_eq!(
        check(&[rule()], &doubtful, asked(None)),
        (false, vec!["view"])
    );
    assert_eq!(check(&[rule()], &doubtful, asked(before)), (true, vec![]));
}

#[test]
fn normal_mode_skips_the_rules_and_says_so() {
    let asked = Asked {
        normal: true,
        ..Asked::default()
    };
    let decision = decide(&[], &subject(), &asked);
    assert!(decision.admitted);
    assert!(
        decision
            .facts
            .iter()
            .any(|f| f.text.contains("normal mode"))
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let mut members = subject();
    members.members_only = true;
    assert_eq!(
        check(&[rule()], &members, Asked::default()),
        (false, vec!["members"])
    );
    let mut witnessed = subject();
    witnessed.witnessed = true;
    assert_eq!(
        check(&[rule()], &witnessed, Asked::default()),
        (false, vec!["fresh"])
    );
    for condition in [
        "attestations = [{ type = \"x\" }]",
        "kernel_signature = \"required\"",
        "hypervisor_signature = \"required\"",
        "min_age = \"1d\"",
        "worst_advisory = \"low\"",
        "deny = { helpers = [\"bpf_probe_write_user\"] }",
    ] {
        let file = RepoFile::parse(&format!("{}\n{condition}\n", text())).expect(condition);
        assert_eq!(
            check(&file.trust, &subject(), Asked::default()),
            (false, vec!["condition"]),
            "{condition}"
        );
    }
}

/// A file whose last table is the rule of these tests.
fn text() -> String {
    format!(
        "id = \"{}\" # ours\nroot = {{ version = 1, sha256 = \"{}\" }}\n\n# why we trust them\n\
         [[trust]]\nnames = [\"drop\"]\npublishers = [{{ label = \"acme\", handle = \"{}\" }}]",
        subject().repo,
        Sha256::of(&[b"root"]),
        owner().id
    )
}

#[test]
fn a_file_reads_back_and_unknown_fields_are_refused() {
    let mut file = RepoFile::parse(&text()).expect("a file");
    assert_eq!(file.trust, [rule()]);
    file.trust = vec![];
    file.peers = vec!["/dns/a\"b/tcp/1".to_owned()];
    assert_eq!(RepoFile::parse(&file.to_text()), Ok(file));
    for bad in [
        "freshnes = \"required\"",
        "names = []",
        "publishers = []",
        "approvals = { need = 2, of = [] }",
    ] {
        let text = text()
            .replace("names = [\"drop\"]", "")
            .replace("publishers", "#");
        assert!(RepoFile::parse(&format!("{text}\n{bad}")).is_err(), "{bad}");
    }
    let nobody = text().replace("publishers = [{", "publishers = [] #");
    assert_eq!(RepoFile::parse(&nobody), Err(Error::Empty("publishers")));
}

#[test]
fn edits_leave_comments_alone() {
    let mut second = rule();
    second.names = vec!["x*".parse().expect("a glob")];
    let two = append_rule(&text(), &second.names, &owner().label, &owner().id).expect("appended");
    assert!(two.starts_with(&text()));
    assert_eq!(
        RepoFile::parse(&two).expect("a file").trust,
        [rule(), second.clone()]
    );
    let one = remove_rules(&two, &[0]).expect("removed");
    assert!(one.contains("# ours") && one.contains("# why we trust them"));
    assert_eq!(RepoFile::parse(&one).expect("a file").trust, [second]);
    assert_eq!(
        RepoFile::parse(&remove_rules(&two, &[0, 1]).expect("removed"))
            .expect("a file")
            .trust,
        []
    );
}

#[test]
fn lines_are_set_above_the_rules() {
    let peers = vec!["/ip4/192.0.2.7/tcp/7701/p2p/x".to_owned()];
    let once = with_peers(&text(), &peers).expect("edited");
    let twice = with_peers(&once, &[]).expect("edited");
    assert_eq!(RepoFile::parse(&once).expect("a file").peers, peers);
    let file = RepoFile::parse(&twice).expect("a file");
    assert_eq!((file.peers, file.trust), (vec![], vec![rule()]));
    assert!(twice.contains("# ours") && twice.contains("# why we trust them"));
}

#[test]
fn globs_match_whole_names() {
    let fits = |glob: &str, name: &str| {
        let glob: Glob = glob.parse().expect("a glob");
        glob.matches(&name.parse().expect("a name"))
    };
    assert!(
        fits("*", "drop") && fits("drop", "drop") && fits("d*p", "drop") && fits("*rop*", "drop")
    );
    assert!(fits("a*b*c", "a-b-b-c") && fits("**", "x"));
    assert!(!fits("dro", "drop") && !fits("rop", "drop") && !fits("a*b*c", "a-c-b"));
    assert!(
        "A*".parse::<Glob>().is_err()
            && "".parse::<Glob>().is_err()
            && "a/b".parse::<Glob>().is_err()
    );
}
