//! Peers that speak nonsense, on every protocol that a node speaks: it stays up, names and refuses
//! them, and serves everybody else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::upgrade::Version;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use libp2p::swarm::Swarm;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Transport as _, noise, tcp, yamux};
use libp2p_stream::{Behaviour, Control, IncomingStreams};
use skep_node::net::{BlobSource, Config, Event, Limits, Net};
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::sync::blobs::List;
use skep_proto::ticket::Ticket;
use tokio::runtime::Runtime;

use super::home::{Home, PATIENCE, author, wait_until, with_and_without_gossip};

const SYNC: &str = "/skep/sync/1";
const BLOB: &str = "/skep/blob/1";
const GOSSIP: &str = "/meshsub/1.1.0";

/// Where an author's node can be reached, and what it follows.
struct Target {
    node: NodeId,
    at: String,
    repo: RepoId,
}

impl Target {
    fn of(author: &Home) -> Self {
        let ticket: Ticket = author.ticket().parse().expect("a ticket");
        let (node, addresses) = ticket.nodes.into_iter().next().expect("a node");
        let mut tcp = addresses.into_iter().filter(|at| at.contains("/tcp/"));
        Self {
            node,
            at: tcp.next().expect("a TCP address"),
            repo: ticket.repo,
        }
    }

    /// `/ip4/A/tcp/P` as a socket has it.
    fn socket(&self) -> SocketAddr {
        let mut parts = self.at.split('/').skip(2).step_by(2);
        let (ip, port) = (parts.next().expect("an IP"), parts.next().expect("a port"));
        format!("{ip}:{port}").parse().expect("an address")
    }

    fn peer_id(&self) -> PeerId {
        let key = ed25519::PublicKey::try_from_bytes(self.node.key().public_bytes());
        PublicKey::from(key.expect("a key")).to_peer_id()
    }

    /// Keys of nodes that open the session with this one.
    fn lower_key(&self) -> SigningKey {
        let keys = std::iter::repeat_with(|| SigningKey::from_seed(&rand::random()));
        let mut lower = keys.filter(|key| NodeId::from_key(key.key()) < self.node);
        lower.next().expect("there are many")
    }
}

/// A peer of stock parts that writes whatever it wants on raw streams.
struct Babbler {
    key: SigningKey,
    control: Control,
    /// Keeps gossip going: without it the node would not open its side.
    _gossip: IncomingStreams,
}

impl Babbler {
    /// Connects to the target, within a runtime.
    fn connect(target: &Target, key: SigningKey) -> Self {
        let mut seed = *key.seed();
        let pair = Keypair::ed25519_from_bytes(&mut seed).expect("32 bytes");
        let transport = tcp::tokio::Transport::new(tcp::Config::new())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&pair).expect("a key"))
            .multiplex(yamux::Config::default())
            .boxed();
        let behaviour = Behaviour::new();
        let mut control = behaviour.new_control();
        let gossip = StreamProtocol::new(GOSSIP);
        let gossip = control.accept(gossip).expect("not accepted before");
        let config =
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
        let mut swarm = Swarm::new(transport, behaviour, pair.public().to_peer_id(), config);
        let at: Multiaddr = target.at.parse().expect("an address");
        let at = at.with_p2p(target.peer_id()).expect("its own peer");
        swarm.dial(at).expect("it can be dialed");
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self {
            key,
            control,
            _gossip: gossip,
        }
    }

    async fn open(&self, target: &Target, protocol: &'static str) -> Option<Stream> {
        let protocol = StreamProtocol::new(protocol);
        let mut control = self.control.clone();
        let opened = control.open_stream(target.peer_id(), protocol);
        let opened = tokio::time::timeout(PATIENCE, opened).await;
        opened.expect("an answer").ok()
    }

    /// Opens a session: the node says first that it took the stream.
    async fn begin(&self, target: &Target) -> Option<Stream> {
        let mut stream = self.open(target, SYNC).await?;
        let mut hello = [0];
        let taken = stream.read_exact(&mut hello);
        let taken = tokio::time::timeout(PATIENCE, taken).await;
        taken.expect("an answer").ok().map(|()| stream)
    }

    async fn say(stream: &mut Stream, bytes: &[u8]) {
        // The connection may be closed already: then it was said often enough.
        drop(stream.write_all(bytes).await);
        drop(stream.flush().await);
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("short");
    [&len.to_be_bytes(), bytes].concat()
}

