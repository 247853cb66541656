//! Manifests of every shape read back as what they are, and no changed bit goes unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use skep_proto::ebpf::Endian;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::package::manifest::{
    ARCHES, Chain, Details, FILE_BYTES_MAX, Facts, File, FileKind, Global, Kernel, Manifest, Map,
    MapValue, Object, Program, Requires, SourceLink, Test, UserProgram, Value, check_path,
    read_facts, read_tree, write_facts, write_tree,
};

/// What a line may hold, quotes and letters of other scripts too.
fn line() -> impl Strategy<Value = String> {
    "[ -~äß漢🦀]{0,40}"
}

fn word() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,15}"
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(line(), 0..4)
}

fn hex() -> impl Strategy<Value = String> {
    "([0-9a-f]{2}){0,8}"
}

fn maybe<T: std::fmt::Debug + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(some)
}

fn file(path: String, kind: FileKind) -> impl Strategy<Value = File> {
    (
        0..=FILE_BYTES_MAX,
        any::<bool>(),
        maybe(select(ARCHES.to_vec())),
    )
        .prop_map(move |(size, executable, arch)| File {
            sha256: Sha256::of(&[path.as_bytes()]),
            blake3: Blake3::of(&[path.as_bytes()]),
            path: path.clone(),
            kind,
            size,
            executable,
            endian: (kind == FileKind::Object).then_some(Endian::Big),
            os: arch.is_some().then(|| "linux".to_owned()),
            arch: arch.map(str::to_owned),
        })
}

/// Sorted, distinct without regard to case, none a folder of another: all begin with another letter
/// and are folders of one file.
fn files() -> impl Strategy<Value = Vec<File>> {
    let heads: Vec<char> = ('b'..='y').collect();
    let path = ("[A-Za-z0-9 ._-]{0,8}", "[A-Za-z0-9_漢-]{1,12}");
    let others = subsequence(heads, 0..8).prop_flat_map(move |heads| {
        let files: Vec<_> = heads
            .into_iter()
            .map(move |head| {
                let kinds = select(vec![FileKind::Source, FileKind::Config, FileKind::Other]);
                (path, kinds).prop_flat_map(move |((folder, name), kind)| {
                    file(format!("{head}{folder}x/{name}"), kind)
                })
            })
            .collect();
        files
    });
    let object = file("a.bpf.o".to_owned(), FileKind::Object);
    let program = file("zctl".to_owned(), FileKind::Program);
    (object, others, program)
        .prop_map(|(object, others, program)| [vec![object], others, vec![program]].concat())
}

fn program() -> impl Strategy<Value = Program> {
    let chain = (
        maybe(word()),
        maybe(any::<u32>()),
        prop::collection::vec(word(), 0..3),
    );
    let direction = maybe(select(vec!["ingress".to_owned(), "egress".to_owned()]));
    let flags = any::<(bool, bool, bool)>();
    let texts = (word(), line(), maybe(word()), maybe(line()), maybe(word()));
    (texts, direction, flags, maybe(chain), 0_u64..1 << 53).prop_map(
        |((name, section, kind, target, alternative), direction, flags, chain, instructions)| {
            Program {
                name,
                object: "a.bpf.o".to_owned(),
                section,
                hook: kind.clone(),
                attach_type: kind.clone(),
                kind,
                target,
                direction,
                sleepable: flags.0,
                frags: flags.1,
                optional: flags.2,
                alternative,
                chain: chain.map(|(map, priority, proceed_on)| Chain {
                    map,
                    priority,
                    proceed_on,
                }),
                instructions,
            }
        },
    )
}

