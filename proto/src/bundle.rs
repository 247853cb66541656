//! The .skep file: releases with everything that proves them, carried by hand.
//!
//! One deterministic ustar: its contents, the root documents, the logs, the files of the releases.
//! [`Check`] is told its bytes as they are read and keeps none of a release's; what it gives in the
//! end was verified as from a peer: the chain, every checkpoint and the entries under it, that the
//! logs are of admitted keys, each file's hash, and that every file belongs to a release.

mod check;
mod contents;
mod document;
mod logs;
mod releases;
mod report;
mod stream;

use crate::bytes;
use crate::hash::Blake3;
use crate::id::RepoId;
use crate::key::Key;
use crate::log::checkpoint;
use crate::render::tar::{self, BLOCK_BYTES};
use crate::repo::chain;
use crate::repo::root::SignedRoot;

pub use check::{Carried, Check, Checked, use_of};
pub use contents::{
    CONTENTS_BYTES_MAX, ENTRIES_FILE_BYTES_MAX, FILES_MAX, Item, LogPart, Place, VERSION,
};
pub use document::DOCUMENT_BYTES_MAX;
pub use logs::{ENTRIES_MAX, Frames, Log};
pub use releases::{Blob, LISTS_BYTES_MAX, NAMED_MAX, Release, WAITING_BYTES_MAX};

/// Most repositories that an error names: a file may claim to be of many thousands.
pub const NAMED_REPOS_MAX: usize = 8;

/// Path of the contents.
const CONTENTS_PATH: &str = "contents";

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is not a .skep file")]
    NotABundle,
    #[error("it is of version {0} of the format, and this program reads version {VERSION}")]
    Version(u64),
    #[error("it holds {0}, which this program does not read")]
    NotRead(&'static str),
    #[error("its contents are longer than {CONTENTS_BYTES_MAX} bytes")]
    ContentsTooLong,
    #[error("its contents cannot be read")]
    Contents(#[source] bytes::Error),
    #[error("its contents name `{}`, which is no path of a .skep file", crate::text::harmless_line(.0))]
    Path(String),
    #[error("its contents name `{0}` out of order, or twice")]
    Order(String),
    #[error("`{path}` would have {size} bytes, where at most {max} are allowed")]
    Size { path: String, size: u64, max: u64 },
    #[error("the header of `{0}` is not what the contents say")]
    Header(String),
    #[error("`{0}` is not what its hash says: the file was damaged or altered")]
    Hash(String),
    #[error("byte {0} should be zero: the file was damaged or altered")]
    Padding(u64),
    #[error("it goes on after its end, at byte {0}")]
    Trailing(u64),
    #[error("it is cut off after {at} bytes{}", .size.map(|size| format!(" of {size}")).unwrap_or_default())]
    Cut { at: u64, size: Option<u64> },
    #[error("it is of {}", not_expected(.0))]
    NotExpected(Vec<RepoId>),
    #[error("it is of no repository")]
    NoRepository,
    #[error("`{0}` is not a root document with its signatures, as this program writes them")]
    Document(String),
    #[error("`{path}` does not continue its repository")]
    Chain {
        path: String,
        #[source]
        source: chain::Error,
    },
    #[error("`{0}` is missing, or of another place in its repository")]
    Gap(String),
    #[error("`{0}` has signatures that do not count")]
    Signatures(String),
    #[error("`{path}` is not a checkpoint's note")]
    Note {
        path: String,
        #[source]
        source: checkpoint::note::Error,
    },
    #[error("`{path}` is not signed")]
    Checkpoint {
        path: String,
        #[source]
        source: checkpoint::Error,
    },
    #[error("`{0}` is not beside the other files of its log")]
    Apart(String),
    #[error("`{0}` does not consist of entries")]
    Frames(String),
    #[error("`{0}` has more entries or bytes than a log may have")]
    LogTooLong(String),
    #[error("more than {ENTRIES_MAX} entries in all its logs")]
    TooManyEntries,
    #[error("its releases name more files than are read of one file")]
    TooManyNames,
    #[error("the entries of `{0}` are not those that its checkpoint signs")]
    Entries(String),
    #[error("the repository {0} does not admit the key `{1}`, whose log is in the file")]
    Unadmitted(RepoId, Key),
    #[error("the logs that say who may do what in {0} are not all there, or not whole")]
    NoView(RepoId),
    #[error("the file {0} belongs to no release that is whole here")]
    Extra(Blake3),
}

/// What is to be put into a .skep file, and where its bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    items: Vec<Item>,
    small: Vec<(Place, Vec<u8>)>,
}

