//! Fork evidence: two checkpoints of one key that no honest log could have.
//!
//! An honest peer's answer to "prove that my checkpoint is a prefix of yours" *is* the evidence: it
//! proves which root the longer branch really has at the shorter one's size. Whoever holds it can
//! check it without holding a single entry.

#[cfg(test)]
mod tests;

use crate::bytes::{self, Reader, Writer};
use crate::claimed::{Claimed, Verified};
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::{EVIDENCE_BYTES_MAX, PROOF_HASHES_MAX};
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::tree::{self, verify_consistency};

/// Two checkpoints of one log, and the proof that the second's tree has another root at the first's
/// size. Neither carries cosignatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkEvidence {
    /// The shorter one, or one of two of equal size.
    pub a: Checkpoint,
    pub b: Checkpoint,
    /// The root that the tree of `b` has at the size of `a`; for equal sizes the root of `b`.
    pub alt_root: Sha256,
    /// RFC 6962, from `alt_root` at the size of `a` to `b`; for equal sizes empty.
    pub proof: Vec<Sha256>,
}

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the two checkpoints are of different keys")]
    Keys,
    #[error("both branches have the same root at size {size}")]
    Same { size: u64 },
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    #[error("the second checkpoint is not proven to have another root at the first's size")]
    Proof(#[source] tree::Error),
}

impl Error {
    /// Evidence proves itself: who sends what does not could have checked it.
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

impl ForkEvidence {
    /// The evidence that `mine` and `theirs` are on two branches, if it is one: `root_at` and
    /// `proof` are what proves the shorter one's size in the longer one's tree, and are not used
    /// for equal sizes.
    pub fn between(
        repo: &RepoId,
        mine: &Checkpoint,
        theirs: &Checkpoint,
        root_at: Sha256,
        proof: &[Sha256],
    ) -> Result<Verified<Self>, Error> {
        let (a, b) = match mine.size <= theirs.size {
            true => (mine, theirs),
            false => (theirs, mine),
        };
        let (alt_root, proof) = match a.size == b.size {
            true => (b.root, Vec::new()),
            false => (root_at, proof.to_vec()),
        };
        let (a, b) = (a.clone().bare(), b.clone().bare());
        let evidence = Self {
            a,
            b,
            alt_root,
            proof,
        };
        Claimed(evidence).verify(repo)
    }

    /// The key that signed both branches.
    pub fn key(&self) -> &Key {
        &self.a.key
    }

    /// Reads `[checkpoint, checkpoint, h32, [*63 h32]]` from all of `input`.
    pub fn from_bytes(input: &[u8]) -> Result<Claimed<Self>, bytes::Error> {
        let mut reader = Reader::strict(input, EVIDENCE_BYTES_MAX)?;
        let evidence = Self::read(&mut reader)?;
        reader.end()?;
        Ok(Claimed(evidence))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads the evidence where it stands inside a message.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        reader.array(4)?;
        Ok(Self {
            a: Checkpoint::read_bare(reader)?,
            b: Checkpoint::read_bare(reader)?,
            alt_root: Sha256::from_bytes(reader.bytes_of()?),
            proof: reader.items("hashes of a proof", PROOF_HASHES_MAX, |reader| {
                reader.bytes_of().map(Sha256::from_bytes)
            })?,
        })
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.array(4);
        self.a.write_bare(writer);
        self.b.write_bare(writer);
        writer
            .bytes(self.alt_root.as_bytes())
            .array(self.proof.len());
        for hash in &self.proof {
            writer.bytes(hash.as_bytes());
        }
    }

    fn check(&self, repo: &RepoId) -> Result<(), Error> {
        let Self {
            a,
            b,
            alt_root,
            proof,
        } = self;
        if a.key != b.key {
            return Err(Error::Keys);
        }
        if a.root == *alt_root {
            return Err(Error::Same { size: a.size });
        }
        verify_consistency(a.size, alt_root, b.size, &b.root, proof).map_err(Error::Proof)?;
        for checkpoint in [a, b] {
            if !checkpoint.verify(repo) {
                return Err(checkpoint.unsigned().into());
            }
        }
        Ok(())
    }
}

impl Claimed<ForkEvidence> {
    /// Proves that one key signed both branches in `repo`: nothing of its log counts until a cut.
    pub fn verify(self, repo: &RepoId) -> Result<Verified<ForkEvidence>, Error> {
        let Self(evidence) = self;
        evidence.check(repo)?;
        Ok(Verified::new(evidence))
    }
}
