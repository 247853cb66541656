//! The manifest: an in-toto Statement about the files of one release.
//!
//! Its `subject` names every file with SHA-256 and BLAKE3; its predicate
//! `https://skep.dev/package/v1` says what they are. A manifest is hostile until its hash is the one
//! that the view lists and [`Manifest::check_binding`] has said that it is of the repository, name
//! and version under which it stands; both are asked before every use.

mod facts;
mod file;
mod predicate;
mod read;

use std::collections::BTreeMap;

use super::license::{self, Conflict};
use crate::ebpf;
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::json::{self, Json};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::name::{Name, Version};

pub use facts::{Chain, Facts, Global, Map, Object, Program, Value, read_facts, write_facts};
pub use file::{
    ARCHES, FILE_BYTES_MAX, File, FileKind, PATH_LEN_MAX, check_path, read_tree, write_tree,
};
pub use predicate::{
    Alternative, DESCRIPTION_LEN_MAX, Details, Kernel, LINE_LEN_MAX, LIST_MAX, Layers, MapValue,
    Requires, Signed, SourceLink, TESTS_MAX, Test, UserProgram,
};

/// Type of every in-toto Statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of the predicate.
pub const PREDICATE_TYPE: &str = "https://skep.dev/package/v1";
/// Most files that stand in a manifest itself; a release with more lists them in a file of kind
/// `tree`.
pub const FILES_MAX: usize = 64;
/// Most files of a release.
pub const TREE_FILES_MAX: usize = 16_384;
/// Longest JSON of programs, maps and objects inside a manifest, in bytes; longer ones stand in a
/// file of kind `facts`.
pub const FACTS_BYTES_MAX: usize = 12_288;
/// Longest file of kind `tree` or `facts`, in bytes: 16,384 files with their digests.
pub const LIST_FILE_BYTES_MAX: u64 = 16 << 20;

/// What one release is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub repo: RepoId,
    pub name: Name,
    pub version: Version,
    pub details: Details,
    /// Sorted by path.
    pub files: Vec<File>,
    /// What the predicate says that this version does not know, by its place (`facts.maps[0].x`):
    /// shown, not interpreted. It is carried by the payload, not written again from here.
    pub unknown: BTreeMap<String, Json>,
}

