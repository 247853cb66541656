//! DSSE: what a signature over a payload covers, and the envelope that outside tools read.

use data_encoding::BASE64;
use serde_json::json;

use crate::hash::to_hex;
use crate::key::{Key, Signatures, SigningKey};

/// Payload type of a manifest: an in-toto Statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The pre-authentication encoding of DSSE v1: what is signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// Signs a payload of a type.
pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Signatures {
    vec![(key.key(), key.sign(&pae(payload_type, payload)))]
}

/// The distinct keys whose signature over a payload of a type verifies.
pub fn signers(
    payload_type: &str,
    payload: &[u8],
    signatures: &Signatures,
) -> std::collections::BTreeSet<Key> {
    crate::key::signers(signatures, &pae(payload_type, payload))
}

/// The JSON envelope, for tools that know nothing of Skep. Written only: it is never parsed inside
/// the log.
pub fn envelope(payload_type: &str, payload: &[u8], signatures: &Signatures) -> String {
    let signatures: Vec<serde_json::Value> = signatures
        .iter()
        .map(|(key, signature)| {
            json!({ "keyid": to_hex(key.as_bytes()), "sig": BASE64.encode(signature.as_bytes()) })
        })
        .collect();
    let envelope = json!({
        "payloadType": payload_type,
        "payload": BASE64.encode(payload),
        "signatures": signatures,
    });
    envelope.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let encoded = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            encoded,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_signature_is_for_one_payload_and_one_type() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signatures = sign(IN_TOTO, b"{}", &key);
        assert!(signers(IN_TOTO, b"{}", &signatures).contains(&key.key()));
        assert!(signers(IN_TOTO, b"{} ", &signatures).is_empty());
        assert!(signers("text/plain", b"{}", &signatures).is_empty());
    }

    #[test]
    fn the_envelope_is_what_outside_tools_read() {
        let key = SigningKey::from_seed(&[1; 32]);
        let text = envelope(IN_TOTO, b"{}", &sign(IN_TOTO, b"{}", &key));
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["payload"], "e30=");
        assert_eq!(read["payloadType"], IN_TOTO);
        assert_eq!(read["signatures"][0]["keyid"], key.key().to_string());
    }
}
