//! One function per effect: what the core wants done, done.

use std::sync::Arc;

use skep_proto::blob::{self, GroupList};
use skep_proto::claimed::Verified;
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::wire::{Answer, Message};

use crate::core::{Effect, Event, FetchEnd, Held, Input, Reply, RequestId, SessionId, Verdict};
use crate::driver::{Driver, Handle};
use crate::net::{self, Fetched};
use crate::store::Store;

impl Driver {
    /// Performs one effect. Only a `Persist` can fail, with the reason in words.
    pub(crate) async fn perform(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Persist(change) => return self.persist(change).await,
            Effect::Send { session, message } => self.net.send(session, message.encode()),
            Effect::SendEntries {
                session,
                request,
                repo,
                key,
                from,
                to,
                proof,
            } => {
                let read = move |store: &dyn Store| store.entries(&repo, &key, from, to);
                self.send_entries(session, request, read, proof);
            }
            Effect::Gossip { topic, data } => self.net.publish(topic, data),
            Effect::Judge { id, verdict } => self.net.judge(id, verdict_of(verdict)),
            Effect::Subscribe { topic } => self.net.subscribe(topic),
            Effect::Unsubscribe { topic } => self.net.unsubscribe(topic),
            Effect::Dial { peer, addresses } => self.net.dial(peer, addresses),
            Effect::Disconnect { session, ban_s } => self.net.disconnect(session, ban_s),
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
            } => self.fetch_groups(peer, repo, hash, first, count),
            Effect::FinishBlob { hash } => self.finish_blob(hash),
            Effect::Show(snapshot) => drop(self.shown.send_replace(snapshot)),
            Effect::Reply(id, reply) => self.reply(id, reply),
            Effect::WakeAt(time) => self.wake = time,
            Effect::Tell(event) => tell(&event),
        }
        Ok(())
    }

    async fn persist(&self, change: crate::store::Change) -> Result<(), String> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || store.persist(&change))
            .await
            .map_err(|e| e.to_string())?
            .map_err(|e| crate::chain_text(&e))
    }
}
