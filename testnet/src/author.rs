//! People with keys: repositories with real signatures, made where the keys are.
//!
//! An author signs with the tip of the log, as the command line does, and gives a node the pending
//! entries. What was ever signed is remembered here, beside the run: laws compare with it.

use std::collections::{BTreeMap, BTreeSet};

use skep_node::core::Command;
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, NodeId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{
    Body, Cut, Entry, Grant, HandleOperation, Mark, Publish, Role, handle_message,
};
use skep_proto::log::tip::Tip;
use skep_proto::log::tree;
use skep_proto::name::{Name, Version};
use skep_proto::repo::root::{
    RootDocument, RootKeys, SignedRoot, Visibility, message, repo_id,
};
use skep_proto::trust::file::{Pin, RepoFile};

/// Everything true of a run that no node knows as a whole.
#[derive(Default)]
pub struct World {
    pub repos: Vec<Repo>,
    /// Nodes that run the core as it is.
    pub honest: BTreeSet<NodeId>,
}

/// A repository, with all of its keys.
pub struct Repo {
    pub id: RepoId,
    pub alias: Name,
    root: SigningKey,
    pub documents: Vec<SignedRoot>,
    pub registrar: Log,
    pub publishers: Vec<Publisher>,
    /// Logs of keys that nobody admitted.
    pub strangers: Vec<Log>,
}

/// A handle of one key, and the name that it owns.
pub struct Publisher {
    pub handle: HandleId,
    pub name: Name,
    pub log: Log,
    /// What the same key also signed, since it has forked.
    pub branch: Option<Log>,
}

/// One key's log as its author keeps it.
#[derive(Clone)]
pub struct Log {
    signing: SigningKey,
    pub tip: Tip,
    /// All that was ever signed, whoever has it.
    pub entries: Vec<Vec<u8>>,
}

/// A release that is to be seen everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub repo: RepoId,
    pub name: Name,
    pub version: Version,
    pub manifest: Sha256,
}

impl World {
    pub fn repo(&self, id: &RepoId) -> Option<&Repo> {
        self.repos.iter().find(|repo| repo.id == *id)
    }

    /// A new repository with this many publishers, each of whom owns one name. Its keys follow from
    /// its name.
    pub fn found(&mut self, alias: &str, publishers: usize) -> usize {
        let secret = |of: &str| SigningKey::from_seed(Sha256::of(&[alias.as_bytes(), of.as_bytes()]).as_bytes());
        let (root, registrar) = (secret("root"), secret("registrar"));
        let keys = RootKeys {
            keys: vec![root.key()],
            threshold: 1,
        };
        let first = RootDocument::first(alias, keys, registrar.key(), Visibility::Public);
        let payload = first.to_payload().expect("a document within the limits");
        let id = repo_id(&payload);
        let mut repo = Repo {
            id,
            alias: name(alias),
            documents: vec![signed(payload, &[&root, &registrar])],
            root,
            registrar: Log::new(id, registrar),
            publishers: Vec::new(),
            strangers: Vec::new(),
        };
        for number in 0..publishers {
            repo.admit(number, secret(&format!("publisher {number}")));
        }
        self.repos.push(repo);
        self.repos.len() - 1
    }
}

impl Repo {
    /// The file that a node follows it by, pinned at its first document.
    pub fn file(&self) -> RepoFile {
        RepoFile {
            id: self.id,
            root: Pin {
                version: 1,
                sha256: self.documents[0].sha256(),
            },
            peers: Vec::new(),
            keep: None,
            share: None,
            trust: Vec::new(),
        }
    }

    /// Admits a key as a publisher of one name.
    fn admit(&mut self, number: usize, signing: SigningKey) {
        let package = name(&format!("package-{number}"));
        let mut operation = HandleOperation {
            prev: None,
            label: name(&format!("publisher-{number}")),
            publish_threshold: 1,
            change_threshold: 1,
            keys: vec![signing.key()],
            receive: Vec::new(),
            drop: Vec::new(),
            about: String::new(),
            signatures: Vec::new(),
        };
        let message = handle_message(&self.id, &operation);
        operation.signatures = vec![(signing.key(), signing.sign(&message))];
        let handle = HandleId::from_bytes(*operation.hash(&self.id).as_bytes());
        let grant = Grant {
            handle,
            role: Role::Publisher,
            names: vec![package.clone()],
        };
        let operations = vec![Body::Handle(Box::new(operation)), Body::Grant(grant)];
        self.registrar.say(operations);
        self.publishers.push(Publisher {
            handle,
            name: package,
            log: Log::new(self.id, signing),
            branch: None,
        });
    }

    /// Admits one more publisher.
    pub fn admit_another(&mut self) -> usize {
        let number = self.publishers.len();
        let seed = Sha256::of(&[self.id.as_bytes(), format!("later {number}").as_bytes()]);
        self.admit(number, SigningKey::from_seed(seed.as_bytes()));
        number
    }

    /// A publisher signs a release; `filler` makes its manifest that many bytes longer.
    pub fn publish(&mut self, publisher: usize, version: &str, filler: usize) -> Released {
        let (repo, publisher) = (self.id, &mut self.publishers[publisher]);
        publish(repo, &publisher.name, &mut publisher.log, version, filler)
    }

