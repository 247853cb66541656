//! Whether one signed root document may stand in one place of a chain.

use std::collections::BTreeSet;

use super::{Error, Link};
use crate::hash::Sha256;
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::ROOT_SIGNATURES_MAX;
use crate::repo::root::{Document, Registrars, RootDocument, SignedRoot, message, repo_id};

/// Where a document would stand.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    First(RepoId),
    After(&'a Link),
}

/// A document that may stand in a place, with the signatures that count there.
#[derive(Clone)]
pub(super) struct Valid {
    pub(super) signed: SignedRoot,
    pub(super) sha256: Sha256,
    pub(super) document: Document,
}

/// Checks one copy by itself: `version` and `prev` are known to fit the place.
pub(super) fn check(
    document: &Document,
    signed: &SignedRoot,
    place: Place<'_>,
) -> Result<Valid, Error> {
    let count = signed.signatures.len();
    if count == 0 || count > ROOT_SIGNATURES_MAX {
        return Err(Error::SignatureCount(count));
    }
    let signers = signed.signers();
    match place {
        Place::First(repo) => check_first(document, signed, &signers, repo)?,
        Place::After(before) => check_successor(document, &signers, &before.document)?,
    }
    Ok(Valid {
        signed: union(document, [signed], place),
        sha256: signed.sha256(),
        document: document.clone(),
    })
}

fn check_first(
    document: &Document,
    signed: &SignedRoot,
    signers: &BTreeSet<Key>,
    repo: RepoId,
) -> Result<(), Error> {
    let id = repo_id(&signed.payload);
    if id != repo || document.prev().is_some() {
        return Err(Error::OtherRepository(id));
    }
    let Document::Known(document) = document else {
        return Ok(());
    };
    check_held(document, &BTreeSet::new(), signers)?;
    if document.seen > 0 || !document.registrars.fixed.is_empty() {
        return Err(Error::FirstSeen);
    }
    Ok(())
}

fn check_successor(
    document: &Document,
    signers: &BTreeSet<Key>,
    before: &RootDocument,
) -> Result<(), Error> {
    let version = document.version();
    let (signed, threshold) = (count(signers, &before.root.keys), before.root.threshold);
    if signed < threshold {
        return Err(Error::OldThreshold {
            version,
            signed,
            threshold,
        });
    }
    let Document::Known(document) = document else {
        return Ok(());
    };
    check_held(document, &before.keys(), signers)?;
    let (signed, threshold) = (count(signers, &document.root.keys), document.root.threshold);
    if signed < threshold {
        return Err(Error::NewThreshold {
            version,
            signed,
            threshold,
        });
    }
    if !follows(&before.registrars, &document.registrars) {
        return Err(Error::Registrars(version));
    }
    if document.visibility != before.visibility {
        return Err(Error::Fixed(version, "visibility"));
    }
    if document.limits != before.limits {
        return Err(Error::Fixed(version, "limits"));
    }
    Ok(())
}

fn count(signers: &BTreeSet<Key>, keys: &[Key]) -> usize {
    keys.iter().filter(|key| signers.contains(key)).count()
}

/// Proof of possession: every key that was not listed before has signed.
fn check_held(
    document: &RootDocument,
    before: &BTreeSet<Key>,
    signers: &BTreeSet<Key>,
) -> Result<(), Error> {
    let not_held = |key: &Key| !before.contains(key) && !signers.contains(key);
    match document.keys().into_iter().find(not_held) {
        Some(key) => Err(Error::NotHeld {
            version: document.version,
            key,
        }),
        None => Ok(()),
    }
}

/// Whether `now` is `before`, or `before` with its live registrar fixed and a new one in its place.
fn follows(before: &Registrars, now: &Registrars) -> bool {
    let replaced = now
        .fixed
        .split_last()
        .is_some_and(|(last, rest)| rest == before.fixed && last.key == before.live);
    now == before || replaced
}

/// One payload with the signatures of its copies that verify and are by keys that it or its
/// predecessor lists; each key once. At most [`ROOT_SIGNATURES_MAX`]: those that a rule can demand
/// come first, and are fewer.
pub(super) fn union<'a>(
    document: &Document,
    copies: impl IntoIterator<Item = &'a SignedRoot>,
    place: Place<'_>,
) -> SignedRoot {
    let (before, before_root) = match place {
        Place::First(_) => (BTreeSet::new(), &[][..]),
        Place::After(link) => (link.document.keys(), &link.document.root.keys[..]),
    };
    let (now, now_root) = match document {
        Document::Known(document) => (document.keys(), &document.root.keys[..]),
        Document::OtherRules { .. } => (BTreeSet::new(), &[][..]),
    };
    let mut payload = Vec::new();
    let mut signatures = std::collections::BTreeMap::new();
    for copy in copies {
        payload.clone_from(&copy.payload);
        let message = message(&payload);
        for (key, signature) in &copy.signatures {
            let root = before_root.contains(key) || now_root.contains(key);
            let rank = (!root, before.contains(key));
            let listed = before.contains(key) || now.contains(key);
            if listed && !signatures.contains_key(&(rank, *key)) && key.verify(&message, signature)
            {
                signatures.insert((rank, *key), *signature);
            }
        }
    }
    let ranked = signatures.into_iter().take(ROOT_SIGNATURES_MAX);
    SignedRoot {
        payload,
        signatures: ranked.map(|((_, key), sig)| (key, sig)).collect(),
    }
}
