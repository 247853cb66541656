//! `skep doctor`: looks at everything a person can get wrong, and says what to type.
//!
//! A check never stops the others. All of them are listed, also when all is well: a silent doctor is
//! not believed.

mod l3afd;
mod node;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use skep_node::gateway::Mode;

use super::Session;
use crate::args::Source;
use crate::args::doctor::Doctor;
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::config::{Config, Setting};
use crate::home::keys::Keys;
use crate::home::refuse_open;
use crate::report::{Mark, Report, Table, Value};

/// What one check found.
struct Check {
    mark: Mark,
    name: &'static str,
    found: String,
    /// What to type, if it is not well.
    hint: Option<String>,
}

pub(crate) async fn run(args: &Doctor, session: &Session<'_>) -> Result<()> {
    if args.config {
        return session.ui.print(&settings(session)?);
    }
    if let [config, payload @ ..] = args.l3afd.as_slice() {
        let checks = l3afd::checks(config, payload.first(), session).await?;
        session.ui.print(&report("doctor.l3afd", &checks))?;
        return verdict(&checks, session);
    }
    let mut checks = vec![version(), home(session), config(session), keys(session)];
    checks.extend(gateways(session));
    checks.extend(node::node(session).await);
    session.ui.print(&report("doctor", &checks))?;
    verdict(&checks, session)
}

fn report(verb: &'static str, checks: &[Check]) -> Report {
    let mut table = Table::without_header(&["mark", "check", "found", "hint"]);
    for check in checks {
        table.push([
            check.mark.into(),
            check.name.into(),
            check.found.as_str().into(),
            check.hint.clone().into(),
        ]);
    }
    Report::answer(verb).table("checks", table)
}

/// Exit 6 if a check failed. Ends with the first thing to do, if there is one.
fn verdict(checks: &[Check], session: &Session<'_>) -> Result<()> {
    let message = summary(checks);
    let first = |mark| checks.iter().find(|c| c.mark == mark);
    let Some(failed) = first(Mark::Fail) else {
        session.ui.say(&message);
        if let Some(hint) = first(Mark::Warn).and_then(|check| check.hint.as_deref()) {
            session.ui.next(hint);
        }
        return Ok(());
    };
    let hint = match &failed.hint {
        Some(hint) => Hint::new(hint),
        None => Hint::none("the check says what it found, and that is all we know"),
    };
    Err(CliError::new(Exit::Problems, message, hint))
}

/// How many checks came to what; what there is none of is left out, but for what failed.
fn summary(checks: &[Check]) -> String {
    let count = |mark| checks.iter().filter(|c| c.mark == mark).count();
    let several = |n: usize, what: &str| match n {
        0 => String::new(),
        1 => format!("1 {what}, "),
        n => format!("{n} {what}s, "),
    };
    format!(
        "{} checks: {} ok, {}{}{}{} failed",
        checks.len(),
        count(Mark::Ok),
        several(count(Mark::Note), "note"),
        match count(Mark::Skip) {
            0 => String::new(),
            n => format!("{n} skipped, "),
        },
        several(count(Mark::Warn), "warning"),
        count(Mark::Fail)
    )
}

impl Check {
    fn new(mark: Mark, name: &'static str, found: impl Into<String>) -> Self {
        Self {
            mark,
            name,
            found: found.into(),
            hint: None,
        }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A check that came to an error: its message, its causes and its hint.
    fn failed(mark: Mark, name: &'static str, error: &CliError) -> Self {
        // The picture with the caret is for a page, not for a cell.
        let drawn = |line: &&str| {
            let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
            line.starts_with('|')
        };
        let causes = error.causes.iter().flat_map(|cause| cause.lines());
        let mut found = vec![error.message.as_str()];
        found.extend(causes.filter(|line| !drawn(line)));
        Self {
            hint: error.hint.text().map(str::to_owned),
            ..Self::new(mark, name, found.join(": "))
        }
    }
}

fn version() -> Check {
    Check::new(
        Mark::Ok,
        "version",
        format!("skep {}", env!("CARGO_PKG_VERSION")),
    )
}

fn home(session: &Session<'_>) -> Check {
    let root = session.home.root();
    let shown = root.display().to_string();
    let found = match std::fs::metadata(root) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Check::new(Mark::Note, "home", format!("{shown} is made when needed"));
        }
        Err(e) => return Check::failed(Mark::Fail, "home", &CliError::io("look at", root, &e)),
        Ok(found) => found,
    };
    if let Err(e) = refuse_open("the home", root, found.mode(), 0o022) {
        return Check::failed(Mark::Fail, "home", &e);
    }
    if let Err(e) = refuse_open("the home", root, found.mode(), 0o077) {
        return Check::failed(Mark::Warn, "home", &e);
    }
    // What a running node is asked is answered even so.
    if let Err(e) = session.home.refuse_anothers() {
        return Check::failed(Mark::Warn, "home", &e);
    }
    let socket = session.home.socket();
    let elsewhere = if socket.starts_with(root) {
        String::new()
    } else {
        format!(", its socket is {}", socket.display())
    };
    Check::new(Mark::Ok, "home", format!("{shown}{elsewhere}"))
}

