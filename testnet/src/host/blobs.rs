//! The blobs of a simulated node: what it fetches, verifies and keeps, and what it serves.

use skep_node::core::{FetchEnd, Input};
use skep_node::fetched;
use skep_node::store::Store as _;
use skep_proto::claimed::Claimed;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::blobs::{Group, List};

use super::{Act, Host};
use crate::dice::Dice;
use crate::exchange::{Ask, Part, Told};
use crate::lie;
use crate::sabotage::Sabotage;

/// Work of the disk takes up to so long.
pub(super) const DISK_MS: u64 = 3;

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
        self.disk.blobs.insert(hash);
        let input = match fetched::begin(&self.disk.store, hash, size_bytes) {
            Ok(held) => Input::BlobBegun { hash, held },
            Err(error) => lost(hash, error.to_string()),
        };
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
        let fetch = self.fetch_id();
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

    fn fetch_id(&mut self) -> u64 {
        self.next_fetch += 1;
        self.next_fetch
    }

    pub(super) fn finish_blob(&mut self, hash: Blake3, dice: &mut Dice, acts: &mut Vec<Act>) {
        let input = match self.disk.store.finish(&hash) {
            Ok(()) => Input::BlobStored { hash },
            Err(why) => Input::BlobLost {
                hash,
                why: why.to_string(),
            },
        };
        let ms = dice.below(DISK_MS);
        acts.push(Act::Later { ms, input });
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
        let end = |why| vec![Input::FetchEnded { peer, hash, why }];
        let not_kept = |error| match error {
            fetched::Error::Peer(why) => end(why),
            fetched::Error::Disk(why) => vec![lost(hash, why)],
        };
        let inputs = match told {
            Told::List(list) => {
                match fetched::list(&self.disk.store, hash, size_bytes, &Claimed(list)) {
                    Ok(held) => vec![Input::ListProven { hash }, Input::BlobBegun { hash, held }],
                    Err(error) => not_kept(error),
                }
            }
            Told::Group(_) if self.sabotage == Some(Sabotage::StoresEarly) => {
                return vec![Input::BlobStored { hash }];
            }
            Told::Group(group) => match fetched::group(&self.disk.store, hash, &Claimed(group)) {
                Ok((group, size_bytes)) => {
                    return vec![Input::GroupStored {
                        from: peer,
                        hash,
                        group,
                        size_bytes,
                    }];
                }
                Err(error) => not_kept(error),
            },
            Told::End => end(FetchEnd::Done),
            Told::NotFound => end(FetchEnd::NotFound),
        };
        self.fetches.remove(&fetch);
        inputs
    }

    /// What this node answers a peer, from what readers see of it.
    pub fn serve_blob(&self, from: &NodeId, ask: &Ask, dice: &mut Dice) -> Vec<Told> {
        let honest = self.honest_answer(from, ask);
        honest
            .into_iter()
            .map(|told| lie::part(&self.lies, told, dice))
            .collect()
    }

    fn honest_answer(&self, from: &NodeId, ask: &Ask) -> Vec<Told> {
        let mut peers = self.snapshot.peers.iter();
        let shared = peers.any(|(peer, repos)| peer == from && repos.contains(&ask.repo));
        let offered = shared && self.snapshot.offers(&ask.repo, &ask.hash);
        let store = &self.disk.store;
        let info = store.blob(&ask.hash).ok().flatten();
        let (true, Some(info)) = (offered, info) else {
            return vec![Told::NotFound];
        };
        match ask.what {
            Part::List => {
                let bytes = store.group_list(&ask.hash).ok().flatten();
                let list = bytes.map(|bytes| List {
                    size: info.size,
                    bytes,
                });
                vec![list.map_or(Told::NotFound, Told::List)]
            }
            Part::Groups { first, count } => {
                let group = |index| {
                    let bytes = store.read_group(&ask.hash, index).ok().flatten()?;
                    Some(Told::Group(Group { index, bytes }))
                };
                let mut told: Vec<Told> = (first..first.saturating_add(count))
                    .map_while(group)
                    .collect();
                let some = !told.is_empty();
                told.push(if some { Told::End } else { Told::NotFound });
                told
            }
        }
    }
}

fn lost(hash: Blake3, why: String) -> Input {
    Input::BlobLost { hash, why }
}
