//! What a node keeps in memory of an entry: all that the sequence and the view need, and no text.
//!
//! Payloads, reasons and reviews stay in the store, found by their place in the log. Signatures of
//! handle operations are verified once, when the fact is made.

use std::collections::BTreeSet;

use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::{Key, signers};
use crate::log::entry::{
    Body, Grant, HandleOperation, Mark, Member, Parsed, RootNotice, Settle, StatusState, Subject,
    handle_message, parse,
};
use crate::log::tree::{self, Tree};
use crate::name::{Name, Version};

/// What an entry says, without its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Void,
    Unknown {
        kind: u64,
    },
    Hello,
    /// `manifest` is the SHA-256 of the payload.
    Publish {
        name: Name,
        version: Version,
        manifest: Sha256,
    },
    Approve {
        name: Name,
        version: Version,
        manifest: Sha256,
    },
    Status {
        name: Name,
        version: Option<Version>,
        state: StatusState,
        on: bool,
    },
    Review {
        name: Name,
    },
    Attest {
        subject: Sha256,
    },
    Advisory {
        id: String,
        name: Name,
    },
    Operation(Box<Operation>),
    Root(RootNotice),
}

/// What a registrar orders. Said in another log it is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Handle(HandleFact),
    Grant(Grant),
    Cut(Mark),
    Suspend { subject: Subject, on: bool },
    Settle(Settle),
    Member(Member),
}

/// A handle operation with its signatures verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandleFact {
    /// SHA-256 of the message that its keys sign.
    pub hash: Sha256,
    pub prev: Option<Sha256>,
    pub label: Name,
    pub publish_threshold: u8,
    pub change_threshold: u8,
    pub keys: BTreeSet<Key>,
    pub drop: Vec<Mark>,
    /// Keys with a signature that verifies.
    pub signed: BTreeSet<Key>,
    /// Keys with signatures of which none verifies.
    pub falsely_signed: BTreeSet<Key>,
}

impl Fact {
    /// Reads an entry of a log in `repo`; total, as [`parse`] is.
    pub fn of(repo: &RepoId, raw: &[u8]) -> Self {
        match parse(raw) {
            Parsed::Void => Self::Void,
            Parsed::Unknown { kind } => Self::Unknown { kind },
            Parsed::Entry(entry) => Self::of_body(repo, entry.body),
        }
    }

    fn of_body(repo: &RepoId, body: Body) -> Self {
        match body {
            Body::Hello => Self::Hello,
            Body::Publish(publish) => Self::Publish {
                name: publish.name,
                version: publish.version,
                manifest: Sha256::of(&[&publish.payload]),
            },
            Body::Approve(approve) => Self::Approve {
                name: approve.name,
                version: approve.version,
                manifest: approve.manifest,
            },
            Body::Status(status) => Self::Status {
                name: status.name,
                version: status.version,
                state: status.state,
                on: status.on,
            },
            Body::Review(review) => Self::Review { name: review.name },
            Body::Attest(attest) => Self::Attest {
                subject: attest.subject,
            },
            Body::Advisory(advisory) => Self::Advisory {
                id: advisory.id,
                name: advisory.name,
            },
            Body::Root(notice) => Self::Root(notice),
            Body::Handle(handle) => Operation::Handle(HandleFact::of(repo, *handle)).into(),
            Body::Grant(grant) => Operation::Grant(grant).into(),
            Body::Cut(cut) => Operation::Cut(cut.mark).into(),
            Body::Suspend(suspend) => Operation::Suspend {
                subject: suspend.subject,
                on: suspend.on,
            }
            .into(),
            Body::Settle(settle) => Operation::Settle(settle).into(),
            Body::Member(member) => Operation::Member(member).into(),
        }
    }
}

impl From<Operation> for Fact {
    fn from(operation: Operation) -> Self {
        Self::Operation(Box::new(operation))
    }
}

impl HandleFact {
    fn of(repo: &RepoId, operation: HandleOperation) -> Self {
        let message = handle_message(repo, &operation);
        let signed = signers(&operation.signatures, &message);
        let named = operation.signatures.iter().map(|(key, _)| *key);
        Self {
            hash: Sha256::of(&[&message]),
            prev: operation.prev,
            label: operation.label,
            publish_threshold: operation.publish_threshold,
            change_threshold: operation.change_threshold,
            keys: operation.keys.into_iter().collect(),
            drop: operation.drop,
            falsely_signed: named.filter(|key| !signed.contains(key)).collect(),
            signed,
        }
    }
}

/// The committed entries of one key's log, as facts: what the sequence and the view are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFacts {
    facts: Vec<Fact>,
    tree: Tree,
    lengths: Vec<u32>,
    bytes: u64,
    /// Of the last entries: those under no checkpoint that is whole.
    unfinished: usize,
}

impl LogFacts {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next entry of a log in `repo`.
    pub fn push(&mut self, repo: &RepoId, raw: &[u8]) {
        self.facts.push(Fact::of(repo, raw));
        self.tree.push(tree::leaf(raw));
        self.bytes += raw.len() as u64;
        self.lengths
            .push(u32::try_from(raw.len()).unwrap_or(u32::MAX));
    }

    /// Gives back the spare places of a log that was read whole: it grew by doubling.
    pub fn shrink(&mut self) {
        self.facts.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.tree.shrink();
    }

    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Says that the first `size` entries are all under a checkpoint that is held whole, and the
    /// others are a remainder: fetched for a later checkpoint, and not to be seen until that is
    /// whole, so that no view differs where frontiers agree.
    pub fn whole_up_to(&mut self, size: u64) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        self.unfinished = self.len().saturating_sub(size);
    }

    /// How many entries are not such a remainder; all, until [`LogFacts::whole_up_to`] says else.
    pub(crate) fn whole(&self) -> usize {
        self.len() - self.unfinished
    }

    /// Forgets all entries after the first `size`, in a log in any repository.
    pub fn truncate(&mut self, size: u64) {
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(self.len());
        let whole = self.whole().min(size);
        self.facts.truncate(size);
        self.lengths.truncate(size);
        self.bytes = self.lengths.iter().copied().map(u64::from).sum();
        self.tree = self.tree.leaves().iter().take(size).copied().collect();
        self.unfinished = size - whole;
    }

    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    pub fn leaves(&self) -> &[Sha256] {
        self.tree.leaves()
    }

    /// The tree over the entries: roots and proofs at every size.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The length of each entry, in bytes.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// All lengths together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the first `size` entries are held and have this root.
    pub fn matches(&self, size: u64, root: Sha256) -> bool {
        self.tree.root_at(size) == Some(root)
    }

    /// [`LogFacts::matches`], counting nothing beyond the first `held` entries as held.
    pub(crate) fn matches_within(&self, held: usize, size: u64, root: Sha256) -> bool {
        size <= held as u64 && self.matches(size, root)
    }

    /// How many entries there are before one that would cross `entries` or `bytes`; that one and
    /// all after it count as not committed.
    pub fn within(&self, entries: u64, bytes: u64) -> usize {
        let mut used = 0_u64;
        self.lengths
            .iter()
            .zip(0..entries)
            .take_while(|(length, _)| {
                used = used.saturating_add(u64::from(**length));
                used <= bytes
            })
            .count()
    }
}
