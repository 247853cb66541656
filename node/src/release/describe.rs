//! One release with everything that a person or a check needs, for commands and for pages alike.

use skep_proto::control::{Handle, Hex, Release, ReleaseLine, Said};
use skep_proto::key::Key;
use skep_proto::log::entry::{Body, Entry, Parsed, parse};
use skep_proto::name::Name;
use skep_proto::repo::sequence::EntryRef;
use skep_proto::repo::view;

use super::{Error, payload};
use crate::snapshot::{RepoSnapshot, Resolved, facts};
use crate::store::Store;

/// A release that was resolved, in the words of the control protocol.
pub(crate) fn describe(
    repo: &RepoSnapshot,
    store: &dyn Store,
    resolved: &Resolved,
) -> Result<Release, Error> {
    let subject = &resolved.subject;
    let (name, version) = (&subject.name, &subject.version);
    let payload = payload(repo, store, name, version, subject.manifest)?;
    let found = repo.view.as_deref().and_then(|view| {
        let owner = view.handle(&subject.owner.id)?;
        let package = view.package(name)?;
        let release = package.releases.get(version)?;
        Some((view, owner, package, release))
    });
    let gone = || Error::Gone(name.clone(), version.clone());
    let (view, owner, package, release) = found.ok_or_else(gone)?;
    Ok(Release {
        repo: repo.id,
        alias: repo.alias().cloned(),
        name: name.clone(),
        version: version.clone(),
        manifest: subject.manifest,
        payload: Hex(payload.bytes),
        signatures: payload
            .signatures
            .iter()
            .map(|(key, signature)| (*key, Hex(signature.as_bytes().to_vec())))
            .collect(),
        owner: Handle::of(view, owner),
        signers: subject.signers.iter().copied().collect(),
        line: ReleaseLine::of(version, release),
        held: repo.holdings.contains_key(&subject.manifest),
        admitted: resolved.decision.admitted,
        facts: facts(&resolved.decision),
        ineffective: repo.ineffective(),
        said: said(repo, store, package, release),
    })
}

/// Why a release is yanked, deprecated or suspended. Words whose entry cannot be read are left out:
/// that the flag is set stands in the line of the release.
pub(crate) fn said(
    repo: &RepoSnapshot,
    store: &dyn Store,
    package: &view::Package,
    release: &view::Release,
) -> Vec<Said> {
    let flags = [
        ("yanked", false, &release.yanked),
        ("deprecated", false, &release.deprecated),
        ("deprecated", true, &package.deprecated),
        ("suspended", false, &release.suspended),
        ("suspended", true, &package.suspended),
    ];
    let words = flags.iter().flat_map(|(state, whole_package, flag)| {
        let because = flag.because.iter();
        let because = because.map(|at| (at, word(repo, store, at)));
        because.filter_map(|(at, word)| {
            let (claimed_at, reason, successor) = word?;
            Some(Said {
                state: (*state).to_owned(),
                whole_package: *whole_package,
                by: at.key,
                claimed_at,
                reason,
                successor,
            })
        })
    });
    words.collect()
}

/// When its first publisher says that a release was published, in Unix seconds: for display only.
pub(crate) fn published_at(
    repo: &RepoSnapshot,
    store: &dyn Store,
    release: &view::Release,
) -> Option<u64> {
    let claim = match release.listed() {
        Some(manifest) => release.claims.get(&manifest),
        None => release.claims.values().next(),
    };
    let (key, index) = claim?.published.iter().next()?;
    Some(entry(repo, store, key, *index)?.claimed_at)
}

/// When an entry says that it was written, its reason, and what it names to use instead.
fn word(
    repo: &RepoSnapshot,
    store: &dyn Store,
    at: &EntryRef,
) -> Option<(u64, String, Option<Name>)> {
    let entry = entry(repo, store, &at.key, at.index)?;
    match entry.body {
        Body::Status(status) => Some((entry.claimed_at, status.reason, status.successor)),
        Body::Suspend(suspend) => Some((entry.claimed_at, suspend.reason, None)),
        _ => None,
    }
}

fn entry(repo: &RepoSnapshot, store: &dyn Store, key: &Key, index: u64) -> Option<Entry> {
    let entries = store.entries(&repo.id, key, index, index.saturating_add(1));
    match parse(entries.ok()?.first()?) {
        Parsed::Entry(entry) => Some(entry),
        _ => None,
    }
}
