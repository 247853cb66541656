//! This node: where it listens, whom it knows, what it keeps, what it refused.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use skep_proto::control::{GatewayRefusal, MirrorLine, MirrorRule, Peer, Status};

use super::super::Door;
use super::super::refusals::Refused;
use super::frame::{Frame, moment, size};
use super::rows::Rows;
use super::{Asked, page};
use crate::snapshot::Snapshot;

#[derive(Template)]
#[template(path = "node.html")]
struct Page {
    frame: Frame,
    node: String,
    version: String,
    up: String,
    read_only: Option<String>,
    addresses: Vec<String>,
    gateways: Vec<(String, String)>,
    repos: Rows<Repo>,
    /// All releases that are here, what may be, and what the rules come to.
    held: String,
    quota: Option<String>,
    planned: String,
    rules: Rows<RuleRow>,
    /// What is wanted and not here, or is about to go.
    waiting: Rows<WaitingRow>,
    peers: Rows<PeerRow>,
    refusals: Rows<RefusalRow>,
}

struct Repo {
    name: String,
    id: String,
    state: String,
    is_good: bool,
    packages: usize,
    releases: usize,
    held: usize,
    held_size: String,
}

/// A rule of what is mirrored, and what became of it.
struct RuleRow {
    what: String,
    newest: String,
    size_max: String,
    wanted: u64,
    here: u64,
    size: String,
}

struct WaitingRow {
    release: String,
    state: String,
    because: String,
}

struct PeerRow {
    node: String,
    repos: String,
}

struct RefusalRow {
    path: String,
    status: u16,
    why: String,
    hint: String,
    times: u64,
    last: String,
}

pub(super) async fn shown(state: State<Door>, uri: Uri, headers: HeaderMap) -> Response {
    page(state, uri, headers, make).await
}

fn make(asked: &Asked, frame: Frame) -> Result<Page, Refused> {
    let doors = asked.door.doors.as_ref();
    let snapshot = doors.node.snapshot();
    let status = doors.about.status();
    let repos = repos(&snapshot, &status);
    let Status {
        version,
        node,
        up_s,
        addresses,
        gateways,
        refusals,
        read_only,
        ..
    } = status;
    let peers = doors.about.peers();
    let mirror = doors.about.mirror();
    Ok(Page {
        frame,
        node: node.fingerprint(),
        version,
        up: duration(up_s),
        read_only,
        addresses,
        gateways: gateways
            .into_iter()
            .map(|it| (it.address, it.mode))
            .collect(),
        repos,
        held: size(mirror.held_bytes),
        quota: mirror.quota_bytes.map(size),
        planned: size(mirror.planned_bytes),
        rules: Rows::of(mirror.rules.into_iter().map(rule)),
        waiting: waiting(mirror.releases),
        peers: Rows::of(peers.iter().map(|it| peer(it, &snapshot))),
        refusals: Rows::of(refusals.into_iter().map(refusal)),
    })
}

fn repos(snapshot: &Snapshot, status: &Status) -> Rows<Repo> {
    let lines = status.repos.iter();
    Rows::of(lines.map(|line| {
        let repo = snapshot.repos().find(|repo| repo.id == line.id);
        let alias = line.alias.as_ref().map(ToString::to_string);
        Repo {
            name: alias.unwrap_or_else(|| line.id.to_string()),
            id: line.id.to_string(),
            is_good: line.state == "ok",
            state: line.state.clone(),
            packages: line.packages,
            releases: line.releases,
            held: repo.map_or(0, |repo| repo.holdings.len()),
            held_size: size(repo.map_or(0, |repo| repo.held().values().sum())),
        }
    }))
}

fn rule(rule: MirrorRule) -> RuleRow {
    RuleRow {
        what: rule.what,
        newest: rule.newest.unwrap_or_default(),
        size_max: rule.size_bytes_max.map_or(String::new(), size),
        wanted: rule.wanted,
        here: rule.here,
        size: size(rule.here_bytes),
    }
}

fn waiting(lines: Vec<MirrorLine>) -> Rows<WaitingRow> {
    let waiting: Vec<MirrorLine> = lines.into_iter().filter(|it| it.state != "here").collect();
    Rows::of(waiting.into_iter().map(|line| WaitingRow {
        release: line.release,
        state: line.state,
        because: line.because.unwrap_or_default(),
    }))
}

fn peer(peer: &Peer, snapshot: &Snapshot) -> PeerRow {
    let repos = snapshot
        .repos()
        .filter(|repo| peer.repos.contains(&repo.id));
    let repos: Vec<String> = repos.map(|repo| repo.called()).collect();
    PeerRow {
        node: peer.node.fingerprint(),
        repos: repos.join(", "),
    }
}

fn refusal(refused: GatewayRefusal) -> RefusalRow {
    RefusalRow {
        path: refused.path,
        status: refused.status,
        why: refused.why,
        hint: refused.hint,
        times: refused.times,
        last: moment(refused.last_s),
    }
}

/// In the two largest units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}
