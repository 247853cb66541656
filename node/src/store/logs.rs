//! One log on disk: an entries file that only grows, and a state that says how much of it counts.
//!
//! A log has two places for entries files, for the branch that is held and for one that was set
//! aside when a cut named another: which is which the state says, so they change places at once.

mod state;

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::limits::ENTRY_BYTES_MAX;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::tree::{self, Edge};

use super::durable::{Durable, Sealed, Steps, read_broken, read_sealed, steps};
use super::table::Table;
use super::{Error, FRAME_BYTES_MAX};
use state::State;

/// The offset of every so many entries is remembered: a read passes over fewer than these, and a
/// hundred thousand entries cost six kilobytes of memory.
const MARK_EVERY: u64 = 128;
/// Bytes of the length before an entry.
const LEN_BYTES: u64 = 2;

const STATE: Steps = Steps {
    before_fsync: "append.before-state-fsync",
    before_rename: "append.before-state-rename",
    after_rename: "append.after-state-rename",
};
const CHECKPOINT: Steps = steps!("checkpoint");
const REWIND: Steps = steps!("rewind");
const EXCHANGE: Steps = steps!("exchange");

/// One log. Writers come one at a time (the store has one lock for them); readers never wait for
/// the disk of a writer.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    key: Key,
    branches: Mutex<Branches>,
}

#[derive(Debug, Clone, Default)]
struct Branches {
    held: Committed,
    aside: Option<Committed>,
}

/// Which of the two entries files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    First,
    Second,
}

impl Place {
    fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::First => "entries",
            Self::Second => "entries.2",
        })
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Committed {
    place: Place,
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
    Log(Box<Log>, u64),
    /// The entries are not those of the state, or that cannot be read.
    Damaged(Remains),
}

/// What is left of a damaged log.
#[derive(Debug)]
pub(super) struct Remains {
    /// The entries that are proven, in the file where they are; none, and then what the checkpoints
    /// said, if that could be read.
    held: Box<Committed>,
}

impl Log {
    /// Reads a log and checks it against the root in its state. A folder without a state is a log
    /// without entries.
    pub(super) fn open(dir: &Path, repo: &RepoId, key: Key) -> Result<Opened, Error> {
        let path = dir.join("state");
        let without_state = !path.exists();
        let state = match read_sealed(&path)? {
            Sealed::Absent => State::default(),
            Sealed::Damaged => {
                let broken = State::from_bytes(&read_broken(&path)?).ok();
                return Remains::without_state(dir, repo, &key, broken).map(Opened::Damaged);
            }
            Sealed::Bytes(bytes) => match State::from_bytes(&bytes) {
                Ok(state) => state,
                Err(_) => return Ok(Opened::Damaged(Remains::none(Table::default()))),
            },
        };
        let held = match state.held.scan(dir)? {
            Ok(held) => held,
            Err((place, damaged)) => {
                return Remains::with_state(dir, place, damaged).map(Opened::Damaged);
            }
        };
        // Of a branch that was set aside and is damaged nothing is lost that anybody sees.
        let aside = match state.aside {
            Some(aside) => aside.scan(dir)?.ok(),
            None => None,
        };
        // What was written before there was a state is of the first write that did not end; or the
        // state is lost, and its author can prove the entries. The next append cuts it off.
        let tail = match without_state {
            true => 0,
            false => tail_len(&held.place.path(dir), held.bytes)?,
        };
        let log = Self {
            dir: dir.to_path_buf(),
            key,
            branches: Mutex::new(Branches { held, aside }),
        };
        Ok(Opened::Log(Box::new(log), tail))
    }

