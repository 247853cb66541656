//! `skep key`: who I am, and the keys that make it so.

use std::path::Path;

use skep_proto::key::SigningKey;
use skep_proto::name::Name;
use zeroize::Zeroizing;

use super::{Session, as_name};
use crate::args::key::{Action, Key};
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::keys::{self, Keys, Stored};
use crate::report::{Report, Table};

pub(crate) fn run(args: &Key, session: &Session<'_>) -> Result<Report> {
    match &args.action {
        None => who_am_i(session),
        Some(Action::New { name }) => new(name.as_deref(), session),
        Some(Action::List) => list(session),
        Some(Action::Export { name }) => export(name.as_deref(), session),
        Some(Action::Import { file, name }) => import(file, name.as_deref(), session),
    }
}

fn who_am_i(session: &Session<'_>) -> Result<Report> {
    let stored = chosen(session)?;
    Ok(facts(Report::answer("key"), &stored))
}

fn new(name: Option<&str>, session: &Session<'_>) -> Result<Report> {
    let name = match name {
        Some(name) => checked(name)?,
        None => session.login_name().ok_or_else(|| {
            CliError::usage(
                "what is the key called? Your login name cannot be its name",
                Hint::new("skep key new --name NAME"),
            )
        })?,
    };
    let keys = Keys::of(&session.home);
    refuse_taken(&keys, &name)?;
    let passphrase = session.passphrase.for_new(name.as_str(), session.ui)?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    let signing = SigningKey::from_seed(&seed);
    let passphrase = passphrase.as_ref().map(|p| p.as_str());
    let stored = keys.create(name.as_str(), &signing, passphrase)?;
    warn_unprotected(&stored, session);
    Ok(facts(Report::answer("key.new"), &stored))
}

fn list(session: &Session<'_>) -> Result<Report> {
    let mut table = Table::new(&["name", "protected", "fingerprint", "file"]);
    for stored in Keys::of(&session.home).usable(session.ui)? {
        table.push([
            stored.name.as_str().into(),
            stored.file.is_encrypted().into(),
            stored.file.key().fingerprint().into(),
            stored.path.as_path().into(),
        ]);
    }
    if table.rows.is_empty() {
        session.ui.say("no keys");
        session.ui.next("skep key new");
    }
    Ok(Report::list("key.list", table))
}

fn export(name: Option<&str>, session: &Session<'_>) -> Result<Report> {
    let stored = match name {
        Some(name) => Keys::of(&session.home).find(name)?,
        None => chosen(session)?,
    };
    Ok(Report::answer("key.export").verbatim("public", stored.public_line().trim_end()))
}

fn import(file: &Path, name: Option<&str>, session: &Session<'_>) -> Result<Report> {
    let name = match name {
        Some(name) => checked(name)?,
        None => named_after(file)?,
    };
    let keys = Keys::of(&session.home);
    let (text, key_file) = keys::read_key_file(file)?;
    refuse_taken(&keys, &name)?;
    // Opened now, so that a key that nobody can open does not wait here for the day it is needed.
    let opened = keys::open(
        &key_file,
        file,
        name.as_str(),
        session.ui,
        &session.passphrase,
    )?;
    let stored = keys.import(name.as_str(), &text, &opened, session.ui)?;
    warn_unprotected(&stored, session);
    Ok(facts(Report::answer("key.import"), &stored))
}

fn facts(report: Report, stored: &Stored) -> Report {
    report
        .fact("name", stored.name.as_str())
        .fact("fingerprint", stored.file.key().fingerprint())
        .fact("protected", stored.file.is_encrypted())
        .fact("file", stored.path.as_path())
        .fact("public", stored.public_line().trim_end())
}

fn chosen(session: &Session<'_>) -> Result<Stored> {
    let login = session.login_name();
    Keys::of(&session.home).choose(session.global.key.as_deref(), login.as_ref())
}

/// A name that a new key may have.
fn checked(name: &str) -> Result<Name> {
    let hint = || {
        let near = as_name(name);
        let near = near.as_ref().map_or("ana", Name::as_str);
        Hint::new(format!("--name {near}"))
    };
    let parsed: Name = name.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(format!("a key cannot be called that: {e}"), hint())
    })?;
    if parsed.is_reserved() {
        let message = format!("a key cannot be called `{name}`: the word is reserved");
        return Err(CliError::usage(message, hint()));
    }
    Ok(parsed)
}

fn named_after(file: &Path) -> Result<Name> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    as_name(&stem).ok_or_else(|| {
        CliError::usage(
            format!("a key cannot be called `{stem}`"),
            Hint::new("give it a name: --name NAME"),
        )
    })
}

/// Said before a passphrase is asked for.
fn refuse_taken(keys: &Keys<'_>, name: &Name) -> Result<()> {
    if !keys.is_taken(name.as_str())? {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Failed,
        format!("there is a key `{}` already", name.as_str()),
        Hint::new("take another name: --name NAME"),
    ))
}

fn warn_unprotected(stored: &Stored, session: &Session<'_>) {
    if stored.file.is_encrypted() {
        return;
    }
    let file = crate::error::quoted(&stored.path);
    session.ui.warn(&format!(
        "no passphrase protects this key; to set one: ssh-keygen -p -a 24 -f {file}"
    ));
}
