//! The driver: the only event loop. It tells the core what happened, one input at a time, and has
//! each effect performed in order; a `Persist` is durable before anything after it leaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skep_proto::id::NodeId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::{Core, Effect, Input, Reply, RequestId, Time};
use crate::net;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// Inputs that wait for the core. Senders wait when it is full: that is the back-pressure on
/// peers, whose frames come through here.
const INPUTS_MAX: usize = 256;
/// How long a node stays read-only after a write failed, before it tries again.
const READ_ONLY_FOR: Duration = Duration::from_secs(10);

/// What others hold of a running driver.
#[derive(Clone)]
pub struct Handle {
    turns: mpsc::Sender<Turn>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    requests: Arc<AtomicU64>,
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
    pub(crate) seed: [u8; 32],
    started: Instant,
    turns: mpsc::Receiver<Turn>,
    events: mpsc::Receiver<net::Event>,
    /// Until when nothing is written after a failure.
    recover_at: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(
        me: NodeId,
        core: Core,
        seed: [u8; 32],
        store: Arc<dyn Store>,
        net: net::Net,
        events: mpsc::Receiver<net::Event>,
        (shown, snapshot): (watch::Sender<Arc<Snapshot>>, watch::Receiver<Arc<Snapshot>>),
    ) -> Self {
        let (send, turns) = mpsc::channel(INPUTS_MAX);
        let handle = Handle {
            turns: send,
            snapshot,
            requests: Arc::new(AtomicU64::new(0)),
        };
        Self {
            core,
            me,
            store,
            net,
            shown,
            handle,
            replies: BTreeMap::new(),
            wake: Time::default(),
            seed,
            started: Instant::now(),
            turns,
            events,
            recover_at: None,
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
        let effects = self.core.handle(self.now(), input);
        self.perform_all(effects).await;
    }

    async fn perform_all(&mut self, effects: Vec<Effect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            if let Err(why) = self.perform(effect).await {
                tracing::error!(%why, "the store failed: this node is read-only for now");
                self.drop_rest(effects, &why);
                self.recover_at = Some(Instant::now() + READ_ONLY_FOR);
                let effects = self.core.handle(self.now(), Input::PersistFailed { why });
                for effect in effects {
                    if !matches!(effect, Effect::Persist(_)) {
                        let performed = self.perform(effect).await;
                        debug_assert!(performed.is_ok(), "only Persist can fail");
                    }
                }
                return;
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

    /// After a failed write the core is ahead of the disk: it is built again from the store.
    async fn recover(&mut self) {
        self.recover_at = None;
        let store = Arc::clone(&self.store);
        let restored =
            tokio::task::spawn_blocking(move || crate::restore::restore(store.as_ref())).await;
        match restored {
            Ok(Ok(restored)) => {
                self.net.close_all();
                self.core = Core::new(self.me, self.seed, restored);
                for (_, reply) in std::mem::take(&mut self.replies) {
                    drop(reply.send(Reply::Refused("the node recovered from a failed write".into())));
                }
                self.handle_reload().await;
            }
            _ => self.recover_at = Some(Instant::now() + READ_ONLY_FOR),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
