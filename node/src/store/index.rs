//! The index: opaque put, scan, remove on sled. The only file that says sled.
//!
//! It is never the only copy of anything, so nothing here is an error to the store: what cannot be
//! read is not there, and will be made again from the files. sled 0.34 loses acknowledged rows on a
//! power cut, refuses to open when a kill caught it writing a snapshot, and panics on some damage;
//! whatever it does, its folder is set aside and a new one begins.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_proto::hash::Sha256;

use super::durable::names;
use super::event::{Event, Events};
use super::repos::remove_dir;

/// sled's default is a gibibyte, a node at rest should fit forty mebibytes.
const CACHE_BYTES: u64 = 8 << 20;
/// Raised when rows mean something else: an older index is then built again.
const ROWS: u8 = 1;
/// Longest value in bytes: sled puts larger ones into files that it never removes.
pub(super) const VALUE_BYTES_MAX: usize = 65_536;
/// How often and how long a lock that is let go is waited for: a second in all.
const LOCK_TRIES_MAX: u32 = 50;
const LOCK_AGAIN: Duration = Duration::from_millis(20);
const FOLDER: &str = "index";
const ASIDE: &str = "index.broken-";
/// The row that says whose index this is. No other key is empty.
const MARKER: &[u8] = b"";

#[derive(Debug)]
pub(super) struct Index {
    store: PathBuf,
    marker: Vec<u8>,
    events: Events,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    db: Option<sled::Db>,
    /// How often it was opened: tells whether somebody else has replaced it.
    times: u64,
}

impl Index {
    /// Opens the index of the store `id`, or begins a new one.
    pub(super) fn open(store: &Path, id: Sha256, events: Events) -> Self {
        let index = Self {
            store: store.to_path_buf(),
            marker: [&[ROWS], &id.as_bytes()[..]].concat(),
            events,
            open: Mutex::default(),
        };
        match index.open_folder() {
            Ok(db) => index.lock().db = Some(db),
            Err(why) => index.begin_anew(&mut index.lock(), why),
        }
        index
    }

    /// Puts all rows or, after a crash, none. Returns when they are with the disk as far as sled
    /// can tell.
    pub(super) fn put(&self, rows: &[(Vec<u8>, Vec<u8>)]) {
        self.retry();
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            debug_assert!(!key.is_empty() && value.len() <= VALUE_BYTES_MAX);
            batch.insert(key.as_slice(), value.as_slice());
        }
        self.apply(batch);
    }

    /// The values under keys that begin with `prefix`, by key.
    pub(super) fn scan(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let values = self.with(|db| {
            db.scan_prefix(prefix)
                .values()
                .map(|value| value.map(|value| value.to_vec()))
                .collect()
        });
        values.unwrap_or_default()
    }

    pub(super) fn remove(&self, prefix: &[u8]) {
        let keys: Option<Vec<sled::IVec>> = self.with(|db| db.scan_prefix(prefix).keys().collect());
        let mut batch = sled::Batch::default();
        for key in keys.unwrap_or_default() {
            batch.remove(key);
        }
        self.apply(batch);
    }

    fn apply(&self, batch: sled::Batch) {
        self.with(|db| {
            db.apply_batch(batch)?;
            db.flush()
        });
    }

    /// Does something with sled; after an error or a panic the index begins anew.
    fn with<T>(&self, f: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Option<T> {
        let (db, times) = {
            let open = self.lock();
            (open.db.clone()?, open.times)
        };
        match guard(|| f(&db)) {
            Ok(value) => Some(value),
            Err(why) => {
                let mut open = self.lock();
                // Unless another thread has done it meanwhile.
                if open.times == times {
                    self.begin_anew(&mut open, why);
                }
                None
            }
        }
    }

    /// An index that could not be opened may open now: room may have come back.
    fn retry(&self) {
        let mut open = self.lock();
        if open.db.is_none() {
            open.db = self.open_folder().ok();
        }
    }

    /// Opens the folder as it is; fails if it holds another store's rows.
    fn open_folder(&self) -> Result<sled::Db, String> {
        let folder = self.store.join(FOLDER);
        remove_unfinished_snapshots(&folder).map_err(|e| e.to_string())?;
        let config = sled::Config::new()
            .path(&folder)
            .cache_capacity(CACHE_BYTES);
        let db = open_when_free(&config)?;
        let marker = guard(|| db.get(MARKER))?;
        match marker {
            Some(marker) if marker == self.marker => Ok(db),
            None if guard(|| Ok(db.is_empty()))? => {
                guard(|| db.insert(MARKER, self.marker.as_slice()))?;
                guard(|| db.flush())?;
                Ok(db)
            }
            _ => Err("it belongs to another store, or to another version of this program".into()),
        }
    }

    /// Sets the folder aside, in the place of an earlier one, and begins an empty one.
    fn begin_anew(&self, open: &mut Open, why: String) {
        open.times += 1;
        let broken = open.db.take();
        // It may panic once more when it goes.
        drop(guard(move || {
            drop(broken);
            Ok(())
        }));
        match self.set_aside().and_then(|()| self.open_folder()) {
            Ok(db) => {
                open.db = Some(db);
                self.events.report(Event::IndexSetAside { why });
            }
            Err(second) => {
                let why = format!("{why}; then: {second}");
                self.events.report(Event::IndexOff { why });
            }
        }
    }

    fn set_aside(&self) -> Result<(), String> {
        let text = |e: super::Error| e.to_string();
        let mut last = 0;
        for name in names(&self.store).map_err(text)? {
            if let Some(n) = name.strip_prefix(ASIDE) {
                last = last.max(n.parse().unwrap_or(0_u64));
                remove_dir(&self.store.join(&name)).map_err(text)?;
            }
        }
        let aside = self
            .store
            .join(format!("{ASIDE}{}", last.saturating_add(1)));
        let folder = self.store.join(FOLDER);
        match fs::rename(&folder, &aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls sled. A panic of it becomes an error like any other.
fn guard<T>(f: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("sled panicked".into()),
    }
}

/// Opens the folder. Its lock may be held for a moment by a process that was forked from this one
/// and has not yet begun its own program; the store's own lock says that nobody else has it.
fn open_when_free(config: &sled::Config) -> Result<sled::Db, String> {
    let mut tries = 0;
    loop {
        match guard(|| config.open()) {
            Err(why) if why.contains("could not acquire lock") && tries < LOCK_TRIES_MAX => {
                tries += 1;
                std::thread::sleep(LOCK_AGAIN);
            }
            opened => return opened,
        }
    }
}

/// A kill while sled writes its snapshot leaves a file that it takes for the newest, and then it
/// never opens again.
fn remove_unfinished_snapshots(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
