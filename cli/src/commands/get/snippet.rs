//! `get --snippet`: what another tool is given, printed once the gateway has answered the very
//! request that the tool will make.
//!
//! l3afd stops what runs before it asks for what is new, does not ask again, and shows nobody why it
//! was refused: a payload that is posted too early ends a program and starts none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use skep_proto::control::{GatewayLine, Release, Request, Response};
use skep_proto::hash::Blake3;
use skep_proto::l3afd::payload::write;
use skep_proto::l3afd::{Unfit, Wanted, artifact_of, is_plain, payload};
use skep_proto::package::manifest::{File, Manifest};
use skep_proto::render::l3afd::{PLATFORM_LEN_MAX, Platform, select};

use super::Handed;
use super::ask::{Answer, ask};
use crate::args::get::{Get, Place};
use crate::client::{Client, unexpected};
use crate::commands::archive::Archive;
use crate::commands::release::called;
use crate::commands::{Session, contents, host};
use crate::error::{CliError, Exit, Hint, Result};
use crate::report::Report;

/// Where a payload is posted.
const UPDATE: &str = "/l3af/configs/v1/update";

/// Where it is to run.
pub(super) struct Target {
    host: String,
    iface: String,
    platform: String,
    gateway: SocketAddr,
}

impl Target {
    /// Looks at the machine and the node before anything is fetched: what is missing is said at once.
    pub(super) async fn of(args: &Get, session: &Session<'_>, client: &mut Client) -> Result<Self> {
        let place = &args.place;
        let gateway = gateway(args.normal, client).await?;
        let here = host::name();
        let elsewhere = place.host.is_some() && place.host != here;
        let host = place.host.clone().or(here).ok_or_else(|| {
            let hint = Hint::new("--host NAME, as `uname -n` prints it there");
            CliError::usage("this machine does not say its name", hint)
        })?;
        let target = Self {
            host,
            iface: iface(place, elsewhere)?,
            platform: platform(place, elsewhere, session)?,
            gateway,
        };
        if elsewhere {
            let (host, at) = (&target.host, target.gateway);
            session.ui.warn(&format!(
                "the payload is for `{host}`: l3afd there asks {at}, which must be this node as seen \
                 from there"
            ));
        }
        Ok(target)
    }
}

