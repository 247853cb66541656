//! `skep verify`: why a release is trusted or not.

use skep_proto::control::{FactOutcome, Release, Request};

use super::Session;
use super::parse::parse_package;
use super::release::{against, called, checked_manifest, refused, release};
use crate::args::verify::Verify;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::report::{Mark, Report, Table};

pub(crate) async fn run(args: &Verify, session: &Session<'_>) -> Result<Report> {
    parse_package(&args.reference, "verify")?;
    let mut client = Client::looking(session).await?;
    let judged = judged(&args.reference, "verify", args.explain, &mut client).await;
    client.close().await;
    judged.and_then(|(report, refused)| verdict(report, refused, session))
}

/// Prints what was looked at, and fails if the answer is no.
pub(crate) fn verdict(
    report: Report,
    refused: Option<CliError>,
    session: &Session<'_>,
) -> Result<Report> {
    match refused {
        None => Ok(report),
        Some(error) => {
            session.ui.print(&report)?;
            Err(error)
        }
    }
}

/// Everything that was looked at, and the refusal if there is one.
pub(crate) async fn judged(
    reference: &str,
    verb: &'static str,
    explain: bool,
    client: &mut Client,
) -> Result<(Report, Option<CliError>)> {
    let request = Request::Release {
        package: reference.to_owned(),
        normal: false,
        allow_yanked: false,
        accept_change: false,
    };
    let release = release(request, client).await?;
    let mut table = Table::without_header(&["mark", "check", "found"]);
    let bound = checked_manifest(&release);
    table.push(match &bound {
        Ok((_, keys)) => [
            Mark::Ok.into(),
            "manifest".into(),
            format!("{}, signed by {}", release.manifest, keys.join(", ")).into(),
        ],
        Err(error) => [
            Mark::Fail.into(),
            "manifest".into(),
            error.message.as_str().into(),
        ],
    });
    for fact in &release.facts {
        let mark = match fact.outcome {
            FactOutcome::Ok => Mark::Ok,
            FactOutcome::Fail => Mark::Fail,
            FactOutcome::Note => Mark::Note,
        };
        table.push([
            mark.into(),
            fact.check.as_str().into(),
            fact.text.as_str().into(),
        ]);
    }
    for line in against(&release, "deprecated") {
        table.push([Mark::Warn.into(), "deprecated".into(), line.into()]);
    }
    if explain {
        explain_rows(&release, &mut table);
    }
    let report = Report::answer(verb)
        .fact(
            "release",
            format!("{}@{}", called(&release), release.version),
        )
        .fact("trusted", release.admitted && bound.is_ok())
        .table("checks", table);
    let refused = match bound {
        Err(error) => Some(error),
        Ok(_) if !release.admitted => Some(refused(&release)),
        Ok(_) => None,
    };
    Ok((report, refused))
}

/// Operations of the repository that changed nothing, and why: an attack that failed, or a mistake.
fn explain_rows(release: &Release, table: &mut Table) {
    for operation in &release.ineffective {
        table.push([
            Mark::Note.into(),
            "operation".into(),
            format!(
                "entry {} of the registrar has no effect: {}",
                operation.position, operation.why
            )
            .into(),
        ]);
    }
    if release.ineffective.is_empty() {
        table.push([
            Mark::Ok.into(),
            "operation".into(),
            "every operation of the repository has an effect".into(),
        ]);
    }
}
