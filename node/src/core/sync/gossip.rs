//! Telling and being told of new checkpoints: it saves time, correctness rests on the walks.

use skep_proto::claimed::Claimed;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::sync::wire::{Message, Push, Record};

use crate::core::Core;
use crate::core::effect::{Effect, Verdict};
use crate::core::input::{GossipId, SessionId};
use crate::core::session::Session;

impl Core {
    pub(in crate::core) fn pushed(&mut self, session: SessionId, push: Push) {
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

    /// Pushes a checkpoint to everybody who shares the repository, but for whom it came from.
    pub(in crate::core) fn announce(
        &mut self,
        id: RepoId,
        checkpoint: Checkpoint,
        source: Option<SessionId>,
    ) {
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
    pub(in crate::core) fn gossip_due(&mut self) {
        let now = self.now;
        for repo in self.repos.values_mut().filter(|repo| repo.is_public()) {
            let topic = repo.topic();
            for checkpoint in repo.take_gossip(now) {
                let data = checkpoint.to_bytes();
                self.out.push(Effect::Gossip { topic, data });
            }
        }
    }

    pub(in crate::core) fn gossiped(
        &mut self,
        id: GossipId,
        from: NodeId,
        topic: &[u8; 32],
        data: &[u8],
    ) {
        let verdict = self.judge_gossip(from, topic, data);
        self.out.push(Effect::Judge { id, verdict });
        if verdict == Verdict::Reject {
            self.misbehaved(
                from,
                "gossip that is no checkpoint, or a forged one".to_owned(),
            );
        }
    }

    pub(in crate::core) fn judge_gossip(
        &mut self,
        from: NodeId,
        topic: &[u8; 32],
        data: &[u8],
    ) -> Verdict {
        let Some(repo) = self.repos.values().find(|repo| repo.topic() == *topic) else {
            return Verdict::Ignore;
        };
        let id = repo.id;
        let Ok(Claimed(checkpoint)) = Checkpoint::from_bytes(data) else {
            return Verdict::Reject;
        };
        let news = repo.size(&checkpoint.key) < checkpoint.size;
        if !repo.is_admitted(&checkpoint.key) || !repo.has_room_for(&checkpoint) || !news {
            return Verdict::Ignore;
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return Verdict::Reject;
        };
        // Cosignatures are not under the log's signature: anybody can make another message of a
        // checkpoint by adding false ones or leaving some out. Those are heard and not passed on.
        let as_sent = checkpoint.to_bytes() == data;
        let now = self.now;
        let repo = self.repos.get_mut(&id);
        let passes = as_sent && repo.is_some_and(|repo| repo.may_pass_on(&checkpoint.key, now));
        let session = self
            .sessions
            .iter()
            .find(|(_, s)| s.peer == from && s.shared.contains(&id))
            .map(|(session, _)| *session);
        if let Some(session) = session {
            self.consider(session, id, Record::Log(checkpoint.into_inner()));
        }
        match passes {
            true => Verdict::Accept,
            false => Verdict::Ignore,
        }
    }
}
