//! What happened last, for whoever reads a failure, and one hash of all that happened.
//!
//! Writing every event down costs more than the run itself, so a run keeps no trace; when a seed
//! fails it is run again, the same, with one.

use std::collections::VecDeque;

use skep_node::core::Time;
use skep_proto::hash::Blake3;

/// Lines kept of a run that failed.
const LINES_MAX: usize = 120;
/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 220;

#[derive(Default)]
pub struct Trace {
    on: bool,
    lines: VecDeque<String>,
    hash: Option<Blake3>,
}

impl Trace {
    pub fn new(on: bool) -> Self {
        Self {
            on,
            ..Self::default()
        }
    }

    /// Keeps a line, made only if it is kept.
    pub fn note(&mut self, now: Time, line: impl FnOnce() -> String) {
        if !self.on {
            return;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        let line = format!("{:>9} ms  {}", now.0, line());
        let before = self.hash.as_ref().map_or(&[][..], |hash| hash.as_bytes());
        self.hash = Some(Blake3::of(&[before, line.as_bytes()]));
        self.lines
            .push_back(line.chars().take(LINE_CHARS_MAX).collect());
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Of every line that was noted, whole, in order; none without a trace.
    pub fn hash(&self) -> Option<Blake3> {
        self.hash
    }
}
