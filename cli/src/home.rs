//! The home: the one folder that holds a person's or a service's keys, configuration and store.
//!
//! ```text
//! config.toml    settings of the node            [`config`]
//! repos.d/       one file per repository
//! keys/          private keys, 0600              [`keys`]
//! store/         blobs, logs and their index     only the process that holds its lock opens it
//! lock           held by the command that creates or begins to follow a repository
//! skep.sock      where a running node answers
//! ```
//!
//! The folder is made with mode 0700, and only when something is to be written. Two people on one
//! machine have two homes.

pub(crate) mod config;
pub(crate) mod faults;
mod files;
pub(crate) mod keys;
mod owner;
pub(crate) mod repos;

#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use skep_proto::hash::Blake3;

use crate::environment::Environment;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::ui::Ui;

pub(crate) use files::{
    Lock, Unfinished, clean_up_after, hold, lock, name, read_bytes, read_edited, read_if_there,
    read_text, replace, unfinished, write_new,
};

/// Longest path of a unix socket in bytes: `sockaddr_un.sun_path` has 108, one of them for the end.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Longest text file we read from a home, in bytes. People write these files.
pub(crate) const TEXT_FILE_BYTES_MAX: u64 = 1 << 20;
/// How long another command that creates or begins to follow a repository is waited for: several
/// that meet nobody wait one after the other.
const LOCK_WAIT: Duration = Duration::from_secs(60);

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

    /// How far each key has signed.
    pub(crate) fn tips_dir(&self) -> PathBuf {
        self.keys_dir().join("tips")
    }

    /// One command at a time makes keys and a repository, begins to follow one, or reads the file of
    /// one to change it: another would find half of it.
    pub(crate) async fn lock(&self, ui: &Ui) -> Result<Lock> {
        self.refuse_anothers()?;
        private_dir(&self.root)?;
        let busy = || {
            let message = "another command changes what this home creates, follows or trusts";
            let hint = Hint::new("wait until it is done, then type the same again");
            CliError::new(Exit::Failed, message, hint)
        };
        let mut waiting = ui.progress("waiting for another command in this home", None);
        let path = self.root.join("lock");
        waiting.during(lock(&path, LOCK_WAIT, busy)).await
    }

    /// Removes what commands that were killed had not finished to write: copies of private keys
    /// among it.
    pub(crate) fn clean_up(&self) {
        if self.refuse_anothers().is_err() {
            return;
        }
        for dir in [self.keys_dir(), self.tips_dir(), self.repos_dir()] {
            clean_up_after(&dir, |_| true);
        }
    }

    /// Where a node of this home answers. A home whose path is too long for a socket has it under
    /// `$XDG_RUNTIME_DIR`, else in a folder of our own in the temporary directory; the name follows
    /// from the home's path, so every command finds it.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Refuses a home of another user, for whoever is about to write into it. Whoever only asks a node
    /// that runs there need not own it.
    pub(crate) fn refuse_anothers(&self) -> Result<()> {
        owner::refuse_anothers(&self.root)
    }

    /// Makes the folder `dir` of this home, and the home, with mode 0700.
    pub(crate) fn create_dir(&self, dir: &Path) -> Result<()> {
        self.refuse_anothers()?;
        private_dir(&self.root)?;
        private_dir(dir)
    }

    /// Makes the folder of the socket, for whoever is about to listen on it.
    ///
    /// # Errors
    /// If the folder is there and belongs to somebody else, or is open to others: they could answer
    /// in the node's place.
    pub(crate) fn create_socket_dir(&self) -> Result<PathBuf> {
        self.refuse_anothers()?;
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
