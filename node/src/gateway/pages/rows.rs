//! Rows of a table, as many as a page shows.

/// Most rows of one table: beyond, a person is better served by a command.
const ROWS_MAX: usize = 200;

/// The first rows, and how many there are in all.
pub(super) struct Rows<T> {
    pub(super) shown: Vec<T>,
    pub(super) all: usize,
    /// Why there are none, where that is not because there is nothing.
    pub(super) lacking: Option<String>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            shown: Vec::new(),
            all: 0,
            lacking: None,
        }
    }
}

impl<T> Rows<T> {
    pub(super) fn of(all: impl ExactSizeIterator<Item = T>) -> Self {
        Self {
            all: all.len(),
            shown: all.take(ROWS_MAX).collect(),
            lacking: None,
        }
    }

    pub(super) fn lacking(why: &str) -> Self {
        Self {
            lacking: Some(why.to_owned()),
            ..Self::default()
        }
    }

    /// How many are not shown.
    pub(super) fn more(&self) -> usize {
        self.all - self.shown.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_rows_are_shown_and_the_others_counted() {
        let rows = |count: usize| Rows::of(vec![(); count].into_iter());
        let at = rows(ROWS_MAX);
        assert_eq!((at.shown.len(), at.more()), (ROWS_MAX, 0));
        let past = rows(ROWS_MAX + 1);
        assert_eq!(
            (past.shown.len(), past.all, past.more()),
            (ROWS_MAX, ROWS_MAX + 1, 1)
        );
        assert_eq!(rows(0).more(), 0);
    }
}
