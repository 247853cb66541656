//! The sections and symbols of an ELF file, each looked at once and within limits.

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::{Endian, Error, OBJECT_BYTES_MAX, SECTION_LEN_MAX, SECTIONS_MAX, SYMBOLS_MAX};

/// `e_machine` of BPF.
pub(super) const MACHINE_BPF: u16 = 247;

/// A relocatable BPF file.
pub(super) struct File<'a> {
    pub(super) endian: Endian,
    /// By section index; the null section is the first.
    pub(super) sections: Vec<Section<'a>>,
    /// Of the first table.
    pub(super) symbols: Vec<Symbol<'a>>,
    pub(super) symbol_tables: usize,
}

pub(super) struct Section<'a> {
    pub(super) name: String,
    /// Nothing for a section without bytes in the file.
    pub(super) data: &'a [u8],
    /// What it takes in memory, which for `.bss` is not what it takes in the file.
    pub(super) size: u64,
    pub(super) is_code: bool,
}

pub(super) struct Symbol<'a> {
    strings: &'a [u8],
    name_at: usize,
    /// Index into [`File::sections`]; `None` for absolute, common and undefined symbols.
    pub(super) section: Option<usize>,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) is_function: bool,
    pub(super) is_label: bool,
    /// Named here, defined elsewhere: by the kernel.
    pub(super) is_undefined: bool,
}

impl<'a> File<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(Error::TooLong {
                size: bytes.len(),
                max: OBJECT_BYTES_MAX,
            });
        }
        let header = FileHeader64::<Endianness>::parse(bytes)
            .map_err(|_| Error::NotElf("no 64-bit ELF header"))?;
        let endian = header
            .endian()
            .map_err(|_| Error::NotElf("an unknown byte order"))?;
        let machine = header.e_machine(endian).0;
        if machine != MACHINE_BPF {
            return Err(Error::NotBpf { machine });
        }
        if header.e_type(endian) != elf::ET_REL {
            return Err(Error::NotElf("not relocatable"));
        }
        let headers = header
            .sections(endian, bytes)
            .map_err(|_| Error::Malformed("a section table outside the file"))?;
        if headers.len() > SECTIONS_MAX {
            return Err(Error::TooMany {
                what: "sections",
                max: SECTIONS_MAX,
            });
        }
        let names = header
            .shstrndx(endian, bytes)
            .ok()
            .and_then(|index| headers.section(object::SectionIndex(index as usize)).ok())
            .and_then(|section| section.data(endian, bytes).ok())
            .ok_or(Error::Malformed("no names of sections"))?;
        let sections = headers
            .iter()
            .map(|header| section(header, endian, bytes, names))
            .collect::<Result<_, _>>()?;
        let is_table =
            |header: &&elf::SectionHeader64<_>| header.sh_type(endian) == elf::SHT_SYMTAB;
        Ok(Self {
            symbol_tables: headers.iter().filter(is_table).count(),
            endian: match endian {
                Endianness::Little => Endian::Little,
                Endianness::Big => Endian::Big,
            },
            sections,
            symbols: symbols(&headers, endian, bytes)?,
        })
    }

    /// The first section of this name.
    pub(super) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

fn section<'a>(
    header: &elf::SectionHeader64<Endianness>,
    endian: Endianness,
    bytes: &'a [u8],
    names: &[u8],
) -> Result<Section<'a>, Error> {
    // The null section may hold anything: its fields carry counts that do not fit the header.
    if header.sh_type(endian) == elf::SHT_NULL {
        return Ok(Section {
            name: String::new(),
            data: &[],
            size: 0,
            is_code: false,
        });
    }
    let name = text(names, header.sh_name(endian) as usize, SECTION_LEN_MAX)
        .ok_or(Error::Malformed("a section whose name is no short line"))?;
    let data = header
        .data(endian, bytes)
        .map_err(|_| Error::Malformed("a section outside the file"))?;
    let is_executable = header.sh_flags(endian).contains(elf::SHF_EXECINSTR);
    Ok(Section {
        is_code: is_executable && header.sh_type(endian) == elf::SHT_PROGBITS,
        name,
        data,
        size: header.sh_size(endian),
    })
}

fn symbols<'a>(
    headers: &object::read::elf::SectionTable<'a, FileHeader64<Endianness>>,
    endian: Endianness,
    bytes: &'a [u8],
) -> Result<Vec<Symbol<'a>>, Error> {
    let outside = |_| Error::Malformed("a symbol table outside the file");
    let table = headers
        .symbols(endian, bytes, elf::SHT_SYMTAB)
        .map_err(outside)?;
    if table.len() > SYMBOLS_MAX {
        return Err(Error::TooMany {
            what: "symbols",
            max: SYMBOLS_MAX,
        });
    }
    let strings = match table.string_section().0 {
        0 => &[][..],
        _ => headers
            .section(table.string_section())
            .and_then(|section| section.data(endian, bytes))
            .map_err(outside)?,
    };
    let symbols = table.enumerate().map(|(index, symbol)| Symbol {
        strings,
        name_at: symbol.st_name(endian) as usize,
        section: table
            .symbol_section(endian, symbol, index)
            .ok()
            .flatten()
            .map(|index| index.0)
            .filter(|index| *index < headers.len()),
        value: symbol.st_value(endian),
        size: symbol.st_size(endian),
        is_function: symbol.st_type() == elf::STT_FUNC,
        is_label: symbol.st_type() == elf::STT_SECTION,
        is_undefined: symbol.is_undefined(endian),
    });
    Ok(symbols.collect())
}

impl Symbol<'_> {
    pub(super) fn name(&self, max: usize) -> Option<String> {
        text(self.strings, self.name_at, max)
    }
}

/// The line of at most `max` bytes that begins at `at` and ends with a zero byte or the table.
///
/// Looks at no more than `max + 1` bytes: many names may begin in one long string.
pub(super) fn text(table: &[u8], at: usize, max: usize) -> Option<String> {
    let rest = table.get(at..)?;
    let window = rest.get(..=max).unwrap_or(rest);
    let line = window.split(|byte| *byte == 0).next()?;
    let line = std::str::from_utf8(line).ok()?;
    crate::text::check_line(line, max).ok()?;
    Some(line.to_owned())
}
