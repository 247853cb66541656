//! How much of a peer is read, and how fast it must come.

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout};

use super::Limits;

/// A token bucket of `per_s` tokens that fills in one second.
#[derive(Debug)]
pub(super) struct Bucket {
    per_s: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(per_s: u32, now: Instant) -> Self {
        let per_s = f64::from(per_s.max(1));
        Self {
            per_s,
            left: per_s,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_s).min(self.per_s);
        self.at = now;
    }

    /// Takes `n` tokens, into debt if need be; returns how long to wait until the debt is paid.
    pub(super) fn take(&mut self, n: usize, now: Instant) -> Duration {
        self.refill(now);
        // Frames have at most 1 MiB: exact as a float.
        #[allow(clippy::cast_precision_loss)]
        let n = n as f64;
        self.left -= n;
        Duration::from_secs_f64((-self.left / self.per_s).max(0.0))
    }

    /// Takes one token if there is one.
    pub(super) fn take_one(&mut self, now: Instant) -> bool {
        self.refill(now);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

/// Why nothing more could be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Too little came in one window.
    Stalled,
    Io(std::io::Error),
}

/// Demands a least rate from a peer while we wait for it, window by window. Time in which nobody
/// waits does not count.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    least: usize,
    left: Duration,
    got: usize,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        let window = limits.progress_window;
        let least = window.as_millis() * u128::from(limits.least_bytes_per_s) / 1_000;
        Self {
            window,
            least: usize::try_from(least).unwrap_or(usize::MAX),
            left: window,
            got: 0,
        }
    }

    /// Reads what there is, at least one byte; 0 at the end.
    pub(super) async fn read(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        into: &mut [u8],
    ) -> Result<usize, ReadError> {
        loop {
            let since = Instant::now();
            match timeout(self.left, from.read(into)).await {
                Ok(Ok(n)) => {
                    self.left = self.left.saturating_sub(since.elapsed());
                    self.got += n;
                    return Ok(n);
                }
                Ok(Err(error)) => return Err(ReadError::Io(error)),
                Err(_) if self.got < self.least => return Err(ReadError::Stalled),
                Err(_) => (self.left, self.got) = (self.window, 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_one_second_at_once_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(64, start);
        for _ in 0..64 {
            assert_eq!(bucket.take(1, start), Duration::ZERO);
        }
        assert_eq!(bucket.take(1, start), Duration::from_secs_f64(1.0 / 64.0));
        let later = start + Duration::from_secs(3_600);
        assert_eq!(
            bucket.take(64, later),
            Duration::ZERO,
            "no more than a second is saved up"
        );
        assert_eq!(bucket.take(64, later), Duration::from_secs(1));
    }

    #[test]
    fn a_bucket_refuses_one_past_its_limit() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2, start);
        assert!(bucket.take_one(start));
        assert!(bucket.take_one(start));
        assert!(!bucket.take_one(start));
        assert!(bucket.take_one(start + Duration::from_millis(500)));
        assert!(!bucket.take_one(start + Duration::from_millis(500)));
    }

    #[test]
    fn a_clock_that_stands_still_or_runs_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(1, start);
        assert!(bucket.take_one(start));
        assert!(!bucket.take_one(start - Duration::from_secs(9)));
    }
}
