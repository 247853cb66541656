//! The shape of every verb's JSON, pinned in `tests/schemas/`: a field that is gone or of another
//! type is a promise broken.
//!
//! `SKEP_WRITE_VECTORS=1 cargo test -p skep --test it json` writes down the shapes of now.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::fixture::Fixture;

/// Checks the documents that `line` prints against `tests/schemas/VERB.json`.
fn check(fixture: &Fixture, verb: &str, line: &str) {
    pinned(verb, &fixture.run(&format!("{line} --json")));
}

/// Checks documents against `tests/schemas/VERB.json`.
fn pinned(verb: &str, out: &str) {
    let shapes: Vec<Value> = out
        .lines()
        .map(|line| {
            let document: Value = serde_json::from_str(line).expect("a document per line");
            let schema = format!("skep.{verb}/1");
            assert_eq!(document["schema"], schema.as_str(), "{line}");
            shape(&document)
        })
        .collect();
    let merged = shapes.into_iter().reduce(merge).expect("a document");
    let mut text = serde_json::to_string_pretty(&merged).expect("JSON");
    text.push('\n');

    let file = format!("{}/tests/schemas/{verb}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SKEP_WRITE_VECTORS").is_some() {
        fs::write(&file, &text).expect("written");
    }
    let pinned = fs::read_to_string(Path::new(&file)).unwrap_or_default();
    snapbox::assert_data_eq!(text, snapbox::Data::text(pinned).raw());
}

/// A document with types in place of values; the schema stays.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) if text.starts_with("skep.") && text.ends_with("/1") => value.clone(),
        Value::String(_) => "string".into(),
        Value::Array(items) => items.iter().map(shape).reduce(merge).into_iter().collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: Map<_, _> = fields.map(|(k, v)| (k.clone(), shape(v))).collect();
            fields.into()
        }
    }
}

/// Two shapes of the same thing: what differs is one or the other.
fn merge(a: Value, b: Value) -> Value {
    match (a, b) {
        (a, b) if a == b => a,
        (Value::Object(mut a), Value::Object(b)) => {
            for (field, shape) in b {
                let merged = match a.remove(&field) {
                    Some(other) => merge(other, shape),
                    None => shape,
                };
                a.insert(field, merged);
            }
            a.into()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.into_iter().chain(b).reduce(merge).into_iter().collect()
        }
        (a, b) => {
            let mut kinds: Vec<String> = [a, b].iter().flat_map(kinds).collect();
            kinds.sort();
            kinds.dedup();
            kinds.join(" or ").into()
        }
    }
}

fn kinds(shape: &Value) -> Vec<String> {
    match shape {
        Value::String(text) => text.split(" or ").map(str::to_owned).collect(),
        Value::Array(_) => vec!["array".to_owned()],
        _ => vec!["object".to_owned()],
    }
}

#[test]
fn keys() {
    let fixture = Fixture::new();
    check(&fixture, "key.new", "key new");
    check(&fixture, "key", "key");
    check(
        &fixture,
        "key.import",
        "key import friend.key --passphrase-file right.txt",
    );
    check(&fixture, "key.list", "key list");
    check(&fixture, "key.export", "key export friend");
}

#[test]
fn completions_and_manual() {
    let fixture = Fixture::new();
    check(&fixture, "completions", "completions bash");
    check(&fixture, "man", "man manuals");
}

#[test]
fn doctor() {
    let fixture = Fixture::new();
    check(&fixture, "doctor", "doctor");
    fixture.run("key new");
    fs::copy(
        fixture.path().join("good.toml"),
        fixture.home().join("config.toml"),
    )
    .expect("copied");
    check(&fixture, "doctor.config", "doctor --config");
}

#[test]
fn packages() {
    let fixture = Fixture::new();
    check(&fixture, "new", "new guard --from drop/drop.bpf.o");
    check(&fixture, "repo.create", "repo create ana");
    check(&fixture, "publish", "publish drop");
    check(&fixture, "get", "get ana/drop");
    check(&fixture, "get.dsse", "get ana/drop --dsse");
    check(&fixture, "verify", "verify ana/drop --explain");
    check(&fixture, "search", "search drop");
    check(
        &fixture,
        "publish.status",
        "publish --yank ana/drop@0.1.0 --because speed --yes",
    );
    check(&fixture, "info", "info ana/drop@0.1.0");
}

