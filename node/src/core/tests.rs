//! Inputs in, effects out: no mocks, no sockets.

use skep_proto::hash::Sha256;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{Body, Entry, Grant, HandleOperation, Publish, Role, handle_message};
use skep_proto::log::tip::Tip;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::sync::wire::{Message, Refusal, Request};
use skep_proto::trust::file::{Pin, RepoFile};

use super::*;
use crate::store::Change;

fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn node(n: u8) -> NodeId {
    NodeId::from_key(signing(n).key())
}

/// A repository with a registrar, one handle that owns `drop`, and its first release.
struct Made {
    id: RepoId,
    root: SignedRoot,
    registrar: Tip,
    publisher: Tip,
}

fn made() -> Made {
    made_for(Visibility::Public)
}

fn made_for(visibility: Visibility) -> Made {
    made_called("ana", visibility)
}

fn made_called(name: &str, visibility: Visibility) -> Made {
    let (root_key, registrar_key, publisher_key) = (signing(1), signing(2), signing(3));
    let keys = RootKeys {
        keys: vec![root_key.key()],
        threshold: 1,
    };
    let document = RootDocument::first(name, keys, registrar_key.key(), visibility);
    let payload = document.to_payload().expect("a document");
    let id = root::repo_id(&payload);
    let message = root::message(&payload);
    let signatures = [&root_key, &registrar_key].map(|key| (key.key(), key.sign(&message)));
    let mut operation = HandleOperation {
        prev: None,
        label: "ana".parse().expect("a name"),
        publish_threshold: 1,
        change_threshold: 1,
        keys: vec![publisher_key.key()],
        receive: vec![],
        drop: vec![],
        about: String::new(),
        signatures: vec![],
    };
    let message = handle_message(&id, &operation);
    operation.signatures = vec![(publisher_key.key(), publisher_key.sign(&message))];
    let handle = skep_proto::id::HandleId::from_bytes(*operation.hash(&id).as_bytes());
    let grant = Grant {
        handle,
        role: Role::Publisher,
        names: vec!["drop".parse().expect("a name")],
    };
    let release = Publish {
        name: "drop".parse().expect("a name"),
        version: "1.0.0".parse().expect("a version"),
        payload: b"{}".to_vec(),
        signatures: vec![(publisher_key.key(), publisher_key.sign(b"{}"))],
    };
    let said = |key: &SigningKey, bodies: Vec<Body>| {
        let entries = bodies.into_iter().map(|body| {
            let entry = Entry {
                claimed_at: 0,
                body,
            };
            entry.encode().expect("an entry")
        });
        let mut tip = Tip::new(id, key.key());
        tip.append(key, entries.collect()).expect("signed");
        tip
    };
    let operations = vec![Body::Handle(Box::new(operation)), Body::Grant(grant)];
    Made {
        id,
        root: SignedRoot {
            payload,
            signatures: signatures.to_vec(),
        },
        registrar: said(&registrar_key, operations),
        publisher: said(&publisher_key, vec![Body::Hello, Body::Publish(release)]),
    }
}

impl Made {
    fn configured(&self) -> Input {
        self.pinned(1, &self.root)
    }

    /// A person's word on which document to follow.
    fn pinned(&self, version: u64, root: &SignedRoot) -> Input {
        let file = RepoFile {
            id: self.id,
            root: Pin {
                version,
                sha256: Sha256::of(&[&root.payload]),
            },
            peers: vec![],
            keep: Vec::new(),
            kept: Vec::new(),
            share: None,
            trust: vec![],
        };
        Input::Configured {
            repos: vec![("ana".parse().expect("a name"), file)],
        }
    }

    fn append(&self, tip: &Tip) -> Command {
        Command::Append {
            repo: self.id,
            key: *tip.key(),
            entries: tip.pending().to_vec(),
            checkpoint: tip.checkpoint().expect("signed").clone(),
        }
    }

    fn put_root(&self) -> Command {
        Command::PutRoot {
            repo: self.id,
            root: self.root.clone(),
        }
    }
}

/// A core, and the number of its next request.
struct Host {
    core: Core,
    next: u64,
}

impl Host {
    fn new(n: u8, made: &Made) -> Self {
        let mut core = Core::new(node(n), [n; 32], vec![]);
        core.handle(Time(0), made.configured());
        Self { core, next: 0 }
    }

