//! The log of a key in a .skep file.

use crate::claimed::{Claimed, Verified};
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::ENTRY_BYTES_MAX;
use crate::log::checkpoint::Checkpoint;
use crate::log::tree::verify_consistency;
use crate::repo::chain::Chain;
use crate::repo::fact::LogFacts;

use super::{Error, Item};

/// Most entries in all logs of a file, which are held as facts of about 150 bytes while it is
/// checked: two registrars at their limit, or twenty thousand releases many times over.
pub const ENTRIES_MAX: u64 = 2_000_000;

/// A log whose entries are under its checkpoint.
#[derive(Debug, Clone)]
pub struct Log {
    pub checkpoint: Verified<Checkpoint>,
    /// Of all entries in the file.
    pub facts: LogFacts,
    /// Where the frames of its entries begin in the .skep file, and how many bytes they have.
    pub offset: u64,
    pub size_bytes: u64,
    /// From where the entries end to the checkpoint; empty where that is one place.
    pub(super) proof: Vec<Sha256>,
}

/// Cuts a stream of `u16be length ‖ entry` into entries.
#[derive(Debug, Clone, Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// Gives each entry that these bytes complete.
    pub fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let want = match self.0.as_slice() {
                [high, low, ..] => 2 + usize::from(u16::from_be_bytes([*high, *low])),
                _ => 2,
            };
            let taken = bytes.len().min(want - self.0.len());
            self.0.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [high, low, entry @ ..] = self.0.as_slice()
                && entry.len() == usize::from(u16::from_be_bytes([*high, *low]))
            {
                each(entry)?;
                self.0.clear();
            }
        }
        Ok(())
    }

    /// Whether what was given ended with an entry.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// An entry as it stands in the file. The store and the log know no longer ones.
    pub fn write(entry: &[u8], out: &mut Vec<u8>) {
        debug_assert!(entry.len() <= ENTRY_BYTES_MAX);
        let len = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&entry[..usize::from(len)]);
    }
}

impl Log {
    /// Of a checkpoint's note; its entries come later.
    pub(super) fn begin(
        note: &[u8],
        repo: &RepoId,
        key: &Key,
        chain: &Chain,
        item: &Item,
    ) -> Result<Self, Error> {
        let path = || item.place.path();
        let links = chain.links().iter().rev();
        let witnesses = links.filter_map(|link| link.document.witnesses.as_ref());
        let names: Vec<(String, Key)> = witnesses
            .flat_map(|witnesses| &witnesses.keys)
            .map(|witness| (witness.name.clone(), witness.key))
            .collect();
        let claimed = Claimed::from_note(note, repo, &names);
        let claimed = claimed.map_err(|source| Error::Note {
            path: path(),
            source,
        })?;
        if claimed.0.key != *key {
            return Err(Error::Apart(path()));
        }
        let cosignatures = claimed.0.cosignatures.len();
        let keys: Vec<Key> = names.iter().map(|(_, key)| *key).collect();
        let checkpoint = claimed.verify(repo, &keys);
        let checkpoint = checkpoint.map_err(|source| Error::Checkpoint {
            path: path(),
            source,
        })?;
        // One that does not verify would be dropped: what is accepted is written again as it was.
        if checkpoint.cosignatures.len() != cosignatures
            || checkpoint.to_note(repo, &names).as_bytes() != note
        {
            return Err(Error::Signatures(path()));
        }
        Ok(Self {
            checkpoint,
            facts: LogFacts::new(),
            offset: 0,
            size_bytes: 0,
            proof: Vec::new(),
        })
    }

    /// Whether the entries are under the checkpoint: all that it has, or as many as the proof leads
    /// from.
    pub(super) fn close(&mut self) -> bool {
        let (held, root) = (
            self.facts.len() as u64,
            self.facts.tree().root_at(self.facts.len() as u64),
        );
        let (Some(root), size) = (root, self.checkpoint.size) else {
            return false;
        };
        if held == size {
            self.facts.whole_up_to(size);
            return root == self.checkpoint.root && self.proof.is_empty();
        }
        self.facts.whole_up_to(0);
        held > 0
            && held < size
            && verify_consistency(held, &root, size, &self.checkpoint.root, &self.proof).is_ok()
    }

    /// The proof that the first `size` entries in the file are a prefix of what the checkpoint signs.
    pub fn proof_from(&self, size: u64) -> Option<Vec<Sha256>> {
        let held = self.facts.len() as u64;
        match size == held {
            true => Some(self.proof.clone()),
            // Only what is whole proves every prefix.
            false if held == self.checkpoint.size => {
                self.facts.tree().consistency_proof(size, held)
            }
            false => None,
        }
    }
}