    /// A log with what remains of one that was damaged, whose files are in `kept` now.
    pub(super) fn replace(
        durable: &Durable,
        dir: &Path,
        key: Key,
        kept: &Path,
        remains: Remains,
    ) -> Result<Self, Error> {
        let mut held = *remains.held;
        let from = held.place.path(kept);
        held.place = Place::First;
        if held.bytes > 0 {
            let to = held.place.path(dir);
            let mut entries = durable.temporary()?;
            let source = File::open(&from).map_err(Error::io("open", &from))?;
            io::copy(&mut source.take(held.bytes), &mut entries.file)
                .map_err(Error::io("write", &to))?;
            durable.place(entries, &to, &CHECKPOINT)?;
        }
        let branches = Branches { held, aside: None };
        let state = State::of(&branches).to_bytes();
        durable.write_sealed(&dir.join("state"), &state, &CHECKPOINT)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            key,
            branches: Mutex::new(branches),
        })
    }

    /// Cuts off what lies behind the committed end.
    pub(super) fn cut_tail(&self) -> Result<(), Error> {
        let (path, bytes) = {
            let held = &self.lock().held;
            (held.place.path(&self.dir), held.bytes)
        };
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_len(bytes))
            .map_err(Error::io("cut", path))
    }

    pub(super) fn append(
        &self,
        durable: &Durable,
        from: u64,
        entries: &[Vec<u8>],
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        let before = self.lock().held.clone();
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
        let written = self.write_entries(durable, &before, &framed);
        let written = written.and_then(|()| self.take(durable, after, &STATE));
        if let Err(error) = written {
            // What was written takes the room that somebody may be waiting for. But if the new state
            // got its name, and only its durability is in doubt, the entries must stay.
            if durable.check().is_ok() {
                drop(self.cut_tail());
            }
            return Err(error);
        }
        durable.hit("append.after-state");
        Ok(())
    }

    /// Entries at the committed end, in the place of what an unfinished write may have left there.
    fn write_entries(
        &self,
        durable: &Durable,
        held: &Committed,
        framed: &[u8],
    ) -> Result<(), Error> {
        let (path, at) = (held.place.path(&self.dir), held.bytes);
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
        let mut after = self.lock().held.clone();
        after.table = after.table.cosigned(checkpoint)?;
        self.take(durable, after, &CHECKPOINT)
    }

    /// Keeps the first `to` entries; all, if there are fewer.
    pub(super) fn rewind(&self, durable: &Durable, to: u64) -> Result<(), Error> {
        let before = self.lock().held.clone();
        let mut after = Committed {
            place: before.place,
            rewinds: before.rewinds + 1,
            ..Committed::default()
        };
        let to = to.min(before.table.size());
        let path = before.place.path(&self.dir);
        if to > 0 && !after.scan(&path, before.bytes, to)? {
            return Err(Error::Damaged { path });
        }
        after.table = before.table.rewound(after.table.edge);
        if (&after.table, after.bytes) == (&before.table, before.bytes) {
            return Ok(());
        }
        self.take(durable, after, &REWIND)
    }

    /// The branch that is held and the one that was set aside change places; where none was, the
    /// log is empty then.
    pub(super) fn exchange(&self, durable: &Durable) -> Result<(), Error> {
        let before = self.lock().clone();
        if before.held.bytes == 0 && before.aside.is_none() {
            return Ok(());
        }
        let mut held = before.aside.unwrap_or_else(|| Committed {
            place: before.held.place.other(),
            ..Committed::default()
        });
        held.rewinds = before.held.rewinds + 1;
        let aside = Some(before.held).filter(|aside| aside.bytes > 0);
        self.put(durable, Branches { held, aside }, &EXCHANGE)
    }

    /// From now on this is what is held.
    fn take(&self, durable: &Durable, held: Committed, steps: &Steps) -> Result<(), Error> {
        let aside = self.lock().aside.clone();
        self.put(durable, Branches { held, aside }, steps)
    }

    fn put(&self, durable: &Durable, branches: Branches, steps: &Steps) -> Result<(), Error> {
        let state = State::of(&branches).to_bytes();
        durable.write_sealed(&self.dir.join("state"), &state, steps)?;
        *self.lock() = branches;
        Ok(())
    }

    /// The checkpoints that are held: whole and ahead.
    pub(super) fn table(&self) -> Table {
        self.lock().held.table.clone()
    }

    /// Those of the branch that was set aside, if one was.
    pub(super) fn table_aside(&self) -> Option<Table> {
        self.lock().aside.as_ref().map(|aside| aside.table.clone())
    }

    /// Entries `from..to` as far as they are committed, or as many of them as fit `bytes_max`, but
    /// at least one.
    pub(super) fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        loop {
            let (range, rewinds) = {
                let held = &self.lock().held;
                (held.range(from, to), held.rewinds)
            };
            let Some(range) = range else {
                return Ok(Vec::new());
            };
            let read = range.read(&self.dir, bytes_max);
            // Bytes that were overwritten meanwhile are not what was asked for.
            if self.lock().held.rewinds == rewinds {
                return read;
            }
        }
    }

    /// Everything that is committed, a frame at a time: the index of the first entry, the entries.
    pub(super) fn frames(
        &self,
        each: &mut dyn FnMut(u64, Vec<Vec<u8>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        each_frame(|from| self.read(from, u64::MAX, FRAME_BYTES_MAX), each)
    }

    /// The same of the branch that was set aside; only while nobody writes.
    pub(super) fn frames_aside(
        &self,
        each: &mut dyn FnMut(u64, Vec<Vec<u8>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(aside) = self.lock().aside.clone() else {
            return Ok(());
        };
        let read = |from| match aside.range(from, u64::MAX) {
            Some(range) => range.read(&self.dir, FRAME_BYTES_MAX),
            None => Ok(Vec::new()),
        };
        each_frame(read, each)
    }

    fn lock(&self) -> MutexGuard<'_, Branches> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn each_frame(
    read: impl Fn(u64) -> Result<Vec<Vec<u8>>, Error>,
    each: &mut dyn FnMut(u64, Vec<Vec<u8>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = 0;
    loop {
        let entries = read(from)?;
        if entries.is_empty() {
            return Ok(());
        }
        let next = from + entries.len() as u64;
        each(from, entries)?;
        from = next;
    }
}

/// Committed entries, where they are in their file.
#[derive(Debug)]
struct Range {
    place: Place,
    /// Offset of an entry at or before the first one, and how many are passed over from there.
    start: u64,
    skip: u64,
    count: u64,
}

impl Range {
    fn read(&self, dir: &Path, bytes_max: usize) -> Result<Vec<Vec<u8>>, Error> {
        let path = self.place.path(dir);
        let failed = |error| Error::io("read", &path)(error);
        let mut file = File::open(&path).map_err(failed)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.start)).map_err(failed)?;
        let mut reader = BufReader::new(file);
        let mut entry = Vec::new();
        for _ in 0..self.skip {
            read_entry(&mut reader, &mut entry).map_err(failed)?;
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for _ in 0..self.count {
            read_entry(&mut reader, &mut entry).map_err(failed)?;
            bytes += entry.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(std::mem::take(&mut entry));
        }
        Ok(entries)
    }
}

impl Remains {
    fn none(table: Table) -> Self {
        let held = Committed {
            table,
            ..Committed::default()
        };
        let held = Box::new(held);
        Self { held }
    }

    /// How many entries stay.
    pub(super) fn size(&self) -> u64 {
        self.held.table.size()
    }

    /// The entries are not those of `table`, whose checkpoints are good. What came after the whole
    /// one may be all that is damaged.
    fn with_state(dir: &Path, place: Place, table: Table) -> Result<Self, Error> {
        let whole = match &table.whole {
            Some(whole) => Committed::proven(dir, place, whole)?,
            None => None,
        };
        let Some(mut held) = whole else {
            return Ok(Self::none(table.emptied()));
        };
        held.table.ahead = table.ahead;
        let held = Box::new(held);
        Ok(Self { held })
    }

    /// The state is damaged. A checkpoint in it that its author's signature fits is what it was, and
    /// entries under that are the author's, whatever else the state said.
    fn without_state(
        dir: &Path,
        repo: &RepoId,
        key: &Key,
        broken: Option<State>,
    ) -> Result<Self, Error> {
        let branches = broken.into_iter().flat_map(|state| {
            let aside = state.aside.into_iter();
            std::iter::once(state.held).chain(aside)
        });
        // Nobody says whether the witnesses' words are what they were.
        let checkpoints = branches.filter_map(|branch| Some(branch.whole?.bare()));
        let signed = |whole: &Checkpoint| whole.key == *key && whole.verify(repo);
        for whole in checkpoints.filter(signed) {
            for place in [Place::First, Place::Second] {
                if let Some(held) = Committed::proven(dir, place, &whole)? {
                    let held = Box::new(held);
                    return Ok(Self { held });
                }
            }
        }
        Ok(Self::none(Table::default()))
    }
}

/// Entries of a log that was set aside to `dir`, from the end of `held` on: as many as lead, with
/// `tail` after them, to `checkpoint`. None if what is there does not.
pub(super) fn read_gap(
    dir: &Path,
    held: &Edge,
    checkpoint: &Checkpoint,
    tail: &[Vec<u8>],
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let Some(until) = checkpoint.size.checked_sub(tail.len() as u64) else {
        return Ok(None);
    };
    for place in [Place::First, Place::Second] {
        let Some(mut reader) = reader(&place.path(dir), u64::MAX)? else {
            continue;
        };
        let (mut edge, mut entries) = (held.clone(), Vec::new());
        for index in 0..until {
            let mut entry = Vec::new();
            match read_entry(&mut reader, &mut entry) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(Error::io("read", place.path(dir))(error)),
            }
            if index >= held.size() {
                edge.push(tree::leaf(&entry));
                entries.push(entry);
            }
        }
        for entry in tail {
            edge.push(tree::leaf(entry));
        }
        if (edge.size(), edge.root()) == (checkpoint.size, checkpoint.root) {
            return Ok(Some(entries));
        }
    }
    Ok(None)
}

