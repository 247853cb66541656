//! What a hostile peer tries on the core, told in inputs and effects: no sockets, no store.

mod liar;

use skep_node::core::{Command, Effect, Event, GossipId, Input, Reply, SessionId, Time, Verdict};
use skep_node::store::Change;
use skep_proto::hash::Sha256;
use skep_proto::log::checkpoint::{Checkpoint, Cosignature};
use skep_proto::log::tree;
use skep_proto::name::RepoRef;
use skep_proto::sync::trie::{Frontier, Part};
use skep_proto::sync::wire::{Answer, Hello, Message, Push, Record, Refusal, Request, TrieNode};

use skep_proto::trust::Asked;

use liar::{Liar, Made, Meeting, Node, SECOND, SESSION, signing};

/// Every answer that an honest peer with nothing to offer would give.
fn nothing(request: &Request) -> Option<Answer> {
    match request {
        Request::Roots { .. } => Some(Answer::Roots {
            documents: vec![],
            more: false,
        }),
        Request::Trie { prefixes, .. } => Some(Answer::Trie(
            prefixes.iter().map(|_| TrieNode::Records(vec![])).collect(),
        )),
        _ => None,
    }
}

/// Offers one record in the trie, and nothing else.
fn offering(record: Record) -> impl FnMut(&Request) -> Option<Answer> {
    move |request| match request {
        Request::Trie { prefixes, .. } => Some(Answer::Trie(
            prefixes
                .iter()
                .map(|_| TrieNode::Records(vec![record.clone()]))
                .collect(),
        )),
        other => nothing(other),
    }
}

fn asked_for_entries(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        let Effect::Send { message, .. } = effect else {
            return false;
        };
        let Message::Request { request, .. } = message else {
            return false;
        };
        matches!(request, Request::Get { .. })
    })
}

fn stored_anything(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Persist(_)))
}

fn passed_on(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Gossip { .. } => true,
        Effect::Judge { verdict, .. } => *verdict == Verdict::Accept,
        Effect::Send { session, message } => {
            *session != SESSION && matches!(message, Message::Push(_))
        }
        _ => false,
    })
}

fn banned(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Disconnect { ban_s: Some(_), .. }))
}

fn gossip(made: &Made, checkpoint: &Checkpoint) -> Input {
    Input::Gossiped {
        id: GossipId(vec![1]),
        from: liar::node_id(20),
        topic: made.topic(),
        data: checkpoint.to_bytes(),
    }
}

fn push(made: &Made, checkpoints: Vec<Checkpoint>) -> Message {
    let repo = made.id;
    Message::Push(Push::Checkpoints { repo, checkpoints })
}

#[test]
fn logs_that_nobody_admitted_are_neither_stored_nor_asked_for_nor_passed_on() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let stranger = Checkpoint::sign(&made.id, &signing(9), 3, Sha256::of(&[b"root"]));
    let stranger = stranger.expect("a size in range");

    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    Liar::connect(&mut node, &made, SECOND, 30).talk(&mut node, nothing);
    let effects = liar.talk(&mut node, offering(Record::Log(stranger.clone())));
    assert!(liar.was_asked_for_the_trie);
    let pushed = liar.say(&mut node, &push(&made, vec![stranger.clone()]));
    let gossiped = node.take(gossip(&made, &stranger));
    for effects in [effects, pushed, gossiped] {
        assert!(!stored_anything(&effects), "{effects:?}");
        assert!(!asked_for_entries(&effects), "{effects:?}");
        assert!(!passed_on(&effects), "{effects:?}");
        assert!(
            !banned(&effects),
            "who relays it may know of a key that we do not"
        );
    }
}

