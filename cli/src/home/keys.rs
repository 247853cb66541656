//! The keys of a home: `keys/NAME` as OpenSSH writes it, mode 0600, and `keys/NAME.pub` beside it.
//!
//! A key file that others could read is refused, whoever runs the command. Which key a command
//! signs with is decided in one place, [`Keys::choose`].

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use skep_proto::key::file::{self, FILE_BYTES_MAX, KeyFile, Opened};
use skep_proto::key::{Key, SigningKey};
use skep_proto::name::Name;

use super::{Home, faults, read_text, refuse_open, write_new};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::passphrase::Passphrase;
use crate::ui::Ui;

#[cfg(test)]
mod tests;

/// Name of the node's key.
const NODE_KEY: &str = "node";

/// The folder `keys/` of a home.
pub(crate) struct Keys<'a> {
    home: &'a Home,
}

/// A key file of the home, read and not yet opened.
pub(crate) struct Stored {
    /// The name of the file: a [`Name`], or one with `.root` or `.registrar` behind it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) file: KeyFile,
}

/// A file that should be a key and cannot be used.
struct Broken {
    name: String,
    error: CliError,
    /// It is whole, and others could read it: a person must know before anything is signed.
    is_open: bool,
}

impl<'a> Keys<'a> {
    pub(crate) fn of(home: &'a Home) -> Self {
        Self { home }
    }

    /// Every key, by name. A home without `keys/` has none.
    pub(crate) fn list(&self) -> Result<Vec<Stored>> {
        let mut names = self.names()?;
        names.sort();
        names.iter().map(|name| self.read(name)).collect()
    }

    /// Every key that can be read; a file that cannot is named in a warning. What needs that very
    /// key fails where it asks for it.
    ///
    /// # Errors
    /// If others could read one of them.
    pub(crate) fn usable(&self, ui: &Ui) -> Result<Vec<Stored>> {
        let (usable, broken) = self.sorted()?;
        for Broken { error, is_open, .. } in broken {
            if is_open {
                return Err(error);
            }
            let cause = error.causes.first().map(|cause| format!(" ({cause})"));
            let message = format!("{}{}", error.message, cause.unwrap_or_default());
            ui.warn_once(&format!(
                "{message}; it is passed over: restore it from a copy, or move it away"
            ));
        }
        Ok(usable)
    }

    /// The keys that can be read, and the others.
    fn sorted(&self) -> Result<(Vec<Stored>, Vec<Broken>)> {
        let mut names = self.names()?;
        names.sort();
        if !names.is_empty() {
            self.refuse_open_folder()?;
        }
        let (mut usable, mut broken) = (Vec::new(), Vec::new());
        for name in names {
            match self.read(&name) {
                Ok(stored) => usable.push(stored),
                Err(error) => broken.push(Broken {
                    is_open: parse_key_file(&self.dir().join(&name)).is_ok(),
                    name,
                    error,
                }),
            }
        }
        Ok((usable, broken))
    }

    /// Whether a key has this name, if it can be read or not.
    pub(crate) fn is_taken(&self, name: &str) -> Result<bool> {
        Ok(self.names()?.iter().any(|n| n == name))
    }

    /// The key `name`.
    pub(crate) fn find(&self, name: &str) -> Result<Stored> {
        if self.is_taken(name)? {
            return self.read(name);
        }
        Err(CliError::new(
            Exit::NotFound,
            format!("there is no key `{name}` in `{}`", self.dir().display()),
            Hint::new("skep key list"),
        ))
    }

    /// The key a command means: `wanted` (`--key`), else the only signing key, else the one named
    /// like the person.
    ///
    /// # Errors
    /// Exit 4 if there is none, exit 2 with the list if there are several.
    pub(crate) fn choose(&self, wanted: Option<&str>, login: Option<&Name>) -> Result<Stored> {
        if let Some(name) = wanted {
            return self.find(name);
        }
        let signs = |name: &str| name.parse::<Name>().is_ok_and(|name| !name.is_reserved());
        let (mut signing, mut broken) = self.sorted()?;
        signing.retain(|stored| signs(&stored.name));
        broken.retain(|broken| signs(&broken.name));
        let login = login.map(Name::as_str);
        let is_mine = |name: &str| Some(name) == login;
        let mine = signing.iter().position(|stored| is_mine(&stored.name));
        match (mine, signing.len()) {
            // The one that is meant must not be replaced by another one without a word.
            (None, len)
                if broken
                    .iter()
                    .any(|b| is_mine(&b.name) || b.is_open && len == 0) =>
            {
                broken.retain(|b| is_mine(&b.name) || b.is_open);
                Err(broken.swap_remove(0).error)
            }
            (None, 0) => Err(CliError::new(
                Exit::NotFound,
                "you have no key yet",
                Hint::new("skep key new"),
            )),
            (None, 1) => Ok(signing.swap_remove(0)),
            (Some(at), _) => Ok(signing.swap_remove(at)),
            (None, _) => {
                let names: Vec<String> = signing.into_iter().map(|stored| stored.name).collect();
                Err(CliError::usage(
                    format!("which key? There are {}", listed(&names)),
                    Hint::new(format!("--key {}, or set `SKEP_KEY`", names[0])),
                ))
            }
        }
    }

