//! A store in memory, for simulations and tests.
//!
//! Clones share what is stored, so a restart is to drop one and go on with a clone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_proto::blob::{self, GROUP_BYTES, GroupList, GroupLister, group_count, group_len};
use skep_proto::claimed::Verified;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tree;
use skep_proto::repo::root::{Document, SignedRoot};

use super::change::{check_fact, check_fact_key};
use super::table::Table;
use super::{
    BlobInfo, Change, Error, FRAME_BYTES_MAX, FactKind, Found, Held, Loaded, Space, Store,
};

#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    repos: BTreeMap<RepoId, Repo>,
    blobs: BTreeMap<Blake3, Blob>,
    partial: BTreeMap<Blake3, Partial>,
}

#[derive(Debug, Default)]
struct Repo {
    /// By hash.
    roots: BTreeMap<Sha256, SignedRoot>,
    logs: BTreeMap<Key, Log>,
    /// Branches that cuts did not name.
    aside: BTreeMap<Key, Log>,
    evidence: BTreeMap<Key, ForkEvidence>,
    facts: BTreeMap<(FactKind, String), Vec<u8>>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Vec<u8>>,
    table: Table,
}

#[derive(Debug)]
struct Blob {
    bytes: Vec<u8>,
    list: Verified<GroupList>,
}

