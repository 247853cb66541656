//! What a mirror wants, and what it lets go: a function of the rules, of what is published, of what
//! is here, and of how large it is.
//!
//! * What was published here, what was used here and what was kept by name stays, whatever the
//!   rules and the quota say; it counts first. So does what no rule is about: somebody carried it in,
//!   and only a person lets it go.
//! * A rule wants the newest N sound releases of every package that it covers. One that was yanked
//!   or suspended is not among them and is not fetched: but if it is here it stays for as long as it
//!   is newer than the oldest of them, since who still runs it may need it again.
//! * Where not everything fits, the newest of every package comes before the second newest of any,
//!   and among those the smaller one: a release that claims an absurd size crowds out nobody. What
//!   does not fit is left out, and the next one is tried.
//! * A release counts with all its files, also those that it shares with another one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod change;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, Version};
use skep_proto::trust::file::{Keep, Newest};

use crate::core::HoldingReason;

pub(crate) use change::{Change, Dropped, change};
pub(crate) use survey::survey;

/// One repository that is followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repo<'a> {
    pub(crate) id: RepoId,
    pub(crate) rules: &'a [Keep],
    /// Releases that are kept by name.
    pub(crate) named: BTreeSet<(&'a Name, &'a Version)>,
    /// What its view says may not last: nothing comes and nothing goes for it.
    pub(crate) is_doubtful: bool,
    /// By name, then by version, the lowest first.
    pub(crate) releases: Vec<Release<'a>>,
}

/// A release that is listed, or that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release<'a> {
    pub(crate) name: &'a Name,
    pub(crate) version: &'a Version,
    pub(crate) manifest: Sha256,
    /// Of all its files; none while nobody has looked.
    pub(crate) size_bytes: Option<u64>,
    pub(crate) here: Option<HoldingReason>,
    pub(crate) standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Sound,
    /// Listed, and yanked or suspended.
    Against,
    /// Which manifest is meant is not certain, or no longer.
    Unlisted,
}

/// A release of a plan, by the positions of its repository and of itself in the survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) repo: usize,
    pub(crate) release: usize,
}

/// What becomes of every release that is here or wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) lines: BTreeMap<At, Line>,
    /// What counts against the quota once everything is as planned, in bytes.
    pub(crate) size_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) why: Why,
    pub(crate) state: State,
}

/// Why a release is here, or should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Published,
    Named,
    /// The first rule that wants it, by its position.
    Rule(usize),
    Used,
    /// No rule is about the package.
    NoRule,
    /// Nobody can say at present what the repository lists.
    Doubt,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Here,
    /// To be fetched, or kept where it was only used.
    Missing,
    /// It is not known yet whether it fits.
    Unsized,
    NoRoom(Limit),
    /// No longer wanted; with `now` it goes, else it waits until what replaces it is here.
    Leaves {
        now: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of the rule at this position.
    Rule(usize),
    Quota,
}

/// What the rules of all repositories want together. `other_bytes` are held beside all of this.
pub(crate) fn plan(repos: &[Repo<'_>], other_bytes: u64, quota: Option<u64>) -> Plan {
    let mut plan = Plan {
        lines: BTreeMap::new(),
        size_bytes: other_bytes,
    };
    for (at, release) in releases(repos) {
        plan.take_what_stays(&repos[at.repo], at, release);
    }
    for (at, release) in releases(repos) {
        plan.take_named(&repos[at.repo], at, release, quota);
    }
    // Of each release the rule that wants it soonest.
    let mut wanted: BTreeMap<At, (usize, usize)> = BTreeMap::new();
    for (repo, of) in repos.iter().enumerate() {
        let rules = if of.is_doubtful { 0 } else { of.rules.len() };
        for rule in 0..rules {
            for (rank, release) in plan.wanted_by(of, repo, rule) {
                let soonest = wanted.entry(At { repo, release }).or_insert((rank, rule));
                *soonest = (*soonest).min((rank, rule));
            }
        }
    }
    let mut turns: Vec<(At, usize, usize)> = wanted
        .into_iter()
        .map(|(at, (rank, rule))| (at, rank, rule))
        .collect();
    turns.sort_by_key(|(at, rank, _)| {
        let release = &repos[at.repo].releases[at.release];
        (*rank, release.size_bytes, repos[at.repo].id, at.release)
    });
    for (at, _, rule) in turns {
        plan.take_wanted(repos, at, rule, quota);
    }
    let incomplete = plan.incomplete(repos);
    for (at, release) in releases(repos) {
        if release.here.is_some_and(|why| why >= HoldingReason::Kept) {
            let is_replaced = !incomplete.contains(&(at.repo, release.name));
            plan.let_go(&repos[at.repo], at, quota.is_some() || is_replaced);
        }
    }
    plan
}

fn releases<'r, 'a>(repos: &'r [Repo<'a>]) -> impl Iterator<Item = (At, &'r Release<'a>)> {
    repos.iter().enumerate().flat_map(|(repo, of)| {
        let releases = of.releases.iter().enumerate();
        releases.map(move |(release, is)| (At { repo, release }, is))
    })
}

