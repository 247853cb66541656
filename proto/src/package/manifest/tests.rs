use super::*;
use crate::hash::Blake3;

fn file(path: &str) -> File {
    File {
        path: path.to_owned(),
        kind: FileKind::Other,
        size: 3,
        sha256: Sha256::of(&[path.as_bytes()]),
        blake3: Blake3::of(&[path.as_bytes()]),
        executable: false,
        endian: None,
        os: None,
        arch: None,
    }
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        repo: RepoId::from_hash(Sha256::of(&[b"repo"])),
        name: "drop".parse().expect("a name"),
        version: "0.1.0".parse().expect("a version"),
        details: Details {
            license: "GPL-2.0-only OR BSD-2-Clause".to_owned(),
            description: "Drops".to_owned(),
            platform: "linux".to_owned(),
            facts: Some(Facts::default()),
            ..Details::default()
        },
        files: vec![file("README.md"), file("drop.bpf.o"), file("src/drop.c")],
        unknown: BTreeMap::new(),
    }
}

/// The payload with one text put in the place of another.
fn edited(from: &str, to: &str) -> Result<Manifest, Error> {
    let payload = manifest().to_payload().expect("a payload");
    let text = String::from_utf8(payload).expect("JSON");
    assert!(text.contains(from), "{from} in {text}");
    Manifest::parse(text.replacen(from, to, 1).as_bytes())
}

#[test]
fn a_manifest_reads_back() {
    let payload = manifest().to_payload().expect("a payload");
    assert_eq!(Manifest::parse(&payload), Ok(manifest()));
    assert!(
        payload.starts_with(br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"#)
    );
}

#[test]
fn what_is_signed_for_one_release_is_refused_for_another() {
    let ours = manifest();
    assert_eq!(
        ours.check_binding(&ours.repo, &ours.name, &ours.version),
        Ok(())
    );
    let other = RepoId::from_hash(Sha256::of(&[b"other"]));
    let name = "drip".parse().expect("a name");
    let version = "0.1.1".parse().expect("a version");
    assert!(
        ours.check_binding(&other, &ours.name, &ours.version)
            .is_err()
    );
    assert!(
        ours.check_binding(&ours.repo, &name, &ours.version)
            .is_err()
    );
    assert!(
        ours.check_binding(&ours.repo, &ours.name, &version)
            .is_err()
    );
}

#[test]
fn every_cut_is_refused_and_every_flipped_bit_changes_the_hash() {
    let payload = manifest().to_payload().expect("a payload");
    for cut in 0..payload.len() {
        assert!(Manifest::parse(&payload[..cut]).is_err(), "{cut}");
    }
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut flipped = payload.clone();
            flipped[at] ^= 1 << bit;
            assert_ne!(manifest_hash(&flipped), manifest_hash(&payload));
            drop(Manifest::parse(&flipped));
        }
    }
}

#[test]
fn paths_that_escape_are_refused() {
    for bad in [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "c:x",
        "a\nb",
        "a/.",
        "a\u{202e}b",
        "x.",
        "a /b",
    ] {
        assert!(check_path(bad).is_err(), "{bad:?}");
        let quoted = serde_json::to_string(bad).expect("JSON");
        let evil = quoted.trim_matches('"').to_owned();
        let payload = manifest().to_payload().expect("a payload");
        let text = String::from_utf8(payload).expect("JSON");
        assert!(
            Manifest::parse(text.replace("src/drop.c", &evil).as_bytes()).is_err(),
            "{bad:?}"
        );
    }
    let longest = "a".repeat(PATH_LEN_MAX);
    assert_eq!(check_path(&longest), Ok(()));
    assert!(check_path(&format!("{longest}a")).is_err());
}

#[test]
fn two_paths_that_some_file_system_takes_for_one_are_refused() {
    for (a, b) in [
        ("A", "a"),
        ("a", "a/b"),
        ("x/Y", "x/y"),
        ("B/x", "b"),
        ("Ä", "ä"),
    ] {
        let mut twice = manifest();
        twice.files = vec![file(a), file(b)];
        assert!(twice.to_payload().is_err(), "{a} {b}");
    }
}

