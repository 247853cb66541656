//! `skep repo`: repositories of one's own, and those that one follows.

use skep_proto::control::{Handle, Hex, Repo as Report_, Request, Response};
use skep_proto::id::RepoId;
use skep_proto::key::SigningKey;
use skep_proto::log::entry::{Body, Grant, HandleOperation, Role, RootNotice, handle_message};
use skep_proto::name::Name;
use skep_proto::package::dsse;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::ticket::Ticket;
use skep_proto::trust::file::{Glob, Keep, Pin, RepoFile, append_rule};

use super::Session;
use crate::args::repo::{Action, Repo};
use crate::author::Author;
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::{Followed, Repos};
use crate::report::{Report, Table};

/// How many releases of each package `--trust` keeps.
const KEEP_NEWEST: u32 = 3;

pub(crate) async fn run(args: &Repo, session: &Session<'_>) -> Result<Report> {
    match &args.action {
        None => list(session).await,
        Some(Action::Create { alias }) => {
            let mut client = Client::connect(session).await?;
            let made = create(alias, session, &mut client).await;
            client.close().await;
            made.map(|made| made.report())
        }
        Some(Action::Add {
            ticket,
            alias,
            trust,
        }) => {
            let mut client = Client::connect(session).await?;
            let added = add(ticket, alias.as_deref(), *trust, session, &mut client).await;
            client.close().await;
            added
        }
        Some(Action::Remove { repo }) => remove(repo, session).await,
        Some(Action::Show { repo }) => show(repo, session).await,
        Some(Action::Ticket { repo, package }) => {
            ticket_of(repo, package.as_deref(), session).await
        }
    }
}

async fn list(session: &Session<'_>) -> Result<Report> {
    let mut table = Table::new(&["alias", "state", "packages", "releases", "logs", "id"]);
    let followed = Repos::of(&session.home).list()?;
    if !followed.is_empty() {
        let mut client = Client::connect(session).await?;
        let status = client.ask(Request::Status).await;
        client.close().await;
        let Response::Status(status) = status? else {
            return Ok(Report::list("repo", table));
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
    } else {
        session.ui.next("skep repo create ALIAS, or skep repo add TICKET");
    }
    Ok(Report::list("repo", table))
}
