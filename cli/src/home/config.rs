//! Settings: `config.toml` of the home over the administrator's, over the defaults; and where each
//! value comes from.
//!
//! Highest wins: `config.toml` in the home, `/etc/skep/config.d/*.toml` (a later name over an earlier
//! one), `/etc/skep/config.toml`, the default. `/etc/skep` is read, never written. A value is taken
//! whole from the highest file that has it; lists are not joined. An unknown key is an error.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use skep_node::gateway::Gateway;
use skep_proto::size::Size;

use super::{Home, TEXT_FILE_BYTES_MAX, read_edited};
use crate::client::is_address;
use crate::environment::Environment;
use crate::error::{CliError, Hint, Result, quoted};

#[cfg(test)]
mod tests;

/// The port of a node, tcp and udp. It stays, so that tickets survive a restart.
pub(crate) const PORT: u16 = 7701;
/// Where the HTTP side listens unless somebody says otherwise: this machine only.
pub(crate) const GATEWAY: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1)), 7700);
/// From the port of an HTTP listener to one that is suggested in its place: past the node's own.
const GATEWAY_STEP: u16 = 10;
/// Most addresses to listen on, and most configured peers: a node reaches more through them.
pub(crate) const ADDRESSES_MAX: usize = 64;
/// Most HTTP listeners: one for each mode, on each kind of address, and some to spare.
pub(crate) const GATEWAYS_MAX: usize = 8;
/// Longest address of a peer in bytes.
pub(crate) const ADDRESS_BYTES_MAX: usize = 255;

/// The settings in effect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `listen = 7701` is that port on every address; `listen = ["192.0.2.1:7701"]` says which;
    /// `listen = []` is nowhere.
    pub(crate) listen: Setting<Vec<SocketAddr>>,
    /// Addresses of peers to stay connected with.
    pub(crate) peers: Setting<Vec<String>>,
    /// Find nodes on the local network.
    pub(crate) mdns: Setting<bool>,
    /// Take part in gossip; without it a node catches up with its peers by itself.
    pub(crate) gossip: Setting<bool>,
    /// Addresses that tickets name first: what others reach this node by.
    pub(crate) addresses: Setting<Vec<String>>,
    /// Every `[[gateway]]`; `gateway = []` is none.
    pub(crate) gateways: Setting<Vec<Gateway>>,
    /// The most that all releases may have on disk: `quota = "200 GiB"`.
    pub(crate) quota: Setting<Option<Size>>,
    /// The files that were read, highest first.
    pub(crate) files: Vec<PathBuf>,
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    /// The file; `None` for the default.
    pub(crate) from: Option<PathBuf>,
}

/// One file, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<Listen>,
    peers: Option<Vec<String>>,
    mdns: Option<bool>,
    gossip: Option<bool>,
    addresses: Option<Vec<String>>,
    gateway: Option<Vec<Gateway>>,
    quota: Option<Size>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a port such as 7701, or a list such as [\"127.0.0.1:7701\"]"
)]
enum Listen {
    Port(u16),
    Addresses(Vec<SocketAddr>),
}

impl Config {
    /// Reads the settings of `home`.
    ///
    /// # Errors
    /// Exit 2, with the line and a caret, if a file cannot be understood.
    pub(crate) fn read(home: &Home, env: &Environment) -> Result<Self> {
        let mut layers = Vec::new();
        for path in candidates(home, &env.etc)? {
            if let Some(file) = read_file(&path)? {
                layers.push((path, file));
            }
        }
        let files = layers.iter().map(|(path, _)| path.clone()).collect();
        let layers = &mut layers;
        let one = || vec![Gateway::trusted(GATEWAY)];
        Ok(Self {
            listen: highest(layers, |file| file.listen.take())
                .map(Listen::addresses)
                .or(|| Listen::Port(PORT).addresses()),
            peers: highest(layers, |file| file.peers.take()).or(Vec::new),
            mdns: highest(layers, |file| file.mdns.take()).or(|| true),
            gossip: highest(layers, |file| file.gossip.take()).or(|| true),
            addresses: highest(layers, |file| file.addresses.take()).or(Vec::new),
            gateways: highest(layers, |file| file.gateway.take()).or(one),
            quota: highest(layers, |file| file.quota.take()),
            files,
        })
    }
}

