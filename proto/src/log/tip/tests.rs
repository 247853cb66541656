use super::*;
use crate::log::tree::Tree;

fn repo() -> RepoId {
    RepoId::from_hash(Sha256::of(&[b"a repository"]))
}

fn signing() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn entries(range: std::ops::Range<u64>, branch: &str) -> Vec<Vec<u8>> {
    range
        .map(|i| format!("{i} {branch}").into_bytes())
        .collect()
}

/// A tip with `size` entries of a branch, of which `acknowledged` are acknowledged.
fn tip(size: u64, acknowledged: u64, branch: &str) -> Tip {
    let mut tip = Tip::new(repo(), signing().key());
    if size > 0 {
        tip.append(&signing(), entries(0..size, branch))
            .expect("few");
    }
    tip.acknowledge(acknowledged).expect("signed");
    tip
}

fn reread(tip: &Tip) -> Result<Tip, Error> {
    Tip::from_bytes(&tip.to_bytes(), &repo(), &signing().key())
}

fn tree(entries: &[Vec<u8>]) -> Tree {
    entries.iter().map(|entry| leaf(entry)).collect()
}

#[test]
fn what_is_signed_waits_until_it_is_acknowledged() {
    let mut tip = tip(3, 0, "");
    let checkpoint = tip.checkpoint().expect("signed").clone();
    assert!(checkpoint.verify(&repo()));
    assert_eq!(
        checkpoint.root,
        tree(&entries(0..3, "")).root_at(3).expect("held")
    );
    assert_eq!(
        (tip.size(), tip.acknowledged(), tip.pending().len()),
        (3, 0, 3)
    );

    tip.acknowledge(2).expect("signed");
    assert_eq!((tip.size(), tip.acknowledged()), (3, 2));
    assert_eq!(tip.pending(), entries(2..3, ""));
    tip.acknowledge(1).expect("fewer change nothing");
    assert_eq!((tip.size(), tip.acknowledged()), (3, 2));

    let second = tip
        .append(&signing(), entries(3..5, ""))
        .expect("few")
        .clone();
    assert_eq!(
        second.root,
        tree(&entries(0..5, "")).root_at(5).expect("held")
    );
    tip.acknowledge(5).expect("signed");
    assert_eq!((tip.pending().len(), tip.checkpoint()), (0, Some(&second)));
    let refused = Error::Acknowledged {
        acknowledged: 6,
        signed: 5,
    };
    assert_eq!(tip.acknowledge(6), Err(refused));
}

#[test]
fn a_tip_survives_its_file() {
    for size in 0..9 {
        for acknowledged in 0..=size {
            let tip = tip(size, acknowledged, "");
            assert_eq!(reread(&tip), Ok(tip));
        }
    }
}

#[test]
fn a_tip_of_another_log_is_refused() {
    let bytes = tip(2, 1, "").to_bytes();
    let elsewhere = RepoId::from_hash(Sha256::of(&[b"another"]));
    let stranger = SigningKey::from_seed(&[2; 32]);
    let key = signing().key();
    assert_eq!(Tip::from_bytes(&bytes, &elsewhere, &key), Err(Error::Other));
    assert_eq!(
        Tip::from_bytes(&bytes, &repo(), &stranger.key()),
        Err(Error::Other)
    );
    let refused = tip(2, 1, "").append(&stranger, entries(0..1, "")).cloned();
    assert_eq!(refused, Err(Error::Signer(stranger.key())));
}

#[test]
fn a_tip_whose_parts_do_not_belong_together_is_refused() {
    let whole = tip(3, 1, "");
    let altered = [
        Tip {
            checkpoint: None,
            ..whole.clone()
        },
        Tip {
            pending: Vec::new(),
            ..whole.clone()
        },
        Tip {
            pending: entries(1..3, "other"),
            ..whole.clone()
        },
        Tip {
            acknowledged: Edge::new(),
            ..whole.clone()
        },
        Tip {
            checkpoint: tip(3, 0, "other").checkpoint,
            ..whole.clone()
        },
    ];
    for altered in altered {
        assert_eq!(reread(&altered), Err(Error::Checkpoint));
    }
    let mut newer = whole.to_bytes();
    newer[1] = 2;
    assert_eq!(
        Tip::from_bytes(&newer, &repo(), &signing().key()),
        Err(Error::Newer(2))
    );
}

#[test]
fn limits_of_what_may_wait() {
    let mut tip = Tip::new(repo(), signing().key());
    assert_eq!(
        tip.append(&signing(), Vec::new()).cloned(),
        Err(Error::Nothing)
    );
    let longest = vec![0; ENTRY_BYTES_MAX];
    let too_long = vec![0; ENTRY_BYTES_MAX + 1];
    let refused = tip.append(&signing(), vec![too_long]).cloned();
    assert_eq!(refused, Err(Error::Entry(ENTRY_BYTES_MAX + 1)));
    assert_eq!(tip, Tip::new(repo(), signing().key()));

    tip.append(&signing(), vec![longest.clone(); 256])
        .expect("at the limit");
    assert_eq!(reread(&tip), Ok(tip.clone()));
    let rest = PENDING_BYTES_MAX - 256 * ENTRY_BYTES_MAX;
    tip.append(&signing(), vec![vec![0; rest]])
        .expect("at the limit");
    assert_eq!(reread(&tip), Ok(tip.clone()));
    let before = tip.clone();
    let size = PENDING_BYTES_MAX + 1;
    let refused = tip.append(&signing(), vec![vec![0]]).cloned();
    assert_eq!(refused, Err(Error::Pending { entries: 258, size }));
    assert_eq!(tip, before);

    let mut many = Tip::new(repo(), signing().key());
    many.append(&signing(), vec![Vec::new(); PENDING_ENTRIES_MAX])
        .expect("at the limit");
    assert_eq!(reread(&many), Ok(many.clone()));
    assert!(many.append(&signing(), vec![Vec::new()]).is_err());
}

