//! Following a repository that a ticket leads to.

use skep_proto::control::{Handle, Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::{Name, RepoRef};
use skep_proto::ticket::Ticket;
use skep_proto::trust::file::{Glob, Keep, Pin, RepoFile, append_rule, with_keep, with_peers};

use super::repo;
use crate::client::{Client, unexpected};
use crate::commands::parse::parse_name;
use crate::commands::{Session, as_name, lookalike, trust};
use crate::error::{CliError, Exit, Hint, Result, could_not};
use crate::home::config::Config;
use crate::home::repos::{Followed, Repos};

/// How long somebody who is named is waited for: the first dial may be lost, and a second one then
/// comes after some seconds.
const MEET_S: u64 = 15;
/// How long somebody is waited for who need not be there: nobody is named, or what is known here
/// will do.
const LOOK_S: u64 = 5;
/// Most addresses of one node that a file gets of tickets: so many a node dials at once, and a node
/// without a port of its own has another one each time it starts.
const ADDRESSES_PER_NODE_MAX: usize = 16;
/// How many releases of each package `--trust` keeps.
const KEEP_NEWEST: u32 = 3;

/// Follows the repository of a ticket, until a peer was compared with; gives its alias.
pub(crate) async fn follow(
    ticket: &Ticket,
    alias: Option<&Name>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Name> {
    let _lock = session.home.lock(session.ui).await?;
    let repos = Repos::of(&session.home);
    match repos.find(&RepoRef::Id(ticket.repo)) {
        Ok(known) => {
            meet(&known, ticket, &repos)?;
            client.ask(Request::Reload).await?;
            catch_up(&known.alias, ticket, session, client).await?;
            compare_root(&known.alias, ticket, session, client).await?;
            let before = known.alias.clone();
            let now = called(known.alias, alias, ticket, &repos, client).await?;
            if now != before {
                let ui = session.ui;
                ui.say(&format!("`{before}` is called `{now}` here from now on"));
            }
            Ok(now)
        }
        Err(e) if e.exit == Exit::NotFound => begin(ticket, alias, &repos, session, client).await,
        Err(e) => Err(e),
    }
}

/// Compares with a peer; of a repository that is in the store already, what is here will do.
async fn catch_up(
    alias: &Name,
    ticket: &Ticket,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let here = repo(alias.as_str(), client).await?.line.version > 0;
    let wait_s = if here { LOOK_S } else { MEET_S };
    match sync(ticket, wait_s, session, client).await {
        Err(error) if here && error.exit == Exit::Unreachable => {
            let message = &error.message;
            session
                .ui
                .warn(&format!("{message}; going on with what is known here"));
            Ok(())
        }
        done => done,
    }
}

/// Compares the root document that a ticket names with the one that is followed here: a person gave
/// the ticket, so what it names is another channel's word.
async fn compare_root(
    alias: &Name,
    ticket: &Ticket,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let known = repo(alias.as_str(), client).await?;
    let (held, named) = (known.line.version, ticket.root.0);
    match Named::of(ticket.root, held, known.root_sha256) {
        Named::Known => Ok(()),
        Named::Newer => {
            session.ui.warn(&format!(
                "the ticket names version {named} of the root document of `{alias}`, and none newer \
                 than {held} was found yet"
            ));
            Ok(())
        }
        Named::Another => Err(CliError::new(
            Exit::Untrusted,
            format!(
                "this ticket names another root document of version {named} of `{alias}` than the \
                 one that you follow"
            ),
            Hint::new(format!(
                "one of the two is not what its owners meant: ask them which, by another channel\n\
                 yours: skep repo show {alias}"
            )),
        )
        .detail("ticket", ticket.root.1.to_string())),
    }
}

/// What a ticket's root document is to the one that is held.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// The same, or one before it: the chain has it.
    Known,
    Newer,
    /// Of the same version, and not the same.
    Another,
}

impl Named {
    fn of((version, sha256): (u64, Sha256), held: u64, held_sha256: Option<Sha256>) -> Self {
        match held_sha256 {
            Some(held_sha256) if version == held && sha256 != held_sha256 => Self::Another,
            Some(_) if version > held => Self::Newer,
            _ => Self::Known,
        }
    }
}

/// Begins to follow; what could not be met is forgotten again.
async fn begin(
    ticket: &Ticket,
    alias: Option<&Name>,
    repos: &Repos<'_>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Name> {
    let provisional = provisional(ticket)?;
    let file = RepoFile {
        id: ticket.repo,
        root: Pin {
            version: ticket.root.0,
            sha256: ticket.root.1,
        },
        peers: peers_of(ticket),
        keep: Vec::new(),
        kept: Vec::new(),
        share: None,
        trust: Vec::new(),
    };
    let first = alias.unwrap_or(&provisional);
    repos.add(first, &file.to_text())?;
    client.ask(Request::Reload).await?;
    // It may have been followed before: then it is in the store.
    if let Err(error) = catch_up(first, ticket, session, client).await {
        repos.remove(first)?;
        client.ask(Request::Reload).await?;
        return Err(error);
    }
    called(first.clone(), alias, ticket, repos, client).await
}

/// Refuses, offline, what needs somebody to be asked: a repository that is not followed yet.
pub(crate) fn known_or_online(ticket: &Ticket, session: &Session<'_>) -> Result<()> {
    let known = Repos::of(&session.home).find(&RepoRef::Id(ticket.repo));
    match known {
        Err(e) if e.exit == Exit::NotFound && session.global.offline => Err(CliError::new(
            Exit::Unreachable,
            "you do not follow the repository of this ticket yet, and offline nobody can be asked",
            Hint::new("the same again without --offline"),
        )),
        Err(e) if e.exit != Exit::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Gives a followed repository the alias that is wanted; one that only has its provisional alias,
/// what it calls itself, as soon as that is known.
async fn called(
    current: Name,
    wanted: Option<&Name>,
    ticket: &Ticket,
    repos: &Repos<'_>,
    client: &mut Client,
) -> Result<Name> {
    let taken: Vec<Name> = repos.list()?.into_iter().map(|f| f.alias).collect();
    let alias = match wanted {
        Some(wanted) => wanted.clone(),
        None if current == provisional(ticket)? => {
            let itself = repo(current.as_str(), client).await?.name;
            free_alias(&itself, &taken).unwrap_or_else(|| current.clone())
        }
        None => current.clone(),
    };
    if alias == current {
        return Ok(current);
    }
    if taken.contains(&alias) {
        return Err(taken_alias(&alias));
    }
    repos.rename(&current, &alias)?;
    client.ask(Request::Reload).await?;
    Ok(alias)
}

fn taken_alias(alias: &Name) -> CliError {
    CliError::new(
        Exit::Failed,
        format!("you follow a repository `{alias}` already"),
        Hint::new("another name for this one: --alias NAME"),
    )
}

/// Adds the ticket's addresses to a repository that is followed already.
fn meet(known: &Followed, ticket: &Ticket, repos: &Repos<'_>) -> Result<()> {
    let peers = met(&known.file.peers, peers_of(ticket));
    if peers == known.file.peers {
        return Ok(());
    }
    let text = with_peers(&known.text, &peers).map_err(|e| could_not("edit the file", &e))?;
    repos.edit(&known.alias, &text)
}

/// The peers of a file once a ticket has named some: those first, since a ticket says where a node is
/// now. Of one node the last ones go when there are more than are dialled.
fn met(known: &[String], named: Vec<String>) -> Vec<String> {
    let node = |peer: &str| peer.rsplit_once("/p2p/").map(|(_, node)| node.to_owned());
    let mut peers = named.clone();
    for peer in known.iter().filter(|peer| !named.contains(peer)) {
        let of_ticket = named.iter().any(|named| node(named) == node(peer));
        let same = peers.iter().filter(|other| node(other) == node(peer));
        if !of_ticket || same.count() < ADDRESSES_PER_NODE_MAX {
            peers.push(peer.clone());
        }
    }
    peers
}

/// Compares with a peer, unless offline.
async fn sync(
    ticket: &Ticket,
    wait_s: u64,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    if session.global.offline {
        return Ok(());
    }
    let ways = ways(ticket, session, client).await?;
    if ways.is_empty() {
        return Err(CliError::new(
            Exit::Unreachable,
            "this ticket names no address of a node, and there is nobody else to ask",
            Hint::new(
                "ask for a ticket made while its node runs: skep repo ticket REPO\nor name a node in config.toml: peers = [\"/ip4/192.0.2.7/tcp/7701/p2p/12D3Koo…\"]",
            ),
        ));
    }
    for way in &ways {
        session.ui.say_detail(&format!("trying {way}"));
    }
    let mut looking = session
        .ui
        .progress("looking for a peer that has the repository", None);
    let wait_s = match peers_of(ticket).is_empty() {
        true => wait_s.min(LOOK_S),
        false => wait_s,
    };
    let request = Request::AwaitSync {
        repo: ticket.repo,
        wait_s,
    };
    match looking.during(client.ask(request)).await {
        Ok(Response::Done) => Ok(()),
        Ok(other) => Err(unexpected(&other)),
        Err(error) if error.exit == Exit::Unreachable => {
            let tried = |error: CliError, way| error.detail("tried", way);
            Err(ways.into_iter().fold(error, tried))
        }
        Err(error) => Err(error),
    }
}

/// Where a peer that has the repository may be met, in words.
async fn ways(ticket: &Ticket, session: &Session<'_>, client: &mut Client) -> Result<Vec<String>> {
    let mut ways = peers_of(ticket);
    let followed = Repos::of(&session.home).list()?;
    let settings = Config::read(&session.home, session.env)?;
    let of_files = followed
        .into_iter()
        .flat_map(|followed| followed.file.peers);
    for peer in of_files.chain(settings.peers.value) {
        if !ways.contains(&peer) {
            ways.push(peer);
        }
    }
    if settings.mdns.value {
        ways.push("the local network (mDNS)".to_owned());
    }
    if !client.is_own() {
        let status = match client.ask(Request::Status).await? {
            Response::Status(status) => status,
            other => return Err(unexpected(&other)),
        };
        if status.peers > 0 {
            ways.push("the peers that the running node is connected with".to_owned());
        }
    }
    Ok(ways)
}

fn peers_of(ticket: &Ticket) -> Vec<String> {
    let nodes = ticket.nodes.iter();
    nodes
        .flat_map(|(node, addresses)| {
            addresses
                .iter()
                .map(|address| crate::client::peer_text(node, address))
        })
        .collect()
}

fn provisional(ticket: &Ticket) -> Result<Name> {
    short_of(&ticket.repo)
}

/// An alias that says only which repository it is.
fn short_of(repo: &RepoId) -> Result<Name> {
    let id = repo.to_string();
    let short = id
        .get("skep1".len()..)
        .and_then(|rest| rest.get(..8))
        .unwrap_or_default();
    parse_name(&format!("r-{short}"))
}

/// What a repository that calls itself `name` is called where `taken` are taken.
pub(crate) fn alias_of(name: &str, repo: &RepoId, taken: &[Name]) -> Result<Name> {
    free_alias(name, taken).map_or_else(|| short_of(repo), Ok)
}

/// What a repository calls itself, as an alias that is free.
fn free_alias(name: &str, taken: &[Name]) -> Option<Name> {
    let wanted = as_name(name)?;
    let candidates = (2..100).map(|n| format!("{wanted}-{n}"));
    let mut all = std::iter::once(wanted.to_string()).chain(candidates);
    all.find_map(|text| text.parse().ok().filter(|name| !taken.contains(name)))
}

/// A trust rule for the ticket's handle, or for every publisher that there is now; asked once.
pub(super) async fn trust_all(
    alias: &Name,
    ticket: &Ticket,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let repo = repo(&alias.to_string(), client).await?;
    let publishers: Vec<&Handle> = repo
        .handles
        .iter()
        .filter(|handle| handle.roles.iter().any(|role| role == "publisher"))
        .filter(|handle| ticket.handle.is_none_or(|only| only == handle.id))
        .collect();
    if publishers.is_empty() {
        return Err(CliError::new(
            Exit::NotFound,
            format!("`{alias}` has no publisher yet"),
            Hint::new(format!("later: skep trust add {alias}/PACKAGE")),
        ));
    }
    for handle in &publishers {
        session.ui.say(&trust::publisher_line(handle));
    }
    let names = match &ticket.package {
        Some(package) => package.to_string(),
        None => "*".to_owned(),
    };
    lookalike::warn(alias, ticket.package.as_ref(), session)?;
    let question = match publishers.len() {
        1 => format!("trust this handle to publish {alias}/{names}?"),
        n => format!("trust these {n} handles to publish {alias}/{names}?"),
    };
    if !session.ui.confirm(&question, false)? {
        return Err(trust::not_trusted(alias));
    }
    let repos = Repos::of(&session.home);
    let _one = session.home.lock(session.ui).await?;
    let mut text = repos.find(&RepoRef::Alias(alias.clone()))?.text;
    let glob: Glob = names.parse().map_err(|e| could_not("write a rule", &e))?;
    for handle in publishers {
        text = append_rule(
            &text,
            std::slice::from_ref(&glob),
            &handle.label,
            &handle.id,
        )
        .map_err(|e| could_not("write a rule", &e))?;
    }
    if !RepoFile::parse(&text).is_ok_and(|file| !file.keep.is_empty()) {
        let keep = Keep::newest_of_all(KEEP_NEWEST);
        text = with_keep(&text, &keep).map_err(|e| could_not("edit the file", &e))?;
    }
    repos.edit(alias, &text)?;
    client.ask(Request::Reload).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_ticket_says_that_a_node_is_comes_first_and_old_places_go() {
        let at = |port: usize, node: &str| format!("/ip4/192.0.2.1/tcp/{port}/p2p/{node}");
        let mut peers = vec![at(1, "other"), "/dns/by.hand/tcp/1/p2p/third".to_owned()];
        for port in 1..=ADDRESSES_PER_NODE_MAX {
            peers = met(&peers, vec![at(port, "node")]);
            assert_eq!(peers[0], at(port, "node"));
        }
        assert_eq!(peers.len(), ADDRESSES_PER_NODE_MAX + 2, "nothing has gone");
        let again = met(&peers, vec![at(1, "node")]);
        assert_eq!((&again[0], again.len()), (&at(1, "node"), peers.len()));
        let more = met(&peers, vec![at(99, "node")]);
        assert_eq!((&more[0], more.len()), (&at(99, "node"), peers.len()));
        assert!(!more.contains(&at(1, "node")), "the oldest has gone");
        assert!(more.contains(&at(1, "other")) && more.contains(&peers[peers.len() - 1]));
    }

    #[test]
    fn a_ticket_of_another_root_document_of_the_same_version_is_told_from_a_newer_one() {
        let [a, b] = [b"a", b"b"].map(|text| Sha256::of(&[text]));
        assert_eq!(Named::of((2, a), 2, Some(a)), Named::Known);
        assert_eq!(Named::of((1, b), 2, Some(a)), Named::Known);
        assert_eq!(Named::of((2, b), 2, Some(a)), Named::Another);
        assert_eq!(Named::of((3, b), 2, Some(a)), Named::Newer);
        // Nothing is here yet.
        assert_eq!(Named::of((2, b), 0, None), Named::Known);
    }
}