#[test]
fn entries_that_nobody_serves_are_never_visible_and_block_nobody() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let before = node.view_hash(&made);
    // The publisher's key is stolen, and the thief signs what does not exist.
    let absurd = |size| {
        let checkpoint = Checkpoint::sign(&made.id, &signing(3), size, Sha256::of(&[b"?"]));
        checkpoint.expect("a size in range")
    };
    let mut thief = Liar::connect(&mut node, &made, SESSION, 20);
    thief.talk(&mut node, nothing);
    for size in [tree::SIZE_MAX, 100_001] {
        let effects = thief.say(&mut node, &push(&made, vec![absurd(size)]));
        assert!(!asked_for_entries(&effects), "beyond the limits of a log");
        let effects = node.take(gossip(&made, &absurd(size)));
        assert!(!passed_on(&effects), "beyond the limits of a log");
    }
    let effects = thief.say(&mut node, &push(&made, vec![absurd(100_000)]));
    assert!(asked_for_entries(&effects), "it might be true");
    assert!(!stored_anything(&effects) && !passed_on(&effects));
    assert!(thief.refuse_all(&mut node));
    assert_eq!(node.view_hash(&made), before);

    // Whoever has the honest log brings it all the same.
    let longer = made.published("1.1.0");
    let mut honest = Liar::connect(&mut node, &made, SECOND, 30);
    honest.talk(&mut node, nothing);
    let checkpoint = longer.checkpoint().expect("signed").clone();
    honest.say(&mut node, &push(&made, vec![checkpoint]));
    let entries = longer.pending()[2..].to_vec();
    let serve = move |request: &Request| match request {
        Request::Get { from: 2, to: 3, .. } => Some(Answer::Get {
            entries: entries.clone(),
            proof: vec![],
        }),
        other => nothing(other),
    };
    let effects = honest.talk(&mut node, serve);
    assert!(stored_anything(&effects));
    assert_eq!(node.listed(&made), ["1.0.0", "1.1.0"]);
}

#[test]
fn altered_entries_cost_the_peer_and_change_nothing() {
    let made = Made::new();
    let mut node = Node::follower(&made, 10);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    let (registrar, documents) = (made.registrar.clone(), vec![made.root.clone()]);
    let checkpoint = registrar.checkpoint().expect("signed").clone();
    let mut entries = registrar.pending().to_vec();
    let last = entries[0].len() - 1;
    entries[0][last] ^= 1;
    let serve = move |request: &Request| match request {
        Request::Roots { .. } => Some(Answer::Roots {
            documents: documents.clone(),
            more: false,
        }),
        Request::Trie { prefixes, .. } => Some(Answer::Trie(
            prefixes
                .iter()
                .map(|_| TrieNode::Records(vec![Record::Log(checkpoint.clone())]))
                .collect(),
        )),
        Request::Get { .. } => Some(Answer::Get {
            entries: entries.clone(),
            proof: vec![],
        }),
        _ => None,
    };
    let effects = liar.talk(&mut node, serve);
    assert!(banned(&effects), "{effects:?}");
    let appended = |effect: &Effect| matches!(effect, Effect::Persist(Change::Append { .. }));
    assert!(!effects.iter().any(appended));
}

#[test]
fn forged_checkpoints_and_those_of_other_repositories_cost_the_peer() {
    let made = Made::new();
    let abroad = Made::named("abroad");
    assert_ne!(made.id, abroad.id);
    let mut forged = made.publisher.checkpoint().expect("signed").clone();
    forged.size = 7;
    // The same keys sign in both, and a checkpoint says in which.
    let other = abroad
        .published("1.1.0")
        .checkpoint()
        .expect("signed")
        .clone();
    for checkpoint in [forged, other] {
        let mut node = Node::author(&made, 10);
        let before = node.view_hash(&made);
        let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
        liar.talk(&mut node, nothing);
        let effects = liar.say(&mut node, &push(&made, vec![checkpoint.clone()]));
        assert!(banned(&effects) && !asked_for_entries(&effects));
        let effects = node.take(gossip(&made, &checkpoint));
        assert!(banned(&effects) && !passed_on(&effects));
        assert_eq!(node.view_hash(&made), before);
    }
}

