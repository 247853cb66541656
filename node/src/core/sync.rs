//! Catching up: what a peer has that we lack, asked for and verified.
//!
//! With every peer that shares a repository: its root documents first, then a walk over its
//! frontier trie into the parts that differ from ours, and for each log that is ahead of ours its
//! entries. What was dropped because the registrar's log was not here yet is found by walking
//! again. A checkpoint that contradicts what we hold becomes fork evidence, or the peer's fault.

use std::collections::VecDeque;

use skep_proto::claimed::Claimed;
use skep_proto::hash::Sha256;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{
    Answer, ENTRIES_MAX, FRAME_BYTES_MAX, Hello, Message, PREFIXES_MAX, Push, Record, Refusal,
    Request, TAGS_MAX, TAGS_PADDING, Tag, TrieNode, VERSION, tag,
};

use super::Core;
use super::effect::{Effect, Event, Reply, Verdict};
use super::input::{GossipId, RequestId, SessionId};
use super::repository::{Contradiction, Repository, Standing};
use super::session::{ASKED_MAX, Asked, Session, Walk};

impl Core {
    pub(super) fn connected(
        &mut self,
        session: SessionId,
        peer: NodeId,
        opener: bool,
        nonce: [u8; 32],
    ) {
        self.sessions
            .insert(session, Session::new(peer, opener, nonce));
        self.unseen = true;
        self.tell(Event::Connected { peer });
        if opener {
            self.ask(session, Asked::Hello);
        }
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        let Some(gone) = self.sessions.remove(&session) else {
            return;
        };
        self.unseen = true;
        for repo in self.repos.values_mut() {
            repo.release(session);
        }
        if !self.sessions.values().any(|s| s.peer == gone.peer) {
            self.exchange.peer_gone(&gone.peer);
            self.tell(Event::Disconnected { peer: gone.peer });
        }
    }

    pub(super) fn heard(&mut self, session: SessionId, frame: &[u8]) {
        let Some(peer) = self.sessions.get(&session).map(|s| s.peer) else {
            return;
        };
        match Message::decode(frame) {
            Err(error) => self.misbehaved(peer, error.to_string()),
            Ok(Message::Request { id, request }) => self.serve(session, id, request),
            Ok(Message::Answer { id, answer }) => self.answered(session, id, answer),
            Ok(Message::Push(push)) => self.pushed(session, push),
            Ok(Message::Refusal { id, refusal }) => self.refused(session, id, refusal),
        }
    }

    /// Ends every session with a peer that did what no honest one does.
    pub(super) fn misbehaved(&mut self, peer: NodeId, what: String) {
        self.remember_lie(peer, &what);
        self.tell(Event::Misbehaved { peer, what });
        let sessions = self.sessions.iter().filter(|(_, s)| s.peer == peer);
        for (session, _) in sessions {
            self.out.push(Effect::Disconnect {
                session: *session,
                ban_s: Some(super::peers::BAN_S),
            });
        }
    }

    fn misbehaved_in(&mut self, session: SessionId, what: &str) {
        if let Some(peer) = self.sessions.get(&session).map(|s| s.peer) {
            self.misbehaved(peer, what.to_owned());
        }
    }

    /// Sends a request, or lets it wait for a free place.
    pub(super) fn ask(&mut self, session: SessionId, asked: Asked) {
        let tags = matches!(asked, Asked::Tags).then(|| self.tags(session));
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        if open.asked.len() >= ASKED_MAX {
            open.waiting.push_back(asked);
            return;
        }
        let request = match &asked {
            Asked::Hello => Request::Hello(hello(open.nonce)),
            Asked::Tags => Request::Tags(tags.unwrap_or_default()),
            Asked::Roots { repo } => Request::Roots {
                repo: *repo,
                have: self.repos.get(repo).map_or(0, |repo| repo.version()),
            },
            Asked::Trie { repo, prefixes } => Request::Trie {
                repo: *repo,
                prefixes: prefixes.clone(),
            },
            Asked::Entries {
                repo,
                key,
                from,
                target,
            } => Request::Get {
                repo: *repo,
                key: *key,
                from: *from,
                to: target.size.min(from.saturating_add(ENTRIES_MAX)),
                size: target.size,
                root: target.root,
            },
            Asked::Proof { repo, key, m, n } => Request::Proof {
                repo: *repo,
                key: *key,
                m: *m,
                n: *n,
            },
        };
        let id = open.ask(asked, self.now);
        let message = Message::Request { id, request };
        self.out.push(Effect::Send { session, message });
    }

