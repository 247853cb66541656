//! The mirror at work: what the plan misses is fetched, what it lets go is forgotten and removed.
//! Trusted or not: trust is asked at use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use skep_proto::hash::{Blake3, Sha256};
use tokio::sync::watch;

use crate::core::{Command, HoldingReason, Input};
use crate::driver::Handle;
use crate::gc;
use crate::mirror::{self, At, Line, Plan, Repo, State, Why};
use crate::obtain::{Wanted, done, obtain, size_bytes};
use crate::snapshot::Snapshot;
use crate::store::Store;

/// How long a release that could not be fetched, or let go, is left alone.
const RETRY: Duration = Duration::from_secs(30);
/// How long after the start what nobody holds is looked for, and again: not in the way of a start,
/// nor of a command that runs a node for a moment.
const SWEEP_AFTER: Duration = Duration::from_secs(600);
const SWEEP_EVERY: Duration = Duration::from_secs(86_400);

/// What the keeper has found out, for whoever asks how far it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// Of releases that are not here, in bytes, by manifest.
    sizes: BTreeMap<Sha256, u64>,
    failed: BTreeMap<Wanted, (Instant, String)>,
}

impl Notes {
    pub(crate) fn size_bytes(&self, manifest: &Sha256) -> Option<u64> {
        self.lock().sizes.get(manifest).copied()
    }

    pub(crate) fn learn_size(&self, manifest: Sha256, size_bytes: u64) {
        self.lock().sizes.insert(manifest, size_bytes);
    }

