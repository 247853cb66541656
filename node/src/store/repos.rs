//! The folder of one repository: root documents, evidence and facts as small files.

use std::fs;
use std::path::{Path, PathBuf};

use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::repo::root::{Document, SignedRoot};

use super::change::{Loss, check_fact, check_fact_key};
use super::durable::{Durable, Sealed, Steps, names, read_sealed, steps};
use super::event::{Event, Events};
use super::{Error, FactKind, Loaded};

const ROOT: Steps = steps!("root");
const EVIDENCE: Steps = steps!("evidence");
const FACT: Steps = steps!("fact");

/// The repositories of a store.
#[derive(Debug)]
pub(super) struct Repos {
    store: PathBuf,
    durable: Durable,
    events: Events,
}

impl Repos {
    pub(super) fn new(store: PathBuf, durable: Durable, events: Events) -> Self {
        Self {
            store,
            durable,
            events,
        }
    }

    fn dir(&self, repo: &RepoId) -> PathBuf {
        self.store.join("repos").join(repo.to_string())
    }

    /// The folder of a log; there or not.
    pub(super) fn log_dir(&self, repo: &RepoId, key: &Key) -> PathBuf {
        self.dir(repo).join("logs").join(key.to_string())
    }

    fn fact_path(&self, repo: &RepoId, kind: FactKind, key: &str) -> PathBuf {
        self.dir(repo).join("facts").join(kind.as_str()).join(key)
    }

    /// Sorted by id.
    pub(super) fn followed(&self) -> Result<Vec<RepoId>, Error> {
        let names = names(&self.store.join("repos"))?;
        let mut repos: Vec<RepoId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        repos.sort();
        Ok(repos)
    }

    pub(super) fn check_followed(&self, repo: &RepoId) -> Result<(), Error> {
        match self.dir(repo).is_dir() {
            true => Ok(()),
            false => Err(Error::NotFollowed { repo: *repo }),
        }
    }

    pub(super) fn follow(&self, repo: &RepoId) -> Result<(), Error> {
        let dir = self.dir(repo);
        if dir.is_dir() {
            return Ok(());
        }
        let temporary = self.durable.temporary_path();
        let made = make_folders(&temporary);
        self.durable.hit("follow.before-rename");
        let named =
            made.and_then(|()| self.durable.rename(&temporary, &dir, "follow.after-rename"));
        if named.is_err() {
            // Where it got its name there is nothing left to remove.
            drop(remove_dir(&temporary));
        }
        named
    }

    pub(super) fn unfollow(&self, repo: &RepoId) -> Result<(), Error> {
        let dir = self.dir(repo);
        if !dir.is_dir() {
            return Ok(());
        }
        let trash = self.store.join("trash").join(repo.to_string());
        remove_dir(&trash)?;
        self.durable.check()?;
        fs::rename(&dir, &trash).map_err(Error::io("rename to", &trash))?;
        self.durable.hit("unfollow.after-rename");
        self.durable.sync_parent(&dir)?;
        remove_dir(&trash)
    }

    pub(super) fn keep_root(&self, repo: &RepoId, signed: &SignedRoot) -> Result<(), Error> {
        let name = signed.sha256().to_string();
        let path = self.dir(repo).join("roots").join(name);
        self.durable.write_sealed(&path, &signed.encode(), &ROOT)
    }

    pub(super) fn keep_evidence(
        &self,
        repo: &RepoId,
        evidence: &ForkEvidence,
    ) -> Result<(), Error> {
        let name = evidence.key().to_string();
        let path = self.dir(repo).join("evidence").join(name);
        self.durable
            .write_sealed(&path, &evidence.to_bytes(), &EVIDENCE)
    }

    pub(super) fn keep_fact(
        &self,
        repo: &RepoId,
        kind: FactKind,
        key: &str,
        value: &[u8],
    ) -> Result<(), Error> {
        check_fact(key, value)?;
        let path = self.fact_path(repo, kind, key);
        self.durable.write_sealed(&path, value, &FACT)
    }

    pub(super) fn forget_fact(
        &self,
        repo: &RepoId,
        kind: FactKind,
        key: &str,
    ) -> Result<(), Error> {
        check_fact_key(key)?;
        let path = self.fact_path(repo, kind, key);
        self.durable.remove(&path, "forget.after-remove")
    }

    /// Root documents, by version, then by hash.
    pub(super) fn roots(&self, repo: &RepoId) -> Result<Vec<SignedRoot>, Error> {
        let read = |bytes: &[u8]| {
            let signed = SignedRoot::decode(bytes).ok()?;
            let version = Document::parse(&signed.payload).ok()?.version();
            Some((version, signed))
        };
        // Names are hashes and sorted: a stable sort leaves equal versions in their order.
        let mut roots = self.read_all(repo, "roots", read)?;
        roots.sort_by_key(|(version, _)| *version);
        Ok(roots.into_iter().map(|(_, signed)| signed).collect())
    }

