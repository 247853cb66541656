//! Names that appear whole or not at all: temporary file, fsync, rename, fsync of the directory.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Advice, fadvise};
use skep_proto::hash::Blake3;

use super::{Error, Faults};

/// Largest sealed file that is read, in bytes: the list of the largest blob fits, and the largest
/// fact.
const SEALED_BYTES_MAX: u64 = 2 << 20;
const SEAL_BYTES: usize = 32;
/// How much of a long file is written before the medium is told to begin: stretches that it likes,
/// and little that an fsync at the end still waits for.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// The fault points of one small file's way to its name.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) before_fsync: &'static str,
    pub(super) before_rename: &'static str,
    pub(super) after_rename: &'static str,
}

/// Names the three steps of one kind of small file.
macro_rules! steps {
    ($name:literal) => {
        $crate::store::durable::Steps {
            before_fsync: concat!($name, ".before-fsync"),
            before_rename: concat!($name, ".before-rename"),
            after_rename: concat!($name, ".after-rename"),
        }
    };
}
pub(super) use steps;

/// Makes writes of one store durable.
#[derive(Debug, Clone)]
pub(super) struct Durable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tmp: PathBuf,
    faults: Faults,
    next: AtomicU64,
    /// The fsync of a directory failed: nobody knows which names are durable.
    in_doubt: AtomicBool,
}

/// What a sealed file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    Absent,
    Damaged,
    Bytes(Vec<u8>),
}

/// A file without a name of its own yet; gone when it is dropped before it got one.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    pub(super) file: File,
    placed: bool,
}

impl Durable {
    /// `tmp` is a directory on the file system of everything else.
    pub(super) fn new(tmp: PathBuf, faults: Faults) -> Self {
        Self(Arc::new(Inner {
            tmp,
            faults,
            next: AtomicU64::new(0),
            in_doubt: AtomicBool::new(false),
        }))
    }

    pub(super) fn hit(&self, point: &'static str) {
        self.0.faults.hit(point);
    }

    /// Fails once a name's durability is in doubt.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.0.in_doubt.load(Ordering::SeqCst) {
            true => Err(Error::ReadOnly),
            false => Ok(()),
        }
    }

    /// A path in `tmp` that nobody has.
    pub(super) fn temporary_path(&self) -> PathBuf {
        let n = self.0.next.fetch_add(1, Ordering::SeqCst);
        self.0.tmp.join(n.to_string())
    }

    pub(super) fn temporary(&self) -> Result<Temporary, Error> {
        let path = self.temporary_path();
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        Ok(Temporary {
            path,
            file,
            placed: false,
        })
    }

    /// Syncs a file, gives it its name, syncs the directory.
    pub(super) fn place(&self, from: Temporary, to: &Path, steps: &Steps) -> Result<(), Error> {
        self.check()?;
        self.hit(steps.before_fsync);
        from.file.sync_all().map_err(Error::io("sync", to))?;
        self.hit(steps.before_rename);
        self.name(from, to, steps.after_rename)?;
        self.sync_parent(to)
    }

    /// Gives a file its name. The caller syncs: the file before, the directory after.
    pub(super) fn name(
        &self,
        mut from: Temporary,
        to: &Path,
        after: &'static str,
    ) -> Result<(), Error> {
        self.move_to(&from.path, to, after)?;
        from.placed = true;
        Ok(())
    }

    /// Renames within the store and syncs the directory of the new name.
    pub(super) fn rename(&self, from: &Path, to: &Path, after: &'static str) -> Result<(), Error> {
        self.move_to(from, to, after)?;
        self.sync_parent(to)
    }

    /// Renames within the store. The caller syncs the directory of the new name.
    pub(super) fn move_to(&self, from: &Path, to: &Path, after: &'static str) -> Result<(), Error> {
        self.check()?;
        fs::rename(from, to).map_err(Error::io("rename to", to))?;
        self.hit(after);
        Ok(())
    }

    /// Makes a directory if it is missing, durably.
    pub(super) fn make_dir(&self, path: &Path) -> Result<(), Error> {
        match make_dir_unsynced(path)? {
            true => self.sync_parent(path),
            false => Ok(()),
        }
    }

    /// Removes a file if it is there, durably.
    pub(super) fn remove(&self, path: &Path, after: &'static str) -> Result<(), Error> {
        self.check()?;
        match fs::remove_file(path) {
            Ok(()) => {
                self.hit(after);
                self.sync_parent(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("remove", path)(error)),
        }
    }

    pub(super) fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        let dir = path.parent().expect("every path of the store is below it");
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| {
            self.0.in_doubt.store(true, Ordering::SeqCst);
            Error::io("sync the directory", dir)(error)
        })
    }

    /// Writes a small file with its seal, in the place of an older one.
    pub(super) fn write_sealed(
        &self,
        path: &Path,
        bytes: &[u8],
        steps: &Steps,
    ) -> Result<(), Error> {
        let temporary = self.sealed(path, bytes)?;
        self.place(temporary, path, steps)
    }

    /// The same for what a later start can do without: nothing waits for the medium. What a power
    /// cut leaves of it has no seal that fits.
    pub(super) fn write_sealed_unsynced(
        &self,
        path: &Path,
        bytes: &[u8],
        (before, after): (&'static str, &'static str),
    ) -> Result<(), Error> {
        let temporary = self.sealed(path, bytes)?;
        self.hit(before);
        self.name(temporary, path, after)
    }

    fn sealed(&self, path: &Path, bytes: &[u8]) -> Result<Temporary, Error> {
        let mut temporary = self.temporary()?;
        let seal = Blake3::of(&[bytes]);
        let file = &mut temporary.file;
        file.write_all(seal.as_bytes())
            .and_then(|()| file.write_all(bytes))
            .map_err(Error::io("write", path))?;
        Ok(temporary)
    }
}

