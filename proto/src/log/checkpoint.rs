//! Checkpoints: C2SP signed notes over the root of a log, and their cosignature lines.
//!
//! A key signs checkpoints and never entries, so one signature covers the whole history. In
//! messages a checkpoint is CBOR; the note is a pure function of it ([`note`]).

pub mod note;
#[cfg(test)]
mod tests;

use data_encoding::BASE64;

use crate::bytes::{self, Reader, Writer};
use crate::claimed::{Claimed, Verified};
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::{Key, Signature, SigningKey};
use crate::limits::COSIGNATURES_MAX;
use crate::log::tree::SIZE_MAX;

/// Longest checkpoint in CBOR, in bytes: its own fields, and 16 cosignatures of at most 112.
pub const ENCODED_BYTES_MAX: usize = 160 + COSIGNATURES_MAX * 112;
/// Latest time of a cosignature in unix seconds: what C2SP allows.
pub const TIME_MAX: u64 = (1 << 63) - 1;

/// A signed position of a log: its first `size` entries have `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub key: Key,
    /// 1 to [`SIZE_MAX`].
    pub size: u64,
    pub root: Sha256,
    pub signature: Signature,
    /// At most [`COSIGNATURES_MAX`], sorted by key, each key once. The log's signature does not
    /// cover them: each is verified by itself.
    pub cosignatures: Vec<Cosignature>,
}

/// A witness's word that at `time` (unix seconds) this was the newest checkpoint it knew of the
/// log, consistent with all that it had seen of it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    pub key: Key,
    pub time: u64,
    pub signature: Signature,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a checkpoint of size {0} cannot be signed")]
    Size(u64),
    #[error("the checkpoint of size {size} is not signed by its key `{key}`")]
    Signature { key: Key, size: u64 },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Size(_) => Fault::Us,
            Self::Signature { .. } => Fault::Peer,
        }
    }
}

/// The origin line of the log of `key` in `repo`, which is also the name of its key in notes.
pub fn origin(repo: &RepoId, key: &Key) -> String {
    format!("skep/v1/{repo}/{key}")
}

/// What the log's key signs: the three lines of the note.
pub fn signed_text(repo: &RepoId, key: &Key, size: u64, root: &Sha256) -> String {
    let (origin, root) = (origin(repo, key), BASE64.encode(root.as_bytes()));
    format!("{origin}\n{size}\n{root}\n")
}

impl Checkpoint {
    /// Signs that the first `size` entries have `root`. The caller has persisted, or persists
    /// before it sends, how far the key has signed ([`crate::log::tip`]).
    pub fn sign(
        repo: &RepoId,
        signing: &SigningKey,
        size: u64,
        root: Sha256,
    ) -> Result<Self, Error> {
        if size == 0 || size > SIZE_MAX {
            return Err(Error::Size(size));
        }
        let key = signing.key();
        Ok(Self {
            key,
            size,
            root,
            signature: signing.sign(signed_text(repo, &key, size, &root).as_bytes()),
            cosignatures: Vec::new(),
        })
    }

    /// Whether the log's key signed this in `repo`. Says nothing about the cosignatures.
    pub fn verify(&self, repo: &RepoId) -> bool {
        self.key
            .verify(self.signed_text(repo).as_bytes(), &self.signature)
    }

    /// What this checkpoint's key signs in `repo`.
    pub fn signed_text(&self, repo: &RepoId) -> String {
        signed_text(repo, &self.key, self.size, &self.root)
    }

    /// The same without cosignatures.
    pub fn bare(mut self) -> Self {
        self.cosignatures.clear();
        self
    }

    /// Adds a cosignature; of two by one witness the newer stays. False, and nothing is changed, if
    /// it does not verify in `repo`, is not newer, or there is no room.
    pub fn add_cosignature(&mut self, repo: &RepoId, cosignature: Cosignature) -> bool {
        cosignature.verify(repo, self) && self.insert(cosignature)
    }

    fn insert(&mut self, cosignature: Cosignature) -> bool {
        let place = self
            .cosignatures
            .binary_search_by_key(&cosignature.key, |held| held.key);
        match place {
            Ok(at) if self.cosignatures[at].time < cosignature.time => {
                self.cosignatures[at] = cosignature;
            }
            Err(at) if self.cosignatures.len() < COSIGNATURES_MAX => {
                self.cosignatures.insert(at, cosignature);
            }
            _ => return false,
        }
        true
    }

    /// Reads what [`Checkpoint::to_bytes`] wrote, all of `input`.
    pub fn from_bytes(input: &[u8]) -> Result<Claimed<Self>, bytes::Error> {
        let mut reader = Reader::strict(input, ENCODED_BYTES_MAX)?;
        let checkpoint = Self::read(&mut reader)?;
        reader.end()?;
        Ok(Claimed(checkpoint))
    }