impl Committed {
    /// The entries of a file that have exactly the root of `whole`; none if they have another.
    fn proven(dir: &Path, place: Place, whole: &Checkpoint) -> Result<Option<Self>, Error> {
        let mut held = Self {
            place,
            ..Self::default()
        };
        let scanned = held.scan(&place.path(dir), u64::MAX, whole.size)?;
        if !scanned || held.table.edge.root() != whole.root {
            return Ok(None);
        }
        held.table.whole = Some(whole.clone());
        Ok(Some(held))
    }

    /// Entries `from..to` as far as they are there; none if there are none.
    fn range(&self, from: u64, to: u64) -> Option<Range> {
        let to = to.min(self.table.size());
        let mark = usize::try_from(from / MARK_EVERY).ok()?;
        let start = self.marks.get(mark).filter(|_| from < to)?;
        Some(Range {
            place: self.place,
            start: *start,
            skip: from % MARK_EVERY,
            count: to - from,
        })
    }

    /// Entry `index` will begin at the end: remembers where, if it is one of those.
    fn mark(&mut self, index: u64) {
        if index.is_multiple_of(MARK_EVERY) {
            self.marks.push(self.bytes);
        }
    }

    /// Takes `count` entries from the first `bytes_max` bytes of a file; false if they are not
    /// there.
    fn scan(&mut self, path: &Path, bytes_max: u64, count: u64) -> Result<bool, Error> {
        let Some(mut reader) = reader(path, bytes_max)? else {
            return Ok(false);
        };
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

/// Reads the first `bytes_max` bytes of an entries file, if it is there.
fn reader(path: &Path, bytes_max: u64) -> Result<Option<BufReader<io::Take<File>>>, Error> {
    match File::open(path) {
        Ok(file) => Ok(Some(BufReader::with_capacity(
            1 << 18,
            file.take(bytes_max),
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path)(error)),
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
