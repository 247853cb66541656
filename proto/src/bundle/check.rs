//! Everything that is proven of a .skep file before anything of it is taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::GroupList;
use crate::claimed::Verified;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::{PROOF_HASHES_MAX, REGISTRAR_BYTES_MAX, REGISTRAR_ENTRIES_MAX};
use crate::repo::chain::{Chain, Outcome, State};
use crate::repo::fact::LogFacts;
use crate::repo::root::SignedRoot;
use crate::repo::sequence::LogUse;
use crate::repo::view::View;

use super::contents::{Item, LogPart, Place};
use super::logs::{ENTRIES_MAX, Frames, Log};
use super::releases::{Blob, Found, Release};
use super::stream::{Sink, Stream};
use super::{Error, document};

/// A .skep file that is being read.
#[derive(Debug, Clone)]
pub struct Check {
    stream: Stream,
    state: Reading,
}

/// A .skep file that holds what it says.
#[derive(Debug)]
pub struct Checked {
    pub repos: BTreeMap<RepoId, Carried>,
    /// In the order of the file.
    pub blobs: Vec<Blob>,
    /// Of the whole file.
    pub size_bytes: u64,
}

/// What a .skep file has of a repository.
#[derive(Debug)]
pub struct Carried {
    pub chain: Chain,
    pub logs: BTreeMap<Key, Log>,
    /// What follows from these logs alone.
    pub view: View,
    /// Whole in the file.
    pub releases: Vec<Release>,
    /// The latest time at which an entry in the file says that it was written, in unix seconds.
    pub claimed_at: u64,
}

/// A repository while its files come.
#[derive(Debug, Clone)]
struct Begun {
    chain: Chain,
    logs: BTreeMap<Key, Log>,
    claimed_at: u64,
}

#[derive(Debug, Clone)]
struct Reading {
    expected: BTreeSet<RepoId>,
    repos: BTreeMap<RepoId, Begun>,
    found: Found,
    entries: u64,
    /// A small file, whole before it is looked at.
    small: Vec<u8>,
    /// The entries that are being read.
    frames: Frames,
    current: Option<Item>,
}

impl Check {
    /// Of a file that may be of these repositories and of no others; of any if there are none.
    pub fn new(expected: BTreeSet<RepoId>) -> Self {
        Self {
            stream: Stream::new(),
            state: Reading {
                expected,
                repos: BTreeMap::new(),
                found: Found::default(),
                entries: 0,
                small: Vec::new(),
                frames: Frames::default(),
                current: None,
            },
        }
    }

    /// Takes the next bytes, in pieces of any length.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.push(bytes, &mut self.state)
    }

    /// How long the file is, once its contents are known.
    pub fn size_bytes(&self) -> Option<u64> {
        self.stream.size_bytes()
    }

    /// There are no more bytes.
    pub fn finish(self) -> Result<Checked, Error> {
        self.stream.finish()?;
        let size_bytes = self.stream.size_bytes().unwrap_or_default();
        let Reading { repos, found, .. } = self.state;
        let mut carried = BTreeMap::new();
        for (repo, begun) in repos {
            carried.insert(repo, begun.close(&repo, &found)?);
        }
        found.check_extra(carried.values().flat_map(|repo: &Carried| &repo.releases))?;
        Ok(Checked {
            repos: carried,
            blobs: found.blobs,
            size_bytes,
        })
    }
}

impl Sink for Reading {
    fn contents(&mut self, items: &[Item]) -> Result<(), Error> {
        let repos: BTreeSet<RepoId> = items
            .iter()
            .filter_map(|item| match item.place {
                Place::Document { repo, .. } | Place::Log { repo, .. } => Some(repo),
                Place::Blob(_) => None,
            })
            .collect();
        if repos.is_empty() {
            return Err(Error::NoRepository);
        }
        self.found.promise(items);
        let others: Vec<RepoId> = repos.difference(&self.expected).copied().collect();
        match self.expected.is_empty() || others.is_empty() {
            true => Ok(()),
            false => Err(Error::NotExpected(others)),
        }
    }

