//! The lines that bring a release to where it runs.

use skep_proto::control::Release;

use super::super::super::Door;
use super::super::frame::piece;

pub(super) struct Install {
    pub(super) get: String,
    /// For whoever does not trust it yet.
    pub(super) trust: Option<String>,
    /// What fetches it here first and prints what l3afd is given.
    pub(super) l3afd: String,
    /// The line of l3afd's own configuration.
    pub(super) l3afd_url: Option<String>,
}

impl Install {
    pub(super) fn of(door: &Door, called: &str, release: &Release) -> Self {
        let package = format!("{called}/{}", release.name);
        let exact = format!("{package}@{}", release.version);
        Self {
            get: format!("skep get {exact}"),
            trust: (!release.admitted).then(|| format!("skep verify --explain {exact}")),
            l3afd: format!("skep get {exact} --snippet l3afd"),
            l3afd_url: door.address.map(|mut address| {
                // What listens on every address is reached on this one from its own machine.
                if address.ip().is_unspecified() {
                    address.set_ip(match address.ip() {
                        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                    });
                }
                format!("url: http://{address}/l3afd/{}", piece(called))
            }),
        }
    }
}
