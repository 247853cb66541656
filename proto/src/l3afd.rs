//! What l3afd reads besides archives: its configuration, and the payload that is posted to it.
//!
//! l3afd believes both. A payload is therefore made from a manifest and never typed, and one that
//! somebody typed is read as hostile.

pub mod config;
mod entry;
pub mod payload;

#[cfg(test)]
mod tests;

pub use entry::{Unfit, Wanted, check, payload};

use crate::name::Name;
use crate::package::manifest::Manifest;
use crate::render::l3afd::{Artifact, Format};

/// What the archive of a release is called unless an operator says otherwise: as its manifest says,
/// if l3afd can use that, else after the package.
pub fn artifact_of(manifest: &Manifest) -> Artifact {
    let said = manifest.details.l3afd.as_ref();
    let said = said.and_then(|table| Artifact::parse(table.get("artifact")?.as_str()?));
    said.unwrap_or_else(|| default_artifact(&manifest.name))
}

fn default_artifact(name: &Name) -> Artifact {
    Artifact::of_package(name, Format::TarGz)
}

/// Whether a word may stand in a path of l3afd's, which cleans none: letters, digits, `_`, `-` and
/// single dots, so that no component of a path leads elsewhere.
pub fn is_plain(word: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !word.is_empty() && word.bytes().all(allowed) && !word.contains("..") && word != "."
}