    /// A host that has everything.
    fn author(n: u8, made: &Made) -> Self {
        let mut host = Self::new(n, made);
        for command in [
            made.put_root(),
            made.append(&made.registrar),
            made.append(&made.publisher),
        ] {
            assert_eq!(host.command(command).1, Reply::Done);
        }
        host
    }

    fn command(&mut self, command: Command) -> (Vec<Effect>, Reply) {
        self.next += 1;
        let id = RequestId(self.next);
        let effects = self.core.handle(Time(0), Input::Command(id, command));
        let reply = effects.iter().find_map(|effect| match effect {
            Effect::Reply(to, reply) if *to == id => Some(reply.clone()),
            _ => None,
        });
        (effects, reply.expect("an answer at once"))
    }

    fn view_hash(&self, made: &Made) -> Option<Sha256> {
        self.core
            .repos
            .get(&made.id)
            .and_then(Repository::view_hash)
    }

    fn listed(&self, made: &Made) -> bool {
        let snapshot = self.core.snapshot();
        let id = skep_proto::name::RepoRef::Id(made.id);
        let packages = snapshot.repo(&id).map(|repo| repo.packages());
        packages.is_some_and(|p| {
            p.iter()
                .any(|p| p.releases.iter().any(|r| r.state == "listed"))
        })
    }
}

mod branches;
mod holdings;
mod walks;

const SESSION: SessionId = SessionId(1);

fn connect(host: &mut Host, peer: u8, opener: bool) -> Vec<Effect> {
    let input = Input::Connected {
        session: SESSION,
        peer: node(peer),
        opener,
        nonce: [peer; 32],
    };
    host.core.handle(Time(0), input)
}

/// Carries messages between two connected hosts until both are silent; gives how many there were.
fn converse(a: &mut Host, b: &mut Host, made: &Made) -> usize {
    let mut queue: Vec<(bool, Effect)> = Vec::new();
    let said = |to_b, effects: Vec<Effect>| effects.into_iter().map(move |e| (to_b, e));
    queue.extend(said(true, connect(a, 20, true)));
    queue.extend(said(false, connect(b, 10, false)));
    let mut count = 0;
    while !queue.is_empty() {
        let (to_b, effect) = queue.remove(0);
        let frame = match effect {
            Effect::Send { message, .. } => message.encode(),
            Effect::SendEntries {
                request,
                key,
                from,
                to,
                proof,
                ..
            } => {
                let tip = [&made.registrar, &made.publisher]
                    .into_iter()
                    .find(|t| *t.key() == key);
                let all = tip.expect("one of the logs").pending();
                let range =
                    usize::try_from(from).expect("small")..usize::try_from(to).expect("small");
                let answer = skep_proto::sync::wire::Answer::Get {
                    entries: all[range].to_vec(),
                    proof,
                };
                let id = request;
                Message::Answer { id, answer }.encode()
            }
            Effect::Disconnect { .. } => panic!("honest hosts stay connected"),
            _ => continue,
        };
        count += 1;
        let heard = Input::Heard {
            session: SESSION,
            frame,
        };
        let host = if to_b { &mut *b } else { &mut *a };
        let answers = host.core.handle(Time(0), heard);
        queue.extend(said(!to_b, answers));
    }
    count
}

#[test]
fn what_one_has_the_other_has_after_one_conversation() {
    let made = made();
    let (mut a, mut b) = (Host::author(10, &made), Host::new(20, &made));
    assert!(a.listed(&made) && !b.listed(&made));
    let messages = converse(&mut a, &mut b, &made);
    assert!(b.listed(&made));
    assert_eq!(a.view_hash(&made), b.view_hash(&made));
    assert!(messages < 40, "{messages} messages for four entries");
}

#[test]
fn repositories_are_compared_one_after_the_other_and_each_within_a_minute() {
    let all = ["ana", "ben", "cem"].map(|name| made_called(name, Visibility::Public));
    let follow_all = |n| {
        let mut host = Host::new(n, &all[0]);
        let configured = all.iter().map(|made| match made.configured() {
            Input::Configured { repos } => repos,
            other => panic!("{other:?}"),
        });
        let repos = configured.flatten().collect();
        host.core.handle(Time(0), Input::Configured { repos });
        for made in &all {
            assert_eq!(host.command(made.put_root()).1, Reply::Done);
        }
        host
    };
    let (mut a, mut b) = (follow_all(10), follow_all(20));
    converse(&mut a, &mut b, &all[0]);
    let mut compared = Vec::new();
    for second in 0..120 {
        let effects = a.core.handle(Time(1_000 * second), Input::Woken);
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::Send {
                message:
                    Message::Request {
                        request: Request::Roots { repo, .. },
                        ..
                    },
                ..
            } => Some(*repo),
            _ => None,
        });
        let asked: Vec<RepoId> = asked.collect();
        assert!(asked.len() <= 1, "{} at once", asked.len());
        compared.extend(asked);
    }
    assert_eq!(compared.len(), all.len());
    compared.sort();
    let mut ids = all.each_ref().map(|made| made.id);
    ids.sort();
    assert_eq!(compared, ids);
}

