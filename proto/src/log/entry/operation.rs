//! What a registrar says: the operations of authority, and which root document it knows.

use std::collections::BTreeSet;

use super::contribution::REASON_BYTES_MAX;
use super::field;
use crate::bytes::{Error, Reader, Writer};
use crate::hash::Sha256;
use crate::id::{HandleId, RepoId};
use crate::key::{Key, Signatures, read_signatures, write_signatures};
use crate::limits::ENTRY_SIGNATURES_MAX;
use crate::name::{Name, Version};

/// Most keys of a handle, receiving keys and drops of one operation: one for each device of a
/// project, and all signatures of a change of all of them fit one entry.
pub const HANDLE_KEYS_MAX: usize = 16;
/// Most names of one grant.
pub const GRANT_NAMES_MAX: usize = 64;
/// Longest label of a member.
const MEMBER_LABEL_BYTES_MAX: usize = 64;

/// A place in a key's log: its first `size` entries, whose tree has this root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub key: Key,
    pub size: u64,
    /// SHA-256 of nothing where `size` is 0.
    pub root: Sha256,
}

/// Kind 32: a handle's keys are these. What its keys sign is [`handle_message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandleOperation {
    /// Hash of the handle's latest effective operation; `None` creates the handle.
    pub prev: Option<Sha256>,
    pub label: Name,
    /// How many keys publish (1 to 16).
    pub publish_threshold: u8,
    /// How many keys change the handle (1 to 16).
    pub change_threshold: u8,
    /// 1 to [`HANDLE_KEYS_MAX`], distinct.
    pub keys: Vec<Key>,
    /// X25519 keys to which things for the handle are wrapped, at most [`HANDLE_KEYS_MAX`].
    pub receive: Vec<[u8; 32]>,
    /// Up to where each key that this operation removes counts, at most [`HANDLE_KEYS_MAX`].
    pub drop: Vec<Mark>,
    /// Prose, at most 512 bytes.
    pub about: String,
    /// 1 to [`ENTRY_SIGNATURES_MAX`].
    pub signatures: Signatures,
}

/// Kind 33: a handle gets a role, and as a publisher names. For ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub handle: HandleId,
    pub role: Role,
    /// At most [`GRANT_NAMES_MAX`]; only a publisher has any.
    pub names: Vec<Name>,
}

/// What a handle may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Publisher,
    Approver,
    Reviewer,
    Attester,
    Advisor,
}

/// Kind 34: this key counts up to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub mark: Mark,
    /// Prose, at most 512 bytes.
    pub reason: String,
}

/// Kind 35: `subject` is hidden, or no longer. The last for a subject counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspend {
    pub subject: Subject,
    pub on: bool,
    /// Prose, at most 512 bytes.
    pub reason: String,
}

/// What can be suspended. Names match by exact spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Handle(HandleId),
    Package(Name),
    Release(Name, Version),
}

/// Kind 36: of several claims on a release, this manifest is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
}

/// Kind 37: a node is admitted to a members-only repository, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: Key,
    /// A line of at most 64 bytes.
    pub label: String,
    pub on: bool,
}

/// Kind 38: the registrar knows this root document. For freshness only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootNotice {
    pub version: u64,
    pub sha256: Sha256,
}

/// What the keys of a handle sign: the operation without its signatures, bound to the repository.
pub fn handle_message(repo: &RepoId, operation: &HandleOperation) -> Vec<u8> {
    let mut writer = Writer::new();
    operation.write_unsigned(&mut writer);
    writer.array(0);
    let hash = Sha256::of(&[&writer.finish()]);
    format!("skep-handle/v1\n{repo}\n{hash}\n").into_bytes()
}

impl HandleOperation {
    /// SHA-256 of [`handle_message`]: what the next operation gives as `prev`; of a creation it is
    /// the handle's id.
    pub fn hash(&self, repo: &RepoId) -> Sha256 {
        Sha256::of(&[&handle_message(repo, self)])
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        const MAX: u8 = 16;
        reader.array(9)?;
        let operation = Self {
            prev: reader.option(field::hash)?,
            label: field::name(reader)?,
            publish_threshold: field::one_to(reader, MAX)?,
            change_threshold: field::one_to(reader, MAX)?,
            keys: reader.items("keys", HANDLE_KEYS_MAX, Key::read)?,
            receive: reader.items("receiving keys", HANDLE_KEYS_MAX, Reader::bytes_of)?,
            drop: reader.items("drops", HANDLE_KEYS_MAX, |reader| {
                reader.array(3)?;
                Mark::read(reader)
            })?,
            about: field::prose(reader, REASON_BYTES_MAX)?,
            signatures: read_signatures(reader, ENTRY_SIGNATURES_MAX)?,
        };
        if operation.keys.is_empty() {
            return Err(Error::Invalid("a handle without keys"));
        }
        let keys: BTreeSet<_> = operation.keys.iter().collect();
        let dropped: BTreeSet<_> = operation.drop.iter().map(|mark| mark.key).collect();
        if keys.len() < operation.keys.len() || dropped.len() < operation.drop.len() {
            return Err(Error::Invalid("one key twice in a handle operation"));
        }
        Ok(operation)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.write_unsigned(writer);
        write_signatures(writer, &self.signatures);
    }