    fn begin(&mut self, item: &Item, offset: u64) -> Result<(), Error> {
        self.small.clear();
        self.frames = Frames::default();
        self.current = Some(*item);
        match item.place {
            Place::Log {
                part: LogPart::Entries,
                ..
            } => {
                let log = self.log(item)?;
                (log.offset, log.size_bytes) = (offset, item.size);
            }
            Place::Blob(hash) => self.found.begin(&hash, item.size, offset),
            Place::Document { .. } | Place::Log { .. } => {}
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(item) = self.current else {
            return Ok(());
        };
        match item.place {
            Place::Log {
                repo,
                key,
                part: LogPart::Entries,
            } => self.entries(&repo, &key, &item, bytes)?,
            Place::Blob(_) => self.found.bytes(bytes),
            Place::Document { .. } | Place::Log { .. } => self.small.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn end(&mut self, item: &Item, list: Verified<GroupList>) -> Result<(), Error> {
        match item.place {
            Place::Document { repo, version } => self.document(&repo, version, item),
            Place::Log { repo, key, part } => match part {
                LogPart::Checkpoint => self.checkpoint(&repo, &key, item),
                LogPart::Entries if self.frames.is_over() => Ok(()),
                LogPart::Entries => Err(Error::Frames(item.place.path())),
                LogPart::Proof => self.proof(item),
            },
            Place::Blob(hash) => self.found.end(&hash, list),
        }
    }
}

impl Reading {
    /// A root document: the next one of its repository's chain, with the signatures that count and no
    /// others.
    fn document(&mut self, repo: &RepoId, version: u64, item: &Item) -> Result<(), Error> {
        let path = || item.place.path();
        let signed = document::read(&self.small).ok_or_else(|| Error::Document(path()))?;
        let chain = match self.repos.remove(repo) {
            Some(begun) => begun.chain,
            None => Chain::new(*repo, None),
        };
        if version != chain.links().len() as u64 + 1 {
            return Err(Error::Gap(path()));
        }
        let chain = extended(chain, signed.clone(), item)?;
        let link = chain
            .latest()
            .filter(|link| link.document.version == version);
        let link = link.ok_or_else(|| Error::Gap(path()))?;
        if link.signed != signed {
            return Err(Error::Signatures(path()));
        }
        let begun = Begun {
            chain,
            logs: BTreeMap::new(),
            claimed_at: 0,
        };
        self.repos.insert(*repo, begun);
        Ok(())
    }

    fn checkpoint(&mut self, repo: &RepoId, key: &Key, item: &Item) -> Result<(), Error> {
        let begun = self.repos.get_mut(repo);
        let begun = begun.ok_or_else(|| Error::Apart(item.place.path()))?;
        let log = Log::begin(&self.small, repo, key, &begun.chain, item)?;
        begun.logs.insert(*key, log);
        Ok(())
    }

    /// The log whose checkpoint came before.
    fn log(&mut self, item: &Item) -> Result<&mut Log, Error> {
        let log = match &item.place {
            Place::Log { repo, key, .. } => self
                .repos
                .get_mut(repo)
                .and_then(|begun| begun.logs.get_mut(key)),
            _ => None,
        };
        log.ok_or_else(|| Error::Apart(item.place.path()))
    }

    fn entries(
        &mut self,
        repo: &RepoId,
        key: &Key,
        item: &Item,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let begun = self.repos.get_mut(repo);
        let begun = begun.ok_or_else(|| Error::Apart(item.place.path()))?;
        let (entries_max, bytes_max) = limits(&begun.chain, key);
        let latest = &mut begun.claimed_at;
        let log = begun.logs.get_mut(key);
        let log = log.ok_or_else(|| Error::Apart(item.place.path()))?;
        let (found, count) = (&mut self.found, &mut self.entries);
        self.frames.push(bytes, |entry| {
            *count += 1;
            if *count > ENTRIES_MAX {
                return Err(Error::TooManyEntries);
            }
            log.facts.push(repo, entry);
            if log.facts.len() as u64 > entries_max || log.facts.bytes() > bytes_max {
                return Err(Error::LogTooLong(item.place.path()));
            }
            *latest = found.entry(repo, entry)?.max(*latest);
            Ok(())
        })
    }

    fn proof(&mut self, item: &Item) -> Result<(), Error> {
        let (hashes, rest) = self.small.as_chunks::<32>();
        let hashes: Vec<Sha256> = hashes
            .iter()
            .map(|hash| Sha256::from_bytes(*hash))
            .collect();
        // One without hashes would be a file that says nothing.
        if !rest.is_empty() || hashes.is_empty() || hashes.len() > PROOF_HASHES_MAX {
            return Err(Error::Entries(item.place.path()));
        }
        self.log(item)?.proof = hashes;
        Ok(())
    }
}

impl Begun {
    /// What follows, once all logs are here.
    fn close(self, repo: &RepoId, found: &Found) -> Result<Carried, Error> {
        let Self {
            chain,
            mut logs,
            claimed_at,
        } = self;
        for (key, log) in &mut logs {
            if !log.close() {
                return Err(entries_error(repo, key));
            }
        }
        let taken = logs.iter_mut();
        let taken = taken.map(|(key, log)| (*key, std::mem::take(&mut log.facts)));
        let mut facts: BTreeMap<Key, LogFacts> = taken.collect();
        let view = View::compute(&chain, &facts, &BTreeSet::new());
        for (key, log) in &mut logs {
            log.facts = facts.remove(key).unwrap_or_default();
        }
        let view = view.filter(|view| view.authority.sequence.is_whole());
        let view = view.ok_or(Error::NoView(*repo))?;
        for (key, log) in &logs {
            let used = use_of(&view, key).ok_or(Error::Unadmitted(*repo, *key))?;
            let held = log.facts.len() as u64;
            let as_it_counts = match used {
                LogUse::Whole => held == log.checkpoint.size,
                // What comes after a cut counts for nothing, and is not carried.
                LogUse::UpTo { size, .. } => held == size,
                LogUse::NotHeld { .. } | LogUse::Forked => false,
            };
            if !as_it_counts {
                return Err(entries_error(repo, key));
            }
        }
        Ok(Carried {
            releases: found.releases(repo, &view),
            chain,
            logs,
            view,
            claimed_at,
        })
    }
}

/// How the log of a key is used: a registrar's as the sequence says.
pub fn use_of(view: &View, key: &Key) -> Option<LogUse> {
    let registrars = &view.authority.sequence.registrars;
    let of_registrar = registrars.iter().find(|(registrar, _)| registrar == key);
    let of_registrar = of_registrar.map(|(_, used)| *used);
    of_registrar.or_else(|| view.logs.get(key).copied())
}

fn entries_error(repo: &RepoId, key: &Key) -> Error {
    let part = LogPart::Entries;
    let place = Place::Log {
        repo: *repo,
        key: *key,
        part,
    };
    Error::Entries(place.path())
}

fn extended(mut chain: Chain, signed: SignedRoot, item: &Item) -> Result<Chain, Error> {
    let path = item.place.path();
    let outcome = chain.accept(signed).map_err(|source| Error::Chain {
        path: path.clone(),
        source,
    })?;
    match (outcome, chain.state()) {
        (Outcome::Extended, State::Ok) => Ok(chain),
        _ => Err(Error::Gap(path)),
    }
}

/// Most entries and bytes of a log, as a node has them.
fn limits(chain: &Chain, key: &Key) -> (u64, u64) {
    let registrars = chain.latest().map(|link| &link.document.registrars);
    let is_registrar = registrars.is_some_and(|registrars| {
        registrars.live == *key || registrars.fixed.iter().any(|mark| mark.key == *key)
    });
    if is_registrar {
        return (REGISTRAR_ENTRIES_MAX, REGISTRAR_BYTES_MAX);
    }
    let first = chain.links().first().map(|link| link.document.limits);
    let limits = first.unwrap_or_default();
    (limits.entries_per_log, limits.bytes_per_log)
}
