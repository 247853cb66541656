//! The home: the one folder that holds a person's or a service's keys, configuration and store.
//!
//! ```text
//! config.toml    settings of the node            [`config`]
//! repos.d/       one file per repository
//! keys/          private keys, 0600              [`keys`]
//! store/         blobs, logs and their index     only the process that holds its lock opens it
//! skep.sock      where a running node answers
//! ```
//!
//! The folder is made with mode 0700, and only when something is to be written. Two people on one
//! machine have two homes.

pub(crate) mod config;
pub(crate) mod keys;
mod lock;
pub(crate) mod repos;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use skep_proto::hash::Blake3;

use crate::environment::Environment;
use crate::error::{CliError, Exit, Hint, Result, quoted};

/// Longest path of a unix socket in bytes: `sockaddr_un.sun_path` has 108, one of them for the end.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Longest text file we read from a home, in bytes. People write these files.
pub(crate) const TEXT_FILE_BYTES_MAX: u64 = 1 << 20;

/// A home, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    root: PathBuf,
    socket: PathBuf,
}

impl Home {
    /// `flag` (`--home` or its twin), else `$XDG_DATA_HOME/skep`, else `~/.local/share/skep`.
    ///
    /// # Errors
    /// If the environment names no place.
    pub(crate) fn locate(flag: Option<&Path>, env: &Environment) -> Result<Self> {
        let root = match flag {
            Some(given) => std::path::absolute(given)
                .map_err(|e| CliError::io("find the current folder for", given, &e))?,
            None => default_root(env)?,
        };
        let socket = socket_for(&root, env);
        Ok(Self { root, socket })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    pub(crate) fn repos_dir(&self) -> PathBuf {
        self.root.join("repos.d")
    }

    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Where a node of this home answers. A home whose path is too long for a socket has it under
    /// `$XDG_RUNTIME_DIR`, else in a folder of our own in the temporary directory; the name follows
    /// from the home's path, so every command finds it.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the folder `dir` of this home, and the home, with mode 0700.
    pub(crate) fn create_dir(&self, dir: &Path) -> Result<()> {
        private_dir(&self.root)?;
        private_dir(dir)
    }

    /// Makes the folder of the socket, for whoever is about to listen on it.
    ///
    /// # Errors
    /// If the folder is there and belongs to somebody else, or is open to others: they could answer
    /// in the node's place.
    pub(crate) fn create_socket_dir(&self) -> Result<PathBuf> {
        let dir = self.socket.parent().unwrap_or(&self.root);
        private_dir(dir)?;
        let found = fs::symlink_metadata(dir).map_err(|e| CliError::io("look at", dir, &e))?;
        let ours = found.uid() == rustix::process::getuid().as_raw();
        if !found.is_dir() || !ours {
            return Err(CliError::new(
                Exit::Failed,
                format!("the folder `{}` is not ours", dir.display()),
                Hint::new("give a home with a shorter path: --home DIR"),
            ));
        }
        refuse_open("the folder of the socket", dir, found.mode(), 0o022)?;
        Ok(self.socket.clone())
    }
}

fn default_root(env: &Environment) -> Result<PathBuf> {
    let data = env.data_home.clone();
    let share = || env.home.as_ref().map(|home| home.join(".local/share"));
    let Some(data) = data.or_else(share) else {
        return Err(CliError::usage(
            "no home: neither `XDG_DATA_HOME` nor `HOME` is set",
            Hint::new("--home DIR, or set `SKEP_HOME`"),
        ));
    };
    Ok(data.join("skep"))
}

fn socket_for(root: &Path, env: &Environment) -> PathBuf {
    let fits = |path: &PathBuf| path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX;
    let hash = Blake3::of(&[root.as_os_str().as_bytes()]).to_string();
    let short = hash.trim_start_matches("b3:").get(..16).unwrap_or(&hash);
    let uid = rustix::process::getuid().as_raw();
    let in_runtime = |dir: &PathBuf| dir.join(format!("skep-{short}.sock"));
    let in_temporary = |dir: &Path| dir.join(format!("skep-{uid}-{short}/skep.sock"));
    let places = [
        Some(root.join("skep.sock")),
        env.runtime_dir.as_ref().map(in_runtime),
        env.temporary_dir.as_deref().map(in_temporary),
    ];
    let found = places.into_iter().flatten().find(fits);
    found.unwrap_or_else(|| in_temporary(Path::new("/tmp")))
}

/// Makes `dir` and what leads to it; what we make is 0700, what is there stays as it is.
fn private_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| CliError::io("make the folder", dir, &e))
}

/// Refuses what others may touch, by its mode and not by whether we get in: root gets in anywhere.
///
/// `bits` are the permission bits that must not be set.
pub(crate) fn refuse_open(what: &str, path: &Path, mode: u32, bits: u32) -> Result<()> {
    if mode & bits == 0 {
        return Ok(());
    }
    let fixed = mode & 0o7777 & !bits;
    Err(CliError::new(
        Exit::Failed,
        format!(
            "{what} `{}` is open to others (mode {:04o})",
            path.display(),
            mode & 0o7777
        ),
        Hint::new(format!("chmod {fixed:o} {}", quoted(path))),
    ))
}

/// Reads a file that people write, of at most `max` bytes.
pub(crate) fn read_text(path: &Path, max: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, max)?)
        .map_err(|e| other_file(path, "is not text".to_owned()).because(&e.utf8_error()))
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
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(other_file(path, format!("is longer than {max} bytes")));
    }
    Ok(bytes)
}

fn other_file(path: &Path, why: String) -> CliError {
    CliError::usage(
        format!("`{}` {why}", path.display()),
        Hint::none("it is not the kind of file that was asked for"),
    )
}

/// Writes a file in the place of one that may be there; it is the old one or the new one, whole,
/// at every moment, and on the disk when this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = |e| CliError::io("write", path, &e);
    let temporary = Temporary::write(path, bytes, mode).map_err(failed)?;
    fs::rename(&temporary.path, path).map_err(failed)?;
    sync_folder_of(path).map_err(failed)
}

/// Writes a new file that appears whole or not at all, on the disk when this returns.
///
/// Gives `false`, and changes nothing, if there is a file of that name.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    let failed = |e| CliError::io("write", path, &e);
    let temporary = Temporary::write(path, bytes, mode).map_err(failed)?;
    // A link, and not a rename: it never replaces a file that is there.
    match fs::hard_link(&temporary.path, path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        linked => linked.map_err(failed)?,
    }
    drop(temporary);
    sync_folder_of(path).map_err(failed)?;
    Ok(true)
}

/// What a file will hold, on the disk beside it under another name; gone when this is dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(beside: &Path, bytes: &[u8], mode: u32) -> std::io::Result<Self> {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".{name}.{}.new", std::process::id());
        let temporary = Self {
            path: folder_of(beside).join(name),
        };
        // One that was left by a process of our number may have another mode.
        drop(fs::remove_file(&temporary.path));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary.path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It was renamed, or cannot be removed: the next process of our number does.
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
    fs::File::open(folder_of(path))?.sync_all()
}
