//! `skep completions`: what a shell needs to complete a line, from the same tree that reads it.

use crate::args::{self, completions::Completions};
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::Report;

pub(crate) fn run(args: &Completions) -> Result<Report> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "skep", &mut script);
    let script = String::from_utf8(script).map_err(|e| {
        let hint = Hint::none("the text is made of our own help");
        CliError::new(Exit::Failed, "the completions are no text", hint).because(&e)
    })?;
    Ok(Report::answer("completions").verbatim("script", script))
}
