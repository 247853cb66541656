//! A root document as a file: the DSSE envelope, read as strictly as it is written.

use data_encoding::BASE64;
use serde::Deserialize;

use crate::key::{Key, Signature};
use crate::limits::{ROOT_DOCUMENT_BYTES_MAX, ROOT_SIGNATURES_MAX};
use crate::package::dsse::envelope;
use crate::repo::root::{PAYLOAD_TYPE, SignedRoot};

/// Longest envelope in bytes: the payload in base64, 175 bytes for each signature, and room for
/// the rest.
pub const DOCUMENT_BYTES_MAX: usize =
    ROOT_DOCUMENT_BYTES_MAX.div_ceil(3) * 4 + ROOT_SIGNATURES_MAX * 192 + 256;

#[derive(Deserialize)]
struct Envelope {
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    keyid: Key,
    sig: String,
}

/// The envelope of a root document with its set of signatures.
pub(super) fn write(signed: &SignedRoot) -> Vec<u8> {
    envelope(PAYLOAD_TYPE, &signed.payload, &signed.signatures).into_bytes()
}

/// Reads exactly what [`write`] writes; none if it is anything else.
pub(super) fn read(bytes: &[u8]) -> Option<SignedRoot> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return None;
    }
    let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
    if envelope.signatures.len() > ROOT_SIGNATURES_MAX {
        return None;
    }
    let signatures = envelope.signatures.iter().map(|signature| {
        let bytes = BASE64.decode(signature.sig.as_bytes()).ok()?;
        let bytes = bytes.try_into().ok()?;
        Some((signature.keyid, Signature::from_bytes(bytes)))
    });
    let signed = SignedRoot {
        payload: BASE64.decode(envelope.payload.as_bytes()).ok()?,
        signatures: signatures.collect::<Option<_>>()?,
    };
    (signed.payload.len() <= ROOT_DOCUMENT_BYTES_MAX && write(&signed) == bytes).then_some(signed)
}
