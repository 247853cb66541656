use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::key::Signature;

fn key(n: usize) -> Key {
    Key::ed25519(Sha256::of(&[&n.to_be_bytes()]).as_bytes())
}

fn keys(n: usize) -> Vec<Key> {
    (0..n).map(key).collect()
}

fn mark(n: usize) -> Mark {
    Mark {
        key: key(n),
        size: n as u64,
        root: if n == 0 {
            Sha256::of(&[])
        } else {
            Sha256::of(&[b"root"])
        },
    }
}

fn first() -> RootDocument {
    let root = RootKeys {
        keys: keys(3),
        threshold: 2,
    };
    RootDocument::first("tests", root, key(9), Visibility::Public)
}

fn with(edit: impl FnOnce(&mut RootDocument)) -> RootDocument {
    let mut document = first();
    edit(&mut document);
    document
}

fn refused(document: &RootDocument) -> bool {
    document.to_payload().is_err()
}

/// `document(max)` can be written and read, `document(max + 1)` cannot.
fn check_limit(max: usize, document: impl Fn(usize) -> RootDocument) {
    let at = document(max);
    let payload = at.to_payload().expect("at the limit");
    assert_eq!(RootDocument::parse(&payload), Ok(at));
    assert!(refused(&document(max + 1)), "past {max}");
}

#[test]
fn documents_end_at_their_limits() {
    let line = |n: usize| "n".repeat(n);
    check_limit(NAME_BYTES_MAX, |n| with(|d| d.name = line(n)));
    check_limit(ROOT_KEYS_MAX, |n| {
        with(|d| {
            d.root = RootKeys {
                keys: keys(n),
                threshold: n,
            };
        })
    });
    check_limit(REGISTRARS_MAX, |n| {
        with(|d| d.registrars.fixed = (10..9 + n).map(mark).collect())
    });
    check_limit(WITNESSES_MAX, |n| {
        with(|d| d.witnesses = Some(witnesses(n, 1)))
    });
    check_limit(WITNESS_NAME_BYTES_MAX, |n| {
        with(|d| d.witnesses = Some(witnesses(1, n)))
    });
    check_limit(CUTS_MAX, |n| with(|d| d.cuts = cuts(n, 1)));
    check_limit(REASON_BYTES_MAX, |n| with(|d| d.cuts = cuts(1, n)));
    check_limit(OVERRIDES_MAX, |n| {
        with(|d| d.overrides = vec![Sha256::of(&[]); n])
    });
    check_limit(usize::from(APPROVALS_MAX), |n| {
        with(|d| d.approvals = u8::try_from(n).expect("small"))
    });
    let largest = usize::try_from(NUMBER_MAX).expect("64 bits");
    check_limit(largest, |n| with(|d| d.seen = n as u64));
    check_limit(largest, |n| with(|d| d.limits.bytes_per_log = n as u64));
    check_limit(largest, |n| with(|d| d.version = n as u64));
    assert!(refused(&with(|d| d.version = 0)));
}

fn witnesses(n: usize, name: usize) -> Witnesses {
    Witnesses {
        keys: (0..n)
            .map(|n| Witness {
                name: "w".repeat(name),
                key: key(n),
            })
            .collect(),
        quorum: n,
        max_age_s: 86_400,
    }
}

fn cuts(n: usize, reason: usize) -> Vec<RootCut> {
    (0..n)
        .map(|n| RootCut {
            mark: mark(n),
            reason: "\n".repeat(reason),
        })
        .collect()
}

#[test]
fn quorums_are_more_than_half() {
    let quorum = |threshold| {
        with(|d| {
            d.root = RootKeys {
                keys: keys(4),
                threshold,
            };
        })
    };
    assert!([0, 1, 2, 5].iter().all(|t| refused(&quorum(*t))));
    assert!([3, 4].iter().all(|t| !refused(&quorum(*t))));
    let none = with(|d| {
        d.root = RootKeys {
            keys: Vec::new(),
            threshold: 0,
        };
    });
    assert!(refused(&none));
    let witnessed = |quorum| {
        with(|d| {
            d.witnesses = Some(Witnesses {
                quorum,
                ..witnesses(2, 1)
            });
        })
    };
    assert!([0, 1, 3].iter().all(|q| refused(&witnessed(*q))));
    assert!(!refused(&witnessed(2)));
}

