//! Errors as a person meets them: what failed, why, and the line to type next; and the exit codes.

use std::error::Error as StdError;

#[cfg(test)]
mod tests;

/// Defines [`Exit`] so that its doc comments are also what `skep help exit-codes` prints.
macro_rules! exits {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The exit codes, for scripts: they tell *offline* from *tampered with*.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Exit {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl Exit {
            /// Every code with its meaning, in order.
            pub(crate) const ALL: &[(u8, &str)] = &[$(($code, concat!($($doc),+)),)+];
        }
    };
}

exits! {
    /// done
    Done = 0,
    /// failed: anything not below
    Failed = 1,
    /// wrong usage: arguments, configuration, or a question that nobody was there to answer
    Usage = 2,
    /// not trusted or does not verify: a wrong hash or signature, a policy that says no, a yanked release
    Untrusted = 3,
    /// not found
    NotFound = 4,
    /// unreachable: no node, no peer that has it, or offline
    Unreachable = 5,
    /// a check found problems
    Problems = 6,
    /// needs a login, a role, membership or an unlock file
    Forbidden = 7,
    /// interrupted (Ctrl-C)
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What to do about an error. There is always one, or a reason why there cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint(Option<String>);

impl Hint {
    /// Something that can be done, best a line that can be pasted; further lines are shown below it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Some(text.into()))
    }

    /// No hint. `_why` is for whoever reads the code: a missing hint is a decision.
    pub(crate) const fn none(_why: &'static str) -> Self {
        Self(None)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// Why a command failed. Printed by [`crate::ui::Ui::error`] and nowhere else.
///
/// ```text
/// error: MESSAGE
///   LABEL  DETAIL
///   caused by: CAUSE
/// hint: HINT
/// ```
///
/// A message is lower case, says what was being done and to what, has literals in backticks and no
/// final full stop. Text from outside may stand in it: it is escaped when it is printed.
#[derive(Debug, Clone)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    /// Facts that help to decide, as (label, text), in columns.
    pub(crate) details: Vec<(String, String)>,
    /// The cause, its cause, and so on.
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Hint,
}

/// What a command gives back.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>, hint: Hint) -> Self {
        Self {
            exit,
            message: message.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hint,
        }
    }

    /// Wrong usage, exit 2.
    pub(crate) fn usage(message: impl Into<String>, hint: Hint) -> Self {
        Self::new(Exit::Usage, message, hint)
    }

    /// Adds `cause` and whatever caused it. Its text must not be in the message already.
    #[must_use]
    pub(crate) fn because(mut self, cause: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Adds a fact that helps to decide what to do.
    #[must_use]
    pub(crate) fn detail(mut self, label: impl Into<String>, text: impl Into<String>) -> Self {
        self.details.push((label.into(), text.into()));
        self
    }

    /// Ctrl-C. There is nothing to fix, and what was done is kept.
    pub(crate) fn interrupted() -> Self {
        Self::new(
            Exit::Interrupted,
            "interrupted",
            Hint::none("the person knows"),
        )
    }

    /// Whoever read our output has enough (`skep … | head`): the end, not a failure. Nothing is
    /// printed for it.
    pub(crate) fn reader_left() -> Self {
        Self::new(Exit::Done, "", Hint::none("nobody reads it"))
    }

    /// A file or folder that cannot be used, with a hint that fits the kind of failure.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Hint::new(format!("ls -ld {}", quoted(path))),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Hint::new(format!(
                    "make room, then type the same again: df -h {}",
                    quoted(path.parent().unwrap_or(path))
                ))
            }
            std::io::ErrorKind::NotFound => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
                let parent = parent.unwrap_or(std::path::Path::new("."));
                Hint::new(format!("is the path right? ls {}", quoted(parent)))
            }
            std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
                let hint = "something else stands where a folder is needed; name another place";
                Hint::new(format!("{hint}: ls -ld {}", quoted(path)))
            }
            std::io::ErrorKind::IsADirectory => Hint::new("name a file in it"),
            _ => Hint::none("the cause names everything we know"),
        };
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(
            exit,
            format!("could not {doing} `{}`", path.display()),
            hint,
        )
        .because(error)
    }
}

/// A path as it can be pasted into a shell.
pub(crate) fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Something of ours that did not work, with its cause.
pub(crate) fn could_not(doing: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    let hint = Hint::none("the cause names everything we know");
    CliError::new(Exit::Failed, format!("could not {doing}"), hint).because(error)
}
