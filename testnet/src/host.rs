//! A simulated node: the second interpreter of the core's effects.
//!
//! It matches every effect without a wildcard, so a new one does not compile until it is decided
//! what it means here. What leaves the node goes out as [`Act`]s; the simulator carries them out.
//! A crash drops everything but the disk, between any two effects.

mod blobs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_node::core::{
    Command, Core, Effect, Event, GossipId, Held, Input, Reply, RequestId, SessionId, Time, Verdict,
};
use skep_node::snapshot::Snapshot;
use skep_node::store::Change;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::name::Name;
use skep_proto::sync::wire::{Answer, Message, Refusal};
use skep_proto::trust::file::RepoFile;

use crate::author::World;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::exchange::Ask;
use crate::invariant::{self, Broken};
use crate::lie::{self, Lie};
use crate::sabotage::Sabotage;

/// How long a node takes no writes after one failed, as the driver has it.
const READ_ONLY_MS: u64 = 10_000;
/// Wake-ups of one node in one millisecond; more is a loop that never waits.
const WAKES_MAX: u32 = 32;
/// News that are kept of a node, for whoever reads a failure.
const NEWS_MAX: usize = 1_000;

/// What leaves a node, and what else can be seen of it.
#[derive(Debug)]
pub enum Act {
    /// A change is durable.
    Kept(Change),
    /// A change could not be made durable.
    NotKept,
    Subscribed([u8; 32]),
    Unsubscribed([u8; 32]),
    /// Readers see another snapshot.
    Shown {
        read_only: bool,
    },
    Replied(RequestId, Reply),
    /// Entries are read from the disk after so long, and sent.
    Read {
        ms: u64,
        read: Read,
    },
    Frame {
        session: SessionId,
        frame: Vec<u8>,
    },
    Gossip {
        topic: [u8; 32],
        data: Vec<u8>,
    },
    /// Gossip of another node, passed on.
    Forward {
        from: NodeId,
        topic: [u8; 32],
        data: Vec<u8>,
    },
    Dial {
        peer: NodeId,
    },
    Close {
        session: SessionId,
    },
    /// Every session with a peer ends, and none begins for a while.
    Ban {
        peer: NodeId,
    },
    Ask(Ask),
    /// Work beside the loop that ends in an input, after so long.
    Later {
        ms: u64,
        input: Input,
    },
    Wake(Time),
    /// The process is gone.
    Crashed,
    /// Every session ends.
    CloseAll,
    /// The store is opened again after so long.
    Recover {
        ms: u64,
    },
}

/// Entries that a peer asked for.
#[derive(Debug)]
pub struct Read {
    session: SessionId,
    request: u32,
    repo: RepoId,
    key: Key,
    from: u64,
    to: u64,
    proof: Vec<Sha256>,
    /// How often entries had been taken away when this was asked for.
    taken_away: u64,
}

pub struct Host {
    pub id: NodeId,
    /// None while it is down.
    core: Option<Core>,
    pub disk: Disk,
    pub config: Vec<(Name, RepoFile)>,
    /// Nodes whose addresses it is told at every start.
    pub contacts: Vec<NodeId>,
    pub snapshot: Arc<Snapshot>,
    /// Counts starts: what belongs to an earlier life comes to nothing.
    pub life: u64,
    wake: Option<Time>,
    wakes: (Time, u32),
    sessions: BTreeMap<SessionId, NodeId>,
    topics: BTreeSet<[u8; 32]>,
    /// Gossip that is being judged, and what was passed on.
    gossip: BTreeMap<Vec<u8>, (NodeId, [u8; 32], Vec<u8>)>,
    forwarded: BTreeSet<Blake3>,
    banned: BTreeMap<NodeId, Time>,
    fetches: BTreeMap<u64, blobs::Fetch>,
    next_fetch: u64,
    /// What was asked of it and how it replied, as whoever asked remembers it.
    pub asked: BTreeMap<RequestId, Command>,
    pub replies: BTreeMap<RequestId, Reply>,
    next_request: u64,
    /// Who waits for a reply of this life.
    waiting: BTreeSet<RequestId>,
    /// Counts the changes after which other entries may stand where some were.
    taken_away: u64,
    pub news: Vec<Event>,
    /// Effects until the process dies.
    pub crash_in: Option<u64>,
    /// Writes until one fails.
    pub fail_in: Option<u64>,
    /// What it says falsely; an honest node has none.
    pub lies: Vec<Lie>,
    /// What this interpreter does wrong, in runs that show that a law can break.
    pub sabotage: Option<Sabotage>,
    /// Views that the law which compares the disk with what was shown has seen.
    pub checked: BTreeMap<RepoId, Sha256>,
}

