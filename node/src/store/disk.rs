//! The store on disk: format, lock, start; and where each change goes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock, statvfs, syncfs};
use skep_proto::blob::GroupList;
use skep_proto::claimed::Verified;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;

use super::blobs::Blobs;
use super::durable::{Durable, Steps, names};
use super::event::{Event, Events};
use super::found;
use super::index::Index;
use super::logs::{Log, Opened, read_gap};
use super::repos::{Repos, log_copies, remove_dir};
use super::table::Table;
use super::{BlobInfo, Change, Error, Faults, Found, Held, Loaded, Space, Store};

/// The format that this program writes, and the newest that it reads.
const FORMAT: u64 = 1;
const MAGIC: &str = "skep-store ";
/// Folders that are there in every store.
const FOLDERS: [&str; 6] = ["repos", "blobs", "partial", "tmp", "trash", "damaged"];
/// `format` is written last, so until then these may be there without it.
const NAMES: [&str; 3] = ["format", "lock", "index"];

const FORMAT_STEPS: Steps = Steps {
    before_fsync: "open.before-format",
    before_rename: "open.before-format",
    after_rename: "open.before-format",
};

/// A store in a folder, for as long as the process lives.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    durable: Durable,
    events: Events,
    repos: Repos,
    blobs: Blobs,
    /// Logs that were opened.
    logs: Mutex<BTreeMap<(RepoId, Key), Arc<Log>>>,
    /// Repositories of which something is damaged that must not be forgotten, and which file that is.
    stopped: Mutex<BTreeMap<RepoId, PathBuf>>,
    /// One change at a time.
    writing: Mutex<()>,
    /// Last, so that it is let go when everything else is gone.
    _lock: Lock,
}

impl Disk {
    /// Opens the store in `dir`, or makes one where nothing is. Fails, having written nothing, if
    /// it is of a newer format, no store, or held by another process.
    pub fn open(dir: &Path, faults: Faults) -> Result<Self, Error> {
        read_format(dir)?;
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        made.map_err(Error::io("create", dir))?;
        let lock = Lock::take(dir)?;
        let durable = Durable::new(dir.join("tmp"), faults);
        if lock.unclean {
            let synced = File::open(dir).and_then(|dir| Ok(syncfs(dir)?));
            synced.map_err(Error::io("sync the file system of", dir))?;
        }
        durable.hit("open.after-sync");
        clean(dir)?;
        durable.hit("open.after-cleanup");
        let id = match read_format(dir)? {
            Some(id) => id,
            None => write_format(dir, &durable)?,
        };
        let events = Events::default();
        let index = Index::open(dir, id, events.clone());
        Ok(Self {
            dir: dir.to_path_buf(),
            repos: Repos::new(dir.to_path_buf(), durable.clone(), events.clone()),
            blobs: Blobs::new(dir.to_path_buf(), durable.clone(), index, events.clone()),
            durable,
            events,
            logs: Mutex::default(),
            stopped: Mutex::default(),
            writing: Mutex::default(),
            _lock: lock,
        })
    }

    /// What was found and repaired since the last call.
    pub fn events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Repositories that were not loaded, since the file that is named is damaged and nobody else has
    /// it.
    pub fn stopped(&self) -> BTreeMap<RepoId, PathBuf> {
        self.lock_stopped().clone()
    }

    fn lock_stopped(&self) -> MutexGuard<'_, BTreeMap<RepoId, PathBuf>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts of a repository; none if it has to stop for one of them.
    fn facts(&self, repo: &RepoId) -> Result<Option<Vec<Loaded>>, Error> {
        let path = match self.repos.facts(repo) {
            Ok(facts) => {
                self.lock_stopped().remove(repo);
                return Ok(Some(facts));
            }
            Err(Error::Damaged { path }) => path,
            Err(error) => return Err(error),
        };
        if self.lock_stopped().insert(*repo, path.clone()).is_none() {
            let repo = *repo;
            self.events.report(Event::RepositoryStopped { repo, path });
        }
        Ok(None)
    }

