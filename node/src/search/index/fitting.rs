//! The packages that fit a query: narrowed by each filter and word, ordered at the end.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Ordering;

use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::search::{Document, Field, Filter, HITS_MAX, Page, Query, Sort, Word, words};

use super::{Index, Matches, Slot};
use crate::search::rank::{EXACT, Fit, NAMED};

/// The packages that fit what was looked at so far.
pub(super) struct Fitting<'a> {
    index: &'a Index,
    /// Ascending.
    slots: Vec<u32>,
    /// Of every slot, so that adding is no search.
    scores: Vec<f64>,
    /// The weighted count of the word that is being looked at.
    counts: Vec<u32>,
}

impl<'a> Fitting<'a> {
    pub(super) fn all(index: &'a Index) -> Self {
        let slots = index.slots.iter().zip(0..);
        Self {
            index,
            slots: slots
                .filter(|(slot, _)| slot.is_some())
                .map(|(_, at)| at)
                .collect(),
            scores: vec![0.0; index.slots.len()],
            counts: vec![0; index.slots.len()],
        }
    }

    pub(super) fn filter(&mut self, filter: &Filter, repo_of: &dyn Fn(&RepoRef) -> Option<RepoId>) {
        match filter {
            Filter::Hook(values) => self.fact("hook", values),
            Filter::Type(values) => self.fact("type", values),
            Filter::License(values) => self.fact("license", values),
            Filter::Arch(values) => self.fact("arch", values),
            Filter::Kernel(kernels) => self.retain(|slot| {
                let mut kernels = kernels.iter();
                kernels.any(|kernel| slot.kernels.have(kernel))
            }),
            Filter::Repo(repos) => {
                let repos: Vec<RepoId> = repos.iter().filter_map(repo_of).collect();
                self.retain(|slot| repos.contains(&slot.repo));
            }
            Filter::Trusted(trusted) => self.retain(|slot| slot.trusted == *trusted),
        }
    }

    fn fact(&mut self, field: &str, values: &[String]) {
        let index = self.index;
        let lists = values.iter().filter_map(|value| {
            let fact = format!("{field}:{value}");
            index.facts.get(fact.as_str())
        });
        let mut having: Vec<u32> = lists.flatten().copied().collect();
        having.sort_unstable();
        self.slots.retain(|slot| having.binary_search(slot).is_ok());
    }

    fn retain(&mut self, fits: impl Fn(&Slot) -> bool) {
        let index = self.index;
        self.slots
            .retain(|slot| index.slot(*slot).is_some_and(&fits));
    }

    pub(super) fn word(&mut self, word: &Word) {
        let index = self.index;
        let mut with: Vec<u32> = Vec::new();
        for (nth, part) in word.parts.iter().enumerate() {
            for (found, postings) in index.beginning_with(part, word.whole) {
                let times = if found == part { EXACT } else { 1 };
                for posting in postings {
                    let count = match word.in_name {
                        true => posting.in_name,
                        false => posting.count,
                    };
                    let at = posting.slot as usize;
                    if count > 0 && self.counts[at] == 0 && nth == 0 {
                        with.push(posting.slot);
                    }
                    // Of several parts only who has the first one can have all.
                    if count > 0 && (nth == 0 || self.counts[at] > 0) {
                        self.counts[at] += u32::from(count) * times;
                    }
                }
            }
        }
        if word.parts.len() > 1 {
            let counts = &mut self.counts;
            with.retain(|slot| {
                let slot_of = index.slot(*slot);
                let stands = slot_of.is_some_and(|it| stands_in(word, &it.document()));
                if !stands {
                    counts[*slot as usize] = 0;
                }
                stands
            });
        }
        for slot in &with {
            let fit = Fit {
                count: self.counts[*slot as usize],
                words: index.slot(*slot).map_or(0, |slot| slot.words),
                all_words: index.all_words,
                with: with.len(),
                all: index.all,
            };
            self.scores[*slot as usize] += fit.score();
        }
        let counts = &mut self.counts;
        self.slots.retain(|slot| counts[*slot as usize] > 0);
        for slot in with {
            counts[slot as usize] = 0;
        }
    }

    pub(super) fn favour_name(&mut self, query: &Query) {
        let typed: String = query
            .words
            .iter()
            .flat_map(|it| &it.parts)
            .cloned()
            .collect();
        let index = self.index;
        for posting in index.words.get(typed.as_str()).into_iter().flatten() {
            let slot = index.slot(posting.slot);
            if slot.is_some_and(|slot| slot.name.fold().as_str() == typed) {
                self.scores[posting.slot as usize] += NAMED;
            }
        }
    }

    pub(super) fn page(self, query: &Query, page: &Page) -> Matches {
        let Self {
            index,
            slots,
            scores,
            ..
        } = self;
        let found = slots
            .iter()
            .filter_map(|slot| Some((scores[*slot as usize], index.slot(*slot)?)));
        let mut found: Vec<(f64, &Slot)> = found.collect();
        let by_name = |a: &Slot, b: &Slot| {
            let names = a.name.as_str().cmp(b.name.as_str());
            names.then_with(|| a.repo.cmp(&b.repo))
        };
        let order = |a: &(f64, &Slot), b: &(f64, &Slot)| -> Ordering {
            let first = match page.sort {
                Sort::Best if !query.words.is_empty() => b.0.total_cmp(&a.0),
                Sort::Newest => b.1.published_at.cmp(&a.1.published_at),
                Sort::Best | Sort::Name => Ordering::Equal,
            };
            first.then_with(|| by_name(a.1, b.1))
        };
        let total = found.len();
        let end = page.offset.saturating_add(page.limit.min(HITS_MAX));
        if end < total {
            // Only what is shown is put in order.
            found.select_nth_unstable_by(end, order);
            found.truncate(end);
        }
        found.sort_unstable_by(order);
        let entries = found.into_iter().skip(page.offset);
        Matches {
            total,
            entries: entries.map(|(_, slot)| slot.entry()).collect(),
        }
    }
}

/// Whether the parts of a word stand beside each other in one text.
fn stands_in(word: &Word, document: &Document) -> bool {
    let mut texts = document.texts();
    texts.any(|(field, text)| {
        let text: Vec<String> = match word.in_name && field != Field::Name {
            true => Vec::new(),
            false => words(text).collect(),
        };
        text.windows(word.parts.len()).any(|it| it == word.parts)
    })
}
