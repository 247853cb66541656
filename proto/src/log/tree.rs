//! RFC 6962 Merkle trees: roots, the right edge of a growing tree, proofs.