    /// Why the last attempt at a release failed.
    pub(crate) fn why(&self, wanted: &Wanted) -> Option<String> {
        let noted = self.lock();
        noted.failed.get(wanted).map(|(_, why)| why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps, and by which limit.
pub(crate) struct Keeper {
    pub(crate) node: Handle,
    pub(crate) store: Arc<dyn Store>,
    /// The most that all releases may have together, in bytes.
    pub(crate) quota: Option<u64>,
    pub(crate) notes: Notes,
}

/// What is to be done next.
enum Next {
    LetGo(Vec<Wanted>),
    Measure(Vec<Wanted>),
    Obtain(Wanted),
    Nothing,
}

impl Keeper {
    /// Keeps to the plan whenever readers see something else, until `stop`.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut peers = Vec::new();
        let mut sweep_at = Instant::now() + SWEEP_AFTER;
        loop {
            let snapshot = self.node.snapshot();
            if snapshot.peers != peers {
                // Somebody new may have what nobody had.
                self.notes.lock().failed.clear();
                peers.clone_from(&snapshot.peers);
            }
            let next = self.next(&snapshot);
            let is_idle = matches!(next, Next::Nothing);
            tokio::select! {
                _ = stop.changed() => return,
                () = self.act(next, &snapshot) => {}
            }
            if !is_idle {
                continue;
            }
            let retry = !self.notes.lock().failed.is_empty();
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(RETRY), if retry => self.forget_old_failures(),
                () = tokio::time::sleep_until(sweep_at.into()) => {
                    self.sweep().await;
                    sweep_at = Instant::now() + SWEEP_EVERY;
                }
                alive = self.node.changed() => if !alive { return },
            }
        }
    }

    fn forget_old_failures(&self) {
        let now = Instant::now();
        let mut noted = self.notes.lock();
        noted
            .failed
            .retain(|_, (at, _)| now.duration_since(*at) < RETRY);
    }

    fn next(&self, snapshot: &Snapshot) -> Next {
        if snapshot.read_only.is_some() || !has_work(snapshot) {
            return Next::Nothing;
        }
        let size_of = |manifest: &Sha256| self.notes.size_bytes(manifest);
        let (repos, other_bytes) = mirror::survey(snapshot, &size_of);
        let plan = mirror::plan(&repos, other_bytes, self.quota);
        let untried = |wanted: &Wanted| !self.notes.lock().failed.contains_key(wanted);
        let all = |state: State| -> Vec<Wanted> {
            let all = in_state(&plan, &repos, state).into_iter();
            all.filter(untried).collect()
        };
        let leaving = all(State::Leaves { now: true });
        if !leaving.is_empty() {
            return Next::LetGo(leaving);
        }
        let unsized_ = all(State::Unsized);
        if !unsized_.is_empty() {
            return Next::Measure(unsized_);
        }
        let mut missing = all(State::Missing).into_iter();
        missing.next().map_or(Next::Nothing, Next::Obtain)
    }

    async fn act(&self, next: Next, snapshot: &Snapshot) {
        match next {
            Next::LetGo(releases) => self.let_go(releases, snapshot).await,
            Next::Measure(releases) => {
                for wanted in releases {
                    match size_bytes(&wanted, snapshot, &self.node, &self.store).await {
                        Ok(size_bytes) => self.notes.learn_size(wanted.manifest, size_bytes),
                        Err(why) => self.failed(wanted, "could not learn the size of", why),
                    }
                }
            }
            Next::Obtain(wanted) => {
                let why = HoldingReason::Kept;
                let kept = obtain(&wanted, why, snapshot, &self.node, &self.store).await;
                if let Err(why) = kept {
                    self.failed(wanted, "could not keep yet", why);
                }
            }
            Next::Nothing => {}
        }
    }

    fn failed(&self, wanted: Wanted, what: &str, why: String) {
        tracing::info!(release = %wanted, why, "{what} a release");
        self.notes
            .lock()
            .failed
            .insert(wanted, (Instant::now(), why));
    }

    /// Forgets that these are kept, durably; then removes what they alone had.
    async fn let_go(&self, releases: Vec<Wanted>, snapshot: &Snapshot) {
        let mut blobs: BTreeMap<Blake3, u64> = BTreeMap::new();
        for wanted in releases {
            let let_go = Command::LetGo {
                repo: wanted.repo,
                manifest: wanted.manifest,
                why: HoldingReason::Kept,
            };
            let gone = done(self.node.ask(|id| Input::Command(id, let_go)).await);
            match gone {
                Ok(()) => {
                    tracing::info!(release = %wanted, "no rule keeps a release any more");
                    let repo = snapshot.repos().find(|repo| repo.id == wanted.repo);
                    let holding = repo.and_then(|repo| repo.holdings.get(&wanted.manifest));
                    blobs.extend(
                        holding
                            .iter()
                            .flat_map(|holding| holding.blobs.iter().copied()),
                    );
                }
                Err(why) => self.failed(wanted, "could not let go", why),
            }
        }
        let (node, store) = (self.node.clone(), Arc::clone(&self.store));
        let removed =
            tokio::task::spawn_blocking(move || gc::remove(&blobs, &node, store.as_ref()));
        tell(removed.await);
    }

    async fn sweep(&self) {
        let (node, store) = (self.node.clone(), Arc::clone(&self.store));
        let swept = tokio::task::spawn_blocking(move || {
            gc::sweep(gc::ABANDONED, false, &node, store.as_ref())
        });
        tell(swept.await);
    }
}

fn tell(collected: Result<Result<gc::Collected, gc::Error>, tokio::task::JoinError>) {
    match collected {
        Ok(Ok(gc::Collected { blobs: 0, .. })) => {}
        Ok(Ok(gc::Collected {
            blobs, size_bytes, ..
        })) => {
            tracing::info!(blobs, size_bytes, "removed what nobody keeps");
        }
        Ok(Err(error)) => {
            tracing::warn!(why = crate::in_words(&error), "nothing more is removed");
        }
        Err(error) => tracing::error!(%error, "removing what nobody keeps broke off"),
    }
}

/// Whether any rule asks for something, or something is here because one did.
fn has_work(snapshot: &Snapshot) -> bool {
    snapshot.repos().any(|repo| {
        let file = repo.settings.as_ref().map(|(_, file)| file);
        let asks = file.is_some_and(|file| !file.keep.is_empty() || !file.kept.is_empty());
        let is_kept = |why: HoldingReason| why.without(HoldingReason::Kept) != Some(why);
        asks || repo.holdings.values().any(|holding| is_kept(holding.why))
    })
}

/// What a plan says of: what was named first, then by repository and name, the newest first.
fn in_state(plan: &Plan, repos: &[Repo<'_>], state: State) -> Vec<Wanted> {
    let of_state = plan.lines.iter().filter(|(_, line)| line.state == state);
    let mut of_state: Vec<(&At, &Line)> = of_state.collect();
    of_state.sort_by_key(|(at, line)| {
        let release = &repos[at.repo].releases[at.release];
        let newest_first = std::cmp::Reverse(release.version);
        (line.why != Why::Named, at.repo, release.name, newest_first)
    });
    let wanted = |(at, _): (&At, &Line)| Wanted::of(repos, *at);
    of_state.into_iter().map(wanted).collect()
}

impl Wanted {
    /// A release of a survey.
    pub(crate) fn of(repos: &[Repo<'_>], at: At) -> Self {
        let repo = &repos[at.repo];
        let release = &repo.releases[at.release];
        Self {
            repo: repo.id,
            name: release.name.clone(),
            version: release.version.clone(),
            manifest: release.manifest,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{}", self.repo, self.name, self.version)
    }
}
