//! Progress of what takes longer than a second: a bar on a terminal; elsewhere a line at first, one
//! every ten seconds, and one when it is done.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;
use crate::report::text::{cell, size};

/// Work that takes less is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);
/// How often a line is said where no bar can be drawn: often enough to see that work goes on, seldom
/// enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often work that tells nothing is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Work that is going on. Dropping it without [`Progress::done`] removes the bar and says nothing:
/// the error does.
pub(crate) struct Progress<'a> {
    ui: &'a Ui,
    what: String,
    /// In bytes, if it is known.
    total: Option<u64>,
    done: u64,
    started: Instant,
    shown: Shown,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    /// When the last line was said.
    Lines(Duration),
}

impl<'a> Progress<'a> {
    pub(super) fn start(ui: &'a Ui, what: &str, total: Option<u64>) -> Self {
        Self {
            ui,
            what: what.to_owned(),
            total,
            done: 0,
            started: Instant::now(),
            shown: Shown::Nothing,
        }
    }

    /// So much is done; call it as often as you like.
    pub(crate) fn at(&mut self, done: u64) {
        self.done = done;
        self.at_time(self.started.elapsed());
    }

    /// So much more is done.
    pub(crate) fn add(&mut self, more: u64) {
        self.at(self.done.saturating_add(more));
    }

    /// Waits for `work`, which tells nothing of how far it is.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            self.at(self.done);
            if let Ok(output) = tokio::time::timeout(LOOK_EVERY, &mut work).await {
                return output;
            }
        }
    }

    /// All is done: `summary` is said if the work was worth a word.
    pub(crate) fn done(self, summary: &str) {
        let worth_a_word = match &self.shown {
            Shown::Nothing => false,
            Shown::Bar(bar) => {
                bar.finish_and_clear();
                true
            }
            Shown::Lines(_) => true,
        };
        if worth_a_word {
            self.ui.say(summary);
        }
    }

    fn at_time(&mut self, elapsed: Duration) {
        match &mut self.shown {
            Shown::Nothing if elapsed < WORTH_A_WORD => {}
            Shown::Nothing => {
                let manners = &self.ui.manners;
                if manners.progress && manners.stderr_is_terminal && manners.verbosity >= 0 {
                    let bar = bar(&cell(&self.what), self.total);
                    let bar = bar.with_elapsed(elapsed);
                    bar.set_position(self.done);
                    self.shown = Shown::Bar(bar);
                } else {
                    self.ui.say(&self.line());
                    self.shown = Shown::Lines(elapsed);
                }
            }
            Shown::Bar(bar) => bar.set_position(self.done),
            Shown::Lines(last) if elapsed.saturating_sub(*last) >= LINE_EVERY => {
                *last = elapsed;
                self.ui.say(&self.line());
            }
            Shown::Lines(_) => {}
        }
    }

    /// How far it is, in words.
    fn line(&self) -> String {
        match self.total {
            Some(total) => format!("{} … {} of {}", self.what, size(self.done), size(total)),
            None => format!("{} …", self.what),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{spinner} {msg} {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("a template of ours");
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(total, target).with_style(style);
    bar.set_message(what.to_owned());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Manners;

    fn ui(stderr_is_terminal: bool) -> Ui {
        Ui::new(Manners {
            progress: true,
            stderr_is_terminal,
            ..Manners::of_streams()
        })
    }

    #[test]
    fn short_work_is_not_worth_a_word() {
        for terminal in [false, true] {
            let ui = ui(terminal);
            let mut progress = ui.progress("fetching", Some(10));
            progress.at_time(WORTH_A_WORD.saturating_sub(Duration::from_millis(1)));
            assert!(matches!(progress.shown, Shown::Nothing));
        }
    }

    #[test]
    fn long_work_has_a_bar_on_a_terminal() {
        let ui = ui(true);
        let mut progress = ui.progress("fetching", Some(10));
        progress.at_time(WORTH_A_WORD);
        assert!(matches!(progress.shown, Shown::Bar(_)));
    }

    #[test]
    fn long_work_without_a_terminal_has_a_line_every_ten_seconds() {
        let ui = ui(false);
        let mut progress = ui.progress("fetching", Some(2048));
        progress.done = 1024;
        assert_eq!(progress.line(), "fetching … 1.0 KiB of 2.0 KiB");
        let mut lines = Vec::new();
        for tenths in 0..250 {
            let now = Duration::from_millis(tenths * 100);
            progress.at_time(now);
            match progress.shown {
                Shown::Lines(last) if last == now => lines.push(tenths),
                _ => {}
            }
        }
        assert_eq!(lines, [10, 110, 210]);
    }
}