/// Why a payload is no manifest, or not the one that it is taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a manifest of {size} bytes, where at most {MANIFEST_BYTES_MAX} are allowed")]
    TooLong { size: usize },
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("not a manifest: {}", crate::text::harmless_line(.0))]
    Shape(String),
    #[error("not an in-toto Statement about a package: `{}`", crate::text::harmless_line(.0))]
    OtherType(String),
    #[error("`{0}`: {1}")]
    Field(&'static str, String),
    #[error("the path `{}` {why}", crate::text::harmless_line(.path))]
    Path { path: String, why: &'static str },
    #[error("{count} files, where at most {max} are allowed")]
    TooManyFiles { count: usize, max: usize },
    #[error("the files of the predicate are not the subject of the Statement")]
    Subject,
    #[error("`{}` is named, and is no file of the release of the kind that it is named for", crate::text::harmless_line(.0))]
    NoFile(String),
    #[error("the object `{}` is not what the manifest says: {} differs", crate::text::harmless_line(.0), .1)]
    OtherObject(String, String),
    #[error("the object `{}` tells the kernel `{}`, which is not what the release is offered under", crate::text::harmless_line(.0), crate::text::harmless_line(.1))]
    OtherLicense(String, String),
    #[error("the object `{}` calls BPF helpers for GPL-compatible programs only and says it is none: {}", crate::text::harmless_line(.0), .1.join(", "))]
    GplOnly(String, Vec<&'static str>),
    #[error("the manifest is of repository {0}, not of this one")]
    OtherRepository(RepoId),
    #[error("the manifest is of `{0}@{1}`, not of the release under which it was published")]
    OtherRelease(Name, Version),
}

impl Error {
    /// Whoever relays it cannot know: the log never parses a manifest.
    pub fn fault(&self) -> Fault {
        Fault::Publisher
    }
}

impl Manifest {
    /// Reads a payload, as hostile.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        if payload.len() > MANIFEST_BYTES_MAX {
            return Err(Error::TooLong {
                size: payload.len(),
            });
        }
        read::manifest(json::parse(payload)?)
    }

    /// The payload that is signed: compact JSON, fields in the order of the specification. Fails
    /// where it could not be read again.
    pub fn to_payload(&self) -> Result<Vec<u8>, Error> {
        let payload = read::payload(self);
        match Self::parse(&payload)? {
            same if same == *self => Ok(payload),
            _ => Err(Error::Shape(
                "it does not read back as what it is".to_owned(),
            )),
        }
    }

    /// That it is of the release under which it stands, failing closed: so nothing is replayed under
    /// another repository, name or version.
    pub fn check_binding(
        &self,
        repo: &RepoId,
        name: &Name,
        version: &Version,
    ) -> Result<(), Error> {
        if self.repo != *repo {
            return Err(Error::OtherRepository(self.repo));
        }
        if (&self.name, &self.version) != (name, version) {
            let (name, version) = (self.name.clone(), self.version.clone());
            return Err(Error::OtherRelease(name, version));
        }
        Ok(())
    }

    /// All files of the release but the one that lists the others, sorted by path. `tree` is that
    /// file, which a release with few files does not have.
    ///
    /// Of a release with many files, only now is it known that no two of them are in each other's
    /// way and that everything the manifest names is there.
    pub fn all_files(&self, tree: Option<&[u8]>) -> Result<Vec<File>, Error> {
        let listed = match (self.file_of(FileKind::Tree), tree) {
            (None, None) => return Ok(self.files.clone()),
            (Some(_), Some(bytes)) => read_tree(bytes)?,
            _ => {
                return Err(Error::Field(
                    "files",
                    "no list of files, or one too many".to_owned(),
                ));
            }
        };
        let own = self.files.iter().filter(|file| file.kind != FileKind::Tree);
        let mut files: Vec<File> = own.cloned().chain(listed).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        // The list itself is written nowhere: its path is free.
        file::check_files(&files, TREE_FILES_MAX + FILES_MAX)?;
        self.details
            .check_files(self.details.facts.as_ref(), &files)?;
        Ok(files)
    }

    /// The facts, which may stand in a file of their own.
    pub fn all_facts(&self, file: Option<&[u8]>) -> Result<Facts, Error> {
        match (&self.details.facts, file) {
            (Some(facts), None) => Ok(facts.clone()),
            (None, Some(bytes)) => read_facts(bytes),
            _ => Err(Error::Field("facts", "none, or in two places".to_owned())),
        }
    }

    /// That facts which stand in a file of their own speak of files of the release, all of which are
    /// `files`, sorted by path.
    pub fn check_facts(&self, facts: &Facts, files: &[File]) -> Result<(), Error> {
        self.details.check_files(Some(facts), files)
    }

    /// That the object at `path` does what `facts`, which are those of this release, say and nothing
    /// else, and that its license is no obstacle: asked before every use.
    pub fn check_object(
        &self,
        facts: &Facts,
        path: &str,
        object: &ebpf::Object,
    ) -> Result<(), Error> {
        facts.check_object(path, object)?;
        let path = path.to_owned();
        match license::check(&self.details.license, &self.details.platform, object) {
            Ok(()) => Ok(()),
            Err(Conflict::Expression(said)) => Err(Error::OtherLicense(path, said)),
            Err(Conflict::Helpers { names, .. }) => Err(Error::GplOnly(path, names)),
        }
    }

    /// The one file of a kind of which there is at most one.
    pub fn file_of(&self, kind: FileKind) -> Option<&File> {
        self.files.iter().find(|file| file.kind == kind)
    }
}

/// The id of a manifest: SHA-256 of its payload.
pub fn manifest_hash(payload: &[u8]) -> Sha256 {
    Sha256::of(&[payload])
}

#[cfg(test)]
mod tests;
