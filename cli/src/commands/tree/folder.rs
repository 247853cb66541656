//! The folder of a tree: every file in it is whole at every moment, and what is not ours is left alone.
//!
//! `.skep-tree` lists what we wrote, a hash and a path a line. What is to come is added before its
//! files are, and what has gone is taken out after them: so a command that was killed leaves nothing
//! that the next one does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use skep_proto::hash::Blake3;
use skep_proto::l3afd::is_plain;
use skep_proto::render::l3afd::Artifact;

use crate::client::Client;
use crate::commands::archive::Archive;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::faults::TREE;
use crate::home::{clean_up_after, name, read_if_there, replace};

/// The list of what we wrote.
const LIST: &str = ".skep-tree";
const LIST_HEAD: &str = "skep tree 1";
/// Where a file is until it is whole: on the same file system, out of the way of readers.
const UNFINISHED: &str = ".skep-unfinished";
/// Longest list, in bytes: a million files.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// Components of a path: repository, name, version, platform, artifact.
const DEPTH: usize = 5;
/// Everybody reads what is public: l3afd is another user.
const MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;
const CHUNK_BYTES: usize = 256 << 10;

/// Where a file stands, below the folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn new(parts: [&str; 4], artifact: &Artifact) -> Option<Self> {
        Self::parse(&format!("{}/{artifact}", parts.join("/")))
    }

    /// Reads a path of the list, as hostile: it is a path that may be removed.
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let fits = |part: &&str| is_plain(part) && !part.starts_with('.');
        (parts.len() == DEPTH && parts.iter().all(fits)).then(|| Self(text.to_owned()))
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) files: u64,
    /// Of all files, each as often as it has names.
    pub(super) size_bytes: u64,
    pub(super) written: u64,
    pub(super) removed: u64,
    /// Files where we wrote others, which somebody has changed since.
    pub(super) kept: Vec<String>,
}

pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as this lives: one command at a time.
    lock: File,
    /// What was written before, by this command or others; one place may have two while it changes.
    listed: BTreeSet<(Place, Blake3)>,
    /// What belongs there now.
    wanted: BTreeMap<Place, (Blake3, u64)>,
    /// What files on the disk are, by inode: most have many names.
    hashed: BTreeMap<(u64, u64), Blake3>,
    counts: Counts,
}

