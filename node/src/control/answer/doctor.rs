//! What `doctor` asks of a node: its store, a sample of it read again, and its repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::seq::IndexedRandom as _;
use skep_proto::blob::group_count;
use skep_proto::control::{Check, Damaged, Doctor, RepoLine, Response, Sample, Space};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::name::RepoRef;

use super::Answers;
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;

/// Files that are read again: enough that a store which loses one in twenty is found out nine times
/// of ten.
const SAMPLE_FILES_MAX: usize = 50;
/// Bytes that are read again: some seconds of a slow disk.
const SAMPLE_BYTES_MAX: u64 = 256 << 20;

impl Answers {
    pub(super) fn doctor(&self) -> Response {
        let snapshot = self.node.snapshot();
        let mut checks = Vec::new();
        let space = match self.store.space() {
            Ok(space) => Some(Space {
                used_bytes: space.used,
                free_bytes: space.free,
            }),
            Err(error) => {
                let hint = format!("ls -ld {}", self.config.store.display());
                checks.push(Check::failed("store", crate::in_words(&error), hint));
                None
            }
        };
        if let Some(why) = &snapshot.read_only {
            let hint = format!("df -h {}", self.config.store.display());
            checks.push(Check::failed("store", format!("read-only: {why}"), hint));
        }
        checks.extend(
            snapshot
                .repos()
                .map(|repo| repository(repo, &self.line(repo))),
        );
        checks.extend(self.stopped_checks());
        // Before the sample, which says itself what it finds.
        checks.extend(self.set_aside(&snapshot));
        let held: BTreeMap<Blake3, u64> = snapshot.repos().flat_map(|repo| repo.held()).collect();
        let mut sample = sample(
            &held,
            SAMPLE_FILES_MAX,
            SAMPLE_BYTES_MAX,
            self.store.as_ref(),
        );
        // What was let go while it was read is no longer missed.
        let snapshot = self.node.snapshot();
        let held: BTreeSet<Blake3> = snapshot
            .repos()
            .flat_map(|repo| repo.held().into_keys())
            .collect();
        sample
            .damaged
            .retain(|damaged| held.contains(&damaged.hash));
        for damaged in &mut sample.damaged {
            damaged.release = release_with(&damaged.hash, &snapshot);
        }
        Response::Doctor(Doctor {
            space,
            sample,
            checks,
        })
    }
}

impl Answers {
    /// What the medium spoiled, for as long as it is kept.
    fn set_aside(&self, snapshot: &Snapshot) -> Vec<Check> {
        let paths = match self.store.damaged() {
            Ok(paths) => paths,
            Err(error) => {
                let hint = format!("ls -l {}", self.config.store.display());
                return vec![Check::failed("damaged", crate::in_words(&error), hint)];
            }
        };
        let check = |path: &PathBuf| {
            let found = self.spoiled(path, snapshot);
            let text = format!("the disk spoiled {found}; kept in {}", path.display());
            let hint = format!(
                "when nothing of it is missed any more: rm -r {}",
                path.display()
            );
            Check::failed("damaged", text, hint)
        };
        paths.iter().map(check).collect()
    }

    /// Whose logs of a repository were set aside.
    pub(super) fn spoiled_logs(&self, repo: &RepoSnapshot) -> Vec<Key> {
        let id = repo.id.to_string();
        // That the folder cannot be read is `doctor`'s to say.
        let paths = self.store.damaged().unwrap_or_default();
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        let of_repo = names.filter_map(|name| name.strip_prefix(&id)?.strip_prefix('-'));
        of_repo.filter_map(log_key).collect()
    }

    /// What something that was set aside is, and what is here in its place.
    fn spoiled(&self, path: &Path, snapshot: &Snapshot) -> String {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if let Ok(hash) = name.parse::<Blake3>() {
            let what = match release_with(&hash, snapshot) {
                Some(release) => format!("a file of {release}"),
                None => "a file".to_owned(),
            };
            return match self.store.blob(&hash) {
                Ok(Some(_)) => format!("{what}, and a good one is here again"),
                _ => format!("{what}, and it is not here again yet"),
            };
        }
        let Some((repo, rest)) = name.split_once('-') else {
            return "a file".to_owned();
        };
        let repo = repo
            .parse::<RepoId>()
            .ok()
            .and_then(|id| snapshot.repo(&RepoRef::Id(id)));
        let Some(repo) = repo else {
            return "something of a repository that is not followed".to_owned();
        };
        let called = repo.called();
        match log_key(rest) {
            Some(key) => format!(
                "the log of {} in {called}, of which {} entries are here",
                key.fingerprint(),
                repo.logs.get(&key).map_or(0, |position| position.size)
            ),
            None if rest.starts_with("holding-") => format!(
                "that a release of {called} is held, which is said again by who gets or publishes it"
            ),
            None if rest.starts_with("roots-") => format!("a root document of {called}"),
            None => format!("something remembered of {called}"),
        }
    }
}

