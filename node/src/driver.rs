//! The driver: the only event loop. It tells the core what happened, one input at a time, and has
//! each effect performed in order; a `Persist` is durable before anything after it leaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skep_proto::hash::Blake3;
use skep_proto::id::NodeId;
use skep_proto::name::Name;
use skep_proto::trust::file::RepoFile;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::{Core, Effect, GossipId, Input, Reply, RequestId, SessionId, Time};
use crate::in_use::InUse;
use crate::net;
use crate::perform::InFlight;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// Inputs that wait for the core. Senders wait when it is full: that is the back-pressure on
/// peers, whose frames come through here.
const INPUTS_MAX: usize = 256;
/// How long a node stays read-only after a write failed, before it tries again.
const READ_ONLY_FOR: Duration = Duration::from_secs(10);
/// With less than this free, in bytes, it does not try: a small log would fit, and what it leads to
/// would not.
const ROOM_BYTES: u64 = 1 << 20;

/// What others hold of a running driver.
#[derive(Clone)]
pub struct Handle {
    turns: mpsc::Sender<Turn>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    requests: Arc<AtomicU64>,
    in_use: InUse,
}

struct Turn {
    input: Input,
    reply: Option<(RequestId, oneshot::Sender<Reply>)>,
}

impl Handle {
    /// What readers see now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Of no driver: it shows what a test sends.
    #[cfg(test)]
    pub(crate) fn showing(snapshot: watch::Receiver<Arc<Snapshot>>) -> Self {
        let (turns, _) = mpsc::channel(1);
        Self {
            turns,
            snapshot,
            requests: Arc::default(),
            in_use: InUse::default(),
        }
    }

    /// Blobs that work in progress needs.
    pub(crate) fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// Waits until readers see something else.
    pub async fn changed(&mut self) -> bool {
        self.snapshot.changed().await.is_ok()
    }

    /// Tells the core something that has no reply. False if the driver is gone.
    pub async fn tell(&self, input: Input) -> bool {
        let turn = Turn { input, reply: None };
        self.turns.send(turn).await.is_ok()
    }

    /// Asks the core, and waits for its reply; none if the driver is gone.
    pub async fn ask(&self, input: impl FnOnce(RequestId) -> Input) -> Option<Reply> {
        let (turn, reply) = self.turn(input);
        self.turns.send(turn).await.ok()?;
        reply.await.ok()
    }

    /// [`Self::ask`] in two steps, for whoever does something while it waits: what is to be awaited
    /// first (false if the driver is gone), and the reply.
    pub(crate) fn begin(
        &self,
        input: impl FnOnce(RequestId) -> Input,
    ) -> (
        impl Future<Output = bool> + 'static,
        oneshot::Receiver<Reply>,
    ) {
        let (turn, reply) = self.turn(input);
        let turns = self.turns.clone();
        (async move { turns.send(turn).await.is_ok() }, reply)
    }

    /// [`Self::ask`], from a thread of its own.
    pub fn ask_blocking(&self, input: impl FnOnce(RequestId) -> Input) -> Option<Reply> {
        let (turn, reply) = self.turn(input);
        self.turns.blocking_send(turn).ok()?;
        reply.blocking_recv().ok()
    }

    /// [`Self::tell`], from a thread of its own.
    pub fn tell_blocking(&self, input: Input) -> bool {
        let turn = Turn { input, reply: None };
        self.turns.blocking_send(turn).is_ok()
    }

    fn turn(&self, input: impl FnOnce(RequestId) -> Input) -> (Turn, oneshot::Receiver<Reply>) {
        let id = RequestId(self.requests.fetch_add(1, Ordering::Relaxed));
        let (send, receive) = oneshot::channel();
        let turn = Turn {
            input: input(id),
            reply: Some((id, send)),
        };
        (turn, receive)
    }
}

