//! A modelled disk: what the core had persisted, and blobs as the groups that are held.
//!
//! It keeps the contract of the store: a change that does not fit what is held is refused, and in a
//! run that is a broken law, for an honest core makes none.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_node::core::{Held, Holding, Restored, pin_from_bytes};
use skep_node::store::{Change, FactKind};
use skep_proto::blob::{self, GroupList, GroupLister};
use skep_proto::claimed::Verified;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::repo::root::SignedRoot;

use crate::dice::Dice;

/// What survives a crash.
#[derive(Debug, Default)]
pub struct Disk {
    pub repos: BTreeMap<RepoId, Folder>,
    pub blobs: BTreeMap<Blake3, Blob>,
    /// How many changes were made durable.
    pub changes: u64,
}

/// One repository on disk.
#[derive(Debug, Default)]
pub struct Folder {
    pub roots: BTreeMap<Sha256, SignedRoot>,
    pub logs: BTreeMap<Key, LogFile>,
    pub evidence: BTreeMap<Key, ForkEvidence>,
    pub facts: BTreeMap<(FactKind, String), Vec<u8>>,
}

#[derive(Debug, Default)]
pub struct LogFile {
    pub entries: Vec<Vec<u8>>,
    pub whole: Option<Checkpoint>,
    pub ahead: Option<Checkpoint>,
}

/// A blob, complete or not.
#[derive(Debug)]
pub struct Blob {
    pub size: u64,
    pub list: Option<Verified<GroupList>>,
    pub groups: BTreeMap<u64, Arc<[u8]>>,
    pub whole: bool,
}

impl Disk {
    pub fn persist(&mut self, change: &Change) -> Result<(), String> {
        let repo = match change {
            Change::Follow { repo } => {
                self.repos.entry(*repo).or_default();
                self.changes += 1;
                return Ok(());
            }
            Change::Unfollow { repo } => {
                self.repos.remove(repo);
                self.changes += 1;
                return Ok(());
            }
            Change::Root { repo, .. }
            | Change::Append { repo, .. }
            | Change::Checkpoint { repo, .. }
            | Change::Rewind { repo, .. }
            | Change::Evidence { repo, .. }
            | Change::Fact { repo, .. }
            | Change::ForgetFact { repo, .. } => repo,
        };
        let folder = self.repos.get_mut(repo).ok_or("it is not followed")?;
        folder.persist(change)?;
        self.changes += 1;
        Ok(())
    }

    /// What a core is rebuilt from.
    pub fn restore(&self) -> Vec<Restored> {
        let repos = self.repos.iter();
        repos.map(|(id, folder)| folder.restore(*id)).collect()
    }

    pub fn log(&self, repo: &RepoId, key: &Key) -> Option<&LogFile> {
        self.repos.get(repo)?.logs.get(key)
    }

    /// Entries [from, to), as far as they are held.
    pub fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Vec<Vec<u8>> {
        let entries = self.log(repo, key).map_or(&[][..], |log| &log.entries);
        let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let range = at(from).min(entries.len())..at(to).min(entries.len());
        entries.get(range).unwrap_or_default().to_vec()
    }

    // Blobs.

    /// Puts a blob here whole, as an author's tool does.
    pub fn import(&mut self, bytes: &[u8]) -> (Blake3, u64) {
        let mut lister = GroupLister::new();
        lister.update(bytes).expect("blobs of tests are small");
        let list = lister.finish();
        let (hash, size) = (*list.hash(), list.size());
        let mut blob = Blob::begun(size);
        for (index, group) in (0..blob::group_count(size)).zip(groups(bytes)) {
            blob.groups.insert(index, Arc::from(group));
        }
        blob.list = Some(list);
        blob.whole = true;
        self.blobs.insert(hash, blob);
        (hash, size)
    }

    /// Begins or resumes a blob.
    pub fn begin(&mut self, hash: Blake3, size: u64, list: Option<Verified<GroupList>>) -> Held {
        let blob = self
            .blobs
            .entry(hash)
            .or_insert_with(|| Blob::begun(size));
        if blob.whole {
            return Held::Whole;
        }
        if list.is_some() {
            blob.list = list;
        } else if blob::group_count(size) == 1 && blob.list.is_none() {
            blob.list = GroupList::prove(&hash, size, &[]).ok();
        }
        Held::Part {
            groups: blob.groups.keys().copied().collect(),
            list: blob.list.is_some(),
        }
    }

    /// Verifies a group and keeps it.
    pub fn write_group(
        &mut self,
        hash: &Blake3,
        index: u64,
        bytes: Arc<[u8]>,
    ) -> Result<(), blob::Error> {
        let missing = blob::Error::List { hash: *hash };
        let blob = self.blobs.get_mut(hash).ok_or(missing.clone())?;
        if blob.whole {
            return Ok(());
        }
        let list = blob.list.as_ref().ok_or(missing)?;
        list.verify_group(index, &bytes)?;
        blob.groups.insert(index, bytes);
        Ok(())
    }

