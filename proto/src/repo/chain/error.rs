//! Why a root document does not follow where it says that it does.

use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::repo::root;

/// Why a document does not follow where it says that it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Document(#[from] root::Error),
    #[error("root document of {0} signatures where 1 to 64 are allowed")]
    SignatureCount(usize),
    #[error("root document of repository `{0}`")]
    OtherRepository(RepoId),
    #[error("root document {version} is signed by {signed} old root keys where {threshold} must")]
    OldThreshold {
        version: u64,
        signed: usize,
        threshold: usize,
    },
    #[error("root document {version} is signed by {signed} new root keys where {threshold} must")]
    NewThreshold {
        version: u64,
        signed: usize,
        threshold: usize,
    },
    #[error("root document {version} lists the key `{key}`, which has not signed it")]
    NotHeld { version: u64, key: Key },
    #[error("root document 1 with replaced registrars or with entries seen before it")]
    FirstSeen,
    #[error("root document {0} changes more of the registrars than to replace the live one")]
    Registrars(u64),
    #[error("root document {0} changes `{1}`, which never changes along a chain")]
    Fixed(u64, &'static str),
    #[error("root document {version} with the hash `{sha256}` leads to no chain that is held")]
    NoSuchBranch { version: u64, sha256: Sha256 },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoSuchBranch { .. } => Fault::Us,
            _ => Fault::Peer,
        }
    }
}