impl Release<'_> {
    /// Whether peers are offered it.
    pub(crate) fn is_offered(&self) -> bool {
        self.here.is_some_and(HoldingReason::is_offered)
    }
}

impl Repo<'_> {
    fn names(&self, release: &Release<'_>) -> bool {
        self.named.contains(&(release.name, release.version))
    }

    /// Whether anything in the file of the repository is about a release.
    pub(crate) fn is_about(&self, release: &Release<'_>) -> bool {
        self.names(release) || self.rules.iter().any(|rule| rule.covers(release.name))
    }

    /// The releases that a rule wants, each with how many newer ones it wants of the same package.
    fn in_window(&self, rule: &Keep) -> Vec<(usize, usize)> {
        let mut window = Vec::new();
        let numbered = self.releases.iter().enumerate();
        let numbered: Vec<(usize, &Release<'_>)> = numbered.collect();
        for package in numbered.chunk_by(|(_, a), (_, b)| a.name == b.name) {
            if !package
                .first()
                .is_some_and(|(_, first)| rule.covers(first.name))
            {
                continue;
            }
            let mut rank = 0;
            for (at, release) in package.iter().rev() {
                let is_full = match rule.newest {
                    Newest::All => false,
                    Newest::Count(most) => rank >= usize::try_from(most).unwrap_or(usize::MAX),
                };
                if is_full {
                    break;
                }
                let is_sound = release.standing == Standing::Sound;
                if is_sound || release.here.is_some() {
                    window.push((rank, *at));
                }
                rank += usize::from(is_sound);
            }
        }
        window
    }
}

impl Plan {
    fn say(&mut self, at: At, why: Why, state: State) {
        self.lines.insert(at, Line { why, state });
    }

    fn count(&mut self, size_bytes: Option<u64>) {
        self.size_bytes = self.size_bytes.saturating_add(size_bytes.unwrap_or(0));
    }

    /// Whether so much more may be here.
    fn fits(&self, size_bytes: u64, quota: Option<u64>) -> bool {
        quota.is_none_or(|quota| self.size_bytes.saturating_add(size_bytes) <= quota)
    }

    /// What nobody but a person lets go.
    fn take_what_stays(&mut self, repo: &Repo<'_>, at: At, release: &Release<'_>) {
        let Some(here) = release.here else {
            return;
        };
        let (why, is_done) = match here {
            HoldingReason::Published => (Why::Published, true),
            _ if repo.names(release) => (Why::Named, here.is_offered() || repo.is_doubtful),
            HoldingReason::Used => (Why::Used, true),
            _ if !repo.is_about(release) => (Why::NoRule, true),
            _ if repo.is_doubtful => (Why::Doubt, true),
            HoldingReason::KeptAndUsed => (Why::Used, true),
            HoldingReason::Kept => return,
        };
        self.count(release.size_bytes);
        let state = if is_done { State::Here } else { State::Missing };
        self.say(at, why, state);
    }

