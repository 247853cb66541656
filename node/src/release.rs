//! From a release in the view to its manifest and its files.

mod describe;

use skep_proto::control::BlobRef;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Signatures;
use skep_proto::log::entry::{Body, Parsed, parse};
use skep_proto::name::{Name, Version};
use skep_proto::package::dsse;
use skep_proto::package::manifest::{self, File, FileKind, LIST_FILE_BYTES_MAX, Manifest};
use skep_proto::trust::Subject;

pub(crate) use describe::{describe, published_at, said};

use crate::snapshot::RepoSnapshot;
use crate::store::{self, Store};

/// Why a release cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the view no longer has {0}@{1} with this manifest")]
    Gone(Name, Version),
    #[error("the entry that published {0}@{1} cannot be read")]
    Store(Name, Version, #[source] Box<store::Error>),
    #[error("the entry that published {0}@{1} is not what the view says")]
    OtherEntry(Name, Version),
    #[error("the manifest cannot be used")]
    Manifest(#[from] manifest::Error),
    #[error("the list of files {0} cannot be read")]
    Tree(Blake3),
    #[error("the manifest is not signed by any key that published it")]
    Unsigned,
}

/// A manifest's bytes, and the signatures that its entry carries.
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signatures: Signatures,
}

/// Reads a manifest from any of the entries that published it.
pub(crate) fn payload(
    repo: &RepoSnapshot,
    store: &dyn Store,
    name: &Name,
    version: &Version,
    manifest: Sha256,
) -> Result<Payload, Error> {
    let gone = || Error::Gone(name.clone(), version.clone());
    let view = repo.view.as_deref().ok_or_else(gone)?;
    let package = view.package(name).ok_or_else(gone)?;
    let release = package.releases.get(version).ok_or_else(gone)?;
    let claim = release.claims.get(&manifest).ok_or_else(gone)?;
    let (key, index) = claim.published.iter().next().ok_or_else(gone)?;
    let entries = store
        .entries(&repo.id, key, *index, index.saturating_add(1))
        .map_err(|e| Error::Store(name.clone(), version.clone(), Box::new(e)))?;
    let parsed = entries.first().map(|entry| parse(entry));
    match parsed {
        Some(Parsed::Entry(entry)) => match entry.body {
            Body::Publish(publish) if Sha256::of(&[&publish.payload]) == manifest => Ok(Payload {
                bytes: publish.payload,
                signatures: publish.signatures,
            }),
            _ => Err(Error::OtherEntry(name.clone(), version.clone())),
        },
        _ => Err(Error::OtherEntry(name.clone(), version.clone())),
    }
}

/// The files of a release, as far as they are known.
pub(crate) struct Files {
    files: Vec<File>,
}

impl Files {
    /// Of a manifest that is bound to this repository, name and version; failing closed.
    pub(crate) fn of(
        payload: &[u8],
        repo: &RepoId,
        name: &Name,
        version: &Version,
    ) -> Result<Self, Error> {
        let manifest = Manifest::parse(payload)?;
        manifest.check_binding(repo, name, version)?;
        Ok(Self {
            files: manifest.files,
        })
    }

    /// The file that lists the others, if they are too many for the manifest.
    pub(crate) fn tree(&self) -> Option<BlobRef> {
        let tree = self.files.iter().find(|file| file.kind == FileKind::Tree)?;
        Some(blob_of(tree))
    }

    /// Adds what the tree lists.
    pub(crate) fn add_tree(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.files.extend(manifest::read_tree(bytes)?);
        Ok(())
    }

    /// Each blob once.
    pub(crate) fn blobs(&self) -> Vec<BlobRef> {
        let mut blobs: Vec<BlobRef> = self.files.iter().map(blob_of).collect();
        blobs.sort_by_key(|blob| blob.hash);
        blobs.dedup_by_key(|blob| blob.hash);
        blobs
    }

    /// Of all of them together.
    pub(crate) fn size_bytes(&self) -> u64 {
        let sizes = self.blobs().into_iter().map(|blob| blob.size_bytes);
        sizes.fold(0, u64::saturating_add)
    }
}

/// How large a release is with all its files, in bytes, by what is here: its manifest, and the list
/// of files if it has one.
pub(crate) fn size_bytes(
    repo: &RepoSnapshot,
    store: &dyn Store,
    (name, version): (&Name, &Version),
    manifest: Sha256,
) -> Result<u64, Error> {
    let payload = payload(repo, store, name, version, manifest)?;
    let mut files = Files::of(&payload.bytes, &repo.id, name, version)?;
    if let Some(tree) = files.tree() {
        files.add_tree(&read_tree(store, &tree)?)?;
    }
    Ok(files.size_bytes())
}

/// Every file of a release that is held, from a manifest that is what the view lists, of this
/// repository, name and version, and signed by a key that published it: before every use.
pub(crate) fn checked_files(
    repo: &RepoSnapshot,
    store: &dyn Store,
    subject: &Subject,
) -> Result<Vec<File>, Error> {
    let (name, version) = (&subject.name, &subject.version);
    let payload = payload(repo, store, name, version, subject.manifest)?;
    let signed = dsse::signers(dsse::IN_TOTO, &payload.bytes, &payload.signatures);
    if subject.signers.is_disjoint(&signed) {
        return Err(Error::Unsigned);
    }
    let mut files = Files::of(&payload.bytes, &repo.id, name, version)?;
    if let Some(tree) = files.tree() {
        files.add_tree(&read_tree(store, &tree)?)?;
    }
    Ok(files.files)
}

fn blob_of(file: &File) -> BlobRef {
    BlobRef {
        hash: file.blake3,
        size_bytes: file.size,
    }
}

/// The bytes of a file that lists others.
pub(crate) fn read_tree(store: &dyn Store, tree: &BlobRef) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let unreadable = || Error::Tree(tree.hash);
    let file = store
        .open(&tree.hash)
        .ok()
        .flatten()
        .ok_or_else(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LIST_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| unreadable())?;
    if Blake3::of(&[&bytes]) == tree.hash {
        Ok(bytes)
    } else {
        Err(unreadable())
    }
}
