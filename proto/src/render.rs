//! A release as other tools expect it: archives that are views of its files, the same bytes on every
//! node.
//!
//! An archive is described before a byte of it is made: [`Content`] knows its length and which of its
//! bytes are its own and which stand in a file, so a range of it is read without making the rest.
//! Nothing here compresses: compressors differ from version to version, stored blocks do not.

pub mod gzip;
pub mod l3afd;
pub mod tar;
pub mod zip;

use std::ops::Range;

use crate::hash::Blake3;

/// A file of a release that stands in an archive, with what its headers need of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// In the archive, `/` between components.
    pub path: String,
    pub executable: bool,
    pub blake3: Blake3,
    /// In bytes; below 4 GiB.
    pub size: u64,
    /// CRC-32 (ISO-HDLC, as gzip and zip have it) of its bytes.
    pub crc32: u32,
}

/// A stretch of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The archive's own.
    Bytes(Vec<u8>),
    /// `range` of a file's bytes.
    File { blake3: Blake3, range: Range<u64> },
}

impl Piece {
    /// In bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end - range.start,
        }
    }

    /// What of it lies in `wanted`, counted from its own beginning.
    fn within(&self, wanted: Range<u64>) -> Self {
        match self {
            Self::Bytes(bytes) => {
                let at = |n: u64| usize::try_from(n).map_or(bytes.len(), |n| n.min(bytes.len()));
                Self::Bytes(bytes[at(wanted.start)..at(wanted.end)].to_vec())
            }
            Self::File { blake3, range } => Self::File {
                blake3: *blake3,
                range: range.start + wanted.start..range.start + wanted.end,
            },
        }
    }
}

/// An archive, described: in memory it is as large as its list of files, whatever their size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pieces: Vec<Piece>,
    /// Where each piece ends.
    ends: Vec<u64>,
    size: u64,
    /// In stored blocks of gzip, whose headers are made when they are read.
    stored: Option<gzip::Stored>,
}

impl Content {
    /// One file as it is.
    pub fn of_file(blake3: Blake3, size: u64) -> Self {
        let mut content = Self::default();
        content.push(Piece::File {
            blake3,
            range: 0..size,
        });
        content
    }

    fn push(&mut self, piece: Piece) {
        self.size += piece.size();
        self.pieces.push(piece);
        self.ends.push(self.size);
    }

    fn bytes(&mut self, bytes: impl Into<Vec<u8>>) {
        self.push(Piece::Bytes(bytes.into()));
    }

    fn file(&mut self, member: &Member) {
        self.push(Piece::File {
            blake3: member.blake3,
            range: 0..member.size,
        });
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.stored.as_ref().map_or(self.size, gzip::Stored::size)
    }

    /// What stands in `wanted`, as far as the archive goes, in order. It takes time for what is
    /// wanted, not for what stands before it.
    pub fn pieces(&self, wanted: Range<u64>) -> Vec<Piece> {
        match &self.stored {
            Some(stored) => stored.pieces(wanted, |range, out| self.plain(range, out)),
            None => {
                let mut out = Vec::new();
                self.plain(wanted, &mut out);
                out
            }
        }
    }

    /// The same, of what is not yet in any blocks.
    fn plain(&self, wanted: Range<u64>, out: &mut Vec<Piece>) {
        let first = self.ends.partition_point(|end| *end <= wanted.start);
        for (piece, end) in self.pieces.iter().zip(&self.ends).skip(first) {
            let start = end - piece.size();
            if start >= wanted.end {
                return;
            }
            let from = wanted.start.max(start) - start;
            let to = wanted.end.min(*end) - start;
            if from < to {
                out.push(piece.within(from..to));
            }
        }
    }
}

/// Why a release cannot be had in a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the path `{0}` is longer than a tar header can say")]
    LongPath(String),
    #[error("{size} bytes, where a {format} of at most {max} can be made")]
    Large {
        format: &'static str,
        size: u64,
        max: u64,
    },
    #[error("{count} files, where a zip can have {max}")]
    Many { count: usize, max: usize },
}

/// Every directory that the members stand in, parents first, without a slash at the end.
fn directories(members: &[Member]) -> Vec<&str> {
    let mut all: Vec<&str> = members
        .iter()
        .flat_map(|member| {
            let slashes = member.path.match_indices('/');
            slashes.map(|(at, _)| &member.path[..at])
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
