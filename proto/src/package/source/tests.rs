use super::*;
use crate::hash::Sha256;
use crate::package::license;
use crate::package::manifest::Facts;

const TEXT: &str = "# mine\n[package]\nname = \"drop\"\nversion = \"0.1.0\" # first\n\
                    license = \"GPL-2.0-only OR BSD-2-Clause\"\n\n[[object]]\nfile = \"drop.bpf.o\"\n\n\
                    [user]\nfile = \"dropctl\"\n";
const OBJECT: &[u8] = include_bytes!("../../../../cli/demo/drop.bpf.o");

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"repo"]))
}

fn found(path: &str, bytes: &[u8]) -> Found {
    Found {
        path: path.to_owned(),
        executable: false,
        digest: FileDigest::of(bytes),
        object: path.ends_with(".o").then(|| crate::ebpf::read(bytes)),
    }
}

/// Every test of what is packed goes through here.
fn check(text: &str, object: &[u8]) -> Result<Assembled, Vec<String>> {
    let source = Source::parse(text).map_err(|e| vec![e.to_string()])?;
    let files = [
        found("drop.bpf.o", object),
        found("dropctl", b"#!/bin/sh\n"),
    ];
    let assembled = assemble(&source, &repo(), &files);
    assembled.map_err(|problems| problems.into_iter().map(|p| p.message).collect())
}

