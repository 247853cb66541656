//! What stands behind the `?` of a page's address.

use axum::http::Uri;

/// Highest page that is asked for: beyond any list.
const PAGE_MAX: usize = 1_000_000;

/// The known keys; others are ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `q`, as it was typed: no longer than the head of a request.
    pub(super) text: String,
    /// `page`, from 1 on.
    pub(super) page: usize,
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let mut query = Self {
            page: 1,
            ..Self::default()
        };
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        for (key, value) in pairs {
            match key.as_ref() {
                "q" => query.text = value.into_owned(),
                "page" => {
                    let page = value.parse().unwrap_or(1);
                    query.page = usize::clamp(page, 1, PAGE_MAX);
                }
                _ => {}
            }
        }
        query
    }
}

/// A stretch of a list, and the way to its neighbours.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) page: usize,
    pub(super) pages: usize,
    /// Address up to the number of the page.
    pub(super) to: String,
}

impl Paging {
    /// Page `page` of a list of `all` in pages of `rows`; one beyond the end is the last.
    pub(super) fn new(page: usize, all: usize, rows: usize, to: String) -> Self {
        let pages = all.div_ceil(rows).max(1);
        let page = page.clamp(1, pages);
        Self { page, pages, to }
    }

    /// How many stand before this page.
    pub(super) fn skipped(&self, rows: usize) -> usize {
        (self.page - 1) * rows
    }

    pub(super) fn previous(&self) -> Option<usize> {
        (self.page > 1).then(|| self.page - 1)
    }

    pub(super) fn next(&self) -> Option<usize> {
        (self.page < self.pages).then(|| self.page + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/search?{text}").parse().expect("an address"))
    }

    #[test]
    fn known_keys_are_read_and_others_ignored() {
        let read = query("q=hook%3Axdp+drop&page=3&x=%00&q2=no");
        assert_eq!((read.text.as_str(), read.page), ("hook:xdp drop", 3));
        assert_eq!(query("page=0").page, 1);
        assert_eq!(query("page=-1").page, 1);
        assert_eq!(query("page=99999999999999999999999").page, 1);
        assert_eq!(query("page=2000000").page, PAGE_MAX);
        assert_eq!(query("q=%ff").text, "\u{fffd}");
        assert_eq!(query("").text, "");
    }

    #[test]
    fn pages_have_neighbours() {
        let paging = |page, all| Paging::new(page, all, 10, String::new());
        assert_eq!(paging(1, 0).pages, 1);
        assert_eq!(paging(1, 10).next(), None);
        assert_eq!(paging(1, 11).next(), Some(2));
        assert_eq!(paging(9, 11).page, 2);
        assert_eq!(
            (paging(2, 11).previous(), paging(2, 11).skipped(10)),
            (Some(1), 10)
        );
    }
}
