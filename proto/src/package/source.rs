//! `skep.toml`: what an author writes, cross-checked with what the objects say.
//!
//! What can be read from an object is read from it and never typed twice: programs, maps, byte
//! order, the license that the kernel is told. What the author says about them must fit.

mod assemble;
mod facts;
mod strict;
mod write;

use serde::Deserialize;

use crate::ebpf::Direction;
use crate::id::RepoId;
use crate::name::{Name, Version};
use crate::package::manifest::FileKind;

pub use super::license::{LICENSES, spdx_of};
pub use assemble::{Assembled, FileDigest, Found, Problem, assemble};
pub use strict::{Chain, Global, MapValue, Value};
pub use write::{for_new, guess_hook, with_repository};

/// The package file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub package: Package,
    #[serde(default, rename = "object")]
    pub objects: Vec<Object>,
    #[serde(default, rename = "program")]
    pub programs: Vec<Program>,
    /// What an author says of a map that its definition does not.
    #[serde(default, rename = "map")]
    pub maps: Vec<Map>,
    /// Global variables that a user may set before loading.
    #[serde(default, rename = "global")]
    pub globals: Vec<Global>,
    #[serde(default)]
    pub kernel: Option<Kernel>,
    #[serde(default)]
    pub user: Option<User>,
    #[serde(default, rename = "test")]
    pub tests: Vec<Test>,
    #[serde(default)]
    pub requires: Vec<Requires>,
    /// More files, with what a path alone does not tell.
    #[serde(default, rename = "file")]
    pub files: Vec<Extra>,
    /// What l3afd's payload needs and no object says: carried into the manifest.
    #[serde(default)]
    pub l3afd: Option<toml::Table>,
    #[serde(default)]
    pub bpfman: Option<toml::Table>,
    #[serde(default)]
    pub gadget: Option<toml::Table>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: Name,
    pub version: Version,
    /// SPDX expression.
    pub license: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub source: Option<String>,
    #[serde(default)]
    pub commit: Option<String>,
    #[serde(default)]
    pub documentation: Option<String>,
    #[serde(default)]
    pub homepage: Option<String>,
    /// Written by the first publish.
    #[serde(default)]
    pub repository: Option<RepoId>,
    #[serde(default)]
    pub authors: Vec<String>,
    #[serde(default)]
    pub keywords: Vec<String>,
    #[serde(default = "linux")]
    pub platform: String,
    /// More files to pack, besides objects, the user program, README and license.
    #[serde(default)]
    pub include: Vec<String>,
}

fn linux() -> String {
    "linux".to_owned()
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    pub file: String,
    /// Checked against the object, if said.
    #[serde(default)]
    pub endian: Option<crate::ebpf::Endian>,
}

/// What an author says of a program that its section does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Program {
    pub name: String,
    /// Path of its object, where several have a program of this name and only one is meant.
    pub object: Option<String>,
    pub hook: Option<String>,
    pub direction: Option<Direction>,
    pub target: Option<String>,
    pub optional: bool,
    pub alternative: Option<String>,
    pub chain: Option<Chain>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Map {
    pub name: String,
    pub object: Option<String>,
    pub description: Option<String>,
    pub values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    pub repository: RepoId,
    pub name: Name,
    pub version: String,
    #[serde(default)]
    pub or: Vec<Alternative>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    pub repository: RepoId,
    pub name: Name,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extra {
    pub path: String,
    /// What its path tells, where this is absent.
    #[serde(default)]
    pub kind: Option<FileKind>,
    #[serde(default)]
    pub arch: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    #[serde(default)]
    pub min: Option<String>,
    #[serde(default)]
    pub tested: Vec<String>,
    #[serde(default)]
    pub config: Vec<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub file: String,
    /// Absent of a script.
    #[serde(default)]
    pub arch: Option<String>,
    #[serde(default)]
    pub needs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub program: String,
    pub input: String,
    pub expect: String,
    #[serde(default)]
    pub output: Option<String>,
    #[serde(default)]
    pub repeat: Option<u32>,
    #[serde(default)]
    pub before: Vec<MapValue>,
    #[serde(default)]
    pub after: Vec<MapValue>,
}

/// A file that is no package file; the text draws where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Source {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        toml::from_str(text).map_err(|e| Malformed(e.to_string()))
    }

    /// Paths that it names, each with whether it must be there; README and license files are packed
    /// where there are some.
    pub fn paths(&self) -> Vec<(String, bool)> {
        let objects = self.objects.iter().map(|object| &object.file);
        let user = self.user.iter().map(|user| &user.file);
        let tests = self.tests.iter();
        let tests = tests.flat_map(|test| test.output.iter().chain([&test.input]));
        let named = objects
            .chain(user)
            .chain(tests)
            .chain(self.files.iter().map(|file| &file.path))
            .chain(&self.package.include);
        let mut paths: Vec<(String, bool)> = named.map(|path| (path.clone(), true)).collect();
        for usual in ["README.md", "LICENSE", "COPYING"] {
            paths.push((usual.to_owned(), false));
        }
        paths.sort();
        paths.dedup_by(|later, first| {
            later.0 == first.0 && {
                first.1 |= later.1;
                true
            }
        });
        paths
    }
}

#[cfg(test)]
mod tests;
