//! What was agreed on about the architecture, held against the source.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("testnet is in the workspace")
        .to_owned()
}

/// Every Rust file below a folder, as a path relative to the workspace and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let relative = path.strip_prefix(root()).expect("below the workspace");
                found.push((relative.display().to_string(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no source");
    found
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line))
}

/// Places in `files` where one of `words` stands in code.
fn places(files: &[(String, String)], words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in files {
        for (line, code) in code(text) {
            if words.iter().any(|word| code.contains(word)) {
                places.push(format!("{path}:{line}: {}", code.trim()));
            }
        }
    }
    places
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[test]
fn the_pure_modules_are_pure() {
    let pure = [
        "tokio",
        "libp2p",
        "sled::",
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::env",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
        "HashMap",
        "HashSet",
        "rand::rng()",
    ];
    let mut files = sources("proto/src");
    files.extend(sources("node/src/core"));
    files.extend(sources("node/src/snapshot"));
    let single = [
        "node/src/core.rs",
        "node/src/snapshot.rs",
        "node/src/search/index.rs",
        "node/src/search/rank.rs",
        "node/src/search/scan.rs",
    ];
    files.extend(
        sources("node/src")
            .into_iter()
            .filter(|(path, _)| single.contains(&path.as_str())),
    );
    files.retain(|(path, _)| !is_test(path));
    assert_eq!(places(&files, &pure), [""; 0]);
}

#[test]
fn crates_depend_in_one_direction() {
    assert_eq!(
        places(&sources("proto/src"), &["skep_node", "skep_testnet"]),
        [""; 0]
    );
    assert_eq!(places(&sources("node/src"), &["skep_testnet"]), [""; 0]);
    let mut cli = sources("cli/src");
    let may = [
        "cli/src/client.rs",
        "cli/src/client/own.rs",
        "cli/src/commands/doctor.rs",
        "cli/src/home/config.rs",
        "cli/src/commands/node.rs",
        "cli/src/commands/demo.rs",
    ];
    cli.retain(|(path, _)| !may.contains(&path.as_str()));
    assert_eq!(places(&cli, &["skep_node::"]), [""; 0]);
}

#[test]
fn each_heavy_word_is_said_in_one_place() {
    let mut node = sources("node/src");
    node.retain(|(path, _)| path != "node/src/store/index.rs");
    assert_eq!(places(&node, &["sled::"]), [""; 0]);
    node.retain(|(path, _)| !path.starts_with("node/src/net"));
    assert_eq!(places(&node, &["libp2p"]), [""; 0]);
}

#[test]
fn only_the_ui_prints() {
    let mut cli = sources("cli/src");
    // A node's log goes to stderr by tracing's own writer.
    cli.retain(|(path, _)| path != "cli/src/ui.rs" && path != "cli/src/logs.rs" && !is_test(path));
    let printing = [
        "println!",
        "eprintln!",
        "print!(",
        "io::stdout",
        "io::stderr",
    ];
    assert_eq!(places(&cli, &printing), [""; 0]);
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    // Written in pieces, so that this file does not name them.
    let words = [
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
        ["crates", ".io"].concat(),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for folder in ["proto", "node", "cli", "testnet"] {
        for (path, text) in sources(folder) {
            for (at, line) in text.lines().enumerate() {
                if words.iter().any(|word| line.contains(word)) {
                    wrong.push(format!("{path}:{}: {}", at + 1, line.trim()));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn there_is_one_tls_backend() {
    // The second one that rustls finds makes every handshake panic.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let tree = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-e",
            "features",
            "-i",
            "rustls",
            "--prefix",
            "none",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(
        manifest.contains("libp2p") && tree.contains("rustls feature"),
        "{tree}"
    );
    assert!(!tree.contains("rustls feature \"ring\""), "{tree}");
}
