//! One function per effect: what the core wants done, done.
//!
//! What takes long (reading entries for a peer, fetching from one) runs beside the loop and comes
//! back as an input; what order matters for is awaited.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::key::Key;
use skep_proto::sync::wire::{Answer, Message, Refusal};

use crate::core::{self, Effect, Event, FetchEnd, Input, Reply, RequestId, SessionId};
use crate::driver::{Driver, Handle};
use crate::fetched;
use crate::net::{self, FetchError};
use crate::store::{self, Change, Store};

/// Bytes stored of the blobs that are being fetched, for whoever shows progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<BTreeMap<Blake3, u64>>>);

impl InFlight {
    fn add(&self, hash: Blake3, size_bytes: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(hash).or_default() += size_bytes;
    }

    fn remove(&self, hash: &Blake3) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(hash);
    }

    /// Bytes stored of these blobs in this run, of those that are not whole yet.
    pub(crate) fn of<'a>(&self, blobs: impl Iterator<Item = &'a Blake3>) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.filter_map(|hash| all.get(hash)).sum()
    }
}

impl Driver {
    /// Performs one effect. Only a `Persist` can fail, with the reason in words.
    pub(crate) async fn perform(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Persist(change) => return self.persist(change).await,
            Effect::Send { session, message } => self.send(session, &message),
            Effect::SendEntries {
                session,
                request,
                repo,
                key,
                from,
                to,
                proof,
            } => self.send_entries(session, request, (repo, key), (from, to), proof),
            Effect::Gossip { topic, data } => self.net.publish(topic, data).await,
            Effect::Judge { id, verdict } => self.judge(&id, verdict).await,
            Effect::Subscribe { topic } => self.net.subscribe(topic).await,
            Effect::Unsubscribe { topic } => self.net.unsubscribe(topic).await,
            Effect::Dial { peer, addresses } => self.dial(peer, addresses).await,
            Effect::Disconnect { session, ban_s } => self.disconnect(session, ban_s).await,
            Effect::BeginBlob { hash, size_bytes } => self.begin_blob(hash, size_bytes),
            Effect::FetchList {
                peer,
                repo,
                hash,
                size_bytes,
            } => self.fetch_list(peer, repo, hash, size_bytes),
            Effect::FetchGroups {
                peer,
                repo,
                hash,
                first,
                count,
            } => self.fetch_groups(peer, repo, hash, (first, count)),
            Effect::FinishBlob { hash } => self.finish_blob(hash),
            Effect::Show(snapshot) => drop(self.shown.send_replace(snapshot)),
            Effect::Reply(id, reply) => self.reply(id, reply),
            Effect::WakeAt(time) => self.wake = time,
            Effect::Tell(event) => tell(&event),
        }
        Ok(())
    }

    async fn persist(&self, change: Change) -> Result<(), String> {
        if change.takes_entries_away() {
            self.taken_away.fetch_add(1, Ordering::SeqCst);
        }
        let store = Arc::clone(&self.store);
        let persisted = tokio::task::spawn_blocking(move || store.persist(&change)).await;
        match persisted {
            Ok(persisted) => persisted.map_err(|e| crate::in_words(&e)),
            Err(failed) => Err(failed.to_string()),
        }
    }

    fn send(&self, session: SessionId, message: &Message) {
        if let Some(open) = self.sessions.get(&session) {
            self.net.send(open.net, message.encode());
        }
    }

    fn send_entries(
        &self,
        session: SessionId,
        request: u32,
        (repo, key): (RepoId, Key),
        (from, to): (u64, u64),
        proof: Vec<Sha256>,
    ) {
        let Some(open) = self.sessions.get(&session) else {
            return;
        };
        let (store, net, session) = (Arc::clone(&self.store), self.net.clone(), open.net);
        let taken_away = Arc::clone(&self.taken_away);
        let before = taken_away.load(Ordering::SeqCst);
        tokio::task::spawn_blocking(move || {
            let read = store.entries(&repo, &key, from, to);
            if let Err(error) = &read {
                tracing::error!(error = crate::in_words(error), "could not read entries");
            }
            // Others may stand there by now, and would be taken for a lie.
            let same = taken_away.load(Ordering::SeqCst) == before;
            let whole = |entries: &Vec<Vec<u8>>| same && entries.len() as u64 == to - from;
            let message = match read.ok().filter(whole) {
                Some(entries) => Message::Answer {
                    id: request,
                    answer: Answer::Get { entries, proof },
                },
                None => Message::Refusal {
                    id: Some(request),
                    refusal: Refusal::NotFound,
                },
            };
            net.send(session, message.encode());
        });
    }

    async fn judge(&mut self, id: &core::GossipId, verdict: core::Verdict) {
        let verdict = match verdict {
            core::Verdict::Accept => net::Verdict::Accept,
            core::Verdict::Ignore => net::Verdict::Ignore,
            core::Verdict::Reject => net::Verdict::Reject,
        };
        if let Some(message) = self.gossip.remove(&id.0) {
            self.net.judge(message, verdict).await;
        }
    }

    async fn dial(&self, peer: NodeId, addresses: Vec<String>) {
        if self.dials {
            self.net.dial(peer, addresses).await;
        }
    }

    async fn disconnect(&self, session: SessionId, ban_s: Option<u64>) {
        if let Some(open) = self.sessions.get(&session) {
            match ban_s {
                Some(seconds) => self.net.ban(open.peer, seconds).await,
                None => self.net.close(open.net),
            }
        }
    }

    /// Work beside the loop that ends in an input.
    fn beside(&self, work: impl Future<Output = Input> + Send + 'static) {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            handle.tell(work.await).await;
        });
    }

    fn begin_blob(&self, hash: Blake3, size_bytes: u64) {
        let store = Arc::clone(&self.store);
        self.beside(async move {
            let held = blocking(move || fetched::begin(store.as_ref(), hash, size_bytes)).await;
            match held {
                Ok(held) => Input::BlobBegun { hash, held },
                Err(why) => lost(hash, why),
            }
        });
    }

    fn fetch_list(&self, peer: NodeId, repo: RepoId, hash: Blake3, size_bytes: u64) {
        let (net, store) = (self.net.clone(), Arc::clone(&self.store));
        let handle = self.handle.clone();
        self.beside(async move {
            let why = match net.fetch_list(peer, repo, hash).await {
                Err(error) => end_of(&error),
                Ok(list) => {
                    let begun = blocking(move || {
                        Ok(fetched::list(store.as_ref(), hash, size_bytes, &list))
                    });
                    match begun.await {
                        Ok(Ok(held)) => {
                            handle.tell(Input::ListProven { hash }).await;
                            return Input::BlobBegun { hash, held };
                        }
                        Ok(Err(fetched::Error::Peer(why))) => why,
                        Ok(Err(fetched::Error::Disk(why))) | Err(why) => return lost(hash, why),
                    }
                }
            };
            Input::FetchEnded { peer, hash, why }
        });
    }

    fn fetch_groups(&self, peer: NodeId, repo: RepoId, hash: Blake3, (first, count): (u64, u64)) {
        let (net, store) = (self.net.clone(), Arc::clone(&self.store));
        let (handle, in_flight) = (self.handle.clone(), self.in_flight.clone());
        self.beside(async move {
            let fetched = net.fetch_groups(peer, repo, hash, first, count).await;
            let taken = match fetched {
                Err(error) => Ok(end_of(&error)),
                Ok(groups) => take_groups(groups, peer, hash, &store, &handle, &in_flight).await,
            };
            match taken {
                Ok(why) => Input::FetchEnded { peer, hash, why },
                Err(why) => lost(hash, why),
            }
        });
    }

    fn finish_blob(&self, hash: Blake3) {
        let (store, in_flight) = (Arc::clone(&self.store), self.in_flight.clone());
        self.beside(async move {
            let finished = blocking(move || store.finish(&hash)).await;
            in_flight.remove(&hash);
            match finished {
                Ok(()) => Input::BlobStored { hash },
                Err(why) => lost(hash, why),
            }
        });
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        if let Some(waiting) = self.replies.remove(&id) {
            // Whoever asked may be gone.
            drop(waiting.send(reply));
        }
    }
}

