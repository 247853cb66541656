//! Archives that were asked for, described: whoever asks again costs no manifest and no hashing.
//!
//! A description is made of an asker's words (the stem is any), so what all of them hold of memory is
//! counted, those that are still being sent too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::render::Content;
use skep_proto::render::l3afd::{Artifact, Platform};

/// How many are remembered: of packages of a few files some kilobytes each.
const REMEMBERED_MAX: usize = 1_024;
/// Files in all that there are at a time, about a kilobyte each: four releases of the most files that
/// a manifest can list, or thousands of usual ones.
pub(super) const MEMBERS_MAX: usize = 65_536;

/// One archive of one release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) repo: RepoId,
    pub(super) manifest: Sha256,
    pub(super) platform: Platform,
    pub(super) artifact: Artifact,
}

impl Key {
    /// What stands for exactly these bytes in an `ETag`.
    pub(super) fn tag(&self) -> String {
        let variant = format!("{}/{}", self.platform, self.artifact);
        Blake3::of(&[self.manifest.as_bytes(), variant.as_bytes()]).to_string()
    }
}

/// An archive, described, and the files in it.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) content: Content,
    pub(super) blobs: Vec<Blake3>,
    pub(super) tag: String,
    /// Given back when nobody sends it any more.
    _members: Members,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Archives {
    all: Mutex<BTreeMap<Key, Arc<Archive>>>,
    members: Arc<AtomicUsize>,
}

impl Archives {
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Archive>> {
        self.lock().get(key).cloned()
    }

    /// Room for an archive of so many files; none while too many are being sent.
    pub(super) fn room(&self, members: usize) -> Option<Members> {
        let taken = Members::take(&self.members, members);
        taken.or_else(|| {
            self.lock().clear();
            Members::take(&self.members, members)
        })
    }

    /// Remembers one; what was remembered goes when it has grown too much.
    pub(super) fn keep(
        &self,
        key: Key,
        content: Content,
        blobs: Vec<Blake3>,
        members: Members,
    ) -> Arc<Archive> {
        let archive = Arc::new(Archive {
            content,
            blobs,
            tag: key.tag(),
            _members: members,
        });
        let mut all = self.lock();
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&archive));
        archive
    }

    /// One file as it is, which is described in no time and so not remembered; none while too many
    /// are being sent.
    pub(super) fn of_file(&self, blake3: Blake3, size: u64) -> Option<Arc<Archive>> {
        Some(Arc::new(Archive {
            content: Content::of_file(blake3, size),
            blobs: vec![blake3],
            tag: blake3.to_string(),
            _members: self.room(1)?,
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Archive>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of [`MEMBERS_MAX`].
#[derive(Debug)]
pub(super) struct Members {
    of: Arc<AtomicUsize>,
    count: usize,
}

impl Members {
    fn take(of: &Arc<AtomicUsize>, count: usize) -> Option<Self> {
        let more = |now: usize| now.checked_add(count).filter(|all| *all <= MEMBERS_MAX);
        of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        let of = Arc::clone(of);
        Some(Self { of, count })
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.of.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stem: &str) -> Key {
        Key {
            repo: RepoId::from_hash(Sha256::of(&[])),
            manifest: Sha256::of(&[]),
            platform: Platform::of("jammy", "x86_64"),
            artifact: Artifact::parse(&format!("{stem}.zip")).expect("a name"),
        }
    }

    #[test]
    fn what_is_being_sent_counts_until_it_was() {
        let archives = Archives::default();
        let keep = |stem: &str, count: usize| {
            let room = archives.room(count)?;
            Some(archives.keep(key(stem), Content::default(), Vec::new(), room))
        };
        assert!(keep("a", MEMBERS_MAX + 1).is_none());
        let sending = keep("a", MEMBERS_MAX).expect("the most that there may be");
        assert!(keep("b", 1).is_none(), "nobody remembers it, one sends it");
        assert!(archives.find(&key("a")).is_none());
        drop(sending);
        let sending = keep("b", 1).expect("room again");
        drop(keep("c", MEMBERS_MAX - 1).expect("what fits"));
        drop(keep("d", 1).expect("what was only remembered has gone"));
        assert!(archives.find(&key("c")).is_none());
        assert!(archives.find(&key("d")).is_some());
        drop(sending);
    }

    #[test]
    fn so_many_are_remembered() {
        let archives = Archives::default();
        let keep = |n: usize| {
            let room = archives.room(1).expect("room");
            drop(archives.keep(key(&format!("n{n}")), Content::default(), Vec::new(), room));
        };
        (0..REMEMBERED_MAX).for_each(keep);
        assert!(archives.find(&key("n0")).is_some());
        keep(REMEMBERED_MAX);
        assert!(archives.find(&key("n0")).is_none());
        assert!(archives.find(&key(&format!("n{REMEMBERED_MAX}"))).is_some());
    }
}
