//! The terminal: the only file that prints, and the only one that asks.
//!
//! stdout is data: the [`Report`] of a command, and nothing else. stderr is talk: what happens, what
//! to do next, errors, progress. Neither ever carries an escape sequence from outside.

mod progress;

#[cfg(test)]
pub(crate) mod tests;

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Write};
use std::sync::Mutex;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use zeroize::Zeroizing;

use crate::error::{CliError, Exit, Hint, Result};
use crate::report::text::{Reader, cell, lines};
use crate::report::{Report, json, text};

pub(crate) use progress::Progress;

/// How to print and whether to ask: what the global flags and the streams say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manners {
    pub(crate) json: bool,
    /// Negative: quiet (errors and questions only). Positive: details.
    pub(crate) verbosity: i8,
    /// Whether progress may be drawn.
    pub(crate) progress: bool,
    /// `--yes`.
    pub(crate) yes: bool,
    pub(crate) stdin_is_terminal: bool,
    pub(crate) stdout_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
}

/// Where a command talks to its person.
pub(crate) struct Ui {
    manners: Manners,
    /// What Ctrl-C would interrupt now, if there is more to say than that.
    interruptible: Mutex<Option<(String, Hint)>>,
    /// The command that is suggested at the end.
    next: Mutex<Option<String>>,
    /// Warnings that need no repeating.
    warned: Mutex<Vec<String>>,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const DIMMED: Style = Style::new().dimmed();

impl Manners {
    /// Looks at the three streams, each by itself.
    pub(crate) fn of_streams() -> Self {
        Self {
            json: false,
            verbosity: 0,
            progress: true,
            yes: false,
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }
}

impl Ui {
    pub(crate) fn new(manners: Manners) -> Self {
        Self {
            manners,
            interruptible: Mutex::new(None),
            next: Mutex::new(None),
            warned: Mutex::new(Vec::new()),
        }
    }

    /// Prints a result on stdout, in the form its reader needs.
    ///
    /// # Errors
    /// [`Exit::Done`] if the reader left; return it, so that a stream of results ends.
    pub(crate) fn print(&self, report: &Report) -> Result<()> {
        let out = if self.manners.json {
            json::render(report)
        } else {
            text::render(report, self.reader())
        };
        write_out(&out)
    }

    /// Prints a page of our own text, such as help, on stdout.
    pub(crate) fn page(&self, styled: &str) -> Result<()> {
        write_out(styled)
    }

    /// Says how a command line is wrong: clap's text, which ends with how it would be right.
    pub(crate) fn usage(&self, styled: &str) {
        self.talk(styled.trim_end());
    }

    /// Says what happened.
    pub(crate) fn say(&self, message: &str) {
        if self.manners.verbosity >= 0 {
            self.talk(&lines(message));
        }
    }

    /// Says what only a curious person wants to know (`-v`).
    pub(crate) fn say_detail(&self, message: &str) {
        if self.manners.verbosity > 0 {
            self.talk(&lines(message));
        }
    }

    /// Says that something is not as it should be, though the command goes on.
    pub(crate) fn warn(&self, message: &str) {
        if self.manners.verbosity >= 0 {
            let message = lines(message);
            self.talk(&format!("{WARNING}warning:{WARNING:#} {message}"));
        }
    }

    /// [`Ui::warn`] of what a command may come upon more than once.
    pub(crate) fn warn_once(&self, message: &str) {
        if let Ok(mut warned) = self.warned.lock()
            && !warned.iter().any(|said| said == message)
        {
            warned.push(message.to_owned());
            self.warn(message);
        }
    }

    /// Suggests the next command, below everything that a command prints.
    pub(crate) fn next(&self, command: impl Into<String>) {
        if let Ok(mut next) = self.next.lock() {
            *next = Some(command.into());
        }
    }

    /// Says what was suggested: once, dimmed, and only to a person.
    pub(crate) fn say_next(&self) {
        let next = self.next.lock().ok().and_then(|mut next| next.take());
        if let Some(command) = next
            && self.manners.stderr_is_terminal
            && self.manners.verbosity >= 0
        {
            let command = cell(&command);
            self.talk(&format!("{DIMMED}next: {command}{DIMMED:#}"));
        }
    }

    /// Prints why a command failed; with `--json` as one JSON document, on stderr as well.
    pub(crate) fn error(&self, error: &CliError) {
        if self.manners.json {
            self.talk(error_document(error).trim_end());
        } else {
            self.talk(error_text(error).trim_end());
        }
    }

    /// What a person who types Ctrl-C from now on is told: what is kept, and how to go on.
    pub(crate) fn if_interrupted(&self, message: String, hint: Hint) {
        if let Ok(mut interruptible) = self.interruptible.lock() {
            *interruptible = Some((message, hint));
        }
    }

    /// Ctrl-C, with what was being done.
    pub(crate) fn interrupted(&self) -> CliError {
        let said = self.interruptible.lock().ok().and_then(|said| said.clone());
        match said {
            Some((message, hint)) => CliError::new(Exit::Interrupted, message, hint),
            None => CliError::interrupted(),
        }
    }

