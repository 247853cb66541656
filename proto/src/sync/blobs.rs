//! Messages of the blob exchange, `/skep/blob/1`.
//!
//! Both sides speak in frames (`u32be length ‖ one CBOR item`). What a group or a list claims is
//! proved elsewhere, against the hash of the blob; here is only what may be said and how long it
//! may be.

use crate::bytes::{self, Reader, Writer};
use crate::claimed::Claimed;
use crate::fault::Fault;
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;

/// Longest group in bytes; every group of a blob but its last has exactly this length.
pub const GROUP_BYTES_MAX: usize = 262_144;
/// Most groups of one blob, that is 4 GiB: the largest file that the tar of the air gap can name.
pub const GROUPS_MAX: u64 = 16_384;
/// Largest blob in bytes.
pub const BLOB_BYTES_MAX: u64 = GROUPS_MAX * GROUP_BYTES_MAX as u64;
/// Longest list in bytes: one chaining value of 32 bytes a group.
pub const LIST_BYTES_MAX: usize = 524_288;
/// Most groups in one request: a quarter of a GiB, so that a fetcher reconsiders now and then.
pub const REQUEST_GROUPS_MAX: u64 = 1_024;
/// Longest request frame in bytes; the longest possible one has 80.
pub const REQUEST_BYTES_MAX: usize = 128;
/// Longest answer frame in bytes: a list, and room for the head of the array.
pub const ANSWER_BYTES_MAX: usize = LIST_BYTES_MAX + 64;
/// Longest time, in seconds, that a busy provider may send somebody away for.
pub const BUSY_S_MAX: u64 = 3_600;

/// Last item of a request for a list.
const LIST: &str = "list";
const STATUS_GROUP: u64 = 0;
const STATUS_LIST: u64 = 1;
const STATUS_BUSY: u64 = 2;
const STATUS_NOT_FOUND: u64 = 3;

/// A message that breaks the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("malformed blob request: {0}")]
    Request(bytes::Error),
    #[error("malformed blob answer: {0}")]
    Answer(bytes::Error),
}

impl Error {
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// What is asked about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `count` groups from number `first` on, each answered by a frame of its own, in order.
    Groups { first: u64, count: u64 },
    /// The size of the blob, and the list that proves its groups one by one.
    List,
}

/// One request. `[id, repo, hash, first, count]` or `[id, repo, hash, "list"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Chosen by who asks; every answer repeats it.
    pub id: u32,
    /// The repository as whose file the blob is asked for: blobs are offered per repository.
    pub repo: RepoId,
    pub hash: Blake3,
    pub ask: Ask,
}

/// Bytes said to be one group of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub index: u64,
    pub bytes: Vec<u8>,
}

/// What is said to be the size of a blob and its list (empty for a blob of at most one group).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub size: u64,
    pub bytes: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Group(Claimed<Group>),
    List(Claimed<List>),
    /// Ask again after so many seconds.
    Busy {
        seconds: u64,
    },
    /// Not here, or not for you: the same bytes. Ends the request, in its middle too.
    NotFound,
}

/// One answer. `[id, 0, index, bytes]`, `[id, 1, size, bytes]`, `[id, 2, seconds]`, `[id, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub id: u32,
    pub said: Said,
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.array(match self.ask {
            Ask::Groups { .. } => 5,
            Ask::List => 4,
        })
        .uint(self.id.into())
        .bytes(self.repo.as_bytes())
        .bytes(self.hash.as_bytes());
        match self.ask {
            Ask::Groups { first, count } => w.uint(first).uint(count),
            Ask::List => w.text(LIST),
        };
        w.finish()
    }

    /// Reads one frame without its length.
    pub fn decode(frame: &[u8]) -> Result<Self, Error> {
        read_request(frame).map_err(Error::Request)
    }
}

impl Answer {
    pub fn encode(&self) -> Vec<u8> {
        match &self.said {
            Said::Group(Claimed(group)) => {
                let mut frame = group_head(self.id, group.index, group.bytes.len());
                frame.extend_from_slice(&group.bytes);
                frame
            }
            Said::List(Claimed(list)) => {
                let mut w = answer(4, self.id, STATUS_LIST);
                w.uint(list.size).bytes(&list.bytes);
                w.finish()
            }
            Said::Busy { seconds } => {
                let mut w = answer(3, self.id, STATUS_BUSY);
                w.uint(*seconds);
                w.finish()
            }
            Said::NotFound => answer(2, self.id, STATUS_NOT_FOUND).finish(),
        }
    }

