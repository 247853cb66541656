use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::string::string_regex;

use super::*;
use crate::hash::Sha256;
use crate::id::{HandleId, RepoId};
use crate::key::{Key, Signature, Signatures, SigningKey};
use crate::limits::{ENTRY_SIGNATURES_MAX, MANIFEST_BYTES_MAX};
use crate::name::{Name, Version};

fn text(form: &str) -> BoxedStrategy<String> {
    string_regex(form).expect("a form").boxed()
}

fn name() -> impl Strategy<Value = Name> {
    text("[a-z0-9]{1,8}((_|__|-{1,3})[a-z0-9]{1,8}){0,3}")
        .prop_map(|name| name.parse().expect("a name"))
}

fn version() -> impl Strategy<Value = Version> {
    (
        any::<[u64; 3]>(),
        text("(-(rc|0a|-)\\.(0|[1-9][0-9]{0,9}))?"),
    )
        .prop_map(|([a, b, c], pre)| format!("{a}.{b}.{c}{pre}"))
        .prop_filter("at most 64 bytes", |text| text.len() <= 64)
        .prop_map(|text| text.parse().expect("a version"))
}

fn hash() -> impl Strategy<Value = Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes)
}

fn key() -> impl Strategy<Value = Key> {
    (0..=2u8, any::<[u8; 32]>()).prop_map(|(algorithm, rest)| {
        let mut bytes = [algorithm; 33];
        bytes[1..].copy_from_slice(&rest);
        Key::from_bytes(bytes)
    })
}

fn signatures() -> impl Strategy<Value = Signatures> {
    let signature = vec(any::<u8>(), 64)
        .prop_map(|bytes| Signature::from_bytes(bytes.try_into().expect("64 bytes")));
    vec((key(), signature), 1..=ENTRY_SIGNATURES_MAX)
}

fn prose(max: usize) -> BoxedStrategy<String> {
    text("[ -~\\n\\t\u{e4}\u{1f41d}]{0,120}")
        .prop_map(move |mut text| {
            while text.len() > max {
                text.pop();
            }
            text
        })
        .boxed()
}

fn line(max: usize) -> BoxedStrategy<String> {
    prose(max)
        .prop_map(|text| text.replace(['\n', '\t'], " "))
        .boxed()
}

fn mark() -> impl Strategy<Value = Mark> {
    (key(), any::<u64>(), hash()).prop_map(|(key, size, root)| Mark { key, size, root })
}

fn distinct<T: Ord>(items: Vec<T>) -> Vec<T> {
    let sorted: std::collections::BTreeSet<T> = items.into_iter().collect();
    sorted.into_iter().collect()
}

fn contribution() -> impl Strategy<Value = Body> {
    let status = (
        name(),
        option::of(version()),
        any::<[bool; 2]>(),
        prose(512),
        option::of(name()),
    );
    prop_oneof![
        Just(Body::Hello),
        (name(), version(), vec(any::<u8>(), 0..300), signatures()).prop_map(
            |(name, version, payload, signatures)| Body::Publish(Publish {
                name,
                version,
                payload,
                signatures
            })
        ),
        (name(), version(), hash()).prop_map(|(name, version, manifest)| {
            Body::Approve(Approve {
                name,
                version,
                manifest,
            })
        }),
        status.prop_map(|(name, version, [yank, on], reason, successor)| {
            Body::Status(Status {
                name,
                state: if yank && version.is_some() {
                    StatusState::Yanked
                } else {
                    StatusState::Deprecated
                },
                version,
                on,
                reason,
                successor,
            })
        }),
        (
            name(),
            option::of(version()),
            option::of(1..=5u8),
            vec(line(32), 0..=16),
            line(8),
            prose(4096)
        )
            .prop_map(|(name, version, rating, tags, language, text)| {
                Body::Review(Review {
                    name,
                    version,
                    rating,
                    tags,
                    language,
                    text,
                })
            }),
        (hash(), line(256), vec(any::<u8>(), 0..300), signatures()).prop_map(
            |(subject, kind, payload, signatures)| Body::Attest(Attest {
                subject,
                kind,
                payload,
                signatures
            })
        ),
        (
            line(64),
            name(),
            vec(line(128), 1..=32),
            0..5usize,
            vec(line(256), 0..=16),
            prose(4096),
            any::<bool>()
        )
            .prop_map(|(id, name, ranges, severity, urls, text, withdrawn)| {
                Body::Advisory(Advisory {
                    id,
                    name,
                    ranges,
                    severity: [
                        Severity::None,
                        Severity::Low,
                        Severity::Medium,
                        Severity::High,
                        Severity::Critical,
                    ][severity],
                    urls,
                    text,
                    withdrawn,
                })
            }),
    ]
}

