//! Messages of the sync stream, `/skep/sync/1`, with every limit.
//!
//! A frame is `u32be length ‖ u8 type ‖ CBOR`; the length is the adapter's matter, this module reads
//! and writes what follows it. A request carries an id, counted per direction; its answer is the
//! type with the top bit set and the same id; only pushes (4, 8) and refusals (9) come unasked.
//! Everything here is claimed: decoding bounds it, the caller verifies it.

use crate::bytes::{self, Reader, Writer};
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;
use crate::key::Key;
use crate::limits::{ENTRY_BYTES_MAX, EVIDENCE_BYTES_MAX, PROOF_HASHES_MAX};
use crate::log::checkpoint::Checkpoint;
use crate::log::fork::ForkEvidence;
use crate::repo::root::SignedRoot;
use crate::sync::trie::{Prefix, RECORDS_MAX};

/// Version of this protocol.
pub const VERSION: u64 = 1;
/// Longest frame, in bytes, type included: what a node buffers for one peer.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Longest HELLO, in bytes: it comes before anything is known of the peer.
pub const HELLO_BYTES_MAX: usize = 512;
/// Most protocol versions in a HELLO.
pub const VERSIONS_MAX: usize = 8;
/// Most tags in one message: a node follows at most this many repositories.
pub const TAGS_MAX: usize = 1_024;
/// Tags are padded with random ones to a multiple of this, so that their number says little.
pub const TAGS_PADDING: usize = 16;
/// Most root documents in an answer.
pub const ROOTS_MAX: usize = 64;
/// Most checkpoints in a push.
pub const CHECKPOINTS_MAX: usize = 64;
/// Most prefixes asked for at once.
pub const PREFIXES_MAX: usize = 64;
/// Most entries asked for at once.
pub const ENTRIES_MAX: u64 = 4_096;
/// Most bytes of entries in an answer: a frame less room for proof and heads.
pub const ENTRIES_BYTES_MAX: usize = 960 << 10;
/// Room that an answer leaves for its heads when it is filled.
const HEADS_BYTES_MAX: usize = 64;

/// 16 bytes by which two nodes that both know a repository's id find that out.
pub type Tag = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Request {
        id: u32,
        request: Request,
    },
    Answer {
        id: u32,
        answer: Answer,
    },
    Push(Push),
    /// In place of an answer (with its id), or of everything.
    Refusal {
        id: Option<u32>,
        refusal: Refusal,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub versions: Vec<u64>,
    pub nonce: [u8; 32],
    pub frame_bytes_max: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Hello(Hello),
    Tags(Vec<Tag>),
    /// Root documents of versions above `have`.
    Roots {
        repo: RepoId,
        have: u64,
    },
    /// Nodes of the frontier trie.
    Trie {
        repo: RepoId,
        prefixes: Vec<Prefix>,
    },
    /// Entries [from, to) of the branch whose tree of `size` entries has `root`.
    Get {
        repo: RepoId,
        key: Key,
        from: u64,
        to: u64,
        size: u64,
        root: Sha256,
    },
    /// The root at `m` and a proof from there to a checkpoint of size `n`.
    Proof {
        repo: RepoId,
        key: Key,
        m: u64,
        n: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Hello(Hello),
    Tags(Vec<Tag>),
    Roots {
        documents: Vec<SignedRoot>,
        more: bool,
    },
    /// One node for each of the first prefixes asked for, in order.
    Trie(Vec<TrieNode>),
    /// The first of the entries asked for, and the consistency proof from where they end to the
    /// size and root of the request (empty where they end there).
    Get {
        entries: Vec<Vec<u8>>,
        proof: Vec<Sha256>,
    },
    Proof {
        root: Sha256,
        proof: Vec<Sha256>,
        checkpoint: Checkpoint,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrieNode {
    Children(Box<[Sha256; 16]>),
    Records(Vec<Record>),
}

/// What the frontier trie says of one log, with what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Log(Checkpoint),
    /// A cut log: its size and root in force, and a checkpoint at or beyond with the proof to it
    /// (none at size 0, which needs no proof).
    Cut {
        key: Key,
        size: u64,
        root: Sha256,
        checkpoint: Option<Checkpoint>,
        proof: Vec<Sha256>,
    },
    /// A log under fork evidence, without a cut.
    Forked(ForkEvidence),
}

#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, right after it was read or before it is written"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    Checkpoints {
        repo: RepoId,
        checkpoints: Vec<Checkpoint>,
    },
    Evidence {
        repo: RepoId,
        evidence: ForkEvidence,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Busy {
        retry_after_s: u32,
    },
    /// Not here, or not for you: the two look the same.
    NotFound,
    Bye,
}

/// A frame that no honest node sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("an empty frame")]
    Empty,
    #[error("a frame of unknown type {0}")]
    Type(u8),
    #[error("a malformed message of type {kind}: {source_text}")]
    Malformed { kind: u8, source_text: bytes::Error },
}