    /// The log of a followed repository, read from disk the first time.
    fn log(&self, repo: &RepoId, key: &Key) -> Result<Arc<Log>, Error> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(&(*repo, *key)) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(self.open_log(repo, key)?);
        logs.insert((*repo, *key), Arc::clone(&log));
        Ok(log)
    }

    fn open_log(&self, repo: &RepoId, key: &Key) -> Result<Log, Error> {
        let (repo, key) = (*repo, *key);
        let dir = self.repos.log_dir(&repo, &key);
        match Log::open(&dir, &repo, key)? {
            Opened::Log(log, 0) => Ok(*log),
            Opened::Log(log, bytes) => {
                log.cut_tail()?;
                self.events.report(Event::TailCut { repo, key, bytes });
                Ok(*log)
            }
            Opened::Damaged(remains) => {
                let held = remains.size();
                let kept = self.repos.set_log_aside(&repo, &key)?;
                self.durable.make_dir(&dir)?;
                let log = Log::replace(&self.durable, &dir, key, &kept, remains)?;
                self.events.report(Event::LogDamaged {
                    repo,
                    key,
                    held,
                    kept,
                });
                Ok(log)
            }
        }
    }

    /// Logs of a repository that goes are not to be found any more.
    fn forget_logs(&self, repo: &RepoId) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|(of, _), _| of != repo);
    }

    fn load_logs(
        &self,
        repo: RepoId,
        each: &mut dyn FnMut(Loaded) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for key in self.repos.logs(&repo)? {
            let log = self.log(&repo, &key)?;
            let entries = |aside| {
                move |from, entries| Loaded::Entries {
                    repo,
                    key,
                    aside,
                    from,
                    entries,
                }
            };
            let checkpoints = |aside, table: Table| Loaded::Checkpoints {
                repo,
                key,
                aside,
                whole: table.whole,
                ahead: table.ahead,
            };
            let held = entries(false);
            log.frames(&mut |from, entries| each(held(from, entries)))?;
            let table = log.table();
            if !table.is_empty() {
                each(checkpoints(false, table))?;
            }
            if let Some(table) = log.table_aside() {
                let aside = entries(true);
                log.frames_aside(&mut |from, entries| each(aside(from, entries)))?;
                each(checkpoints(true, table))?;
            }
        }
        Ok(())
    }
}

impl Store for Disk {
    fn load(&self, each: &mut dyn FnMut(Loaded) -> Result<(), Error>) -> Result<(), Error> {
        for repo in self.repos.followed()? {
            // Looked at first: of a repository that stops nothing is given.
            let Some(facts) = self.facts(&repo)? else {
                continue;
            };
            each(Loaded::Repository { repo })?;
            for signed in self.repos.roots(&repo)? {
                each(Loaded::Root { repo, signed })?;
            }
            self.load_logs(repo, each)?;
            for evidence in self.repos.evidence(&repo)? {
                each(Loaded::Evidence { repo, evidence })?;
            }
            for fact in facts {
                each(fact)?;
            }
        }
        Ok(())
    }

