//! What leaves a node: within the limits of the wire, and durable before anybody is told.

use skep_proto::claimed::Claimed;
use skep_proto::id::RepoId;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::sync::wire::{Answer, FRAME_BYTES_MAX, Message, Push, Record, TrieNode};

use super::{Broken, ensure};
use crate::author::World;
use crate::host::Host;

const DURABLE: &str = "what is told is durable";

/// Before a message is sent.
pub fn what_is_sent_can_be_read(message: &Message) -> Result<(), Broken> {
    let law = "what is sent can be read";
    let frame = message.encode();
    ensure(frame.len() <= FRAME_BYTES_MAX, law, || {
        format!("a frame of {} bytes", frame.len())
    })?;
    let read = Message::decode(&frame);
    ensure(read.as_ref() == Ok(message), law, || {
        format!("{message:?} is read as {read:?}")
    })
}

/// Before a message is sent: a checkpoint in it is one whose entries are on the disk.
pub fn what_is_told_is_durable(
    host: &Host,
    world: &World,
    message: &Message,
) -> Result<(), Broken> {
    match message {
        Message::Push(Push::Checkpoints { repo, checkpoints }) => checkpoints
            .iter()
            .try_for_each(|checkpoint| is_durable(host, world, Some(repo), checkpoint)),
        Message::Answer {
            answer: Answer::Trie(nodes),
            ..
        } => nodes
            .iter()
            .try_for_each(|node| node_is_durable(host, world, node)),
        Message::Answer {
            answer: Answer::Proof { checkpoint, .. },
            ..
        } => is_durable(host, world, None, checkpoint),
        _ => Ok(()),
    }
}

/// Before gossip is published.
pub fn what_is_gossiped_is_durable(host: &Host, world: &World, data: &[u8]) -> Result<(), Broken> {
    match Checkpoint::from_bytes(data) {
        Ok(Claimed(checkpoint)) => is_durable(host, world, None, &checkpoint),
        Err(error) => Err(Broken::law(DURABLE, error.to_string())),
    }
}

fn node_is_durable(host: &Host, world: &World, node: &TrieNode) -> Result<(), Broken> {
    let TrieNode::Records(records) = node else {
        return Ok(());
    };
    records.iter().try_for_each(|record| match record {
        Record::Log(checkpoint) => is_durable(host, world, None, checkpoint),
        Record::Cut { .. } | Record::Forked(_) => Ok(()),
    })
}

fn is_durable(
    host: &Host,
    world: &World,
    repo: Option<&RepoId>,
    told: &Checkpoint,
) -> Result<(), Broken> {
    // Also one that is followed no longer: what was said of it stays true.
    let followed = world.repos.iter().map(|repo| repo.id);
    let mut followed = followed.filter(|id| repo.is_none_or(|repo| repo == id));
    let last = told.size.saturating_sub(1);
    let durable = followed.any(|id| {
        let held = host.disk.entries(&id, &told.key, last, told.size);
        held.len() == 1
    });
    ensure(durable, DURABLE, || {
        format!(
            "a checkpoint of {} entries, of which not all are",
            told.size
        )
    })
}
