//! The store: files hold the truth, the index can be rebuilt.
//!
//! The core decides, the store acts: it checks that a change fits what it holds, never what the
//! change means. Every method is synchronous and may wait for the disk; [`disk::Disk`] is the one
//! that nodes use, [`memory::Memory`] the one of the simulator, [`contract`] what both keep.
//!
//! # On disk
//!
//! ```text
//! format                      "skep-store 1\n", then 64 hex digits, this store's own id, then "\n"
//! lock                        flock; the holder's process id while it runs, empty after a clean end
//! repos/ID/                   a followed repository
//!   roots/SHA256              a signed root document                                 (sealed)
//!   logs/KEY/entries          u16be length ‖ entry, appended: tlog-tiles' framing of entry bundles
//!   logs/KEY/entries.2        the same of another branch, once a cut has named one
//!   logs/KEY/state            [branch that is held, branch that was set aside / null]  (sealed)
//!   evidence/KEY              fork evidence                                          (sealed)
//!   facts/KIND/KEY            what this node remembers of the repository             (sealed)
//! blobs/HH/HASH               a complete blob; HH are the first two digits of HASH
//! partial/HASH.data           groups of a blob that is being fetched, each where it belongs
//! partial/HASH.list           [size, group list]                                     (sealed)
//! tmp/                        files that have no name yet; emptied at start
//! trash/                      folders that lost their name; emptied at start
//! damaged/                    what the medium spoiled, kept for people; one of each name, of a log a few
//! index/                      sled; may be deleted whenever no process holds the lock
//! ```
//!
//! ID is `skep1…`, KEY 66 and SHA256 and HASH 64 lower-case hex digits. *Sealed*: 32 bytes BLAKE3
//! of what follows, then what follows. In `state` a branch is `[file: 0 entries / 1 entries.2, size,
//! bytes, root, checkpoint / null, checkpoint / null]`: of that file count `bytes` bytes, which hold
//! `size` entries whose RFC 6962 root is `root`; then come the checkpoint that is whole and the one
//! that is ahead ([`Loaded::Checkpoints`]). What lies behind `bytes` was never acknowledged.
//!
//! # What is assumed of the medium
//!
//! * A file whose `fsync` returned holds what was written; a name whose directory's `fsync` returned
//!   after a rename is there, after a power cut too. Nothing is assumed of writes before that: they
//!   may be kept, lost or torn, in any order, byte by byte.
//! * A rename within the store (one file system) is atomic.
//! * A failed `fsync` leaves the pages of that file in doubt. The file is given up, never synced
//!   again; if it was a directory's, the store takes no more writes until it is opened again.
//! * Bytes at rest may change. Everything is checked when it is read (sealed files by their hash,
//!   entries by `root`, groups by the list) and set aside when it differs: peers have it. Of a log
//!   the entries stay that are proven by a checkpoint in its state. A fact exists nowhere else: one
//!   that can be done without is set aside, one that must not be forgotten stops its repository.
//! * A process that ended without cleaning the lock may have left names visible that are not yet
//!   durable: the next start syncs the file system before it believes any.
//!
//! # Durable steps
//!
//! * **A small file** (root document, evidence, fact, state, partial list): `tmp/N` written, fsync,
//!   rename, fsync of the directory.
//! * **Append**: entries written at the committed end, fsync, then `state` as a small file. Before
//!   the rename of `state` the entries do not exist; after it, they do.
//! * **Rewind**, **Exchange**: `state` as a small file; the next append cuts the tail off.
//! * **A blob**: groups verified, then written in place; at the end fsync, rename to `blobs/`, fsync
//!   of the directory. An imported one is hashed while it is copied to `tmp/`, then the same.
//! * **Follow**: the folders made in `tmp/`, rename, fsync. **Unfollow**: rename to `trash/`, fsync,
//!   then deleted.

pub mod contract;
pub mod disk;
pub mod memory;

mod blobs;
mod change;
mod durable;
mod event;
mod faults;
mod found;
mod index;
mod logs;
mod repos;
mod table;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use skep_proto::blob::{self, GroupList};
use skep_proto::claimed::Verified;
use skep_proto::fault::Fault;
use skep_proto::hash::Blake3;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;

pub(crate) use durable::write_back;

pub use change::{Change, FACT_KEY_BYTES_MAX, FACT_VALUE_BYTES_MAX, FactKind, Loaded};
pub use event::Event;
pub use faults::{Faults, POINTS, UnknownPoint};
pub use found::Found;

/// Most bytes of entries in one [`Loaded::Entries`]; one entry is always given.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Repositories and blobs, kept.
pub trait Store: Send + Sync {
    /// Gives everything that the core is rebuilt from, ordered by repository and within one as the
    /// variants of [`Loaded`] stand. Ends with the first error of `each`.
    fn load(&self, each: &mut dyn FnMut(Loaded) -> Result<(), Error>) -> Result<(), Error>;

    /// Durable when it returns `Ok`. A change appears whole or not at all, also after kill -9 or a
    /// power cut; one that does not fit what is held changes nothing.
    fn persist(&self, change: &Change) -> Result<(), Error>;

