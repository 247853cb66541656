//! Facts read from a compiled eBPF object, bounded and without panics.
//!
//! An object is a relocatable ELF file of machine BPF. What is read here is what can be said without
//! a kernel: its programs, maps, license, byte order, and whether it carries BTF and CO-RE
//! relocations. Nothing is loaded, nothing is relocated, and nothing of this runs while nodes
//! exchange logs: an object is read where somebody publishes, inspects or installs it.
//!
//! Every loop is bounded by a limit below, every number of the file is checked before it is used.

mod btf;
mod elf;
mod gpl;
mod kind;
mod maps;
mod programs;

pub use gpl::is_gpl_compatible;
pub use kind::{
    Direction, Endian, Kind, MapType, ProgramType, hooks, kind_of_hook, kind_of_section,
};

use std::collections::BTreeSet;

use crate::fault::Fault;

/// Largest object in bytes: bpfman refuses larger ones, and the largest of 319 objects of known
/// projects is below 1 MiB.
pub const OBJECT_BYTES_MAX: usize = 16 << 20;
/// Most sections: objects have a few for each program; ELF's own limit without extensions is 65,279.
pub const SECTIONS_MAX: usize = 4_096;
/// Most symbols, labels included.
pub const SYMBOLS_MAX: usize = 65_536;
/// Most programs: the largest known objects have about a hundred.
pub const PROGRAMS_MAX: usize = 1_024;
/// Most maps, sections of global data included: a program can name no more than 64 of them.
pub const MAPS_MAX: usize = 1_024;
/// Longest name of a program or map: `KSYM_NAME_LEN` of the kernel is 512 since 6.1, before it 128;
/// C names are far shorter.
pub const NAME_LEN_MAX: usize = 128;
/// Longest name of a section: `uprobe/PATH:FUNCTION` holds a path.
pub const SECTION_LEN_MAX: usize = 256;
/// Longest license string: the kernel reads 127 bytes.
pub const LICENSE_LEN_MAX: usize = 127;
/// Most BTF types: an object holds only what it uses; a whole kernel has about 150,000.
pub const BTF_TYPES_MAX: usize = 262_144;
/// How many typedefs, qualifiers and arrays may stand around a type before it is refused: the
/// kernel's `MAX_RESOLVE_DEPTH` is 32.
pub const BTF_DEPTH_MAX: usize = 32;
/// Most different BPF helpers that one object calls: the kernel has 211 and adds no more.
pub const HELPERS_MAX: usize = 512;
/// Most names that an object leaves to the kernel: the largest known objects have a few dozen.
pub const EXTERNS_MAX: usize = 256;

/// What an object says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub endian: Endian,
    /// What its `license` section tells the kernel.
    pub license: Option<String>,
    /// In the order of their sections and offsets.
    pub programs: Vec<Program>,
    /// BTF-defined maps first, then legacy ones, then sections of global data.
    pub maps: Vec<Map>,
    /// Numbers of the BPF helpers (`enum bpf_func_id`) that its code calls, sorted, each once.
    pub helpers: Vec<u32>,
    /// Kernel functions, variables and options that it names and does not define, sorted.
    pub externs: Vec<String>,
    pub has_btf: bool,
    pub has_btf_ext: bool,
    /// How many places a loader adapts to the kernel's types.
    pub core_relocations: usize,
}

/// A function symbol in an executable section other than `.text`.
///
/// This is libbpf's rule, except that libbpf refuses an object with a local (`static`) one and that
/// it takes a lone function in `.text` for a program; here local ones count, and `.text` holds
/// subprograms only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    pub section: String,
    /// `None` where the section's name is none of libbpf's: the manifest has to say it.
    pub kind: Option<Kind>,
    /// 8-byte slots; a 64-bit immediate takes two.
    pub instructions: usize,
}

/// What holds state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    pub name: String,
    pub kind: MapType,
    pub key_size: u32,
    pub value_size: u32,
    /// 0 where the loader decides.
    pub max_entries: u32,
    pub flags: u32,
    pub pinning: Pinning,
    pub source: MapSource,
}

/// Whether a loader pins a map into bpffs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    None,
    ByName,
    /// Another number than libbpf knows.
    Other(u32),
}

