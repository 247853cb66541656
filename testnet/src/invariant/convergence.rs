//! When the network is whole and quiet, everybody who follows a repository says the same.

use std::collections::BTreeSet;

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::repo::view::Release;

use super::{Broken, ensure};
use crate::author::Released;
use crate::disk::{Folder, LogFile};
use crate::host::Host;

/// At the end of a run, of the nodes that are up.
pub fn views_agree<'a>(repo: &RepoId, hosts: impl Iterator<Item = &'a Host>) -> Result<(), Broken> {
    let hosts: Vec<&Host> = hosts.filter(|host| host.is_up()).collect();
    let said = |host: &&Host| (host.view_hash(repo), host.frontier(repo));
    let agree = hosts
        .windows(2)
        .all(|pair| said(&pair[0]) == said(&pair[1]));
    ensure(agree, "views agree once the network is whole", || {
        let said = hosts.iter().map(|host| {
            let (view, trie) = (host.view_hash(repo), host.frontier(repo));
            format!("view {} trie {}", short(view), short(trie))
        });
        let said: Vec<String> = said.collect();
        format!("{}; {}", said.join(", "), differences(repo, &hosts))
    })
}

/// Of which logs not all hold the same: entries, of these under a whole checkpoint, evidence.
fn differences(repo: &RepoId, hosts: &[&Host]) -> String {
    let folders: Vec<Folder> = hosts.iter().map(|host| host.disk.folder(repo)).collect();
    let keys: BTreeSet<Key> = folders
        .iter()
        .flat_map(|folder| folder.logs.keys().chain(folder.evidence.keys()))
        .copied()
        .collect();
    let held = |folder: &Folder, key: &Key| {
        let log = folder.logs.get(key);
        let whole = log.and_then(|log| log.whole.as_ref());
        let size = log.map_or(0, LogFile::size);
        let whole = whole.map_or(0, |whole| whole.size);
        let forked = folder.evidence.contains_key(key);
        format!("{size}/{whole}{}", if forked { " forked" } else { "" })
    };
    let differing = keys.iter().filter_map(|key| {
        let held: Vec<String> = folders.iter().map(|folder| held(folder, key)).collect();
        let differ = held.windows(2).any(|pair| pair[0] != pair[1]);
        differ.then(|| format!("{key}: {}", held.join(", ")))
    });
    differing.collect::<Vec<_>>().join("; ")
}

fn short(hash: Option<Sha256>) -> String {
    let hash = hash.map(|hash| hash.to_string()).unwrap_or_default();
    hash.chars().take(8).collect()
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