fn operation() -> impl Strategy<Value = Body> {
    let subject = prop_oneof![
        hash().prop_map(|id| Subject::Handle(HandleId::from_bytes(*id.as_bytes()))),
        name().prop_map(Subject::Package),
        (name(), version()).prop_map(|(name, version)| Subject::Release(name, version)),
    ];
    let handle = (
        (option::of(hash()), name(), 1..=16u8, 1..=16u8),
        vec(key(), 1..=16),
        vec(any::<[u8; 32]>(), 0..=16),
        vec(mark(), 0..=16),
        prose(512),
        signatures(),
    );
    prop_oneof![
        handle.prop_map(
            |((prev, label, m, c), keys, receive, drop, about, signatures)| {
                Body::Handle(Box::new(HandleOperation {
                    prev,
                    label,
                    publish_threshold: m,
                    change_threshold: c,
                    keys: distinct(keys),
                    receive,
                    drop: distinct(drop),
                    about,
                    signatures,
                }))
            }
        ),
        (hash(), 0..5usize, vec(name(), 0..=64)).prop_map(|(id, role, names)| {
            Body::Grant(Grant {
                handle: HandleId::from_bytes(*id.as_bytes()),
                role: Role::ALL[role],
                names,
            })
        }),
        (mark(), prose(512)).prop_map(|(mark, reason)| Body::Cut(Cut { mark, reason })),
        (subject, any::<bool>(), prose(512)).prop_map(|(subject, on, reason)| {
            Body::Suspend(Suspend {
                subject,
                on,
                reason,
            })
        }),
        (name(), version(), hash()).prop_map(|(name, version, manifest)| {
            Body::Settle(Settle {
                name,
                version,
                manifest,
            })
        }),
        (key(), line(64), any::<bool>()).prop_map(|(node, label, on)| Body::Member(Member {
            node,
            label,
            on
        })),
        (any::<u64>(), hash())
            .prop_map(|(version, sha256)| Body::Root(RootNotice { version, sha256 })),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), prop_oneof![contribution(), operation()])
        .prop_map(|(claimed_at, body)| Entry { claimed_at, body })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(entry in entry()) {
        let raw = entry.encode().expect("within every limit");
        prop_assert_eq!(parse(&raw), Parsed::Entry(entry));
    }

    #[test]
    fn every_truncation_is_void(entry in entry()) {
        let raw = entry.encode().expect("within every limit");
        for len in 0..raw.len() {
            prop_assert_eq!(parse(&raw[..len]), Parsed::Void);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(raw in vec(any::<u8>(), 0..200)) {
        if let Parsed::Entry(entry) = parse(&raw) {
            prop_assert_eq!(entry.encode(), Ok(raw));
        }
    }
}

proptest! {
    // Each case reads the entry once for each of its bits.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A leaf is the hash of the raw bytes, so a flipped bit changes the id whatever it reads as;
    /// here: it never reads as the same entry.
    #[test]
    fn every_flipped_bit_says_something_else(entry in entry()) {
        let mut raw = entry.encode().expect("within every limit");
        let entry = Parsed::Entry(entry);
        for bit in 0..raw.len() * 8 {
            raw[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(&parse(&raw), &entry);
            raw[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

fn entry_of(body: Body) -> Entry {
    Entry {
        claimed_at: 0,
        body,
    }
}

/// `body(max)` can be written, `body(max + 1)` cannot.
fn check_limit(max: usize, body: impl Fn(usize) -> Body) {
    let entry = entry_of(body(max));
    assert_eq!(
        entry.encode().map(|raw| parse(&raw)),
        Ok(Parsed::Entry(entry)),
        "at {max}"
    );
    assert!(entry_of(body(max + 1)).encode().is_err(), "past {max}");
}

/// `body(1)` can be written, `body(0)` cannot.
fn check_at_least_one(body: impl Fn(usize) -> Body) {
    assert!(entry_of(body(1)).encode().is_ok());
    assert!(entry_of(body(0)).encode().is_err());
}

fn plain_name() -> Name {
    "drop".parse().expect("a name")
}

fn plain_version() -> Version {
    "1.0.0".parse().expect("a version")
}

fn plain_hash() -> Sha256 {
    Sha256::of(&[b"x"])
}

fn some_key(n: usize) -> Key {
    Key::ed25519(Sha256::of(&[&n.to_be_bytes()]).as_bytes())
}

fn some_signatures(n: usize) -> Signatures {
    (0..n)
        .map(|n| (some_key(n), Signature::from_bytes([7; 64])))
        .collect()
}

fn publish(payload: usize, signatures: usize) -> Body {
    Body::Publish(Publish {
        name: plain_name(),
        version: plain_version(),
        payload: vec![b'x'; payload],
        signatures: some_signatures(signatures),
    })
}

fn attest(kind: usize, payload: usize, signatures: usize) -> Body {
    Body::Attest(Attest {
        subject: plain_hash(),
        kind: "t".repeat(kind),
        payload: vec![b'x'; payload],
        signatures: some_signatures(signatures),
    })
}

fn status() -> Status {
    Status {
        name: plain_name(),
        version: None,
        state: StatusState::Deprecated,
        on: true,
        reason: String::new(),
        successor: None,
    }
}

fn review() -> Review {
    Review {
        name: plain_name(),
        version: None,
        rating: None,
        tags: Vec::new(),
        language: String::new(),
        text: String::new(),
    }
}

fn advisory() -> Advisory {
    Advisory {
        id: "A-1".to_owned(),
        name: plain_name(),
        ranges: vec!["<1.2".to_owned()],
        severity: Severity::High,
        urls: Vec::new(),
        text: String::new(),
        withdrawn: false,
    }
}

fn handle() -> HandleOperation {
    HandleOperation {
        prev: None,
        label: plain_name(),
        publish_threshold: 1,
        change_threshold: 1,
        keys: vec![some_key(0)],
        receive: Vec::new(),
        drop: Vec::new(),
        about: String::new(),
        signatures: some_signatures(1),
    }
}

fn handle_with(change: impl Fn(&mut HandleOperation)) -> Body {
    let mut operation = handle();
    change(&mut operation);
    Body::Handle(Box::new(operation))
}

#[test]
fn releases_end_at_their_limits() {
    check_limit(MANIFEST_BYTES_MAX, |n| publish(n, 1));
    check_limit(ENTRY_SIGNATURES_MAX, |n| publish(0, n));
    check_at_least_one(|n| publish(0, n));
}

#[test]
fn names_and_versions_end_at_their_limits() {
    let approve = |name: usize, pre: usize| {
        written(2, |w| {
            w.array(3)
                .text(&"a".repeat(name))
                .text(&format!("1.0.0-{}", "a".repeat(pre)))
                .bytes(&[0; 32]);
        })
    };
    assert!(matches!(parse(&approve(64, 58)), Parsed::Entry(_)));
    assert_eq!(parse(&approve(65, 58)), Parsed::Void);
    assert_eq!(parse(&approve(64, 59)), Parsed::Void);
}

#[test]
fn statuses_end_at_their_limits() {
    check_limit(REASON_BYTES_MAX, |n| {
        Body::Status(Status {
            reason: "x".repeat(n),
            ..status()
        })
    });
    let yank = Status {
        state: StatusState::Yanked,
        ..status()
    };
    assert!(entry_of(Body::Status(yank)).encode().is_err());
}

#[test]
fn reviews_end_at_their_limits() {
    let of = |change: &dyn Fn(&mut Review)| {
        let mut review = review();
        change(&mut review);
        Body::Review(review)
    };
    check_limit(16, |n| of(&|review| review.tags = vec![String::new(); n]));
    check_limit(32, |n| of(&|review| review.tags = vec!["t".repeat(n)]));
    check_limit(8, |n| of(&|review| review.language = "l".repeat(n)));
    check_limit(PROSE_BYTES_MAX, |n| {
        of(&|review| review.text = "\n".repeat(n))
    });
    let rate = |n: usize| of(&|review| review.rating = u8::try_from(n).ok());
    check_limit(5, rate);
    check_at_least_one(rate);
    let spoilt = of(&|review| review.language = "d\n".to_owned());
    assert!(entry_of(spoilt).encode().is_err());
}

#[test]
fn attestations_end_at_their_limits() {
    check_limit(256, |n| attest(n, 0, 1));
    check_limit(ATTESTATION_BYTES_MAX, |n| attest(0, n, 1));
    check_limit(ENTRY_SIGNATURES_MAX, |n| attest(0, 0, n));
    check_at_least_one(|n| attest(0, 0, n));
}

#[test]
fn advisories_end_at_their_limits() {
    let of = |change: &dyn Fn(&mut Advisory)| {
        let mut advisory = advisory();
        change(&mut advisory);
        Body::Advisory(advisory)
    };
    let ranges = |n| of(&|a| a.ranges = vec!["*".to_owned(); n]);
    check_limit(64, |n| of(&|a| a.id = "A".repeat(n)));
    check_limit(ADVISORY_RANGES_MAX, ranges);
    check_at_least_one(ranges);
    check_limit(128, |n| of(&|a| a.ranges = vec!["1".repeat(n)]));
    check_limit(ADVISORY_URLS_MAX, |n| {
        of(&|a| a.urls = vec![String::new(); n])
    });
    check_limit(256, |n| of(&|a| a.urls = vec!["u".repeat(n)]));
    check_limit(PROSE_BYTES_MAX, |n| of(&|a| a.text = "\t".repeat(n)));
}

#[test]
fn handle_operations_end_at_their_limits() {
    let marks = |n| {
        (0..n)
            .map(|n| Mark {
                key: some_key(n),
                size: u64::MAX,
                root: plain_hash(),
            })
            .collect()
    };
    let keys = |n| handle_with(|h| h.keys = (0..n).map(some_key).collect());
    check_limit(HANDLE_KEYS_MAX, keys);
    check_at_least_one(keys);
    check_limit(HANDLE_KEYS_MAX, |n| {
        handle_with(|h| h.receive = vec![[0; 32]; n])
    });
    check_limit(HANDLE_KEYS_MAX, |n| handle_with(|h| h.drop = marks(n)));
    check_limit(512, |n| handle_with(|h| h.about = "x".repeat(n)));
    check_limit(ENTRY_SIGNATURES_MAX, |n| {
        handle_with(|h| h.signatures = some_signatures(n))
    });
    check_at_least_one(|n| handle_with(|h| h.signatures = some_signatures(n)));
    let small = |n: usize| u8::try_from(n).expect("a small number");
    check_limit(16, |n| handle_with(|h| h.publish_threshold = small(n)));
    check_limit(16, |n| handle_with(|h| h.change_threshold = small(n)));
    check_at_least_one(|n| handle_with(|h| h.publish_threshold = small(n)));
    check_at_least_one(|n| handle_with(|h| h.change_threshold = small(n)));
}

#[test]
fn one_key_stands_once_in_a_handle_operation() {
    let twice = handle_with(|h| h.keys = vec![some_key(1); 2]);
    assert!(entry_of(twice).encode().is_err());
    let drops = [1, 2].map(|size| Mark {
        key: some_key(1),
        size,
        root: plain_hash(),
    });
    let twice = handle_with(|h| h.drop = drops.to_vec());
    assert!(entry_of(twice).encode().is_err());
}

#[test]
fn other_operations_end_at_their_limits() {
    check_limit(GRANT_NAMES_MAX, |n| {
        Body::Grant(Grant {
            handle: HandleId::from_bytes([1; 32]),
            role: Role::Publisher,
            names: vec![plain_name(); n],
        })
    });
    check_limit(64, |n| {
        Body::Member(Member {
            node: some_key(0),
            label: "l".repeat(n),
            on: true,
        })
    });
    check_limit(512, |n| {
        Body::Suspend(Suspend {
            subject: Subject::Package(plain_name()),
            on: true,
            reason: "r".repeat(n),
        })
    });
    check_limit(512, |n| {
        let mark = Mark {
            key: some_key(0),
            size: 0,
            root: Sha256::of(&[]),
        };
        Body::Cut(Cut {
            mark,
            reason: "r".repeat(n),
        })
    });
}

/// An entry of form 1 with a body written by hand.
fn written(kind: u64, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(4).uint(FORM).uint(kind).uint(0);
    body(&mut writer);
    writer.finish()
}

#[test]
fn an_unknown_kind_is_no_void_entry() {
    for kind in [4, 15, 19, 31, 39, 41, 96, u64::MAX] {
        let raw = written(kind, |w| {
            w.array(2).uint(1).text("whatever");
        });
        assert_eq!(parse(&raw), Parsed::Unknown { kind });
    }
}

#[test]
fn entries_end_at_what_a_bundle_can_carry() {
    let of = |len: usize| {
        written(99, |w| {
            w.bytes(&vec![0; len]);
        })
    };
    let longest = of(ENTRY_BYTES_MAX - 8);
    assert_eq!(longest.len(), ENTRY_BYTES_MAX);
    assert_eq!(parse(&longest), Parsed::Unknown { kind: 99 });
    assert_eq!(parse(&of(ENTRY_BYTES_MAX - 7)), Parsed::Void);
}

#[test]
fn what_does_not_fit_its_kind_is_void() {
    let void = |raw: Vec<u8>| assert_eq!(parse(&raw), Parsed::Void, "{raw:02x?}");
    void(Vec::new());
    void(vec![0x84, 2, 0, 0, 0x80]); // another form
    void(vec![0x83, 1, 0, 0]);
    void(vec![0x84, 1, 0x20, 0, 0x80]); // kind -1
    void(vec![0x84, 1, 0, 0x20, 0x80]); // claimed before 1970
    void(vec![0x84, 1, 0, 0x18, 1, 0x80]); // 1 in two bytes
    void(vec![0x84, 1, 0, 0, 0x80, 0]); // a byte too many
    void(vec![0x84, 1, 0, 0, 0x81, 0]); // hello says nothing
    void(vec![0x9f, 1, 0, 0, 0x80, 0xff]); // indefinite
    void(written(2, |w| {
        w.array(3).text("A").text("1.0.0").bytes(&[0; 32]);
    }));
    void(written(2, |w| {
        w.array(3).text("a").text("1.0").bytes(&[0; 32]);
    }));
    void(written(2, |w| {
        w.array(3).text("a").text("1.0.0").bytes(&[0; 31]);
    }));
    void(written(33, |w| {
        w.array(3).bytes(&[0; 32]).uint(6).array(0);
    }));
    void(written(33, |w| {
        w.array(3).bytes(&[0; 32]).uint(0).array(0);
    }));
    void(written(35, |w| {
        w.array(3).array(3).uint(1).text("a").text("1.0.0");
        w.bool(true).text("");
    }));
    void(written(18, |w| {
        w.array(7).text("A").text("a").array(1).text("*").uint(5);
        w.array(0).text("").bool(false);
    }));
}

#[test]
fn a_handle_message_is_of_one_repository_and_one_operation() {
    let repo = RepoId::from_hash(plain_hash());
    let message = String::from_utf8(handle_message(&repo, &handle())).expect("text");
    assert!(message.starts_with(&format!("skep-handle/v1\n{repo}\n")));
    assert_eq!(message.len(), "skep-handle/v1\n".len() + 63 + 1 + 64 + 1);

    let signed = HandleOperation {
        signatures: vec![(
            SigningKey::from_seed(&[1; 32]).key(),
            SigningKey::from_seed(&[1; 32]).sign(message.as_bytes()),
        )],
        ..handle()
    };
    assert_eq!(signed.hash(&repo), handle().hash(&repo));
    let other = RepoId::from_hash(Sha256::of(&[b"y"]));
    assert_ne!(signed.hash(&other), handle().hash(&repo));
    let changed = HandleOperation {
        about: "y".to_owned(),
        ..handle()
    };
    assert_ne!(changed.hash(&repo), handle().hash(&repo));
}
