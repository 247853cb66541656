//! RFC 6962 Merkle trees: hashes, the right edge of a growing tree, and the two verifiers.
//!
//! Proofs are made in [`prove`]. Sizes and indexes are `u64` because they come from outside; none
//! is used to index memory before it was compared with what is there.

mod prove;
#[cfg(test)]
mod tests;

pub use prove::{Tree, consistency_proof, inclusion_proof};

use crate::bytes::{self, Reader, Writer};
use crate::fault::Fault;
use crate::hash::Sha256;

/// Largest size of a tree: what signed 64-bit integers of other implementations hold.
pub const SIZE_MAX: u64 = (1 << 63) - 1;

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a proof about {part} of {size} entries cannot exist")]
    Size { part: u64, size: u64 },
    #[error("a proof with a wrong number of hashes: {given}")]
    Length { given: usize },
    #[error("the proof leads to another root of the {size} entries")]
    Root { size: u64 },
}

impl Error {
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// The id of an entry: its leaf hash.
pub fn leaf(entry: &[u8]) -> Sha256 {
    Sha256::of(&[&[0x00], entry])
}

/// The hash of an inner node.
pub fn node(left: &Sha256, right: &Sha256) -> Sha256 {
    Sha256::of(&[&[0x01], left.as_bytes(), right.as_bytes()])
}

/// The root of a tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Sha256 {
    Sha256::of(&[])
}

/// The root over leaf hashes, in memory that grows with the logarithm.
pub fn root(leaves: &[Sha256]) -> Sha256 {
    let mut edge = Edge::new();
    for leaf in leaves {
        edge.push(*leaf);
    }
    edge.root()
}

/// The right edge of a tree: the roots of its largest complete subtrees, left to right. It is all
/// that is needed to append, and as many hashes as the size has one bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    hashes: Vec<Sha256>,
}

impl Edge {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash. A tree in memory never reaches [`SIZE_MAX`]; one read from a file can:
    /// whoever appends to such a one checks its size first.
    pub fn push(&mut self, leaf: Sha256) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.hashes.pop().expect("one hash for each one bit");
            hash = node(&left, &hash);
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Sha256 {
        let mut hashes = self.hashes.iter().rev();
        match hashes.next() {
            None => empty_root(),
            Some(last) => hashes.fold(*last, |right, left| node(left, &right)),
        }
    }

    /// Reads `[size, [*63 h32]]`: as many hashes as `size` has one bits.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        reader.array(2)?;
        let size = reader.uint_to(SIZE_MAX)?;
        let count = size.count_ones() as usize;
        let hashes = reader.items("hashes of an edge", count, |reader| {
            reader.bytes_of().map(Sha256::from_bytes)
        })?;
        if hashes.len() != count {
            return Err(bytes::Error::Invalid(
                "an edge with fewer hashes than its size has one bits",
            ));
        }
        Ok(Self { size, hashes })
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.array(2).uint(self.size).array(self.hashes.len());
        for hash in &self.hashes {
            writer.bytes(hash.as_bytes());
        }
    }
}

/// Checks that the tree of `m` leaves and root `root_m` is a prefix of the tree of `n` leaves and
/// root `root_n` (RFC 9162 §2.1.4.2). For `m = n` the roots must be equal and the proof empty. From
/// an empty tree there is nothing to prove: `m = 0` is refused, as is `m > n`.
pub fn verify_consistency(
    m: u64,
    root_m: &Sha256,
    n: u64,
    root_n: &Sha256,
    proof: &[Sha256],
) -> Result<(), Error> {
    if m == 0 || m > n || n > SIZE_MAX {
        return Err(Error::Size { part: m, size: n });
    }
    let given = proof.len();
    if m == n {
        return match (proof.is_empty(), root_m == root_n) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::Root { size: n }),
            (false, _) => Err(Error::Length { given }),
        };
    }
    // The last subtree that is complete in both trees. If it is the whole of the first one, its
    // hash is known and not part of the proof.
    let shift = (m - 1).trailing_ones();
    let (mut first, mut last) = ((m - 1) >> shift, (n - 1) >> shift);
    let (start, path) = match proof.split_first() {
        None => return Err(Error::Length { given }),
        Some(_) if m.is_power_of_two() => (root_m, proof),
        Some(split) => split,
    };
    let (mut old, mut new) = (*start, *start);
    for hash in path {
        if last == 0 {
            return Err(Error::Length { given });
        }
        if first & 1 == 1 || first == last {
            old = node(hash, &old);
            new = node(hash, &new);
            let up = first.trailing_zeros();
            (first, last) = (first >> up, last >> up);
        } else {
            new = node(&new, hash);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    if last != 0 {
        Err(Error::Length { given })
    } else if old != *root_m {
        Err(Error::Root { size: m })
    } else if new != *root_n {
        Err(Error::Root { size: n })
    } else {
        Ok(())
    }
}

/// Checks that `leaf` stands at `index` of the tree of `n` leaves and root `root_n` (RFC 9162
/// §2.1.3.2).
pub fn verify_inclusion(
    index: u64,
    leaf: &Sha256,
    n: u64,
    root_n: &Sha256,
    proof: &[Sha256],
) -> Result<(), Error> {
    if index >= n || n > SIZE_MAX {
        return Err(Error::Size {
            part: index,
            size: n,
        });
    }
    let given = proof.len();
    let (mut at, mut last, mut hash) = (index, n - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(Error::Length { given });
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            let up = at.trailing_zeros();
            (at, last) = (at >> up, last >> up);
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        Err(Error::Length { given })
    } else if hash != *root_n {
        Err(Error::Root { size: n })
    } else {
        Ok(())
    }
}