    /// Reads one frame without its length. It is taken by value because the bytes of a group stay
    /// where they are.
    pub fn decode(frame: Vec<u8>) -> Result<Self, Error> {
        read_answer(frame).map_err(Error::Answer)
    }
}

/// The beginning of the frame of a group of `len` bytes, which follow as they are: who serves a
/// group need not copy it.
pub fn group_head(id: u32, index: u64, len: usize) -> Vec<u8> {
    let mut w = answer(4, id, STATUS_GROUP);
    w.uint(index).bytes_head(len);
    w.finish()
}

/// How many groups a blob of `size` bytes has; an empty blob has one, empty.
pub fn groups_of(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES_MAX as u64).max(1)
}

fn answer(items: usize, id: u32, status: u64) -> Writer {
    let mut w = Writer::new();
    w.array(items).uint(id.into()).uint(status);
    w
}

fn read_id(r: &mut Reader<'_>) -> Result<u32, bytes::Error> {
    let id = r.uint_to(u32::MAX.into())?;
    Ok(u32::try_from(id).expect("checked by the line before"))
}

fn read_request(frame: &[u8]) -> Result<Request, bytes::Error> {
    let mut r = Reader::strict(frame, REQUEST_BYTES_MAX)?;
    let items = r.list("items", 5)?;
    let id = read_id(&mut r)?;
    let repo = RepoId::from_hash(Sha256::from_bytes(r.bytes_of()?));
    let hash = Blake3::from_bytes(r.bytes_of()?);
    let ask = match items {
        4 if r.text(LIST.len())? == LIST => Ask::List,
        5 => read_range(&mut r)?,
        _ => return Err(bytes::Error::Invalid("neither a list nor groups")),
    };
    r.end()?;
    Ok(Request {
        id,
        repo,
        hash,
        ask,
    })
}

fn read_range(r: &mut Reader<'_>) -> Result<Ask, bytes::Error> {
    let first = r.uint_to(GROUPS_MAX - 1)?;
    let count = r.uint_to(REQUEST_GROUPS_MAX)?;
    if count == 0 || first + count > GROUPS_MAX {
        return Err(bytes::Error::Invalid("no groups, or groups past the last"));
    }
    Ok(Ask::Groups { first, count })
}

fn read_answer(mut frame: Vec<u8>) -> Result<Answer, bytes::Error> {
    let mut r = Reader::strict(&frame, ANSWER_BYTES_MAX)?;
    let items = r.list("items", 4)?;
    let id = read_id(&mut r)?;
    let said = match (r.uint()?, items) {
        (STATUS_GROUP, 4) => {
            let index = r.uint_to(GROUPS_MAX - 1)?;
            let len = r.bytes(GROUP_BYTES_MAX)?.len();
            r.end()?;
            Said::Group(Claimed(Group {
                index,
                bytes: tail(&mut frame, len),
            }))
        }
        (STATUS_LIST, 4) => {
            let size = r.uint_to(BLOB_BYTES_MAX)?;
            let len = r.bytes(LIST_BYTES_MAX)?.len();
            r.end()?;
            check_list(size, len)?;
            Said::List(Claimed(List {
                size,
                bytes: tail(&mut frame, len),
            }))
        }
        (STATUS_BUSY, 3) => Said::Busy {
            seconds: r.uint_to(BUSY_S_MAX)?,
        },
        (STATUS_NOT_FOUND, 2) => Said::NotFound,
        _ => return Err(bytes::Error::Invalid("no such status of this length")),
    };
    Ok(Answer { id, said })
}

/// The last `len` bytes of a frame whose last item they were.
fn tail(frame: &mut Vec<u8>, len: usize) -> Vec<u8> {
    frame.drain(..frame.len() - len);
    std::mem::take(frame)
}

fn check_list(size: u64, len: usize) -> Result<(), bytes::Error> {
    let groups = groups_of(size);
    let expected = if groups == 1 { 0 } else { groups * 32 };
    if len as u64 == expected {
        Ok(())
    } else {
        Err(bytes::Error::Invalid(
            "a list that does not fit the size of the blob",
        ))
    }
}

#[cfg(test)]
mod tests;
