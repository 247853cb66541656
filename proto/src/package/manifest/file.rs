//! The files of a release: paths that stay inside, kinds, digests; and the list of many.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, LIST_FILE_BYTES_MAX, TREE_FILES_MAX};
use crate::ebpf::Endian;
use crate::hash::{Blake3, Sha256};
use crate::json;

/// Longest path, in bytes: what one component of every file system takes.
pub const PATH_LEN_MAX: usize = 255;

/// Largest file, in bytes: what the headers of the archives that are made of a release can say.
pub const FILE_BYTES_MAX: u64 = (4 << 30) - 1;
/// Architectures that a program is built for, as Rust calls them; with the byte order where that is
/// not part of the name.
pub const ARCHES: [&str; 13] = [
    "x86",
    "x86_64",
    "arm",
    "aarch64",
    "riscv64",
    "s390x",
    "powerpc64",
    "powerpc64le",
    "loongarch64",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative, `/` between components; see [`check_path`].
    pub path: String,
    pub kind: FileKind,
    /// In bytes.
    pub size: u64,
    pub sha256: Sha256,
    pub blake3: Blake3,
    pub executable: bool,
    /// Of an object.
    pub endian: Option<Endian>,
    /// Of a program: `linux` or `windows`, and the architecture as Rust calls it.
    pub os: Option<String>,
    pub arch: Option<String>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A compiled eBPF object.
    Object,
    /// A user-space program or script.
    Program,
    Readme,
    License,
    Source,
    Test,
    Config,
    Documentation,
    /// Programs, maps and objects that are too long for the manifest.
    Facts,
    /// The files that are too many for the manifest.
    Tree,
    /// A loader that was generated from an object, for the kernel to verify.
    KernelLoader,
    /// PKCS#7 over a generated loader.
    KernelSignature,
    /// An Authenticode-signed native image.
    WindowsImage,
    /// A WebAssembly part of an Inspektor Gadget image.
    Wasm,
    /// BTF of kernels that have none, for the relocations of the objects.
    Btf,
    Sbom,
    Other,
}

/// A file as the predicate and a tree write it; in the predicate its digests stand in the subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: FileKind,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) executable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) endian: Option<Endian>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arch: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Digest {
    pub(super) sha256: Sha256,
    pub(super) blake3: Blake3,
}

#[derive(Serialize, Deserialize)]
struct Tree {
    files: Vec<TreeEntry>,
}

#[derive(Serialize, Deserialize)]
struct TreeEntry {
    #[serde(flatten)]
    entry: Entry,
    digest: Digest,
}

impl File {
    fn check(&self) -> Result<(), Error> {
        check_path(&self.path)?;
        if self.size > FILE_BYTES_MAX {
            return Err(refused(&self.path, "is a file of more than 4 GiB"));
        }
        let is_list = matches!(self.kind, FileKind::Tree | FileKind::Facts);
        if is_list && self.size > LIST_FILE_BYTES_MAX {
            return Err(refused(&self.path, "is a list of more than 16 MiB"));
        }
        let os = self.os.as_deref();
        if os.is_some_and(|os| !matches!(os, "linux" | "windows")) {
            return Err(Error::Field(
                "os",
                "expected `linux` or `windows`".to_owned(),
            ));
        }
        if self
            .arch
            .as_deref()
            .is_some_and(|arch| !ARCHES.contains(&arch))
        {
            let why = format!("expected one of {}", ARCHES.join(", "));
            return Err(Error::Field("arch", why));
        }
        Ok(())
    }
}

impl Entry {
    pub(super) fn of(file: &File) -> Self {
        Self {
            path: file.path.clone(),
            kind: file.kind,
            size: file.size,
            executable: file.executable,
            endian: file.endian,
            os: file.os.clone(),
            arch: file.arch.clone(),
        }
    }

