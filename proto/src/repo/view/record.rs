//! The records of a view, and the hash that two nodes compare.

use super::{Note, Package, Release, ReleaseState, View};
use crate::bytes::Writer;
use crate::hash::Sha256;
use crate::name::{Fold, Version};
use crate::repo::authority::Handle;
use crate::sync::trie::{root_of, view_record};

/// CBOR of every record's key and value, unsorted.
pub(super) fn records(view: &View) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let handles = view.authority.handles.values();
    let handles = handles.map(|h| (id(0, h.id.as_bytes()), handle(view, h)));
    let packages = view.packages.iter();
    let packages = packages.map(|(fold, p)| (by_name(1, fold), package(p)));
    let notes_of = view.notes.iter();
    let notes_of = notes_of.map(|(fold, n)| (by_name(2, fold), notes(n)));
    let attestations = view.attestations.iter();
    let attestations = attestations.map(|(subject, n)| (id(3, subject.as_bytes()), notes(n)));
    let members = view.authority.members.values();
    let members = members.map(|(member, _)| {
        let mut writer = Writer::new();
        writer.array(2).text(&member.label).bool(member.on);
        (id(4, member.node.as_bytes()), writer.finish())
    });
    handles
        .chain(packages)
        .chain(notes_of)
        .chain(attestations)
        .chain(members)
}

/// SHA-256("skep-view/1\n" ‖ root of the trie over the records).
pub(super) fn view_hash(view: &View) -> Sha256 {
    let records = records(view).map(|(key, record)| view_record(&key, &record));
    Sha256::of(&[b"skep-view/1\n", root_of(records).as_bytes()])
}

fn id(kind: u64, id: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).uint(kind).bytes(id);
    writer.finish()
}

fn by_name(kind: u64, fold: &Fold) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).uint(kind).text(fold.as_str());
    writer.finish()
}

/// `[label, m, c, sorted keys, sorted roles, suspended]`
fn handle(view: &View, handle: &Handle) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .array(6)
        .text(handle.label.as_str())
        .uint(handle.publish_threshold.into())
        .uint(handle.change_threshold.into())
        .array(handle.keys.len());
    for key in &handle.keys {
        writer.bytes(key.as_bytes());
    }
    writer.array(handle.roles.len());
    for role in &handle.roles {
        writer.uint(role.number().into());
    }
    writer.bool(view.is_handle_suspended(handle.id));
    writer.finish()
}

/// `[name, owner, suspended, deprecated, [release…]]`, releases sorted bytewise by version.
fn package(package: &Package) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .array(5)
        .text(package.name.as_str())
        .bytes(package.owner.as_bytes())
        .bool(package.suspended.on)
        .bool(package.deprecated.on)
        .array(package.releases.len());
    let releases = package.releases.iter();
    let mut releases: Vec<_> = releases.map(|(v, r)| (Version::to_string(v), r)).collect();
    releases.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (version, of) in releases {
        release(&mut writer, &version, of);
    }
    writer.finish()
}

/// `[version, state, manifests, yanked, deprecated, suspended]`
fn release(writer: &mut Writer, version: &str, release: &Release) {
    let (state, manifests) = match &release.state {
        ReleaseState::Pending(_) => (0, release.eligible.as_slice()),
        ReleaseState::Listed(manifest) => (1, std::slice::from_ref(manifest)),
        ReleaseState::Quarantined => (2, release.eligible.as_slice()),
    };
    writer.array(6).text(version).uint(state);
    writer.array(manifests.len());
    for manifest in manifests {
        writer.bytes(manifest.as_bytes());
    }
    writer
        .bool(release.yanked.on)
        .bool(release.deprecated.on)
        .bool(release.suspended.on);
}

/// Sorted SHA-256(key ‖ leaf), each once.
fn notes(notes: &[Note]) -> Vec<u8> {
    let hashes = Note::hashes(notes);
    let mut writer = Writer::new();
    writer.array(hashes.len());
    for hash in hashes {
        writer.bytes(hash.as_bytes());
    }
    writer.finish()
}
