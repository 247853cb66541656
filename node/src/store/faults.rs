//! Fault points: where a test can end the process, at every durable step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every point, named after the step that it follows or precedes.
pub const POINTS: &[&str] = &[
    "open.after-sync",
    "open.after-cleanup",
    "open.before-format",
    "follow.before-rename",
    "follow.after-rename",
    "unfollow.after-rename",
    "root.before-fsync",
    "root.before-rename",
    "root.after-rename",
    "append.before-fsync",
    "append.after-entries",
    "append.before-state-fsync",
    "append.before-state-rename",
    "append.after-state-rename",
    "append.after-state",
    "checkpoint.before-fsync",
    "checkpoint.before-rename",
    "checkpoint.after-rename",
    "rewind.before-fsync",
    "rewind.before-rename",
    "rewind.after-rename",
    "exchange.before-fsync",
    "exchange.before-rename",
    "exchange.after-rename",
    "evidence.before-fsync",
    "evidence.before-rename",
    "evidence.after-rename",
    "fact.before-fsync",
    "fact.before-rename",
    "fact.after-rename",
    "forget.after-remove",
    "list.before-rename",
    "list.after-rename",
    "blob.before-group",
    "blob.after-group",
    "blob.before-fsync",
    "blob.before-rename",
    "blob.after-rename",
    "blob.after-sync",
    "import.before-fsync",
    "import.before-rename",
    "import.after-rename",
    "remove.after-remove",
];

/// Nothing, or the point at which the process ends, as by kill -9.
#[derive(Debug, Clone, Default)]
pub struct Faults(Option<Arc<Armed>>);

#[derive(Debug)]
struct Armed {
    point: &'static str,
    /// How many more times the point is passed unharmed.
    left: AtomicU64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no fault point: expected `NAME` or `NAME:N` with N from 1", .0.escape_debug())]
pub struct UnknownPoint(String);

impl Faults {
    pub fn none() -> Self {
        Self::default()
    }

    /// To be called where a point of the store is.
    pub(super) fn hit(&self, point: &'static str) {
        debug_assert!(POINTS.contains(&point), "`{point}` is not listed");
        self.reach(point);
    }

    /// Reads `NAME`, or `NAME:N` for the N-th time that the point is reached, where the name is
    /// one of `points`.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn among(points: &[&'static str], text: &str) -> Result<Self, UnknownPoint> {
        let refuse = || UnknownPoint(text.into());
        let (name, nth) = match text.split_once(':') {
            Some((name, nth)) => (name, nth.parse().map_err(|_| refuse())?),
            None => (text, 1_u64),
        };
        let point = points.iter().find(|point| **point == name);
        let point = point.ok_or_else(refuse)?;
        let left = AtomicU64::new(nth.checked_sub(1).ok_or_else(refuse)?);
        Ok(Self(Some(Arc::new(Armed { point, left }))))
    }

    /// Ends the process, if it is to end here.
    pub fn reach(&self, point: &str) {
        let Some(armed) = &self.0 else {
            return;
        };
        if armed.point != point {
            return;
        }
        let passed = armed
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if passed.is_err() {
            std::process::abort();
        }
    }
}

impl std::str::FromStr for Faults {
    type Err = UnknownPoint;

    /// [`Faults::among`] the points of the store.
    fn from_str(text: &str) -> Result<Self, UnknownPoint> {
        Self::among(POINTS, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_is_not_there_is_refused_rather_than_ignored() {
        for good in [
            "root.before-rename",
            "root.before-rename:1",
            "blob.after-group:40",
        ] {
            assert!(good.parse::<Faults>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "root",
            "root.before-rename:0",
            "root.before-rename:",
            ":1",
            "x:1",
        ] {
            assert_eq!(bad.parse::<Faults>().err(), Some(UnknownPoint(bad.into())));
        }
    }

    #[test]
    fn only_the_point_that_is_named_counts() {
        let faults: Faults = "blob.after-group:3".parse().expect("a point");
        faults.hit("blob.before-group");
        faults.hit("blob.after-group");
        faults.hit("blob.after-group");
        Faults::none().hit("blob.after-group");
        let left = faults.0.expect("armed").left.load(Ordering::SeqCst);
        assert_eq!(left, 0, "the third time would end this process");
    }
}
