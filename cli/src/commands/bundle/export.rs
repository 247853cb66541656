//! Writing a .skep file: by the node, into a file that gets its name when it is whole.

use std::path::{Path, PathBuf};

use skep_proto::control::{Request, Response};

use super::{about, ask};
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::error::{CliError, Result, quoted};
use crate::home::Unfinished;
use crate::report::text::size;

/// Writes these releases into `output`; gives how long the file is.
pub(crate) async fn export(
    references: &[String],
    output: &Path,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<u64> {
    let output: PathBuf = output.to_owned();
    let failed = |e| CliError::io("write", &output, &e);
    let unfinished = Unfinished::begin(&output, 0o644).map_err(failed)?;
    let request = Request::ExportBundle {
        releases: references.to_vec(),
    };
    let file = unfinished.file().try_clone().map_err(failed)?;
    match ask("writing the file", request, file, session, client).await {
        Ok(Response::Done) => {}
        Ok(other) => return Err(unexpected(&other)),
        Err(error) => return Err(about(&output, error)),
    }
    let bytes = unfinished.file().metadata().map_err(failed)?.len();
    unfinished.finish().map_err(failed)?;
    session.ui.say(&format!(
        "wrote {}   {}   for a node without a network: skep bundle import {}",
        quoted(&output),
        size(bytes),
        quoted(&output)
    ));
    Ok(bytes)
}
