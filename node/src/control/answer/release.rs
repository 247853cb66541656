//! The release that a reference means, and what this node thinks of it.

use skep_proto::control::{Refusal, Refused, Response};
use skep_proto::hash::Sha256;
use skep_proto::name::{Name, PackageRef, Version};
use skep_proto::trust::Asked;

use super::{Answered, Answers, failed, not_found, repo_of};
use crate::release;
use crate::snapshot::{NotFound, RepoSnapshot};

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
        let described = release::describe(repo, self.store.as_ref(), &resolved);
        let described = described.map_err(|e| Refused {
            hint: Some("skep doctor".to_owned()),
            ..failed(crate::in_words(&e))
        })?;
        Ok(Response::Release(Box::new(described)))
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
