//! The beginning of a session: what both ends follow, found out with tags, so that who does not know
//! a repository's id learns nothing of it.

use skep_proto::id::RepoId;
use skep_proto::sync::wire::{
    Answer, FRAME_BYTES_MAX, Hello, TAGS_MAX, TAGS_PADDING, Tag, VERSION, tag,
};

use crate::core::Core;
use crate::core::input::SessionId;
use crate::core::session::{Asked, Session};

impl Core {
    pub(in crate::core) fn send_tags(&mut self, session: SessionId) {
        let known = |s: &Session| s.their_nonce.is_some();
        if self.sessions.get(&session).is_some_and(known) {
            self.ask(session, Asked::Tags);
        }
    }

    /// Our tags in a session: one for every repository we follow, padded with random ones.
    pub(in crate::core) fn tags(&mut self, session: SessionId) -> Vec<Tag> {
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

    pub(in crate::core) fn tag_of(&self, open: &Session, repo: &RepoId, role: u8) -> Option<Tag> {
        let theirs = open.their_nonce?;
        let (me, them) = ((self.me.key(), &open.nonce), (open.peer.key(), &theirs));
        let (opener, other) = if open.opener { (me, them) } else { (them, me) };
        Some(tag(repo, opener, other, role))
    }

    /// The tags that a peer sent, as `Answer` to the same: what both follow is compared from now on.
    pub(in crate::core) fn learn_tags(&mut self, session: SessionId, theirs: &[Tag]) {
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
            let now = self.now;
            let may = |open: &mut Session| open.may_greet(now, repo);
            if !self.sessions.get_mut(&session).is_some_and(may) {
                continue;
            }
            self.ask(session, Asked::Roots { repo });
        }
    }

    pub(in crate::core) fn their_hello(&mut self, session: SessionId, hello: &Hello) -> bool {
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

    pub(in crate::core) fn our_answer_to_hello(&self, session: SessionId) -> Option<Answer> {
        let open = self.sessions.get(&session)?;
        Some(Answer::Hello(hello(open.nonce)))
    }

    pub(in crate::core) fn our_tags(&mut self, session: SessionId) -> Answer {
        Answer::Tags(self.tags(session))
    }
}

pub(in crate::core) fn hello(nonce: [u8; 32]) -> Hello {
    Hello {
        versions: vec![VERSION],
        nonce,
        frame_bytes_max: FRAME_BYTES_MAX as u64,
    }
}
