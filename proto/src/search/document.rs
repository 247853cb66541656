//! What of a package can be found: the facts of one manifest, bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::kernel::KernelVersion;
use super::words::words;
use crate::name::{Name, Version};
use crate::package::manifest::{Facts, Manifest};

/// Most different words by which one package is found, in the order of [`Document::texts`]: a
/// manifest full of noise must not fill the index of everybody who follows its repository.
pub const WORDS_MAX: usize = 512;
/// Most programs of one package that are looked at: many times what packages have.
pub const PROGRAMS_MAX: usize = 256;

/// The searchable part of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub name: Name,
    pub version: Version,
    pub description: String,
    pub keywords: Vec<String>,
    /// SPDX expression.
    pub license: String,
    /// Identifiers in it, in lower case, sorted.
    pub licenses: Vec<String>,
    /// Where its programs attach, sorted.
    pub hooks: Vec<String>,
    /// Types of its programs, sorted.
    pub types: Vec<String>,
    /// Names of its programs and what they attach to, each once.
    pub programs: Vec<String>,
    /// Architectures that its files are built for, sorted.
    pub arches: Vec<String>,
    pub kernels: Kernels,
}

/// The kernels that it runs on, as its author says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    pub earliest: Option<KernelVersion>,
    pub tested: Vec<KernelVersion>,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Name,
    Keyword,
    Description,
    /// Hooks and program types.
    Hook,
    Program,
    License,
}

impl Field {
    /// How much a word counts there. A name is chosen with care, a description is prose.
    pub fn weight(self) -> u32 {
        match self {
            Self::Name => 8,
            Self::Keyword => 4,
            Self::Hook => 3,
            Self::Program => 2,
            Self::Description | Self::License => 1,
        }
    }
}

impl Document {
    /// Of a manifest, with `facts` where they stand in a file of their own and that is here.
    pub fn of(manifest: &Manifest, facts: Option<&Facts>) -> Self {
        let details = &manifest.details;
        let facts = details.facts.as_ref().or(facts);
        let programs = facts.map_or(&[][..], |facts| &facts.programs);
        let programs = &programs[..programs.len().min(PROGRAMS_MAX)];
        let lower = |text: &String| text.to_lowercase();
        let named = programs.iter().flat_map(|program| {
            let target = program.target.iter();
            std::iter::once(&program.name).chain(target)
        });
        let mut seen = BTreeSet::new();
        let kernel = details.kernel.as_ref();
        let tested = kernel.map_or(&[][..], |kernel| &kernel.tested);
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: details.description.clone(),
            keywords: details.keywords.clone(),
            license: details.license.clone(),
            licenses: license_ids(&details.license),
            hooks: sorted(programs.iter().filter_map(|it| it.hook.as_ref().map(lower))),
            types: sorted(programs.iter().filter_map(|it| it.kind.as_ref().map(lower))),
            programs: exact(named.filter(|it| seen.insert(*it)).cloned()),
            arches: sorted(manifest.files.iter().filter_map(|file| file.arch.clone())),
            kernels: Kernels {
                earliest: kernel.and_then(|it| it.min.as_ref()?.parse().ok()),
                tested: exact(tested.iter().filter_map(|it| it.parse().ok())),
            },
        }
    }

    /// Everything in which words are looked for.
    pub fn texts(&self) -> impl Iterator<Item = (Field, &str)> {
        std::iter::once((Field::Name, self.name.as_str()))
            .chain(all_of(Field::Keyword, &self.keywords))
            .chain(std::iter::once((Field::Description, &*self.description)))
            .chain(all_of(Field::Hook, &self.hooks))
            .chain(all_of(Field::Hook, &self.types))
            .chain(all_of(Field::Program, &self.programs))
            .chain(std::iter::once((Field::License, &*self.license)))
    }

    /// Each word with how much it counts in each field, for at most [`WORDS_MAX`] words.
    pub fn bag(&self) -> BTreeMap<String, BTreeMap<Field, u32>> {
        let mut bag: BTreeMap<String, BTreeMap<Field, u32>> = BTreeMap::new();
        // Names that differ only in `-` and `_` are one name, and found as one.
        let fold = self.name.fold();
        let texts = self.texts().map(|(field, text)| (field, text.to_owned()));
        let fold = std::iter::once((Field::Name, fold.as_str().to_owned()))
            .filter(|(_, fold)| fold != self.name.as_str());
        for (field, text) in fold.chain(texts) {
            for word in words(&text) {
                if bag.len() >= WORDS_MAX && !bag.contains_key(&word) {
                    continue;
                }
                let count = bag.entry(word).or_default().entry(field).or_default();
                *count = count.saturating_add(1);
            }
        }
        bag
    }
}

impl Kernels {
    /// Whether a kernel is no earlier than the earliest one, or one that was tested. Of who says
    /// nothing, nothing is known.
    pub fn have(&self, kernel: &KernelVersion) -> bool {
        let late_enough = self.earliest.as_ref();
        late_enough.is_some_and(|earliest| kernel.is_at_least(earliest))
            || self.tested.iter().any(|tested| tested.fits(kernel))
    }
}

fn all_of(field: Field, texts: &[String]) -> impl Iterator<Item = (Field, &str)> {
    texts.iter().map(move |text| (field, text.as_str()))
}

/// The licenses and exceptions that an SPDX expression names, in lower case.
fn license_ids(expression: &str) -> Vec<String> {
    let Ok(expression) = spdx::Expression::parse(expression) else {
        return Vec::new();
    };
    let requirements = expression.requirements();
    let ids = requirements.flat_map(|it| {
        let addition = it.req.addition.as_ref().map(ToString::to_string);
        std::iter::once(it.req.license.to_string()).chain(addition)
    });
    sorted(ids.map(|id| id.to_lowercase()))
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let texts: BTreeSet<String> = texts.collect();
    exact(texts.into_iter())
}

/// Without the places that a list keeps for what may come: a document is kept as it is.
fn exact<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let items: Box<[T]> = items.collect();
    items.into()
}
