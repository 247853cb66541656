//! A tar in the format ustar (POSIX.1-1988): directories first, then files by path; nothing in it
//! tells when, where or by whom it was made.

use super::{Content, Error, Member, directories};

/// A tar consists of blocks of so many bytes.
pub const BLOCK_BYTES: u64 = 512;
/// Longest last part of a path.
const NAME_LEN_MAX: usize = 100;
/// Longest part before it.
const PREFIX_LEN_MAX: usize = 155;
pub(crate) const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;

/// The members, which are sorted by path, each directory before what stands in it.
///
/// # Errors
/// A path that no header can say.
pub fn render(members: &[Member]) -> Result<Content, Error> {
    let mut tar = Content::default();
    for directory in directories(members) {
        let path = format!("{directory}/");
        tar.bytes(header(&path, EXECUTABLE_MODE, 0, b'5')?);
    }
    for member in members {
        let mode = match member.executable {
            true => EXECUTABLE_MODE,
            false => FILE_MODE,
        };
        tar.bytes(header(&member.path, mode, member.size, b'0')?);
        if member.size > 0 {
            tar.file(member);
        }
        let beyond = member.size % BLOCK_BYTES;
        if beyond > 0 {
            tar.bytes(zeros(BLOCK_BYTES - beyond));
        }
    }
    tar.bytes(zeros(2 * BLOCK_BYTES));
    Ok(tar)
}

fn zeros(count: u64) -> Vec<u8> {
    vec![0; usize::try_from(count).expect("two blocks at most")]
}

/// One entry's block.
pub(crate) fn header(path: &str, mode: u32, size: u64, kind: u8) -> Result<Vec<u8>, Error> {
    let (prefix, name) = split(path).ok_or_else(|| Error::LongPath(path.to_owned()))?;
    let mut block = zeros(BLOCK_BYTES);
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, format!("{mode:07o}").as_bytes());
    put(&mut block, 108, b"0000000");
    put(&mut block, 116, b"0000000");
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 136, b"00000000000");
    put(&mut block, 148, b"        ");
    put(&mut block, 156, &[kind]);
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 329, b"0000000");
    put(&mut block, 337, b"0000000");
    put(&mut block, 345, prefix.as_bytes());
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// The size in a header, if it has one as [`header`] writes it.
pub(crate) fn size_of(block: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(block.get(124..135)?).ok()?;
    u64::from_str_radix(digits, 8).ok()
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The path in two parts at a slash: the shortest prefix with which the name fits.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_LEN_MAX {
        return Some(("", path));
    }
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let at = slashes.find(|at| (1..=NAME_LEN_MAX).contains(&(path.len() - at - 1)))?;
    (at <= PREFIX_LEN_MAX).then(|| (&path[..at], &path[at + 1..]))
}
