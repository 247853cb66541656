//! The file `state` of a log: which entries file is held and which is set aside, and how much of each
//! counts.

use std::path::Path;

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::hash::Sha256;
use skep_proto::limits::{CHECKPOINT_BYTES_MAX, COSIGNATURES_MAX};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree::SIZE_MAX;

use super::{Branches, Committed, Place};
use crate::store::Error;
use crate::store::table::Table;

/// Longest state in bytes: two branches with two checkpoints each, and change.
const STATE_BYTES_MAX: usize = 4 * (CHECKPOINT_BYTES_MAX + COSIGNATURES_MAX * 128) + 256;

/// `state` as it stands in its file.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) held: BranchState,
    pub(super) aside: Option<BranchState>,
}

#[derive(Debug)]
pub(super) struct BranchState {
    pub(super) place: Place,
    pub(super) size: u64,
    pub(super) bytes: u64,
    pub(super) root: Sha256,
    pub(super) whole: Option<Checkpoint>,
    pub(super) ahead: Option<Checkpoint>,
}

impl Default for BranchState {
    fn default() -> Self {
        Self::of(&Committed::default())
    }
}

impl State {
    pub(super) fn of(branches: &Branches) -> Self {
        Self {
            held: BranchState::of(&branches.held),
            aside: branches.aside.as_ref().map(BranchState::of),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2);
        self.held.write(&mut writer);
        writer.option(self.aside.as_ref(), |writer, aside| {
            aside.write(writer);
            writer
        });
        writer.finish()
    }

    pub(super) fn from_bytes(input: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(input, STATE_BYTES_MAX)?;
        reader.array(2)?;
        let state = Self {
            held: BranchState::read(&mut reader)?,
            aside: reader.option(BranchState::read)?,
        };
        reader.end()?;
        Ok(state)
    }
}

impl BranchState {
    pub(super) fn of(committed: &Committed) -> Self {
        let Table { edge, whole, ahead } = &committed.table;
        Self {
            place: committed.place,
            size: edge.size(),
            bytes: committed.bytes,
            root: edge.root(),
            whole: whole.clone(),
            ahead: ahead.clone(),
        }
    }

    /// Reads the entries; where they are and what the state says of them, if they are not what it
    /// says.
    pub(super) fn scan(self, dir: &Path) -> Result<Result<Committed, (Place, Table)>, Error> {
        let mut committed = Committed {
            place: self.place,
            ..Committed::default()
        };
        let scanned = match self.bytes {
            0 => true,
            _ => committed.scan(&self.place.path(dir), self.bytes, self.size)?,
        };
        committed.table.whole = self.whole;
        committed.table.ahead = self.ahead;
        let edge = &committed.table.edge;
        let found = (edge.size(), committed.bytes, edge.root());
        Ok(
            match scanned && found == (self.size, self.bytes, self.root) {
                true => Ok(committed),
                false => Err((self.place, committed.table)),
            },
        )
    }

    fn write(&self, writer: &mut Writer) {
        let place = match self.place {
            Place::First => 0,
            Place::Second => 1,
        };
        writer
            .array(6)
            .uint(place)
            .uint(self.size)
            .uint(self.bytes)
            .bytes(self.root.as_bytes());
        for checkpoint in [&self.whole, &self.ahead] {
            writer.option(checkpoint.as_ref(), |writer, checkpoint| {
                checkpoint.write(writer);
                writer
            });
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        reader.array(6)?;
        let place = match reader.uint_to(1)? {
            0 => Place::First,
            _ => Place::Second,
        };
        Ok(Self {
            place,
            size: reader.uint_to(SIZE_MAX)?,
            bytes: reader.uint()?,
            root: Sha256::from_bytes(reader.bytes_of()?),
            whole: reader.option(Checkpoint::read)?,
            ahead: reader.option(Checkpoint::read)?,
        })
    }
}