/// Our disk failed a blob: no peer is to blame, and asking another one would not help.
fn lost(hash: Blake3, why: String) -> Input {
    tracing::error!(why, blob = %hash, "could not keep a blob");
    Input::BlobLost { hash, why }
}

/// Verifies and writes groups as they come; nothing unverified is written. An error is our disk's.
async fn take_groups(
    mut groups: net::Groups,
    from: NodeId,
    hash: Blake3,
    store: &Arc<dyn Store>,
    handle: &Handle,
    in_flight: &InFlight,
) -> Result<FetchEnd, String> {
    while let Some(next) = groups.next().await {
        let group = match next {
            Ok(group) => group,
            Err(error) => return Ok(end_of(&error)),
        };
        let store = Arc::clone(store);
        let written =
            tokio::task::spawn_blocking(move || fetched::group(store.as_ref(), hash, &group));
        let (group, size_bytes) = match written.await {
            Ok(Ok(written)) => written,
            Ok(Err(fetched::Error::Peer(why))) => return Ok(why),
            Ok(Err(fetched::Error::Disk(why))) => return Err(why),
            Err(failed) => return Err(failed.to_string()),
        };
        in_flight.add(hash, size_bytes);
        let stored = Input::GroupStored {
            from,
            hash,
            group,
            size_bytes,
        };
        if !handle.tell(stored).await {
            return Ok(FetchEnd::Failed);
        }
    }
    Ok(FetchEnd::Done)
}

/// Disk work, with its error in words.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| crate::in_words(&e)),
        Err(failed) => Err(failed.to_string()),
    }
}

fn end_of(error: &FetchError) -> FetchEnd {
    match error {
        FetchError::NotFound => FetchEnd::NotFound,
        FetchError::Stalled | FetchError::Busy { .. } => FetchEnd::Stalled,
        FetchError::Misbehaved(_) => FetchEnd::Lied,
        FetchError::NotConnected
        | FetchError::Refused(_)
        | FetchError::Lost(_)
        | FetchError::Abandoned
        | FetchError::Range { .. } => FetchEnd::Failed,
    }
}

/// News for the log. What a peer does wrong is debug: else anybody could fill the disk with logs.
fn tell(event: &Event) {
    match event {
        Event::Connected { peer } => tracing::info!(%peer, "connected"),
        Event::Disconnected { peer } => tracing::info!(%peer, "disconnected"),
        Event::Misbehaved { peer, what } => tracing::debug!(%peer, what, "a peer misbehaved"),
        Event::LogAdvanced { repo, key, size } => {
            tracing::info!(%repo, %key, size, "a log advanced");
        }
        Event::RootAccepted { repo, version } => {
            tracing::info!(%repo, version, "a root document was accepted");
        }
        Event::Forked { repo, key } => tracing::warn!(%repo, %key, "a key has forked its log"),
        Event::ViewChanged { repo, view_hash } => {
            let view_hash = view_hash.map(|hash| hash.to_string()).unwrap_or_default();
            tracing::debug!(%repo, view_hash, "the view changed");
        }
        Event::ReadOnly { why } => tracing::error!(why, "read-only"),
    }
}