#[test]
fn what_a_stranger_calls_a_field_stays_on_its_line() {
    let payload = first().to_payload().expect("a document");
    let text = String::from_utf8(payload).expect("JSON");
    let text = text.replacen('{', "{\"x\\nerror: all is \\u001b[2Jwell\":0,", 1);
    let error = RootDocument::parse(text.as_bytes()).expect_err("an unknown field");
    assert!(matches!(error, Error::UnknownField(_)), "{error:?}");
    let shown = error.to_string();
    assert!(!shown.contains(['\n', '\u{1b}']), "{shown}");
}

#[test]
fn a_witness_has_a_name_that_stands_in_a_note() {
    let named = |name: &str| {
        with(|d| {
            let mut witnesses = witnesses(1, 1);
            witnesses.keys[0].name = name.to_owned();
            d.witnesses = Some(witnesses);
        })
    };
    for name in ["w", "witness.example/1", "é", &"w".repeat(255)] {
        assert!(!refused(&named(name)), "{name:?}");
    }
    let refused_names = ["", " ", "a b", "a\u{a0}b", "a\tb", "a+b", "a\u{202e}b"];
    for name in refused_names {
        assert!(refused(&named(name)), "{name:?}");
    }
    assert!(refused(&named(&"w".repeat(256))));
}

#[test]
fn a_key_stands_once_where_it_must() {
    assert!(refused(&with(|d| d.root.keys[1] = d.root.keys[0])));
    assert!(refused(&with(|d| d.registrars.fixed = vec![mark(9)])));
    assert!(refused(&with(|d| d.registrars.fixed = vec![mark(4); 2])));
    assert!(refused(&with(|d| {
        d.cuts = cuts(1, 1);
        d.cuts.extend(cuts(1, 2));
    })));
    // The same witness key twice is two lines of one witness.
    let twice = with(|d| {
        let mut witnesses = witnesses(2, 1);
        witnesses.keys[1].key = witnesses.keys[0].key;
        d.witnesses = Some(witnesses);
    });
    assert!(!refused(&twice));
}

#[test]
fn nothing_has_one_root() {
    let wrong = Mark {
        root: Sha256::of(&[b"wrong"]),
        ..mark(0)
    };
    assert!(refused(&with(|d| d.registrars.fixed = vec![wrong])));
    assert!(refused(&with(|d| {
        d.cuts = cuts(1, 0);
        d.cuts[0].mark = wrong;
    })));
    assert!(!refused(&with(|d| d.cuts = cuts(1, 0))));
}

/// The JSON of a document with every field, after `edit`.
fn edited(edit: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
    let document = with(|d| {
        d.version = 2;
        d.prev = Some(Sha256::of(&[b"prev"]));
        d.witnesses = Some(witnesses(2, 3));
        d.cuts = cuts(2, 1);
        d.overrides = vec![Sha256::of(&[])];
        d.registrars.fixed = vec![mark(4)];
        d.expires = Some("2027-06-01T00:00:00Z".parse().expect("a time"));
    });
    let payload = document.to_payload().expect("a document");
    let mut json = serde_json::from_slice(&payload).expect("JSON");
    if let serde_json::Value::Object(fields) = &mut json {
        edit(fields);
    }
    serde_json::to_vec(&json).expect("JSON")
}

