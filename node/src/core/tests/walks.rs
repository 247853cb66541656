//! Walks over the frontier of a peer that makes it up.

use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{Answer, TrieNode};

use super::*;

/// A host in a session with a peer that shares the repository; what the peer says is made up from
/// now on.
fn connected(made: &Made) -> Host {
    let (mut host, mut peer) = (Host::author(10, made), Host::author(20, made));
    converse(&mut host, &mut peer, made);
    host
}

/// Has the host compare itself with the peer, which answers prefixes with `node`. Gives the longest
/// prefix that was answered with children, and whether the peer was banned. Ends after `rounds`.
fn walk(host: &mut Host, rounds: usize, node: impl Fn(&Prefix) -> TrieNode) -> (usize, bool) {
    let mut queue = host.core.handle(Time(60_000), Input::Woken);
    let (mut deepest, mut left) = (0, rounds);
    while left > 0 {
        let asked = queue.into_iter().find_map(|effect| match effect {
            Effect::Disconnect { ban_s, .. } => Some(Err(ban_s.is_some())),
            Effect::Send {
                message: Message::Request { id, request },
                ..
            } => Some(Ok((id, request))),
            _ => None,
        });
        let answer = match asked {
            Some(Err(banned)) => return (deepest, banned),
            None => return (deepest, false),
            Some(Ok((id, Request::Roots { .. }))) => {
                let (documents, more) = (Vec::new(), false);
                let answer = Answer::Roots { documents, more };
                Message::Answer { id, answer }
            }
            Some(Ok((id, Request::Trie { prefixes, .. }))) => {
                left -= 1;
                let nodes: Vec<TrieNode> = prefixes.iter().map(&node).collect();
                for (prefix, node) in prefixes.iter().zip(&nodes) {
                    if matches!(node, TrieNode::Children(_)) {
                        deepest = deepest.max(prefix.nibbles().len());
                    }
                }
                let answer = Answer::Trie(nodes);
                Message::Answer { id, answer }
            }
            Some(Ok((_, request))) => panic!("{request:?}"),
        };
        let heard = Input::Heard {
            session: SESSION,
            frame: answer.encode(),
        };
        queue = host.core.handle(Time(60_000), heard);
    }
    (deepest, false)
}

fn children() -> TrieNode {
    let hashes = std::array::from_fn(|child| Sha256::of(&[b"nowhere", &child.to_be_bytes()]));
    TrieNode::Children(Box::new(hashes))
}

#[test]
fn a_frontier_that_no_keys_make_costs_the_peer() {
    let made = made();
    let mut host = connected(&made);
    let walked = walk(&mut host, 1_000, |_| children());
    assert_eq!(walked, (33, true), "one deeper than any keys make it");
}

#[test]
fn a_frontier_as_deep_as_keys_could_make_it_costs_nothing_and_little_memory() {
    let made = made();
    let mut host = connected(&made);
    let walked = walk(&mut host, 300, |prefix| match prefix.nibbles().len() {
        0..=32 => children(),
        _ => TrieNode::Records(Vec::new()),
    });
    assert_eq!(walked, (32, false));
    let queues = host.core.queues();
    let waiting = queues.iter().find(|q| q.name == "prefixes of a walk");
    let waiting = waiting.expect("there is a session");
    assert!(waiting.len > 1_000 && waiting.len <= waiting.limit / 2);
}
