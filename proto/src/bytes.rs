//! The bounded CBOR codec: the only serializer of entries, messages and files of the store.
//!
//! The profile is RFC 8949 §4.2.1 (shortest heads, definite lengths, map keys sorted bytewise and
//! distinct) without floats, tags and `undefined`. [`Reader::strict`] checks a whole input once;
//! the typed getters then bound every collection. Bytes that were received are what is stored,
//! hashed and forwarded: nothing here re-encodes them.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

/// How deep items may nest. An item inside `n` arrays or maps stands at depth `n`; arrays, maps and
/// strings stand at depths below this limit, integers and simple values at most at it. Bounds the
/// recursion of every decoder; the deepest message of ours needs six.
pub const DEPTH_MAX: usize = 8;

/// Why an input is not what the profile and the schema say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{size} bytes where at most {max} are allowed")]
    TooLong { size: usize, max: usize },
    #[error("not deterministic CBOR: {why} at byte {at}")]
    NotStrict { why: &'static str, at: usize },
    #[error("expected {expected} at byte {at}")]
    Unexpected { expected: &'static str, at: usize },
    #[error("more than {max} {what} at byte {at}")]
    TooMany {
        what: &'static str,
        max: usize,
        at: usize,
    },
    #[error("{0}")]
    Invalid(&'static str),
}

/// Writes one item of the profile. Map keys are not sorted here: no format of ours writes a map.
#[derive(Debug)]
pub struct Writer(Encoder<Vec<u8>>);

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

const IN_MEMORY: &str = "writing to memory cannot fail";

impl Writer {
    pub fn new() -> Self {
        Self(Encoder::new(Vec::new()))
    }

    pub fn array(&mut self, len: usize) -> &mut Self {
        self.0.array(len as u64).expect(IN_MEMORY);
        self
    }

    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.0.u64(value).expect(IN_MEMORY);
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.bytes(value).expect(IN_MEMORY);
        self
    }

    /// The head of a byte string of `len` bytes, which the caller appends.
    pub fn bytes_head(&mut self, len: usize) -> &mut Self {
        self.0.bytes_len(len as u64).expect(IN_MEMORY);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.0.str(value).expect(IN_MEMORY);
        self
    }

    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.0.bool(value).expect(IN_MEMORY);
        self
    }

    pub fn null(&mut self) -> &mut Self {
        self.0.null().expect(IN_MEMORY);
        self
    }

    /// Null for `None`, else what `write` writes.
    pub fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    /// An item that is already encoded.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.0.writer_mut().extend_from_slice(item);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads one input that was checked against the profile.
#[derive(Debug, Clone)]
pub struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    /// Checks that `input` is exactly one item of the profile and at most `budget` bytes.
    pub fn strict(input: &'a [u8], budget: usize) -> Result<Self, Error> {
        if input.len() > budget {
            return Err(Error::TooLong {
                size: input.len(),
                max: budget,
            });
        }
        let mut walk = Decoder::new(input);
        check_item(&mut walk, 0)?;
        if walk.position() != input.len() {
            return Err(Error::NotStrict {
                why: "bytes after the item",
                at: walk.position(),
            });
        }
        Ok(Self(Decoder::new(input)))
    }

    pub fn position(&self) -> usize {
        self.0.position()
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        Error::Unexpected {
            expected,
            at: self.position(),
        }
    }

    /// An array of exactly `len` items.
    pub fn array(&mut self, len: usize) -> Result<(), Error> {
        let error = self.unexpected("an array of the length that the format fixes");
        match self.0.array() {
            Ok(Some(n)) if n == len as u64 => Ok(()),
            _ => Err(error),
        }
    }

    /// An array of at most `max` items; returns how many.
    pub fn list(&mut self, what: &'static str, max: usize) -> Result<usize, Error> {
        let (error, at) = (self.unexpected("an array"), self.position());
        match self.0.array() {
            Ok(Some(n)) => match usize::try_from(n) {
                Ok(n) if n <= max => Ok(n),
                _ => Err(Error::TooMany { what, max, at }),
            },
            _ => Err(error),
        }
    }

    /// `list`, with each item read by `item`.
    pub fn items<T>(
        &mut self,
        what: &'static str,
        max: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let len = self.list(what, max)?;
        (0..len).map(|_| item(self)).collect()
    }

    pub fn uint(&mut self) -> Result<u64, Error> {
        let error = self.unexpected("an unsigned integer");
        self.0.u64().map_err(|_| error)
    }

    /// An unsigned integer of at most `max`.
    pub fn uint_to(&mut self, max: u64) -> Result<u64, Error> {
        let error = self.unexpected("a smaller integer");
        self.uint()
            .and_then(|n| if n <= max { Ok(n) } else { Err(error) })
    }

    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], Error> {
        let error = self.unexpected("a byte string");
        let bytes = self.0.bytes().map_err(|_| error)?;
        if bytes.len() > max {
            return Err(Error::TooLong {
                size: bytes.len(),
                max,
            });
        }
        Ok(bytes)
    }

    pub fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let error = self.unexpected("a byte string of the length that the format fixes");
        self.0
            .bytes()
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(error)
    }

    pub fn text(&mut self, max: usize) -> Result<&'a str, Error> {
        let error = self.unexpected("a text string");
        let text = self.0.str().map_err(|_| error)?;
        if text.len() > max {
            return Err(Error::TooLong {
                size: text.len(),
                max,
            });
        }
        Ok(text)
    }

    pub fn bool(&mut self) -> Result<bool, Error> {
        let error = self.unexpected("true or false");
        self.0.bool().map_err(|_| error)
    }

    /// `None` for null, else what `item` reads.
    pub fn option<T>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if matches!(self.0.datatype(), Ok(Type::Null)) {
            let error = self.unexpected("null");
            self.0.null().map_err(|_| error)?;
            return Ok(None);
        }
        item(self).map(Some)
    }

    /// The encoded bytes of the next item, whatever it is.
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let (error, start) = (self.unexpected("an item"), self.position());
        self.0.skip().map_err(|_| error)?;
        Ok(&self.0.input()[start..self.position()])
    }

    /// Fails unless everything was read.
    pub fn end(&self) -> Result<(), Error> {
        if self.position() == self.0.input().len() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }
}