#[derive(Debug)]
struct Partial {
    list: Verified<GroupList>,
    groups: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut: what no call has promised is gone. Everything persisted and every complete blob
    /// stays.
    pub fn crash(&self) {
        self.lock().partial.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn load(&self, each: &mut dyn FnMut(Loaded) -> Result<(), Error>) -> Result<(), Error> {
        let mut all = Vec::new();
        for (repo, held) in &self.lock().repos {
            all.push(Loaded::Repository { repo: *repo });
            held.load(*repo, &mut all);
        }
        all.into_iter().try_for_each(each)
    }

    fn persist(&self, change: &Change) -> Result<(), Error> {
        let repos = &mut self.lock().repos;
        match change {
            Change::Follow { repo } => {
                repos.entry(*repo).or_default();
                Ok(())
            }
            Change::Unfollow { repo } => {
                repos.remove(repo);
                Ok(())
            }
            _ => {
                let repo = change
                    .needs_followed()
                    .expect("every other change is of one");
                let held = repos.get_mut(repo);
                held.ok_or(Error::NotFollowed { repo: *repo })?
                    .apply(change)
            }
        }
    }

    fn salvage(
        &self,
        _: &RepoId,
        _: &Checkpoint,
        _: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, Error> {
        Ok(None)
    }

    fn damaged(&self) -> Result<Vec<std::path::PathBuf>, Error> {
        Ok(Vec::new())
    }

    fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Result<Vec<Vec<u8>>, Error> {
        let state = self.lock();
        let held = state
            .repos
            .get(repo)
            .ok_or(Error::NotFollowed { repo: *repo })?;
        let Some(log) = held.logs.get(key) else {
            return Ok(Vec::new());
        };
        let to = usize::try_from(to)
            .unwrap_or(usize::MAX)
            .min(log.entries.len());
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(to);
        Ok(log.entries[from..to].to_vec())
    }

    fn blob(&self, hash: &Blake3) -> Result<Option<BlobInfo>, Error> {
        let state = self.lock();
        Ok(state.blobs.get(hash).map(|blob| BlobInfo {
            hash: *hash,
            size: blob.list.size(),
        }))
    }

    fn group_list(&self, hash: &Blake3) -> Result<Option<Vec<u8>>, Error> {
        let state = self.lock();
        let complete = state.blobs.get(hash).map(|blob| &blob.list);
        let begun = state.partial.get(hash).map(|partial| &partial.list);
        Ok(complete.or(begun).map(|list| list.to_bytes()))
    }

    fn read_group(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error> {
        let state = self.lock();
        let Some(blob) = state.blobs.get(hash) else {
            let partial = state.partial.get(hash);
            return Ok(partial.and_then(|partial| partial.groups.get(&index).cloned()));
        };
        Ok(group_len(blob.list.size(), index).map(|len| {
            let start = usize::try_from(index * GROUP_BYTES).expect("inside a blob in memory");
            blob.bytes[start..start + len].to_vec()
        }))
    }

    fn open(&self, hash: &Blake3) -> Result<Option<File>, Error> {
        let state = self.lock();
        let Some(blob) = state.blobs.get(hash) else {
            return Ok(None);
        };
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = rustix::fs::memfd_create("skep-blob", flags).map_err(std::io::Error::from);
        let written = file.and_then(|file| {
            let mut file = File::from(file);
            file.write_all(&blob.bytes)?;
            file.rewind()?;
            Ok(Some(file))
        });
        written.map_err(Error::io("make a file in memory of", hash.to_string()))
    }

    fn begin(
        &self,
        hash: &Blake3,
        size: u64,
        list: Option<&Verified<GroupList>>,
    ) -> Result<Held, Error> {
        let state = &mut *self.lock();
        let other_size = blob::Error::OtherSize { hash: *hash, size };
        if let Some(blob) = state.blobs.get(hash) {
            return match blob.list.size() == size {
                true => Ok(Held::Whole),
                false => Err(other_size.into()),
            };
        }
        let list = match list {
            Some(list) if list.hash() != hash => {
                let (hash, other) = (*hash, *list.hash());
                return Err(Error::OtherList { hash, other });
            }
            Some(list) if list.size() != size => return Err(other_size.into()),
            Some(list) => Some(list.clone()),
            None if group_count(size) == 1 => Some(GroupList::prove(hash, size, &[])?),
            None => None,
        };
        let begun = state.partial.get(hash).map(|partial| partial.list.size());
        if begun != Some(size) {
            let Some(list) = list else {
                let (groups, list) = (Vec::new(), false);
                return Ok(Held::Part { groups, list });
            };
            let before = state.partial.remove(hash);
            let mut groups = before.map(|partial| partial.groups).unwrap_or_default();
            groups.retain(|index, bytes| list.verify_group(*index, bytes).is_ok());
            state.partial.insert(*hash, Partial { list, groups });
        }
        let groups = state.partial.get(hash).map(|partial| partial.groups.keys());
        Ok(Held::Part {
            groups: groups.into_iter().flatten().copied().collect(),
            list: true,
        })
    }

    fn write_group(&self, hash: &Blake3, index: u64, bytes: &[u8]) -> Result<(), Error> {
        let state = &mut *self.lock();
        let Some(partial) = state.partial.get_mut(hash) else {
            return match state.blobs.contains_key(hash) {
                true => Ok(()),
                false => Err(Error::NotBegun { hash: *hash }),
            };
        };
        partial.list.verify_group(index, bytes)?;
        partial.groups.insert(index, bytes.to_vec());
        Ok(())
    }

    fn finish(&self, hash: &Blake3) -> Result<(), Error> {
        let state = &mut *self.lock();
        let Some(partial) = state.partial.get(hash) else {
            return match state.blobs.contains_key(hash) {
                true => Ok(()),
                false => Err(Error::NotBegun { hash: *hash }),
            };
        };
        let count = usize::try_from(partial.list.group_count()).unwrap_or(usize::MAX);
        let missing = count - partial.groups.len();
        if missing > 0 {
            let hash = *hash;
            return Err(Error::Incomplete { hash, missing });
        }
        if let Some(Partial { list, groups }) = state.partial.remove(hash) {
            let bytes = groups.into_values().collect::<Vec<_>>().concat();
            state.blobs.insert(*hash, Blob { bytes, list });
        }
        Ok(())
    }

    fn import(&self, from: &mut dyn Read) -> Result<BlobInfo, Error> {
        let mut lister = GroupLister::new();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match from.read(&mut buffer).map_err(Error::Source)? {
                0 => break,
                n => {
                    lister.update(&buffer[..n])?;
                    bytes.extend_from_slice(&buffer[..n]);
                }
            }
        }
        let list = lister.finish();
        let (hash, size) = (*list.hash(), list.size());
        let mut state = self.lock();
        state.partial.remove(&hash);
        state.blobs.insert(hash, Blob { bytes, list });
        Ok(BlobInfo { hash, size })
    }

    fn remove_blob(&self, hash: &Blake3) -> Result<(), Error> {
        let mut state = self.lock();
        state.partial.remove(hash);
        state.blobs.remove(hash);
        Ok(())
    }

    fn blobs(&self, each: &mut dyn FnMut(Found)) -> Result<(), Error> {
        let state = self.lock();
        let whole = state
            .blobs
            .iter()
            .map(|(hash, blob)| (*hash, blob.bytes.len()));
        let begun = state.partial.iter().map(|(hash, partial)| {
            let groups = partial.groups.values();
            (*hash, groups.map(Vec::len).sum())
        });
        for (hash, len) in whole.chain(begun) {
            each(Found {
                hash,
                size_bytes: len as u64,
                // There is no clock here: nothing is ever old.
                age: Duration::ZERO,
            });
        }
        Ok(())
    }

    fn repositories(&self) -> Result<Vec<RepoId>, Error> {
        Ok(self.lock().repos.keys().copied().collect())
    }

    fn space(&self) -> Result<Space, Error> {
        let state = self.lock();
        let blobs = state.blobs.values().map(|blob| blob.bytes.len());
        let groups = state
            .partial
            .values()
            .flat_map(|partial| partial.groups.values());
        let logs = state.repos.values().flat_map(|repo| repo.logs.values());
        let entries = logs.flat_map(|log| &log.entries);
        let used = blobs
            .chain(groups.chain(entries).map(Vec::len))
            .sum::<usize>();
        Ok(Space {
            used: used as u64,
            free: u64::MAX,
        })
    }
}

impl Repo {
    /// A change of this repository, whole or not at all.
    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::Follow { .. } | Change::Unfollow { .. } => {}
            Change::Root { signed, .. } => {
                self.roots.insert(signed.sha256(), signed.clone());
            }
            Change::Append {
                key,
                from,
                entries,
                checkpoint,
                ..
            } => {
                let none = Log::default();
                let held = self.logs.get(key).unwrap_or(&none);
                let table = held.table.appended(key, *from, entries, checkpoint)?;
                let log = self.logs.entry(*key).or_default();
                log.table = table;
                log.entries.extend_from_slice(entries);
            }
            Change::Checkpoint { checkpoint, .. } => self.cosign(checkpoint)?,
            Change::Rewind { key, to, .. } => {
                if let Some(log) = self.logs.get_mut(key) {
                    log.rewind(*to);
                }
            }
            Change::Exchange { key, .. } => {
                let held = self.logs.remove(key);
                let aside = self.aside.remove(key);
                self.logs.insert(*key, aside.unwrap_or_default());
                let held = held.filter(|log| !log.entries.is_empty());
                self.aside.extend(held.map(|log| (*key, log)));
            }
            Change::Evidence { evidence, .. } => {
                self.evidence.insert(*evidence.key(), evidence.clone());
            }
            Change::Fact {
                kind, key, value, ..
            } => {
                check_fact(key, value)?;
                self.facts.insert((*kind, key.clone()), value.clone());
            }
            Change::ForgetFact { kind, key, .. } => {
                check_fact_key(key)?;
                self.facts.remove(&(*kind, key.clone()));
            }
        }
        Ok(())
    }

