//! Logs of two branches: evidence, cuts, remainders, and what readers see meanwhile.

use std::collections::VecDeque;

use skep_proto::log::entry::{Cut, Mark, Status, StatusState};
use skep_proto::name::RepoRef;
use skep_proto::repo::root::RootCut;
use skep_proto::sync::wire::{Answer, Record};

use super::*;
use crate::snapshot::RepoSnapshot;
use crate::store::Store as _;
use crate::store::memory::Memory;

/// A core with a store, as a driver would join them.
struct Node {
    core: Core,
    store: Memory,
    id: u8,
    next: u64,
}

impl Node {
    fn new(id: u8, made: &Made) -> Self {
        let mut node = Self {
            core: Core::new(super::node(id), [id; 32], vec![]),
            store: Memory::new(),
            id,
            next: 0,
        };
        node.take(made.configured());
        node.command(made.put_root());
        node
    }

    /// A node that has the registrar's log and this branch of the publisher's.
    fn with(id: u8, made: &Made, publisher: &Tip) -> Self {
        let mut node = Self::new(id, made);
        node.append(made, &made.registrar);
        node.append(made, publisher);
        node
    }

    /// The same node after its process ended.
    fn restarted(self, made: &Made) -> Self {
        let restored = crate::restore::restore(&self.store).expect("read");
        let mut node = Self {
            core: Core::new(super::node(self.id), [self.id; 32], restored),
            ..self
        };
        node.take(made.configured());
        node
    }

    /// Hands over an input; gives the effects that leave the node.
    fn take(&mut self, input: Input) -> Vec<Effect> {
        let mut left = Vec::new();
        for effect in self.core.handle(Time(0), input) {
            match effect {
                Effect::Persist(change) => self.store.persist(&change).expect("it fits"),
                other => left.push(other),
            }
        }
        left
    }

    fn command(&mut self, command: Command) -> Reply {
        self.next += 1;
        let id = RequestId(self.next);
        let effects = self.take(Input::Command(id, command));
        let mut replies = effects.into_iter().filter_map(|effect| match effect {
            Effect::Reply(to, reply) if to == id => Some(reply),
            _ => None,
        });
        replies.next().expect("an answer at once")
    }

    /// What of a log is not here yet is appended by its author's tool.
    fn append(&mut self, made: &Made, tip: &Tip) {
        let held = self.repo(made).size(tip.key());
        let held = usize::try_from(held).expect("small");
        let reply = self.command(Command::Append {
            repo: made.id,
            key: *tip.key(),
            entries: tip.pending()[held..].to_vec(),
            checkpoint: tip.checkpoint().expect("signed").clone(),
        });
        assert_eq!(reply, Reply::Done);
    }

    fn repo(&self, made: &Made) -> &Repository {
        self.core.repos.get(&made.id).expect("followed")
    }

    fn snapshot(&self, made: &Made) -> Arc<RepoSnapshot> {
        let snapshot = self.core.snapshot();
        Arc::clone(snapshot.repo(&RepoRef::Id(made.id)).expect("followed"))
    }

    /// The versions of `drop` that readers see listed.
    fn listed(&self, made: &Made) -> Vec<String> {
        let snapshot = self.snapshot(made);
        let package = snapshot
            .packages()
            .into_iter()
            .find(|p| p.name.as_str() == "drop");
        let releases = package.map(|p| p.releases).unwrap_or_default();
        let listed = releases.into_iter().filter(|r| r.state == "listed");
        listed.map(|r| r.version.to_string()).collect()
    }

    fn answer(&self, effect: Effect) -> Option<Message> {
        match effect {
            Effect::Send { message, .. } => Some(message),
            Effect::SendEntries {
                request: id,
                repo,
                key,
                from,
                to,
                proof,
                ..
            } => {
                let entries = self.store.entries(&repo, &key, from, to).expect("read");
                let answer = Answer::Get { entries, proof };
                Some(Message::Answer { id, answer })
            }
            Effect::Disconnect { ban_s, .. } => panic!("a node hung up, ban {ban_s:?}"),
            _ => None,
        }
    }
}

