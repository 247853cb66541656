//! The versions of a package, newest first, a page at a time.

use skep_proto::control::ReleaseLine;
use skep_proto::repo::view::Package;

use super::super::super::Doors;
use super::super::frame::{day, piece};
use super::super::query::Paging;
use super::address;
use crate::release;
use crate::snapshot::RepoSnapshot;

/// Versions on a page: the log is read for each.
const ROWS_MAX: usize = 25;

pub(super) struct Versions {
    pub(super) rows: Vec<Row>,
    pub(super) all: usize,
    pub(super) paging: Paging,
}

pub(super) struct Row {
    pub(super) version: String,
    pub(super) address: String,
    pub(super) day: String,
    pub(super) is_good: bool,
    /// Words: `listed`, `yanked`, …
    pub(super) state: String,
    /// Why.
    pub(super) because: String,
}

impl Versions {
    pub(super) fn of(
        doors: &Doors,
        repo: &RepoSnapshot,
        package: &Package,
        called: &str,
        page: usize,
    ) -> Self {
        let store = doors.store.as_ref();
        let all = package.releases.len();
        let to = format!(
            "/p/{}/{}?page=",
            piece(called),
            piece(package.name.as_str())
        );
        let paging = Paging::new(page, all, ROWS_MAX, to);
        let shown = package.releases.iter().rev();
        let shown = shown.skip(paging.skipped(ROWS_MAX)).take(ROWS_MAX);
        let rows = shown.map(|(version, found)| {
            let line = ReleaseLine::of(version, found);
            let words = [
                (line.yanked, "yanked"),
                (line.deprecated, "deprecated"),
                (line.suspended, "suspended"),
            ];
            let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
            let mut state = vec![line.state.as_str()];
            state.extend(words);
            let said = release::said(repo, store, package, found);
            let said = said.into_iter().filter(|said| !said.whole_package);
            let reasons: Vec<String> = said.map(|said| said.reason).collect();
            Row {
                version: version.to_string(),
                address: address(called, &package.name, version),
                day: release::published_at(repo, store, found).map_or(String::new(), day),
                is_good: state == ["listed"],
                state: state.join(", "),
                because: reasons.join("; "),
            }
        });
        Self {
            rows: rows.collect(),
            all,
            paging,
        }
    }
}