impl Error {
    pub fn fault(&self) -> crate::fault::Fault {
        crate::fault::Fault::Peer
    }
}

const ANSWER: u8 = 0x80;
const HELLO: u8 = 1;
const TAGS: u8 = 2;
const ROOTS: u8 = 3;
const CHECKPOINTS: u8 = 4;
const TRIE: u8 = 5;
const GET: u8 = 6;
const PROOF: u8 = 7;
const EVIDENCE: u8 = 8;
const REFUSAL: u8 = 9;

impl Message {
    /// The frame without its length: type, then CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let kind = match self {
            Self::Request { id, request } => write_request(&mut w, *id, request),
            Self::Answer { id, answer } => ANSWER | write_answer(&mut w, *id, answer),
            Self::Push(push) => write_push(&mut w, push),
            Self::Refusal { id, refusal } => {
                let (code, retry_after_s) = match refusal {
                    Refusal::Busy { retry_after_s } => (0, *retry_after_s),
                    Refusal::NotFound => (1, 0),
                    Refusal::Bye => (2, 0),
                };
                w.array(3)
                    .option(*id, |w, id| w.uint(id.into()))
                    .uint(code)
                    .uint(retry_after_s.into());
                REFUSAL
            }
        };
        let mut frame = vec![kind];
        frame.extend(w.finish());
        frame
    }

    /// Reads a frame without its length.
    pub fn decode(frame: &[u8]) -> Result<Self, Error> {
        let (&kind, body) = frame.split_first().ok_or(Error::Empty)?;
        let malformed = |source_text| Error::Malformed { kind, source_text };
        let budget = match kind & !ANSWER {
            HELLO => HELLO_BYTES_MAX,
            EVIDENCE => EVIDENCE_BYTES_MAX + HEADS_BYTES_MAX,
            _ => FRAME_BYTES_MAX - 1,
        };
        if !matches!(kind, HELLO..=REFUSAL)
            && !matches!(kind & !ANSWER, HELLO..=ROOTS | TRIE..=PROOF)
        {
            return Err(Error::Type(kind));
        }
        let mut r = Reader::strict(body, budget).map_err(malformed)?;
        let message = match kind {
            CHECKPOINTS | EVIDENCE => read_push(&mut r, kind).map(Self::Push),
            REFUSAL => read_refusal(&mut r),
            _ if kind & ANSWER == 0 => read_request(&mut r, kind),
            _ => read_answer(&mut r, kind & !ANSWER),
        };
        let message = message.map_err(malformed)?;
        r.end().map_err(malformed)?;
        Ok(message)
    }
}

impl Answer {
    /// As many of `nodes`, in order, as fit a frame.
    pub fn trie_that_fits(nodes: Vec<TrieNode>) -> Self {
        Self::Trie(fit(nodes, write_node))
    }

    /// As many of `documents`, in order, as fit a frame; `more` also if there were more to begin with.
    pub fn roots_that_fit(documents: Vec<SignedRoot>, more: bool) -> Self {
        let asked = documents.len();
        let documents = fit(documents, |w, document| document.write(w));
        Self::Roots {
            more: more || documents.len() < asked,
            documents,
        }
    }
}

fn fit<T>(items: Vec<T>, write: impl Fn(&mut Writer, &T)) -> Vec<T> {
    let mut room = FRAME_BYTES_MAX - HEADS_BYTES_MAX;
    let fits = |item: &T| {
        let mut w = Writer::new();
        write(&mut w, item);
        match room.checked_sub(w.finish().len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        }
    };
    let mut fits = fits;
    items.into_iter().take_while(|item| fits(item)).collect()
}

