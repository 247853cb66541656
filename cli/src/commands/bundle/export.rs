//! Writing a .skep file: by the node, into a file that gets its name when it is whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use skep_proto::control::{Request, Response};
use skep_proto::name::{PackageRef, RepoRef};
use skep_proto::trust::file::Glob;

use super::{about, ask};
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::{Unfinished, clean_up_after};
use crate::report::text::size;

/// Which releases are meant, as far as their spelling tells.
pub(super) fn check_references(references: &[String]) -> Result<()> {
    for reference in references {
        let hint = || Hint::new("skep bundle export REPO/NAME -o FILE, or 'REPO/*'");
        if reference.contains('*') {
            let parts = reference.split_once('/');
            let is_glob = parts.is_some_and(|(repo, glob)| {
                repo.parse::<RepoRef>().is_ok() && glob.parse::<Glob>().is_ok()
            });
            if !is_glob {
                let message = format!(
                    "`{reference}` is not REPO/GLOB, where `*` stands for any run of characters"
                );
                return Err(CliError::usage(message, hint()));
            }
        } else {
            let parsed = reference.parse::<PackageRef>();
            parsed.map_err(|e| CliError::usage(e.to_string(), hint()))?;
        }
    }
    Ok(())
}

/// A .skep file that is about to be written: made before anything else is done, so that a release
/// that is published is also written.
pub(crate) struct Output {
    unfinished: Unfinished,
    path: PathBuf,
}

impl Output {
    /// # Errors
    /// What stands there is no regular file: a name that is moved to its place would replace a
    /// device or a pipe rather than write into it.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            let hint = Hint::new("name a file: -o NAME.skep");
            return Err(CliError::usage(
                "a .skep file is not written to stdout",
                hint,
            ));
        }
        let failed = |e| CliError::io("write", path, &e);
        // Through a link to what it stands for: the link is somebody's, and stays.
        let target = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => fs::canonicalize(path).map_err(failed)?,
            _ => path.to_owned(),
        };
        match fs::metadata(&target) {
            Ok(found) if !found.is_file() => {
                let what = if found.is_dir() {
                    "a folder"
                } else {
                    "no regular file"
                };
                return Err(CliError::new(
                    Exit::Failed,
                    format!("`{}` is {what}", path.display()),
                    Hint::new("name a file on a disk: it gets its name when it is whole"),
                ));
            }
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let parent = target.parent().filter(|p| !p.as_os_str().is_empty());
        clean_up_after(parent.unwrap_or(Path::new(".")), |name| {
            target.file_name().is_some_and(|ours| ours == name)
        });
        Ok(Self {
            unfinished: Unfinished::begin(&target, 0o644).map_err(failed)?,
            path: path.to_owned(),
        })
    }

    /// As a person named it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes these releases into a file; gives how long it is.
pub(crate) async fn export(
    references: &[String],
    output: Output,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<u64> {
    let Output { unfinished, path } = output;
    let output = path;
    let failed = |e| CliError::io("write", &output, &e);
    let request = Request::ExportBundle {
        releases: references.to_vec(),
    };
    let file = unfinished.file().try_clone().map_err(failed)?;
    match ask("writing the file", request, file, session, client).await {
        Ok(Response::Done) => {}
        Ok(other) => return Err(unexpected(&other)),
        Err(error) => return Err(about(&output, error)),
    }
    let bytes = unfinished.file().metadata().map_err(failed)?.len();
    unfinished.finish().map_err(failed)?;
    session.ui.say(&format!(
        "wrote {}   {}   for a node without a network: skep bundle import {}",
        quoted(&output),
        size(bytes),
        quoted(&output)
    ));
    Ok(bytes)
}
