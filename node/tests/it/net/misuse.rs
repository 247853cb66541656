//! Foreign peers: honest ones over each kind of encryption, and ones that break the protocols.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use skep_node::net::{FetchError, Limits, Why};
use skep_proto::claimed::Claimed;
use skep_proto::sync::blobs::{Answer, Group, Request, Said};

use super::foreign::{BLOB, Foreign, GOSSIP, SYNC, Security, framed, read_frame, write};
use super::*;

const ALL: [Security; 3] = [Security::Noise, Security::Tls, Security::Quic];

#[tokio::test]
async fn a_foreign_peer_exchanges_frames_over_noise_tls_and_quic() {
    for security in ALL {
        let [low, high] = seeds();
        let mut node = Node::plain(high).await;
        let foreign = Foreign::new(low, security);
        let (mut stream, session) = foreign.begin(&mut node, security).await;
        write(&mut stream, &[framed(b"one"), framed(b"two")].concat()).await;
        assert_eq!(node.frame().await, (session, b"one".to_vec()));
        assert_eq!(node.frame().await, (session, b"two".to_vec()));
        node.net.send(session, b"three".to_vec());
        assert_eq!(read_frame(&mut stream).await, b"three");
    }
}

/// An honest pair, and a foreign peer that does `misuse` to one of them: it is reported with
/// `what`, its session is closed, and the honest one is served before, meanwhile and after.
async fn check_misuse(
    security: Security,
    what: &str,
    misuse: impl AsyncFnOnce(&Foreign, &Node, &mut libp2p::Stream),
) {
    let [low, middle, high] = seeds();
    let (shelf, hash) = Shelf::with(b"a blob");
    let mut node = Node::start(with_gossip(high), shelf).await;
    let mut honest = Node::plain(middle).await;
    let sessions = join(&mut honest, &mut node, Way::Tcp).await;
    let mut foreign = Foreign::new(low, security);
    let _gossip = foreign.accept(GOSSIP);
    let (mut stream, session) = foreign.begin(&mut node, security).await;
    misuse(&foreign, &node, &mut stream).await;
    let (peer, said) = node.misbehaved().await;
    assert_eq!(peer, foreign.id);
    assert!(said.contains(what), "{said}");
    assert_eq!(node.closed().await, (session, Why::Misbehaved));
    let closed = tokio::time::timeout(PATIENCE, foreign.closed.recv()).await;
    assert_eq!(closed, Ok(Some(())), "it is disconnected");
    speak(&mut honest, &mut node, sessions).await;
    let list = honest.net.fetch_list(node.id, repo(), hash).await;
    assert_eq!(list.expect("served").0.size, 6);
}

fn with_gossip(seed: u8) -> Config {
    Config {
        gossip: true,
        ..config(seed)
    }
}