fn write_hello(w: &mut Writer, id: u32, hello: &Hello) {
    w.array(4).uint(id.into()).array(hello.versions.len());
    for version in &hello.versions {
        w.uint(*version);
    }
    w.bytes(&hello.nonce).uint(hello.frame_bytes_max);
}

fn read_hello(r: &mut Reader<'_>) -> Result<(u32, Hello), bytes::Error> {
    r.array(4)?;
    let id = read_id(r)?;
    let versions = r.items("versions", VERSIONS_MAX, Reader::uint)?;
    let hello = Hello {
        versions,
        nonce: r.bytes_of()?,
        frame_bytes_max: r.uint()?,
    };
    Ok((id, hello))
}

fn write_tags(w: &mut Writer, id: u32, tags: &[Tag]) {
    w.array(2).uint(id.into()).array(tags.len());
    for tag in tags {
        w.bytes(tag);
    }
}

fn read_tags(r: &mut Reader<'_>) -> Result<(u32, Vec<Tag>), bytes::Error> {
    r.array(2)?;
    Ok((read_id(r)?, r.items("tags", TAGS_MAX, Reader::bytes_of)?))
}

fn read_id(r: &mut Reader<'_>) -> Result<u32, bytes::Error> {
    let id = r.uint_to(u32::MAX.into())?;
    u32::try_from(id).map_err(|_| bytes::Error::Invalid("a request id of 2^32 or more"))
}

fn read_repo(r: &mut Reader<'_>) -> Result<RepoId, bytes::Error> {
    Ok(RepoId::from_hash(read_hash(r)?))
}

fn read_hash(r: &mut Reader<'_>) -> Result<Sha256, bytes::Error> {
    r.bytes_of().map(Sha256::from_bytes)
}

fn write_proof(w: &mut Writer, proof: &[Sha256]) {
    w.array(proof.len());
    for hash in proof {
        w.bytes(hash.as_bytes());
    }
}

fn read_proof(r: &mut Reader<'_>) -> Result<Vec<Sha256>, bytes::Error> {
    r.items("hashes of a proof", PROOF_HASHES_MAX, read_hash)
}

fn write_request(w: &mut Writer, id: u32, request: &Request) -> u8 {
    match request {
        Request::Hello(hello) => {
            write_hello(w, id, hello);
            HELLO
        }
        Request::Tags(tags) => {
            write_tags(w, id, tags);
            TAGS
        }
        Request::Roots { repo, have } => {
            w.array(3)
                .uint(id.into())
                .bytes(repo.as_bytes())
                .uint(*have);
            ROOTS
        }
        Request::Trie { repo, prefixes } => {
            w.array(3)
                .uint(id.into())
                .bytes(repo.as_bytes())
                .array(prefixes.len());
            for prefix in prefixes {
                prefix.write(w);
            }
            TRIE
        }
        Request::Get {
            repo,
            key,
            from,
            to,
            size,
            root,
        } => {
            w.array(7)
                .uint(id.into())
                .bytes(repo.as_bytes())
                .bytes(key.as_bytes())
                .uint(*from)
                .uint(*to)
                .uint(*size)
                .bytes(root.as_bytes());
            GET
        }
        Request::Proof { repo, key, m, n } => {
            w.array(5)
                .uint(id.into())
                .bytes(repo.as_bytes())
                .bytes(key.as_bytes())
                .uint(*m)
                .uint(*n);
            PROOF
        }
    }
}

fn read_request(r: &mut Reader<'_>, kind: u8) -> Result<Message, bytes::Error> {
    let (id, request) = match kind {
        HELLO => {
            let (id, hello) = read_hello(r)?;
            (id, Request::Hello(hello))
        }
        TAGS => {
            let (id, tags) = read_tags(r)?;
            (id, Request::Tags(tags))
        }
        ROOTS => {
            r.array(3)?;
            let id = read_id(r)?;
            let (repo, have) = (read_repo(r)?, r.uint()?);
            (id, Request::Roots { repo, have })
        }
        TRIE => {
            r.array(3)?;
            let id = read_id(r)?;
            let repo = read_repo(r)?;
            let prefixes = r.items("prefixes", PREFIXES_MAX, Prefix::read)?;
            (id, Request::Trie { repo, prefixes })
        }
        GET => {
            r.array(7)?;
            (read_id(r)?, read_get(r)?)
        }
        _ => {
            r.array(5)?;
            let id = read_id(r)?;
            let (repo, key) = (read_repo(r)?, Key::read(r)?);
            let (m, n) = (r.uint()?, r.uint()?);
            (id, Request::Proof { repo, key, m, n })
        }
    };
    Ok(Message::Request { id, request })
}

