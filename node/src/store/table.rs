//! What is known of one log beside its entries: how many, their tree, which checkpoints. Pure: both
//! stores keep it by these rules.

use skep_proto::key::Key;
use skep_proto::limits::ENTRY_BYTES_MAX;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree::{self, Edge};

use super::Error;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Of the committed entries.
    pub(super) edge: Edge,
    /// Covers exactly what was committed with it; its size is at most the number of entries.
    pub(super) whole: Option<Checkpoint>,
    /// Larger than the number of entries: what the last ones were appended under.
    pub(super) ahead: Option<Checkpoint>,
}

impl Table {
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Nothing was ever kept, or everything is gone.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The table after an append, or why it does not fit.
    pub(super) fn appended(
        &self,
        key: &Key,
        from: u64,
        entries: &[Vec<u8>],
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (key, held) = (*key, self.size());
        if from != held {
            return Err(Error::Conflict { key, held, from });
        }
        let refuse = |why| Err(Error::Misfit { key, why });
        if entries.is_empty() {
            return refuse("no entries");
        }
        if entries.iter().any(|entry| entry.len() > ENTRY_BYTES_MAX) {
            return refuse("an entry that is too long");
        }
        if checkpoint.key != key {
            return refuse("a checkpoint of another key");
        }
        let mut edge = self.edge.clone();
        for entry in entries {
            edge.push(tree::leaf(entry));
        }
        if checkpoint.size < edge.size() {
            return refuse("a checkpoint that does not cover the entries");
        }
        if checkpoint.size > edge.size() {
            return Ok(Self {
                edge,
                whole: self.whole.clone(),
                ahead: Some(checkpoint.clone()),
            });
        }
        if checkpoint.root != edge.root() {
            return refuse("a checkpoint of other entries");
        }
        // One that was ahead was proven for fewer entries than there are now: it says nothing more.
        Ok(Self {
            edge,
            whole: Some(checkpoint.clone()),
            ahead: None,
        })
    }

    /// The table with `checkpoint` in the place of the one of the same size and root.
    pub(super) fn cosigned(&self, checkpoint: &Checkpoint) -> Result<Self, Error> {
        let mut table = self.clone();
        let same = |held: &&mut Checkpoint| {
            (held.key, held.size, held.root) == (checkpoint.key, checkpoint.size, checkpoint.root)
        };
        let held = [&mut table.whole, &mut table.ahead];
        match held.into_iter().flatten().find(same) {
            Some(held) => *held = checkpoint.clone(),
            None => {
                return Err(Error::Misfit {
                    key: checkpoint.key,
                    why: "no checkpoint of this size and root is held",
                });
            }
        }
        Ok(table)
    }

    /// The table over the first entries only, whose edge is `edge`.
    pub(super) fn rewound(&self, edge: Edge) -> Self {
        let within = |checkpoint: &&Checkpoint| checkpoint.size <= edge.size();
        Self {
            whole: self.whole.as_ref().filter(within).cloned(),
            ahead: self.ahead.as_ref().filter(within).cloned(),
            edge,
        }
    }

    /// The table of a log whose entries are lost: what its checkpoints said is not forgotten.
    pub(super) fn emptied(&self) -> Self {
        Self {
            edge: Edge::new(),
            whole: None,
            ahead: self.ahead.clone().or_else(|| self.whole.clone()),
        }
    }
}