/// Walks one item: decodes each head, encodes it again, compares.
fn check_item(walk: &mut Decoder<'_>, depth: usize) -> Result<(), Error> {
    let start = walk.position();
    let refuse = |why| Error::NotStrict { why, at: start };
    let truncated = |_| refuse("ends early or is malformed");
    let mut head = Encoder::new(Vec::with_capacity(9));
    let kind = walk.datatype().map_err(truncated)?;
    let deep = |_| (depth >= DEPTH_MAX).then_some(refuse("nested too deep"));
    match kind {
        Type::Bool => {
            walk.bool().map_err(truncated)?;
            return Ok(());
        }
        Type::Null => {
            walk.null().map_err(truncated)?;
            return Ok(());
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            head.u64(walk.u64().map_err(truncated)?).expect(IN_MEMORY);
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            head.int(walk.int().map_err(truncated)?).expect(IN_MEMORY);
        }
        Type::Bytes => {
            let len = walk.bytes().map_err(truncated)?.len();
            head.bytes_len(len as u64).expect(IN_MEMORY);
        }
        Type::String => {
            let len = walk.str().map_err(truncated)?.len();
            head.str_len(len as u64).expect(IN_MEMORY);
        }
        Type::Array => {
            let len = walk
                .array()
                .map_err(truncated)?
                .ok_or(refuse("indefinite length"))?;
            head.array(len).expect(IN_MEMORY);
            if let Some(error) = deep(()) {
                return Err(error);
            }
            for _ in 0..len {
                check_item(walk, depth + 1)?;
            }
        }
        Type::Map => {
            let len = walk
                .map()
                .map_err(truncated)?
                .ok_or(refuse("indefinite length"))?;
            head.map(len).expect(IN_MEMORY);
            if let Some(error) = deep(()) {
                return Err(error);
            }
            check_pairs(walk, len, depth)?;
        }
        _ => return Err(refuse("a float, tag, simple value or indefinite length")),
    }
    if matches!(kind, Type::Bytes | Type::String)
        && let Some(error) = deep(())
    {
        return Err(error);
    }
    if walk.input()[start..].starts_with(head.writer()) {
        Ok(())
    } else {
        Err(refuse("a head that is not the shortest"))
    }
}

fn check_pairs(walk: &mut Decoder<'_>, len: u64, depth: usize) -> Result<(), Error> {
    let mut before: Option<&[u8]> = None;
    for _ in 0..len {
        let start = walk.position();
        check_item(walk, depth + 1)?;
        let key = &walk.input()[start..walk.position()];
        if before.is_some_and(|before| before >= key) {
            return Err(Error::NotStrict {
                why: "map keys that are not sorted and distinct",
                at: start,
            });
        }
        before = Some(key);
        check_item(walk, depth + 1)?;
    }
    Ok(())
}
