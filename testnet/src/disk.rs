//! The disk of a simulated node: the store in memory, and what laws read of it.
//!
//! A change that does not fit what is held is refused by the store, and in a run that is a broken
//! law, for an honest core makes none.

use std::collections::{BTreeMap, BTreeSet};

use skep_node::core::Restored;
use skep_node::store::memory::Memory;
use skep_node::store::{Change, Error, FactKind, Loaded, Store as _};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::repo::root::SignedRoot;

use crate::dice::Dice;

/// What survives a crash.
#[derive(Default)]
pub struct Disk {
    pub store: Memory,
    /// How many changes were made durable.
    pub changes: u64,
    /// Every blob of which a part may be here.
    pub blobs: BTreeSet<Blake3>,
}

/// One repository on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folder {
    pub roots: BTreeMap<Sha256, SignedRoot>,
    pub logs: BTreeMap<Key, LogFile>,
    /// Branches that a cut set aside.
    pub aside: BTreeMap<Key, LogFile>,
    pub evidence: BTreeMap<Key, ForkEvidence>,
    pub facts: BTreeMap<(FactKind, String), Vec<u8>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogFile {
    pub entries: Vec<Vec<u8>>,
    pub whole: Option<Checkpoint>,
    pub ahead: Option<Checkpoint>,
}

impl Disk {
    pub fn persist(&mut self, change: &Change) -> Result<(), Error> {
        self.store.persist(change)?;
        self.changes += 1;
        Ok(())
    }

    /// What a core is rebuilt from: what the node itself reads when it starts.
    pub fn restore(&self) -> Vec<Restored> {
        skep_node::restore::restore(&self.store).expect("memory can be read")
    }

    /// Everything of a repository; nothing if it is not followed.
    pub fn folder(&self, repo: &RepoId) -> Folder {
        let mut folder = Folder::default();
        let loaded = self.store.load(&mut |loaded| {
            folder.take(repo, loaded);
            Ok(())
        });
        loaded.expect("memory can be read");
        folder
    }

    /// Entries [from, to), as far as they are held.
    pub fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Vec<Vec<u8>> {
        // A repository that is not followed has none.
        self.store.entries(repo, key, from, to).unwrap_or_default()
    }

    pub fn size(&self, repo: &RepoId, key: &Key) -> u64 {
        self.entries(repo, key, 0, u64::MAX).len() as u64
    }

    /// Puts a blob here whole, as an author's tool does.
    pub fn import(&mut self, mut bytes: &[u8]) -> (Blake3, u64) {
        let info = self.store.import(&mut bytes).expect("memory takes a blob");
        self.blobs.insert(info.hash);
        (info.hash, info.size)
    }

    /// The process is killed, or the power goes: then what was not promised of blobs is gone.
    pub fn crash(&mut self, dice: &mut Dice) {
        const POWER_PER_MILLE: u64 = 500;
        if dice.chance(POWER_PER_MILLE) {
            self.store.crash();
        }
    }
}

impl Folder {
    fn take(&mut self, of: &RepoId, loaded: Loaded) {
        match loaded {
            Loaded::Root { repo, signed } if repo == *of => {
                self.roots.insert(signed.sha256(), signed);
            }
            Loaded::Entries {
                repo,
                key,
                aside,
                entries,
                ..
            } if repo == *of => self.branch(key, aside).entries.extend(entries),
            Loaded::Checkpoints {
                repo,
                key,
                aside,
                whole,
                ahead,
            } if repo == *of => {
                let log = self.branch(key, aside);
                (log.whole, log.ahead) = (whole, ahead);
            }
            Loaded::Evidence { repo, evidence } if repo == *of => {
                self.evidence.insert(*evidence.key(), evidence);
            }
            Loaded::Fact {
                repo,
                kind,
                key,
                value,
            } if repo == *of => {
                self.facts.insert((kind, key), value);
            }
            Loaded::Repository { .. }
            | Loaded::Root { .. }
            | Loaded::Entries { .. }
            | Loaded::Checkpoints { .. }
            | Loaded::Evidence { .. }
            | Loaded::Fact { .. } => {}
        }
    }

    fn branch(&mut self, key: Key, aside: bool) -> &mut LogFile {
        let branches = match aside {
            true => &mut self.aside,
            false => &mut self.logs,
        };
        branches.entry(key).or_default()
    }
}

impl LogFile {
    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }
}
