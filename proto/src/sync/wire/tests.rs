use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;

use super::*;
use crate::key::{Signature, SigningKey};

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

fn hash(n: u8) -> Sha256 {
    Sha256::of(&[&[n]])
}

fn checkpoint(n: u8) -> Checkpoint {
    let key = SigningKey::from_seed(&[n; 32]);
    Checkpoint::sign(&repo(), &key, u64::from(n) + 1, hash(n)).expect("a size in range")
}

fn evidence() -> ForkEvidence {
    ForkEvidence {
        a: checkpoint(1),
        b: checkpoint(1),
        alt_root: hash(3),
        proof: vec![hash(4); 3],
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let key = || Key::ed25519(&[7; 32]);
    prop_oneof![
        (
            any::<[u8; 32]>(),
            prop::collection::vec(any::<u64>(), 0..=VERSIONS_MAX)
        )
            .prop_map(|(nonce, versions)| Request::Hello(Hello {
                versions,
                nonce,
                frame_bytes_max: 1 << 20
            })),
        prop::collection::vec(any::<[u8; 16]>(), 0..40).prop_map(Request::Tags),
        any::<u64>().prop_map(|have| Request::Roots { repo: repo(), have }),
        prop::collection::vec(prop::collection::vec(0u8..16, 0..=64), 0..20).prop_map(|prefixes| {
            Request::Trie {
                repo: repo(),
                prefixes: prefixes.iter().filter_map(|p| Prefix::new(p)).collect(),
            }
        }),
        (0u64..1 << 40, 1u64..=ENTRIES_MAX).prop_map(move |(from, count)| Request::Get {
            repo: repo(),
            key: key(),
            from,
            to: from + count,
            size: from + count,
            root: hash(1),
        }),
        any::<(u64, u64)>().prop_map(move |(m, n)| Request::Proof {
            repo: repo(),
            key: key(),
            m,
            n
        }),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    let documents = (0u8..3, any::<bool>()).prop_map(|(n, more)| Answer::Roots {
        documents: (0..n)
            .map(|n| SignedRoot {
                payload: vec![n; 100],
                signatures: vec![(Key::ed25519(&[n; 32]), Signature::from_bytes([n; 64]))],
            })
            .collect(),
        more,
    });
    let nodes = prop::collection::vec(nodes(), 0..4).prop_map(Answer::Trie);
    let entries = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..9);
    prop_oneof![
        documents,
        nodes,
        (entries, 0u8..5).prop_map(|(entries, n)| Answer::Get {
            entries,
            proof: (0..n).map(hash).collect()
        }),
        (0u8..5).prop_map(|n| Answer::Proof {
            root: hash(n),
            proof: (0..n).map(hash).collect(),
            checkpoint: checkpoint(n),
        }),
    ]
}

fn nodes() -> impl Strategy<Value = TrieNode> {
    let record = (0u8..4).prop_map(|n| match n {
        0 => Record::Log(checkpoint(1)),
        1 => Record::Cut {
            key: Key::ed25519(&[1; 32]),
            size: 0,
            root: hash(1),
            checkpoint: None,
            proof: vec![],
        },
        2 => Record::Cut {
            key: checkpoint(2).key,
            size: 1,
            root: hash(1),
            checkpoint: Some(checkpoint(2)),
            proof: vec![hash(2)],
        },
        _ => Record::Forked(evidence()),
    });
    prop_oneof![
        (0u8..9).prop_map(|n| TrieNode::Children(Box::new([hash(n); 16]))),
        prop::collection::vec(record, 0..=RECORDS_MAX).prop_map(TrieNode::Records),
    ]
}

fn messages() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u32>(), requests()).prop_map(|(id, request)| Message::Request { id, request }),
        (any::<u32>(), answers()).prop_map(|(id, answer)| Message::Answer { id, answer }),
        (0u8..4).prop_map(|n| Message::Push(Push::Checkpoints {
            repo: repo(),
            checkpoints: (0..n).map(checkpoint).collect()
        })),
        (0u8..1).prop_map(|_| Message::Push(Push::Evidence {
            repo: repo(),
            evidence: evidence()
        })),
        any::<Option<u32>>().prop_map(|id| Message::Refusal {
            id,
            refusal: Refusal::Busy { retry_after_s: 3 }
        }),
        any::<Option<u32>>().prop_map(|id| Message::Refusal {
            id,
            refusal: Refusal::NotFound
        }),
    ]
}

