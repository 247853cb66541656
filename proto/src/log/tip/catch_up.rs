//! What a node's checkpoint of the author's own log means for the tip.

use super::{Tip, edge_after};
use crate::claimed::Verified;
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::fork::{self, ForkEvidence};
use crate::log::tree::{Edge, leaf};

/// How a node stands to the tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The node holds what is signed up to the size it says, which now counts as acknowledged.
    /// Pending entries after it are to be sent.
    Holds,
    /// The node holds less than was acknowledged before: it catches up from others. Nothing can be
    /// compared, for the tip no longer has those entries.
    Behind,
    /// The node holds entries of this key that the tip does not know: [`Tip::extend`] with those
    /// from `from` to `to` before anything is signed.
    Ahead { from: u64, to: u64 },
}

/// Why the tip cannot go on from what a node says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatchUpError {
    #[error("the node's checkpoint is of another key")]
    OtherKey,
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    #[error("the node's checkpoint has {given} entries, fewer than the {signed} signed")]
    Shorter { given: u64, signed: u64 },
    /// The node has another branch or sent wrong entries: its proof decides ([`Tip::judge`]).
    #[error("the node's entries do not lead from what this key has signed to size {size}")]
    Entries { size: u64 },
    #[error("the node does not prove its branch")]
    Unproven(#[from] fork::Error),
    /// The key has signed two branches: it must not sign again before a person has decided.
    #[error("this key has signed two different logs, which differ in the first {} entries", .0.a.size)]
    Forked(Box<Verified<ForkEvidence>>),
}

impl CatchUpError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Forked(_) => Fault::Publisher,
            _ => Fault::Peer,
        }
    }
}

impl Tip {
    /// Compares the tip with a node's checkpoint of the same log, and acknowledges what both have.
    pub fn hear(&mut self, theirs: &Checkpoint) -> Result<Standing, CatchUpError> {
        self.check_ours(theirs)?;
        let held = self.acknowledged.size();
        let Some(mine) = self.checkpoint.as_ref().filter(|c| c.size >= theirs.size) else {
            let (from, to) = (self.size(), theirs.size);
            return Ok(Standing::Ahead { from, to });
        };
        let Some(more) = theirs.size.checked_sub(held) else {
            return Ok(Standing::Behind);
        };
        let more = usize::try_from(more).expect("at most as many as are pending, in memory");
        let (common, later) = self.pending.split_at(more);
        let edge = edge_after(self.acknowledged.clone(), common);
        if edge.root() != theirs.root {
            return Err(self.forked(mine, theirs, &edge, later));
        }
        self.acknowledge(theirs.size)
            .expect("not more than is signed");
        Ok(Standing::Holds)
    }

    /// Takes the entries by which a node is ahead: `entries` are those after what is signed, up to
    /// `theirs`. All of it then counts as acknowledged. On an error the tip is as it was, and
    /// [`CatchUpError::Entries`] asks for a proof.
    pub fn extend<E: AsRef<[u8]>>(
        &mut self,
        theirs: &Checkpoint,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<(), CatchUpError> {
        self.check_ours(theirs)?;
        let (given, signed) = (theirs.size, self.size());
        if given <= signed {
            return Err(CatchUpError::Shorter { given, signed });
        }
        let mut edge = edge_after(self.acknowledged.clone(), &self.pending);
        for entry in entries {
            if edge.size() == given {
                return Err(CatchUpError::Entries { size: given });
            }
            edge.push(leaf(entry.as_ref()));
        }
        if edge.size() != given || edge.root() != theirs.root {
            return Err(CatchUpError::Entries { size: given });
        }
        self.acknowledged = edge;
        self.pending.clear();
        self.checkpoint = Some(theirs.clone().bare());
        Ok(())
    }

    /// Why the node's entries did not lead to `theirs`, from its answer to "prove what your tree was
    /// at the size of what I have signed": on another branch it proves the fork, else it lies.
    pub fn judge(&self, theirs: &Checkpoint, root_at: Sha256, proof: &[Sha256]) -> CatchUpError {
        match &self.checkpoint {
            Some(mine) => self.convict(mine, theirs, root_at, proof),
            None => CatchUpError::Entries { size: theirs.size },
        }
    }

    fn check_ours(&self, theirs: &Checkpoint) -> Result<(), CatchUpError> {
        if theirs.key != self.key {
            return Err(CatchUpError::OtherKey);
        }
        if !theirs.verify(&self.repo) {
            return Err(theirs.unsigned().into());
        }
        Ok(())
    }

    /// The evidence that `mine` and a shorter `theirs` are on two branches; `edge` is mine at the
    /// size of theirs, and `later` what I signed after it.
    fn forked(
        &self,
        mine: &Checkpoint,
        theirs: &Checkpoint,
        edge: &Edge,
        later: &[Vec<u8>],
    ) -> CatchUpError {
        let later: Vec<Sha256> = later.iter().map(|entry| leaf(entry)).collect();
        let proof = edge.consistency_proof(&later).unwrap_or_default();
        self.convict(mine, theirs, edge.root(), &proof)
    }

    fn convict(
        &self,
        mine: &Checkpoint,
        theirs: &Checkpoint,
        root_at: Sha256,
        proof: &[Sha256],
    ) -> CatchUpError {
        match ForkEvidence::between(&self.repo, mine, theirs, root_at, proof) {
            Ok(evidence) => CatchUpError::Forked(Box::new(evidence)),
            Err(error) => error.into(),
        }
    }
}
