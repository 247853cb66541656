//! Gossip: checkpoints of public repositories, spread for latency. Correctness never rests on it.

use std::collections::BTreeMap;

use libp2p::PeerId;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter,
    MessageAcceptance, MessageAuthenticity, PublishError, TopicHash, TopicSubscriptionFilter,
    ValidationMode,
};
use skep_proto::hash::Blake3;
use skep_proto::id::NodeId;
use tokio::time::Instant;

use super::budget::Bucket;
use super::{Error, Limits, address};

mod watch;

pub(super) use self::watch::Event;
use self::watch::Watched;

/// Largest RPC in bytes; announcements have a few hundred.
const RPC_BYTES_MAX: usize = 65_536;
/// Topics of one peer: as many repositories as a session can speak of.
const TOPICS_MAX: usize = 1_024;
/// Length of a topic: hex of 32 bytes. Bounds what a peer's subscriptions cost us.
const TOPIC_LEN: usize = 64;

/// A message that waits for a verdict. Its hash is that of the data (BLAKE3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    hash: Blake3,
    from: NodeId,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on.
    Accept,
    /// It is not, and nobody is to blame: not admitted here, old news.
    Ignore,
    /// It is not, and whoever passed it on should have known.
    Reject,
}

/// Topics have one form, so that no peer can make us remember long ones.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicForm;

impl TopicSubscriptionFilter for TopicForm {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        read_topic(topic).is_some()
    }
}

type Inner = gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<TopicForm>>;
/// The behaviour of the swarm.
pub(super) type Gossipsub = Watched<Inner>;

fn topic_text(topic: &[u8; 32]) -> String {
    Blake3::from_bytes(*topic).to_string()
}

fn read_topic(topic: &TopicHash) -> Option<[u8; 32]> {
    let text = topic.as_str();
    if text.len() != TOPIC_LEN {
        return None;
    }
    text.parse().ok().map(|hash: Blake3| *hash.as_bytes())
}

/// Messages carry no signature of gossipsub's: what they contain is signed by its author, and a
/// second signature would double the cost of passing it on.
fn gossipsub() -> Result<Inner, String> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| gossipsub::MessageId::new(Blake3::of(&[&message.data]).as_bytes()))
        .max_transmit_size(RPC_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let filter = MaxCountSubscriptionFilter {
        filter: TopicForm,
        max_subscribed_topics: TOPICS_MAX,
        max_subscriptions_per_request: TOPICS_MAX,
    };
    gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        config,
        filter,
    )
    .map_err(str::to_owned)
}

pub(super) fn behaviour() -> Result<Gossipsub, Error> {
    gossipsub().map(Watched::new).map_err(|why| Error::Part {
        part: "gossip",
        why,
    })
}

/// A message as the driver gets it.
pub(super) struct Heard {
    pub(super) id: MessageId,
    pub(super) topic: [u8; 32],
    pub(super) data: Vec<u8>,
}

/// Our part in gossip: what is above the protocol.
pub(super) struct Gossip {
    limits: Limits,
    budgets: BTreeMap<PeerId, Bucket>,
}

impl Gossip {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            budgets: BTreeMap::new(),
        }
    }

    /// Takes a message, or ignores it: one of a topic that is none of ours, or one too many from
    /// this peer in this second.
    pub(super) fn hear(
        &mut self,
        swarm: &mut Gossipsub,
        from: PeerId,
        message: gossipsub::Message,
        now: Instant,
    ) -> Option<Heard> {
        let id = MessageId {
            hash: Blake3::of(&[&message.data]),
            from: address::node_of(&from)?,
        };
        let budget = self
            .budgets
            .entry(from)
            .or_insert_with(|| Bucket::new(self.limits.gossip_per_s, now));
        match read_topic(&message.topic) {
            Some(topic) if budget.take_one(now) => Some(Heard {
                id,
                topic,
                data: message.data,
            }),
            _ => {
                judge(swarm, id, Verdict::Ignore);
                None
            }
        }
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.budgets.remove(peer);
    }
}

pub(super) fn subscribe(swarm: &mut Gossipsub, topic: &[u8; 32]) {
    if let Err(error) = swarm.subscribe(&IdentTopic::new(topic_text(topic))) {
        tracing::warn!(%error, "could not subscribe to a topic");
    }
}

pub(super) fn unsubscribe(swarm: &mut Gossipsub, topic: &[u8; 32]) {
    swarm.unsubscribe(&IdentTopic::new(topic_text(topic)));
}

/// Nobody there to hear it, everybody too slow, said before: none of these is an error of ours,
/// and all are repaired by the exchange that follows.
pub(super) fn publish(swarm: &mut Gossipsub, topic: &[u8; 32], data: Vec<u8>) {
    let size_bytes = data.len();
    match swarm.publish(IdentTopic::new(topic_text(topic)), data) {
        Ok(_)
        | Err(
            PublishError::NoPeersSubscribedToTopic
            | PublishError::AllQueuesFull(_)
            | PublishError::Duplicate,
        ) => {}
        Err(error) => tracing::warn!(%error, size_bytes, "could not gossip a message"),
    }
}

pub(super) fn judge(swarm: &mut Gossipsub, id: MessageId, verdict: Verdict) {
    let acceptance = match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Ignore => MessageAcceptance::Ignore,
        Verdict::Reject => MessageAcceptance::Reject,
    };
    let message = gossipsub::MessageId::new(id.hash.as_bytes());
    let peer = address::peer_of(&id.from);
    if !swarm.report_message_validation_result(&message, &peer, acceptance) {
        tracing::debug!(peer = %id.from, "a gossiped message was judged too late to be passed on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_one_form() {
        let topic = [0xab; 32];
        let text = topic_text(&topic);
        assert_eq!(read_topic(&TopicHash::from_raw(text.clone())), Some(topic));
        let mut form = TopicForm;
        for other in [
            "",
            "x",
            &text[1..],
            &format!("{text}0"),
            &text.to_uppercase(),
        ] {
            assert!(!form.can_subscribe(&TopicHash::from_raw(other)), "{other}");
        }
        assert!(form.can_subscribe(&TopicHash::from_raw(text)));
    }
}
