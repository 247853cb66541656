//! `ATTACKS.md` holds: each test that it names exists, and no row claims a defence without one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("proto is in the workspace").to_owned()
}

/// Names of functions below `#[test]`, `#[tokio::test]`, or in `proptest!`, in all crates.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let crates = ["proto", "node", "cli", "testnet"];
    let mut folders: Vec<PathBuf> = crates.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("source is text");
                found.extend(tests_of(&text));
            }
        }
    }
    found
}

fn tests_of(text: &str) -> Vec<String> {
    let mut marked = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        let function = line.strip_prefix("async ").unwrap_or(line);
        if let Some(rest) = function.strip_prefix("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            if std::mem::take(&mut marked) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// The rows of all tables: first cell to the others.
fn rows(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let [_, id, rest @ .., _] = cells.as_slice() else {
            continue;
        };
        if !id.is_empty() {
            let before = rows.insert(id.clone(), rest.to_vec());
            assert_eq!(before, None, "{id} stands there twice");
        }
    }
    rows
}

/// What stands between backticks.
fn literals(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_table_of_attacks_names_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("proto/ATTACKS.md")).expect("the table");
    let (tests, rows) = (tests(), rows(&text));
    assert!(tests.len() > 300, "{} tests found", tests.len());
    let mut missing = Vec::new();
    for (id, cells) in &rows {
        let last = cells.last().expect("a row has cells");
        let named = literals(last);
        for name in &named {
            if !tests.contains(*name) {
                missing.push(format!("{id}: {name}"));
            }
        }
        let open = cells.iter().any(|cell| cell.contains("not built"));
        assert!(
            open || !named.is_empty(),
            "{id} has no test, and does not say so"
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_attack_has_its_row() {
    let text = std::fs::read_to_string(root().join("proto/ATTACKS.md")).expect("the table");
    let rows = rows(&text);
    let numbers = [
        ("T", 11),
        ("N", 22),
        ("L", 18),
        ("F", 6),
        ("X", 5),
        ("E", 12),
        ("S", 5),
    ];
    let withdrawn = ["E11", "S3"];
    for (letter, last) in numbers {
        for number in 1..=last {
            let id = format!("{letter}{number}");
            let expected = !withdrawn.contains(&id.as_str());
            assert_eq!(rows.contains_key(&id), expected, "{id}");
        }
    }
}

#[test]
fn nothing_that_is_received_is_decompressed() {
    // Archives are written, never read; the tests read what we write.
    for name in ["proto", "node", "cli"] {
        let path = root().join(name).join("Cargo.toml");
        let manifest = std::fs::read_to_string(path).expect("a manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let dependencies = manifest["dependencies"].as_table().expect("a table");
        for codec in [
            "flate2", "zstd", "brotli", "lz4_flex", "snap", "xz2", "zip", "tar",
        ] {
            assert!(
                !dependencies.contains_key(codec),
                "{name} depends on {codec}"
            );
        }
    }
}
