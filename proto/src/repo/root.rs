//! Root documents: who owns a repository, as its root keys sign it.
//!
//! The payload is JSON that people and outside tools can read; the id of a repository is the
//! SHA-256 of its first payload. Here one document is read, written and measured by itself; how
//! documents follow each other is [`crate::repo::chain`].

use std::collections::BTreeSet;

use crate::bytes::{self, Reader, Writer};
use crate::fault::Fault;
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::json::{self, INTEGER_END};
use crate::key::{Key, Signatures, read_signatures, signers, write_signatures};
use crate::limits::{BYTES_PER_LOG, ENTRIES_PER_LOG, ROOT_DOCUMENT_BYTES_MAX, ROOT_SIGNATURES_MAX};
use crate::log::entry::Mark;
use crate::package::dsse::pae;

mod expiry;
mod read;
mod write;

pub use expiry::Expiry;

/// What a signature of a root document covers, by DSSE.
pub const PAYLOAD_TYPE: &str = "application/vnd.skep.root.v1+json";
/// The rules that this program knows.
pub const RULES: u64 = 1;
/// Most root keys: a board, not a crowd.
pub const ROOT_KEYS_MAX: usize = 16;
/// Most registrars of a chain, the live one among them: a replacement a month for five years.
pub const REGISTRARS_MAX: usize = 64;
/// Most witnesses: their cosignatures stand beside every checkpoint.
pub const WITNESSES_MAX: usize = 16;
/// Most cuts of one document; the next document can have as many again.
pub const CUTS_MAX: usize = 64;
/// Most overrides of one document.
pub const OVERRIDES_MAX: usize = 16;
/// Most approvals that a document may demand.
pub const APPROVALS_MAX: u8 = 8;
/// Longest name of a repository, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest name of a witness, in bytes.
pub const WITNESS_NAME_BYTES_MAX: usize = 255;
/// Longest reason of a cut, in bytes.
pub const REASON_BYTES_MAX: usize = 512;
/// Largest number of a document: what JavaScript's numbers hold apart.
pub const NUMBER_MAX: u64 = INTEGER_END.unsigned_abs() - 1;
/// Longest CBOR of a [`SignedRoot`]: the payload, all signatures of 102 bytes, and heads.
pub const SIGNED_ROOT_BYTES_MAX: usize = ROOT_DOCUMENT_BYTES_MAX + ROOT_SIGNATURES_MAX * 102 + 16;

/// Why a payload is no root document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("root document of {size} bytes where at most {ROOT_DOCUMENT_BYTES_MAX} are allowed")]
    TooLong { size: usize },
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("root document whose `{field}` is not {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
    #[error("root document with the unknown field `{}`", crate::text::harmless_line(.0))]
    UnknownField(String),
    #[error("root document of rules {0}: this program knows rules {RULES}")]
    OtherRules(u64),
}

impl Error {
    pub fn fault(&self) -> Fault {
        Fault::Peer
    }
}

/// A root document under rules 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDocument {
    /// Counts from 1.
    pub version: u64,
    /// SHA-256 of the previous version's payload.
    pub prev: Option<Sha256>,
    /// What the repository calls itself; never authority.
    pub name: String,
    /// How many entries of the log of the previous version's live registrar its signers had before
    /// them; 0 in version 1.
    pub seen: u64,
    pub root: RootKeys,
    pub registrars: Registrars,
    pub witnesses: Option<Witnesses>,
    /// How many handles of role approver must approve before a release is listed.
    pub approvals: u8,
    pub visibility: Visibility,
    /// New in this version; at most one per key.
    pub cuts: Vec<RootCut>,
    /// Leaf hashes of operations; new in this version.
    pub overrides: Vec<Sha256>,
    pub limits: Limits,
    pub expires: Option<Expiry>,
}

/// The root keys, and how many of them change the document: more than half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKeys {
    pub keys: Vec<Key>,
    pub threshold: usize,
}

/// Whose logs hold the operations of authority: those replaced, up to where, and the live one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrars {
    pub fixed: Vec<Mark>,
    pub live: Key,
}

/// Who cosigns checkpoints, and how many of them prove how fresh one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnesses {
    /// A key may stand here twice; a quorum counts distinct keys.
    pub keys: Vec<Witness>,
    pub quorum: usize,
    pub max_age_s: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub name: String,
    pub key: Key,
}

/// Who may read the repository. Never changes along a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Public,
    Members,
}

/// A cut that the root keys say; it replaces what a registrar says about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCut {
    pub mark: Mark,
    /// Prose.
    pub reason: String,
}

/// How much of the log of a handle's key counts. Never changes along a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub entries_per_log: u64,
    pub bytes_per_log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_per_log: ENTRIES_PER_LOG,
            bytes_per_log: BYTES_PER_LOG,
        }
    }
}