#[test]
fn a_node_that_is_not_ahead_acknowledges_what_it_holds() {
    for held in 1..=5 {
        let mut tip = tip(5, 2, "");
        let theirs = self::tip(held, 0, "").checkpoint.expect("signed");
        let expected = if held < 2 {
            Standing::Behind
        } else {
            Standing::Holds
        };
        assert_eq!(tip.hear(&theirs), Ok(expected));
        assert_eq!((tip.acknowledged(), tip.size()), (held.max(2), 5));
        assert_eq!(reread(&tip), Ok(tip));
    }
}

#[test]
fn a_restored_backup_catches_up() {
    for (size, acknowledged) in [(0, 0), (1, 0), (1, 1), (4, 2), (6, 6)] {
        let mut restored = tip(size, acknowledged, "");
        let newest = tip(7, 7, "");
        let theirs = newest.checkpoint.clone().expect("signed");
        let ahead = Standing::Ahead { from: size, to: 7 };
        assert_eq!(restored.hear(&theirs), Ok(ahead));
        restored
            .extend(&theirs, entries(size..7, ""))
            .expect("consistent");
        assert_eq!(restored, newest);
    }
}

#[test]
fn entries_that_do_not_lead_there_change_nothing() {
    let mut tip = tip(3, 1, "");
    let before = tip.clone();
    let theirs = self::tip(7, 0, "").checkpoint.expect("signed");
    for wrong in [3..6, 3..8, 2..7, 3..3] {
        let refused = tip.extend(&theirs, entries(wrong, ""));
        assert_eq!(refused, Err(CatchUpError::Entries { size: 7 }));
    }
    let shorter = self::tip(3, 0, "").checkpoint.expect("signed");
    let refused = tip.extend(&shorter, entries(3..3, ""));
    assert_eq!(
        refused,
        Err(CatchUpError::Shorter {
            given: 3,
            signed: 3
        })
    );
    assert_eq!(tip, before);
    // The node is on our branch after all, or proves nothing: the peer's fault, no evidence.
    let tree = tree(&entries(0..7, ""));
    let (root, proof) = (tree.root_at(3).expect("held"), tree.consistency_proof(3, 7));
    for root in [root, leaf(b"a lie")] {
        let judged = tip.judge(&theirs, root, &proof.clone().expect("held"));
        assert!(matches!(judged, CatchUpError::Unproven(_)), "{judged}");
        assert_eq!(judged.fault(), Fault::Peer);
    }
}

/// A second device on one key: whichever is ahead, and wherever they parted, the tool stops with the
/// evidence before it signs again.
#[test]
fn a_cloned_key_stops_with_the_evidence() {
    for (mine, acknowledged) in [(1, 0), (4, 0), (4, 1), (4, 4), (6, 3)] {
        for held in 1..10 {
            let mut tip = tip(mine, acknowledged, "mine");
            let before = tip.clone();
            let branch = entries(0..held, "theirs");
            let theirs = self::tip(held, 0, "theirs").checkpoint.expect("signed");
            let error = match tip.hear(&theirs) {
                Ok(Standing::Behind) => {
                    assert!(held < acknowledged);
                    continue;
                }
                Ok(Standing::Ahead { from, to }) => {
                    assert_eq!((from, to), (mine, held));
                    let more = entries(mine..held, "theirs");
                    let refused = tip.extend(&theirs, more);
                    assert_eq!(refused, Err(CatchUpError::Entries { size: held }));
                    let tree = tree(&branch);
                    let proof = tree.consistency_proof(mine, held).expect("held");
                    tip.judge(&theirs, tree.root_at(mine).expect("held"), &proof)
                }
                other => other.expect_err("two branches"),
            };
            let CatchUpError::Forked(evidence) = error else {
                panic!("{mine} {held}: {error}");
            };
            assert_eq!(evidence.a.size, mine.min(held));
            assert_eq!(evidence.b.size, mine.max(held));
            assert_eq!(tip, before);
        }
    }
}

#[test]
fn checkpoints_of_others_are_refused() {
    let mut tip = tip(2, 0, "");
    let root = tip.checkpoint().expect("signed").root;
    let stranger = SigningKey::from_seed(&[2; 32]);
    let other = Checkpoint::sign(&repo(), &stranger, 2, root).expect("a size in range");
    assert_eq!(tip.hear(&other), Err(CatchUpError::OtherKey));
    let forged = Checkpoint {
        key: signing().key(),
        ..other
    };
    assert!(matches!(
        tip.hear(&forged),
        Err(CatchUpError::Checkpoint(_))
    ));
    let refused = tip.extend(&forged, entries(2..2, ""));
    assert!(matches!(refused, Err(CatchUpError::Checkpoint(_))));
}
