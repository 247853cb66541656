use super::*;
use crate::hash::Sha256;

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

#[test]
fn an_object_that_is_none_is_refused() {
    let problems = check(TEXT, b"#!/bin/sh\n").expect_err("a problem");
    assert!(problems[0].contains("not an eBPF object"), "{problems:?}");
}

#[test]
fn unknown_fields_are_errors_with_a_picture() {
    let error = Source::parse(&TEXT.replace("version", "versoin")).expect_err("an error");
    assert!(error.to_string().contains('^'), "{error}");
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
