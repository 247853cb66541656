//! What a URL in l3afd's configuration or payload leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::Door;

/// Where l3afd would take a program from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A gateway of this node, and the repository behind it.
    Gateway { door: Door, repo: String },
    /// A gateway of this node, by a path that is none of l3afd's.
    NoRepository(Door),
    /// A gateway of this node, by TLS, which it does not speak.
    Tls(Door),
    /// A folder on this machine.
    Folder(PathBuf),
    /// Somebody else's server.
    Elsewhere,
    /// Nothing that l3afd can use.
    Unknown,
}

/// A URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) source: Source,
    /// Whether it has a name or password in it, which l3afd logs and stores.
    pub(super) has_secret: bool,
}

/// The address by which a listener is reached from this machine.
pub(super) fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

pub(super) fn parse(url: &str, doors: &[Door], host: Option<&str>) -> Url {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Url {
            source: Source::Unknown,
            has_secret: false,
        };
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (secret, authority) = match authority.rsplit_once('@') {
        Some((secret, authority)) => (Some(secret), authority),
        None => (None, authority),
    };
    let default_port = if scheme == "https" { 443 } else { 80 };
    let ours = || {
        let (name, port) = host_and_port(authority, default_port)?;
        let mut doors = doors.iter().copied();
        doors.find(|door| port == door.address.port() && leads_to(name, door, host))
    };
    let source = match (scheme, ours()) {
        ("http", Some(door)) => match path.strip_prefix("/l3afd/") {
            Some(repo) => match repo.trim_end_matches('/') {
                repo if repo.is_empty() || repo.contains('/') => Source::NoRepository(door),
                repo => Source::Gateway {
                    door,
                    repo: repo.to_owned(),
                },
            },
            None => Source::NoRepository(door),
        },
        ("https", Some(door)) => Source::Tls(door),
        ("http" | "https", None) => Source::Elsewhere,
        ("file", _) if authority.is_empty() && !path.is_empty() => {
            Source::Folder(PathBuf::from(decoded(path)))
        }
        _ => Source::Unknown,
    };
    Url {
        source,
        has_secret: secret.is_some(),
    }
}

fn host_and_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    let (name, port) = match authority.rsplit_once(':') {
        // The last colon of `[::1]` is no port's.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
        _ => (authority, default),
    };
    let name = name.strip_prefix('[').unwrap_or(name);
    Some((name.strip_suffix(']').unwrap_or(name), port))
}

fn leads_to(name: &str, door: &Door, host: Option<&str>) -> bool {
    let listens = door.address.ip();
    match name.parse::<IpAddr>() {
        Ok(ip) => ip == listens || listens.is_unspecified() && ip.is_loopback(),
        Err(_) if name == "localhost" => listens.is_unspecified() || listens.is_loopback(),
        Err(_) => listens.is_unspecified() && Some(name) == host,
    }
}

/// A path with what `%` stands for; what is no code stays as it is.
fn decoded(path: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = path.as_bytes();
    while let [first, rest @ ..] = bytes {
        let code = rest.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                bytes = &rest[2..];
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(address: &str) -> Door {
        Door {
            address: address.parse().expect("an address"),
            normal: false,
        }
    }

    #[test]
    fn a_url_is_ours_if_it_leads_to_a_listener() {
        let local = door("127.0.0.1:7700");
        let everywhere = door("[::]:7701");
        let doors = [local, everywhere];
        let gateway = |door, repo: &str| Source::Gateway {
            door,
            repo: repo.to_owned(),
        };
        for (url, expected) in [
            ("http://127.0.0.1:7700/l3afd/ana", gateway(local, "ana")),
            ("http://localhost:7700/l3afd/ana/", gateway(local, "ana")),
            (
                "http://[::1]:7701/l3afd/ana?x#y",
                gateway(everywhere, "ana"),
            ),
            ("http://site:7701/l3afd/ana", gateway(everywhere, "ana")),
            ("http://site:7700/l3afd/ana", Source::Elsewhere),
            ("http://127.0.0.2:7700/l3afd/ana", Source::Elsewhere),
            ("http://127.0.0.1/l3afd/ana", Source::Elsewhere),
            ("http://127.0.0.1:7700", Source::NoRepository(local)),
            ("http://127.0.0.1:7700/l3afd", Source::NoRepository(local)),
            (
                "http://127.0.0.1:7700/l3afd/a/b",
                Source::NoRepository(local),
            ),
            ("https://127.0.0.1:7700/l3afd/ana", Source::Tls(local)),
            ("https://elsewhere/l3afd/ana", Source::Elsewhere),
            ("file:///srv/l3afd", Source::Folder("/srv/l3afd".into())),
            ("file:///a%20b%2", Source::Folder("/a b%2".into())),
            ("file://srv/l3afd", Source::Unknown),
            ("file://", Source::Unknown),
            ("ftp://127.0.0.1:7700/l3afd/ana", Source::Unknown),
            ("127.0.0.1:7700/l3afd/ana", Source::Unknown),
            ("", Source::Unknown),
            ("http://:99999999/", Source::Elsewhere),
            ("http://[", Source::Elsewhere),
            ("http://é:7700/%", Source::Elsewhere),
        ] {
            assert_eq!(parse(url, &doors, Some("site")).source, expected, "{url}");
        }
        let secret = parse("http://a:b@127.0.0.1:7700/l3afd/ana", &doors, None);
        assert_eq!(secret.source, gateway(local, "ana"));
        assert!(secret.has_secret);
    }
}