    /// CBOR, with the cosignatures: a gossip message, a file of the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads `[key, size, root, sig, [*16 [key, time, sig]]]`.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        Self::read_up_to(reader, COSIGNATURES_MAX)
    }

    /// Reads a checkpoint whose list of cosignatures must be empty.
    pub fn read_bare(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        Self::read_up_to(reader, 0)
    }

    fn read_up_to(reader: &mut Reader<'_>, max: usize) -> Result<Self, bytes::Error> {
        reader.array(5)?;
        let key = Key::read(reader)?;
        let size = reader.uint_to(SIZE_MAX)?;
        if size == 0 {
            return Err(bytes::Error::Invalid("a checkpoint of size 0"));
        }
        let root = Sha256::from_bytes(reader.bytes_of()?);
        let signature = Signature::read(reader)?;
        let cosignatures = reader.items("cosignatures", max, Cosignature::read)?;
        if !sorted(&cosignatures) {
            return Err(bytes::Error::Invalid(
                "cosignatures that are not sorted by key, each key once",
            ));
        }
        Ok(Self {
            key,
            size,
            root,
            signature,
            cosignatures,
        })
    }

    /// Writes what [`Checkpoint::read`] reads.
    pub fn write(&self, writer: &mut Writer) {
        self.write_with(writer, &self.cosignatures);
    }

    /// Writes what [`Checkpoint::read_bare`] reads: the cosignatures are left out.
    pub fn write_bare(&self, writer: &mut Writer) {
        self.write_with(writer, &[]);
    }

    /// The error for a checkpoint that does not verify.
    pub(super) fn unsigned(&self) -> Error {
        Error::Signature {
            key: self.key,
            size: self.size,
        }
    }

    fn write_with(&self, writer: &mut Writer, cosignatures: &[Cosignature]) {
        writer
            .array(5)
            .bytes(self.key.as_bytes())
            .uint(self.size)
            .bytes(self.root.as_bytes())
            .bytes(self.signature.as_bytes())
            .array(cosignatures.len());
        for cosignature in cosignatures {
            cosignature.write(writer);
        }
    }
}

impl Claimed<Checkpoint> {
    /// Proves that the log's key signed it in `repo`. Cosignatures that are not by one of
    /// `witnesses` or do not verify are dropped, not fatal: nobody rides on what we relay, and a
    /// relay that adds junk cannot make others refuse the checkpoint.
    pub fn verify(self, repo: &RepoId, witnesses: &[Key]) -> Result<Verified<Checkpoint>, Error> {
        let Self(mut checkpoint) = self;
        if !checkpoint.verify(repo) {
            return Err(checkpoint.unsigned());
        }
        let text = checkpoint.signed_text(repo);
        checkpoint
            .cosignatures
            .retain(|held| witnesses.contains(&held.key) && held.verify_text(&text));
        Ok(Verified::new(checkpoint))
    }
}

impl Verified<Checkpoint> {
    /// This checkpoint with the newest cosignature of each witness in it and in `other`; unchanged
    /// if `other` is of another log, size or root.
    pub fn merge(self, other: &Self) -> Self {
        let mut merged = self.into_inner();
        if (merged.key, merged.size, merged.root) == (other.key, other.size, other.root) {
            for cosignature in &other.cosignatures {
                merged.insert(*cosignature);
            }
        }
        Self::new(merged)
    }
}

impl Cosignature {
    /// Cosigns `checkpoint` at `time`. Whether a witness may is its own matter.
    pub fn sign(repo: &RepoId, checkpoint: &Checkpoint, witness: &SigningKey, time: u64) -> Self {
        let message = cosigned_text(time, &checkpoint.signed_text(repo));
        Self {
            key: witness.key(),
            time,
            signature: witness.sign(message.as_bytes()),
        }
    }

    /// Whether this witness cosigned `checkpoint` of `repo` at this time.
    pub fn verify(&self, repo: &RepoId, checkpoint: &Checkpoint) -> bool {
        self.verify_text(&checkpoint.signed_text(repo))
    }

    fn verify_text(&self, text: &str) -> bool {
        let message = cosigned_text(self.time, text);
        self.time <= TIME_MAX && self.key.verify(message.as_bytes(), &self.signature)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        reader.array(3)?;
        Ok(Self {
            key: Key::read(reader)?,
            time: reader.uint_to(TIME_MAX)?,
            signature: Signature::read(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .array(3)
            .bytes(self.key.as_bytes())
            .uint(self.time)
            .bytes(self.signature.as_bytes());
    }
}

/// What a witness signs.
fn cosigned_text(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn sorted(cosignatures: &[Cosignature]) -> bool {
    cosignatures.is_sorted_by(|before, after| before.key < after.key)
}