    /// Entries `from..to` of a log, as far as they are committed.
    fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Result<Vec<Vec<u8>>, Error>;

    /// What fills the gap between the entries that are held of a log and `tail`, from what was set
    /// aside of it: entries that lead, with `tail` after them, to the root of `checkpoint`.
    fn salvage(
        &self,
        repo: &RepoId,
        checkpoint: &Checkpoint,
        tail: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, Error>;

    /// What the medium spoiled and nobody has removed yet, sorted.
    fn damaged(&self) -> Result<Vec<PathBuf>, Error>;

    /// What is known of a complete blob.
    fn blob(&self, hash: &Blake3) -> Result<Option<BlobInfo>, Error>;

    /// The proven group list of a blob that is complete or has been begun; empty for one group.
    fn group_list(&self, hash: &Blake3) -> Result<Option<Vec<u8>>, Error>;

    /// One group of a complete blob, or one that is held of a blob that has been begun; verified
    /// now, in both cases. A complete blob that does not verify is set aside: [`Error::BadBlob`].
    fn read_group(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error>;

    /// A complete blob, at its start. Who reads it checks the hash: nothing is verified here.
    fn open(&self, hash: &Blake3) -> Result<Option<File>, Error>;

    /// Starts or resumes a blob of `size` bytes. Without a list, one that was given before is used;
    /// a blob of one group needs none. Begun under two sizes, the later one counts.
    fn begin(
        &self,
        hash: &Blake3,
        size: u64,
        list: Option<&Verified<GroupList>>,
    ) -> Result<Held, Error>;

    /// Verifies a group of a blob that has been begun, then writes it. Groups of a complete blob
    /// are ignored: they came too late.
    fn write_group(&self, hash: &Blake3, index: u64, bytes: &[u8]) -> Result<(), Error>;

    /// Every group of a blob is written: makes it durable and complete. Complete already is fine.
    fn finish(&self, hash: &Blake3) -> Result<(), Error>;

    /// Copies a blob into the store; durable and complete when it returns.
    fn import(&self, from: &mut dyn Read) -> Result<BlobInfo, Error>;

    /// Forgets a blob, complete or not. Whether anybody needs it is the caller's matter.
    fn remove_blob(&self, hash: &Blake3) -> Result<(), Error>;

    /// Every blob that is complete or was begun.
    fn blobs(&self, each: &mut dyn FnMut(Found)) -> Result<(), Error>;

    /// Every repository of which something is kept, also those that [`Store::load`] leaves out.
    fn repositories(&self) -> Result<Vec<RepoId>, Error>;

    fn space(&self) -> Result<Space, Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    pub hash: Blake3,
    /// In bytes.
    pub size: u64,
}

/// How much of a blob is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Whole,
    /// Groups that verified, ascending, and whether the group list is known. Without it, nothing is
    /// begun.
    Part {
        groups: Vec<u64>,
        list: bool,
    },
}

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Of the files of this store.
    pub used: u64,
    /// What the file system gives to this user.
    pub free: u64,
}

/// Why the store does not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not read what is to be stored")]
    Source(#[source] std::io::Error),
    #[error("the store `{}` has format {found}, and this program knows formats up to {known}", path.display())]
    Newer {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    #[error("`{}` is not a store, and not empty", path.display())]
    NotAStore { path: PathBuf },
    #[error("`{}` is damaged: it no longer says which format the store has", path.display())]
    Format { path: PathBuf },
    #[error("the store `{}` is in use by process {pid}", path.display())]
    Locked { path: PathBuf, pid: String },
    #[error("a write could not be made durable: the store takes no more until it is opened again")]
    ReadOnly,
    #[error("`{}` is damaged, and nobody else has it", path.display())]
    Damaged { path: PathBuf },
    #[error("the repository `{repo}` is not followed")]
    NotFollowed { repo: RepoId },
    #[error("the log of `{key}` has {held} entries, not {from}")]
    Conflict { key: Key, held: u64, from: u64 },
    #[error("the change does not fit the log of `{key}`: {why}")]
    Misfit { key: Key, why: &'static str },
    #[error("a fact cannot be kept under `{}`", key.escape_debug())]
    FactKey { key: String },
    #[error("a fact of {size} bytes where at most {FACT_VALUE_BYTES_MAX} are allowed")]
    FactSize { size: usize },
    #[error(transparent)]
    Blob(#[from] blob::Error),
    #[error("the group list of the blob `{other}` was given for `{hash}`")]
    OtherList { hash: Blake3, other: Blake3 },
    #[error("the blob `{hash}` was not begun")]
    NotBegun { hash: Blake3 },
    #[error("the blob `{hash}` lacks {missing} of its groups")]
    Incomplete { hash: Blake3, missing: usize },
    #[error("the blob `{hash}` was damaged on disk and is set aside")]
    BadBlob { hash: Blake3 },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Blob(error) => error.fault(),
            _ => Fault::Us,
        }
    }

    /// For `map_err` of a call that did something to a path.
    fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
