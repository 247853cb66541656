//! The index: which packages have a word or a fact. In memory, made anew at start.
//!
//! Words and facts lead to the packages that have them. Nothing is kept of a package but its
//! document, packed: what is to be taken out follows from it again.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod fitting;

use std::collections::BTreeMap;

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, RepoRef, Version};
use skep_proto::search::{Document, Field, Kernels, Page, Query};

use super::packed::Packed;
use fitting::Fitting;

/// Room for the index, in bytes as [`weight_of`] counts them: some hundred thousand packages as they
/// are, and an end to what the publishers of a followed repository can make a node hold.
pub const INDEX_BYTES_MAX: usize = 128 << 20;

/// A package, and the release that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub repo: RepoId,
    pub manifest: Sha256,
    pub document: Document,
    /// Unix seconds, as the publisher claims.
    pub published_at: u64,
    pub deprecated: bool,
    pub trusted: bool,
}

/// There is no room for one more package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// All packages that can be found.
#[derive(Debug)]
pub struct Index {
    /// Boxed: a list of them grows by doubling, and half of it may be empty.
    slots: Vec<Option<Box<Slot>>>,
    free: Vec<u32>,
    places: BTreeMap<RepoId, BTreeMap<Name, u32>>,
    words: BTreeMap<Box<str>, Vec<Posting>>,
    /// `hook:xdp` and the like.
    facts: BTreeMap<Box<str>, Vec<u32>>,
    all: usize,
    all_words: u64,
    bytes: usize,
    bytes_max: usize,
}

/// An [`Entry`] as it is kept.
#[derive(Debug)]
struct Slot {
    repo: RepoId,
    manifest: Sha256,
    name: Name,
    version: Version,
    kernels: Kernels,
    packed: Packed,
    published_at: u64,
    deprecated: bool,
    trusted: bool,
    words: u32,
    bytes: usize,
}

impl Slot {
    fn document(&self) -> Document {
        let (name, version) = (self.name.clone(), self.version.clone());
        self.packed.read(name, version, self.kernels.clone())
    }

    fn entry(&self) -> Entry {
        Entry {
            repo: self.repo,
            manifest: self.manifest,
            document: self.document(),
            published_at: self.published_at,
            deprecated: self.deprecated,
            trusted: self.trusted,
        }
    }
}

/// A package that has a word.
#[derive(Debug, Clone, Copy)]
struct Posting {
    slot: u32,
    /// Its weighted count, in all fields and in the name.
    count: u16,
    in_name: u16,
}

/// What was found, best first, and how many there are in all.
#[derive(Debug)]
pub struct Matches {
    pub total: usize,
    pub entries: Vec<Entry>,
}

impl Index {
    /// An empty one.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            words: BTreeMap::new(),
            facts: BTreeMap::new(),
            all: 0,
            all_words: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// How many packages are in it.
    pub fn len(&self) -> usize {
        self.all
    }

    pub fn is_empty(&self) -> bool {
        self.all == 0
    }

    /// What it takes, as the room for it is counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many different words are in it.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Whether a package is in it with this very release.
    pub fn has(&self, repo: &RepoId, name: &Name, version: &Version, manifest: &Sha256) -> bool {
        let slot = self.places.get(repo).and_then(|it| it.get(name));
        let slot = slot.and_then(|slot| self.slot(*slot));
        slot.is_some_and(|slot| slot.version == *version && slot.manifest == *manifest)
    }

    /// The packages of a repository, in order.
    pub fn of_repo(&self, repo: &RepoId) -> impl Iterator<Item = &Name> {
        self.places.get(repo).into_iter().flat_map(BTreeMap::keys)
    }

    pub fn repos(&self) -> impl Iterator<Item = &RepoId> {
        self.places.keys()
    }

