//! A node in this process: what it is started with, and why it could not be.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use skep_node::config::Config;
use skep_node::net;
use skep_node::run::{self, Running};
use skep_node::store::{self, Faults};
use skep_proto::key::SigningKey;

use super::Around;
use crate::commands::Session;
use crate::environment::Environment;
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::Home;
use crate::home::keys::Keys;
use crate::home::{config, faults};

/// Starts a node in this process.
pub(crate) async fn start(
    session: &Session<'_>,
    config: Config,
) -> std::result::Result<Running, run::Error> {
    start_in(&session.home, config).await
}

pub(super) async fn start_in(
    home: &Home,
    config: Config,
) -> std::result::Result<Running, run::Error> {
    // Said by the caller's error if it cannot be made: the socket or the store fail next.
    drop(home.create_dir(&home.store_dir()));
    run::start(config).await
}

/// A folder in the temporary directory, ours alone, that goes away.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn make(session: &Session<'_>) -> Result<Self> {
        let temporary = session.env.temporary_dir.clone();
        let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
        let dir = temporary.join(format!("skep-{:016x}", rand::random::<u64>()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| CliError::io("make the folder", &dir, &e))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays of it is in the temporary directory, and empty of anything that is needed.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Configuration of a node that lives as long as a command: it dials, and listens nowhere.
pub(super) fn own_config(around: &Around) -> Result<Config> {
    let Around { home, env, .. } = around;
    let settings = config::Config::read(home, env)?;
    let key = Keys::of(home).node_key()?;
    let config = Config {
        keeps_rules: !around.looks,
        ..node_config_with(key, home.create_socket_dir()?, home, env, &settings)?
    };
    if around.offline {
        return Ok(alone(config));
    }
    Ok(Config {
        listen: Vec::new(),
        gateways: Vec::new(),
        ..config
    })
}

/// The same node without any network.
pub(super) fn alone(config: Config) -> Config {
    Config {
        listen: Vec::new(),
        gateways: Vec::new(),
        mdns: false,
        peers: Vec::new(),
        dial: false,
        ..config
    }
}

/// Configuration of `node run`.
pub(crate) fn node_config(session: &Session<'_>, settings: &config::Config) -> Result<Config> {
    let key = Keys::of(&session.home).node_key()?;
    let socket = session.home.create_socket_dir()?;
    node_config_with(key, socket, &session.home, session.env, settings)
}

pub(super) fn node_config_with(
    key: SigningKey,
    socket: PathBuf,
    home: &Home,
    env: &Environment,
    settings: &config::Config,
) -> Result<Config> {
    let mut peers = Vec::new();
    for peer in &settings.peers.value {
        let (node, address) = skep_node::net::parse_peer(peer).ok_or_else(|| {
            let hint = Hint::new("peers = [\"/ip4/192.0.2.7/tcp/7701/p2p/12D3Koo…\"]");
            CliError::usage(
                format!("`{peer}` in `peers` is not an address of a node"),
                hint,
            )
        })?;
        peers.push((node, vec![address]));
    }
    let of_store = env.fault_point.as_deref();
    let of_store = of_store.filter(|point| !faults::arm(point));
    let faults = of_store.map(str::parse::<Faults>).transpose();
    let faults = faults.map_err(|e| {
        let hint = Hint::new("unset `SKEP_FAULT_POINT`, which is for tests");
        CliError::usage("`SKEP_FAULT_POINT` is wrong", hint).because(&e)
    })?;
    Ok(Config {
        key,
        repos: home.repos_dir(),
        store: home.store_dir(),
        socket,
        listen: settings.listen.value.clone(),
        public_addresses: settings.addresses.value.clone(),
        peers,
        dial: true,
        mdns: settings.mdns.value,
        gossip: settings.gossip.value,
        gateways: settings.gateways.value.clone(),
        quota: settings.quota.value.map(|quota| quota.0),
        keeps_rules: true,
        seed: rand::random(),
        version: env!("CARGO_PKG_VERSION"),
        faults: faults.unwrap_or_default(),
    })
}

/// A node that could not be started, with what helps.
pub(crate) fn start_failed(error: &run::Error) -> CliError {
    let hint = match error {
        run::Error::Store {
            source: store::Error::Locked { .. },
            ..
        } => Hint::new(
            "skep node status says what it does, skep node stop ends it; another home: --home DIR",
        ),
        run::Error::Store {
            source: store::Error::Newer { .. },
            ..
        } => Hint::new("use the skep that made it, or a newer one"),
        run::Error::Store {
            path,
            source: store::Error::Format { path: format },
        } => Hint::new(format!(
            "mv {} {}: it is made again",
            quoted(format),
            quoted(&path.join("damaged").join("format"))
        )),
        run::Error::Store {
            path,
            source: store::Error::NotAStore { .. },
        } => Hint::new(format!(
            "move it away: mv {} {}",
            quoted(path),
            quoted(&path.with_extension("old"))
        )),
        run::Error::Store { path, .. } => {
            Hint::new(format!("ls -ld {}; df -h {}", quoted(path), quoted(path)))
        }
        run::Error::Net(net::Error::PortInUse { .. }) => {
            Hint::new("another port, in config.toml: listen = 7702")
        }
        run::Error::Net(_) => Hint::new("skep doctor --config"),
        run::Error::Gateway { .. } => {
            Hint::new("another port, in config.toml: gateway = [{ listen = \"127.0.0.1:7710\" }]")
        }
        run::Error::Socket { path, .. } => Hint::new(format!("ls -ld {}", quoted(path))),
        run::Error::Repos(_) => Hint::new("correct the file, or move it away"),
    };
    if let Some(holder) = holder(error) {
        let message = format!("the store is in use by {holder}");
        return CliError::new(Exit::Failed, message, hint);
    }
    let failed = CliError::new(Exit::Failed, error.to_string(), hint);
    match std::error::Error::source(error) {
        Some(cause) => failed.because(cause),
        None => failed,
    }
}

/// The process that has the store, if that is why a node could not be started.
pub(super) fn holder(error: &run::Error) -> Option<String> {
    let run::Error::Store {
        source: store::Error::Locked { pid, .. },
        ..
    } = error
    else {
        return None;
    };
    Some(crate::process::called(pid))
}
