//! Names, versions and references: `repo/name@requirement`.
//!
//! A package is always `repo/name`; there is no name without a repository and no search path, so
//! confusion between repositories cannot be expressed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::hash::Blake3;
use crate::id::RepoId;

/// Longest name, in bytes: a name is a valid OCI path component, and clients limit host, path and
/// name together to 255.
pub const NAME_LEN_MAX: usize = 64;
/// Longest version, in bytes; a version is also an OCI tag, of at most 128.
pub const VERSION_LEN_MAX: usize = 64;

/// Why a text is no name, version or reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "`{}` is not a name: lower-case letters and digits, joined by `_`, `__` or dashes, at most 64",
        crate::text::harmless_line(.0)
    )]
    Name(String),
    #[error("`{}` is not a version: {}", crate::text::harmless_line(.text), .why)]
    Version { text: String, why: String },
    #[error("`{}` is not a version requirement: {}", crate::text::harmless_line(.text), .why)]
    Requirement { text: String, why: String },
    #[error("`{}` names no repository: a package is always `repo/name`", crate::text::harmless_line(.0))]
    NoRepository(String),
    #[error("`{}` is not a BLAKE3 hash: expected `b3:` and 64 hex digits", crate::text::harmless_line(.0))]
    Hash(String),
}

/// `[a-z0-9]+((_|__|-+)[a-z0-9]+)*`, at most 64 bytes. Names are compared in their exact spelling;
/// ownership goes by [`Name::fold`]. Views, indexes and snapshots share one text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A name without `-` and `_`: names with one fold are one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fold(Arc<str>);

/// Route words and Windows device names, which the tool refuses for new names and aliases. The
/// view knows no reserved words.
const RESERVED: [&str; 22] = [
    "v2", "api", "l3afd", "p", "repos", "keys", "node", "search", "docs", "login", "logout",
    "metrics", "healthz", "readyz", "self", "con", "prn", "aux", "nul", "com1", "lpt1", "latest",
];

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn fold(&self) -> Fold {
        if !self.0.contains(['-', '_']) {
            return Fold(Arc::clone(&self.0));
        }
        let plain = self.0.chars().filter(|c| !matches!(c, '-' | '_'));
        Fold(plain.collect::<String>().into())
    }

    /// Whether the tool refuses it for something new.
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.as_str())
    }
}

impl Fold {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |run: &str| matches!(run, "_" | "__") || run.bytes().all(|b| b == b'-');
    if text.is_empty() || text.len() > NAME_LEN_MAX {
        return false;
    }
    // Plain runs and separator runs alternate, beginning and ending with a plain one.
    let mut rest = text;
    loop {
        let end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
        if end == 0 {
            return false;
        }
        rest = &rest[end..];
        if rest.is_empty() {
            return true;
        }
        let end = rest.find(plain).unwrap_or(rest.len());
        if !separator(&rest[..end]) {
            return false;
        }
        rest = &rest[end..];
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(Error::Name(text.chars().take(80).collect()))
        }
    }
}

/// SemVer 2.0.0 without build metadata, at most 64 bytes, each number (numeric pre-release parts
/// too) below 2^64. Ordered by precedence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

impl Version {
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Version {
            text: text.chars().take(80).collect(),
            why: why.to_owned(),
        };
        if text.len() > VERSION_LEN_MAX {
            return Err(refuse("longer than 64 bytes"));
        }
        let version = semver::Version::parse(text).map_err(|e| refuse(&e.to_string()))?;
        if !version.build.is_empty() {
            return Err(refuse(
                "build metadata (`+…`) would give one version two spellings",
            ));
        }
        let numeric = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
        let mut parts = version.pre.split('.').filter(|part| !part.is_empty());
        if parts.any(|part| numeric(&part) && part.parse::<u64>().is_err()) {
            return Err(refuse("a number of 2^64 or more"));
        }
        Ok(Self(version))
    }
}

/// A semver requirement after `@`.
///
/// `2.1.0` alone means exactly that version; cargo's caret is written `^2.1.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    Exact(Version),
    Range(semver::VersionReq),
}

impl Requirement {
    /// Whether `version` satisfies it. A pre-release satisfies a range only if the range names a
    /// pre-release of the same numbers.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Exact(exact) => exact == version,
            Self::Range(range) => range.matches(&version.0),
        }
    }
}

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Exact(version));
        }
        semver::VersionReq::parse(text)
            .map(Self::Range)
            .map_err(|e| Error::Requirement {
                text: text.chars().take(80).collect(),
                why: e.to_string(),
            })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

/// A repository as a person types it: the local alias, or the id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepoRef {
    Alias(Name),
    Id(RepoId),
}

impl FromStr for RepoRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::Alias),
        }
    }
}

impl fmt::Display for RepoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => alias.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// `repo/name` or `repo/name@requirement`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRef {
    pub repo: RepoRef,
    pub name: Name,
    pub requirement: Option<Requirement>,
}

impl FromStr for PackageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let no_repository = || Error::NoRepository(text.chars().take(80).collect());
        let (repo, rest) = text.split_once('/').ok_or_else(no_repository)?;
        let (name, requirement) = match rest.split_once('@') {
            Some((name, requirement)) => (name, Some(requirement.parse()?)),
            None => (rest, None),
        };
        Ok(Self {
            repo: repo.parse()?,
            name: name.parse()?,
            requirement,
        })
    }
}

impl fmt::Display for PackageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repo, self.name)?;
        match &self.requirement {
            Some(requirement) => write!(f, "@{requirement}"),
            None => Ok(()),
        }
    }
}

/// Reads `b3:` and 64 hex digits.
pub fn parse_blob_ref(text: &str) -> Result<Blake3, Error> {
    text.strip_prefix("b3:")
        .and_then(|hex| hex.parse().ok())
        .ok_or_else(|| Error::Hash(text.chars().take(80).collect()))
}

macro_rules! shown_and_serialized_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
shown_and_serialized_as_text!(Name, Version);

#[cfg(test)]
mod tests;