    /// Asks a question that `--yes` answers. `default` is what a bare Return means: the safe answer.
    ///
    /// # Errors
    /// Exit 2 if there is nobody to ask. A command never waits for an answer that cannot come.
    pub(crate) fn confirm(&self, question: &str, default: bool) -> Result<bool> {
        if self.manners.yes {
            return Ok(true);
        }
        let question = lines(question);
        if !self.can_ask() {
            return Err(CliError::usage(
                format!("{question} There is no terminal to answer on"),
                Hint::new("the same again with --yes, if the answer is yes"),
            ));
        }
        let choice = if default { "[Y/n]" } else { "[y/N]" };
        loop {
            self.prompt(&format!("{question} {choice} "));
            let Some(answer) = self.line()? else {
                return Ok(false);
            };
            if let Some(answer) = understood(&answer, default) {
                return Ok(answer);
            }
            self.talk("y or n?");
        }
    }

    /// Asks for a secret, without showing it.
    ///
    /// # Errors
    /// Exit 2 if there is no terminal to ask on, exit 130 on Ctrl-C.
    pub(crate) fn secret(&self, prompt: &str) -> Result<Zeroizing<String>> {
        if !self.can_ask() {
            return Err(CliError::usage(
                "a passphrase is needed, and there is no terminal to ask on",
                Hint::new("set `SKEP_PASSPHRASE` (empty: none), or give --passphrase-file FILE"),
            ));
        }
        let answer = rpassword::prompt_password(cell(prompt));
        answer.map(Zeroizing::new).map_err(|e| match e.kind() {
            ErrorKind::Interrupted => CliError::interrupted(),
            _ => CliError::new(
                Exit::Failed,
                "could not read a passphrase from the terminal",
                Hint::new("set `SKEP_PASSPHRASE`, or give --passphrase-file FILE"),
            )
            .because(&e),
        })
    }

    /// Shows that work goes on; `total` in the unit of [`Progress::at`], if it is known.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> Progress<'_> {
        Progress::start(self, what, total)
    }

    fn can_ask(&self) -> bool {
        self.manners.stdin_is_terminal && self.manners.stderr_is_terminal
    }

    fn reader(&self) -> Reader {
        if self.manners.stdout_is_terminal {
            let now = jiff::Timestamp::now().as_second();
            Reader::Terminal { now }
        } else {
            Reader::Pipe
        }
    }

    /// One line of stdin; `None` at its end.
    fn line(&self) -> Result<Option<String>> {
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line)),
            Err(e) => Err(CliError::new(
                Exit::Failed,
                "could not read an answer",
                Hint::new("the same again with --yes, if the answer is yes"),
            )
            .because(&e)),
        }
    }

    /// One line on stderr. Whether anybody reads it changes nothing about the command.
    fn talk(&self, styled: &str) {
        let written = writeln!(anstream::stderr().lock(), "{styled}");
        drop(written);
    }

    fn prompt(&self, styled: &str) {
        let mut stderr = anstream::stderr().lock();
        let written = write!(stderr, "{styled}").and_then(|()| stderr.flush());
        drop(written);
    }
}

/// `y`, `yes`, `n`, `no` in any case, or nothing for the default.
fn understood(answer: &str, default: bool) -> Option<bool> {
    match answer.trim().to_lowercase().as_str() {
        "" => Some(default),
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

fn write_out(styled: &str) -> Result<()> {
    let mut stdout = AutoStream::auto(std::io::stdout()).lock();
    let written = stdout
        .write_all(styled.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => CliError::reader_left(),
        _ => CliError::new(
            Exit::Failed,
            "could not write the result to stdout",
            Hint::none("what stdout is was decided outside"),
        )
        .because(&e),
    })
}

/// An error as [`CliError`] describes it.
fn error_text(error: &CliError) -> String {
    let indented = |text: &str| lines(text).trim_end().replace('\n', "\n    ");
    let mut out = format!("{ERROR}error:{ERROR:#} {}\n", indented(&error.message));
    let width = error.details.iter().map(|(label, _)| label.len()).max();
    for (label, text) in &error.details {
        let width = width.unwrap_or_default();
        let below = format!("\n{}", " ".repeat(width + 4));
        let text = lines(text).trim_end().replace('\n', &below);
        out.push_str(&format!("  {:width$}  {text}\n", cell(label)));
    }
    for cause in &error.causes {
        out.push_str(&format!("  caused by: {}\n", indented(cause)));
    }
    if let Some(hint) = error.hint.text() {
        let hint = lines(hint).replace('\n', "\n      ");
        out.push_str(&format!("{HINT}hint:{HINT:#} {hint}\n"));
    }
    out
}

fn error_document(error: &CliError) -> String {
    let details = error.details.iter();
    let details = details.map(|(label, text)| format!("{label}: {text}"));
    let texts =
        |texts: &mut dyn Iterator<Item = String>| json::array(texts.map(|t| json::text(&t)));
    let fields = [
        ("exit", (error.exit as u8).to_string()),
        ("message", json::text(&error.message)),
        ("details", texts(&mut details.into_iter())),
        ("causes", texts(&mut error.causes.iter().cloned())),
        (
            "hint",
            error.hint.text().map_or("null".to_owned(), json::text),
        ),
    ];
    let fields = fields
        .into_iter()
        .map(|(name, json)| (name.to_owned(), json));
    json::document("skep.error/1", fields)
}