    fn persist(&self, change: &Change) -> Result<(), Error> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.durable.check()?;
        if let Some(repo) = change.needs_followed() {
            self.repos.check_followed(repo)?;
            if let Some(path) = self.lock_stopped().get(repo) {
                let path = path.clone();
                return Err(Error::Damaged { path });
            }
        }
        let (repos, durable) = (&self.repos, &self.durable);
        match change {
            Change::Follow { repo } => repos.follow(repo),
            Change::Unfollow { repo } => {
                self.forget_logs(repo);
                repos.unfollow(repo)
            }
            Change::Root { repo, signed } => repos.keep_root(repo, signed),
            Change::Append {
                repo,
                key,
                from,
                entries,
                checkpoint,
            } => {
                let log = self.log(repo, key)?;
                log.append(durable, *from, entries, checkpoint)
            }
            Change::Checkpoint { repo, checkpoint } => {
                self.log(repo, &checkpoint.key)?.cosign(durable, checkpoint)
            }
            Change::Rewind { repo, key, to } => self.log(repo, key)?.rewind(durable, *to),
            Change::Exchange { repo, key } => self.log(repo, key)?.exchange(durable),
            Change::Evidence { repo, evidence } => repos.keep_evidence(repo, evidence),
            Change::Fact {
                repo,
                kind,
                key,
                value,
            } => repos.keep_fact(repo, *kind, key, value),
            Change::ForgetFact { repo, kind, key } => repos.forget_fact(repo, *kind, key),
        }
    }

    fn entries(&self, repo: &RepoId, key: &Key, from: u64, to: u64) -> Result<Vec<Vec<u8>>, Error> {
        self.repos.check_followed(repo)?;
        if !self.repos.log_dir(repo, key).is_dir() {
            return Ok(Vec::new());
        }
        self.log(repo, key)?.read(from, to, usize::MAX)
    }

    fn salvage(
        &self,
        repo: &RepoId,
        checkpoint: &Checkpoint,
        tail: &[Vec<u8>],
    ) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.repos.check_followed(repo)?;
        let key = &checkpoint.key;
        let mut copies = log_copies(&self.dir, repo, key);
        // One that has lost its state has its entries where they were.
        copies.push(self.repos.log_dir(repo, key));
        copies.retain(|copy| copy.is_dir());
        if copies.is_empty() {
            return Ok(None);
        }
        let held = self.log(repo, key)?.table().edge;
        for copy in copies {
            if let Some(entries) = read_gap(&copy, &held, checkpoint, tail)? {
                return Ok(Some(entries));
            }
        }
        Ok(None)
    }

    fn damaged(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.dir.join("damaged");
        let names = names(&folder)?;
        Ok(names.iter().map(|name| folder.join(name)).collect())
    }

    fn blob(&self, hash: &Blake3) -> Result<Option<BlobInfo>, Error> {
        self.blobs.blob(hash)
    }

    fn group_list(&self, hash: &Blake3) -> Result<Option<Vec<u8>>, Error> {
        self.blobs.group_list(hash)
    }

    fn read_group(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error> {
        self.blobs.read_group(hash, index)
    }

    fn open(&self, hash: &Blake3) -> Result<Option<File>, Error> {
        self.blobs.open(hash)
    }

    fn begin(
        &self,
        hash: &Blake3,
        size: u64,
        list: Option<&Verified<GroupList>>,
    ) -> Result<Held, Error> {
        self.durable.check()?;
        self.blobs.begin(hash, size, list)
    }

    fn write_group(&self, hash: &Blake3, index: u64, bytes: &[u8]) -> Result<(), Error> {
        self.durable.check()?;
        self.blobs.write_group(hash, index, bytes)
    }

    fn finish(&self, hash: &Blake3) -> Result<(), Error> {
        self.durable.check()?;
        self.blobs.finish(hash)
    }

    fn import(&self, from: &mut dyn Read) -> Result<BlobInfo, Error> {
        self.durable.check()?;
        self.blobs.import(from)
    }

    fn remove_blob(&self, hash: &Blake3) -> Result<(), Error> {
        self.durable.check()?;
        self.blobs.remove(hash)
    }

    fn blobs(&self, each: &mut dyn FnMut(Found)) -> Result<(), Error> {
        found::each(&self.dir, each)
    }

    fn repositories(&self) -> Result<Vec<RepoId>, Error> {
        self.repos.followed()
    }

    fn space(&self) -> Result<Space, Error> {
        let stat = statvfs(&self.dir).map_err(io::Error::from);
        let stat = stat.map_err(Error::io("ask for the space of", &self.dir))?;
        Ok(Space {
            used: used(&self.dir)?,
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// The lock of a store. It is the kernel's: it goes with the process, however that ends.
#[derive(Debug)]
struct Lock {
    file: File,
    /// Whoever held it before did not let it go.
    unclean: bool,
}

impl Lock {
    fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(Error::io("open", &path))?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let mut holder = String::new();
        let read = (&file).take(32).read_to_string(&mut holder);
        match locked {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Locked {
                    path: dir.to_path_buf(),
                    pid: match holder.parse::<u32>() {
                        Ok(pid) => pid.to_string(),
                        Err(_) => "unknown".into(),
                    },
                });
            }
            Err(error) => return Err(Error::io("lock", path)(error.into())),
        }
        let unclean = !matches!(read, Ok(0));
        let pid = std::process::id().to_string();
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(pid.as_bytes()));
        match written {
            // On a full disk a node serves, and makes room. A hole takes none, and says as well that
            // somebody has the store; which process that is, nobody is told then.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => file.set_len(1),
            written => written,
        }
        .map_err(Error::io("write", path))?;
        Ok(Self { file, unclean })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails the next start syncs once more than it needs to.
        drop(self.file.set_len(0));
        // A child process between fork and exec has the file too: closing ours is not enough.
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "could not let the store's lock go");
        }
    }
}