#[test]
fn files_and_subject_are_the_same() {
    assert_eq!(
        edited(r#"{"name":"README.md""#, r#"{"name":"readme""#),
        Err(Error::Subject)
    );
    assert!(edited(r#""license":"GPL-2.0-only OR"#, r#""license":"GPL-9 OR"#).is_err());
    assert!(edited(r#""platform":"linux""#, r#""platform":"plan9""#).is_err());
    assert!(matches!(
        edited("https://skep.dev/package/v1", "https://skep.dev/package/v2"),
        Err(Error::OtherType(_))
    ));
}

#[test]
fn unknown_fields_are_carried_not_interpreted() {
    let read = edited(
        r#""platform":"linux""#,
        r#""platform":"linux","zebra":{"a":1},"kernel":{"min":"5.9","moon":"full"}"#,
    );
    let unknown = read.expect("a manifest").unknown;
    let places: Vec<&str> = unknown.keys().map(String::as_str).collect();
    assert_eq!(places, ["kernel.moon", "zebra"]);
    assert_eq!(unknown["kernel.moon"], Json::Text("full".to_owned()));
    let read = edited(
        r#""size":3"#,
        r#""size":3,"mood":"good","executable":false"#,
    );
    let unknown = read.expect("a manifest").unknown;
    assert_eq!(unknown.keys().collect::<Vec<_>>(), ["files[0].mood"]);
}

#[test]
fn no_text_anywhere_steers_a_terminal() {
    let platform = r#""platform":"linux""#;
    for evil in [
        r#""zebra":["\u001b[2J"]"#,
        r#""a\u202eb":1"#,
        r#""l3afd":{"start_args":"\u0007"}"#,
        r#""authors":["two\nlines"]"#,
    ] {
        assert!(
            edited(platform, &format!("{platform},{evil}")).is_err(),
            "{evil}"
        );
    }
    let prose = format!(r#"{platform},"description":"two\nlines""#);
    let text = r#""description":"Drops","#;
    let payload = String::from_utf8(manifest().to_payload().expect("a payload")).expect("JSON");
    let payload = payload.replace(text, "").replace(platform, &prose);
    assert!(Manifest::parse(payload.as_bytes()).is_ok());
}

/// `change` at its limit is written and read back, one past it is refused.
fn check_limit(max: usize, change: impl Fn(&mut Details, usize)) {
    let mut manifest = manifest();
    manifest.files[1].kind = FileKind::Object;
    change(&mut manifest.details, max);
    assert!(manifest.to_payload().is_ok(), "{max}");
    change(&mut manifest.details, max + 1);
    assert!(manifest.to_payload().is_err(), "{}", max + 1);
}

/// Errors repeat what a stranger wrote: on one line, and without what steers a terminal.
#[test]
fn an_error_cannot_be_made_to_say_more() {
    let payload = manifest().to_payload().expect("a payload");
    let text = String::from_utf8(payload).expect("JSON");
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let error = Manifest::parse(text.as_bytes()).expect_err("refused");
        error.to_string()
    };
    let shown = [
        replaced("in-toto.io/Statement/v1", "x\\nerror: y"),
        replaced("\"kind\":\"other\"", "\"kind\":\"x\\nerror: y\""),
        replaced("\"platform\":\"linux\"", "\"platform\":\"\\u001b[2J\""),
    ];
    for error in shown {
        assert!(!error.contains(['\n', '\u{1b}']), "{error}");
    }
}

#[test]
fn texts_and_lists_end_at_their_limits() {
    let texts = |n: usize| vec!["5.1".to_owned(); n];
    check_limit(DESCRIPTION_LEN_MAX, |it, n| it.description = "d".repeat(n));
    check_limit(LINE_LEN_MAX, |it, n| it.homepage = Some("h".repeat(n)));
    check_limit(LIST_MAX, |it, n| it.keywords = texts(n));
    check_limit(LIST_MAX, |it, n| it.authors = texts(n));
    let kernel = |it: &mut Details| it.kernel.get_or_insert_default().clone();
    check_limit(LIST_MAX, |it, n| {
        it.kernel = Some(Kernel {
            tested: texts(n),
            ..kernel(it)
        });
    });
    check_limit(LIST_MAX, |it, n| {
        it.kernel = Some(Kernel {
            capabilities: texts(n),
            ..kernel(it)
        });
    });
    let test = Test {
        program: "drop".to_owned(),
        input: "README.md".to_owned(),
        expect: "XDP_DROP".to_owned(),
        output: None,
        repeat: None,
        before: Vec::new(),
        after: Vec::new(),
    };
    check_limit(TESTS_MAX, |it, n| it.tests = vec![test.clone(); n]);
    let chain = |n| Program {
        chain: Some(Chain {
            proceed_on: vec!["pass".to_owned(); n],
            ..Chain::default()
        }),
        ..program()
    };
    check_limit(super::facts::ACTIONS_MAX, |it, n| {
        it.facts = Some(facts(chain(n), Vec::new()))
    });
    let value = |n| Value {
        key: "00".to_owned(),
        value: "00".repeat(n),
    };
    check_limit(super::facts::VALUE_BYTES_MAX, |it, n| {
        it.facts = Some(facts(program(), vec![value(n)]))
    });
}

fn program() -> Program {
    Program {
        name: "drop".to_owned(),
        object: "drop.bpf.o".to_owned(),
        section: "xdp".to_owned(),
        kind: Some("xdp".to_owned()),
        hook: Some("xdp".to_owned()),
        target: None,
        direction: None,
        attach_type: None,
        sleepable: false,
        frags: false,
        optional: false,
        alternative: None,
        chain: None,
        instructions: 2,
    }
}

fn facts(program: Program, values: Vec<Value>) -> Facts {
    Facts {
        objects: vec![Object {
            file: "drop.bpf.o".to_owned(),
            endian: crate::ebpf::Endian::Little,
            license: None,
            btf: false,
            core_relocations: 0,
            helpers: vec![1],
            externs: Vec::new(),
        }],
        programs: vec![program],
        maps: vec![Map {
            name: "m".to_owned(),
            object: "drop.bpf.o".to_owned(),
            kind: "hash".to_owned(),
            key_size: 1,
            value_size: 1,
            max_entries: 1,
            flags: 0,
            pinned: false,
            source: "btf".to_owned(),
            description: None,
            values,
        }],
        globals: Vec::new(),
    }
}

#[test]
fn a_payload_ends_at_its_limit() {
    let mut payload = manifest().to_payload().expect("a payload");
    payload.resize(MANIFEST_BYTES_MAX, b' ');
    assert!(Manifest::parse(&payload).is_ok());
    payload.push(b' ');
    let size = payload.len();
    assert_eq!(Manifest::parse(&payload), Err(Error::TooLong { size }));
}

#[test]
fn a_payload_nests_as_deep_as_the_profile_and_no_deeper() {
    let platform = r#""platform":"linux""#;
    // The Statement and its predicate are two of the levels.
    let nested = |n: usize| format!("{platform},\"deep\":{}{}", "[".repeat(n), "]".repeat(n));
    assert!(edited(platform, &nested(json::DEPTH_MAX - 2)).is_ok());
    assert!(matches!(
        edited(platform, &nested(json::DEPTH_MAX - 1)),
        Err(Error::Json(_))
    ));
}

#[test]
fn files_are_as_large_as_archives_can_say() {
    let mut large = manifest();
    large.files[0].size = FILE_BYTES_MAX;
    assert!(large.to_payload().is_ok());
    large.files[0].size += 1;
    assert!(large.to_payload().is_err());
    let mut list = manifest();
    list.details.facts = None;
    list.files[0].kind = FileKind::Facts;
    list.files[0].size = LIST_FILE_BYTES_MAX;
    assert!(list.to_payload().is_ok());
    list.files[0].size += 1;
    assert!(list.to_payload().is_err());
}

#[test]
fn platforms_and_architectures_are_known_ones() {
    let mut manifest = manifest();
    for arch in ARCHES {
        manifest.files[0].arch = Some(arch.to_owned());
        manifest.files[0].os = Some("linux".to_owned());
        assert!(manifest.to_payload().is_ok());
    }
    manifest.files[0].arch = Some("amd64".to_owned());
    assert!(manifest.to_payload().is_err());
    manifest.files[0].arch = None;
    manifest.files[0].os = Some("plan9".to_owned());
    assert!(manifest.to_payload().is_err());
}

#[test]
fn kernels_have_versions_of_two_or_three_numbers() {
    let with = |min: &str| {
        let mut manifest = manifest();
        manifest.details.kernel.get_or_insert_default().min = Some(min.to_owned());
        manifest.to_payload()
    };
    for good in ["5.9", "6.18.44", "0.1"] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in [
        "6", "5.9-rc1", "5..9", "", "05.9", "5.9.1.2", "5.99999", "v5.9",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_named_is_there_as_what_it_is_named_for() {
    let refused = |change: &dyn Fn(&mut Details)| {
        let mut manifest = manifest();
        change(&mut manifest.details);
        assert!(matches!(manifest.to_payload(), Err(Error::NoFile(_))));
    };
    let user = |file: &str| UserProgram {
        file: file.to_owned(),
        needs: Vec::new(),
    };
    refused(&|it| it.user = Some(user("dropctl")));
    refused(&|it| it.user = Some(user("README.md")));
    // The object is of kind `other` here.
    refused(&|it| it.facts = Some(facts(program(), Vec::new())));
    refused(&|it| {
        let mut facts = facts(program(), Vec::new());
        facts.objects.clear();
        it.facts = Some(facts);
    });
    refused(&|it| {
        it.signatures = Some(Layers {
            kernel: vec![Signed {
                file: "drop.bpf.o".to_owned(),
                over: "drop.bpf.o".to_owned(),
                protocol: None,
            }],
            hypervisor: Vec::new(),
        });
    });
}

#[test]
fn an_object_that_does_something_else_is_found_out() {
    let bytes = include_bytes!("../../../../cli/demo/drop.bpf.o");
    let object = crate::ebpf::read(bytes).expect("an object");
    let mut said = Facts::default();
    said.add("drop.bpf.o", &object);
    assert_eq!(said.check_object("drop.bpf.o", &object), Ok(()));
    let check = |change: &dyn Fn(&mut Facts), what: &str| {
        let mut facts = said.clone();
        change(&mut facts);
        let error = facts.check_object("drop.bpf.o", &object).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
    };
    check(&|it| it.objects.clear(), "its license");
    check(
        &|it| it.objects[0].license = Some("GPL".to_owned()),
        "its license",
    );
    check(&|it| it.objects[0].helpers = vec![1, 5], "BPF helpers");
    check(
        &|it| it.objects[0].externs = vec!["bpf_x".to_owned()],
        "kernel functions",
    );
    check(&|it| it.programs.clear(), "the number of its programs");
    check(
        &|it| it.programs[0].kind = Some("kprobe".to_owned()),
        "program `drop`",
    );
    check(&|it| it.programs[0].instructions = 79, "program `drop`");
    check(
        &|it| it.programs[0].section = "tc".to_owned(),
        "program `drop`",
    );
    check(&|it| it.maps[1].pinned = true, "map `drop_port`");
    check(&|it| drop(it.maps.pop()), "the number of its maps");
    // What authors add is theirs to say.
    said.maps[0].description = Some("per protocol".to_owned());
    said.programs[0].optional = true;
    assert_eq!(said.check_object("drop.bpf.o", &object), Ok(()));
    assert!(said.check_object("other.bpf.o", &object).is_err());
}

#[test]
fn facts_in_a_file_read_back() {
    let facts = facts(program(), Vec::new());
    let bytes = write_facts(&facts);
    assert_eq!(read_facts(&bytes), Ok(facts.clone()));
    let mut manifest = manifest();
    assert_eq!(manifest.all_facts(None), Ok(Facts::default()));
    assert!(manifest.all_facts(Some(&bytes)).is_err());
    manifest.details.facts = None;
    assert_eq!(manifest.all_facts(Some(&bytes)), Ok(facts));
    assert!(manifest.all_facts(None).is_err());
    assert!(manifest.to_payload().is_err(), "facts nowhere");
    // They speak of objects that are there, and of nothing else.
    let object = File {
        kind: FileKind::Object,
        ..file("drop.bpf.o")
    };
    let facts = manifest.all_facts(Some(&bytes)).expect("facts");
    assert_eq!(manifest.check_facts(&facts, &[object]), Ok(()));
    assert_eq!(
        manifest.check_facts(&facts, &[file("drop.bpf.o")]),
        Err(Error::NoFile("drop.bpf.o".to_owned()))
    );
    let mut homeless = facts.clone();
    homeless.objects.clear();
    assert!(manifest.check_facts(&homeless, &[]).is_err());
    for cut in 0..bytes.len() {
        assert!(read_facts(&bytes[..cut]).is_err(), "{cut}");
    }
    let text = String::from_utf8(bytes).expect("JSON");
    for (from, to) in [
        ("\"drop\"", "\"d\\u001bp\""),
        ("\"btf\":false", "\"btf\":0"),
    ] {
        assert!(
            read_facts(text.replace(from, to).as_bytes()).is_err(),
            "{to}"
        );
    }
}

#[test]
fn more_files_than_fit_stand_in_a_tree() {
    let files = |n: usize| -> Vec<File> { (0..n).map(|i| file(&format!("f{i:05}"))).collect() };
    let mut full = manifest();
    full.files = files(FILES_MAX);
    assert!(full.to_payload().is_ok());
    full.files = files(FILES_MAX + 1);
    assert!(full.to_payload().is_err());
    let many = files(1_000);
    assert_eq!(read_tree(&write_tree(&many)), Ok(many));
    assert!(read_tree(b"{\"files\":[{}]}").is_err());
    let mut nested = files(1);
    nested[0].kind = FileKind::Tree;
    assert!(read_tree(&write_tree(&nested)).is_err());
}

#[test]
fn a_tree_and_its_manifest_do_not_contradict_each_other() {
    let listed: Vec<File> = (0..100).map(|i| file(&format!("f{i:05}"))).collect();
    let tree = write_tree(&listed);
    let mut manifest = manifest();
    manifest.files = vec![File {
        kind: FileKind::Tree,
        ..file(".skep/tree.json")
    }];
    assert_eq!(manifest.all_files(Some(&tree)), Ok(listed.clone()));
    assert!(manifest.all_files(None).is_err());
    // A file that both list, and one that the manifest names and none lists.
    manifest.files.push(file("f00001"));
    assert!(manifest.all_files(Some(&tree)).is_err());
    manifest.files.pop();
    manifest.details.user = Some(UserProgram {
        file: "f00001".to_owned(),
        needs: Vec::new(),
    });
    assert_eq!(
        manifest.all_files(Some(&tree)),
        Err(Error::NoFile("f00001".to_owned()))
    );
    let mut programs = listed;
    programs[1].kind = FileKind::Program;
    assert!(manifest.all_files(Some(&write_tree(&programs))).is_ok());
}

#[test]
fn a_tree_ends_at_its_limit() {
    let files: Vec<File> = (0..=TREE_FILES_MAX)
        .map(|i| file(&format!("{i:05}")))
        .collect();
    assert!(read_tree(&write_tree(&files[1..])).is_ok());
    assert!(matches!(
        read_tree(&write_tree(&files)),
        Err(Error::TooManyFiles { .. })
    ));
}