#[test]
fn a_write_comes_before_whatever_follows_from_it() {
    let made = made();
    let mut host = Host::new(10, &made);
    host.command(made.put_root());
    let (effects, _) = host.command(made.append(&made.registrar));
    let at = |is: &dyn Fn(&Effect) -> bool| effects.iter().position(is).expect("an effect");
    let persist = at(&|e| matches!(e, Effect::Persist(Change::Append { .. })));
    assert!(persist < at(&|e| matches!(e, Effect::Gossip { .. })));
    assert!(persist < at(&|e| matches!(e, Effect::Reply(..))));
    assert!(persist < at(&|e| matches!(e, Effect::Show(_))));
}

#[test]
fn an_answer_comes_after_what_it_is_about_is_shown() {
    let made = made();
    let mut host = Host::new(1, &made);
    for command in [
        made.put_root(),
        made.append(&made.registrar),
        made.append(&made.publisher),
    ] {
        let (effects, reply) = host.command(command);
        assert_eq!(reply, Reply::Done);
        let at = |is: fn(&Effect) -> bool| effects.iter().position(is).expect("there");
        let shown = at(|effect| matches!(effect, Effect::Show(_)));
        let kept = at(|effect| matches!(effect, Effect::Persist(_)));
        let answered = at(|effect| matches!(effect, Effect::Reply(..)));
        assert!(kept < shown && shown < answered, "{effects:?}");
    }
}

#[test]
fn an_append_that_does_not_continue_the_log_is_told_its_size() {
    let made = made();
    let mut host = Host::author(10, &made);
    let key = signing(2);
    let mut other = Tip::new(made.id, key.key());
    let hello = Entry {
        claimed_at: 1,
        body: Body::Hello,
    };
    other
        .append(&key, vec![hello.encode().expect("an entry")])
        .expect("signed");
    assert_eq!(host.command(made.append(&other)).1, Reply::Size(2));
    assert_eq!(
        host.command(made.append(&made.registrar)).1,
        Reply::Done,
        "the same again"
    );
}

#[test]
fn a_log_that_nobody_admitted_is_refused() {
    let made = made();
    let mut host = Host::author(10, &made);
    let stranger = signing(9);
    let mut tip = Tip::new(made.id, stranger.key());
    let hello = Entry {
        claimed_at: 0,
        body: Body::Hello,
    };
    tip.append(&stranger, vec![hello.encode().expect("an entry")])
        .expect("signed");
    assert!(matches!(
        host.command(made.append(&tip)).1,
        Reply::Refused(_)
    ));
}

/// A frame from a peer, and whether the peer is banned for it.
fn is_banned_for(frame: Vec<u8>) -> bool {
    let made = made();
    let mut host = Host::author(10, &made);
    connect(&mut host, 20, true);
    let heard = Input::Heard {
        session: SESSION,
        frame,
    };
    let effects = host.core.handle(Time(0), heard);
    effects
        .iter()
        .any(|e| matches!(e, Effect::Disconnect { ban_s: Some(_), .. }))
}

#[test]
fn nonsense_costs_a_peer_its_connection() {
    assert!(is_banned_for(vec![]));
    assert!(is_banned_for(vec![77, 0x80]));
    assert!(is_banned_for(b"GET / HTTP/1.1".to_vec()));
    let unasked = Message::Answer {
        id: 99,
        answer: skep_proto::sync::wire::Answer::Tags(vec![]),
    };
    assert!(is_banned_for(unasked.encode()));
}

