//! The release that a reference means, and what this node thinks of it.

use skep_proto::control::{Handle, Hex, Refusal, Refused, Release, ReleaseLine, Response, Said};
use skep_proto::hash::Sha256;
use skep_proto::log::entry::{Body, Parsed, parse};
use skep_proto::name::{Name, PackageRef, Version};
use skep_proto::repo::sequence::EntryRef;
use skep_proto::repo::view;
use skep_proto::trust::Asked;

use super::{Answered, Answers, failed, not_found, repo_of};
use crate::release;
use crate::snapshot::{NotFound, RepoSnapshot, facts};

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
        let found = package.and_then(|package| {
            let release = package.releases.get(&subject.version)?;
            Some((package, release))
        });
        let (package, release) =
            found.ok_or_else(|| not_found("the release is gone".to_owned()))?;
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
            owner: Handle::of(view, owner),
            signers: subject.signers.iter().copied().collect(),
            line: ReleaseLine::of(&subject.version, release),
            held: repo.holdings.contains_key(&subject.manifest),
            admitted: resolved.decision.admitted,
            facts: facts(&resolved.decision),
            ineffective: repo.ineffective(),
            said: self.said(repo, package, release),
        })))
    }

    /// Why a release is yanked, deprecated or suspended. Words whose entry cannot be read are left
    /// out: that the flag is set stands in the line of the release.
    fn said(
        &self,
        repo: &RepoSnapshot,
        package: &view::Package,
        release: &view::Release,
    ) -> Vec<Said> {
        let flags = [
            ("yanked", false, &release.yanked),
            ("deprecated", false, &release.deprecated),
            ("deprecated", true, &package.deprecated),
            ("suspended", false, &release.suspended),
            ("suspended", true, &package.suspended),
        ];
        let words = flags.iter().flat_map(|(state, whole_package, flag)| {
            let because = flag.because.iter().map(|at| (at, self.word(repo, at)));
            because.filter_map(|(at, word)| {
                let (claimed_at, reason, successor) = word?;
                Some(Said {
                    state: (*state).to_owned(),
                    whole_package: *whole_package,
                    by: at.key,
                    claimed_at,
                    reason,
                    successor,
                })
            })
        });
        words.collect()
    }

    /// When an entry says that it was written, its reason, and what it names to use instead.
    fn word(&self, repo: &RepoSnapshot, at: &EntryRef) -> Option<(u64, String, Option<Name>)> {
        let to = at.index.saturating_add(1);
        let entries = self.store.entries(&repo.id, &at.key, at.index, to).ok()?;
        let Parsed::Entry(entry) = parse(entries.first()?) else {
            return None;
        };
        match entry.body {
            Body::Status(status) => Some((entry.claimed_at, status.reason, status.successor)),
            Body::Suspend(suspend) => Some((entry.claimed_at, suspend.reason, None)),
            _ => None,
        }
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
