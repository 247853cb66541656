//! A repository, nodes without a network or a store, and a peer that says whatever a test wants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use skep_node::core::{Command, Core, Effect, Input, Reply, RequestId, SessionId, Time};
use skep_node::snapshot::Snapshot;
use skep_node::store::Change;
use skep_proto::claimed::Claimed;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{HandleId, NodeId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{Body, Entry, Grant, HandleOperation, Publish, Role, handle_message};
use skep_proto::log::tip::Tip;
use skep_proto::log::tree;
use skep_proto::name::RepoRef;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::sync::wire::{Answer, Hello, Message, Refusal, Request, Tag, VERSION, tag};
use skep_proto::trust::file::{Pin, RepoFile};

pub(super) const SESSION: SessionId = SessionId(1);
pub(super) const SECOND: SessionId = SessionId(2);
/// The session's nonce of the node's side.
const OUR_NONCE: [u8; 32] = [0xbb; 32];
const THEIR_NONCE: [u8; 32] = [0xaa; 32];

pub(super) fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

pub(super) fn node_id(n: u8) -> NodeId {
    NodeId::from_key(signing(n).key())
}

/// A repository with a registrar, one handle that owns `drop`, and its first release.
pub(super) struct Made {
    pub(super) id: RepoId,
    pub(super) root: SignedRoot,
    pub(super) registrar: Tip,
    pub(super) publisher: Tip,
    /// Logs of keys that own nothing.
    pub(super) others: Vec<Tip>,
}

fn entry(body: Body) -> Vec<u8> {
    let claimed_at = 0;
    Entry { claimed_at, body }.encode().expect("an entry")
}

fn release(version: &str) -> Vec<u8> {
    let payload = version.as_bytes().to_vec();
    entry(Body::Publish(Publish {
        name: "drop".parse().expect("a name"),
        version: version.parse().expect("a version"),
        signatures: vec![(signing(3).key(), signing(3).sign(&payload))],
        payload,
    }))
}

impl Made {
    pub(super) fn new() -> Self {
        Self::named("ana")
    }

    /// Another name is another repository of the same keys.
    pub(super) fn named(name: &str) -> Self {
        let (root_key, registrar_key, publisher_key) = (signing(1), signing(2), signing(3));
        let keys = RootKeys {
            keys: vec![root_key.key()],
            threshold: 1,
        };
        let document = RootDocument::first(name, keys, registrar_key.key(), Visibility::Public);
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
        let grant = Grant {
            handle: HandleId::from_bytes(*operation.hash(&id).as_bytes()),
            role: Role::Publisher,
            names: vec!["drop".parse().expect("a name")],
        };
        let said = |key: &SigningKey, entries: Vec<Vec<u8>>| {
            let mut tip = Tip::new(id, key.key());
            tip.append(key, entries).expect("signed");
            tip
        };
        let operations = [Body::Handle(Box::new(operation)), Body::Grant(grant)];
        Self {
            id,
            root: SignedRoot {
                payload,
                signatures: signatures.to_vec(),
            },
            registrar: said(&registrar_key, operations.map(entry).to_vec()),
            publisher: said(&publisher_key, vec![entry(Body::Hello), release("1.0.0")]),
            others: Vec::new(),
        }
    }

    /// One with so many more keys, each of which has said hello.
    pub(super) fn with_keys(count: usize) -> Self {
        let mut made = Self::new();
        let seed = |n: usize| Sha256::of(&[b"other", &n.to_be_bytes()]);
        let keys: Vec<SigningKey> = (0..count)
            .map(|n| SigningKey::from_seed(seed(n).as_bytes()))
            .collect();
        let mut operations = Vec::new();
        for (at, keys) in keys.chunks(16).enumerate() {
            let mut operation = HandleOperation {
                prev: None,
                label: format!("other{at}").parse().expect("a name"),
                publish_threshold: 1,
                change_threshold: 1,
                keys: keys.iter().map(SigningKey::key).collect(),
                receive: vec![],
                drop: vec![],
                about: String::new(),
                signatures: vec![],
            };
            let message = handle_message(&made.id, &operation);
            let signatures = keys.iter().map(|key| (key.key(), key.sign(&message)));
            operation.signatures = signatures.collect();
            operations.push(entry(Body::Handle(Box::new(operation))));
        }
        made.registrar
            .append(&signing(2), operations)
            .expect("signed");
        let hello = |key: &SigningKey| {
            let mut tip = Tip::new(made.id, key.key());
            tip.append(key, vec![entry(Body::Hello)]).expect("signed");
            tip
        };
        made.others = keys.iter().map(hello).collect();
        made
    }

    /// The publisher's log with one more release.
    pub(super) fn published(&self, version: &str) -> Tip {
        let mut tip = self.publisher.clone();
        tip.append(&signing(3), vec![release(version)])
            .expect("signed");
        tip
    }

    /// The publisher's log with as many more releases, under one checkpoint.
    pub(super) fn published_many(&self, count: u64) -> Tip {
        let mut tip = self.publisher.clone();
        let releases = (0..count).map(|n| release(&format!("2.0.{n}")));
        tip.append(&signing(3), releases.collect()).expect("signed");
        tip
    }

    pub(super) fn topic(&self) -> [u8; 32] {
        *Blake3::of(&[b"skep.topic", self.id.as_bytes()]).as_bytes()
    }

    fn configured(&self) -> Input {
        following(&[("ana", self)])
    }

    fn file(&self) -> RepoFile {
        RepoFile {
            id: self.id,
            root: Pin {
                version: 1,
                sha256: Sha256::of(&[&self.root.payload]),
            },
            peers: vec![],
            keep: Vec::new(),
            kept: Vec::new(),
            share: None,
            trust: vec![],
        }
    }
}

/// These repositories are followed under these aliases.
pub(super) fn following(repos: &[(&str, &Made)]) -> Input {
    let repos = repos.iter();
    Input::Configured {
        repos: repos
            .map(|(alias, made)| (alias.parse().expect("a name"), made.file()))
            .collect(),
    }
}

/// A core, and what it had stored.
pub(super) struct Node {
    pub(super) core: Core,
    id: u8,
    pub(super) now: Time,
    logs: BTreeMap<(RepoId, Key), Vec<Vec<u8>>>,
    pub(super) shown: Arc<Snapshot>,
    next: u64,
}

impl Node {
    /// One that follows the repository and has nothing of it.
    pub(super) fn follower(made: &Made, id: u8) -> Self {
        let mut node = Self {
            core: Core::new(node_id(id), [id; 32], vec![]),
            id,
            now: Time(0),
            logs: BTreeMap::new(),
            shown: Arc::new(Snapshot::empty(node_id(id))),
            next: 0,
        };
        node.take(made.configured());
        node
    }

    /// One that has everything.
    pub(super) fn author(made: &Made, id: u8) -> Self {
        let mut node = Self::follower(made, id);
        node.learn(made);
        node
    }

    /// Gives it everything of a repository that it follows.
    pub(super) fn learn(&mut self, made: &Made) {
        let (repo, root) = (made.id, made.root.clone());
        assert_eq!(self.command(Command::PutRoot { repo, root }), Reply::Done);
        for tip in [&made.registrar, &made.publisher] {
            assert_eq!(self.append(made, tip, 0), Reply::Done);
        }
    }

    /// Hands over an input. What is to be stored is checked as an auditor would.
    pub(super) fn take(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.core.handle(self.now, input);
        for effect in &effects {
            match effect {
                Effect::Persist(change) => self.store(change),
                Effect::Show(snapshot) => self.shown = Arc::clone(snapshot),
                _ => {}
            }
        }
        effects
    }

    fn store(&mut self, change: &Change) {
        let Change::Append {
            repo,
            key,
            from,
            entries,
            checkpoint,
        } = change
        else {
            return;
        };
        let log = self.logs.entry((*repo, *key)).or_default();
        assert_eq!(log.len() as u64, *from, "entries continue what is stored");
        log.extend(entries.iter().cloned());
        assert_eq!(checkpoint.key, *key);
        let held = log.len() as u64;
        assert!(held <= checkpoint.size, "nothing beyond its checkpoint");
        if held == checkpoint.size {
            let leaves: Vec<Sha256> = log.iter().map(|entry| tree::leaf(entry)).collect();
            assert_eq!(tree::root(&leaves), checkpoint.root);
        }
        let verified = Claimed(checkpoint.clone()).verify(repo, &[]);
        assert!(verified.is_ok(), "stored under a checkpoint that verifies");
    }

    pub(super) fn stored(&self, repo: &RepoId, key: &Key) -> &[Vec<u8>] {
        self.logs.get(&(*repo, *key)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn command(&mut self, command: Command) -> Reply {
        self.next += 1;
        let id = RequestId(self.next);
        let effects = self.take(Input::Command(id, command));
        let mut replies = effects.into_iter().filter_map(|effect| match effect {
            Effect::Reply(to, reply) if to == id => Some(reply),
            _ => None,
        });
        replies.next().expect("an answer at once")
    }

    /// Appends what of a log comes after its first `held` entries.
    pub(super) fn append(&mut self, made: &Made, tip: &Tip, held: usize) -> Reply {
        self.command(Command::Append {
            repo: made.id,
            key: *tip.key(),
            entries: tip.pending()[held..].to_vec(),
            checkpoint: tip.checkpoint().expect("signed").clone(),
        })
    }

    /// The versions of `drop` that readers see listed.
    pub(super) fn listed(&self, made: &Made) -> Vec<String> {
        let Some(repo) = self.shown.repo(&RepoRef::Id(made.id)) else {
            return vec![];
        };
        let packages = repo.packages().into_iter();
        let releases = packages
            .filter(|package| package.name.as_str() == "drop")
            .flat_map(|package| package.releases)
            .filter(|release| release.state == "listed");
        releases
            .map(|release| release.version.to_string())
            .collect()
    }

    pub(super) fn view_hash(&self, made: &Made) -> Option<Sha256> {
        self.shown.repo(&RepoRef::Id(made.id))?.view_hash
    }

    /// What leaves the node as a message of this session.
    fn message(&self, session: SessionId, effect: &Effect) -> Option<Message> {
        match effect {
            Effect::Send {
                session: to,
                message,
            } if *to == session => Some(message.clone()),
            Effect::SendEntries {
                session: to,
                request,
                repo,
                key,
                from,
                to: end,
                proof,
                ..
            } if *to == session => {
                let at = |n: &u64| usize::try_from(*n).expect("small");
                let entries = self.stored(repo, key)[at(from)..at(end)].to_vec();
                let proof = proof.clone();
                let answer = Answer::Get { entries, proof };
                Some(Message::Answer {
                    id: *request,
                    answer,
                })
            }
            _ => None,
        }
    }
}

/// Connects two nodes and carries what they say until both are silent; gives what each of them did.
pub(super) fn meet(a: &mut Node, b: &mut Node) -> [Vec<Effect>; 2] {
    let mut meeting = Meeting::begin(a, b);
    meeting.carry(a, b);
    for node in [a, b] {
        node.take(Input::Closed { session: SESSION });
    }
    meeting.done
}

/// Two nodes that are connected, and what is on its way between them.
pub(super) struct Meeting {
    done: [Vec<Effect>; 2],
    queue: VecDeque<(usize, Message)>,
}

impl Meeting {
    pub(super) fn begin(a: &mut Node, b: &mut Node) -> Self {
        let connected = |peer: &Node, opener| Input::Connected {
            session: SESSION,
            peer: node_id(peer.id),
            opener,
            nonce: [u8::from(opener); 32],
        };
        let (to_a, to_b) = (connected(b, true), connected(a, false));
        let mut meeting = Self {
            done: [Vec::new(), Vec::new()],
            queue: VecDeque::new(),
        };
        meeting.take(0, a, to_a);
        meeting.take(1, b, to_b);
        meeting
    }

    fn take(&mut self, by: usize, node: &mut Node, input: Input) {
        for effect in node.take(input) {
            assert!(
                !matches!(effect, Effect::Disconnect { .. }),
                "honest nodes stay connected"
            );
            if let Some(message) = node.message(SESSION, &effect) {
                self.queue.push_back((1 - by, message));
            }
            self.done[by].push(effect);
        }
    }

    /// Until both are silent.
    pub(super) fn carry(&mut self, a: &mut Node, b: &mut Node) {
        while let Some((to, message)) = self.queue.pop_front() {
            let heard = Input::Heard {
                session: SESSION,
                frame: message.encode(),
            };
            let node = if to == 0 { &mut *a } else { &mut *b };
            self.take(to, node, heard);
        }
    }

    pub(super) fn wake(&mut self, a: &mut Node, b: &mut Node) {
        self.take(0, a, Input::Woken);
        self.take(1, b, Input::Woken);
    }
}

/// A peer whose answers a test makes up.
pub(super) struct Liar {
    peer: u8,
    session: SessionId,
    /// What the node asked, and has no answer to.
    open: VecDeque<(u32, Request)>,
    pub(super) was_asked_for_the_trie: bool,
}

impl Liar {
    /// Opens a session; `opener` says whether the node opened the stream.
    pub(super) fn open(node: &mut Node, session: SessionId, peer: u8, opener: bool) -> Self {
        let mut liar = Self {
            peer,
            session,
            open: VecDeque::new(),
            was_asked_for_the_trie: false,
        };
        let effects = node.take(Input::Connected {
            session,
            peer: node_id(peer),
            opener,
            nonce: OUR_NONCE,
        });
        liar.listen(node, &effects);
        liar
    }

    /// A session in which both have said that they follow the repository.
    pub(super) fn connect(node: &mut Node, made: &Made, session: SessionId, peer: u8) -> Self {
        let mut liar = Self::open(node, session, peer, true);
        let tag = liar.tag(node, made);
        let hello = Hello {
            versions: vec![VERSION],
            nonce: THEIR_NONCE,
            frame_bytes_max: 1 << 20,
        };
        for answer in [Answer::Hello(hello), Answer::Tags(vec![tag])] {
            let (id, _) = liar.open.pop_front().expect("the node asks");
            liar.say(node, &Message::Answer { id, answer });
        }
        liar
    }

    /// What says that it follows the repository, in a session that the node opened.
    pub(super) fn tag(&self, node: &Node, made: &Made) -> Tag {
        let ours = (node_id(node.id), OUR_NONCE);
        let theirs = (node_id(self.peer), THEIR_NONCE);
        tag(
            &made.id,
            (ours.0.key(), &ours.1),
            (theirs.0.key(), &theirs.1),
            1,
        )
    }

    fn listen(&mut self, node: &Node, effects: &[Effect]) {
        for effect in effects {
            if let Some(Message::Request { id, request }) = node.message(self.session, effect) {
                self.was_asked_for_the_trie |= matches!(request, Request::Trie { .. });
                self.open.push_back((id, request));
            }
        }
    }

    /// Says one thing; gives what the node does.
    pub(super) fn say(&mut self, node: &mut Node, message: &Message) -> Vec<Effect> {
        let effects = node.take(Input::Heard {
            session: self.session,
            frame: message.encode(),
        });
        self.listen(node, &effects);
        effects
    }

    /// Answers what the node asks until it asks nothing more; what `answer` has no answer to is not
    /// found. Gives all that the node did.
    pub(super) fn talk(
        &mut self,
        node: &mut Node,
        mut answer: impl FnMut(&Request) -> Option<Answer>,
    ) -> Vec<Effect> {
        let mut done = Vec::new();
        while let Some((id, request)) = self.open.pop_front() {
            let message = match answer(&request) {
                Some(answer) => Message::Answer { id, answer },
                None => Message::Refusal {
                    id: Some(id),
                    refusal: Refusal::NotFound,
                },
            };
            done.extend(self.say(node, &message));
        }
        done
    }

    /// Refuses everything that is open; whether anything was.
    pub(super) fn refuse_all(&mut self, node: &mut Node) -> bool {
        let asked = !self.open.is_empty();
        self.talk(node, |_| None);
        asked
    }
}
