//! The verbs, one file each: arguments in, a [`Report`] or an error out.
//!
//! A command takes a [`Session`], talks through its [`Ui`], and returns what it found out; it prints
//! nothing. `key.rs` is the one to imitate.

mod archive;
pub(crate) mod bundle;
pub(crate) mod completions;
mod contents;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod get;
pub(crate) mod help;
mod host;
pub(crate) mod info;
pub(crate) mod key;
mod lookalike;
pub(crate) mod man;
pub(crate) mod mirror;
pub(crate) mod new;
pub(crate) mod node;
mod parse;
pub(crate) mod publish;
mod release;
pub(crate) mod repo;
pub(crate) mod search;
pub(crate) mod tree;
pub(crate) mod trust;
pub(crate) mod verify;

use clap::ArgMatches;
use skep_proto::name::Name;

use crate::args::{Cli, Global, Verb};
use crate::environment::Environment;
use crate::error::Result;
use crate::home::{Home, faults};
use crate::passphrase::Passphrase;
use crate::ui::Ui;

/// What a command works with, read once at start.
pub(crate) struct Session<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) global: &'a Global,
    /// Which flags were given, for `doctor --config`.
    pub(crate) matches: &'a ArgMatches,
    pub(crate) env: &'a Environment,
    pub(crate) home: Home,
    pub(crate) passphrase: Passphrase,
}

impl Session<'_> {
    /// The login name, folded to the grammar of names: what a first key and a first repository are
    /// called unless the person says otherwise.
    pub(crate) fn login_name(&self) -> Option<Name> {
        as_name(self.env.login.as_deref()?)
    }
}

/// Whether a command ends by itself at Ctrl-C, however long that takes.
pub(crate) fn stops_by_itself(cli: &Cli) -> bool {
    use crate::args::node::{Action, Node};
    matches!(
        cli.verb,
        Some(
            Verb::Demo(_)
                | Verb::Node(Node {
                    action: Action::Run { .. }
                })
        )
    )
}

/// Does what was asked and prints what came of it.
pub(crate) async fn run(cli: &Cli, matches: &ArgMatches, env: &Environment, ui: &Ui) -> Result<()> {
    // These need no home, and work where there is none: help, and what packagers ask for.
    let verb = match &cli.verb {
        None => return help::overview(ui),
        Some(Verb::Help(args)) => return help::run(args, ui),
        Some(Verb::Completions(args)) => return ui.print(&completions::run(args)?),
        Some(Verb::Man(args)) => return ui.print(&man::run(args)?),
        Some(verb) => verb,
    };
    let session = Session {
        ui,
        global: &cli.global,
        matches,
        env,
        home: Home::locate(cli.global.home.as_deref(), env)?,
        passphrase: Passphrase::new(cli.global.passphrase_file.clone(), env),
    };
    // One that is not ours is for the store, or refused by it.
    session.env.fault_point.as_deref().map(faults::arm);
    session.home.clean_up();
    match verb {
        Verb::New(args) => ui.print(&new::run(args, &session)?),
        Verb::Publish(args) => ui.print(&publish::run(args, &session).await?),
        Verb::Search(args) => ui.print(&search::run(args, &session).await?),
        Verb::Info(args) => ui.print(&info::run(args, &session).await?),
        Verb::Get(args) => ui.print(&get::run(args, &session).await?),
        Verb::Verify(args) => ui.print(&verify::run(args, &session).await?),
        Verb::Key(args) => ui.print(&key::run(args, &session)?),
        Verb::Trust(args) => ui.print(&trust::run(args, &session).await?),
        Verb::Node(args) => ui.print(&node::run(args, &session).await?),
        Verb::Repo(args) => ui.print(&repo::run(args, &session).await?),
        Verb::Bundle(args) => ui.print(&bundle::run(args, &session).await?),
        Verb::Mirror(args) => ui.print(&mirror::run(args, &session).await?),
        Verb::Doctor(args) => doctor::run(args, &session).await,
        Verb::Demo(args) => ui.print(&demo::run(args, &session).await?),
        Verb::Help(_) | Verb::Completions(_) | Verb::Man(_) => Ok(()),
    }
}

/// The name nearest to `text`: lower case, everything else than letters, digits and `_` a dash.
pub(crate) fn as_name(text: &str) -> Option<Name> {
    let mut out = String::new();
    for c in text.to_lowercase().chars() {
        let plain = c.is_ascii_lowercase() || c.is_ascii_digit();
        match c {
            _ if plain => out.push(c),
            '_' if out.ends_with(|c: char| c.is_ascii_alphanumeric()) => out.push('_'),
            _ if out.ends_with(|c: char| c.is_ascii_alphanumeric()) => out.push('-'),
            _ => {}
        }
    }
    let name: Name = out.trim_end_matches(['-', '_']).parse().ok()?;
    (!name.is_reserved()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::as_name;

    #[test]
    fn login_names_become_names() {
        let name = |text| as_name(text).map(|name| name.as_str().to_owned());
        assert_eq!(name("ana").as_deref(), Some("ana"));
        assert_eq!(name("Ana.Müller").as_deref(), Some("ana-m-ller"));
        assert_eq!(name("_svc_x_").as_deref(), Some("svc_x"));
        assert_eq!(name("corp\\ana").as_deref(), Some("corp-ana"));
        assert_eq!(name("node"), None);
        assert_eq!(name("--"), None);
        assert_eq!(name(&"a".repeat(65)), None);
    }
}