#[test]
fn older_checkpoints_and_documents_change_nothing() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let older = made.publisher.checkpoint().expect("signed").clone();
    let entries = made.published("1.1.0");
    assert_eq!(node.append(&made, &entries, 2), Reply::Done);
    let before = node.view_hash(&made);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    let document = made.root.clone();
    let mut trie = offering(Record::Log(older.clone()));
    let effects = liar.talk(&mut node, move |request| match request {
        Request::Roots { .. } => Some(Answer::Roots {
            documents: vec![document.clone()],
            more: false,
        }),
        other => trie(other),
    });
    assert!(liar.was_asked_for_the_trie);
    let pushed = liar.say(&mut node, &push(&made, vec![older.clone()]));
    let gossiped = node.take(gossip(&made, &older));
    for effects in [effects, pushed, gossiped] {
        assert!(!stored_anything(&effects) && !asked_for_entries(&effects));
        assert!(!passed_on(&effects));
    }
    assert_eq!(node.append(&made, &made.publisher, 0), Reply::Size(3));
    assert_eq!(node.view_hash(&made), before);
    assert_eq!(node.listed(&made), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_hello_of_no_common_version_ends_the_session() {
    let made = Made::new();
    let hello = |versions: &[u64]| {
        let mut node = Node::author(&made, 10);
        let mut liar = Liar::open(&mut node, SESSION, 20, false);
        let hello = Hello {
            versions: versions.to_vec(),
            nonce: [5; 32],
            frame_bytes_max: 1 << 20,
        };
        let request = Request::Hello(hello);
        let first = liar.say(
            &mut node,
            &Message::Request {
                id: 1,
                request: request.clone(),
            },
        );
        let second = liar.say(&mut node, &Message::Request { id: 2, request });
        (banned(&first), banned(&second))
    };
    assert!(hello(&[]).0);
    assert!(hello(&[0]).0);
    assert!(hello(&[2, 3]).0);
    assert_eq!(hello(&[2, 1]), (false, true), "a second one is as bad");
}

#[test]
fn two_branches_are_proven_to_both_sides_in_one_exchange() {
    let made = Made::new();
    let (mut a, mut b) = (Node::author(&made, 10), Node::author(&made, 11));
    assert_eq!(a.append(&made, &made.published("1.1.0"), 2), Reply::Done);
    assert_eq!(b.append(&made, &made.published("6.6.6"), 2), Reply::Done);
    assert_eq!(a.listed(&made), ["1.0.0", "1.1.0"]);
    let forked = liar::meet(&mut a, &mut b);
    let key = *made.publisher.key();
    let news = |node: usize| {
        let event = Event::Forked { repo: made.id, key };
        forked[node]
            .iter()
            .any(|e| matches!(e, Effect::Tell(told) if *told == event))
    };
    assert!(news(0) && news(1), "both hold the evidence");
    for node in [&a, &b] {
        assert!(node.listed(&made).is_empty(), "nothing of it counts");
    }
    assert_eq!(a.view_hash(&made), b.view_hash(&made));
    // A third one learns of it from either.
    let mut c = Node::author(&made, 12);
    liar::meet(&mut b, &mut c);
    assert!(c.listed(&made).is_empty());
}

/// A peer that always says "different below" makes us walk. What we have still to ask stays small,
/// since the deepest is asked first; and no keys make a trie as deep as that, so it soon ends.
#[test]
fn a_liar_about_the_trie_is_not_remembered_for_ever() {
    const ROUNDS: u64 = 1_000;
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    let (mut told, mut asked, mut most, mut rounds) = (1_u64, 0_u64, 0_u64, 0_u64);
    let effects = liar.talk(&mut node, |request| match request {
        Request::Trie { prefixes, .. } => {
            rounds += 1;
            asked += prefixes.len() as u64;
            let below = prefixes.iter().filter(|prefix| prefix.nibbles().len() < 64);
            told += 16 * below.count() as u64;
            most = most.max(told.saturating_sub(asked));
            let children = |_| TrieNode::Children(Box::new([Sha256::of(&[b"lie"]); 16]));
            (rounds < ROUNDS).then(|| Answer::Trie(prefixes.iter().map(children).collect()))
        }
        other => nothing(other),
    });
    let depth_and_width = 64 * 64 * 16;
    assert!(most <= depth_and_width, "{most} prefixes are remembered");
    assert!(rounds < ROUNDS && banned(&effects), "{rounds} rounds");
}

/// Cosignatures are not under the log's signature: whoever adds others to a checkpoint makes another
/// message of it, which must not travel.
#[test]
fn recombined_gossip_is_not_passed_on() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    Liar::connect(&mut node, &made, SESSION, 20).talk(&mut node, nothing);
    let checkpoint = made
        .published("1.1.0")
        .checkpoint()
        .expect("signed")
        .clone();
    let mut recombined = checkpoint.clone();
    let cosignature = Cosignature::sign(&made.id, &checkpoint, &signing(9), 1);
    assert!(recombined.add_cosignature(&made.id, cosignature));
    let effects = node.take(gossip(&made, &recombined));
    assert!(!passed_on(&effects), "its signer is no witness");
    assert!(
        !banned(&effects),
        "who passed it on may know of another root document"
    );
    let effects = node.take(gossip(&made, &checkpoint));
    assert!(passed_on(&effects), "the message itself travels");
    let next = made
        .published("1.2.0")
        .checkpoint()
        .expect("signed")
        .clone();
    let early = node.take(gossip(&made, &next));
    assert!(!passed_on(&early), "of one log one a second");
    let later = node.core.handle(Time(1_000), gossip(&made, &next));
    assert!(passed_on(&later));
}

