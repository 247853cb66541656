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

/// How wide the topics are written, in columns.
const PAGE_WIDTH: usize = 100;

/// What `skep help TOPIC` knows besides the verbs, and what it is about.
pub(crate) const TOPICS: [(&str, &str); 5] = [
    ("environment", "the variables that skep reads"),
    ("exit-codes", "what the exit code of a command means"),
    ("json", "what programs are given"),
    ("trust", "what is believed, and why"),
    ("names", "how packages, versions and repositories are named"),
];

/// `skep` alone.
pub(crate) fn overview(ui: &Ui) -> Result<()> {
    let command = args::command();
    let about = command.get_about().map(ToString::to_string);
    let groups = groups::overview(&command);
    ui.page(&format!(
        "{}\n\n{groups}\nskep --help shows the flags, skep help VERB says more, and skep help TOPIC:\n{}.\n",
        about.unwrap_or_default(),
        TOPICS.map(|(topic, _)| topic).join(", ")
    ))
}

pub(crate) fn run(args: &Help, ui: &Ui) -> Result<()> {
    let words: Vec<&str> = args.about.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => overview(ui),
        // A topic comes before a verb of the same name: that has `skep VERB --help` as well.
        [word] => match topic(word) {
            Some(page) => ui.page(&page),
            None => verb_page(&words, ui),
        },
        verb => verb_page(verb, ui),
    }
}

/// The page of a topic.
pub(crate) fn topic(name: &str) -> Option<String> {
    match name {
        "environment" => Some(environment_page()),
        "exit-codes" => Some(exit_codes()),
        "json" => Some(json_page()),
        "trust" => Some(TRUST.to_owned()),
        "names" => Some(NAMES.to_owned()),
        _ => None,
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

/// How data is printed, and the name of every schema.
fn json_page() -> String {
    let mut out = String::from(JSON);
    out.push_str("\nThe schemas, each skep.NAME/1 and named after its verb:\n\n ");
    let mut width = 1;
    for verb in args::verbs() {
        let name = verb.join(".");
        // Pages for people: there is no data in them.
        if name == "help" {
            continue;
        }
        if width + 1 + name.len() > PAGE_WIDTH {
            out.push_str("\n ");
            width = 1;
        }
        width += 1 + name.len();
        write!(out, " {name}").expect("a string takes everything");
    }
    out.push_str(
        "\n\nA flag that asks for something else adds its word: skep.get.dsse/1 of get --dsse.\n",
    );
    out
}

/// Every variable and what it is for, from the flags themselves.
pub(crate) fn variables() -> Vec<(String, String)> {
    let command = args::command();
    let twins = command.get_arguments().filter_map(|arg| {
        let (variable, help) = (arg.get_env()?, arg.get_help()?);
        let flag = arg.get_long().unwrap_or_default();
        let what = format!("--{flag}: {help}");
        Some((variable.to_string_lossy().into_owned(), what))
    });
    let others = environment::VARIABLES.iter();
    let others = others.map(|(variable, what)| ((*variable).to_owned(), (*what).to_owned()));
    twins.chain(others).collect()
}

fn environment_page() -> String {
    let mut out = String::from(
        "A flag wins over its variable, that over config.toml (skep doctor --config).\n\n",
    );
    for (variable, what) in variables() {
        row(&mut out, 22, &variable, &what);
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
        Hint::new(format!(
            "skep, or skep help {}",
            TOPICS.map(|(topic, _)| topic).join("|")
        )),
    )
}
