//! What is said of a .skep file.

use serde::{Deserialize, Serialize};

use crate::hash::Sha256;
use crate::id::RepoId;
use crate::name::{Name, Version};

use super::{Handle, ReleaseLine};

/// What is taken of a .skep file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// Root documents and logs: enough to decide about its releases.
    Logs,
    /// The files of one release as well, which is used here.
    Release { repo: RepoId, manifest: Sha256 },
    /// Every file, for peers to be offered.
    All,
}

/// How much a node has, before anything of a file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Of all releases, as its quota counts them.
    pub held_bytes: u64,
    pub quota_bytes: Option<u64>,
}

/// What stands in a file, and what it is beside what this node holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bundle {
    pub size_bytes: u64,
    /// Files of releases in it, and how many of those the store does not have, or did not before.
    pub files: u64,
    pub new_files: u64,
    pub new_bytes: u64,
    /// None where no node was asked.
    pub room: Option<Room>,
    pub repos: Vec<BundleRepo>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRepo {
    pub id: RepoId,
    /// What it calls itself.
    pub name: String,
    /// What it is called here, where it is followed.
    pub alias: Option<Name>,
    /// Of the latest root document in the file.
    pub version: u64,
    pub root_sha256: Sha256,
    /// Root documents, logs and entries that are new here.
    pub new_documents: u64,
    pub logs: u64,
    pub new_entries: u64,
    /// Root documents and logs that are held further than the file has them.
    pub behind: Vec<String>,
    /// The latest time at which an entry in the file says that it was written, in unix seconds: its
    /// signer's word.
    pub claimed_at: u64,
    /// The earliest of the logs' latest cosignatures, in unix seconds: a witness's word.
    pub cosigned_at: Option<u64>,
    pub releases: Vec<BundleRelease>,
    /// Yanked now, and not before.
    pub yanked: Vec<Yanked>,
}

/// A release that is whole in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRelease {
    pub name: Name,
    pub line: ReleaseLine,
    pub manifest: Sha256,
    pub owner: Handle,
    pub size_bytes: u64,
    /// Its files were here before.
    pub held: bool,
    /// What this node's policy says; none where nobody was asked.
    pub admitted: Option<bool>,
    /// Why it is not admitted.
    pub why: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Yanked {
    pub name: Name,
    pub version: Version,
    /// Why, in the words of each key that says so.
    pub reasons: Vec<String>,
}

impl Bundle {
    /// Whether some of it is behind what is held, and nothing ahead of it.
    pub fn is_older(&self) -> bool {
        let ahead = |repo: &BundleRepo| repo.new_documents + repo.new_entries > 0;
        self.repos.iter().any(|repo| !repo.behind.is_empty()) && !self.repos.iter().any(ahead)
    }
}
