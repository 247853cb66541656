//! A .skep file of releases that are held.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use skep_proto::blob::{GroupLister, group_count};
use skep_proto::bundle::{FILES_MAX, Frames, Item, LogPart, NAMED_MAX, Piece, Place, Plan, use_of};
use skep_proto::control::{Refusal, Refused};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::entry::Role;
use skep_proto::log::tree::{self, Tree};
use skep_proto::name::{Name, PackageRef, RepoRef, Requirement, Version};
use skep_proto::repo::chain::State;
use skep_proto::repo::sequence::LogUse;
use skep_proto::repo::view::View;
use skep_proto::trust::Asked;
use skep_proto::trust::file::Glob;

use super::refused;
use crate::core::Holding;
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::{Store, write_back};

/// Entries that are read from the store at a time.
const ENTRIES_AT_ONCE: u64 = 256;

/// Writes a file of these releases. `told` hears how many bytes of how many are written.
pub(crate) fn export(
    references: &[String],
    to: File,
    snapshot: &Snapshot,
    store: &dyn Store,
    mut told: impl FnMut(u64, u64) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut chosen: BTreeMap<RepoId, Chosen> = BTreeMap::new();
    for reference in references {
        choose(reference, snapshot, &mut chosen)?;
    }
    let mut small = Vec::new();
    let mut large = Vec::new();
    let mut logs = BTreeMap::new();
    for chosen in chosen.values() {
        chosen.check()?;
        for link in chosen.repo.chain.links() {
            let version = link.document.version;
            small.push(Plan::document(chosen.repo.id, version, &link.signed));
        }
        for (key, used) in chosen.keys() {
            if let Some(log) = log_of(&chosen.repo, &key, used, store)? {
                log.add(&chosen.repo, &mut small, &mut large);
                logs.insert((chosen.repo.id, key), log.size);
            }
        }
        for (hash, size) in chosen.blobs() {
            large.push(Item {
                place: Place::Blob(hash),
                size,
                blake3: hash,
            });
        }
    }
    let plan = Plan::new(small, large);
    let holdings = chosen.values().flat_map(Chosen::holdings);
    let named = holdings.map(|holding| holding.blobs.len()).sum();
    check_length(plan.len(), named)?;
    let all = plan.size_bytes();
    let mut out = Out {
        file: io::BufWriter::with_capacity(1 << 18, Steady { file: to, at: 0 }),
        written: 0,
        all,
        told: &mut told,
    };
    for piece in plan.pieces() {
        match piece {
            Piece::Bytes(bytes) => out.write(&bytes)?,
            Piece::File(item) => match item.place {
                Place::Blob(hash) => write_blob(&hash, item.size, store, &mut out)?,
                Place::Log { repo, key, .. } => {
                    let size = logs.get(&(repo, key)).copied().unwrap_or_default();
                    each_frame(&repo, &key, size, store, |frames| out.write(frames))?;
                }
                Place::Document { .. } => {}
            },
        }
    }
    out.file.flush().map_err(|e| unwritten(&e))
}

/// What nobody would read is not written.
fn check_length(files: usize, named: usize) -> Result<(), Refused> {
    if files <= FILES_MAX && named <= NAMED_MAX {
        return Ok(());
    }
    let message = format!(
        "a .skep file has at most {FILES_MAX} files, which its releases name {NAMED_MAX} times at \
         most: these are {files}, named {named} times"
    );
    let hint = "export fewer releases into each file";
    Err(refused(Refusal::Failed, message, hint))
}

/// What is written of a repository.
struct Chosen {
    repo: Arc<RepoSnapshot>,
    view: Arc<View>,
    releases: BTreeMap<(Name, Version), Sha256>,
}

