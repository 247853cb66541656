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
    Body, Cut, Entry, Grant, HandleOperation, Mark, Publish, Role, Status, StatusState,
    handle_message,
};
use skep_proto::log::tip::Tip;
use skep_proto::log::tree;
use skep_proto::name::{Name, Version};
use skep_proto::repo::root::{RootDocument, RootKeys, SignedRoot, Visibility, message, repo_id};
use skep_proto::trust::file::{Pin, RepoFile};

/// What every entry claims: nobody's clock decides anything.
const CLAIMED_AT: u64 = 1_800_000_000;

/// Everything true of a run that no node knows as a whole.
#[derive(Default)]
pub struct World {
    pub repos: Vec<Repo>,
    /// Nodes that run the core as it is, and say what it says.
    pub honest: BTreeSet<NodeId>,
}

/// A repository, with all of its keys.
pub struct Repo {
    pub id: RepoId,
    pub alias: Name,
    root: SigningKey,
    pub documents: Vec<SignedRoot>,
    pub registrar: Log,
    /// Those that a root document replaced.
    former: Vec<Log>,
    pub publishers: Vec<Publisher>,
    /// Logs of keys that nobody admitted.
    pub strangers: Vec<Log>,
}

/// A handle, and the name that it owns.
pub struct Publisher {
    pub name: Name,
    /// Its latest operation.
    operation: HandleOperation,
    /// One for each key that it ever had, the current one last.
    logs: Vec<Log>,
    /// What the current key also signed, since it has forked.
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
        let secret = |of: &str| secret(&[alias.as_bytes(), of.as_bytes()]);
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
            former: Vec::new(),
            publishers: Vec::new(),
            strangers: Vec::new(),
        };
        for _ in 0..publishers {
            repo.admit();
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
            keep: Vec::new(),
            kept: Vec::new(),
            share: None,
            trust: Vec::new(),
        }
    }

    /// Admits one more publisher, of one name.
    pub fn admit(&mut self) -> usize {
        let number = self.publishers.len();
        let package = name(&format!("package-{number}"));
        let signing = self.secret(&format!("publisher {number}"));
        let operation = HandleOperation {
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
        let operation = self.agree(operation, &[&signing]);
        let grant = Grant {
            handle: HandleId::from_bytes(*operation.hash(&self.id).as_bytes()),
            role: Role::Publisher,
            names: vec![package.clone()],
        };
        self.registrar.say(vec![
            Body::Handle(Box::new(operation.clone())),
            Body::Grant(grant),
        ]);
        self.publishers.push(Publisher {
            name: package,
            operation,
            logs: vec![Log::new(self.id, signing)],
            branch: None,
        });
        number
    }

    /// The publisher's handle gets a new key in place of the old one, which counts up to here.
    pub fn replace_key(&mut self, publisher: usize) {
        let count = self.publishers[publisher].logs.len();
        let new = self.secret(&format!("publisher {publisher}, key {count}"));
        let old = &self.publishers[publisher];
        let operation = HandleOperation {
            prev: Some(old.operation.hash(&self.id)),
            keys: vec![new.key()],
            drop: vec![old.log().mark()],
            signatures: Vec::new(),
            ..old.operation.clone()
        };
        let operation = self.agree(operation, &[&old.log().signing, &new]);
        let changed = Body::Handle(Box::new(operation.clone()));
        self.registrar.say(vec![changed]);
        let publisher = &mut self.publishers[publisher];
        publisher.operation = operation;
        publisher.logs.push(Log::new(self.id, new));
    }

    /// A handle operation, signed by these keys.
    fn agree(&self, mut operation: HandleOperation, keys: &[&SigningKey]) -> HandleOperation {
        let message = handle_message(&self.id, &operation);
        let signatures = keys.iter().map(|key| (key.key(), key.sign(&message)));
        operation.signatures = signatures.collect();
        operation
    }

    fn secret(&self, of: &str) -> SigningKey {
        secret(&[self.id.as_bytes(), of.as_bytes()])
    }

    /// A publisher signs a release; `filler` makes its manifest that many bytes longer.
    pub fn publish(&mut self, publisher: usize, version: &str, filler: usize) -> Released {
        let repo = self.id;
        let Publisher { name, logs, .. } = &mut self.publishers[publisher];
        let log = logs.last_mut().expect("a handle has a key");
        publish(repo, name, log, version, filler)
    }

    /// A publisher takes a version back, or no longer.
    pub fn yank(&mut self, publisher: usize, of: &str, on: bool) {
        let publisher = &mut self.publishers[publisher];
        let status = Status {
            name: publisher.name.clone(),
            version: Some(version(of)),
            state: StatusState::Yanked,
            on,
            reason: "it does not load".to_owned(),
            successor: None,
        };
        let log = publisher.logs.last_mut().expect("a handle has a key");
        log.say(vec![Body::Status(status)]);
    }

    /// The publisher's key begins another branch, from what it has signed until now.
    pub fn fork(&mut self, publisher: usize) {
        let publisher = &mut self.publishers[publisher];
        publisher.branch = Some(publisher.log().clone());
    }

    /// A release on the other branch.
    pub fn publish_on_branch(&mut self, publisher: usize, version: &str) -> Released {
        let (repo, publisher) = (self.id, &mut self.publishers[publisher]);
        let branch = publisher.branch.as_mut().expect("the key has forked");
        publish(repo, &publisher.name, branch, version, 1)
    }

    /// The registrar says that a publisher's key counts up to here, on its own branch.
    pub fn cut(&mut self, publisher: usize, size: usize) {
        let mark = self.publishers[publisher].log().mark_at(size);
        let reason = "stolen".to_owned();
        self.registrar.say(vec![Body::Cut(Cut { mark, reason })]);
    }

    /// A log of a key that no handle lists, with one release.
    pub fn stranger(&mut self) -> usize {
        let signing = self.secret("stranger");
        let mut log = Log::new(self.id, signing);
        publish(self.id, &name("package-0"), &mut log, "9.9.9", 0);
        self.strangers.push(log);
        self.strangers.len() - 1
    }

    /// The next root document: the same, renamed.
    pub fn next_document(&mut self) {
        self.sign_next(None);
    }

    /// The next root document: another registrar goes on where the one until now ends.
    pub fn replace_registrar(&mut self) {
        let count = self.former.len();
        let next = self.secret(&format!("registrar {count}"));
        self.sign_next(Some(next));
    }

    fn sign_next(&mut self, registrar: Option<SigningKey>) {
        let latest = self.documents.last().expect("there is a first one");
        let document = RootDocument::parse(&latest.payload).expect("it was signed here");
        let mut next = document.successor(&latest.payload, self.registrar.tip.size());
        next.name = format!("{} {}", self.alias, next.version);
        if let Some(registrar) = &registrar {
            // Nobody has seen anything of the new one yet.
            next.seen = 0;
            let Mark { size, root, .. } = self.registrar.mark();
            next.replace_registrar(size, root, registrar.key());
        }
        let payload = next.to_payload().expect("a document within the limits");
        let by: Vec<&SigningKey> = [&self.root].into_iter().chain(&registrar).collect();
        self.documents.push(signed(payload, &by));
        if let Some(registrar) = registrar {
            let new = Log::new(self.id, registrar);
            let former = std::mem::replace(&mut self.registrar, new);
            self.former.push(former);
        }
    }

    /// Logs as their authors keep them: the registrars' first, without other branches.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        let registrars = self.former.iter().chain([&self.registrar]);
        registrars.chain(self.publishers.iter().flat_map(|p| &p.logs))
    }

    pub fn log_mut(&mut self, key: &Key) -> Option<&mut Log> {
        let registrars = self.former.iter_mut().chain([&mut self.registrar]);
        let published = self.publishers.iter_mut().flat_map(|p| &mut p.logs);
        registrars.chain(published).find(|log| log.key() == *key)
    }

    /// Every log that was ever signed: key, and all of its branches.
    pub fn branches(&self) -> BTreeMap<Key, Vec<&Log>> {
        let mut branches: BTreeMap<Key, Vec<&Log>> = BTreeMap::new();
        let forked = self.publishers.iter().filter_map(|p| p.branch.as_ref());
        for log in self.logs().chain(forked) {
            branches.entry(log.key()).or_default().push(log);
        }
        branches
    }

    /// Whether the key signed two branches.
    pub fn has_forked(&self, key: &Key) -> bool {
        let mut branches = self.publishers.iter().filter_map(|p| p.branch.as_ref());
        branches.any(|branch| branch.key() == *key)
    }
}