/// Connects two nodes, carries what they say until both are silent, and disconnects them.
/// `lost` says which messages end the connection instead of arriving.
fn meet_until(a: &mut Node, b: &mut Node, lost: &dyn Fn(&Message) -> bool) {
    let connect = |node: &mut Node, peer: u8, opener| {
        let nonce = [peer; 32];
        let peer = super::node(peer);
        let session = SESSION;
        node.take(Input::Connected {
            session,
            peer,
            opener,
            nonce,
        })
    };
    let mut queue = VecDeque::new();
    let peer = b.id;
    queue.extend(connect(a, peer, true).into_iter().map(|e| (true, e)));
    let peer = a.id;
    queue.extend(connect(b, peer, false).into_iter().map(|e| (false, e)));
    while let Some((to_b, effect)) = queue.pop_front() {
        let (from, to) = if to_b { (&*a, &mut *b) } else { (&*b, &mut *a) };
        let Some(message) = from.answer(effect) else {
            continue;
        };
        if lost(&message) {
            break;
        }
        let heard = Input::Heard {
            session: SESSION,
            frame: message.encode(),
        };
        queue.extend(to.take(heard).into_iter().map(|e| (!to_b, e)));
    }
    for node in [a, b] {
        node.take(Input::Closed { session: SESSION });
    }
}

fn meet(a: &mut Node, b: &mut Node) {
    meet_until(a, b, &|_| false);
}

fn release(key: &SigningKey, version: &str) -> Vec<u8> {
    let payload = version.as_bytes().to_vec();
    let signatures = vec![(key.key(), key.sign(&payload))];
    entry(Body::Publish(Publish {
        name: "drop".parse().expect("a name"),
        version: version.parse().expect("a version"),
        payload,
        signatures,
    }))
}

fn entry(body: Body) -> Vec<u8> {
    let entry = Entry {
        claimed_at: 0,
        body,
    };
    entry.encode().expect("an entry")
}

fn more(tip: &Tip, key: &SigningKey, entries: Vec<Vec<u8>>) -> Tip {
    let mut tip = tip.clone();
    tip.append(key, entries).expect("signed");
    tip
}

/// The publisher's log went two ways after its second entry.
fn branches(made: &Made) -> (Tip, Tip) {
    let key = signing(3);
    let good = more(&made.publisher, &key, vec![release(&key, "1.1.0")]);
    let bad = [release(&key, "6.6.6"), release(&key, "6.6.7")];
    (good, more(&made.publisher, &key, bad.to_vec()))
}

fn mark(tip: &Tip) -> Mark {
    let checkpoint = tip.checkpoint().expect("signed");
    Mark {
        key: *tip.key(),
        size: checkpoint.size,
        root: checkpoint.root,
    }
}

/// The registrar cuts the publisher's key where this branch ends.
fn cut_at(made: &Made, tip: &Tip) -> Tip {
    let cut = Cut {
        mark: mark(tip),
        reason: "stolen".to_owned(),
    };
    let cut = entry(Body::Cut(cut));
    more(&made.registrar, &signing(2), vec![cut])
}

/// The second version of the root document: another registrar; the first one's log counts up to
/// where `registrar` ends.
fn replaced(made: &Made, registrar: &Tip, cuts: Vec<RootCut>) -> Command {
    Command::PutRoot {
        repo: made.id,
        root: second_root(made, registrar, cuts),
    }
}

