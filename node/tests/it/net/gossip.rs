//! Gossip: what is judged good is passed on, and nothing else.

use skep_node::net::{MessageId, Verdict};

use super::*;

const TOPIC: [u8; 32] = [0xab; 32];

async fn gossiping(seed: u8) -> Node {
    let mut config = config(seed);
    config.gossip = true;
    Node::start(config, Shelf::default()).await
}

async fn heard(node: &mut Node) -> (MessageId, NodeId, Vec<u8>) {
    node.until(|event| match event {
        Event::Gossip {
            id,
            topic,
            from,
            data,
        } => {
            assert_eq!(topic, TOPIC);
            Some((id, from, data))
        }
        _ => None,
    })
    .await
}

/// Publishes fresh messages until one arrives: that somebody is subscribed shows only by this.
async fn published(from: &Node, to: &mut Node, tag: u8) -> (MessageId, NodeId, Vec<u8>) {
    let mut every = tokio::time::interval(Duration::from_millis(20));
    let mut n = 0_u32;
    loop {
        tokio::select! {
            _ = every.tick() => {
                let data = [&[tag][..], &n.to_be_bytes()].concat();
                from.net.publish(TOPIC, data).await;
                n += 1;
                assert!(n < 1_500, "nothing arrives");
            }
            heard = heard(to) => {
                if heard.2[0] == tag {
                    return heard;
                }
                // An older one; it is not waited for.
                to.net.judge(heard.0, Verdict::Ignore).await;
            }
        }
    }
}

#[tokio::test]
async fn a_message_reaches_a_subscriber_and_goes_further_only_if_accepted() {
    let [a, b, c] = seeds();
    let (mut a, mut b, mut c) = (gossiping(a).await, gossiping(b).await, gossiping(c).await);
    for node in [&a, &b, &c] {
        node.net.subscribe(TOPIC).await;
    }
    join(&mut a, &mut b, Way::Tcp).await;
    join(&mut b, &mut c, Way::Tcp).await;
    // `b` has heard what `c` subscribes to once something of its own arrives there.
    let (_, from, _) = published(&b, &mut c, 1).await;
    assert_eq!(from, b.id);
    let (id, from, data) = published(&a, &mut b, 2).await;
    assert_eq!(from, a.id);
    b.net.judge(id, Verdict::Ignore).await;
    // Of all further messages, `b` rejects the odd ones.
    let mut n = 0_u32;
    let mut every = tokio::time::interval(Duration::from_millis(20));
    let first = loop {
        tokio::select! {
            _ = every.tick() => {
                a.net.publish(TOPIC, [&[3][..], &n.to_be_bytes()].concat()).await;
                n += 1;
                assert!(n < 1_500, "nothing arrives");
            }
            heard = heard(&mut b) => {
                let good = heard.2[0] == 3 && heard.2[4] % 2 == 0;
                let verdict = if good { Verdict::Accept } else { Verdict::Reject };
                b.net.judge(heard.0, verdict).await;
            }
            heard = heard(&mut c) => {
                if heard.2[0] >= 2 {
                    break heard;
                }
            }
        }
    };
    assert_eq!(first.1, b.id, "passed on by the one in the middle");
    assert_eq!(
        (first.2[0], first.2[4] % 2),
        (3, 0),
        "and only what it accepted"
    );
    assert_ne!(first.2, data);
}

#[tokio::test]
async fn publishing_to_nobody_is_no_error_and_the_node_goes_on() {
    let [low, high] = seeds();
    let (mut a, mut b) = (gossiping(low).await, gossiping(high).await);
    a.net.publish(TOPIC, b"nobody hears".to_vec()).await;
    a.net.publish(TOPIC, vec![7; 100_000]).await;
    a.net.subscribe(TOPIC).await;
    a.net
        .publish(TOPIC, b"nobody hears this either".to_vec())
        .await;
    a.net.unsubscribe(TOPIC).await;
    let sessions = join(&mut a, &mut b, Way::Tcp).await;
    speak(&mut a, &mut b, sessions).await;
}

#[tokio::test]
async fn with_gossip_off_nothing_is_heard_and_sessions_go_on() {
    let [low, high] = seeds();
    let (mut a, mut b) = (gossiping(low).await, Node::plain(high).await);
    a.net.subscribe(TOPIC).await;
    b.net.subscribe(TOPIC).await;
    let (in_a, in_b) = join(&mut a, &mut b, Way::Tcp).await;
    for i in 0..20_u8 {
        a.net.publish(TOPIC, vec![i]).await;
        b.net.publish(TOPIC, vec![i]).await;
        a.net.send(in_a, vec![i]);
        b.net.send(in_b, vec![i]);
    }
    let mut frames = 0;
    for node in [&mut a, &mut b] {
        node.until(|event| match event {
            Event::Gossip { .. } => panic!("gossip is off"),
            Event::Frame { .. } => {
                frames += 1;
                (frames % 20 == 0).then_some(())
            }
            _ => None,
        })
        .await;
    }
}