/// Where the definition of a map stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapSource {
    /// Section `.maps`, described by BTF.
    Btf,
    /// Section `maps`, or one whose name begins so: `struct bpf_map_def`.
    Legacy,
    /// A section of global variables (`.data`, `.rodata`, `.bss` and theirs), which loaders turn
    /// into an array of one value. `.kconfig` and `.struct_ops` depend on the kernel and are not
    /// counted.
    Data,
}

/// Why a file is not an object that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not an eBPF object: {size} bytes where at most {max} are allowed")]
    TooLong { size: usize, max: usize },
    #[error("not an eBPF object: {0}")]
    NotElf(&'static str),
    #[error("not an eBPF object: a program for machine {machine}, expected 247 (BPF)")]
    NotBpf { machine: u16 },
    #[error("malformed eBPF object: {0}")]
    Malformed(&'static str),
    #[error("malformed eBPF object: more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("malformed eBPF object: map `{name}`: {why}")]
    Map { name: String, why: &'static str },
}

impl Error {
    /// The bytes are those that somebody signed for.
    pub fn fault(&self) -> Fault {
        Fault::Publisher
    }
}

/// Whether `bytes` begin as an ELF file of machine BPF does, of either byte order.
pub fn looks_like_object(bytes: &[u8]) -> bool {
    let machine = match (bytes.get(..4), bytes.get(5), bytes.get(18..20)) {
        (Some(b"\x7fELF"), Some(1), Some(&[low, high])) => u16::from_le_bytes([low, high]),
        (Some(b"\x7fELF"), Some(2), Some(&[high, low])) => u16::from_be_bytes([high, low]),
        _ => return false,
    };
    machine == elf::MACHINE_BPF
}

/// Reads the object that `bytes` are.
pub fn read(bytes: &[u8]) -> Result<Object, Error> {
    let file = elf::File::parse(bytes)?;
    check_one_reading(&file)?;
    let btf = file
        .section(".BTF")
        .map(|s| btf::Btf::parse(s.data, file.endian));
    let btf = btf.transpose()?;
    let ext = file.section(".BTF.ext");
    let core_relocations = match ext {
        Some(ext) => btf::count_core_relocations(ext.data, file.endian)?,
        None => 0,
    };
    Ok(Object {
        endian: file.endian,
        license: license(&file)?,
        programs: programs::read(&file)?,
        maps: maps::read(&file, btf.as_ref())?,
        helpers: programs::helpers(&file)?,
        externs: externs(&file)?,
        has_btf: btf.is_some(),
        has_btf_ext: ext.is_some(),
        core_relocations,
    })
}

/// Refuses an object that one loader reads otherwise than another, and so does something else than is
/// said of it here: of sections that are read once some take the first and some the last, and some
/// take every name that begins with `license` for that section.
fn check_one_reading(file: &elf::File<'_>) -> Result<(), Error> {
    let count = |is: &dyn Fn(&str) -> bool| file.sections.iter().filter(|s| is(&s.name)).count();
    for name in [".BTF", ".BTF.ext", ".maps"] {
        if count(&|it| it == name) > 1 {
            return Err(Error::Malformed("two sections of a name that is read once"));
        }
    }
    let exact = count(&|it| it == "license");
    if exact > 1 || exact != count(&|it| it.starts_with("license")) {
        return Err(Error::Malformed(
            "a section that some loaders take for the license and others do not",
        ));
    }
    if file.symbol_tables > 1 {
        return Err(Error::Malformed("two tables of symbols"));
    }
    Ok(())
}

fn license(file: &elf::File<'_>) -> Result<Option<String>, Error> {
    let Some(section) = file.section("license") else {
        return Ok(None);
    };
    elf::text(section.data, 0, LICENSE_LEN_MAX)
        .map(Some)
        .ok_or(Error::Malformed("a license that is no short line of text"))
}

fn externs(file: &elf::File<'_>) -> Result<Vec<String>, Error> {
    let mut names = BTreeSet::new();
    for symbol in file.symbols.iter().filter(|symbol| symbol.is_undefined) {
        let name = symbol
            .name(NAME_LEN_MAX)
            .ok_or(Error::Malformed("a symbol whose name is no short line"))?;
        // The first symbol of every table has no name and no place.
        if !name.is_empty() {
            names.insert(name);
        }
        if names.len() > EXTERNS_MAX {
            return Err(Error::TooMany {
                what: "undefined symbols",
                max: EXTERNS_MAX,
            });
        }
    }
    Ok(names.into_iter().collect())
}
