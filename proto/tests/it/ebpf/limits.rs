//! Every limit of the reader at its edge, and the tricks with which an edge might be passed.

use skep_proto::ebpf::{
    BTF_DEPTH_MAX, BTF_TYPES_MAX, EXTERNS_MAX, Error, HELPERS_MAX, LICENSE_LEN_MAX, MAPS_MAX,
    NAME_LEN_MAX, PROGRAMS_MAX, SECTION_LEN_MAX, SECTIONS_MAX, SYMBOLS_MAX, read,
};

use super::elf::{CODE, Elf, btf};

/// `r0 = 0; exit`.
const PROGRAM: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// Builds at the limit and one past it; only the first may be read.
fn check(what: &str, max: usize, build: impl Fn(usize) -> Vec<u8>) {
    if let Err(error) = read(&build(max)) {
        panic!("{what}: {max} were refused: {error}");
    }
    let error = read(&build(max + 1)).expect_err(what);
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn counts_end_at_their_limits() {
    check("more than 1024 programs", PROGRAMS_MAX, |n| {
        let mut elf = Elf::new();
        let section = elf.section("xdp", CODE, &PROGRAM);
        (0..n).for_each(|i| elf.symbol(&format!("p{i}"), 2, section, 0, 16));
        elf.finish()
    });
    check("more than 1024 maps", MAPS_MAX, |n| {
        let mut elf = Elf::new();
        let section = elf.section("maps", 0, &[1; 20]);
        (0..n).for_each(|i| elf.symbol(&format!("m{i}"), 1, section, 0, 20));
        elf.finish()
    });
    check("more than 1024 maps", MAPS_MAX, |n| {
        let mut elf = Elf::new();
        for i in 0..n {
            elf.section(&format!(".data.{i}"), 0, &[0]);
        }
        elf.finish()
    });
    check("more than 4096 sections", SECTIONS_MAX, |n| {
        let mut elf = Elf::new();
        for _ in Elf::OWN_SECTIONS..n {
            elf.section("x", 0, &[]);
        }
        elf.finish()
    });
    check("more than 65536 symbols", SYMBOLS_MAX, |n| {
        let mut elf = Elf::new();
        (0..n - 1).for_each(|_| elf.symbol("", 0, 0, 0, 0));
        elf.finish()
    });
    check("more than 256 undefined symbols", EXTERNS_MAX, |n| {
        let mut elf = Elf::new();
        (0..n).for_each(|i| elf.symbol(&format!("f{i}"), 0, 0, 0, 0));
        elf.finish()
    });
    check("more than 512 BPF helpers", HELPERS_MAX, |n| {
        let calls: Vec<u8> = (0..u32::try_from(n).expect("few"))
            .flat_map(|n| [&[0x85, 0, 0, 0], n.to_le_bytes().as_slice()].concat())
            .collect();
        let mut elf = Elf::new();
        elf.section(".text", CODE, &calls);
        elf.finish()
    });
}

#[test]
fn texts_end_at_their_limits() {
    check("a program whose name is no short line", NAME_LEN_MAX, |n| {
        let mut elf = Elf::new();
        let section = elf.section("xdp", CODE, &PROGRAM);
        elf.symbol(&"p".repeat(n), 2, section, 0, 16);
        elf.finish()
    });
    check(
        "a section whose name is no short line",
        SECTION_LEN_MAX,
        |n| {
            let mut elf = Elf::new();
            elf.section(&"s".repeat(n), 0, &[]);
            elf.finish()
        },
    );
    check("a license that is no short line", LICENSE_LEN_MAX, |n| {
        let mut elf = Elf::new();
        elf.section("license", 0, "L".repeat(n).as_bytes());
        elf.finish()
    });
}

#[test]
fn names_that_steer_a_terminal_are_refused() {
    for name in ["a\u{1b}[2J", "a\u{202e}b", "a\nb"] {
        let mut elf = Elf::new();
        let section = elf.section("xdp", CODE, &PROGRAM);
        elf.symbol(name, 2, section, 0, 16);
        assert!(
            matches!(read(&elf.finish()), Err(Error::Malformed(_))),
            "{name:?}"
        );
    }
}

#[test]
fn btf_ends_at_its_limits() {
    let with = |types: &[u32], strings: &[u8]| {
        let mut elf = Elf::new();
        elf.section(".BTF", 0, &btf(types, strings));
        elf.finish()
    };
    check("more than 262144 BTF types", BTF_TYPES_MAX, |n| {
        with(&[0, 16 << 24, 4].repeat(n), b"\0") // KIND_FLOAT
    });
    // A DATASEC `.maps` of one VAR `m`, whose type is a struct behind so many typedefs.
    check("nested too deep", BTF_DEPTH_MAX - 1, |n| {
        let n = u32::try_from(n).expect("few");
        let mut types = vec![1, 15 << 24 | 1, 0, 2, 0, 0]; // 1: DATASEC, its one entry
        types.extend([7, 14 << 24, 3, 1]); // 2: VAR
        (0..n).for_each(|i| types.extend([0, 8 << 24, 4 + i])); // 3…: TYPEDEF
        types.extend([0, 4 << 24, 0]); // STRUCT
        with(&types, b"\0.maps\0m\0")
    });
}

#[test]
fn types_that_go_round_in_circles_are_refused() {
    let types = [
        1,
        15 << 24 | 1,
        0,
        2,
        0,
        0,
        7,
        14 << 24,
        3,
        1,
        0,
        8 << 24,
        3,
    ];
    let mut elf = Elf::new();
    elf.section(".BTF", 0, &btf(&types, b"\0.maps\0m\0"));
    let error = read(&elf.finish()).expect_err("a typedef of itself");
    assert!(error.to_string().contains("nested too deep"), "{error}");
}

#[test]
fn arrays_of_arrays_do_not_overflow() {
    // `value`: a pointer to an array of 65,536 arrays of 65,536 integers.
    let (pointer, array, inner, int, member) = (4, 5, 6, 7, 9);
    let types = [
        [1, 15 << 24 | 1, 0, 2, 0, 0].as_slice(), // 1: DATASEC
        &[7, 14 << 24, 3, 1],                     // 2: VAR
        &[0, 4 << 24 | 1, 8, member, pointer, 0], // 3: STRUCT
        &[0, 2 << 24, array],                     // 4: PTR
        &[0, 3 << 24, 0, inner, int, 65_536],     // 5: ARRAY
        &[0, 3 << 24, 0, int, int, 65_536],       // 6: ARRAY
        &[0, 1 << 24, 4, 32],                     // 7: INT
    ]
    .concat();
    let mut elf = Elf::new();
    elf.section(".BTF", 0, &btf(&types, b"\0.maps\0m\0value\0"));
    let error = read(&elf.finish()).expect_err("16 GiB");
    assert!(error.to_string().contains("more than 4 GiB"), "{error}");
}

#[test]
fn code_that_lies_on_itself_is_not_read_again_and_again() {
    let mut elf = Elf::new();
    let code = PROGRAM.repeat(4_096);
    for _ in 0..300 {
        elf.section("x", CODE, &code);
    }
    let mut file = elf.finish();
    // Every header names the same bytes: the file is cut to one copy of them.
    let table = file.split_off(64 + 300 * code.len());
    file.truncate(64 + code.len());
    let names_at = file.len() as u64;
    file.extend(&table);
    let moved = 300 * code.len() as u64 - code.len() as u64;
    let headers = u64::from_le_bytes(file[40..48].try_into().expect("eight")) - moved;
    file[40..48].copy_from_slice(&headers.to_le_bytes());
    let headers = usize::try_from(headers).expect("a short file");
    for header in file[headers..].chunks_exact_mut(64).skip(1) {
        let at = u64::from_le_bytes(header[24..32].try_into().expect("eight"));
        let at = if at < names_at + moved {
            64
        } else {
            at - moved
        };
        header[24..32].copy_from_slice(&at.to_le_bytes());
    }
    let error = read(&file).expect_err("300 copies of 64 KiB in 64 KiB");
    assert_eq!(error, Error::Malformed("sections that lie on each other"));
}

/// Loaders differ in which of two sections they take: what we say of an object must be what each of
/// them does.
#[test]
fn what_loaders_read_in_two_ways_is_refused() {
    let object = |sections: &[(&str, &[u8])]| {
        let mut elf = Elf::new();
        let program = elf.section("xdp", CODE, &PROGRAM);
        elf.symbol("p", 2, program, 0, 16);
        for (name, data) in sections {
            elf.section(name, 0, data);
        }
        read(&elf.finish())
    };
    let no_btf = btf(&[], b"\0");
    let one: &[(&str, &[u8])] = &[("license", b"GPL\0"), (".BTF", &no_btf), (".maps", b"")];
    assert_eq!(
        object(one).expect("once each").license.as_deref(),
        Some("GPL")
    );
    let refused = |sections: &[(&str, &[u8])], why: &str| {
        let error = object(sections).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(
        &[("license", b"MIT\0"), ("license", b"GPL\0")],
        "for the license",
    );
    refused(
        &[("license", b"MIT\0"), ("license.mine", b"GPL\0")],
        "for the license",
    );
    refused(&[("licenses", b"GPL\0")], "for the license");
    refused(&[(".BTF", &no_btf), (".BTF", &no_btf)], "read once");
    refused(&[(".maps", b""), (".maps", b"")], "read once");

    let mut elf = Elf::new();
    let section = usize::from(elf.section("more", 0, b""));
    let mut bytes = elf.finish();
    let headers = u64::from_le_bytes(bytes[40..48].try_into().expect("8 bytes"));
    let header = usize::try_from(headers).expect("small") + 64 * section;
    bytes[header + 4] = 2; // SHT_SYMTAB
    let error = read(&bytes).expect_err("two tables").to_string();
    assert!(error.contains("two tables of symbols"), "{error}");

    // A map that only some loaders see is a map.
    let mut elf = Elf::new();
    let section = elf.section("maps/hidden", 0, &[1; 20]);
    elf.symbol("hidden", 1, section, 0, 20);
    let maps = read(&elf.finish()).expect("an object").maps;
    assert_eq!(maps[0].name, "hidden");
}

/// What a loader writes into instructions names what is open in its process, or in one kernel: an
/// object that comes with it would use maps and kernel functions that nothing else in it names.
#[test]
fn instructions_that_name_things_by_number_are_refused() {
    let object = |code: u8, source: u8| {
        let mut elf = Elf::new();
        let mut program = vec![code, source << 4, 0, 0, 7, 0, 0, 0];
        if code == 0x18 {
            program.extend([0; 8]);
        }
        program.extend(PROGRAM);
        let section = elf.section("xdp", CODE, &program);
        elf.symbol("p", 2, section, 0, program.len() as u64);
        read(&elf.finish())
    };
    let (load, call) = (0x18, 0x85);
    for (code, source) in [(load, 0), (load, 4), (call, 0), (call, 1)] {
        assert!(object(code, source).is_ok(), "{code:#x} {source}");
    }
    for (code, sources) in [(load, vec![1, 2, 3, 5, 6, 15]), (call, vec![2, 3, 15])] {
        for source in sources {
            let error = object(code, source).expect_err("by number").to_string();
            assert!(error.contains("by number"), "{error}");
        }
    }
    assert_eq!(object(call, 0).expect("a helper").helpers, [7]);
}
