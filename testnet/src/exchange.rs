//! What passes between two nodes about blobs: requests for a list or for groups, and the answers.

use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::blobs::{Group, List};

/// A request for parts of a blob.
#[derive(Debug, Clone)]
pub struct Ask {
    /// By which the asker finds it again; never used twice by one node.
    pub fetch: u64,
    pub peer: NodeId,
    pub repo: RepoId,
    pub hash: Blake3,
    pub what: Part,
}

#[derive(Debug, Clone, Copy)]
pub enum Part {
    List,
    Groups { first: u64, count: u64 },
}

/// Claimed, all of it.
#[derive(Debug, Clone)]
pub enum Told {
    List(List),
    Group(Group),
    /// No more groups come.
    End,
    /// Not here, or not for you.
    NotFound,
}

impl Told {
    pub fn size_bytes(&self) -> u64 {
        let size = match self {
            Self::List(list) => list.bytes.len(),
            Self::Group(group) => group.bytes.len(),
            Self::End | Self::NotFound => 0,
        };
        size as u64
    }
}
