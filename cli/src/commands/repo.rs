//! `skep repo`: repositories of one's own, and those that one follows.

use skep_proto::control::{self, Handle, Hex, Request, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, NodeId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::log::entry::{Body, Grant, HandleOperation, Role, RootNotice, handle_message};
use skep_proto::name::{Name, PackageRef, RepoRef};
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::ticket::{TICKET_ADDRESSES_MAX, Ticket};
use skep_proto::trust::file::{Glob, Keep, Pin, RepoFile, append_rule, with_keep, with_peers};

use super::Session;
use crate::args::repo::{Action, Repo};
use crate::author::Author;
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::{Followed, Repos};
use crate::report::{Report, Table};

/// How many releases of each package `--trust` keeps.
const KEEP_NEWEST: u32 = 3;

pub(crate) async fn run(args: &Repo, session: &Session<'_>) -> Result<Report> {
    if args.action.is_none() && Repos::of(&session.home).list()?.is_empty() {
        session.ui.say("no repositories");
        session
            .ui
            .next("skep repo create ALIAS, or skep repo add TICKET");
        return Ok(Report::list("repo", Table::new(&LIST_COLUMNS)));
    }
    let mut client = Client::connect(session).await?;
    let done = act(args, session, &mut client).await;
    client.close().await;
    done
}

async fn act(args: &Repo, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    match &args.action {
        None => list(client).await,
        Some(Action::Create { alias }) => {
            let alias = new_alias(alias)?;
            let made = create(&alias, session, client).await?;
            Ok(Report::answer("repo.create")
                .fact("alias", alias.as_str())
                .fact("id", made.id.to_string())
                .fact("handle", made.handle.to_string())
                .fact("root_key", made.root_key.path.as_path()))
        }
        Some(Action::Add {
            ticket,
            alias,
            trust,
        }) => {
            let ticket = parse_ticket(ticket)?;
            let alias = alias.as_deref().map(new_alias).transpose()?;
            let alias = follow(&ticket, alias.as_ref(), session, client).await?;
            if *trust {
                trust_all(&alias, &ticket, session, client).await?;
            }
            show(&alias.to_string(), "repo.add", client).await
        }
        Some(Action::Remove { repo }) => remove(repo, session, client).await,
        Some(Action::Show { repo }) => show(repo, "repo.show", client).await,
        Some(Action::Ticket { repo, package }) => {
            let package = package.as_deref().map(parse_name).transpose()?;
            let text = ticket(repo, package.as_ref(), client).await?;
            Ok(Report::answer("repo.ticket").verbatim("ticket", text))
        }
    }
}

/// Columns of the list of repositories.
const LIST_COLUMNS: [&str; 6] = ["alias", "state", "packages", "releases", "logs", "id"];

async fn list(client: &mut Client) -> Result<Report> {
    let mut table = Table::new(&LIST_COLUMNS);
    let status = match client.ask(Request::Status).await? {
        Response::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    for line in status.repos {
        table.push([
            line.alias.map(|alias| alias.to_string()).into(),
            line.state.into(),
            (line.packages as u64).into(),
            (line.releases as u64).into(),
            (line.logs as u64).into(),
            line.id.to_string().into(),
        ]);
    }
    Ok(Report::list("repo", table))
}

/// A repository that was just made.
pub(crate) struct Made {
    pub(crate) id: RepoId,
    pub(crate) handle: HandleId,
    pub(crate) root_key: Stored,
}

/// Makes a repository with its root document, registrar, handle and the first grant at once; each
/// of its keys is made if it is not there.
pub(crate) async fn create(
    alias: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Made> {
    let repos = Repos::of(&session.home);
    if repos
        .list()?
        .iter()
        .any(|followed| followed.alias == *alias)
    {
        return Err(CliError::new(
            Exit::Failed,
            format!("you follow a repository `{alias}` already"),
            Hint::new("take another alias: skep repo create OTHER"),
        ));
    }
    let signing = signing_key(alias, session)?;
    let (registrar_key, registrar) = made_key(&format!("{alias}.registrar"), session)?;
    let (root_key, root_signing) = made_key(&format!("{alias}.root"), session)?;
    let document = RootDocument::first(
        alias.as_str(),
        RootKeys {
            keys: vec![root_signing.key()],
            threshold: 1,
        },
        registrar.key(),
        Visibility::Public,
    );
    let payload = document
        .to_payload()
        .map_err(|e| could_not("make a root document", &e))?;
    let message = root::message(&payload);
    let signatures = [&root_signing, &registrar]
        .map(|key| (key.key(), key.sign(&message)))
        .to_vec();
    let (id, sha256) = (root::repo_id(&payload), Sha256::of(&[&payload]));
    let signed = SignedRoot {
        payload,
        signatures,
    };
    let mut operation = HandleOperation {
        prev: None,
        label: alias.clone(),
        publish_threshold: 1,
        change_threshold: 1,
        keys: vec![signing.key()],
        receive: Vec::new(),
        drop: Vec::new(),
        about: String::new(),
        signatures: Vec::new(),
    };
    let message = handle_message(&id, &operation);
    operation.signatures = vec![(signing.key(), signing.sign(&message))];
    let handle = HandleId::from_bytes(*operation.hash(&id).as_bytes());
    let file = RepoFile {
        id,
        root: Pin { version: 1, sha256 },
        peers: Vec::new(),
        keep: None,
        share: None,
        trust: Vec::new(),
    };
    let everything = vec![
        "*".parse::<Glob>()
            .map_err(|e| could_not("write a rule", &e))?,
    ];
    let text = append_rule(&file.to_text(), &everything, alias, &handle);
    repos.add(
        alias,
        &text.map_err(|e| could_not("write the file of the repository", &e))?,
    )?;
    client.ask(Request::Reload).await?;
    let root = Hex(signed.encode());
    client.ask(Request::PutRoot { repo: id, root }).await?;
    let said = vec![
        Body::Handle(Box::new(operation)),
        Body::Grant(Grant {
            handle,
            role: Role::Publisher,
            names: Vec::new(),
        }),
        Body::Root(RootNotice { version: 1, sha256 }),
    ];
    Author::open(&session.home, id, &registrar, client)
        .await?
        .say(said, client)
        .await?;
    let mut author = Author::open(&session.home, id, &signing, client).await?;
    author.say(vec![Body::Hello], client).await?;
    session.ui.say(&format!(
        "created {alias} ({id})\nroot key in {}: move this off this machine\nregistrar key in {}",
        quoted(&root_key.path),
        quoted(&registrar_key.path)
    ));
    Ok(Made {
        id,
        handle,
        root_key,
    })
}

/// The key that signs: the one that is chosen, else a new one named like the repository.
fn signing_key(alias: &Name, session: &Session<'_>) -> Result<SigningKey> {
    let keys = Keys::of(&session.home);
    let chosen = keys.choose(session.global.key.as_deref(), session.login_name().as_ref());
    match chosen {
        Ok(stored) => Ok(stored.open(session.ui, &session.passphrase)?.signing),
        Err(e) if e.exit == Exit::NotFound && session.global.key.is_none() => {
            made_key(alias.as_str(), session).map(|(_, signing)| signing)
        }
        Err(e) => Err(e),
    }
}

/// A key of this name: the one that an interrupted command made, else a new one.
fn made_key(name: &str, session: &Session<'_>) -> Result<(Stored, SigningKey)> {
    let keys = Keys::of(&session.home);
    if let Ok(stored) = keys.find(name) {
        let opened = stored.open(session.ui, &session.passphrase)?;
        return Ok((stored, opened.signing));
    }
    let passphrase = session.passphrase.for_new(name, session.ui)?;
    let seed: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(rand::random());
    let signing = SigningKey::from_seed(&seed);
    let stored = keys.create(name, &signing, passphrase.as_ref().map(|p| p.as_str()))?;
    Ok((stored, signing))
}

/// Follows the repository of a ticket, until a peer was compared with; gives its alias.
pub(crate) async fn follow(
    ticket: &Ticket,
    alias: Option<&Name>,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Name> {
    let repos = Repos::of(&session.home);
    if let Ok(known) = repos.find(&RepoRef::Id(ticket.repo)) {
        meet(&known, ticket, &repos)?;
        client.ask(Request::Reload).await?;
        sync(ticket, session, client).await?;
        return called(known.alias, alias, ticket, &repos, client).await;
    }
    let provisional = provisional(ticket)?;
    let file = RepoFile {
        id: ticket.repo,
        root: Pin {
            version: ticket.root.0,
            sha256: ticket.root.1,
        },
        peers: peers_of(ticket),
        keep: None,
        share: None,
        trust: Vec::new(),
    };
    let first = alias.unwrap_or(&provisional);
    repos.add(first, &file.to_text())?;
    client.ask(Request::Reload).await?;
    let synced = sync(ticket, session, client).await;
    if let Err(error) = synced {
        repos.remove(first)?;
        client.ask(Request::Reload).await?;
        return Err(error);
    }
    called(first.clone(), alias, ticket, &repos, client).await
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
    let mut file = known.file.clone();
    let new: Vec<String> = peers_of(ticket)
        .into_iter()
        .filter(|peer| !file.peers.contains(peer))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    file.peers.extend(new);
    let text = with_peers(&known.text, &file.peers).map_err(|e| could_not("edit the file", &e))?;
    repos.edit(&known.alias, &text)
}

async fn sync(ticket: &Ticket, session: &Session<'_>, client: &mut Client) -> Result<()> {
    if session.global.offline {
        return Ok(());
    }
    let repo = ticket.repo;
    match client.ask(Request::AwaitSync { repo }).await {
        Ok(Response::Done) => Ok(()),
        Ok(other) => Err(unexpected(&other)),
        Err(error) => Err(error),
    }
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
    let id = ticket.repo.to_string();
    let short = id
        .get("skep1".len()..)
        .and_then(|rest| rest.get(..8))
        .unwrap_or_default();
    parse_name(&format!("r-{short}"))
}

/// What a repository calls itself, as an alias that is free.
fn free_alias(name: &str, taken: &[Name]) -> Option<Name> {
    let wanted = super::as_name(name)?;
    let candidates = (2..100).map(|n| format!("{wanted}-{n}"));
    let mut all = std::iter::once(wanted.to_string()).chain(candidates);
    all.find_map(|text| text.parse().ok().filter(|name| !taken.contains(name)))
}

/// A trust rule for the ticket's handle, or for every publisher that there is now; asked once.
async fn trust_all(
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
        session.ui.say(&super::trust::publisher_line(handle));
    }
    let names = match &ticket.package {
        Some(package) => package.to_string(),
        None => "*".to_owned(),
    };
    let question = match publishers.len() {
        1 => format!("trust this handle to publish {alias}/{names}?"),
        n => format!("trust these {n} handles to publish {alias}/{names}?"),
    };
    if !session.ui.confirm(&question, false)? {
        return Err(super::trust::not_trusted(alias));
    }
    let repos = Repos::of(&session.home);
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
    let keep = Keep {
        newest: KEEP_NEWEST,
    };
    let text = with_keep(&text, &keep).map_err(|e| could_not("edit the file", &e))?;
    repos.edit(alias, &text)?;
    client.ask(Request::Reload).await?;
    Ok(())
}

async fn remove(repo: &str, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let repos = Repos::of(&session.home);
    let followed = repos.find(&parse_repo(repo)?)?;
    repos.remove(&followed.alias)?;
    client.ask(Request::Reload).await?;
    Ok(Report::answer("repo.remove")
        .fact("alias", followed.alias.as_str())
        .fact("id", followed.file.id.to_string()))
}

/// What a node says of a repository.
pub(crate) async fn repo(repo: &str, client: &mut Client) -> Result<control::Repo> {
    let request = Request::Repo {
        repo: repo.to_owned(),
    };
    match client.ask(request).await? {
        Response::Repo(repo) => Ok(*repo),
        other => Err(unexpected(&other)),
    }
}

async fn show(name: &str, verb: &'static str, client: &mut Client) -> Result<Report> {
    let repo = repo(name, client).await?;
    let mut handles = Table::new(&["label", "publish", "change", "roles", "fingerprints"]);
    for handle in &repo.handles {
        let keys: Vec<String> = handle.keys.iter().map(|key| key.fingerprint()).collect();
        handles.push([
            handle.label.as_str().into(),
            handle.m.into(),
            handle.c.into(),
            handle.roles.clone().into(),
            keys.into(),
        ]);
    }
    let line = &repo.line;
    Ok(Report::answer(verb)
        .fact("alias", line.alias.as_ref().map(ToString::to_string))
        .fact("id", line.id.to_string())
        .fact("state", line.state.as_str())
        .fact("calls_itself", repo.name.as_str())
        .fact("root_document", line.version)
        .fact("root_sha256", repo.root_sha256.map(|hash| hash.to_string()))
        .fact("visibility", repo.visibility.as_str())
        .fact("witnesses", repo.witnesses as u64)
        .fact("expires", repo.expires.clone())
        .fact("registrar", repo.registrar.map(|key| key.fingerprint()))
        .fact("packages", line.packages as u64)
        .fact("releases", line.releases as u64)
        .fact("logs", line.logs as u64)
        .fact("void_entries", repo.void_entries)
        .fact("unknown_entries", repo.unknown_entries)
        .fact("view", line.view_hash.map(|hash| hash.to_string()))
        .table("handles", handles))
}

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
    text.trim().parse().map_err(|e: skep_proto::ticket::Error| {
        let hint = Hint::new("copy the whole ticket again: it begins with `skept1`");
        CliError::usage("could not read the ticket", hint).because(&e)
    })
}

pub(crate) fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        let hint = Hint::new("lower-case letters, digits and single dashes, for example `drop`");
        CliError::usage(e.to_string(), hint)
    })
}

/// `REPO/NAME[@VERSION]`, as the usage of `verb` explains it.
pub(crate) fn parse_package(text: &str, verb: &str) -> Result<PackageRef> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new(format!("skep {verb} REPO/NAME, or REPO/NAME@VERSION")),
        )
    })
}

pub(crate) fn parse_repo(text: &str) -> Result<RepoRef> {
    text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new("an alias or an id `skep1…`: skep repo"),
        )
    })
}

fn new_alias(text: &str) -> Result<Name> {
    let alias = parse_name(text)?;
    if alias.is_reserved() {
        let message = format!("a repository cannot be called `{alias}`: the word is reserved");
        return Err(CliError::usage(message, Hint::new("take another alias")));
    }
    Ok(alias)
}

/// Something of ours that did not work, with its cause.
pub(crate) fn could_not(doing: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    let hint = Hint::none("the cause names everything we know");
    CliError::new(Exit::Failed, format!("could not {doing}"), hint).because(error)
}
