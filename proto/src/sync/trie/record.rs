//! The two kinds of records that stand in tries: positions of logs, and records of a view.

use super::Path;
use crate::hash::Sha256;
use crate::key::Key;

/// A position of a log, as the frontier trie holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontier {
    pub key: Key,
    pub size: u64,
    pub root: Sha256,
}

impl Frontier {
    /// Length of a record: key, size, root.
    pub const LEN: usize = Key::LEN + 8 + 32;
    /// The size under which a log stands that has forked and was not cut.
    pub const FORKED: u64 = u64::MAX;

    /// What stands for the log of `key` under fork evidence, until a cut: the size that no log has,
    /// and a root of zeros.
    pub const fn forked(key: Key) -> Self {
        Self {
            key,
            size: Self::FORKED,
            root: super::EMPTY,
        }
    }

    /// SHA-256 of the key.
    pub fn path(&self) -> Path {
        Self::path_of(&self.key)
    }

    /// Where the log of `key` stands.
    pub fn path_of(key: &Key) -> Path {
        *Sha256::of(&[key.as_bytes()]).as_bytes()
    }

    /// `key ‖ u64be size ‖ root`.
    pub fn to_record(&self) -> Vec<u8> {
        [
            self.key.as_bytes().as_slice(),
            &self.size.to_be_bytes(),
            self.root.as_bytes(),
        ]
        .concat()
    }

    /// Reads a record; `None` if it has another length.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let (key, rest) = record.split_first_chunk()?;
        let (size, root) = rest.split_first_chunk()?;
        Some(Self {
            key: Key::from_bytes(*key),
            size: u64::from_be_bytes(*size),
            root: Sha256::from_bytes(root.try_into().ok()?),
        })
    }
}

/// The path and the record for a record of a view, both given as their CBOR: SHA-256 of the key,
/// and that followed by SHA-256 of the record.
pub fn view_record(key: &[u8], record: &[u8]) -> (Path, Vec<u8>) {
    let (key, record) = (Sha256::of(&[key]), Sha256::of(&[record]));
    let both = [key.as_bytes().as_slice(), record.as_bytes()].concat();
    (*key.as_bytes(), both)
}
