//! The HTTP side: whether the node lives and is ready, the doors for tools that do not speak Skep,
//! and pages for people.
//!
//! Every answer comes from the snapshot and from files that were verified; the driver is told of a
//! miss, and nobody waits for it: a tool that is refused at once can go on.

mod answer;
mod blobs;
mod described;
mod gate;
mod l3afd;
mod listen;
pub(crate) mod pages;
mod places;
mod range;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;

pub(crate) use listen::{bind, serve};
pub(crate) use refusals::Refusals;

use crate::core::{Input, Reply};
use crate::driver::Handle;
use crate::search::Search;
use crate::store::Store;
use blobs::Blobs;
use described::Archives;
use l3afd::Fetching;
use pages::About;

/// How long the event loop may take to answer before the node counts as stuck.
const LIVE_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Whether local trust is asked before anything is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What the policy refuses is refused, with the reason.
    #[default]
    Trusted,
    /// The policy is skipped, hashes and signatures are not; every answer says so.
    Normal,
}

/// One HTTP listener: a `[[gateway]]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub listen: SocketAddr,
    #[serde(default)]
    pub mode: Mode,
}

impl Gateway {
    pub fn trusted(listen: SocketAddr) -> Self {
        let mode = Mode::Trusted;
        Self { listen, mode }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Trusted => "trusted",
            Self::Normal => "normal",
        })
    }
}

impl std::fmt::Display for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.listen, self.mode)
    }
}

/// What all listeners of a node share.
pub(crate) struct Doors {
    node: Handle,
    store: Arc<dyn Store>,
    blobs: Blobs,
    archives: Archives,
    fetching: Fetching,
    refusals: Refusals,
    search: Search,
    /// What the node says of itself.
    about: Arc<dyn About>,
}

impl Doors {
    pub(crate) fn new(
        node: Handle,
        store: Arc<dyn Store>,
        refusals: Refusals,
        search: Search,
        about: Arc<dyn About>,
    ) -> Self {
        Self {
            search,
            about,
            node,
            store,
            blobs: Blobs::default(),
            archives: Archives::default(),
            fetching: Fetching::default(),
            refusals,
        }
    }
}

/// What a request comes through.
#[derive(Clone)]
struct Door {
    doors: Arc<Doors>,
    mode: Mode,
    /// Where it listens.
    address: Option<SocketAddr>,
}

fn routes(doors: Arc<Doors>, mode: Mode, address: Option<SocketAddr>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route(l3afd::ROUTE, get(l3afd::archive))
        .merge(pages::routes())
        .layer(axum::middleware::from_fn_with_state(mode, gate::pass))
        .with_state(Door {
            doors,
            mode,
            address,
        })
}

/// Whether the event loop turns: it answers within [`LIVE_WITHIN`].
pub(crate) async fn turns(node: &Handle) -> bool {
    let answered = tokio::time::timeout(LIVE_WITHIN, node.ask(Input::Probed)).await;
    matches!(answered, Ok(Some(Reply::Done)))
}

/// 200 while the event loop turns.
async fn healthz(State(door): State<Door>) -> (StatusCode, &'static str) {
    match turns(&door.doors.node).await {
        true => (StatusCode::OK, "ok\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the event loop does not turn\n",
        ),
    }
}

/// Why the node is not ready, once it listens: the store takes no writes.
pub(crate) fn unready(node: &Handle) -> Option<String> {
    let why = node.snapshot().read_only.clone();
    why.map(|why| format!("read-only: {why}"))
}

/// 200 when the store is open and takes writes. Peers are not required: an air-gapped node is ready.
async fn readyz(State(door): State<Door>) -> (StatusCode, String) {
    match unready(&door.doors.node) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
