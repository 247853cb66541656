//! `skep repo`: repositories of one's own, and those that one follows.

mod create;
mod follow;
mod remove;
mod settle;
mod show;
mod ticket;

use skep_proto::control::{self, Request, Response};
use skep_proto::name::Name;

use super::Session;
use super::parse::parse_name;
use crate::args::repo::{Action, Repo};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::repos::Repos;
use crate::report::{Report, Table};

pub(crate) use create::{create, followed_already};
pub(crate) use follow::{alias_of, follow, known_or_online};
pub(crate) use ticket::{parse_ticket, ticket};

pub(crate) async fn run(args: &Repo, session: &Session<'_>) -> Result<Report> {
    if args.action.is_none() && Repos::of(&session.home).list()?.is_empty() {
        session.ui.say("no repositories");
        session
            .ui
            .next("skep repo create ALIAS, or skep repo add TICKET");
        return Ok(Report::list("repo", Table::new(&LIST_COLUMNS)));
    }
    let mut client = match &args.action {
        Some(
            Action::Create { .. }
            | Action::Add { .. }
            | Action::Remove { .. }
            | Action::Settle { .. },
        ) => Client::connect(session).await?,
        None | Some(Action::Show { .. } | Action::Ticket { .. }) => {
            Client::looking(session).await?
        }
    };
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
            let made = made.ok_or_else(|| followed_already(&alias))?;
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
            if *trust {
                // Whom to trust is read in the repository.
                known_or_online(&ticket, session)?;
            }
            let alias = follow(&ticket, alias.as_ref(), session, client).await?;
            if *trust {
                let trusted = follow::trust_all(&alias, &ticket, session, client).await;
                if trusted.is_err() {
                    session.ui.say(&format!(
                        "`{alias}` is followed all the same; to undo that: skep repo remove {alias}"
                    ));
                }
                trusted?;
            }
            if client.is_own() {
                session.ui.next("skep node run");
            }
            show::show(&alias.to_string(), "repo.add", client).await
        }
        Some(Action::Remove { repo, purge }) => remove::remove(repo, *purge, session, client).await,
        Some(Action::Settle { repo, document }) => {
            settle::settle(repo, document.as_deref(), session, client).await
        }
        Some(Action::Show { repo }) => show::show(repo, "repo.show", client).await,
        Some(Action::Ticket { repo, package }) => {
            let package = package.as_deref().map(parse_name).transpose()?;
            let ticket = ticket(repo, package.as_ref(), session, client).await?;
            if ticket.nodes.is_empty() {
                session.ui.warn(
                    "this ticket names no address: print it while `skep node run` runs, and friends need not know where you are",
                );
            }
            let text = ticket.to_text_that_fits();
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

/// What a node says of a repository.
pub(crate) async fn repo(repo: &str, client: &mut Client) -> Result<control::Repo> {
    let request = || Request::Repo {
        repo: repo.to_owned(),
    };
    let answered = match client.ask(request()).await {
        // Its file may have been written since the node looked, by a command that was ended before
        // it could say so, or by one that is just about to.
        Err(error) if error.exit == Exit::NotFound => {
            client.ask(Request::Reload).await?;
            client.ask(request()).await?
        }
        answered => answered?,
    };
    match answered {
        Response::Repo(repo) => Ok(*repo),
        other => Err(unexpected(&other)),
    }
}

fn new_alias(text: &str) -> Result<Name> {
    let alias = parse_name(text)?;
    if alias.is_reserved() {
        let message = format!("a repository cannot be called `{alias}`: the word is reserved");
        return Err(CliError::usage(message, Hint::new("take another alias")));
    }
    Ok(alias)
}
