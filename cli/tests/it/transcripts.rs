//! The manual is a test: every block of `tests/cmd/*.md` is typed, in a home of its own per file.
//!
//! `TRYCMD=overwrite cargo test -p skep --test it transcripts` writes down what skep says now.

use std::fs;
use std::path::Path;

use crate::fixture::{ENVIRONMENT, Fixture};

#[test]
fn transcripts() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let mut pages: Vec<_> = fs::read_dir(&manual)
        .expect("the manual")
        .map(|entry| entry.expect("a page").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    assert!(!pages.is_empty(), "no pages in {}", manual.display());
    // Each page has a folder and a home of its own: they are typed at the same time.
    std::thread::scope(|scope| {
        for page in &pages {
            scope.spawn(|| type_page(page));
        }
    });
}

/// Runs a copy of the page in the folder of the case, so that what is typed can name its files.
fn type_page(page: &Path) {
    let fixture = Fixture::new();
    let copy = fixture.page();
    fs::copy(page, &copy).expect("copied");

    // Nodes that the page about nodes meets: one that runs, and one that it starts, which is stopped
    // from elsewhere once it answers.
    let meets_nodes = page.file_stem().is_some_and(|stem| stem == "node");
    let running = meets_nodes.then(|| {
        fixture.new_home("running");
        fixture.new_home("started");
        fixture.node("running")
    });
    std::thread::scope(|scope| {
        if meets_nodes {
            scope.spawn(|| {
                fixture.run("node status --wait 60 --home started");
                fixture.run("node stop --home started");
            });
        }
        type_into(&fixture, &copy);
    });
    drop(running);
    if std::env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        fs::copy(&copy, page).expect("written back");
    }
}

fn type_into(fixture: &Fixture, copy: &Path) {
    let cases = trycmd::TestCases::new();
    cases
        .register_bin("skep", Path::new(env!("CARGO_BIN_EXE_skep")))
        .register_bin("chmod", tool("chmod"))
        .register_bin("cp", tool("cp"))
        .register_bin("rm", tool("rm"))
        .env("HOME", fixture.path().display().to_string())
        .env("SKEP_HOME", fixture.home().display().to_string())
        .insert_var("[HERE]", fixture.path().display().to_string())
        .expect("a name for the folder")
        .case(copy);
    for (name, value) in ENVIRONMENT {
        cases.env(name, value);
    }
    cases.run();
}

/// A tool that a page types besides skep.
fn tool(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|tool| tool.is_file()).expect("coreutils")
}
