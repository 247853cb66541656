//! What people type for repositories and packages, with what helps when it is wrong.

use skep_proto::name::{Name, PackageRef, RepoRef};

use crate::error::{CliError, Hint, Result};

pub(crate) fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        let hint = Hint::new("lower-case letters, digits and single dashes, for example `drop`");
        CliError::usage(e.to_string(), hint)
    })
}

/// `REPO/NAME[@VERSION]`, as the usage of `verb` explains it.
pub(crate) fn parse_package(text: &str, verb: &str) -> Result<PackageRef> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new(format!("skep {verb} REPO/NAME, or REPO/NAME@VERSION")),
        )
    })
}

pub(crate) fn parse_repo(text: &str) -> Result<RepoRef> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new("an alias or an id `skep1…`: skep repo"),
        )
    })
}
