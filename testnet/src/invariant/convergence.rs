//! When the network is whole and quiet, everybody who follows a repository says the same.

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::repo::view::Release;

use super::{Broken, ensure};
use crate::author::Released;
use crate::host::Host;

/// At the end of a run, of the nodes that are up.
pub fn views_agree<'a>(repo: &RepoId, hosts: impl Iterator<Item = &'a Host>) -> Result<(), Broken> {
    let said: Vec<_> = hosts
        .filter(|host| host.is_up())
        .map(|host| (host.view_hash(repo), host.frontier(repo)))
        .collect();
    let agree = said.windows(2).all(|pair| pair[0] == pair[1]);
    ensure(agree, "views agree once the network is whole", || {
        let short = |hash: &Option<Sha256>| {
            let hash = hash.map(|hash| hash.to_string()).unwrap_or_default();
            hash.chars().take(8).collect::<String>()
        };
        let said = said.iter().map(|(view, trie)| {
            let (view, trie) = (short(view), short(trie));
            format!("view {view} trie {trie}")
        });
        said.collect::<Vec<_>>().join(", ")
    })
}

/// A release that was published and nobody contested is listed.
pub fn is_listed(host: &Host, released: &Released) -> Result<(), Broken> {
    let listed = release_of(host, released).and_then(|release| release.listed());
    ensure(
        listed == Some(released.manifest),
        "what was published is listed",
        || format!("{}@{} is {listed:?}", released.name, released.version),
    )
}

/// A release that must not count does not.
pub fn is_not_listed(host: &Host, released: &Released) -> Result<(), Broken> {
    let listed = release_of(host, released).and_then(|release| release.listed());
    ensure(
        listed.is_none(),
        "what a forked key said is not listed",
        || format!("{}@{} is {listed:?}", released.name, released.version),
    )
}

fn release_of(host: &Host, released: &Released) -> Option<Release> {
    let mut repos = host.snapshot.repos();
    let repo = repos.find(|repo| repo.id == released.repo)?;
    let package = repo.view.as_ref()?.package(&released.name)?;
    package.releases.get(&released.version).cloned()
}
