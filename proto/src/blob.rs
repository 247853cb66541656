//! Chunk groups: a blob in pieces that verify alone.
//!
//! A blob is cut into groups of [`GROUP_BYTES`]. Its *group list* is the BLAKE3 chaining value of
//! every group: the nodes of the blob's own hash tree at one level. Merged upwards they give the
//! blob's hash, so a list is proven once, against the hash alone, and then any group verifies by
//! itself, from any peer, in any order. A blob of one group has an empty list: the hash proves it.
//!
//! What a list does *not* prove is the exact size. A tree of that many groups has exactly one list,
//! but how long the last group is shows only when it arrives: until then a size is what somebody
//! claimed ([`Error::OtherSize`]).

#[cfg(test)]
mod tests;

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::claimed::Verified;
use crate::fault::Fault;
use crate::hash::Blake3;

/// Length in bytes of every group but the last: a list is 0.012 % of its blob, a lie costs a
/// quarter of a mebibyte, and BLAKE3 runs at full speed.
pub const GROUP_BYTES: u64 = 262_144;
/// Most groups of a blob.
pub const GROUPS_MAX: u64 = 16_384;
/// Largest blob in bytes, 4 GiB: what the fixed fields of the air gap's tar carry, and the longest
/// list fits a frame.
pub const BLOB_BYTES_MAX: u64 = GROUPS_MAX * GROUP_BYTES;
/// Bytes of one chaining value.
const VALUE_BYTES: usize = 32;

/// Why a list or a group is not what the hash names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a blob of {size} bytes where at most {BLOB_BYTES_MAX} are allowed")]
    TooLarge { size: u64 },
    #[error("the group list does not prove the blob `{hash}`")]
    List { hash: Blake3 },
    /// The bytes are the blob's, the size is not. Whoever serves the true blob is not to blame.
    #[error("the blob `{hash}` does not have {size} bytes")]
    OtherSize { hash: Blake3, size: u64 },
    #[error("group {index} of the blob `{hash}` has {len} bytes where {expected} are due")]
    Length {
        hash: Blake3,
        index: u64,
        len: usize,
        expected: usize,
    },
    #[error("group {index} of the blob `{hash}` does not match its hash")]
    Group { hash: Blake3, index: u64 },
    #[error("the blob `{hash}` has no group {index}, only {count}")]
    NoSuchGroup {
        hash: Blake3,
        index: u64,
        count: u64,
    },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::List { .. } | Self::Length { .. } | Self::Group { .. } => Fault::Peer,
            Self::TooLarge { .. } | Self::OtherSize { .. } => Fault::Publisher,
            Self::NoSuchGroup { .. } => Fault::Us,
        }
    }
}

/// How many groups a blob of `size` bytes has. An empty blob has one, which is empty.
pub fn group_count(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES).max(1)
}

/// How many bytes group `index` of a blob of `size` bytes has; none if there is no such group.
pub fn group_len(size: u64, index: u64) -> Option<usize> {
    if index >= group_count(size) {
        return None;
    }
    let start = index.checked_mul(GROUP_BYTES)?;
    usize::try_from((size - start).min(GROUP_BYTES)).ok()
}

/// The chaining values of a blob's groups, with the hash and the size that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupList {
    hash: Blake3,
    size: u64,
    /// One for each group; none for a blob of one group.
    values: Vec<ChainingValue>,
}

impl GroupList {
    /// Proves that `list` (32 bytes a group, in order; empty for one group) is the list of the blob
    /// `hash`, which is claimed to have `size` bytes.
    pub fn prove(hash: &Blake3, size: u64, list: &[u8]) -> Result<Verified<Self>, Error> {
        check_size(size)?;
        let hash = *hash;
        let (values, rest) = list.as_chunks::<VALUE_BYTES>();
        if !rest.is_empty() || values.len() as u64 > GROUPS_MAX {
            return Err(Error::List { hash });
        }
        let expected = group_count(size);
        if expected == 1 && values.is_empty() {
            return Ok(Verified::new(Self::of_one(hash, size)));
        }
        if values.len() < 2 || root(values) != hash {
            return Err(Error::List { hash });
        }
        if values.len() as u64 != expected {
            // Either the size is wrong, or the list is of another level of the same tree. An honest
            // peer that holds the true blob cannot be told from a liar, so it is not blamed.
            return Err(Error::OtherSize { hash, size });
        }
        let values = values.to_vec();
        Ok(Verified::new(Self { hash, size, values }))
    }

