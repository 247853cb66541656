//! The first file in a .skep file: what the others are, in order.

use crate::bytes::{self, Reader, Writer};
use crate::hash::Blake3;
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::{PROOF_HASHES_MAX, REGISTRAR_BYTES_MAX, REGISTRAR_ENTRIES_MAX};
use crate::log::checkpoint::note::NOTE_BYTES_MAX;
use crate::package::manifest::FILE_BYTES_MAX;

use super::Error;
use super::document::DOCUMENT_BYTES_MAX;

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u64 = 1;
/// Most files beside the contents: those of eight releases of 16,384 files, and their logs.
pub const FILES_MAX: usize = 132_096;
/// Longest path, in bytes: that of a checkpoint, whose id and key are of one length each.
const PATH_LEN_MAX: usize = 160;
/// Longest contents, in bytes: each file takes at most a path, a hash, a size and four heads.
pub const CONTENTS_BYTES_MAX: usize = FILES_MAX * (PATH_LEN_MAX + 32 + 9 + 8) + 32;
/// Longest frames of a log's entries, in bytes: the longest log, and two bytes before each entry.
pub const ENTRIES_FILE_BYTES_MAX: u64 = REGISTRAR_BYTES_MAX + 2 * REGISTRAR_ENTRIES_MAX;

/// Where a file stands in a .skep file. In the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A root document, from version 1 on without a gap.
    Document { repo: RepoId, version: u64 },
    /// A part of the log of a key.
    Log {
        repo: RepoId,
        key: Key,
        part: LogPart,
    },
    /// A file of a release.
    Blob(Blake3),
}

/// What a log is in three files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogPart {
    /// The signed note.
    Checkpoint,
    /// `u16be length ‖ entry`, one after the other.
    Entries,
    /// Only where a cut ends the entries before the checkpoint does: the hashes of the consistency
    /// proof from there to it.
    Proof,
}

/// A file, as the contents say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub place: Place,
    /// In bytes.
    pub size: u64,
    pub blake3: Blake3,
}

impl Place {
    /// Its path in the tar.
    pub fn path(&self) -> String {
        match self {
            Self::Document { repo, version } => format!("repos/{repo}/{version}.json"),
            Self::Log { repo, key, part } => {
                let part = match part {
                    LogPart::Checkpoint => "checkpoint",
                    LogPart::Entries => "entries",
                    LogPart::Proof => "proof",
                };
                format!("logs/{repo}/{key}/{part}")
            }
            Self::Blob(hash) => {
                let name = hash.to_string();
                format!("blobs/{}/{name}", &name[..2])
            }
        }
    }

    /// Reads what [`Place::path`] writes, and nothing else: so no path leads anywhere.
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let place = match *parts.as_slice() {
            ["repos", repo, name] => Self::Document {
                repo: repo.parse().ok()?,
                version: name.strip_suffix(".json")?.parse().ok()?,
            },
            ["logs", repo, key, part] => Self::Log {
                repo: repo.parse().ok()?,
                key: key.parse().ok()?,
                part: match part {
                    "checkpoint" => LogPart::Checkpoint,
                    "entries" => LogPart::Entries,
                    "proof" => LogPart::Proof,
                    _ => return None,
                },
            },
            ["blobs", _, name] => Self::Blob(name.parse().ok()?),
            _ => return None,
        };
        (place.path() == path).then_some(place)
    }

    /// Largest size of a file in this place, in bytes.
    fn size_max(&self) -> u64 {
        match self {
            Self::Document { .. } => DOCUMENT_BYTES_MAX as u64,
            Self::Log { part, .. } => match part {
                LogPart::Checkpoint => NOTE_BYTES_MAX as u64,
                LogPart::Entries => ENTRIES_FILE_BYTES_MAX,
                LogPart::Proof => 32 * PROOF_HASHES_MAX as u64,
            },
            Self::Blob(_) => FILE_BYTES_MAX,
        }
    }
}

/// CBOR `[version, base, part, approval, [*132096 [path, size, blake3]]]`.
pub(super) fn write(items: &[Item]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(5).uint(VERSION).null().uint(1).null();
    writer.array(items.len());
    for item in items {
        writer
            .array(3)
            .text(&item.place.path())
            .uint(item.size)
            .bytes(item.blake3.as_bytes());
    }
    writer.finish()
}

/// Reads what [`write`] writes.
pub(super) fn read(input: &[u8]) -> Result<Vec<Item>, Error> {
    let mut reader = Reader::strict(input, CONTENTS_BYTES_MAX)?;
    reader.array(5)?;
    match reader.uint()? {
        VERSION => {}
        newer => return Err(Error::Version(newer)),
    }
    let nothing = |reader: &mut Reader<'_>| reader.raw().map(drop);
    if reader.option(nothing)?.is_some() {
        return Err(Error::NotRead("what was added since another file"));
    }
    if reader.uint()? != 1 {
        return Err(Error::NotRead("one part of several"));
    }
    if reader.option(nothing)?.is_some() {
        return Err(Error::NotRead("an approval"));
    }
    let len = reader.list("files", FILES_MAX)?;
    // Grown as they are read: a head may claim more than follows.
    let mut items = Vec::new();
    for _ in 0..len {
        let item = read_item(&mut reader)?;
        if items
            .last()
            .is_some_and(|last: &Item| last.place >= item.place)
        {
            return Err(Error::Order(item.place.path()));
        }
        items.push(item);
    }
    reader.end()?;
    Ok(items)
}

fn read_item(reader: &mut Reader<'_>) -> Result<Item, Error> {
    reader.array(3)?;
    // Longer than any path of ours, so that one that leads elsewhere is named rather than measured.
    let path = reader.text(4 * PATH_LEN_MAX)?;
    let place = Place::parse(path).ok_or_else(|| Error::Path(path.to_owned()))?;
    let size = reader.uint()?;
    if size > place.size_max() {
        let (path, max) = (place.path(), place.size_max());
        return Err(Error::Size { path, size, max });
    }
    let blake3 = Blake3::from_bytes(reader.bytes_of()?);
    if matches!(place, Place::Blob(name) if name != blake3) {
        return Err(Error::Hash(place.path()));
    }
    Ok(Item {
        place,
        size,
        blake3,
    })
}

impl From<bytes::Error> for Error {
    fn from(error: bytes::Error) -> Self {
        Self::Contents(error)
    }
}
