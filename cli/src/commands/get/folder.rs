//! The folder that `get` writes: whole or not at all, and checked once more on the way.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use skep_proto::control::Release;
use skep_proto::package::manifest::File;
use skep_proto::package::source::FileDigest;

use crate::client::Client;
use crate::commands::Session;
use crate::commands::contents::{CHUNK_BYTES, open, read_checked};
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::{clean_up_after, hold, unfinished};
use crate::ui::Progress;

/// Writes the files into a new folder that appears whole; one that is there must be the same.
pub(super) async fn write(
    release: &Release,
    files: &[File],
    output: &Path,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<PathBuf> {
    let name = format!("{}-{}", release.name, release.version);
    let target = output.join(&name);
    match fs::symlink_metadata(&target) {
        Ok(_) if target.is_dir() => return same(&target, files).map(|()| target),
        Ok(_) => return Err(in_the_way(&target, "is no folder")),
        Err(_) => {}
    }
    clean_up_after(output, |unfinished| unfinished == name);
    fs::create_dir_all(output).map_err(|e| CliError::io("make the folder", output, &e))?;
    let staging = Staging::make(output.join(unfinished(&name)))?;
    write_all(&staging.path, files, session, client).await?;
    match fs::rename(&staging.path, &target) {
        // Another command has just written it.
        Err(_) if target.is_dir() => same(&target, files)?,
        renamed => renamed.map_err(|e| CliError::io("write", &target, &e))?,
    }
    Ok(target)
}

/// A folder that is not whole yet; gone when this is dropped, by an error as by Ctrl-C.
struct Staging {
    path: PathBuf,
    _held: fs::File,
}

impl Staging {
    fn make(path: PathBuf) -> Result<Self> {
        let failed = |e| CliError::io("make the folder", &path, &e);
        fs::create_dir(&path).map_err(failed)?;
        let held = hold(fs::File::open(&path).map_err(failed)?);
        Ok(Self { path, _held: held })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // It was renamed; or it is hidden, and named after us.
        drop(fs::remove_dir_all(&self.path));
    }
}

async fn write_all(
    dir: &Path,
    files: &[File],
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let size = files.iter().map(|file| file.size).sum();
    let mut progress = session.ui.progress("writing", Some(size));
    for file in files {
        let blob = open(file, client).await?;
        write_one(dir, file, blob, &mut progress).await?;
    }
    progress.done("written");
    Ok(())
}

/// Copies one file, and checks both hashes once more while it does.
async fn write_one(
    dir: &Path,
    file: &File,
    blob: fs::File,
    progress: &mut Progress<'_>,
) -> Result<()> {
    // The manifest's paths were checked: relative, no `..`.
    let path = dir.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| CliError::io("make the folder", parent, &e))?;
    }
    let failed = |e| CliError::io("write", &path, &e);
    let mode = if file.executable { 0o755 } else { 0o644 };
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .map_err(failed)?;
    read_checked(file, blob, |chunk| {
        out.write_all(chunk).map_err(failed)?;
        progress.add(chunk.len() as u64);
        Ok(())
    })
    .await
}

/// A folder that is there already must hold exactly these files.
fn same(target: &Path, files: &[File]) -> Result<()> {
    let differs = |path: &Path| match path.exists() {
        true => in_the_way(path, "is not this release"),
        false => in_the_way(target, "is not this release, or not the whole of it"),
    };
    for file in files {
        let path = target.join(&file.path);
        let mut found = fs::File::open(&path).map_err(|_| differs(&path))?;
        let mut digest = FileDigest::default();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = found.read(&mut chunk).map_err(|_| differs(&path))?;
            if read == 0 {
                break;
            }
            digest.update(&chunk[..read]);
        }
        if !digest.is(file) {
            return Err(differs(&path));
        }
    }
    Ok(())
}

fn in_the_way(path: &Path, why: &str) -> CliError {
    CliError::new(
        Exit::Failed,
        format!("`{}` is there, and {why}", path.display()),
        Hint::new("move it away, or give another folder: -o DIR"),
    )
}