#[test]
fn trust() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    check(&fixture, "trust", "trust");
    check(&fixture, "trust.test", "trust test ana/drop");
    check(&fixture, "trust.remove", "trust remove ana/ana");
    check(&fixture, "trust.add", "trust add ana/drop --yes");
}

#[test]
fn mirrors() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    let line = "mirror add ana/* --max 5G --json";
    let both = fixture.run(&format!("{line} --dry-run")) + &fixture.run(line);
    pinned("mirror.add", &both);
    check(&fixture, "mirror.keep", "mirror keep ana/drop");
    check(&fixture, "mirror", "mirror");
    check(&fixture, "mirror.status", "mirror status");
    check(&fixture, "mirror.unkeep", "mirror unkeep ana/drop");
    check(&fixture, "mirror.remove", "mirror remove ana/*");
    check(&fixture, "node.gc", "node gc --dry-run --used");
}

#[test]
fn nodes_and_repositories() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    check(&fixture, "repo", "repo");
    check(&fixture, "repo.show", "repo show ana");
    let shown = fixture.run("repo show ana");
    let sha256 = shown.lines().find_map(|l| l.strip_prefix("root_sha256\t"));
    let line = format!("repo settle ana 1:{} --yes", sha256.expect("a document"));
    check(&fixture, "repo.settle", &line);
    let author = fixture.node("home");
    check(&fixture, "repo.ticket", "repo ticket ana drop");
    let ticket = fixture.run("repo ticket ana drop");

    fixture.new_home("friend");
    let line = format!("repo add {} --trust --yes --home friend", ticket.trim());
    check(&fixture, "repo.add", &line);
    let friend = fixture.node_with("friend", "--json");
    check(&fixture, "node.status", "node status --home friend");
    let deadline = Instant::now() + Duration::from_secs(30);
    // Connected comes before both know what they share.
    while !fixture.run("node peers").contains("skep1") {
        assert!(Instant::now() < deadline, "the friend's node never came");
    }
    check(&fixture, "node.peers", "node peers");
    check(&fixture, "repo.remove", "repo remove ana --home friend");
    check(&fixture, "node.stop", "node stop --home friend");
    pinned("node.run", &friend.stdout());
    drop(author);
}

#[test]
fn for_other_tools() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes");
    check(&fixture, "mirror.tree", "mirror --tree tree");
    let config = fixture.home().join("config.toml");
    let text = fs::read_to_string(&config).expect("settings");
    let text = text.replace("[]", "[{ listen = \"127.0.0.1:0\" }]");
    fs::write(&config, text).expect("written");
    let node = fixture.node("home");
    let line = "get ana/drop --snippet l3afd --iface lo --platform noble";
    check(&fixture, "get.snippet", line);
    // It finds no unit that starts a node, and perhaps no `lsb_release`: the shape is the same.
    let output = fixture.skep("doctor --l3afd l3afd.cfg --json").output();
    let output = output.expect("skep runs");
    pinned("doctor.l3afd", &String::from_utf8_lossy(&output.stdout));
    drop(node);
}

#[test]
fn a_demo() {
    check(&Fixture::new(), "demo", "demo");
}

#[test]
fn errors() {
    let fixture = Fixture::new();
    let output = fixture.skep("key --json").output().expect("skep runs");
    assert_eq!(output.status.code(), Some(4));
    assert!(output.stdout.is_empty(), "an error is no data");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        stderr,
        "{\"schema\":\"skep.error/1\",\"exit\":4,\"message\":\"you have no key yet\",\
         \"details\":[],\"causes\":[],\"hint\":\"skep key new\"}\n"
    );
}

#[test]
fn bundles() {
    let fixture = Fixture::new();
    fixture.run("publish drop --yes --to drop.skep");
    check(
        &fixture,
        "bundle.export",
        "bundle export ana/drop -o again.skep",
    );
    check(&fixture, "bundle.show", "bundle show drop.skep");
    fixture.new_home("there");
    check(
        &fixture,
        "bundle.import",
        "bundle import drop.skep --yes --home there",
    );
}