/// Has the medium begin with what was written of a long file, whenever the `len` bytes written last,
/// at `at`, end a stretch of it: else all of it would wait for the fsync. The advice is the one that
/// Linux acts upon so; nothing rests on it.
pub(crate) fn write_back(file: &File, at: u64, len: u64) {
    if let Some((from, len)) = stretches_ended(at, len) {
        fadvise(file, from, NonZeroU64::new(len), Advice::DontNeed).ok();
    }
}

/// Where the stretches begin that a write ends, and how many bytes they have.
fn stretches_ended(at: u64, len: u64) -> Option<(u64, u64)> {
    let (first, next) = (
        at / WRITE_BACK_BYTES,
        at.saturating_add(len) / WRITE_BACK_BYTES,
    );
    (next > first).then(|| (first * WRITE_BACK_BYTES, (next - first) * WRITE_BACK_BYTES))
}

/// Makes a directory; false if it is there. The caller syncs its parent.
pub(super) fn make_dir_unsynced(path: &Path) -> Result<bool, Error> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io("create", path)(error)),
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // The next start empties `tmp` in any case.
            drop(fs::remove_file(&self.path));
        }
    }
}

pub(super) fn read_sealed(path: &Path) -> Result<Sealed, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sealed::Absent),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(SEALED_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    let Some((seal, body)) = bytes.split_at_checked(SEAL_BYTES) else {
        return Ok(Sealed::Damaged);
    };
    if Blake3::of(&[body]).as_bytes() != seal {
        return Ok(Sealed::Damaged);
    }
    Ok(Sealed::Bytes(bytes.split_off(SEAL_BYTES)))
}

/// What stands in a sealed file that is damaged, past its seal: somebody's signature in it may still
/// be good.
pub(super) fn read_broken(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SEALED_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    Ok(bytes.split_off(SEAL_BYTES.min(bytes.len())))
}

/// Names in a directory, sorted; none if it is not there.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", dir))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_ends_with_its_last_byte() {
        let whole = WRITE_BACK_BYTES;
        assert_eq!(stretches_ended(0, whole - 1), None);
        assert_eq!(stretches_ended(0, whole), Some((0, whole)));
        assert_eq!(stretches_ended(whole - 1, 1), Some((0, whole)));
        assert_eq!(stretches_ended(whole, whole - 1), None);
        assert_eq!(
            stretches_ended(whole + 1, 2 * whole),
            Some((whole, 2 * whole))
        );
    }
}
