//! A package's texts as the index keeps them: in one piece. As fields and lists of their own they
//! took three times the room, most of it for headers and the edges of twenty small allocations.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use skep_proto::bytes::{Error, Reader, Writer};
use skep_proto::name::{Name, Version};
use skep_proto::search::{Document, Kernels};

/// What the array of a packed document has: its texts, then its lists of texts.
const TEXTS: usize = 2;
const LISTS: usize = 6;

/// CBOR of a document's texts and lists, without its name, version and kernels: the index looks at
/// those of packages that are not shown.
#[derive(Debug)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(document: &Document) -> Self {
        let mut writer = Writer::new();
        writer
            .array(TEXTS + LISTS)
            .text(&document.description)
            .text(&document.license);
        for texts in [
            &document.keywords,
            &document.licenses,
            &document.hooks,
            &document.types,
            &document.programs,
            &document.arches,
        ] {
            writer.array(texts.len());
            for text in texts {
                writer.text(text);
            }
        }
        Self(writer.finish().into())
    }

    /// Its length, in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The document again, with what is not packed.
    pub(super) fn read(&self, name: Name, version: Version, kernels: Kernels) -> Document {
        self.try_read(name, version, kernels)
            .expect("only documents that were packed here are read")
    }

    fn try_read(&self, name: Name, version: Version, kernels: Kernels) -> Result<Document, Error> {
        // It is no longer than what it was made of.
        let most = self.0.len();
        let mut reader = Reader::strict(&self.0, most)?;
        reader.array(TEXTS + LISTS)?;
        let description = reader.text(most)?.to_owned();
        let license = reader.text(most)?.to_owned();
        let mut list = || reader.items("texts", most, |reader| Ok(reader.text(most)?.to_owned()));
        Ok(Document {
            name,
            version,
            kernels,
            description,
            license,
            keywords: list()?,
            licenses: list()?,
            hooks: list()?,
            types: list()?,
            programs: list()?,
            arches: list()?,
        })
    }
}
