//! `skep node gc`: files that nothing here needs.

use skep_proto::control::{Collected, Request, Response};

use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::text::size;
use crate::report::{Report, Value};

/// Removes them, or says what would be. What was only used is let go after a yes: l3afd asks for it
/// again when it starts, and has then to wait for peers.
pub(crate) async fn collect(
    dry_run: bool,
    used: bool,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    if used && !dry_run {
        let would = ask(true, true, client).await?;
        for release in &would.let_go {
            session.ui.say(&format!("used  {release}"));
        }
        let count = would.let_go.len();
        let question = format!(
            "let go {count} releases that were used here, which a gateway has to fetch again when it is asked?"
        );
        if count > 0 && !session.ui.confirm(&question, false)? {
            return Err(CliError::new(
                Exit::Failed,
                "nothing was removed",
                Hint::new("skep mirror keep REPO/PACKAGE@VERSION keeps one, then the same again"),
            ));
        }
    }
    let collected = ask(dry_run, used, client).await?;
    if collected.fresh_files > 0 {
        session.ui.say(&format!(
            "{} more ({}) were written within the hour and stay: somebody may be at work with them",
            collected.fresh_files,
            size(collected.fresh_bytes)
        ));
    }
    Ok(Report::answer("node.gc")
        .fact("dry_run", dry_run)
        .fact("files", collected.files)
        .fact("size", Value::Size(collected.size_bytes))
        .fact("fresh_files", collected.fresh_files)
        .fact("fresh", Value::Size(collected.fresh_bytes))
        .fact("let_go", collected.let_go))
}

async fn ask(dry_run: bool, used: bool, client: &mut Client) -> Result<Collected> {
    match client.ask(Request::Collect { dry_run, used }).await? {
        Response::Collected(collected) => Ok(collected),
        other => Err(unexpected(&other)),
    }
}
