//! The lines that bring a release to where it runs.

use skep_proto::control::Release;
use skep_proto::l3afd::payload::Host;
use skep_proto::l3afd::{Wanted, artifact_of, payload};
use skep_proto::package::manifest::{Facts, File, Manifest};
use skep_proto::render::l3afd::{Platform, select};

use super::super::super::Door;
use super::super::frame::piece;

pub(super) struct Install {
    pub(super) get: String,
    /// For whoever does not trust it yet.
    pub(super) trust: Option<String>,
    /// What fetches it here first and prints what l3afd is given.
    pub(super) l3afd: String,
    /// What l3afd's own configuration names.
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
                format!("http://{address}/l3afd/{}", piece(called))
            }),
        }
    }
}

/// What is posted to l3afd of a release, without the host and the interface, which only a person
/// knows; or why l3afd cannot run it.
pub(super) fn programs(
    manifest: &Manifest,
    facts: &Facts,
    files: &[File],
    url: &str,
) -> Result<String, String> {
    // Of any distribution, on a machine like this one.
    let platform = Platform::of("linux", std::env::consts::ARCH);
    let chosen = select(files, platform).map_err(|e| e.to_string())?;
    let wanted = Wanted {
        host: "",
        iface: "",
        repo_url: url,
        artifact: &artifact_of(manifest),
        program: None,
        direction: None,
    };
    let made = payload(manifest, facts, &chosen, &wanted);
    let (hosts, _) = made.map_err(|e| e.to_string())?;
    let programs: Vec<_> = hosts
        .into_iter()
        .map(|Host { bpf_programs, .. }| bpf_programs)
        .collect();
    let text = programs.iter().map(serde_json::to_string_pretty);
    let text: Result<Vec<String>, _> = text.collect();
    text.map(|text| text.join("\n")).map_err(|e| e.to_string())
}
