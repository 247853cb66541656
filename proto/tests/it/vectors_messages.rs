//! Golden bytes of messages, tags, tickets and a manifest, for other implementations.

use serde_json::json;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{HandleId, NodeId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::package::dsse;
use skep_proto::package::manifest::{manifest_hash, write_facts, write_tree};
use skep_proto::package::source::{FileDigest, Found, Source, assemble};
use skep_proto::repo::root::SignedRoot;
use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{
    Answer, Hello, Message, Push, Record, Refusal, Request, TrieNode, tag, topic,
};
use skep_proto::ticket::Ticket;

use crate::golden;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"vector"]))
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[42; 32])
}

fn checkpoint(size: u64, root: &[u8]) -> Checkpoint {
    Checkpoint::sign(&repo(), &key(), size, Sha256::of(&[root])).expect("a size in range")
}

#[test]
fn messages_of_the_sync_stream() {
    let hello = Hello {
        versions: vec![1],
        nonce: [7; 32],
        frame_bytes_max: 1 << 20,
    };
    let root = SignedRoot {
        payload: b"{}".to_vec(),
        signatures: vec![(key().key(), key().sign(b"x"))],
    };
    let forked = ForkEvidence {
        a: checkpoint(2, b"a"),
        b: checkpoint(2, b"b"),
        alt_root: Sha256::of(&[b"b"]),
        proof: vec![],
    };
    let cut = Record::Cut {
        key: key().key(),
        size: 1,
        root: Sha256::of(&[b"cut"]),
        checkpoint: Some(checkpoint(2, b"a")),
        proof: vec![Sha256::of(&[b"p"])],
    };
    let prefix = Prefix::new(&[1, 15]).expect("nibbles");
    let request = |request| Message::Request { id: 1, request };
    let answer = |answer| Message::Answer { id: 1, answer };
    let repo = repo();
    let all = [
        ("hello", request(Request::Hello(hello.clone()))),
        ("hello-answer", answer(Answer::Hello(hello))),
        ("tags", request(Request::Tags(vec![[1; 16], [2; 16]]))),
        ("roots", request(Request::Roots { repo, have: 3 })),
        (
            "roots-answer",
            answer(Answer::Roots {
                documents: vec![root],
                more: true,
            }),
        ),
        (
            "trie",
            request(Request::Trie {
                repo,
                prefixes: vec![Prefix::default(), prefix],
            }),
        ),
        (
            "trie-answer",
            answer(Answer::Trie(vec![
                TrieNode::Children(Box::new([Sha256::of(&[]); 16])),
                TrieNode::Records(vec![
                    Record::Log(checkpoint(2, b"a")),
                    cut,
                    Record::Forked(forked.clone()),
                ]),
            ])),
        ),
        (
            "get",
            request(Request::Get {
                repo,
                key: key().key(),
                from: 1,
                to: 2,
                size: 2,
                root: Sha256::of(&[b"a"]),
            }),
        ),
        (
            "get-answer",
            answer(Answer::Get {
                entries: vec![vec![0x84, 0x01, 0x00, 0x00, 0x80]],
                proof: vec![],
            }),
        ),
        (
            "proof",
            request(Request::Proof {
                repo,
                key: key().key(),
                m: 1,
                n: 2,
            }),
        ),
        (
            "proof-answer",
            answer(Answer::Proof {
                root: Sha256::of(&[b"m"]),
                proof: vec![Sha256::of(&[b"p"])],
                checkpoint: checkpoint(2, b"a"),
            }),
        ),
        (
            "checkpoints",
            Message::Push(Push::Checkpoints {
                repo,
                checkpoints: vec![checkpoint(2, b"a")],
            }),
        ),
        (
            "evidence",
            Message::Push(Push::Evidence {
                repo,
                evidence: forked,
            }),
        ),
        (
            "busy",
            Message::Refusal {
                id: None,
                refusal: Refusal::Busy { retry_after_s: 9 },
            },
        ),
        (
            "not-found",
            Message::Refusal {
                id: Some(1),
                refusal: Refusal::NotFound,
            },
        ),
    ];
    let frames = all.map(|(name, message)| {
        let frame = message.encode();
        assert_eq!(Message::decode(&frame), Ok(message), "{name}");
        (name.to_owned(), json!(hex(&frame)))
    });
    let (a, b) = (Key::ed25519(&[1; 32]), Key::ed25519(&[2; 32]));
    let tags = [0, 1].map(|role| hex(&tag(&repo, (&a, &[3; 32]), (&b, &[4; 32]), role)));
    let frames: serde_json::Map<String, serde_json::Value> = frames.into_iter().collect();
    let data = checkpoint(2, b"a").to_bytes();
    let gossip = json!({
        "topic": hex(&topic(&repo)),
        "data": hex(&data),
        "id": Blake3::of(&[&data]).to_string(),
    });
    golden::check(
        "messages.json",
        &json!({ "repo": repo.to_string(), "frames": frames, "tags": tags, "gossip": gossip }),
    );
}

#[test]
fn tickets() {
    let full = Ticket {
        repo: repo(),
        root: (3, Sha256::of(&[b"root"])),
        nodes: vec![(
            NodeId::from_key(key().key()),
            vec!["/ip4/192.0.2.7/tcp/7701".to_owned()],
        )],
        package: Some("drop".parse().expect("a name")),
        handle: Some(HandleId::from_bytes([9; 32])),
        secret: Some([5; 16]),
    };
    let bare = Ticket {
        nodes: vec![],
        package: None,
        handle: None,
        secret: None,
        ..full.clone()
    };
    let text = |ticket: &Ticket| ticket.to_text().expect("short enough");
    golden::check(
        "tickets.json",
        &json!({ "full": text(&full), "bare": text(&bare) }),
    );
}

#[test]
fn a_manifest_and_what_signs_it() {
    let source = "[package]\nname = \"drop\"\nversion = \"0.1.0\"\nlicense = \"GPL-2.0-only OR \
                  BSD-2-Clause\"\n\n[[object]]\nfile = \"drop.bpf.o\"\n";
    let object = include_bytes!("../../../cli/demo/drop.bpf.o");
    let found = Found {
        path: "drop.bpf.o".to_owned(),
        executable: false,
        digest: FileDigest::of(object),
        object: Some(skep_proto::ebpf::read(object)),
    };
    let source = Source::parse(source).expect("a source");
    let assembled = assemble(&source, &repo(), &[found]).expect("a manifest");
    let payload = assembled.manifest.to_payload().expect("a payload");
    let signed = dsse::sign(dsse::IN_TOTO, &payload, &key());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("JSON");
    golden::check(
        "manifest.json",
        &json!({
            "payload": String::from_utf8(payload.clone()).expect("JSON"),
            "sha256": manifest_hash(&payload).to_string(),
            "pae_blake3": Blake3::of(&[&dsse::pae(dsse::IN_TOTO, &payload)]).to_string(),
            "key": signed[0].0.to_string(),
            "signature": hex(signed[0].1.as_bytes()),
            "tree": text(write_tree(&assembled.manifest.files)),
            "facts": text(write_facts(assembled.manifest.details.facts.as_ref().expect("facts"))),
        }),
    );
}