/// An author, and a stranger that does `nonsense` to its node: the node logs who and `what`, refuses
/// who did it from then on, and serves a friend.
fn nonsense_is_refused(
    what: &str,
    gossip: bool,
    nonsense: impl AsyncFn(&Babbler, &Target) -> Vec<Stream>,
) {
    let mut author = author(gossip);
    let target = Target::of(&author);
    let runtime = Runtime::new().expect("a runtime");
    let key = target.lower_key();
    let id = NodeId::from_key(key.key());
    let again = SigningKey::from_seed(&key.seed());
    runtime.block_on(async {
        let babbler = Babbler::connect(&target, key);
        // Streams that go at once may take what was said on them along.
        let streams = nonsense(&babbler, &target).await;
        let line = |log: &str| {
            let mut lines = log
                .lines()
                .filter(|line| line.contains("a peer misbehaved"));
            lines.any(|line| line.contains(&id.to_string()) && line.contains(what))
        };
        wait_until(what, || line(&author.log()));
        assert!(!author.log().contains('\x1b'), "a file is no terminal");
        drop(streams);
        // Another connection of the same key is closed before a session begins.
        let babbler = Babbler::connect(&target, again);
        assert!(babbler.begin(&target).await.is_none(), "{what}: it is back");
        // It is this key that is refused, not everybody.
        let stranger = Babbler::connect(&target, target.lower_key());
        assert!(stranger.begin(&target).await.is_some(), "{what}");
        assert_ne!(babbler.key.key(), stranger.key.key());
    });
    assert!(author.is_up(), "{what}");
    let friend = Home::new(gossip);
    friend.ok(&["get", &author.ticket()]);
    friend.same_files("drop-0.1.0");
}

#[test]
fn nonsense_on_the_sync_protocol_is_refused() {
    let too_long = "session: a frame of 4294967295 bytes where 1 to 1048576 are allowed";
    for (junk, what, gossip) in [
        (vec![0xff; 1_000], too_long, true),
        (vec![0xff; 1_000], too_long, false),
        (framed(b""), "session: a frame of 0 bytes", true),
        (
            framed(b"GET / HTTP/1.1"),
            "a frame of unknown type 71",
            true,
        ),
        (
            framed(b"GET / HTTP/1.1"),
            "a frame of unknown type 71",
            false,
        ),
        (
            framed(&[1, 0x82, 0xff]),
            "a malformed message of type 1",
            true,
        ),
    ] {
        nonsense_is_refused(what, gossip, async |babbler, target| {
            let mut stream = babbler.begin(target).await.expect("a session");
            Babbler::say(&mut stream, &junk).await;
            vec![stream]
        });
    }
}

#[test]
fn nonsense_on_the_blob_protocol_is_refused() {
    with_and_without_gossip(|gossip| {
        for (junk, what) in [
            (vec![0xff; 100], "blob stream: a frame of 4294967295 bytes"),
            (framed(&[0xff; 20]), "malformed blob request"),
        ] {
            nonsense_is_refused(what, gossip, async |babbler, target| {
                // A session first, as an honest node has one.
                let session = babbler.begin(target).await.expect("a session");
                let mut stream = babbler.open(target, BLOB).await.expect("a stream");
                Babbler::say(&mut stream, &junk).await;
                vec![session, stream]
            });
        }
    });
}

#[test]
fn nonsense_on_the_streams_of_gossip_is_refused() {
    let what = "gossip: streams with malformed frames";
    nonsense_is_refused(what, true, async |babbler, target| {
        let mut streams = vec![babbler.begin(target).await.expect("a session")];
        // A length of 2 GiB, then nothing that could be read.
        let junk = [0x80, 0x80, 0x80, 0x80, 0x08, 0xff, 0xff];
        while let Some(mut stream) = babbler.open(target, GOSSIP).await {
            Babbler::say(&mut stream, &junk).await;
            streams.push(stream);
            assert!(streams.len() < 10, "nobody minds");
        }
        streams
    });
}

