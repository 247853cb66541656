//! What is in a release: all its files, and objects that do what its manifest says.

use std::fs;
use std::io::Read as _;

use skep_proto::control::Request;
use skep_proto::ebpf;
use skep_proto::hash::Blake3;
use skep_proto::package::manifest::{Facts, File, FileKind, LIST_FILE_BYTES_MAX, Manifest};
use skep_proto::package::source::FileDigest;

use crate::client::Client;
use crate::error::{CliError, Exit, Hint, Result};

/// Bytes read from a blob at a time.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// The files of the manifest, and those that a file of kind `tree` lists, once every object among
/// them was found to do what the manifest says and nothing else.
pub(super) async fn checked_files(manifest: &Manifest, client: &mut Client) -> Result<Vec<File>> {
    let files = match list(manifest.file_of(FileKind::Tree), client).await? {
        None => manifest.files.clone(),
        Some((tree, bytes)) => manifest
            .all_files(Some(&bytes))
            .map_err(|e| wrong(tree, Some(&e)))?,
    };
    check_objects(manifest, &files, client).await?;
    Ok(files)
}

/// What can be said of a release without fetching anything: its files, and what its objects do. Each
/// is none where it stands in a file that is not here.
pub(super) async fn known_here(
    manifest: &Manifest,
    client: &mut Client,
) -> Result<(Option<Vec<File>>, Option<Facts>)> {
    let files = match here(list(manifest.file_of(FileKind::Tree), client).await)? {
        None => None,
        Some(None) => Some(manifest.files.clone()),
        Some(Some((tree, bytes))) => Some(
            manifest
                .all_files(Some(&bytes))
                .map_err(|e| wrong(tree, Some(&e)))?,
        ),
    };
    let facts = match here(list(manifest.file_of(FileKind::Facts), client).await)? {
        None => None,
        Some(None) => manifest.details.facts.clone(),
        Some(Some((file, bytes))) => Some(
            manifest
                .all_facts(Some(&bytes))
                .map_err(|e| wrong(file, Some(&e)))?,
        ),
    };
    Ok((files, facts))
}

/// None for what the node does not have.
fn here<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.exit == Exit::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// A file that says something about the release, and its bytes.
async fn list<'a>(
    file: Option<&'a File>,
    client: &mut Client,
) -> Result<Option<(&'a File, Vec<u8>)>> {
    match file {
        Some(file) => Ok(Some((
            file,
            bytes_of(file, LIST_FILE_BYTES_MAX, client).await?,
        ))),
        None => Ok(None),
    }
}

/// The bytes of a file of at most `max`, checked against the manifest.
async fn bytes_of(file: &File, max: u64, client: &mut Client) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut blob = open(file, client).await?.take(max + 1);
    blob.read_to_end(&mut bytes)
        .map_err(|e| wrong(file, Some(&e)))?;
    match Blake3::of(&[&bytes]) == file.blake3 {
        true => Ok(bytes),
        false => Err(wrong(file, None)),
    }
}

async fn check_objects(manifest: &Manifest, files: &[File], client: &mut Client) -> Result<()> {
    let written = list(manifest.file_of(FileKind::Facts), client).await?;
    let (facts_file, written) = written.unzip();
    let objects = || files.iter().filter(|file| file.kind == FileKind::Object);
    let Some(first) = objects().next() else {
        return Ok(());
    };
    // Read once: a release may have thousands of objects and 16 MiB of facts.
    let facts = manifest.all_facts(written.as_deref());
    let facts = facts.and_then(|facts| manifest.check_facts(&facts, files).map(|()| facts));
    let facts = facts.map_err(|e| wrong(facts_file.unwrap_or(first), Some(&e)))?;
    for file in objects() {
        let bytes = bytes_of(file, ebpf::OBJECT_BYTES_MAX as u64, client).await?;
        let object = ebpf::read(&bytes).map_err(|e| wrong(file, Some(&e)))?;
        manifest
            .check_object(&facts, &file.path, &object)
            .map_err(|e| wrong(file, Some(&e)))?;
    }
    Ok(())
}

/// A file of a release, from the store.
pub(super) async fn open(file: &File, client: &mut Client) -> Result<fs::File> {
    let request = Request::OpenBlob { hash: file.blake3 };
    let (_, blob) = client.ask_for_file(request).await?;
    Ok(blob.into())
}

/// Reads a file of a release to its end, a chunk at a time; refuses it then if it is not what the
/// manifest names.
pub(super) async fn read_checked(
    file: &File,
    blob: fs::File,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut digest = FileDigest::default();
    let mut blob = blob.take(file.size + 1);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = blob.read(&mut chunk).map_err(|e| wrong(file, Some(&e)))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
        each(&chunk[..read])?;
        // Ctrl-C is heeded between two chunks.
        tokio::task::yield_now().await;
    }
    match digest.is(file) {
        true => Ok(()),
        false => Err(wrong(file, None)),
    }
}

/// A file is not what the manifest says.
pub(super) fn wrong(file: &File, cause: Option<&(dyn std::error::Error + 'static)>) -> CliError {
    let message = format!("`{}` is not what the manifest names", file.path);
    let error = CliError::new(Exit::Untrusted, message, Hint::new("skep doctor"));
    match cause {
        Some(cause) => error.because(cause),
        None => error,
    }
}
