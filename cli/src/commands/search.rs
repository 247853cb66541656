//! `skep search`: packages that fit, of the repositories that are followed.

use skep_proto::control::{Request, Response};
use skep_proto::search::{Found, Hit, Page, Query, Sort};

use super::Session;
use crate::args::search::{Search, Sort as Asked};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Hint, Result};
use crate::home::repos::Repos;
use crate::report::{Report, Table, Value};

const COLUMNS: [&str; 8] = [
    "package",
    "version",
    "trusted",
    "deprecated",
    "published",
    "hooks",
    "license",
    "description",
];

pub(crate) async fn run(args: &Search, session: &Session<'_>) -> Result<Report> {
    let query = args.words.join(" ");
    // Read here too: a slip is said without starting a node for it.
    Query::parse(&query)
        .map_err(|e| CliError::usage(e.to_string(), Hint::new(e.hint_for_shell())))?;
    let mut client = Client::looking(session).await?;
    let request = Request::Search {
        query,
        page: Page {
            limit: args.limit.into(),
            offset: 0,
            sort: match args.sort {
                Asked::Best => Sort::Best,
                Asked::Name => Sort::Name,
                Asked::Newest => Sort::Newest,
            },
        },
    };
    let answered = client.ask(request).await;
    client.close().await;
    let found = match answered? {
        Response::Found(found) => found,
        other => return Err(unexpected(&other)),
    };
    talk(&found, session)?;
    let mut table = Table::new(&COLUMNS);
    for hit in found.hits {
        table.push(row(hit));
    }
    Ok(Report::list("search", table))
}

/// What the table does not say.
fn talk(found: &Found, session: &Session<'_>) -> Result<()> {
    let ui = session.ui;
    if found.total == 0 {
        ui.say("no package fits");
        if Repos::of(&session.home).list()?.is_empty() {
            ui.next("skep repo add TICKET: what you follow is searched");
        }
    }
    if found.total > found.hits.len() {
        let (shown, total) = (found.hits.len(), found.total);
        ui.say(&format!("{shown} of {total} packages that fit"));
        ui.next("another word, or --limit N");
    }
    if found.left_out > 0 {
        let count = found.left_out;
        ui.warn(&format!(
            "{count} packages are not looked at: the index has no room for them"
        ));
    }
    Ok(())
}

fn row(hit: Hit) -> [Value; COLUMNS.len()] {
    let repo = hit
        .alias
        .map_or_else(|| hit.repo.to_string(), |it| it.to_string());
    [
        format!("{repo}/{}", hit.name).into(),
        hit.version.to_string().into(),
        hit.trusted.into(),
        hit.deprecated.into(),
        i64::try_from(hit.published_at).map_or(Value::None, Value::Time),
        hit.hooks.into(),
        hit.license.into(),
        hit.description.into(),
    ]
}
