//! Objects: what real ones say, and that no bytes make the reader panic, loop or run away.

mod elf;
mod limits;

use proptest::prelude::*;
use skep_proto::ebpf::{
    Endian, Error, Map, MapSource, MapType, OBJECT_BYTES_MAX, Object, Pinning, Program,
    ProgramType, looks_like_object, read,
};
use skep_proto::fault::Fault;

const KINDS: &[u8] = include_bytes!("../objects/kinds.bpf.o");
const KINDS_BIG: &[u8] = include_bytes!("../objects/kinds-big.bpf.o");
const LEGACY: &[u8] = include_bytes!("../objects/legacy.bpf.o");
const CORE: &[u8] = include_bytes!("../objects/core.bpf.o");
const DROP: &[u8] = include_bytes!("../../../cli/demo/drop.bpf.o");

const FIXTURES: [&[u8]; 5] = [KINDS, KINDS_BIG, LEGACY, CORE, DROP];

fn object(bytes: &[u8]) -> Object {
    read(bytes).expect("a readable object")
}

fn map<'a>(object: &'a Object, name: &str) -> &'a Map {
    object
        .maps
        .iter()
        .find(|map| map.name == name)
        .unwrap_or_else(|| panic!("no map {name}"))
}

fn program<'a>(object: &'a Object, name: &str) -> &'a Program {
    object
        .programs
        .iter()
        .find(|program| program.name == name)
        .unwrap_or_else(|| panic!("no program {name}"))
}

#[test]
fn the_demo_object_says_what_its_source_says() {
    let object = object(DROP);
    assert_eq!(object.endian, Endian::Little);
    assert_eq!(object.license.as_deref(), Some("Dual BSD/GPL"));
    assert_eq!(object.programs.len(), 1);
    let drop = program(&object, "drop");
    assert_eq!((drop.section.as_str(), drop.instructions), ("xdp", 80));
    let kind = drop.kind.as_ref().expect("told by the section");
    assert_eq!(kind.program_type, ProgramType::XDP);
    assert_eq!(object.maps.len(), 2);
    let counts = map(&object, "counts");
    assert_eq!(counts.kind, MapType::PERCPU_ARRAY);
    let sizes = (counts.key_size, counts.value_size, counts.max_entries);
    assert_eq!(sizes, (4, 24, 256));
    assert_eq!(object.helpers, [1]); // bpf_map_lookup_elem
    assert!(object.has_btf && object.has_btf_ext);
    assert_eq!(object.core_relocations, 0);
}

#[test]
fn programs_are_functions_in_executable_sections_other_than_text() {
    let object = object(KINDS);
    let told: Vec<_> = object
        .programs
        .iter()
        .map(|p| (p.name.as_str(), p.kind.as_ref().map(|k| k.program_type)))
        .collect();
    assert_eq!(
        told,
        [
            ("xdp_plain", Some(ProgramType::XDP)),
            ("xdp_second", Some(ProgramType::XDP)),
            ("_untold", None),
            ("tcx_in", Some(ProgramType::SCHED_CLS)),
            ("left_out", Some(ProgramType::SCHED_CLS)),
            ("unlink_entered", Some(ProgramType::KPROBE)),
            ("state_set", Some(ProgramType::TRACEPOINT)),
            ("file_opened", Some(ProgramType::LSM)),
            ("local_program", Some(ProgramType::SOCKET_FILTER)),
        ]
    );
    let kind = |name| program(&object, name).kind.clone().expect("told");
    assert_eq!(kind("tcx_in").attach_type, Some("tcx_ingress"));
    assert_eq!(
        kind("unlink_entered").target.as_deref(),
        Some("do_unlinkat")
    );
    assert!(!kind("left_out").autoload);
    assert!(kind("file_opened").sleepable);
}

#[test]
fn maps_of_every_definition_are_found() {
    let object = object(KINDS);
    let flows = map(&object, "flows");
    assert_eq!(
        *flows,
        Map {
            name: "flows".to_owned(),
            kind: MapType::LRU_HASH,
            key_size: 8,
            value_size: 32,
            max_entries: 1024,
            flags: 0,
            pinning: Pinning::ByName,
            source: MapSource::Btf,
        }
    );
    let sets = map(&object, "sets");
    assert_eq!(sets.kind, MapType::HASH_OF_MAPS);
    assert_eq!(
        (sets.key_size, sets.value_size, sets.max_entries, sets.flags),
        (4, 4, 0, 1)
    );
    assert_eq!(map(&object, "events").max_entries, 4096);
    let rodata = map(&object, ".rodata");
    assert_eq!(
        (rodata.source, rodata.value_size, rodata.flags),
        (MapSource::Data, 4, 128)
    );
    assert_eq!(map(&object, ".data").value_size, 4);
    assert_eq!(map(&object, ".bss").value_size, 8);
    assert_eq!(object.maps.len(), 7);
}

#[test]
fn legacy_maps_are_read_without_btf() {
    let object = object(LEGACY);
    assert!(!object.has_btf);
    assert_eq!(object.license, None);
    let hosts = map(&object, "hosts");
    assert_eq!(
        (hosts.kind, hosts.source),
        (MapType::LPM_TRIE, MapSource::Legacy)
    );
    assert_eq!(
        (
            hosts.key_size,
            hosts.value_size,
            hosts.max_entries,
            hosts.flags
        ),
        (8, 1, 100, 1)
    );
    assert_eq!(map(&object, "counts").kind, MapType::PERCPU_ARRAY);
    assert_eq!(object.maps.len(), 2);
}

