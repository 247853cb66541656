//! The release that a reference means, and what this node thinks of it.

use skep_proto::control::{Hex, Refusal, Refused, Release, Response};
use skep_proto::hash::Sha256;
use skep_proto::name::{Name, PackageRef, Version};
use skep_proto::trust::Asked;

use super::{Answered, Answers, failed, not_found, repo_of};
use crate::release;
use crate::snapshot::{NotFound, RepoSnapshot, facts, release_line};

impl Answers {
    pub(super) fn release(&self, package: &str, asked: &Asked) -> Answered {
        let snapshot = self.node.snapshot();
        let reference: PackageRef = package.parse().map_err(|e| failed(crate::in_words(&e)))?;
        let repo = repo_of(&snapshot, &reference.repo.to_string())?;
        let resolved = repo
            .resolve(&reference.name, reference.requirement.as_ref(), asked)
            .map_err(|e| Refused {
                hint: Some(match e {
                    NotFound::Version { .. } => {
                        format!("skep info {}/{}", reference.repo, reference.name)
                    }
                    _ => format!("skep repo show {}", reference.repo),
                }),
                ..not_found(e.to_string())
            })?;
        let subject = &resolved.subject;
        let payload = self.payload(repo, &subject.name, &subject.version, subject.manifest)?;
        let view = repo
            .view
            .as_deref()
            .ok_or_else(|| not_found(repo.state_text()))?;
        let owner = view.handle(&subject.owner.id);
        let owner = owner.ok_or_else(|| not_found("the owner is gone".to_owned()))?;
        let package = view.package(&subject.name);
        let release = package.and_then(|package| package.releases.get(&subject.version));
        let release = release.ok_or_else(|| not_found("the release is gone".to_owned()))?;
        Ok(Response::Release(Box::new(Release {
            repo: repo.id,
            alias: repo.alias().cloned(),
            name: subject.name.clone(),
            version: subject.version.clone(),
            manifest: subject.manifest,
            payload: Hex(payload.bytes),
            signatures: payload
                .signatures
                .iter()
                .map(|(key, signature)| (*key, Hex(signature.as_bytes().to_vec())))
                .collect(),
            owner: repo.handle(view, owner),
            signers: subject.signers.iter().copied().collect(),
            line: release_line(&subject.version, release),
            held: repo.holdings.contains_key(&subject.manifest),
            admitted: resolved.decision.admitted,
            facts: facts(&resolved.decision),
            ineffective: repo.ineffective(),
        })))
    }

    /// The payload of a manifest, from any entry that published it, and the signatures beside it.
    pub(super) fn payload(
        &self,
        repo: &RepoSnapshot,
        name: &Name,
        version: &Version,
        manifest: Sha256,
    ) -> Result<release::Payload, Refused> {
        release::payload(repo, self.store.as_ref(), name, version, manifest).map_err(|e| Refused {
            why: Refusal::Failed,
            message: crate::in_words(&e),
            hint: Some("skep doctor".to_owned()),
        })
    }
}
