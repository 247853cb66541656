//! gzip (RFC 1952) of stored blocks (RFC 1951 §3.2.4): what is inside, between headers.

use std::collections::BTreeMap;

use super::{Content, Member, Piece};
use crate::hash::Blake3;

/// Longest stored block, in bytes of content.
pub const STORED_BYTES_MAX: u64 = 65_535;
/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// `inner` in stored blocks, all but the last of [`STORED_BYTES_MAX`]; `crc32` is of all its bytes.
pub fn render(inner: &Content, crc32: u32) -> Content {
    let mut gzip = Content::default();
    gzip.bytes(HEADER);
    let mut block = Vec::new();
    let (mut filled, mut left) = (0, inner.size);
    if left == 0 {
        gzip.bytes(block_header(0, true));
    }
    for piece in &inner.pieces {
        let mut at = 0;
        while at < piece.size() {
            let room = STORED_BYTES_MAX.min(left) - filled;
            let taken = room.min(piece.size() - at);
            block.push(piece.within(at..at + taken));
            at += taken;
            filled += taken;
            if filled == STORED_BYTES_MAX.min(left) {
                gzip.bytes(block_header(filled, filled == left));
                block.drain(..).for_each(|piece| gzip.push(piece));
                left -= filled;
                filled = 0;
            }
        }
    }
    let modulo = u32::try_from(inner.size & u64::from(u32::MAX)).expect("it was cut to fit");
    gzip.bytes([crc32.to_le_bytes(), modulo.to_le_bytes()].concat());
    gzip
}

fn block_header(size: u64, last: bool) -> Vec<u8> {
    let size = u16::try_from(size).expect("a block is no longer");
    let mut header = vec![u8::from(last)];
    header.extend_from_slice(&size.to_le_bytes());
    header.extend_from_slice(&(!size).to_le_bytes());
    header
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
