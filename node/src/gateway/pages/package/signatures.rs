//! Who signed a release, in which layer, what this node verified of it, and who believes them.

use skep_proto::control::{Handle, Release};
use skep_proto::id::HandleId;
use skep_proto::key::{Key, Signature as Bytes, Signatures};
use skep_proto::package::dsse;
use skep_proto::repo::view::{Package, View};
use skep_proto::trust::file::{Rule, Who};

use super::contents::Contents;
use crate::snapshot::RepoSnapshot;

/// One signature.
pub(super) struct Signature {
    pub(super) layer: &'static str,
    /// Fingerprint of the key, or the file that is the signature.
    pub(super) by: String,
    /// Handles that list the key, with their roles.
    pub(super) handles: Vec<String>,
    pub(super) class: &'static str,
    pub(super) verified: String,
    pub(super) trusted: String,
}

pub(super) fn of(
    repo: &RepoSnapshot,
    view: &View,
    package: &Package,
    release: &Release,
    contents: &Contents,
) -> Vec<Signature> {
    let mut rows: Vec<Signature> = publishers(repo, view, release);
    let found = package.releases.get(&release.version);
    let claim = found.and_then(|found| found.claims.get(&release.manifest));
    let approved = claim.into_iter().flat_map(|claim| &claim.approved);
    let approved = approved.flat_map(|(_, keys)| keys.keys());
    rows.extend(approved.map(|key| Signature {
        layer: "approval",
        by: key.fingerprint(),
        handles: handles(view, key),
        class: "good",
        verified: "verified by this node, in the log of the key".to_owned(),
        trusted: trusted(repo.rules(), repo, view, key, release),
    }));
    rows.extend(contents.layers.iter().map(|layer| Signature {
        layer: layer.layer,
        by: layer.file.clone(),
        handles: Vec::new(),
        class: "plain",
        verified: format!("over {}; not verified by this node", layer.over),
        trusted: String::new(),
    }));
    rows
}

fn publishers(repo: &RepoSnapshot, view: &View, release: &Release) -> Vec<Signature> {
    let signatures: Signatures = release
        .signatures
        .iter()
        .filter_map(|(key, bytes)| {
            let bytes: [u8; 64] = bytes.0.as_slice().try_into().ok()?;
            Some((*key, Bytes::from_bytes(bytes)))
        })
        .collect();
    let valid = dsse::signers(dsse::IN_TOTO, &release.payload.0, &signatures);
    let rows = release.signatures.iter().map(|(key, _)| {
        let published = release.signers.contains(key);
        let (class, verified) = match (valid.contains(key), published) {
            (true, true) => (
                "good",
                "verified by this node, and published in its own log",
            ),
            (true, false) => (
                "plain",
                "verified by this node, but not published by this key",
            ),
            (false, _) => ("bad", "does not verify"),
        };
        Signature {
            layer: "package",
            by: key.fingerprint(),
            handles: handles(view, key),
            class,
            verified: verified.to_owned(),
            trusted: trusted(repo.rules(), repo, view, key, release),
        }
    });
    rows.collect()
}

fn handles(view: &View, key: &Key) -> Vec<String> {
    let handles = view.authority.handles.values();
    let listing = handles.filter(|handle| handle.keys.contains(key));
    listing
        .map(|handle| {
            let told = Handle::of(view, handle);
            match told.roles.is_empty() {
                true => told.label.to_string(),
                false => format!("{} ({})", told.label, told.roles.join(", ")),
            }
        })
        .collect()
}

/// What the rules of this node say of a key: by itself, or through a handle that lists it.
fn trusted(
    rules: &[Rule],
    repo: &RepoSnapshot,
    view: &View,
    key: &Key,
    release: &Release,
) -> String {
    let lists = |id: &HandleId| {
        view.handle(id)
            .is_some_and(|handle| handle.keys.contains(key))
    };
    let believed = |rule: &&Rule| {
        let publishes = rule.publishers.iter().any(|who| match who {
            Who::Handle { handle, .. } => lists(handle),
            Who::Key { key: fingerprint } => key.fingerprint() == *fingerprint,
        });
        let approvals = rule.approvals.as_ref();
        let approves = approvals.is_some_and(|it| it.of.iter().any(|who| lists(&who.handle)));
        rule.covers(&release.name) && (publishes || approves)
    };
    let rules: Vec<String> = rules
        .iter()
        .filter(believed)
        .map(Rule::names_text)
        .collect();
    match rules.is_empty() {
        true => "nobody on this node".to_owned(),
        false => format!("this node, for {}/{}", repo.called(), rules.join(", ")),
    }
}
