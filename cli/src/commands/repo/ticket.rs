//! Tickets: the text that leads a friend to a repository.

use skep_proto::control::{Handle, Request, Response};
use skep_proto::id::{NodeId, RepoId};
use skep_proto::name::Name;
use skep_proto::ticket::{TICKET_ADDRESSES_MAX, Ticket};

use super::repo;
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result};

/// A ticket to a repository, perhaps to a package in it and the handle that owns it.
pub(crate) async fn ticket(
    name: &str,
    package: Option<&Name>,
    client: &mut Client,
) -> Result<String> {
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
        true => Vec::new(),
        false => vec![(NodeId::from_key(node), addresses)],
    };
    let ticket = Ticket {
        repo: repo.line.id,
        root: (repo.line.version, sha256),
        nodes,
        package: package.cloned(),
        handle: owner,
        secret: None,
    };
    Ok(ticket.to_text_that_fits())
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
