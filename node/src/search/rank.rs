//! How well a package fits a word: BM25 over fields.
//!
//! How often a word stands in each field is weighed before it is counted (BM25F with one length for
//! all fields), so a word in a name outdoes many in a description, and rare words outdo common ones.
//! All of it follows from the packages in the index alone: two nodes that know the same rank alike.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Where a word has said half of what it can: above the weight of one word in a name, so that names
/// still differ from each other.
const SATURATION: f64 = 8.0;
/// How much a long description takes from each of its words; the usual value.
const LENGTH: f64 = 0.75;
/// A word as it was typed counts so many times one that only begins with it.
pub(super) const EXACT: u32 = 2;
/// What a package gains whose name is what was typed: more than any words can give, of which there
/// are at most sixteen.
pub(super) const NAMED: f64 = 1_000.0;

/// Of one word in one package.
pub(super) struct Fit {
    /// Its weighted count.
    pub(super) count: u32,
    /// Words of this package, of all packages together.
    pub(super) words: u32,
    pub(super) all_words: u64,
    /// Packages with the word, and all.
    pub(super) with: usize,
    pub(super) all: usize,
}

impl Fit {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub(super) fn score(&self) -> f64 {
        let (with, all) = (self.with as f64, self.all as f64);
        let rare = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
        let mean = (self.all_words as f64 / all).max(1.0);
        let length = 1.0 - LENGTH + LENGTH * f64::from(self.words) / mean;
        let count = f64::from(self.count);
        rare * count * (SATURATION + 1.0) / (count + SATURATION * length)
    }
}
