//! What this node remembers of a repository: evidence, what it has, what it has admitted.

use std::sync::Arc;

use skep_proto::hash::Sha256;
use skep_proto::key::Key;
use skep_proto::log::fork::ForkEvidence;
use skep_proto::name::{Name, Version};
use skep_proto::trust::file::Share;

use super::Repository;
use crate::core::input::{Holding, HoldingReason};
use crate::store::{Change, FactKind};

impl Repository {
    pub(in crate::core) fn wants_evidence(&self, key: &Key) -> bool {
        self.is_admitted(key) && !self.evidence.contains_key(key)
    }

    pub(in crate::core) fn keep_evidence(&mut self, evidence: ForkEvidence) -> Change {
        let key = *evidence.key();
        self.evidence.insert(key, evidence.clone());
        self.stale = true;
        Change::Evidence {
            repo: self.id,
            evidence,
        }
    }

    pub(in crate::core) fn hold(
        &mut self,
        manifest: Sha256,
        mut holding: Holding,
    ) -> Option<Change> {
        if let Some(old) = self.holdings.get(&manifest) {
            holding.why = holding.why.and(old.why);
            if holding.why == old.why {
                return None;
            }
        }
        Some(self.remember_holding(manifest, holding))
    }

    /// Takes back one reason; without any, the release is not held, and its blobs are nobody's.
    pub(in crate::core) fn let_go(
        &mut self,
        manifest: Sha256,
        why: HoldingReason,
    ) -> Option<Change> {
        let old = self.holdings.get(&manifest)?;
        match old.why.without(why) {
            Some(left) if left == old.why => None,
            Some(why) => {
                let blobs = old.blobs.clone();
                Some(self.remember_holding(manifest, Holding { why, blobs }))
            }
            None => {
                Arc::make_mut(&mut self.holdings).remove(&manifest);
                self.refresh_offered();
                Some(Change::ForgetFact {
                    repo: self.id,
                    kind: FactKind::Holding,
                    key: manifest.to_string(),
                })
            }
        }
    }

    fn remember_holding(&mut self, manifest: Sha256, holding: Holding) -> Change {
        let value = holding.to_bytes();
        Arc::make_mut(&mut self.holdings).insert(manifest, holding);
        self.refresh_offered();
        self.fact(FactKind::Holding, manifest.to_string(), value)
    }

    /// What is published or kept is offered to peers; what was only used is not, unless the file
    /// of the repository says so.
    pub(super) fn refresh_offered(&mut self) {
        let file = self.settings.as_ref().map(|(_, file)| file);
        let everything = file.is_some_and(|file| file.share == Some(Share::Everything));
        let holdings = self.holdings.values();
        let shared = self.is_shared();
        let offered = holdings
            .filter(|h| everything || h.why.is_offered())
            .filter(|_| shared);
        let blobs = offered.flat_map(|holding| holding.blobs.iter().map(|(hash, _)| *hash));
        self.offered = Arc::new(blobs.collect());
    }

    pub(in crate::core) fn admit(
        &mut self,
        name: Name,
        version: Version,
        manifest: Sha256,
    ) -> Vec<Change> {
        let key = format!("{name}@{version}");
        let mut changes = self.lift(&name, &version);
        let before = Arc::make_mut(&mut self.admitted).insert((name, version), manifest);
        if before != Some(manifest) {
            changes.push(self.fact(FactKind::Admitted, key, manifest.as_bytes().to_vec()));
        }
        changes
    }
}
