//! One log on disk: an entries file that only grows, and a state that says how much of it counts.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::hash::Sha256;
use skep_proto::key::Key;
use skep_proto::limits::{CHECKPOINT_BYTES_MAX, COSIGNATURES_MAX, ENTRY_BYTES_MAX};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree::{self, SIZE_MAX};

use super::durable::{Durable, Sealed, Steps, read_sealed, steps};
use super::table::Table;
use super::{Error, FRAME_BYTES_MAX};

/// The offset of every so many entries is remembered: a read passes over fewer than these, and a
/// hundred thousand entries cost six kilobytes of memory.
const MARK_EVERY: u64 = 128;
/// Bytes of the length before an entry.
const LEN_BYTES: u64 = 2;
/// Longest state in bytes: two checkpoints and change.
const STATE_BYTES_MAX: usize = 2 * (CHECKPOINT_BYTES_MAX + COSIGNATURES_MAX * 128) + 128;

const STATE: Steps = Steps {
    before_fsync: "append.before-state-fsync",
    before_rename: "append.before-state-rename",
    after_rename: "append.after-state-rename",
};
const CHECKPOINT: Steps = steps!("checkpoint");
const REWIND: Steps = steps!("rewind");

/// One log. Writers come one at a time (the store has one lock for them); readers never wait for
/// the disk of a writer.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    key: Key,
    committed: Mutex<Committed>,
}

#[derive(Debug, Clone, Default)]
struct Committed {
    table: Table,
    bytes: u64,
    /// Where entries 0, [`MARK_EVERY`], … begin.
    marks: Vec<u64>,
    /// Raised when bytes that counted may be overwritten.
    rewinds: u64,
}

/// What `open` found.
#[derive(Debug)]
pub(super) enum Opened {
    /// With the number of bytes behind the committed end.
    Log(Log, u64),
    /// The entries are not those of the state, which is given as far as it could be read.
    Damaged(Table),
}

impl Log {
    /// Reads a log and checks it against the root in its state. A folder without a state is a log
    /// without entries.
    pub(super) fn open(dir: &Path, key: Key) -> Result<Opened, Error> {
        let state = match read_sealed(&dir.join("state"))? {
            Sealed::Absent => State::default(),
            Sealed::Damaged => return Ok(Opened::Damaged(Table::default())),
            Sealed::Bytes(bytes) => match State::from_bytes(&bytes) {
                Ok(state) => state,
                Err(_) => return Ok(Opened::Damaged(Table::default())),
            },
        };
        let path = dir.join("entries");
        let mut committed = Committed::default();
        let scanned = match state.bytes {
            0 => true,
            _ => committed.scan(&path, state.bytes, state.size)?,
        };
        committed.table.whole = state.whole;
        committed.table.ahead = state.ahead;
        let found = (
            committed.table.size(),
            committed.bytes,
            committed.table.edge.root(),
        );
        if !scanned || found != (state.size, state.bytes, state.root) {
            return Ok(Opened::Damaged(committed.table));
        }
        let tail = tail_len(&path, state.bytes)?;
        let log = Self {
            dir: dir.to_path_buf(),
            key,
            committed: Mutex::new(committed),
        };
        Ok(Opened::Log(log, tail))
    }

