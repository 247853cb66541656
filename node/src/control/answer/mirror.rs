//! What is mirrored, what becomes of it, and what nobody needs any more.

mod change;

use std::collections::{BTreeMap, BTreeSet};

use skep_proto::control::{
    self, Collected, Mirror, MirrorLine, MirrorRule, MirrorStay, Refused, Response,
};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::size::Size;
use skep_proto::trust::file;

use super::{Answered, Answers, failed};
use crate::core::{Command, HoldingReason};
use crate::gc;
use crate::mirror::{self, At, Dropped, Limit, Line, Plan, Release, Repo, State, Why};
use crate::obtain::Wanted;
use crate::snapshot::{RepoSnapshot, Snapshot};

/// Most releases in one answer: with names of full length they fit a frame several times.
const LINES_MAX: usize = 10_000;

impl Answers {
    pub(super) fn mirrored(&self) -> Mirror {
        let snapshot = self.node.snapshot();
        let size_of = |manifest: &Sha256| self.notes.size_bytes(manifest);
        let (repos, plan, other_bytes) = loop {
            let (repos, other_bytes) = mirror::survey(&snapshot, &size_of);
            let plan = mirror::plan(&repos, other_bytes, self.config.quota);
            let lines = plan.lines.iter();
            let unsized_ = lines.filter(|(_, line)| line.state == State::Unsized);
            let unsized_: Vec<At> = unsized_.map(|(at, _)| *at).collect();
            // The keeper learns them too, but it may not run, or not have come to it.
            if !self.measure(&snapshot, &repos, &unsized_) {
                break (repos, plan, other_bytes);
            }
        };
        let mut lines: Vec<(At, Line)> = plan.lines.iter().map(|(at, line)| (*at, *line)).collect();
        lines.sort_by_key(|(at, line)| (line.state == State::Here, *at));
        let left_off = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        Mirror {
            quota_bytes: self.config.quota,
            held_bytes: snapshot.held_bytes(),
            planned_bytes: plan.size_bytes,
            stays: stays(&repos, &plan, other_bytes),
            rules: rules(&snapshot, &repos, &plan),
            releases: lines
                .into_iter()
                .map(|(at, line)| self.line_of(&snapshot, &repos, at, line))
                .chain(unlisted(&snapshot, &repos))
                .chain(forgotten(&snapshot, &repos))
                .collect(),
            left_off,
        }
    }

