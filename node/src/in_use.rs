//! Blobs that work in progress needs, though no release that is held has them yet.
//!
//! A fetch and a publication bring one file after the other, and say only at the end of which
//! release they are. Until then a [`Lease`] keeps a collection from taking them for nobody's.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skep_proto::hash::Blake3;

use crate::store::{self, BlobInfo, Store};

/// Who uses what, of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<BTreeMap<Blake3, usize>>>);

/// Blobs that stay for as long as this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    all: InUse,
    blobs: Vec<Blake3>,
}

impl InUse {
    /// A lease of nothing yet.
    pub(crate) fn lease(&self) -> Lease {
        let (all, blobs) = (self.clone(), Vec::new());
        Lease { all, blobs }
    }

    /// Does something with a blob that nobody uses, and that nobody begins to use meanwhile. None if
    /// it is in use.
    pub(crate) fn if_unused<T>(&self, hash: &Blake3, act: impl FnOnce() -> T) -> Option<T> {
        let all = self.lock();
        (!all.contains_key(hash)).then(act)
    }

    pub(crate) fn is_used(&self, hash: &Blake3) -> bool {
        self.lock().contains_key(hash)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Blake3, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// From now on these stay if they are there: to be called before it is looked whether they are.
    pub(crate) fn add(&mut self, blobs: impl IntoIterator<Item = Blake3>) {
        let mut all = self.all.lock();
        for hash in blobs {
            *all.entry(hash).or_default() += 1;
            self.blobs.push(hash);
        }
    }

    /// Copies a file into the store, from where it stands to its end; the blob stays from then on.
    ///
    /// # Errors
    /// The store's, or those of reading the file.
    pub(crate) fn import(
        &mut self,
        store: &dyn Store,
        from: &mut (impl Read + Seek),
    ) -> Result<BlobInfo, store::Error> {
        let start = from.stream_position().map_err(store::Error::Source)?;
        let info = store.import(from)?;
        self.add([info.hash]);
        if store.blob(&info.hash)?.is_some() {
            return Ok(info);
        }
        // A collection took it before anybody knew which one it is; now that cannot be.
        let again = from.seek(SeekFrom::Start(start));
        again.map_err(store::Error::Source)?;
        store.import(from)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for hash in &self.blobs {
            match all.get_mut(hash) {
                Some(users) if *users > 1 => *users -= 1,
                _ => drop(all.remove(hash)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_used_until_the_last_lease_of_it_ends() {
        let in_use = InUse::default();
        let hash = Blake3::of(&[b"x"]);
        let mut first = in_use.lease();
        first.add([hash, hash]);
        let mut second = in_use.lease();
        second.add([hash]);
        drop(first);
        assert!(in_use.is_used(&hash));
        assert_eq!(in_use.if_unused(&hash, || ()), None);
        drop(second);
        assert_eq!(in_use.if_unused(&hash, || 1), Some(1));
        assert!(in_use.lock().is_empty(), "nothing is remembered");
    }
}
