//! Programs: function symbols in executable sections, and the BPF helpers that code calls.

use std::collections::BTreeSet;

use super::elf::{File, Section, Symbol};
use super::{
    Endian, Error, HELPERS_MAX, NAME_LEN_MAX, OBJECT_BYTES_MAX, PROGRAMS_MAX, Program,
    kind_of_section,
};

/// Bytes of one instruction slot.
const SLOT: usize = 8;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_LD | BPF_IMM | BPF_DW`: takes two slots, of which the second is no instruction.
const LOAD_64: u8 = 0x18;
/// `BPF_PSEUDO_CALL`: a call of a function of the same object; 0 is one of a BPF helper.
const SUBPROGRAM: u8 = 1;
/// `BPF_PSEUDO_FUNC`: the address of a function of the same object; 0 is a plain number, or what a
/// relocation makes of it.
const FUNCTION_ADDRESS: u8 = 4;

pub(super) fn read(file: &File<'_>) -> Result<Vec<Program>, Error> {
    let mut found = Vec::new();
    for symbol in &file.symbols {
        let Some(index) = symbol.section.filter(|_| symbol.is_function) else {
            continue;
        };
        let Some(section) = file.sections.get(index) else {
            continue;
        };
        if !section.is_code || section.name == ".text" || symbol.size == 0 {
            continue;
        }
        found.push(((index, symbol.value), program(symbol, section)?));
        if found.len() > PROGRAMS_MAX {
            return Err(Error::TooMany {
                what: "programs",
                max: PROGRAMS_MAX,
            });
        }
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, program)| program).collect())
}

fn program(symbol: &Symbol<'_>, section: &Section<'_>) -> Result<Program, Error> {
    let name = symbol
        .name(NAME_LEN_MAX)
        .filter(|name| !name.is_empty())
        .ok_or(Error::Malformed("a program whose name is no short line"))?;
    let end = symbol.value.checked_add(symbol.size);
    if end.is_none_or(|end| end > section.data.len() as u64) {
        return Err(Error::Malformed("a program outside its section"));
    }
    let size = usize::try_from(symbol.size)
        .ok()
        .filter(|size| size.is_multiple_of(SLOT))
        .ok_or(Error::Malformed("a program of broken instructions"))?;
    Ok(Program {
        name,
        section: section.name.clone(),
        kind: kind_of_section(&section.name),
        instructions: size / SLOT,
    })
}

/// Which helpers the code of all sections calls, `.text` included.
pub(super) fn helpers(file: &File<'_>) -> Result<Vec<u32>, Error> {
    let code = || file.sections.iter().filter(|section| section.is_code);
    // Section headers may all name the same bytes; then their sum is more than any file.
    if code().map(|section| section.data.len()).sum::<usize>() > OBJECT_BYTES_MAX {
        return Err(Error::Malformed("sections that lie on each other"));
    }
    let mut helpers = BTreeSet::new();
    for section in code() {
        let mut slots = section.data.chunks_exact(SLOT);
        while let Some(slot) = slots.next() {
            match (slot, source_register(slot, file.endian)) {
                ([LOAD_64, ..], 0 | FUNCTION_ADDRESS) => drop(slots.next()),
                ([CALL, _, _, _, immediate @ ..], 0) => {
                    helpers.extend(file.endian.u32(immediate));
                }
                ([CALL, ..], SUBPROGRAM) => {}
                ([LOAD_64 | CALL, ..], _) => {
                    return Err(Error::Malformed(
                        "an instruction that names a map or a kernel function by number",
                    ));
                }
                _ => {}
            }
            if helpers.len() > HELPERS_MAX {
                return Err(Error::TooMany {
                    what: "BPF helpers",
                    max: HELPERS_MAX,
                });
            }
        }
    }
    Ok(helpers.into_iter().collect())
}

/// In a call it says what is called, in a 64-bit load what is loaded. Only loaders write other values
/// than those that are let through here: descriptors of maps in their own process, numbers of types
/// and functions of the kernel that runs. In an object they would reach what nothing else in it names.
fn source_register(slot: &[u8], endian: Endian) -> u8 {
    let registers = slot.get(1).copied().unwrap_or_default();
    match endian {
        Endian::Little => registers >> 4,
        Endian::Big => registers & 0x0f,
    }
}