proptest! {
    #[test]
    fn every_message_reads_back(message in messages()) {
        let frame = message.encode();
        proptest::prop_assert!(frame.len() <= FRAME_BYTES_MAX);
        proptest::prop_assert_eq!(Message::decode(&frame), Ok(message));
    }

    #[test]
    fn a_message_that_is_cut_short_is_refused(message in messages()) {
        let frame = message.encode();
        for cut in 0..frame.len() {
            proptest::prop_assert!(Message::decode(&frame[..cut]).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_says_something_else(message in messages(), at: usize, bit in 0u8..8) {
        let mut frame = message.encode();
        let at = at % frame.len();
        frame[at] ^= 1 << bit;
        if let Ok(other) = Message::decode(&frame) {
            if other == message {
                return Err(TestCaseError::fail("two frames for one message"));
            }
            proptest::prop_assert_eq!(other.encode(), frame);
        }
    }

    #[test]
    fn no_bytes_panic(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(Message::decode(&frame));
    }
}

/// Every limit through here: `frame` is at it, `over` one past.
fn check(at: &Message, over: &Message) {
    assert_eq!(Message::decode(&at.encode()).as_ref(), Ok(at));
    assert!(Message::decode(&over.encode()).is_err());
}

fn request(request: Request) -> Message {
    Message::Request { id: 1, request }
}

fn answer(answer: Answer) -> Message {
    Message::Answer { id: 1, answer }
}

#[test]
fn lists_end_at_their_limits() {
    let tags = |n| request(Request::Tags(vec![[1; 16]; n]));
    check(&tags(TAGS_MAX), &tags(TAGS_MAX + 1));
    let trie = |n| {
        request(Request::Trie {
            repo: repo(),
            prefixes: vec![Prefix::default(); n],
        })
    };
    check(&trie(PREFIXES_MAX), &trie(PREFIXES_MAX + 1));
    let nodes = |n| answer(Answer::Trie(vec![TrieNode::Records(vec![]); n]));
    check(&nodes(PREFIXES_MAX), &nodes(PREFIXES_MAX + 1));
    let records = |n| {
        answer(Answer::Trie(vec![TrieNode::Records(vec![
            Record::Log(
                checkpoint(1)
            );
            n
        ])]))
    };
    check(&records(RECORDS_MAX), &records(RECORDS_MAX + 1));
    let push = |n| {
        Message::Push(Push::Checkpoints {
            repo: repo(),
            checkpoints: vec![checkpoint(1); n],
        })
    };
    check(&push(CHECKPOINTS_MAX), &push(CHECKPOINTS_MAX + 1));
    let versions = |n| {
        request(Request::Hello(Hello {
            versions: vec![1; n],
            nonce: [0; 32],
            frame_bytes_max: 1,
        }))
    };
    check(&versions(VERSIONS_MAX), &versions(VERSIONS_MAX + 1));
    let proof = |n| {
        answer(Answer::Get {
            entries: vec![],
            proof: vec![hash(1); n],
        })
    };
    check(&proof(PROOF_HASHES_MAX), &proof(PROOF_HASHES_MAX + 1));
}

#[test]
fn entries_end_at_their_limits() {
    let get = |entries: Vec<Vec<u8>>| {
        answer(Answer::Get {
            entries,
            proof: vec![],
        })
    };
    check(
        &get(vec![vec![0; ENTRY_BYTES_MAX]]),
        &get(vec![vec![0; ENTRY_BYTES_MAX + 1]]),
    );
    let full = vec![vec![0; ENTRIES_BYTES_MAX / 16]; 16];
    let mut over = full.clone();
    over.push(vec![0]);
    check(&get(full), &get(over));
    let range = |from, to, size| {
        request(Request::Get {
            repo: repo(),
            key: Key::ed25519(&[1; 32]),
            from,
            to,
            size,
            root: hash(1),
        })
    };
    check(
        &range(5, 5 + ENTRIES_MAX, 9_999),
        &range(5, 6 + ENTRIES_MAX, 9_999),
    );
    check(&range(5, 6, 6), &range(5, 6, 5));
    check(&range(5, 6, 6), &range(6, 6, 6));
}

#[test]
fn answers_are_filled_to_the_frame_and_no_further() {
    let document = SignedRoot {
        payload: vec![0; crate::limits::ROOT_DOCUMENT_BYTES_MAX],
        signatures: vec![(Key::ed25519(&[1; 32]), Signature::from_bytes([1; 64]))],
    };
    let Answer::Roots { documents, more } =
        Answer::roots_that_fit(vec![document; ROOTS_MAX], false)
    else {
        unreachable!("it makes root documents");
    };
    assert!(more && documents.len() == 15, "{}", documents.len());
    let frame = answer(Answer::Roots { documents, more }).encode();
    assert!(frame.len() <= FRAME_BYTES_MAX && Message::decode(&frame).is_ok());
}

#[test]
fn unknown_types_are_refused() {
    assert_eq!(Message::decode(&[]), Err(Error::Empty));
    for kind in (0..=255u8).filter(|kind| !matches!(kind & 0x7f, 1..=9)) {
        assert_eq!(Message::decode(&[kind, 0x80]), Err(Error::Type(kind)));
    }
    // Pushes and refusals have no answers.
    for kind in [0x84, 0x88, 0x89] {
        assert_eq!(Message::decode(&[kind, 0x80]), Err(Error::Type(kind)));
    }
}

#[test]
fn tags_differ_by_side_session_and_repository() {
    let (a, b) = (Key::ed25519(&[1; 32]), Key::ed25519(&[2; 32]));
    let (n, o) = ([3; 32], [4; 32]);
    let base = tag(&repo(), (&a, &n), (&b, &o), 0);
    assert_eq!(base, tag(&repo(), (&a, &n), (&b, &o), 0));
    assert_ne!(base, tag(&repo(), (&a, &n), (&b, &o), 1));
    assert_ne!(base, tag(&repo(), (&a, &o), (&b, &n), 0));
    assert_ne!(base, tag(&repo(), (&b, &n), (&a, &o), 0));
    assert_ne!(
        base,
        tag(&RepoId::from_hash(hash(9)), (&a, &n), (&b, &o), 0)
    );
}
