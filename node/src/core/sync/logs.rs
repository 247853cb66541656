//! Fetching what a log lacks.
//!
//! A checkpoint ahead of what is held is followed entry by entry, each batch proven to lie under it.
//! One that contradicts what is held becomes fork evidence, or the peer's fault. Where a cut names
//! another branch than the one held, that is fetched from its beginning.

use skep_proto::claimed::Claimed;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::entry::Mark;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::log::tree::verify_consistency;
use skep_proto::repo::sequence::LogUse;
use skep_proto::sync::wire::{Message, Push, Record};

use crate::core::Core;
use crate::core::effect::{Effect, Event, Reply};
use crate::core::input::{RequestId, SessionId};
use crate::core::repository::{Contradiction, CutProof, Standing, Target};
use crate::core::session::Asked;

impl Core {
    /// What a peer says of one log, against what we hold.
    pub(in crate::core) fn consider(&mut self, session: SessionId, id: RepoId, record: Record) {
        match record {
            Record::Forked(evidence) => self.consider_evidence(session, id, evidence),
            Record::Log(checkpoint) => self.consider_checkpoint(session, id, checkpoint),
            // What ends before its first entry needs nothing from anybody.
            Record::Cut { size: 0, .. } => {}
            Record::Cut {
                key,
                size,
                root,
                checkpoint: Some(checkpoint),
                proof,
            } => {
                let mark = Mark { key, size, root };
                let cut = CutProof {
                    mark,
                    checkpoint,
                    proof,
                };
                self.consider_cut(session, id, cut);
            }
            Record::Cut { .. } => self.misbehaved_in(session, "a cut log without its checkpoint"),
        }
    }

    fn consider_evidence(&mut self, session: SessionId, id: RepoId, evidence: ForkEvidence) {
        let now = self.now;
        let (Some(repo), Some(open)) = (self.repos.get(&id), self.sessions.get_mut(&session))
        else {
            return;
        };
        if repo.wants_evidence(evidence.key()) {
            if !open.may_check(now) {
                return open.pause(&id, now);
            }
            match Claimed(evidence).verify(&id) {
                Ok(evidence) => self.keep_evidence(id, evidence.into_inner()),
                Err(error) => self.misbehaved_in(session, &error.to_string()),
            }
        }
    }

    fn consider_checkpoint(&mut self, session: SessionId, id: RepoId, checkpoint: Checkpoint) {
        let Some(repo) = self.repos.get(&id) else {
            return;
        };
        if repo.holds(&checkpoint) {
            return self.confirm(id, &checkpoint.key);
        }
        if !repo.is_admitted(&checkpoint.key) || !repo.has_room_for(&checkpoint) {
            return;
        }
        let Some(checkpoint) = self.verified(session, id, checkpoint) else {
            return;
        };
        let Some(repo) = self.repos.get(&id) else {
            return;
        };
        match repo.standing(&checkpoint) {
            Standing::Ahead => self.fetch(session, id, Target::whole(checkpoint)),
            Standing::Consistent => {}
            Standing::Contradicts(Contradiction::Proven(evidence)) => {
                self.keep_evidence(id, *evidence);
            }
            Standing::Contradicts(Contradiction::Unproven) => {}
        }
    }

    /// A peer holds what we hold of a log.
    pub(in crate::core) fn confirm(&mut self, id: RepoId, key: &Key) {
        // It would have to be remembered: a full disk would end every session with whoever confirms it.
        if self.read_only.is_some() {
            return;
        }
        if let Some(repo) = self.repos.get_mut(&id) {
            let change = repo.confirm(key);
            self.out.extend(change.map(Effect::Persist));
            self.unseen = true;
        }
    }

    /// A peer holds a log to where a cut ends it. Of interest if we know of that cut, and hold less
    /// or another branch.
    fn consider_cut(&mut self, session: SessionId, id: RepoId, cut: CutProof) {
        let Some(repo) = self.repos.get(&id) else {
            return;
        };
        let Mark { key, size, root } = cut.mark;
        if repo.use_of(&key) != (LogUse::NotHeld { size, root }) {
            return;
        }
        if !cut.is_consistent() {
            return self.misbehaved_in(session, "a proof that the cut log's checkpoint refutes");
        }
        let Some(checkpoint) = self.verified(session, id, cut.checkpoint.clone()) else {
            return;
        };
        self.fetch(session, id, Target::cut(CutProof { checkpoint, ..cut }));
    }

