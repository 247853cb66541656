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

    pub(in crate::core) fn hold(&mut self, manifest: Sha256, holding: Holding) -> Option<Change> {
        let held = Arc::make_mut(&mut self.holdings);
        if held
            .get(&manifest)
            .is_some_and(|old| old.why >= holding.why)
        {
            return None;
        }
        held.insert(manifest, holding.clone());
        self.refresh_offered();
        Some(self.fact(FactKind::Holding, manifest.to_string(), holding.to_bytes()))
    }

    /// What is published or kept is offered to peers; what was only used is not, unless the file
    /// of the repository says so.
    pub(super) fn refresh_offered(&mut self) {
        let file = self.settings.as_ref().map(|(_, file)| file);
        let everything = file.is_some_and(|file| file.share == Some(Share::Everything));
        let holdings = self.holdings.values();
        let shared = self.is_shared();
        let offered = holdings
            .filter(|h| everything || h.why != HoldingReason::Used)
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
