//! Places on a listener: how many connections there may be, and which one goes when there are more.
//!
//! Whoever opens connections and says nothing, or takes an answer by drops, would keep everybody else
//! out. So the one that has been quiet longest makes room for a newcomer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections at a time on one listener: the tools of one machine, and people who look.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// A connection that moved something later than this ago is being used, and keeps its place.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(1);
/// Of a connection whose answer is being made: that is our time, not its.
const BUSY: u64 = u64::MAX;

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Places {
    lines: Mutex<Lines>,
    begun: Instant,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    next: u64,
    all: BTreeMap<u64, Arc<Line>>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Line {
    /// When it last took a part of an answer, in milliseconds, or [`BUSY`].
    moved_ms: AtomicU64,
    leave: Notify,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    line: Arc<Line>,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::default(),
            begun: Instant::now(),
            freed: Notify::new(),
        })
    }

    /// A place for a newcomer, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            // A moment later one may have been quiet for long enough.
            drop(tokio::time::timeout(QUIET_AFTER, self.freed.notified()).await);
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let now = self.now_ms();
        let mut lines = self.lock();
        if lines.all.len() >= CONNECTIONS_MAX {
            let moved = |line: &Line| line.moved_ms.load(Ordering::Relaxed);
            let quietest = lines.all.iter().min_by_key(|(_, line)| moved(line));
            let (number, since) = quietest.map(|(number, line)| (*number, moved(line)))?;
            let quiet = now.saturating_sub(since);
            if u128::from(quiet) < QUIET_AFTER.as_millis() {
                return None;
            }
            if let Some(line) = lines.all.remove(&number) {
                line.leave.notify_one();
            }
        }
        let line = Arc::new(Line {
            moved_ms: AtomicU64::new(now),
            leave: Notify::new(),
        });
        let number = lines.next;
        lines.next += 1;
        lines.all.insert(number, Arc::clone(&line));
        Some(Place {
            places: Arc::clone(self),
            number,
            line,
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It took a part of an answer, or is to be asked for the next request.
    pub(super) fn moved(&self) {
        let now = self.places.now_ms();
        self.line.moved_ms.store(now, Ordering::Relaxed);
    }

    /// An answer is being made.
    pub(super) fn busy(&self) {
        self.line.moved_ms.store(BUSY, Ordering::Relaxed);
    }

    /// Waits until the place is needed for somebody else.
    pub(super) async fn needed(&self) {
        self.line.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().all.remove(&self.number);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(1);

    fn full() -> (Arc<Places>, Vec<Place>) {
        let places = Places::new();
        let taken = (0..CONNECTIONS_MAX)
            .map(|_| places.try_take().expect("a place"))
            .collect();
        (places, taken)
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_there_may_be_waits_until_one_was_quiet() {
        let (places, taken) = full();
        assert!(places.try_take().is_none());
        tokio::time::advance(QUIET_AFTER - A_MOMENT).await;
        assert!(places.try_take().is_none());
        taken[0].moved();
        taken[2].busy();
        tokio::time::advance(A_MOMENT).await;
        let _more = places.try_take().expect("the quietest has gone");
        taken[1].needed().await;
        for still in [0, 2, 3] {
            let needed = tokio::time::timeout(A_MOMENT, taken[still].needed()).await;
            assert!(needed.is_err(), "{still}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_makes_room_and_who_is_answered_never_has_to() {
        let (places, mut taken) = full();
        taken.iter().for_each(Place::busy);
        tokio::time::advance(QUIET_AFTER * 60).await;
        assert!(places.try_take().is_none());
        taken.pop();
        let _more = places.take().await;
        assert_eq!(places.lock().all.len(), CONNECTIONS_MAX);
    }
}
