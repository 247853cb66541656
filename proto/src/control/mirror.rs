//! What is mirrored, what a change of its rules does, and what nobody needs any more.

use serde::{Deserialize, Serialize};

use crate::name::Version;

/// What a node mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// The most that all releases may have together.
    pub quota_bytes: Option<u64>,
    /// What they have now, and will have when everything is as the rules want it.
    pub held_bytes: u64,
    pub planned_bytes: u64,
    pub stays: Vec<MirrorStay>,
    pub rules: Vec<MirrorRule>,
    /// What is not as it should be comes first.
    pub releases: Vec<MirrorLine>,
    /// How many releases are not among them.
    pub left_off: usize,
}

/// How much of what is here no rule lets go, and no quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorStay {
    /// In the words of [`MirrorLine::why`].
    pub why: String,
    pub size_bytes: u64,
}

/// A rule, or a release that is kept by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorRule {
    /// `ALIAS/PATTERN`, or `ALIAS/NAME@VERSION`.
    pub what: String,
    /// A number or `all`; none of what is kept by name.
    pub newest: Option<String>,
    pub size_bytes_max: Option<u64>,
    pub wanted: u64,
    pub here: u64,
    pub here_bytes: u64,
}

/// One release that is here or wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorLine {
    /// `ALIAS/NAME@VERSION`.
    pub release: String,
    pub size_bytes: Option<u64>,
    /// `published`, `named`, `used`, `no rule`, `doubt`, `unlisted`, or the pattern of a rule; none if
    /// no rule wants it any more.
    pub why: Option<String>,
    /// `here`, `missing`, `no-room` or `leaves`.
    pub state: String,
    /// Why it is not here.
    pub because: Option<String>,
}

/// What a rule, or a release that was kept by name, was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The pattern of a rule, or a name.
    pub names: String,
    /// None of a rule.
    pub version: Option<Version>,
}

/// What becomes of releases because the file of a repository changes, and did not without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorChange {
    pub fetched: u64,
    /// Of all files of those whose size is known.
    pub fetched_bytes: u64,
    /// How many of them have a list of files that is not here.
    pub unknown_sizes: u64,
    pub no_room: u64,
    /// Of the files that only these had.
    pub freed_bytes: u64,
    /// What goes comes first, then what comes, then what has no room.
    pub releases: Vec<MirrorLine>,
    /// How many releases are not among them.
    pub left_off: usize,
}

/// What a collection removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Collected {
    /// Files that no release here has.
    pub files: u64,
    pub size_bytes: u64,
    /// The same, but written so lately that somebody may be at work with them: they stay.
    pub fresh_files: u64,
    pub fresh_bytes: u64,
    /// Releases that were let go.
    pub let_go: Vec<String>,
}
