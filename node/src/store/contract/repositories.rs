//! Following, root documents, evidence, facts.

use super::made::{Author, blob, repo, signed_root};
use super::{Open, load};
use crate::store::{
    Change, Error, FACT_KEY_BYTES_MAX, FACT_VALUE_BYTES_MAX, FactKind, Loaded, Store,
};

fn keep(store: &dyn Store, change: Change) {
    store.persist(&change).expect("the change fits");
}

fn fact(n: u8, kind: FactKind, key: &str, value: &[u8]) -> Change {
    Change::Fact {
        repo: repo(n),
        kind,
        key: key.into(),
        value: value.to_vec(),
    }
}

pub(super) fn nothing_is_kept_of_a_repository_that_is_not_followed(open: Open<'_>) {
    let store = open();
    let (id, author) = (repo(1), Author::new(repo(1), 1, 3));
    let (key, kind) = (author.key(), FactKind::Admitted);
    let changes = [
        Change::Root {
            repo: id,
            signed: signed_root(1, 3),
        },
        author.append(0, 1, 1),
        Change::Checkpoint {
            repo: id,
            checkpoint: author.checkpoint(1),
        },
        Change::Rewind {
            repo: id,
            key,
            to: 0,
        },
        Change::Evidence {
            repo: id,
            evidence: author.evidence(1),
        },
        fact(1, kind, "a", b"b"),
        Change::ForgetFact {
            repo: id,
            kind,
            key: "a".into(),
        },
    ];
    for change in changes {
        let refused = store.persist(&change);
        assert!(
            matches!(refused, Err(Error::NotFollowed { repo }) if repo == id),
            "{change:?}: {refused:?}"
        );
    }
    let refused = store.entries(&id, &key, 0, 1);
    assert!(matches!(refused, Err(Error::NotFollowed { .. })));
    assert_eq!(load(store.as_ref()), []);
}

pub(super) fn what_was_persisted_is_loaded_in_order(open: Open<'_>) {
    let (a, b) = (repo(1).min(repo(2)), repo(1).max(repo(2)));
    let (first, second) = (Author::new(a, 1, 9), Author::new(a, 2, 9));
    let (first, second) = match first.key() < second.key() {
        true => (first, second),
        false => (second, first),
    };
    let root = |repo, version, signatures| Change::Root {
        repo,
        signed: signed_root(version, signatures),
    };
    let fact = |kind, key: &str, value: &[u8]| Change::Fact {
        repo: a,
        kind,
        key: key.into(),
        value: value.to_vec(),
    };
    let changes = [
        Change::Follow { repo: b },
        Change::Follow { repo: a },
        root(b, 1, 3),
        fact(FactKind::Followed, "3", b"x"),
        fact(FactKind::Holding, "b@1.0.0", b""),
        fact(FactKind::Holding, "a@1.0.0-Rc.1", b"y"),
        Change::Evidence {
            repo: a,
            evidence: second.evidence(2),
        },
        second.append(0, 2, 2),
        first.append(0, 3, 3),
        first.append(3, 5, 9),
        root(a, 10, 2),
        root(a, 9, 2),
        root(a, 1, 3),
    ];
    {
        let store = open();
        for change in changes {
            keep(store.as_ref(), change);
        }
    }
    let loaded_root = |repo, version, signatures| Loaded::Root {
        repo,
        signed: signed_root(version, signatures),
    };
    let loaded_fact = |kind, key: &str, value: &[u8]| Loaded::Fact {
        repo: a,
        kind,
        key: key.into(),
        value: value.to_vec(),
    };
    let entries = |author: &Author, len| Loaded::Entries {
        aside: false,
        repo: a,
        key: author.key(),
        from: 0,
        entries: author.entries(0, len),
    };
    let expected = [
        Loaded::Repository { repo: a },
        loaded_root(a, 1, 3),
        loaded_root(a, 9, 2),
        loaded_root(a, 10, 2),
        entries(&first, 5),
        Loaded::Checkpoints {
            aside: false,
            repo: a,
            key: first.key(),
            whole: Some(first.checkpoint(3)),
            ahead: Some(first.checkpoint(9)),
        },
        entries(&second, 2),
        Loaded::Checkpoints {
            aside: false,
            repo: a,
            key: second.key(),
            whole: Some(second.checkpoint(2)),
            ahead: None,
        },
        Loaded::Evidence {
            repo: a,
            evidence: second.evidence(2),
        },
        loaded_fact(FactKind::Holding, "a@1.0.0-Rc.1", b"y"),
        loaded_fact(FactKind::Holding, "b@1.0.0", b""),
        loaded_fact(FactKind::Followed, "3", b"x"),
        Loaded::Repository { repo: b },
        loaded_root(b, 1, 3),
    ];
    for round in ["after a restart", "and after another"] {
        let store = open();
        assert_eq!(load(store.as_ref()), expected, "{round}");
        assert_eq!(load(store.as_ref()), expected, "{round}, again");
    }
}

pub(super) fn following_again_changes_nothing(open: Open<'_>) {
    let store = open();
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    keep(store.as_ref(), fact(1, FactKind::Admitted, "a", b"b"));
    let before = load(store.as_ref());
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    assert_eq!(load(store.as_ref()), before);
    assert_eq!(before.len(), 2);
}