    /// The checkpoint with the cosignatures that verify; none if its signature is false, which is
    /// the peer's fault, or if the peer has cost us enough checks for now.
    fn verified(
        &mut self,
        session: SessionId,
        id: RepoId,
        checkpoint: Checkpoint,
    ) -> Option<Checkpoint> {
        let now = self.now;
        let witnesses = self.repos.get(&id)?.witnesses();
        let open = self.sessions.get_mut(&session)?;
        if !open.may_check(now) {
            open.pause(&id, now);
            return None;
        }
        match Claimed(checkpoint).verify(&id, &witnesses) {
            Ok(checkpoint) => Some(checkpoint.into_inner()),
            Err(_) => {
                self.misbehaved_in(session, "a checkpoint with a false signature");
                None
            }
        }
    }

    /// Begins to fetch what a log lacks, unless some session already does.
    fn fetch(&mut self, session: SessionId, id: RepoId, target: Target) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        let key = target.checkpoint.key;
        if self.read_only.is_some() {
            return;
        }
        let free = repo.claim(&key, session);
        let open = self.sessions.get_mut(&session);
        let walk = open.and_then(|open| open.walks.get_mut(&id));
        if let Some(walk) = walk {
            match free {
                true => walk.fetching.insert(key),
                false => walk.blocked.insert(key),
            };
        }
        if !free {
            return;
        }
        // As many entries as the cut keeps, or more, and not that root: another branch.
        if repo.size(&key) >= target.end().0 {
            let change = repo.make_room(&key);
            self.out.extend(change.map(Effect::Persist));
        }
        self.ask_entries(session, id, target);
    }

    /// Asks for what comes after what is held.
    fn ask_entries(&mut self, session: SessionId, repo: RepoId, target: Target) {
        let key = target.checkpoint.key;
        let from = self.repos.get(&repo).map_or(0, |repo| repo.size(&key));
        let target = Box::new(target);
        let asked = Asked::Entries {
            repo,
            key,
            from,
            target,
        };
        self.ask(session, asked);
    }

    pub(in crate::core) fn fetch_over(&mut self, session: SessionId, id: RepoId, key: &Key) {
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
    pub(in crate::core) fn received(
        &mut self,
        session: SessionId,
        id: RepoId,
        key: Key,
        from: u64,
        target: Target,
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
        if !repo.proves(&key, &entries, target.end(), proof) {
            return self.unproven(session, id, target);
        }
        let more = self.commit(id, key, entries, &target, Some(session));
        match more {
            true => self.ask_entries(session, id, target),
            false => self.fetch_over(session, id, &key),
        }
    }

    /// What came does not continue what is held: either that is of another branch than the target,
    /// or the peer lies. From the first entry on only the second is possible.
    fn unproven(&mut self, session: SessionId, id: RepoId, target: Target) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        let key = target.checkpoint.key;
        if repo.size(&key) == 0 {
            return self.misbehaved_in(session, "entries that are not under their checkpoint");
        }
        if target.cut.is_some() {
            let change = repo.make_room(&key);
            self.out.extend(change.map(Effect::Persist));
            return self.ask_entries(session, id, target);
        }
        let Some(m) = repo.whole(&key).map(|whole| whole.size) else {
            return self.fetch_again(session, id, target);
        };
        let target = Box::new(target);
        self.ask(
            session,
            Asked::Proof {
                repo: id,
                key,
                m,
                target,
            },
        );
    }

    /// What was fetched beyond the last whole checkpoint is of another branch than the target.
    fn fetch_again(&mut self, session: SessionId, id: RepoId, target: Target) {
        let Some(repo) = self.repos.get_mut(&id) else {
            return;
        };
        match repo.drop_remainder(&target.checkpoint.key) {
            Some(change) => {
                self.out.push(Effect::Persist(change));
                self.ask_entries(session, id, target);
            }
            None => self.misbehaved_in(session, "entries that are not under their checkpoint"),
        }
    }

    /// The peer says how our whole prefix relates to the target that its entries did not lead to: the
    /// answer is the evidence of a fork, or says that only what came after the prefix is of another
    /// branch, or is false.
    pub(in crate::core) fn contradiction_explained(
        &mut self,
        session: SessionId,
        id: RepoId,
        (m, target): (u64, Target),
        (root, proof, checkpoint): (Sha256, Vec<Sha256>, Checkpoint),
    ) {
        let key = target.checkpoint.key;
        let (size, end) = target.end();
        if (checkpoint.key, checkpoint.size, checkpoint.root) != (key, size, end) {
            return self.misbehaved_in(session, "a proof for another checkpoint");
        }
        let ours = self.repos.get(&id).and_then(|repo| repo.whole(&key));
        let Some(ours) = ours.filter(|ours| ours.size == m).cloned() else {
            return self.fetch_over(session, id, &key);
        };
        if root == ours.root && verify_consistency(m, &root, size, &end, &proof).is_ok() {
            return self.fetch_again(session, id, target);
        }
        match ForkEvidence::between(&id, &ours, &checkpoint, root, &proof) {
            Ok(evidence) => {
                self.keep_evidence(id, evidence.into_inner());
                self.fetch_over(session, id, &key);
            }
            Err(_) => self.misbehaved_in(session, "a proof that proves nothing"),
        }
    }

    /// Takes verified entries; true if what they lead to is still ahead of them.
    pub(super) fn commit(
        &mut self,
        id: RepoId,
        key: Key,
        entries: Vec<Vec<u8>>,
        target: &Target,
        source: Option<SessionId>,
    ) -> bool {
        let Some(repo) = self.repos.get_mut(&id) else {
            return false;
        };
        let committed = repo.commit(&key, entries, target);
        self.out
            .extend(committed.changes.into_iter().map(Effect::Persist));
        self.unseen = true;
        if committed.whole || !committed.more {
            let size = self.repos.get(&id).map_or(0, |repo| repo.size(&key));
            self.tell(Event::LogAdvanced {
                repo: id,
                key,
                size,
            });
            let registrar = self.repos.get(&id).is_some_and(|r| r.is_registrar(&key));
            if committed.whole {
                self.announce(id, target.checkpoint.clone(), source);
                if source.is_some() {
                    self.confirm(id, &key);
                }
            }
            if registrar {
                // Keys that were not admitted before may be now.
                self.refresh_views();
                self.walk_all(&id);
            }
        }
        committed.more
    }

    /// Entries that the author's tool signed: taken as a peer's, compare-and-swap on the size.
    pub(in crate::core) fn append(
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
        // What a cut keeps and nobody has brought yet is still to come: without it nothing counts.
        let beyond = match repo.use_of(&key) {
            LogUse::UpTo { .. } => true,
            LogUse::NotHeld { size, .. } => checkpoint.size > size,
            LogUse::Whole | LogUse::Forked => false,
        };
        if beyond {
            let why = "the key was cut: nothing that it says from now on counts";
            return self.reply(request, refuse(why));
        }
        if repo.use_of(&key) == LogUse::Forked {
            let why = "two branches of this key's log are known: nothing of it counts until its \
                       repository's registrar cuts it where one of them is to stay";
            return self.reply(request, refuse(why));
        }
        if !repo.has_room_for(&checkpoint) {
            return self.reply(request, refuse("the log is full"));
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return self.reply(request, refuse("the checkpoint's signature is false"));
        };
        let target = Target::whole(checkpoint.into_inner());
        if target.checkpoint.key != key || !repo.proves(&key, &entries, target.end(), &[]) {
            return self.reply(
                request,
                refuse("the entries are not under their checkpoint"),
            );
        }
        self.commit(id, key, entries, &target, None);
        self.reply(request, Reply::Done);
    }

    pub(in crate::core) fn keep_evidence(&mut self, id: RepoId, evidence: ForkEvidence) {
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
}
