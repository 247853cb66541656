//! A home that mirrors ten thousand releases, each of a package of its own: a hundred people publish
//! them in one repository, and every file of them is here.
//!
//! The node is given what the command line gives it, entry by entry and file by file, and proves all
//! of it; only the processes of ten thousand `skep publish` are spared.

use std::fs;

use anyhow::{Context as _, Result, bail};
use skep_proto::control::{BlobRef, Hex, Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::log::entry::{
    Body, Entry, GRANT_NAMES_MAX, Grant, HandleOperation, Publish, Role, handle_message,
};
use skep_proto::log::tip::Tip;
use skep_proto::name::Name;
use skep_proto::package::dsse;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::trust::file::{Pin, RepoFile, append_rule};

use super::Bench;
use super::control::Control;
use super::crowd::{Crowd, PACKAGES, demo};
use super::home::Home;

const PUBLISHERS: usize = 100;
/// What the entries claim: a release an hour.
const SINCE_S: u64 = 1_760_000_000;
const EVERY_S: u64 = 3_600;

/// A key that says things in the repository.
struct Author {
    signing: SigningKey,
    tip: Tip,
}

impl Author {
    fn new(repo: RepoId, of: &str) -> Self {
        let signing = SigningKey::from_seed(Sha256::of(&[of.as_bytes()]).as_bytes());
        Self {
            tip: Tip::new(repo, signing.key()),
            signing,
        }
    }

    fn say(&mut self, said: Vec<(u64, Body)>, node: &mut Control) -> Result<()> {
        let entries = said.into_iter().map(|(claimed_at, body)| {
            let entry = Entry { claimed_at, body };
            entry.encode().context("an entry within its limits")
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        self.tip.append(&self.signing, entries)?;
        let checkpoint = self.tip.checkpoint().context("it was just signed")?;
        done(node.ask(&Request::Append {
            repo: *self.tip.repo(),
            key: *self.tip.key(),
            entries: self.tip.pending().iter().cloned().map(Hex).collect(),
            checkpoint: Hex(checkpoint.to_bytes()),
        })?)?;
        self.tip.acknowledge(self.tip.size())?;
        Ok(())
    }
}

/// The home, and its node stopped.
pub(super) fn make<'a>(bench: &Bench<'a>, name: &str) -> Result<Home<'a>> {
    let mut home = Home::new(bench.product, bench.dir.join(name))?;
    super::say(&format!("making a home with {PACKAGES} releases"));
    home.start()?;
    let mut node = home.control()?;
    let (repo, mut registrar) = found(&home, &mut node)?;
    let blobs = put_files(&mut node)?;
    let mut crowd = Crowd::new(1)?;
    let mut rules = rules(&home)?;
    for number in 0..PUBLISHERS {
        let mut author = Author::new(repo, &format!("publisher {number}"));
        let first = number * PACKAGES / PUBLISHERS;
        let numbers = first..(number + 1) * PACKAGES / PUBLISHERS;
        let names = numbers.clone().map(|n| crowd.name(n));
        let names = names.collect::<Result<Vec<Name>>>()?;
        let handle = admit(&mut registrar, &author, number, &names, &mut node)?;
        let mut said = Vec::new();
        let mut manifests = Vec::new();
        for (number, name) in numbers.zip(names) {
            let manifest = crowd.manifest(repo, name)?;
            let payload = manifest.to_payload()?;
            manifests.push(Sha256::of(&[&payload]));
            let body = Body::Publish(Publish {
                name: manifest.name,
                version: manifest.version,
                signatures: dsse::sign(dsse::IN_TOTO, &payload, &author.signing),
                payload,
            });
            said.push((SINCE_S + number as u64 * EVERY_S, body));
        }
        author.say(said, &mut node)?;
        for manifest in manifests {
            let blobs = blobs.clone();
            done(node.ask(&Request::Publish {
                repo,
                manifest,
                blobs,
            })?)?;
        }
        // Every other one is trusted.
        if number % 2 == 0 {
            let label: Name = format!("publisher-{number}").parse()?;
            rules = append_rule(&rules, &["*".parse()?], &label, &handle)?;
        }
    }
    fs::write(home.dir().join("repos.d/crowd.toml"), rules)?;
    home.stop()?;
    Ok(home)
}

/// Makes the repository, and follows it.
fn found(home: &Home<'_>, node: &mut Control) -> Result<(RepoId, Author)> {
    let no_repo = RepoId::from_hash(Sha256::from_bytes([0; 32]));
    let root = Author::new(no_repo, "root").signing;
    let registrar = Author::new(no_repo, "registrar").signing;
    let keys = RootKeys {
        keys: vec![root.key()],
        threshold: 1,
    };
    let document = RootDocument::first("crowd", keys, registrar.key(), Visibility::Public);
    let payload = document.to_payload()?;
    let repo = root::repo_id(&payload);
    let message = root::message(&payload);
    let signatures = [&root, &registrar].map(|key| (key.key(), key.sign(&message)));
    let signed = SignedRoot {
        signatures: signatures.into(),
        payload,
    };
    let file = RepoFile {
        id: repo,
        root: Pin {
            version: 1,
            sha256: signed.sha256(),
        },
        peers: Vec::new(),
        keep: Vec::new(),
        kept: Vec::new(),
        share: None,
        trust: Vec::new(),
    };
    fs::create_dir_all(home.dir().join("repos.d"))?;
    fs::write(home.dir().join("repos.d/crowd.toml"), file.to_text())?;
    done(node.ask(&Request::Reload)?)?;
    let signed = Hex(signed.encode());
    done(node.ask(&Request::PutRoot { repo, root: signed })?)?;
    Ok((repo, Author::new(repo, "registrar")))
}

fn rules(home: &Home<'_>) -> Result<String> {
    Ok(fs::read_to_string(home.dir().join("repos.d/crowd.toml"))?)
}

/// The registrar admits a publisher, and grants it its names.
fn admit(
    registrar: &mut Author,
    author: &Author,
    number: usize,
    names: &[Name],
    node: &mut Control,
) -> Result<HandleId> {
    let repo = *registrar.tip.repo();
    let mut operation = HandleOperation {
        prev: None,
        label: format!("publisher-{number}").parse()?,
        publish_threshold: 1,
        change_threshold: 1,
        keys: vec![author.signing.key()],
        receive: Vec::new(),
        drop: Vec::new(),
        about: String::new(),
        signatures: Vec::new(),
    };
    let message = handle_message(&repo, &operation);
    operation.signatures = vec![(author.signing.key(), author.signing.sign(&message))];
    let handle = HandleId::from_bytes(*operation.hash(&repo).as_bytes());
    let mut said = vec![(SINCE_S, Body::Handle(Box::new(operation)))];
    for names in names.chunks(GRANT_NAMES_MAX) {
        let grant = Grant {
            handle,
            role: Role::Publisher,
            names: names.to_vec(),
        };
        said.push((SINCE_S, Body::Grant(grant)));
    }
    registrar.say(said, node)?;
    Ok(handle)
}

fn put_files(node: &mut Control) -> Result<Vec<BlobRef>> {
    let files = ["LICENSE", "README.md", "drop.bpf.o", "dropctl"];
    let put = files.map(|path| {
        let file = fs::File::open(demo(path))?;
        match node.ask_with(&Request::PutBlob, Some(&file))? {
            Response::Blob(blob) => Ok(blob),
            other => bail!("a file was answered {other:?}"),
        }
    });
    put.into_iter().collect()
}

fn done(response: Response) -> Result<()> {
    match response {
        Response::Done => Ok(()),
        other => bail!("the node answered {other:?}"),
    }
}