#[test]
fn what_is_stored_is_what_was_signed_and_stays() {
    // `Node::take` checks every change: entries continue what is stored, under a checkpoint that
    // verifies and to whose root they lead.
    let made = Made::new();
    let (mut a, mut b) = (Node::author(&made, 10), Node::follower(&made, 11));
    liar::meet(&mut a, &mut b);
    for tip in [&made.registrar, &made.publisher] {
        assert_eq!(a.stored(&made.id, tip.key()), tip.pending());
        assert_eq!(
            b.stored(&made.id, tip.key()),
            tip.pending(),
            "byte for byte"
        );
    }
    assert_eq!(a.view_hash(&made), b.view_hash(&made));
    // Delivered again it changes nothing, not a byte.
    let again = liar::meet(&mut a, &mut b);
    assert!(!stored_anything(&again[0]) && !stored_anything(&again[1]));
}

#[test]
fn answers_that_nobody_asked_for_cost_the_peer() {
    let made = Made::new();
    let answers = [
        Answer::Trie(vec![TrieNode::Records(vec![])]),
        Answer::Get {
            entries: vec![vec![]],
            proof: vec![],
        },
        Answer::Roots {
            documents: vec![made.root.clone()],
            more: true,
        },
    ];
    for answer in answers {
        let mut node = Node::author(&made, 10);
        let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
        liar.talk(&mut node, nothing);
        assert!(banned(
            &liar.say(&mut node, &Message::Answer { id: 77, answer })
        ));
    }
    // A refusal of nothing and a farewell are no crime.
    let mut node = Node::author(&made, 10);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    liar.talk(&mut node, nothing);
    let refusal = Refusal::NotFound;
    let message = Message::Refusal {
        id: Some(77),
        refusal,
    };
    assert!(!banned(&liar.say(&mut node, &message)));
}

