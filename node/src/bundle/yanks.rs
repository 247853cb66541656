//! What is yanked after a .skep file and was not before, and why.

use std::collections::BTreeMap;
use std::fs::File;

use skep_proto::bundle::Carried;
use skep_proto::control::Yanked;
use skep_proto::key::Key;
use skep_proto::log::entry::{Body, Parsed, parse};
use skep_proto::log::tree;
use skep_proto::repo::sequence::EntryRef;
use skep_proto::repo::view::{Package, Release, View};

use super::commit::read;
use crate::release;
use crate::snapshot::RepoSnapshot;
use crate::store::Store;

/// Most reasons in one answer, which has a frame's length: together they have at most a mebibyte, and
/// each is an entry that is read. Of what is yanked beyond, `skep info` says why.
const REASONS_MAX: usize = 2_048;

/// What the later view calls yanked, and the earlier one does not.
pub(super) fn yanked(
    after: &View,
    before: Option<&View>,
    mut reasons: impl FnMut(&Package, &Release) -> Vec<String>,
) -> Vec<Yanked> {
    let mut yanked = Vec::new();
    let mut left = REASONS_MAX;
    for package in after.packages.values() {
        for (version, release) in &package.releases {
            let before = before.and_then(|before| before.package(&package.name));
            let before = before.and_then(|package| package.releases.get(version));
            if release.yanked.on && !before.is_some_and(|release| release.yanked.on) {
                let reasons = match left {
                    0 => Vec::new(),
                    _ => reasons(package, release),
                };
                yanked.push(Yanked {
                    name: package.name.clone(),
                    version: version.clone(),
                    reasons: within(&mut left, reasons),
                });
            }
        }
    }
    yanked
}

/// As many of these reasons as there is room for.
fn within(left: &mut usize, mut reasons: Vec<String>) -> Vec<String> {
    reasons.truncate(*left);
    *left -= reasons.len();
    reasons
}

/// Why a release is yanked, by entries that are held.
pub(super) fn held_reasons(
    repo: &RepoSnapshot,
    store: &dyn Store,
    package: &Package,
    release: &Release,
) -> Vec<String> {
    let said = release::said(repo, store, package, release).into_iter();
    let yanks = said.filter(|said| said.state == "yanked");
    yanks.map(|said| said.reason).collect()
}

/// The entries of a repository in a file that was proven.
pub(super) struct InFile<'a> {
    file: &'a File,
    carried: &'a Carried,
    /// Where the frame of each entry begins in its log: added up once for each log.
    starts: BTreeMap<Key, Vec<u64>>,
}

impl<'a> InFile<'a> {
    pub(super) fn new(file: &'a File, carried: &'a Carried) -> Self {
        Self {
            file,
            carried,
            starts: BTreeMap::new(),
        }
    }

    /// Why a release is yanked. What can no longer be read is left out.
    pub(super) fn reasons(&mut self, release: &Release) -> Vec<String> {
        let because = release.yanked.because.iter();
        because.filter_map(|at| self.reason(at)).collect()
    }

    fn reason(&mut self, at: &EntryRef) -> Option<String> {
        let log = self.carried.logs.get(&at.key)?;
        let lengths = log.facts.lengths();
        let starts = self.starts.entry(at.key).or_insert_with(|| {
            let frames = lengths.iter().scan(0, |next, length| {
                let start = *next;
                *next += 2 + u64::from(*length);
                Some(start)
            });
            frames.collect()
        });
        let index = usize::try_from(at.index).ok()?;
        let mut entry = vec![0; usize::try_from(*lengths.get(index)?).ok()?];
        read(self.file, &mut entry, log.offset + starts.get(index)? + 2).ok()?;
        // The file may have changed since it was proven.
        let is_it = log.facts.leaves().get(index) == Some(&tree::leaf(&entry));
        match parse(&entry) {
            Parsed::Entry(entry) if is_it => match entry.body {
                Body::Status(status) => Some(status.reason),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_reasons_are_given_and_no_more() {
        let reasons = |count| vec!["it drops all".to_owned(); count];
        let mut left = REASONS_MAX;
        assert_eq!(within(&mut left, reasons(REASONS_MAX)).len(), REASONS_MAX);
        assert_eq!(within(&mut left, reasons(1)), [""; 0]);
        let mut left = REASONS_MAX;
        assert_eq!(
            within(&mut left, reasons(REASONS_MAX + 1)).len(),
            REASONS_MAX
        );
        assert_eq!(left, 0);
    }
}
