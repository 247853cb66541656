//! What a change of mirror rules is said to do is what it does; a dry run does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::home::{Home, wait_until};
use super::mirror::{WEIGHT, author, blobs, heavy_blobs, mirror, wait_for_exactly};

/// What `mirror ARGS` answers.
fn said(home: &Home, args: &[&str]) -> Value {
    let said = home.ok(&[&["mirror"], args, &["--json"]].concat());
    serde_json::from_str(&said).expect("JSON")
}

/// The same of a dry run, which a second one repeats and the change itself then says again.
fn foretold(home: &Home, args: &[&str]) -> Value {
    let dry = [args, &["--dry-run"]].concat();
    let before = files(home.path());
    let mut foretold = said(home, &dry);
    assert_eq!(foretold["dry_run"], true);
    assert_eq!(said(home, &dry), foretold);
    assert_eq!(files(home.path()), before);
    let mut done = said(home, args);
    assert_eq!(done["dry_run"], false);
    // Names of what comes are a matter of `mirror status` then.
    let lines = foretold["releases"].take();
    for field in ["dry_run", "releases"] {
        for answer in [&mut foretold, &mut done] {
            answer.as_object_mut().expect("an answer").remove(field);
        }
    }
    assert_eq!(done, foretold);
    foretold["releases"] = lines;
    foretold
}

