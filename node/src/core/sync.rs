//! Catching up: what a peer has that we lack, asked for and verified.
//!
//! With every peer that shares a repository: its root documents first, then a walk over its
//! frontier trie into the parts that differ from ours, and for each log that is ahead of ours its
//! entries. What was dropped because the registrar's log was not here yet is found by walking
//! again. This module is the dialogue of a session: requests, answers, and what becomes of those that
//! are not answered.

mod carry;
mod gossip;
pub(in crate::core) mod greet;
mod logs;
mod walk;

use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::wire::{Answer, ENTRIES_MAX, Message, Refusal, Request};

use super::Core;
use super::effect::{Effect, Event};
use super::input::SessionId;
use super::session::{ASKED_MAX, Asked, Session};

impl Core {
    pub(in crate::core) fn connected(
        &mut self,
        session: SessionId,
        peer: NodeId,
        opener: bool,
        nonce: [u8; 32],
    ) {
        self.sessions
            .insert(session, Session::new(peer, opener, nonce));
        self.unseen = true;
        self.exchange.peer_back(&peer);
        self.tell(Event::Connected { peer });
        if opener {
            self.ask(session, Asked::Hello);
        }
    }

    pub(in crate::core) fn closed(&mut self, session: SessionId) {
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

    pub(in crate::core) fn heard(&mut self, session: SessionId, frame: &[u8]) {
        let open = self.sessions.get(&session).filter(|s| !s.banned);
        let Some(peer) = open.map(|s| s.peer) else {
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
    pub(in crate::core) fn misbehaved(&mut self, peer: NodeId, what: String) {
        self.remember_lie(peer, &what);
        self.tell(Event::Misbehaved { peer, what });
        let sessions = self.sessions.iter_mut().filter(|(_, s)| s.peer == peer);
        for (session, open) in sessions {
            open.banned = true;
            self.out.push(Effect::Disconnect {
                session: *session,
                ban_s: Some(super::peers::BAN_S),
            });
        }
    }

    pub(in crate::core) fn misbehaved_in(&mut self, session: SessionId, what: &str) {
        if let Some(peer) = self.sessions.get(&session).map(|s| s.peer) {
            self.misbehaved(peer, what.to_owned());
        }
    }

    /// Sends a request, or lets it wait for a free place.
    pub(in crate::core) fn ask(&mut self, session: SessionId, asked: Asked) {
        let tags = matches!(asked, Asked::Tags).then(|| self.tags(session));
        let Some(open) = self.sessions.get_mut(&session) else {
            return;
        };
        if open.asked.len() >= ASKED_MAX {
            open.waiting.push_back(asked);
            return;
        }
        let request = match &asked {
            Asked::Hello => Request::Hello(greet::hello(open.nonce)),
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
            } => {
                let (size, root) = target.end();
                Request::Get {
                    repo: *repo,
                    key: *key,
                    from: *from,
                    to: size.min(from.saturating_add(ENTRIES_MAX)),
                    size,
                    root,
                }
            }
            Asked::Proof {
                repo,
                key,
                m,
                target,
            } => Request::Proof {
                repo: *repo,
                key: *key,
                m: *m,
                n: target.checkpoint.size,
            },
        };
        let id = open.ask(asked, self.now);
        let message = Message::Request { id, request };
        self.out.push(Effect::Send { session, message });
    }

    pub(in crate::core) fn answered(&mut self, session: SessionId, id: u32, answer: Answer) {
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
                Asked::Proof {
                    repo, m, target, ..
                },
                Answer::Proof {
                    root,
                    proof,
                    checkpoint,
                },
            ) => {
                let answer = (root, proof, checkpoint);
                self.contradiction_explained(session, repo, (m, *target), answer);
            }
            _ => return self.misbehaved_in(session, "an answer of another kind than the request"),
        }
        self.ask_waiting(session);
    }

    pub(in crate::core) fn ask_waiting(&mut self, session: SessionId) {
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

    pub(in crate::core) fn refused(&mut self, session: SessionId, id: Option<u32>, _: Refusal) {
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
    pub(in crate::core) fn overdue(&mut self) {
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
    pub(in crate::core) fn fruitless(&mut self, session: SessionId, asked: Asked) {
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

    pub(in crate::core) fn sharing(&self, repo: &RepoId) -> Vec<SessionId> {
        let sharing = self
            .sessions
            .iter()
            .filter(|(_, s)| s.shared.contains(repo));
        sharing.map(|(id, _)| *id).collect()
    }
}