    /// Every group is there.
    pub fn finish(&mut self, hash: &Blake3) -> Result<(), String> {
        let blob = self.blobs.get_mut(hash).ok_or("it was never begun")?;
        let held = u64::try_from(blob.groups.len()).unwrap_or(u64::MAX);
        if held < blob::group_count(blob.size) {
            return Err(format!("only {held} of its groups are held"));
        }
        blob.whole = true;
        Ok(())
    }

    /// The power goes: what was not made durable of blobs is there, or is not.
    pub fn crash(&mut self, dice: &mut Dice) {
        for blob in self.blobs.values_mut().filter(|blob| !blob.whole) {
            blob.groups.retain(|_, _| dice.chance(700));
        }
    }
}

impl Folder {
    fn persist(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Root { signed, .. } => {
                self.roots.insert(signed.sha256(), signed.clone());
            }
            Change::Append {
                key,
                from,
                entries,
                checkpoint,
                ..
            } => self.append(*key, *from, entries, checkpoint)?,
            Change::Checkpoint { checkpoint, .. } => self.checkpoint(checkpoint)?,
            Change::Rewind { key, to, .. } => self.rewind(key, *to)?,
            Change::Evidence { evidence, .. } => {
                self.evidence.insert(*evidence.key(), evidence.clone());
            }
            Change::Fact {
                kind, key, value, ..
            } => {
                self.facts.insert((*kind, key.clone()), value.clone());
            }
            Change::ForgetFact { kind, key, .. } => {
                self.facts.remove(&(*kind, key.clone()));
            }
            Change::Follow { .. } | Change::Unfollow { .. } => {}
        }
        Ok(())
    }

    fn append(
        &mut self,
        key: Key,
        from: u64,
        entries: &[Vec<u8>],
        checkpoint: &Checkpoint,
    ) -> Result<(), String> {
        let log = self.logs.entry(key).or_default();
        if log.size() != from {
            return Err(format!("it has {} entries, not {from}", log.size()));
        }
        if entries.is_empty() || checkpoint.key != key {
            return Err("no entries, or a checkpoint of another key".to_owned());
        }
        log.entries.extend_from_slice(entries);
        match checkpoint.size.cmp(&log.size()) {
            std::cmp::Ordering::Less => return Err("the checkpoint is shorter".to_owned()),
            std::cmp::Ordering::Equal => {
                log.whole = Some(checkpoint.clone());
                log.ahead = None;
            }
            std::cmp::Ordering::Greater => log.ahead = Some(checkpoint.clone()),
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let log = self.logs.get_mut(&checkpoint.key).ok_or("no such log")?;
        if checkpoint.size != log.size() {
            return Err(format!("it has {} entries", log.size()));
        }
        log.whole = Some(checkpoint.clone());
        log.ahead = None;
        Ok(())
    }

    fn rewind(&mut self, key: &Key, to: u64) -> Result<(), String> {
        let log = self.logs.get_mut(key).ok_or("no such log")?;
        log.entries.truncate(usize::try_from(to).unwrap_or(usize::MAX));
        log.whole.take_if(|whole| whole.size > to);
        log.ahead.take_if(|ahead| ahead.size > to);
        Ok(())
    }

    fn restore(&self, id: RepoId) -> Restored {
        let mut restored = Restored::nothing(id);
        restored.roots = self.roots.values().cloned().collect();
        restored.evidence = self.evidence.clone();
        for (key, log) in &self.logs {
            let kept = restored.logs.entry(*key).or_default();
            for entry in &log.entries {
                kept.facts.push(&id, entry);
            }
            (kept.whole, kept.ahead) = (log.whole.clone(), log.ahead.clone());
        }
        for ((kind, key), value) in &self.facts {
            restore_fact(&mut restored, *kind, key, value);
        }
        restored
    }
}

fn restore_fact(restored: &mut Restored, kind: FactKind, key: &str, value: &[u8]) {
    match kind {
        FactKind::Followed => restored.followed = pin_from_bytes(value),
        FactKind::Holding => {
            let holding = Holding::from_bytes(value).expect("the core wrote it");
            restored
                .holdings
                .insert(key.parse().expect("the core wrote it"), holding);
        }
        FactKind::Admitted => {
            let (name, version) = key.split_once('@').expect("the core wrote it");
            let release = (
                name.parse().expect("the core wrote it"),
                version.parse().expect("the core wrote it"),
            );
            let manifest = value.try_into().expect("the core wrote it");
            restored
                .admitted
                .insert(release, Sha256::from_bytes(manifest));
        }
        // Nothing writes them yet.
        FactKind::Restriction | FactKind::Settled => {}
    }
}

impl LogFile {
    pub fn size(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Blob {
    fn begun(size: u64) -> Self {
        Self {
            size,
            list: None,
            groups: BTreeMap::new(),
            whole: false,
        }
    }

    /// All bytes, of a whole one.
    pub fn bytes(&self) -> Vec<u8> {
        self.groups.values().flat_map(|group| group.iter().copied()).collect()
    }
}

/// The groups of a blob's bytes; an empty blob has one, which is empty.
fn groups(bytes: &[u8]) -> Vec<&[u8]> {
    if bytes.is_empty() {
        return vec![bytes];
    }
    let len = usize::try_from(blob::GROUP_BYTES).expect("a small constant");
    bytes.chunks(len).collect()
}
