//! A .skep file that was proven, taken: root documents, logs, files, and why they are held. Each step
//! proves again what it takes, and may be the last that a process lives to do: done again, what is
//! held already is left out.

mod blobs;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use skep_proto::bundle::{Blob, Carried, Checked, Frames, Log, Release};
use skep_proto::control::{Refusal, Refused, Take};
use skep_proto::hash::Blake3;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::entry::Mark;
use skep_proto::name::RepoRef;
use skep_proto::sync::wire::{ENTRIES_BYTES_MAX, ENTRIES_MAX};

use super::{changed, refused, unreadable};
use crate::core::{Carry, Command, CutProof, Holding, HoldingReason, Input, Reply};
use crate::driver::Handle;
use crate::store::Store;

/// How often a log may turn out to be of another size than a moment ago: peers append as well.
const TURNS_MAX: usize = 16;

/// What is done with a file that was proven.
pub(crate) struct Taken<'a> {
    pub(crate) file: &'a File,
    pub(crate) checked: &'a Checked,
    pub(crate) node: &'a Handle,
    pub(crate) store: &'a dyn Store,
    pub(crate) take: Take,
}

/// Takes what is not held. `told` hears how many bytes of files, of how many, are behind.
pub(crate) fn commit(
    taken: &Taken<'_>,
    mut told: impl FnMut(u64, u64) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let releases = taken.releases()?;
    for (repo, carried) in &taken.checked.repos {
        taken.documents(repo, carried)?;
        // A registrar's log says whose other logs are taken.
        let registrars = carried.view.authority.sequence.registrars.iter();
        let registrars: Vec<Key> = registrars.map(|(key, _)| *key).collect();
        let others = carried.logs.keys().filter(|key| !registrars.contains(key));
        for key in registrars.iter().chain(others) {
            if let Some(log) = carried.logs.get(key) {
                taken.log(repo, key, log)?;
            }
        }
    }
    // Until their releases are held, the files are nobody's.
    let mut lease = taken.node.in_use().lease();
    let needed = releases.iter().flat_map(|(_, release)| &release.blobs);
    let needed: BTreeSet<Blake3> = needed.map(|(hash, _)| *hash).collect();
    lease.add(needed.iter().copied());
    let blobs = taken.checked.blobs.iter();
    let blobs: Vec<&Blob> = blobs
        .filter(|blob| needed.contains(blob.list.hash()))
        .collect();
    let all = blobs.iter().map(|blob| blob.list.size()).sum();
    let mut told = |done| told(done, all);
    blobs::take(taken.file, &blobs, taken.store, &mut told)?;
    let why = match taken.take {
        Take::All => HoldingReason::Kept,
        Take::Logs | Take::Release { .. } => HoldingReason::Used,
    };
    for (repo, release) in releases {
        taken.hold(repo, release, why)?;
    }
    Ok(())
}

impl<'a> Taken<'a> {
    /// Those whose files are taken.
    fn releases(&self) -> Result<Vec<(&'a RepoId, &'a Release)>, Refused> {
        let repos = self.checked.repos.iter();
        let all = repos.flat_map(|(repo, carried)| {
            let releases = carried.releases.iter();
            releases.map(move |release| (repo, release))
        });
        match self.take {
            Take::All => Ok(all.collect()),
            Take::Logs => Ok(Vec::new()),
            Take::Release { repo, manifest } => {
                let is_it = |(of, release): &(&RepoId, &Release)| {
                    **of == repo && release.manifest == manifest
                };
                let found: Vec<_> = all.filter(is_it).collect();
                match found.is_empty() {
                    true => Err(not_in_it()),
                    false => Ok(found),
                }
            }
        }
    }

    fn documents(&self, repo: &RepoId, carried: &Carried) -> Result<(), Refused> {
        for link in carried.chain.links() {
            let root = link.signed.clone();
            self.command(Command::PutRoot { repo: *repo, root })?;
        }
        Ok(())
    }

