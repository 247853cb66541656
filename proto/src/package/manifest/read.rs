//! Between a manifest and its JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::file::{Digest, Entry, check_files};
use super::{Details, Error, FILES_MAX, Manifest, PREDICATE_TYPE, STATEMENT_TYPE};
use crate::id::RepoId;
use crate::json::Json;
use crate::name::{Name, Version};

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

/// Fields of a predicate that this version knows.
const KNOWN: [&str; 21] = [
    "repo",
    "name",
    "version",
    "license",
    "description",
    "source",
    "documentation",
    "homepage",
    "authors",
    "keywords",
    "platform",
    "facts",
    "kernel",
    "user",
    "tests",
    "requires",
    "signatures",
    "l3afd",
    "bpfman",
    "gadget",
    "files",
];

pub(super) fn manifest(json: Json) -> Result<Manifest, Error> {
    let unknown = unknown_fields(&json);
    let value = json.into_serde();
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
    Ok(Manifest {
        repo,
        name,
        version,
        details,
        files,
        unknown,
    })
}

fn unknown_fields(json: &Json) -> BTreeSet<String> {
    let predicate = json.as_object().and_then(|fields| fields.get("predicate"));
    let fields = predicate.and_then(Json::as_object);
    let names = fields.into_iter().flat_map(|fields| fields.keys());
    names
        .filter(|name| !KNOWN.contains(&name.as_str()))
        .cloned()
        .collect()
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
