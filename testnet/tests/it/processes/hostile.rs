//! A peer that tells an author's story with one lie in it.
//!
//! It speaks the real protocols over the real network, answers from the author's store, and changes
//! one thing on its way out: what a receiver must find out by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skep_node::net::{BlobSource, Config, Event, Limits, Listen, Net, SessionId};
use skep_node::store::disk::Disk;
use skep_node::store::{Faults, Loaded, Store};
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::{Key, Signature, SigningKey};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::repo::root::SignedRoot;
use skep_proto::sync::blobs::List;
use skep_proto::sync::wire::{
    Answer, FRAME_BYTES_MAX, Hello, Message, Record, Refusal, Request, TrieNode, VERSION, tag,
};
use skep_proto::ticket::Ticket;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::home::Home;

/// What is changed on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    /// A letter of a root document.
    RootDocument,
    /// One bit of a signature over it.
    RootSignature,
    /// One bit of the signature of every checkpoint.
    Checkpoint,
    /// One bit of every log's last entry, the one of a release with its manifest.
    Entry,
    /// One bit of every group of a file.
    Group,
    /// Nothing, but every group takes its time.
    Slow,
}

/// What the author's store holds of its repository.
struct Story {
    repo: RepoId,
    roots: Vec<SignedRoot>,
    logs: BTreeMap<Key, (Vec<Vec<u8>>, Option<Checkpoint>)>,
}

/// What a slow peer takes for a group: a fast reader is not given up, a large file takes seconds.
const GROUP_TIME: Duration = Duration::from_millis(40);

pub(super) struct Liar {
    net: Net,
    id: NodeId,
    served: Arc<AtomicUsize>,
    /// Ends everything when it is dropped.
    _runtime: Runtime,
}

impl Liar {
    /// Tells what the store of `author`, whose node does not run, holds of `ana`.
    pub(super) fn start(author: &Home, lie: Lie, gossip: bool) -> Self {
        let store = Disk::open(&author.path().join("store"), Faults::none()).expect("a store");
        let story = Story::read(&store);
        let key = SigningKey::from_seed(&rand::random());
        let id = NodeId::from_key(key.key());
        let config = Config {
            key,
            listen: vec![Listen {
                ip: std::net::Ipv4Addr::LOCALHOST.into(),
                port: 0,
            }],
            mdns: false,
            gossip,
            limits: Limits::default(),
        };
        let runtime = Runtime::new().expect("a runtime");
        let served = Arc::default();
        let shelf = Arc::new(Shelf {
            store,
            lie,
            served: Arc::clone(&served),
        });
        let (net, events) = runtime
            .block_on(Net::start(config, shelf))
            .expect("a free port");
        runtime.spawn(answer_all(net.clone(), events, id, story, lie));
        Self {
            net,
            id,
            served,
            _runtime: runtime,
        }
    }

    /// Groups of files that it has sent.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    pub(super) fn fingerprint(&self) -> String {
        self.id.key().fingerprint()
    }

    /// The author's ticket, that leads to this peer and nowhere else.
    pub(super) fn instead_of(&self, ticket: &str) -> String {
        let mut ticket: Ticket = ticket.parse().expect("a ticket");
        ticket.nodes = vec![(self.id, self.net.addresses())];
        ticket.to_text_that_fits()
    }
}

impl Story {
    fn read(store: &Disk) -> Self {
        let mut story = None;
        let mut roots = Vec::new();
        let mut logs: BTreeMap<Key, (Vec<Vec<u8>>, Option<Checkpoint>)> = BTreeMap::new();
        let loaded = store.load(&mut |loaded| {
            match loaded {
                Loaded::Repository { repo } => story = Some(repo),
                Loaded::Root { signed, .. } => roots.push(signed),
                Loaded::Entries { key, entries, .. } => {
                    logs.entry(key).or_default().0.extend(entries);
                }
                Loaded::Checkpoints { key, whole, .. } => logs.entry(key).or_default().1 = whole,
                Loaded::Evidence { .. } | Loaded::Fact { .. } => {}
            }
            Ok(())
        });
        loaded.expect("a store that can be read");
        Self {
            repo: story.expect("a repository"),
            roots,
            logs,
        }
    }

    fn answer(&self, request: Request, lie: Lie) -> Option<Answer> {
        match request {
            Request::Roots { have, .. } => {
                let have = usize::try_from(have).expect("few documents");
                let mut documents = self.roots.get(have..).unwrap_or_default().to_vec();
                for document in &mut documents {
                    match lie {
                        Lie::RootDocument => bend(&mut document.payload, b"\"ana\"", b"\"eve\""),
                        Lie::RootSignature => bend_signature(&mut document.signatures[0].1),
                        _ => {}
                    }
                }
                let more = false;
                Some(Answer::Roots { documents, more })
            }
            Request::Trie { prefixes, .. } => {
                let nodes = prefixes
                    .iter()
                    .map(|_| TrieNode::Records(self.records(lie)));
                Some(Answer::Trie(nodes.collect()))
            }
            Request::Get { key, from, to, .. } => {
                let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
                let mut entries = self.logs.get(&key)?.0.get(from..to)?.to_vec();
                if lie == Lie::Entry
                    && let Some(byte) = entries.last_mut().and_then(|entry| entry.last_mut())
                {
                    *byte ^= 1;
                }
                let proof = Vec::new();
                Some(Answer::Get { entries, proof })
            }
            _ => None,
        }
    }

