//! Outside vectors of the primitives: on what other libraries disagree, strict verification decides.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde_json::Value;
use skep_proto::hash::Blake3;
use skep_proto::key::{Key, Signature};

use crate::outside;

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the folder has this file");
    serde_json::from_str(&text).expect("the file is JSON")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().expect("a text")
}

fn hex(case: &Value, field: &str) -> Vec<u8> {
    HEXLOWER
        .decode(text(case, field).as_bytes())
        .expect("lower-case hex")
}

/// `None` if the signature has another length than ours: then it cannot even be asked.
fn verifies(public: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = Key::ed25519(public.try_into().expect("32 bytes of key"));
    let signature = Signature::from_bytes(signature.try_into().ok()?);
    Some(key.verify(message, &signature))
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let file = json(&folder.join("ed25519/wycheproof_ed25519_test.json"));
    let (mut asked, mut unaskable) = (0, 0);
    for group in items(&file["testGroups"]) {
        let public = hex(&group["publicKey"], "pk");
        for case in items(&group["tests"]) {
            let valid = text(case, "result") == "valid";
            match verifies(&public, &hex(case, "msg"), &hex(case, "sig")) {
                Some(verified) => {
                    asked += 1;
                    assert_eq!(verified, valid, "case {}", case["tcId"]);
                }
                None => {
                    unaskable += 1;
                    assert!(!valid, "case {}", case["tcId"]);
                }
            }
        }
    }
    assert_eq!((asked, asked + unaskable), (151 - 12, 151));
}

#[test]
fn ed25519_is_strict_on_cctv() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let cases = json(&folder.join("ed25519/cctv_ed25519vectors.json"));
    let accepted: Vec<&Value> = items(&cases)
        .iter()
        .filter(|case| {
            let message = text(case, "msg").as_bytes();
            verifies(&hex(case, "key"), message, &hex(case, "sig")).expect("64 bytes")
        })
        .collect();
    assert_eq!((items(&cases).len(), accepted.len()), (914, 43));
    // What is accepted has neither a small-order point nor an encoding that is not the only one.
    for case in accepted {
        for flag in case["flags"].as_array().into_iter().flatten() {
            let flag = flag.as_str().expect("a text");
            let bad = [
                "low_order_A",
                "low_order_R",
                "non_canonical_A",
                "non_canonical_R",
            ];
            assert!(!bad.contains(&flag), "case {}: {flag}", case["number"]);
        }
    }
}

#[test]
fn ed25519_is_strict_on_speccheck() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let cases = json(&folder.join("ed25519/speccheck_cases.json"));
    let accepted: Vec<usize> = items(&cases)
        .iter()
        .enumerate()
        .filter(|(_, case)| {
            let message = hex(case, "message");
            verifies(&hex(case, "pub_key"), &message, &hex(case, "signature")).expect("64 bytes")
        })
        .map(|(number, _)| number)
        .collect();
    assert_eq!(items(&cases).len(), 12);
    assert_eq!(accepted, [3]);
}

#[test]
fn blake3_agrees_with_its_authors() {
    let Some(folder) = outside::folder("SKEP_VECTORS") else {
        return;
    };
    let file = json(&folder.join("blake3/test_vectors.json"));
    for case in items(&file["cases"]) {
        let len = usize::try_from(case["input_len"].as_u64().expect("a length")).expect("small");
        let input: Vec<u8> = (0..=250u8).cycle().take(len).collect();
        let expected = &text(case, "hash")[..64];
        assert_eq!(Blake3::of(&[&input]).to_string(), expected, "length {len}");
        let (head, tail) = input.split_at(len / 2);
        assert_eq!(
            Blake3::of(&[head, tail]),
            Blake3::of(&[&input]),
            "length {len}"
        );
    }
    assert_eq!(items(&file["cases"]).len(), 35);
}
