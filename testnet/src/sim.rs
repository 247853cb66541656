//! The simulator: a virtual clock, a queue of what is due, and dice. The same seed gives the same run.
//!
//! What is due is ordered by time and, at equal times, by the order in which it was scheduled. Every
//! step takes one thing, lets one node have it, and carries out what leaves that node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use skep_node::core::{Command, Input, Reply, RequestId, SessionId, Time};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::SigningKey;

use crate::adversary::{Adversary, Happened, Liar};
use crate::author::{Log, Repo, World};
use crate::dice::Dice;
use crate::exchange::{Ask, Told};
use crate::host::{Act, Host};
use crate::invariant::{Broken, acknowledged, blobs, convergence};
use crate::link::{Network, Place, Weather};
use crate::trace::Trace;

/// A handshake takes so many times the latency.
const HANDSHAKE_TRIPS: u64 = 3;
/// How long an end may still hear a stream that it has closed: what waits between its network and
/// its core.
const CLOSING_MS: u64 = 4;
/// How long the other end of a broken stream may believe in it.
const BREAK_SEEN_MS: u64 = 2_000;
/// Steps of one run; more is a storm of messages.
const STEPS_MAX: u64 = 2_000_000;

pub struct Sim {
    pub now: Time,
    pub dice: Dice,
    pub world: World,
    pub net: Network,
    pub trace: Trace,
    nodes: Vec<Node>,
    due: BTreeMap<(Time, u64), Due>,
    number: u64,
    steps: u64,
}

enum Node {
    Host(Box<Host>),
    Liar(Box<Adversary>),
}

/// Something that is due.
#[derive(Debug)]
enum Due {
    /// A node that waits for a time.
    Wake { at: Place, life: u64 },
    /// An input of a node's own, for the life in which it began.
    Own { at: Place, life: u64, input: Input },
    Opened { ends: [Place; 2] },
    Frame { stream: u64, to: Place, frame: Vec<u8> },
    Closed { stream: u64, at: Place },
    Gossip { from: Place, to: Place, topic: [u8; 32], data: Vec<u8> },
    Asked { from: Place, life: u64, to: Place, ask: Ask },
    Told { to: Place, life: u64, fetch: u64, told: Told },
    Start { at: Place },
    Recover { at: Place, life: u64 },
}

impl Sim {
    pub fn new(seed: u64, weather: Weather, traced: bool) -> Self {
        Self {
            now: Time::default(),
            dice: Dice::new(seed),
            world: World::default(),
            net: Network::new(weather),
            trace: Trace::new(traced),
            nodes: Vec::new(),
            due: BTreeMap::new(),
            number: 0,
            steps: 0,
        }
    }

    // Who is there.

    /// An honest node that follows these repositories; it starts when it is told to.
    pub fn add_host(&mut self, repos: &[RepoId]) -> Place {
        let place = self.nodes.len();
        let mut host = Host::new(node_id(place));
        host.config = self.config(repos);
        self.world.honest.insert(host.id);
        self.nodes.push(Node::Host(Box::new(host)));
        place
    }

    /// So many honest nodes, started, each of which knows all others.
    pub fn add_mesh(&mut self, count: usize, repos: &[RepoId]) -> Vec<Place> {
        let places: Vec<Place> = (0..count).map(|_| self.add_host(repos)).collect();
        self.introduce(&places);
        places.iter().for_each(|place| self.start(*place));
        places
    }

    /// Tells each of these nodes of all the others, at its next start.
    pub fn introduce(&mut self, places: &[Place]) {
        for place in places {
            let others = places.iter().filter(|other| *other != place);
            let contacts = others.map(|other| self.id(*other)).collect();
            if let Node::Host(host) = &mut self.nodes[*place] {
                host.contacts = contacts;
            }
        }
    }

    pub fn add_liar(&mut self, liar: Liar) -> Place {
        let place = self.nodes.len();
        let adversary = Adversary::new(node_id(place), liar);
        self.nodes.push(Node::Liar(Box::new(adversary)));
        place
    }

    fn config(&self, repos: &[RepoId]) -> Vec<(skep_proto::name::Name, skep_proto::trust::file::RepoFile)> {
        let repos = repos.iter().filter_map(|id| self.world.repo(id));
        repos.map(|repo| (repo.alias.clone(), repo.file())).collect()
    }

    pub fn id(&self, place: Place) -> NodeId {
        match &self.nodes[place] {
            Node::Host(host) => host.id,
            Node::Liar(adversary) => adversary.id,
        }
    }