/// Adds what a reference means.
fn choose(
    reference: &str,
    snapshot: &Snapshot,
    chosen: &mut BTreeMap<RepoId, Chosen>,
) -> Result<(), Refused> {
    let of_repo = |repo: &RepoRef| {
        let found = snapshot.repo(repo).cloned();
        let view = found.as_ref().and_then(|repo| repo.view.clone());
        found.zip(view).ok_or_else(|| {
            let message = format!(
                "this node does not follow a repository `{repo}`, or knows nothing of it yet"
            );
            refused(Refusal::NotFound, message, "skep repo")
        })
    };
    let mut add =
        |repo: Arc<RepoSnapshot>, view: Arc<View>, releases: Vec<(Name, Version, Sha256)>| {
            let chosen = chosen.entry(repo.id).or_insert_with(|| Chosen {
                repo,
                view,
                releases: BTreeMap::new(),
            });
            let releases = releases
                .into_iter()
                .map(|(name, version, manifest)| ((name, version), manifest));
            chosen.releases.extend(releases);
        };
    if reference.contains('*') {
        let (repo, glob) = glob_of(reference)?;
        let (repo, view) = of_repo(&repo)?;
        let releases = held_matching(&repo, &view, &glob);
        if releases.is_empty() {
            let message = format!("no release of `{reference}` is held here");
            return Err(refused(
                Refusal::NotFound,
                message,
                "skep info REPO/NAME; skep get REPO/NAME fetches it",
            ));
        }
        add(repo, view, releases);
        return Ok(());
    }
    let package: PackageRef = reference.parse().map_err(|e| {
        refused(
            Refusal::Failed,
            crate::in_words(&e),
            "skep bundle export REPO/NAME -o FILE",
        )
    })?;
    let (repo, view) = of_repo(&package.repo)?;
    let (version, manifest) = resolve(&repo, &package.name, package.requirement.as_ref())?;
    if !repo.holdings.contains_key(&manifest) {
        let exact = format!("{}/{}@{version}", repo.called(), package.name);
        let message = format!("not every file of `{exact}` is here");
        return Err(refused(
            Refusal::NotFound,
            message,
            &format!("skep get {exact}"),
        ));
    }
    add(repo, view, vec![(package.name, version, manifest)]);
    Ok(())
}

/// `REPO/GLOB`.
fn glob_of(reference: &str) -> Result<(RepoRef, Glob), Refused> {
    let parts = reference.split_once('/');
    let parsed = parts.and_then(|(repo, glob)| Some((repo.parse().ok()?, glob.parse().ok()?)));
    parsed.ok_or_else(|| {
        let message =
            format!("`{reference}` is not REPO/GLOB, where `*` stands for any run of characters");
        refused(
            Refusal::Failed,
            message,
            "skep bundle export 'REPO/*' -o FILE",
        )
    })
}

/// The release that a reference means, whoever trusts it: what is carried is judged where it is used.
fn resolve(
    repo: &RepoSnapshot,
    name: &Name,
    requirement: Option<&Requirement>,
) -> Result<(Version, Sha256), Refused> {
    let asked = Asked {
        normal: true,
        allow_yanked: false,
        accept_change: true,
        admitted_before: None,
    };
    let resolved = repo.resolve(name, requirement, &asked).map_err(|e| {
        let hint = format!("skep repo show {}", repo.called());
        refused(Refusal::NotFound, e.to_string(), &hint)
    })?;
    Ok((resolved.subject.version, resolved.subject.manifest))
}

/// Every release that is held of the packages that fit.
fn held_matching(repo: &RepoSnapshot, view: &View, glob: &Glob) -> Vec<(Name, Version, Sha256)> {
    let mut releases = Vec::new();
    let packages = view.packages.values();
    for package in packages.filter(|package| glob.matches(&package.name)) {
        for (version, release) in &package.releases {
            let held = release
                .listed()
                .filter(|manifest| repo.holdings.contains_key(manifest));
            releases.extend(held.map(|manifest| (package.name.clone(), version.clone(), manifest)));
        }
    }
    releases
}