/// Nothing to serve.
struct Nothing;

impl BlobSource for Nothing {
    fn offered(&self, _: &NodeId, _: &RepoId, _: &Blake3) -> bool {
        false
    }

    fn list(&self, _: &Blake3) -> std::io::Result<Option<List>> {
        Ok(None)
    }

    fn group(&self, _: &Blake3, _: u64) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// What is well-formed gossip and no checkpoint, on a topic that the node follows.
#[test]
fn nonsense_on_a_topic_of_gossip_is_refused() {
    let mut author = author(true);
    let target = Target::of(&author);
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let key = target.lower_key();
        let id = NodeId::from_key(key.key());
        let config = Config {
            key,
            listen: Vec::new(),
            mdns: false,
            gossip: true,
            limits: Limits::default(),
        };
        let (net, mut events) = Net::start(config, Arc::new(Nothing)).await.expect("starts");
        net.dial(target.node, vec![target.at.clone()]).await;
        let connected =
            async { while !matches!(events.recv().await, Some(Event::Connected { .. })) {} };
        tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("connected");
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let topic = *Blake3::of(&[b"skep.topic", target.repo.as_bytes()]).as_bytes();
        net.subscribe(topic).await;
        // Each different, or gossip would not send it twice; it is heard once both have subscribed.
        let begun = std::time::Instant::now();
        let blamed = |log: &str| {
            let what = "gossip that is no checkpoint, or a forged one";
            let mut lines = log.lines().filter(|line| line.contains(what));
            lines.any(|line| line.contains(&id.to_string()))
        };
        while !blamed(&author.log()) {
            assert!(
                begun.elapsed() < PATIENCE,
                "nobody minds:\n{}",
                author.log()
            );
            net.publish(topic, rand::random::<[u8; 32]>().to_vec())
                .await;
            tokio::time::sleep(super::home::LOOK_AGAIN).await;
        }
        net.stop().await;
    });
    assert!(author.is_up());
    let friend = Home::new(true);
    friend.ok(&["get", &author.ticket()]);
    friend.same_files("drop-0.1.0");
}

/// What is not even libp2p: hundreds of connections, each with other bytes, and datagrams.
#[test]
fn garbage_on_the_ports_harms_nobody() {
    with_and_without_gossip(|gossip| {
        let mut author = author(gossip);
        let target = Target::of(&author);
        let greetings: [&[u8]; 4] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff\xff\xff",
            b"\x16\x03\x01\x00\x05hello",
            b"",
        ];
        let mut open = Vec::new();
        for n in 0..200_usize {
            let mut stream = TcpStream::connect(target.socket()).expect("it listens");
            let junk: [u8; 32] = rand::random();
            // It may be closed already.
            drop(stream.write_all(greetings[n % greetings.len()]));
            drop(stream.write_all(&junk));
            if n % 2 == 0 {
                open.push(stream);
            }
        }
        let ticket: Ticket = author.ticket().parse().expect("a ticket");
        let quic = ticket.nodes.iter().flat_map(|(_, addresses)| addresses);
        let quic = quic.filter(|at| at.contains("/udp/")).map(|at| {
            let port = at.split('/').nth(4).and_then(|port| port.parse().ok());
            SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
        });
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for at in quic {
            for _ in 0..200 {
                let junk: [[u8; 32]; 40] = rand::random();
                socket.send_to(&junk.concat(), at).expect("sent");
            }
        }
        assert!(author.is_up());
        // Who says nothing sensible is not kept: the node closes what we left open.
        for mut stream in open {
            let time = Some(PATIENCE);
            stream.set_read_timeout(time).expect("a time");
            let mut rest = Vec::new();
            let ended = stream.read_to_end(&mut rest);
            let waited = |e: &std::io::Error| e.kind() == std::io::ErrorKind::WouldBlock;
            assert!(!ended.as_ref().is_err_and(waited), "a connection is kept");
        }
        let friend = Home::new(gossip);
        friend.ok(&["get", &author.ticket()]);
        friend.same_files("drop-0.1.0");
    });
}