pub(super) fn a_root_document_is_replaced_by_more_signatures_and_by_nothing_else(open: Open<'_>) {
    let store = open();
    let root = |signed| Change::Root {
        repo: repo(1),
        signed,
    };
    let mut rival = signed_root(2, 2);
    rival.payload.pop();
    rival.payload.extend_from_slice(b" }");
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    keep(store.as_ref(), root(signed_root(2, 2)));
    keep(store.as_ref(), root(rival.clone()));
    keep(store.as_ref(), root(signed_root(2, 3)));
    let mut both = vec![signed_root(2, 3), rival];
    both.sort_by_key(|signed| signed.sha256());
    let found: Vec<_> = load(store.as_ref())
        .into_iter()
        .filter_map(|item| match item {
            Loaded::Root { signed, .. } => Some(signed),
            _ => None,
        })
        .collect();
    assert_eq!(found, both, "both rivals, by hash");
}

pub(super) fn a_fact_is_replaced_whole_and_forgotten(open: Open<'_>) {
    let kinds = FactKind::ALL;
    {
        let store = open();
        keep(store.as_ref(), Change::Follow { repo: repo(1) });
        for kind in kinds {
            keep(store.as_ref(), fact(1, kind, "a@1.0.0", b"a long value"));
            keep(store.as_ref(), fact(1, kind, "a@1.0.0", b"short"));
            keep(store.as_ref(), fact(1, kind, "b", b""));
        }
        for kind in &kinds[1..] {
            keep(
                store.as_ref(),
                Change::ForgetFact {
                    repo: repo(1),
                    kind: *kind,
                    key: "b".into(),
                },
            );
        }
    }
    let store = open();
    let never = Change::ForgetFact {
        repo: repo(1),
        kind: kinds[0],
        key: "never".into(),
    };
    keep(store.as_ref(), never);
    let mut expected = vec![Loaded::Repository { repo: repo(1) }];
    for kind in kinds {
        let mut add = |key: &str, value: &[u8]| {
            expected.push(Loaded::Fact {
                repo: repo(1),
                kind,
                key: key.into(),
                value: value.to_vec(),
            });
        };
        add("a@1.0.0", b"short");
        if kind == kinds[0] {
            add("b", b"");
        }
    }
    assert_eq!(load(store.as_ref()), expected);
}

pub(super) fn a_fact_keeps_to_its_limits(open: Open<'_>) {
    let store = open();
    let kind = FactKind::Holding;
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    let longest = "k".repeat(FACT_KEY_BYTES_MAX);
    let largest = vec![7; FACT_VALUE_BYTES_MAX];
    keep(store.as_ref(), fact(1, kind, &longest, &largest));
    let before = load(store.as_ref());
    let too_long = "k".repeat(FACT_KEY_BYTES_MAX + 1);
    for key in [
        too_long.as_str(),
        "",
        ".",
        "..",
        ".a",
        "a/b",
        "a\0",
        "a b",
        "ä",
        "a\\b",
    ] {
        let refused = store.persist(&fact(1, kind, key, b""));
        assert!(matches!(refused, Err(Error::FactKey { .. })), "{key:?}");
        let forget = Change::ForgetFact {
            repo: repo(1),
            kind,
            key: key.into(),
        };
        let refused = store.persist(&forget);
        assert!(matches!(refused, Err(Error::FactKey { .. })), "{key:?}");
    }
    let too_large = vec![7; FACT_VALUE_BYTES_MAX + 1];
    let refused = store.persist(&fact(1, kind, &longest, &too_large));
    let size = FACT_VALUE_BYTES_MAX + 1;
    assert!(matches!(refused, Err(Error::FactSize { size: s }) if s == size));
    assert_eq!(load(store.as_ref()), before);
}

pub(super) fn every_repository_is_named(open: Open<'_>) {
    let store = open();
    assert_eq!(store.repositories().expect("named"), []);
    let mut both = [repo(1), repo(2)];
    both.sort();
    for repo in both {
        keep(store.as_ref(), Change::Follow { repo });
    }
    assert_eq!(store.repositories().expect("named"), both);
    keep(store.as_ref(), Change::Unfollow { repo: both[0] });
    assert_eq!(store.repositories().expect("named"), [both[1]]);
}

pub(super) fn unfollowing_removes_everything_but_blobs(open: Open<'_>) {
    let author = Author::new(repo(1), 1, 4);
    let hash = {
        let store = open();
        let bytes = blob(1, 1_000);
        let info = store.import(&mut bytes.as_slice()).expect("imported");
        for n in [1, 2] {
            keep(store.as_ref(), Change::Follow { repo: repo(n) });
            keep(store.as_ref(), fact(n, FactKind::Admitted, "a", b"b"));
        }
        keep(store.as_ref(), author.append(0, 2, 2));
        keep(store.as_ref(), Change::Unfollow { repo: repo(1) });
        keep(store.as_ref(), Change::Unfollow { repo: repo(1) });
        let refused = store.persist(&author.append(2, 3, 3));
        assert!(matches!(refused, Err(Error::NotFollowed { .. })));
        info.hash
    };
    let store = open();
    let left = load(store.as_ref());
    assert_eq!(left[0], Loaded::Repository { repo: repo(2) });
    assert_eq!(left.len(), 2, "the other repository is whole");
    assert!(store.blob(&hash).expect("asked").is_some());
    // Followed again, it begins with nothing: a log at 0.
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    let held = store.entries(&repo(1), &author.key(), 0, 9);
    assert_eq!(held.expect("followed"), Vec::<Vec<u8>>::new());
    keep(store.as_ref(), author.append(0, 1, 1));
}

pub(super) fn loading_ends_with_the_first_error_of_its_reader(open: Open<'_>) {
    let store = open();
    keep(store.as_ref(), Change::Follow { repo: repo(1) });
    keep(store.as_ref(), fact(1, FactKind::Admitted, "a", b"b"));
    let mut seen = 0;
    let ended = store.load(&mut |_| {
        seen += 1;
        Err(Error::ReadOnly)
    });
    assert!(matches!(ended, Err(Error::ReadOnly)));
    assert_eq!(seen, 1);
}
