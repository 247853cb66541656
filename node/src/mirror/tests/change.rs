//! What is said of a change is what comes of it.

use skep_proto::trust::file::{Kept, Pin, RepoFile};

use super::*;

/// A file with the rules and the names of a drawing.
fn file(drawing: &Drawing, words: &Words) -> RepoFile {
    let kept = drawing.named.iter().map(|(name, version)| Kept {
        name: words.names[*name].clone(),
        version: words.versions[*version].clone(),
    });
    RepoFile {
        id: RepoId::from_hash(Sha256::of(&[b"0"])),
        root: Pin {
            version: 1,
            sha256: Sha256::of(&[]),
        },
        peers: vec![],
        keep: drawing.rules.clone(),
        kept: kept.collect(),
        share: None,
        trust: vec![],
    }
}

fn dropped() -> impl Strategy<Value = Vec<Dropped>> {
    let glob = prop_oneof![Just("*"), Just("a*"), Just("b"), Just("ab")];
    let version = proptest::option::of(0..VERSIONS_MAX);
    let dropped = (glob, version).prop_map(|(glob, version)| Dropped {
        names: glob.parse().expect("a glob"),
        version: version.map(|n| format!("{n}.0.0").parse().expect("a version")),
    });
    prop::collection::vec(dropped, 0..3)
}

/// What is here and why.
fn held(repos: &[Repo<'_>]) -> BTreeMap<Sha256, HoldingReason> {
    let held = releases(repos).filter_map(|(_, is)| Some((is.manifest, is.here?)));
    held.collect()
}

fn is_kept(why: HoldingReason) -> bool {
    why.without(HoldingReason::Kept) != Some(why)
}

proptest! {
    #[test]
    fn what_is_said_of_a_change_is_what_comes_of_it(
        mut drawings in drawings(),
        new in drawing(),
        dropped in dropped(),
        quota in proptest::option::of(0_u64..500),
    ) {
        // Of what has no size nobody can say what comes of it.
        for drawn in drawings.iter_mut().flat_map(|drawing| drawing.packages.iter_mut().flatten()) {
            drawn.size_bytes = drawn.size_bytes.or(Some(5));
        }
        let words = Words::new();
        let repos = words.repos(&drawings);
        let file = file(&new, &words);
        let id = repos[0].id;
        let change = change(&repos, (id, &file), &dropped, 0, quota);
        prop_assert_eq!(&change.unsized_, &vec![]);
        let without = plan(&repos, 0, quota);
        let once = carried_out(&change.repos, &plan(&change.repos, 0, quota));
        let once = held(&once);
        for (at, is) in releases(&repos) {
            let anyway = without.lines.get(&at).map(|line| line.state);
            let comes = is.here.is_none() && once.contains_key(&is.manifest);
            let would_come = anyway == Some(State::Missing);
            prop_assert_eq!(change.fetched.contains_key(&at), comes && !would_come, "{:?}", is);
            let stays = once.get(&is.manifest).is_some_and(|why| is_kept(*why));
            let goes = is.here.is_some_and(is_kept) && !stays;
            let said = change.let_go.get(&at).map(|line| line.state);
            // What waits for its successor is said too, and does not go in the first round.
            let waits = said == Some(State::Leaves { now: false });
            prop_assert_eq!(said.is_some() && !waits, goes && said.is_some(), "{:?}", is);
            let would_go = matches!(anyway, Some(State::Leaves { .. }));
            prop_assert!(said.is_some() || !goes || would_go, "{is:?}");
        }
    }

    #[test]
    fn the_same_file_changes_nothing(
        drawings in drawings(),
        quota in proptest::option::of(0_u64..500),
    ) {
        let words = Words::new();
        let repos = words.repos(&drawings);
        let file = file(&drawings[0], &words);
        let change = change(&repos, (repos[0].id, &file), &[], 0, quota);
        prop_assert!(change.let_go.is_empty() && change.fetched.is_empty() && change.no_room.is_empty());
    }
}

#[test]
fn what_a_rule_that_is_taken_away_had_goes_and_makes_room() {
    let packages = vec![vec![sound(60, KEPT)], vec![], vec![sound(50, None)]];
    let mut drawings = one(packages, newest(1, None));
    let words = Words::new();
    let mut new = drawings[0].clone();
    new.rules[0].names = vec!["b".parse().expect("a glob")];
    drawings[0].rules[0].names = vec!["a".parse().expect("a glob")];
    let repos = words.repos(&drawings);
    let file = file(&new, &words);
    let of_a = Dropped {
        names: "a".parse().expect("a glob"),
        version: None,
    };
    let at = |release| At { repo: 0, release };
    let with = change(&repos, (repos[0].id, &file), &[of_a], 0, Some(100));
    assert_eq!(with.let_go.keys().collect::<Vec<_>>(), [&at(0)]);
    assert_eq!(with.fetched.keys().collect::<Vec<_>>(), [&at(1)]);
    // Taken out of the file by hand, it stays, and its bytes count.
    let by_hand = change(&repos, (repos[0].id, &file), &[], 0, Some(100));
    assert_eq!(by_hand.let_go, BTreeMap::new());
    assert_eq!(by_hand.no_room.keys().collect::<Vec<_>>(), [&at(1)]);
}