    fn take_named(&mut self, repo: &Repo<'_>, at: At, release: &Release<'_>, quota: Option<u64>) {
        if release.here.is_some() || repo.is_doubtful || !repo.names(release) {
            return;
        }
        let state = match release.size_bytes {
            None if quota.is_some() => State::Unsized,
            size if self.fits(size.unwrap_or(0), quota) => {
                self.count(size);
                State::Missing
            }
            _ => State::NoRoom(Limit::Quota),
        };
        self.say(at, Why::Named, state);
    }

    /// Whether the release is here or wanted for a better reason than a rule, and counted.
    fn is_settled(&self, at: At) -> bool {
        let line = self.lines.get(&at);
        line.is_some_and(|line| matches!(line.why, Why::Published | Why::Named))
    }

    /// Packages of which something is still to come.
    fn incomplete<'a>(&self, repos: &[Repo<'a>]) -> BTreeSet<(usize, &'a Name)> {
        let coming = |line: &Line| matches!(line.state, State::Missing | State::Unsized);
        let coming = self.lines.iter().filter(|(_, line)| coming(line));
        coming
            .map(|(at, _)| (at.repo, repos[at.repo].releases[at.release].name))
            .collect()
    }

    /// What fits of what a rule wants, with its rank; says of the rest why not.
    fn wanted_by(&mut self, of: &Repo<'_>, repo: usize, rule: usize) -> Vec<(usize, usize)> {
        let keep = &of.rules[rule];
        let mut window = of.in_window(keep);
        window.retain(|(_, release)| {
            let release = *release;
            !self.is_settled(At { repo, release })
        });
        let Some(most) = keep.size else {
            return window;
        };
        window.sort_by_key(|(rank, release)| {
            let is = &of.releases[*release];
            (*rank, is.size_bytes, *release)
        });
        let mut sum = 0_u64;
        window.retain(|(_, release)| {
            let at = At {
                repo,
                release: *release,
            };
            let why = Why::Rule(rule);
            let Some(size_bytes) = of.releases[*release].size_bytes else {
                self.say_unless_said(at, why, State::Unsized);
                return false;
            };
            let with = sum.saturating_add(size_bytes);
            let fits = with <= most.0;
            match fits {
                true => sum = with,
                false => self.say_unless_said(at, why, State::NoRoom(Limit::Rule(rule))),
            }
            fits
        });
        window
    }

    fn say_unless_said(&mut self, at: At, why: Why, state: State) {
        self.lines.entry(at).or_insert(Line { why, state });
    }

    /// What rules want takes its place while there is room for all of them together.
    fn take_wanted(&mut self, repos: &[Repo<'_>], at: At, rule: usize, quota: Option<u64>) {
        let release = &repos[at.repo].releases[at.release];
        let why = Why::Rule(rule);
        if let Some(here) = release.here.filter(|here| here.is_used()) {
            // It is counted already, and stays when the rule no longer wants it.
            let is_done = here == HoldingReason::KeptAndUsed;
            let state = if is_done { State::Here } else { State::Missing };
            return self.say(at, why, state);
        }
        let state = match (release.here, release.size_bytes) {
            (_, None) if quota.is_some() => State::Unsized,
            (_, size) if !self.fits(size.unwrap_or(0), quota) => State::NoRoom(Limit::Quota),
            (here, size) => {
                self.count(size);
                here.map_or(State::Missing, |_| State::Here)
            }
        };
        self.say(at, why, state);
    }

    /// Of what is kept here: what nothing wants any more.
    fn let_go(&mut self, repo: &Repo<'_>, at: At, is_time: bool) {
        let is_wanted = |line: &Line| line.state == State::Here && line.why != Why::Used;
        if repo.is_doubtful || self.lines.get(&at).is_some_and(is_wanted) {
            return;
        }
        let name = repo.releases[at.release].name;
        let is_bounded = |rule: &Keep| rule.size.is_some() && rule.covers(name);
        let now = is_time || repo.rules.iter().any(is_bounded);
        self.say(at, Why::Nothing, State::Leaves { now });
    }
}