impl Host {
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            core: None,
            disk: Disk::default(),
            config: Vec::new(),
            contacts: Vec::new(),
            snapshot: Arc::new(Snapshot::empty(id)),
            life: 0,
            wake: None,
            wakes: (Time::default(), 0),
            sessions: BTreeMap::new(),
            topics: BTreeSet::new(),
            gossip: BTreeMap::new(),
            forwarded: BTreeSet::new(),
            banned: BTreeMap::new(),
            fetches: BTreeMap::new(),
            next_fetch: 0,
            asked: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            waiting: BTreeSet::new(),
            taken_away: 0,
            news: Vec::new(),
            crash_in: None,
            fail_in: None,
            lies: Vec::new(),
            sabotage: None,
            checked: BTreeMap::new(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.core.is_some()
    }

    pub fn is_honest(&self) -> bool {
        self.lies.is_empty()
    }

    pub fn follows(&self, repo: &RepoId) -> bool {
        self.config.iter().any(|(_, file)| file.id == *repo)
    }

    /// Root of the frontier trie of a repository, of a node that is up.
    pub fn frontier(&self, repo: &RepoId) -> Option<Sha256> {
        self.core.as_ref()?.frontier(repo)
    }

    pub fn view_hash(&self, repo: &RepoId) -> Option<Sha256> {
        let mut repos = self.snapshot.repos();
        let repo = repos.find(|followed| followed.id == *repo)?;
        repo.view_hash
    }

    /// Opens the store and begins: what `run` does.
    pub fn start(&mut self, seed: [u8; 32]) -> Vec<Input> {
        self.life += 1;
        self.core = Some(Core::new(self.id, seed, self.disk.restore()));
        self.forget();
        let configured = self.configured();
        let contacts = self.contacts.iter().map(|peer| Input::Discovered {
            peer: *peer,
            addresses: vec!["/memory/1".to_owned()],
        });
        [configured].into_iter().chain(contacts).collect()
    }

    /// Goes back to what the disk holds, as the driver does after a failed write: with no sessions,
    /// and with a refusal for whoever waits.
    pub fn rebuild(&mut self, why: &str) -> Vec<Act> {
        self.sessions.clear();
        self.gossip.clear();
        let mut acts = vec![Act::CloseAll];
        for id in std::mem::take(&mut self.waiting) {
            let reply = Reply::Refused(why.to_owned());
            self.replies.insert(id, reply.clone());
            acts.push(Act::Replied(id, reply));
        }
        if let Some(core) = &mut self.core {
            core.rebuild(self.disk.restore());
        }
        acts
    }

    /// What a core that was built again is told first.
    pub fn configured(&self) -> Input {
        let repos = self.config.clone();
        Input::Configured { repos }
    }

    fn forget(&mut self) {
        self.wake = None;
        self.waiting.clear();
        self.sessions.clear();
        self.topics.clear();
        self.gossip.clear();
        self.fetches.clear();
        self.checked.clear();
    }

    /// The process ends here and now; only the disk stays.
    pub fn crash(&mut self, dice: &mut Dice) {
        self.core = None;
        self.crash_in = None;
        self.fail_in = None;
        self.disk.crash(dice);
        self.forget();
    }

