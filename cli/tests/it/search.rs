//! Which release stands for a package, while a node runs that follows each change, and on one that
//! makes its index anew.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::Fixture;

/// `package@version` of each hit, with what is said of it.
fn shown(documents: &str) -> Vec<String> {
    let lines = documents.lines().map(|line| {
        let hit: Value = serde_json::from_str(line).expect("a document per line");
        let text = |field: &str| hit[field].as_str().expect("text").to_owned();
        let mut shown = format!("{}@{}", text("package"), text("version"));
        for flag in ["trusted", "deprecated"] {
            if hit[flag].as_bool().expect("yes or no") {
                shown = format!("{shown} {flag}");
            }
        }
        shown
    });
    lines.collect()
}

fn set_version(fixture: &Fixture, version: &str) {
    let file = fixture.path().join("newer/skep.toml");
    let text = fs::read_to_string(&file).expect("a package");
    let lines = text.lines().map(|line| match line.starts_with("version") {
        true => format!("version = \"{version}\""),
        false => line.to_owned(),
    });
    let text: Vec<String> = lines.collect();
    fs::write(&file, text.join("\n")).expect("written");
}

#[test]
fn a_package_is_shown_by_the_newest_release_that_can_be_chosen() {
    let fixture = Fixture::new();
    fixture.run("repo create ana");
    let node = fixture.node("home");
    let publish = |version: &str| {
        set_version(&fixture, version);
        fixture.run("publish newer");
    };
    let yank = |version: &str, undo: &str| {
        let because = if undo.is_empty() {
            "--because speed"
        } else {
            undo
        };
        fixture.run(&format!(
            "publish --yank ana/drop@{version} {because} --yes"
        ));
    };
    let is = |wanted: &[&str]| {
        let found = fixture.run("search drop --json");
        assert_eq!(shown(&found), wanted);
        found
    };
    is(&[]);
    publish("1.0.0-rc.1");
    is(&["ana/drop@1.0.0-rc.1 trusted"]);
    publish("0.1.0");
    is(&["ana/drop@0.1.0 trusted"]);
    publish("0.2.0");
    is(&["ana/drop@0.2.0 trusted"]);
    yank("0.2.0", "");
    is(&["ana/drop@0.1.0 trusted"]);
    yank("0.1.0", "");
    is(&["ana/drop@1.0.0-rc.1 trusted"]);
    yank("1.0.0-rc.1", "");
    is(&[]);
    yank("0.1.0", "--undo");
    is(&["ana/drop@0.1.0 trusted"]);
    fixture.run("publish --deprecate ana/drop --because old");
    is(&["ana/drop@0.1.0 trusted deprecated"]);
    fixture.run("trust remove ana/ana");
    let followed = is(&["ana/drop@0.1.0 deprecated"]);
    assert_eq!(shown(&fixture.run("search trusted:yes --json")), [""; 0]);

    node.end(Signal::TERM);
    assert_eq!(followed, is(&["ana/drop@0.1.0 deprecated"]));
    fixture.run("repo remove ana");
    is(&[]);
}
