//! The author's side: how far a key has signed, and what no node has acknowledged yet.
//!
//! A key that signs two different entries at one position convicts itself. So the tip is a file
//! beside the key, durable before anything that it signs is sent: after a crash the next command
//! sends what is pending, byte for byte, instead of signing something else in its place. A tip that
//! is older than the log (a restored backup, a second device) catches up or stops with the evidence.

mod catch_up;
#[cfg(test)]
mod tests;

pub use catch_up::{CatchUpError, Standing};

use crate::bytes::{self, Reader, Writer};
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::{Key, SigningKey};
use crate::limits::ENTRY_BYTES_MAX;
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::tree::{Edge, SIZE_MAX, leaf};

/// Version of the file's format.
const VERSION: u64 = 1;
/// Most entries that may wait for a node: a command that publishes writes a few, and sends them.
pub const PENDING_ENTRIES_MAX: usize = 1_024;
/// Most bytes of entries that may wait for a node: a file that is rewritten whole stays small.
pub const PENDING_BYTES_MAX: usize = 16 << 20;
/// Longest file: the entries with a head of at most 3 bytes each, and less than 4 KiB for the rest.
pub const TIP_BYTES_MAX: usize = PENDING_BYTES_MAX + 3 * PENDING_ENTRIES_MAX + 4_096;

/// How far `key` has signed its log in `repo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    repo: RepoId,
    key: Key,
    /// The tree of what a node has acknowledged.
    acknowledged: Edge,
    /// The entries after it, which were signed.
    pending: Vec<Vec<u8>>,
    /// Signed over both; nothing was ever signed if there is none.
    checkpoint: Option<Checkpoint>,
}

/// Why a tip is not read or not extended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("could not read the tip")]
    Format(#[from] bytes::Error),
    #[error("the tip has format {0}, which needs a newer skep")]
    Newer(u64),
    #[error("the tip is of another repository or key")]
    Other,
    #[error("the tip's checkpoint is not over its entries, or not signed by its key")]
    Checkpoint,
    #[error("the signing key is `{0}`, which is not the tip's")]
    Signer(Key),
    #[error("no entries to sign")]
    Nothing,
    #[error("an entry of {0} bytes where at most {ENTRY_BYTES_MAX} are allowed")]
    Entry(usize),
    #[error(
        "{entries} entries of {size} bytes would wait for a node, where at most \
         {PENDING_ENTRIES_MAX} of {PENDING_BYTES_MAX} bytes may"
    )]
    Pending { entries: usize, size: usize },
    #[error("a node acknowledged {acknowledged} entries where {signed} are signed")]
    Acknowledged { acknowledged: u64, signed: u64 },
    #[error(transparent)]
    Sign(#[from] checkpoint::Error),
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Acknowledged { .. } => Fault::Peer,
            _ => Fault::Us,
        }
    }
}

impl Tip {
    /// The tip of a key that has signed nothing in `repo`.
    pub fn new(repo: RepoId, key: Key) -> Self {
        Self {
            repo,
            key,
            acknowledged: Edge::new(),
            pending: Vec::new(),
            checkpoint: None,
        }
    }

    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How many entries are signed.
    pub fn size(&self) -> u64 {
        self.acknowledged.size() + self.pending.len() as u64
    }

