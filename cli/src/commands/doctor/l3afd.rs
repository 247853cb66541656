//! `doctor --l3afd`: what l3afd would do with a configuration and a payload.
//!
//! l3afd checks nothing, asks once, and tells nobody why it was refused: whatever it would only show
//! by a program that does not run is said here, with the line that would be right.

mod programs;
mod settings;
mod source;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use skep_proto::control::{Request, Response};
use skep_proto::l3afd::config::{self, CONFIG_BYTES_MAX, Config};
use skep_proto::l3afd::payload::{self, Host, PAYLOAD_BYTES_MAX};

use super::{Check, configured};
use crate::client::Client;
use crate::commands::{Session, host};
use crate::error::{CliError, Hint, Result, quoted};
use crate::home::{read_bytes, read_text};
use crate::report::Mark;

/// One listener of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Door {
    address: SocketAddr,
    /// Whether it hands out what no policy admitted.
    normal: bool,
}

/// What the checks look at.
struct Scene<'a> {
    /// The configuration's path, for a line to be changed in it.
    file: &'a Path,
    config: &'a Config,
    doors: &'a [Door],
    /// The repositories that this node follows, as l3afd's URL names them.
    repos: &'a [String],
    /// This machine's name, to which payloads must be addressed.
    host: Option<String>,
    interfaces: Vec<String>,
    /// The word by which this machine asks.
    platform: Option<String>,
}

/// Reads both files, as hostile, and lists what was found.
///
/// # Errors
/// A file that is not there, or that l3afd could not read either.
pub(super) async fn checks(
    file: &Path,
    payload: Option<&PathBuf>,
    session: &Session<'_>,
) -> Result<Vec<Check>> {
    let text = read_text(file, CONFIG_BYTES_MAX)?;
    let config = config::read(&text).map_err(|e| {
        let message = format!("`{}` is no configuration of l3afd", file.display());
        let hint = Hint::new(format!("edit the file: {}", quoted(file)));
        CliError::usage(message, hint).because(&e)
    })?;
    let hosts = match payload {
        Some(path) => Some(read_payload(path)?),
        None => None,
    };
    let (node, mut client) = node(session).await;
    let (doors, repos) = listening(client.as_mut(), session).await;
    let distribution = host::distribution();
    let scene = Scene {
        file,
        config: &config,
        doors: &doors,
        repos: &repos,
        host: host::name(),
        interfaces: host::interfaces(),
        platform: distribution.as_ref().map(|it| it.code_name.clone()),
    };
    let mut found = vec![node];
    found.extend(settings::checks(&scene, distribution.as_ref()));
    let all = programs::checks(&scene, hosts.as_deref(), client.as_mut()).await;
    if let Some(client) = client {
        client.close().await;
    }
    found.extend(all);
    Ok(found)
}

fn read_payload(path: &Path) -> Result<Vec<Host>> {
    let bytes = read_bytes(path, PAYLOAD_BYTES_MAX)?;
    payload::read(&bytes).map_err(|e| {
        let message = format!("`{}` is no payload of l3afd", path.display());
        let hint = Hint::new("skep get REPO/NAME --snippet l3afd prints one");
        CliError::usage(message, hint).because(&e)
    })
}

/// Whether a node runs, and how the store can be looked at.
async fn node(session: &Session<'_>) -> (Check, Option<Client>) {
    match Client::running(session).await {
        Err(error) => (Check::failed(Mark::Fail, "node", &error), None),
        Ok(Some(client)) => (Check::new(Mark::Ok, "node", "answering"), Some(client)),
        Ok(None) => {
            let found = "none is running: l3afd would stop what runs and get nothing";
            let check = Check::new(Mark::Fail, "node", found).with_hint("skep node run");
            if !session.home.store_dir().exists() {
                return (check, None);
            }
            // What cannot be opened is a matter of `skep doctor`.
            (check, Client::connect_offline(session).await.ok())
        }
    }
}

/// Where the node listens, or would, and what it follows.
async fn listening(client: Option<&mut Client>, session: &Session<'_>) -> (Vec<Door>, Vec<String>) {
    let status = match client {
        Some(client) => client.ask(Request::Status).await.ok(),
        None => None,
    };
    let status = match status {
        Some(Response::Status(status)) => Some(status),
        _ => None,
    };
    let repos = status.iter().flat_map(|status| &status.repos);
    let repos = repos.map(|line| {
        let alias = line.alias.as_ref();
        alias.map_or(line.id.to_string(), ToString::to_string)
    });
    let repos = repos.collect();
    let running = status.iter().flat_map(|status| &status.gateways);
    let doors: Vec<Door> = running
        .filter_map(|line| {
            let address = line.address.strip_prefix("http://")?.parse().ok()?;
            let normal = line.mode == "normal";
            Some(Door { address, normal })
        })
        .collect();
    if !doors.is_empty() {
        return (doors, repos);
    }
    let would = configured(session).into_iter();
    let would = would.map(|(address, normal)| Door { address, normal });
    (would.collect(), repos)
}

impl Scene<'_> {
    /// A line of the configuration as it should be.
    fn line(&self, section: &str, line: &str) -> String {
        format!("in {}, [{section}]: {line}", quoted(self.file))
    }

    /// The URL that l3afd is to be given for a repository; for any, if it is the only one.
    fn url(&self, repo: Option<&str>) -> String {
        let only = match self.repos {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let repo = repo.or(only).unwrap_or("REPO");
        let door = self.doors.iter().find(|door| !door.normal);
        let address = door.map_or("127.0.0.1:7700".to_owned(), |door| {
            source::from_here(door.address).to_string()
        });
        format!("http://{address}/l3afd/{repo}")
    }
}
