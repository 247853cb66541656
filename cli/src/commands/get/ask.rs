//! One request to a gateway, as l3afd makes it, whose answer is hashed and not kept.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use skep_proto::hash::Blake3;

use crate::error::{CliError, Exit, Hint, Result};

/// How long the gateway may take for a step: it answers at once, or has read a disk.
const STALL: Duration = Duration::from_secs(20);
/// Bytes of a refusal that are read: its reason is a line or two.
const REFUSAL_BYTES_MAX: usize = 8 << 10;

/// What a gateway answered.
pub(super) enum Answer {
    /// 200, and what came: never more than one byte past what was expected is looked at.
    Archive {
        size: u64,
        blake3: Blake3,
    },
    Refused {
        status: u16,
        text: String,
    },
}

/// GET of `path`, of which `expected` bytes are to come.
pub(super) async fn ask(address: SocketAddr, path: &str, expected: u64) -> Result<Answer> {
    let failed = |doing: &str, cause: &(dyn std::error::Error + 'static)| {
        let message = format!("could not {doing} the gateway at {address}");
        let hint = Hint::new("skep node status");
        CliError::new(Exit::Unreachable, message, hint).because(cause)
    };
    let connecting = within(tokio::net::TcpStream::connect(address), address).await?;
    let stream = connecting.map_err(|e| failed("reach", &e))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|e| failed("ask", &e))?;
    // It ends with the sender; what it fails with, the sender is told.
    let connection = tokio::spawn(async move { drop(connection.await) });
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "Go-http-client/1.1")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed("ask", &e))?;
    let answered = within(sender.send_request(request), address).await?;
    let response = answered.map_err(|e| failed("ask", &e))?;
    let status = response.status();
    let mut body = response.into_body();
    let answer = match status {
        StatusCode::OK => {
            let mut hasher = blake3::Hasher::new();
            let mut size = 0;
            while size <= expected
                && let Some(bytes) = next(&mut body, address).await?
            {
                hasher.update(&bytes);
                size += bytes.len() as u64;
            }
            Answer::Archive {
                size,
                blake3: Blake3::from_bytes(*hasher.finalize().as_bytes()),
            }
        }
        refused => {
            let mut text = Vec::new();
            while text.len() < REFUSAL_BYTES_MAX
                && let Some(bytes) = next(&mut body, address).await?
            {
                text.extend_from_slice(&bytes);
            }
            text.truncate(REFUSAL_BYTES_MAX);
            Answer::Refused {
                status: refused.as_u16(),
                text: String::from_utf8_lossy(&text).into_owned(),
            }
        }
    };
    connection.abort();
    Ok(answer)
}

/// The next bytes of a body; none at its end.
async fn next(body: &mut Incoming, address: SocketAddr) -> Result<Option<Bytes>> {
    loop {
        let frame = match within(body.frame(), address).await? {
            None => return Ok(None),
            Some(frame) => frame.map_err(|e| {
                let message = format!("the answer of the gateway at {address} ends too early");
                let hint = Hint::new("skep node status");
                CliError::new(Exit::Unreachable, message, hint).because(&e)
            })?,
        };
        // Trailers say nothing here.
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
}

async fn within<T>(step: impl Future<Output = T>, address: SocketAddr) -> Result<T> {
    tokio::time::timeout(STALL, step).await.map_err(|_| {
        let message = format!("the gateway at {address} does not answer, and l3afd would wait on");
        CliError::new(Exit::Unreachable, message, Hint::new("skep doctor"))
    })
}
