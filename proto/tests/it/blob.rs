//! Golden vectors of chunk groups, for other implementations.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use skep_proto::blob::{GROUP_BYTES, GroupLister};
use skep_proto::hash::Blake3;

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/vectors/blob-groups.json"
);

fn blob(size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).expect("a small blob")];
    blake3::Hasher::new()
        .update(&size.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn vector(size: u64) -> Value {
    let bytes = blob(size);
    let mut lister = GroupLister::new();
    lister.update(&bytes).expect("below the limit");
    let list = lister.finish();
    assert_eq!(*list.hash(), Blake3::of(&[&bytes]));
    json!({
        "size": size,
        "hash": list.hash().to_string(),
        "list": HEXLOWER.encode(&list.to_bytes()),
    })
}

#[test]
fn group_lists_are_the_golden_ones() {
    let sizes = [
        0,
        1,
        1_025,
        GROUP_BYTES - 1,
        GROUP_BYTES,
        GROUP_BYTES + 1,
        2 * GROUP_BYTES,
        2 * GROUP_BYTES + 1,
        3 * GROUP_BYTES - 1_024,
        4 * GROUP_BYTES + 1,
        7 * GROUP_BYTES,
        9 * GROUP_BYTES + 77,
    ];
    let made = Value::Array(sizes.into_iter().map(vector).collect());
    let text = serde_json::to_string_pretty(&made).expect("JSON of our own") + "\n";
    if std::env::var("SKEP_WRITE_VECTORS").is_ok_and(|v| v == "1") {
        std::fs::write(PATH, &text).expect("the vectors can be written");
    }
    let golden = std::fs::read_to_string(PATH).expect("the vectors are there");
    assert_eq!(golden, text);
}