    /// A log without entries, in the place of one that was damaged.
    pub(super) fn replace(
        durable: &Durable,
        dir: &Path,
        key: Key,
        table: Table,
    ) -> Result<Self, Error> {
        let committed = Committed {
            table,
            ..Committed::default()
        };
        let state = State::of(&committed).to_bytes();
        durable.write_sealed(&dir.join("state"), &state, &CHECKPOINT)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            key,
            committed: Mutex::new(committed),
        })
    }

    /// Cuts off what lies behind the committed end.
    pub(super) fn cut_tail(&self) -> Result<(), Error> {
        let path = self.dir.join("entries");
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_len(self.lock().bytes))
            .map_err(Error::io("cut", path))
    }

    pub(super) fn append(
        &self,
        durable: &Durable,
        from: u64,
        entries: &[Vec<u8>],
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        let before = self.lock().clone();
        let table = before
            .table
            .appended(&self.key, from, entries, checkpoint)?;
        if before.bytes == 0 {
            durable.make_dir(&self.dir)?;
        }
        let mut after = before.clone();
        let mut framed = Vec::new();
        for (index, entry) in (from..).zip(entries) {
            after.mark(index);
            let len = u16::try_from(entry.len()).expect("the table refuses longer ones");
            framed.extend_from_slice(&len.to_be_bytes());
            framed.extend_from_slice(entry);
            after.bytes = before.bytes + framed.len() as u64;
        }
        after.table = table;
        let written = self.write_entries(durable, before.bytes, &framed);
        let written = written.and_then(|()| self.write_state(durable, &after, &STATE));
        if let Err(error) = written {
            // What was written takes the room that somebody may be waiting for. But if the new state
            // got its name, and only its durability is in doubt, the entries must stay.
            if durable.check().is_ok() {
                drop(self.cut_tail());
            }
            return Err(error);
        }
        durable.hit("append.after-state");
        *self.lock() = after;
        Ok(())
    }

    /// Entries at the committed end, in the place of what an unfinished write may have left there.
    fn write_entries(&self, durable: &Durable, at: u64, framed: &[u8]) -> Result<(), Error> {
        let path = self.dir.join("entries");
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        file.set_len(at)
            .and_then(|()| file.write_all_at(framed, at))
            .map_err(Error::io("write", &path))?;
        durable.hit("append.before-fsync");
        file.sync_all().map_err(Error::io("sync", &path))?;
        if at == 0 {
            durable.sync_parent(&path)?;
        }
        durable.hit("append.after-entries");
        Ok(())
    }

    pub(super) fn cosign(&self, durable: &Durable, checkpoint: &Checkpoint) -> Result<(), Error> {
        let mut after = self.lock().clone();
        after.table = after.table.cosigned(checkpoint)?;
        self.write_state(durable, &after, &CHECKPOINT)?;
        *self.lock() = after;
        Ok(())
    }

    /// Keeps the first `to` entries; all, if there are fewer.
    pub(super) fn rewind(&self, durable: &Durable, to: u64) -> Result<(), Error> {
        let before = self.lock().clone();
        let mut after = Committed {
            rewinds: before.rewinds + 1,
            ..Committed::default()
        };
        let to = to.min(before.table.size());
        if to > 0 && !after.scan(&self.dir.join("entries"), before.bytes, to)? {
            let path = self.dir.join("entries");
            return Err(Error::Damaged { path });
        }
        after.table = before.table.rewound(after.table.edge);
        if (&after.table, after.bytes) == (&before.table, before.bytes) {
            return Ok(());
        }
        self.write_state(durable, &after, &REWIND)?;
        *self.lock() = after;
        Ok(())
    }

    fn write_state(
        &self,
        durable: &Durable,
        committed: &Committed,
        steps: &Steps,
    ) -> Result<(), Error> {
        let state = State::of(committed).to_bytes();
        durable.write_sealed(&self.dir.join("state"), &state, steps)
    }

    /// The checkpoints that are held: whole and ahead.
    pub(super) fn table(&self) -> Table {
        self.lock().table.clone()
    }

    /// Entries `from..to` as far as they are committed, or as many of them as fit `bytes_max`, but
    /// at least one.
    pub(super) fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        loop {
            let (start, skip, end, rewinds) = {
                let committed = self.lock();
                let to = to.min(committed.table.size());
                if from >= to {
                    return Ok(Vec::new());
                }
                let mark = usize::try_from(from / MARK_EVERY).expect("marks are in memory");
                let start = committed.marks[mark];
                (start, from % MARK_EVERY, to, committed.rewinds)
            };
            let read = self.read_at(start, skip, end - from, bytes_max);
            // Bytes that were overwritten meanwhile are not what was asked for.
            if self.lock().rewinds == rewinds {
                return read;
            }
        }
    }

    fn read_at(
        &self,
        start: u64,
        skip: u64,
        count: u64,
        bytes_max: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let path = self.dir.join("entries");
        let failed = |error| Error::io("read", &path)(error);
        let mut file = File::open(&path).map_err(failed)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(start)).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let mut entry = Vec::new();
        for _ in 0..skip {
            read_entry(&mut reader, &mut entry).map_err(failed)?;
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for _ in 0..count {
            read_entry(&mut reader, &mut entry).map_err(failed)?;
            bytes += entry.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(std::mem::take(&mut entry));
        }
        Ok(entries)
    }

    /// Everything that is committed, a frame at a time: the index of the first entry, the entries.
    pub(super) fn frames(
        &self,
        each: &mut dyn FnMut(u64, Vec<Vec<u8>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut from = 0;
        loop {
            let entries = self.read(from, u64::MAX, FRAME_BYTES_MAX)?;
            if entries.is_empty() {
                return Ok(());
            }
            let next = from + entries.len() as u64;
            each(from, entries)?;
            from = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Committed> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Committed {
    /// Entry `index` will begin at the end: remembers where, if it is one of those.
    fn mark(&mut self, index: u64) {
        if index.is_multiple_of(MARK_EVERY) {
            self.marks.push(self.bytes);
        }
    }

    /// Takes `count` entries from the first `bytes_max` bytes of a file; false if they are not
    /// there.
    fn scan(&mut self, path: &Path, bytes_max: u64, count: u64) -> Result<bool, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let mut reader = BufReader::with_capacity(1 << 18, file.take(bytes_max));
        let mut entry = Vec::new();
        for _ in 0..count {
            match read_entry(&mut reader, &mut entry) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(Error::io("read", path)(error)),
            }
            self.mark(self.table.size());
            self.table.edge.push(tree::leaf(&entry));
            self.bytes += LEN_BYTES + entry.len() as u64;
        }
        Ok(true)
    }
}

/// `state` as it stands in its file.
#[derive(Debug)]
struct State {
    size: u64,
    bytes: u64,
    root: Sha256,
    whole: Option<Checkpoint>,
    ahead: Option<Checkpoint>,
}

impl Default for State {
    fn default() -> Self {
        Self::of(&Committed::default())
    }
}

impl State {
    fn of(committed: &Committed) -> Self {
        let Table { edge, whole, ahead } = &committed.table;
        Self {
            size: edge.size(),
            bytes: committed.bytes,
            root: edge.root(),
            whole: whole.clone(),
            ahead: ahead.clone(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(5)
            .uint(self.size)
            .uint(self.bytes)
            .bytes(self.root.as_bytes());
        for checkpoint in [&self.whole, &self.ahead] {
            writer.option(checkpoint.as_ref(), |writer, checkpoint| {
                checkpoint.write(writer);
                writer
            });
        }
        writer.finish()
    }

    fn from_bytes(input: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(input, STATE_BYTES_MAX)?;
        reader.array(5)?;
        let state = Self {
            size: reader.uint_to(SIZE_MAX)?,
            bytes: reader.uint()?,
            root: Sha256::from_bytes(reader.bytes_of()?),
            whole: reader.option(Checkpoint::read)?,
            ahead: reader.option(Checkpoint::read)?,
        };
        reader.end()?;
        Ok(state)
    }
}

/// Reads one entry into `entry`.
fn read_entry(reader: &mut impl Read, entry: &mut Vec<u8>) -> io::Result<()> {
    let mut len = [0; 2];
    reader.read_exact(&mut len)?;
    entry.resize(usize::from(u16::from_be_bytes(len)), 0);
    debug_assert!(entry.len() <= ENTRY_BYTES_MAX);
    reader.read_exact(entry)
}

/// How many bytes lie behind the committed end.
fn tail_len(path: &Path, committed: u64) -> Result<u64, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len().saturating_sub(committed)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io("read the length of", path)(error)),
    }
}
