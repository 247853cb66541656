//! What a checked file is, in the words of the control protocol, to whom nothing is known besides.

use crate::control::{Bundle, BundleRelease, BundleRepo, Handle, ReleaseLine};
use crate::hash::Sha256;
use crate::id::RepoId;

use super::{Carried, Checked};

impl Checked {
    /// Everything in it, as new.
    pub fn report(&self) -> Bundle {
        let sizes = self.blobs.iter().map(|blob| blob.list.size());
        let bytes = sizes.sum();
        let repos = self.repos.iter();
        Bundle {
            size_bytes: self.size_bytes,
            files: self.blobs.len() as u64,
            new_files: self.blobs.len() as u64,
            new_bytes: bytes,
            room: None,
            repos: repos.map(|(id, carried)| carried.report(id)).collect(),
        }
    }
}

impl Carried {
    fn report(&self, id: &RepoId) -> BundleRepo {
        let latest = self.chain.latest();
        let logs = self.logs.values();
        let cosigned = logs.clone().filter_map(|log| {
            let cosignatures = log.checkpoint.cosignatures.iter();
            cosignatures.map(|cosignature| cosignature.time).max()
        });
        let mut releases: Vec<BundleRelease> = self
            .releases
            .iter()
            .filter_map(|of| self.release(of))
            .collect();
        releases.sort_by(|a, b| (&a.name, &a.line.version).cmp(&(&b.name, &b.line.version)));
        BundleRepo {
            id: *id,
            name: latest.map_or(String::new(), |link| link.document.name.clone()),
            alias: None,
            version: self.chain.links().len() as u64,
            root_sha256: latest.map_or(Sha256::from_bytes([0; 32]), |link| link.sha256),
            new_documents: self.chain.links().len() as u64,
            logs: self.logs.len() as u64,
            new_entries: logs.clone().map(|log| log.facts.len() as u64).sum(),
            behind: Vec::new(),
            claimed_at: self.claimed_at,
            cosigned_at: cosigned.min(),
            releases,
            yanked: Vec::new(),
        }
    }

    fn release(&self, of: &super::Release) -> Option<BundleRelease> {
        let package = self.view.package(&of.name)?;
        let owner = self.view.handle(&package.owner)?;
        let release = package.releases.get(&of.version)?;
        Some(BundleRelease {
            name: of.name.clone(),
            line: ReleaseLine::of(&of.version, release),
            manifest: of.manifest,
            owner: Handle::of(&self.view, owner),
            size_bytes: of.blobs.iter().map(|(_, size)| size).sum(),
            held: false,
            admitted: None,
            why: Vec::new(),
        })
    }
}