/// What there is in a home, and what its rules are: a store changes by itself.
fn files(home: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in fs::read_dir(home).expect("a home").flatten() {
        files.insert(name.file_name().display().to_string(), Vec::new());
    }
    // A node that lives as long as a command has a socket, and ends after the command has answered.
    files.remove("skep.sock");
    for file in fs::read_dir(home.join("repos.d"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read(file.path()).expect("a file");
        files.insert(file.path().display().to_string(), text);
    }
    files
}

fn let_go(said: &Value) -> Vec<&str> {
    let names = said["let_go"].as_array().expect("a list");
    names
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect()
}

#[test]
fn what_comes_is_said_before_it_is_fetched() {
    let author = author(&["0.1.0", "0.2.0"]);
    let mut site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    let one = said(&site, &["add", "ana/*", "--newest", "1", "--dry-run"]);
    assert_eq!(one["fetch"], 1, "{one}");
    assert_eq!(one["releases"][0]["release"], "ana/drop@0.2.0");
    assert_eq!(one["releases"][0]["state"], "missing");
    let size = one["fetch_size"].as_u64().expect("a size");
    assert!(size > WEIGHT as u64 && size < 2 * WEIGHT as u64, "{one}");
    assert_eq!(heavy_blobs(&site), 0);
    let rules = site.ok(&["mirror"]);
    assert_eq!(rules, "", "nothing was written");

    site.start();
    let max = (size + size / 2).to_string();
    let both = foretold(&site, &["add", "ana/*", "--newest", "2", "--max", &max]);
    assert_eq!(
        (&both["fetch"], &both["no_room"]),
        (&1.into(), &1.into()),
        "{both}"
    );
    assert_eq!(both["fetch_size"], size);
    assert_eq!(both["releases"][1]["release"], "ana/drop@0.1.0");
    assert_eq!(both["releases"][1]["state"], "no-room");
    wait_for_exactly(&site, &["0.2.0"], &["0.1.0"]);
    let kept = foretold(&site, &["keep", "ana/drop@0.1.0"]);
    assert_eq!(
        (&kept["fetch"], &kept["fetch_size"]),
        (&1.into(), &size.into())
    );
    wait_for_exactly(&site, &["0.2.0", "0.1.0"], &[]);
}

/// One file more than a manifest lists itself: their sizes are in a list that is fetched.
const MANY: usize = 65;

#[test]
fn a_size_that_nobody_knows_here_is_said_and_not_fetched() {
    let mut author = Home::new(true);
    let package = author.package("0.1.0");
    let names: Vec<String> = (0..MANY).map(|n| format!("part{n}")).collect();
    for name in &names {
        fs::write(Path::new(&package).join(name), name).expect("written");
    }
    let toml = Path::new(&package).join("skep.toml");
    let text = fs::read_to_string(&toml).expect("read");
    let include = format!("include = {names:?}\n\n[[object]]");
    fs::write(&toml, text.replace("[[object]]", &include)).expect("written");
    author.ok(&["publish", &package]);
    author.start();
    let site = Home::new(true);
    site.ok(&["repo", "add", &author.ticket()]);
    for (max, because) in [
        (None, Value::Null),
        (
            Some("5G"),
            "whether it fits is known once its list of files is here".into(),
        ),
    ] {
        let line = ["add", "ana/*", "--dry-run"];
        let max: Vec<&str> = max
            .map(|max| ["--max", max])
            .into_iter()
            .flatten()
            .collect();
        let would = said(&site, &[&line[..], &max].concat());
        assert_eq!(
            (&would["fetch"], &would["unknown_sizes"]),
            (&1.into(), &1.into())
        );
        assert_eq!(would["fetch_size"], 0);
        assert_eq!(would["releases"][0]["because"], because);
        assert_eq!(blobs(&site).len(), 0, "the list is not fetched either");
    }
    // What was used is here, and need only be offered.
    site.ok(&["trust", "add", "ana/drop"]);
    site.ok(&["get", "ana/drop"]);
    let would = said(&site, &["add", "ana/*", "--dry-run"]);
    assert_eq!(
        (&would["fetch"], &would["unknown_sizes"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn what_goes_is_named_whether_a_rule_or_a_person_lets_it_go() {
    let author = author(&["0.1.0", "0.2.0", "0.3.0"]);
    let mirror = mirror(&author.ticket(), &["--newest", "3"]);
    wait_for_exactly(&mirror, &["0.1.0", "0.2.0", "0.3.0"], &[]);
    let fewer = foretold(&mirror, &["add", "ana/*", "--newest", "2"]);
    assert_eq!(let_go(&fewer), ["ana/drop@0.1.0"]);
    assert_eq!(fewer["freed"], WEIGHT);
    wait_for_exactly(&mirror, &["0.3.0", "0.2.0"], &["0.1.0"]);

    // By name, and no longer: the rule that is left lets it go.
    mirror.ok(&["mirror", "keep", "ana/drop@0.1.0"]);
    wait_for_exactly(&mirror, &["0.3.0", "0.2.0", "0.1.0"], &[]);
    let unkept = foretold(&mirror, &["unkeep", "ana/drop"]);
    assert_eq!(let_go(&unkept), ["ana/drop@0.1.0"]);
    assert_eq!(unkept["freed"], WEIGHT);
    wait_for_exactly(&mirror, &["0.3.0", "0.2.0"], &["0.1.0"]);

    // One rule of two: what the other one does not want goes by it.
    mirror.ok(&["mirror", "add", "ana/drop", "--newest", "1"]);
    let narrower = foretold(&mirror, &["remove", "ana/*"]);
    assert_eq!(let_go(&narrower), ["ana/drop@0.2.0"]);
    wait_for_exactly(&mirror, &["0.3.0"], &["0.2.0", "0.1.0"]);

    // What was used stays, and is no longer kept.
    mirror.ok(&["trust", "add", "ana/drop"]);
    mirror.ok(&["get", "ana/drop"]);
    let last = foretold(&mirror, &["remove", "ana/drop"]);
    assert_eq!(let_go(&last), [""; 0]);
    assert_eq!(last["freed"], 0);
    let stays = "it is used here, so it stays, and is offered no more";
    assert_eq!(last["releases"][0]["state"], "here");
    assert_eq!(last["releases"][0]["because"], stays);
    wait_until("one is left, for use", || heavy_blobs(&mirror) == 1);
    assert_eq!(mirror.ok(&["mirror"]), "");
}

/// The releases that a home holds, as its disk has them.
fn holdings(home: &Home) -> Vec<String> {
    let repos = fs::read_dir(home.path().join("store/repos")).expect("repositories");
    let facts = repos
        .flatten()
        .map(|repo| repo.path().join("facts/holding"));
    let names = facts.flat_map(|facts| fs::read_dir(facts).into_iter().flatten().flatten());
    let mut names: Vec<String> = names
        .map(|it| it.file_name().display().to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn whoever_only_looks_carries_out_no_rule() {
    let author = author(&["0.1.0", "0.2.0"]);
    let mut mirror = mirror(&author.ticket(), &["--newest", "2"]);
    wait_for_exactly(&mirror, &["0.1.0", "0.2.0"], &[]);
    mirror.stop();
    let held = holdings(&mirror);
    assert_eq!(held.len(), 2);
    // By hand, and no node has read it yet.
    let file = mirror.path().join("repos.d/ana.toml");
    let text = fs::read_to_string(&file).expect("a file");
    let fewer = text.replace("newest = 2", "newest = 1");
    assert_ne!(fewer, text);
    fs::write(&file, fewer).expect("written");
    let lines: [&[&str]; 4] = [
        &["mirror", "add", "ana/zzz*", "--newest", "1", "--dry-run"],
        &["mirror", "status"],
        &["search", "drop"],
        &["repo", "show", "ana"],
    ];
    for line in lines {
        mirror.ok(line);
        assert_eq!(holdings(&mirror), held, "{line:?}");
    }
    mirror.start();
    wait_for_exactly(&mirror, &["0.2.0"], &["0.1.0"]);
}
