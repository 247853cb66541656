//! The passphrase of a person's keys: from a file, the environment or a terminal, asked at most once.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::error::{CliError, Hint, Result};
use crate::home::{read_text, refuse_open};
use crate::ui::Ui;

#[cfg(test)]
mod tests;

/// Longest file given with `--passphrase-file`, in bytes: a passphrase is one line.
const FILE_BYTES_MAX: u64 = 1_024;

/// Where the passphrase comes from, and the passphrase once it is known. One for all keys of a
/// person, so that signing, registrar and root key are opened by one answer.
pub(crate) struct Passphrase {
    file: Option<PathBuf>,
    environment: Option<Zeroizing<String>>,
    known: OnceLock<Zeroizing<String>>,
}

impl Passphrase {
    /// `file` is `--passphrase-file`, which wins over `SKEP_PASSPHRASE`.
    pub(crate) fn new(file: Option<PathBuf>, env: &Environment) -> Self {
        Self {
            file,
            environment: env.passphrase.clone(),
            known: OnceLock::new(),
        }
    }

    /// The passphrase of the key `name`. Empty is none.
    ///
    /// # Errors
    /// Exit 2 if it is given nowhere and there is no terminal to ask on.
    pub(crate) fn of(&self, name: &str, ui: &Ui) -> Result<Zeroizing<String>> {
        self.or_ask(|| ui.secret(&format!("passphrase for {name}: ")))
    }

    /// The passphrase to protect new keys with; `None` is an unprotected file.
    ///
    /// # Errors
    /// As [`Passphrase::of`]: without a terminal a key is not left unprotected by accident.
    pub(crate) fn for_new(&self, name: &str, ui: &Ui) -> Result<Option<Zeroizing<String>>> {
        let passphrase = self.or_ask(|| {
            let prompt = format!("passphrase for the new key {name} (empty: none): ");
            twice(&prompt, |prompt| ui.secret(prompt))
        })?;
        Ok(Some(passphrase).filter(|p| !p.is_empty()))
    }

    fn or_ask(&self, ask: impl FnOnce() -> Result<Zeroizing<String>>) -> Result<Zeroizing<String>> {
        if let Some(known) = self.known.get() {
            return Ok(known.clone());
        }
        let passphrase = match (&self.file, &self.environment) {
            (Some(file), _) => from_file(file)?,
            (None, Some(passphrase)) => passphrase.clone(),
            (None, None) => ask()?,
        };
        Ok(self.known.get_or_init(|| passphrase).clone())
    }
}

/// A new passphrase, asked for twice: a slip of the finger would lock the keys for ever.
fn twice(
    prompt: &str,
    mut ask: impl FnMut(&str) -> Result<Zeroizing<String>>,
) -> Result<Zeroizing<String>> {
    let first = ask(prompt)?;
    if first.is_empty() || *first == *ask("the same again: ")? {
        return Ok(first);
    }
    Err(CliError::usage(
        "the two passphrases are not the same",
        Hint::new("type the command again; nothing was made"),
    ))
}

/// The first line of a file that only its owner reads.
fn from_file(path: &std::path::Path) -> Result<Zeroizing<String>> {
    let found = std::fs::metadata(path).map_err(|e| CliError::io("read", path, &e))?;
    refuse_open("the passphrase file", path, found.mode(), 0o077)?;
    let text = Zeroizing::new(read_text(path, FILE_BYTES_MAX)?);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        return Err(CliError::usage(
            format!("`{}` has more than one line", path.display()),
            Hint::new("put the passphrase, and nothing else, on the first line"),
        ));
    }
    Ok(Zeroizing::new(first.to_owned()))
}
