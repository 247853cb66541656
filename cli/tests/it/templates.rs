//! What `skep new` writes builds with a plain Makefile, and can be published as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use skep_proto::ebpf;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::package::source::{FileDigest, Found, Source, assemble};

use crate::fixture::Fixture;

const HOOKS: [&str; 6] = ["xdp", "tc", "tcx", "kprobe", "tracepoint", "lsm"];

/// Builds the package in `folder`, and assembles what its `skep.toml` names.
fn check(folder: &Path, hook: &str) {
    let built = Command::new("make")
        .arg("CLANG=clang -Werror")
        .current_dir(folder)
        .output()
        .expect("make runs");
    let stderr = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{hook}: {stderr}");
    let text = fs::read_to_string(folder.join("skep.toml")).expect("a package file");
    let source = Source::parse(&text).expect("a package file");
    let found: Vec<Found> = source
        .paths()
        .into_iter()
        .filter_map(|(path, _)| {
            let bytes = fs::read(folder.join(&path)).ok()?;
            Some(Found {
                executable: false,
                digest: FileDigest::of(&bytes),
                object: path.ends_with(".o").then(|| ebpf::read(&bytes)),
                path,
            })
        })
        .collect();
    let repo = RepoId::from_hash(Sha256::of(&[b"templates"]));
    let assembled = assemble(&source, &repo, &found).expect("a manifest");
    let facts = assembled.manifest.details.facts.expect("facts");
    assert_eq!(facts.programs.len(), 1, "{hook}");
    assert_eq!(facts.programs[0].hook.as_deref(), Some(hook));
    assert!(facts.objects[0].btf, "{hook}");
    let paths: Vec<&str> = assembled
        .manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert!(
        paths.contains(&"LICENSE") && paths.contains(&"README.md"),
        "{paths:?}"
    );
    let object = fs::read(folder.join(&source.objects[0].file)).expect("an object");
    let here = folder.display().to_string();
    let leaks = object
        .windows(here.len())
        .any(|bytes| bytes == here.as_bytes());
    assert!(
        !leaks,
        "{hook}: the object names the folder where it was built"
    );
}

#[test]
#[expect(clippy::print_stderr, reason = "says in words what it skips")]
fn every_template_builds_and_can_be_published() {
    let tools = ["make", "clang", "llvm-strip"];
    let has = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
    if !tools.iter().all(has) || !Path::new("/usr/include/bpf/bpf_helpers.h").exists() {
        eprintln!("skipped: needs make, clang, llvm-strip and libbpf-dev");
        return;
    }
    let fixture = Fixture::new();
    for hook in HOOKS {
        fixture.run(&format!("new {hook}-guard --hook {hook}"));
        check(&fixture.path().join(format!("{hook}-guard")), hook);
    }
    // Names that C would take for something else.
    for name in ["9lives", "int", "runs"] {
        fixture.run(&format!("new {name}"));
        check(&fixture.path().join(name), "xdp");
    }
}
