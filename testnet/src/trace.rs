//! What happened last, for whoever reads a failure.
//!
//! Writing every event down costs more than the run itself, so a run keeps no trace; when a seed
//! fails it is run again, the same, with one.

use std::collections::VecDeque;

use skep_node::core::Time;

/// Lines kept of a run that failed.
const LINES_MAX: usize = 120;
/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 220;

#[derive(Default)]
pub struct Trace {
    on: bool,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn new(on: bool) -> Self {
        Self {
            on,
            lines: VecDeque::new(),
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
        let line: String = line().chars().take(LINE_CHARS_MAX).collect();
        self.lines.push_back(format!("{:>9} ms  {line}", now.0));
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
