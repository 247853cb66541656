//! Making roots and proofs: a tree that keeps the hash of every complete subtree.

use super::{Edge, empty_root, node};
use crate::hash::Sha256;

/// A tree that answers roots and proofs at any of its sizes in logarithmic time, for about 64 bytes
/// of memory a leaf. What asks for one answer only takes the functions over slices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// `levels[k][i]` is the root of the leaves `i·2^k .. (i+1)·2^k`, where all of them exist.
    levels: Vec<Vec<Sha256>>,
}

impl FromIterator<Sha256> for Tree {
    fn from_iter<I: IntoIterator<Item = Sha256>>(leaves: I) -> Self {
        let mut tree = Self::default();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }
}

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.leaves().len() as u64
    }

    /// The leaf hashes, in order.
    pub fn leaves(&self) -> &[Sha256] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Gives back the spare places of its rows.
    pub(crate) fn shrink(&mut self) {
        self.levels.iter_mut().for_each(Vec::shrink_to_fit);
    }

    pub fn push(&mut self, leaf: Sha256) {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => hash = node(left, right),
                _ => return,
            }
        }
    }

    /// The root of the first `n` leaves, `None` if there are fewer.
    pub fn root_at(&self, n: u64) -> Option<Sha256> {
        let n = usize::try_from(n)
            .ok()
            .filter(|n| *n <= self.leaves().len())?;
        Some(match n {
            0 => empty_root(),
            n => self.range(0, n),
        })
    }

    /// The right edge, on which leaves can be tried without the tree.
    pub fn edge(&self) -> Edge {
        let size = self.leaves().len();
        let complete = |level: &usize| size >> level & 1 == 1;
        let levels = (0..self.levels.len()).rev().filter(complete);
        // The last hash of each level that the size has a bit for: the complete subtrees, largest first.
        let hashes = levels.filter_map(|level| {
            let row = &self.levels[level];
            row.get((size >> level) - 1).copied()
        });
        Edge {
            size: size as u64,
            hashes: hashes.collect(),
        }
    }

    /// Proves that the first `m` leaves are a prefix of the first `n`: the answer to
    /// [`super::verify_consistency`]. Empty for `m = n`, `None` for `m = 0` and what is not there.
    pub fn consistency_proof(&self, m: u64, n: u64) -> Option<Vec<Sha256>> {
        if m == 0 || m > n || n > self.size() {
            return None;
        }
        let (m, n) = (usize::try_from(m).ok()?, usize::try_from(n).ok()?);
        let mut proof = Vec::new();
        consistency(m, n, &mut |start, end| proof.push(self.range(start, end)));
        Some(proof)
    }

    /// Proves that leaf `index` is one of the first `n`: the answer to
    /// [`super::verify_inclusion`]. `None` for what is not there.
    pub fn inclusion_proof(&self, index: u64, n: u64) -> Option<Vec<Sha256>> {
        if index >= n || n > self.size() {
            return None;
        }
        let (index, n) = (usize::try_from(index).ok()?, usize::try_from(n).ok()?);
        let (mut start, mut end, mut proof) = (0, n, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(start, middle));
                start = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// The root of the leaves `start..end`; a subtree of the tree over the first `end` leaves.
    fn range(&self, start: usize, end: usize) -> Sha256 {
        let len = end - start;
        if len.is_power_of_two() {
            return self.levels[len.trailing_zeros() as usize][start / len];
        }
        let middle = start + split(len);
        node(&self.range(start, middle), &self.range(middle, end))
    }
}

impl Edge {
    /// Proves that the tree of this edge is a prefix of the one that it and the leaf hashes `later`
    /// make: all hashes left of the edge that such a proof needs are the edge's own. `None` for an
    /// empty tree.
    pub fn consistency_proof(&self, later: &[Sha256]) -> Option<Vec<Sha256>> {
        let m = usize::try_from(self.size).ok().filter(|m| *m != 0)?;
        let n = m.checked_add(later.len())?;
        let mut proof = Vec::new();
        consistency(m, n, &mut |start, end| {
            proof.push(match start.checked_sub(m) {
                Some(start) => super::root(&later[start..end - m]),
                None => self.complete(start, end),
            });
        });
        Some(proof)
    }

    /// The hash of the edge that stands for the leaves `start..end`.
    fn complete(&self, start: usize, end: usize) -> Sha256 {
        debug_assert!((end - start).is_power_of_two());
        self.hashes[(start as u64).count_ones() as usize]
    }
}

/// Proves that the first `m` of `leaves` are a prefix of all; see [`Tree::consistency_proof`].
pub fn consistency_proof(leaves: &[Sha256], m: u64) -> Option<Vec<Sha256>> {
    let tree: Tree = leaves.iter().copied().collect();
    tree.consistency_proof(m, tree.size())
}

/// Proves that leaf `index` is one of `leaves`; see [`Tree::inclusion_proof`].
pub fn inclusion_proof(leaves: &[Sha256], index: u64) -> Option<Vec<Sha256>> {
    let tree: Tree = leaves.iter().copied().collect();
    tree.inclusion_proof(index, tree.size())
}

/// RFC 6962 §2.1.2 from the bottom up: calls `add` with each range of leaves whose hash the proof
/// from `m` to `n` consists of, `1 ≤ m ≤ n`.
fn consistency(m: usize, n: usize, add: &mut impl FnMut(usize, usize)) {
    let (mut start, mut end) = (0, n);
    let mut path = Vec::new();
    while m != end {
        let middle = start + split(end - start);
        if m <= middle {
            path.push((middle, end));
            end = middle;
        } else {
            path.push((start, middle));
            start = middle;
        }
    }
    if start != 0 {
        add(start, end);
    }
    for (start, end) in path.into_iter().rev() {
        add(start, end);
    }
}

/// The largest power of two below `len`, which is at least 2.
fn split(len: usize) -> usize {
    1 << (len - 1).ilog2()
}