    /// Makes the key file of `signing`, which has its name as comment.
    ///
    /// # Errors
    /// If there is a key of that name; it is never replaced.
    pub(crate) fn create(
        &self,
        name: &str,
        signing: &SigningKey,
        passphrase: Option<&str>,
    ) -> Result<Stored> {
        let protection = passphrase.map(|passphrase| file::Protection {
            passphrase,
            salt: rand::random(),
            checkint: rand::random(),
        });
        let text = file::encode(signing, name, protection).map_err(|e| {
            CliError::new(
                Exit::Failed,
                format!("could not make the key `{name}`"),
                Hint::none("no argument of ours can cause it"),
            )
            .because(&e)
        })?;
        self.store(name, &text, &signing.key(), name)
    }

    /// Keeps the text of a key file that was opened, under `name`; its passphrase stays.
    pub(crate) fn import(
        &self,
        name: &str,
        text: &str,
        opened: &Opened,
        ui: &Ui,
    ) -> Result<Stored> {
        let known = self.usable(ui)?;
        if let Some(same) = known.iter().find(|k| k.file.key() == opened.signing.key()) {
            return Err(CliError::new(
                Exit::Failed,
                format!("this key is here already, as `{}`", same.name),
                Hint::new(format!("skep key export {}", same.name)),
            ));
        }
        self.store(name, text, &opened.signing.key(), &opened.comment)
    }

    /// The key whose public half this is, if it is at hand.
    pub(crate) fn with_public(&self, key: &Key, ui: &Ui) -> Result<Option<Stored>> {
        let mut all = self.usable(ui)?;
        Ok(all
            .iter()
            .position(|stored| stored.file.key() == *key)
            .map(|at| all.swap_remove(at)))
    }

    /// The key of the node in this home, made at first use. It is not protected: a node starts
    /// unattended, and its key has no authority over packages.
    pub(crate) fn node_key(&self) -> Result<SigningKey> {
        let path = self.dir().join(NODE_KEY);
        let aside = || {
            let damaged = self.dir().join(format!("{NODE_KEY}.damaged"));
            Hint::new(format!(
                "move it away, and a new one is made: mv {} {}",
                quoted(&path),
                quoted(&damaged)
            ))
        };
        let read = || {
            self.read(NODE_KEY)
                .map_err(|error| match error.causes.is_empty() {
                    // One that is open to others, or cannot be read at all, is not damaged.
                    true => error,
                    false => CliError {
                        hint: aside(),
                        ..error
                    },
                })
        };
        let stored = match self.is_taken(NODE_KEY)? {
            true => read()?,
            false => {
                let seed: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(rand::random());
                let made = self.create(NODE_KEY, &SigningKey::from_seed(&seed), None);
                match made {
                    // Another command has just made it.
                    Err(_) if self.is_taken(NODE_KEY)? => read()?,
                    made => made?,
                }
            }
        };
        let opened = stored.file.open(None).map_err(|e| {
            CliError::new(Exit::Failed, "could not open the node's key", aside()).because(&e)
        })?;
        Ok(opened.signing)
    }

    fn store(&self, name: &str, text: &str, key: &Key, comment: &str) -> Result<Stored> {
        self.home.create_dir(&self.dir())?;
        let path = self.dir().join(name);
        if !write_new(&path, text.as_bytes(), 0o600, &faults::KEY)? {
            return Err(CliError::new(
                Exit::Failed,
                format!("there is a key `{name}` already"),
                Hint::new("take another name: --name NAME"),
            ));
        }
        let line = public_line(key, comment);
        // One that is there is a left-over: the key of that name was not.
        let public = self.dir().join(format!("{name}.pub"));
        if !write_new(&public, line.as_bytes(), 0o644, &faults::PUBLIC)? {
            fs::remove_file(&public).map_err(|e| CliError::io("replace", &public, &e))?;
            write_new(&public, line.as_bytes(), 0o644, &faults::PUBLIC)?;
        }
        self.read(name)
    }

    fn dir(&self) -> PathBuf {
        self.home.keys_dir()
    }

    fn names(&self) -> Result<Vec<String>> {
        let dir = self.dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(CliError::io("list", &dir, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| CliError::io("list", &dir, &e))?;
            // Folders, such as the one of the tips, are no keys, nor are pipes and devices.
            let kind = entry.file_type();
            if kind.is_ok_and(|kind| kind.is_file() || kind.is_symlink()) {
                names.extend(entry.file_name().into_string());
            }
        }
        names.retain(|name| is_key_name(name));
        Ok(names)
    }