    /// A command, as the control socket brings it.
    pub fn request(&mut self, command: Command) -> (RequestId, Input) {
        let id = self.request_id();
        self.asked.insert(id, command.clone());
        (id, Input::Command(id, command))
    }

    pub fn request_id(&mut self) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.wait(id);
        id
    }

    /// Somebody waits for this reply.
    pub fn wait(&mut self, id: RequestId) {
        self.waiting.insert(id);
    }

    /// Who waits for a reply still.
    pub fn waiting(&self) -> impl Iterator<Item = RequestId> {
        self.waiting.iter().copied()
    }

    /// When it wants to be woken.
    pub fn wake(&self) -> Option<Time> {
        self.wake
    }

    pub fn is_banned(&self, peer: &NodeId, now: Time) -> bool {
        self.banned.get(peer).is_some_and(|until| *until > now)
    }

    /// Whether it ever banned this peer.
    pub fn has_banned(&self, peer: &NodeId) -> bool {
        self.banned.contains_key(peer)
    }

    pub fn subscribes(&self, topic: &[u8; 32]) -> bool {
        self.is_up() && self.topics.contains(topic)
    }

    pub fn connected(&mut self, session: SessionId, peer: NodeId) {
        self.sessions.insert(session, peer);
    }

    pub fn peer_of(&self, session: SessionId) -> Option<NodeId> {
        self.sessions.get(&session).copied()
    }

    /// Whether the time of a wake-up is the one that was asked for last.
    pub fn is_due(&self, at: Time) -> bool {
        self.wake.is_some_and(|wake| wake <= at)
    }

    /// A session is over: what was being fetched from that peer ends with it.
    pub fn closed(&mut self, session: SessionId) -> Vec<Input> {
        let Some(peer) = self.sessions.remove(&session) else {
            return Vec::new();
        };
        let mut inputs = vec![Input::Closed { session }];
        // Of two connections, nobody says on which one a fetch ran.
        inputs.extend(self.fetches_lost(peer));
        inputs
    }

    pub fn is_connected_to(&self, peer: &NodeId) -> bool {
        self.sessions.values().any(|other| other == peer)
    }

    /// A gossip message arrives. It reaches the core also when it came before: a node remembers
    /// for a while only what it has seen.
    pub fn gossiped(&mut self, from: NodeId, topic: [u8; 32], data: Vec<u8>) -> Input {
        let id = Blake3::of(&[from.key().as_bytes(), &data])
            .as_bytes()
            .to_vec();
        self.gossip.insert(id.clone(), (from, topic, data.clone()));
        Input::Gossiped {
            id: GossipId(id),
            from,
            topic,
            data,
        }
    }

    /// One input, and everything that follows from it.
    pub fn turn(
        &mut self,
        now: Time,
        input: Input,
        world: &World,
        dice: &mut Dice,
    ) -> Result<Vec<Act>, Broken> {
        match &input {
            Input::Woken => self.count_wakes(now)?,
            Input::BlobStored { hash }
            | Input::BlobBegun {
                hash,
                held: Held::Whole,
            } => invariant::blobs::what_is_stored_has_its_hash(self, hash)?,
            _ => {}
        }
        let Some(core) = &mut self.core else {
            return Ok(Vec::new());
        };
        let effects = core.handle(now, input);
        invariant::bounded::queues_stay_within_their_limits(&core.queues())?;
        self.perform_all(now, effects, world, dice)
    }

    fn count_wakes(&mut self, now: Time) -> Result<(), Broken> {
        self.wakes = match self.wakes {
            (at, count) if at == now => (at, count + 1),
            _ => (now, 1),
        };
        if self.wakes.1 > WAKES_MAX {
            let what = format!("woken {} times in one millisecond", self.wakes.1);
            return Err(Broken::law("a node waits for what it waits for", what));
        }
        Ok(())
    }

    /// Effects in their order, as far as the process lives and its disk takes writes.
    pub fn perform_all(
        &mut self,
        now: Time,
        effects: Vec<Effect>,
        world: &World,
        dice: &mut Dice,
    ) -> Result<Vec<Act>, Broken> {
        let mut acts = Vec::new();
        let mut effects = effects;
        if self.sabotage == Some(Sabotage::SendsFirst) {
            effects.sort_by_key(|effect| matches!(effect, Effect::Persist(_)));
        }
        let mut effects = effects.into_iter();
        while let Some(effect) = effects.next() {
            if counts_down(&mut self.crash_in) {
                self.crash(dice);
                acts.push(Act::Crashed);
                return Ok(acts);
            }
            invariant::before(self, world, &effect)?;
            if matches!(effect, Effect::Persist(_)) && counts_down(&mut self.fail_in) {
                acts.push(Act::NotKept);
                self.drop_rest(effects, &mut acts);
                self.write_failed(now, world, dice, &mut acts)?;
                return Ok(acts);
            }
            self.perform(now, effect, world, dice, &mut acts)?;
        }
        Ok(acts)
    }

    /// What depended on a write that failed does not leave; whoever waits for it is told.
    fn drop_rest(&mut self, effects: impl Iterator<Item = Effect>, acts: &mut Vec<Act>) {
        for effect in effects {
            if let Effect::Reply(id, _) = effect {
                let why = "nothing was kept: no space left on the device".to_owned();
                self.reply(id, Reply::Refused(why), acts);
            }
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply, acts: &mut Vec<Act>) {
        if self.waiting.remove(&id) {
            self.replies.insert(id, reply.clone());
            acts.push(Act::Replied(id, reply));
        }
    }

    fn write_failed(
        &mut self,
        now: Time,
        world: &World,
        dice: &mut Dice,
        acts: &mut Vec<Act>,
    ) -> Result<(), Broken> {
        let why = "no space left on the device".to_owned();
        acts.extend(self.rebuild(&why));
        let Some(core) = &mut self.core else {
            return Ok(());
        };
        let mut effects = core.handle(now, Input::PersistFailed { why });
        let repos = self.config.clone();
        effects.extend(core.handle(now, Input::Configured { repos }));
        for effect in effects {
            if !matches!(effect, Effect::Persist(_)) {
                invariant::before(self, world, &effect)?;
                self.perform(now, effect, world, dice, acts)?;
            }
        }
        acts.push(Act::Recover { ms: READ_ONLY_MS });
        Ok(())
    }

    fn perform(
        &mut self,
        now: Time,
        effect: Effect,
        world: &World,
        dice: &mut Dice,
        acts: &mut Vec<Act>,
    ) -> Result<(), Broken> {
        match effect {
            Effect::Persist(change) => {
                if !self.forgets(&change) {
                    let kept = self.disk.persist(&change);
                    kept.map_err(|why| Broken::law("a change fits what is held", why.to_string()))?;
                }
                self.taken_away += u64::from(change.takes_entries_away());
                invariant::kept(self, world, &change)?;
                acts.push(Act::Kept(change));
            }
            Effect::Send { session, message } => self.send(session, message, dice, acts),
            Effect::SendEntries {
                session,
                request,
                repo,
                key,
                from,
                to,
                proof,
            } => {
                let ms = dice.below(blobs::DISK_MS);
                let read = Read {
                    session,
                    request,
                    repo,
                    key,
                    from,
                    to,
                    proof,
                    taken_away: self.taken_away,
                };
                acts.push(Act::Read { ms, read });
            }
            Effect::Gossip { topic, data } => {
                let data = lie::gossip(&self.lies, data, dice);
                acts.push(Act::Gossip { topic, data });
            }
            Effect::Judge { id, verdict } => self.judge(&id, verdict, acts),
            Effect::Subscribe { topic } => {
                self.topics.insert(topic);
                acts.push(Act::Subscribed(topic));
            }
            Effect::Unsubscribe { topic } => {
                self.topics.remove(&topic);
                acts.push(Act::Unsubscribed(topic));
            }
            Effect::Dial { peer, addresses: _ } => acts.push(Act::Dial { peer }),
            Effect::Disconnect { session, ban_s } => self.disconnect(now, session, ban_s, acts),
            Effect::BeginBlob { hash, size_bytes } => self.begin_blob(hash, size_bytes, dice, acts),
            Effect::FetchList {
                peer,
                repo,
                hash,
                size_bytes,
            } => self.fetch_list(peer, repo, hash, size_bytes, acts),
            Effect::FetchGroups {
                peer,
                repo,
                hash,
                first,
                count,
            } => self.fetch_groups(peer, repo, hash, (first, count), acts),
            Effect::FinishBlob { hash } => self.finish_blob(hash, dice, acts),
            Effect::Show(snapshot) => {
                self.snapshot = snapshot;
                invariant::shown(self, world)?;
                let read_only = self.snapshot.read_only.is_some();
                acts.push(Act::Shown { read_only });
            }
            Effect::Reply(id, reply) => {
                invariant::acknowledged::what_is_replied_is_durable(self, world, id, &reply)?;
                self.reply(id, reply, acts);
            }
            Effect::WakeAt(time) => {
                self.wake = Some(time);
                acts.push(Act::Wake(time.max(now)));
            }
            Effect::Tell(event) => {
                if self.news.len() < NEWS_MAX {
                    self.news.push(event);
                }
            }
        }
        Ok(())
    }

    /// Entries that a peer asked for, from the disk as it is now.
    pub fn read(&mut self, read: Read, dice: &mut Dice) -> Result<Vec<Act>, Broken> {
        let entries = self.disk.entries(&read.repo, &read.key, read.from, read.to);
        let same = self.taken_away == read.taken_away;
        let (id, proof) = (read.request, read.proof);
        let message = match same && entries.len() as u64 == read.to - read.from {
            true => Message::Answer {
                id,
                answer: Answer::Get { entries, proof },
            },
            false => Message::Refusal {
                id: Some(id),
                refusal: Refusal::NotFound,
            },
        };
        invariant::wire::what_is_sent_can_be_read(&message)?;
        let mut acts = Vec::new();
        self.send(read.session, message, dice, &mut acts);
        Ok(acts)
    }

    fn forgets(&self, change: &Change) -> bool {
        match self.sabotage {
            Some(Sabotage::ForgetsRoots) => matches!(change, Change::Root { .. }),
            Some(Sabotage::ForgetsLogs) => matches!(change, Change::Append { .. }),
            Some(Sabotage::ForgetsFacts) => matches!(change, Change::Fact { .. }),
            Some(Sabotage::SendsFirst | Sabotage::StoresEarly) | None => false,
        }
    }

    fn send(&mut self, session: SessionId, message: Message, dice: &mut Dice, acts: &mut Vec<Act>) {
        let frames = lie::frames(&self.lies, message, dice);
        acts.extend(
            frames
                .into_iter()
                .map(|frame| Act::Frame { session, frame }),
        );
    }

    fn disconnect(
        &mut self,
        now: Time,
        session: SessionId,
        ban_s: Option<u64>,
        acts: &mut Vec<Act>,
    ) {
        match (self.peer_of(session), ban_s) {
            (Some(peer), Some(seconds)) => {
                self.banned.insert(peer, now.after(seconds * 1_000));
                acts.push(Act::Ban { peer });
            }
            _ => acts.push(Act::Close { session }),
        }
    }

    fn judge(&mut self, id: &GossipId, verdict: Verdict, acts: &mut Vec<Act>) {
        let Some((from, topic, data)) = self.gossip.remove(&id.0) else {
            return;
        };
        if verdict == Verdict::Accept && self.forwarded.insert(Blake3::of(&[&data])) {
            acts.push(Act::Forward { from, topic, data });
        }
    }
}

/// Counts one down; true when it reaches its end, once.
fn counts_down(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(more) => {
            *more -= 1;
            false
        }
        None => false,
    }
}
