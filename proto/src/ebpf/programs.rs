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
            if slot.first() == Some(&LOAD_64) {
                slots.next();
            }
            helpers.extend(called_helper(slot, file.endian));
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

/// The helper that an instruction calls: `src_reg` 0; 1 is a call of a subprogram, 2 of a kernel
/// function.
fn called_helper(slot: &[u8], endian: Endian) -> Option<u32> {
    let &[CALL, registers, _, _, ref immediate @ ..] = slot else {
        return None;
    };
    let source = match endian {
        Endian::Little => registers >> 4,
        Endian::Big => registers & 0x0f,
    };
    (source == 0).then(|| endian.u32(immediate)).flatten()
}
