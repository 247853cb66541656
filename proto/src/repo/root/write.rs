//! Writes the JSON of a root document: compact, fields in the order of the specification.

use serde::Serialize;

use super::{Limits, RULES, RootDocument, Visibility};
use crate::hash::Sha256;
use crate::key::Key;

pub(super) fn payload(document: &RootDocument) -> Vec<u8> {
    serde_json::to_vec(&Payload::of(document)).expect("texts and numbers always serialize")
}

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    version: u64,
    prev: Option<Sha256>,
    name: &'a str,
    rules: u64,
    seen: u64,
    root: Root<'a>,
    registrars: Vec<Registrar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witnesses: Option<Witnesses<'a>>,
    approvals: u8,
    visibility: &'static str,
    cuts: Vec<Cut<'a>>,
    overrides: &'a [Sha256],
    limits: LogLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
}

#[derive(Serialize)]
struct Root<'a> {
    keys: &'a [Key],
    threshold: usize,
}

#[derive(Serialize)]
struct Registrar {
    key: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Sha256>,
}

#[derive(Serialize)]
struct Witnesses<'a> {
    keys: Vec<Witness<'a>>,
    quorum: usize,
    max_age_s: u64,
}

#[derive(Serialize)]
struct Witness<'a> {
    name: &'a str,
    key: Key,
}

#[derive(Serialize)]
struct Cut<'a> {
    key: Key,
    size: u64,
    root: Sha256,
    reason: &'a str,
}

#[derive(Serialize)]
struct LogLimits {
    entries_per_log: u64,
    bytes_per_log: u64,
}

impl<'a> Payload<'a> {
    fn of(document: &'a RootDocument) -> Self {
        let Limits {
            entries_per_log,
            bytes_per_log,
        } = document.limits;
        Self {
            r#type: "skep.root/1",
            version: document.version,
            prev: document.prev,
            name: &document.name,
            rules: RULES,
            seen: document.seen,
            root: Root {
                keys: &document.root.keys,
                threshold: document.root.threshold,
            },
            registrars: registrars(document),
            witnesses: document.witnesses.as_ref().map(witnesses),
            approvals: document.approvals,
            visibility: match document.visibility {
                Visibility::Public => "public",
                Visibility::Members => "members",
            },
            cuts: cuts(document),
            overrides: &document.overrides,
            limits: LogLimits {
                entries_per_log,
                bytes_per_log,
            },
            expires: document.expires.as_ref().map(super::Expiry::as_str),
        }
    }
}

fn registrars(document: &RootDocument) -> Vec<Registrar> {
    let fixed = document.registrars.fixed.iter().map(|mark| Registrar {
        key: mark.key,
        size: Some(mark.size),
        root: Some(mark.root),
    });
    let live = Registrar {
        key: document.registrars.live,
        size: None,
        root: None,
    };
    fixed.chain([live]).collect()
}

fn witnesses(witnesses: &super::Witnesses) -> Witnesses<'_> {
    let keys = witnesses.keys.iter().map(|witness| Witness {
        name: &witness.name,
        key: witness.key,
    });
    Witnesses {
        keys: keys.collect(),
        quorum: witnesses.quorum,
        max_age_s: witnesses.max_age_s,
    }
}

fn cuts(document: &RootDocument) -> Vec<Cut<'_>> {
    let cuts = document.cuts.iter().map(|cut| Cut {
        key: cut.mark.key,
        size: cut.mark.size,
        root: cut.mark.root,
        reason: &cut.reason,
    });
    cuts.collect()
}
