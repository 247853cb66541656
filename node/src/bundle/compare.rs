//! What a .skep file is beside what is held: new, the same, older, or another history.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use skep_proto::bundle::{Carried, Checked, Log};
use skep_proto::control::{Bundle, BundleRelease, BundleRepo, FactOutcome, Refusal, Refused};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::tree::{self, Edge};
use skep_proto::name::{RepoRef, Requirement};
use skep_proto::trust::Asked;

use super::refused;
use super::yanks::{InFile, held_reasons, yanked};
use crate::snapshot::{LogPosition, RepoSnapshot, Snapshot, facts};
use crate::store::Store;

/// Entries of a log that are read from the store at a time.
const ENTRIES_AT_ONCE: u64 = 256;

/// What of a file is new here.
///
/// # Errors
/// A history that contradicts the one held.
pub(crate) fn compare(
    file: &File,
    checked: &Checked,
    snapshot: &Snapshot,
    store: &dyn Store,
) -> Result<Bundle, Refused> {
    let mut report = checked.report();
    for repo in &mut report.repos {
        let carried = &checked.repos[&repo.id];
        let held = snapshot.repo(&RepoRef::Id(repo.id));
        if let Some(held) = held {
            compare_repo(repo, carried, held, store)?;
        }
        let would_be = would_be(&repo.id, carried, held);
        judge(repo, &would_be);
        let before = held.and_then(|held| held.view.as_deref());
        let mut entries = InFile::new(file, carried);
        repo.yanked = yanked(&carried.view, before, |_, release| entries.reasons(release));
        // Also of one that is no longer followed.
        let stored = snapshot.stored().find(|stored| stored.id == repo.id);
        for release in repo.releases.iter_mut() {
            release.held = stored.is_some_and(|of| of.holdings.contains_key(&release.manifest));
        }
    }
    for blob in &checked.blobs {
        let held = store.blob(blob.list.hash());
        let held = held.map_err(|e| failed(&e))?;
        if held.is_some_and(|held| held.size == blob.list.size()) {
            report.new_files -= 1;
            report.new_bytes -= blob.list.size();
        }
    }
    Ok(report)
}

fn compare_repo(
    repo: &mut BundleRepo,
    carried: &Carried,
    held: &RepoSnapshot,
    store: &dyn Store,
) -> Result<(), Refused> {
    repo.alias = held.alias().cloned();
    let (ours, theirs) = (held.chain.links(), carried.chain.links());
    if let Some((ours, _)) = ours.iter().zip(theirs).find(|(a, b)| a.sha256 != b.sha256) {
        let what = format!("root document {}", ours.document.version);
        return Err(other_history(repo, &what));
    }
    let pin = held.settings.as_ref().map(|(_, file)| file.root);
    if let Some(pin) = pin {
        let at = usize::try_from(pin.version).unwrap_or(usize::MAX);
        match at.checked_sub(1).and_then(|at| theirs.get(at)) {
            Some(theirs) if theirs.sha256 != pin.sha256 => {
                let what = format!("root document {}, which is pinned,", pin.version);
                return Err(other_history(repo, &what));
            }
            _ => {}
        }
    }
    repo.new_documents = theirs.len().saturating_sub(ours.len()) as u64;
    if theirs.len() < ours.len() {
        let (theirs, ours) = (theirs.len(), ours.len());
        repo.behind.push(format!(
            "its latest root document is {theirs}, and {ours} is held"
        ));
    }
    repo.new_entries = 0;
    for (key, log) in &carried.logs {
        let Some(position) = held.logs.get(key) else {
            repo.new_entries += log.facts.len() as u64;
            continue;
        };
        match standing(&repo.id, key, log, position, store)? {
            Standing::Ahead(entries) => repo.new_entries += entries,
            Standing::Same => {}
            Standing::Behind { theirs, ours } => repo.behind.push(format!(
                "the log of {} has {theirs} entries in it, and {ours} are held",
                key.fingerprint()
            )),
            Standing::Other => {
                let what = format!("the log of {}", key.fingerprint());
                return Err(other_history(repo, &what));
            }
        }
    }
    Ok(())
}

/// How a log in a file stands to the one held.
enum Standing {
    Ahead(u64),
    Same,
    Behind { theirs: u64, ours: u64 },
    Other,
}

