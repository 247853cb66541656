//! A package folder: its `skep.toml` and the files that it names.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use skep_proto::control::{BlobRef, Request, Response};
use skep_proto::ebpf;
use skep_proto::id::RepoId;
use skep_proto::package::source::{Assembled, FileDigest, Found, Source, with_repository};

use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, could_not, quoted};
use crate::home::{TEXT_FILE_BYTES_MAX, clean_up_after, faults, read_edited, replace};
use crate::ui::{Progress, Ui};

/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// A package folder, read.
pub(super) struct Package<'a> {
    pub(super) dir: &'a Path,
    pub(super) text: String,
    pub(super) source: Source,
    pub(super) found: Vec<Found>,
}

impl<'a> Package<'a> {
    pub(super) fn read(dir: &'a Path, ui: &Ui) -> Result<Self> {
        let path = dir.join("skep.toml");
        if !path.exists() {
            return Err(CliError::new(
                Exit::NotFound,
                format!("there is no `{}`", path.display()),
                Hint::new("skep new NAME --from OBJECT.o, or give the folder of the package"),
            ));
        }
        clean_up_after(dir, |name| name == "skep.toml");
        let text = read_edited(&path, TEXT_FILE_BYTES_MAX)?;
        let source = Source::parse(&text).map_err(|e| {
            let hint = format!("edit the file: {}", quoted(&path));
            let message = format!("`{}` is not a package file", path.display());
            CliError::new(Exit::Failed, message, Hint::new(hint)).because(&e)
        })?;
        let mut found = Vec::new();
        let mut progress = ui.progress("reading the files", None);
        for (path, needed) in source.paths() {
            if let Err(error) = skep_proto::package::manifest::check_path(&path) {
                let hint =
                    Hint::new("paths in skep.toml are relative, inside the package's folder");
                return Err(CliError::new(Exit::Failed, error.to_string(), hint));
            }
            let is_object = source.objects.iter().any(|object| object.file == path);
            found.extend(read_file(dir, &path, needed, is_object, &mut progress)?);
        }
        Ok(Self {
            dir,
            text,
            source,
            found,
        })
    }
}

/// Hashes one file; none if it is not there and need not be.
fn read_file(
    dir: &Path,
    path: &str,
    needed: bool,
    is_object: bool,
    progress: &mut Progress<'_>,
) -> Result<Option<Found>> {
    let full = dir.join(path);
    let failed = |e: &std::io::Error| CliError::io("read", &full, e);
    let metadata = match fs::symlink_metadata(&full) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !needed => return Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::new(
                Exit::NotFound,
                format!("skep.toml names `{path}`, which is not there"),
                Hint::new("build the package first (`make`), or correct skep.toml"),
            ));
        }
        Err(e) => return Err(failed(&e)),
    };
    if !metadata.is_file() {
        return Err(CliError::new(
            Exit::Failed,
            format!("`{path}` is not a regular file"),
            Hint::new("a package has files only: no links, folders or devices"),
        ));
    }
    if is_object && metadata.len() > ebpf::OBJECT_BYTES_MAX as u64 {
        let size = metadata.len();
        let max = ebpf::OBJECT_BYTES_MAX;
        return Err(CliError::new(
            Exit::Failed,
            format!("`{path}` has {size} bytes, where an object has at most {max}"),
            Hint::new("name the compiled object in skep.toml: what clang -target bpf -c makes"),
        ));
    }
    let mut file = fs::File::open(&full).map_err(|e| failed(&e))?;
    let mut digest = FileDigest::default();
    let mut object = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(|e| failed(&e))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
        progress.add(read as u64);
        if is_object && object.len() <= ebpf::OBJECT_BYTES_MAX {
            object.extend_from_slice(&chunk[..read]);
        }
    }
    Ok(Some(Found {
        path: path.to_owned(),
        executable: metadata.mode() & 0o111 != 0,
        digest,
        object: is_object.then(|| ebpf::read(&object)),
    }))
}

/// Gives every file to the store, and checks that it is the one that was hashed.
pub(super) async fn put_files(
    package: &Package<'_>,
    assembled: &Assembled,
    ui: &Ui,
    client: &mut Client,
) -> Result<Vec<BlobRef>> {
    let mut blobs = Vec::new();
    let mut progress = ui.progress("storing the files", None);
    for found in &package.found {
        let path = package.dir.join(&found.path);
        let file = fs::File::open(&path).map_err(|e| CliError::io("read", &path, &e))?;
        let blob = progress.during(put(file, client)).await?;
        if !found.digest.is_blob(&blob.hash) {
            return Err(CliError::new(
                Exit::Failed,
                format!("`{}` changed while it was published", found.path),
                Hint::new("publish again when nothing writes to it"),
            ));
        }
        blobs.push(blob);
    }
    for (path, bytes) in &assembled.made {
        let mut file = tempfile(path)?;
        std::io::Write::write_all(&mut file, bytes).map_err(|e| could_not("write a list", &e))?;
        std::io::Seek::rewind(&mut file).map_err(|e| could_not("write a list", &e))?;
        blobs.push(put(file, client).await?);
    }
    Ok(blobs)
}

/// A file without a name, for what the tool itself adds to a release.
fn tempfile(path: &str) -> Result<fs::File> {
    let made = rustix::fs::memfd_create(path.replace('/', "-"), rustix::fs::MemfdFlags::CLOEXEC);
    made.map(Into::into)
        .map_err(|e| could_not("make a list", &std::io::Error::from(e)))
}

async fn put(file: fs::File, client: &mut Client) -> Result<BlobRef> {
    match client.ask_with_file(Request::PutBlob, file).await? {
        Response::Blob(blob) => Ok(blob),
        other => Err(unexpected(&other)),
    }
}

/// The first publish writes the repository into skep.toml. What is published stays published where
/// that cannot be: then a person is told the line.
pub(super) fn remember_repository(package: &Package<'_>, repo: &RepoId, ui: &Ui) {
    if package.source.package.repository == Some(*repo) {
        return;
    }
    let path = package.dir.join("skep.toml");
    let written = match with_repository(&package.text, repo) {
        Ok(text) => replace(&path, text.as_bytes(), 0o644, &faults::PACKAGE)
            .map_err(|error| error.causes.join(": ")),
        Err(_) => Err("it is not written as we write it".to_owned()),
    };
    if let Err(why) = written {
        ui.warn(&format!(
            "could not edit `{}` ({why}); add this line to its `[package]` yourself:\nrepository = \"{repo}\"",
            path.display()
        ));
    }
}