    pub(super) fn with(self, digest: Digest) -> File {
        File {
            path: self.path,
            kind: self.kind,
            size: self.size,
            sha256: digest.sha256,
            blake3: digest.blake3,
            executable: self.executable,
            endian: self.endian,
            os: self.os,
            arch: self.arch,
        }
    }
}

impl Digest {
    pub(super) fn of(file: &File) -> Self {
        Self {
            sha256: file.sha256,
            blake3: file.blake3,
        }
    }
}

/// Refuses a path that could lead out of a folder, hide in it, or be two paths somewhere: at most
/// [`PATH_LEN_MAX`] bytes, relative, no component empty, `.` or `..`, no backslash, no colon, no
/// control characters and no bidirectional overrides.
pub fn check_path(path: &str) -> Result<(), Error> {
    let refuse = |why| Err(refused(path, why));
    if path.is_empty() || path.len() > PATH_LEN_MAX {
        return refuse("is empty or longer than 255 bytes");
    }
    if path.starts_with('/') || path.contains(['\\', ':']) {
        return refuse("is absolute, or has a backslash or colon in it");
    }
    if crate::text::check_line(path, PATH_LEN_MAX).is_err() {
        return refuse("has control characters in it");
    }
    let odd =
        |component: &str| matches!(component, "" | "." | "..") || component.ends_with([' ', '.']);
    if path.split('/').any(odd) {
        return refuse("has a component that is empty, `.`, `..`, or ends with a dot or space");
    }
    Ok(())
}

fn refused(path: &str, why: &'static str) -> Error {
    let path = path.chars().take(80).collect();
    Error::Path { path, why }
}

/// Sorted, distinct also where case does not count, and no file where another needs a folder.
pub(super) fn check_files(files: &[File], max: usize) -> Result<(), Error> {
    if files.len() > max {
        let count = files.len();
        return Err(Error::TooManyFiles { count, max });
    }
    let mut paths = BTreeSet::new();
    for file in files {
        file.check()?;
        if !paths.insert(file.path.to_lowercase()) {
            return Err(refused(&file.path, "stands there twice"));
        }
    }
    for file in files {
        let path = file.path.to_lowercase();
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if folders.any(|folder| paths.contains(folder)) {
            return Err(refused(&file.path, "is inside what is a file"));
        }
    }
    for kind in [FileKind::Tree, FileKind::Facts] {
        if files.iter().filter(|file| file.kind == kind).count() > 1 {
            return Err(Error::Field("files", "two lists of one kind".to_owned()));
        }
    }
    if !files.is_sorted_by(|a, b| a.path < b.path) {
        return Err(Error::Field("files", "not sorted by path".to_owned()));
    }
    Ok(())
}

/// The bytes of a file of kind `tree`.
pub fn write_tree(files: &[File]) -> Vec<u8> {
    let files = files.iter().map(|file| TreeEntry {
        entry: Entry::of(file),
        digest: Digest::of(file),
    });
    let tree = Tree {
        files: files.collect(),
    };
    serde_json::to_vec(&tree).expect("strings, numbers and lists always serialize")
}

/// Reads a file of kind `tree`, as hostile.
pub fn read_tree(bytes: &[u8]) -> Result<Vec<File>, Error> {
    if bytes.len() as u64 > LIST_FILE_BYTES_MAX {
        return Err(Error::TooLong { size: bytes.len() });
    }
    let json = json::parse(bytes)?;
    super::read::check_texts(&json)?;
    let tree: Tree =
        serde_json::from_value(json.into_serde()).map_err(|e| Error::Shape(e.to_string()))?;
    let files: Vec<File> = tree
        .files
        .into_iter()
        .map(|TreeEntry { entry, digest }| entry.with(digest))
        .collect();
    check_files(&files, TREE_FILES_MAX)?;
    if files
        .iter()
        .any(|file| matches!(file.kind, FileKind::Tree | FileKind::Facts))
    {
        return Err(Error::Field("tree", "a tree inside a tree".to_owned()));
    }
    Ok(files)
}