impl Folder {
    /// Takes a folder that is ours, or empty, or not there yet; none in those that are `taken`, where
    /// every file has its meaning.
    pub(super) fn open(path: &Path, taken: &[PathBuf]) -> Result<Self> {
        refuse_inside(path, taken)?;
        if let Some(above) = path.parent().filter(|_| !path.exists()) {
            fs::create_dir_all(above).map_err(|e| CliError::io("make the folder", above, &e))?;
            make_dir(path)?;
        }
        let path = fs::canonicalize(path).map_err(|e| CliError::io("look at", path, &e))?;
        let lock = File::open(&path).map_err(|e| CliError::io("open", &path, &e))?;
        if lock.try_lock().is_err() {
            let message = format!("another command writes the tree in `{}`", path.display());
            let hint = Hint::new("wait until it is done, then type the same again");
            return Err(CliError::new(Exit::Failed, message, hint));
        }
        let listed = match read_if_there(&path.join(LIST), LIST_BYTES_MAX)? {
            Some(text) => parse_list(&text).ok_or_else(|| {
                let list = path.join(LIST);
                let message = format!("`{}` is not a list of a tree", list.display());
                let hint = Hint::new("another folder, or remove this one and write it anew");
                CliError::new(Exit::Failed, message, hint)
            })?,
            None => {
                refuse_foreign(&path)?;
                BTreeSet::new()
            }
        };
        clean_up_after(&path, |unfinished| unfinished == LIST);
        // What a killed command had not finished; nobody else puts anything there.
        let unfinished = path.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::io("empty", &unfinished, &e));
            }
            _ => {}
        }
        let folder = Self {
            path,
            lock,
            listed,
            wanted: BTreeMap::new(),
            hashed: BTreeMap::new(),
            counts: Counts::default(),
        };
        folder.write_list()?;
        make_dir(&folder.path.join(UNFINISHED))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What l3afd is given for a repository.
    pub(super) fn url(&self, repo: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let path = self.path.join(repo);
        let path = path.as_os_str().as_encoded_bytes();
        let encoded = path.iter().map(|&byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        format!("file://{}", encoded.collect::<String>())
    }

    /// Puts an archive at all these places: one file with so many names, where the file system can.
    pub(super) async fn put(
        &mut self,
        places: &[Place],
        archive: &Archive,
        hash: Blake3,
        client: &mut Client,
    ) -> Result<()> {
        let mut missing = Vec::new();
        let mut there = None;
        for place in places {
            match self.look(place)? {
                Some(found) if found == hash => there = Some(self.at(place)),
                Some(other) if !self.listed.contains(&(place.clone(), other)) => {
                    return Err(foreign(&self.at(place)));
                }
                _ => missing.push(place),
            }
        }
        let size = archive.size();
        for place in places {
            self.wanted.insert(place.clone(), (hash, size));
        }
        if missing.is_empty() {
            return Ok(());
        }
        // Known before it is there.
        let new = missing.iter().map(|&place| (place.clone(), hash));
        self.add_to_list(new.collect())?;
        let whole = match there {
            Some(path) => path,
            None => self.write_whole(archive, client).await?,
        };
        for place in missing {
            self.name(&whole, place, hash)?;
            self.counts.written += 1;
        }
        Ok(())
    }

    fn at(&self, place: &Place) -> PathBuf {
        self.path.join(&place.0)
    }

    /// What a file at a place is; none if there is none.
    fn look(&mut self, place: &Place) -> Result<Option<Blake3>> {
        let path = self.at(place);
        self.refuse_links(place)?;
        let found = match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(|e| CliError::io("look at", &path, &e))?,
        };
        if !found.is_file() {
            return Err(foreign(&path));
        }
        let inode = (found.dev(), found.ino());
        if let Some(hash) = self.hashed.get(&inode) {
            return Ok(Some(*hash));
        }
        let hash = hash_of(&path).map_err(|e| CliError::io("read", &path, &e))?;
        self.hashed.insert(inode, hash);
        Ok(Some(hash))
    }

    /// No folder on the way is a link: it would lead to what is not ours.
    fn refuse_links(&self, place: &Place) -> Result<()> {
        let mut at = self.path.clone();
        let parts: Vec<&str> = place.0.split('/').collect();
        for part in &parts[..DEPTH - 1] {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(foreign(&at)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(e) => return Err(CliError::io("look at", &at, &e)),
            }
        }
        Ok(())
    }

    /// The archive as a file that nobody reads yet.
    async fn write_whole(&self, archive: &Archive, client: &mut Client) -> Result<PathBuf> {
        let path = self.path.join(UNFINISHED).join("archive");
        let failed = |e| CliError::io("write", &path, &e);
        // Never over one that is there: it has other names by now, and readers.
        drop(fs::remove_file(&path));
        let file = File::options().write(true).create_new(true).open(&path);
        let mut file = file.map_err(failed)?;
        archive
            .read(client, |bytes| file.write_all(bytes).map_err(failed))
            .await?;
        let mode = fs::Permissions::from_mode(MODE);
        file.set_permissions(mode).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(path)
    }

    /// Gives a whole file one more name, in the place of what has it now.
    fn name(&mut self, whole: &Path, place: &Place, hash: Blake3) -> Result<()> {
        let path = self.at(place);
        let failed = |e| CliError::io("write", &path, &e);
        make_dirs(&self.path, place)?;
        let beside = self.path.join(UNFINISHED).join("name");
        // One that was not used: a link is not renamed over another of the same file.
        drop(fs::remove_file(&beside));
        if fs::hard_link(whole, &beside).is_err() {
            // A file system without links, or a file with as many names as it can have.
            fs::copy(whole, &beside).map_err(failed)?;
            let copy = File::open(&beside).map_err(failed)?;
            copy.sync_all().map_err(failed)?;
        }
        let found = fs::symlink_metadata(&beside).map_err(failed)?;
        self.hashed.insert((found.dev(), found.ino()), hash);
        name(&beside, &path, &TREE).map_err(failed)
    }

    /// Removes what belongs there no more, and says what came of all.
    pub(super) fn finish(&mut self) -> Result<Counts> {
        let wanted: BTreeSet<&Place> = self.wanted.keys().collect();
        let old: BTreeSet<Place> = self.listed.iter().map(|(place, _)| place.clone()).collect();
        let old: Vec<Place> = old.into_iter().filter(|it| !wanted.contains(it)).collect();
        for place in &old {
            self.remove(place)?;
        }
        // Names that are not on the disk yet are written again by the next command: once is enough.
        rustix::fs::syncfs(&self.lock).map_err(|e| CliError::io("write", &self.path, &e.into()))?;
        let wanted = self.wanted.iter();
        self.listed = wanted
            .map(|(place, (hash, _))| (place.clone(), *hash))
            .collect();
        self.write_list()?;
        let unfinished = self.path.join(UNFINISHED);
        fs::remove_dir_all(&unfinished).map_err(|e| CliError::io("remove", &unfinished, &e))?;
        let mut counts = std::mem::take(&mut self.counts);
        counts.files = self.wanted.len() as u64;
        counts.size_bytes = self.wanted.values().map(|(_, size)| size).sum();
        Ok(counts)
    }

    fn remove(&mut self, place: &Place) -> Result<()> {
        // A link on the way leads to what is not ours: then nothing of ours is there.
        if self.refuse_links(place).is_err() {
            self.counts.kept.push(place.0.clone());
            return Ok(());
        }
        match self.look(place) {
            Ok(None) => {}
            Ok(Some(found)) if self.listed.contains(&(place.clone(), found)) => {
                let path = self.at(place);
                fs::remove_file(&path).map_err(|e| CliError::io("remove", &path, &e))?;
                self.counts.removed += 1;
            }
            _ => {
                self.counts.kept.push(place.0.clone());
                return Ok(());
            }
        }
        let mut folder = Path::new(&place.0).parent();
        while let Some(empty) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
            // One with something in it stays, and so do those above it.
            if fs::remove_dir(self.path.join(empty)).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    fn write_list(&self) -> Result<()> {
        let text = format!("{LIST_HEAD}\n{}", lines(&self.listed));
        replace(&self.path.join(LIST), text.as_bytes(), MODE, &TREE)
    }

    /// On the disk before a file of it is there. All of the list is written once for each command, so
    /// that a large tree takes no longer for each of its files.
    fn add_to_list(&mut self, new: BTreeSet<(Place, Blake3)>) -> Result<()> {
        let path = self.path.join(LIST);
        let failed = |e| CliError::io("write", &path, &e);
        let mut list = File::options().append(true).open(&path).map_err(failed)?;
        list.write_all(lines(&new).as_bytes()).map_err(failed)?;
        list.sync_data().map_err(failed)?;
        self.listed.extend(new);
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What was not finished takes room on a disk that may have none left. What stays, the next
        // command removes.
        drop(fs::remove_dir_all(self.path.join(UNFINISHED)));
    }
}

