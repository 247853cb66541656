//! How full the core is, and what it compares with peers: read by whoever checks that it keeps its
//! limits and that nodes agree.

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;

use super::Core;
use super::repository::Repository;

/// Something that grows when peers or commands want it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub name: &'static str,
    pub len: usize,
    pub limit: usize,
}

impl Core {
    /// Every queue of which the core itself keeps the limit.
    pub fn queues(&self) -> Vec<Queue> {
        let mut queues = vec![self.peers.queue()];
        for session in self.sessions.values() {
            queues.extend(session.queues());
        }
        queues.push(self.exchange.queue());
        queues
    }

    /// Root of the frontier trie of a repository: what two nodes compare first.
    pub fn frontier(&self, repo: &RepoId) -> Option<Sha256> {
        self.repos.get(repo).map(Repository::frontier_root)
    }
}