/// The id of the store in `dir`, none where a store may be made; writes nothing.
fn read_format(dir: &Path) -> Result<Option<Sha256>, Error> {
    let path = dir.join("format");
    let refuse = || Error::NotAStore {
        path: dir.to_path_buf(),
    };
    // Of a file that says nothing we know, the folder around it says whether it was ours.
    let ours = |name: &String| [&FOLDERS[..], &NAMES[..]].concat().contains(&name.as_str());
    let is_ours = names(dir)?.iter().all(ours);
    let damaged = || match is_ours && dir.join("repos").is_dir() {
        true => Error::Format { path: path.clone() },
        false => refuse(),
    };
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| damaged())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match is_ours {
                true => Ok(None),
                false => Err(refuse()),
            };
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix(MAGIC));
    let found: u64 = version.and_then(|v| v.parse().ok()).ok_or_else(damaged)?;
    if found > FORMAT {
        return Err(Error::Newer {
            path: dir.to_path_buf(),
            found,
            known: FORMAT,
        });
    }
    let id = lines.next().and_then(|line| line.parse().ok());
    id.map(Some).ok_or_else(damaged)
}

fn write_format(dir: &Path, durable: &Durable) -> Result<Sha256, Error> {
    let id = Sha256::from_bytes(rand::random());
    let path = dir.join("format");
    let mut temporary = durable.temporary()?;
    writeln!(temporary.file, "{MAGIC}{FORMAT}\n{id}").map_err(Error::io("write", &path))?;
    durable.place(temporary, &path, &FORMAT_STEPS)?;
    Ok(id)
}

/// Makes the folders that are missing, and empties those whose files never got a name.
fn clean(dir: &Path) -> Result<(), Error> {
    for folder in FOLDERS {
        let path = dir.join(folder);
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        if ["tmp", "trash"].contains(&folder) {
            for name in names(&path)? {
                remove_dir(&path.join(name))?;
            }
        }
    }
    let partial = dir.join("partial");
    for name in names(&partial)? {
        let alone = name
            .strip_suffix(".list")
            .is_some_and(|hash| !partial.join(format!("{hash}.data")).exists());
        if alone {
            remove_dir(&partial.join(name))?;
        }
    }
    Ok(())
}

/// Bytes of all files below `dir`, as the file system counts them.
fn used(dir: &Path) -> Result<u64, Error> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0;
    for name in names(dir)? {
        let path = dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => sum += used(&path)?,
            Ok(metadata) => sum += metadata.blocks() * 512,
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read the length of", path)(error)),
        }
    }
    Ok(sum)
}
