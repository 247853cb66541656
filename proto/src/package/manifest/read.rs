//! Between a manifest and its JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{Digest, Entry, check_files};
use super::{Details, Error, FILES_MAX, File, FileKind, Manifest, PREDICATE_TYPE, STATEMENT_TYPE};
use crate::id::RepoId;
use crate::json::{self, Json};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::name::{Name, Version};
use crate::text::check_prose;

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    repo: RepoId,
    name: Name,
    version: Version,
    #[serde(flatten)]
    details: Details,
    files: Vec<Entry>,
}

pub(super) fn manifest(json: Json) -> Result<Manifest, Error> {
    check_texts(&json)?;
    let value = json.clone().into_serde();
    for (field, wanted) in [("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)] {
        let found = value
            .get(field)
            .and_then(|v| v.as_str())
            .unwrap_or_default();
        if found != wanted {
            return Err(Error::OtherType(found.chars().take(80).collect()));
        }
    }
    let statement: Statement =
        serde_json::from_value(value).map_err(|e| Error::Shape(e.to_string()))?;
    let unknown = unknown(&json, &statement);
    let Predicate {
        repo,
        name,
        version,
        details,
        files,
    } = statement.predicate;
    details.check()?;
    let count = statement.subject.len();
    let digests: BTreeMap<String, Digest> = statement
        .subject
        .into_iter()
        .map(|subject| (subject.name, subject.digest))
        .collect();
    if digests.len() != count || count != files.len() {
        return Err(Error::Subject);
    }
    let files = files
        .into_iter()
        .map(|entry| {
            let digest = digests.get(&entry.path).ok_or(Error::Subject)?;
            Ok(entry.with(*digest))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    check_files(&files, FILES_MAX)?;
    let of = |kind| files.iter().any(|file: &File| file.kind == kind);
    if details.facts.is_some() == of(FileKind::Facts) {
        return Err(Error::Field("facts", "none, or in two places".to_owned()));
    }
    if !of(FileKind::Tree) {
        details.check_files(details.facts.as_ref(), &files)?;
    }
    Ok(Manifest {
        repo,
        name,
        version,
        details,
        files,
        unknown,
    })
}

/// Refuses a text anywhere, also in what this version does not know, that could steer a terminal.
pub(super) fn check_texts(json: &Json) -> Result<(), Error> {
    let check =
        |text: &str| check_prose(text, MANIFEST_BYTES_MAX).map_err(|e| Error::Shape(e.to_string()));
    match json {
        Json::Text(text) => check(text),
        Json::Array(items) => items.iter().try_for_each(check_texts),
        Json::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            check(name)?;
            check_texts(value)
        }),
        Json::Null | Json::Bool(_) | Json::Integer(_) => Ok(()),
    }
}

/// What of `given` is not in what was understood of it: that is written again, and compared.
fn unknown(given: &Json, understood: &Statement) -> BTreeMap<String, Json> {
    let mut found = BTreeMap::new();
    let written = serde_json::to_vec(understood).expect("strings, numbers and lists serialize");
    let written = json::parse(&written).ok();
    let predicate = |json: &Json| json.as_object()?.get("predicate").cloned();
    let (given, written) = (predicate(given), written.as_ref().and_then(predicate));
    if let (Some(given), Some(written)) = (given, written) {
        compare(&given, &written, "", &mut found);
    }
    found
}

fn compare(given: &Json, known: &Json, at: &str, found: &mut BTreeMap<String, Json>) {
    match (given, known) {
        (Json::Object(given), Json::Object(known)) => {
            for (name, value) in given {
                let dot = if at.is_empty() { "" } else { "." };
                let at = format!("{at}{dot}{name}");
                match known.get(name) {
                    Some(known) => compare(value, known, &at, found),
                    // Writing leaves out what says nothing.
                    None if says_nothing(value) => {}
                    None => drop(found.insert(at, value.clone())),
                }
            }
        }
        (Json::Array(given), Json::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(given, known, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn says_nothing(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Text(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

pub(super) fn payload(manifest: &Manifest) -> Vec<u8> {
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: manifest
            .files
            .iter()
            .map(|file| Subject {
                name: file.path.clone(),
                digest: Digest::of(file),
            })
            .collect(),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            repo: manifest.repo,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            details: manifest.details.clone(),
            files: manifest.files.iter().map(Entry::of).collect(),
        },
    };
    serde_json::to_vec(&statement).expect("strings, numbers and lists always serialize")
}
