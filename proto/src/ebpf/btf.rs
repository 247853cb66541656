//! BTF, as far as the definitions of maps need it: kinds, names, members, sizes.
//!
//! The format is `Documentation/bpf/btf.rst` of the kernel: a header, types one after the other
//! (numbered from 1), and strings. Types name each other by number, so nothing here may recurse
//! without a limit.

use super::{BTF_DEPTH_MAX, BTF_TYPES_MAX, Endian, Error, elf};

const MAGIC: u16 = 0xeb9f;
/// Bytes of a header up to `str_len`; newer ones may be longer.
const HEADER_LEN: usize = 24;
/// Bytes of a header of `.BTF.ext` that tells where CO-RE relocations are.
const EXT_CORE_HEADER_LEN: u32 = 32;
/// Bytes of a pointer of BPF.
const POINTER_SIZE: u32 = 8;

/// Kinds whose place in the file has to be known; numbers as in `enum BTF_KIND_*`.
mod kinds {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

pub(super) struct Btf<'a> {
    endian: Endian,
    types: &'a [u8],
    strings: &'a [u8],
    /// Where type `i + 1` begins.
    starts: Vec<usize>,
}

/// The fixed part of a type, and the bytes that follow it.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    name_at: u32,
    kind: u32,
    /// `vlen`.
    count: u32,
    /// `size` or `type`, by kind.
    size_or_type: u32,
    rest: &'a [u8],
}

/// A member of a struct, or an entry of a DATASEC.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) type_id: u32,
}

const OUTSIDE: Error = Error::Malformed("BTF that names a place outside itself");

impl<'a> Btf<'a> {
    pub(super) fn parse(bytes: &'a [u8], endian: Endian) -> Result<Self, Error> {
        let header_len = header_len(bytes, endian, HEADER_LEN)?;
        let field = |at| word(bytes, at, endian);
        let body = bytes.get(header_len..).ok_or(OUTSIDE)?;
        let mut btf = Self {
            endian,
            types: slice(body, field(8)?, field(12)?)?,
            strings: slice(body, field(16)?, field(20)?)?,
            starts: Vec::new(),
        };
        let mut at = 0;
        while at < btf.types.len() {
            if btf.starts.len() >= BTF_TYPES_MAX {
                return Err(Error::TooMany {
                    what: "BTF types",
                    max: BTF_TYPES_MAX,
                });
            }
            btf.starts.push(at);
            let len = btf.read_type(at)?.len().ok_or(Error::Malformed(
                "BTF of a kind that is newer than this reader",
            ))?;
            at = at.checked_add(len).ok_or(OUTSIDE)?;
        }
        if at != btf.types.len() {
            return Err(OUTSIDE);
        }
        Ok(btf)
    }

    fn read_type(&self, at: usize) -> Result<Type<'a>, Error> {
        let bytes = self.types.get(at..).ok_or(OUTSIDE)?;
        let info = word(bytes, 4, self.endian)?;
        Ok(Type {
            name_at: word(bytes, 0, self.endian)?,
            kind: (info >> 24) & 0x1f,
            count: info & 0xffff,
            size_or_type: word(bytes, 8, self.endian)?,
            rest: bytes.get(12..).unwrap_or_default(),
        })
    }

    /// Type `id`; 0 is `void` and no type.
    fn type_of(&self, id: u32) -> Result<Type<'a>, Error> {
        let start = usize::try_from(id)
            .ok()
            .and_then(|id| id.checked_sub(1))
            .and_then(|index| self.starts.get(index))
            .ok_or(OUTSIDE)?;
        self.read_type(*start)
    }

    fn name(&self, at: u32, max: usize) -> Option<String> {
        elf::text(self.strings, usize::try_from(at).ok()?, max)
    }

    /// Type `id` without typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> Result<Type<'a>, Error> {
        for _ in 0..BTF_DEPTH_MAX {
            let found = self.type_of(id)?;
            match found.kind {
                kinds::TYPEDEF
                | kinds::VOLATILE
                | kinds::CONST
                | kinds::RESTRICT
                | kinds::TYPE_TAG => id = found.size_or_type,
                _ => return Ok(found),
            }
        }
        Err(Error::Malformed("BTF types that are nested too deep"))
    }

    /// The variables of the section `name`, each with the type of the variable.
    pub(super) fn variables(&self, name: &str, max: usize) -> Result<Vec<Member>, Error> {
        for start in &self.starts {
            let found = self.read_type(*start)?;
            let is_it = found.kind == kinds::DATASEC
                && self.name(found.name_at, super::SECTION_LEN_MAX).as_deref() == Some(name);
            if !is_it {
                continue;
            }
            if found.count as usize > max {
                return Err(Error::TooMany { what: "maps", max });
            }
            return (0..found.count)
                .map(|index| self.variable(found, index))
                .collect();
        }
        Ok(Vec::new())
    }

    fn variable(&self, section: Type<'_>, index: u32) -> Result<Member, Error> {
        let at = (index as usize).checked_mul(12).ok_or(OUTSIDE)?;
        let variable = self.type_of(word(section.rest, at, self.endian)?)?;
        let name = self.name(variable.name_at, super::NAME_LEN_MAX);
        match name.filter(|name| !name.is_empty() && variable.kind == kinds::VAR) {
            Some(name) => Ok(Member {
                name,
                type_id: variable.size_or_type,
            }),
            None => Err(Error::Malformed(
                "a BTF section of something else than variables",
            )),
        }
    }

    /// The members of the struct `id`; `None` if it is none.
    pub(super) fn members(&self, id: u32, max: usize) -> Result<Option<Vec<Member>>, Error> {
        let found = self.bare(id)?;
        if found.kind != kinds::STRUCT {
            return Ok(None);
        }
        if found.count as usize > max {
            return Err(Error::TooMany {
                what: "members of a map's definition",
                max,
            });
        }
        let member = |index: u32| {
            let at = (index as usize).checked_mul(12).ok_or(OUTSIDE)?;
            let name_at = word(found.rest, at, self.endian)?;
            Ok(Member {
                name: self.name(name_at, super::NAME_LEN_MAX).unwrap_or_default(),
                type_id: word(found.rest, at + 4, self.endian)?,
            })
        };
        (0..found.count)
            .map(member)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// What a member written with `__uint(name, NUMBER)` says: it is a pointer to an array of that
    /// many elements.
    pub(super) fn number(&self, id: u32) -> Result<Option<u32>, Error> {
        let pointer = self.bare(id)?;
        if pointer.kind != kinds::PTR {
            return Ok(None);
        }
        let array = self.bare(pointer.size_or_type)?;
        if array.kind != kinds::ARRAY {
            return Ok(None);
        }
        word(array.rest, 8, self.endian).map(Some)
    }

    /// The size of what a member written with `__type(name, TYPE)` points to.
    pub(super) fn pointed_size(&self, id: u32) -> Result<Option<u32>, Error> {
        let pointer = self.bare(id)?;
        if pointer.kind != kinds::PTR {
            return Ok(None);
        }
        self.size(pointer.size_or_type)
    }

    /// Bytes that type `id` takes; `None` for what has no size.
    fn size(&self, mut id: u32) -> Result<Option<u32>, Error> {
        let mut times = 1_u32;
        for _ in 0..BTF_DEPTH_MAX {
            let found = self.bare(id)?;
            let one = match found.kind {
                kinds::INT
                | kinds::STRUCT
                | kinds::UNION
                | kinds::ENUM
                | kinds::FLOAT
                | kinds::ENUM64
                | kinds::DATASEC => found.size_or_type,
                kinds::PTR => POINTER_SIZE,
                kinds::ARRAY => {
                    let elements = word(found.rest, 8, self.endian)?;
                    times = times
                        .checked_mul(elements)
                        .ok_or(Error::Malformed("a BTF type of more than 4 GiB"))?;
                    id = word(found.rest, 0, self.endian)?;
                    continue;
                }
                _ => return Ok(None),
            };
            return times
                .checked_mul(one)
                .map(Some)
                .ok_or(Error::Malformed("a BTF type of more than 4 GiB"));
        }
        Err(Error::Malformed("BTF types that are nested too deep"))
    }
}

