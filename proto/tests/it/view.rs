//! The view against an executable reading of its specification: golden cases, and fresh histories.
//!
//! The folder that `SKEP_MODEL` names has `histories/*.json` and the program `view.py`; without it
//! these tests say that they were skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, Signature};
use skep_proto::repo::chain::{Chain, State};
use skep_proto::repo::fact::LogFacts;
use skep_proto::repo::root::{Pin, SignedRoot};
use skep_proto::repo::view::{Flag, Package, ReleaseState, View};

/// How many fresh histories one run compares, unless `SKEP_MODEL_HISTORIES` says another number.
const FRESH_HISTORIES: u32 = 60;

fn model() -> Option<PathBuf> {
    let folder = std::env::var_os("SKEP_MODEL").map(PathBuf::from);
    if folder.is_none() {
        say("skipped: SKEP_MODEL names no folder with the model of the view");
    }
    folder
}

#[expect(clippy::print_stderr, reason = "a test says why it was skipped")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// What a newcomer has received.
struct History {
    repo: RepoId,
    documents: Vec<SignedRoot>,
    logs: BTreeMap<Key, Vec<Vec<u8>>>,
    evidence: BTreeSet<Key>,
    pin: Option<Pin>,
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    HEXLOWER.decode(text.as_bytes()).expect("hex")
}