#[test]
fn helpers_are_found_in_programs_and_subprograms_but_not_in_immediates() {
    // map_lookup_elem, ktime_get_ns, get_prandom_u32, tail_call, ringbuf_reserve, ringbuf_submit.
    // 0x85, the opcode of a call, also stands in a 64-bit immediate of the source.
    assert_eq!(object(KINDS).helpers, [1, 5, 7, 12, 131, 132]);
}

#[test]
fn what_the_kernel_has_to_define_is_listed() {
    let externs = object(CORE).externs;
    assert_eq!(externs, ["CONFIG_HZ", "bpf_task_release"]);
    assert!(object(DROP).externs.is_empty());
}

#[test]
fn relocations_against_the_kernels_types_are_counted() {
    let object = object(CORE);
    assert_eq!(object.core_relocations, 3);
    let hook = |name| program(&object, name).kind.as_ref().map(|kind| kind.hook);
    assert_eq!(hook("switched"), Some("raw_tracepoint"));
    assert_eq!(hook("unlinked"), Some("fentry"));
}

#[test]
fn both_byte_orders_say_the_same() {
    // But for the number of instructions: the compiler swaps bytes where it has to.
    let said = |bytes, endian| {
        let mut object = object(bytes);
        assert_eq!(object.endian, endian);
        for program in &mut object.programs {
            program.instructions = 0;
        }
        (object.programs, object.maps, object.helpers, object.license)
    };
    assert_eq!(said(KINDS_BIG, Endian::Big), said(KINDS, Endian::Little));
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let refused = |bytes: &[u8]| read(bytes).expect_err("no object").to_string();
    assert_eq!(refused(b""), "not an eBPF object: no 64-bit ELF header");
    assert_eq!(
        refused(b"#!/bin/sh\n"),
        "not an eBPF object: no 64-bit ELF header"
    );
    let mut other = DROP.to_vec();
    other[18] = 62;
    assert_eq!(
        refused(&other),
        "not an eBPF object: a program for machine 62, expected 247 (BPF)"
    );
    assert!(!looks_like_object(&other));
    let mut executable = DROP.to_vec();
    executable[16] = 2;
    assert_eq!(refused(&executable), "not an eBPF object: not relocatable");
    assert!(FIXTURES.into_iter().all(looks_like_object));
    assert_eq!(read(b"").expect_err("no object").fault(), Fault::Publisher);
}

#[test]
fn an_object_may_be_as_long_as_the_limit_and_no_longer() {
    let mut padded = DROP.to_vec();
    padded.resize(OBJECT_BYTES_MAX, 0);
    assert!(read(&padded).is_ok());
    padded.push(0);
    assert!(matches!(read(&padded), Err(Error::TooLong { .. })));
}

#[test]
fn an_object_may_begin_anywhere_in_memory() {
    let shifted = [&[0], DROP].concat();
    assert_eq!(read(&shifted[1..]), read(DROP));
}

#[test]
fn no_truncation_panics() {
    for fixture in FIXTURES {
        for len in 0..fixture.len() {
            // The section table stands at the end: without its last byte there is no object.
            assert!(read(&fixture[..len]).is_err(), "cut to {len}");
        }
    }
}

/// What is read from changed bytes is still no more than the bytes can hold.
fn check_bounds(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(object) = read(bytes) {
        let fits = |program: &Program| program.instructions * 8 <= bytes.len();
        prop_assert!(object.programs.iter().all(fits));
        prop_assert!(object.helpers.is_sorted() && object.helpers.len() <= bytes.len() / 8);
        prop_assert!(object.core_relocations <= bytes.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is changed, reading ends, and what it returns is within the limits.
    #[test]
    fn no_change_panics(
        fixture in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
    ) {
        let mut bytes = FIXTURES[fixture].to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check_bounds(&bytes)?;
    }

    /// The tables that steer everything else: headers of sections, symbols and BTF.
    #[test]
    fn no_change_of_a_word_panics(
        fixture in 0..FIXTURES.len(),
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fff_ffff, u32::MAX]),
    ) {
        let mut bytes = FIXTURES[fixture].to_vec();
        let at = at.index(bytes.len() / 4) * 4;
        let word = if fixture == 1 { value.to_be_bytes() } else { value.to_le_bytes() };
        bytes[at..at + 4].copy_from_slice(&word);
        check_bounds(&bytes)?;
    }
}

/// Objects that a distribution built: `apt-get install libxdp1`.
#[test]
#[expect(clippy::print_stderr, reason = "says in words what it skips")]
fn objects_of_libxdp_are_read() {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten();
    let files: Vec<_> = folders
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder.path().join("bpf")).ok())
        .flat_map(|files| files.flatten().map(|file| file.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "o"))
        .collect();
    if files.is_empty() {
        eprintln!("skipped: no /usr/lib/*/bpf/*.o (package libxdp1)");
        return;
    }
    for path in files {
        let bytes = std::fs::read(&path).expect("a readable file");
        let object = read(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!object.programs.is_empty(), "{}", path.display());
        assert!(object.has_btf, "{}", path.display());
        assert_eq!(object.license.as_deref(), Some("GPL"), "{}", path.display());
    }
}