/// The parts that the loop joins.
pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) me: NodeId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) net: net::Net,
    pub(crate) shown: watch::Sender<Arc<Snapshot>>,
    pub(crate) handle: Handle,
    pub(crate) replies: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    pub(crate) wake: Time,
    pub(crate) in_flight: InFlight,
    /// Counts the changes after which other entries may stand where some were: before they are made.
    pub(crate) taken_away: Arc<AtomicU64>,
    /// Whether peers are dialled.
    pub(crate) dials: bool,
    /// Open sessions, under the number that the core knows them by.
    pub(crate) sessions: BTreeMap<SessionId, Open>,
    /// Gossip that waits for a verdict, under the core's name for it.
    pub(crate) gossip: BTreeMap<Vec<u8>, net::MessageId>,
    numbers: u64,
    seed: [u8; 32],
    started: Instant,
    turns: mpsc::Receiver<Turn>,
    events: mpsc::Receiver<net::Event>,
    /// Until when nothing is written after a failure.
    recover_at: Option<Instant>,
    /// What `repos.d` said last, for a core that is built again.
    settings: Vec<(Name, RepoFile)>,
}

/// A session, as the network knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) net: net::SessionId,
    pub(crate) peer: NodeId,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) me: NodeId,
    pub(crate) core: Core,
    pub(crate) seed: [u8; 32],
    pub(crate) store: Arc<dyn Store>,
    pub(crate) net: net::Net,
    pub(crate) events: mpsc::Receiver<net::Event>,
    pub(crate) shown: watch::Sender<Arc<Snapshot>>,
    pub(crate) dials: bool,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (send, turns) = mpsc::channel(INPUTS_MAX);
        let handle = Handle {
            turns: send,
            snapshot: parts.shown.subscribe(),
            requests: Arc::new(AtomicU64::new(0)),
            in_use: InUse::default(),
        };
        Self {
            core: parts.core,
            me: parts.me,
            store: parts.store,
            net: parts.net,
            shown: parts.shown,
            handle,
            replies: BTreeMap::new(),
            wake: Time::default(),
            in_flight: InFlight::default(),
            taken_away: Arc::default(),
            dials: parts.dials,
            sessions: BTreeMap::new(),
            gossip: BTreeMap::new(),
            numbers: 0,
            seed: parts.seed,
            started: Instant::now(),
            turns,
            events: parts.events,
            recover_at: None,
            settings: Vec::new(),
        }
    }

    /// Runs until `stop` says so or is dropped.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wake = self.started + Duration::from_millis(self.wake.0);
            let recover = self.recover_at;
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = sleep_until(recover), if recover.is_some() => self.recover().await,
                Some(turn) = self.turns.recv() => {
                    if let Some((id, reply)) = turn.reply {
                        self.replies.insert(id, reply);
                    }
                    self.turn(turn.input).await;
                }
                Some(event) = self.events.recv() => {
                    if let Some(input) = self.input_of(event) {
                        self.turn(input).await;
                    }
                }
                () = sleep_until(Some(wake)) => self.turn(Input::Woken).await,
            }
        }
    }

    pub(crate) fn now(&self) -> Time {
        let ms = self.started.elapsed().as_millis();
        Time(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// One input, and everything that follows from it.
    async fn turn(&mut self, input: Input) {
        if let Input::Configured { repos } = &input {
            self.settings.clone_from(repos);
        }
        let effects = self.core.handle(self.now(), input);
        self.perform_all(effects).await;
    }

    async fn perform_all(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            if let Err(why) = self.perform(effect).await {
                tracing::error!(%why, "the store failed: this node is read-only for now");
                self.drop_rest(effects, &why);
                return self.write_failed(why).await;
            }
        }
    }

    /// After a failed write the core is ahead of the disk: whatever it would say or show next could
    /// be gone after a restart. So it goes back to what the store holds at once, and takes nothing
    /// new for a while.
    async fn write_failed(&mut self, why: String) {
        let restored = self.rebuild(&format!("nothing was kept: {why}")).await;
        self.recover_at = Some(Instant::now() + READ_ONLY_FOR);
        let mut effects = self.core.handle(self.now(), Input::PersistFailed { why });
        // A node that cannot read its store either follows nothing for now.
        if restored {
            let repos = self.settings.clone();
            effects.extend(self.core.handle(self.now(), Input::Configured { repos }));
        }
        for effect in effects {
            if !matches!(effect, Effect::Persist(_)) {
                let performed = self.perform(effect).await;
                debug_assert!(performed.is_ok(), "only Persist can fail");
            }
        }
    }

    /// What depended on a write that failed does not leave; whoever waits for it is told.
    fn drop_rest(&mut self, effects: VecDeque<Effect>, why: &str) {
        for effect in effects {
            if let Effect::Reply(id, _) = effect
                && let Some(reply) = self.replies.remove(&id)
            {
                // A receiver that is gone has nobody to tell.
                drop(reply.send(Reply::Refused(format!("nothing was kept: {why}"))));
            }
        }
    }

    /// Takes entries again, if there is room for them.
    async fn recover(&mut self) {
        self.recover_at = None;
        let store = Arc::clone(&self.store);
        let space = tokio::task::spawn_blocking(move || store.space()).await;
        let has_room = matches!(space, Ok(Ok(space)) if space.free >= ROOM_BYTES);
        if has_room && self.rebuild("the node recovered from a failed write").await {
            let repos = self.settings.clone();
            self.turn(Input::Configured { repos }).await;
        } else {
            self.recover_at = Some(Instant::now() + READ_ONLY_FOR);
            if has_room {
                // It was taken back to a store that cannot be read, and must not show that as all.
                let why = "the store cannot be read".to_owned();
                self.turn(Input::PersistFailed { why }).await;
            }
        }
    }

    /// Takes the core back to what the store holds; false if that cannot be read, and it holds
    /// nothing. Sessions end, and whoever waits for a reply is told why there will be none.
    async fn rebuild(&mut self, why: &str) -> bool {
        let store = Arc::clone(&self.store);
        let restored =
            tokio::task::spawn_blocking(move || crate::restore::restore(store.as_ref())).await;
        for open in std::mem::take(&mut self.sessions).into_values() {
            self.net.close(open.net);
        }
        for (_, reply) in std::mem::take(&mut self.replies) {
            // A receiver that is gone has nobody to tell.
            drop(reply.send(Reply::Refused(why.to_owned())));
        }
        self.gossip.clear();
        let restored = restored.ok().and_then(Result::ok);
        let readable = restored.is_some();
        self.core.rebuild(restored.unwrap_or_default());
        readable
    }
}