    fn cosign(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let none = Log::default();
        let held = self.logs.get(&checkpoint.key).unwrap_or(&none);
        let table = held.table.cosigned(checkpoint)?;
        self.logs.entry(checkpoint.key).or_default().table = table;
        Ok(())
    }

    fn load(&self, repo: RepoId, all: &mut Vec<Loaded>) {
        let version = |signed: &&SignedRoot| {
            let document = Document::parse(&signed.payload);
            document.map_or(0, |document| document.version())
        };
        let mut roots: Vec<_> = self.roots.values().collect();
        roots.sort_by_key(version);
        all.extend(
            roots
                .into_iter()
                .cloned()
                .map(|signed| Loaded::Root { repo, signed }),
        );
        for (key, log) in &self.logs {
            log.load(repo, *key, false, all);
            if let Some(aside) = self.aside.get(key) {
                aside.load(repo, *key, true, all);
            }
        }
        let evidence = self.evidence.values().cloned();
        all.extend(evidence.map(|evidence| Loaded::Evidence { repo, evidence }));
        for ((kind, key), value) in &self.facts {
            all.push(Loaded::Fact {
                repo,
                kind: *kind,
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
}

impl Log {
    fn rewind(&mut self, to: u64) {
        self.entries
            .truncate(usize::try_from(to).unwrap_or(usize::MAX));
        let mut edge = tree::Edge::new();
        for entry in &self.entries {
            edge.push(tree::leaf(entry));
        }
        self.table = self.table.rewound(edge);
    }

    fn load(&self, repo: RepoId, key: Key, aside: bool, all: &mut Vec<Loaded>) {
        if self.table.is_empty() {
            return;
        }
        let (mut from, mut frame, mut bytes) = (0, Vec::new(), 0);
        for entry in &self.entries {
            if bytes + entry.len() > FRAME_BYTES_MAX && !frame.is_empty() {
                let entries = std::mem::take(&mut frame);
                let next = from + entries.len() as u64;
                all.push(Loaded::Entries {
                    repo,
                    key,
                    aside,
                    from,
                    entries,
                });
                (from, bytes) = (next, 0);
            }
            bytes += entry.len();
            frame.push(entry.clone());
        }
        if !frame.is_empty() {
            all.push(Loaded::Entries {
                repo,
                key,
                aside,
                from,
                entries: frame,
            });
        }
        all.push(Loaded::Checkpoints {
            repo,
            key,
            aside,
            whole: self.table.whole.clone(),
            ahead: self.table.ahead.clone(),
        });
    }
}