impl Chosen {
    /// What nobody could check is not written.
    fn check(&self) -> Result<(), Refused> {
        if *self.repo.chain.state() == State::Ok && self.repo.paused.is_none() {
            return Ok(());
        }
        let called = self.repo.called();
        let message = format!("`{called}` is in doubt: {}", self.repo.state_text());
        Err(refused(
            Refusal::Failed,
            message,
            &format!("skep repo show {called}"),
        ))
    }

    fn blobs(&self) -> BTreeSet<(Blake3, u64)> {
        let holdings = self.holdings();
        holdings
            .flat_map(|holding| holding.blobs.iter().copied())
            .collect()
    }

    fn holdings(&self) -> impl Iterator<Item = &Holding> {
        let manifests = self.releases.values();
        manifests.filter_map(|manifest| self.repo.holdings.get(manifest))
    }

    /// Whose logs the releases and what is said against them need: every registrar's, and those of the
    /// owners, approvers and advisors.
    fn keys(&self) -> BTreeMap<Key, LogUse> {
        let authority = &self.view.authority;
        let names = self.releases.keys().map(|(name, _)| name);
        let owners: BTreeSet<_> = names
            .filter_map(|name| Some(self.view.package(name)?.owner))
            .collect();
        let speaks = |role: &Role| matches!(role, Role::Approver | Role::Advisor);
        let handles = authority.handles.values();
        let handles = handles.filter(|h| owners.contains(&h.id) || h.roles.iter().any(speaks));
        let registrars = authority.sequence.registrars.iter().map(|(key, _)| *key);
        let keys = registrars.chain(handles.flat_map(|handle| handle.least.keys().copied()));
        keys.filter_map(|key| Some((key, use_of(&self.view, &key)?)))
            .collect()
    }
}

/// A log as it is written: up to where it counts.
struct LogFiles {
    key: Key,
    checkpoint: Checkpoint,
    proof: Vec<Sha256>,
    /// How many entries, and how long and which they are as frames.
    size: u64,
    frames_bytes: u64,
    frames_hash: Blake3,
}

