//! What is held of a log, and what a command has signed for one.

use skep_proto::control::{Hex, Log, Refused, Response};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::repo::root::SignedRoot;

use super::{Answered, Answers, done, failed, repo_of};
use crate::core::{Command, Input, Reply};

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
        let entries: Vec<Vec<u8>> = entries.into_iter().map(|entry| entry.0).collect();
        let signed_before = checkpoint.size.saturating_sub(entries.len() as u64);
        let reply = match entries.is_empty() {
            // Who has nothing new only asks for what is missing.
            true => Reply::Size(self.size(&repo, &key)?),
            false => {
                let (entries, checkpoint) = (entries.clone(), checkpoint.clone());
                let append = Command::Append {
                    repo,
                    key,
                    entries,
                    checkpoint,
                };
                self.ask(|id| Input::Command(id, append))?
            }
        };
        match reply {
            Reply::Size(held) if held < signed_before => {
                self.append_after_gap(repo, (held, signed_before), entries, checkpoint)
            }
            Reply::Size(_) if entries.is_empty() => Ok(Response::Done),
            reply => done(reply),
        }
    }

    /// How many entries of a log are held.
    fn size(&self, repo: &RepoId, key: &Key) -> Result<u64, Refused> {
        let snapshot = self.node.snapshot();
        let position = repo_of(&snapshot, &repo.to_string())?.logs.get(key);
        Ok(position.map_or(0, |position| position.size))
    }

    /// This store has lost entries that the author had given it. What was set aside of the log may
    /// have them: the author's checkpoint proves them.
    fn append_after_gap(
        &self,
        repo: RepoId,
        (held, signed_before): (u64, u64),
        entries: Vec<Vec<u8>>,
        checkpoint: Checkpoint,
    ) -> Answered {
        let gap = match checkpoint.verify(&repo) {
            true => self.store.salvage(&repo, &checkpoint, &entries),
            false => return Err(failed("the checkpoint's signature is false")),
        };
        let gap = gap.map_err(|e| failed(crate::in_words(&e)))?;
        let Some(mut whole) = gap else {
            return Err(failed(format!(
                "the node has {held} of the {signed_before} entries that this key has signed before"
            )));
        };
        whole.extend(entries);
        self.command(Command::Append {
            repo,
            key: checkpoint.key,
            entries: whole,
            checkpoint,
        })
    }
}