#[test]
fn a_part_of_the_trie_is_what_its_records_hash_to() {
    // What a receiver could check: the part that a node tells hashes to its own root.
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    liar.talk(&mut node, nothing);
    let request = Request::Trie {
        repo: made.id,
        prefixes: vec![Default::default()],
    };
    let effects = liar.say(&mut node, &Message::Request { id: 9, request });
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Send {
            message:
                Message::Answer {
                    answer: Answer::Trie(nodes),
                    ..
                },
            ..
        } => nodes.first().cloned(),
        _ => None,
    });
    let Some(TrieNode::Records(records)) = told else {
        panic!("two logs fit one part");
    };
    let frontier = |tip: &skep_proto::log::tip::Tip| {
        let checkpoint = tip.checkpoint().expect("signed");
        let (key, size, root) = (checkpoint.key, checkpoint.size, checkpoint.root);
        Frontier { key, size, root }.to_record()
    };
    let mut expected = vec![frontier(&made.registrar), frontier(&made.publisher)];
    expected.sort();
    let mut found: Vec<Vec<u8>> = records
        .iter()
        .map(|record| match record {
            Record::Log(it) => Frontier {
                key: it.key,
                size: it.size,
                root: it.root,
            }
            .to_record(),
            other => panic!("a log without evidence or cut, told as {other:?}"),
        })
        .collect();
    found.sort();
    assert_eq!(Part::Records(found).hash(), Part::Records(expected).hash());
}

/// Objects are read where somebody publishes or installs: a node that only exchanges them never looks
/// into one.
#[test]
fn a_node_never_parses_an_object() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("source is text");
            assert!(!text.contains("ebpf::read"), "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 20, "{files}");
}

#[test]
fn a_stranger_who_appends_for_another_key_is_refused() {
    // The control socket is one more way in: what comes over it is taken as a peer's would be.
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let longer = made.published("1.1.0");
    let forged = Checkpoint::sign(
        &made.id,
        &signing(9),
        3,
        longer.checkpoint().expect("signed").root,
    );
    let forged = Checkpoint {
        key: *longer.key(),
        ..forged.expect("a size in range")
    };
    let reply = node.command(Command::Append {
        repo: made.id,
        key: *longer.key(),
        entries: longer.pending()[2..].to_vec(),
        checkpoint: forged,
    });
    assert!(matches!(reply, Reply::Refused(why) if why.contains("signature")));
    assert_eq!(node.listed(&made), ["1.0.0"]);
}

#[test]
fn one_name_in_two_repositories_is_two_packages() {
    let (home, abroad) = (Made::named("home"), Made::named("abroad"));
    let mut node = Node::follower(&home, 10);
    node.take(liar::following(&[("home", &home), ("abroad", &abroad)]));
    node.learn(&home);
    node.learn(&abroad);
    assert_eq!(
        node.append(&abroad, &abroad.published("9.9.9"), 2),
        Reply::Done
    );
    let newest = |repo: &str| {
        let repo: RepoRef = repo.parse().expect("an alias or an id");
        let found = node.shown.repo(&repo)?;
        let name = "drop".parse().expect("a name");
        let resolved = found
            .resolve(&name, None, &Asked::default())
            .expect("it is there");
        assert!(!resolved.decision.admitted, "nobody trusts anybody");
        Some(resolved.subject.version.to_string())
    };
    assert_eq!(newest("home").as_deref(), Some("1.0.0"));
    assert_eq!(newest("abroad").as_deref(), Some("9.9.9"));
    assert_eq!(newest(&home.id.to_string()).as_deref(), Some("1.0.0"));
    // An alias that nobody gave falls through to nothing.
    assert_eq!(newest("elsewhere"), None);
    assert_eq!(newest("drop"), None);
}

/// Whoever serves a log in the smallest parts makes us work for each of them, but not for all that is
/// held already: what is not whole changes nothing that anybody sees.
#[test]
fn a_log_that_comes_entry_by_entry_is_seen_when_it_is_whole() {
    const RELEASES: u64 = 300;
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let longer = made.published_many(RELEASES);
    let target = longer.checkpoint().expect("signed").clone();
    let entries = longer.pending().to_vec();
    let tree: tree::Tree = entries.iter().map(|entry| tree::leaf(entry)).collect();
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    liar.talk(&mut node, nothing);
    liar.say(&mut node, &push(&made, vec![target.clone()]));
    let (before, mut answers) = (node.view_hash(&made), 0);
    let effects = liar.talk(&mut node, |request| match request {
        Request::Get { from, size, .. } => {
            answers += 1;
            let at = usize::try_from(*from).expect("small");
            let proof = tree.consistency_proof(from + 1, *size).expect("held");
            Some(Answer::Get {
                entries: vec![entries[at].clone()],
                proof,
            })
        }
        other => nothing(other),
    });
    assert_eq!(answers, RELEASES);
    assert_ne!(node.view_hash(&made), before);
    assert_eq!(node.listed(&made).len() as u64, RELEASES + 1);
    let views = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Tell(Event::ViewChanged { .. })));
    assert_eq!(views.count(), 1);
}