    /// All but the last of the nine fields.
    fn write_unsigned(&self, writer: &mut Writer) {
        writer
            .array(9)
            .option(self.prev, |w, prev| w.bytes(prev.as_bytes()))
            .text(self.label.as_str())
            .uint(self.publish_threshold.into())
            .uint(self.change_threshold.into())
            .array(self.keys.len());
        for key in &self.keys {
            writer.bytes(key.as_bytes());
        }
        writer.array(self.receive.len());
        for key in &self.receive {
            writer.bytes(key);
        }
        writer.array(self.drop.len());
        for mark in &self.drop {
            writer.array(3);
            mark.write(writer);
        }
        writer.text(&self.about);
    }
}

impl Mark {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            key: Key::read(reader)?,
            size: reader.uint()?,
            root: field::hash(reader)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .bytes(self.key.as_bytes())
            .uint(self.size)
            .bytes(self.root.as_bytes());
    }
}

impl Role {
    pub const ALL: [Self; 5] = [
        Self::Publisher,
        Self::Approver,
        Self::Reviewer,
        Self::Attester,
        Self::Advisor,
    ];

    /// Its number in an entry and in a record of the view.
    pub fn number(self) -> u8 {
        match self {
            Self::Publisher => 1,
            Self::Approver => 2,
            Self::Reviewer => 3,
            Self::Attester => 4,
            Self::Advisor => 5,
        }
    }
}

impl Grant {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        let handle = reader.bytes_of().map(HandleId::from_bytes)?;
        let number = reader.uint()?;
        let role = Role::ALL
            .into_iter()
            .find(|role| u64::from(role.number()) == number)
            .ok_or(Error::Invalid("no such role"))?;
        let names = reader.items("names", GRANT_NAMES_MAX, field::name)?;
        Ok(Self {
            handle,
            role,
            names,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(3)
            .bytes(self.handle.as_bytes())
            .uint(self.role.number().into())
            .array(self.names.len());
        for name in &self.names {
            writer.text(name.as_str());
        }
    }
}

impl Cut {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        Ok(Self {
            mark: Mark::read(reader)?,
            reason: field::prose(reader, REASON_BYTES_MAX)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(4);
        self.mark.write(writer);
        writer.text(&self.reason);
    }
}

impl Suspend {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            subject: Subject::read(reader)?,
            on: reader.bool()?,
            reason: field::prose(reader, REASON_BYTES_MAX)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(3);
        self.subject.write(writer);
        writer.bool(self.on).text(&self.reason);
    }
}

impl Subject {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let len = reader.list("parts of a subject", 3)?;
        Ok(match (reader.uint()?, len) {
            (0, 2) => Self::Handle(reader.bytes_of().map(HandleId::from_bytes)?),
            (1, 2) => Self::Package(field::name(reader)?),
            (2, 3) => Self::Release(field::name(reader)?, field::version(reader)?),
            _ => return Err(Error::Invalid("no such subject")),
        })
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Handle(id) => writer.array(2).uint(0).bytes(id.as_bytes()),
            Self::Package(name) => writer.array(2).uint(1).text(name.as_str()),
            Self::Release(name, version) => writer
                .array(3)
                .uint(2)
                .text(name.as_str())
                .text(&version.to_string()),
        };
    }
}

impl Settle {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            name: field::name(reader)?,
            version: field::version(reader)?,
            manifest: field::hash(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(3)
            .text(self.name.as_str())
            .text(&self.version.to_string())
            .bytes(self.manifest.as_bytes());
    }
}

impl Member {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(3)?;
        Ok(Self {
            node: Key::read(reader)?,
            label: field::line(reader, MEMBER_LABEL_BYTES_MAX)?,
            on: reader.bool()?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(3)
            .bytes(self.node.as_bytes())
            .text(&self.label)
            .bool(self.on);
    }
}

impl RootNotice {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(2)?;
        Ok(Self {
            version: reader.uint()?,
            sha256: field::hash(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(2)
            .uint(self.version)
            .bytes(self.sha256.as_bytes());
    }
}
