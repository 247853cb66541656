//! The store: files hold the truth, the index can be rebuilt.
use skep_proto::{hash::Sha256, id::RepoId, key::Key};
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Root {
        repo: RepoId,
        version: u64,
        sha256: Sha256,
        signed: Vec<u8>,
        rival: bool,
    },
    Append {
        repo: RepoId,
        key: Key,
        from: u64,
        entries: Vec<Vec<u8>>,
        checkpoint: Vec<u8>,
        checkpoint_size: u64,
    },
    Checkpoint {
        repo: RepoId,
        key: Key,
        checkpoint: Vec<u8>,
        checkpoint_size: u64,
    },
    Rewind {
        repo: RepoId,
        key: Key,
        to: u64,
    },
    Evidence {
        repo: RepoId,
        key: Key,
        evidence: Vec<u8>,
    },
    Fact {
        repo: RepoId,
        kind: FactKind,
        key: String,
        value: Vec<u8>,
    },
    Follow {
        repo: RepoId,
    },
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    Admitted,
    Holding,
    Followed,
}
