//! The simulator's host keeps what the driver of a node keeps.

use std::collections::VecDeque;

use skep_node::core::{Effect, Input, Time};
use skep_node::interpreter::{ASKED, Interpreter, SESSION, Seen, broken_by, peer};
use skep_node::store::Store;
use skep_proto::id::NodeId;
use skep_proto::key::SigningKey;
use skep_proto::sync::wire::Message;
use skep_testnet::author::World;
use skep_testnet::dice::Dice;
use skep_testnet::host::{Act, Host};
use skep_testnet::lie::Lie;
use skep_testnet::sabotage::Sabotage;

struct Alone {
    host: Host,
    world: World,
    dice: Dice,
    frames: VecDeque<Message>,
    inputs: VecDeque<Input>,
}

impl Alone {
    fn new(sabotage: Option<Sabotage>) -> Self {
        let id = NodeId::from_key(SigningKey::from_seed(&[1; 32]).key());
        let mut host = Host::new(id);
        host.start([0; 32]);
        host.connected(SESSION, peer());
        host.wait(ASKED);
        host.sabotage = sabotage;
        // Laws about what honest nodes say do not hold for messages that nobody meant. What it
        // could lie about is not asked for here.
        host.lies = vec![Lie::Blobs];
        Self {
            host,
            world: World::default(),
            dice: Dice::new(1),
            frames: VecDeque::new(),
            inputs: VecDeque::new(),
        }
    }

    fn seen(&mut self, act: Act) -> Option<Seen> {
        Some(match act {
            Act::Kept(change) => Seen::Kept(Box::new(change)),
            Act::NotKept => Seen::Failed,
            Act::Frame { frame, .. } => {
                let message = Message::decode(&frame).expect("it was encoded here");
                self.frames.push_back(message.clone());
                Seen::Frame(Box::new(message))
            }
            Act::Close { .. } | Act::CloseAll => Seen::Closed,
            Act::Ban { peer } => Seen::Banned(peer),
            Act::Subscribed(topic) => Seen::Subscribed(topic),
            Act::Unsubscribed(topic) => Seen::Unsubscribed(topic),
            Act::Gossip { topic, data } => Seen::Gossiped(topic, data),
            Act::Dial { peer } => Seen::Dialed(peer),
            Act::Shown { read_only } => Seen::Shown { read_only },
            Act::Replied(id, reply) => Seen::Replied(id, reply),
            Act::Read { read, .. } => {
                let sent = self.host.read(read, &mut self.dice).expect("no law broken");
                for act in sent {
                    self.seen(act);
                }
                return None;
            }
            Act::Later { input, .. } => {
                self.inputs.push_back(input);
                return None;
            }
            Act::Forward { .. }
            | Act::Ask(_)
            | Act::Wake(_)
            | Act::Crashed
            | Act::Recover { .. } => {
                return None;
            }
        })
    }
}

impl Interpreter for Alone {
    fn perform(&mut self, effects: Vec<Effect>) -> Vec<Seen> {
        let (host, dice) = (&mut self.host, &mut self.dice);
        let acts = host.perform_all(Time::default(), effects, &self.world, dice);
        let acts = acts.expect("no law broken");
        acts.into_iter().filter_map(|act| self.seen(act)).collect()
    }

    fn fail_next_write(&mut self) {
        self.host.fail_in = Some(0);
    }

    fn next_frame(&mut self) -> Message {
        self.frames.pop_front().expect("a frame has left")
    }

    fn next_input(&mut self) -> Input {
        self.inputs.pop_front().expect("work has ended")
    }

    fn store(&self) -> &dyn Store {
        &self.host.disk.store
    }

    fn wake(&self) -> Time {
        self.host.wake().expect("it was asked for")
    }
}

#[test]
fn the_host_keeps_what_every_interpreter_keeps() {
    assert_eq!(broken_by(|| Box::new(Alone::new(None))), [""; 0]);
}

#[test]
fn the_suite_finds_an_interpreter_that_sends_before_it_writes() {
    let broken = broken_by(|| Box::new(Alone::new(Some(Sabotage::SendsFirst))));
    assert!(
        broken.contains(&"a_write_is_durable_before_anything_after_it_leaves"),
        "{broken:?}"
    );
}

#[test]
fn the_suite_finds_an_interpreter_that_does_not_write() {
    let broken = broken_by(|| Box::new(Alone::new(Some(Sabotage::ForgetsLogs))));
    assert!(
        broken.contains(&"entries_come_from_the_store"),
        "{broken:?}"
    );
}
