//! `repos.d`: one file per repository that is followed, which people may edit.

use std::fs;
use std::path::PathBuf;

use skep_proto::name::{Name, RepoRef};
use skep_proto::trust::file::RepoFile;

use super::{Home, TEXT_FILE_BYTES_MAX, faults, read_edited, replace, write_new};
use crate::error::{CliError, Exit, Hint, Result, quoted};

/// The folder `repos.d` of a home.
pub(crate) struct Repos<'a> {
    home: &'a Home,
}

/// A repository that is followed: its alias, its file, and the file's text.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) alias: Name,
    pub(crate) file: RepoFile,
    pub(crate) text: String,
}

impl<'a> Repos<'a> {
    pub(crate) fn of(home: &'a Home) -> Self {
        Self { home }
    }

    /// All of them, by alias.
    pub(crate) fn list(&self) -> Result<Vec<Followed>> {
        let dir = self.home.repos_dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(CliError::io("list", &dir, &e)),
        };
        let mut aliases: Vec<Name> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| CliError::io("list", &dir, &e))?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".toml"));
            aliases.extend(stem.and_then(|stem| stem.parse::<Name>().ok()));
        }
        aliases.sort();
        aliases.into_iter().map(|alias| self.read(alias)).collect()
    }

    /// The one that `repo`, an alias or an id, means.
    pub(crate) fn find(&self, repo: &RepoRef) -> Result<Followed> {
        let found = self.list()?.into_iter().find(|followed| match repo {
            RepoRef::Alias(alias) => followed.alias == *alias,
            RepoRef::Id(id) => followed.file.id == *id,
        });
        found.ok_or_else(|| {
            CliError::new(
                Exit::NotFound,
                format!("you follow no repository `{repo}`"),
                Hint::new("skep repo, or skep repo add TICKET"),
            )
        })
    }

    /// Begins to follow: a new file, never over one that is there.
    pub(crate) fn add(&self, alias: &Name, text: &str) -> Result<()> {
        self.home.create_dir(&self.home.repos_dir())?;
        if write_new(&self.path(alias), text.as_bytes(), 0o600, &faults::REPO)? {
            return Ok(());
        }
        Err(CliError::new(
            Exit::Failed,
            format!("you follow a repository `{alias}` already"),
            Hint::new("another name for this one: --alias NAME"),
        ))
    }

    /// Changes the text of a file.
    pub(crate) fn edit(&self, alias: &Name, text: &str) -> Result<()> {
        self.home.refuse_anothers()?;
        replace(&self.path(alias), text.as_bytes(), 0o600, &faults::REPO)
    }

    /// Stops to follow.
    pub(crate) fn remove(&self, alias: &Name) -> Result<()> {
        self.home.refuse_anothers()?;
        let path = self.path(alias);
        fs::remove_file(&path).map_err(|e| CliError::io("remove", &path, &e))
    }

    /// Gives a repository another alias.
    pub(crate) fn rename(&self, from: &Name, to: &Name) -> Result<()> {
        self.home.refuse_anothers()?;
        let (old, new) = (self.path(from), self.path(to));
        fs::rename(&old, &new).map_err(|e| CliError::io("rename", &old, &e))
    }

    fn path(&self, alias: &Name) -> PathBuf {
        self.home.repos_dir().join(format!("{alias}.toml"))
    }

    fn read(&self, alias: Name) -> Result<Followed> {
        let path = self.path(&alias);
        let text = read_edited(&path, TEXT_FILE_BYTES_MAX)?;
        let file = RepoFile::parse(&text).map_err(|e| {
            let message = format!("`{}` is not the file of a repository", path.display());
            let hint = format!("edit the file: {}", quoted(&path));
            CliError::usage(message, Hint::new(hint)).because(&e)
        })?;
        Ok(Followed { alias, file, text })
    }
}
