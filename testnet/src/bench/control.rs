//! Asking a node over its control socket, without the cost of a process for each question.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use skep_node::control::Connection;
use skep_proto::control::{Hello, Request, Response, VERSION};

/// How often something is looked at that is waited for: the finest figure is coarser than this.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How long anything may take before a bench gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Control(Connection);

impl Control {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let mut connection = Connection::connect(socket)
            .with_context(|| format!("no node answers at `{}`", socket.display()))?;
        let ours = Hello {
            version: VERSION,
            pid: std::process::id(),
        };
        connection.send(&ours, None)?;
        let (theirs, _): (Hello, _) = connection.receive()?;
        if theirs.version != VERSION {
            bail!(
                "the node speaks version {}, this bench {VERSION}",
                theirs.version
            );
        }
        Ok(Self(connection))
    }

    /// Asks; what is said of progress is passed over.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Response> {
        self.ask_with(request, None)
    }

    /// [`Self::ask`], with a file.
    pub(super) fn ask_with(&mut self, request: &Request, file: Option<&File>) -> Result<Response> {
        self.0.send(request, file.map(AsFd::as_fd))?;
        loop {
            match self.0.receive()? {
                (Response::Progress(_), _) => {}
                (response, _) => return Ok(response),
            }
        }
    }

    /// Asks until the answer is what is waited for, and gives the moment of that answer.
    pub(super) fn ask_until(
        &mut self,
        request: &Request,
        is_there: impl Fn(&Response) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.ask(request)?;
            let now = Instant::now();
            if is_there(&response) {
                return Ok(now);
            }
            if now >= deadline {
                bail!("{request:?} was answered {response:?} for {PATIENCE:?}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}
