//! The core: told what happened, it answers what to do.
//!
//! It touches no socket, disk, clock or dice: time comes in with every input, randomness is seeded
//! once, and everything it wants done goes out as data. So it cannot fail, a run follows from its
//! inputs, and a simulator can stand in for the world.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod effect;
mod exchange;
mod input;
mod peers;
mod queues;
mod repository;
mod serve;
mod session;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::name::Name;
use skep_proto::trust::file::RepoFile;

pub use effect::{Effect, Event, Reply, Verdict};
pub use exchange::WantEnd;
pub use input::{
    Carry, Command, FetchEnd, GossipId, Held, Holding, HoldingReason, Input, RequestId, SessionId,
};
pub use queues::Queue;
pub use repository::{
    Basis, CutProof, Restored, RestoredLog, Restriction, RestrictionKey, RestrictionKind,
    pin_from_bytes, restriction_key,
};

use crate::snapshot::Snapshot;
use repository::Repository;
use session::Session;

/// How often what is held of each repository is compared with a random peer: gossip that announces
/// once leaves somebody without the news, this does not. One after the other: all at once would
/// keep a session that shares hundreds busy for seconds, and what is new behind them.
const ANTI_ENTROPY_MS: u64 = 60_000;
/// How long `AwaitSync` waits for a peer.
const AWAIT_SYNC_MS: u64 = 15_000;
/// How long `AwaitSync` waits for another peer once one has said something false.
const ANOTHER_PEER_MS: u64 = 2_000;

/// Milliseconds since a moment that only the driver knows; monotonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; 0 if it is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Everything a node decides.
pub struct Core {
    me: NodeId,
    now: Time,
    dice: StdRng,
    repos: BTreeMap<RepoId, Repository>,
    sessions: BTreeMap<SessionId, Session>,
    exchange: exchange::Exchange,
    peers: peers::Peers,
    awaiting_sync: Vec<(RequestId, RepoId, Time)>,
    /// Of the repositories in `awaiting_sync`: the last peer that said something false, and what.
    lied: BTreeMap<RepoId, (NodeId, String)>,
    /// Topics of gossip that are subscribed to.
    topics: BTreeSet<[u8; 32]>,
    read_only: Option<String>,
    next_round: Time,
    /// The repository that was compared last.
    compared: Option<RepoId>,
    /// What readers see was changed since it was last shown.
    unseen: bool,
    out: Vec<Effect>,
}

impl Core {
    /// A core that knows nothing yet; `restored` is what the store held when it was opened. Its views
    /// are computed with the first input: that says which root documents are pinned.
    pub fn new(me: NodeId, seed: [u8; 32], restored: Vec<Restored>) -> Self {
        let repos = restored
            .into_iter()
            .map(|restored| (restored.repo, Repository::restore(restored)))
            .collect();
        Self {
            me,
            now: Time::default(),
            dice: StdRng::from_seed(seed),
            repos,
            sessions: BTreeMap::new(),
            exchange: exchange::Exchange::default(),
            peers: peers::Peers::default(),
            awaiting_sync: Vec::new(),
            lied: BTreeMap::new(),
            topics: BTreeSet::new(),
            read_only: None,
            next_round: Time(ANTI_ENTROPY_MS),
            compared: None,
            unseen: true,
            out: Vec::new(),
        }
    }

    /// Goes back to what the store holds, after a write that failed: everything else that was
    /// decided since is forgotten, but for whom to dial.
    pub fn rebuild(&mut self, restored: Vec<Restored>) {
        let restored = Self::new(self.me, [0; 32], restored);
        let before = std::mem::replace(self, restored);
        self.now = before.now;
        self.dice = before.dice;
        self.peers = before.peers;
        // Sessions are gone, and nobody would tell it again whom to dial.
        self.peers.dial_soon();
        self.topics = before.topics;
        self.next_round = before.next_round;
    }

