//! The same answers without an index: every package is looked at, word by word. Nothing that runs
//! uses it; the index is held against it, in tests for what it finds and in a bench for how fast.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::search::{Document, Field, Filter, HITS_MAX, Page, Query, Sort, Word, words};

use super::index::{Entry, Matches};
use super::rank::{EXACT, Fit, NAMED};

/// [`super::Index::find`], on packages that are in no index.
pub fn find(
    entries: &[Entry],
    query: &Query,
    page: &Page,
    repo_of: &dyn Fn(&RepoRef) -> Option<RepoId>,
) -> Matches {
    let read: Vec<Vec<(Field, String)>> = entries.iter().map(|it| read(&it.document)).collect();
    let all_words: usize = read.iter().map(Vec::len).sum();
    let mut scores = vec![0.0; entries.len()];
    let mut fits: Vec<bool> = entries
        .iter()
        .map(|entry| query.filters.iter().all(|it| holds(it, entry, repo_of)))
        .collect();
    for word in &query.words {
        let counts: Vec<u32> = entries
            .iter()
            .zip(&read)
            .map(|(entry, read)| count(word, entry, read))
            .collect();
        let with = counts.iter().filter(|count| **count > 0).count();
        for (at, count) in counts.into_iter().enumerate() {
            fits[at] &= count > 0;
            let fit = Fit {
                count,
                words: u32::try_from(read[at].len()).unwrap_or(u32::MAX),
                all_words: all_words as u64,
                with,
                all: entries.len(),
            };
            scores[at] += fit.score();
        }
    }
    let typed: Vec<String> = query.words.iter().map(|it| it.parts.concat()).collect();
    let typed = typed.concat();
    let mut found: Vec<(f64, &Entry)> = Vec::new();
    for (at, entry) in entries.iter().enumerate().filter(|(at, _)| fits[*at]) {
        let is_named = entry.document.name.fold().as_str() == typed;
        found.push((scores[at] + if is_named { NAMED } else { 0.0 }, entry));
    }
    let by_name = |a: &Entry, b: &Entry| {
        let names = a.document.name.as_str().cmp(b.document.name.as_str());
        names.then_with(|| a.repo.cmp(&b.repo))
    };
    // Stable, and by name first: what is equal in all else stays in that order.
    found.sort_by(|a, b| by_name(a.1, b.1));
    match page.sort {
        Sort::Best if !query.words.is_empty() => found.sort_by(|a, b| b.0.total_cmp(&a.0)),
        Sort::Newest => found.sort_by_key(|(_, it)| std::cmp::Reverse(it.published_at)),
        Sort::Best | Sort::Name => {}
    }
    let shown = found
        .iter()
        .skip(page.offset)
        .take(page.limit.min(HITS_MAX));
    Matches {
        total: found.len(),
        entries: shown.map(|(_, entry)| (*entry).clone()).collect(),
    }
}

/// Every word of a document with where it stands; the name also as one word.
fn read(document: &Document) -> Vec<(Field, String)> {
    let mut all = Vec::new();
    let name = document.name.as_str();
    if document.name.fold().as_str() != name {
        all.push((Field::Name, document.name.fold().as_str().to_owned()));
    }
    for (field, text) in document.texts() {
        all.extend(words(text).map(|word| (field, word)));
    }
    all
}

/// How much a word counts in a package; 0 if the package does not have it.
fn count(word: &Word, entry: &Entry, read: &[(Field, String)]) -> u32 {
    let counts = |field: Field| !word.in_name || field == Field::Name;
    if let [_, _, ..] = word.parts.as_slice() {
        let stands = entry.document.texts().any(|(field, text)| {
            let text: Vec<String> = words(text).collect();
            counts(field) && text.windows(word.parts.len()).any(|it| it == word.parts)
        });
        if !stands {
            return 0;
        }
    }
    let mut sum = 0;
    for part in &word.parts {
        for (field, found) in read.iter().filter(|(field, _)| counts(*field)) {
            if found == part {
                sum += field.weight() * EXACT;
            } else if !word.whole && found.starts_with(part.as_str()) {
                sum += field.weight();
            }
        }
    }
    sum
}

fn holds(filter: &Filter, entry: &Entry, repo_of: &dyn Fn(&RepoRef) -> Option<RepoId>) -> bool {
    let document = &entry.document;
    let any = |wanted: &[String], has: &[String]| wanted.iter().any(|it| has.contains(it));
    match filter {
        Filter::Hook(hooks) => any(hooks, &document.hooks),
        Filter::Type(types) => any(types, &document.types),
        Filter::License(licenses) => any(licenses, &document.licenses),
        Filter::Arch(arches) => any(arches, &document.arches),
        Filter::Kernel(kernels) => kernels.iter().any(|kernel| document.kernels.have(kernel)),
        Filter::Repo(repos) => repos.iter().any(|repo| repo_of(repo) == Some(entry.repo)),
        Filter::Trusted(trusted) => entry.trusted == *trusted,
    }
}
