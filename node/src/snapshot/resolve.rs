//! Which release a reference means, and whether local trust admits it.

use skep_proto::hash::Sha256;
use skep_proto::name::{Name, Requirement, Version};
use skep_proto::repo::chain::State;
use skep_proto::repo::root::Visibility;
use skep_proto::repo::view::{Package, Pending, Release, ReleaseState, View};
use skep_proto::trust::{Asked, Decision, Handle, Listing, Subject, decide};

use super::RepoSnapshot;
use crate::core::RestrictionKind;

/// A release, and what this node thinks of it.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub subject: Subject,
    pub decision: Decision,
}

/// Why a reference means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    #[error("nothing is known of this repository yet: {0}")]
    NoView(String),
    #[error("there is no package `{0}`")]
    Package(Name),
    #[error("package `{0}` has no release yet")]
    NoRelease(Name),
    #[error("package `{name}` has no release that fits `{requirement}`; there are {versions}")]
    Version {
        name: Name,
        requirement: String,
        versions: String,
    },
}

impl RepoSnapshot {
    /// The newest release that fits and that policy admits; if it admits none, the newest that fits,
    /// with the decision that refuses it. Without a requirement pre-releases do not fit, unless
    /// there is nothing else.
    pub fn resolve(
        &self,
        name: &Name,
        requirement: Option<&Requirement>,
        asked: &Asked,
    ) -> Result<Resolved, NotFound> {
        let view = self
            .view
            .as_deref()
            .ok_or_else(|| NotFound::NoView(self.state_text()))?;
        let package = view
            .package(name)
            .ok_or_else(|| NotFound::Package(name.clone()))?;
        let all: Vec<&Version> = package.releases.keys().rev().collect();
        if all.is_empty() {
            return Err(NotFound::NoRelease(name.clone()));
        }
        let fits = |version: &&&Version| match requirement {
            Some(requirement) => requirement.matches(version),
            None => !version.is_pre_release(),
        };
        let mut fitting: Vec<&Version> = all.iter().filter(fits).copied().collect();
        if fitting.is_empty() && requirement.is_none() {
            fitting = all.clone();
        }
        let judged = fitting.iter().filter_map(|version| {
            let subject = self.subject(view, package, version)?;
            let admitted_before = self.admitted_before(name, version);
            let asked = Asked {
                admitted_before,
                ..*asked
            };
            let decision = decide(self.rules(), &subject, &asked);
            Some(Resolved { subject, decision })
        });
        let judged: Vec<Resolved> = judged.collect();
        let usable = |r: &&Resolved| r.subject.listing == Listing::Listed && !r.subject.yanked;
        let admitted = judged.iter().find(|r| r.decision.admitted);
        let chosen = admitted
            .or_else(|| judged.iter().find(usable))
            .or_else(|| judged.first());
        chosen.cloned().ok_or_else(|| NotFound::Version {
            name: name.clone(),
            requirement: requirement.map(ToString::to_string).unwrap_or_default(),
            versions: all
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// What was shown of a release and vanished. Of a quarantine only who admitted one of the
    /// manifests before is not asked again.
    fn vanished_from(
        &self,
        name: &Name,
        version: &Version,
        manifest: Sha256,
    ) -> Option<&'static str> {
        match self.vanished(name, version)? {
            RestrictionKind::Yanked => Some("yanked"),
            RestrictionKind::Quarantined
                if self.admitted_before(name, version) == Some(manifest) =>
            {
                None
            }
            RestrictionKind::Quarantined => Some("quarantined"),
        }
    }

    /// Whether what is seen of it may turn out otherwise.
    pub(crate) fn is_doubtful(&self) -> bool {
        *self.chain.state() != State::Ok || self.paused.is_some()
    }

    fn admitted_before(&self, name: &Name, version: &Version) -> Option<Sha256> {
        self.admitted.get(&(name.clone(), version.clone())).copied()
    }

    /// What is to be judged: the listed manifest, else the one with the most signers.
    fn subject(&self, view: &View, package: &Package, version: &Version) -> Option<Subject> {
        let release = package.releases.get(version)?;
        let owner = view.handle(&package.owner)?;
        let most = || {
            let claims = release.claims.iter();
            claims
                .max_by_key(|(_, claim)| claim.published.len())
                .map(|(manifest, _)| *manifest)
        };
        let manifest = release.listed().or_else(most)?;
        let claim = release.claims.get(&manifest)?;
        let document = self.chain.latest().map(|link| &link.document);
        let approvers = claim.approved.keys().filter_map(|id| view.handle(id));
        Some(Subject {
            repo: self.id,
            name: package.name.clone(),
            version: version.clone(),
            listing: listing(release),
            manifest,
            owner: Handle {
                id: owner.id,
                label: owner.label.clone(),
            },
            signers: claim.published.keys().copied().collect(),
            approvers: approvers
                .map(|handle| Handle {
                    id: handle.id,
                    label: handle.label.clone(),
                })
                .collect(),
            yanked: release.yanked.on,
            vanished: self.vanished_from(&package.name, version, manifest),
            suspended: suspended(view, package, release),
            members_only: document.is_some_and(|d| d.visibility == Visibility::Members),
            witnessed: document.is_some_and(|d| d.witnesses.is_some()),
            view_doubt: self.is_doubtful().then(|| self.state_text()),
        })
    }
}

fn suspended(view: &View, package: &Package, release: &Release) -> Option<&'static str> {
    if release.suspended.on {
        Some("this version")
    } else if package.suspended.on {
        Some("this package")
    } else if view.is_handle_suspended(package.owner) {
        Some("its owner")
    } else {
        None
    }
}

fn listing(release: &Release) -> Listing {
    match &release.state {
        ReleaseState::Listed(_) => Listing::Listed,
        ReleaseState::Quarantined => Listing::Quarantined,
        ReleaseState::Pending(pending) => Listing::Pending(match pending {
            Pending::Keys { published, needed } => {
                format!("{published} of {needed} keys of its owner published it")
            }
            Pending::Approvals { approved, needed } => {
                format!("{approved} of {needed} approvals")
            }
            Pending::Settled(manifest) => format!("it was settled on manifest {manifest}"),
        }),
    }
}
