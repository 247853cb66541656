//! What a command asks its node over the control socket, and what it is answered.
//!
//! Both ends are this program on one machine: a unix socket of mode 0600 whose peer the kernel
//! names. Frames are `u32be length ‖ JSON`, at most [`FRAME_BYTES_MAX`]; the first of each side is
//! a [`Hello`]. One request at a time; [`Response::Progress`] may come before its answer. Files
//! are handed over by descriptor: with [`Request::PutBlob`] to the node, with [`Response::Blob`]
//! from it.

mod bundle;
mod mirror;
mod of_view;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::hash::{Blake3, Sha256};
use crate::id::{HandleId, RepoId};
use crate::key::Key;
use crate::name::{Name, Version};
use crate::search::{Found, Page};

pub use bundle::{Bundle, BundleRelease, BundleRepo, Room, Take, Yanked};
pub use mirror::{Collected, Dropped, Mirror, MirrorChange, MirrorLine, MirrorRule, MirrorStay};

/// Version of this protocol: a command of another version says "restart the node" instead of guessing.
pub const VERSION: u32 = 1;
/// Longest frame, in bytes: a log's entries in hex, a page at a time, and reports of 10,000 lines.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    /// Process that speaks, so that an error can name it.
    pub pid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    Status,
    Peers,
    Stop,
    /// Reads `repos.d` again.
    Reload,
    /// Answered when a peer that shares the repository was compared with to the end, or refused when
    /// none was in that time. Progress comes meanwhile.
    AwaitSync {
        repo: RepoId,
        wait_s: u64,
    },
    /// A repository by alias or id.
    Repo {
        repo: String,
    },
    /// All packages of a repository, with their releases.
    Packages {
        repo: String,
    },
    /// The release that a reference means, and what this node thinks of it.
    Release {
        package: String,
        normal: bool,
        allow_yanked: bool,
        accept_change: bool,
    },
    /// Packages that fit a query, as a person typed it.
    Search {
        query: String,
        page: Page,
    },
    /// What is held of one key's log, from an entry on.
    Log {
        repo: RepoId,
        key: Key,
        from: u64,
    },
    PutRoot {
        repo: RepoId,
        root: Hex,
    },
    Append {
        repo: RepoId,
        key: Key,
        entries: Vec<Hex>,
        checkpoint: Hex,
    },
    /// A descriptor of the file comes with it.
    PutBlob,
    /// Published here: its blobs are in the store, and are offered.
    Publish {
        repo: RepoId,
        manifest: Sha256,
        blobs: Vec<BlobRef>,
    },
    /// Every file of a release, from this store or from peers.
    Fetch {
        repo: RepoId,
        name: Name,
        version: Version,
        manifest: Sha256,
    },
    /// A descriptor of a blob that the store has.
    OpenBlob {
        hash: Blake3,
    },
    /// Reads a blob again, which turned out not to be what its name says. One that is spoiled is set
    /// aside, and can be fetched again.
    RecheckBlob {
        hash: Blake3,
    },
    /// Trusted mode admitted it.
    Admit {
        repo: RepoId,
        name: Name,
        version: Version,
        manifest: Sha256,
    },
    /// Where this node can be reached, for a ticket.
    Addresses,
    Doctor,
    /// What is mirrored by which rule, and what becomes of every release.
    Mirror,
    /// Removes what no release here has; with `dry_run` only says what. With `used`, what was only used
    /// is let go first.
    Collect {
        dry_run: bool,
        used: bool,
    },
    /// What the plan becomes once the file of a repository has this text, and a person takes these
    /// out of it.
    PlanMirror {
        repo: RepoId,
        file: String,
        dropped: Vec<Dropped>,
    },
    /// What is kept here of what was taken out of the file of a repository, as far as nothing else in
    /// it is about it.
    LetGo {
        repo: RepoId,
        dropped: Vec<Dropped>,
    },
    /// Everything that is stored of a repository that is no longer followed.
    Purge {
        repo: RepoId,
    },
    /// Reads a .skep file, whose descriptor comes with it, to its end: what it has, and what of that
    /// is new here. Progress comes meanwhile.
    CheckBundle {
        /// The repositories that it may be of; empty: any.
        expect: BTreeSet<RepoId>,
    },
    /// The same, then takes what is new, of repositories that are followed.
    ImportBundle {
        expect: BTreeSet<RepoId>,
        /// Its files, though its logs are behind what is held.
        older: bool,
        take: Take,
    },
    /// Writes a .skep file of these releases, by reference, into the descriptor that comes with it.
    ExportBundle {
        releases: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    Done,
    /// Not done: the exit code's meaning, the reason, and what to do.
    Refused(Refused),
    Progress(Progress),
    Status(Status),
    Peers {
        peers: Vec<Peer>,
    },
    Repo(Box<Repo>),
    Packages {
        packages: Vec<Package>,
    },
    Release(Box<Release>),
    Found(Found),
    Log(Log),
    /// What was put, or, with a descriptor beside it, what is handed over.
    Blob(BlobRef),
    Addresses {
        node: Key,
        addresses: Vec<String>,
    },
    Doctor(Doctor),
    Mirror(Mirror),
    MirrorChange(MirrorChange),
    Collected(Collected),
    Bundle(Box<Bundle>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub why: Refusal,
    pub message: String,
    #[serde(default)]
    pub hint: Option<String>,
}

/// What a refusal means to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    Failed,
    /// Not trusted, or does not verify.
    Untrusted,
    NotFound,
    Unreachable,
    /// The node ends: another one may answer.
    Stopping,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done_bytes: u64,
    pub all_bytes: u64,
}

