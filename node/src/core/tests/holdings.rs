//! What is held, for which reasons, and what is left when one of them goes.

use skep_proto::hash::Blake3;

use super::*;
use crate::core::{Holding, HoldingReason};
use crate::store::FactKind;

const ALL: [HoldingReason; 4] = [
    HoldingReason::Used,
    HoldingReason::Kept,
    HoldingReason::KeptAndUsed,
    HoldingReason::Published,
];

fn holding(why: HoldingReason) -> Holding {
    let blobs = vec![(Blake3::of(&[b"x"]), 1), (Blake3::of(&[b"y"]), u64::MAX)];
    Holding { why, blobs }
}

fn manifest() -> Sha256 {
    Sha256::of(&[b"{}"])
}

fn hold(made: &Made, why: HoldingReason) -> Command {
    Command::Hold {
        repo: made.id,
        manifest: manifest(),
        holding: holding(why),
    }
}

fn let_go(made: &Made, why: HoldingReason) -> Command {
    Command::LetGo {
        repo: made.id,
        manifest: manifest(),
        why,
    }
}

/// What a command has made durable, and whether the release is held and offered then.
fn did(host: &mut Host, command: Command) -> (Vec<Change>, Option<HoldingReason>, bool) {
    let (effects, reply) = host.command(command);
    assert_eq!(reply, Reply::Done);
    let changes = effects.into_iter().filter_map(|effect| match effect {
        Effect::Persist(change) => Some(change),
        _ => None,
    });
    let changes = changes.collect();
    let snapshot = host.core.snapshot();
    let repo = snapshot.stored().next().expect("one is followed");
    let why = repo.holdings.get(&manifest()).map(|holding| holding.why);
    let hash = Blake3::of(&[b"x"]);
    (changes, why, snapshot.offers(&repo.id, &hash))
}

#[test]
fn a_holding_reads_back_and_unknown_reasons_are_refused() {
    for why in ALL {
        let bytes = holding(why).to_bytes();
        assert_eq!(Holding::from_bytes(&bytes), Ok(holding(why)));
    }
    assert_eq!(
        holding(HoldingReason::Used).size_bytes(),
        u64::MAX,
        "no overflow"
    );
    let mut unknown = holding(HoldingReason::Used).to_bytes();
    unknown[1] = 4;
    assert!(Holding::from_bytes(&unknown).is_err());
}

#[test]
fn what_was_used_and_kept_is_still_used_when_it_is_kept_no_more() {
    use HoldingReason::{Kept, KeptAndUsed, Used};
    let made = made();
    let mut host = Host::author(1, &made);
    assert_eq!(did(&mut host, hold(&made, Used)).1, Some(Used));
    let (changes, why, offered) = did(&mut host, hold(&made, Kept));
    assert_eq!((changes.len(), why, offered), (1, Some(KeptAndUsed), true));
    assert_eq!(did(&mut host, hold(&made, Used)).0, [], "nothing new");
    let (changes, why, offered) = did(&mut host, let_go(&made, Kept));
    assert_eq!((changes.len(), why, offered), (1, Some(Used), false));
    let (changes, why, _) = did(&mut host, let_go(&made, Used));
    let forgotten = Change::ForgetFact {
        repo: made.id,
        kind: FactKind::Holding,
        key: manifest().to_string(),
    };
    assert_eq!((changes, why), (vec![forgotten], None));
    assert_eq!(
        did(&mut host, let_go(&made, Used)).0,
        [],
        "it is gone already"
    );
}

#[test]
fn nothing_lets_go_what_was_published_here() {
    let made = made();
    let mut host = Host::author(1, &made);
    did(&mut host, hold(&made, HoldingReason::Published));
    for why in ALL {
        let (changes, left, offered) = did(&mut host, let_go(&made, why));
        assert_eq!((changes, left), (vec![], Some(HoldingReason::Published)));
        assert!(offered);
    }
}

#[test]
fn only_what_is_followed_no_more_is_purged() {
    let made = made();
    let mut host = Host::author(1, &made);
    let purge = || Command::Purge { repo: made.id };
    assert!(matches!(host.command(purge()).1, Reply::Refused(_)));
    let none = Input::Configured { repos: vec![] };
    host.core.handle(Time(0), none);
    assert_eq!(
        host.core.snapshot().stored().count(),
        1,
        "it is still there"
    );
    let (effects, reply) = host.command(purge());
    assert_eq!(reply, Reply::Done);
    let gone = |effect: &Effect| matches!(effect, Effect::Persist(Change::Unfollow { repo }) if *repo == made.id);
    assert_eq!(effects.iter().filter(|effect| gone(effect)).count(), 1);
    assert_eq!(host.core.snapshot().stored().count(), 0);
    assert_eq!(host.command(purge()).1, Reply::Done, "twice is fine");

    // Followed again, it begins from nothing.
    host.core.handle(Time(0), made.configured());
    assert_eq!(host.command(made.put_root()).1, Reply::Done);
    assert_eq!(host.command(made.append(&made.registrar)).1, Reply::Done);
}
