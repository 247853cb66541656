//! What happened: everything the core is told.

use skep_proto::bytes::{self, Reader, Writer};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::name::{Name, Version};
use skep_proto::repo::root::SignedRoot;
use skep_proto::trust::file::RepoFile;

use super::repository::CutProof;

/// Most files of one release: ten thousand, and room.
const HOLDING_BLOBS_MAX: usize = 16_384;
/// Longest holding, in bytes: each blob takes at most 45.
const HOLDING_BYTES_MAX: usize = 45 * HOLDING_BLOBS_MAX + 16;

/// A live sync stream with one peer; a reconnected peer has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// By which a reply finds who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// By which the adapter finds a gossip message again when it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipId(pub Vec<u8>);

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A sync stream is open; `nonce` is ours, fresh for this session.
    Connected {
        session: SessionId,
        peer: NodeId,
        opener: bool,
        nonce: [u8; 32],
    },
    Closed {
        session: SessionId,
    },
    /// One frame, type and CBOR, within the limit.
    Heard {
        session: SessionId,
        frame: Vec<u8>,
    },
    Gossiped {
        id: GossipId,
        from: NodeId,
        topic: [u8; 32],
        data: Vec<u8>,
    },
    /// A node on this network, or one whose address somebody configured.
    Discovered {
        peer: NodeId,
        addresses: Vec<String>,
    },
    /// What the files of `repos.d` say now, all of them.
    Configured {
        repos: Vec<(Name, RepoFile)>,
    },
    Command(RequestId, Command),
    /// A command needs these blobs of a repository; answered when all are in the store.
    Wanted {
        id: RequestId,
        repo: RepoId,
        /// Hash and size in bytes.
        blobs: Vec<(Blake3, u64)>,
    },
    /// Whoever asked is gone.
    Abandoned(RequestId),
    /// The store's answer to `BeginBlob`.
    BlobBegun {
        hash: Blake3,
        held: Held,
    },
    /// A group list was proven against its hash and stored.
    ListProven {
        hash: Blake3,
    },
    /// One chunk group was verified and stored.
    GroupStored {
        from: NodeId,
        hash: Blake3,
        group: u64,
        size_bytes: u64,
    },
    /// A blob is whole and in its place.
    BlobStored {
        hash: Blake3,
    },
    /// Our disk failed when the blob was whole.
    BlobLost {
        hash: Blake3,
        why: String,
    },
    FetchEnded {
        peer: NodeId,
        hash: Blake3,
        why: FetchEnd,
    },
    /// The store could not keep something; what depended on it was not sent.
    PersistFailed {
        why: String,
    },
    /// Somebody asks whether the event loop turns.
    Probed(RequestId),
    /// The time that `WakeAt` asked for has come.
    Woken,
}

/// What a person or a tool wants done, through the control socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A signed root document, made where the root keys are.
    PutRoot { repo: RepoId, root: SignedRoot },
    /// Entries signed where the key is: taken as a peer's would be, if they continue the log.
    Append {
        repo: RepoId,
        key: Key,
        entries: Vec<Vec<u8>>,
        checkpoint: Checkpoint,
    },
    /// Entries of a log that a .skep file brings.
    Carry(Box<Carry>),
    /// A release whose blobs are in the store: why, and which.
    Hold {
        repo: RepoId,
        manifest: Sha256,
        holding: Holding,
    },
    /// A release is no longer held for this reason: what was kept, or what was used. What was
    /// published here stays.
    LetGo {
        repo: RepoId,
        manifest: Sha256,
        why: HoldingReason,
    },
    /// Forgets everything of a repository that is no longer followed. Its blobs are a matter of the
    /// store.
    Purge { repo: RepoId },
    /// Trusted mode admitted this manifest under this name and version.
    Admit {
        repo: RepoId,
        name: Name,
        version: Version,
        manifest: Sha256,
    },
    /// Answered once a peer that shares the repository was compared with to the end.
    AwaitSync { repo: RepoId },
}

/// A part of a log, and what proves it: taken as a peer's would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Carry {
    pub repo: RepoId,
    pub checkpoint: Checkpoint,
    /// Where to stop, if a cut ends the log before the checkpoint.
    pub cut: Option<CutProof>,
    pub from: u64,
    pub entries: Vec<Vec<u8>>,
    /// From where the entries end to where the log ends; empty where that is one place.
    pub proof: Vec<Sha256>,
}

/// Blobs of one release that this node has, and why: what is published or kept is offered to
/// peers, what was only used is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub why: HoldingReason,
    /// Hash and size in bytes of every file.
    pub blobs: Vec<(Blake3, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldingReason {
    Used,
    Kept,
    /// A rule lets it go one day, and what uses it here still finds it then.
    KeptAndUsed,
    Published,
}

/// How much of a blob the store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Whole,
    /// Verified groups, and whether the group list is proven.
    Part {
        groups: Vec<u64>,
        list: bool,
    },
}

/// Why a peer delivers nothing more of what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEnd {
    Done,
    NotFound,
    /// The connection or our disk failed.
    Failed,
    /// Slower than the least that keeps a request alive.
    Stalled,
    /// It sent a list or a group that does not verify.
    Lied,
}

impl HoldingReason {
    /// Whether peers are offered it.
    pub fn is_offered(self) -> bool {
        self != Self::Used
    }

    /// Whether something on this machine asked for it, or may again.
    pub fn is_used(self) -> bool {
        matches!(self, Self::Used | Self::KeptAndUsed)
    }

    /// Both reasons.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Used, Self::Kept) | (Self::Kept, Self::Used) => Self::KeptAndUsed,
            (one, other) => one.max(other),
        }
    }

    /// What is left of it without another one; none if nothing is.
    pub fn without(self, gone: Self) -> Option<Self> {
        match (self, gone) {
            (Self::Used, Self::Used) | (Self::Kept, Self::Kept) => None,
            (Self::KeptAndUsed, Self::Used) => Some(Self::Kept),
            (Self::KeptAndUsed, Self::Kept) => Some(Self::Used),
            (why, _) => Some(why),
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::Used => 0,
            Self::Kept => 1,
            Self::Published => 2,
            Self::KeptAndUsed => 3,
        }
    }
}

impl Holding {
    /// In bytes, of all its files.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.blobs.iter().map(|(_, size_bytes)| *size_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// CBOR `[why: 0 used / 1 kept / 2 published / 3 kept and used, [*16384 [hash: bstr 32, size]]]`:
    /// a fact of the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .array(2)
            .uint(self.why.code())
            .array(self.blobs.len());
        for (hash, size_bytes) in &self.blobs {
            writer.array(2).bytes(hash.as_bytes()).uint(*size_bytes);
        }
        writer.finish()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(bytes, HOLDING_BYTES_MAX)?;
        reader.array(2)?;
        let why = match reader.uint()? {
            0 => HoldingReason::Used,
            1 => HoldingReason::Kept,
            2 => HoldingReason::Published,
            3 => HoldingReason::KeptAndUsed,
            _ => return Err(bytes::Error::Invalid("an unknown reason to hold a release")),
        };
        let blobs = reader.items("blobs of a release", HOLDING_BLOBS_MAX, |reader| {
            reader.array(2)?;
            Ok((Blake3::from_bytes(reader.bytes_of()?), reader.uint()?))
        })?;
        reader.end()?;
        Ok(Self { why, blobs })
    }
}