fn second_root(made: &Made, registrar: &Tip, cuts: Vec<RootCut>) -> SignedRoot {
    let root_key = signing(1);
    let first = skep_proto::repo::root::Document::parse(&made.root.payload).expect("a document");
    let skep_proto::repo::root::Document::Known(mut document) = first else {
        panic!("of these rules");
    };
    document.version = 2;
    document.prev = Some(Sha256::of(&[&made.root.payload]));
    document.seen = mark(registrar).size;
    document.registrars.fixed = vec![mark(registrar)];
    document.registrars.live = signing(8).key();
    document.cuts = cuts;
    let payload = document.to_payload().expect("a document");
    let message = root::message(&payload);
    let signatures = [&root_key, &signing(8)].map(|key| (key.key(), key.sign(&message)));
    SignedRoot {
        payload,
        signatures: signatures.to_vec(),
    }
}

fn agree(nodes: &[&Node], made: &Made) {
    for pair in nodes.windows(2) {
        assert_eq!(
            pair[0].repo(made).view_hash(),
            pair[1].repo(made).view_hash()
        );
        let root = |node: &Node| node.repo(made).trie_node(&Default::default());
        assert_eq!(root(pair[0]), root(pair[1]));
    }
}

#[test]
fn two_branches_meet_and_nothing_of_the_log_counts() {
    let made = made();
    let (good, bad) = branches(&made);
    let mut a = Node::with(10, &made, &good);
    let mut b = Node::with(20, &made, &bad);
    assert_eq!(a.listed(&made), ["1.0.0", "1.1.0"]);
    meet(&mut a, &mut b);
    assert!(a.listed(&made).is_empty() && b.listed(&made).is_empty());
    agree(&[&a, &b], &made);
    let later = more(&good, &signing(3), vec![release(&signing(3), "1.2.0")]);
    let refused = a.command(Command::Append {
        repo: made.id,
        key: *later.key(),
        entries: later.pending()[3..].to_vec(),
        checkpoint: later.checkpoint().expect("signed").clone(),
    });
    assert!(matches!(refused, Reply::Refused(why) if why.contains("two branches")));
}

#[test]
fn the_branch_that_a_cut_names_replaces_the_other_one() {
    let made = made();
    let (good, bad) = branches(&made);
    let mut a = Node::with(10, &made, &good);
    let mut b = Node::with(20, &made, &bad);
    meet(&mut a, &mut b);
    a.append(&made, &cut_at(&made, &good));
    assert_eq!(
        a.listed(&made),
        ["1.0.0", "1.1.0"],
        "a cut brings them back"
    );
    meet(&mut a, &mut b);
    assert_eq!(b.listed(&made), ["1.0.0", "1.1.0"]);
    agree(&[&a, &b], &made);
    let b = b.restarted(&made);
    assert_eq!(b.listed(&made), ["1.0.0", "1.1.0"]);
    agree(&[&a, &b], &made);
}

