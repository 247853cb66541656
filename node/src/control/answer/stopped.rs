//! Repositories that are stopped: something of them is damaged that must not be forgotten. They are
//! asked for by name, and refused by that name; the others go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skep_proto::control::{Check, Refused, RepoLine, Request};
use skep_proto::id::RepoId;
use skep_proto::name::{Name, PackageRef, RepoRef};
use skep_proto::trust::file::RepoFile;

use super::{Answers, failed};
use crate::repos;

/// Which file of each is damaged.
pub(crate) type Stopped = BTreeMap<RepoId, PathBuf>;

/// Which repository a request is about; none if about none, or several.
enum About {
    Reference(RepoRef),
    Nothing,
}

impl About {
    fn of(request: &Request) -> Self {
        let parsed = |reference: Option<RepoRef>| reference.map_or(Self::Nothing, Self::Reference);
        match request {
            Request::Repo { repo } | Request::Packages { repo } => parsed(repo.parse().ok()),
            Request::Release { package, .. } => {
                let package = package.parse::<PackageRef>().ok();
                parsed(package.map(|package| package.repo))
            }
            Request::AwaitSync { repo, .. }
            | Request::Log { repo, .. }
            | Request::PutRoot { repo, .. }
            | Request::Append { repo, .. }
            | Request::Publish { repo, .. }
            | Request::Fetch { repo, .. }
            | Request::Admit { repo, .. }
            | Request::LetGo { repo, .. }
            | Request::Purge { repo } => Self::Reference(RepoRef::Id(*repo)),
            Request::Status
            | Request::Peers
            | Request::Stop
            | Request::Reload
            | Request::Search { .. }
            | Request::PutBlob
            | Request::OpenBlob { .. }
            | Request::RecheckBlob { .. }
            | Request::Addresses
            | Request::Doctor
            | Request::Mirror
            // Rules may be written while what they are about is stopped.
            | Request::PlanMirror { .. }
            | Request::Collect { .. }
            // Which repositories a file is of is known once it was read.
            | Request::CheckBundle { .. }
            | Request::ImportBundle { .. }
            | Request::ExportBundle { .. } => Self::Nothing,
        }
    }
}

impl Answers {
    /// Refuses what is asked of a repository that is stopped.
    pub(super) fn refuse_stopped(&self, request: &Request) -> Result<(), Refused> {
        if self.stopped.is_empty() {
            return Ok(());
        }
        match About::of(request) {
            About::Reference(reference) => self.refuse_stopped_one(&reference),
            About::Nothing => Ok(()),
        }
    }

    /// The same of a repository that a file is of.
    pub(super) fn refuse_stopped_repo(&self, repo: &RepoId) -> Result<(), Refused> {
        self.refuse_stopped_one(&RepoRef::Id(*repo))
    }

    fn refuse_stopped_one(&self, reference: &RepoRef) -> Result<(), Refused> {
        let all = self.stopped_named();
        let found = all.iter().find(|(id, alias, _)| match reference {
            RepoRef::Id(asked) => asked == id,
            RepoRef::Alias(asked) => alias.as_ref() == Some(asked),
        });
        match found {
            None => Ok(()),
            Some((_, _, path)) => Err(Refused {
                hint: Some(self.move_away(path)),
                ..failed(format!("the repository `{reference}` is {}", why(path)))
            }),
        }
    }

    /// They stand in the list of what is followed.
    pub(super) fn stopped_lines(&self) -> impl Iterator<Item = RepoLine> {
        self.stopped_named()
            .into_iter()
            .map(|(id, alias, path)| RepoLine {
                id,
                alias,
                state: why(path),
                version: 0,
                logs: 0,
                packages: 0,
                releases: 0,
                view_hash: None,
            })
    }

    pub(super) fn stopped_checks(&self) -> impl Iterator<Item = Check> {
        self.stopped_named().into_iter().map(|(id, alias, path)| {
            let called = alias.map_or_else(|| id.to_string(), |alias| alias.to_string());
            let text = format!("{called}: {}", why(path));
            Check::failed("repository", text, self.move_away(path))
        })
    }

    /// With the aliases that they have now.
    fn stopped_named(&self) -> Vec<(RepoId, Option<Name>, &Path)> {
        if self.stopped.is_empty() {
            return Vec::new();
        }
        // Of files that cannot be read, whoever reloads them says so.
        let followed = repos::read_all(&self.config.repos).unwrap_or_default();
        let alias = |id: &RepoId| {
            let found = followed.iter().find(|(_, file)| file.id == *id);
            found.map(|(alias, _)| alias.clone())
        };
        let stopped = self.stopped.iter();
        stopped
            .map(|(id, path)| (*id, alias(id), path.as_path()))
            .collect()
    }

    fn move_away(&self, path: &Path) -> String {
        format!(
            "put it back from a backup, or go on without what it says: mv {} {}/; then start the \
             node again, if one runs",
            path.display(),
            self.config.store.join("damaged").display()
        )
    }
}

fn why(path: &Path) -> String {
    let path = path.display();
    format!("stopped: `{path}` is damaged, and nobody else has it")
}

/// What is followed, but for what is stopped.
pub(crate) fn without(
    stopped: &Stopped,
    mut repos: Vec<(Name, RepoFile)>,
) -> Vec<(Name, RepoFile)> {
    repos.retain(|(_, file)| !stopped.contains_key(&file.id));
    repos
}