fn map() -> impl Strategy<Value = Map> {
    let numbers = any::<(u32, u32, u32, u32, bool)>();
    let values = prop::collection::vec((hex(), hex()), 0..3);
    let source = select(vec!["btf", "legacy", "data"]);
    (word(), word(), numbers, source, maybe(line()), values).prop_map(
        |(name, kind, numbers, source, description, values)| Map {
            name,
            object: "a.bpf.o".to_owned(),
            kind,
            key_size: numbers.0,
            value_size: numbers.1,
            max_entries: numbers.2,
            flags: numbers.3,
            pinned: numbers.4,
            source: source.to_owned(),
            description,
            values: values
                .into_iter()
                .map(|(key, value)| Value { key, value })
                .collect(),
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let object = (
        maybe(line()),
        any::<bool>(),
        prop::collection::vec(any::<u32>(), 0..5),
        lines(),
    );
    let object = object.prop_map(|(license, btf, helpers, externs)| Object {
        file: "a.bpf.o".to_owned(),
        endian: Endian::Big,
        license,
        btf,
        core_relocations: helpers.len() as u64,
        helpers,
        externs,
    });
    let global = (word(), maybe(line())).prop_map(|(name, text)| Global {
        name,
        object: None,
        kind: text.clone(),
        default: text.clone(),
        description: text,
    });
    let programs = prop::collection::vec(program(), 0..4);
    let maps = prop::collection::vec(map(), 0..4);
    let globals = prop::collection::vec(global, 0..2);
    (object, programs, maps, globals).prop_map(|(object, programs, maps, globals)| Facts {
        objects: vec![object],
        programs,
        maps,
        globals,
    })
}

fn details() -> impl Strategy<Value = Details> {
    let texts = (line(), maybe(line()), maybe(line()), lines(), lines());
    let kernel = (maybe("[1-9]\\.[1-9][0-9]?(\\.0)?"), lines(), lines());
    let test = (word(), line(), maybe(any::<u32>()), word(), hex());
    let test = test.prop_map(|(program, expect, repeat, map, hex)| Test {
        program,
        input: "a.bpf.o".to_owned(),
        expect,
        output: repeat.map(|_| "zctl".to_owned()),
        repeat,
        before: vec![MapValue {
            map,
            key: hex.clone(),
            value: hex,
        }],
        after: Vec::new(),
    });
    let requires = (any::<[u8; 32]>(), select(vec!["^1.2", "1.0.0", ">=1, <3"]));
    let requires = requires.prop_map(|(repo, version)| Requires {
        repo: RepoId::from_hash(Sha256::from_bytes(repo)),
        name: "other".parse().expect("a name"),
        version: version.to_owned(),
        alternatives: Vec::new(),
    });
    let lists = (
        prop::collection::vec(test, 0..3),
        prop::collection::vec(requires, 0..3),
    );
    (texts, facts(), maybe(kernel), lists, maybe(lines())).prop_map(
        |((description, url, homepage, authors, keywords), facts, kernel, lists, user)| Details {
            license: "GPL-2.0-only OR BSD-2-Clause".to_owned(),
            description,
            source: url.map(|url| SourceLink {
                commit: homepage.clone(),
                url,
            }),
            documentation: homepage.clone(),
            homepage,
            authors,
            keywords,
            platform: "linux".to_owned(),
            facts: Some(facts),
            kernel: kernel.map(|(min, config, capabilities)| Kernel {
                min,
                tested: vec!["6.1".to_owned()],
                config,
                capabilities,
            }),
            user: user.map(|needs| UserProgram {
                file: "zctl".to_owned(),
                needs,
            }),
            tests: lists.0,
            requires: lists.1,
            ..Details::default()
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    (any::<[u8; 32]>(), details(), files()).prop_map(|(repo, details, files)| Manifest {
        repo: RepoId::from_hash(Sha256::from_bytes(repo)),
        name: "drop-2".parse().expect("a name"),
        version: "1.2.3-rc.1".parse().expect("a version"),
        details,
        files,
        unknown: BTreeMap::new(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_manifest_reads_back_as_what_it_is(manifest in manifest()) {
        let payload = manifest.to_payload().expect("a payload");
        prop_assert_eq!(manifest.to_payload().expect("a payload"), payload.clone());
        prop_assert_eq!(Manifest::parse(&payload).expect("a manifest"), manifest);
    }

    /// Nothing in a payload is without meaning: what is read after a change is something else.
    #[test]
    fn a_flipped_bit_is_refused_or_read_as_something_else(
        manifest in manifest(),
        flips in prop::collection::vec((any::<Index>(), 0..8), 64),
    ) {
        let payload = manifest.to_payload().expect("a payload");
        for (at, bit) in flips {
            let mut flipped = payload.clone();
            flipped[at.index(payload.len())] ^= 1_u8 << bit;
            if let Ok(read) = Manifest::parse(&flipped) {
                prop_assert_ne!(&read, &manifest);
            }
        }
    }

    #[test]
    fn a_cut_payload_is_refused(manifest in manifest(), cut in any::<Index>()) {
        let payload = manifest.to_payload().expect("a payload");
        prop_assert!(Manifest::parse(&payload[..cut.index(payload.len())]).is_err());
    }

    #[test]
    fn lists_in_files_read_back(files in files(), facts in facts()) {
        prop_assert_eq!(read_tree(&write_tree(&files)).expect("a tree"), files);
        prop_assert_eq!(read_facts(&write_facts(&facts)).expect("facts"), facts);
    }

    /// Whatever stands in a path, one that is let through stays in its folder.
    #[test]
    fn a_path_that_is_let_through_stays_inside(path in "[a-c./\\\\: \u{0}\u{202e}é-]{0,12}") {
        if check_path(&path).is_ok() {
            let inside = std::path::Path::new(&path).components();
            prop_assert!(inside.clone().all(|c| matches!(c, std::path::Component::Normal(_))));
            let again: std::path::PathBuf = inside.collect();
            prop_assert_eq!(again.to_str(), Some(path.as_str()));
            let steers = path.contains(['\\', ':', '\u{0}', '\u{202e}']);
            prop_assert!(!steers);
        }
    }
}

#[test]
fn kinds_of_files_have_these_words() {
    let kinds = [
        (FileKind::Object, "object"),
        (FileKind::Program, "program"),
        (FileKind::Readme, "readme"),
        (FileKind::License, "license"),
        (FileKind::Source, "source"),
        (FileKind::Test, "test"),
        (FileKind::Config, "config"),
        (FileKind::Documentation, "documentation"),
        (FileKind::Facts, "facts"),
        (FileKind::Tree, "tree"),
        (FileKind::KernelLoader, "kernel-loader"),
        (FileKind::KernelSignature, "kernel-signature"),
        (FileKind::WindowsImage, "windows-image"),
        (FileKind::Wasm, "wasm"),
        (FileKind::Btf, "btf"),
        (FileKind::Sbom, "sbom"),
        (FileKind::Other, "other"),
    ];
    let words: BTreeSet<&str> = kinds.iter().map(|(_, word)| *word).collect();
    assert_eq!(words.len(), kinds.len());
    for (kind, word) in kinds {
        let written = serde_json::to_string(&kind).expect("a word");
        assert_eq!(written, format!("\"{word}\""));
    }
}
