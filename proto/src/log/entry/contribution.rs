//! What contributors say: releases, approvals, yanks, reviews, attestations, advisories.

use super::field;
use crate::bytes::{Error, Reader, Writer};
use crate::hash::Sha256;
use crate::key::{Signatures, read_signatures, write_signatures};
use crate::limits::{ENTRY_SIGNATURES_MAX, MANIFEST_BYTES_MAX};
use crate::name::{Name, Version};

/// Longest payload of an attestation: a verifier's log fits, and with its signatures one entry.
pub const ATTESTATION_BYTES_MAX: usize = 49_152;
/// Longest text of a review or an advisory: two pages.
pub const PROSE_BYTES_MAX: usize = 4_096;
/// Longest reason of a status, a cut or a suspension: shown on one screen.
pub const REASON_BYTES_MAX: usize = 512;
/// Most tags of a review.
pub const REVIEW_TAGS_MAX: usize = 16;
/// Longest tag of a review.
const TAG_BYTES_MAX: usize = 32;
/// Longest language tag of a review: `de-AT`, not a private extension.
const LANGUAGE_BYTES_MAX: usize = 8;
/// Highest rating; the lowest is 1.
const RATING_MAX: u8 = 5;
/// Longest type of an attestation: a URI, as in-toto predicates have.
const TYPE_BYTES_MAX: usize = 256;
/// Longest id of an advisory: `CVE-…`, `GHSA-…` and a site's own.
const ADVISORY_ID_BYTES_MAX: usize = 64;
/// Most version requirements of an advisory; any one of them matches.
pub const ADVISORY_RANGES_MAX: usize = 32;
/// Longest version requirement of an advisory.
const RANGE_BYTES_MAX: usize = 128;
/// Most links of an advisory.
pub const ADVISORY_URLS_MAX: usize = 16;
/// Longest link of an advisory.
const URL_BYTES_MAX: usize = 256;

/// Kind 1: this version of this package is this manifest. The manifest is named by the SHA-256 of
/// the payload. That the payload says the same name and version, and that `signatures` hold, is
/// checked before every use, not by the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub name: Name,
    pub version: Version,
    /// An in-toto Statement, at most [`MANIFEST_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// 1 to [`ENTRY_SIGNATURES_MAX`], over the DSSE PAE of the payload.
    pub signatures: Signatures,
}

/// Kind 2: an approver has looked at this manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approve {
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
}

/// Kind 3: a version is yanked, or a version or the whole package deprecated; or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub name: Name,
    /// Must be given where `state` is [`StatusState::Yanked`].
    pub version: Option<Version>,
    pub state: StatusState,
    pub on: bool,
    /// Prose, at most [`REASON_BYTES_MAX`].
    pub reason: String,
    /// The package to use instead, in the same repository.
    pub successor: Option<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusState {
    /// Not to be chosen any more, still fetchable by hash.
    Yanked,
    Deprecated,
}

/// Kind 16: a reviewer's opinion of a package or of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub name: Name,
    pub version: Option<Version>,
    /// 1 to 5.
    pub rating: Option<u8>,
    /// At most [`REVIEW_TAGS_MAX`] lines of at most 32 bytes.
    pub tags: Vec<String>,
    /// A line of at most 8 bytes.
    pub language: String,
    /// Prose, at most [`PROSE_BYTES_MAX`].
    pub text: String,
}

/// Kind 17: something was observed about `subject`, usually a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    pub subject: Sha256,
    /// A line of at most 256 bytes: the type of the payload.
    pub kind: String,
    /// At most [`ATTESTATION_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// 1 to [`ENTRY_SIGNATURES_MAX`], over the DSSE PAE of the payload; not checked by the view.
    pub signatures: Signatures,
}

/// Kind 18: some versions of a package are harmful. The last one under an id counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// A line of at most 64 bytes.
    pub id: String,
    pub name: Name,
    /// 1 to [`ADVISORY_RANGES_MAX`] lines of at most 128 bytes: version requirements.
    pub ranges: Vec<String>,
    pub severity: Severity,
    /// At most [`ADVISORY_URLS_MAX`] lines of at most 256 bytes.
    pub urls: Vec<String>,
    /// Prose, at most [`PROSE_BYTES_MAX`].
    pub text: String,
    pub withdrawn: bool,
}

