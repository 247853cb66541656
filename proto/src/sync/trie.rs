//! The radix trie that finds what two nodes hold differently, and digests a view.
//!
//! Sixteen-ary over 32-byte paths. The hash of a prefix follows from the set of records below it
//! alone: equal roots mean equal sets, whatever order they came in. Two nodes walk down from the
//! root, along children whose hashes differ, to the few records in which they do.

mod part;
mod record;
#[cfg(test)]
mod tests;

pub use part::{NIBBLES_MAX, Part, Prefix};
pub use record::{Frontier, view_record};

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::hash::Sha256;
use crate::sorted::Sorted;

/// Most records below a prefix that are hashed and sent as records; more have sixteen children.
pub const RECORDS_MAX: usize = 16;
/// Hash of a prefix without records.
pub const EMPTY: Sha256 = Sha256::from_bytes([0; 32]);

/// Where in the trie a record stands: a hash, high nibble first.
pub type Path = [u8; 32];

/// A set of records, at most one to a path.
#[derive(Debug, Clone, Default)]
pub struct Trie {
    top: Node,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node {
    /// At most [`RECORDS_MAX`] records.
    Leaf(BTreeMap<Path, Vec<u8>>),
    Branch(Box<Branch>),
}

/// More records than [`RECORDS_MAX`].
#[derive(Debug, Clone)]
struct Branch {
    children: [Node; 16],
    len: usize,
    /// Computed when it is asked for, so that loading many records hashes each node once.
    hash: OnceLock<Sha256>,
}

impl Trie {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `record` at `path`; returns what stood there.
    pub fn insert(&mut self, path: Path, record: Vec<u8>) -> Option<Vec<u8>> {
        let before = self.top.insert(path, record, 0);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes away what stands at `path`.
    pub fn remove(&mut self, path: &Path) -> Option<Vec<u8>> {
        let before = self.top.remove(path, 0);
        self.len -= usize::from(before.is_some());
        before
    }

    pub fn get(&self, path: &Path) -> Option<&[u8]> {
        let (mut at, mut depth) = (&self.top, 0);
        loop {
            match at {
                Node::Leaf(records) => return records.get(path).map(Vec::as_slice),
                Node::Branch(branch) => at = &branch.children[usize::from(nibble(path, depth))],
            }
            depth += 1;
        }
    }

    /// The hash of all records. After a change it costs one hash for each level.
    pub fn root(&self) -> Sha256 {
        self.top.hash()
    }

    /// What stands below `prefix`.
    pub fn node(&self, prefix: &Prefix) -> Part {
        let mut at = &self.top;
        for nibble in prefix.nibbles() {
            match at {
                Node::Leaf(_) => break,
                Node::Branch(branch) => at = &branch.children[usize::from(*nibble)],
            }
        }
        match at {
            Node::Branch(branch) => {
                let hashes = std::array::from_fn(|i| branch.children[i].hash());
                Part::Children(Box::new(hashes))
            }
            Node::Leaf(records) => {
                let below = records.iter().filter(|(path, _)| prefix.covers(path));
                let mut records: Vec<Vec<u8>> = below.map(|(_, record)| record.clone()).collect();
                records.sort();
                Part::Records(records)
            }
        }
    }

    /// The prefixes one nibble below `prefix` whose hash here is not the one in `theirs`.
    pub fn differing(&self, prefix: &Prefix, theirs: &[Sha256; 16]) -> Vec<Prefix> {
        let pairs = prefix.children().zip(theirs);
        pairs
            .filter(|(child, hash)| self.node(child).hash() != **hash)
            .map(|(child, _)| child)
            .collect()
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(BTreeMap::new())
    }
}

impl Node {
    fn insert(&mut self, path: Path, record: Vec<u8>, depth: usize) -> Option<Vec<u8>> {
        match self {
            Self::Branch(branch) => {
                branch.hash.take();
                let child = &mut branch.children[usize::from(nibble(&path, depth))];
                let before = child.insert(path, record, depth + 1);
                branch.len += usize::from(before.is_none());
                before
            }
            Self::Leaf(records) => {
                let before = records.insert(path, record);
                if records.len() > RECORDS_MAX {
                    *self = Self::split(std::mem::take(records), depth);
                }
                before
            }
        }
    }