    /// Keys of the logs that have a folder, sorted.
    pub(super) fn logs(&self, repo: &RepoId) -> Result<Vec<Key>, Error> {
        let names = names(&self.dir(repo).join("logs"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Fork evidence, by key.
    pub(super) fn evidence(&self, repo: &RepoId) -> Result<Vec<ForkEvidence>, Error> {
        let read = |bytes: &[u8]| Some(ForkEvidence::from_bytes(bytes).ok()?.0);
        self.read_all(repo, "evidence", read)
    }

    /// Every fact, by kind, then by key. [`Error::Damaged`] if one is that must not be forgotten.
    pub(super) fn facts(&self, repo: &RepoId) -> Result<Vec<Loaded>, Error> {
        let mut facts = Vec::new();
        for kind in FactKind::ALL {
            for key in names(&self.dir(repo).join("facts").join(kind.as_str()))? {
                let path = self.fact_path(repo, kind, &key);
                let value = match read_sealed(&path)? {
                    Sealed::Bytes(value) => value,
                    Sealed::Absent => continue,
                    Sealed::Damaged => match self.lost_fact(repo, kind, &path, &key)? {
                        Some(value) => value,
                        None => continue,
                    },
                };
                let repo = *repo;
                facts.push(Loaded::Fact {
                    repo,
                    kind,
                    key,
                    value,
                });
            }
        }
        Ok(facts)
    }

    /// What is left of a damaged fact: its value, where the key says what that was.
    fn lost_fact(
        &self,
        repo: &RepoId,
        kind: FactKind,
        path: &Path,
        key: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let value = match kind.loss() {
            Loss::Stops => {
                let path = path.to_path_buf();
                return Err(Error::Damaged { path });
            }
            Loss::Forgotten => None,
            Loss::None => Some(Vec::new()),
        };
        let kept = self.set_aside(path, &format!("{repo}-{}-{key}", kind.as_str()))?;
        if let Some(value) = &value {
            self.keep_fact(repo, kind, key, value)?;
        }
        let repo = *repo;
        self.events.report(Event::FactDamaged { repo, kept });
        Ok(value)
    }

    /// Reads the sealed files of a folder by name; what is damaged is set aside.
    fn read_all<T>(
        &self,
        repo: &RepoId,
        folder: &str,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let dir = self.dir(repo).join(folder);
        let mut all = Vec::new();
        for name in names(&dir)? {
            let path = dir.join(&name);
            let item = match read_sealed(&path)? {
                Sealed::Bytes(bytes) => read(&bytes),
                Sealed::Absent => continue,
                Sealed::Damaged => None,
            };
            match item {
                Some(item) => all.push(item),
                None => {
                    let kept = self.set_aside(&path, &format!("{repo}-{folder}-{name}"))?;
                    self.events.report(Event::FileDamaged { kept });
                }
            }
        }
        Ok(all)
    }

    /// Moves a log that the medium spoiled out of the way; returns where it is now.
    pub(super) fn set_log_aside(&self, repo: &RepoId, key: &Key) -> Result<PathBuf, Error> {
        let copies = log_copies(&self.store, repo, key);
        let free = copies.iter().find(|copy| !copy.exists());
        let name = free.or(copies.last()).and_then(|copy| copy.file_name());
        let name = name.and_then(|name| name.to_str()).expect("we made it");
        self.set_aside(&self.log_dir(repo, key), name)
    }

    /// Moves what the medium spoiled out of the way; returns where it is now.
    pub(super) fn set_aside(&self, path: &Path, name: &str) -> Result<PathBuf, Error> {
        set_aside(&self.store, &self.durable, path, name)
    }
}

/// The names under which one log is set aside: what is set aside first may hold entries that nobody
/// else has, so it stays when that happens again. A medium that spoils a log more often than this is
/// to be replaced, and the last place is used again.
pub(super) const LOG_COPIES_MAX: usize = 8;

/// The folders where what was set aside of a log is, or would be.
pub(super) fn log_copies(store: &Path, repo: &RepoId, key: &Key) -> Vec<PathBuf> {
    let folder = store.join("damaged");
    let name = |n| match n {
        1 => format!("{repo}-{key}"),
        n => format!("{repo}-{key}.{n}"),
    };
    let numbers = 1..=LOG_COPIES_MAX;
    numbers.map(|n| folder.join(name(n))).collect()
}

/// Moves `path` to `damaged/NAME` in the store, in the place of what was there.
pub(super) fn set_aside(
    store: &Path,
    durable: &Durable,
    path: &Path,
    name: &str,
) -> Result<PathBuf, Error> {
    durable.check()?;
    let kept = store.join("damaged").join(name);
    remove_dir(&kept)?;
    fs::rename(path, &kept).map_err(Error::io("rename to", &kept))?;
    durable.sync_parent(path)?;
    Ok(kept)
}

fn make_folders(dir: &Path) -> Result<(), Error> {
    let make = |path: PathBuf| fs::create_dir_all(&path).map_err(Error::io("create", path));
    for part in ["roots", "logs", "evidence"] {
        make(dir.join(part))?;
    }
    for kind in FactKind::ALL {
        make(dir.join("facts").join(kind.as_str()))?;
    }
    sync_tree(dir)
}

/// Syncs a directory and every directory below it.
fn sync_tree(dir: &Path) -> Result<(), Error> {
    for name in names(dir)? {
        sync_tree(&dir.join(name))?;
    }
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Error::io("sync the directory", dir))
}

/// Removes a folder with everything in it, if it is there.
pub(super) fn remove_dir(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(Error::io("remove", path))
}
