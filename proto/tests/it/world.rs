//! One repository with its authors, honest and thieving: what tests of authority are told with.

use std::collections::{BTreeMap, BTreeSet};

use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{
    Approve, Body, Cut, Entry, Grant, HandleOperation, Mark, Publish, Role, Settle, Status,
    StatusState, Subject, Suspend, handle_message,
};
use skep_proto::log::tree;
use skep_proto::name::{Name, Version};
use skep_proto::repo::authority::{Outcome, Why};
use skep_proto::repo::chain::Chain;
use skep_proto::repo::fact::LogFacts;
use skep_proto::repo::root::{
    Pin, RootCut, RootDocument, RootKeys, SignedRoot, Visibility, message, repo_id,
};
use skep_proto::repo::view::{Release, ReleaseState, View};

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) repo: RepoId,
    /// Three keys, two of which must sign.
    pub(crate) roots: Vec<Key>,
    pub(crate) registrar: Key,
    pub(crate) documents: Vec<SignedRoot>,
    pub(crate) logs: BTreeMap<Key, Vec<Vec<u8>>>,
    pub(crate) evidence: BTreeSet<Key>,
    pub(crate) pin: Option<Pin>,
    secrets: BTreeMap<Key, SigningKey>,
    handles: BTreeMap<HandleId, HandleOperation>,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::named("skep tests")
    }

    /// Another name is another repository, with other keys.
    pub(crate) fn named(name: &str) -> Self {
        Self::founded(name, |_| {})
    }

    pub(crate) fn founded(name: &str, edit: impl FnOnce(&mut RootDocument)) -> Self {
        let mut world = Self {
            repo: RepoId::from_hash(Sha256::of(&[name.as_bytes()])),
            roots: Vec::new(),
            registrar: Key::from_bytes([0; 33]),
            documents: Vec::new(),
            logs: BTreeMap::new(),
            evidence: BTreeSet::new(),
            pin: None,
            secrets: BTreeMap::new(),
            handles: BTreeMap::new(),
        };
        world.roots = (0..3).map(|_| world.key()).collect();
        world.registrar = world.key();
        let root = RootKeys {
            keys: world.roots.clone(),
            threshold: 2,
        };
        let mut first = RootDocument::first(name, root, world.registrar, Visibility::Public);
        edit(&mut first);
        let payload = first.to_payload().expect("a document");
        world.repo = repo_id(&payload);
        let all: Vec<Key> = first.keys().into_iter().collect();
        world.documents.push(world.sign_root(payload, &all));
        world
    }

    // Keys and signatures

    pub(crate) fn key(&mut self) -> Key {
        let count = self.secrets.len().to_be_bytes();
        let seed = Sha256::of(&[self.repo.as_bytes(), &count]);
        let secret = SigningKey::from_seed(seed.as_bytes());
        let key = secret.key();
        self.secrets.insert(key, secret);
        key
    }

    pub(crate) fn secret(&self, key: &Key) -> &SigningKey {
        &self.secrets[key]
    }

    pub(crate) fn sign_root(&self, payload: Vec<u8>, by: &[Key]) -> SignedRoot {
        let message = message(&payload);
        let signatures = by.iter().map(|key| (*key, self.secret(key).sign(&message)));
        SignedRoot {
            signatures: signatures.collect(),
            payload,
        }
    }

    pub(crate) fn sign(&self, mut operation: HandleOperation, by: &[Key]) -> HandleOperation {
        let message = handle_message(&self.repo, &operation);
        let signatures = by.iter().map(|key| (*key, self.secret(key).sign(&message)));
        operation.signatures = signatures.collect();
        operation
    }

    // Root documents

    pub(crate) fn latest(&self) -> RootDocument {
        let latest = self.documents.last().expect("a document");
        RootDocument::parse(&latest.payload).expect("a document")
    }

    /// The next document, signed by whoever must, and `seen` all that the registrar has said.
    pub(crate) fn next(&self, edit: impl FnOnce(&mut RootDocument)) -> SignedRoot {
        let latest = self.documents.last().expect("a document");
        let seen = self.log(&self.registrar).len() as u64;
        let mut document = self.latest().successor(&latest.payload, seen);
        edit(&mut document);
        let by: Vec<Key> = document
            .keys()
            .union(&self.latest().keys())
            .copied()
            .filter(|key| self.secrets.contains_key(key))
            .collect();
        self.sign_root(document.to_payload().expect("a document"), &by)
    }

    pub(crate) fn document(&mut self, edit: impl FnOnce(&mut RootDocument)) {
        let next = self.next(edit);
        self.documents.push(next);
        self.registrar = self.latest().registrars.live;
    }

    pub(crate) fn root_cut(&mut self, mark: Mark) {
        let reason = "stolen".to_owned();
        self.document(|document| document.cuts.push(RootCut { mark, reason }));
    }

    /// A document that fixes the registrar at its first `size` entries and names a new one.
    pub(crate) fn replace_registrar(&mut self, size: usize, edit: impl FnOnce(&mut RootDocument)) {
        let mark = self.mark(&self.registrar.clone(), size);
        let new = self.key();
        self.document(|document| {
            document.replace_registrar(mark.size, mark.root, new);
            edit(document);
        });
    }

    // Logs

    pub(crate) fn log(&self, key: &Key) -> &[Vec<u8>] {
        self.logs.get(key).map_or(&[], Vec::as_slice)
    }

    /// The first `size` entries of a log.
    pub(crate) fn mark(&self, key: &Key, size: usize) -> Mark {
        let leaves: Vec<Sha256> = self.log(key)[..size]
            .iter()
            .map(|e| tree::leaf(e))
            .collect();
        Mark {
            key: *key,
            size: size as u64,
            root: tree::root(&leaves),
        }
    }

    pub(crate) fn say_raw(&mut self, key: Key, raw: Vec<u8>) -> Sha256 {
        let leaf = tree::leaf(&raw);
        self.logs.entry(key).or_default().push(raw);
        leaf
    }

    pub(crate) fn say(&mut self, key: Key, body: Body) -> Sha256 {
        let claimed_at = 1_800_000_000;
        let raw = Entry { claimed_at, body }.encode().expect("an entry");
        self.say_raw(key, raw)
    }

    // Operations of the registrar

    pub(crate) fn handle(&mut self, label: &str, thresholds: (u8, u8), keys: &[Key]) -> HandleId {
        let operation = HandleOperation {
            prev: None,
            label: name(label),
            publish_threshold: thresholds.0,
            change_threshold: thresholds.1,
            keys: keys.to_vec(),
            receive: Vec::new(),
            drop: Vec::new(),
            about: String::new(),
            signatures: Vec::new(),
        };
        let operation = self.sign(operation, keys);
        let id = HandleId::from_bytes(*operation.hash(&self.repo).as_bytes());
        self.handles.insert(id, operation.clone());
        self.say(self.registrar, Body::Handle(Box::new(operation)));
        id
    }

    /// A change of a handle to these keys, dropping the others where they are now; not yet signed.
    pub(crate) fn changed(
        &self,
        id: HandleId,
        thresholds: (u8, u8),
        keys: &[Key],
    ) -> HandleOperation {
        let latest = &self.handles[&id];
        let removed = latest.keys.iter().filter(|key| !keys.contains(key));
        HandleOperation {
            prev: Some(latest.hash(&self.repo)),
            publish_threshold: thresholds.0,
            change_threshold: thresholds.1,
            keys: keys.to_vec(),
            drop: removed
                .map(|key| self.mark(key, self.log(key).len()))
                .collect(),
            ..latest.clone()
        }
    }

    /// Signs a change and appends it; later changes follow it.
    pub(crate) fn change(
        &mut self,
        id: HandleId,
        operation: HandleOperation,
        by: &[Key],
    ) -> Sha256 {
        let operation = self.sign(operation, by);
        self.handles.insert(id, operation.clone());
        self.say(self.registrar, Body::Handle(Box::new(operation)))
    }

    pub(crate) fn grant(&mut self, handle: HandleId, role: Role, names: &[&str]) {
        let names = names.iter().map(|text| name(text)).collect();
        self.say(
            self.registrar,
            Body::Grant(Grant {
                handle,
                role,
                names,
            }),
        );
    }

    /// A handle of one key that owns a name.
    pub(crate) fn publisher(&mut self, label: &str, package: &str) -> (HandleId, Key) {
        let key = self.key();
        let id = self.handle(label, (1, 1), &[key]);
        self.grant(id, Role::Publisher, &[package]);
        (id, key)
    }

    pub(crate) fn cut(&mut self, key: &Key, size: usize) {
        let mark = self.mark(key, size);
        self.cut_at(mark);
    }

    pub(crate) fn cut_at(&mut self, mark: Mark) {
        let reason = "stolen".to_owned();
        self.say(self.registrar, Body::Cut(Cut { mark, reason }));
    }

    pub(crate) fn suspend(&mut self, subject: Subject, on: bool) {
        let reason = String::new();
        self.say(
            self.registrar,
            Body::Suspend(Suspend {
                subject,
                on,
                reason,
            }),
        );
    }

    pub(crate) fn settle(&mut self, package: &str, of: &str, manifest: Sha256) -> Sha256 {
        self.say(
            self.registrar,
            Body::Settle(Settle {
                name: name(package),
                version: version(of),
                manifest,
            }),
        )
    }

    // Contributions

    /// Publishes what stands for a manifest; returns its hash.
    pub(crate) fn publish(&mut self, key: Key, package: &str, of: &str, manifest: &str) -> Sha256 {
        let payload = manifest.as_bytes().to_vec();
        let hash = Sha256::of(&[&payload]);
        let signatures = vec![(key, self.secret(&key).sign(&payload))];
        self.say(
            key,
            Body::Publish(Publish {
                name: name(package),
                version: version(of),
                payload,
                signatures,
            }),
        );
        hash
    }

    pub(crate) fn approve(&mut self, key: Key, package: &str, of: &str, manifest: Sha256) {
        self.say(
            key,
            Body::Approve(Approve {
                name: name(package),
                version: version(of),
                manifest,
            }),
        );
    }

    pub(crate) fn yank(&mut self, key: Key, package: &str, of: &str, on: bool) {
        self.say(
            key,
            Body::Status(Status {
                name: name(package),
                version: Some(version(of)),
                state: StatusState::Yanked,
                on,
                reason: String::new(),
                successor: None,
            }),
        );
    }

    // What a newcomer sees

    pub(crate) fn chain(&self) -> Chain {
        Chain::build(self.repo, self.documents.clone(), self.pin)
    }

    pub(crate) fn facts(&self) -> BTreeMap<Key, LogFacts> {
        let facts = |entries: &Vec<Vec<u8>>| {
            let mut facts = LogFacts::new();
            for raw in entries {
                facts.push(&self.repo, raw);
            }
            facts
        };
        let logs = self.logs.iter();
        logs.map(|(key, log)| (*key, facts(log))).collect()
    }

    pub(crate) fn view(&self) -> View {
        View::compute(&self.chain(), &self.facts(), &self.evidence).expect("a view")
    }

    pub(crate) fn release(&self, package: &str, of: &str) -> Option<Release> {
        let view = self.view();
        let package = view.package(&name(package))?;
        package.releases.get(&version(of)).cloned()
    }

    pub(crate) fn listed(&self, package: &str, of: &str) -> Option<Sha256> {
        self.release(package, of)?.listed()
    }

    pub(crate) fn is_quarantined(&self, package: &str, of: &str) -> bool {
        let release = self.release(package, of).expect("a release");
        release.state == ReleaseState::Quarantined
    }

    /// Why the last operation has no effect; `None` if it has.
    pub(crate) fn last_is_ineffective(&self) -> Option<Why> {
        let view = self.view();
        match &view.authority.judged.last().expect("an operation").outcome {
            Outcome::Effective { .. } => None,
            Outcome::Ineffective(why) => Some(why.clone()),
        }
    }
}
