//! A repository in the words of the control protocol.

use std::collections::BTreeMap;

use skep_proto::control::{
    Fact, FactOutcome, Handle, Ineffective, Package, ReleaseLine, Repo, RepoLine, Rival,
};
use skep_proto::hash::Blake3;
use skep_proto::repo::authority::Outcome;
use skep_proto::repo::chain::State;
use skep_proto::repo::root::Visibility;
use skep_proto::repo::sequence::LogUse;
use skep_proto::repo::view::View;
use skep_proto::trust::{self, Decision};

use super::RepoSnapshot;

impl RepoSnapshot {
    /// What is to be thought of the chain and of what follows from it, in words.
    pub fn state_text(&self) -> String {
        match self.chain.state() {
            State::Ok => self.paused.unwrap_or("ok").to_owned(),
            State::Behind if self.chain.links().is_empty() => "no root document yet".to_owned(),
            State::Behind => match self.chain.pin() {
                Some(pin) => format!(
                    "behind: root document {} {} is pinned in its file, and not here",
                    pin.version, pin.sha256
                ),
                None => "behind".to_owned(),
            },
            State::Disputed { version } => format!("two root documents of version {version}"),
            State::Upgrade { version, rules } => {
                format!("root document {version} is of rules {rules}: it needs a newer skep")
            }
        }
    }

    pub fn line(&self) -> RepoLine {
        let packages = self.view.as_ref().map(|view| &view.packages);
        let releases = packages.map_or(0, |p| p.values().map(|p| p.releases.len()).sum());
        RepoLine {
            id: self.id,
            alias: self.alias().cloned(),
            state: self.state_text(),
            version: self.chain.links().len() as u64,
            logs: self.logs.len(),
            packages: packages.map_or(0, |packages| packages.len()),
            releases,
            view_hash: self.view_hash,
        }
    }

    pub fn report(&self) -> Repo {
        let latest = self.chain.latest();
        let document = latest.map(|link| &link.document);
        let view = self.view.as_deref();
        Repo {
            line: self.line(),
            name: document.map_or(String::new(), |d| d.name.clone()),
            root_sha256: latest.map(|link| link.sha256),
            root_keys: document.map_or(Vec::new(), |d| d.root.keys.clone()),
            root_threshold: document.map_or(0, |d| d.root.threshold as u64),
            rivals: self.rivals(),
            registrar: document.map(|d| d.registrars.live),
            visibility: match document.map(|d| d.visibility) {
                Some(Visibility::Members) => "members".to_owned(),
                Some(Visibility::Public) => "public".to_owned(),
                None => String::new(),
            },
            witnesses: document
                .and_then(|d| d.witnesses.as_ref())
                .map_or(0, |w| w.keys.len()),
            expires: document.and_then(|d| d.expires.as_ref().map(ToString::to_string)),
            handles: view.map_or(Vec::new(), |view| {
                let handles = view.authority.handles.values();
                handles.map(|handle| Handle::of(view, handle)).collect()
            }),
            void_entries: view.map_or(0, |view| view.void),
            unknown_entries: view.map_or(0, |view| view.unknown),
            forked_keys: view.map_or(Vec::new(), forked),
            ineffective: self.ineffective(),
            held_releases: self.holdings.len(),
            held_bytes: self.held().values().sum(),
        }
    }

    fn rivals(&self) -> Vec<Rival> {
        let rivals = self.chain.rivals().iter();
        rivals
            .map(|rival| Rival {
                version: rival.version,
                sha256: rival.sha256,
                culprits: rival.culprits.iter().copied().collect(),
            })
            .collect()
    }

    /// Every blob of the releases that are held, with its size.
    pub fn held(&self) -> BTreeMap<Blake3, u64> {
        let holdings = self.holdings.values();
        holdings
            .flat_map(|holding| holding.blobs.iter().copied())
            .collect()
    }

    /// Operations of authority that changed nothing, and why.
    pub fn ineffective(&self) -> Vec<Ineffective> {
        let Some(view) = self.view.as_deref() else {
            return Vec::new();
        };
        let judged = view.authority.judged.iter();
        judged
            .filter_map(|judged| match &judged.outcome {
                Outcome::Effective { .. } => None,
                Outcome::Ineffective(why) => Some(Ineffective {
                    position: judged.position.index,
                    operation: judged.leaf.to_string(),
                    why: why.to_string(),
                }),
            })
            .collect()
    }

    pub fn packages(&self) -> Vec<Package> {
        let Some(view) = self.view.as_deref() else {
            return Vec::new();
        };
        let packages = view.packages.values().filter_map(|package| {
            Some(Package {
                name: package.name.clone(),
                owner: Handle::of(view, view.handle(&package.owner)?),
                suspended: package.suspended.on,
                deprecated: package.deprecated.on,
                releases: package
                    .releases
                    .iter()
                    .map(|(version, release)| ReleaseLine::of(version, release))
                    .collect(),
            })
        });
        packages.collect()
    }
}

/// What a decision looked at, for whoever asked.
pub(crate) fn facts(decision: &Decision) -> Vec<Fact> {
    let facts = decision.facts.iter();
    facts
        .map(|fact| Fact {
            outcome: match fact.outcome {
                trust::Outcome::Ok => FactOutcome::Ok,
                trust::Outcome::Fail => FactOutcome::Fail,
                trust::Outcome::Note => FactOutcome::Note,
            },
            check: fact.check.to_owned(),
            text: fact.text.clone(),
        })
        .collect()
}

fn forked(view: &View) -> Vec<skep_proto::key::Key> {
    let registrars = view.authority.sequence.registrars.iter();
    let registrars = registrars.map(|(key, used)| (key, used));
    let logs = view.logs.iter().chain(registrars);
    logs.filter(|(_, used)| **used == LogUse::Forked)
        .map(|(key, _)| *key)
        .collect()
}