    fn line_of(&self, snapshot: &Snapshot, repos: &[Repo<'_>], at: At, line: Line) -> MirrorLine {
        let repo = &repos[at.repo];
        let release = &repo.releases[at.release];
        let rule = |at: usize| repo.rules[at].names_text();
        let (state, because) = match line.state {
            State::Here => ("here", None),
            State::Missing | State::Unsized => {
                let why = self.notes.why(&Wanted::of(repos, at));
                let otherwise = match self.config.keeps_rules {
                    true => "it is about to be fetched",
                    false => "it is fetched while a node runs",
                };
                ("missing", Some(why.unwrap_or(otherwise.to_owned())))
            }
            State::NoRoom(Limit::Quota) => (
                "no-room",
                Some("it does not fit `quota` of config.toml".to_owned()),
            ),
            State::NoRoom(Limit::Rule(at)) => {
                let most = repo.rules[at].size.unwrap_or(Size(0));
                (
                    "no-room",
                    Some(format!(
                        "it does not fit {most} of the rule for {}",
                        rule(at)
                    )),
                )
            }
            State::Leaves { now: true } => ("leaves", None),
            State::Leaves { now: false } => (
                "leaves",
                Some("it waits until what replaces it is here".to_owned()),
            ),
        };
        MirrorLine {
            release: format!(
                "{}/{}@{}",
                called(snapshot, repo.id),
                release.name,
                release.version
            ),
            size_bytes: release.size_bytes,
            why: match line.why {
                Why::Rule(at) => Some(rule(at)),
                why => stays_by(why).map(str::to_owned),
            },
            state: state.to_owned(),
            because,
        }
    }

    /// Removes what nobody has. Asked for by a person, so what lies there for an hour goes.
    pub(super) fn collect(&self, dry_run: bool, used: bool) -> Answered {
        let snapshot = self.node.snapshot();
        let (repos, _) = mirror::survey(&snapshot, &|_| None);
        let (mut let_go, mut going) = (Vec::new(), BTreeSet::new());
        let mut orders = Vec::new();
        for repo in snapshot.stored().filter(|_| used) {
            let names = names(repo);
            let ruled = ruled(repo, &repos);
            for (manifest, holding) in repo.holdings.iter() {
                let mut left = Some(holding.why);
                for why in reasons_to_go(repo, ruled.contains(manifest)) {
                    let before = left;
                    left = left.and_then(|left| left.without(why));
                    if left != before {
                        let (repo, manifest) = (repo.id, *manifest);
                        orders.push(Command::LetGo {
                            repo,
                            manifest,
                            why,
                        });
                    }
                }
                if left.is_none() {
                    going.insert((repo.id, *manifest));
                }
                if left != Some(holding.why) {
                    let_go.push(called_in(repo, &names, manifest));
                }
            }
        }
        let freed = gc::freed(&snapshot, &going);
        let mut left = gc::Collected {
            blobs: freed.len() as u64,
            size_bytes: freed.values().sum(),
            ..gc::Collected::default()
        };
        if !dry_run {
            for order in orders {
                self.command(order)?;
            }
            left = gc::remove(&freed, &self.node, self.store.as_ref()).map_err(not_removed)?;
        }
        let swept = gc::sweep(gc::FRESH, dry_run, &self.node, self.store.as_ref());
        let swept = swept.map_err(not_removed)?;
        Ok(Response::Collected(Collected {
            files: left.blobs + swept.blobs,
            size_bytes: left.size_bytes + swept.size_bytes,
            fresh_files: swept.fresh,
            fresh_bytes: swept.fresh_bytes,
            let_go,
        }))
    }

    /// Lets go what a person took out of a file: the keeper leaves alone what nothing is about.
    pub(super) fn let_go(&self, id: RepoId, dropped: &[control::Dropped]) -> Answered {
        let dropped = read(dropped)?;
        let snapshot = self.node.snapshot();
        let (repos, _) = mirror::survey(&snapshot, &|_| None);
        let mut going = BTreeSet::new();
        for repo in repos.iter().filter(|repo| repo.id == id) {
            for at in repo.let_go_with(&dropped) {
                let release = &repo.releases[at];
                let manifest = release.manifest;
                let why = HoldingReason::Kept;
                self.command(Command::LetGo {
                    repo: id,
                    manifest,
                    why,
                })?;
                if release.here == Some(why) {
                    going.insert((id, manifest));
                }
            }
        }
        let freed = gc::freed(&snapshot, &going);
        gc::remove(&freed, &self.node, self.store.as_ref()).map_err(not_removed)?;
        Ok(Response::Done)
    }

    /// Forgets a repository that is no longer followed, then removes what it alone had.
    pub(super) fn purge(&self, id: RepoId) -> Answered {
        let snapshot = self.node.snapshot();
        let (mut let_go, mut going) = (Vec::new(), BTreeSet::new());
        for repo in snapshot.stored().filter(|repo| repo.id == id) {
            let names = names(repo);
            for manifest in repo.holdings.keys() {
                let_go.push(called_in(repo, &names, manifest));
                going.insert((id, *manifest));
            }
        }
        let freed = gc::freed(&snapshot, &going);
        self.command(Command::Purge { repo: id })?;
        let removed = gc::remove(&freed, &self.node, self.store.as_ref());
        let removed = removed.map_err(not_removed)?;
        Ok(Response::Collected(Collected {
            files: removed.blobs,
            size_bytes: removed.size_bytes,
            fresh_files: 0,
            fresh_bytes: 0,
            let_go,
        }))
    }
}

/// What a person takes out of a file, as it was asked.
fn read(dropped: &[control::Dropped]) -> Result<Vec<Dropped>, Refused> {
    let read = dropped.iter().map(|it| {
        let names = it.names.parse();
        Ok(Dropped {
            names: names.map_err(|e: file::Error| failed(crate::in_words(&e)))?,
            version: it.version.clone(),
        })
    });
    read.collect()
}

fn not_removed(error: gc::Error) -> Refused {
    let mut refused = failed(format!(
        "nothing more is removed: {}",
        crate::in_words(&error)
    ));
    refused.hint = Some("skep doctor".to_owned());
    refused
}

/// Why a release is here that no rule lets go.
fn stays_by(why: Why) -> Option<&'static str> {
    match why {
        Why::Published => Some("published"),
        Why::Named => Some("named"),
        Why::Used => Some("used"),
        Why::NoRule => Some("no rule"),
        Why::Doubt => Some("doubt"),
        Why::Rule(_) | Why::Nothing => None,
    }
}