    /// What is missing of a log, a batch at a time.
    fn log(&self, repo: &RepoId, key: &Key, log: &Log) -> Result<(), Refused> {
        let end = log.facts.len() as u64;
        let mut turns = 0;
        let mut from = self.held(repo, key);
        while from < end {
            let carry = self.batch(repo, key, log, from)?;
            let next = from + carry.entries.len() as u64;
            match self.ask(Command::Carry(Box::new(carry)))? {
                Reply::Done => from = next,
                Reply::Size(size) if turns < TURNS_MAX => (from, turns) = (size, turns + 1),
                reply => return done(reply),
            }
        }
        Ok(())
    }

    /// Entries from `from` on, as many as a peer would send at once, with what proves them.
    fn batch(&self, repo: &RepoId, key: &Key, log: &Log, from: u64) -> Result<Carry, Refused> {
        let end = log.facts.len() as u64;
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let lengths = log.facts.lengths();
        let framed = |length: &u32| 2 + u64::from(*length);
        let before: u64 = lengths.iter().take(start).map(framed).sum();
        let (mut bytes, mut count) = (0, 0);
        for length in lengths.iter().skip(start) {
            let longer = bytes + framed(length);
            if count > 0 && (longer > ENTRIES_BYTES_MAX as u64 || count == ENTRIES_MAX) {
                break;
            }
            (bytes, count) = (longer, count + 1);
        }
        let mut frames = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        read(self.file, &mut frames, log.offset + before)?;
        let mut entries = Vec::new();
        let mut cutting = Frames::default();
        let cut = cutting.push(&frames, |entry| {
            entries.push(entry.to_vec());
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = cut;
        if entries.len() as u64 != count || !cutting.is_over() {
            return Err(changed());
        }
        let tree = log.facts.tree();
        let proof = match from + count {
            to if to == end => Vec::new(),
            to => tree.consistency_proof(to, end).unwrap_or_default(),
        };
        let checkpoint = (*log.checkpoint).clone();
        let cut = match (end < checkpoint.size, tree.root_at(end)) {
            (true, Some(root)) => Some(CutProof {
                mark: Mark {
                    key: *key,
                    size: end,
                    root,
                },
                checkpoint: checkpoint.clone(),
                proof: log.proof_from(end).unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(Carry {
            repo: *repo,
            checkpoint,
            cut,
            from,
            entries,
            proof,
        })
    }

    fn hold(&self, repo: &RepoId, release: &Release, why: HoldingReason) -> Result<(), Refused> {
        let holding = Holding {
            why,
            blobs: release.blobs.clone(),
        };
        self.command(Command::Hold {
            repo: *repo,
            manifest: release.manifest,
            holding,
        })
    }

    fn held(&self, repo: &RepoId, key: &Key) -> u64 {
        let snapshot = self.node.snapshot();
        let held = snapshot.repo(&RepoRef::Id(*repo));
        let position = held.and_then(|held| held.logs.get(key));
        position.map_or(0, |position| position.size)
    }

    fn command(&self, command: Command) -> Result<(), Refused> {
        done(self.ask(command)?)
    }

    fn ask(&self, command: Command) -> Result<Reply, Refused> {
        let reply = self.node.ask_blocking(|id| Input::Command(id, command));
        reply.ok_or_else(|| {
            let message = "the node is stopping".to_owned();
            refused(Refusal::Stopping, message, "type the same again")
        })
    }
}

/// Anything but done means that the repository is not what it was when the file was compared.
fn done(reply: Reply) -> Result<(), Refused> {
    let why = match reply {
        Reply::Done => return Ok(()),
        Reply::Refused(why) => why,
        _ => "its log changed meanwhile".to_owned(),
    };
    let message = format!("the file cannot be taken to its end: {why}");
    Err(refused(
        Refusal::Failed,
        message,
        "type the same again: what was taken stays",
    ))
}

/// What is listed under a name and version need not be what somebody carried.
fn not_in_it() -> Refused {
    let message = "the manifest that counts for this version is not the one in the file".to_owned();
    let hint = "skep bundle show FILE says what is in it; skep info REPO/NAME what counts here";
    refused(Refusal::Untrusted, message, hint)
}

/// Bytes that were there when the file was proven.
pub(super) fn read(file: &File, bytes: &mut [u8], at: u64) -> Result<(), Refused> {
    file.read_exact_at(bytes, at).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => changed(),
        _ => unreadable(&e),
    })
}