    fn of_one(hash: Blake3, size: u64) -> Self {
        let values = Vec::new();
        Self { hash, size, values }
    }

    pub fn hash(&self) -> &Blake3 {
        &self.hash
    }

    /// The size in bytes that was claimed; proven once the last group has verified.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn group_count(&self) -> u64 {
        group_count(self.size)
    }

    /// What [`GroupList::prove`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.concat()
    }

    /// Whether `bytes` are group `index` of the blob.
    pub fn verify_group(&self, index: u64, bytes: &[u8]) -> Result<(), Error> {
        let (hash, size) = (self.hash, self.size);
        let expected = group_len(size, index).ok_or(Error::NoSuchGroup {
            hash,
            index,
            count: self.group_count(),
        })?;
        let matches = bytes.len() as u64 <= GROUP_BYTES && self.matches(index, bytes);
        match (matches, bytes.len() == expected) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::OtherSize { hash, size }),
            (false, true) => Err(Error::Group { hash, index }),
            (false, false) => Err(Error::Length {
                hash,
                index,
                len: bytes.len(),
                expected,
            }),
        }
    }

    fn matches(&self, index: u64, bytes: &[u8]) -> bool {
        if self.values.is_empty() {
            return Blake3::of(&[bytes]) == self.hash;
        }
        let value = usize::try_from(index).ok().and_then(|i| self.values.get(i));
        // An empty subtree has no chaining value.
        !bytes.is_empty() && value.is_some_and(|value| value_of(index, bytes) == *value)
    }
}

/// Makes the hash and the list of a blob that is read from start to end, in one pass.
#[derive(Debug, Clone)]
pub struct GroupLister {
    size: u64,
    /// Of the groups before the current one.
    values: Vec<ChainingValue>,
    /// Of the current group, which holds at least one byte unless the blob is empty.
    group: blake3::Hasher,
}

impl Default for GroupLister {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupLister {
    pub fn new() -> Self {
        Self {
            size: 0,
            values: Vec::new(),
            group: blake3::Hasher::new(),
        }
    }

    /// The next bytes of the blob. Fails when they would make it larger than [`BLOB_BYTES_MAX`];
    /// nothing of them is taken then.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        check_size(self.size.saturating_add(bytes.len() as u64))?;
        while !bytes.is_empty() {
            let held = self.group.count();
            if held == GROUP_BYTES {
                self.values.push(self.group.finalize_non_root());
                self.group = hasher_at(self.values.len() as u64);
                continue;
            }
            let room = usize::try_from(GROUP_BYTES - held).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.group.update(now);
            self.size += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// The list, with the hash and the size that it was made from.
    pub fn finish(mut self) -> Verified<GroupList> {
        if self.values.is_empty() {
            let hash = Blake3::from_bytes(*self.group.finalize().as_bytes());
            return Verified::new(GroupList::of_one(hash, self.size));
        }
        self.values.push(self.group.finalize_non_root());
        Verified::new(GroupList {
            hash: root(&self.values),
            size: self.size,
            values: self.values,
        })
    }
}

fn check_size(size: u64) -> Result<(), Error> {
    if size > BLOB_BYTES_MAX {
        return Err(Error::TooLarge { size });
    }
    Ok(())
}

fn hasher_at(index: u64) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(index * GROUP_BYTES);
    hasher
}

/// The chaining value of a group that is not empty, of a blob of more than one; `index` is below
/// [`GROUPS_MAX`].
fn value_of(index: u64, bytes: &[u8]) -> ChainingValue {
    hasher_at(index).update(bytes).finalize_non_root()
}

/// The root of the tree over two or more groups.
fn root(values: &[ChainingValue]) -> Blake3 {
    let (left, right) = values.split_at(left_len(values.len()));
    let root = merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash);
    Blake3::from_bytes(*root.as_bytes())
}

/// The chaining value over one or more groups. Its depth is the logarithm of [`GROUPS_MAX`].
fn subtree(values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = values.split_at(left_len(values.len()));
    merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
}

/// How many of `len` ≥ 2 groups stand left of the root: the largest power of two below `len`.
fn left_len(len: usize) -> usize {
    len.div_ceil(2).next_power_of_two()
}