#[test]
fn what_the_object_says_is_never_typed() {
    let assembled = check(TEXT, OBJECT).expect("a manifest");
    let facts = assembled.manifest.details.facts.expect("facts");
    assert_eq!(facts.programs[0].name, "drop");
    assert_eq!(facts.programs[0].kind.as_deref(), Some("xdp"));
    assert_eq!(facts.objects[0].license.as_deref(), Some("Dual BSD/GPL"));
    assert!(facts.objects[0].btf);
    let maps: Vec<&str> = facts.maps.iter().map(|map| map.name.as_str()).collect();
    assert_eq!(maps, ["counts", "drop_port"]);
    let executable = assembled.manifest.files.iter().map(|file| file.executable);
    assert_eq!(executable.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_does_not_fit_is_said_all_at_once() {
    let wrong = TEXT.replace("OR BSD-2-Clause", "ROR")
        + "\n[[program]]\nname = \"drip\"\n\n[[program]]\nname = \"drop\"\nhook = \"kprobe\"\n";
    let problems = check(&wrong, OBJECT).expect_err("problems");
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("SPDX"));
    assert!(problems[1].contains("no object has a program `drip`"));
    assert!(problems[2].contains("not for hook `kprobe`"));
}

#[test]
fn the_license_that_the_kernel_is_told_must_be_offered() {
    let mit = TEXT.replace("GPL-2.0-only OR BSD-2-Clause", "MIT");
    let problems = check(&mit, OBJECT).expect_err("a problem");
    assert!(
        problems[0].contains("tells the kernel `Dual BSD/GPL`"),
        "{problems:?}"
    );
    for (string, spdx) in LICENSES {
        let expression = spdx::Expression::parse(spdx).expect("SPDX");
        assert!(license::fits(&expression, string), "{string} {spdx}");
    }
}

/// The object, calling another helper instead of its only one and telling the kernel another license.
fn told(helper: u8, license: &str) -> Vec<u8> {
    let mut object = OBJECT.to_vec();
    let place = |object: &[u8], of: &[u8]| {
        let mut windows = object.windows(of.len());
        windows
            .position(|window| window == of)
            .expect("it is there")
    };
    for call in object.chunks_exact_mut(8) {
        if call == [0x85, 0, 0, 0, 1, 0, 0, 0] {
            call[4] = helper;
        }
    }
    let said = b"Dual BSD/GPL\0";
    let at = place(&object, said);
    object[at..at + said.len()].fill(0);
    object[at..at + license.len()].copy_from_slice(license.as_bytes());
    object
}

#[test]
fn an_object_that_is_not_for_gpl_calls_no_helper_that_is() {
    const TRACE_PRINTK: u8 = 6;
    const KTIME_GET_NS: u8 = 5;
    let mit = TEXT.replace("GPL-2.0-only OR BSD-2-Clause", "MIT");
    let publish = |text: &str, helper, license| check(text, &told(helper, license));
    let problems = publish(&mit, TRACE_PRINTK, "MIT").expect_err("a problem");
    assert_eq!(
        problems,
        [
            "`drop.bpf.o` tells the kernel `MIT`, and calls BPF helpers for GPL-compatible programs \
          only: trace_printk"
        ]
    );
    // No license at all is none that the kernel takes for GPL.
    let problems = publish(&mit, TRACE_PRINTK, "").expect_err("a problem");
    assert!(problems[0].contains("trace_printk"), "{problems:?}");
    // Nor is a spelling that the kernel does not know.
    let gpl = TEXT.replace("GPL-2.0-only OR BSD-2-Clause", "GPL-2.0-only OR MIT");
    let problems = publish(&gpl, TRACE_PRINTK, "GPL-2.0").expect_err("a problem");
    assert!(problems[0].contains("trace_printk"), "{problems:?}");

    assert!(publish(&mit, KTIME_GET_NS, "MIT").is_ok());
    assert!(publish(&gpl, TRACE_PRINTK, "GPL").is_ok());
    // The numbers of other platforms are their own.
    let windows = mit.replace("version =", "platform = \"windows\"\nversion =");
    assert!(publish(&windows, TRACE_PRINTK, "MIT").is_ok());
}

/// Whoever signs a manifest with another tool is held to the same.
#[test]
fn a_release_whose_object_lies_about_its_license_is_refused_before_use() {
    let refused = |helper, license: &str| {
        let object = crate::ebpf::read(&told(helper, license)).expect("an object");
        let mut manifest = check(TEXT, OBJECT).expect("a manifest").manifest;
        manifest.details.license = "MIT".to_owned();
        let mut facts = Facts::default();
        facts.add("drop.bpf.o", &object);
        let checked = manifest.check_object(&facts, "drop.bpf.o", &object);
        checked.err().map(|error| error.to_string())
    };
    assert_eq!(
        refused(6, "MIT").as_deref(),
        Some(
            "the object `drop.bpf.o` calls BPF helpers for GPL-compatible programs only and says \
             it is none: trace_printk"
        )
    );
    assert_eq!(
        refused(6, "GPL").as_deref(),
        Some(
            "the object `drop.bpf.o` tells the kernel `GPL`, which is not what the release is \
             offered under"
        )
    );
    assert_eq!(refused(1, "MIT"), None);
}

#[test]
fn an_object_that_is_none_is_refused() {
    let problems = check(TEXT, b"#!/bin/sh\n").expect_err("a problem");
    assert!(problems[0].contains("not an eBPF object"), "{problems:?}");
}

#[test]
fn unknown_fields_are_errors_with_a_picture() {
    let check = |text: &str| {
        let error = Source::parse(text).expect_err("an error").to_string();
        assert!(
            error.contains('^') && error.contains("unknown field"),
            "{error}"
        );
    };
    check(&TEXT.replace("version", "versoin"));
    for more in [
        "[[program]]\nname = \"drop\"\nchain = { mapp = \"x\" }\n",
        "[[map]]\nname = \"m\"\nvalues = [{ key = \"\", value = \"\", valeu = 1 }]\n",
        "[[global]]\nname = \"g\"\ntyp = \"int\"\n",
        "[[object]]\nfile = \"x\"\nendain = \"big\"\n",
        "[kernel]\nmni = \"5.9\"\n",
        "[[file]]\npath = \"x\"\nkidn = \"config\"\n",
        "[[test]]\nprogram = \"p\"\ninput = \"i\"\nexpect = \"e\"\nbefore = [{ mpa = \"\" }]\n",
    ] {
        check(&format!("{TEXT}\n{more}"));
    }
}

#[test]
fn the_repository_is_added_and_comments_stay() {
    let once = with_repository(TEXT, &repo()).expect("edited");
    assert!(once.starts_with("# mine\n") && once.contains("# first"));
    assert_eq!(
        Source::parse(&once).expect("a source").package.repository,
        Some(repo())
    );
    assert_eq!(with_repository(&once, &repo()), Ok(once.clone()));
    let other = RepoId::from_hash(Sha256::of(&[b"other"]));
    let twice = with_repository(&once, &other).expect("edited");
    assert_eq!(twice.lines().count(), once.lines().count());
    assert_eq!(
        Source::parse(&twice).expect("a source").package.repository,
        Some(other)
    );
}

#[test]
fn a_new_file_can_be_read() {
    let object = crate::ebpf::read(OBJECT).expect("an object");
    let name = "drop".parse().expect("a name");
    let license = spdx_of(object.license.as_deref().expect("a license")).expect("known");
    let text = for_new(&name, license, "say \"what\"", "drop.bpf.o", Some(&object));
    let source = Source::parse(&text).expect("a source");
    assert_eq!(source.package.description, "say \"what\"");
}

#[test]
fn many_files_go_into_a_tree() {
    let source = Source::parse(TEXT).expect("a source");
    let mut files = vec![found("drop.bpf.o", OBJECT), found("dropctl", b"x")];
    files.extend((0..100).map(|i| found(&format!("data/{i:03}"), b"y")));
    let assembled = assemble(&source, &repo(), &files).expect("a manifest");
    assert_eq!(assembled.manifest.files.len(), 1);
    let tree = crate::package::manifest::read_tree(&assembled.made[0].1).expect("a tree");
    assert_eq!(tree.len(), 102);
}

/// What `check` says of a package file that ends with `more`.
fn problem_of(more: &str, object: &[u8]) -> String {
    let problems = check(&format!("{TEXT}{more}"), object).expect_err("a problem");
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.concat()
}

const KINDS: &[u8] = include_bytes!("../../../tests/objects/kinds.bpf.o");

#[test]
fn a_program_whose_section_tells_nothing_needs_a_hook() {
    let told = "\n[[program]]\nname = \"_untold\"\nhook = \"xdp\"\n";
    assert!(problem_of("", KINDS).contains("`_untold` does not say where it attaches"));
    let facts = |assembled: Assembled| assembled.manifest.details.facts.expect("facts");
    let facts = facts(check(&format!("{TEXT}{told}"), KINDS).expect("a manifest"));
    let untold = facts.programs.iter().find(|it| it.name == "_untold");
    assert_eq!(untold.and_then(|it| it.kind.as_deref()), Some("xdp"));
    let object = crate::ebpf::read(KINDS).expect("an object");
    assert_eq!(facts.check_object("drop.bpf.o", &object), Ok(()));
    let name = "kinds".parse().expect("a name");
    let new = for_new(&name, "GPL-2.0-only", "", "drop.bpf.o", Some(&object));
    assert!(new.contains("guessed"), "{new}");
    assert!(
        check(&new, KINDS).is_ok(),
        "what `new` writes can be published"
    );
}

#[test]
fn what_is_named_is_in_the_objects() {
    let file = "\ninput = \"dropctl\"\nexpect = \"XDP_PASS\"\n";
    for (more, message) in [
        (
            "[[test]]\nprogram = \"drip\"".to_owned() + file,
            "no object has a program `drip` to test",
        ),
        (
            "[[test]]\nprogram = \"drop\"".to_owned()
                + file
                + "before = [{ map = \"x\", key = \"00\", value = \"00\" }]\n",
            "no object has a map `x`",
        ),
        (
            "[[map]]\nname = \"m\"\n".to_owned(),
            "no object has a map `m`",
        ),
        (
            "[[map]]\nname = \"drop_port\"\nvalues = [{ key = \"00\", value = \"00000000\" }]\n"
                .to_owned(),
            "keys of 4 and values of 4 bytes",
        ),
        (
            "[[program]]\nname = \"drop\"\nchain = { map = \"next\" }\n".to_owned(),
            "no object has a map `next`",
        ),
        (
            "[l3afd]\nmap_name = \"next\"\n".to_owned(),
            "no object has a map `next`",
        ),
        (
            "[l3afd]\nartifact = \"a.b.tar.gz\"\n".to_owned(),
            "artifact called `a.b.tar.gz`",
        ),
        (
            "[l3afd]\nartifact = \"drop.tgz\"\n".to_owned(),
            "artifact called `drop.tgz`",
        ),
        (
            "[l3afd]\nconfig_args = { rate = 1.5 }\n".to_owned(),
            "a fraction",
        ),
        (
            "[l3afd]\ncmd_start = \"../../bin/sh\"\n".to_owned(),
            "`../../bin/sh`, no program of the archive",
        ),
        (
            "[l3afd]\nrules_file = \"../x\"\n".to_owned(),
            "no path that can be given to l3afd",
        ),
        (
            "[l3afd]\nis_plugin = \"yes\"\n".to_owned(),
            "`is_plugin` for l3afd, and that is none",
        ),
        (
            "[[object]]\nfile = \"drop.bpf.o\"\n".to_owned(),
            "named twice",
        ),
        (
            "[[object]]\nfile = \"other.bpf.o\"\n".to_owned(),
            "there is no file `other.bpf.o`",
        ),
        (
            "[[file]]\npath = \"x\"\n".to_owned(),
            "there is no file `x`",
        ),
        (
            "[kernel]\nmin = \"five\"\n".to_owned(),
            "expected a version like",
        ),
    ] {
        let problem = problem_of(&format!("\n{more}"), OBJECT);
        assert!(problem.contains(message), "{more} gives {problem}");
    }
}

#[test]
fn a_license_must_be_what_the_kernel_is_told() {
    let fits = |spdx: &str, string: &str| {
        license::fits(&spdx::Expression::parse(spdx).expect("SPDX"), string)
    };
    for (spdx, string) in [
        ("GPL-2.0-or-later", "GPL"),
        ("GPL-2.0-only AND Apache-2.0", "GPL"),
        ("GPL-2.0-only OR Apache-2.0 OR BSD-2-Clause", "Dual BSD/GPL"),
        ("LGPL-2.1-only OR BSD-2-Clause", "Proprietary"),
        ("LicenseRef-ours", "Proprietary"),
    ] {
        assert!(fits(spdx, string), "{spdx} {string}");
    }
    for (spdx, string) in [
        ("MIT", "GPL"),
        ("LGPL-2.1-only", "GPL"),
        ("GPL-3.0-only", "GPL v2"),
        ("GPL-2.0-only", "Proprietary"),
        ("GPL-2.0-only OR GPL-3.0-only", "MIT"),
    ] {
        assert!(!fits(spdx, string), "{spdx} {string}");
    }
}

#[test]
fn the_folder_of_skeps_own_files_is_not_for_authors() {
    let source = Source::parse(TEXT).expect("a source");
    let files = [
        found("drop.bpf.o", OBJECT),
        found("dropctl", b"x"),
        found(".skep/tree.json", b"{}"),
    ];
    let problems = assemble(&source, &repo(), &files).expect_err("a problem");
    assert!(
        problems[0].message.contains("for files that skep adds"),
        "{problems:?}"
    );
}

#[test]
fn few_files_with_long_paths_go_into_a_tree_too() {
    let source = Source::parse(TEXT).expect("a source");
    let mut files = vec![found("drop.bpf.o", OBJECT), found("dropctl", b"x")];
    files.extend((0..60).map(|i| found(&format!("{}{i:02}", "d/".repeat(120)), b"y")));
    let assembled = assemble(&source, &repo(), &files).expect("a manifest");
    assert_eq!(assembled.manifest.files.len(), 1);
    let all = assembled.manifest.all_files(Some(&assembled.made[0].1));
    assert_eq!(all.expect("files").len(), 62);
}

/// What could not be read again is not published.
#[test]
fn facts_that_nobody_could_read_are_refused() {
    let source = Source::parse(TEXT).expect("a source");
    let mut object = crate::ebpf::read(OBJECT).expect("an object");
    object.helpers = vec![1; crate::json::VALUES_MAX];
    let mut file = found("drop.bpf.o", OBJECT);
    file.object = Some(Ok(object));
    let problems = assemble(&source, &repo(), &[file, found("dropctl", b"x")]);
    let problems = problems.expect_err("too many values");
    assert!(
        problems[0].message.contains("too many values"),
        "{problems:?}"
    );
}

#[test]
fn long_facts_go_into_a_file() {
    let source = Source::parse(TEXT).expect("a source");
    let mut object = crate::ebpf::read(OBJECT).expect("an object");
    let one = object.programs[0].clone();
    let programs = |n: usize| vec![one.clone(); n];
    let assembled = |object: &crate::ebpf::Object| {
        let mut file = found("drop.bpf.o", OBJECT);
        file.object = Some(Ok(object.clone()));
        let files = [file, found("dropctl", b"x")];
        assemble(&source, &repo(), &files).expect("a manifest")
    };
    let len = |n: usize| {
        let mut facts = crate::package::manifest::Facts::default();
        facts.add(
            "drop.bpf.o",
            &crate::ebpf::Object {
                programs: programs(n),
                ..object.clone()
            },
        );
        crate::package::manifest::write_facts(&facts).len()
    };
    let most = (1..).take_while(|n| len(*n) <= crate::package::manifest::FACTS_BYTES_MAX);
    let most = most.last().expect("one fits");
    object.programs = programs(most);
    let inside = assembled(&object);
    assert!(inside.made.is_empty() && inside.manifest.details.facts.is_some());
    object.programs = programs(most + 1);
    let outside = assembled(&object);
    assert_eq!(outside.manifest.details.facts, None);
    let facts = outside
        .manifest
        .all_facts(Some(&outside.made[0].1))
        .expect("facts");
    assert_eq!(facts.programs.len(), most + 1);
    assert_eq!(facts.check_object("drop.bpf.o", &object), Ok(()));
}

#[test]
fn the_line_of_the_repository_disturbs_nothing_else() {
    let check = |text: &str, wanted: &str| {
        let line = format!("repository = \"{}\"", repo());
        let wanted = wanted.replace("LINE", &line);
        assert_eq!(with_repository(text, &repo()), Ok(wanted));
    };
    let package =
        "[ package ] # mine\r\nname = \"drop\"\r\nversion = \"1.0.0\"\r\nlicense = \"MIT\"\r\n";
    check(package, &format!("{package}LINE\r\n"));
    let package = "[package]\nname = \"drop\"\nversion = \"1.0.0\"\nlicense = \"MIT\"";
    check(package, &format!("{package}\nLINE\n"));
    let rest = "\n\n# the object\n[[object]]\nfile = \"x\"\n# end";
    check(
        &format!("{package}{rest}"),
        &format!("{package}\nLINE{rest}"),
    );
    let list = "\nkeywords = [\n  \"a\", # [x]\n  \"b\",\n]";
    check(
        &format!("{package}{list}{rest}"),
        &format!("{package}{list}\nLINE{rest}"),
    );
    // `repository` inside a text is not ours: rather than spoil it, a person is asked.
    let text = "\ndescription = \"\"\"\nrepository = none\n\"\"\"\n";
    let error = with_repository(&format!("{package}{text}"), &repo()).expect_err("by hand");
    assert!(
        error.to_string().contains("yourself: repository = "),
        "{error}"
    );
}
