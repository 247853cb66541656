//! What the gateway refused last: its clients do not show it to anybody, so `node status` and
//! `doctor` do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use skep_proto::control;

/// How many are remembered: what fits a screen.
const REMEMBERED_MAX: usize = 20;
/// Longest path that is remembered, in bytes.
const PATH_LEN_MAX: usize = 512;

/// Longest reason, in bytes: a list of fifty names.
const WHY_LEN_MAX: usize = 4_096;
/// Refusals that are logged as warnings in a minute: more are no news to an operator, and whoever
/// can ask could fill the disk with them.
const WARNINGS_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Why a request is answered with nothing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
    /// The line to type, or other advice.
    pub(crate) hint: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, why: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut why = why.into();
        if why.len() > WHY_LEN_MAX {
            why.truncate(why.floor_char_boundary(WHY_LEN_MAX));
            why.push('…');
        }
        Self {
            status,
            why,
            hint: hint.into(),
        }
    }
}

/// What was refused last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Newest first.
    last: VecDeque<control::GatewayRefusal>,
    /// The minute in which warnings are counted, and how many there were.
    minute: Option<(Instant, u32)>,
}

impl Inner {
    /// Whether one more warning may be logged.
    fn is_loud(&mut self, now: Instant) -> bool {
        let (begun, count) = match self.minute {
            Some((begun, count)) if now.duration_since(begun) < MINUTE => (begun, count),
            _ => (now, 0),
        };
        self.minute = Some((begun, count.saturating_add(1)));
        if count == WARNINGS_MAX {
            tracing::warn!("many requests are refused: more of them in this minute are not logged");
        }
        count < WARNINGS_MAX
    }
}

impl Refusals {
    /// Logs one and remembers it; the same again is counted.
    pub(super) fn add(&self, path: &str, refused: &Refused) {
        let path: String = path.chars().take(PATH_LEN_MAX).collect();
        let path = skep_proto::text::harmless(&path);
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, why, hint) = (refused.status.as_u16(), &refused.why, &refused.hint);
        match inner.is_loud(Instant::now()) {
            true => tracing::warn!(path = %path, status, why, hint, "refused l3afd"),
            false => tracing::debug!(path = %path, status, why, hint, "refused l3afd"),
        }
        let all = &mut inner.last;
        let same = |old: &control::GatewayRefusal| old.path == path && old.why == refused.why;
        let times = match all.iter().position(same) {
            Some(at) => all.remove(at).map_or(0, |old| old.times),
            None => 0,
        };
        all.push_front(control::GatewayRefusal {
            path,
            status: refused.status.as_u16(),
            why: refused.why.clone(),
            hint: refused.hint.clone(),
            times: times + 1,
            last_s: crate::unix_s(),
        });
        all.truncate(REMEMBERED_MAX);
    }

    pub(crate) fn all(&self) -> Vec<control::GatewayRefusal> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(why: &str) -> Refused {
        Refused {
            status: StatusCode::FORBIDDEN,
            why: why.to_owned(),
            hint: String::new(),
        }
    }

    #[test]
    fn the_last_ones_are_remembered_and_the_same_are_counted() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            refusals.add("/a", &refused("no"));
        }
        refusals.add("/b", &refused("no"));
        refusals.add("/a", &refused("no"));
        let seen: Vec<(String, u64)> = refusals
            .all()
            .into_iter()
            .map(|r| (r.path, r.times))
            .collect();
        assert_eq!(seen, [("/a".to_owned(), 4), ("/b".to_owned(), 1)]);
        for n in 0..=REMEMBERED_MAX {
            refusals.add(&format!("/{n}"), &refused("no"));
        }
        let all = refusals.all();
        assert_eq!((all.len(), all[0].path.as_str()), (REMEMBERED_MAX, "/20"));
    }

    #[test]
    fn a_path_is_shown_harmless_and_short() {
        let refusals = Refusals::default();
        refusals.add(&format!("/\u{1b}[31m{}", "x".repeat(9_999)), &refused("no"));
        let path = &refusals.all()[0].path;
        assert!(!path.contains('\u{1b}') && path.len() < 2_000);
    }

    #[test]
    fn warnings_are_few_in_a_minute() {
        let mut inner = Inner::default();
        let begun = Instant::now();
        let loud = |inner: &mut Inner, after| {
            let said = (0..=WARNINGS_MAX).map(|_| inner.is_loud(begun + after));
            said.filter(|loud| *loud).count()
        };
        let all = usize::try_from(WARNINGS_MAX).expect("few");
        assert_eq!(loud(&mut inner, Duration::ZERO), all, "and one past it not");
        assert_eq!(loud(&mut inner, MINUTE - Duration::from_millis(1)), 0);
        assert_eq!(loud(&mut inner, MINUTE), all);
    }

    #[test]
    fn a_reason_is_cut_where_it_is_too_long() {
        let why = |len: usize| Refused::new(StatusCode::NOT_FOUND, "é".repeat(len), "").why;
        assert_eq!(why(WHY_LEN_MAX / 2), "é".repeat(WHY_LEN_MAX / 2));
        let cut = why(WHY_LEN_MAX / 2 + 1);
        assert_eq!(cut, format!("{}…", "é".repeat(WHY_LEN_MAX / 2)));
    }
}
