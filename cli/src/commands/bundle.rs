//! `skep bundle`: releases with all that proves them, in one file.

mod export;
mod import;
mod said;
mod show;

use std::fs::File;
use std::path::Path;

use skep_proto::control::{Bundle, Request, Response};

use super::Session;
use crate::args::bundle::{Action, Bundle as Args};
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::report::Report;
use import::Import;

pub(crate) use export::{Output, export};
pub(crate) use import::{check, follow, take};
pub(crate) use said::exact;

pub(crate) async fn run(args: &Args, session: &Session<'_>) -> Result<Report> {
    match &args.action {
        Action::Export { references, output } => {
            export::check_references(references)?;
            let begun = Output::begin(output)?;
            let mut client = Client::connect_offline(session).await?;
            let written = export(references, begun, session, &mut client).await;
            client.close().await;
            let size = written?;
            Ok(Report::answer("bundle.export")
                .fact("file", output.as_path())
                .fact("size", crate::report::Value::Size(size)))
        }
        Action::Import {
            files,
            expect,
            dry_run,
            older,
        } => {
            let how = Import {
                expect: import::expected(expect)?,
                dry_run: *dry_run,
                older: *older,
            };
            let mut client = match dry_run {
                true => Client::looking(session).await?,
                false => Client::connect_offline(session).await?,
            };
            let taken = import::import_all(files, &how, session, &mut client).await;
            client.close().await;
            taken
        }
        Action::Show { file } => show::show(file, session),
    }
}

/// Opens a .skep file that is to be read twice: before anybody waits for whoever writes into a pipe.
fn open_regular(path: &Path) -> Result<File> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let what = if found.is_dir() {
                "a folder"
            } else {
                "no regular file"
            };
            Err(CliError::new(
                Exit::Failed,
                format!(
                    "`{}` is {what}, and a .skep file is read twice",
                    path.display()
                ),
                Hint::new("name a file on a disk; copy it there first"),
            ))
        }
        _ => open(path),
    }
}

/// Opens a .skep file.
fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => CliError::new(
            Exit::NotFound,
            format!("there is no file `{}`", path.display()),
            Hint::new("skep bundle export REPO/NAME -o FILE makes one"),
        ),
        _ => CliError::io("open", path, &e),
    })
}

/// Asks for something that reads or writes a whole file, and shows how far it is.
async fn ask(
    what: &str,
    request: Request,
    file: File,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Response> {
    let all = file.metadata().map(|metadata| metadata.len()).ok();
    let (send, mut heard) = tokio::sync::mpsc::channel(16);
    let mut progress = session.ui.progress(what, all.filter(|all| *all > 0));
    // A full channel means that the bar is slow: what it misses, the next one says.
    let asked = client.ask_long_with_file(request, file, move |done, _| {
        send.try_send(done).ok();
    });
    tokio::pin!(asked);
    loop {
        tokio::select! {
            answered = &mut asked => return answered,
            Some(done) = heard.recv() => progress.at(done),
        }
    }
}

fn as_bundle(response: Response) -> Result<Bundle> {
    match response {
        Response::Bundle(bundle) => Ok(*bundle),
        other => Err(unexpected(&other)),
    }
}

/// Which file an error is about.
fn about(path: &Path, error: CliError) -> CliError {
    error.detail("file", quoted(path))
}