impl Config {
    /// The line of `config.toml` that has the node listen on the next ports.
    pub(crate) fn listen_elsewhere(&self) -> String {
        let next = |at: &SocketAddr| SocketAddr::new(at.ip(), at.port().wrapping_add(1));
        let next = self.listen.value.iter().map(next);
        let next: Vec<String> = next.map(|at| format!("\"{at}\"")).collect();
        format!("listen = [{}]", next.join(", "))
    }

    /// The line of `config.toml` that has the HTTP side listen out of the way of a second node.
    pub(crate) fn gateway_elsewhere(&self) -> String {
        let first = self.gateways.value.first();
        let at = first.map_or(GATEWAY, |gateway| gateway.listen);
        let next = SocketAddr::new(at.ip(), at.port().wrapping_add(GATEWAY_STEP));
        format!("gateway = [{{ listen = \"{next}\" }}]")
    }
}

impl Listen {
    fn addresses(self) -> Vec<SocketAddr> {
        let everywhere = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        match self {
            Self::Port(port) => everywhere.map(|ip| SocketAddr::new(ip, port)).into(),
            Self::Addresses(addresses) => addresses,
        }
    }
}

/// Every file that may have something to say, highest first.
fn candidates(home: &Home, etc: &Path) -> Result<Vec<PathBuf>> {
    let folder = etc.join("config.d");
    let mut drops = Vec::new();
    match fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|e| CliError::io("list", &folder, &e))?;
                drops.push(entry.path());
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(CliError::io("list", &folder, &e)),
    }
    drops.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    drops.sort();
    drops.reverse();
    let mut all = vec![home.config_file()];
    all.append(&mut drops);
    all.push(etc.join("config.toml"));
    Ok(all)
}

fn read_file(path: &Path) -> Result<Option<File>> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let text = read_edited(path, TEXT_FILE_BYTES_MAX)?;
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        let message = format!("`{}` is not a configuration", path.display());
        let hint = format!("edit the file: {}", quoted(path));
        CliError::usage(message, Hint::new(hint)).because(cause)
    };
    let file: File = toml::from_str(&text).map_err(|e| refused(&e))?;
    check(&file).map_err(|e| refused(&e))?;
    Ok(Some(file))
}

fn check(file: &File) -> std::result::Result<(), std::io::Error> {
    let refuse = |why: String| Err(std::io::Error::other(why));
    let listen = match &file.listen {
        Some(Listen::Addresses(addresses)) => addresses.len(),
        _ => 0,
    };
    let peers = file.peers.as_deref().unwrap_or_default();
    if listen > ADDRESSES_MAX || peers.len() > ADDRESSES_MAX {
        return refuse(format!(
            "more than {ADDRESSES_MAX} addresses in `listen` or `peers`"
        ));
    }
    let gateways = file.gateway.as_deref().unwrap_or_default();
    if gateways.len() > GATEWAYS_MAX {
        return refuse(format!("more than {GATEWAYS_MAX} `[[gateway]]`"));
    }
    for (at, gateway) in gateways.iter().enumerate() {
        let same = |other: &Gateway| other.listen == gateway.listen && other.listen.port() != 0;
        if gateways[..at].iter().any(same) {
            return refuse(format!("two `[[gateway]]` listen on {}", gateway.listen));
        }
    }
    let addresses = file.addresses.as_deref().unwrap_or_default();
    for peer in peers.iter().chain(addresses) {
        if let Err(e) = skep_proto::text::check_line(peer, ADDRESS_BYTES_MAX) {
            return refuse(format!("an address in `peers` or `addresses` has {e}"));
        }
    }
    if let Some(other) = addresses.iter().find(|address| !is_address(address)) {
        return refuse(format!(
            "`{other}` in `addresses` is not an address such as `/dns4/example.org/tcp/7701`"
        ));
    }
    Ok(())
}

/// Takes a value out of the highest layer that has it.
fn highest<T>(
    layers: &mut [(PathBuf, File)],
    take: impl Fn(&mut File) -> Option<T>,
) -> Setting<Option<T>> {
    let found = layers
        .iter_mut()
        .find_map(|(path, file)| take(file).map(|value| (value, path.clone())));
    let (value, from) = found.unzip();
    Setting { value, from }
}

impl<T> Setting<Option<T>> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<Option<U>> {
        Setting {
            value: self.value.map(change),
            from: self.from,
        }
    }

    fn or(self, default: impl FnOnce() -> T) -> Setting<T> {
        Setting {
            value: self.value.unwrap_or_else(default),
            from: self.from,
        }
    }
}