/// A stretch of a .skep file that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    /// The bytes of this file, which are not in the plan.
    File(Item),
}

impl Plan {
    /// Of files whose bytes are at hand, and of those that are known by their size and hash, each
    /// place once.
    pub fn new(mut small: Vec<(Place, Vec<u8>)>, large: Vec<Item>) -> Self {
        small.sort_unstable_by_key(|(place, _)| *place);
        let of_small = small.iter().map(|(place, bytes)| Item {
            place: *place,
            size: bytes.len() as u64,
            blake3: Blake3::of(&[bytes]),
        });
        let mut items: Vec<Item> = of_small.chain(large).collect();
        items.sort_unstable_by_key(|item| item.place);
        items.dedup_by_key(|item| item.place);
        Self { items, small }
    }

    /// The file of a root document.
    pub fn document(repo: RepoId, version: u64, signed: &SignedRoot) -> (Place, Vec<u8>) {
        (Place::Document { repo, version }, document::write(signed))
    }

    /// How many files there are beside the contents.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The file from its first byte to its last.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let contents = contents::write(&self.items);
        let size = contents.len() as u64;
        let first = [header(CONTENTS_PATH, size), contents, zeros(padding(size))];
        let files = self.items.iter().flat_map(|item| {
            let at = self
                .small
                .binary_search_by_key(&item.place, |(place, _)| *place);
            [
                Piece::Bytes(header(&item.place.path(), item.size)),
                match at {
                    Ok(at) => Piece::Bytes(self.small[at].1.clone()),
                    Err(_) => Piece::File(*item),
                },
                Piece::Bytes(zeros(padding(item.size))),
            ]
        });
        let end = Piece::Bytes(zeros(2 * BLOCK_BYTES));
        let first = first.into_iter().map(Piece::Bytes);
        first.chain(files).chain([end])
    }

    /// Length of the file in bytes.
    pub fn size_bytes(&self) -> u64 {
        let contents = contents::write(&self.items);
        size_bytes(contents.len() as u64, &self.items)
    }
}

fn not_expected(repos: &[RepoId]) -> String {
    let named = repos.iter().take(NAMED_REPOS_MAX);
    let mut names: Vec<String> = named.map(ToString::to_string).collect();
    let others = repos.len() - names.len();
    if others > 0 {
        names.push(format!("{others} more"));
    }
    let last = names.pop().unwrap_or_default();
    match names.as_slice() {
        [] => format!("the repository {last}, which is not expected"),
        first => format!(
            "the repositories {} and {last}, which are not expected",
            first.join(", ")
        ),
    }
}

fn header(path: &str, size: u64) -> Vec<u8> {
    tar::header(path, tar::FILE_MODE, size, b'0').expect("paths of a .skep file fit a header")
}

/// Zeros after a file, up to a block.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES) - size
}

fn zeros(count: u64) -> Vec<u8> {
    vec![0; usize::try_from(count).expect("two blocks at most")]
}

/// No overflow: contents and files are bounded, and so are their sizes.
fn size_bytes(contents: u64, items: &[Item]) -> u64 {
    let file = |size: u64| BLOCK_BYTES + size + padding(size);
    let files: u64 = items.iter().map(|item| file(item.size)).sum();
    file(contents) + files + 2 * BLOCK_BYTES
}
