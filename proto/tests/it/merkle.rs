//! RFC 6962 against the vectors of transparency-dev/merkle.

use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::Value;
use skep_proto::hash::Sha256;
use skep_proto::log::tree::{verify_consistency, verify_inclusion};

use crate::outside;

/// The JSON files of the archive below `testdata/KIND/`, with their paths.
fn cases(folder: &Path, kind: &str) -> Vec<(String, Value)> {
    let file = std::fs::File::open(folder.join("rfc6962/merkle-testdata.tar.gz"));
    let file = file.expect("the folder has this file");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("a whole archive");
        let path = entry.path().expect("a path").display().to_string();
        let below = path.trim_start_matches("./").strip_prefix("testdata/");
        let wanted = below.is_some_and(|rest| rest.starts_with(&format!("{kind}/")));
        if wanted && path.ends_with(".json") {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("UTF-8");
            found.push((path, serde_json::from_str(&text).expect("JSON")));
        }
    }
    found
}

/// A hash of a case. Some cases hold words instead ("don't care 1"), which our types cannot carry:
/// a hash of them stands for them, equal where they are equal. `None` for an empty one.
fn hash(value: &Value) -> Option<Sha256> {
    let bytes = BASE64.decode(value.as_str().unwrap_or_default().as_bytes());
    let bytes = bytes.expect("base64");
    if bytes.is_empty() {
        return None;
    }
    let exact = <[u8; 32]>::try_from(bytes.as_slice());
    Some(exact.map_or_else(|_| Sha256::of(&[b"words: ", &bytes]), Sha256::from_bytes))
}

fn proof(case: &Value) -> Option<Vec<Sha256>> {
    let hashes = case["proof"].as_array();
    hashes.into_iter().flatten().map(hash).collect()
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().expect("an unsigned integer")
}

/// `None` where a hash of the case is empty: our types refuse to say it.
fn included(case: &Value, size: &str) -> Option<bool> {
    let (index, n) = (number(case, "leafIdx"), number(case, size));
    let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
    Some(verify_inclusion(index, &leaf, n, &root, &proof(case)?).is_ok())
}

/// As [`included`].
fn consistent(case: &Value, m: &str, n: &str) -> Option<bool> {
    let (m, n) = (number(case, m), number(case, n));
    let (root_m, root_n) = (hash(&case["root1"])?, hash(&case["root2"])?);
    Some(verify_consistency(m, &root_m, n, &root_n, &proof(case)?).is_ok())
}

/// Counts the cases, and those that must verify, after asserting that `verifies` says so.
fn check(cases: &[(String, Value)], verifies: impl Fn(&Value) -> Option<bool>) -> (usize, usize) {
    let mut good = 0;
    for (path, case) in cases {
        let wanted = !case["wantErr"].as_bool().expect("true or false");
        assert_eq!(
            verifies(case).unwrap_or(false),
            wanted,
            "{path}: {}",
            case["desc"]
        );
        good += usize::from(wanted);
    }
    (cases.len(), good)
}

#[test]
fn inclusion_agrees_with_outside_vectors() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let cases = cases(&folder, "inclusion");
    assert_eq!(check(&cases, |case| included(case, "treeSize")), (98, 6));
}

#[test]
fn consistency_agrees_with_outside_vectors() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let cases = cases(&folder, "consistency");
    assert_eq!(
        check(&cases, |case| consistent(case, "size1", "size2")),
        (98, 6)
    );
}

/// The 322 cases about subtrees prove things of the leaves `start..end`. Those with `start = 0` are
/// proofs of ours in other words. The rest have no counterpart: nothing here signs or asks for a
/// subtree that is no prefix, or (`0..0`) for one without leaves.
#[test]
fn subtrees_that_are_prefixes_agree_with_outside_vectors() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let of = |kind| {
        let prefixes = |(_, case): &(String, Value)| number(case, "start") == 0;
        let (ours, other): (Vec<_>, Vec<_>) = cases(&folder, kind).into_iter().partition(prefixes);
        (ours, other.len())
    };
    let (inclusion, no_prefix) = of("subtreeinclusion");
    let (consistency, no_prefix_either) = of("subtreeconsistency");
    assert_eq!((no_prefix, no_prefix_either), (103, 16));
    let inclusion = check(&inclusion, |case| included(case, "end"));
    assert_eq!(inclusion, (101, 6));
    let (empty, consistency): (Vec<_>, Vec<_>) = consistency
        .into_iter()
        .partition(|(_, case)| number(case, "end") == 0);
    let consistency = check(&consistency, |case| consistent(case, "end", "size"));
    assert_eq!((empty.len(), consistency), (11, (91, 6)));
}