fn read_get(r: &mut Reader<'_>) -> Result<Request, bytes::Error> {
    let (repo, key) = (read_repo(r)?, Key::read(r)?);
    let (from, to, size) = (r.uint()?, r.uint()?, r.uint()?);
    let root = read_hash(r)?;
    if !(from < to && to <= size && to - from <= ENTRIES_MAX) {
        return Err(bytes::Error::Invalid(
            "a range of entries that is empty, too long or beyond the size",
        ));
    }
    Ok(Request::Get {
        repo,
        key,
        from,
        to,
        size,
        root,
    })
}

fn write_answer(w: &mut Writer, id: u32, answer: &Answer) -> u8 {
    match answer {
        Answer::Hello(hello) => {
            write_hello(w, id, hello);
            HELLO
        }
        Answer::Tags(tags) => {
            write_tags(w, id, tags);
            TAGS
        }
        Answer::Roots { documents, more } => {
            w.array(3)
                .uint(id.into())
                .bool(*more)
                .array(documents.len());
            for document in documents {
                document.write(w);
            }
            ROOTS
        }
        Answer::Trie(nodes) => {
            w.array(2).uint(id.into()).array(nodes.len());
            for node in nodes {
                write_node(w, node);
            }
            TRIE
        }
        Answer::Get { entries, proof } => {
            w.array(3).uint(id.into()).array(entries.len());
            for entry in entries {
                w.bytes(entry);
            }
            write_proof(w, proof);
            GET
        }
        Answer::Proof {
            root,
            proof,
            checkpoint,
        } => {
            w.array(4).uint(id.into()).bytes(root.as_bytes());
            write_proof(w, proof);
            checkpoint.write(w);
            PROOF
        }
    }
}

fn read_answer(r: &mut Reader<'_>, kind: u8) -> Result<Message, bytes::Error> {
    let (id, answer) = match kind {
        HELLO => {
            let (id, hello) = read_hello(r)?;
            (id, Answer::Hello(hello))
        }
        TAGS => {
            let (id, tags) = read_tags(r)?;
            (id, Answer::Tags(tags))
        }
        ROOTS => {
            r.array(3)?;
            let (id, more) = (read_id(r)?, r.bool()?);
            let documents = r.items("root documents", ROOTS_MAX, SignedRoot::read)?;
            (id, Answer::Roots { documents, more })
        }
        TRIE => {
            r.array(2)?;
            let id = read_id(r)?;
            (id, Answer::Trie(r.items("nodes", PREFIXES_MAX, read_node)?))
        }
        GET => {
            r.array(3)?;
            let id = read_id(r)?;
            let mut room = ENTRIES_BYTES_MAX;
            let most = usize::try_from(ENTRIES_MAX).expect("a small constant");
            let entries = r.items("entries", most, |r| {
                let entry = r.bytes(ENTRY_BYTES_MAX.min(room))?;
                room -= entry.len();
                Ok(entry.to_vec())
            })?;
            let proof = read_proof(r)?;
            (id, Answer::Get { entries, proof })
        }
        _ => {
            r.array(4)?;
            let id = read_id(r)?;
            let root = read_hash(r)?;
            let proof = read_proof(r)?;
            let checkpoint = Checkpoint::read(r)?;
            let answer = Answer::Proof {
                root,
                proof,
                checkpoint,
            };
            (id, answer)
        }
    };
    Ok(Message::Answer { id, answer })
}

fn write_node(w: &mut Writer, node: &TrieNode) {
    match node {
        TrieNode::Children(hashes) => {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            w.array(2).uint(0).bytes(&bytes);
        }
        TrieNode::Records(records) => {
            w.array(1 + records.len()).uint(1);
            for record in records {
                write_record(w, record);
            }
        }
    }
}

