//! Repositories, logs and blobs to put into a store; the same ones every time.

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::checkpoint::{Checkpoint, Cosignature};
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tree;
use skep_proto::repo::root::{RootDocument, RootKeys, SignedRoot, Visibility, message};

use super::super::Change;

pub fn repo(n: u8) -> RepoId {
    RepoId::from_hash(Sha256::of(&[&[n]]))
}

/// `size` bytes that differ from those of every other `n`.
pub fn blob(n: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[n]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A root document of `version`, signed by the first `signatures` of three keys.
pub fn signed_root(version: u64, signatures: u8) -> SignedRoot {
    let keys: Vec<SigningKey> = (1..=3).map(|n| SigningKey::from_seed(&[n; 32])).collect();
    let root = RootKeys {
        keys: keys.iter().map(SigningKey::key).collect(),
        threshold: 2,
    };
    let mut document = RootDocument::first("made", root, keys[0].key(), Visibility::Public);
    if version > 1 {
        document.version = version;
        document.prev = Some(Sha256::of(&[&version.to_be_bytes()]));
    }
    let payload = document.to_payload().expect("a document that can be read");
    let text = message(&payload);
    let signed = keys.iter().take(signatures.into());
    let signatures = signed.map(|key| (key.key(), key.sign(&text))).collect();
    SignedRoot {
        payload,
        signatures,
    }
}

/// Who writes one log in one repository.
#[derive(Clone)]
pub struct Author {
    pub repo: RepoId,
    signing: SigningKey,
    entries: Vec<Vec<u8>>,
}

impl Author {
    /// The `n`-th author of a repository, with a log of `len` entries ahead of them.
    pub fn new(repo: RepoId, n: u8, len: u64) -> Self {
        let entry = |i: u64| [&[n], &i.to_be_bytes()[..], &b"entry"[..]].concat();
        Self {
            repo,
            signing: SigningKey::from_seed(&[n; 32]),
            entries: (0..len).map(entry).collect(),
        }
    }

    /// The same key with other entries from `at` on.
    pub fn forked(&self, at: usize) -> Self {
        let mut other = self.clone();
        for entry in &mut other.entries[at..] {
            entry.push(b'!');
        }
        other
    }

    pub fn with_entries(mut self, entries: Vec<Vec<u8>>) -> Self {
        self.entries = entries;
        self
    }

    pub fn key(&self) -> Key {
        self.signing.key()
    }

    pub fn entries(&self, from: usize, to: usize) -> Vec<Vec<u8>> {
        self.entries[from..to].to_vec()
    }

    pub fn checkpoint(&self, size: usize) -> Checkpoint {
        let leaves: Vec<Sha256> = self.entries[..size].iter().map(|e| tree::leaf(e)).collect();
        let root = tree::root(&leaves);
        Checkpoint::sign(&self.repo, &self.signing, size as u64, root).expect("a size above 0")
    }

    /// The checkpoint with a witness's word of `time`.
    pub fn cosigned(&self, size: usize, time: u64) -> Checkpoint {
        let mut checkpoint = self.checkpoint(size);
        let witness = SigningKey::from_seed(&[99; 32]);
        let cosignature = Cosignature::sign(&self.repo, &checkpoint, &witness, time);
        let added = checkpoint.add_cosignature(&self.repo, cosignature);
        assert!(added, "the cosignature verifies");
        checkpoint
    }

    /// Entries `from..to` under the checkpoint of `size`.
    pub fn append(&self, from: usize, to: usize, size: usize) -> Change {
        Change::Append {
            repo: self.repo,
            key: self.key(),
            from: from as u64,
            entries: self.entries(from, to),
            checkpoint: self.checkpoint(size),
        }
    }

    /// That this key signed two logs of `size` entries.
    pub fn evidence(&self, size: usize) -> ForkEvidence {
        let (a, b) = (
            self.checkpoint(size),
            self.forked(size - 1).checkpoint(size),
        );
        let none = Sha256::from_bytes(*Blake3::of(&[]).as_bytes());
        let evidence = ForkEvidence::between(&self.repo, &a, &b, none, &[]);
        evidence.expect("two branches").into_inner()
    }
}
