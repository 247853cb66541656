//! Blobs on disk: complete ones under their hash, partial ones a verified group at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use skep_proto::blob::{self, GROUP_BYTES, GroupList, GroupLister, group_count, group_len};
use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::claimed::Verified;
use skep_proto::hash::Blake3;

use super::durable::{Durable, Sealed, Steps, make_dir_unsynced, read_sealed, steps, write_back};
use super::event::{Event, Events};
use super::index::{Index, VALUE_BYTES_MAX};
use super::repos::set_aside;
use super::{BlobInfo, Error, Held};

/// Proven lists of complete blobs that stay in memory: who reads a large blob asks for all of its
/// groups. Eight of the longest are four mebibytes.
const LISTS_MAX: usize = 8;
/// Bytes read at a time when a blob is hashed: many enough for BLAKE3's full speed.
const READ_BYTES: usize = 1 << 18;
/// Longest partial list in bytes.
const LIST_BYTES_MAX: usize = 32 * 16_384 + 32;

const LIST: (&str, &str) = ("list.before-rename", "list.after-rename");
const BLOB: Steps = steps!("blob");
const IMPORT: Steps = steps!("import");

#[derive(Debug)]
pub(super) struct Blobs {
    store: PathBuf,
    durable: Durable,
    index: Index,
    events: Events,
    /// Blobs that were begun in this process.
    partial: Mutex<BTreeMap<Blake3, Arc<Partial>>>,
    /// One blob begins or ends at a time, but for the waits for the medium.
    turning: Mutex<Turning>,
    /// A blob has left [`Turning::unsynced`].
    settled: Condvar,
    /// The latest first.
    lists: Mutex<VecDeque<Arc<Verified<GroupList>>>>,
}

/// What has a name that is not durable yet. Blobs that end at the same time wait for the medium
/// together, which costs about as much as one of them alone.
#[derive(Debug, Default)]
struct Turning {
    /// Nobody begins, ends or removes these until they are durable: whoever hears that a blob is
    /// whole may rely on it.
    unsynced: BTreeSet<Blake3>,
    /// Folders that were made, and are not known to be durable.
    unsynced_folders: BTreeSet<PathBuf>,
}

/// A blob that was begun. Its file is opened for each group: a package of ten thousand small files
/// must not need as many descriptors.
#[derive(Debug)]
struct Partial {
    list: Verified<GroupList>,
    held: Mutex<Vec<bool>>,
}

impl Blobs {
    pub(super) fn new(store: PathBuf, durable: Durable, index: Index, events: Events) -> Self {
        Self {
            store,
            durable,
            index,
            events,
            partial: Mutex::default(),
            turning: Mutex::default(),
            settled: Condvar::new(),
            lists: Mutex::default(),
        }
    }

    fn path(&self, hash: &Blake3) -> PathBuf {
        let name = hash.to_string();
        self.store.join("blobs").join(&name[..2]).join(name)
    }

    fn data_path(&self, hash: &Blake3) -> PathBuf {
        self.store.join("partial").join(format!("{hash}.data"))
    }

    fn list_path(&self, hash: &Blake3) -> PathBuf {
        self.store.join("partial").join(format!("{hash}.list"))
    }

