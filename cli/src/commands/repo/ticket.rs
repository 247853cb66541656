//! Tickets: the text that leads a friend to a repository.

use skep_proto::control::{Handle, Request, Response};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::name::{Name, RepoRef};
use skep_proto::ticket::{ADDRESS_LEN_MAX, TICKET_ADDRESSES_MAX, Ticket};

use super::repo;
use crate::client::{Client, parse_peer, unexpected};
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::repos::Repos;

/// A ticket to a repository, perhaps to a package in it and the handle that owns it.
pub(crate) async fn ticket(
    name: &str,
    package: Option<&Name>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Ticket> {
    let repo = repo(name, client).await?;
    let Some(sha256) = repo.root_sha256 else {
        return Err(CliError::new(
            Exit::NotFound,
            format!("`{name}` has no root document yet"),
            Hint::new(format!("skep repo show {name}")),
        ));
    };
    let owner = match package {
        Some(package) => {
            let owns = |handle: &&Handle| handle.names.contains(package);
            let owner = repo.handles.iter().find(owns).ok_or_else(|| {
                CliError::new(
                    Exit::NotFound,
                    format!("`{name}` has no package `{package}`"),
                    Hint::new(format!("skep repo show {name}")),
                )
            })?;
            Some(owner.id)
        }
        None => None,
    };
    let (node, addresses) = match client.ask(Request::Addresses).await? {
        Response::Addresses { node, addresses } => (node, addresses),
        other => return Err(unexpected(&other)),
    };
    let addresses = best_addresses(addresses);
    let nodes = match addresses.is_empty() {
        true => known_nodes(&repo.line.id, session)?,
        false => vec![(NodeId::from_key(node), addresses)],
    };
    Ok(Ticket {
        repo: repo.line.id,
        root: (repo.line.version, sha256),
        nodes,
        package: package.cloned(),
        handle: owner,
        secret: None,
    })
}

/// Where nobody can reach us: the nodes that we ask ourselves.
fn known_nodes(repo: &RepoId, session: &Session<'_>) -> Result<Vec<(NodeId, Vec<String>)>> {
    let file = match Repos::of(&session.home).find(&RepoRef::Id(*repo)) {
        Ok(followed) => followed.file,
        Err(e) if e.exit == Exit::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut nodes: Vec<(NodeId, Vec<String>)> = Vec::new();
    let peers = file.peers.iter().filter_map(|peer| parse_peer(peer));
    let short = peers.filter(|(_, address)| address.len() <= ADDRESS_LEN_MAX);
    for (node, address) in short.take(TICKET_ADDRESSES_MAX) {
        match nodes.iter_mut().find(|(known, _)| *known == node) {
            Some((_, addresses)) => addresses.push(address),
            None => nodes.push((node, vec![address])),
        }
    }
    Ok(nodes)
}

/// At most four, those of this machine alone only if there is nothing else.
fn best_addresses(addresses: Vec<String>) -> Vec<String> {
    let is_local = |address: &String| {
        ["/ip4/127.", "/ip6/::1/"]
            .iter()
            .any(|local| address.starts_with(local))
    };
    let (local, mut reachable): (Vec<String>, Vec<String>) =
        addresses.into_iter().partition(is_local);
    if reachable.is_empty() {
        reachable = local;
    }
    reachable.truncate(TICKET_ADDRESSES_MAX);
    reachable
}

pub(crate) fn parse_ticket(text: &str) -> Result<Ticket> {
    let text = text.trim();
    text.parse().map_err(|e: skep_proto::ticket::Error| {
        let hint = match text.parse::<RepoId>() {
            Ok(_) => Hint::new(
                "this is the id of a repository; a ticket also says where it is: skep repo ticket REPO",
            ),
            Err(_) => Hint::new("copy the whole ticket again: it begins with `skept1`"),
        };
        CliError::usage("could not read the ticket", hint).because(&e)
    })
}
