//! What the gateway refused last: its clients do not show it to anybody, so `node status` and
//! `doctor` do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use skep_proto::control;

/// How many are remembered: what fits a screen.
const REMEMBERED_MAX: usize = 20;
/// Longest path that is remembered, in bytes.
const PATH_LEN_MAX: usize = 512;

/// Why a request is answered with nothing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
    /// The line to type, or other advice.
    pub(crate) hint: String,
}

/// The last ones, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<VecDeque<control::GatewayRefusal>>>);

impl Refusals {
    /// Remembers one; the same again is counted.
    pub(super) fn add(&self, path: &str, refused: &Refused) {
        let path: String = path.chars().take(PATH_LEN_MAX).collect();
        let path = skep_proto::text::harmless(&path);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
            last_s: now_s(),
        });
        all.truncate(REMEMBERED_MAX);
    }

    pub(crate) fn all(&self) -> Vec<control::GatewayRefusal> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().cloned().collect()
    }
}

/// Unix seconds, for people to read.
fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
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
}
