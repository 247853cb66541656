//! The tar of a .skep file, in pieces as they come: its contents first, then each file whose header,
//! bytes and padding are compared with what the contents say. Nothing else is accepted, so what was
//! read would be written again, byte by byte.

use crate::blob::{GroupList, GroupLister};
use crate::claimed::Verified;
use crate::render::tar::{self, BLOCK_BYTES};

use super::contents::{self, CONTENTS_BYTES_MAX, Item};
use super::{CONTENTS_PATH, Error, header};

/// Where a header says the size: what stands before it is the same in every first header.
const SIZE_AT: usize = 124;

/// Who hears what stands in a file.
pub(super) trait Sink {
    /// All files, in order.
    fn contents(&mut self, items: &[Item]) -> Result<(), Error>;
    /// The bytes of this file begin; `offset` is where, in the .skep file.
    fn begin(&mut self, item: &Item, offset: u64) -> Result<(), Error>;
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// They have ended, and have the hash that the contents say.
    fn end(&mut self, item: &Item, list: Verified<GroupList>) -> Result<(), Error>;
}

/// Reads a .skep file from its first byte on.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    items: Vec<Item>,
    /// The file that is read, or that comes next; before all of them, the contents.
    next: Option<usize>,
    step: Step,
    /// Bytes behind us.
    at: u64,
    /// Of a header or of the contents, until it is whole.
    held: Vec<u8>,
    lister: GroupLister,
    /// How long the contents are.
    contents_size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Header,
    /// So many bytes are still to come.
    Content(u64),
    Padding(u64),
    End(u64),
    Over,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            items: Vec::new(),
            next: None,
            step: Step::Header,
            at: 0,
            held: Vec::new(),
            lister: GroupLister::new(),
            contents_size: 0,
        }
    }

    /// How long the whole file is, once its contents are known.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        self.next?;
        Some(super::size_bytes(self.contents_size as u64, &self.items))
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<(), Error> {
        while !bytes.is_empty() {
            let taken = match self.step {
                Step::Header => self.header(bytes, sink)?,
                Step::Content(left) => self.content(bytes, left, sink)?,
                Step::Padding(left) => {
                    let taken = self.zeros(bytes, left)?;
                    match left - taken as u64 {
                        0 => self.turn(),
                        left => self.step = Step::Padding(left),
                    }
                    taken
                }
                Step::End(left) => {
                    let taken = self.zeros(bytes, left)?;
                    self.step = match left - taken as u64 {
                        0 => Step::Over,
                        left => Step::End(left),
                    };
                    taken
                }
                Step::Over => return Err(Error::Trailing(self.at)),
            };
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// There is no more of it: whether that is the end of the file.
    pub(super) fn finish(&self) -> Result<(), Error> {
        match self.step {
            Step::Over => Ok(()),
            _ if self.next.is_none() && !self.has_begun() => Err(Error::NotABundle),
            _ => Err(Error::Cut {
                at: self.at,
                size: self.size_bytes(),
            }),
        }
    }

    /// Whether what there is of the first header may become one.
    fn has_begun(&self) -> bool {
        let first = header(CONTENTS_PATH, 0);
        let told = self.held.len().min(SIZE_AT);
        self.contents_size > 0 || (told > 0 && self.held[..told] == first[..told])
    }

    fn header(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, Error> {
        let block = usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX);
        let taken = bytes.len().min(block - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() < block {
            return Ok(taken);
        }
        let held = std::mem::take(&mut self.held);
        let offset = self.at + taken as u64;
        let size = match self.next {
            None => {
                let size = contents_size(&held)?;
                self.contents_size = size;
                size as u64
            }
            Some(next) => {
                let item = self.items[next];
                if header(&item.place.path(), item.size) != held {
                    return Err(Error::Header(item.place.path()));
                }
                sink.begin(&item, offset)?;
                item.size
            }
        };
        self.lister = GroupLister::new();
        self.step = Step::Content(size);
        if size == 0 {
            self.ended(sink)?;
        }
        Ok(taken)
    }

    fn content(&mut self, bytes: &[u8], left: u64, sink: &mut impl Sink) -> Result<usize, Error> {
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let content = &bytes[..taken];
        if self.next.is_none() {
            self.held.extend_from_slice(content);
        } else {
            // No longer than its place allows, which is below what a blob may have.
            drop(self.lister.update(content));
            sink.bytes(content)?;
        }
        match left - taken as u64 {
            0 => self.ended(sink)?,
            left => self.step = Step::Content(left),
        }
        Ok(taken)
    }

    /// The bytes of a file, or the contents, are whole.
    fn ended(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let size = match self.next {
            None => {
                let held = std::mem::take(&mut self.held);
                self.items = contents::read(&held)?;
                sink.contents(&self.items)?;
                held.len() as u64
            }
            Some(next) => {
                let item = self.items[next];
                let list = std::mem::take(&mut self.lister).finish();
                if *list.hash() != item.blake3 {
                    return Err(Error::Hash(item.place.path()));
                }
                sink.end(&item, list)?;
                item.size
            }
        };
        match super::padding(size) {
            0 => self.turn(),
            padding => self.step = Step::Padding(padding),
        }
        Ok(())
    }

    /// To the next file, or to the end.
    fn turn(&mut self) {
        let next = self.next.map_or(0, |next| next + 1);
        self.next = Some(next);
        self.step = match next < self.items.len() {
            true => Step::Header,
            false => Step::End(2 * BLOCK_BYTES),
        };
    }

    fn zeros(&self, bytes: &[u8], left: u64) -> Result<usize, Error> {
        let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match bytes[..taken].iter().position(|byte| *byte != 0) {
            None => Ok(taken),
            Some(at) => Err(Error::Padding(self.at + at as u64)),
        }
    }
}

/// Of the header of the contents, which alone says a length that nothing else says.
fn contents_size(block: &[u8]) -> Result<usize, Error> {
    let size = tar::size_of(block).ok_or(Error::NotABundle)?;
    if header(CONTENTS_PATH, size) != block {
        return Err(Error::NotABundle);
    }
    let size = usize::try_from(size).ok();
    size.filter(|size| *size <= CONTENTS_BYTES_MAX)
        .ok_or(Error::ContentsTooLong)
}
