//! What a search is answered.

use serde::{Deserialize, Serialize};

use crate::hash::Sha256;
use crate::id::RepoId;
use crate::name::{Name, Version};

/// Most packages in one answer: a frame of the control protocol has room for them, and nobody reads
/// more at once.
pub const HITS_MAX: usize = 1_000;

/// Which part of what was found is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// At most [`HITS_MAX`] count.
    pub limit: usize,
    pub offset: usize,
    pub sort: Sort,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// What fits the words best; without words, as [`Self::Name`].
    #[default]
    Best,
    Name,
    /// What its publisher says was published last.
    Newest,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    /// How many packages fit, on all pages.
    pub total: usize,
    pub hits: Vec<Hit>,
    /// How many packages are not looked at, since the index has no room for them.
    #[serde(default)]
    pub left_out: usize,
}

/// A package that fits, and the version that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub repo: RepoId,
    pub alias: Option<Name>,
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
    pub description: String,
    /// SPDX expression.
    pub license: String,
    pub hooks: Vec<String>,
    /// Whether this node's policy admits this version.
    pub trusted: bool,
    pub deprecated: bool,
    /// Unix seconds, as the publisher claims.
    pub published_at: u64,
}
