//! Maps: defined with BTF, the legacy way, or made by loaders from global variables.

use super::btf::Btf;
use super::elf::{File, Section};
use super::{Error, MAPS_MAX, Map, MapSource, MapType, NAME_LEN_MAX, Pinning};

/// Most members of a map's definition: libbpf knows twelve.
const MEMBERS_MAX: usize = 32;
/// The first five words of `struct bpf_map_def`: all that every loader's variant shares.
const LEGACY_LEN: usize = 20;
/// `BPF_F_RDONLY_PROG`, with which loaders make the map of a `.rodata` section.
const READ_ONLY: u32 = 1 << 7;

pub(super) fn read(file: &File<'_>, btf: Option<&Btf<'_>>) -> Result<Vec<Map>, Error> {
    let mut maps = match btf {
        Some(btf) => btf
            .variables(".maps", MAPS_MAX)?
            .into_iter()
            .map(|variable| defined(btf, variable.name, variable.type_id))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    legacy(file, &mut maps)?;
    maps.extend(file.sections.iter().filter_map(data));
    if maps.len() > MAPS_MAX {
        return Err(Error::TooMany {
            what: "maps",
            max: MAPS_MAX,
        });
    }
    Ok(maps)
}

fn defined(btf: &Btf<'_>, name: String, type_id: u32) -> Result<Map, Error> {
    let refuse = |why| Error::Map {
        name: name.clone(),
        why,
    };
    let members = btf
        .members(type_id, MEMBERS_MAX)?
        .ok_or_else(|| refuse("its definition is no struct"))?;
    let mut map = Map {
        name: name.clone(),
        kind: MapType::UNSPEC,
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        flags: 0,
        pinning: Pinning::None,
        source: MapSource::Btf,
    };
    for member in members {
        let number = || {
            btf.number(member.type_id)?
                .ok_or_else(|| refuse("a field is no number"))
        };
        let size = || {
            btf.pointed_size(member.type_id)?
                .ok_or_else(|| refuse("a type has no size"))
        };
        match member.name.as_str() {
            "type" => map.kind = MapType::from_number(number()?),
            "max_entries" => map.max_entries = number()?,
            "map_flags" => map.flags = number()?,
            "key_size" => map.key_size = number()?,
            "value_size" => map.value_size = number()?,
            "key" => map.key_size = size()?,
            "value" => map.value_size = size()?,
            "values" => map.value_size = 4, // of maps, or of programs: a descriptor
            "pinning" => map.pinning = pinning(number()?),
            _ => {} // numa_node, map_extra, and what newer loaders read
        }
    }
    Ok(map)
}

fn pinning(number: u32) -> Pinning {
    match number {
        0 => Pinning::None,
        1 => Pinning::ByName,
        other => Pinning::Other(other),
    }
}

/// One map for each named symbol in a section `maps`, or of a name that begins so: that is what some
/// loaders take.
fn legacy(file: &File<'_>, maps: &mut Vec<Map>) -> Result<(), Error> {
    for symbol in &file.symbols {
        let section = symbol.section.and_then(|index| file.sections.get(index));
        let Some(section) = section.filter(|s| s.name.starts_with("maps") && !symbol.is_label)
        else {
            continue;
        };
        let malformed = Error::Malformed("a legacy map outside its section");
        let name = symbol.name(NAME_LEN_MAX).unwrap_or_default();
        if name.is_empty() {
            return Err(Error::Malformed("a map whose name is no short line"));
        }
        let definition = usize::try_from(symbol.value)
            .ok()
            .and_then(|at| section.data.get(at..))
            .and_then(|rest| rest.get(..LEGACY_LEN))
            .ok_or(malformed)?;
        let mut words = definition
            .chunks_exact(4)
            .filter_map(|word| file.endian.u32(word));
        let mut next = || words.next().unwrap_or_default();
        maps.push(Map {
            name,
            kind: MapType::from_number(next()),
            key_size: next(),
            value_size: next(),
            max_entries: next(),
            flags: next(),
            pinning: Pinning::None,
            source: MapSource::Legacy,
        });
        if maps.len() > MAPS_MAX {
            return Err(Error::TooMany {
                what: "maps",
                max: MAPS_MAX,
            });
        }
    }
    Ok(())
}

fn data(section: &Section<'_>) -> Option<Map> {
    let is = |prefix: &str| {
        let rest = section.name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let read_only = is(".rodata");
    if section.size == 0 || !(read_only || is(".data") || is(".bss")) {
        return None;
    }
    Some(Map {
        name: section.name.clone(),
        kind: MapType::ARRAY,
        key_size: 4,
        value_size: u32::try_from(section.size).unwrap_or(u32::MAX),
        max_entries: 1,
        flags: if read_only { READ_ONLY } else { 0 },
        pinning: Pinning::None,
        source: MapSource::Data,
    })
}
