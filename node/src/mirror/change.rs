//! What another text of a repository's file changes: the plan with it beside the plan without it.

use std::collections::BTreeMap;

use skep_proto::id::RepoId;
use skep_proto::name::Version;
use skep_proto::trust::file::{Glob, RepoFile};

use super::{At, Line, Plan, Release, Repo, State, Why, plan};
use crate::core::HoldingReason;

/// What a rule, or a release that was kept by name, was about, and a person takes out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) names: Glob,
    pub(crate) version: Option<Version>,
}

/// What becomes of releases because of a change, and did not without it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change<'a> {
    /// With the new rules, and without what goes at once.
    pub(crate) repos: Vec<Repo<'a>>,
    /// No longer wanted: they go at once, or when what replaces them is here.
    pub(crate) let_go: BTreeMap<At, Line>,
    /// To be fetched; of those without a size it is not known whether they fit.
    pub(crate) fetched: BTreeMap<At, Line>,
    pub(crate) no_room: BTreeMap<At, Line>,
    /// What has no size yet, of all that is still to come: also without the change, since it takes
    /// room.
    pub(crate) unsized_: Vec<At>,
}

/// What the file of a repository changes, if a person takes `dropped` out of it.
pub(crate) fn change<'a>(
    before: &[Repo<'a>],
    (id, file): (RepoId, &'a RepoFile),
    dropped: &[Dropped],
    other_bytes: u64,
    quota: Option<u64>,
) -> Change<'a> {
    let mut repos = before.to_vec();
    let mut let_go = BTreeMap::new();
    for (repo, of) in repos.iter_mut().enumerate() {
        if of.id != id {
            continue;
        }
        of.read(file);
        for release in of.let_go_with(dropped) {
            let here = &mut of.releases[release].here;
            *here = here.and_then(|why| why.without(HoldingReason::Kept));
            let line = Line {
                why: Why::Nothing,
                state: State::Leaves { now: true },
            };
            let_go.insert(At { repo, release }, line);
        }
    }
    let was = plan(before, other_bytes, quota);
    let is = plan(&repos, other_bytes, quota);
    let release = |at: &At| &before[at.repo].releases[at.release];
    // What is here already need only be offered.
    let comes = |at: &At, state| {
        matches!(state, State::Missing | State::Unsized) && release(at).here.is_none()
    };
    let has_no_room =
        |at: &At, state| matches!(state, State::NoRoom(_)) && release(at).here.is_none();
    let leaves = |_: &At, state| matches!(state, State::Leaves { .. });
    let_go.extend(turned(&was, &is, leaves));
    let fetched = turned(&was, &is, comes);
    let no_room = turned(&was, &is, has_no_room);
    let to_come = is.lines.iter().filter(|(at, line)| comes(at, line.state));
    let to_come = to_come.map(|(at, _)| *at);
    let unsized_ = to_come.filter(|at| release(at).size_bytes.is_none());
    let unsized_ = unsized_.collect();
    Change {
        repos,
        let_go,
        fetched,
        no_room,
        unsized_,
    }
}

/// The lines of a plan that are in a state, and were not in another plan.
fn turned(was: &Plan, is: &Plan, into: impl Fn(&At, State) -> bool) -> BTreeMap<At, Line> {
    let before = |at: &At| was.lines.get(at).is_some_and(|line| into(at, line.state));
    let turned = is.lines.iter();
    let turned = turned.filter(|(at, line)| into(at, line.state) && !before(at));
    turned.map(|(at, line)| (*at, *line)).collect()
}

impl<'a> Repo<'a> {
    /// Takes the rules and the names of a file.
    pub(super) fn read(&mut self, file: &'a RepoFile) {
        let named = file.kept.iter();
        self.rules = &file.keep;
        self.named = named.map(|kept| (&kept.name, &kept.version)).collect();
    }
}

impl Repo<'_> {
    /// Of what was taken out of the file, the releases that are kept here though nothing is about
    /// them any more. No rule lets go what it is not about, so a person's word does.
    pub(crate) fn let_go_with(&self, dropped: &[Dropped]) -> Vec<usize> {
        let is_it = |release: &Release<'_>, it: &Dropped| {
            let version = it.version.as_ref();
            it.names.matches(release.name) && version.is_none_or(|v| v == release.version)
        };
        let is_kept = |why: HoldingReason| why.without(HoldingReason::Kept) != Some(why);
        let numbered = self.releases.iter().enumerate();
        let meant = numbered.filter(|(_, release)| {
            release.here.is_some_and(is_kept)
                && dropped.iter().any(|it| is_it(release, it))
                && !self.is_about(release)
        });
        meant.map(|(at, _)| at).collect()
    }
}
