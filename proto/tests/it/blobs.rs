//! The messages of the blob exchange against golden bytes.

use std::path::Path;

use skep_proto::claimed::Claimed;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::sync::blobs::{Answer, Ask, Group, List, Request, Said};

/// Name and frame, without its length, of one message of each kind.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let request = |ask| Request {
        id: 1,
        repo: RepoId::from_hash(Sha256::from_bytes([0x11; 32])),
        hash: Blake3::from_bytes([0x22; 32]),
        ask,
    };
    let answer = |said| Answer { id: 1, said }.encode();
    let ask = Ask::Groups {
        first: 300,
        count: 16,
    };
    vec![
        ("request groups", request(ask).encode()),
        ("request list", request(Ask::List).encode()),
        (
            "answer group",
            answer(Said::Group(Claimed(Group {
                index: 300,
                bytes: b"the bytes of a group".to_vec(),
            }))),
        ),
        (
            "answer list",
            answer(Said::List(Claimed(List {
                size: 262_145,
                bytes: [[0x33; 32], [0x44; 32]].concat(),
            }))),
        ),
        (
            "answer list of one group",
            answer(Said::List(Claimed(List {
                size: 262_144,
                bytes: Vec::new(),
            }))),
        ),
        ("answer busy", answer(Said::Busy { seconds: 30 })),
        ("answer not found", answer(Said::NotFound)),
    ]
}

#[test]
fn golden_bytes_of_the_blob_exchange() {
    let lines: Vec<serde_json::Value> = messages()
        .into_iter()
        .map(|(name, frame)| {
            serde_json::json!({ "name": name, "frame": data_encoding::HEXLOWER.encode(&frame) })
        })
        .collect();
    let text = serde_json::to_string_pretty(&lines).expect("JSON of strings") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/blob-exchange.json");
    if std::env::var_os("SKEP_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("the folder of vectors is there");
    }
    let golden = std::fs::read_to_string(&path).expect("the vectors are there");
    assert_eq!(golden, text);
}

#[test]
fn golden_bytes_read_back() {
    for (name, frame) in messages() {
        let again = if name.starts_with("request") {
            Request::decode(&frame).expect(name).encode()
        } else {
            Answer::decode(frame.clone()).expect(name).encode()
        };
        assert_eq!(again, frame, "{name}");
    }
}