/// Bytes in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::hash::to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    pub hash: Blake3,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub node: Key,
    pub pid: u32,
    /// When it was started, in Unix seconds of then.
    pub started_s: u64,
    pub up_s: u64,
    pub peers: usize,
    pub addresses: Vec<String>,
    pub repos: Vec<RepoLine>,
    /// Where the HTTP side listens.
    pub gateways: Vec<GatewayLine>,
    /// What it refused last, newest first.
    pub refusals: Vec<GatewayRefusal>,
    /// Why nothing new is taken, if so.
    pub read_only: Option<String>,
}

/// One HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayLine {
    pub address: String,
    /// `trusted` or `normal`.
    pub mode: String,
}

/// A request that the gateway answered with nothing: its clients show that to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefusal {
    pub path: String,
    pub status: u16,
    pub why: String,
    pub hint: String,
    pub times: u64,
    /// Unix seconds of the last time.
    pub last_s: u64,
}

/// A repository in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoLine {
    pub id: RepoId,
    pub alias: Option<Name>,
    pub state: String,
    pub version: u64,
    pub logs: usize,
    pub packages: usize,
    pub releases: usize,
    pub view_hash: Option<Sha256>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub node: Key,
    pub repos: Vec<RepoId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    pub line: RepoLine,
    pub name: String,
    pub root_sha256: Option<Sha256>,
    pub root_keys: Vec<Key>,
    pub root_threshold: u64,
    /// Valid root documents beside the chain.
    pub rivals: Vec<Rival>,
    pub registrar: Option<Key>,
    pub visibility: String,
    pub witnesses: usize,
    pub expires: Option<String>,
    pub handles: Vec<Handle>,
    /// Entries that are void, or of kinds that need a newer version.
    pub void_entries: u64,
    pub unknown_entries: u64,
    pub forked_keys: Vec<Key>,
    pub ineffective: Vec<Ineffective>,
    /// Releases whose files are in the store, and how much those are.
    pub held_releases: usize,
    pub held_bytes: u64,
}

/// A root document that contradicts the one of its version in the chain, or that is of unknown rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    pub version: u64,
    pub sha256: Sha256,
    /// The root keys that signed both.
    pub culprits: Vec<Key>,
}

/// An operation of authority that changed nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ineffective {
    pub position: u64,
    pub operation: String,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    pub id: HandleId,
    pub label: Name,
    /// How many keys publish, and how many change the handle.
    pub m: u64,
    pub c: u64,
    pub keys: Vec<Key>,
    pub roles: Vec<String>,
    pub names: Vec<Name>,
    pub suspended: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: Name,
    pub owner: Handle,
    pub suspended: bool,
    pub deprecated: bool,
    pub releases: Vec<ReleaseLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseLine {
    pub version: Version,
    /// `listed`, `pending` or `quarantined`.
    pub state: String,
    pub yanked: bool,
    pub deprecated: bool,
    pub suspended: bool,
}

/// One release with everything that a person or a check needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub repo: RepoId,
    pub alias: Option<Name>,
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
    /// The manifest's bytes and the signatures beside it, as its entry carries them.
    pub payload: Hex,
    pub signatures: Vec<(Key, Hex)>,
    pub owner: Handle,
    pub signers: Vec<Key>,
    pub line: ReleaseLine,
    /// Whether every file of it is in the store.
    pub held: bool,
    pub admitted: bool,
    pub facts: Vec<Fact>,
    /// Operations of this repository that changed nothing, and why.
    pub ineffective: Vec<Ineffective>,
    /// Why it is yanked, deprecated or suspended, if it is.
    pub said: Vec<Said>,
}

/// What an owner or a registrar says against a release or its whole package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// `yanked`, `deprecated` or `suspended`.
    pub state: String,
    /// Whether it is said of the package, and so of all its releases.
    pub whole_package: bool,
    pub by: Key,
    /// Unix seconds, as the signer claims.
    pub claimed_at: u64,
    pub reason: String,
    pub successor: Option<Name>,
}

/// What a decision looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub outcome: FactOutcome,
    pub check: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactOutcome {
    Ok,
    Fail,
    Note,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub size: u64,
    pub checkpoint: Option<Hex>,
    pub entries: Vec<Hex>,
    /// Of a registrar's: a peer was seen to hold exactly what is here, while this node runs.
    pub confirmed: bool,
    /// Of a registrar's: a peer was ever seen to hold what was here then.
    pub ever_confirmed: bool,
}

/// What a node finds when it looks at itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    pub space: Option<Space>,
    pub sample: Sample,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub used_bytes: u64,
    pub free_bytes: u64,
}

/// Files of the store that were read and hashed again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Files that the releases held here have.
    pub held: usize,
    /// Files that were looked at; of one that is longer than what was left to read, a part.
    pub read: usize,
    pub read_bytes: u64,
    pub damaged: Vec<Damaged>,
}

/// A file that is not what its name says, or is gone; it is fetched again with its release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    pub hash: Blake3,
    /// `repo/name@version` of a release that has it.
    pub release: Option<String>,
}

/// One more thing that a node looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub ok: bool,
    pub what: String,
    pub text: String,
    pub hint: Option<String>,
}

impl Check {
    /// Something that is not as it should be, and what to type.
    pub fn failed(what: &str, text: String, hint: String) -> Self {
        Self {
            ok: false,
            what: what.to_owned(),
            text,
            hint: Some(hint),
        }
    }
}
