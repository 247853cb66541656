//! A peer made of stock libp2p parts, that says whatever a test wants on raw streams.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Transport as _};
use libp2p::{identity::Keypair, noise, quic, tcp, tls, yamux};
use libp2p_stream::{Behaviour, Control, IncomingStreams};
use tokio::sync::{mpsc, oneshot};

use super::*;

pub(super) const SYNC: &str = "/skep/sync/1";
pub(super) const BLOB: &str = "/skep/blob/1";
pub(super) const GOSSIP: &str = "/meshsub/1.1.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    Noise,
    Tls,
    Quic,
}

impl Security {
    pub(super) fn way(self) -> Way {
        match self {
            Self::Noise | Self::Tls => Way::Tcp,
            Self::Quic => Way::Quic,
        }
    }
}

pub(super) struct Foreign {
    pub(super) id: NodeId,
    control: Control,
    dial: mpsc::Sender<(NodeId, String, oneshot::Sender<()>)>,
    /// Tells that the last connection with somebody was closed.
    pub(super) closed: mpsc::Receiver<()>,
}

fn transport(key: &Keypair, security: Security) -> Boxed<(PeerId, StreamMuxerBox)> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::new()).upgrade(Version::V1);
    let boxed = |(peer, muxer), _| (peer, StreamMuxerBox::new(muxer));
    match security {
        Security::Noise => tcp
            .authenticate(noise::Config::new(key).expect("a key"))
            .multiplex(yamux::Config::default())
            .boxed(),
        Security::Tls => tcp
            .authenticate(tls::Config::new(key).expect("a key"))
            .multiplex(yamux::Config::default())
            .boxed(),
        Security::Quic => quic::tokio::Transport::new(quic::Config::new(key))
            .map(boxed)
            .boxed(),
    }
}

fn peer_id(node: &NodeId) -> PeerId {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(node.key().public_bytes());
    libp2p::identity::PublicKey::from(key.expect("a key")).to_peer_id()
}

impl Foreign {
    pub(super) fn new(seed: u8, security: Security) -> Self {
        let key = Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes");
        let behaviour = Behaviour::new();
        let control = behaviour.new_control();
        let config =
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
        let peer = key.public().to_peer_id();
        let mut swarm = Swarm::new(transport(&key, security), behaviour, peer, config);
        let (dial, mut dials) = mpsc::channel::<(NodeId, String, oneshot::Sender<()>)>(1);
        let (closing, closed) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            loop {
                tokio::select! {
                    wish = dials.recv() => {
                        let Some((node, address, done)) = wish else { return };
                        let address: Multiaddr = address.parse().expect("an address");
                        let at = address.with_p2p(peer_id(&node)).expect("its own peer");
                        swarm.dial(at).expect("it can be dialed");
                        waiting.push(done);
                    }
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionEstablished { .. } => {
                            waiting.drain(..).for_each(|done| done.send(()).expect("waited for"));
                        }
                        SwarmEvent::ConnectionClosed { num_established: 0, .. } => {
                            // A test that does not look at it may be over.
                            closing.try_send(()).ok();
                        }
                        _ => {}
                    },
                }
            }
        });
        let id = node_id(seed);
        Self {
            id,
            control,
            dial,
            closed,
        }
    }

    /// Connects; no session follows from it.
    pub(super) async fn connect(&self, to: &Node, security: Security) {
        let (done, connected) = oneshot::channel();
        let at = to.at(security.way()).remove(0);
        self.dial.send((to.id, at, done)).await.expect("it runs");
        connected.await.expect("connected");
    }

    /// Opens a stream, or has its connection closed for it.
    pub(super) async fn try_open(&self, to: &Node, protocol: &'static str) -> Option<Stream> {
        let mut control = self.control.clone();
        let protocol = StreamProtocol::new(protocol);
        control.open_stream(peer_id(&to.id), protocol).await.ok()
    }

    pub(super) async fn open(&self, to: &Node, protocol: &'static str) -> Stream {
        self.try_open(to, protocol).await.expect("a stream")
    }

    pub(super) fn accept(&self, protocol: &'static str) -> IncomingStreams {
        self.control
            .clone()
            .accept(StreamProtocol::new(protocol))
            .expect("not accepted before")
    }

    /// Connects and begins a session as the lower node does.
    pub(super) async fn begin(&self, to: &mut Node, security: Security) -> (Stream, SessionId) {
        assert!(self.id < to.id, "the lower node begins");
        self.connect(to, security).await;
        let mut stream = self.open(to, SYNC).await;
        let mut hello = [0];
        stream
            .read_exact(&mut hello)
            .await
            .expect("the stream is taken");
        assert_eq!(hello, [0x01]);
        let (session, peer) = to.connected().await;
        assert_eq!(peer, self.id);
        (stream, session)
    }
}

pub(super) async fn write(stream: &mut Stream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("written");
    stream.flush().await.expect("sent");
}

pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("short");
    [&len.to_be_bytes()[..], bytes].concat()
}

pub(super) async fn read_frame(stream: &mut Stream) -> Vec<u8> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).await.expect("a length");
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("small")];
    stream.read_exact(&mut frame).await.expect("a frame");
    frame
}