#[test]
fn every_field_is_required_but_two() {
    assert!(RootDocument::parse(&edited(|_| {})).is_ok());
    let payload = edited(|_| {});
    let all: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(all.len(), 15);
    for field in all.keys() {
        let absent = RootDocument::parse(&edited(|json| drop(json.remove(field))));
        let optional = matches!(field.as_str(), "witnesses" | "expires");
        assert_eq!(absent.is_ok(), optional, "{field}");
        let null = edited(|json| drop(json.insert(field.clone(), serde_json::Value::Null)));
        let null = RootDocument::parse(&null);
        assert_eq!(null.is_ok(), field == "prev", "{field}");
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    let refused = |pointer: &str| {
        let mut json: serde_json::Value = serde_json::from_slice(&edited(|_| {})).expect("JSON");
        json.pointer_mut(pointer).expect(pointer)["new"] = 1.into();
        RootDocument::parse(&serde_json::to_vec(&json).expect("JSON"))
    };
    let places = [
        "",
        "/root",
        "/registrars/0",
        "/registrars/1",
        "/witnesses",
        "/witnesses/keys/0",
        "/cuts/0",
        "/limits",
    ];
    for place in places {
        assert_eq!(
            refused(place),
            Err(Error::UnknownField("new".to_owned())),
            "{place}"
        );
    }
}

#[test]
fn other_rules_are_read_before_anything_else() {
    let of = |rules: u64| {
        Document::parse(&edited(|json| {
            json.insert("rules".to_owned(), rules.into());
            json.insert("new".to_owned(), true.into());
            json.remove("root");
        }))
    };
    let other = |rules| {
        Ok(Document::OtherRules {
            rules,
            version: 2,
            prev: Some(Sha256::of(&[b"prev"])),
        })
    };
    assert_eq!(of(2), other(2));
    assert_eq!(of(0), other(0));
    assert!(of(1).is_err());
}

#[test]
fn documents_end_at_64_kibibytes() {
    let of = |len: usize| {
        let mut payload = first().to_payload().expect("a document");
        payload.resize(len, b' ');
        RootDocument::parse(&payload)
    };
    assert!(of(ROOT_DOCUMENT_BYTES_MAX).is_ok());
    let size = ROOT_DOCUMENT_BYTES_MAX + 1;
    assert_eq!(of(size), Err(Error::TooLong { size }));
}

#[test]
fn only_one_spelling_of_values_is_read() {
    let bad = |from: &str, to: &str| {
        let payload = String::from_utf8(edited(|_| {})).expect("UTF-8");
        let changed = payload.replacen(from, to, 1);
        assert_ne!(payload, changed, "{from}");
        assert!(RootDocument::parse(changed.as_bytes()).is_err(), "{to}");
    };
    bad("skep.root/1", "skep.root/2");
    bad("\"public\"", "\"Public\"");
    bad("\"seen\":0", "\"seen\":-1");
    bad("\"seen\":0", "\"seen\":0.0");
    bad("\"seen\":0", "\"seen\":0,\"seen\":0");
    bad("2027-06-01T00:00:00Z", "2027-06-01T00:00:00+00:00");
    bad("2027-06-01T00:00:00Z", "2027-06-01t00:00:00z");
    bad("\"01", "\"0A");
    bad("\"tests\"", "\"\\u202etests\"");
    bad("\"tests\"", "\"te\\nsts\"");
}

#[test]
fn expiry_is_a_time_of_one_spelling() {
    let at = |unix_s| Expiry::from_unix(unix_s).map(|time| time.to_string());
    let shown = |unix_s| at(unix_s).expect("before the year 10000");
    assert_eq!(shown(0), "1970-01-01T00:00:00Z");
    assert_eq!(shown(951_782_399), "2000-02-28T23:59:59Z");
    assert_eq!(shown(951_782_400), "2000-02-29T00:00:00Z");
    assert_eq!(shown(1_811_808_000), "2027-06-01T00:00:00Z");
    assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00Z");
    assert_eq!(shown(253_402_300_799), "9999-12-31T23:59:59Z");
    assert_eq!(at(253_402_300_800), None);

    let document = with(|d| d.expires = Expiry::from_unix(1_811_808_000));
    assert!(!document.has_expired(1_811_807_999));
    assert!(document.has_expired(1_811_808_000));
    assert!(document.has_expired(u64::MAX));
    assert!(!first().has_expired(u64::MAX));
    // The form is checked, not the calendar.
    assert!("2027-13-32T25:61:61Z".parse::<Expiry>().is_ok());
}

#[test]
fn successor_says_the_same_but_what_is_of_one_version() {
    let mut document = with(|d| {
        d.cuts = cuts(1, 1);
        d.overrides = vec![Sha256::of(&[])];
    });
    let payload = document.to_payload().expect("a document");
    let next = document.successor(&payload, 7);
    document.version = 2;
    document.prev = Some(*repo_id(&payload).hash());
    document.seen = 7;
    document.cuts.clear();
    document.overrides.clear();
    assert_eq!(next, document);
}

fn hash() -> impl Strategy<Value = Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes)
}