/// How much stays whatever rules and quota say, by why. `other_bytes` are of releases that no view
/// lists.
fn stays(repos: &[Repo<'_>], plan: &Plan, other_bytes: u64) -> Vec<MirrorStay> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for (at, line) in &plan.lines {
        let release = &repos[at.repo].releases[at.release];
        let Some(here) = release.here else {
            continue;
        };
        // What a rule wants and somebody uses is still used when no rule wants it any more.
        let by = stays_by(line.why).or(here.is_used().then_some("used"));
        if let Some(by) = by {
            let sum = sizes.entry(by).or_default();
            *sum = sum.saturating_add(release.size_bytes.unwrap_or(0));
        }
    }
    if other_bytes > 0 {
        sizes.insert("unlisted", other_bytes);
    }
    let sizes = sizes.into_iter();
    sizes
        .map(|(why, size_bytes)| MirrorStay {
            why: why.to_owned(),
            size_bytes,
        })
        .collect()
}

fn called(snapshot: &Snapshot, id: RepoId) -> String {
    let repo = snapshot.stored().find(|repo| repo.id == id);
    repo.map_or_else(|| id.to_string(), |repo| repo.called())
}

/// For which reasons a person who makes room need not hold a release: that it was used, and whatever
/// else if no rule is about it, and its repository is certain of that.
fn reasons_to_go(repo: &RepoSnapshot, is_ruled: bool) -> Vec<HoldingReason> {
    let is_certain = repo.settings.is_some() && repo.view.is_some() && !repo.is_doubtful();
    match is_ruled || !is_certain {
        true => vec![HoldingReason::Used],
        false => vec![HoldingReason::Used, HoldingReason::Kept],
    }
}

