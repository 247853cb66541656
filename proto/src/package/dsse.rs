//! DSSE: what a signature over a payload covers.

/// The pre-authentication encoding of DSSE: what is signed in place of `payload`, so that no byte
/// string is a payload of two types.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of DSSE's specification.
    #[test]
    fn a_payload_is_bound_to_its_type_and_length() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
