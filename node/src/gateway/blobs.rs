//! Blobs as files that were verified: none is handed out before its hash was seen to be right.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use skep_proto::hash::Blake3;

use crate::store::{self, Store};

/// How many files are remembered as verified: some megabytes.
const REMEMBERED_MAX: usize = 65_536;
/// Files that stay open between requests, of at most [`KEPT_BYTES_MAX`] each: to open and close the
/// files of a small archive costs a sixth of an answer. So few and so small, since what is removed
/// from the store takes its room on the disk until it is closed.
const KEPT_MAX: usize = 64;
const KEPT_BYTES_MAX: u64 = 1 << 20;
/// Read at once while a file is verified.
const READ_BYTES: usize = 256 << 10;

/// A file that is what its name says: the same inode, unchanged since it was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: (u64, u64),
    changed: (i64, i64),
    size: u64,
    crc32: u32,
}

/// How many files are read to their ends at a time; who asks for one of these waits for it.
const READ_AT_A_TIME: usize = 8;

/// Which files were verified since the node started.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    seen: Mutex<BTreeMap<Blake3, Seen>>,
    kept: Mutex<BTreeMap<Blake3, Arc<File>>>,
    /// Held while a file is read to its end, by its hash: many who ask at once make it be read once.
    reading: [Mutex<()>; READ_AT_A_TIME],
}

/// A verified blob, open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) file: Arc<File>,
    pub(super) crc32: u32,
}

/// Why a blob cannot be handed out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the file {0} is not in the store")]
    Absent(Blake3),
    #[error("the file {0} is damaged on this node's disk")]
    Damaged(Blake3),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("a file of the store cannot be read")]
    Read(#[from] std::io::Error),
}

impl Blobs {
    /// Opens a blob; reads it to its end if that was not done since its file changed.
    pub(super) fn open(&self, store: &dyn Store, hash: &Blake3) -> Result<Open, Error> {
        if let Some(open) = self.open_seen(store, hash)? {
            return Ok(open);
        }
        let slot = usize::from(hash.as_bytes()[0]) % READ_AT_A_TIME;
        let _alone = self.reading[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.open_seen(store, hash)? {
            return Ok(open);
        }
        let (file, mut seen) = open(store, hash)?;
        seen.crc32 = verify(&file, hash, store)?;
        let mut all = self.lock();
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(*hash, seen);
        Ok(Open {
            file: Arc::new(file),
            crc32: seen.crc32,
        })
    }

    /// Opens a blob whose file is the one that was verified: nothing of it is read.
    pub(super) fn open_seen(
        &self,
        store: &dyn Store,
        hash: &Blake3,
    ) -> Result<Option<Open>, Error> {
        let Some(known) = self.lock().get(hash).copied() else {
            return Ok(None);
        };
        let crc32 = known.crc32;
        let is_known = |seen: Seen| Seen { crc32, ..seen } == known;
        if let Some(file) = self.kept(hash) {
            // What was removed or replaced under its name has changed too: it lost a link.
            if is_known(look(&file)?) {
                return Ok(Some(Open { file, crc32 }));
            }
            self.lock_kept().remove(hash);
        }
        let (file, seen) = open(store, hash)?;
        let file = Arc::new(file);
        if !is_known(seen) {
            return Ok(None);
        }
        if seen.size <= KEPT_BYTES_MAX {
            let mut kept = self.lock_kept();
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.insert(*hash, Arc::clone(&file));
        }
        Ok(Some(Open { file, crc32 }))
    }

    fn kept(&self, hash: &Blake3) -> Option<Arc<File>> {
        self.lock_kept().get(hash).cloned()
    }

    fn lock_kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<Blake3, Arc<File>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Blake3, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file, and looks at it.
fn open(store: &dyn Store, hash: &Blake3) -> Result<(File, Seen), Error> {
    let file = store.open(hash)?.ok_or(Error::Absent(*hash))?;
    let seen = look(&file)?;
    Ok((file, seen))
}

/// What a file is, but for its sum.
fn look(file: &File) -> Result<Seen, Error> {
    let metadata = file.metadata()?;
    Ok(Seen {
        inode: (metadata.dev(), metadata.ino()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        size: metadata.len(),
        crc32: 0,
    })
}

/// Reads a file to its end; its CRC-32 if its hash is right.
fn verify(mut file: &File, hash: &Blake3, store: &dyn Store) -> Result<u32, Error> {
    let (mut blake3, mut crc32) = (blake3::Hasher::new(), crc32fast::Hasher::new());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                blake3.update(&buffer[..n]);
                crc32.update(&buffer[..n]);
            }
        }
    }
    if blake3.finalize().as_bytes() == hash.as_bytes() {
        return Ok(crc32.finalize());
    }
    // The store sets aside what it finds damaged when a group of it is read.
    let mut index = 0;
    while let Ok(Some(_)) = store.read_group(hash, index) {
        index += 1;
    }
    Err(Error::Damaged(*hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Faults;
    use crate::store::disk::Disk;

    fn small(number: usize) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    /// Imports, verifies, and asks again, as a second request does.
    fn asked_twice(blobs: &Blobs, store: &Disk, bytes: &[u8]) -> Blake3 {
        let mut from = bytes;
        let hash = store.import(&mut from).expect("imported").hash;
        blobs.open(store, &hash).expect("verified");
        blobs.open_seen(store, &hash).expect("open").expect("seen");
        hash
    }

    #[test]
    fn a_file_that_stays_open_is_handed_out_only_while_it_is_in_the_store() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Disk::open(folder.path(), Faults::none()).expect("a store");
        let blobs = Blobs::default();
        let hash = asked_twice(&blobs, &store, b"small");
        assert!(blobs.kept(&hash).is_some());
        store.remove_blob(&hash).expect("removed");
        let gone = blobs.open_seen(&store, &hash);
        assert!(matches!(gone, Err(Error::Absent(_))), "{gone:?}");
        assert!(blobs.kept(&hash).is_none(), "its room is free again");
    }

    #[test]
    fn few_and_small_files_stay_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Disk::open(folder.path(), Faults::none()).expect("a store");
        let blobs = Blobs::default();
        let most = usize::try_from(KEPT_BYTES_MAX).expect("a size");
        let at = asked_twice(&blobs, &store, &vec![7; most]);
        let past = asked_twice(&blobs, &store, &vec![7; most + 1]);
        assert!(blobs.kept(&at).is_some() && blobs.kept(&past).is_none());
        for number in 1..KEPT_MAX {
            asked_twice(&blobs, &store, &small(number));
        }
        assert_eq!(blobs.lock_kept().len(), KEPT_MAX);
        let newest = asked_twice(&blobs, &store, &small(KEPT_MAX));
        assert!(blobs.kept(&newest).is_some() && blobs.lock_kept().len() == 1);
    }
}
