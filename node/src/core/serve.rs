//! Answering peers. What is not here and what is not for them look the same.

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{Answer, Message, Refusal, Request};

use super::Core;
use super::effect::Effect;
use super::input::SessionId;

impl Core {
    pub(super) fn serve(&mut self, session: SessionId, id: u32, request: Request) {
        let answer = match request {
            Request::Hello(hello) => {
                if !self.their_hello(session, &hello) {
                    return;
                }
                self.our_answer_to_hello(session)
            }
            Request::Tags(tags) => {
                if !self.greeted(session) {
                    return self.refuse(session, id);
                }
                let ours = self.our_tags(session);
                let message = Message::Answer { id, answer: ours };
                self.out.push(Effect::Send { session, message });
                return self.learn_tags(session, &tags);
            }
            Request::Roots { repo, have } => {
                self.shared(session, &repo).then(|| self.roots(&repo, have))
            }
            Request::Trie { repo, prefixes } => self
                .shared(session, &repo)
                .then(|| self.trie(&repo, &prefixes)),
            Request::Get {
                repo,
                key,
                from,
                to,
                size,
                root,
            } => {
                if !self.shared(session, &repo) {
                    return self.refuse(session, id);
                }
                return self.entries(session, id, repo, key, (from, to), (size, root));
            }
            Request::Proof { repo, key, m, n } => {
                if !self.shared(session, &repo) {
                    return self.refuse(session, id);
                }
                let now = self.now;
                let open = self.sessions.get_mut(&session);
                if !open.is_some_and(|open| open.may_prove(now, repo, key)) {
                    return self.refuse_for_now(session, id);
                }
                self.proof(&repo, &key, m, n)
            }
        };
        match answer {
            Some(answer) => {
                let message = Message::Answer { id, answer };
                self.out.push(Effect::Send { session, message });
            }
            None => self.refuse(session, id),
        }
    }

    fn refuse(&mut self, session: SessionId, id: u32) {
        let message = Message::Refusal {
            id: Some(id),
            refusal: Refusal::NotFound,
        };
        self.out.push(Effect::Send { session, message });
    }

    fn refuse_for_now(&mut self, session: SessionId, id: u32) {
        let message = Message::Refusal {
            id: Some(id),
            refusal: Refusal::Busy { retry_after_s: 1 },
        };
        self.out.push(Effect::Send { session, message });
    }

    fn greeted(&self, session: SessionId) -> bool {
        let session = self.sessions.get(&session);
        session.is_some_and(|s| s.their_nonce.is_some())
    }

    fn shared(&self, session: SessionId, repo: &RepoId) -> bool {
        let session = self.sessions.get(&session);
        session.is_some_and(|s| s.shared.contains(repo)) && self.repos.contains_key(repo)
    }

    fn roots(&self, repo: &RepoId, have: u64) -> Answer {
        let (documents, more) = self
            .repos
            .get(repo)
            .map(|repo| repo.documents_above(have))
            .unwrap_or_default();
        Answer::roots_that_fit(documents, more)
    }

    fn trie(&self, repo: &RepoId, prefixes: &[Prefix]) -> Answer {
        let nodes = self.repos.get(repo).map(|repo| {
            let nodes = prefixes.iter().map(|prefix| repo.trie_node(prefix));
            nodes.collect()
        });
        Answer::trie_that_fits(nodes.unwrap_or_default())
    }

    fn entries(
        &mut self,
        session: SessionId,
        request: u32,
        id: RepoId,
        key: Key,
        (from, to): (u64, u64),
        (size, root): (u64, Sha256),
    ) {
        let served = self
            .repos
            .get(&id)
            .and_then(|repo| repo.serve_entries(&key, from, to, size, &root));
        match served {
            Some((to, proof)) => {
                self.out.push(Effect::SendEntries {
                    session,
                    request,
                    repo: id,
                    key,
                    from,
                    to,
                    proof,
                });
                let whole = self.repos.get(&id).and_then(|repo| repo.whole(&key));
                if whole.is_some_and(|whole| whole.size == to) {
                    self.confirm(id, &key);
                }
            }
            None => self.refuse(session, request),
        }
    }

    fn proof(&self, repo: &RepoId, key: &Key, m: u64, n: u64) -> Option<Answer> {
        let (root, proof, checkpoint) = self.repos.get(repo)?.serve_proof(key, m, n)?;
        Some(Answer::Proof {
            root,
            proof,
            checkpoint,
        })
    }
}