    /// The publisher's key begins another branch, from what it has signed until now.
    pub fn fork(&mut self, publisher: usize) {
        let publisher = &mut self.publishers[publisher];
        publisher.branch = Some(publisher.log.clone());
    }

    /// A release on the other branch.
    pub fn publish_on_branch(&mut self, publisher: usize, version: &str) -> Released {
        let (repo, publisher) = (self.id, &mut self.publishers[publisher]);
        let branch = publisher.branch.as_mut().expect("the key has forked");
        publish(repo, &publisher.name, branch, version, 1)
    }

    /// The registrar says up to where a publisher's key counts: its own branch, whole.
    pub fn cut(&mut self, publisher: usize) {
        let log = &self.publishers[publisher].log;
        let leaves: Vec<Sha256> = log.entries.iter().map(|entry| tree::leaf(entry)).collect();
        let mark = Mark {
            key: log.key(),
            size: log.tip.size(),
            root: tree::root(&leaves),
        };
        let reason = "stolen".to_owned();
        self.registrar.say(vec![Body::Cut(Cut { mark, reason })]);
    }

    /// A log of a key that no handle lists, with one release.
    pub fn stranger(&mut self) -> usize {
        let signing = SigningKey::from_seed(Sha256::of(&[self.id.as_bytes(), b"stranger"]).as_bytes());
        let mut log = Log::new(self.id, signing);
        publish(self.id, &name("package-0"), &mut log, "9.9.9", 0);
        self.strangers.push(log);
        self.strangers.len() - 1
    }

    /// The next root document: the same, renamed.
    pub fn next_document(&mut self) -> SignedRoot {
        let latest = self.documents.last().expect("there is a first one");
        let document = RootDocument::parse(&latest.payload).expect("it was signed here");
        let mut next = document.successor(&latest.payload, self.registrar.tip.size());
        next.name = format!("{} {}", self.alias, next.version);
        let payload = next.to_payload().expect("a document within the limits");
        let signed = signed(payload, &[&self.root]);
        self.documents.push(signed.clone());
        signed
    }

    /// Every log that was ever signed: key, and all of its branches.
    pub fn branches(&self) -> BTreeMap<Key, Vec<&Log>> {
        let mut branches: BTreeMap<Key, Vec<&Log>> = BTreeMap::new();
        let published = self.publishers.iter().map(|publisher| &publisher.log);
        let forked = self.publishers.iter().filter_map(|p| p.branch.as_ref());
        for log in [&self.registrar].into_iter().chain(published).chain(forked) {
            branches.entry(log.key()).or_default().push(log);
        }
        branches
    }

    /// Whether the key signed two branches.
    pub fn has_forked(&self, key: &Key) -> bool {
        let mut publishers = self.publishers.iter();
        publishers.any(|p| p.log.key() == *key && p.branch.is_some())
    }
}

impl Log {
    fn new(repo: RepoId, signing: SigningKey) -> Self {
        Self {
            tip: Tip::new(repo, signing.key()),
            signing,
            entries: Vec::new(),
        }
    }

    pub fn key(&self) -> Key {
        *self.tip.key()
    }

    /// Signs entries; a node has them when somebody sends [`Log::append`].
    fn say(&mut self, bodies: Vec<Body>) {
        let claimed_at = 1_800_000_000;
        let entries = bodies.into_iter().map(|body| {
            let entry = Entry { claimed_at, body };
            entry.encode().expect("an entry within the limits")
        });
        let entries: Vec<Vec<u8>> = entries.collect();
        self.entries.extend(entries.iter().cloned());
        self.tip
            .append(&self.signing, entries)
            .expect("few entries are pending");
    }

    /// What the command line sends a node: all that no node has acknowledged.
    pub fn append(&self) -> Option<Command> {
        let checkpoint = self.tip.checkpoint()?;
        Some(Command::Append {
            repo: *self.tip.repo(),
            key: self.key(),
            entries: self.tip.pending().to_vec(),
            checkpoint: checkpoint.clone(),
        })
    }

    /// The whole log, for a node that has none of it.
    pub fn from_start(&self, held: u64) -> Option<Command> {
        let checkpoint = self.tip.checkpoint()?;
        let held = usize::try_from(held).ok()?;
        Some(Command::Append {
            repo: *self.tip.repo(),
            key: self.key(),
            entries: self.entries.get(held..)?.to_vec(),
            checkpoint: checkpoint.clone(),
        })
    }
}

fn publish(repo: RepoId, package: &Name, log: &mut Log, of: &str, filler: usize) -> Released {
    let text = format!("{package} {of} on the branch of {} entries, {}", log.entries.len(), "x".repeat(filler));
    let payload = text.into_bytes();
    let manifest = Sha256::of(&[&payload]);
    let publish = Publish {
        name: package.clone(),
        version: version(of),
        signatures: vec![(log.key(), log.signing.sign(&payload))],
        payload,
    };
    log.say(vec![Body::Publish(publish)]);
    Released {
        repo,
        name: package.clone(),
        version: version(of),
        manifest,
    }
}

fn signed(payload: Vec<u8>, by: &[&SigningKey]) -> SignedRoot {
    let message = message(&payload);
    let signatures = by.iter().map(|key| (key.key(), key.sign(&message)));
    SignedRoot {
        signatures: signatures.collect(),
        payload,
    }
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn version(text: &str) -> Version {
    text.parse().expect("a version")
}
