//! What goes into a store and what comes out of it.

use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::repo::root::SignedRoot;

use super::Error;

/// Longest key of a fact in bytes: a name, `@` and a version fit, and so does a file name.
pub const FACT_KEY_BYTES_MAX: usize = 160;
/// Longest value of a fact in bytes: hash and size of twenty thousand files fit.
pub const FACT_VALUE_BYTES_MAX: usize = 1 << 20;

/// One thing to make durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// From now on the repository is kept; needed before anything else of it.
    Follow { repo: RepoId },
    /// Everything of the repository goes; blobs stay.
    Unfollow { repo: RepoId },
    /// A document of the chain, or a rival. Replaces one of the same payload (other signatures).
    Root { repo: RepoId, signed: SignedRoot },
    /// Compare-and-swap: `from` is the number of entries held. `checkpoint` covers all of them,
    /// and perhaps more that are not here yet.
    Append {
        repo: RepoId,
        key: Key,
        from: u64,
        /// At least one.
        entries: Vec<Vec<u8>>,
        checkpoint: Checkpoint,
    },
    /// A checkpoint of a size that is held, with newer cosignatures.
    Checkpoint {
        repo: RepoId,
        checkpoint: Checkpoint,
    },
    /// No more than the first `to` entries stay, and no checkpoint of a larger size: the others were
    /// fetched for a checkpoint of another branch.
    Rewind { repo: RepoId, key: Key, to: u64 },
    /// A cut names another branch: the entries and checkpoints that are held and those that were set
    /// aside before, if any, change places. What is set aside comes back when a later cut names it.
    Exchange { repo: RepoId, key: Key },
    /// The log forked. Replaces earlier evidence against the same key.
    Evidence {
        repo: RepoId,
        evidence: ForkEvidence,
    },
    /// Something that this node remembers of a repository. Replaces what is under the same key.
    Fact {
        repo: RepoId,
        kind: FactKind,
        /// 1 to [`FACT_KEY_BYTES_MAX`] of `A-Z a-z 0-9 . _ + @ -`, the first one no dot.
        key: String,
        /// At most [`FACT_VALUE_BYTES_MAX`].
        value: Vec<u8>,
    },
    ForgetFact {
        repo: RepoId,
        kind: FactKind,
        key: String,
    },
}

/// What a fact is about; what its value says is the core's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    /// A manifest that trusted mode has admitted for a name and version.
    Admitted,
    /// A release whose blobs are present for this repository, and why.
    Holding,
    /// A yank or quarantine that was shown and stays.
    Restriction,
    /// The latest root document of the branch that is followed: without it a restarted node would
    /// be a newcomer to a fork.
    Followed,
    /// What the view was made of that readers see while the registrars' logs make none.
    Shown,
    /// That the place where a cut ends a log lies under a checkpoint which is not held whole.
    CutProof,
    /// A registrar whose log a peer was seen to hold.
    Confirmed,
}

/// What becomes of a fact that the medium spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Without it something would be believed that a person was to be asked about: a person decides.
    Stops,
    /// It is made again, or what needs it is asked for again.
    Forgotten,
    /// Its key says everything.
    None,
}

/// What was persisted, in the order in which it is given for each repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    Repository {
        repo: RepoId,
    },
    /// By version, then by hash.
    Root {
        repo: RepoId,
        signed: SignedRoot,
    },
    /// Log by log, by key; of each log from the start without a gap, then those set aside.
    Entries {
        repo: RepoId,
        key: Key,
        aside: bool,
        from: u64,
        entries: Vec<Vec<u8>>,
    },
    /// After the entries of each log. `whole` is the last checkpoint that covered exactly what was
    /// held. `ahead` is the one under which the entries after it were appended, while some that it
    /// covers are missing: it proves that what is held is the author's.
    Checkpoints {
        repo: RepoId,
        key: Key,
        aside: bool,
        whole: Option<Checkpoint>,
        ahead: Option<Checkpoint>,
    },
    /// By key.
    Evidence {
        repo: RepoId,
        evidence: ForkEvidence,
    },
    /// By kind, then by key.
    Fact {
        repo: RepoId,
        kind: FactKind,
        key: String,
        value: Vec<u8>,
    },
}

impl Change {
    /// Whether entries that were here may be gone afterwards, or others stand in their place.
    pub fn takes_entries_away(&self) -> bool {
        match self {
            Self::Unfollow { .. } | Self::Rewind { .. } | Self::Exchange { .. } => true,
            Self::Follow { .. }
            | Self::Root { .. }
            | Self::Append { .. }
            | Self::Checkpoint { .. }
            | Self::Evidence { .. }
            | Self::Fact { .. }
            | Self::ForgetFact { .. } => false,
        }
    }

    /// The repository that must be followed for this to be kept.
    pub(super) fn needs_followed(&self) -> Option<&RepoId> {
        match self {
            Self::Follow { .. } | Self::Unfollow { .. } => None,
            Self::Root { repo, .. }
            | Self::Append { repo, .. }
            | Self::Checkpoint { repo, .. }
            | Self::Rewind { repo, .. }
            | Self::Exchange { repo, .. }
            | Self::Evidence { repo, .. }
            | Self::Fact { repo, .. }
            | Self::ForgetFact { repo, .. } => Some(repo),
        }
    }
}

impl FactKind {
    pub const ALL: [Self; 7] = [
        Self::Admitted,
        Self::Holding,
        Self::Restriction,
        Self::Followed,
        Self::Shown,
        Self::CutProof,
        Self::Confirmed,
    ];

    pub(super) fn loss(self) -> Loss {
        match self {
            // Another manifest than the admitted one, a yank that vanished, or the other branch of
            // two root documents would be taken without a question.
            Self::Admitted | Self::Restriction | Self::Followed => Loss::Stops,
            // What is held is said again by whoever gets or publishes it; a view that is not made
            // again is not shown; who lacks a proof does not give it.
            Self::Holding | Self::Shown | Self::CutProof => Loss::Forgotten,
            Self::Confirmed => Loss::None,
        }
    }

    /// Name of its folder.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Holding => "holding",
            Self::Restriction => "restriction",
            Self::Followed => "followed",
            Self::Shown => "shown",
            Self::CutProof => "cut-proof",
            Self::Confirmed => "confirmed",
        }
    }
}

/// A key becomes a file name: nothing else may be said with it.
pub(super) fn check_fact_key(key: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._+@-".contains(&b);
    let fine = (1..=FACT_KEY_BYTES_MAX).contains(&key.len())
        && !key.starts_with('.')
        && key.bytes().all(allowed);
    match fine {
        true => Ok(()),
        false => Err(Error::FactKey { key: key.into() }),
    }
}

pub(super) fn check_fact(key: &str, value: &[u8]) -> Result<(), Error> {
    check_fact_key(key)?;
    match value.len() <= FACT_VALUE_BYTES_MAX {
        true => Ok(()),
        false => Err(Error::FactSize { size: value.len() }),
    }
}
