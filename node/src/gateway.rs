//! The HTTP side: for now, whether the node lives and is ready.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::core::{Input, Reply};
use crate::driver::Handle;

/// How long the event loop may take to answer before the node counts as stuck.
const LIVE_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Listens; a port in use is the caller's to explain.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, node: Handle, mut stop: watch::Receiver<bool>) {
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(node);
    let served = axum::serve(listener, routes).with_graceful_shutdown(async move {
        // Either way it is time to stop.
        drop(stop.changed().await);
    });
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP side stopped");
    }
}

/// 200 while the event loop turns.
async fn healthz(State(node): State<Handle>) -> (StatusCode, &'static str) {
    let asked = node.ask(Input::Probed);
    match tokio::time::timeout(LIVE_WITHIN, asked).await {
        Ok(Some(Reply::Done)) => (StatusCode::OK, "ok\n"),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the event loop does not turn\n",
        ),
    }
}

/// 200 when the store is open and takes writes. Peers are not required: an air-gapped node is ready.
async fn readyz(State(node): State<Handle>) -> (StatusCode, String) {
    match &node.snapshot().read_only {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("read-only: {why}\n"),
        ),
    }
}
