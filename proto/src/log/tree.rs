//! RFC 6962 Merkle trees: roots, the right edge of a growing tree, proofs.

use crate::hash::Sha256;

/// The leaf hash of an entry: its id.
pub fn leaf(entry: &[u8]) -> Sha256 {
    Sha256::of(&[&[0], entry])
}

/// The root of the tree over `leaves`; SHA-256 of nothing if there are none.
pub fn root(leaves: &[Sha256]) -> Sha256 {
    match leaves {
        [] => Sha256::of(&[]),
        [only] => *only,
        _ => {
            // The left subtree is the largest full one that leaves something to the right.
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            Sha256::of(&[&[1], root(left).as_bytes(), root(right).as_bytes()])
        }
    }
}