/// Root documents carry up to 64 signatures each: to have them verified again costs a word, if nobody
/// counts.
#[test]
fn who_says_again_and_again_that_it_follows_is_compared_with_once() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let mut liar = Liar::connect(&mut node, &made, SESSION, 20);
    liar.talk(&mut node, nothing);
    let mut comparisons = 0;
    for id in 100..140 {
        let tags = match id % 2 {
            0 => vec![],
            _ => vec![liar.tag(&node, &made)],
        };
        let request = Request::Tags(tags);
        liar.say(&mut node, &Message::Request { id, request });
        liar.talk(&mut node, |request| {
            comparisons += u32::from(matches!(request, Request::Roots { .. }));
            nothing(request)
        });
    }
    assert_eq!(comparisons, 0, "the session has just begun with one");
}

/// What is above the budget of signature checks waits; it is not lost.
#[test]
fn more_logs_than_may_be_checked_in_a_second_arrive_over_several() {
    let made = Made::with_keys(264);
    let (mut a, mut b) = (Node::follower(&made, 10), Node::follower(&made, 11));
    a.learn(&made);
    for tip in &made.others {
        assert_eq!(a.append(&made, tip, 0), Reply::Done);
    }
    let held = |node: &Node| {
        let all = made.others.iter();
        all.filter(|tip| node.stored(&made.id, tip.key()) == tip.pending())
            .count()
    };
    let mut meeting = Meeting::begin(&mut a, &mut b);
    meeting.carry(&mut a, &mut b);
    let first = held(&b);
    assert!(
        (200..256).contains(&first),
        "{first} logs in the first second"
    );
    for second in 1..=2 {
        for node in [&mut a, &mut b] {
            node.now = Time(1_000 * second);
        }
        meeting.wake(&mut a, &mut b);
        meeting.carry(&mut a, &mut b);
    }
    assert_eq!(held(&b), made.others.len());
    assert_eq!(a.view_hash(&made), b.view_hash(&made));
}

#[test]
fn nothing_waits_to_be_gossiped_where_nothing_is_gossiped() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    node.now = Time(5_000);
    node.take(liar::following(&[]));
    assert_eq!(node.append(&made, &made.published("1.1.0"), 2), Reply::Done);
    let effects = node.take(Input::Woken);
    let wakes = effects.iter().filter_map(|effect| match effect {
        Effect::WakeAt(at) => Some(*at),
        _ => None,
    });
    assert!(
        wakes.min().is_some_and(|at| at > node.now),
        "else it never sleeps"
    );
}

#[test]
fn time_alone_ends_what_a_silent_peer_holds_up() {
    let made = Made::new();
    let mut node = Node::author(&made, 10);
    let mut silent = Liar::connect(&mut node, &made, SESSION, 20);
    silent.talk(&mut node, nothing);
    let checkpoint = made
        .published("1.1.0")
        .checkpoint()
        .expect("signed")
        .clone();
    let effects = silent.say(&mut node, &push(&made, vec![checkpoint.clone()]));
    assert!(asked_for_entries(&effects));
    // Another one who has it is asked as soon as the first has had its time.
    let mut honest = Liar::connect(&mut node, &made, SECOND, 30);
    honest.talk(&mut node, nothing);
    let late = node.core.handle(Time(20_000), Input::Woken);
    assert!(late.iter().any(|e| matches!(
        e,
        Effect::Disconnect { session, ban_s: None } if *session == SessionId(SESSION.0)
    )));
    node.take(Input::Closed { session: SESSION });
    let effects = honest.say(&mut node, &push(&made, vec![checkpoint]));
    assert!(asked_for_entries(&effects));
}