#[tokio::test]
async fn a_frame_too_long_is_reported_and_the_honest_peer_is_served() {
    for security in ALL {
        let what = "session: a frame of 1048577 bytes where 1 to 1048576 are allowed";
        check_misuse(security, what, async |_, _, stream| {
            write(stream, &0x0010_0001_u32.to_be_bytes()).await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_empty_frame_is_reported() {
    let what = "session: a frame of 0 bytes";
    check_misuse(Security::Noise, what, async |_, _, stream| {
        write(stream, &[framed(b"fine"), framed(b"")].concat()).await;
    })
    .await;
}

#[tokio::test]
async fn junk_on_the_session_is_reported() {
    check_misuse(
        Security::Noise,
        "session: a frame of",
        async |_, _, stream| {
            write(stream, &[0xff; 1_000]).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_second_session_on_one_connection_is_reported() {
    let what = "session: a second one on the same connection";
    check_misuse(Security::Noise, what, async |foreign, node, _| {
        drop(foreign.try_open(node, SYNC).await);
    })
    .await;
}

#[tokio::test]
async fn junk_on_a_blob_stream_is_reported() {
    for (junk, what) in [
        (
            vec![0xff; 100],
            "blob stream: a frame of 4294967295 bytes where 1 to 128",
        ),
        (framed(b""), "blob stream: a frame of 0 bytes"),
        (framed(&[0xff; 20]), "malformed blob request"),
        (framed(&[0xf6]), "malformed blob request"),
    ] {
        check_misuse(Security::Noise, what, async |foreign, node, _| {
            let mut stream = foreign.open(node, BLOB).await;
            write(&mut stream, &junk).await;
        })
        .await;
    }
}

#[tokio::test]
async fn junk_on_gossip_is_reported() {
    let what = "gossip: streams with malformed frames";
    check_misuse(Security::Noise, what, async |foreign, node, _| {
        let mut streams = Vec::new();
        while let Some(mut stream) = foreign.try_open(node, GOSSIP).await {
            // A length of 2 GiB, then nonsense. The connection may be closed meanwhile.
            let junk = [0x80, 0x80, 0x80, 0x80, 0x08, 0xff, 0xff];
            stream.write_all(&junk).await.ok();
            stream.flush().await.ok();
            streams.push(stream);
            assert!(streams.len() < 10, "nobody minds");
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_opened_by_the_higher_node_is_reported() {
    let [low, high] = seeds();
    let mut node = Node::plain(low).await;
    let foreign = Foreign::new(high, Security::Noise);
    // It takes the session that the node opens, and opens one itself.
    let _sessions = foreign.accept(SYNC);
    foreign.connect(&node, Security::Noise).await;
    drop(foreign.try_open(&node, SYNC).await);
    let (peer, what) = node.misbehaved().await;
    assert_eq!(peer, foreign.id);
    assert_eq!(what, "session: opened by the node that must not");
}

#[tokio::test]
async fn a_dialed_node_of_another_kind_is_no_session() {
    let [low, high] = seeds();
    let (mut node, other) = (Node::plain(low).await, Node::plain(high).await);
    // It speaks no protocol of ours, but connects.
    let foreign = Foreign::new(high, Security::Noise);
    foreign.connect(&node, Security::Noise).await;
    drop(other);
    let mut foreign = foreign;
    let closed = tokio::time::timeout(PATIENCE, foreign.closed.recv()).await;
    assert_eq!(closed, Ok(Some(())));
    assert!(
        node.events
            .try_recv()
            .is_ok_and(|event| matches!(event, Event::Listening { .. }))
    );
}

#[tokio::test]
async fn a_connection_without_a_session_is_closed() {
    let [low, high] = seeds();
    let mut impatient = config(high);
    impatient.limits = Limits {
        session_within: Duration::from_millis(50),
        ..brisk()
    };
    let node = Node::start(impatient, Shelf::default()).await;
    let mut foreign = Foreign::new(low, Security::Noise);
    foreign.connect(&node, Security::Noise).await;
    let stream = foreign.open(&node, BLOB).await;
    let closed = tokio::time::timeout(PATIENCE, foreign.closed.recv()).await;
    assert_eq!(closed, Ok(Some(())), "other streams do not keep it");
    drop(stream);
}

#[tokio::test]
async fn a_burst_of_64_blob_streams_has_two_served_and_the_session_goes_on() {
    for security in ALL {
        let [low, high] = seeds();
        let mut node = Node::plain(high).await;
        let foreign = Foreign::new(low, security);
        let (mut session, _) = foreign.begin(&mut node, security).await;
        let opened = (0..64).map(async |_| {
            let mut stream = foreign.open(&node, BLOB).await;
            let taken = stream.read_exact(&mut [0]).await.is_ok();
            taken.then_some(stream)
        });
        let opened = futures::future::join_all(opened);
        let opened = tokio::time::timeout(PATIENCE, opened).await;
        let taken = opened.expect("all are answered").into_iter().flatten();
        assert_eq!(taken.count(), 2);
        write(&mut session, &framed(b"still here")).await;
        assert_eq!(node.frame().await.1, b"still here");
    }
}

/// Limits under which slowness shows soon.
fn impatient() -> Limits {
    Limits {
        progress_window: Duration::from_millis(200),
        least_bytes_per_s: 1_000,
        ..brisk()
    }
}

#[tokio::test]
async fn a_frame_that_drips_ends_the_session_without_blame() {
    let [low, high] = seeds();
    let mut config = config(high);
    config.limits = impatient();
    let mut node = Node::start(config, Shelf::default()).await;
    let foreign = Foreign::new(low, Security::Noise);
    let (mut stream, session) = foreign.begin(&mut node, Security::Noise).await;
    write(&mut stream, &1_000_u32.to_be_bytes()).await;
    write(&mut stream, b"slow").await;
    let ended = node
        .until(|event| match event {
            Event::Closed { session, why } => Some((session, why)),
            Event::Misbehaved { what, .. } => panic!("{what}"),
            _ => None,
        })
        .await;
    assert_eq!(ended, (session, Why::Stalled));
}

/// A node that asks a foreign peer for group 3 and gets `answer`, given the id of the request.
async fn answered(answer: impl AsyncFnOnce(u32, &mut libp2p::Stream)) -> (Node, FetchError) {
    let [low, high] = seeds();
    let mut config = config(high);
    config.limits = impatient();
    let mut node = Node::start(config, Shelf::default()).await;
    let foreign = Foreign::new(low, Security::Noise);
    let mut asked = foreign.accept(BLOB);
    let (_session, _) = foreign.begin(&mut node, Security::Noise).await;
    let (net, peer) = (node.net.clone(), foreign.id);
    let fetch = async {
        let hash = Blake3::of(&[]);
        let mut groups = net
            .fetch_groups(peer, repo(), hash, 3, 2)
            .await
            .expect("asked");
        loop {
            match groups.next().await.expect("not the end") {
                Ok(group) => assert_eq!(group.0.index, 3),
                Err(error) => return error,
            }
        }
    };
    let serve = async {
        let (_, mut stream) = asked.next().await.expect("a stream");
        write(&mut stream, &[0x01]).await;
        let request = Request::decode(&read_frame(&mut stream).await).expect("a request");
        answer(request.id, &mut stream).await;
        stream
    };
    let both = async { tokio::join!(fetch, serve) };
    let (error, _stream) = tokio::time::timeout(PATIENCE, both).await.expect("an end");
    (node, error)
}

fn group(id: u32, index: u64, bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.to_vec();
    let said = Said::Group(Claimed(Group { index, bytes }));
    framed(&Answer { id, said }.encode())
}

#[tokio::test]
async fn a_peer_that_drips_is_stalled() {
    let (_, error) = answered(async |_, stream| write(stream, &[0, 0]).await).await;
    assert!(matches!(error, FetchError::Stalled), "{error:?}");
    assert_eq!(error.fault(), None, "slowness is no fault");
    // The first group whole, the second one byte by byte.
    let (_, error) = answered(async |id, stream| {
        write(stream, &group(id, 3, &[7; 1_000])).await;
        for byte in &group(id, 4, &[7; 1_000])[..20] {
            write(stream, &[*byte]).await;
        }
    })
    .await;
    assert!(matches!(error, FetchError::Stalled), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_stalled() {
    let (_, error) = answered(async |_, _| {}).await;
    assert!(matches!(error, FetchError::Stalled), "{error:?}");
}

async fn check_lie(what: &str, answer: impl AsyncFnOnce(u32, &mut libp2p::Stream)) {
    let (mut node, error) = answered(answer).await;
    assert!(
        matches!(&error, FetchError::Misbehaved(said) if said.contains(what)),
        "{error:?}"
    );
    assert_eq!(error.fault(), Some(skep_proto::fault::Fault::Peer));
    let (_, said) = node.misbehaved().await;
    assert!(said.contains(what), "{said}");
    assert_eq!(node.closed().await.1, Why::Misbehaved);
}

#[tokio::test]
async fn a_provider_that_breaks_the_protocol_is_reported() {
    check_lie("not to what was asked", async |id, stream| {
        write(stream, &group(id + 1, 3, b"x")).await;
    })
    .await;
    check_lie("not what was asked for", async |id, stream| {
        write(stream, &group(id, 4, b"x")).await;
    })
    .await;
    check_lie("not what was asked for", async |id, stream| {
        write(stream, &group(id, 3, b"x")).await;
        write(stream, &group(id, 3, b"x")).await;
    })
    .await;
    check_lie("malformed blob answer", async |_, stream| {
        write(stream, &framed(b"junk")).await;
    })
    .await;
    check_lie("malformed blob answer", async |id, stream| {
        write(stream, &group(id, 3, &[7; GROUP_BYTES_MAX + 1])).await;
    })
    .await;
    check_lie(
        "blob answer: a frame of 4294967295 bytes",
        async |_, stream| {
            write(stream, &[0xff; 4]).await;
        },
    )
    .await;
}
