//! The sequence: all entries of registrars that count, in order.
//!
//! It is the logs of the replaced registrars up to where the root document fixes them, then the
//! live one's. It is empty unless every one of them is whole: otherwise whoever withholds or forks
//! a registrar's log would revive what it cut.

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::Sha256;
use crate::key::Key;
use crate::limits::{REGISTRAR_BYTES_MAX, REGISTRAR_ENTRIES_MAX};
use crate::log::entry::Mark;
use crate::repo::chain::{Chain, Link};
use crate::repo::fact::{Fact, LogFacts};

/// A place in the sequence: the number of the registrar in the chain, then the entry in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub registrar: usize,
    pub index: u64,
}

/// A place in a key's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryRef {
    pub key: Key,
    pub index: u64,
}

/// How a log is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogUse {
    /// All that is committed under a whole checkpoint counts.
    Whole,
    /// Entries before `size` count.
    UpTo { size: u64, root: Sha256 },
    /// Only the branch with this root at `size` would count, and it is not held: nothing counts.
    NotHeld { size: u64, root: Sha256 },
    /// It has a proven fork and no cut names a branch: nothing counts.
    Forked,
}

/// Which entries of which registrars count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Every registrar of the latest document, the live one last, and how its log is used.
    pub registrars: Vec<(Key, LogUse)>,
    /// How many entries of each count; all 0 unless the sequence is whole.
    counts: Vec<usize>,
}

impl Sequence {
    /// From the latest document of `chain`; nothing of a chain without documents.
    pub fn of(chain: &Chain, logs: &BTreeMap<Key, LogFacts>, evidence: &BTreeSet<Key>) -> Self {
        let Some(latest) = chain.latest() else {
            return Self::default();
        };
        let cuts = root_cuts(chain.links());
        let (none, document) = (LogFacts::new(), &latest.document);
        let fixed = document.registrars.fixed.iter().map(|mark| {
            let cut = cuts.get(&mark.key).filter(|cut| cut.size < mark.size);
            (mark.key, Some(cut.unwrap_or(mark)))
        });
        let live = document.registrars.live;
        let mut sequence = Self::default();
        for (key, bound) in fixed.chain([(live, cuts.get(&live))]) {
            let log = logs.get(&key).unwrap_or(&none);
            let used = log_use(log, log.len(), bound, evidence.contains(&key));
            sequence.registrars.push((key, used));
            sequence.counts.push(counted(log, used));
        }
        if !sequence.is_whole() {
            sequence.counts.fill(0);
        }
        sequence
    }

    /// Whether every registrar's log is there, as far as it counts, and of one branch.
    pub fn is_whole(&self) -> bool {
        let whole = |used: &LogUse| matches!(used, LogUse::Whole | LogUse::UpTo { .. });
        self.registrars.iter().all(|(_, used)| whole(used))
    }

    /// The entries that count, each with its place and its leaf hash.
    pub fn entries<'a>(
        &'a self,
        logs: &'a BTreeMap<Key, LogFacts>,
    ) -> impl Iterator<Item = (Position, &'a Fact, Sha256)> {
        let each = self.registrars.iter().zip(&self.counts).enumerate();
        each.filter_map(|(registrar, ((key, _), count))| Some((registrar, logs.get(key)?, *count)))
            .flat_map(|(registrar, log, count)| {
                let facts = log.facts().iter().zip(log.leaves()).zip(0_u64..);
                facts
                    .take(count)
                    .map(move |((fact, leaf), index)| (Position { registrar, index }, fact, *leaf))
            })
    }

    /// Where in whose log a position of the sequence is.
    pub fn entry_ref(&self, position: Position) -> Option<EntryRef> {
        let (key, _) = self.registrars.get(position.registrar)?;
        Some(EntryRef {
            key: *key,
            index: position.index,
        })
    }
}

/// The root cut of every key that has one: a later document's replaces an earlier one's.
pub fn root_cuts(links: &[Link]) -> BTreeMap<Key, Mark> {
    let cuts = links.iter().flat_map(|link| &link.document.cuts);
    cuts.map(|cut| (cut.mark.key, cut.mark)).collect()
}

/// What a bound, or evidence without one, makes of the first `held` entries of a log.
pub(crate) fn log_use(log: &LogFacts, held: usize, bound: Option<&Mark>, forked: bool) -> LogUse {
    match bound {
        Some(&Mark { size, root, .. }) if log.matches_within(held, size, root) => {
            LogUse::UpTo { size, root }
        }
        Some(&Mark { size, root, .. }) => LogUse::NotHeld { size, root },
        None if forked => LogUse::Forked,
        None => LogUse::Whole,
    }
}

/// How many entries of a registrar's log count.
fn counted(log: &LogFacts, used: LogUse) -> usize {
    let within = log.within(REGISTRAR_ENTRIES_MAX, REGISTRAR_BYTES_MAX);
    used.of(log, within)
}

impl LogUse {
    /// How many of the first `held` entries of a log count.
    pub(crate) fn of(self, log: &LogFacts, held: usize) -> usize {
        match self {
            Self::Whole => held.min(log.whole()),
            Self::UpTo { size, .. } => held.min(usize::try_from(size).unwrap_or(usize::MAX)),
            Self::NotHeld { .. } | Self::Forked => 0,
        }
    }
}