    fn place(&self, id: &NodeId) -> Option<Place> {
        (0..self.nodes.len()).find(|place| self.id(*place) == *id)
    }

    /// The host at a place where a scenario put one.
    pub fn host(&self, place: Place) -> &Host {
        match &self.nodes[place] {
            Node::Host(host) => host,
            Node::Liar(_) => unreachable!("a scenario takes a liar for a host"),
        }
    }

    pub fn host_mut(&mut self, place: Place) -> &mut Host {
        match &mut self.nodes[place] {
            Node::Host(host) => host,
            Node::Liar(_) => unreachable!("a scenario takes a liar for a host"),
        }
    }

    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Host(host) => Some(host.as_ref()),
            Node::Liar(_) => None,
        })
    }

    // What scenarios do.

    pub fn start(&mut self, at: Place) {
        self.schedule(0, Due::Start { at });
    }

    /// A command at a node, as its control socket brings it.
    pub fn command(&mut self, at: Place, command: Command) -> RequestId {
        let host = self.host_mut(at);
        let (input, life) = (host.request(command), host.life);
        let id = host.last_request();
        self.schedule(0, Due::Own { at, life, input });
        id
    }

    /// A node needs blobs.
    pub fn want(&mut self, at: Place, repo: RepoId, blobs: Vec<(Blake3, u64)>) -> RequestId {
        let host = self.host_mut(at);
        let (id, life) = (host.request_id(), host.life);
        let input = Input::Wanted { id, repo, blobs };
        self.schedule(0, Due::Own { at, life, input });
        id
    }

    /// Tells a node of another one, as a ticket or the local network does.
    pub fn discover(&mut self, at: Place, peer: Place) {
        let (peer, life) = (self.id(peer), self.host(at).life);
        let addresses = Vec::new();
        let input = Input::Discovered { peer, addresses };
        self.schedule(0, Due::Own { at, life, input });
    }

    /// A liar dials everybody.
    pub fn unleash(&mut self, liar: Place) {
        for place in 0..self.nodes.len() {
            if place != liar {
                self.dial(liar, place);
            }
        }
    }

    /// The authors of a repository take their signed root document and every log to a node, and
    /// stay until it has all of them.
    pub fn settle(&mut self, at: Place, repo: usize) -> Result<(), Broken> {
        let documents = self.world.repos[repo].documents.clone();
        for root in documents {
            let repo = self.world.repos[repo].id;
            self.until_done(at, |_| Some(Command::PutRoot { repo, root: root.clone() }))?;
        }
        self.deliver(at, repo, |repo| &mut repo.registrar)?;
        for publisher in 0..self.world.repos[repo].publishers.len() {
            self.deliver(at, repo, |repo| &mut repo.publishers[publisher].log)?;
        }
        Ok(())
    }

    /// An author brings what is pending of a log to a node until the node has it, over any crash.
    pub fn deliver(
        &mut self,
        at: Place,
        repo: usize,
        log: impl Fn(&mut Repo) -> &mut Log,
    ) -> Result<(), Broken> {
        if log(&mut self.world.repos[repo]).tip.pending().is_empty() {
            return Ok(());
        }
        self.until_done(at, |sim| {
            let log = log(&mut sim.world.repos[repo]);
            let key = log.key();
            let id = *log.tip.repo();
            let held = sim.host(at).disk.log(&id, &key).map_or(0, |log| log.size());
            crate::sim::log_of(&mut sim.world.repos[repo], &key).and_then(|log| log.from_start(held).or_else(|| log.append()))
        })?;
        let log = log(&mut self.world.repos[repo]);
        let size = log.tip.size();
        log.tip
            .acknowledge(size)
            .map_err(|error| Broken::law("a tip takes what a node acknowledged", error.to_string()))
    }

    /// Sends a command again and again, as a person does after a crash, until it is done.
    fn until_done(
        &mut self,
        at: Place,
        command: impl Fn(&mut Self) -> Option<Command>,
    ) -> Result<(), Broken> {
        const TRIES: u32 = 40;
        for _ in 0..TRIES {
            let Some(next) = command(self) else {
                return Ok(());
            };
            let id = self.command(at, next);
            self.run_ms(1_000)?;
            if self.host(at).replies.get(&id) == Some(&Reply::Done) {
                return Ok(());
            }
        }
        let replies = format!("{:?}", self.host(at).replies.values().last());
        Err(Broken::law("a node takes what its author brings", replies))
    }

    /// Nothing passes between these two groups any more.
    pub fn cut(&mut self, ones: &[Place], others: &[Place]) {
        for (a, b) in ones.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))) {
            self.net.cut(a, b);
            let streams: Vec<u64> = self.net.streams.iter().filter(|(_, s)| s.end_of(a).is_some() && s.end_of(b).is_some()).map(|(n, _)| *n).collect();
            streams.into_iter().for_each(|stream| self.break_stream(stream));
        }
    }

    pub fn crash(&mut self, at: Place, back_in_ms: u64) {
        let Node::Host(host) = &mut self.nodes[at] else {
            return;
        };
        host.crash(&mut self.dice);
        self.crashed(at);
        self.schedule(back_in_ms, Due::Start { at });
    }

    /// Runs for so long.
    pub fn run_ms(&mut self, ms: u64) -> Result<(), Broken> {
        let end = self.now.after(ms);
        while self.due.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.step()?;
        }
        self.now = end;
        Ok(())
    }

    pub fn run_minutes(&mut self, minutes: u64) -> Result<(), Broken> {
        self.run_ms(minutes * 60_000)
    }

    /// What holds at the end of every run: with the weather calm and the network whole, everybody
    /// agrees within minutes, and then nothing more is written.
    pub fn finish(&mut self) -> Result<(), Broken> {
        self.net.heal();
        let gossip = self.net.weather.gossip;
        self.net.weather = Weather { gossip, ..Weather::CALM };
        self.run_minutes(12)?;
        for repo in &self.world.repos {
            let followers = self.hosts().filter(|h| h.config.iter().any(|(_, file)| file.id == repo.id));
            convergence::views_agree(&repo.id, followers)?;
        }
        for host in self.hosts() {
            acknowledged::everything_acknowledged_is_there(host)?;
            blobs::every_blob_has_its_hash(host)?;
        }
        let writes = |sim: &Self| sim.hosts().map(|host| host.disk.changes).sum::<u64>();
        let before = writes(self);
        self.run_minutes(5)?;
        let more = writes(self) - before;
        match more {
            0 => Ok(()),
            _ => Err(Broken::law("who agrees writes nothing", format!("{more} changes"))),
        }
    }

    // Steps.

    fn schedule(&mut self, ms: u64, due: Due) {
        self.schedule_at(self.now.after(ms), due);
    }

    fn schedule_at(&mut self, at: Time, due: Due) {
        self.number += 1;
        self.due.insert((at, self.number), due);
    }

    fn step(&mut self) -> Result<(), Broken> {
        let Some(((at, _), due)) = self.due.pop_first() else {
            return Ok(());
        };
        self.now = at;
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Broken::law("a run comes to rest", "a storm of messages"));
        }
        match due {
            Due::Wake { at, life } => {
                let host = self.host(at);
                if host.life == life && host.is_due(self.now) {
                    return self.turn(at, Input::Woken);
                }
            }
            Due::Own { at, life, input } => {
                if self.host(at).life == life {
                    return self.turn(at, input);
                }
            }
            Due::Opened { ends } => return self.opened(ends),
            Due::Frame { stream, to, frame } => {
                if self.net.reaches(stream, to) {
                    return self.heard(stream, to, frame);
                }
            }
            Due::Closed { stream, at } => return self.closed(stream, at),
            Due::Gossip { from, to, topic, data } => return self.gossiped(from, to, topic, data),
            Due::Asked { from, life, to, ask } => self.asked(from, life, to, &ask),
            Due::Told { to, life, fetch, told } => {
                if self.host(to).life == life {
                    for input in self.host_mut(to).told(fetch, told) {
                        self.turn(to, input)?;
                    }
                }
            }
            Due::Start { at } => return self.started(at),
            Due::Recover { at, life } => {
                if self.host(at).life == life {
                    return self.recovered(at);
                }
            }
        }
        Ok(())
    }

    /// One input for the node at a place, and all that leaves it.
    fn turn(&mut self, at: Place, input: Input) -> Result<(), Broken> {
        self.trace.note(self.now, || format!("n{at} <- {}", brief(&input)));
        let Node::Host(host) = &mut self.nodes[at] else {
            return Ok(());
        };
        let acts = host.turn(self.now, input, &self.world, &mut self.dice)?;
        for act in acts {
            self.act(at, act);
        }
        Ok(())
    }

    fn act(&mut self, at: Place, act: Act) {
        self.trace.note(self.now, || format!("n{at} -> {act:?}"));
        let life = match &self.nodes[at] {
            Node::Host(host) => host.life,
            Node::Liar(_) => 0,
        };
        match act {
            Act::Frame { session, frame } => self.send(at, session, frame),
            Act::Gossip { topic, data } => self.gossip(at, None, topic, &data),
            Act::Forward { from, topic, data } => {
                let except = self.place(&from);
                self.gossip(at, except, topic, &data);
            }
            Act::Dial { peer } => {
                if let Some(peer) = self.place(&peer) {
                    self.dial(at, peer);
                }
            }
            Act::Close { session } => self.close(at, session.0),
            Act::Ask(ask) => self.ask(at, life, ask),
            Act::Later { ms, input } => self.schedule(ms, Due::Own { at, life, input }),
            Act::Wake(time) => self.schedule_at(time, Due::Wake { at, life }),
            Act::Crashed => {
                self.crashed(at);
                let back_in_ms = 500 + self.dice.below(20_000);
                self.schedule(back_in_ms, Due::Start { at });
            }
            Act::Recover { ms } => self.schedule(ms, Due::Recover { at, life }),
        }
    }

    // Streams.

    fn dial(&mut self, from: Place, to: Place) {
        if self.net.dial(from, to) {
            let ms = HANDSHAKE_TRIPS * self.net.weather.delay_ms(&mut self.dice);
            self.schedule(ms, Due::Opened { ends: [from, to] });
        }
    }

    fn opened(&mut self, ends: [Place; 2]) -> Result<(), Broken> {
        let takes = |sim: &Self, at: Place, peer: Place| match &sim.nodes[at] {
            Node::Host(host) => host.is_up() && !host.is_banned(&sim.id(peer), sim.now),
            Node::Liar(_) => true,
        };
        let [a, b] = ends;
        let taken = takes(self, a, b) && takes(self, b, a);
        let Some(stream) = self.net.opened(ends, self.now) else {
            return Ok(());
        };
        if !taken {
            self.net.close(stream, a);
            self.net.close(stream, b);
            return Ok(());
        }
        for (at, peer) in [(a, b), (b, a)] {
            self.connected(stream, at, peer)?;
        }
        Ok(())
    }

    fn connected(&mut self, stream: u64, at: Place, peer: Place) -> Result<(), Broken> {
        let (me, peer) = (self.id(at), self.id(peer));
        let (session, nonce) = (SessionId(stream), self.dice.bytes());
        let opener = me < peer;
        if let Node::Host(host) = &mut self.nodes[at] {
            host.connected(session, peer);
            let input = Input::Connected {
                session,
                peer,
                opener,
                nonce,
            };
            return self.turn(at, input);
        }
        self.liar(at, stream, Happened::Connected { peer, opener, nonce })
    }

    fn heard(&mut self, stream: u64, to: Place, frame: Vec<u8>) -> Result<(), Broken> {
        if let Node::Liar(_) = &self.nodes[to] {
            return self.liar(to, stream, Happened::Heard(&frame));
        }
        let session = SessionId(stream);
        self.turn(to, Input::Heard { session, frame })
    }

    fn liar(&mut self, at: Place, stream: u64, what: Happened<'_>) -> Result<(), Broken> {
        let Node::Liar(adversary) = &mut self.nodes[at] else {
            return Ok(());
        };
        let world = &self.world;
        let said = adversary.turn(SessionId(stream), what, world, &mut self.dice);
        for frame in said.frames {
            self.send(at, SessionId(stream), frame);
        }
        for (topic, data) in said.gossip {
            self.gossip(at, None, topic, &data);
        }
        Ok(())
    }

    fn send(&mut self, from: Place, session: SessionId, frame: Vec<u8>) {
        let stream = session.0;
        if self.dice.below(1_000_000) < self.net.weather.breaks_ppm {
            return self.break_stream(stream);
        }
        let sent = self.net.send(stream, from, self.now, &mut self.dice);
        if let Some((to, at)) = sent {
            self.schedule_at(at, Due::Frame { stream, to, frame });
        }
    }

    /// What is on its way is lost, and each end finds out at its own time.
    fn break_stream(&mut self, number: u64) {
        let Some(stream) = self.net.streams.get_mut(&number) else {
            return;
        };
        stream.broken = true;
        for at in stream.ends {
            let ms = self.dice.below(BREAK_SEEN_MS);
            self.schedule(ms, Due::Closed { stream: number, at });
        }
    }

    /// One end closes a stream: what it sent before still arrives, and what it has heard already
    /// may still be waiting for its core.
    fn close(&mut self, at: Place, stream: u64) {
        if let Some((to, when)) = self.net.send(stream, at, self.now, &mut self.dice) {
            self.schedule_at(when, Due::Closed { stream, at: to });
        }
        let ms = self.dice.below(CLOSING_MS + 1);
        self.schedule(ms, Due::Closed { stream, at });
    }

    fn closed(&mut self, stream: u64, at: Place) -> Result<(), Broken> {
        if !self.net.close(stream, at) {
            return Ok(());
        }
        let Node::Host(host) = &mut self.nodes[at] else {
            return Ok(());
        };
        for input in host.closed(SessionId(stream)) {
            self.turn(at, input)?;
        }
        Ok(())
    }

    // Gossip.

    fn gossip(&mut self, from: Place, except: Option<Place>, topic: [u8; 32], data: &[u8]) {
        if !self.net.weather.gossip {
            return;
        }
        let mut peers: Vec<Place> = self.net.streams_of(from).map(|(_, peer)| peer).collect();
        peers.sort_unstable();
        peers.dedup();
        for to in peers {
            let subscribed = matches!(&self.nodes[to], Node::Host(host) if host.subscribes(&topic));
            if Some(to) == except || !subscribed || self.net.is_cut(from, to) {
                continue;
            }
            let weather = self.net.weather;
            let lost = self.dice.chance(weather.gossip_loss);
            let copies = u64::from(!lost) + u64::from(self.dice.chance(weather.gossip_twice));
            for _ in 0..copies {
                let ms = weather.delay_ms(&mut self.dice);
                let data = data.to_vec();
                self.schedule(ms, Due::Gossip { from, to, topic, data });
            }
        }
    }

    fn gossiped(
        &mut self,
        from: Place,
        to: Place,
        topic: [u8; 32],
        data: Vec<u8>,
    ) -> Result<(), Broken> {
        let from = self.id(from);
        let Node::Host(host) = &mut self.nodes[to] else {
            return Ok(());
        };
        if !host.is_up() || !host.subscribes(&topic) || host.is_banned(&from, self.now) {
            return Ok(());
        }
        let input = host.gossiped(from, topic, data);
        self.turn(to, input)
    }

    // Blobs.

    fn ask(&mut self, from: Place, life: u64, ask: Ask) {
        if let Some(to) = self.place(&ask.peer) {
            let ms = self.net.weather.delay_ms(&mut self.dice);
            self.schedule(ms, Due::Asked { from, life, to, ask });
        }
    }

    fn asked(&mut self, from: Place, life: u64, to: Place, ask: &Ask) {
        let asker = self.id(from);
        let told = match &self.nodes[to] {
            Node::Host(host) if host.is_up() => host.serve_blob(&asker, ask),
            Node::Host(_) => return,
            Node::Liar(_) => vec![Told::NotFound],
        };
        let mut ms = self.net.weather.delay_ms(&mut self.dice);
        for told in told {
            ms += told.size_bytes() / self.net.weather.bytes_per_ms.max(1);
            let (to, fetch) = (from, ask.fetch);
            self.schedule(ms, Due::Told { to, life, fetch, told });
        }
    }

    // Life and death.

    fn started(&mut self, at: Place) -> Result<(), Broken> {
        let seed = self.dice.bytes();
        let host = self.host_mut(at);
        acknowledged::everything_acknowledged_is_there(host)?;
        let inputs = host.start(seed);
        inputs.into_iter().try_for_each(|input| self.turn(at, input))
    }

    /// Whoever was connected finds out sooner or later.
    fn crashed(&mut self, at: Place) {
        let streams: Vec<u64> = self.net.streams_of(at).map(|(stream, _)| stream).collect();
        for stream in streams {
            self.break_stream(stream);
            self.net.close(stream, at);
        }
    }

    /// After a failed write the core is built again from the disk.
    fn recovered(&mut self, at: Place) -> Result<(), Broken> {
        self.crashed(at);
        self.started(at)
    }
}

/// The log of a key, among a repository's.
pub fn log_of<'a>(repo: &'a mut Repo, key: &skep_proto::key::Key) -> Option<&'a mut Log> {
    let publishers = repo.publishers.iter_mut().map(|publisher| &mut publisher.log);
    [&mut repo.registrar].into_iter().chain(publishers).find(|log| log.key() == *key)
}

fn node_id(place: Place) -> NodeId {
    let seed = Sha256::of(&[b"node", &place.to_be_bytes()]);
    NodeId::from_key(SigningKey::from_seed(seed.as_bytes()).key())
}

/// An input in one line, frames as the messages that they are.
fn brief(input: &Input) -> String {
    match input {
        Input::Heard { session, frame } => {
            let message = skep_proto::sync::wire::Message::decode(frame);
            format!("heard in {}: {message:?}", session.0)
        }
        other => format!("{other:?}"),
    }
}