/// Whose log is kept under `KEY`, or under `KEY.N` if it is not the first one.
fn log_key(name: &str) -> Option<Key> {
    let (key, _) = name.split_once('.').unwrap_or((name, ""));
    key.parse().ok()
}

fn repository(repo: &RepoSnapshot, line: &RepoLine) -> Check {
    let called = repo.called();
    let text = format!(
        "{called}: {}; packages: {}, releases: {}",
        line.state, line.packages, line.releases
    );
    match line.state == "ok" {
        true => Check {
            ok: true,
            what: "repository".to_owned(),
            text,
            hint: None,
        },
        false => Check::failed("repository", text, format!("skep repo show {called}")),
    }
}

/// Reads files chosen by lot, as long as there are bytes left to read. The store verifies what it
/// reads, and sets aside what is damaged.
fn sample(
    held: &BTreeMap<Blake3, u64>,
    files_max: usize,
    bytes_max: u64,
    store: &dyn Store,
) -> Sample {
    let all: Vec<(Blake3, u64)> = held.iter().map(|(hash, size)| (*hash, *size)).collect();
    let mut sample = Sample {
        held: all.len(),
        ..Sample::default()
    };
    for (hash, size) in all.sample(&mut rand::rng(), files_max) {
        if sample.read_bytes >= bytes_max {
            break;
        }
        sample.read += 1;
        for group in 0..group_count(*size) {
            match store.read_group(hash, group) {
                Ok(Some(bytes)) => sample.read_bytes += bytes.len() as u64,
                Ok(None) | Err(_) => {
                    sample.damaged.push(Damaged {
                        hash: *hash,
                        release: None,
                    });
                    break;
                }
            }
            if sample.read_bytes >= bytes_max {
                break;
            }
        }
    }
    sample
}

/// A release that has a file, as it is typed.
fn release_with(hash: &Blake3, snapshot: &Snapshot) -> Option<String> {
    snapshot.repos().find_map(|repo| {
        let holds = repo.holdings.iter().find(|(_, holding)| {
            let mut blobs = holding.blobs.iter();
            blobs.any(|(blob, _)| blob == hash)
        });
        named(repo, holds?.0)
    })
}

fn named(repo: &RepoSnapshot, manifest: &Sha256) -> Option<String> {
    let packages = repo.view.as_ref()?.packages.values();
    let mut releases = packages.flat_map(|package| {
        let releases = package.releases.iter();
        releases.map(|(version, release)| (&package.name, version, release))
    });
    let (name, version, _) =
        releases.find(|(.., release)| release.claims.contains_key(manifest))?;
    Some(format!("{}/{name}@{version}", repo.called()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    fn with_files(store: &Memory, files: &[&[u8]]) -> BTreeMap<Blake3, u64> {
        let import = |bytes: &&[u8]| {
            let info = store.import(&mut &**bytes).expect("room");
            (info.hash, info.size)
        };
        files.iter().map(import).collect()
    }

    #[test]
    fn a_sample_is_bounded_and_a_file_that_is_gone_is_named() {
        let store = Memory::default();
        let held = with_files(&store, &[&[1; 100], &[2; 200], &[3; 300]]);
        let whole = sample(&held, 3, 1000, &store);
        assert_eq!((whole.held, whole.read, whole.read_bytes), (3, 3, 600));
        assert_eq!(whole.damaged, []);
        assert_eq!(sample(&held, 2, 1000, &store).read, 2);
        assert_eq!(sample(&held, 3, 1, &store).read, 1);

        let (gone, _) = held.first_key_value().expect("three");
        store.remove_blob(gone).expect("removed");
        let damaged = sample(&held, 3, 1000, &store).damaged;
        assert_eq!(damaged.len(), 1);
        assert_eq!(damaged[0].hash, *gone);
    }
}