/// Manifests that the file of a repository is about.
fn ruled(repo: &RepoSnapshot, repos: &[Repo<'_>]) -> BTreeSet<Sha256> {
    let surveyed = repos.iter().filter(|of| of.id == repo.id);
    let ruled = surveyed.flat_map(|of| of.releases.iter().filter(|r| of.is_about(r)));
    ruled.map(|release| release.manifest).collect()
}

/// `NAME@VERSION` of every manifest that somebody published in a repository.
fn names(repo: &RepoSnapshot) -> BTreeMap<Sha256, String> {
    let packages = repo.view.iter().flat_map(|view| view.packages.values());
    let releases = packages.flat_map(|package| {
        let releases = package.releases.iter();
        releases.map(move |(version, release)| (&package.name, version, release))
    });
    let named = releases.flat_map(|(name, version, release)| {
        let manifests = release.claims.keys();
        manifests.map(move |manifest| (*manifest, format!("{name}@{version}")))
    });
    named.collect()
}

fn called_in(repo: &RepoSnapshot, names: &BTreeMap<Sha256, String>, manifest: &Sha256) -> String {
    match names.get(manifest) {
        Some(release) => format!("{}/{release}", repo.called()),
        None => format!("{}/{manifest}", repo.called()),
    }
}

/// Every rule with what it wants and has, then every release that is kept by name.
fn rules(snapshot: &Snapshot, repos: &[Repo<'_>], plan: &Plan) -> Vec<MirrorRule> {
    let mut counted: BTreeMap<(usize, usize), [u64; 3]> = BTreeMap::new();
    for (at, line) in &plan.lines {
        let Why::Rule(rule) = line.why else {
            continue;
        };
        let size_bytes = repos[at.repo].releases[at.release].size_bytes.unwrap_or(0);
        let here = u64::from(line.state == State::Here);
        let counts = counted.entry((at.repo, rule)).or_default();
        let more = [1, here, here * size_bytes];
        for (count, more) in counts.iter_mut().zip(more) {
            *count = count.saturating_add(more);
        }
    }
    let mut all = Vec::new();
    for (at, repo) in repos.iter().enumerate() {
        let alias = called(snapshot, repo.id);
        for (number, rule) in repo.rules.iter().enumerate() {
            let counts = counted.get(&(at, number)).copied().unwrap_or_default();
            let [wanted, here, here_bytes] = counts;
            all.push(MirrorRule {
                what: format!("{alias}/{}", rule.names_text()),
                newest: Some(rule.newest.to_string()),
                size_bytes_max: rule.size.map(|size| size.0),
                wanted,
                here,
                here_bytes,
            });
        }
        for (name, version) in &repo.named {
            let is_it = |r: &&Release<'_>| r.name == *name && r.version == *version;
            let held = repo
                .releases
                .iter()
                .filter(is_it)
                .filter(|r| r.is_offered());
            let sizes: Vec<u64> = held.filter_map(|release| release.size_bytes).collect();
            all.push(MirrorRule {
                what: format!("{alias}/{name}@{version}"),
                newest: None,
                size_bytes_max: None,
                wanted: 1,
                here: u64::from(!sizes.is_empty()),
                here_bytes: sizes.iter().sum(),
            });
        }
    }
    all
}

/// Releases that are here, of which the view knows nothing: they stay until a person says otherwise.
fn forgotten(snapshot: &Snapshot, repos: &[Repo<'_>]) -> Vec<MirrorLine> {
    let mut lines = Vec::new();
    for repo in snapshot.stored() {
        let known = repos.iter().filter(|of| of.id == repo.id);
        let known: BTreeSet<Sha256> = known
            .flat_map(|of| &of.releases)
            .map(|r| r.manifest)
            .collect();
        for (manifest, holding) in repo.holdings.iter() {
            if !known.contains(manifest) {
                lines.push(MirrorLine {
                    release: format!("{}/{manifest}", repo.called()),
                    size_bytes: Some(holding.size_bytes()),
                    why: Some("unlisted".to_owned()),
                    state: "here".to_owned(),
                    because: None,
                });
            }
        }
    }
    lines.truncate(LINES_MAX);
    lines
}

/// Releases that are kept by name and that the view does not list.
fn unlisted(snapshot: &Snapshot, repos: &[Repo<'_>]) -> Vec<MirrorLine> {
    let mut lines = Vec::new();
    for repo in repos {
        let there: BTreeSet<_> = repo.releases.iter().map(|r| (r.name, r.version)).collect();
        for (name, version) in repo.named.iter().filter(|named| !there.contains(*named)) {
            lines.push(MirrorLine {
                release: format!("{}/{name}@{version}", called(snapshot, repo.id)),
                size_bytes: None,
                why: Some("named".to_owned()),
                state: "missing".to_owned(),
                because: Some("the repository lists no such release".to_owned()),
            });
        }
    }
    lines
}