fn key(value: &Value) -> Key {
    value.as_str().expect("a key").parse().expect("a key")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

impl History {
    fn read(value: &Value) -> Self {
        let signature = |pair: &Value| {
            let signature = bytes(&pair[1]).try_into().expect("64 bytes");
            (key(&pair[0]), Signature::from_bytes(signature))
        };
        let document = |pair: &Value| SignedRoot {
            payload: bytes(&pair[0]),
            signatures: list(&pair[1]).iter().map(signature).collect(),
        };
        let logs = value["logs"].as_object().expect("logs");
        let log = |(of, log): (&String, &Value)| {
            let entries = list(log).iter().map(bytes).collect();
            (of.parse().expect("a key"), entries)
        };
        let pin = value["pin"].as_array().map(|pin| Pin {
            version: pin[0].as_u64().expect("a version"),
            sha256: pin[1].as_str().expect("hex").parse().expect("a hash"),
        });
        let repo = value["repo"].as_str().expect("an id");
        Self {
            repo: repo.parse().expect("an id"),
            documents: list(&value["documents"]).iter().map(document).collect(),
            logs: logs.iter().map(log).collect(),
            evidence: list(&value["evidence"]).iter().map(key).collect(),
            pin,
        }
    }

    fn chain(&self) -> Chain {
        Chain::build(self.repo, self.documents.clone(), self.pin)
    }

    fn facts(&self) -> BTreeMap<Key, LogFacts> {
        let facts = |entries: &Vec<Vec<u8>>| {
            let mut facts = LogFacts::new();
            for raw in entries {
                facts.push(&self.repo, raw);
            }
            facts
        };
        let logs = self.logs.iter();
        logs.map(|(key, entries)| (*key, facts(entries))).collect()
    }

    fn answer(&self) -> Value {
        let chain = self.chain();
        let view = View::compute(&chain, &self.facts(), &self.evidence);
        let state = match chain.state() {
            State::Ok => "ok",
            State::Behind => "behind",
            State::Disputed { .. } => "disputed",
            State::Upgrade { .. } => "upgrade",
        };
        json!({
            "repo": self.repo.to_string(),
            "version": chain.links().len(),
            "state": state,
            "index": view.as_ref().map(index),
            "view_hash": view.as_ref().map(|view| view.hash),
        })
    }
}

fn index(view: &View) -> Value {
    let handles = view.authority.handles.values().map(|handle| {
        let suspended = view.is_handle_suspended(handle.id);
        let roles: Vec<u8> = handle.roles.iter().map(|role| role.number()).collect();
        let (m, c) = (handle.publish_threshold, handle.change_threshold);
        (
            handle.id.to_string(),
            json!([handle.label, m, c, handle.keys, roles, suspended]),
        )
    });
    let packages = view.packages.iter();
    let packages = packages.map(|(fold, of)| (fold.as_str().to_owned(), package(of)));
    let members = view.authority.members.iter();
    let members =
        members.map(|(node, (member, _))| (node.to_string(), json!([member.label, member.on])));
    let notes = view.notes.iter();
    let attestations = view.attestations.iter();
    json!({
        "handles": handles.collect::<BTreeMap<_, _>>(),
        "packages": packages.collect::<BTreeMap<_, _>>(),
        "notes": notes.map(|(f, n)| (f.as_str().to_owned(), hashes(n))).collect::<BTreeMap<_, _>>(),
        "attestations": attestations.map(|(s, n)| (s.to_string(), hashes(n))).collect::<BTreeMap<_, _>>(),
        "members": members.collect::<BTreeMap<_, _>>(),
    })
}

fn hashes(notes: &[skep_proto::repo::view::Note]) -> BTreeSet<Sha256> {
    let hash = |key: &Key, leaf: &Sha256| Sha256::of(&[key.as_bytes(), leaf.as_bytes()]);
    notes
        .iter()
        .map(|note| hash(&note.at.key, &note.leaf))
        .collect()
}

fn package(package: &Package) -> Value {
    let releases: BTreeMap<String, Value> = package
        .releases
        .iter()
        .map(|(version, release)| {
            let (state, manifests) = match &release.state {
                ReleaseState::Pending(_) => (0, release.eligible.clone()),
                ReleaseState::Listed(manifest) => (1, vec![*manifest]),
                ReleaseState::Quarantined => (2, release.eligible.clone()),
            };
            let [yanked, deprecated, suspended] =
                [&release.yanked, &release.deprecated, &release.suspended].map(|flag| flag.on);
            let row = json!([version, state, manifests, yanked, deprecated, suspended]);
            (version.to_string(), row)
        })
        .collect();
    let on = |flag: &Flag| flag.on;
    json!([
        package.name,
        package.owner,
        on(&package.suspended),
        on(&package.deprecated),
        releases.into_values().collect::<Vec<_>>()
    ])
}

/// Compares every case of a folder; returns how many there were.
fn check_cases(folder: &Path) -> usize {
    let mut cases = 0;
    for file in std::fs::read_dir(folder).expect("a folder of cases") {
        let path = file.expect("a folder of cases").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read(&path).expect("a case");
        let case: Value = serde_json::from_slice(&text).expect("JSON");
        let history = History::read(&case["history"]);
        assert_eq!(history.answer(), case["expected"], "{}", path.display());
        cases += 1;
    }
    cases
}

#[test]
fn every_golden_history_has_the_answer_of_the_model() {
    let Some(model) = model() else { return };
    let cases = check_cases(&model.join("histories"));
    say(&format!("{cases} golden histories"));
    assert!(cases > 0, "no golden history in the folder");
}

/// Whether the model can run here; else the reason why not.
fn python() -> Result<(), String> {
    let wanted = "import sys, cryptography as c; \
        sys.exit(sys.version_info < (3, 11) or int(c.__version__.split('.')[0]) < 40)";
    let tried = Command::new("python3").args(["-c", wanted]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err("python3 is older than 3.11, or has no `cryptography` from 40 on".to_owned()),
        Err(e) => Err(format!("python3 did not start: {e}")),
    }
}

/// `SKEP_SEED`, or a seed that no run had before.
fn seed() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    match std::env::var("SKEP_SEED") {
        Ok(seed) => seed.parse().expect("SKEP_SEED is a number"),
        Err(_) => {
            let fresh = std::hash::RandomState::new().build_hasher().finish();
            u32::try_from(fresh >> 33).expect("31 bits")
        }
    }
}

#[test]
fn fresh_histories_have_the_answer_of_the_model() {
    let Some(model) = model() else { return };
    if let Err(why) = python() {
        say(&format!("skipped: {why}"));
        return;
    }
    let histories = match std::env::var("SKEP_MODEL_HISTORIES") {
        Ok(number) => number.parse().expect("SKEP_MODEL_HISTORIES is a number"),
        Err(_) => FRESH_HISTORIES,
    };
    let seed = seed();
    say(&format!("{histories} histories: SKEP_SEED={seed} repeats"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let written = Command::new("python3")
        .current_dir(&model)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["view.py", "--write"])
        .arg(folder.path())
        .args([&histories.to_string(), "--seed", &seed.to_string()])
        .output()
        .expect("python3 starts");
    assert!(written.status.success(), "the model failed: {written:?}");
    let cases = check_cases(folder.path());
    assert_eq!(cases, usize::try_from(histories).expect("a small number"));
}
