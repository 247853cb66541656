//! The node and its store: what one that runs says, else what one in here finds.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use skep_proto::control::{self, Request, Response};
use skep_proto::name::RepoRef;

use super::Check;
use crate::author::{self, Behind};
use crate::client::{Client, unexpected};
use crate::commands::Session;
use crate::error::quoted;
use crate::home::config::Config;
use crate::home::repos::Repos;
use crate::process::{self, Transport};
use crate::report::Mark;
use crate::report::text::size;

/// Less room than this is worth a warning: a few releases of a large package would fill it.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// What the node says of itself and its store. That none runs is no problem: then one in here, which
/// touches no network, looks at the store.
pub(super) async fn node(session: &Session<'_>) -> Vec<Check> {
    let mut found = Vec::new();
    let mut client = match Client::running(session).await {
        Err(error) => return vec![Check::failed(Mark::Fail, "node", &error)],
        Ok(Some(client)) => {
            found.push(Check::new(Mark::Ok, "node", "answering"));
            client
        }
        Ok(None) => {
            found
                .push(Check::new(Mark::Skip, "node", "none is running").with_hint("skep node run"));
            found.extend(ports(session));
            if !session.home.store_dir().exists() {
                return found;
            }
            match Client::connect_offline(session).await {
                Ok(client) => client,
                Err(error) => {
                    found.push(Check::failed(Mark::Fail, "store", &error));
                    return found;
                }
            }
        }
    };
    let mut progress = session
        .ui
        .progress("reading files of the store again", None);
    let behind = author::all_behind(&session.home, &mut client).await;
    found.extend(behind.iter().map(|behind| lost_entries(behind, session)));
    let asked = progress.during(client.ask(Request::Doctor)).await;
    drop(progress);
    client.close().await;
    match asked {
        Ok(Response::Doctor(doctor)) => found.extend(store(&doctor, session)),
        Ok(other) => found.push(Check::failed(Mark::Fail, "node", &unexpected(&other))),
        Err(error) => found.push(Check::failed(Mark::Fail, "node", &error)),
    }
    found
}

/// A log of a key of this home, of which the node has had more than it has now.
fn lost_entries(behind: &Behind, session: &Session<'_>) -> Check {
    let followed = Repos::of(&session.home).find(&RepoRef::Id(behind.repo));
    let called = followed.map_or_else(
        |_| behind.repo.to_string(),
        |followed| followed.alias.to_string(),
    );
    let found = format!(
        "{called}: {} of the {} entries that {} has signed are here",
        behind.held,
        behind.acknowledged,
        behind.key.fingerprint()
    );
    Check::new(Mark::Fail, "log", found).with_hint(
        "beside a node that follows the repository: skep node run; or put the store back from a \
         backup",
    )
}

/// Whether the places where a node would listen are free. That they are not is a warning: whoever
/// only fetches needs none of them.
fn ports(session: &Session<'_>) -> Option<Check> {
    // A file that cannot be read is a check of its own.
    let config = Config::read(&session.home, session.env).ok()?;
    let gateways = config.gateways.value.iter().map(|gateway| gateway.listen);
    let listen = config.listen.value.iter();
    let used = |address: &SocketAddr, transport, line: String| {
        let holder = process::listening_on(address.port(), transport);
        let holder = holder.unwrap_or_else(|| "another process".to_owned());
        let found = format!("{address} is used by {holder}");
        let file = quoted(&session.home.config_file());
        Some(Check::new(Mark::Warn, "ports", found).with_hint(format!("in {file}: {line}")))
    };
    for transport in [Transport::Tcp, Transport::Udp] {
        if let Some(address) = listen.clone().find(|at| is_taken(at, transport)) {
            return used(address, transport, config.listen_elsewhere());
        }
    }
    if let Some(address) = gateways.clone().find(|at| is_taken(at, Transport::Tcp)) {
        return used(&address, Transport::Tcp, config.gateway_elsewhere());
    }
    let all: Vec<String> = listen
        .copied()
        .chain(gateways)
        .map(|at| at.to_string())
        .collect();
    Some(match all.is_empty() {
        true => Check::new(Mark::Note, "ports", "a node would listen nowhere"),
        false => Check::new(Mark::Ok, "ports", format!("free: {}", all.join(", "))),
    })
}

fn is_taken(address: &SocketAddr, transport: Transport) -> bool {
    let bound = match transport {
        Transport::Tcp => TcpListener::bind(address).map(drop),
        Transport::Udp => UdpSocket::bind(address).map(drop),
    };
    bound.is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse)
}

fn store(doctor: &control::Doctor, session: &Session<'_>) -> Vec<Check> {
    let folder = quoted(&session.home.store_dir());
    let mut found = Vec::new();
    if let Some(space) = doctor.space {
        let text = format!(
            "{} used, {} free",
            size(space.used_bytes),
            size(space.free_bytes)
        );
        found.push(match space.free_bytes < FREE_BYTES_MIN {
            true => Check::new(Mark::Warn, "store", text)
                .with_hint(format!("make room: df -h {folder}")),
            false => Check::new(Mark::Ok, "store", text),
        });
    }
    let sample = &doctor.sample;
    let text = format!(
        "{} of {} files read and hashed again, {}",
        sample.read,
        sample.held,
        size(sample.read_bytes)
    );
    found.push(match sample.damaged.first() {
        None if sample.held == 0 => Check::new(Mark::Note, "files", "none yet"),
        None => Check::new(Mark::Ok, "files", text),
        Some(damaged) => {
            let count = sample.damaged.len();
            let text = format!("{text}; {count} damaged or gone, such as {}", damaged.hash);
            let hint = match &damaged.release {
                Some(release) => format!("fetch it again: skep get {release}"),
                None => format!("look at the disk: df -h {folder}"),
            };
            Check::new(Mark::Fail, "files", text).with_hint(hint)
        }
    });
    found.extend(doctor.checks.iter().map(|check| Check {
        mark: if check.ok { Mark::Ok } else { Mark::Fail },
        name: match check.what.as_str() {
            "store" => "store",
            "damaged" => "damaged",
            _ => "repository",
        },
        found: check.text.clone(),
        hint: check.hint.clone(),
    }));
    found
}
