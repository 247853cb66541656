//! What a plan keeps to, whatever is published, here, asked for and claimed.

mod change;

use proptest::prelude::*;
use skep_proto::size::Size;
use skep_proto::trust::file::Glob;

use super::*;

/// A release as a test draws it.
#[derive(Debug, Clone)]
struct Drawn {
    size_bytes: Option<u64>,
    here: Option<HoldingReason>,
    standing: Standing,
}

/// A repository as a test draws it: packages `a`, `ab`, `b`, …, each with its releases, lowest first.
#[derive(Debug, Clone)]
struct Drawing {
    packages: Vec<Vec<Drawn>>,
    rules: Vec<Keep>,
    /// Positions of a package and a version.
    named: Vec<(usize, usize)>,
    is_doubtful: bool,
}

/// Names and versions, which releases only borrow.
struct Words {
    names: Vec<Name>,
    versions: Vec<Version>,
}

const NAMES: [&str; 5] = ["a", "ab", "b", "ba", "c"];
const VERSIONS_MAX: usize = 6;

impl Words {
    fn new() -> Self {
        let version = |n: usize| format!("{n}.0.0").parse().expect("a version");
        Self {
            names: NAMES
                .iter()
                .map(|name| name.parse().expect("a name"))
                .collect(),
            versions: (0..VERSIONS_MAX).map(version).collect(),
        }
    }

    fn repos<'a>(&'a self, drawings: &'a [Drawing]) -> Vec<Repo<'a>> {
        let numbered = drawings.iter().enumerate();
        numbered
            .map(|(at, drawing)| self.repo(at, drawing))
            .collect()
    }

    fn repo<'a>(&'a self, at: usize, drawing: &'a Drawing) -> Repo<'a> {
        let mut releases = Vec::new();
        for (name, package) in drawing.packages.iter().enumerate() {
            for (version, drawn) in package.iter().enumerate() {
                releases.push(Release {
                    name: &self.names[name],
                    version: &self.versions[version],
                    manifest: Sha256::of(&[format!("{at} {name} {version}").as_bytes()]),
                    size_bytes: drawn.size_bytes,
                    here: drawn.here,
                    standing: drawn.standing,
                });
            }
        }
        let named = drawing.named.iter();
        Repo {
            id: RepoId::from_hash(Sha256::of(&[at.to_string().as_bytes()])),
            rules: &drawing.rules,
            named: named
                .map(|(n, v)| (&self.names[*n], &self.versions[*v]))
                .collect(),
            is_doubtful: drawing.is_doubtful,
            releases,
        }
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let here = prop_oneof![
        4 => Just(None),
        3 => Just(Some(HoldingReason::Kept)),
        1 => Just(Some(HoldingReason::Used)),
        1 => Just(Some(HoldingReason::KeptAndUsed)),
        1 => Just(Some(HoldingReason::Published)),
    ];
    let standing = prop_oneof![
        6 => Just(Standing::Sound),
        1 => Just(Standing::Against),
        1 => Just(Standing::Unlisted),
    ];
    let size =
        prop_oneof![8 => (0_u64..100).prop_map(Some), 1 => Just(Some(u64::MAX)), 1 => Just(None)];
    (size, here, standing).prop_map(|(size_bytes, here, standing)| Drawn {
        // The size of what is here is known, and no more than a disk has; what is not listed is only
        // seen where it is here.
        size_bytes: if here.is_some() {
            size_bytes.map(|size| size % 100).or(Some(7))
        } else {
            size_bytes
        },
        standing: if here.is_none() && standing == Standing::Unlisted {
            Standing::Sound
        } else {
            standing
        },
        here,
    })
}

fn rule() -> impl Strategy<Value = Keep> {
    let glob = prop_oneof![Just("*"), Just("a*"), Just("b"), Just("*a")];
    let newest = prop_oneof![3 => (0_u32..4).prop_map(Newest::Count), 1 => Just(Newest::All)];
    (glob, newest, proptest::option::of(0_u64..300)).prop_map(|(glob, newest, size)| {
        let names: Vec<Glob> = vec![glob.parse().expect("a glob")];
        let size = size.map(Size);
        Keep {
            names,
            newest,
            size,
        }
    })
}

fn drawing() -> impl Strategy<Value = Drawing> {
    let packages = prop::collection::vec(
        prop::collection::vec(drawn(), 0..=VERSIONS_MAX),
        NAMES.len(),
    );
    let rules = prop::collection::vec(rule(), 0..3);
    let named = prop::collection::vec((0..NAMES.len(), 0..VERSIONS_MAX), 0..3);
    let is_doubtful = prop::bool::weighted(0.1);
    (packages, rules, named, is_doubtful).prop_map(|(packages, rules, named, is_doubtful)| {
        Drawing {
            packages,
            rules,
            named,
            is_doubtful,
        }
    })
}

fn drawings() -> impl Strategy<Value = Vec<Drawing>> {
    prop::collection::vec(drawing(), 1..3)
}

fn release<'r, 'a>(repos: &'r [Repo<'a>], at: At) -> &'r Release<'a> {
    &repos[at.repo].releases[at.release]
}

