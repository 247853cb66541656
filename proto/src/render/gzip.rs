//! gzip (RFC 1952) of stored blocks (RFC 1951 §3.2.4): what is inside, between headers.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Content, Member, Piece};
use crate::hash::Blake3;

/// Longest stored block, in bytes of content.
pub const STORED_BYTES_MAX: u64 = 65_535;
/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Of a block: final or not, and its length twice.
const BLOCK_HEADER_BYTES: u64 = 5;
/// CRC-32 and length, after the last block.
const TRAILER_BYTES: u64 = 8;

/// `inner` in stored blocks, all but the last of [`STORED_BYTES_MAX`]; `crc32` is of all its bytes.
pub fn render(inner: Content, crc32: u32) -> Content {
    let stored = Stored {
        inner: inner.size,
        crc32,
    };
    Content {
        stored: Some(stored),
        ..inner
    }
}

/// How something lies in its blocks: they are all alike, so no list of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Bytes inside.
    inner: u64,
    crc32: u32,
}

impl Stored {
    /// There is one block at least.
    fn blocks(&self) -> u64 {
        self.inner.div_ceil(STORED_BYTES_MAX).max(1)
    }

    fn end_of_blocks(&self) -> u64 {
        HEADER.len() as u64 + self.blocks() * BLOCK_HEADER_BYTES + self.inner
    }

    pub(super) fn size(&self) -> u64 {
        self.end_of_blocks() + TRAILER_BYTES
    }

    /// What stands in `wanted`; `inside` gives what stands in a range of what the blocks hold.
    pub(super) fn pieces(
        &self,
        wanted: Range<u64>,
        inside: impl Fn(Range<u64>, &mut Vec<Piece>),
    ) -> Vec<Piece> {
        let mut out = Vec::new();
        let own = |at: u64, bytes: &[u8], out: &mut Vec<Piece>| {
            let piece = Piece::Bytes(bytes.to_vec());
            let part = overlap(&wanted, at, piece.size());
            if part.start < part.end {
                out.push(piece.within(part));
            }
        };
        own(0, &HEADER, &mut out);
        let (header, whole) = (HEADER.len() as u64, BLOCK_HEADER_BYTES + STORED_BYTES_MAX);
        let first = wanted.start.saturating_sub(header) / whole;
        for block in first..self.blocks() {
            let at = header + block * whole;
            if at >= wanted.end {
                return out;
            }
            let content = block * STORED_BYTES_MAX;
            let size = STORED_BYTES_MAX.min(self.inner - content);
            let last = block + 1 == self.blocks();
            own(at, &block_header(size, last), &mut out);
            let part = overlap(&wanted, at + BLOCK_HEADER_BYTES, size);
            if part.start < part.end {
                inside(content + part.start..content + part.end, &mut out);
            }
        }
        let modulo = u32::try_from(self.inner & u64::from(u32::MAX)).expect("it was cut to fit");
        let trailer = [self.crc32.to_le_bytes(), modulo.to_le_bytes()].concat();
        own(self.end_of_blocks(), &trailer, &mut out);
        out
    }
}

/// What of `size` bytes that stand at `at` is wanted, counted from their own beginning.
fn overlap(wanted: &Range<u64>, at: u64, size: u64) -> Range<u64> {
    let within = |n: u64| n.clamp(at, at + size) - at;
    within(wanted.start)..within(wanted.end)
}

fn block_header(size: u64, last: bool) -> [u8; 5] {
    let size = u16::try_from(size).expect("a block is no longer");
    let ([a, b], [c, d]) = (size.to_le_bytes(), (!size).to_le_bytes());
    [u8::from(last), a, b, c, d]
}

/// CRC-32 of an archive of these members: none of their bytes is read again.
pub fn crc32(content: &Content, members: &[Member]) -> u32 {
    let of: BTreeMap<Blake3, u32> = members.iter().map(|m| (m.blake3, m.crc32)).collect();
    let mut sum = crc32fast::Hasher::new();
    for piece in &content.pieces {
        match piece {
            Piece::Bytes(bytes) => sum.update(bytes),
            Piece::File { blake3, range } => {
                let of = of.get(blake3).copied().unwrap_or_default();
                let file = crc32fast::Hasher::new_with_initial_len(of, range.end - range.start);
                sum.combine(&file);
            }
        }
    }
    sum.finalize()
}
