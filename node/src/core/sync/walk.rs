//! Walking over a peer's frontier trie into the parts that differ from ours, after its root documents.

use skep_proto::id::RepoId;
use skep_proto::repo::root::SignedRoot;
use skep_proto::sync::trie::Prefix;
use skep_proto::sync::wire::{PREFIXES_MAX, TrieNode};

use crate::core::effect::{Effect, Event, Reply};
use crate::core::input::{RequestId, SessionId};
use crate::core::repository::Repository;
use crate::core::session::{Asked, WALK_PREFIXES_MAX, Walk};
use crate::core::{Core, Time};

/// Longest prefix that has children, in nibbles: below a longer one, more keys than one node has
/// records would agree in 128 bits of a hash, which nobody can grind out.
const CHILDREN_DEPTH_MAX: usize = 32;
/// Most nodes of one walk: a million logs need a tenth.
const WALK_NODES_MAX: usize = 1 << 20;

impl Core {
    /// Adds root documents; true if any was news.
    pub(in crate::core) fn accept_roots(&mut self, id: RepoId, documents: Vec<SignedRoot>) -> bool {
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

    pub(in crate::core) fn put_root(&mut self, request: RequestId, repo: RepoId, root: SignedRoot) {
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
    pub(in crate::core) fn walk_all(&mut self, repo: &RepoId) {
        let sharing: Vec<SessionId> = self.sharing(repo);
        for session in sharing {
            self.start_walk(session, *repo);
        }
    }

    /// Compares the repository whose turn it is with a random peer that shares it.
    pub(in crate::core) fn anti_entropy(&mut self) {
        use rand::seq::IndexedRandom as _;
        use std::ops::Bound::{Excluded, Unbounded};
        let later = self.compared.and_then(|last| {
            let mut later = self.repos.range((Excluded(last), Unbounded));
            later.next()
        });
        let Some((&repo, _)) = later.or_else(|| self.repos.first_key_value()) else {
            return;
        };
        self.compared = Some(repo);
        let sharing = self.sharing(&repo);
        if let Some(session) = sharing.choose(&mut self.dice) {
            self.ask(*session, Asked::Roots { repo });
        }
    }

    pub(in crate::core) fn start_walk(&mut self, session: SessionId, repo: RepoId) {
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
            prefixes: vec![Prefix::default()],
            ..Walk::default()
        };
        open.walks.insert(repo, walk);
        self.continue_walk(session, repo);
    }

    /// Asks for the next nodes, or finds the walk at its end.
    pub(in crate::core) fn continue_walk(&mut self, session: SessionId, repo: RepoId) {
        let Some(open) = self.sessions.get_mut(&session).filter(|s| !s.banned) else {
            return;
        };
        let asking = |asked: &Asked| matches!(asked, Asked::Trie { repo: r, .. } if *r == repo);
        let busy =
            open.asked.values().any(|(asked, _)| asking(asked)) || open.waiting.iter().any(asking);
        let Some(walk) = open.walks.get_mut(&repo) else {
            return;
        };
        if busy || walk.paused.is_some() {
            return;
        }
        if !walk.prefixes.is_empty() {
            // The deepest first: so what is still to be asked is no more than a path is deep and an
            // answer wide, whatever the peer says.
            let others = walk.prefixes.len().saturating_sub(PREFIXES_MAX);
            let prefixes: Vec<Prefix> = walk.prefixes.split_off(others);
            walk.nodes += prefixes.len();
            return self.ask(session, Asked::Trie { repo, prefixes });
        }
        if !walk.fetching.is_empty() || !walk.blocked.is_empty() {
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

    pub(in crate::core) fn walked(
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
        let of_root = prefixes == [Prefix::default()];
        let unanswered = prefixes.split_off(nodes.len());
        let mut differing: Vec<Prefix> = unanswered;
        let mut records = Vec::new();
        let Some(repo) = self.repos.get(&id) else {
            return;
        };
        for (prefix, node) in prefixes.into_iter().zip(nodes) {
            match node {
                TrieNode::Children(_) if prefix.nibbles().len() > CHILDREN_DEPTH_MAX => {
                    return self.misbehaved_in(session, "a frontier deeper than any keys make it");
                }
                TrieNode::Children(hashes) => {
                    differing.extend(repo.differing_children(&prefix, &hashes));
                }
                TrieNode::Records(found) => records.extend(found),
            }
        }
        if of_root && differing.is_empty() && records.is_empty() {
            // A peer's frontier equals ours.
            let keys = self.repos.get(&id).map(Repository::log_keys);
            for key in keys.unwrap_or_default() {
                self.confirm(id, &key);
            }
        }
        if let Some(open) = self.sessions.get_mut(&session)
            && let Some(walk) = open.walks.get_mut(&id)
        {
            walk.prefixes.extend(differing);
            if walk.prefixes.len() > WALK_PREFIXES_MAX || walk.nodes > WALK_NODES_MAX {
                open.walks.remove(&id);
                return self.misbehaved_in(session, "a frontier larger than any keys make it");
            }
        }
        for record in records {
            self.consider(session, id, record);
        }
        self.continue_walk(session, id);
    }

    /// Goes on with the walks that found more than could be checked at once.
    /// Walks that waited for what was being fetched elsewhere, and is no longer, begin again.
    pub(in crate::core) fn unblock_walks(&mut self) {
        let repos = &self.repos;
        let mut free = Vec::new();
        for (session, open) in &mut self.sessions {
            for (id, walk) in open
                .walks
                .iter_mut()
                .filter(|(_, walk)| !walk.blocked.is_empty())
            {
                let repo = repos.get(id);
                walk.blocked
                    .retain(|key| repo.is_some_and(|repo| repo.is_claimed(key)));
                if walk.blocked.is_empty() {
                    walk.again = true;
                    free.push((*session, *id));
                }
            }
        }
        for (session, repo) in free {
            self.continue_walk(session, repo);
        }
    }

    pub(in crate::core) fn resume_walks(&mut self) {
        let now = self.now;
        let open = self.sessions.iter_mut();
        let resumed: Vec<(SessionId, RepoId)> = open
            .flat_map(|(session, open)| {
                let repos = open.resume(now).into_iter();
                repos.map(|repo| (*session, repo))
            })
            .collect();
        for (session, repo) in resumed {
            self.continue_walk(session, repo);
        }
    }

    /// A peer was compared with to the end.
    pub(in crate::core) fn in_step(&mut self, repo: RepoId) {
        let known = self.repos.get(&repo).is_some_and(|r| r.version() > 0);
        let (answered, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.awaiting_sync)
            .into_iter()
            .partition(|(_, awaited, _)| known && *awaited == repo);
        self.awaiting_sync = waiting;
        if !answered.is_empty() {
            // Whoever waited looks at it now.
            self.refresh_views();
        }
        for (id, ..) in answered {
            self.reply(id, Reply::Done);
        }
    }

    /// Computes the views that changed.
    pub(in crate::core) fn refresh_views(&mut self) {
        self.refresh_views_of(|_, _| true);
    }

    /// The same, but of a repository whose logs are just coming in only now and then.
    pub(in crate::core) fn refresh_quiet_views(&mut self) {
        self.refresh_views_of(|repo, now| repo.refresh_due().is_some_and(|due| due <= now));
    }

    fn refresh_views_of(&mut self, which: impl Fn(&Repository, Time) -> bool) {
        let now = self.now;
        let (mut news, mut changes) = (Vec::new(), Vec::new());
        for repo in self.repos.values_mut().filter(|repo| which(repo, now)) {
            let refreshed = repo.refresh(now);
            changes.extend(refreshed.changes);
            if refreshed.view_changed {
                news.push(Event::ViewChanged {
                    repo: repo.id,
                    view_hash: repo.view_hash(),
                });
            }
        }
        self.out.extend(changes.into_iter().map(Effect::Persist));
        if !news.is_empty() {
            self.unseen = true;
        }
        self.out.extend(news.into_iter().map(Effect::Tell));
    }
}
