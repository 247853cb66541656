//! Files of a home, and of a package: read within limits, written whole or not at all, locked.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::faults::{self, Steps};
use crate::error::{CliError, Exit, Hint, Result, quoted};

/// How often a lock that another process holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Reads a text file of at most `max` bytes; a pipe will do.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, max)?).map_err(|e| {
        let hint = Hint::new(format!("write it anew, in UTF-8: {}", quoted(path)));
        CliError::usage(format!("`{}` is not text", path.display()), hint).because(&e.utf8_error())
    })
}

/// Reads a file that people edit where it lies, of at most `max` bytes. Nobody writes to a pipe of
/// that name, and a command would wait for ever.
pub(crate) fn read_edited(path: &Path, max: u64) -> Result<String> {
    let found = fs::metadata(path).map_err(|e| CliError::io("read", path, &e))?;
    match found.is_file() {
        true => read_text(path, max),
        false => Err(refused(path, "is not a regular file")),
    }
}

/// Reads a file of at most `max` bytes; none if there is no such file.
pub(crate) fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    match read_bytes(path, max) {
        Err(e) if e.exit == Exit::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let failed = |e| CliError::io("read", path, &e);
    let too_long = || refused(path, &format!("is longer than {max} bytes"));
    let file = File::open(path).map_err(failed)?;
    // Looked at first: of gigabytes not a byte need be read.
    if file.metadata().map_err(failed)?.len() > max {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > max {
        true => Err(too_long()),
        false => Ok(bytes),
    }
}

fn refused(path: &Path, why: &str) -> CliError {
    let hint = format!("is it the file that was meant? ls -ld {}", quoted(path));
    CliError::usage(format!("`{}` {why}", path.display()), Hint::new(hint))
}

/// Writes a file in the place of one that may be there; it is the old one or the new one, whole,
/// at every moment, and on the disk when this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, steps: &Steps) -> Result<()> {
    let failed = |e| CliError::io("write", path, &e);
    let temporary = Temporary::write(path, bytes, mode, steps).map_err(failed)?;
    name(&temporary.path, path, steps).map_err(failed)?;
    sync_folder_of(path).map_err(failed)
}

/// Gives a file that is whole, and on the disk, a name that another may have until then.
pub(crate) fn name(whole: &Path, path: &Path, steps: &Steps) -> std::io::Result<()> {
    faults::hit(steps.before_naming);
    fs::rename(whole, path)?;
    faults::hit(steps.after_naming);
    Ok(())
}

/// Writes a new file that appears whole or not at all, on the disk when this returns.
///
/// Gives `false`, and changes nothing, if there is a file of that name.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32, steps: &Steps) -> Result<bool> {
    let failed = |e| CliError::io("write", path, &e);
    let temporary = Temporary::write(path, bytes, mode, steps).map_err(failed)?;
    faults::hit(steps.before_naming);
    // A link, and not a rename: it never replaces a file that is there.
    match fs::hard_link(&temporary.path, path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        linked => linked.map_err(failed)?,
    }
    faults::hit(steps.after_naming);
    drop(temporary);
    sync_folder_of(path).map_err(failed)?;
    Ok(true)
}

/// What a file or folder called `name` is called until it is whole: hidden, and with our process.
pub(crate) fn unfinished(name: &str) -> String {
    format!(".{name}.{}.new", std::process::id())
}

/// Removes from a folder what dead processes had not finished, where `is_ours` knows the name that
/// it was to have. What cannot be removed stays: no command fails for it.
pub(crate) fn clean_up_after(folder: &Path, is_ours: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(parts_of_unfinished);
        if parts.is_some_and(|(name, pid)| is_ours(name) && !is_alive(pid)) {
            remove_if_nobody_holds(&entry.path());
        }
    }
}

/// The name that a file was to have, and the process that was writing it.
fn parts_of_unfinished(name: &str) -> Option<(&str, Pid)> {
    let (name, pid) = name
        .strip_prefix('.')?
        .strip_suffix(".new")?
        .rsplit_once('.')?;
    Some((name, Pid::from_raw(pid.parse().ok()?)?))
}

fn is_alive(pid: Pid) -> bool {
    // One of another user is there, though we may not signal it.
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// A home may be shared with a container, whose processes we cannot see: they hold what they write.
fn remove_if_nobody_holds(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if !found.is_file() && !found.is_dir() {
        return;
    }
    let held = File::open(path).is_ok_and(|file| file.try_lock().is_err());
    let removed = match found.is_dir() {
        _ if held => return,
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    // The next command tries again.
    drop(removed);
}

/// Holds a file or folder that is not finished, for as long as what this gives lives.
pub(crate) fn hold(unfinished: File) -> File {
    // A file system without locks: then the number of the process is all there is to go by.
    drop(unfinished.try_lock());
    unfinished
}

/// What a file will hold, on the disk beside it under another name; gone when this is dropped.
struct Temporary {
    path: PathBuf,
    held: File,
}

/// A new file that somebody else writes into; it appears whole, in the place of one that may be
/// there, or not at all.
pub(crate) struct Unfinished {
    temporary: Temporary,
    path: PathBuf,
}

impl Unfinished {
    pub(crate) fn begin(path: &Path, mode: u32) -> std::io::Result<Self> {
        Ok(Self {
            temporary: Temporary::begin(path, mode)?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn file(&self) -> &File {
        &self.temporary.held
    }

    /// It is whole: on the disk under its name when this returns.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        self.temporary.held.sync_all()?;
        fs::rename(&self.temporary.path, &self.path)?;
        sync_folder_of(&self.path)
    }
}

impl Temporary {
    fn write(beside: &Path, bytes: &[u8], mode: u32, steps: &Steps) -> std::io::Result<Self> {
        let mut temporary = Self::begin(beside, mode)?;
        temporary.held.write_all(bytes)?;
        faults::hit(steps.before_fsync);
        temporary.held.sync_all()?;
        Ok(temporary)
    }

    fn begin(beside: &Path, mode: u32) -> std::io::Result<Self> {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let path = folder_of(beside).join(unfinished(&name));
        // One that was left by a process of our number may have another mode.
        drop(fs::remove_file(&path));
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        Ok(Self {
            path,
            held: hold(file),
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It was renamed, or cannot be removed: the next command tries again.
        drop(fs::remove_file(&self.path));
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// A lock between processes. It goes with the process, however that ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "held until it is dropped")] File);

/// Locks the file `path`, which is made if it is not there and stays; waits for another process so
/// long, and then fails as `busy` says.
pub(crate) async fn lock(
    path: &Path,
    wait: Duration,
    busy: impl FnOnce() -> CliError,
) -> Result<Lock> {
    let failed = |e| CliError::io("lock", path, &e);
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Err(TryLockError::WouldBlock) => return Err(busy()),
        }
    }
}