    /// Our tags in a session: one for every repository we follow, padded with random ones.
    fn tags(&mut self, session: SessionId) -> Vec<Tag> {
        use rand::Rng as _;
        let Some(open) = self.sessions.get(&session) else {
            return Vec::new();
        };
        let role = u8::from(!open.opener);
        let mut tags: Vec<Tag> = self
            .repos
            .values()
            .filter(|repo| repo.is_shared())
            .take(TAGS_MAX)
            .filter_map(|repo| self.tag_of(open, &repo.id, role))
            .collect();
        while !tags.len().is_multiple_of(TAGS_PADDING) || tags.is_empty() {
            let mut random: Tag = [0; 16];
            self.dice.fill_bytes(&mut random);
            tags.push(random);
        }
        tags.sort_unstable();
        tags
    }

    fn tag_of(&self, open: &Session, repo: &RepoId, role: u8) -> Option<Tag> {
        let theirs = open.their_nonce?;
        let (me, them) = ((self.me.key(), &open.nonce), (open.peer.key(), &theirs));
        let (opener, other) = if open.opener { (me, them) } else { (them, me) };
        Some(tag(repo, opener, other, role))
    }

    pub(super) fn send_tags(&mut self, session: SessionId) {
        let known = |s: &Session| s.their_nonce.is_some();
        if self.sessions.get(&session).is_some_and(known) {
            self.ask(session, Asked::Tags);
        }
    }

    /// The tags that a peer sent, as `Answer` to the same: what both follow is compared from now on.
    pub(super) fn learn_tags(&mut self, session: SessionId, theirs: &[Tag]) {
        let Some(open) = self.sessions.get(&session) else {
            return;
        };
        let role = u8::from(open.opener);
        let shared = self
            .repos
            .values()
            .filter(|repo| repo.is_shared())
            .filter(|repo| {
                self.tag_of(open, &repo.id, role)
                    .is_some_and(|tag| theirs.contains(&tag))
            })
            .map(|repo| repo.id)
            .collect();
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        let before = std::mem::replace(&mut open.shared, shared);
        let new: Vec<RepoId> = open.shared.difference(&before).copied().collect();
        for repo in new {
            self.ask(session, Asked::Roots { repo });
        }
    }

    pub(super) fn their_hello(&mut self, session: SessionId, hello: &Hello) -> bool {
        let Some(open) = self.sessions.get_mut(&session) else {
            return false;
        };
        if open.their_nonce.is_some() || !hello.versions.contains(&VERSION) {
            self.misbehaved_in(session, "a HELLO of no common version, or a second one");
            return false;
        }
        open.their_nonce = Some(hello.nonce);
        true
    }

    pub(super) fn our_answer_to_hello(&self, session: SessionId) -> Option<Answer> {
        let open = self.sessions.get(&session)?;
        Some(Answer::Hello(hello(open.nonce)))
    }

    pub(super) fn our_tags(&mut self, session: SessionId) -> Answer {
        Answer::Tags(self.tags(session))
    }

