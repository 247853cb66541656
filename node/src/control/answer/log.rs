//! What is held of a log, and what a command has signed for one.

use skep_proto::control::{Hex, Log, Response};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::repo::root::SignedRoot;

use super::{Answered, Answers, failed, repo_of};
use crate::core::Command;

/// Entries in one answer about a log; the caller asks again from where they end.
const LOG_ENTRIES_MAX: u64 = 64;

impl Answers {
    pub(super) fn log(&self, repo: &RepoId, key: &Key, from: u64) -> Answered {
        let snapshot = self.node.snapshot();
        let repo = repo_of(&snapshot, &repo.to_string())?;
        let position = repo.logs.get(key);
        let size = position.map_or(0, |position| position.size);
        let to = size.min(from.saturating_add(LOG_ENTRIES_MAX));
        let entries = if from < to {
            let entries = self.store.entries(&repo.id, key, from, to);
            entries.map_err(|e| failed(crate::in_words(&e)))?
        } else {
            Vec::new()
        };
        let whole = position.and_then(|position| position.whole.as_ref());
        Ok(Response::Log(Log {
            size,
            checkpoint: whole.map(|checkpoint| Hex(checkpoint.to_bytes())),
            entries: entries.into_iter().map(Hex).collect(),
            confirmed: position.is_some_and(|position| position.confirmed),
            ever_confirmed: position.is_some_and(|position| position.ever_confirmed),
        }))
    }

    pub(super) fn put_root(&self, repo: RepoId, root: &Hex) -> Answered {
        let root = SignedRoot::decode(&root.0).map_err(|e| failed(crate::in_words(&e)))?;
        self.command(Command::PutRoot { repo, root })
    }

    pub(super) fn append(
        &self,
        repo: RepoId,
        key: Key,
        entries: Vec<Hex>,
        checkpoint: &Hex,
    ) -> Answered {
        let checkpoint = Checkpoint::from_bytes(&checkpoint.0);
        let checkpoint = checkpoint.map_err(|e| failed(crate::in_words(&e)))?.0;
        self.command(Command::Append {
            repo,
            key,
            entries: entries.into_iter().map(|entry| entry.0).collect(),
            checkpoint,
        })
    }
}