#[test]
fn what_a_cut_keeps_may_be_appended_after_it_and_nothing_beyond() {
    let made = made();
    let (good, _) = branches(&made);
    let mut node = Node::with(10, &made, &made.publisher);
    node.append(&made, &cut_at(&made, &good));
    assert!(node.listed(&made).is_empty(), "the branch is not here");
    let later = more(&good, &signing(3), vec![release(&signing(3), "1.2.0")]);
    let held = usize::try_from(node.repo(&made).size(later.key())).expect("small");
    let refused = node.command(Command::Append {
        repo: made.id,
        key: *later.key(),
        entries: later.pending()[held..].to_vec(),
        checkpoint: later.checkpoint().expect("signed").clone(),
    });
    assert!(matches!(refused, Reply::Refused(why) if why.contains("cut")));
    node.append(&made, &good);
    assert_eq!(node.listed(&made), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_newcomer_gets_a_cut_log_from_one_who_holds_no_more_than_the_cut() {
    let made = made();
    let key = signing(3);
    let long = more(&made.publisher, &key, vec![release(&key, "1.1.0")]);
    let longer = more(&long, &key, vec![release(&key, "6.6.6"); 3]);
    let mut a = Node::with(10, &made, &longer);
    a.append(&made, &cut_at(&made, &long));
    assert_eq!(a.listed(&made), ["1.0.0", "1.1.0"]);
    let (mut b, mut c) = (Node::new(20, &made), Node::new(30, &made));
    meet(&mut a, &mut b);
    assert_eq!(b.repo(&made).size(long.key()), 3, "nothing beyond the cut");
    let mut b = b.restarted(&made);
    meet(&mut b, &mut c);
    assert_eq!(c.listed(&made), ["1.0.0", "1.1.0"]);
    agree(&[&a, &b, &c], &made);
}

#[test]
fn a_cut_before_the_first_entry_leaves_nothing_and_all_agree() {
    let made = made();
    let mut a = Node::with(10, &made, &made.publisher);
    let nothing = Mark {
        key: *made.publisher.key(),
        size: 0,
        root: Sha256::of(&[]),
    };
    let cut = entry(Body::Cut(Cut {
        mark: nothing,
        reason: String::new(),
    }));
    a.append(&made, &more(&made.registrar, &signing(2), vec![cut]));
    let mut b = Node::new(20, &made);
    meet(&mut a, &mut b);
    assert!(a.listed(&made).is_empty());
    assert_eq!(b.repo(&made).size(made.publisher.key()), 0);
    agree(&[&a, &b], &made);
}

#[test]
fn a_thiefs_cut_is_undone_and_the_branch_that_was_set_aside_comes_back() {
    let made = made();
    let (good, bad) = branches(&made);
    let mut thief = Node::with(10, &made, &bad);
    let mut honest = Node::with(20, &made, &good);
    // The thief of the registrar's and the publisher's key cuts at his own branch.
    thief.append(&made, &cut_at(&made, &bad));
    meet(&mut thief, &mut honest);
    assert_eq!(honest.listed(&made), ["1.0.0", "6.6.6", "6.6.7"]);
    let mut honest = honest.restarted(&made);
    // The root keys' holders replace the registrar from before the cut, and cut at the good branch.
    let cut = RootCut {
        mark: mark(&good),
        reason: "stolen".to_owned(),
    };
    let reply = honest.command(replaced(&made, &made.registrar, vec![cut]));
    assert_eq!(reply, Reply::Done);
    assert_eq!(honest.listed(&made), ["1.0.0", "1.1.0"]);
    meet(&mut thief, &mut honest);
    assert_eq!(thief.listed(&made), ["1.0.0", "1.1.0"]);
    agree(&[&thief, &honest], &made);
    let honest = honest.restarted(&made);
    assert_eq!(honest.listed(&made), ["1.0.0", "1.1.0"]);
}

#[test]
fn a_remainder_is_invisible_until_its_checkpoint_is_whole() {
    let made = made();
    let key = signing(3);
    // Longer than what one answer holds.
    let many = (0..40).map(|n| large_release(&key, n)).collect();
    let long = more(&made.publisher, &key, many);
    let mut a = Node::with(10, &made, &long);
    let mut b = Node::with(20, &made, &made.publisher);
    let second = std::cell::Cell::new(0);
    let lost = |message: &Message| {
        let answer = matches!(
            message,
            Message::Answer {
                answer: Answer::Get { .. },
                ..
            }
        );
        second.set(second.get() + u32::from(answer));
        answer && second.get() == 2
    };
    meet_until(&mut a, &mut b, &lost);
    let size = b.repo(&made).size(long.key());
    assert!((3..42).contains(&size), "{size}");
    assert_eq!(b.listed(&made), ["1.0.0"]);
    let mut b = b.restarted(&made);
    assert_eq!(b.listed(&made), ["1.0.0"]);
    assert_eq!(b.repo(&made).size(long.key()), size);
    meet(&mut a, &mut b);
    assert_eq!(b.listed(&made).len(), 41);
    agree(&[&a, &b], &made);
}

fn large_release(key: &SigningKey, n: u64) -> Vec<u8> {
    entry(Body::Publish(Publish {
        name: "drop".parse().expect("a name"),
        version: format!("2.0.{n}").parse().expect("a version"),
        payload: vec![b' '; 36_000],
        signatures: vec![(key.key(), key.sign(b""))],
    }))
}

#[test]
fn a_remainder_of_a_branch_that_nobody_serves_gives_way() {
    let made = made();
    let key = signing(3);
    let many = (0..40).map(|n| large_release(&key, n)).collect();
    let vanished = more(&made.publisher, &key, many);
    let mut liar = Node::with(10, &made, &vanished);
    for held in [false, true] {
        let mut node = match held {
            true => Node::with(20, &made, &made.publisher),
            false => Node::new(20, &made),
        };
        let answers = std::cell::Cell::new(0);
        let lost = |message: &Message| {
            let Message::Answer {
                answer: Answer::Get { entries, .. },
                ..
            } = message
            else {
                return false;
            };
            answers.set(answers.get() + u32::from(entries[0].len() > 10_000 || entries.len() > 5));
            answers.get() == 2
        };
        meet_until(&mut liar, &mut node, &lost);
        assert!(node.repo(&made).size(vanished.key()) > 3);
        let honest = more(&made.publisher, &key, vec![release(&key, "1.1.0"); 60]);
        let mut honest = Node::with(30, &made, &honest);
        meet(&mut honest, &mut node);
        assert_eq!(
            node.listed(&made),
            ["1.0.0", "1.1.0"],
            "held before: {held}"
        );
        agree(&[&honest, &node], &made);
    }
}

#[test]
fn while_the_registrars_log_has_two_branches_readers_see_what_was_last() {
    let made = made();
    let registrar = signing(2);
    let mut forked = Tip::new(made.id, registrar.key());
    forked
        .append(&registrar, vec![entry(Body::Hello)])
        .expect("signed");
    let mut a = Node::with(10, &made, &made.publisher);
    let mut b = Node::new(20, &made);
    b.append(&made, &forked);
    meet(&mut a, &mut b);
    assert_eq!(a.listed(&made), ["1.0.0"]);
    assert!(a.snapshot(&made).paused.is_some());
    assert!(
        b.listed(&made).is_empty(),
        "never an older view than its own"
    );
    agree(&[&a, &b], &made);
    let mut a = a.restarted(&made);
    assert_eq!(a.listed(&made), ["1.0.0"]);
    assert!(a.snapshot(&made).paused.is_some());
    // A root document names the branch.
    assert_eq!(
        a.command(replaced(&made, &made.registrar, vec![])),
        Reply::Done
    );
    assert!(a.snapshot(&made).paused.is_none());
    assert_eq!(a.listed(&made), ["1.0.0"]);
    meet(&mut a, &mut b);
    assert_eq!(b.listed(&made), ["1.0.0"]);
    agree(&[&a, &b], &made);
    let a = a.restarted(&made);
    assert_eq!(
        (a.listed(&made), a.snapshot(&made).paused),
        (vec!["1.0.0".into()], None)
    );
}

#[test]
fn of_two_root_documents_a_person_chooses_and_the_choice_stays() {
    let made = made();
    let cut = RootCut {
        mark: mark(&made.publisher),
        reason: String::new(),
    };
    let first = second_root(&made, &made.registrar, vec![]);
    let second = second_root(&made, &made.registrar, vec![cut]);
    let mut node = Node::with(10, &made, &made.publisher);
    let put = |node: &mut Node, root: &SignedRoot| {
        node.command(Command::PutRoot {
            repo: made.id,
            root: root.clone(),
        })
    };
    put(&mut node, &first);
    assert_eq!(node.snapshot(&made).state_text(), "ok");
    put(&mut node, &second);
    let disputed = "two root documents of version 2";
    assert_eq!(node.snapshot(&made).state_text(), disputed);
    assert_eq!(node.listed(&made), ["1.0.0"], "readers see what was last");
    let mut node = node.restarted(&made);
    assert_eq!(node.snapshot(&made).state_text(), disputed);
    let chosen = |node: &Node| {
        let snapshot = node.snapshot(&made);
        let latest = snapshot.chain.latest_pin().expect("a document");
        (snapshot.state_text(), latest.sha256)
    };
    for root in [&first, &second, &first] {
        let sha256 = Sha256::of(&[&root.payload]);
        node.take(made.pinned(2, root));
        assert_eq!(chosen(&node), ("ok".to_owned(), sha256));
        let restored = crate::restore::restore(&node.store).expect("read");
        node.core = Core::new(super::node(node.id), [node.id; 32], restored);
        node.take(made.pinned(2, root));
        assert_eq!(chosen(&node), ("ok".to_owned(), sha256), "after a restart");
    }
}

fn status(on: bool) -> Vec<u8> {
    entry(Body::Status(Status {
        name: "drop".parse().expect("a name"),
        version: Some("1.0.0".parse().expect("a version")),
        state: StatusState::Yanked,
        on,
        reason: String::new(),
        successor: None,
    }))
}

/// What this node saw of `drop@1.0.0` and no longer sees.
fn vanished(node: &Node, made: &Made) -> Option<RestrictionKind> {
    let version = "1.0.0".parse().expect("a version");
    let name = "drop".parse().expect("a name");
    node.snapshot(made).vanished(&name, &version)
}

#[test]
fn a_yank_that_was_shown_stays_when_a_cut_takes_it_away() {
    let made = made();
    let key = signing(3);
    let yanked = more(&made.publisher, &key, vec![status(true)]);
    let mut node = Node::with(10, &made, &yanked);
    assert_eq!(vanished(&node, &made), None);
    // A thief of the registrar's key cuts the publisher's below its yank.
    node.append(&made, &cut_at(&made, &made.publisher));
    assert_eq!(vanished(&node, &made), Some(RestrictionKind::Yanked));
    let mut node = node.restarted(&made);
    assert_eq!(vanished(&node, &made), Some(RestrictionKind::Yanked));
    // A person says that it is fine.
    let admit = Command::Admit {
        repo: made.id,
        name: "drop".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        manifest: Sha256::of(&[b"{}"]),
    };
    assert_eq!(node.command(admit), Reply::Done);
    assert_eq!(vanished(&node, &made), None);
    assert_eq!(vanished(&node.restarted(&made), &made), None);
}

#[test]
fn a_yank_that_its_own_key_takes_back_is_gone() {
    let made = made();
    let key = signing(3);
    let yanked = more(&made.publisher, &key, vec![status(true)]);
    let mut node = Node::with(10, &made, &yanked);
    node.append(&made, &more(&yanked, &key, vec![status(false)]));
    assert_eq!(vanished(&node, &made), None);
    assert!(node.snapshot(&made).restrictions.is_empty());
    assert_eq!(vanished(&node.restarted(&made), &made), None);
}

#[test]
fn a_registrars_log_is_confirmed_by_a_peer_that_has_it() {
    let made = made();
    let seen = |node: &Node| {
        let snapshot = node.snapshot(&made);
        let log = snapshot.logs.get(made.registrar.key()).expect("held");
        (log.confirmed, log.ever_confirmed)
    };
    let mut a = Node::with(10, &made, &made.publisher);
    let (mut b, mut c) = (Node::new(20, &made), Node::new(30, &made));
    assert_eq!(seen(&a), (false, false));
    meet(&mut a, &mut b);
    assert_eq!(seen(&a), (true, true));
    assert_eq!(seen(&b), (true, true));
    a.append(&made, &cut_at(&made, &made.publisher));
    assert_eq!(seen(&a), (false, true), "nobody has the new entry");
    let mut a = a.restarted(&made);
    assert_eq!(seen(&a), (false, true));
    meet(&mut b, &mut c);
    meet(&mut a, &mut c);
    assert_eq!(seen(&a), (true, true));
    let mut a = a.restarted(&made);
    assert_eq!(
        seen(&a),
        (false, true),
        "an old copy of a home looks like this"
    );
    meet(&mut a, &mut c);
    assert_eq!(
        seen(&a),
        (true, true),
        "nothing was fetched, and it is confirmed"
    );
}

/// What cannot be written ends the sessions of a node: one whose disk is full would serve nobody.
#[test]
fn a_node_that_is_read_only_confirms_nothing_and_serves() {
    let made = made();
    let mut a = Node::with(10, &made, &made.publisher);
    let why = "no room".to_owned();
    a.take(Input::PersistFailed { why });
    let (mut b, mut c) = (Node::new(20, &made), Node::with(30, &made, &made.publisher));
    for peer in [&mut b, &mut c] {
        meet(&mut a, peer);
        let log = a.snapshot(&made).logs.get(made.registrar.key()).cloned();
        let log = log.expect("held");
        assert_eq!((log.confirmed, log.ever_confirmed), (false, false));
    }
    let (held, served) = (a.snapshot(&made), b.snapshot(&made));
    assert_eq!(held.view_hash, served.view_hash);
}

#[test]
fn a_log_is_proven_to_a_peer_once_a_second() {
    let made = made();
    let mut open = super::session::Session::new(super::node(20), false, [0; 32]);
    let (a, b) = (*made.registrar.key(), *made.publisher.key());
    let mut asked = |ms, key| open.may_prove(Time(ms), made.id, key);
    assert!(asked(0, a) && asked(0, b));
    assert!(!asked(999, a) && !asked(999, b));
    assert!(asked(1_000, a));
    assert!(!asked(1_999, a) && asked(1_999, b));
}

#[test]
fn a_pin_on_a_document_that_is_not_here_lets_nothing_new_in() {
    let made = made();
    let mut node = Node::with(10, &made, &made.publisher);
    let later = second_root(&made, &made.registrar, vec![]);
    node.take(made.pinned(2, &later));
    let state = |node: &Node| node.snapshot(&made).state_text();
    assert!(state(&node).starts_with("behind: root document 2 "));
    assert_eq!(node.listed(&made), ["1.0.0"], "what was seen is seen");
    let put = Command::PutRoot {
        repo: made.id,
        root: later.clone(),
    };
    assert_eq!(node.command(put), Reply::Done);
    assert_eq!(state(&node), "ok");
    // Another hash for what is here.
    node.take(made.pinned(1, &later));
    assert!(state(&node).starts_with("behind: root document 1 "));
    node.take(made.pinned(2, &later));
    assert_eq!(state(&node), "ok");
}

#[test]
fn a_proof_that_does_not_lead_from_the_cut_to_the_checkpoint_costs_the_peer() {
    let made = made();
    let (good, bad) = branches(&made);
    let mut node = Node::with(10, &made, &bad);
    node.append(&made, &cut_at(&made, &good));
    node.take(Input::Connected {
        session: SESSION,
        peer: super::node(20),
        opener: false,
        nonce: [1; 32],
    });
    let Mark { key, size, root } = mark(&good);
    let cut = |checkpoint: &Tip| Record::Cut {
        key,
        size,
        root,
        checkpoint: checkpoint.checkpoint().cloned(),
        proof: vec![],
    };
    let consider = |node: &mut Node, record| {
        node.core.consider(SESSION, made.id, record);
        std::mem::take(&mut node.core.out)
    };
    let hung_up = |effects: Vec<Effect>| {
        effects
            .iter()
            .any(|e| matches!(e, Effect::Disconnect { .. }))
    };
    assert!(hung_up(consider(&mut node, cut(&bad))));
    let asked = consider(&mut node, cut(&good));
    assert!(matches!(asked.last(), Some(Effect::Send { .. })));
    assert!(matches!(
        asked.first(),
        Some(Effect::Persist(Change::Exchange { .. }))
    ));
}