    fn records(&self, lie: Lie) -> Vec<Record> {
        let whole = self.logs.values().filter_map(|(_, whole)| whole.clone());
        let records = whole.map(|mut checkpoint| {
            if lie == Lie::Checkpoint {
                bend_signature(&mut checkpoint.signature);
            }
            Record::Log(checkpoint)
        });
        records.collect()
    }
}

fn bend_signature(signature: &mut Signature) {
    let mut bytes = *signature.as_bytes();
    bytes[0] ^= 1;
    *signature = Signature::from_bytes(bytes);
}

/// Puts one text in the place of another of the same length.
fn bend(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut places = bytes.windows(from.len());
    let at = places.position(|place| place == from).expect("it is there");
    bytes[at..at + to.len()].copy_from_slice(to);
}

/// A session of the liar: its nonce, the peer and the peer's nonce.
struct Talk {
    peer: NodeId,
    ours: [u8; 32],
    theirs: [u8; 32],
}

/// Answers every session as an honest node would, but for the lie.
async fn answer_all(
    net: Net,
    mut events: mpsc::Receiver<Event>,
    me: NodeId,
    story: Story,
    lie: Lie,
) {
    let mut talks: BTreeMap<SessionId, Talk> = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected { session, peer, .. } => {
                let talk = Talk {
                    peer,
                    ours: rand::random(),
                    theirs: [0; 32],
                };
                if me < peer {
                    send(&net, session, 0, Request::Hello(hello(talk.ours)));
                }
                talks.insert(session, talk);
            }
            Event::Frame { session, bytes } => {
                let (Some(talk), Ok(message)) = (talks.get_mut(&session), Message::decode(&bytes))
                else {
                    continue;
                };
                match message {
                    Message::Request { id, request } => {
                        let answer = answer(&story, lie, me, talk, request);
                        let message = match answer {
                            Some(answer) => Message::Answer { id, answer },
                            None => Message::Refusal {
                                id: Some(id),
                                refusal: Refusal::NotFound,
                            },
                        };
                        net.send(session, message.encode());
                    }
                    Message::Answer {
                        answer: Answer::Hello(hello),
                        ..
                    } => {
                        talk.theirs = hello.nonce;
                        let tags = vec![our_tag(&story.repo, me, talk)];
                        send(&net, session, 1, Request::Tags(tags));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn answer(
    story: &Story,
    lie: Lie,
    me: NodeId,
    talk: &mut Talk,
    request: Request,
) -> Option<Answer> {
    match request {
        Request::Hello(theirs) => {
            talk.theirs = theirs.nonce;
            Some(Answer::Hello(hello(talk.ours)))
        }
        Request::Tags(_) => Some(Answer::Tags(vec![our_tag(&story.repo, me, talk)])),
        request => story.answer(request, lie),
    }
}

fn send(net: &Net, session: SessionId, id: u32, request: Request) {
    net.send(session, Message::Request { id, request }.encode());
}

fn hello(nonce: [u8; 32]) -> Hello {
    Hello {
        versions: vec![VERSION],
        nonce,
        frame_bytes_max: FRAME_BYTES_MAX as u64,
    }
}

fn our_tag(repo: &RepoId, me: NodeId, talk: &Talk) -> [u8; 16] {
    let ours = (me.key(), &talk.ours);
    let theirs = (talk.peer.key(), &talk.theirs);
    match me < talk.peer {
        true => tag(repo, ours, theirs, 0),
        false => tag(repo, theirs, ours, 1),
    }
}

/// Every blob of the author's store, for whoever asks.
struct Shelf {
    store: Disk,
    lie: Lie,
    served: Arc<AtomicUsize>,
}

impl BlobSource for Shelf {
    fn offered(&self, _: &NodeId, _: &RepoId, hash: &Blake3) -> bool {
        matches!(self.store.blob(hash), Ok(Some(_)))
    }

    fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>> {
        let info = self.store.blob(hash).map_err(std::io::Error::other)?;
        let bytes = self.store.group_list(hash).map_err(std::io::Error::other)?;
        Ok(info.zip(bytes).map(|(info, bytes)| List {
            size: info.size,
            bytes,
        }))
    }

    fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>> {
        let group = self.store.read_group(hash, index);
        let mut group = group.map_err(std::io::Error::other)?;
        if self.lie == Lie::Slow {
            std::thread::sleep(GROUP_TIME);
        }
        self.served.fetch_add(1, Ordering::SeqCst);
        if self.lie == Lie::Group
            && let Some(byte) = group.as_mut().and_then(|bytes| bytes.first_mut())
        {
            *byte ^= 1;
        }
        Ok(group)
    }
}
