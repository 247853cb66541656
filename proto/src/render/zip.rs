//! A zip (APPNOTE 6.3.10) of stored entries, without extensions for large files.

use super::{Content, Error, Member, directories};

/// Most entries of a zip without extensions.
const ENTRIES_MAX: usize = 65_535;
/// Longest zip without extensions, in bytes.
const ZIP_BYTES_MAX: u64 = u32::MAX as u64;
/// Version 2.0: directories and stored files; made on Unix, so that modes count.
const NEEDED: u16 = 20;
const MADE_BY: u16 = 3 << 8 | NEEDED;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the first day that a zip can say.
const DATE: u16 = 1 << 5 | 1;

struct Entry {
    path: String,
    /// Type and mode of Unix.
    mode: u32,
    crc32: u32,
    size: u32,
    at: u32,
}

/// The members, which are sorted by path, each directory before what stands in it.
///
/// # Errors
/// More files or bytes than fit.
pub fn render(members: &[Member]) -> Result<Content, Error> {
    let directories = directories(members);
    let count = directories.len() + members.len();
    if count > ENTRIES_MAX {
        let max = ENTRIES_MAX;
        return Err(Error::Many { count, max });
    }
    let (mut zip, mut entries) = (Content::default(), Vec::with_capacity(count));
    for directory in directories {
        let path = format!("{directory}/");
        let mut entry = Entry {
            path,
            mode: 0o040_755,
            crc32: 0,
            size: 0,
            at: 0,
        };
        begin(&mut zip, &mut entry)?;
        entries.push(entry);
    }
    for member in members {
        let mut entry = Entry {
            path: member.path.clone(),
            mode: if member.executable {
                0o100_755
            } else {
                0o100_644
            },
            crc32: member.crc32,
            size: fits(member.size)?,
            at: 0,
        };
        begin(&mut zip, &mut entry)?;
        if member.size > 0 {
            zip.file(member);
        }
        entries.push(entry);
    }
    let directory = zip.size;
    for entry in &entries {
        zip.bytes(entry.central());
    }
    let (at, size) = (fits(directory)?, fits(zip.size - directory)?);
    let count = u16::try_from(count).expect("checked above");
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    end.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    end.extend([0, 0]);
    zip.bytes(end);
    fits(zip.size)?;
    Ok(zip)
}

fn begin(zip: &mut Content, entry: &mut Entry) -> Result<(), Error> {
    entry.at = fits(zip.size)?;
    let mut header = b"PK\x03\x04".to_vec();
    header.extend(NEEDED.to_le_bytes());
    header.extend(entry.common());
    header.extend(entry.path.as_bytes());
    zip.bytes(header);
    Ok(())
}

fn fits(size: u64) -> Result<u32, Error> {
    u32::try_from(size)
        .ok()
        .filter(|size| *size != u32::MAX)
        .ok_or(Error::Large {
            format: "zip",
            size,
            max: ZIP_BYTES_MAX - 1,
        })
}

impl Entry {
    /// From the flags to the length of what is extra: the same in both headers.
    fn common(&self) -> Vec<u8> {
        let len = u16::try_from(self.path.len()).expect("paths are short");
        let stored_at_midnight = [0, 0, 0, 0];
        let mut bytes = FLAGS.to_le_bytes().to_vec();
        bytes.extend(stored_at_midnight);
        bytes.extend(DATE.to_le_bytes());
        bytes.extend(self.crc32.to_le_bytes());
        bytes.extend([self.size.to_le_bytes(), self.size.to_le_bytes()].concat());
        bytes.extend(len.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    fn central(&self) -> Vec<u8> {
        let mut header = b"PK\x01\x02".to_vec();
        header.extend([MADE_BY.to_le_bytes(), NEEDED.to_le_bytes()].concat());
        header.extend(self.common());
        // No comment, the first disk, no internal attributes.
        header.extend([0; 6]);
        let dos_directory = u32::from(self.path.ends_with('/')) << 4;
        header.extend((self.mode << 16 | dos_directory).to_le_bytes());
        header.extend(self.at.to_le_bytes());
        header.extend(self.path.as_bytes());
        header
    }
}