fn standing(
    repo: &RepoId,
    key: &Key,
    log: &Log,
    position: &LogPosition,
    store: &dyn Store,
) -> Result<Standing, Refused> {
    let theirs = log.facts.len() as u64;
    let whole = position
        .whole
        .as_ref()
        .map(|whole| (whole.size, whole.root));
    let cut = position
        .cut
        .as_ref()
        .map(|cut| (cut.mark.size, cut.mark.root));
    // A remainder beyond is nobody's word yet.
    let Some((ours, root)) = whole.max(cut) else {
        return Ok(Standing::Ahead(theirs.saturating_sub(position.size)));
    };
    if ours <= theirs {
        let same = log.facts.matches(ours, root);
        let new = theirs.saturating_sub(position.size.max(ours));
        return Ok(match same {
            true if ours == theirs => Standing::Same,
            true => Standing::Ahead(new),
            false => Standing::Other,
        });
    }
    if root_at(repo, key, theirs, store)? != log.facts.tree().root_at(theirs) {
        return Ok(Standing::Other);
    }
    // A cut ends it there: nothing that counts is missing.
    Ok(match theirs < log.checkpoint.size {
        true => Standing::Same,
        false => Standing::Behind { theirs, ours },
    })
}

/// The root of the first `size` entries that the store has of a log.
fn root_at(
    repo: &RepoId,
    key: &Key,
    size: u64,
    store: &dyn Store,
) -> Result<Option<Sha256>, Refused> {
    let mut edge = Edge::new();
    while edge.size() < size {
        let to = size.min(edge.size() + ENTRIES_AT_ONCE);
        let entries = store.entries(repo, key, edge.size(), to);
        let entries = entries.map_err(|e| failed(&e))?;
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in &entries {
            edge.push(tree::leaf(entry));
        }
    }
    Ok(Some(edge.root()))
}

/// The repository as it would be if only the file were known, with this node's rules.
fn would_be(id: &RepoId, carried: &Carried, held: Option<&Arc<RepoSnapshot>>) -> RepoSnapshot {
    RepoSnapshot {
        id: *id,
        settings: held.and_then(|held| held.settings.clone()),
        chain: Arc::new(carried.chain.clone()),
        view: Some(Arc::new(carried.view.clone())),
        view_hash: Some(carried.view.hash),
        paused: None,
        holdings: Arc::default(),
        offered: Arc::default(),
        admitted: held
            .map(|held| Arc::clone(&held.admitted))
            .unwrap_or_default(),
        restrictions: held
            .map(|held| Arc::clone(&held.restrictions))
            .unwrap_or_default(),
        logs: BTreeMap::new(),
    }
}

/// What this node's policy says of each release.
fn judge(repo: &mut BundleRepo, snapshot: &RepoSnapshot) {
    for release in &mut repo.releases {
        judge_release(release, snapshot);
    }
}

fn judge_release(release: &mut BundleRelease, snapshot: &RepoSnapshot) {
    let asked = Asked {
        normal: false,
        allow_yanked: false,
        accept_change: false,
        admitted_before: None,
    };
    let exact: Option<Requirement> = release.line.version.to_string().parse().ok();
    let Ok(resolved) = snapshot.resolve(&release.name, exact.as_ref(), &asked) else {
        return;
    };
    release.admitted = Some(resolved.decision.admitted);
    let facts = facts(&resolved.decision);
    let failed = facts
        .into_iter()
        .filter(|fact| fact.outcome == FactOutcome::Fail);
    release.why = failed
        .map(|fact| format!("{}: {}", fact.check, fact.text))
        .collect();
}

/// What became of a repository: what is said of its releases now, and what was yanked.
pub(crate) fn after(
    repo: &mut BundleRepo,
    now: &RepoSnapshot,
    before: Option<&RepoSnapshot>,
    store: &dyn Store,
) {
    judge(repo, now);
    if let Some(view) = now.view.as_deref() {
        let before = before.and_then(|before| before.view.as_deref());
        repo.yanked = yanked(view, before, |package, release| {
            held_reasons(now, store, package, release)
        });
    }
}

fn other_history(repo: &BundleRepo, what: &str) -> Refused {
    let called = repo
        .alias
        .as_ref()
        .map_or(repo.id.to_string(), ToString::to_string);
    let message = format!(
        "the file is of another history of `{called}` than the one held here: {what} is another one"
    );
    let hint =
        format!("somebody signed twice: ask whoever owns the repository; skep repo show {called}");
    refused(Refusal::Untrusted, message, &hint)
}

fn failed(error: &crate::store::Error) -> Refused {
    refused(Refusal::Failed, crate::in_words(error), "skep doctor")
}