    /// The only entrance.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Connected {
                session,
                peer,
                opener,
                nonce,
            } => self.connected(session, peer, opener, nonce),
            Input::Closed { session } => self.closed(session),
            Input::Heard { session, frame } => self.heard(session, &frame),
            Input::Gossiped {
                id,
                from,
                topic,
                data,
            } => self.gossiped(id, from, &topic, &data),
            Input::Discovered { peer, addresses } => self.discovered(peer, addresses),
            Input::Configured { repos } => self.configured(repos),
            Input::Command(id, command) => self.command(id, command),
            Input::Wanted { id, repo, blobs } => self.wanted(id, repo, &blobs),
            Input::Abandoned(id) => self.abandoned(id),
            Input::BlobBegun { hash, held } => {
                let ended = self.exchange.begun(hash, &held);
                self.wants_ended(ended);
            }
            Input::ListProven { hash } => self.exchange.list_proven(&hash),
            Input::GroupStored {
                from,
                hash,
                group,
                size_bytes,
            } => self.group_stored(from, hash, group, size_bytes),
            Input::BlobStored { hash } => {
                let ended = self.exchange.stored(hash);
                self.wants_ended(ended);
            }
            Input::BlobLost { hash, why } => {
                let ended = self.exchange.lost(hash, &why);
                self.wants_ended(ended);
            }
            Input::FetchEnded { peer, hash, why } => self.fetch_ended(peer, hash, why),
            Input::PersistFailed { why } => self.persist_failed(why),
            Input::Probed(id) => self.reply(id, Reply::Done),
            Input::Woken => self.woken(),
        }
        self.settle();
        std::mem::take(&mut self.out)
    }

    /// What follows from any input: views that changed are computed, readers are shown them, free
    /// peers get work, and the next wake-up is asked for. Answers come last: whoever is told that
    /// something is done reads it at once.
    fn settle(&mut self) {
        self.unblock_walks();
        self.refresh_quiet_views();
        self.refresh_topics();
        self.schedule_exchange();
        if std::mem::take(&mut self.unseen) {
            let snapshot = Arc::new(self.snapshot());
            self.out.push(Effect::Show(snapshot));
        }
        let wake = self.next_wake();
        self.out.push(Effect::WakeAt(wake));
        // Stable: neither answers nor anything else changes places among its own.
        let is_answer = |effect: &Effect| matches!(effect, Effect::Reply(..));
        self.out.sort_by_key(is_answer);
    }

    /// Public repositories are gossiped; of one whose document is not here yet, nobody knows.
    fn refresh_topics(&mut self) {
        let public = self.repos.values().filter(|repo| repo.is_public());
        let wanted: BTreeSet<[u8; 32]> = public.map(Repository::topic).collect();
        for topic in wanted.difference(&self.topics) {
            self.out.push(Effect::Subscribe { topic: *topic });
        }
        for topic in self.topics.difference(&wanted) {
            self.out.push(Effect::Unsubscribe { topic: *topic });
        }
        self.topics = wanted;
    }

    fn snapshot(&self) -> Snapshot {
        let repos = self.repos.values().map(Repository::snapshot);
        Snapshot::new(
            self.me,
            repos.collect(),
            self.sessions
                .values()
                .map(|session| (session.peer, session.shared.clone()))
                .collect(),
            self.read_only.clone(),
        )
    }

    fn tell(&mut self, event: Event) {
        self.out.push(Effect::Tell(event));
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.out.push(Effect::Reply(id, reply));
    }

    /// The files of `repos.d` are the list of what is followed.
    fn configured(&mut self, repos: Vec<(Name, RepoFile)>) {
        let mut followed: BTreeMap<RepoId, (Name, RepoFile)> = repos
            .into_iter()
            .map(|(alias, file)| (file.id, (alias, file)))
            .collect();
        for repo in self.repos.values_mut() {
            repo.settings = followed.remove(&repo.id);
            self.out.extend(repo.repin().map(Effect::Persist));
        }
        for (id, settings) in followed {
            self.repos.insert(id, Repository::new(id, settings));
            let change = crate::store::Change::Follow { repo: id };
            self.out.push(Effect::Persist(change));
        }
        self.unseen = true;
        self.dial_configured();
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.send_tags(session);
        }
    }

    fn command(&mut self, id: RequestId, command: Command) {
        if let Some(why) = &self.read_only {
            let why = format!("this node is read-only: {why}");
            return self.reply(id, Reply::Refused(why));
        }
        match command {
            Command::PutRoot { repo, root } => self.put_root(id, repo, root),
            Command::Append {
                repo,
                key,
                entries,
                checkpoint,
            } => self.append(id, repo, key, entries, checkpoint),
            Command::Carry(carry) => self.carry(id, *carry),
            Command::Hold {
                repo,
                manifest,
                holding,
            } => self.with_repo(id, repo, |repo| {
                repo.hold(manifest, holding).into_iter().collect()
            }),
            Command::LetGo {
                repo,
                manifest,
                why,
            } => self.with_repo(id, repo, |repo| {
                repo.let_go(manifest, why).into_iter().collect()
            }),
            Command::Admit {
                repo,
                name,
                version,
                manifest,
            } => self.with_repo(id, repo, |repo| repo.admit(name, version, manifest)),
            Command::Purge { repo } => self.purge(id, repo),
            Command::AwaitSync { repo } => {
                self.awaiting_sync
                    .push((id, repo, self.now.after(AWAIT_SYNC_MS)));
                self.walk_all(&repo);
            }
        }
    }

    fn purge(&mut self, id: RequestId, repo: RepoId) {
        if self.repos.get(&repo).is_some_and(Repository::is_followed) {
            let why = "the repository is followed: what is stored of it is needed".to_owned();
            return self.reply(id, Reply::Refused(why));
        }
        if self.repos.remove(&repo).is_some() {
            let change = crate::store::Change::Unfollow { repo };
            self.out.push(Effect::Persist(change));
            self.unseen = true;
        }
        self.reply(id, Reply::Done);
    }

    /// Carries out what changes one repository, persists it, and replies.
    fn with_repo(
        &mut self,
        id: RequestId,
        repo: RepoId,
        change: impl FnOnce(&mut Repository) -> Vec<crate::store::Change>,
    ) {
        let Some(repo) = self.repos.get_mut(&repo) else {
            return self.reply(
                id,
                Reply::Refused("this node does not follow the repository".into()),
            );
        };
        let changes = change(repo);
        self.out.extend(changes.into_iter().map(Effect::Persist));
        self.unseen = true;
        self.reply(id, Reply::Done);
    }

    fn wanted(&mut self, id: RequestId, repo: RepoId, blobs: &[(skep_proto::hash::Blake3, u64)]) {
        if let Some(end) = self.exchange.want(self.now, id, repo, blobs, &mut self.out) {
            self.reply(id, Reply::Want(end));
        }
    }

    fn wants_ended(&mut self, ended: Vec<(RequestId, WantEnd)>) {
        for (id, end) in ended {
            self.reply(id, Reply::Want(end));
        }
    }

    fn abandoned(&mut self, id: RequestId) {
        self.exchange.forget(id);
        self.awaiting_sync.retain(|(waiting, ..)| *waiting != id);
    }

    fn group_stored(
        &mut self,
        from: NodeId,
        hash: skep_proto::hash::Blake3,
        group: u64,
        size_bytes: u64,
    ) {
        if self
            .exchange
            .group_stored(self.now, from, &hash, group, size_bytes)
        {
            self.out.push(Effect::FinishBlob { hash });
        }
    }

    fn fetch_ended(&mut self, peer: NodeId, hash: skep_proto::hash::Blake3, why: FetchEnd) {
        self.exchange.fetch_ended(peer, &hash, why);
        if why == FetchEnd::Lied {
            self.misbehaved(peer, format!("sent bytes that are not part of blob {hash}"));
        }
    }

    fn schedule_exchange(&mut self) {
        let sessions = &self.sessions;
        let sharing = |repo: &RepoId| {
            let sharing = sessions.values().filter(|s| s.shared.contains(repo));
            let mut peers: Vec<NodeId> = sharing.map(|session| session.peer).collect();
            peers.sort_unstable();
            peers.dedup();
            peers
        };
        let ended = self.exchange.schedule(self.now, &sharing, &mut self.out);
        self.wants_ended(ended);
    }

    /// What was dropped after a failed write must not be believed: the driver rebuilds the core
    /// from the store; until then nothing new is taken.
    fn persist_failed(&mut self, why: String) {
        self.read_only = Some(why.clone());
        self.unseen = true;
        self.tell(Event::ReadOnly { why });
    }

    /// Whoever waits for a repository that this peer shares hears of it, unless another peer is
    /// found that says the truth.
    fn remember_lie(&mut self, peer: NodeId, what: &str) {
        let of_peer = self.sessions.values().filter(|s| s.peer == peer);
        let shared: BTreeSet<RepoId> = of_peer.flat_map(|s| &s.shared).copied().collect();
        let soon = self.now.after(ANOTHER_PEER_MS);
        for (_, repo, deadline) in &mut self.awaiting_sync {
            if shared.contains(repo) {
                *deadline = soon.min(*deadline);
                self.lied.insert(*repo, (peer, what.to_owned()));
            }
        }
    }

    fn woken(&mut self) {
        self.overdue();
        self.resume_walks();
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.awaiting_sync)
            .into_iter()
            .partition(|(.., deadline)| *deadline <= self.now);
        self.awaiting_sync = waiting;
        for (id, repo, _) in due {
            let reply = match self.lied.get(&repo) {
                Some((peer, what)) => Reply::Lied {
                    peer: *peer,
                    what: what.clone(),
                },
                None => Reply::TimedOut,
            };
            self.reply(id, reply);
        }
        let awaited = &self.awaiting_sync;
        self.lied
            .retain(|repo, _| awaited.iter().any(|(_, awaited, _)| awaited == repo));
        if self.now >= self.next_round {
            let repos = u64::try_from(self.repos.len()).unwrap_or(u64::MAX);
            let turn_ms = ANTI_ENTROPY_MS / repos.clamp(1, ANTI_ENTROPY_MS);
            self.next_round = self.now.after(turn_ms);
            self.anti_entropy();
        }
        self.dial_configured();
        self.gossip_due();
    }

    fn next_wake(&self) -> Time {
        let sessions = self.sessions.values().filter_map(Session::deadline);
        let awaiting = self.awaiting_sync.iter().map(|(.., deadline)| *deadline);
        // Of others nothing is gossiped, so nothing waits for its time.
        let public = self.repos.values().filter(|repo| repo.is_public());
        let gossip = public.filter_map(Repository::gossip_due);
        sessions
            .chain(awaiting)
            .chain(gossip)
            .chain(self.exchange.deadline(self.now))
            .chain(self.repos.values().filter_map(Repository::refresh_due))
            .chain([self.next_round, self.peers.next_dial()])
            .min()
            .unwrap_or(self.next_round)
    }
}

#[cfg(test)]
mod tests;