/// What is here once a plan is carried out: everything fetched that was missing, everything let go.
fn carried_out<'a>(repos: &[Repo<'a>], plan: &Plan) -> Vec<Repo<'a>> {
    let mut after = repos.to_vec();
    for (at, line) in &plan.lines {
        let release = &mut after[at.repo].releases[at.release];
        match line.state {
            State::Missing => {
                let kept = HoldingReason::Kept;
                release.here = Some(release.here.map_or(kept, |here| here.and(kept)));
                release.size_bytes = release.size_bytes.or(Some(0));
            }
            State::Leaves { now: true } => {
                release.here = release
                    .here
                    .and_then(|here| here.without(HoldingReason::Kept));
            }
            _ => {}
        }
    }
    // A dropped release that is not listed is seen no more.
    for repo in &mut after {
        let is_seen = |r: &Release<'_>| r.here.is_some() || r.standing != Standing::Unlisted;
        repo.releases.retain(is_seen);
    }
    after
}

fn held_bytes(repos: &[Repo<'_>]) -> u64 {
    let here = releases(repos).filter(|(_, release)| release.here.is_some());
    here.map(|(_, release)| release.size_bytes.unwrap_or(0))
        .sum()
}

proptest! {
    #[test]
    fn what_a_person_wants_never_leaves(drawings in drawings(), quota in proptest::option::of(0_u64..500)) {
        let words = Words::new();
        let repos = words.repos(&drawings);
        let plan = plan(&repos, 0, quota);
        let after = carried_out(&repos, &plan);
        for (at, before) in releases(&repos) {
            let repo = &repos[at.repo];
            let stays = match before.here {
                None => continue,
                Some(HoldingReason::Published | HoldingReason::Used | HoldingReason::KeptAndUsed) => true,
                Some(HoldingReason::Kept) => repo.names(before) || repo.is_doubtful || !repo.is_about(before),
            };
            if stays {
                let is_it = |r: &&Release<'_>| r.manifest == before.manifest;
                let found = after[at.repo].releases.iter().find(is_it);
                prop_assert!(found.is_some_and(|r| r.here.is_some()), "{before:?}");
            }
        }
    }

    #[test]
    fn no_more_than_the_quota_and_each_rule_allow(
        drawings in drawings(),
        other in 0_u64..100,
        quota in 0_u64..500,
    ) {
        let words = Words::new();
        let repos = words.repos(&drawings);
        let plan = plan(&repos, other, Some(quota));
        let stays: u64 = releases(&repos)
            .filter(|(at, r)| {
                let repo = &repos[at.repo];
                r.here.is_some_and(|here| here != HoldingReason::Kept)
                    || r.here.is_some()
                        && (repo.names(r) || repo.is_doubtful || !repo.is_about(r))
            })
            .map(|(_, r)| r.size_bytes.unwrap_or(0))
            .sum();
        let after = carried_out(&repos, &plan);
        prop_assert!(held_bytes(&after) + other <= quota.max(stays + other));
        prop_assert_eq!(plan.size_bytes, held_bytes(&after) + other);
        for (at, repo) in repos.iter().enumerate() {
            for (number, rule) in repo.rules.iter().enumerate() {
                let by_it = plan.lines.iter().filter(|(place, line)| {
                    place.repo == at
                        && line.why == Why::Rule(number)
                        && matches!(line.state, State::Here | State::Missing)
                });
                let sizes = by_it.map(|(at, _)| release(&repos, *at).size_bytes.unwrap_or(0));
                let sum: u64 = sizes.sum();
                prop_assert!(rule.size.is_none_or(|most| sum <= most.0));
            }
        }
    }

    #[test]
    fn a_plan_that_was_carried_out_asks_for_nothing_more(
        drawings in drawings(),
        quota in proptest::option::of(0_u64..500),
    ) {
        let words = Words::new();
        let repos = words.repos(&drawings);
        let first = plan(&repos, 0, quota);
        // What waits for its successor goes in a second round.
        let once = carried_out(&repos, &first);
        let twice = carried_out(&once, &plan(&once, 0, quota));
        let last = plan(&twice, 0, quota);
        for (at, line) in &last.lines {
            let settled = !matches!(line.state, State::Missing | State::Leaves { now: true });
            prop_assert!(settled, "{line:?} {:?}", release(&twice, *at));
        }
    }

    #[test]
    fn the_order_of_repositories_says_nothing(drawings in drawings(), quota in 0_u64..500) {
        let words = Words::new();
        let repos = words.repos(&drawings);
        let turned: Vec<Repo<'_>> = repos.iter().rev().cloned().collect();
        let (one, other) = (plan(&repos, 0, Some(quota)), plan(&turned, 0, Some(quota)));
        prop_assert_eq!(one.size_bytes, other.size_bytes);
        for (at, line) in &one.lines {
            let there = At { repo: repos.len() - 1 - at.repo, ..*at };
            prop_assert_eq!(other.lines.get(&there), Some(line));
        }
    }

    #[test]
    fn without_limits_the_newest_sound_ones_are_wanted(mut drawings in drawings()) {
        for drawing in &mut drawings {
            drawing.is_doubtful = false;
            drawing.rules.iter_mut().for_each(|rule| rule.size = None);
        }
        let words = Words::new();
        let repos = words.repos(&drawings);
        let plan = plan(&repos, 0, None);
        for (at, is) in releases(&repos) {
            let repo = &repos[at.repo];
            let newer = repo.releases.iter().filter(|r| {
                r.name == is.name && r.version > is.version && r.standing == Standing::Sound
            });
            let newer = newer.count();
            let wanted = repo.rules.iter().any(|rule| {
                let within = match rule.newest {
                    Newest::All => true,
                    Newest::Count(most) => newer < most as usize,
                };
                rule.covers(is.name) && within
            });
            let anew = is.standing == Standing::Sound || is.here.is_some();
            let offered = repo.names(is)
                || is.here == Some(HoldingReason::Published)
                || is.is_offered() && !repo.is_about(is)
                || wanted && anew;
            let line = plan.lines.get(&at);
            let planned = line.is_some_and(|line| match line.state {
                State::Missing => true,
                State::Here => line.why != Why::Used,
                _ => false,
            });
            prop_assert_eq!(planned, offered, "{:?} {:?}", is, line);
        }
    }
}

fn sound(size_bytes: u64, here: Option<HoldingReason>) -> Drawn {
    Drawn {
        size_bytes: Some(size_bytes),
        here,
        standing: Standing::Sound,
    }
}

fn newest(count: u32, size: Option<u64>) -> Vec<Keep> {
    let rule = Keep::newest_of_all(count);
    let size = size.map(Size);
    vec![Keep { size, ..rule }]
}

fn one(packages: Vec<Vec<Drawn>>, rules: Vec<Keep>) -> Vec<Drawing> {
    let (named, is_doubtful) = (vec![], false);
    vec![Drawing {
        packages,
        rules,
        named,
        is_doubtful,
    }]
}

fn states(drawings: &[Drawing], quota: Option<u64>) -> Vec<(String, State)> {
    let words = Words::new();
    let repos = words.repos(drawings);
    let plan = plan(&repos, 0, quota);
    let lines = plan.lines.iter().map(|(at, line)| {
        let release = release(&repos, *at);
        (
            format!(
                "{}{}",
                release.name,
                release.version.to_string().replace(".0.0", "")
            ),
            line.state,
        )
    });
    lines.collect()
}

fn said(name: &str, state: State) -> (String, State) {
    (name.to_owned(), state)
}

const KEPT: Option<HoldingReason> = Some(HoldingReason::Kept);

#[test]
fn the_oldest_waits_until_the_newest_is_here_unless_room_is_short() {
    let packages = || vec![vec![sound(1, KEPT), sound(1, KEPT), sound(1, None)]];
    let unbounded = states(&one(packages(), newest(2, None)), None);
    let leaves = |now| said("a0", State::Leaves { now });
    assert_eq!(
        unbounded,
        [
            leaves(false),
            said("a1", State::Here),
            said("a2", State::Missing)
        ]
    );
    for (rules, quota) in [(newest(2, Some(9)), None), (newest(2, None), Some(9))] {
        assert_eq!(states(&one(packages(), rules), quota)[0], leaves(true));
    }
    let all_here = vec![vec![sound(1, KEPT), sound(1, KEPT), sound(1, KEPT)]];
    assert_eq!(
        states(&one(all_here, newest(2, None)), None)[0],
        leaves(true)
    );
}

#[test]
fn a_size_is_kept_to_the_byte() {
    let packages = || vec![vec![sound(50, KEPT)], vec![sound(50, None)]];
    let both = [said("a0", State::Here), said("ab0", State::Missing)];
    assert_eq!(states(&one(packages(), newest(1, Some(100))), None), both);
    assert_eq!(states(&one(packages(), newest(1, None)), Some(100)), both);
    let no_room = |limit| said("ab0", State::NoRoom(limit));
    let short = states(&one(packages(), newest(1, Some(99))), None);
    assert_eq!(short[1], no_room(Limit::Rule(0)));
    let short = states(&one(packages(), newest(1, None)), Some(99));
    assert_eq!(short[1], no_room(Limit::Quota));
}

#[test]
fn an_absurd_size_crowds_out_nobody() {
    let packages = vec![
        vec![sound(10, KEPT), sound(u64::MAX, None)],
        vec![sound(10, KEPT), sound(95, None)],
        vec![sound(10, KEPT)],
    ];
    assert_eq!(
        states(&one(packages, newest(2, Some(120))), None),
        [
            said("a0", State::Here),
            said("a1", State::NoRoom(Limit::Rule(0))),
            said("ab0", State::Leaves { now: true }),
            said("ab1", State::Missing),
            said("b0", State::Here),
        ]
    );
}

#[test]
fn a_yanked_release_counts_for_nothing_and_stays_while_it_is_among_the_newest() {
    let against = |here| Drawn {
        standing: Standing::Against,
        ..sound(1, here)
    };
    let packages = vec![vec![
        against(KEPT),
        sound(1, KEPT),
        against(KEPT),
        sound(1, KEPT),
        against(None),
    ]];
    assert_eq!(
        states(&one(packages, newest(2, None)), None),
        [
            said("a0", State::Leaves { now: true }),
            said("a1", State::Here),
            said("a2", State::Here),
            said("a3", State::Here),
        ]
    );
    let only = vec![vec![against(KEPT), against(None)]];
    assert_eq!(
        states(&one(only, newest(2, None)), None),
        [said("a0", State::Here)]
    );
}

#[test]
fn what_no_rule_is_about_stays_and_counts() {
    let packages = vec![vec![sound(60, KEPT)], vec![], vec![sound(50, KEPT)]];
    let mut drawings = one(packages, newest(1, None));
    drawings[0].rules[0].names = vec!["b".parse().expect("a glob")];
    assert_eq!(
        states(&drawings, Some(100)),
        [
            said("a0", State::Here),
            said("b0", State::Leaves { now: true })
        ]
    );
}

#[test]
fn nothing_comes_and_nothing_leaves_while_a_view_is_in_doubt() {
    let packages = vec![vec![sound(9, KEPT), sound(9, None)]];
    let mut drawings = one(packages, newest(1, None));
    drawings[0].is_doubtful = true;
    drawings[0].named = vec![(0, 1)];
    assert_eq!(states(&drawings, Some(1)), [said("a0", State::Here)]);
}