    pub(super) fn blob(&self, hash: &Blake3) -> Result<Option<BlobInfo>, Error> {
        let path = self.path(hash);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read the length of", path)(error)),
        };
        Ok(Some(BlobInfo { hash: *hash, size }))
    }

    pub(super) fn open(&self, hash: &Blake3) -> Result<Option<File>, Error> {
        let path = self.path(hash);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    pub(super) fn group_list(&self, hash: &Blake3) -> Result<Option<Vec<u8>>, Error> {
        if let Some(file) = self.open(hash)? {
            return Ok(Some(self.list(hash, &file)?.to_bytes()));
        }
        let partial = self.begun(hash);
        Ok(partial.map(|partial| partial.list.to_bytes()))
    }

    pub(super) fn read_group(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open(hash)? else {
            return self.read_partial(hash, index);
        };
        let list = self.list(hash, &file)?;
        let Some(bytes) = read_group(&file, list.size(), index, &self.path(hash))? else {
            return Ok(None);
        };
        match list.verify_group(index, &bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(_) => Err(self.bad(hash)?),
        }
    }

    fn read_partial(&self, hash: &Blake3, index: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(partial) = self.begun(hash) else {
            return Ok(None);
        };
        if !partial.holds(index) {
            return Ok(None);
        }
        let Some((file, path)) = self.data(hash)? else {
            return Ok(None);
        };
        let bytes = read_group(&file, partial.list.size(), index, &path)?;
        let verified = |bytes: &Vec<u8>| partial.list.verify_group(index, bytes).is_ok();
        let bytes = bytes.filter(verified);
        if bytes.is_none() {
            // The medium changed it: it has to be fetched again.
            partial.mark(index, false);
        }
        Ok(bytes)
    }

    pub(super) fn begin(
        &self,
        hash: &Blake3,
        size: u64,
        list: Option<&Verified<GroupList>>,
    ) -> Result<Held, Error> {
        let other_size = blob::Error::OtherSize { hash: *hash, size };
        match list {
            Some(list) if list.hash() != hash => {
                let (hash, other) = (*hash, *list.hash());
                return Err(Error::OtherList { hash, other });
            }
            Some(list) if list.size() != size => return Err(other_size.into()),
            _ => {}
        }
        let _turn = self.turn(hash)?;
        if let Some(info) = self.blob(hash)? {
            if info.size == size {
                return Ok(Held::Whole);
            }
            // Either the caller is wrong about the length, or the medium.
            let path = self.path(hash);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            if list_of(&file, &path)?.hash() == hash {
                return Err(other_size.into());
            }
            self.move_away(hash)?;
        }
        let begun = self.begun(hash).filter(|begun| begun.list.size() == size);
        if let Some(begun) = begun {
            return Ok(begun.to_held());
        }
        let Some(list) = self.list_to_begin(hash, size, list)? else {
            let (groups, list) = (Vec::new(), false);
            return Ok(Held::Part { groups, list });
        };
        let partial = Arc::new(self.resume(hash, list)?);
        let held = partial.to_held();
        lock(&self.partial).insert(*hash, partial);
        Ok(held)
    }

    /// The list that was given, or the one that an earlier process was given.
    fn list_to_begin(
        &self,
        hash: &Blake3,
        size: u64,
        given: Option<&Verified<GroupList>>,
    ) -> Result<Option<Verified<GroupList>>, Error> {
        if let Some(list) = given {
            if list.group_count() > 1 {
                let bytes = encode_list(list);
                // Without it, and that can only be after a power cut, it is asked of a peer again.
                self.durable
                    .write_sealed_unsynced(&self.list_path(hash), &bytes, LIST)?;
            }
            return Ok(Some(list.clone()));
        }
        if group_count(size) == 1 {
            return Ok(Some(GroupList::prove(hash, size, &[])?));
        }
        let Sealed::Bytes(bytes) = read_sealed(&self.list_path(hash))? else {
            return Ok(None);
        };
        let kept = decode_list(&bytes).ok().filter(|(kept, _)| *kept == size);
        Ok(kept.and_then(|(_, list)| GroupList::prove(hash, size, list).ok()))
    }

    /// Opens the data of a partial blob and verifies the groups that are there.
    fn resume(&self, hash: &Blake3, list: Verified<GroupList>) -> Result<Partial, Error> {
        let path = self.data_path(hash);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(Error::io("open", &path))?;
        let len = file.metadata().map(|metadata| metadata.len());
        let len = len.map_err(Error::io("read the length of", &path))?;
        let mut held = Vec::new();
        for index in 0..list.group_count() {
            let there = index * GROUP_BYTES < len;
            let bytes = match there {
                true => read_group(&file, list.size(), index, &path)?,
                false => None,
            };
            held.push(bytes.is_some_and(|bytes| list.verify_group(index, &bytes).is_ok()));
        }
        let held = Mutex::new(held);
        Ok(Partial { list, held })
    }

    /// The file of a partial blob; none once it became complete, or was removed.
    fn data(&self, hash: &Blake3) -> Result<Option<(File, PathBuf)>, Error> {
        let path = self.data_path(hash);
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some((file, path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    pub(super) fn write_group(&self, hash: &Blake3, index: u64, bytes: &[u8]) -> Result<(), Error> {
        let Some(partial) = self.begun(hash) else {
            return match self.blob(hash)? {
                Some(_) => Ok(()),
                None => Err(Error::NotBegun { hash: *hash }),
            };
        };
        partial.list.verify_group(index, bytes)?;
        if partial.holds(index) {
            return Ok(());
        }
        self.durable.hit("blob.before-group");
        let (file, path) = self.data(hash)?.ok_or(Error::NotBegun { hash: *hash })?;
        let at = index * GROUP_BYTES;
        let written = file.write_all_at(bytes, at);
        written.map_err(Error::io("write", path))?;
        write_back(&file, at, bytes.len() as u64);
        partial.mark(index, true);
        self.durable.hit("blob.after-group");
        Ok(())
    }

    pub(super) fn finish(&self, hash: &Blake3) -> Result<(), Error> {
        let Some(partial) = self.begun(hash) else {
            return self.finished_already(hash);
        };
        let missing = lock(&partial.held).iter().filter(|held| !**held).count();
        if missing > 0 {
            let hash = *hash;
            return Err(Error::Incomplete { hash, missing });
        }
        let Some((file, path)) = self.data(hash)? else {
            return self.finished_already(hash);
        };
        // An older one under another size may have left more.
        let cut = file.set_len(partial.list.size());
        cut.map_err(Error::io("cut", &path))?;
        self.durable.hit(BLOB.before_fsync);
        if let Err(error) = file.sync_all() {
            let _turn = self.turn(hash)?;
            // Nobody knows what of it is on the medium, and asking again would not tell.
            self.forget_partial(hash)?;
            return Err(Error::io("sync", path)(error));
        }
        let mut turning = self.turn(hash)?;
        let is_the_same = |now: Arc<Partial>| Arc::ptr_eq(&now, &partial);
        if !self.begun(hash).is_some_and(is_the_same) {
            // Somebody else was faster, or removed it.
            drop(turning);
            return self.finished_already(hash);
        }
        self.durable.hit(BLOB.before_rename);
        self.make_fan_out(hash, &mut turning)?;
        let to = self.path(hash);
        self.durable.move_to(&path, &to, BLOB.after_rename)?;
        let _turn = self.settle(hash, turning)?;
        self.durable.hit("blob.after-sync");
        self.keep_list(&partial.list);
        self.forget_partial(hash)
    }

    /// Done if the blob is whole; of one that is not, nothing was begun.
    fn finished_already(&self, hash: &Blake3) -> Result<(), Error> {
        let _turn = self.turn(hash)?;
        match self.blob(hash)? {
            Some(_) => Ok(()),
            None => Err(Error::NotBegun { hash: *hash }),
        }
    }

    /// Waits for one's turn with a blob: until its name, if it just got one, is durable.
    fn turn(&self, hash: &Blake3) -> Result<MutexGuard<'_, Turning>, Error> {
        let mut turning = lock(&self.turning);
        while turning.unsynced.contains(hash) {
            let waited = self.settled.wait(turning);
            turning = waited.unwrap_or_else(PoisonError::into_inner);
        }
        self.durable.check()?;
        Ok(turning)
    }

    /// Makes the name durable that a blob has just got, while others have their turn; gives the
    /// turn back.
    fn settle<'a>(
        &'a self,
        hash: &Blake3,
        mut turning: MutexGuard<'a, Turning>,
    ) -> Result<MutexGuard<'a, Turning>, Error> {
        let path = self.path(hash);
        let folder = folder_of(&path);
        let is_new = turning.unsynced_folders.contains(folder);
        turning.unsynced.insert(*hash);
        drop(turning);
        let synced = match is_new {
            true => self.durable.sync_parent(folder),
            false => Ok(()),
        };
        let synced = synced.and_then(|()| self.durable.sync_parent(&path));
        let mut turning = lock(&self.turning);
        turning.unsynced.remove(hash);
        // They go on when the caller's turn is over.
        self.settled.notify_all();
        synced?;
        turning.unsynced_folders.remove(folder);
        Ok(turning)
    }

    pub(super) fn import(&self, from: &mut dyn Read) -> Result<BlobInfo, Error> {
        let mut temporary = self.durable.temporary()?;
        let mut lister = GroupLister::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut at = 0;
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => &buffer[..n],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Source(error)),
            };
            lister.update(read)?;
            let written = temporary.file.write_all(read);
            written.map_err(Error::io("write to", self.store.join("tmp")))?;
            write_back(&temporary.file, at, read.len() as u64);
            at += read.len() as u64;
        }
        let list = lister.finish();
        let (hash, size) = (*list.hash(), list.size());
        let to = self.path(&hash);
        self.durable.hit(IMPORT.before_fsync);
        let synced = temporary.file.sync_all();
        synced.map_err(Error::io("sync", &to))?;
        let mut turning = self.turn(&hash)?;
        self.durable.hit(IMPORT.before_rename);
        self.make_fan_out(&hash, &mut turning)?;
        // In the place of one that is there: should the medium have spoiled that, it is good again.
        self.durable.name(temporary, &to, IMPORT.after_rename)?;
        let _turn = self.settle(&hash, turning)?;
        self.keep_list(&list);
        self.forget_partial(&hash)?;
        Ok(BlobInfo { hash, size })
    }

    pub(super) fn remove(&self, hash: &Blake3) -> Result<(), Error> {
        let _turn = self.turn(hash)?;
        self.forget_partial(hash)?;
        self.durable
            .remove(&self.path(hash), "remove.after-remove")?;
        self.forget_list(hash);
        Ok(())
    }

    /// What stands in `partial/` for a blob is of no more use.
    fn forget_partial(&self, hash: &Blake3) -> Result<(), Error> {
        lock(&self.partial).remove(hash);
        for path in [self.data_path(hash), self.list_path(hash)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn make_fan_out(&self, hash: &Blake3, turning: &mut Turning) -> Result<(), Error> {
        let path = self.path(hash);
        let folder = folder_of(&path);
        if make_dir_unsynced(folder)? {
            turning.unsynced_folders.insert(folder.to_owned());
        }
        Ok(())
    }

    /// The list of a complete blob: from memory, from the index, or by hashing the file.
    fn list(&self, hash: &Blake3, file: &File) -> Result<Arc<Verified<GroupList>>, Error> {
        let path = self.path(hash);
        let size = file.metadata().map(|metadata| metadata.len());
        let size = size.map_err(Error::io("read the length of", &path))?;
        let fits = |list: &&Arc<Verified<GroupList>>| list.hash() == hash && list.size() == size;
        if let Some(list) = lock(&self.lists).iter().find(fits) {
            return Ok(Arc::clone(list));
        }
        let rows = match group_count(size) {
            1 => Vec::new(),
            _ => self.index.scan(&list_key(hash)).concat(),
        };
        if let Ok(list) = GroupList::prove(hash, size, &rows) {
            return Ok(self.remember(list));
        }
        let list = list_of(file, &path)?;
        match list.hash() == hash {
            true => Ok(self.keep_list(&list)),
            false => Err(self.bad(hash)?),
        }
    }

    /// Into the index and into memory.
    fn keep_list(&self, list: &Verified<GroupList>) -> Arc<Verified<GroupList>> {
        if list.group_count() > 1 {
            let bytes = list.to_bytes();
            let parts = bytes.chunks(VALUE_BYTES_MAX);
            let row = |(n, part): (u8, &[u8])| {
                let key = [&list_key(list.hash())[..], &[n]].concat();
                (key, part.to_vec())
            };
            let rows: Vec<_> = (0..).zip(parts).map(row).collect();
            self.index.put(&rows);
        }
        self.remember(list.clone())
    }

    fn remember(&self, list: Verified<GroupList>) -> Arc<Verified<GroupList>> {
        let list = Arc::new(list);
        let mut lists = lock(&self.lists);
        lists.truncate(LISTS_MAX - 1);
        lists.push_front(Arc::clone(&list));
        list
    }

    fn forget_list(&self, hash: &Blake3) {
        lock(&self.lists).retain(|list| list.hash() != hash);
        self.index.remove(&list_key(hash));
    }

    /// Sets aside a blob whose bytes are not its own; gives the error that says so.
    fn bad(&self, hash: &Blake3) -> Result<Error, Error> {
        let _turn = self.turn(hash)?;
        self.move_away(hash)?;
        Ok(Error::BadBlob { hash: *hash })
    }

    /// Sets aside a blob whose bytes are not its own; the caller has the turn.
    fn move_away(&self, hash: &Blake3) -> Result<(), Error> {
        let path = self.path(hash);
        if path.exists() {
            let kept = set_aside(&self.store, &self.durable, &path, &hash.to_string())?;
            self.forget_list(hash);
            let hash = *hash;
            self.events.report(Event::BlobDamaged { hash, kept });
        }
        Ok(())
    }

    fn begun(&self, hash: &Blake3) -> Option<Arc<Partial>> {
        lock(&self.partial).get(hash).cloned()
    }
}

impl Partial {
    fn holds(&self, index: u64) -> bool {
        let index = usize::try_from(index).ok();
        index.is_some_and(|i| lock(&self.held).get(i).is_some_and(|held| *held))
    }

    fn mark(&self, index: u64, holds: bool) {
        let index = usize::try_from(index).expect("it was verified, or held");
        if let Some(held) = lock(&self.held).get_mut(index) {
            *held = holds;
        }
    }

    fn to_held(&self) -> Held {
        let held = lock(&self.held);
        let groups = (0..).zip(held.iter()).filter(|(_, held)| **held);
        Held::Part {
            groups: groups.map(|(index, _)| index).collect(),
            list: true,
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("a blob is in a folder")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Group `index` of a file of `size` bytes; none if the blob or the file has no such group.
fn read_group(file: &File, size: u64, index: u64, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(len) = group_len(size, index) else {
        return Ok(None);
    };
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, index * GROUP_BYTES) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Hashes a file, whatever its name says.
fn list_of(file: &File, path: &Path) -> Result<Verified<GroupList>, Error> {
    let mut lister = GroupLister::new();
    let (mut buffer, mut at) = (vec![0; READ_BYTES], 0);
    loop {
        let read = file
            .read_at(&mut buffer, at)
            .map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok(lister.finish());
        }
        lister.update(&buffer[..read])?;
        at += read as u64;
    }
}

/// Of the rows that hold the list of a complete blob.
fn list_key(hash: &Blake3) -> Vec<u8> {
    [b"list/", &hash.as_bytes()[..]].concat()
}

/// `[size, list]`
fn encode_list(list: &GroupList) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).uint(list.size()).bytes(&list.to_bytes());
    writer.finish()
}

fn decode_list(input: &[u8]) -> Result<(u64, &[u8]), bytes::Error> {
    let mut reader = Reader::strict(input, LIST_BYTES_MAX)?;
    reader.array(2)?;
    let list = (reader.uint()?, reader.bytes(LIST_BYTES_MAX)?);
    reader.end()?;
    Ok(list)
}
