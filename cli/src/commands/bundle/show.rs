//! What a .skep file has, read and checked here: no store, no node.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use skep_proto::bundle::{Check, Checked, Error};

use super::said::{as_report, say};
use super::{about, open};
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::Report;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

pub(super) fn show(path: &Path, session: &Session<'_>) -> Result<Report> {
    let mut file = open(path)?;
    let all = file.metadata().map(|metadata| metadata.len()).ok();
    let mut progress = session.ui.progress("checking the file", all);
    let mut check = Check::new(BTreeSet::new());
    let mut buffer = vec![0; READ_BYTES];
    let checked: Checked = loop {
        let read = file.read(&mut buffer);
        let read = read.map_err(|e| CliError::io("read", path, &e))?;
        if read == 0 {
            break check.finish();
        }
        progress.add(read as u64);
        if let Err(error) = check.push(&buffer[..read]) {
            break Err(error);
        }
    }
    .map_err(|e| about(path, refused(&e)))?;
    drop(progress);
    let bundle = checked.report();
    say(&bundle, true, session);
    Ok(as_report("bundle.show", &[bundle]))
}

fn refused(error: &Error) -> CliError {
    let (exit, hint) = match error {
        Error::Version(_) | Error::NotRead(_) => (Exit::Failed, "use a newer skep"),
        Error::NotABundle => (
            Exit::Untrusted,
            "skep bundle export REPO/NAME -o FILE makes one",
        ),
        _ => (
            Exit::Untrusted,
            "copy the file again; if it stays so, do not trust whoever made it",
        ),
    };
    CliError::new(exit, "the file does not verify", Hint::new(hint)).because(error)
}