/// How bad it is, on the five steps of CVSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    None,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    const ALL: [Self; 5] = [
        Self::None,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];
}

impl Publish {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        Ok(Self {
            name: field::name(reader)?,
            version: field::version(reader)?,
            payload: reader.bytes(MANIFEST_BYTES_MAX)?.to_vec(),
            signatures: read_signatures(reader, ENTRY_SIGNATURES_MAX)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(4)
            .text(self.name.as_str())
            .text(&self.version.to_string())
            .bytes(&self.payload);
        write_signatures(writer, &self.signatures);
    }
}

impl Approve {
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

impl Status {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(6)?;
        let status = Self {
            name: field::name(reader)?,
            version: reader.option(field::version)?,
            state: match field::one_to(reader, 2)? {
                1 => StatusState::Yanked,
                _ => StatusState::Deprecated,
            },
            on: reader.bool()?,
            reason: field::prose(reader, REASON_BYTES_MAX)?,
            successor: reader.option(field::name)?,
        };
        if status.version.is_none() && status.state == StatusState::Yanked {
            return Err(Error::Invalid("a yank without a version"));
        }
        Ok(status)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(6).text(self.name.as_str());
        write_version(writer, self.version.as_ref());
        writer
            .uint(match self.state {
                StatusState::Yanked => 1,
                StatusState::Deprecated => 2,
            })
            .bool(self.on)
            .text(&self.reason)
            .option(self.successor.as_ref(), |w, name| w.text(name.as_str()));
    }
}

impl Review {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(6)?;
        Ok(Self {
            name: field::name(reader)?,
            version: reader.option(field::version)?,
            rating: reader.option(|reader| field::one_to(reader, RATING_MAX))?,
            tags: reader.items("tags", REVIEW_TAGS_MAX, |r| field::line(r, TAG_BYTES_MAX))?,
            language: field::line(reader, LANGUAGE_BYTES_MAX)?,
            text: field::prose(reader, PROSE_BYTES_MAX)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(6).text(self.name.as_str());
        write_version(writer, self.version.as_ref());
        writer.option(self.rating, |w, rating| w.uint(rating.into()));
        write_lines(writer, &self.tags);
        writer.text(&self.language).text(&self.text);
    }
}

impl Attest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(4)?;
        Ok(Self {
            subject: field::hash(reader)?,
            kind: field::line(reader, TYPE_BYTES_MAX)?,
            payload: reader.bytes(ATTESTATION_BYTES_MAX)?.to_vec(),
            signatures: read_signatures(reader, ENTRY_SIGNATURES_MAX)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .array(4)
            .bytes(self.subject.as_bytes())
            .text(&self.kind)
            .bytes(&self.payload);
        write_signatures(writer, &self.signatures);
    }
}

impl Advisory {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array(7)?;
        let id = field::line(reader, ADVISORY_ID_BYTES_MAX)?;
        let name = field::name(reader)?;
        let ranges = reader.items("ranges", ADVISORY_RANGES_MAX, |r| {
            field::line(r, RANGE_BYTES_MAX)
        })?;
        if ranges.is_empty() {
            return Err(Error::Invalid("an advisory without a range"));
        }
        let severity = Severity::ALL
            .into_iter()
            .nth(usize::try_from(reader.uint()?).unwrap_or(usize::MAX))
            .ok_or(Error::Invalid("a severity above 4"))?;
        Ok(Self {
            id,
            name,
            ranges,
            severity,
            urls: reader.items("urls", ADVISORY_URLS_MAX, |r| field::line(r, URL_BYTES_MAX))?,
            text: field::prose(reader, PROSE_BYTES_MAX)?,
            withdrawn: reader.bool()?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(7).text(&self.id).text(self.name.as_str());
        write_lines(writer, &self.ranges);
        writer.uint(self.severity as u64);
        write_lines(writer, &self.urls);
        writer.text(&self.text).bool(self.withdrawn);
    }
}

fn write_version(writer: &mut Writer, version: Option<&Version>) {
    writer.option(version, |writer, version| writer.text(&version.to_string()));
}

fn write_lines(writer: &mut Writer, lines: &[String]) {
    writer.array(lines.len());
    for line in lines {
        writer.text(line);
    }
}
