//! What keep rules ask for, fetched: every listed release that fits, trusted or not. Trust is asked
//! at use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_proto::hash::Sha256;
use tokio::sync::watch;

use crate::core::HoldingReason;
use crate::driver::Handle;
use crate::obtain::{Wanted, obtain};
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;

/// How long a release that could not be fetched is left alone.
const RETRY: Duration = Duration::from_secs(30);

/// Fetches what is missing whenever readers see something else, until `stop`.
pub(crate) async fn run(mut node: Handle, store: Arc<dyn Store>, mut stop: watch::Receiver<bool>) {
    let mut failed: BTreeMap<Wanted, Instant> = BTreeMap::new();
    let mut peers = Vec::new();
    loop {
        let now = Instant::now();
        failed.retain(|_, at| now.duration_since(*at) < RETRY);
        let snapshot = node.snapshot();
        if snapshot.peers != peers {
            // Somebody new may have what nobody had.
            failed.clear();
            peers.clone_from(&snapshot.peers);
        }
        let missing = missing(&snapshot);
        let next = missing
            .into_iter()
            .find(|wanted| !failed.contains_key(wanted));
        let work = async {
            match &next {
                Some(wanted) => obtain(wanted, HoldingReason::Kept, &snapshot, &node, &store).await,
                None => Ok(()),
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            kept = work => {
                if let (Some(wanted), Err(why)) = (next, kept) {
                    tracing::info!(
                        release = %format!("{}/{}@{}", wanted.repo, wanted.name, wanted.version),
                        why, "could not keep a release yet"
                    );
                    failed.insert(wanted, Instant::now());
                    continue;
                } else if !missing_is_done(&node, &failed) {
                    continue;
                }
            }
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(RETRY), if !failed.is_empty() => {}
            alive = node.changed() => if !alive { return },
        }
    }
}

fn missing_is_done(node: &Handle, failed: &BTreeMap<Wanted, Instant>) -> bool {
    let missing = missing(&node.snapshot());
    missing.iter().all(|wanted| failed.contains_key(wanted))
}

/// Releases that some rule wants and that are not kept yet.
fn missing(snapshot: &Snapshot) -> Vec<Wanted> {
    snapshot.repos().flat_map(|repo| missing_of(repo)).collect()
}

fn missing_of(repo: &RepoSnapshot) -> Vec<Wanted> {
    let (Some((_, file)), Some(view)) = (&repo.settings, repo.view.as_deref()) else {
        return Vec::new();
    };
    let Some(keep) = &file.keep else {
        return Vec::new();
    };
    let newest = usize::try_from(keep.newest).unwrap_or(usize::MAX);
    let is_kept = |manifest: &Sha256| {
        let holding = repo.holdings.get(manifest);
        holding.is_some_and(|holding| holding.why >= HoldingReason::Kept)
    };
    let of_package = view.packages.values().flat_map(|package| {
        let releases = package.releases.iter().rev();
        let listed = releases.filter_map(|(version, release)| Some((version, release.listed()?)));
        listed.take(newest).map(|(version, manifest)| Wanted {
            repo: repo.id,
            name: package.name.clone(),
            version: version.clone(),
            manifest,
        })
    });
    of_package
        .filter(|wanted| !is_kept(&wanted.manifest))
        .collect()
}