#[test]
fn what_is_not_shared_is_not_found() {
    let made = made();
    let mut host = Host::author(10, &made);
    connect(&mut host, 20, false);
    let request = Request::Get {
        repo: made.id,
        key: Key::ed25519(&[7; 32]),
        from: 0,
        to: 1,
        size: 1,
        root: Sha256::of(&[]),
    };
    let roots = Request::Roots {
        repo: made.id,
        have: 0,
    };
    for request in [request, roots] {
        let frame = Message::Request { id: 5, request }.encode();
        let heard = Input::Heard {
            session: SESSION,
            frame,
        };
        let effects = host.core.handle(Time(0), heard);
        let refused = effects.iter().any(|effect| {
            let Effect::Send { message, .. } = effect else {
                return false;
            };
            let refusal = Refusal::NotFound;
            *message
                == Message::Refusal {
                    id: Some(5),
                    refusal,
                }
        });
        assert!(refused);
    }
}

#[test]
fn a_members_only_repository_is_neither_told_of_nor_served() {
    let made = made_for(Visibility::Members);
    let (mut a, mut b) = (Host::author(10, &made), Host::author(20, &made));
    converse(&mut a, &mut b, &made);
    let shares = |host: &Host| host.core.sessions.values().any(|s| !s.shared.is_empty());
    assert!(!shares(&a) && !shares(&b));
    let (effects, _) = a.command(made.put_root());
    assert!(
        !effects
            .iter()
            .any(|e| matches!(e, Effect::Subscribe { .. } | Effect::Gossip { .. }))
    );
}

#[test]
fn after_a_failed_write_nothing_new_is_taken() {
    let made = made();
    let mut host = Host::new(10, &made);
    host.command(made.put_root());
    let why = "no space left".to_owned();
    host.core.handle(Time(0), Input::PersistFailed { why });
    let (_, reply) = host.command(made.append(&made.registrar));
    assert!(matches!(reply, Reply::Refused(why) if why.contains("no space left")));
}

#[test]
fn a_request_that_is_not_answered_ends_the_session() {
    let made = made();
    let mut host = Host::author(10, &made);
    connect(&mut host, 20, true);
    let early = host.core.handle(Time(19_999), Input::Woken);
    assert!(!early.iter().any(|e| matches!(e, Effect::Disconnect { .. })));
    let late = host.core.handle(Time(20_000), Input::Woken);
    let ended = |e: &Effect| matches!(e, Effect::Disconnect { ban_s: None, .. });
    assert!(late.iter().any(ended), "slow is not dishonest");
}

/// What a host that follows `made` asked last of the peer at the other end.
fn asked(effects: &[Effect]) -> (u32, Request) {
    let mut requests = effects.iter().filter_map(|effect| match effect {
        Effect::Send {
            message: Message::Request { id, request },
            ..
        } => Some((*id, request.clone())),
        _ => None,
    });
    requests.next_back().expect("a request")
}

/// What a liar changes of its answers.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    RootSignature,
    Checkpoint,
}

fn bend(signature: &mut skep_proto::key::Signature) {
    let mut bytes = *signature.as_bytes();
    bytes[0] ^= 1;
    *signature = skep_proto::key::Signature::from_bytes(bytes);
}

/// A host waits for a repository, and the only peer that shares it lies: it is banned, nothing that
/// it says later counts, and who waits hears what was false.
fn check_lie(lie: Lie, said: &str) {
    use skep_proto::sync::wire::{Answer, Record, TrieNode, tag};
    let made = made();
    let mut host = Host::new(20, &made);
    let (id, repo) = (RequestId(1), made.id);
    let wait = Input::Command(id, Command::AwaitSync { repo });
    host.core.handle(Time(0), wait);
    let replied = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Reply(to, reply) if *to == id => Some(reply.clone()),
            _ => None,
        })
    };
    let banned = |e: &Effect| matches!(e, Effect::Disconnect { ban_s: Some(_), .. });
    let mut effects = connect(&mut host, 10, true);
    while !effects.iter().any(banned) {
        assert_eq!(replied(&effects), None, "before the lie");
        let (id, request) = asked(&effects);
        let answer = match request {
            Request::Hello(_) => Answer::Hello(sync::greet::hello([99; 32])),
            Request::Tags(_) => {
                let (us, them) = (node(20), node(10));
                let opener = (us.key(), &[10; 32]);
                Answer::Tags(vec![tag(&repo, opener, (them.key(), &[99; 32]), 1)])
            }
            Request::Roots { .. } => {
                let mut root = made.root.clone();
                if lie == Lie::RootSignature {
                    bend(&mut root.signatures[0].1);
                }
                Answer::Roots {
                    documents: vec![root],
                    more: false,
                }
            }
            Request::Trie { .. } => {
                let mut checkpoint = made.registrar.checkpoint().expect("signed").clone();
                bend(&mut checkpoint.signature);
                Answer::Trie(vec![TrieNode::Records(vec![Record::Log(checkpoint)])])
            }
            other => panic!("{other:?} after a lie"),
        };
        let heard = Input::Heard {
            session: SESSION,
            frame: Message::Answer { id, answer }.encode(),
        };
        effects = host.core.handle(Time(0), heard);
    }
    assert_eq!(replied(&effects), None, "another peer may say the truth");
    let late = Message::Request {
        id: 7,
        request: Request::Roots { repo, have: 0 },
    };
    let frame = late.encode();
    let session = SESSION;
    let late = host.core.handle(Time(0), Input::Heard { session, frame });
    assert!(!late.iter().any(|e| matches!(e, Effect::Send { .. })));
    let early = host.core.handle(Time(ANOTHER_PEER_MS - 1), Input::Woken);
    assert_eq!(replied(&early), None);
    let told = replied(&host.core.handle(Time(ANOTHER_PEER_MS), Input::Woken));
    let Some(Reply::Lied { peer, what }) = told else {
        panic!("{told:?}");
    };
    assert_eq!(peer, node(10));
    assert!(what.contains(said), "{what}");
    assert!(host.core.lied.is_empty(), "and forgotten");
}