fn config(session: &Session<'_>) -> Check {
    match Config::read(&session.home, session.env) {
        Err(e) => Check::failed(Mark::Fail, "config", &e),
        Ok(config) if config.files.is_empty() => {
            Check::new(Mark::Ok, "config", "no file, all defaults")
        }
        Ok(config) => {
            let files = config.files.iter().map(|path| path.display().to_string());
            let files: Vec<String> = files.collect();
            Check::new(Mark::Ok, "config", files.join(", "))
        }
    }
}

/// Where the gateways of the configuration would listen, and whether in normal mode.
fn configured(session: &Session<'_>) -> Vec<(SocketAddr, bool)> {
    let config = Config::read(&session.home, session.env).ok();
    let gateways = config.into_iter().flat_map(|config| config.gateways.value);
    gateways
        .map(|gateway| (gateway.listen, gateway.mode == Mode::Normal))
        .collect()
}

/// A gateway in normal mode was added by a person, who may have forgotten it.
fn gateways(session: &Session<'_>) -> Option<Check> {
    let all = configured(session).into_iter();
    let normal: Vec<String> = all
        .filter(|(_, normal)| *normal)
        .map(|(listen, _)| listen.to_string())
        .collect();
    (!normal.is_empty()).then(|| {
        let found = format!("{} hands out what no policy admitted", normal.join(", "));
        Check::new(Mark::Note, "gateway", found)
    })
}

fn keys(session: &Session<'_>) -> Check {
    let stored = match Keys::of(&session.home).list() {
        Err(e) => return Check::failed(Mark::Fail, "keys", &e),
        Ok(stored) => stored,
    };
    if stored.is_empty() {
        return Check::new(Mark::Note, "keys", "none yet").with_hint("skep key new");
    }
    let described: Vec<String> = stored
        .iter()
        .map(|key| match key.file.is_encrypted() {
            true => format!("{} has a passphrase", key.name),
            false => format!("{} has no passphrase", key.name),
        })
        .collect();
    Check::new(Mark::Ok, "keys", described.join(", "))
}

/// Every setting in effect and where it comes from.
fn settings(session: &Session<'_>) -> Result<Report> {
    let config = Config::read(&session.home, session.env)?;
    let mut table = Table::new(&["setting", "value", "from"]);
    let global = session.global;
    let flag = |id| Source::of(id, session.matches).to_string();
    let mut row = |name: &'static str, value: Value, from: String| {
        table.push([name.into(), value, from.into()]);
    };
    row("home", session.home.root().into(), flag("home"));
    row("socket", session.home.socket().into(), "home".to_owned());
    row("node", global.node.clone().into(), flag("node"));
    row("key", global.key.clone().into(), flag("key"));
    row("offline", global.offline.into(), flag("offline"));
    let addresses: Vec<String> = config
        .listen
        .value
        .iter()
        .map(ToString::to_string)
        .collect();
    row("listen", addresses.into(), origin(&config.listen));
    row(
        "peers",
        config.peers.value.clone().into(),
        origin(&config.peers),
    );
    row("mdns", config.mdns.value.into(), origin(&config.mdns));
    row("gossip", config.gossip.value.into(), origin(&config.gossip));
    row(
        "addresses",
        config.addresses.value.clone().into(),
        origin(&config.addresses),
    );
    let gateways = config.gateways.value.iter().map(ToString::to_string);
    let gateways: Vec<String> = gateways.collect();
    row("gateway", gateways.into(), origin(&config.gateways));
    let quota = config.quota.value.map(|quota| Value::Size(quota.0));
    row("quota", quota.unwrap_or(Value::None), origin(&config.quota));
    Ok(Report::list("doctor.config", table))
}

fn origin<T>(setting: &Setting<T>) -> String {
    match &setting.from {
        Some(path) => path.display().to_string(),
        None => "default".to_owned(),
    }
}