    /// The branch at `depth` of more records than a leaf holds. It ends: paths differ somewhere.
    fn split(records: BTreeMap<Path, Vec<u8>>, depth: usize) -> Self {
        let mut branch = Branch {
            children: std::array::from_fn(|_| Self::default()),
            len: records.len(),
            hash: OnceLock::new(),
        };
        for (path, record) in records {
            let child = &mut branch.children[usize::from(nibble(&path, depth))];
            child.insert(path, record, depth + 1);
        }
        Self::Branch(Box::new(branch))
    }

    fn remove(&mut self, path: &Path, depth: usize) -> Option<Vec<u8>> {
        match self {
            Self::Leaf(records) => records.remove(path),
            Self::Branch(branch) => {
                let child = &mut branch.children[usize::from(nibble(path, depth))];
                let before = child.remove(path, depth + 1)?;
                branch.hash.take();
                branch.len -= 1;
                if branch.len <= RECORDS_MAX {
                    let mut records = BTreeMap::new();
                    branch
                        .children
                        .iter_mut()
                        .for_each(|child| child.drain(&mut records));
                    *self = Self::Leaf(records);
                }
                Some(before)
            }
        }
    }

    fn drain(&mut self, into: &mut BTreeMap<Path, Vec<u8>>) {
        match self {
            Self::Leaf(records) => into.append(records),
            Self::Branch(branch) => {
                branch
                    .children
                    .iter_mut()
                    .for_each(|child| child.drain(into));
            }
        }
    }

    fn hash(&self) -> Sha256 {
        match self {
            Self::Leaf(records) => hash_records(records.values().map(Vec::as_slice).collect()),
            Self::Branch(branch) => *branch.hash.get_or_init(|| {
                let hashes = branch.children.each_ref().map(Self::hash);
                hash_children(hashes.iter())
            }),
        }
    }
}

/// The root over `records`, each with its path, without keeping a trie. Of two records with one path
/// the later counts.
pub fn root_of(records: impl IntoIterator<Item = (Path, Vec<u8>)>) -> Sha256 {
    let records: Sorted<Path, Vec<u8>> = records.into_iter().collect();
    root_below(records.as_slice(), 0)
}

/// The hash of the records of one prefix of `depth` nibbles, sorted by path.
fn root_below(records: &[(Path, Vec<u8>)], depth: usize) -> Sha256 {
    if records.len() <= RECORDS_MAX {
        return hash_records(
            records
                .iter()
                .map(|(_, record)| record.as_slice())
                .collect(),
        );
    }
    let mut rest = records;
    let hashes: [Sha256; 16] = std::array::from_fn(|child| {
        let end = rest.partition_point(|(path, _)| usize::from(nibble(path, depth)) <= child);
        let (below, after) = rest.split_at(end);
        rest = after;
        root_below(below, depth + 1)
    });
    hash_children(hashes.iter())
}

/// Nibble `at` of a path, high nibble of each byte first. Zero beyond the path's end, where no two
/// different paths meet.
fn nibble(path: &Path, at: usize) -> u8 {
    let byte = path.get(at / 2).copied().unwrap_or_default();
    if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    }
}

fn hash_records(mut records: Vec<&[u8]>) -> Sha256 {
    if records.is_empty() {
        return EMPTY;
    }
    records.sort_unstable();
    records.insert(0, &[0x02]);
    Sha256::of(&records)
}

fn hash_children<'a>(hashes: impl Iterator<Item = &'a Sha256>) -> Sha256 {
    let mut parts: Vec<&[u8]> = vec![&[0x03]];
    parts.extend(hashes.map(|hash| hash.as_bytes().as_slice()));
    Sha256::of(&parts)
}