impl Type<'_> {
    /// Bytes of the whole type, `None` for an unknown kind, whose length nobody knows.
    fn len(&self) -> Option<usize> {
        let each = match self.kind {
            kinds::INT | kinds::VAR | kinds::DECL_TAG => return Some(12 + 4),
            kinds::ARRAY => return Some(12 + 12),
            kinds::PTR
            | kinds::FWD
            | kinds::TYPEDEF
            | kinds::VOLATILE
            | kinds::CONST
            | kinds::RESTRICT
            | kinds::FUNC
            | kinds::FLOAT
            | kinds::TYPE_TAG => 0,
            kinds::ENUM | kinds::FUNC_PROTO => 8,
            kinds::STRUCT | kinds::UNION | kinds::DATASEC | kinds::ENUM64 => 12,
            _ => return None,
        };
        Some(12 + each * self.count as usize)
    }
}

/// How many CO-RE relocations `.BTF.ext` holds.
pub(super) fn count_core_relocations(bytes: &[u8], endian: Endian) -> Result<usize, Error> {
    let header_len = header_len(bytes, endian, HEADER_LEN)?;
    if word(bytes, 4, endian)? < EXT_CORE_HEADER_LEN {
        return Ok(0);
    }
    let body = bytes.get(header_len..).ok_or(OUTSIDE)?;
    let mut rest = slice(body, word(bytes, 24, endian)?, word(bytes, 28, endian)?)?;
    if rest.is_empty() {
        return Ok(0);
    }
    let record = word(rest, 0, endian)? as usize;
    rest = rest.get(4..).ok_or(OUTSIDE)?;
    let mut count = 0_usize;
    while !rest.is_empty() {
        let records = word(rest, 4, endian)? as usize;
        // A record of no bytes would let four billion of them stand in eight.
        let skip = records
            .checked_mul(record.max(1))
            .and_then(|len| len.checked_add(8))
            .ok_or(OUTSIDE)?;
        rest = rest.get(skip..).ok_or(OUTSIDE)?;
        count = count.saturating_add(records);
    }
    Ok(count)
}

/// Checks the magic and returns `hdr_len`, which is at least `least`.
fn header_len(bytes: &[u8], endian: Endian, least: usize) -> Result<usize, Error> {
    if endian.u16(bytes) != Some(MAGIC) {
        return Err(Error::Malformed("BTF without its magic number"));
    }
    match usize::try_from(word(bytes, 4, endian)?) {
        Ok(len) if len >= least => Ok(len),
        _ => Err(Error::Malformed("BTF with too short a header")),
    }
}

fn word(bytes: &[u8], at: usize, endian: Endian) -> Result<u32, Error> {
    bytes
        .get(at..)
        .and_then(|bytes| endian.u32(bytes))
        .ok_or(OUTSIDE)
}

fn slice(bytes: &[u8], offset: u32, len: u32) -> Result<&[u8], Error> {
    let start = usize::try_from(offset).map_err(|_| OUTSIDE)?;
    let end = usize::try_from(len)
        .ok()
        .and_then(|len| start.checked_add(len))
        .ok_or(OUTSIDE)?;
    bytes.get(start..end).ok_or(OUTSIDE)
}
