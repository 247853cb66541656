//! Entries: what a key says in its log, `[1, kind, claimed_at, body]`.
//!
//! An entry that is not of this shape, or whose body does not fit its kind, is *void*: still a leaf
//! of the log, never visible, never a reason to refuse the log. A kind that this version does not
//! know is stored, relayed, ignored and counted. So [`parse`] cannot fail; what is written goes
//! through [`Entry::encode`], which refuses what [`parse`] would call void.

use crate::bytes::{Error, Reader, Writer};
use crate::limits::ENTRY_BYTES_MAX;

mod contribution;
mod operation;

pub use contribution::{
    ADVISORY_RANGES_MAX, ADVISORY_URLS_MAX, ATTESTATION_BYTES_MAX, Advisory, Approve, Attest,
    PROSE_BYTES_MAX, Publish, REASON_BYTES_MAX, REVIEW_TAGS_MAX, Review, Severity, Status,
    StatusState,
};
pub use operation::{
    Cut, GRANT_NAMES_MAX, Grant, HANDLE_KEYS_MAX, HandleOperation, Mark, Member, Role, RootNotice,
    Settle, Subject, Suspend, handle_message,
};

/// The only form of entries there is; another first number makes an entry void.
const FORM: u64 = 1;

/// One statement of a log. Its id is its leaf hash; which key said it follows from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unix seconds, for display only: time never orders or authorises.
    pub claimed_at: u64,
    pub body: Body,
}

/// What is said. Kinds below 32 are said by contributors, the others by a registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Says nothing: the first entry of every key, so that its log can be cosigned.
    Hello,
    Publish(Publish),
    Approve(Approve),
    Status(Status),
    Review(Review),
    Attest(Attest),
    Advisory(Advisory),
    Handle(Box<HandleOperation>),
    Grant(Grant),
    Cut(Cut),
    Suspend(Suspend),
    Settle(Settle),
    Member(Member),
    Root(RootNotice),
}

/// What the bytes of an entry are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Entry(Entry),
    /// Well formed, of a kind that needs a newer version of this program.
    Unknown {
        kind: u64,
    },
    Void,
}

/// Reads an entry; total, since what a stranger wrote is never a reason to refuse a log.
pub fn parse(raw: &[u8]) -> Parsed {
    decode(raw).unwrap_or(Parsed::Void)
}

/// [`parse`], with the reason why an entry is void. Never returns [`Parsed::Void`].
pub fn decode(raw: &[u8]) -> Result<Parsed, Error> {
    let mut reader = Reader::strict(raw, ENTRY_BYTES_MAX)?;
    reader.array(4)?;
    if reader.uint()? != FORM {
        return Err(Error::Invalid("an entry of another form than 1"));
    }
    let (kind, claimed_at) = (reader.uint()?, reader.uint()?);
    let Some(body) = Body::read(kind, &mut reader)? else {
        return Ok(Parsed::Unknown { kind });
    };
    reader.end()?;
    Ok(Parsed::Entry(Entry { claimed_at, body }))
}

impl Entry {
    /// The bytes that become a leaf. Fails where they would be void: a field beyond its limit, a
    /// list too short or with something twice, or all of it longer than [`ENTRY_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new();
        writer
            .array(4)
            .uint(FORM)
            .uint(self.body.kind())
            .uint(self.claimed_at);
        self.body.write(&mut writer);
        let raw = writer.finish();
        decode(&raw).map(|_| raw)
    }
}

impl Body {
    /// The number that stands for it in an entry.
    pub fn kind(&self) -> u64 {
        match self {
            Self::Hello => 0,
            Self::Publish(_) => 1,
            Self::Approve(_) => 2,
            Self::Status(_) => 3,
            Self::Review(_) => 16,
            Self::Attest(_) => 17,
            Self::Advisory(_) => 18,
            Self::Handle(_) => 32,
            Self::Grant(_) => 33,
            Self::Cut(_) => 34,
            Self::Suspend(_) => 35,
            Self::Settle(_) => 36,
            Self::Member(_) => 37,
            Self::Root(_) => 38,
        }
    }

    /// `None` for a kind that is not known.
    fn read(kind: u64, reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(match kind {
            0 => {
                reader.array(0)?;
                Self::Hello
            }
            1 => Self::Publish(Publish::read(reader)?),
            2 => Self::Approve(Approve::read(reader)?),
            3 => Self::Status(Status::read(reader)?),
            16 => Self::Review(Review::read(reader)?),
            17 => Self::Attest(Attest::read(reader)?),
            18 => Self::Advisory(Advisory::read(reader)?),
            32 => Self::Handle(Box::new(HandleOperation::read(reader)?)),
            33 => Self::Grant(Grant::read(reader)?),
            34 => Self::Cut(Cut::read(reader)?),
            35 => Self::Suspend(Suspend::read(reader)?),
            36 => Self::Settle(Settle::read(reader)?),
            37 => Self::Member(Member::read(reader)?),
            38 => Self::Root(RootNotice::read(reader)?),
            _ => return Ok(None),
        }))
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Hello => {
                writer.array(0);
            }
            Self::Publish(body) => body.write(writer),
            Self::Approve(body) => body.write(writer),
            Self::Status(body) => body.write(writer),
            Self::Review(body) => body.write(writer),
            Self::Attest(body) => body.write(writer),
            Self::Advisory(body) => body.write(writer),
            Self::Handle(body) => body.write(writer),
            Self::Grant(body) => body.write(writer),
            Self::Cut(body) => body.write(writer),
            Self::Suspend(body) => body.write(writer),
            Self::Settle(body) => body.write(writer),
            Self::Member(body) => body.write(writer),
            Self::Root(body) => body.write(writer),
        }
    }
}

/// The fields that several kinds share, each read with its limit.
mod field {
    use crate::bytes::{Error, Reader};
    use crate::hash::Sha256;
    use crate::name::{NAME_LEN_MAX, Name, VERSION_LEN_MAX, Version};
    use crate::text::{check_line, check_prose};

    const BAD_TEXT: Error = Error::Invalid("a control character or bidirectional override in text");

    pub(super) fn name(reader: &mut Reader<'_>) -> Result<Name, Error> {
        let text = reader.text(NAME_LEN_MAX)?;
        text.parse().map_err(|_| Error::Invalid("not a name"))
    }

    pub(super) fn version(reader: &mut Reader<'_>) -> Result<Version, Error> {
        let text = reader.text(VERSION_LEN_MAX)?;
        text.parse().map_err(|_| Error::Invalid("not a version"))
    }

    pub(super) fn hash(reader: &mut Reader<'_>) -> Result<Sha256, Error> {
        reader.bytes_of().map(Sha256::from_bytes)
    }

    pub(super) fn line(reader: &mut Reader<'_>, max: usize) -> Result<String, Error> {
        let text = reader.text(max)?;
        check_line(text, max).map_err(|_| BAD_TEXT)?;
        Ok(text.to_owned())
    }

    pub(super) fn prose(reader: &mut Reader<'_>, max: usize) -> Result<String, Error> {
        let text = reader.text(max)?;
        check_prose(text, max).map_err(|_| BAD_TEXT)?;
        Ok(text.to_owned())
    }

    /// Between 1 and `max`, which both stand for something.
    pub(super) fn one_to(reader: &mut Reader<'_>, max: u8) -> Result<u8, Error> {
        match reader.uint_to(max.into()).map(u8::try_from)? {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(Error::Invalid("0 where counting begins at 1")),
        }
    }
}

#[cfg(test)]
mod tests;
