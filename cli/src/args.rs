//! What can be typed: the global flags and the verbs.
//!
//! To add a verb: its arguments in `args/VERB.rs`, what it does in `commands/VERB.rs`, a variant of
//! [`Verb`] here, an arm in `commands::run`, its name in one line of [`groups::GROUPS`], lines of it
//! in [`examples::EXAMPLES`]. Then the tests ask for its transcript (`tests/cmd/VERB.md`), its JSON
//! (`tests/schemas/`) and an error case.
//! A verb is absent until it works.

pub(crate) mod bundle;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod examples;
pub(crate) mod get;
pub(crate) mod groups;
pub(crate) mod help;
pub(crate) mod info;
pub(crate) mod key;
pub(crate) mod man;
pub(crate) mod mirror;
pub(crate) mod new;
pub(crate) mod node;
pub(crate) mod publish;
pub(crate) mod repo;
pub(crate) mod search;
pub(crate) mod trust;
pub(crate) mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

/// A peer-to-peer mirror for signed eBPF packages.
#[derive(Parser)]
#[command(name = "skep", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Absent: the overview.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    New(new::New),
    #[command(visible_alias = "pack")]
    Publish(publish::Publish),
    Search(search::Search),
    Info(info::Info),
    Get(get::Get),
    Verify(verify::Verify),
    Key(key::Key),
    Trust(trust::Trust),
    Node(node::Node),
    Repo(repo::Repo),
    Bundle(bundle::Bundle),
    Mirror(mirror::Mirror),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(man::Man),
    Help(help::Help),
}

/// What pages of help call the flags that every verb takes.
pub(crate) const EVERYWHERE: &str = "Everywhere";

/// Flags that every verb takes, before or behind it.
#[derive(clap::Args)]
#[command(next_help_heading = EVERYWHERE)]
pub(crate) struct Global {
    /// Print JSON: one document for an answer, one object per line for a list
    #[arg(long, global = true, env = "SKEP_JSON", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
    /// Say less: only errors and questions
    #[arg(short, long, global = true, conflicts_with = "verbose", env = "SKEP_QUIET", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) quiet: bool,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colour (`NO_COLOR` and `CLICOLOR_FORCE` count for `auto`)
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        env = "SKEP_COLOR",
        hide_env_values = true
    )]
    pub(crate) color: Color,
    /// Draw no progress
    #[arg(long, global = true, env = "SKEP_NO_PROGRESS", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) no_progress: bool,
    /// Use no network
    #[arg(long, global = true, env = "SKEP_OFFLINE", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) offline: bool,
    /// Answer every question with yes
    #[arg(long, global = true, env = "SKEP_YES", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    pub(crate) yes: bool,
    /// Where keys, configuration and store lie
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SKEP_HOME", value_parser = path(),
        hide_env_values = true
    )]
    pub(crate) home: Option<PathBuf>,
    /// The node to talk to: a socket
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SKEP_NODE",
        hide_env_values = true
    )]
    pub(crate) node: Option<String>,
    /// The key to sign with, by its name
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "SKEP_KEY",
        hide_env_values = true
    )]
    pub(crate) key: Option<String>,
    /// Read the passphrase of your keys from the first line of a file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SKEP_PASSPHRASE_FILE", value_parser = path(),
        hide_env_values = true
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// A variable that is set but empty counts as not set.
    #[value(alias = "", help = "on a terminal")]
    Auto,
    Always,
    Never,
}

/// Where a flag's value comes from, for `doctor --config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(&'static str),
    Default,
}

/// The command as clap knows it, with our help in place of its list of subcommands.
pub(crate) fn command() -> clap::Command {
    let command = examples::on_every_page(Cli::command());
    let overview = groups::overview(&command);
    // The overview stands where clap would list the verbs, which it cannot group.
    command
        .help_template(format!(
            "{{about}}\n\nUsage: skep VERB …\n\n{overview}\n{{options}}\n\nskep help VERB and skep \
             VERB --help say more.\n"
        ))
        .subcommand_required(false)
}

/// Every verb that does something, as its words: those below `skep`, and those of them that run by
/// themselves although they have others below.
pub(crate) fn verbs() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, path: &[String], out: &mut Vec<Vec<String>>) {
        for below in command.get_subcommands() {
            let path = [path, &[below.get_name().to_owned()]].concat();
            if !below.is_subcommand_required_set() {
                out.push(path.clone());
            }
            walk(below, &path, out);
        }
    }
    let mut out = Vec::new();
    walk(&command(), &[], &mut out);
    out
}

/// Reads a command line, with the name of the program first.
///
/// # Errors
/// Clap's error, which is also how it asks for a page of help to be shown.
pub(crate) fn parse<I, T>(line: I) -> Result<(Cli, ArgMatches), clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let matches = command().try_get_matches_from(line)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok((cli.without_empty(), matches))
}

/// Whether a line that could not be read asks for JSON all the same.
pub(crate) fn wants_json(line: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut flags = line.take_while(|word| word != "--");
    if flags.any(|word| word == "--json") {
        return true;
    }
    // The twin alone, as the whole line would have it.
    let twin = command().try_get_matches_from(["skep"]);
    twin.is_ok_and(|matches| matches.get_flag("json"))
}

/// A path that may be empty: clap's own parser refuses a variable that is set but empty.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl Cli {
    /// A variable that is set but empty counts as not set.
    fn without_empty(mut self) -> Self {
        let global = &mut self.global;
        global.home.take_if(|home| home.as_os_str().is_empty());
        global.node.take_if(|node| node.is_empty());
        global.key.take_if(|key| key.is_empty());
        let file = &mut global.passphrase_file;
        file.take_if(|file| file.as_os_str().is_empty());
        self
    }
}

impl Source {
    /// Where the value of the global flag `id` comes from.
    pub(crate) fn of(id: &'static str, matches: &ArgMatches) -> Self {
        let twin = twins().find(|(flag, _)| *flag == id);
        match (matches.value_source(id), twin) {
            (Some(ValueSource::CommandLine), _) => Self::Flag(id),
            (Some(ValueSource::EnvVariable), Some((_, variable))) if !is_empty(id, matches) => {
                Self::Environment(variable)
            }
            _ => Self::Default,
        }
    }
}

fn is_empty(id: &str, matches: &ArgMatches) -> bool {
    let mut raw = matches.get_raw(id).into_iter().flatten();
    raw.all(|value| value.is_empty())
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(id) => write!(f, "--{}", id.replace('_', "-")),
            Self::Environment(variable) => f.write_str(variable),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The global flags that have a twin in the environment, as (flag, variable).
pub(crate) fn twins() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        ("json", "SKEP_JSON"),
        ("quiet", "SKEP_QUIET"),
        ("color", "SKEP_COLOR"),
        ("no_progress", "SKEP_NO_PROGRESS"),
        ("offline", "SKEP_OFFLINE"),
        ("yes", "SKEP_YES"),
        ("home", "SKEP_HOME"),
        ("node", "SKEP_NODE"),
        ("key", "SKEP_KEY"),
        ("passphrase_file", "SKEP_PASSPHRASE_FILE"),
    ]
    .into_iter()
}
