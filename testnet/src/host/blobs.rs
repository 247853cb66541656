//! The blobs of a simulated node: what it fetches, verifies and keeps, and what it serves.

use std::sync::Arc;

use skep_node::core::{FetchEnd, Input};
use skep_proto::blob::{self, GroupList};
use skep_proto::fault::Fault;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};

use super::{Act, Host};
use crate::dice::Dice;
use crate::exchange::{Ask, Part, Told};
use crate::invariant::{self, Broken};

/// Work of the disk takes up to so long.
const DISK_MS: u64 = 3;

/// What is being fetched from whom.
#[derive(Debug)]
pub(super) struct Fetch {
    peer: NodeId,
    hash: Blake3,
    /// The size that the manifest claims; needed for a list.
    size_bytes: u64,
}

impl Host {
    pub(super) fn begin_blob(
        &mut self,
        hash: Blake3,
        size_bytes: u64,
        dice: &mut Dice,
        acts: &mut Vec<Act>,
    ) {
        let held = self.disk.begin(hash, size_bytes, None);
        let input = Input::BlobBegun { hash, held };
        let ms = dice.below(DISK_MS);
        acts.push(Act::Later { ms, input });
    }

    pub(super) fn fetch_list(
        &mut self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        size_bytes: u64,
        acts: &mut Vec<Act>,
    ) {
        self.fetch(peer, repo, hash, size_bytes, Part::List, acts);
    }

    pub(super) fn fetch_groups(
        &mut self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        (first, count): (u64, u64),
        acts: &mut Vec<Act>,
    ) {
        self.fetch(peer, repo, hash, 0, Part::Groups { first, count }, acts);
    }

    fn fetch(
        &mut self,
        peer: NodeId,
        repo: RepoId,
        hash: Blake3,
        size_bytes: u64,
        what: Part,
        acts: &mut Vec<Act>,
    ) {
        if !self.is_connected_to(&peer) {
            let why = FetchEnd::Failed;
            let input = Input::FetchEnded { peer, hash, why };
            acts.push(Act::Later { ms: 0, input });
            return;
        }
        let fetch = self.request_id().0;
        let fetching = Fetch {
            peer,
            hash,
            size_bytes,
        };
        self.fetches.insert(fetch, fetching);
        acts.push(Act::Ask(Ask {
            fetch,
            peer,
            repo,
            hash,
            what,
        }));
    }

    pub(super) fn finish_blob(
        &mut self,
        hash: Blake3,
        dice: &mut Dice,
        acts: &mut Vec<Act>,
    ) -> Result<(), Broken> {
        let finished = self.disk.finish(&hash);
        finished.map_err(|why| Broken::law("a blob is finished when it is whole", why))?;
        invariant::blobs::a_blob_has_its_hash(self, &hash)?;
        let ms = dice.below(DISK_MS);
        let input = Input::BlobStored { hash };
        acts.push(Act::Later { ms, input });
        Ok(())
    }

    /// The connection to a peer is gone, and with it what was on its way.
    pub(super) fn fetches_lost(&mut self, peer: NodeId) -> Vec<Input> {
        let mut lost = Vec::new();
        self.fetches.retain(|_, fetch| {
            if fetch.peer == peer {
                lost.push(fetch.hash);
            }
            fetch.peer != peer
        });
        let why = FetchEnd::Failed;
        let ended = lost.into_iter();
        ended
            .map(|hash| Input::FetchEnded { peer, hash, why })
            .collect()
    }

    /// Part of an answer: verified, kept, and told to the core, in this order.
    pub fn told(&mut self, fetch: u64, told: Told) -> Vec<Input> {
        let Some(Fetch {
            peer,
            hash,
            size_bytes,
        }) = self.fetches.get(&fetch)
        else {
            return Vec::new();
        };
        let (peer, hash, size_bytes) = (*peer, *hash, *size_bytes);
        let end = |why| Input::FetchEnded { peer, hash, why };
        let inputs = match told {
            Told::List { size, bytes } => match self.prove(hash, size_bytes, size, &bytes) {
                Ok(begun) => vec![Input::ListProven { hash }, begun],
                Err(why) => vec![end(why)],
            },
            Told::Group { index, bytes } => {
                let size_bytes = bytes.len() as u64;
                match self.disk.write_group(&hash, index, bytes) {
                    Ok(()) => {
                        return vec![Input::GroupStored {
                            from: peer,
                            hash,
                            group: index,
                            size_bytes,
                        }];
                    }
                    Err(error) => vec![end(end_of(&error))],
                }
            }
            Told::End => vec![end(FetchEnd::Done)],
            Told::NotFound => vec![end(FetchEnd::NotFound)],
        };
        self.fetches.remove(&fetch);
        inputs
    }

    fn prove(
        &mut self,
        hash: Blake3,
        size_bytes: u64,
        claimed: u64,
        list: &[u8],
    ) -> Result<Input, FetchEnd> {
        let proven = GroupList::prove(&hash, claimed, list).map_err(|e| end_of(&e))?;
        if proven.size() != size_bytes {
            return Err(FetchEnd::NotFound);
        }
        let held = self.disk.begin(hash, size_bytes, Some(proven));
        Ok(Input::BlobBegun { hash, held })
    }

    /// What this node answers a peer, from what readers see of it.
    pub fn serve_blob(&self, from: &NodeId, ask: &Ask) -> Vec<Told> {
        let peers = self.snapshot.peers.iter();
        let mut shared = peers.filter(|(peer, repos)| peer == from && repos.contains(&ask.repo));
        let blob = self.disk.blobs.get(&ask.hash);
        let offered = shared.next().is_some() && self.snapshot.offers(&ask.repo, &ask.hash);
        let (true, Some(blob)) = (offered, blob) else {
            return vec![Told::NotFound];
        };
        match ask.what {
            Part::List => match &blob.list {
                Some(list) => vec![Told::List {
                    size: blob.size,
                    bytes: list.to_bytes(),
                }],
                None => vec![Told::NotFound],
            },
            Part::Groups { first, count } => {
                let end = first.saturating_add(count);
                let groups = blob.groups.range(first..end);
                let groups = groups.map(|(index, bytes)| Told::Group {
                    index: *index,
                    bytes: self.spoiled(bytes),
                });
                let mut told: Vec<Told> = groups.collect();
                let some = !told.is_empty();
                told.push(if some { Told::End } else { Told::NotFound });
                told
            }
        }
    }

    fn spoiled(&self, bytes: &Arc<[u8]>) -> Arc<[u8]> {
        if !self.spoils_blobs {
            return Arc::clone(bytes);
        }
        let mut spoiled = bytes.to_vec();
        if let Some(first) = spoiled.first_mut() {
            *first ^= 1;
        }
        Arc::from(spoiled)
    }
}

/// Whom an error blames: a size that the manifest got wrong is not the provider's fault.
fn end_of(error: &blob::Error) -> FetchEnd {
    match error.fault() {
        Fault::Peer => FetchEnd::Lied,
        Fault::Publisher => FetchEnd::NotFound,
        Fault::Us => FetchEnd::Failed,
    }
}
