//! Progress: a bar on a terminal; elsewhere one line when work has taken a second, and one when it
//! is done.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;
use crate::report::text::cell;

/// Work that takes less is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Work that is going on. Dropping it without [`Progress::done`] removes the bar and says nothing:
/// the error does.
pub(crate) struct Progress<'a> {
    ui: &'a Ui,
    what: String,
    started: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    /// Whether the first line was said.
    Lines {
        said: bool,
    },
}

impl<'a> Progress<'a> {
    pub(super) fn start(ui: &'a Ui, what: &str, total: Option<u64>) -> Self {
        let manners = &ui.manners;
        let draws = manners.progress && manners.stderr_is_terminal && manners.verbosity >= 0;
        let shown = if draws {
            Shown::Bar(bar(&cell(what), total))
        } else {
            Shown::Lines { said: false }
        };
        Self {
            ui,
            what: what.to_owned(),
            started: Instant::now(),
            shown,
        }
    }

    /// So much is done; call it as often as you like.
    pub(crate) fn at(&mut self, done: u64) {
        let elapsed = self.started.elapsed();
        self.at_time(done, elapsed);
    }

    /// All is done: `summary` is said if the work was worth a word.
    pub(crate) fn done(self, summary: &str) {
        match self.shown {
            Shown::Bar(ref bar) => bar.finish_and_clear(),
            Shown::Lines { .. } => {}
        }
        if self.was_shown(self.started.elapsed()) {
            self.ui.say(summary);
        }
    }

    fn at_time(&mut self, done: u64, elapsed: Duration) {
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_position(done),
            Shown::Lines { said } if !*said && elapsed >= WORTH_A_WORD => {
                *said = true;
                self.ui.say(&format!("{} …", self.what));
            }
            Shown::Lines { .. } => {}
        }
    }

    fn was_shown(&self, elapsed: Duration) -> bool {
        match self.shown {
            Shown::Bar(_) => elapsed >= WORTH_A_WORD,
            Shown::Lines { said } => said,
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
        None => "{spinner} {msg} {bytes}",
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

    fn ui() -> Ui {
        Ui::new(Manners {
            stderr_is_terminal: false,
            ..Manners::of_streams()
        })
    }

    #[test]
    fn short_work_is_not_worth_a_word() {
        let ui = ui();
        let mut progress = ui.progress("fetching", Some(10));
        progress.at_time(5, WORTH_A_WORD - Duration::from_millis(1));
        assert!(!progress.was_shown(WORTH_A_WORD * 2));
        progress.at(10);
        progress.done("fetched");
    }

    #[test]
    fn long_work_without_a_terminal_begins_and_ends_with_a_line() {
        let ui = ui();
        let mut progress = ui.progress("fetching", None);
        progress.at_time(5, WORTH_A_WORD);
        assert!(progress.was_shown(WORTH_A_WORD));
        assert!(matches!(progress.shown, Shown::Lines { said: true }));
    }
}