#[test]
fn a_false_root_document_costs_its_sender_the_session_and_is_told_to_who_waits() {
    check_lie(Lie::RootSignature, "a false root document");
}

#[test]
fn a_false_checkpoint_costs_its_sender_the_session_and_is_told_to_who_waits() {
    check_lie(Lie::Checkpoint, "a checkpoint with a false signature");
}

#[test]
fn a_core_that_begins_again_dials_whom_it_knew() {
    let made = made();
    let mut host = Host::author(10, &made);
    let (peer, addresses) = (node(20), vec!["/ip4/192.0.2.1/tcp/7701".to_owned()]);
    let found = Input::Discovered { peer, addresses };
    let dials = |effects: &[Effect]| {
        let dial = |e: &Effect| matches!(e, Effect::Dial { peer, .. } if *peer == node(20));
        effects.iter().any(dial)
    };
    assert!(dials(&host.core.handle(Time(1), found)));
    connect(&mut host, 20, true);
    host.core.rebuild(vec![]);
    assert!(host.core.sessions.is_empty());
    let again = host.core.handle(Time(2), made.configured());
    assert!(dials(&again), "nobody tells it of the peer again");
}

#[test]
fn who_is_not_met_is_dialled_again_soon_and_then_every_ten_seconds() {
    let made = made();
    let mut host = Host::author(10, &made);
    let (peer, addresses) = (node(20), vec!["/ip4/192.0.2.1/tcp/7701".to_owned()]);
    host.core
        .handle(Time(0), Input::Discovered { peer, addresses });
    let mut dialled = Vec::new();
    for s in 1..=40 {
        let effects = host.core.handle(Time(s * 1_000), Input::Woken);
        if effects.iter().any(|e| matches!(e, Effect::Dial { .. })) {
            dialled.push(s);
        }
    }
    assert_eq!(dialled, [1, 3, 7, 15, 25, 35]);
}

#[test]
fn a_repository_that_is_no_longer_followed_does_not_keep_the_node_awake() {
    let made = made();
    let mut host = Host::author(10, &made);
    // The second checkpoint within a second waits before it is gossiped.
    let more = {
        let mut tip = made.publisher.clone();
        let hello = Entry {
            claimed_at: 0,
            body: Body::Hello,
        };
        let hello = hello.encode().expect("an entry");
        tip.append(&signing(3), vec![hello]).expect("signed");
        tip
    };
    let append = Command::Append {
        repo: made.id,
        key: *more.key(),
        entries: more.pending()[made.publisher.pending().len()..].to_vec(),
        checkpoint: more.checkpoint().expect("signed").clone(),
    };
    let wake = |effects: &[Effect]| {
        let wakes = effects.iter().rev().find_map(|effect| match effect {
            Effect::WakeAt(time) => Some(*time),
            _ => None,
        });
        wakes.expect("every input ends with one")
    };
    let (effects, _) = host.command(append);
    assert_eq!(wake(&effects), Time(1_000), "there is news to gossip");
    let repos = Vec::new();
    let effects = host.core.handle(Time(0), Input::Configured { repos });
    assert!(wake(&effects) > Time(1_000), "nobody is told any more");
    let effects = host.core.handle(Time(1_000), Input::Woken);
    assert!(wake(&effects) > Time(1_000));
}