    /// Puts a package in, in place of what is there under its name.
    pub fn insert(&mut self, entry: Entry) -> Result<(), Full> {
        self.remove(&entry.repo, &entry.document.name);
        let bag = entry.document.bag();
        let facts = facts(&entry.document);
        let packed = Packed::of(&entry.document);
        let bytes = weight_of(&packed, bag.keys(), &facts);
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            return Err(Full);
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => u32::try_from(self.slots.len()).map_err(|_| Full)?,
        };
        let mut all_words = 0_u32;
        for (word, fields) in bag {
            let weighed = |only: Option<Field>| {
                let fields = fields
                    .iter()
                    .filter(|(field, _)| only.is_none_or(|it| it == **field));
                let sum: u32 = fields.fold(0, |sum, (field, count)| {
                    sum.saturating_add(field.weight().saturating_mul(*count))
                });
                u16::try_from(sum).unwrap_or(u16::MAX)
            };
            let posting = Posting {
                slot,
                count: weighed(None),
                in_name: weighed(Some(Field::Name)),
            };
            all_words = fields
                .values()
                .fold(all_words, |sum, count| sum.saturating_add(*count));
            let postings = self.words.entry(word.into()).or_default();
            let at = postings.partition_point(|it| it.slot < slot);
            postings.insert(at, posting);
        }
        for fact in facts {
            let slots = self.facts.entry(fact.into()).or_default();
            let at = slots.partition_point(|it| *it < slot);
            slots.insert(at, slot);
        }
        let places = self.places.entry(entry.repo).or_default();
        places.insert(entry.document.name.clone(), slot);
        self.all += 1;
        self.all_words += u64::from(all_words);
        self.bytes += bytes;
        let made = Box::new(Slot {
            repo: entry.repo,
            manifest: entry.manifest,
            name: entry.document.name,
            version: entry.document.version,
            kernels: entry.document.kernels,
            packed,
            published_at: entry.published_at,
            deprecated: entry.deprecated,
            trusted: entry.trusted,
            words: all_words,
            bytes,
        });
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(made),
            None => self.slots.push(Some(made)),
        }
        Ok(())
    }

    /// Takes a package out.
    pub fn remove(&mut self, repo: &RepoId, name: &Name) {
        let Some(slot) = self.places.get_mut(repo).and_then(|it| it.remove(name)) else {
            return;
        };
        if self.places.get(repo).is_some_and(BTreeMap::is_empty) {
            self.places.remove(repo);
        }
        let Some(gone) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        let document = gone.document();
        for word in document.bag().into_keys() {
            if let Some(postings) = self.words.get_mut(word.as_str()) {
                postings.retain(|it| it.slot != slot);
                if postings.is_empty() {
                    self.words.remove(word.as_str());
                }
            }
        }
        for fact in facts(&document) {
            if let Some(slots) = self.facts.get_mut(fact.as_str()) {
                slots.retain(|it| *it != slot);
                if slots.is_empty() {
                    self.facts.remove(fact.as_str());
                }
            }
        }
        self.all -= 1;
        self.all_words -= u64::from(gone.words);
        self.bytes -= gone.bytes;
        self.free.push(slot);
    }

    /// Gives back the spare places of lists that grew: they double, and most stay as they are.
    pub fn shrink(&mut self) {
        self.words.values_mut().for_each(Vec::shrink_to_fit);
        self.facts.values_mut().for_each(Vec::shrink_to_fit);
        self.slots.shrink_to_fit();
    }

    /// What can change while a release stays: no word and no fact.
    pub fn mark(&mut self, repo: &RepoId, name: &Name, trusted: bool, deprecated: bool) {
        let slot = self.places.get(repo).and_then(|it| it.get(name));
        let slot = slot.and_then(|slot| self.slots.get_mut(*slot as usize)?.as_mut());
        if let Some(slot) = slot {
            slot.trusted = trusted;
            slot.deprecated = deprecated;
        }
    }

    /// The packages that fit. `repo_of` says which repository an alias means.
    pub fn find(
        &self,
        query: &Query,
        page: &Page,
        repo_of: &dyn Fn(&RepoRef) -> Option<RepoId>,
    ) -> Matches {
        let mut fitting = Fitting::all(self);
        for filter in &query.filters {
            fitting.filter(filter, repo_of);
        }
        for word in &query.words {
            fitting.word(word);
        }
        fitting.favour_name(query);
        fitting.page(query, page)
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_deref()
    }
}

impl Index {
    /// The words that begin with `part`, or that one alone.
    fn beginning_with<'s>(
        &'s self,
        part: &'s str,
        whole: bool,
    ) -> impl Iterator<Item = (&'s str, &'s [Posting])> {
        let from = (std::ops::Bound::Included(part), std::ops::Bound::Unbounded);
        let words = self.words.range::<str, _>(from);
        words
            .take_while(move |(word, _)| match whole {
                true => ***word == *part,
                false => word.starts_with(part),
            })
            .map(|(word, postings)| (&**word, postings.as_slice()))
    }
}

/// The facts of a package that are asked for by their value.
fn facts(document: &Document) -> Vec<String> {
    let of = |field: &'static str, values: &[String]| -> Vec<String> {
        values
            .iter()
            .map(|value| format!("{field}:{value}"))
            .collect()
    };
    [
        of("hook", &document.hooks),
        of("type", &document.types),
        of("license", &document.licenses),
        of("arch", &document.arches),
    ]
    .concat()
}

/// What one package takes, in bytes: its texts, and a posting and perhaps a word of its own for each
/// word.
fn weight_of<'a>(
    packed: &Packed,
    words: impl Iterator<Item = &'a String>,
    facts: &[String],
) -> usize {
    let words: usize = words.map(|word| word.len() + WORD_BYTES).sum();
    let facts: usize = facts.iter().map(|fact| fact.len() + WORD_BYTES).sum();
    size_of::<Slot>() + packed.len() + words + facts
}

/// What a word takes besides its letters: an entry of the tree, a list and a posting in it.
const WORD_BYTES: usize = size_of::<Box<str>>() + size_of::<Vec<Posting>>() + size_of::<Posting>();