    fn answered(&mut self, session: SessionId, id: u32, answer: Answer) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        let Some((asked, _)) = open.asked.remove(&id) else {
            return self.misbehaved_in(session, "an answer to nothing that was asked");
        };
        match (asked, answer) {
            (Asked::Hello, Answer::Hello(hello)) => {
                if self.their_hello(session, &hello) {
                    self.ask(session, Asked::Tags);
                }
            }
            (Asked::Tags, Answer::Tags(tags)) => self.learn_tags(session, &tags),
            (Asked::Roots { repo }, Answer::Roots { documents, more }) => {
                let false_one = self.repos.get(&repo).and_then(|r| r.refute(&documents));
                if let Some(why) = false_one {
                    return self.misbehaved_in(session, &format!("a false root document: {why}"));
                }
                let news = self.accept_roots(repo, documents);
                if more && news {
                    self.ask(session, Asked::Roots { repo });
                } else {
                    self.start_walk(session, repo);
                }
            }
            (Asked::Trie { repo, prefixes }, Answer::Trie(nodes)) => {
                self.walked(session, repo, prefixes, nodes);
            }
            (
                Asked::Entries {
                    repo,
                    key,
                    from,
                    target,
                },
                Answer::Get { entries, proof },
            ) => self.received(session, repo, key, from, *target, entries, &proof),
            (
                Asked::Proof { repo, key, m, n },
                Answer::Proof {
                    root,
                    proof,
                    checkpoint,
                },
            ) => self.contradiction_explained(session, repo, (key, m, n), root, proof, checkpoint),
            _ => return self.misbehaved_in(session, "an answer of another kind than the request"),
        }
        self.ask_waiting(session);
    }

    fn ask_waiting(&mut self, session: SessionId) {
        while let Some(open) = self.sessions.get_mut(&session) {
            if open.asked.len() >= ASKED_MAX {
                return;
            }
            let Some(next) = open.waiting.pop_front() else {
                return;
            };
            self.ask(session, next);
        }
    }

    fn refused(&mut self, session: SessionId, id: Option<u32>, _: Refusal) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        let Some((asked, _)) = id.and_then(|id| open.asked.remove(&id)) else {
            return;
        };
        self.fruitless(session, asked);
        self.ask_waiting(session);
    }

    /// Requests that were not answered in time go elsewhere.
    pub(super) fn overdue(&mut self) {
        let now = self.now;
        let mut late = Vec::new();
        for (session, open) in &mut self.sessions {
            open.asked.retain(|_, (asked, deadline)| {
                let keep = *deadline > now;
                if !keep {
                    late.push((*session, asked.clone()));
                }
                keep
            });
        }
        for (session, asked) in late {
            self.fruitless(session, asked);
            // A peer that leaves requests unanswered is of no use as it is.
            self.out.push(Effect::Disconnect {
                session,
                ban_s: None,
            });
        }
    }

    /// What a request was for will not come from this peer.
    fn fruitless(&mut self, session: SessionId, asked: Asked) {
        match asked {
            Asked::Entries { repo, key, .. } | Asked::Proof { repo, key, .. } => {
                self.fetch_over(session, repo, &key);
            }
            Asked::Trie { repo, .. } | Asked::Roots { repo } => {
                if let Some(open) = self.sessions.get_mut(&session) {
                    open.walks.remove(&repo);
                }
            }
            Asked::Hello | Asked::Tags => {}
        }
    }

    /// Adds root documents; true if any was news.
    fn accept_roots(
        &mut self,
        id: RepoId,
        documents: Vec<skep_proto::repo::root::SignedRoot>,
    ) -> bool {
        let Some(repo) = self.repos.get_mut(&id) else {
            return false;
        };
        // They are offered again.
        if self.read_only.is_some() {
            return false;
        }
        let before = repo.version();
        let changes = repo.accept_roots(documents);
        let (news, version) = (!changes.is_empty(), repo.version());
        self.out.extend(changes.into_iter().map(Effect::Persist));
        if !self.repos.get(&id).is_some_and(Repository::is_shared) {
            for session in self.sessions.values_mut() {
                session.shared.remove(&id);
            }
        }
        if version > before {
            self.tell(Event::RootAccepted { repo: id, version });
            self.walk_all(&id);
        }
        news
    }

    pub(super) fn put_root(
        &mut self,
        request: RequestId,
        repo: RepoId,
        root: skep_proto::repo::root::SignedRoot,
    ) {
        if !self.repos.contains_key(&repo) {
            let why = "this node does not follow the repository".to_owned();
            return self.reply(request, Reply::Refused(why));
        }
        let held = |core: &Self| {
            core.repos
                .get(&repo)
                .is_some_and(|r| r.has_document(&root.payload))
        };
        self.accept_roots(repo, vec![root.clone()]);
        let reply = if held(self) {
            Reply::Done
        } else {
            Reply::Refused("the root document does not continue the repository's chain".to_owned())
        };
        self.reply(request, reply);
    }

    /// Compares a repository with every peer that shares it.
    pub(super) fn walk_all(&mut self, repo: &RepoId) {
        let sharing: Vec<SessionId> = self.sharing(repo);
        for session in sharing {
            self.start_walk(session, *repo);
        }
    }

    fn sharing(&self, repo: &RepoId) -> Vec<SessionId> {
        let sharing = self
            .sessions
            .iter()
            .filter(|(_, s)| s.shared.contains(repo));
        sharing.map(|(id, _)| *id).collect()
    }

    pub(super) fn anti_entropy(&mut self) {
        use rand::seq::IndexedRandom as _;
        let repos: Vec<RepoId> = self.repos.keys().copied().collect();
        for repo in repos {
            let sharing = self.sharing(&repo);
            if let Some(session) = sharing.choose(&mut self.dice) {
                self.ask(*session, Asked::Roots { repo });
            }
        }
    }

    fn start_walk(&mut self, session: SessionId, repo: RepoId) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        if !open.shared.contains(&repo) {
            return;
        }
        if let Some(walk) = open.walks.get_mut(&repo) {
            walk.again = true;
            return;
        }
        let walk = Walk {
            prefixes: VecDeque::from([Prefix::default()]),
            ..Walk::default()
        };
        open.walks.insert(repo, walk);
        self.continue_walk(session, repo);
    }

    /// Asks for the next nodes, or finds the walk at its end.
    fn continue_walk(&mut self, session: SessionId, repo: RepoId) {
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        let asking = |asked: &Asked| matches!(asked, Asked::Trie { repo: r, .. } if *r == repo);
        let busy =
            open.asked.values().any(|(asked, _)| asking(asked)) || open.waiting.iter().any(asking);
        let Some(walk) = open.walks.get_mut(&repo) else {
            return;
        };
        if busy {
            return;
        }
        if !walk.prefixes.is_empty() {
            let count = walk.prefixes.len().min(PREFIXES_MAX);
            let prefixes = walk.prefixes.drain(..count).collect();
            return self.ask(session, Asked::Trie { repo, prefixes });
        }
        if !walk.fetching.is_empty() {
            return;
        }
        let again = walk.again;
        open.walks.remove(&repo);
        if again {
            self.start_walk(session, repo);
        } else {
            self.in_step(repo);
        }
    }

    /// A peer was compared with to the end.
    fn in_step(&mut self, repo: RepoId) {
        let known = self.repos.get(&repo).is_some_and(|r| r.version() > 0);
        let (answered, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.awaiting_sync)
            .into_iter()
            .partition(|(_, awaited, _)| known && *awaited == repo);
        self.awaiting_sync = waiting;
        for (id, ..) in answered {
            self.reply(id, Reply::Done);
        }
    }

    fn walked(
        &mut self,
        session: SessionId,
        id: RepoId,
        mut prefixes: Vec<Prefix>,
        nodes: Vec<TrieNode>,
    ) {
        if nodes.is_empty() || nodes.len() > prefixes.len() {
            return self.misbehaved_in(
                session,
                "an answer with no node, or more than were asked for",
            );
        }
        let unanswered = prefixes.split_off(nodes.len());
        let mut differing: Vec<Prefix> = unanswered;
        let mut records = Vec::new();
        let Some(repo) = self.repos.get(&id) else {
            return;
        };
        for (prefix, node) in prefixes.into_iter().zip(nodes) {
            match node {
                TrieNode::Children(hashes) => {
                    differing.extend(repo.differing_children(&prefix, &hashes));
                }
                TrieNode::Records(found) => records.extend(found),
            }
        }
        if let Some(walk) = self
            .sessions
            .get_mut(&session)
            .and_then(|open| open.walks.get_mut(&id))
        {
            walk.prefixes.extend(differing);
        }
        for record in records {
            self.consider(session, id, record);
        }
        self.continue_walk(session, id);
    }

    fn pushed(&mut self, session: SessionId, push: Push) {
        let (Push::Checkpoints { repo, .. } | Push::Evidence { repo, .. }) = &push;
        let repo = *repo;
        let shared = |s: &Session| s.shared.contains(&repo);
        if !self.sessions.get(&session).is_some_and(shared) {
            return;
        }
        match push {
            Push::Checkpoints { checkpoints, .. } => {
                for checkpoint in checkpoints {
                    self.consider(session, repo, Record::Log(checkpoint));
                }
            }
            Push::Evidence { evidence, .. } => {
                self.consider(session, repo, Record::Forked(evidence))
            }
        }
    }

    /// What a peer says of one log, against what we hold.
    fn consider(&mut self, session: SessionId, id: RepoId, record: Record) {
        let now = self.now;
        let (Some(repo), Some(open)) = (self.repos.get(&id), self.sessions.get_mut(&session))
        else {
            return;
        };
        let (key, checkpoint) = match record {
            Record::Forked(evidence) => {
                if repo.wants_evidence(evidence.key()) && open.may_check(now) {
                    match Claimed(evidence).verify(&id) {
                        Ok(evidence) => self.keep_evidence(id, evidence.into_inner()),
                        Err(error) => self.misbehaved_in(session, &error.to_string()),
                    }
                }
                return;
            }
            Record::Log(checkpoint) => (checkpoint.key, checkpoint),
            // Until branches that a cut names are fetched, a cut log is followed by its checkpoint.
            Record::Cut {
                key,
                checkpoint: Some(checkpoint),
                ..
            } if key == checkpoint.key => (key, checkpoint),
            Record::Cut { .. } => return,
        };
        if !repo.is_admitted(&key) || repo.holds(&checkpoint) || !repo.fits(&checkpoint) {
            return;
        }
        if !open.may_check(now) {
            return;
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return self.misbehaved_in(session, "a checkpoint with a false signature");
        };
        let checkpoint = checkpoint.into_inner();
        match repo.standing(&checkpoint) {
            Standing::Ahead => self.fetch(session, id, checkpoint),
            Standing::Consistent => {}
            Standing::Contradicts(Contradiction::Proven(evidence)) => {
                self.keep_evidence(id, *evidence);
            }
            Standing::Contradicts(Contradiction::Unproven) => {}
        }
    }

    /// Begins to fetch what a log lacks, unless some session already does.
    fn fetch(&mut self, session: SessionId, id: RepoId, target: Checkpoint) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        let key = target.key;
        if self.read_only.is_some() || !repo.claim(&key, session) {
            return;
        }
        let from = repo.size(&key);
        if let Some(walk) = self
            .sessions
            .get_mut(&session)
            .and_then(|open| open.walks.get_mut(&id))
        {
            walk.fetching.insert(key);
        }
        let target = Box::new(target);
        self.ask(
            session,
            Asked::Entries {
                repo: id,
                key,
                from,
                target,
            },
        );
    }

    fn fetch_over(&mut self, session: SessionId, id: RepoId, key: &Key) {
        if let Some(repo) = self.repos.get_mut(&id) {
            repo.unclaim(key, session);
        }
        if let Some(walk) = self
            .sessions
            .get_mut(&session)
            .and_then(|open| open.walks.get_mut(&id))
        {
            walk.fetching.remove(key);
        }
        self.continue_walk(session, id);
    }

    #[expect(clippy::too_many_arguments, reason = "what was asked, and what came")]
    fn received(
        &mut self,
        session: SessionId,
        id: RepoId,
        key: Key,
        from: u64,
        target: Checkpoint,
        entries: Vec<Vec<u8>>,
        proof: &[Sha256],
    ) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        if entries.is_empty() {
            return self.misbehaved_in(session, "an answer without entries");
        }
        // The author's own tool may have appended meanwhile.
        if repo.size(&key) != from {
            return self.fetch_over(session, id, &key);
        }
        if !repo.proves(&key, &entries, &target, proof) {
            let Some(m) = repo.whole_size(&key) else {
                return self.misbehaved_in(session, "entries that are not under their checkpoint");
            };
            let n = target.size;
            return self.ask(
                session,
                Asked::Proof {
                    repo: id,
                    key,
                    m,
                    n,
                },
            );
        }
        let more = self.commit(id, key, entries, target.clone(), Some(session));
        match more {
            true => {
                let from = from_size(self, &id, &key);
                let target = Box::new(target);
                self.ask(
                    session,
                    Asked::Entries {
                        repo: id,
                        key,
                        from,
                        target,
                    },
                );
            }
            false => self.fetch_over(session, id, &key),
        }
    }

    /// Takes verified entries; true if the checkpoint is still ahead of them.
    fn commit(
        &mut self,
        id: RepoId,
        key: Key,
        entries: Vec<Vec<u8>>,
        target: Checkpoint,
        source: Option<SessionId>,
    ) -> bool {
        let Some(repo) = self.repos.get_mut(&id) else {
            return false;
        };
        let committed = repo.commit(&key, entries, target.clone());
        if let Some(change) = committed.change {
            self.out.push(Effect::Persist(change));
        }
        self.unseen = true;
        if committed.whole {
            let size = target.size;
            self.tell(Event::LogAdvanced {
                repo: id,
                key,
                size,
            });
            let registrar = self.repos.get(&id).is_some_and(|r| r.is_registrar(&key));
            self.announce(id, target, source);
            if registrar {
                // Keys that were not admitted before may be now.
                self.refresh_views();
                self.walk_all(&id);
            }
        }
        committed.more
    }

    /// Pushes a checkpoint to everybody who shares the repository, but for whom it came from.
    fn announce(&mut self, id: RepoId, checkpoint: Checkpoint, source: Option<SessionId>) {
        for session in self.sharing(&id) {
            if Some(session) != source {
                let push = Push::Checkpoints {
                    repo: id,
                    checkpoints: vec![checkpoint.clone()],
                };
                let message = Message::Push(push);
                self.out.push(Effect::Send { session, message });
            }
        }
        if source.is_none() {
            let now = self.now;
            if let Some(repo) = self.repos.get_mut(&id) {
                repo.gossip_later(checkpoint.key, now);
            }
            self.gossip_due();
        }
    }

    /// Gossips what may be gossiped now: of each log at most once a second, the newest.
    pub(super) fn gossip_due(&mut self) {
        let now = self.now;
        for repo in self.repos.values_mut().filter(|repo| repo.is_public()) {
            let topic = repo.topic();
            for checkpoint in repo.take_gossip(now) {
                let data = checkpoint.to_bytes();
                self.out.push(Effect::Gossip { topic, data });
            }
        }
    }

    fn keep_evidence(&mut self, id: RepoId, evidence: ForkEvidence) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        let key = *evidence.key();
        if !repo.wants_evidence(&key) || self.read_only.is_some() {
            return;
        }
        let change = repo.keep_evidence(evidence.clone());
        self.out.push(Effect::Persist(change));
        self.unseen = true;
        self.tell(Event::Forked { repo: id, key });
        for session in self.sharing(&id) {
            let push = Push::Evidence {
                repo: id,
                evidence: evidence.clone(),
            };
            let message = Message::Push(push);
            self.out.push(Effect::Send { session, message });
        }
    }

    /// The peer says how our prefix relates to the checkpoint that contradicts it: its answer is
    /// either the evidence of a fork, or false.
    fn contradiction_explained(
        &mut self,
        session: SessionId,
        id: RepoId,
        (key, m, n): (Key, u64, u64),
        root: Sha256,
        proof: Vec<Sha256>,
        checkpoint: Checkpoint,
    ) {
        self.fetch_over(session, id, &key);
        let ours = self
            .repos
            .get(&id)
            .and_then(|repo| repo.whole(&key).cloned())
            .filter(|ours| ours.size == m);
        let Some(ours) = ours else {
            return;
        };
        if checkpoint.key != key || checkpoint.size != n {
            return self.misbehaved_in(session, "a proof for another checkpoint");
        }
        match ForkEvidence::between(&id, &ours, &checkpoint, root, &proof) {
            Ok(evidence) => self.keep_evidence(id, evidence.into_inner()),
            Err(_) => self.misbehaved_in(session, "a proof that proves nothing"),
        }
    }

    /// Entries that the author's tool signed: taken as a peer's, compare-and-swap on the size.
    pub(super) fn append(
        &mut self,
        request: RequestId,
        id: RepoId,
        key: Key,
        entries: Vec<Vec<u8>>,
        checkpoint: Checkpoint,
    ) {
        let refuse = |why: &str| Reply::Refused(why.to_owned());
        let Some(repo) = self.repos.get(&id) else {
            return self.reply(request, refuse("this node does not follow the repository"));
        };
        if repo.holds(&checkpoint) {
            return self.reply(request, Reply::Done);
        }
        let added = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if checkpoint.size.checked_sub(added) != Some(repo.size(&key)) {
            let size = repo.size(&key);
            return self.reply(request, Reply::Size(size));
        }
        if !repo.is_admitted(&key) {
            let why = "the repository does not list this key: its log is not admitted";
            return self.reply(request, refuse(why));
        }
        if !repo.fits(&checkpoint) {
            return self.reply(request, refuse("the log is full"));
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return self.reply(request, refuse("the checkpoint's signature is false"));
        };
        let checkpoint = checkpoint.into_inner();
        if checkpoint.key != key || !repo.proves(&key, &entries, &checkpoint, &[]) {
            return self.reply(
                request,
                refuse("the entries are not under their checkpoint"),
            );
        }
        self.commit(id, key, entries, checkpoint, None);
        self.reply(request, Reply::Done);
    }

    pub(super) fn gossiped(&mut self, id: GossipId, from: NodeId, topic: &[u8; 32], data: &[u8]) {
        let verdict = self.judge_gossip(from, topic, data);
        self.out.push(Effect::Judge { id, verdict });
        if verdict == Verdict::Reject {
            self.misbehaved(
                from,
                "gossip that is no checkpoint, or a forged one".to_owned(),
            );
        }
    }

    fn judge_gossip(&mut self, from: NodeId, topic: &[u8; 32], data: &[u8]) -> Verdict {
        let Some(repo) = self.repos.values().find(|repo| repo.topic() == *topic) else {
            return Verdict::Ignore;
        };
        let id = repo.id;
        let Ok(Claimed(checkpoint)) = Checkpoint::from_bytes(data) else {
            return Verdict::Reject;
        };
        let news = repo.size(&checkpoint.key) < checkpoint.size;
        if !repo.is_admitted(&checkpoint.key) || !repo.fits(&checkpoint) || !news {
            return Verdict::Ignore;
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return Verdict::Reject;
        };
        let session = self
            .sessions
            .iter()
            .find(|(_, s)| s.peer == from && s.shared.contains(&id))
            .map(|(session, _)| *session);
        if let Some(session) = session {
            self.consider(session, id, Record::Log(checkpoint.into_inner()));
        }
        Verdict::Accept
    }

    /// Computes the views that changed.
    pub(super) fn refresh_views(&mut self) {
        let mut news = Vec::new();
        for repo in self.repos.values_mut() {
            if repo.refresh() {
                news.push(Event::ViewChanged {
                    repo: repo.id,
                    view_hash: repo.view_hash(),
                });
            }
        }
        if !news.is_empty() {
            self.unseen = true;
        }
        self.out.extend(news.into_iter().map(Effect::Tell));
    }
}

fn from_size(core: &Core, repo: &RepoId, key: &Key) -> u64 {
    core.repos.get(repo).map_or(0, |repo| repo.size(key))
}

pub(super) fn hello(nonce: [u8; 32]) -> Hello {
    Hello {
        versions: vec![VERSION],
        nonce,
        frame_bytes_max: FRAME_BYTES_MAX as u64,
    }
}
