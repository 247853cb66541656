//! `repos.d`: the files that say what is followed, read at start and when somebody says so.

use std::path::{Path, PathBuf};

use skep_proto::id::NodeId;
use skep_proto::name::Name;
use skep_proto::trust::file::{self, RepoFile};

use crate::config::Config;
use crate::core::Input;
use crate::driver::Handle;
use crate::net;

/// Longest file of a repository, in bytes: thousands of rules.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why the files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is not the file of a repository: {source_text}", path.display())]
    Malformed {
        path: PathBuf,
        source_text: file::Error,
    },
    #[error("`{}` is not called after an alias: `ALIAS.toml`", .0.display())]
    Alias(PathBuf),
    #[error("`{}` and `{}` are of one repository", .0.display(), .1.display())]
    Twice(PathBuf, PathBuf),
    #[error("`{}` names the peer `{}`, which is not `/…/p2p/PEER`", path.display(), skep_proto::text::harmless_line(peer))]
    Peer { path: PathBuf, peer: String },
}

/// All repositories that are followed, by alias. A folder that is not there is an empty one.
pub fn read_all(dir: &Path) -> Result<Vec<(Name, RepoFile)>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            let path = dir.to_owned();
            return Err(Error::Read { path, source });
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|source| Error::Read {
                path: dir.to_owned(),
                source,
            })?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut repos: Vec<(Name, RepoFile)> = Vec::new();
    for path in paths {
        let (alias, file) = read(&path)?;
        if let Some((other, _)) = repos.iter().find(|(_, other)| other.id == file.id) {
            let other = dir.join(format!("{other}.toml"));
            return Err(Error::Twice(other, path));
        }
        repos.push((alias, file));
    }
    Ok(repos)
}

/// One file; the alias is its name.
pub fn read(path: &Path) -> Result<(Name, RepoFile), Error> {
    use std::io::Read as _;
    let alias = path.file_stem().and_then(|stem| stem.to_str());
    let alias = alias.and_then(|stem| stem.parse().ok());
    let alias = alias.ok_or_else(|| Error::Alias(path.to_owned()))?;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
    let file = RepoFile::parse(&text).map_err(|source_text| Error::Malformed {
        path: path.to_owned(),
        source_text,
    })?;
    for peer in &file.peers {
        if net::parse_peer(peer).is_none() {
            return Err(Error::Peer {
                path: path.to_owned(),
                peer: peer.clone(),
            });
        }
    }
    Ok((alias, file))
}

/// Tells the core what is followed, and whom to dial for it.
pub(crate) async fn configure(handle: &Handle, config: &Config, repos: Vec<(Name, RepoFile)>) {
    let dial = dials(config, &repos);
    handle.tell(Input::Configured { repos }).await;
    for (peer, addresses) in dial {
        handle.tell(Input::Discovered { peer, addresses }).await;
    }
}

/// [`configure`], from a thread of its own.
pub(crate) fn configure_blocking(handle: &Handle, config: &Config, repos: Vec<(Name, RepoFile)>) {
    let dial = dials(config, &repos);
    handle.tell_blocking(Input::Configured { repos });
    for (peer, addresses) in dial {
        handle.tell_blocking(Input::Discovered { peer, addresses });
    }
}

/// Every configured node with all addresses that somebody gave for it.
fn dials(config: &Config, repos: &[(Name, RepoFile)]) -> Vec<(NodeId, Vec<String>)> {
    let mut all = std::collections::BTreeMap::<NodeId, Vec<String>>::new();
    for (node, addresses) in &config.peers {
        all.entry(*node).or_default().extend(addresses.clone());
    }
    // A node is dialed at its first addresses only: those of the latest ticket, which stand last.
    let peers = repos.iter().flat_map(|(_, file)| file.peers.iter().rev());
    for (node, address) in peers.filter_map(|peer| net::parse_peer(peer)) {
        let addresses = all.entry(node).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    all.into_iter().collect()
}
