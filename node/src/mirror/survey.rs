//! From what readers see of a node to what a plan is made of.

use std::collections::BTreeSet;

use skep_proto::hash::Sha256;
use skep_proto::name::Version;
use skep_proto::repo::view::{Package, Release as Published};

use super::{Release, Repo, Standing};
use crate::core::{Holding, RestrictionKind};
use crate::snapshot::{RepoSnapshot, Snapshot};

/// Every repository that is followed and has a view, and how many bytes are held beside what is in
/// these views. `size_of` knows releases that are not here by their manifest, as far as anybody
/// looked.
pub(crate) fn survey<'a>(
    snapshot: &'a Snapshot,
    size_of: &dyn Fn(&Sha256) -> Option<u64>,
) -> (Vec<Repo<'a>>, u64) {
    let mut other_bytes = 0_u64;
    let mut repos = Vec::new();
    for repo in snapshot.stored() {
        let of = survey_one(repo, size_of);
        let releases = of.iter().flat_map(|of| &of.releases);
        let seen: BTreeSet<Sha256> = releases.map(|release| release.manifest).collect();
        let others = repo
            .holdings
            .iter()
            .filter(|(manifest, _)| !seen.contains(manifest));
        let others = others.map(|(_, holding)| holding.size_bytes());
        other_bytes = others.fold(other_bytes, u64::saturating_add);
        repos.extend(of);
    }
    (repos, other_bytes)
}

fn survey_one<'a>(
    repo: &'a RepoSnapshot,
    size_of: &dyn Fn(&Sha256) -> Option<u64>,
) -> Option<Repo<'a>> {
    let (_, file) = repo.settings.as_ref()?;
    let view = repo.view.as_deref()?;
    let mut releases = Vec::new();
    for package in view.packages.values() {
        let owner_suspended = view.is_handle_suspended(package.owner);
        for (version, release) in &package.releases {
            let is_suspended = owner_suspended || package.suspended.on || release.suspended.on;
            releases.extend(of_version(
                repo,
                (package, version),
                release,
                is_suspended,
                size_of,
            ));
        }
    }
    // A package's releases stand together: names are compared as they are, not folded.
    releases.sort_by_key(|release: &Release<'_>| (release.name, release.version, release.manifest));
    let mut of = Repo {
        id: repo.id,
        rules: &[],
        named: BTreeSet::new(),
        is_doubtful: repo.is_doubtful(),
        releases,
    };
    of.read(file);
    Some(of)
}

/// The manifest that is listed, and those that are here of the same version.
fn of_version<'a>(
    repo: &RepoSnapshot,
    (package, version): (&'a Package, &'a Version),
    release: &Published,
    is_suspended: bool,
    size_of: &dyn Fn(&Sha256) -> Option<u64>,
) -> Vec<Release<'a>> {
    let listed = release.listed();
    let here = release.claims.keys();
    let here = here.filter(|manifest| repo.holdings.contains_key(manifest));
    let manifests: BTreeSet<Sha256> = listed.into_iter().chain(here.copied()).collect();
    let is_yanked = || {
        let kind = RestrictionKind::Yanked;
        let key = (kind, package.name.clone(), version.clone());
        release.yanked.on || repo.restrictions.contains_key(&key)
    };
    let is_sound = !is_suspended && !is_yanked();
    let of = |manifest: Sha256| {
        let holding = repo.holdings.get(&manifest);
        let size_bytes = holding.map(Holding::size_bytes);
        Release {
            name: &package.name,
            version,
            manifest,
            size_bytes: size_bytes.or_else(|| size_of(&manifest)),
            here: holding.map(|holding| holding.why),
            standing: match (listed == Some(manifest), is_sound) {
                (true, true) => Standing::Sound,
                (true, false) => Standing::Against,
                (false, _) => Standing::Unlisted,
            },
        }
    };
    manifests.into_iter().map(of).collect()
}
