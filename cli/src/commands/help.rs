//! `skep help`: the overview, a verb's page, and the topics.

use std::fmt::Write as _;

use crate::args::help::Help;
use crate::args::{self, groups};
use crate::environment;
use crate::error::{CliError, Exit, Hint, Result};
use crate::ui::Ui;

const JSON: &str = include_str!("../../topics/json.txt");
const TRUST: &str = include_str!("../../topics/trust.txt");
const NAMES: &str = include_str!("../../topics/names.txt");

/// What `skep help TOPIC` knows, besides the verbs.
pub(crate) const TOPICS: [&str; 5] = ["environment", "exit-codes", "json", "trust", "names"];

/// `skep` alone.
pub(crate) fn overview(ui: &Ui) -> Result<()> {
    let command = args::command();
    let about = command.get_about().map(ToString::to_string);
    let groups = groups::overview(&command);
    ui.page(&format!(
        "{}\n\n{groups}\nskep --help shows the flags, skep help VERB says more.\n",
        about.unwrap_or_default()
    ))
}

pub(crate) fn run(args: &Help, ui: &Ui) -> Result<()> {
    let words: Vec<&str> = args.about.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => overview(ui),
        // A topic comes before a verb of the same name: that has `skep VERB --help` as well.
        ["environment"] => ui.page(&environment_page()),
        ["exit-codes"] => ui.page(&exit_codes()),
        ["json"] => ui.page(JSON),
        ["trust"] => ui.page(TRUST),
        ["names"] => ui.page(NAMES),
        verb => verb_page(verb, ui),
    }
}

/// The meaning of every exit code, from the doc comments of [`Exit`].
fn exit_codes() -> String {
    let mut out = String::from("The exit code of every command:\n\n");
    for (code, meaning) in Exit::ALL {
        row(&mut out, 5, &code.to_string(), meaning.trim());
    }
    out.push_str(
        "\nWith --json the last line on stderr is an object with `exit`, `message`, `details`,\n\
         `causes` and `hint`. A reader that closes our stdout (| head) is no error.\n",
    );
    out
}

/// Every variable, from the flags themselves.
fn environment_page() -> String {
    let mut out = String::from(
        "A flag wins over its variable, that over config.toml (skep doctor --config).\n\n",
    );
    let command = args::command();
    for arg in command.get_arguments() {
        if let (Some(variable), Some(help)) = (arg.get_env(), arg.get_help()) {
            let flag = arg.get_long().unwrap_or_default();
            let help = format!("--{flag}: {help}");
            row(&mut out, 22, &variable.to_string_lossy(), &help);
        }
    }
    for (variable, what) in environment::VARIABLES {
        row(&mut out, 22, variable, what);
    }
    out.push_str(
        "\nA flag that is on or off is off for 0, false, no, off and for nothing at all.\n",
    );
    out
}

fn row(out: &mut String, width: usize, left: &str, right: &str) {
    writeln!(out, "  {left:width$} {right}").expect("a string takes everything");
}

fn verb_page(words: &[&str], ui: &Ui) -> Result<()> {
    let mut command = args::command();
    command.build();
    let mut found = &mut command;
    for word in words {
        found = match found.find_subcommand_mut(word) {
            Some(found) => found,
            None => return Err(unknown(words)),
        };
    }
    ui.page(&found.render_long_help().ansi().to_string())
}

fn unknown(words: &[&str]) -> CliError {
    CliError::usage(
        format!("there is no verb or topic `{}`", words.join(" ")),
        Hint::new(format!("skep, or skep help {}", TOPICS.join("|"))),
    )
}