/// The gateway that l3afd is to ask: the first in the mode that is meant.
async fn gateway(normal: bool, client: &mut Client) -> Result<SocketAddr> {
    let status = match client.ask(Request::Status).await? {
        Response::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    let mode = if normal { "normal" } else { "trusted" };
    let fits = |line: &&GatewayLine| line.mode == mode;
    let line = status.gateways.iter().find(fits).ok_or_else(|| {
        let message = format!("the node has no gateway in {mode} mode, and l3afd asks one");
        let hint = match normal {
            true => {
                "in config.toml: gateway = [{ listen = \"127.0.0.1:7710\", mode = \"normal\" }]"
            }
            false => "in config.toml: gateway = [{ listen = \"127.0.0.1:7700\" }]",
        };
        CliError::new(Exit::Unreachable, message, Hint::new(hint))
    })?;
    let address = line.address.strip_prefix("http://");
    let address: Option<SocketAddr> = address.and_then(|address| address.parse().ok());
    let mut address = address.ok_or_else(|| {
        let message = format!("`{}` is no address of a gateway", line.address);
        CliError::new(Exit::Failed, message, Hint::new("skep node status"))
    })?;
    // One that listens everywhere is reached from here here.
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

fn iface(place: &Place, elsewhere: bool) -> Result<String> {
    let all = host::interfaces();
    let there = Hint::new(format!("--iface NAME; there are {}", all.join(", ")));
    match &place.iface {
        Some(given) if given.is_empty() => Err(CliError::usage("`--iface` is empty", there)),
        // l3afd would stop what runs on an interface that it does not find.
        Some(given) if !elsewhere && !all.contains(given) => {
            let message = format!("this machine has no network interface `{given}`");
            Err(CliError::usage(message, there))
        }
        Some(given) => Ok(given.clone()),
        None if elsewhere => {
            let hint = Hint::new("--iface NAME, as `ip link` prints it there");
            Err(CliError::usage("on which interface of that host?", hint))
        }
        None => match host::only_interface(&all) {
            Some(only) => Ok(only.to_owned()),
            None => Err(CliError::usage("on which network interface?", there)),
        },
    }
}

fn platform(place: &Place, elsewhere: bool, session: &Session<'_>) -> Result<String> {
    let hint = || Hint::new("--platform WORD, as `lsb_release -cs` prints it there");
    let word = match (&place.platform, elsewhere) {
        (Some(given), _) => given.clone(),
        (None, true) => {
            return Err(CliError::usage(
                "which distribution does that host run?",
                hint(),
            ));
        }
        (None, false) => {
            let found = host::distribution();
            let found = found.ok_or_else(|| {
                CliError::usage(
                    "this machine does not say which distribution it runs",
                    hint(),
                )
            })?;
            if !found.has_tool {
                session
                    .ui
                    .warn("`lsb_release` is not here, and l3afd downloads nothing without it");
            }
            found.code_name
        }
    };
    match is_plain(&word) && word.len() <= PLATFORM_LEN_MAX {
        true => Ok(word),
        false => {
            let message = format!("`{word}` is no word for a platform");
            Err(CliError::usage(message, hint()))
        }
    }
}

/// The payload of a release whose files are here, once the gateway has handed out its archive.
pub(super) async fn l3afd(
    release: &Release,
    found: &Manifest,
    args: &Get,
    target: &Target,
    client: &mut Client,
) -> Result<Handed> {
    let files = contents::checked_files(found, client).await?;
    let (_, facts) = contents::known_here(found, client).await?;
    let facts = facts.unwrap_or_default();
    let what = format!("{}@{}", called(release), release.version);
    let platform = Platform::of(&target.platform, std::env::consts::ARCH);
    let artifact = artifact_of(found);
    let archive = Archive::of(&what, &files, platform, &artifact, client).await?;
    let chosen = select(&files, platform).unwrap_or_default();
    let repo = release.alias.as_ref();
    let repo = repo.map_or(release.repo.to_string(), ToString::to_string);
    let url = format!("http://{}/l3afd/{repo}", target.gateway);
    let wanted = Wanted {
        host: &target.host,
        iface: &target.iface,
        repo_url: &url,
        artifact: &artifact,
        program: args.place.program.as_deref(),
        direction: args.place.direction,
    };
    let (hosts, unknown) =
        payload(found, &facts, &chosen, &wanted).map_err(|e| unfit(&what, &e))?;

    let (name, version) = (&release.name, &release.version);
    let path = format!(
        "/l3afd/{repo}/{name}/{version}/{}/{artifact}",
        target.platform
    );
    let whole = archive.blake3(client).await?;
    let answer = ask(target.gateway, &path, archive.size()).await?;
    check(&answer, archive.size(), &whole, &what)?;
    let size = crate::report::text::size(archive.size());
    let said = format!(
        "{name} {version}   {size}   verified, and handed out by the gateway   http://{}{path}",
        target.gateway
    );
    Ok(Handed {
        report: Report::answer("get.snippet").verbatim("payload", write(&hosts)),
        said,
        warnings: warnings(found, &chosen, &unknown),
    })
}

/// What l3afd does that nobody expects of it.
fn warnings(found: &Manifest, chosen: &[&File], unknown: &[String]) -> Vec<String> {
    let mut all = vec![
        "l3afd stops what runs before it asks for this: post it while the node runs".to_owned(),
        format!(
            "{UPDATE} stops every program of this host that the payload does not name; to add one: \
             /l3af/configs/v1/add"
        ),
    ];
    let said = found.details.l3afd.as_ref();
    let starts = said.is_some_and(|table| table.contains_key("cmd_start"));
    let user = found.details.user.as_ref();
    let user = user.filter(|user| chosen.iter().any(|file| file.path == user.file));
    if let (Some(user), false) = (user, starts) {
        all.push(format!(
            "`{}` is in the archive, and l3afd does not start it: the manifest says no `cmd_start`",
            user.file
        ));
    }
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        all.push(format!(
            "the manifest says for l3afd what it does not know: {unknown}"
        ));
    }
    all
}

fn unfit(what: &str, why: &Unfit) -> CliError {
    let hint = match why {
        Unfit::NoProgram { .. } | Unfit::Several { .. } => "--program FUNCTION".to_owned(),
        Unfit::Unknown { .. } => {
            "--program FUNCTION for another one; l3afd attaches xdp, tc, kprobe, kretprobe, uprobe, \
             uretprobe and tracepoint"
                .to_owned()
        }
        Unfit::NoDirection { .. } => "--direction ingress, or --direction egress".to_owned(),
        Unfit::Nothing => format!("skep info {what}"),
        Unfit::NoTarget { .. } | Unfit::Field { .. } => {
            "ask its publisher for a release that l3afd can run".to_owned()
        }
    };
    let message = format!("l3afd cannot run `{what}`");
    CliError::new(Exit::Failed, message, Hint::new(hint)).because(why)
}

/// That the gateway handed out these very bytes.
fn check(answer: &Answer, size: u64, blake3: &Blake3, what: &str) -> Result<()> {
    match answer {
        Answer::Refused { status, text } => Err(refused(what, *status, text)),
        Answer::Archive {
            size: came,
            blake3: of,
        } if (*came, of) != (size, blake3) => {
            let message = format!("what the gateway answered is not the archive of `{what}`");
            let hint = Hint::new("is it this node that answers there? skep node status");
            let sizes = match *came > size {
                true => format!("more than the {size} bytes that it has"),
                false => format!("{came} bytes, where it has {size}"),
            };
            let error = CliError::new(Exit::Untrusted, message, hint);
            Err(error.detail("answered", sizes))
        }
        Answer::Archive { .. } => Ok(()),
    }
}

/// What the gateway said, whose reasons l3afd shows to nobody.
fn refused(what: &str, status: u16, text: &str) -> CliError {
    let exit = match status {
        403 => Exit::Untrusted,
        404 => Exit::NotFound,
        503 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let (why, hint) = text.split_once("\nhint: ").unwrap_or((text, ""));
    let hint = match hint.trim() {
        "" => "skep node status",
        said => said,
    };
    let message = format!("the gateway answered {status} for `{what}`, and would answer l3afd so");
    let error = CliError::new(exit, message, Hint::new(hint));
    match why.trim() {
        "" => error,
        why => error.detail("because", why),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// What `get` says when a stranger answers so, and what he was asked.
    async fn answered(answer: Vec<u8>, expected: &'static [u8]) -> (Result<()>, String) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("asked");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).expect("a request");
            // Whoever has read enough hangs up.
            drop(stream.write_all(&answer));
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let size = expected.len() as u64;
        let got = ask(address, "/l3afd/ana/drop/1.0.0/noble/drop.zip", size).await;
        let checked =
            got.and_then(|answer| check(&answer, size, &Blake3::of(&[expected]), "ana/drop@1.0.0"));
        (checked, served.join().expect("served"))
    }

    fn response(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n");
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn only_the_very_bytes_will_do() {
        let good = b"an archive of some bytes";
        let (checked, request) = answered(response("200 OK", "", good), good).await;
        assert!(checked.is_ok());
        assert!(request.starts_with("GET /l3afd/ana/drop/1.0.0/noble/drop.zip HTTP/1.1\r\n"));
        assert!(request.to_lowercase().contains("accept-encoding: gzip\r\n"));
        let mut flipped = good.to_vec();
        flipped[3] ^= 1;
        let long = [good.as_slice(), &[0; 100_000]].concat();
        for (body, exit) in [
            (flipped.as_slice(), Exit::Untrusted),
            (&long, Exit::Untrusted),
            (&good[..9], Exit::Untrusted),
            (b"", Exit::Untrusted),
        ] {
            let (checked, _) = answered(response("200 OK", "", body), good).await;
            assert_eq!(checked.expect_err("another archive").exit, exit);
        }
        let cut = &response("200 OK", "", good)[..50];
        let (checked, _) = answered(cut.to_vec(), good).await;
        assert_eq!(checked.expect_err("cut").exit, Exit::Unreachable);
        let (checked, _) = answered(b"no HTTP at all\r\n\r\n".to_vec(), good).await;
        assert_eq!(checked.expect_err("no gateway").exit, Exit::Unreachable);
    }

    #[tokio::test]
    async fn a_refusal_gives_its_reason_and_its_hint() {
        for (status, exit) in [
            ("403 Forbidden", Exit::Untrusted),
            ("404 Not Found", Exit::NotFound),
            ("503 Service Unavailable", Exit::Unreachable),
            ("206 Partial Content", Exit::Failed),
            ("302 Found", Exit::Failed),
        ] {
            let body = b"not now\nhint: skep wait\n";
            let (checked, _) = answered(response(status, "", body), b"x").await;
            let error = checked.expect_err("refused");
            assert_eq!((error.exit, error.hint.text()), (exit, Some("skep wait")));
            assert_eq!(
                error.details,
                [("because".to_owned(), "not now".to_owned())]
            );
        }
        let (checked, _) = answered(response("503 No", "", &[b'x'; 20_000]), b"x").await;
        let error = checked.expect_err("refused");
        assert!(error.details.iter().all(|(_, text)| text.len() <= 8 << 10));
    }
}
