//! Keys and signatures: Ed25519, verified strictly, shown as OpenSSH shows them.
//!
//! `verify_strict` of ed25519-dalek is the only verifier of anything in a log. Nodes that accepted
//! different signatures would see different repositories, and libraries do differ (small-order
//! keys, batch verification), so nothing else may be used, not even as a pre-check.

pub mod file;

use std::collections::BTreeSet;

use crate::bytes::{Error, Reader, Writer};
use crate::hash::{NotHex, from_hex, to_hex};

/// First byte of a [`Key`]: Ed25519. 0x06 is kept for ML-DSA-44.
pub const ED25519: u8 = 0x01;

/// A public key: the algorithm, then 32 bytes. In JSON and notes lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 33]);

/// An Ed25519 signature, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

/// Signatures as they stand beside what they sign; each key counts once, unknown and bad ones are
/// ignored, not fatal.
pub type Signatures = Vec<(Key, Signature)>;

/// A line that is no `ssh-ed25519` public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an OpenSSH line `ssh-ed25519 AAAA…`")]
pub struct NotOpenSsh;

impl Key {
    pub const LEN: usize = 33;

    pub const fn from_bytes(bytes: [u8; 33]) -> Self {
        Self(bytes)
    }

    pub fn ed25519(public: &[u8; 32]) -> Self {
        let mut bytes = [ED25519; 33];
        bytes[1..].copy_from_slice(public);
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The 32 bytes after the algorithm.
    pub fn public_bytes(&self) -> &[u8; 32] {
        self.0[1..].try_into().expect("33 bytes less one")
    }

    /// Whether `signature` over `message` is this key's, strictly. An unknown algorithm never is.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        if self.0[0] != ED25519 {
            return false;
        }
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(self.public_bytes()) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).is_ok()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.to_ssh()
            .fingerprint(ssh_key::HashAlg::Sha256)
            .to_string()
    }

    /// `ssh-ed25519 AAAA…`, without a comment.
    pub fn to_openssh(&self) -> String {
        self.to_ssh()
            .to_openssh()
            .expect("an Ed25519 key always encodes")
    }

    /// Reads `ssh-ed25519 AAAA… [comment]`.
    pub fn from_openssh(line: &str) -> Result<Self, NotOpenSsh> {
        let key = ssh_key::PublicKey::from_openssh(line.trim()).map_err(|_| NotOpenSsh)?;
        let ed25519 = key.key_data().ed25519().ok_or(NotOpenSsh)?;
        Ok(Self::ed25519(&ed25519.0))
    }

    fn to_ssh(self) -> ssh_key::PublicKey {
        ssh_key::PublicKey::from(ssh_key::public::Ed25519PublicKey(*self.public_bytes()))
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.bytes_of().map(Self)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({self})")
    }
}

impl std::str::FromStr for Key {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        from_hex(text).map(Self)
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Signature {
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.bytes_of().map(Self)
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({})", to_hex(&self.0))
    }
}

/// Reads `[1*max [key, bstr 64]]`.
pub fn read_signatures(reader: &mut Reader<'_>, max: usize) -> Result<Signatures, Error> {
    let signatures = reader.items("signatures", max, |reader| {
        reader.array(2)?;
        Ok((Key::read(reader)?, Signature::read(reader)?))
    })?;
    if signatures.is_empty() {
        return Err(Error::Invalid("no signature"));
    }
    Ok(signatures)
}

/// Writes what [`read_signatures`] reads.
pub fn write_signatures(writer: &mut Writer, signatures: &[(Key, Signature)]) {
    writer.array(signatures.len());
    for (key, signature) in signatures {
        writer
            .array(2)
            .bytes(key.as_bytes())
            .bytes(signature.as_bytes());
    }
}

/// The distinct keys whose signature over `message` verifies.
pub fn signers(signatures: &[(Key, Signature)], message: &[u8]) -> BTreeSet<Key> {
    signatures
        .iter()
        .filter(|(key, signature)| key.verify(message, signature))
        .map(|(key, _)| *key)
        .collect()
}

/// A secret key. It has no `Debug` or `Display`, and leaves memory when it is dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key that follows from 32 secret bytes; where randomness comes from is the caller's matter.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    pub fn key(&self) -> Key {
        Key::ed25519(self.0.verifying_key().as_bytes())
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        use ed25519_dalek::Signer as _;
        Signature(self.0.sign(message).to_bytes())
    }
}