impl Driver {
    /// What an event of the network means to the core; some mean nothing to it.
    fn input_of(&mut self, event: net::Event) -> Option<Input> {
        match event {
            net::Event::Connected { session, peer, .. } => {
                let number = SessionId(self.number());
                let open = Open { net: session, peer };
                self.sessions.insert(number, open);
                let nonce = *Blake3::of(&[&self.seed, &number.0.to_be_bytes()]).as_bytes();
                Some(Input::Connected {
                    session: number,
                    peer,
                    // The stream was opened by the side of the lower PeerId, which is the key's order.
                    opener: self.me < peer,
                    nonce,
                })
            }
            net::Event::Frame { session, bytes } => {
                let session = self.session_of(session)?;
                let frame = bytes;
                Some(Input::Heard { session, frame })
            }
            net::Event::Closed { session, why } => {
                let session = self.session_of(session)?;
                self.sessions.remove(&session);
                tracing::debug!(%why, "a session ended");
                Some(Input::Closed { session })
            }
            net::Event::Gossip {
                id,
                topic,
                from,
                data,
            } => {
                let name = self.number().to_be_bytes().to_vec();
                self.gossip.insert(name.clone(), id);
                let id = GossipId(name);
                Some(Input::Gossiped {
                    id,
                    from,
                    topic,
                    data,
                })
            }
            net::Event::Discovered { peer, addresses } => {
                Some(Input::Discovered { peer, addresses })
            }
            net::Event::Listening { address } => {
                tracing::info!(address, "listening");
                None
            }
            net::Event::Observed { address, by } => {
                tracing::debug!(address, %by, "seen at");
                None
            }
            net::Event::RoundTrip { peer, micros } => {
                tracing::trace!(%peer, micros, "round trip");
                None
            }
            net::Event::DialFailed { peer, why } => {
                tracing::debug!(%peer, why, "could not connect");
                None
            }
            // The network has disconnected it already.
            net::Event::Misbehaved { peer, what } => {
                tracing::debug!(%peer, what, "a peer misbehaved");
                None
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn session_of(&self, session: net::SessionId) -> Option<SessionId> {
        let open = self.sessions.iter().find(|(_, open)| open.net == session);
        open.map(|(number, _)| *number)
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