fn read_node(r: &mut Reader<'_>) -> Result<TrieNode, bytes::Error> {
    let len = r.list("records of a node", 1 + RECORDS_MAX)?;
    match (r.uint()?, len) {
        (0, 2) => {
            let bytes: [u8; 512] = r.bytes_of()?;
            let mut hashes = Box::new([Sha256::from_bytes([0; 32]); 16]);
            for (hash, bytes) in hashes.iter_mut().zip(bytes.chunks_exact(32)) {
                *hash = Sha256::from_bytes(bytes.try_into().expect("chunks of 32"));
            }
            Ok(TrieNode::Children(hashes))
        }
        (1, len) => {
            let records = (1..len).map(|_| read_record(r)).collect::<Result<_, _>>()?;
            Ok(TrieNode::Records(records))
        }
        _ => Err(bytes::Error::Invalid("a node of an unknown kind")),
    }
}

fn write_record(w: &mut Writer, record: &Record) {
    match record {
        Record::Log(checkpoint) => {
            w.array(2).uint(0);
            checkpoint.write(w);
        }
        Record::Cut {
            key,
            size,
            root,
            checkpoint,
            proof,
        } => {
            w.array(6)
                .uint(1)
                .bytes(key.as_bytes())
                .uint(*size)
                .bytes(root.as_bytes());
            match checkpoint {
                Some(checkpoint) => checkpoint.write(w),
                None => {
                    w.null();
                }
            }
            write_proof(w, proof);
        }
        Record::Forked(evidence) => {
            w.array(2).uint(2);
            evidence.write(w);
        }
    }
}

fn read_record(r: &mut Reader<'_>) -> Result<Record, bytes::Error> {
    let len = r.list("fields of a record", 6)?;
    match (r.uint()?, len) {
        (0, 2) => Checkpoint::read(r).map(Record::Log),
        (1, 6) => Ok(Record::Cut {
            key: Key::read(r)?,
            size: r.uint()?,
            root: read_hash(r)?,
            checkpoint: r.option(Checkpoint::read)?,
            proof: read_proof(r)?,
        }),
        (2, 2) => ForkEvidence::read(r).map(Record::Forked),
        _ => Err(bytes::Error::Invalid("a record of an unknown kind")),
    }
}

fn write_push(w: &mut Writer, push: &Push) -> u8 {
    match push {
        Push::Checkpoints { repo, checkpoints } => {
            w.array(2).bytes(repo.as_bytes()).array(checkpoints.len());
            for checkpoint in checkpoints {
                checkpoint.write(w);
            }
            CHECKPOINTS
        }
        Push::Evidence { repo, evidence } => {
            w.array(2).bytes(repo.as_bytes());
            evidence.write(w);
            EVIDENCE
        }
    }
}

fn read_push(r: &mut Reader<'_>, kind: u8) -> Result<Push, bytes::Error> {
    r.array(2)?;
    let repo = read_repo(r)?;
    if kind == EVIDENCE {
        let evidence = ForkEvidence::read(r)?;
        return Ok(Push::Evidence { repo, evidence });
    }
    let checkpoints = r.items("checkpoints", CHECKPOINTS_MAX, Checkpoint::read)?;
    Ok(Push::Checkpoints { repo, checkpoints })
}

fn read_refusal(r: &mut Reader<'_>) -> Result<Message, bytes::Error> {
    r.array(3)?;
    let id = r.option(read_id)?;
    let refusal = match (r.uint()?, read_id(r)?) {
        (0, retry_after_s) => Refusal::Busy { retry_after_s },
        (1, 0) => Refusal::NotFound,
        (2, 0) => Refusal::Bye,
        _ => return Err(bytes::Error::Invalid("a refusal of an unknown code")),
    };
    Ok(Message::Refusal { id, refusal })
}

/// The tag of `repo` in the session of two nodes, as the side of `role` (0 the opener, 1 the
/// other) sends it: who does not know the id learns nothing from it.
pub fn tag(repo: &RepoId, opener: (&Key, &[u8; 32]), other: (&Key, &[u8; 32]), role: u8) -> Tag {
    let mut hasher = blake3::Hasher::new_keyed(repo.as_bytes());
    hasher.update(b"skep.tag");
    for (node, _) in [opener, other] {
        hasher.update(node.as_bytes());
    }
    for (_, nonce) in [opener, other] {
        hasher.update(nonce);
    }
    hasher.update(&[role]);
    let mut tag = [0; 16];
    tag.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    tag
}

/// The topic under which checkpoints of a public repository are gossiped.
pub fn topic(repo: &RepoId) -> [u8; 32] {
    *Blake3::of(&[b"skep.topic", repo.as_bytes()]).as_bytes()
}

#[cfg(test)]
mod tests;