    /// How many entries a node is known to hold durably. Zero: nothing was ever confirmed.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.size()
    }

    /// The signed entries that no node has acknowledged, oldest first; the first one stands at
    /// index [`Tip::acknowledged`]. The next command sends them before it signs anything.
    pub fn pending(&self) -> &[Vec<u8>] {
        &self.pending
    }

    /// The newest checkpoint that the key has signed.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Signs a checkpoint over `entries` after all that is signed. The caller makes the tip durable
    /// before it sends anything. On an error the tip is as it was.
    pub fn append(
        &mut self,
        signing: &SigningKey,
        entries: Vec<Vec<u8>>,
    ) -> Result<&Checkpoint, Error> {
        if signing.key() != self.key {
            return Err(Error::Signer(signing.key()));
        }
        if entries.is_empty() {
            return Err(Error::Nothing);
        }
        check_pending(self.pending.iter().chain(&entries))?;
        let size = self.size() + entries.len() as u64;
        if size > SIZE_MAX {
            return Err(checkpoint::Error::Size(size).into());
        }
        let root = edge_after(
            self.acknowledged.clone(),
            self.pending.iter().chain(&entries),
        );
        let checkpoint = Checkpoint::sign(&self.repo, signing, size, root.root())?;
        self.pending.extend(entries);
        Ok(self.checkpoint.insert(checkpoint))
    }

    /// A node holds the first `size` entries durably, under a checkpoint of this tip: they need not
    /// be sent again. Fewer than were acknowledged before change nothing.
    pub fn acknowledge(&mut self, size: u64) -> Result<(), Error> {
        let signed = self.size();
        if size > signed {
            let acknowledged = size;
            return Err(Error::Acknowledged {
                acknowledged,
                signed,
            });
        }
        let more = size.saturating_sub(self.acknowledged.size());
        let more = usize::try_from(more).expect("at most as many as are pending, in memory");
        for entry in self.pending.drain(..more) {
            self.acknowledged.push(leaf(&entry));
        }
        Ok(())
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(6)
            .uint(VERSION)
            .bytes(self.repo.as_bytes())
            .bytes(self.key.as_bytes());
        self.acknowledged.write(&mut writer);
        writer.array(self.pending.len());
        for entry in &self.pending {
            writer.bytes(entry);
        }
        writer.option(self.checkpoint.as_ref(), |writer, checkpoint| {
            checkpoint.write_bare(writer);
            writer
        });
        writer.finish()
    }

    /// Reads the file of `key` in `repo`. It proves itself: the checkpoint in it is signed over the
    /// very entries, so a damaged file is refused rather than signed upon.
    pub fn from_bytes(input: &[u8], repo: &RepoId, key: &Key) -> Result<Self, Error> {
        let mut reader = Reader::strict(input, TIP_BYTES_MAX)?;
        reader.array(6)?;
        match reader.uint()? {
            VERSION => {}
            other => return Err(Error::Newer(other)),
        }
        let tip = Self {
            repo: RepoId::from_hash(Sha256::from_bytes(reader.bytes_of()?)),
            key: Key::read(&mut reader)?,
            acknowledged: Edge::read(&mut reader)?,
            pending: reader.items("pending entries", PENDING_ENTRIES_MAX, |reader| {
                reader.bytes(ENTRY_BYTES_MAX).map(<[u8]>::to_vec)
            })?,
            checkpoint: reader.option(Checkpoint::read_bare)?,
        };
        reader.end()?;
        if tip.repo != *repo || tip.key != *key {
            return Err(Error::Other);
        }
        check_pending(tip.pending.iter())?;
        if tip.is_sound() {
            Ok(tip)
        } else {
            Err(Error::Checkpoint)
        }
    }

    fn is_sound(&self) -> bool {
        let Some(checkpoint) = &self.checkpoint else {
            return self.size() == 0;
        };
        checkpoint.key == self.key
            && checkpoint.size == self.size()
            && checkpoint.root == edge_after(self.acknowledged.clone(), &self.pending).root()
            && checkpoint.verify(&self.repo)
    }
}

/// The edge after the leaves of `entries`.
fn edge_after<'a>(mut edge: Edge, entries: impl IntoIterator<Item = &'a Vec<u8>>) -> Edge {
    for entry in entries {
        edge.push(leaf(entry));
    }
    edge
}

fn check_pending<'a>(pending: impl Iterator<Item = &'a Vec<u8>>) -> Result<(), Error> {
    let (mut entries, mut size) = (0, 0);
    for entry in pending {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(Error::Entry(entry.len()));
        }
        entries += 1;
        size += entry.len();
    }
    if entries > PENDING_ENTRIES_MAX || size > PENDING_BYTES_MAX {
        return Err(Error::Pending { entries, size });
    }
    Ok(())
}