fn log_of(
    repo: &RepoSnapshot,
    key: &Key,
    used: LogUse,
    store: &dyn Store,
) -> Result<Option<LogFiles>, Refused> {
    let Some(position) = repo.logs.get(key) else {
        return Ok(None);
    };
    let whole = position.whole.as_ref();
    let (checkpoint, size, proof) = match (used, whole, &position.cut) {
        (LogUse::Whole, Some(whole), _) => (whole, whole.size, None),
        (LogUse::UpTo { size: 0, .. }, ..) => return Ok(None),
        (LogUse::UpTo { size, .. }, Some(whole), _) if size <= whole.size => (whole, size, None),
        (LogUse::UpTo { size, .. }, _, Some(cut)) if cut.mark.size == size => {
            (&cut.checkpoint, size, Some(cut.proof.clone()))
        }
        // Nothing of it counts, or is whole.
        _ => return Ok(None),
    };
    let mut tree = Tree::new();
    let mut lister = GroupLister::new();
    let read_to = if proof.is_some() {
        size
    } else {
        checkpoint.size
    };
    let mut frames_bytes = 0;
    each_entry(&repo.id, key, read_to, store, |entry| {
        if tree.size() < size {
            let mut frame = Vec::with_capacity(entry.len() + 2);
            Frames::write(entry, &mut frame);
            frames_bytes += frame.len() as u64;
            // Below what a blob may have, as every log is.
            drop(lister.update(&frame));
        }
        tree.push(tree::leaf(entry));
        Ok(())
    })?;
    let proof = match proof {
        Some(proof) => proof,
        None if size < checkpoint.size => tree
            .consistency_proof(size, checkpoint.size)
            .unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(Some(LogFiles {
        key: *key,
        checkpoint: checkpoint.clone(),
        proof,
        size,
        frames_bytes,
        frames_hash: *lister.finish().hash(),
    }))
}

impl LogFiles {
    fn add(&self, repo: &RepoSnapshot, small: &mut Vec<(Place, Vec<u8>)>, large: &mut Vec<Item>) {
        let place = |part| Place::Log {
            repo: repo.id,
            key: self.key,
            part,
        };
        let links = repo.chain.links().iter().rev();
        let witnesses = links.filter_map(|link| link.document.witnesses.as_ref());
        let names: Vec<(String, Key)> = witnesses
            .flat_map(|witnesses| &witnesses.keys)
            .map(|witness| (witness.name.clone(), witness.key))
            .collect();
        let note = self.checkpoint.to_note(&repo.id, &names);
        small.push((place(LogPart::Checkpoint), note.into_bytes()));
        large.push(Item {
            place: place(LogPart::Entries),
            size: self.frames_bytes,
            blake3: self.frames_hash,
        });
        if !self.proof.is_empty() {
            let hashes = self.proof.iter().flat_map(|hash| *hash.as_bytes());
            small.push((place(LogPart::Proof), hashes.collect()));
        }
    }
}

fn each_entry(
    repo: &RepoId,
    key: &Key,
    size: u64,
    store: &dyn Store,
    mut each: impl FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut from = 0;
    while from < size {
        let to = size.min(from + ENTRIES_AT_ONCE);
        let entries = store.entries(repo, key, from, to);
        let entries =
            entries.map_err(|e| refused(Refusal::Failed, crate::in_words(&e), "skep doctor"))?;
        if entries.is_empty() {
            return Err(spoiled(
                "the log of a key ends before its checkpoint".to_owned(),
            ));
        }
        from += entries.len() as u64;
        entries.iter().try_for_each(|entry| each(entry))?;
    }
    Ok(())
}

fn each_frame(
    repo: &RepoId,
    key: &Key,
    size: u64,
    store: &dyn Store,
    mut each: impl FnMut(&[u8]) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut frame = Vec::new();
    each_entry(repo, key, size, store, |entry| {
        frame.clear();
        Frames::write(entry, &mut frame);
        each(&frame)
    })
}

/// Each group is verified when it is read: nothing that the disk spoiled is written.
fn write_blob(
    hash: &Blake3,
    size: u64,
    store: &dyn Store,
    out: &mut Out<'_>,
) -> Result<(), Refused> {
    for index in 0..group_count(size) {
        let group = store.read_group(hash, index);
        let group = group.map_err(|e| spoiled(crate::in_words(&e)))?;
        let group = group.ok_or_else(|| spoiled(format!("the blob {hash} is not whole")))?;
        out.write(&group)?;
    }
    Ok(())
}

/// A file that the medium is at work with while it is written: who asked for it waits for an fsync.
struct Steady {
    file: File,
    at: u64,
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        write_back(&self.file, self.at, written as u64);
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Out<'a> {
    file: io::BufWriter<Steady>,
    written: u64,
    all: u64,
    told: &'a mut dyn FnMut(u64, u64) -> Result<(), Refused>,
}

impl Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.file.write_all(bytes).map_err(|e| unwritten(&e))?;
        self.written += bytes.len() as u64;
        (self.told)(self.written, self.all)
    }
}

fn unwritten(error: &io::Error) -> Refused {
    let message = format!("the file cannot be written: {error}");
    refused(
        Refusal::Failed,
        message,
        "make room, or name a file on another disk",
    )
}

fn spoiled(message: String) -> Refused {
    refused(
        Refusal::Failed,
        message,
        "skep doctor; what is fetched again can be written",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_not_be_read_is_not_written() {
        assert_eq!(check_length(FILES_MAX, NAMED_MAX), Ok(()));
        for (files, named) in [(FILES_MAX + 1, 0), (0, NAMED_MAX + 1)] {
            let refused = check_length(files, named).expect_err("too long");
            assert!(refused.hint.is_some(), "{}", refused.message);
        }
    }
}
