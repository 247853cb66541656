//! Which releases a .skep file has whole, and that no file in it belongs to none.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::GroupList;
use crate::claimed::Verified;
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;
use crate::log::entry::{Body, Parsed, Publish, parse};
use crate::name::{Name, Version};
use crate::package::manifest::{File, FileKind, LIST_FILE_BYTES_MAX, Manifest, manifest_hash};
use crate::repo::view::View;

use super::contents::{Item, Place};
use super::{Error, FILES_MAX};

/// Most files that all releases in a file may name together, each release counted for itself: versions
/// share most of theirs, so every file may be of several. They are kept until the end, at 40 bytes.
pub const NAMED_MAX: usize = 8 * FILES_MAX;
/// Most bytes of manifests that may wait for the lists of their files: a few thousand releases with
/// such lists, of which a file has no room for more.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Most bytes of lists that are read, one again for each release that has it: sixty-four of the
/// longest, which takes seconds.
pub const LISTS_BYTES_MAX: u64 = 64 * LIST_FILE_BYTES_MAX;

/// A release whose files are all in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
    /// Hash and size in bytes of every file, sorted, each once.
    pub blobs: Vec<(Blake3, u64)>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub list: Verified<GroupList>,
    /// Where its bytes begin in the .skep file.
    pub offset: u64,
}

/// A manifest as the entry that published it has it.
type Published = (RepoId, Name, Version, Sha256);

/// What is found while a file is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Hash and size of every file that the contents promise, sorted.
    promised: Vec<(Blake3, u64)>,
    /// Manifests that name all their files.
    listed: BTreeMap<Published, Vec<(Blake3, u64)>>,
    /// Manifests whose files stand in a list that is itself a file.
    waiting: BTreeMap<Blake3, Vec<(Published, Manifest)>>,
    /// Of the list that is being read.
    list: Option<Vec<u8>>,
    /// Where the file begins that is being read.
    offset: u64,
    pub(super) blobs: Vec<Blob>,
    /// Whoever made the file may name one list in every release: what is kept and read is counted.
    named: usize,
    waiting_bytes: usize,
    lists_bytes: u64,
}

impl Found {
    pub(super) fn promise(&mut self, items: &[Item]) {
        let blobs = items.iter().filter_map(|item| match item.place {
            Place::Blob(hash) => Some((hash, item.size)),
            Place::Document { .. } | Place::Log { .. } => None,
        });
        self.promised = blobs.collect();
    }

    /// An entry of a log: of those that publish, the manifest is read. One that cannot be used is
    /// its publisher's matter, and no release to be carried.
    /// Gives when it says that it was written.
    pub(super) fn entry(&mut self, repo: &RepoId, raw: &[u8]) -> Result<u64, Error> {
        let Parsed::Entry(entry) = parse(raw) else {
            return Ok(0);
        };
        if let Body::Publish(publish) = entry.body {
            self.publish(repo, publish)?;
        }
        Ok(entry.claimed_at)
    }

    fn publish(&mut self, repo: &RepoId, publish: Publish) -> Result<(), Error> {
        let Ok(manifest) = Manifest::parse(&publish.payload) else {
            return Ok(());
        };
        let (name, version) = (publish.name, publish.version);
        let blobs = blobs_of(&manifest.files);
        let is_promised = |blob| self.promised.binary_search(blob).is_ok();
        // A log has releases that the file does not carry.
        if manifest.check_binding(repo, &name, &version).is_err() || !blobs.iter().all(is_promised)
        {
            return Ok(());
        }
        let published = (*repo, name, version, manifest_hash(&publish.payload));
        match manifest.file_of(FileKind::Tree).map(|tree| tree.blake3) {
            Some(tree) => {
                self.waiting_bytes += publish.payload.len();
                if self.waiting_bytes > WAITING_BYTES_MAX {
                    return Err(Error::TooManyNames);
                }
                let waiting = self.waiting.entry(tree).or_default();
                waiting.push((published, manifest));
                Ok(())
            }
            None => self.list(published, blobs),
        }
    }

    fn list(&mut self, published: Published, blobs: Vec<(Blake3, u64)>) -> Result<(), Error> {
        self.named += blobs.len();
        if self.named > NAMED_MAX {
            return Err(Error::TooManyNames);
        }
        self.listed.insert(published, blobs);
        Ok(())
    }

    pub(super) fn begin(&mut self, hash: &Blake3, size: u64, offset: u64) {
        let is_list = self.waiting.contains_key(hash) && size <= LIST_FILE_BYTES_MAX;
        self.list = is_list.then(Vec::new);
        self.offset = offset;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(list) = &mut self.list {
            list.extend_from_slice(bytes);
        }
    }

    /// A list that cannot be read makes its releases no releases, as a manifest that cannot.
    pub(super) fn end(&mut self, hash: &Blake3, list: Verified<GroupList>) -> Result<(), Error> {
        let offset = self.offset;
        self.blobs.push(Blob { list, offset });
        let Some(list) = self.list.take() else {
            return Ok(());
        };
        for (published, manifest) in self.waiting.remove(hash).unwrap_or_default() {
            self.lists_bytes += list.len() as u64;
            if self.lists_bytes > LISTS_BYTES_MAX {
                return Err(Error::TooManyNames);
            }
            if let Ok(files) = manifest.all_files(Some(&list)) {
                let own = blobs_of(&manifest.files);
                let all = blobs_of(&files).into_iter().chain(own);
                let all: BTreeSet<(Blake3, u64)> = all.collect();
                self.list(published, all.into_iter().collect())?;
            }
        }
        Ok(())
    }

    /// The releases of each view that are whole here.
    pub(super) fn releases(&self, repo: &RepoId, view: &View) -> Vec<Release> {
        let mut whole = Vec::new();
        for package in view.packages.values() {
            for (version, release) in &package.releases {
                for manifest in release.claims.keys() {
                    let published = (*repo, package.name.clone(), version.clone(), *manifest);
                    let Some(blobs) = self.listed.get(&published) else {
                        continue;
                    };
                    if blobs.iter().all(|blob| self.has(blob)) {
                        whole.push(Release {
                            name: package.name.clone(),
                            version: version.clone(),
                            manifest: *manifest,
                            blobs: blobs.clone(),
                        });
                    }
                }
            }
        }
        whole
    }

    fn has(&self, (hash, size): &(Blake3, u64)) -> bool {
        let at = self
            .blobs
            .binary_search_by_key(hash, |blob| *blob.list.hash());
        at.is_ok_and(|at| self.blobs[at].list.size() == *size)
    }

    /// Refuses a file that no release has: who puts it in wants it stored for something else.
    pub(super) fn check_extra<'a>(
        &self,
        releases: impl Iterator<Item = &'a Release>,
    ) -> Result<(), Error> {
        let needed: BTreeSet<Blake3> = releases
            .flat_map(|release| release.blobs.iter().map(|(hash, _)| *hash))
            .collect();
        let mut hashes = self.blobs.iter().map(|blob| *blob.list.hash());
        let extra = hashes.find(|hash| !needed.contains(hash));
        extra.map_or(Ok(()), |hash| Err(Error::Extra(hash)))
    }
}

fn blobs_of(files: &[File]) -> Vec<(Blake3, u64)> {
    let blobs = files.iter().map(|file| (file.blake3, file.size));
    let blobs: BTreeSet<(Blake3, u64)> = blobs.collect();
    blobs.into_iter().collect()
}

#[cfg(test)]
mod tests;
