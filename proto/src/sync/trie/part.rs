//! What messages about a trie carry: a prefix, and what stands below it.

use super::{Path, hash_children, hash_records, nibble};
use crate::bytes::{self, Reader, Writer};
use crate::hash::Sha256;

/// Most nibbles of a prefix: a path has 64, so the trie is no deeper whatever paths are ground out.
pub const NIBBLES_MAX: usize = 64;

/// The first nibbles of paths: at most [`NIBBLES_MAX`], each below 16.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Prefix(Vec<u8>);

/// What stands below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The hashes of the sixteen prefixes that are one nibble longer.
    Children(Box<[Sha256; 16]>),
    /// At most [`RECORDS_MAX`] records, sorted bytewise.
    Records(Vec<Vec<u8>>),
}

impl Prefix {
    /// `None` if there are too many nibbles or one is no nibble.
    pub fn new(nibbles: &[u8]) -> Option<Self> {
        let fits = nibbles.len() <= NIBBLES_MAX && nibbles.iter().all(|nibble| *nibble < 16);
        fits.then(|| Self(nibbles.to_vec()))
    }

    pub fn nibbles(&self) -> &[u8] {
        &self.0
    }

    /// Whether `path` begins with it.
    pub fn covers(&self, path: &Path) -> bool {
        (0..).zip(&self.0).all(|(at, own)| nibble(path, at) == *own)
    }

    /// The sixteen prefixes that are one nibble longer; none below a whole path.
    pub fn children(&self) -> impl Iterator<Item = Self> {
        let longer = self.0.len() < NIBBLES_MAX;
        (0..16).filter(move |_| longer).map(|next| {
            let mut nibbles = self.0.clone();
            nibbles.push(next);
            Self(nibbles)
        })
    }

    /// Reads a byte string of one byte a nibble.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        let nibbles = reader.bytes(NIBBLES_MAX)?;
        Self::new(nibbles).ok_or(bytes::Error::Invalid("a prefix with a byte above 15"))
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}

impl Part {
    /// What the prefix hashes to. A receiver compares it with the hash that it asked about.
    pub fn hash(&self) -> Sha256 {
        match self {
            Self::Children(hashes) => hash_children(hashes.iter()),
            Self::Records(records) => hash_records(records.iter().map(Vec::as_slice).collect()),
        }
    }
}
