//! What the store found and repaired: news for people, not errors.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use skep_proto::hash::Blake3;
use skep_proto::id::RepoId;
use skep_proto::key::Key;

/// Events that nobody has asked for yet; what comes after is in the log only.
const EVENTS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes behind the committed end of a log were cut off: a write that was never acknowledged.
    TailCut { repo: RepoId, key: Key, bytes: u64 },
    /// The entries of a log, or its state, are not those that were written. They were moved to
    /// `kept`; the log has the first `held` entries, which its author's signature proves. What its
    /// checkpoints said is remembered if it could be read.
    LogDamaged {
        repo: RepoId,
        key: Key,
        held: u64,
        kept: PathBuf,
    },
    /// A root document or evidence is not what was written; it was moved to `kept`.
    FileDamaged { kept: PathBuf },
    /// Something that this node remembered, and can do without, is not what was written; it was moved
    /// to `kept`.
    FactDamaged { repo: RepoId, kept: PathBuf },
    /// Something that this node must not forget is not what was written. Nothing of the repository is
    /// used until a person has moved it away.
    RepositoryStopped { repo: RepoId, path: PathBuf },
    /// A blob is not what its name says; it was moved to `kept`.
    BlobDamaged { hash: Blake3, kept: PathBuf },
    /// The index did not open, failed or belonged to another store. It begins anew, from the files.
    IndexSetAside { why: String },
    /// There is no index for now. Everything works, some of it slower.
    IndexOff { why: String },
}

impl Event {
    /// Whether the medium spoiled something, and a person should know. What the index has is made
    /// again, and an unfinished write is what a crash leaves.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::LogDamaged { .. }
            | Self::FileDamaged { .. }
            | Self::FactDamaged { .. }
            | Self::RepositoryStopped { .. }
            | Self::BlobDamaged { .. } => true,
            Self::TailCut { .. } | Self::IndexSetAside { .. } | Self::IndexOff { .. } => false,
        }
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TailCut { repo, key, bytes } => write!(
                f,
                "cut {bytes} bytes of an unfinished write off the log of `{key}` in `{repo}`"
            ),
            Self::LogDamaged {
                repo,
                key,
                held,
                kept,
            } => write!(
                f,
                "the log of `{key}` in `{repo}` was damaged on disk: {held} of its entries are \
                 proven and stay, the others are to be fetched again; the old files are in `{}`",
                kept.display()
            ),
            Self::FileDamaged { kept } => write!(
                f,
                "a file was damaged on disk and is to be fetched again; the old one is `{}`",
                kept.display()
            ),
            Self::FactDamaged { repo, kept } => write!(
                f,
                "something remembered of `{repo}` was damaged on disk and is set aside; the old \
                 file is `{}`",
                kept.display()
            ),
            Self::RepositoryStopped { repo, path } => write!(
                f,
                "the repository `{repo}` is stopped: `{}` is damaged, and nobody else has it",
                path.display()
            ),
            Self::BlobDamaged { hash, kept } => write!(
                f,
                "the blob `{hash}` was damaged on disk; the old file is `{}`",
                kept.display()
            ),
            Self::IndexSetAside { why } => write!(f, "the index is built again: {why}"),
            Self::IndexOff { why } => write!(f, "working without an index: {why}"),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub(super) fn report(&self, event: Event) {
        tracing::warn!("{event}");
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < EVENTS_MAX {
            events.push(event);
        }
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
