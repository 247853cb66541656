//! Liars: nodes that run the core as it is, and say something else than it does.
//!
//! So a liar takes part in everything that it lies about: it knows what was asked, is up to date,
//! and one byte of what it says is wrong. Its keys are its own; it cannot sign for others.

use skep_proto::hash::Sha256;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::sync::blobs::{Group, List};
use skep_proto::sync::wire::{Answer, Message, Push, Record, Request, TrieNode};

use crate::dice::Dice;
use crate::exchange::Told;

/// How often a liar lies where it could, in 1,000.
const LIES_PER_MILLE: u64 = 400;
/// Longest frame or gossip of noise, in bytes.
const NOISE_BYTES_MAX: usize = 300;

/// What a liar changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Any byte of any frame.
    Bytes,
    /// A byte of an entry.
    Entries,
    /// Size or root of a checkpoint, under the signature of the true one.
    Checkpoints,
    /// A byte of a root document.
    Roots,
    /// Children that are nowhere, below every node that is asked for.
    EndlessTrie,
    /// A hash of a proof.
    Proofs,
    /// Bytes of groups and lists.
    Blobs,
    /// Gossip that is no checkpoint.
    Gossip,
    /// Requests with numbers that make no sense.
    Requests,
    /// Answers that never come.
    Silence,
}

impl Lie {
    pub const ALL: [Self; 10] = [
        Self::Bytes,
        Self::Entries,
        Self::Checkpoints,
        Self::Roots,
        Self::EndlessTrie,
        Self::Proofs,
        Self::Blobs,
        Self::Gossip,
        Self::Requests,
        Self::Silence,
    ];
}

/// The frames that leave in place of a message.
pub fn frames(lies: &[Lie], mut message: Message, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut more = Vec::new();
    for lie in lies {
        if !dice.chance(LIES_PER_MILLE) {
            continue;
        }
        match (lie, &mut message) {
            (Lie::Silence, Message::Answer { .. }) => return more,
            (Lie::Requests, Message::Request { id, request }) => {
                let absurd = absurd(request, dice);
                let id = id.wrapping_add(1 << 31);
                more.push(
                    Message::Request {
                        id,
                        request: absurd,
                    }
                    .encode(),
                );
            }
            (_, Message::Answer { answer, .. }) => alter_answer(*lie, answer, dice),
            (Lie::Checkpoints, Message::Push(Push::Checkpoints { checkpoints, .. })) => {
                for checkpoint in checkpoints {
                    alter_checkpoint(checkpoint, dice);
                }
            }
            _ => {}
        }
    }
    let mut frame = message.encode();
    if lies.contains(&Lie::Bytes) && dice.chance(LIES_PER_MILLE / 4) {
        flip(&mut frame, dice);
    }
    more.push(frame);
    more
}

fn alter_answer(lie: Lie, answer: &mut Answer, dice: &mut Dice) {
    match (lie, answer) {
        (Lie::Entries, Answer::Get { entries, .. }) => {
            let at = dice.index(entries.len().max(1));
            if let Some(entry) = entries.get_mut(at) {
                flip(entry, dice);
            }
        }
        (Lie::Proofs, Answer::Get { proof, .. } | Answer::Proof { proof, .. }) => {
            proof.push(Sha256::from_bytes(dice.bytes()));
        }
        (Lie::Checkpoints, Answer::Proof { checkpoint, .. }) => {
            alter_checkpoint(checkpoint, dice);
        }
        (Lie::Roots, Answer::Roots { documents, .. }) => {
            if let Some(document) = documents.first_mut() {
                flip(&mut document.payload, dice);
            }
        }
        (Lie::EndlessTrie, Answer::Trie(nodes)) => {
            for node in nodes {
                let hashes = std::array::from_fn(|_| Sha256::from_bytes(dice.bytes()));
                *node = TrieNode::Children(Box::new(hashes));
            }
        }
        (Lie::Checkpoints, Answer::Trie(nodes)) => {
            for node in nodes {
                if let TrieNode::Records(records) = node {
                    records.iter_mut().for_each(|r| alter_record(r, dice));
                }
            }
        }
        _ => {}
    }
}

fn alter_record(record: &mut Record, dice: &mut Dice) {
    match record {
        Record::Log(checkpoint) => alter_checkpoint(checkpoint, dice),
        Record::Cut { size, .. } => *size += 1,
        Record::Forked(_) => {}
    }
}

fn alter_checkpoint(checkpoint: &mut Checkpoint, dice: &mut Dice) {
    match dice.chance(500) {
        true => checkpoint.size += 1 + dice.below(1_000),
        false => checkpoint.root = Sha256::from_bytes(dice.bytes()),
    }
}

/// The same request, with numbers beyond every log.
fn absurd(request: &Request, dice: &mut Dice) -> Request {
    let far = |dice: &mut Dice| u64::MAX >> dice.below(64);
    let mut request = request.clone();
    match &mut request {
        Request::Get { from, to, size, .. } => {
            (*from, *to, *size) = (far(dice), far(dice), far(dice));
        }
        Request::Proof { m, n, .. } => (*m, *n) = (far(dice), far(dice)),
        Request::Roots { have, .. } => *have = far(dice),
        Request::Hello(_) | Request::Tags(_) | Request::Trie { .. } => {}
    }
    request
}

/// What leaves in place of gossip.
pub fn gossip(lies: &[Lie], data: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    if !lies.contains(&Lie::Gossip) || !dice.chance(LIES_PER_MILLE) {
        return data;
    }
    match dice.chance(500) {
        true => dice.noise(NOISE_BYTES_MAX),
        false => {
            let mut data = data;
            flip(&mut data, dice);
            data
        }
    }
}

/// What leaves in place of a part of a blob.
pub fn part(lies: &[Lie], told: Told, dice: &mut Dice) -> Told {
    if !lies.contains(&Lie::Blobs) || !dice.chance(LIES_PER_MILLE) {
        return told;
    }
    match told {
        Told::List(List { size, mut bytes }) => {
            flip(&mut bytes, dice);
            Told::List(List { size, bytes })
        }
        Told::Group(Group { index, mut bytes }) => {
            flip(&mut bytes, dice);
            Told::Group(Group { index, bytes })
        }
        other @ (Told::End | Told::NotFound) => other,
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    if !bytes.is_empty() {
        let at = dice.index(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    }
}