/// A payload, read as far as this program can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Known(Box<RootDocument>),
    /// Of rules that need a newer program. Where it fits the chain, that is the message.
    OtherRules {
        rules: u64,
        version: u64,
        prev: Option<Sha256>,
    },
}

impl Document {
    /// Reads a payload. A document of other rules needs to be right only in `version` and `prev`.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        read::document(payload)
    }

    pub fn version(&self) -> u64 {
        match self {
            Self::Known(document) => document.version,
            Self::OtherRules { version, .. } => *version,
        }
    }

    pub fn prev(&self) -> Option<Sha256> {
        match self {
            Self::Known(document) => document.prev,
            Self::OtherRules { prev, .. } => *prev,
        }
    }
}

impl RootDocument {
    /// Version 1 of a new repository, to be signed by every key that it lists.
    pub fn first(name: &str, root: RootKeys, registrar: Key, visibility: Visibility) -> Self {
        Self {
            version: 1,
            prev: None,
            name: name.to_owned(),
            seen: 0,
            root,
            registrars: Registrars {
                fixed: Vec::new(),
                live: registrar,
            },
            witnesses: None,
            approvals: 0,
            visibility,
            cuts: Vec::new(),
            overrides: Vec::new(),
            limits: Limits::default(),
            expires: None,
        }
    }

    /// The next version, which says the same until it is edited. `payload` is the one that this
    /// document was read from, `seen` how many entries of the live registrar's log the signers have
    /// before them.
    pub fn successor(&self, payload: &[u8], seen: u64) -> Self {
        Self {
            version: self.version.saturating_add(1),
            prev: Some(Sha256::of(&[payload])),
            seen,
            cuts: Vec::new(),
            overrides: Vec::new(),
            ..self.clone()
        }
    }

    /// Fixes the live registrar at `size` and `root`, and puts `registrar` in its place.
    pub fn replace_registrar(&mut self, size: u64, root: Sha256, registrar: Key) {
        let key = self.registrars.live;
        self.registrars.fixed.push(Mark { key, size, root });
        self.registrars.live = registrar;
    }

    /// Reads a payload of rules 1.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        match Document::parse(payload)? {
            Document::Known(document) => Ok(*document),
            Document::OtherRules { rules, .. } => Err(Error::OtherRules(rules)),
        }
    }

    /// The JSON to sign: compact, fields in the order of the specification. Fails where it could
    /// not be read again.
    pub fn to_payload(&self) -> Result<Vec<u8>, Error> {
        let payload = write::payload(self);
        Self::parse(&payload).map(|_| payload)
    }

    /// Every key that it lists as root, registrar or witness.
    pub fn keys(&self) -> BTreeSet<Key> {
        let witnesses = self.witnesses.iter().flat_map(|w| &w.keys);
        let fixed = self.registrars.fixed.iter().map(|mark| mark.key);
        self.root
            .keys
            .iter()
            .copied()
            .chain(fixed)
            .chain([self.registrars.live])
            .chain(witnesses.map(|witness| witness.key))
            .collect()
    }

    /// Whether `expires` has passed at `now_s` (unix seconds). Then the repository is stale;
    /// nothing else follows.
    pub fn has_expired(&self, now_s: u64) -> bool {
        self.expires
            .as_ref()
            .is_some_and(|expires| expires.has_passed(now_s))
    }
}

/// The id of the repository whose first root document has this payload.
pub fn repo_id(payload: &[u8]) -> RepoId {
    RepoId::from_hash(Sha256::of(&[payload]))
}

/// What the keys of a root document sign.
pub fn message(payload: &[u8]) -> Vec<u8> {
    pae(PAYLOAD_TYPE, payload)
}

/// A payload and signatures over [`message`]; nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoot {
    pub payload: Vec<u8>,
    /// 1 to [`ROOT_SIGNATURES_MAX`].
    pub signatures: Signatures,
}

impl SignedRoot {
    /// Reads CBOR `[payload: bstr, [1*64 [key, signature]]]`.
    pub fn decode(raw: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::strict(raw, SIGNED_ROOT_BYTES_MAX)?;
        let signed = Self::read(&mut reader)?;
        reader.end()?;
        Ok(signed)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Reads it inside a larger message.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, bytes::Error> {
        reader.array(2)?;
        Ok(Self {
            payload: reader.bytes(ROOT_DOCUMENT_BYTES_MAX)?.to_vec(),
            signatures: read_signatures(reader, ROOT_SIGNATURES_MAX)?,
        })
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.array(2).bytes(&self.payload);
        write_signatures(writer, &self.signatures);
    }

    pub fn sha256(&self) -> Sha256 {
        Sha256::of(&[&self.payload])
    }

    /// The distinct keys whose signature verifies.
    pub fn signers(&self) -> BTreeSet<Key> {
        signers(&self.signatures, &message(&self.payload))
    }
}

/// A root document that somebody named out of band: it chooses at its version and, through `prev`,
/// below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    pub version: u64,
    pub sha256: Sha256,
}

#[cfg(test)]
mod tests;