    fn refuse_open_folder(&self) -> Result<()> {
        let dir = fs::metadata(self.dir()).map_err(|e| CliError::io("read", &self.dir(), &e))?;
        refuse_open("the folder of your keys", &self.dir(), dir.mode(), 0o022)
    }

    fn read(&self, name: &str) -> Result<Stored> {
        let path = self.dir().join(name);
        self.refuse_open_folder()?;
        let (_, file) = read_key_file(&path)?;
        Ok(Stored {
            name: name.to_owned(),
            path,
            file,
        })
    }
}

impl Stored {
    /// The signing key, with the passphrase if the file has one.
    pub(crate) fn open(&self, ui: &Ui, passphrase: &Passphrase) -> Result<Opened> {
        open(&self.file, &self.path, &self.name, ui, passphrase)
    }

    /// `ssh-ed25519 AAAA… NAME`, as it stands in `NAME.pub`.
    pub(crate) fn public_line(&self) -> String {
        let path = self.path.with_file_name(format!("{}.pub", self.name));
        let max = FILE_BYTES_MAX as u64;
        // The file beside it has the comment; it may be gone, and must not be believed.
        let beside = read_text(&path, max).ok();
        let ours = |line: &String| Key::from_openssh(line).is_ok_and(|k| k == self.file.key());
        beside
            .filter(ours)
            .unwrap_or_else(|| public_line(&self.file.key(), &self.name))
    }
}

/// Reads a private key file anywhere, refusing one that others could read.
pub(crate) fn read_key_file(path: &Path) -> Result<(zeroize::Zeroizing<String>, KeyFile)> {
    let found = fs::metadata(path).map_err(|e| CliError::io("read", path, &e))?;
    let read = parse_key_file(path)?;
    // Last: what is no private key may be open to everybody.
    refuse_open("the key file", path, found.mode(), 0o077)?;
    Ok(read)
}

fn parse_key_file(path: &Path) -> Result<(zeroize::Zeroizing<String>, KeyFile)> {
    let text = zeroize::Zeroizing::new(read_text(path, FILE_BYTES_MAX as u64)?);
    let failed = |hint: &str| {
        let message = format!("could not read the key file `{}`", path.display());
        CliError::new(Exit::Failed, message, Hint::new(hint))
    };
    if Key::from_openssh(&text).is_ok() {
        return Err(CliError::usage(
            format!("`{}` is a public key", path.display()),
            Hint::new("give the private key: its name is the same without `.pub`"),
        ));
    }
    let file = KeyFile::parse(&text).map_err(|e| {
        let hint = match e {
            file::Error::NotEd25519(_) => "make one: ssh-keygen -t ed25519",
            file::Error::TooManyRounds { .. } | file::Error::Cipher(_) => {
                "protect it anew: ssh-keygen -p -a 24 -f FILE"
            }
            _ => "a private key file begins with `-----BEGIN OPENSSH PRIVATE KEY-----`",
        };
        failed(hint).because(&e)
    })?;
    Ok((text, file))
}

/// Opens a key file with the person's passphrase.
pub(crate) fn open(
    file: &KeyFile,
    path: &Path,
    name: &str,
    ui: &Ui,
    passphrase: &Passphrase,
) -> Result<Opened> {
    let given = if file.is_encrypted() {
        Some(passphrase.of(name, ui)?)
    } else {
        None
    };
    let given = given.as_ref().map(|p| p.as_str());
    file.open(given).map_err(|e| {
        let (exit, hint) = match e {
            file::Error::PassphraseNeeded => (
                Exit::Usage,
                Hint::new("set `SKEP_PASSPHRASE`, or give --passphrase-file FILE"),
            ),
            file::Error::WrongPassphrase => (
                Exit::Failed,
                Hint::new(format!("check it with: ssh-keygen -y -f {}", quoted(path))),
            ),
            _ => (
                Exit::Failed,
                Hint::new("restore the file from a copy, then: skep key list"),
            ),
        };
        CliError::new(exit, format!("could not open the key `{name}`"), hint).because(&e)
    })
}

/// Whether a file of this name in `keys/` is a private key.
fn is_key_name(name: &str) -> bool {
    let suffixed = name
        .strip_suffix(".root")
        .or(name.strip_suffix(".registrar"));
    suffixed.unwrap_or(name).parse::<Name>().is_ok()
}

fn public_line(key: &Key, comment: &str) -> String {
    // A comment from a file may be anything; the line is one line.
    let comment = crate::report::text::cell(comment);
    format!("{} {comment}", key.to_openssh())
        .trim_end()
        .to_owned()
        + "\n"
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
