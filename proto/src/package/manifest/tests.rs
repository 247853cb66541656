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
        unknown: BTreeSet::new(),
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
    for (a, b) in [("A", "a"), ("a", "a/b"), ("x/Y", "x/y")] {
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
        r#""platform":"linux","zebra":{"a":1}"#,
    );
    assert_eq!(
        read.expect("a manifest").unknown,
        BTreeSet::from(["zebra".to_owned()])
    );
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