fn lines(of: &BTreeSet<(Place, Blake3)>) -> String {
    let lines = of.iter();
    lines
        .map(|(place, hash)| format!("{hash} {}\n", place.0))
        .collect()
}

fn parse_list(bytes: &[u8]) -> Option<BTreeSet<(Place, Blake3)>> {
    // A line without an end was being added when a command was killed: its file is not there yet.
    let end = bytes.iter().rposition(|&byte| byte == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = text.lines();
    if lines.next() != Some(LIST_HEAD) {
        return None;
    }
    lines
        .map(|line| {
            let (hash, place) = line.split_once(' ')?;
            Some((Place::parse(place)?, hash.parse().ok()?))
        })
        .collect()
}

/// Looked at before anything is made, by what of the path is there: links lead where they lead.
fn refuse_inside(path: &Path, taken: &[PathBuf]) -> Result<()> {
    let failed = |e| CliError::io("find the current folder for", path, &e);
    let whole = std::path::absolute(path).map_err(failed)?;
    let mut there = whole.ancestors().filter_map(|at| fs::canonicalize(at).ok());
    let at = there.next().unwrap_or_default();
    let mut taken = taken.iter().filter_map(|of| fs::canonicalize(of).ok());
    match taken.find(|of| at.starts_with(of)) {
        None => Ok(()),
        Some(of) => {
            let message = format!("`{}` is in skep's own `{}`", path.display(), of.display());
            let hint = Hint::new("a folder elsewhere, empty or not there yet");
            Err(CliError::new(Exit::Failed, message, hint))
        }
    }
}

/// A folder with anything in it that has no list is somebody else's.
fn refuse_foreign(path: &Path) -> Result<()> {
    let mut entries = fs::read_dir(path).map_err(|e| CliError::io("look at", path, &e))?;
    let first = entries.find_map(|entry| {
        let name = entry.ok()?.file_name();
        let name = name.to_string_lossy().into_owned();
        // The list was being written for the first time.
        (!name.starts_with(&format!(".{LIST}."))).then_some(name)
    });
    match first {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "`{}` is no tree of skep, and has `{name}` in it",
                path.display()
            );
            let hint = Hint::new("an empty folder, or one that is not there yet");
            Err(CliError::new(Exit::Failed, message, hint))
        }
    }
}

fn foreign(path: &Path) -> CliError {
    let message = format!(
        "`{}` is in the way, and skep did not write it",
        path.display()
    );
    let hint = Hint::new(format!(
        "look at it, then move it away: ls -ld {}",
        quoted(path)
    ));
    CliError::new(Exit::Failed, message, hint)
}

fn make_dirs(root: &Path, place: &Place) -> Result<()> {
    let mut at = root.to_owned();
    let parts: Vec<&str> = place.0.split('/').collect();
    for part in &parts[..DEPTH - 1] {
        at.push(part);
        make_dir(&at)?;
    }
    Ok(())
}

fn make_dir(path: &Path) -> Result<()> {
    let failed = |e| CliError::io("make the folder", path, &e);
    match fs::create_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // Whatever the umask is: who may not enter cannot read what is below.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(DIR_MODE)).map_err(failed),
        Err(e) => Err(failed(e)),
    }
}

fn hash_of(path: &Path) -> std::io::Result<Blake3> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Blake3::from_bytes(*hasher.finalize().as_bytes())),
            n => drop(hasher.update(&chunk[..n])),
        }
    }
}