fn document() -> impl Strategy<Value = RootDocument> {
    let text = "[ -~\u{e4}]{0,16}";
    let numbers = (
        1..=NUMBER_MAX,
        0..=NUMBER_MAX,
        0..=NUMBER_MAX,
        0..=APPROVALS_MAX,
    );
    let lists = (
        1..=ROOT_KEYS_MAX,
        0..REGISTRARS_MAX,
        option::of(1..=WITNESSES_MAX),
        0..=CUTS_MAX,
        vec(hash(), 0..=OVERRIDES_MAX),
    );
    let times = option::of(0..253_402_300_800_u64);
    let rest = (text, option::of(hash()), any::<bool>(), times);
    (numbers, lists, rest).prop_map(
        |(
            (version, seen, bytes, approvals),
            (root, fixed, witness, cut, overrides),
            (name, prev, members, expires),
        )| RootDocument {
            version,
            prev,
            name: name.clone(),
            seen,
            root: RootKeys {
                keys: keys(root),
                threshold: root / 2 + 1,
            },
            registrars: Registrars {
                fixed: (100..100 + fixed).map(mark).collect(),
                live: key(99),
            },
            witnesses: witness.map(|n| witnesses(n, 5)),
            approvals,
            visibility: if members {
                Visibility::Members
            } else {
                Visibility::Public
            },
            cuts: cuts(cut, 3),
            overrides,
            limits: Limits {
                entries_per_log: seen,
                bytes_per_log: bytes,
            },
            expires: expires.and_then(Expiry::from_unix),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_again(document in document()) {
        let payload = document.to_payload().expect("within every limit");
        prop_assert_eq!(RootDocument::parse(&payload), Ok(document));
    }

    #[test]
    fn any_bytes_are_read_without_panic(payload in vec(any::<u8>(), 0..200)) {
        prop_assert!(RootDocument::parse(&payload).is_err());
    }
}

#[test]
fn every_truncation_is_refused() {
    let payload = edited(|_| {});
    for len in 0..payload.len() {
        assert!(RootDocument::parse(&payload[..len]).is_err(), "{len}");
    }
}

#[test]
fn signed_documents_are_strict_and_bounded() {
    let signed = |count: usize, len: usize| SignedRoot {
        payload: vec![b'x'; len],
        signatures: vec![(key(0), Signature::from_bytes([7; 64])); count],
    };
    let largest = signed(ROOT_SIGNATURES_MAX, ROOT_DOCUMENT_BYTES_MAX);
    let raw = largest.encode();
    assert!(raw.len() <= SIGNED_ROOT_BYTES_MAX);
    assert_eq!(SignedRoot::decode(&raw), Ok(largest));
    for (count, len) in [
        (0, 1),
        (ROOT_SIGNATURES_MAX + 1, 1),
        (1, ROOT_DOCUMENT_BYTES_MAX + 1),
    ] {
        assert!(SignedRoot::decode(&signed(count, len).encode()).is_err());
    }
    let small = signed(2, 9);
    let mut raw = small.encode();
    for len in 0..raw.len() {
        assert!(SignedRoot::decode(&raw[..len]).is_err());
    }
    for bit in 0..raw.len() * 8 {
        raw[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(SignedRoot::decode(&raw).ok().as_ref(), Some(&small));
        raw[bit / 8] ^= 1 << (bit % 8);
    }
}