impl Publisher {
    /// The log of its current key.
    pub fn log(&self) -> &Log {
        self.logs.last().expect("a handle has a key")
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

    /// All of it, as a cut or a drop names it.
    fn mark(&self) -> Mark {
        self.mark_at(self.entries.len())
    }

    /// Its first entries, as a cut names them.
    fn mark_at(&self, size: usize) -> Mark {
        let entries = self.entries.iter().take(size);
        let leaves: Vec<Sha256> = entries.map(|entry| tree::leaf(entry)).collect();
        Mark {
            key: self.key(),
            size: leaves.len() as u64,
            root: tree::root(&leaves),
        }
    }

    /// Signs entries; a node has them when somebody brings them there.
    fn say(&mut self, bodies: Vec<Body>) {
        let entries = bodies.into_iter().map(|body| {
            let entry = Entry {
                claimed_at: CLAIMED_AT,
                body,
            };
            entry.encode().expect("an entry within the limits")
        });
        let entries: Vec<Vec<u8>> = entries.collect();
        self.entries.extend(entries.iter().cloned());
        self.tip
            .append(&self.signing, entries)
            .expect("few entries are pending");
    }

    /// What the command line sends a node that holds the first `held` entries.
    pub fn append(&self, held: u64) -> Option<Command> {
        let held = usize::try_from(held).ok()?;
        Some(Command::Append {
            repo: *self.tip.repo(),
            key: self.key(),
            entries: self.entries.get(held..)?.to_vec(),
            checkpoint: self.tip.checkpoint()?.clone(),
        })
    }
}

fn publish(repo: RepoId, package: &Name, log: &mut Log, of: &str, filler: usize) -> Released {
    let filler = "x".repeat(filler);
    let number = log.entries.len();
    let payload = format!("{package} {of}, entry {number} {filler}").into_bytes();
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

fn secret(of: &[&[u8]]) -> SigningKey {
    SigningKey::from_seed(Sha256::of(of).as_bytes())
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn version(text: &str) -> Version {
    text.parse().expect("a version")
}
