//! Reaching a node: the one that runs, or one inside this process for as long as the command takes.
//!
//! Both are spoken to in the same way, over a control socket, so a command cannot tell them apart
//! and has one path. The in-process node holds the store's lock and serves the home's socket: a
//! second command started meanwhile talks to it.

mod own;

use std::io::Seek as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use skep_node::config::Config;
use skep_node::control::{self, Connection};
use skep_node::net;
use skep_node::run::{self, Running};
use skep_proto::control::{Hello, Refusal, Refused, Request, Response, VERSION};
use skep_proto::key::SigningKey;

use crate::author;
use crate::commands::Session;
use crate::environment::Environment;
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::Home;
use crate::home::config;

use own::{Scratch, alone, holder, node_config_with, own_config, start_in};
pub(crate) use own::{node_config, start, start_failed};
pub(crate) use skep_node::store::Faults;

/// Where a service's node answers.
const SERVICE_SOCKET: &str = "/run/skep/skep.sock";
/// How long another command's in-process node is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// How many nodes a command talks to, one after the other: each may be inside another command
/// that ends first, and few run at a time.
const NODES_MAX: usize = 16;

/// A conversation with a node.
pub(crate) struct Client {
    connection: Option<Connection>,
    own: Option<Running>,
    /// Where another node is found or started, if this one ends before the command does.
    around: Option<Around>,
    /// The folder of a node that leaves nothing; it goes after the node.
    _scratch: Option<Scratch>,
}

impl Client {
    /// Talks to the node that runs, or runs one.
    pub(crate) async fn connect(session: &Session<'_>) -> Result<Self> {
        let around = Around::of(session.global.offline, session);
        Self::connect_with(around, session).await
    }

    /// [`Client::connect`], without a network if the node is ours.
    pub(crate) async fn connect_offline(session: &Session<'_>) -> Result<Self> {
        Self::connect_with(Around::of(true, session), session).await
    }

    async fn connect_with(around: Around, session: &Session<'_>) -> Result<Self> {
        let mut waiting = None;
        let found = Self::found_or_started(around, async |holder| {
            let what = format!("waiting for {holder}, which uses the store");
            waiting
                .get_or_insert_with(|| session.ui.progress(&what, None))
                .during(tokio::time::sleep(LOCK_RETRY))
                .await;
        });
        let mut client = found.await?;
        for damage in client.own.iter().flat_map(Running::damage) {
            session.ui.warn(damage);
        }
        author::salvage(&session.home, &mut client).await;
        Ok(client)
    }

    /// The node that runs, or one of our own; `wait` is told who has the store meanwhile.
    async fn found_or_started(around: Around, mut wait: impl AsyncFnMut(&str)) -> Result<Self> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            if let Some(client) = Self::running_in(&around).await? {
                return Ok(Self {
                    around: Some(around),
                    ..client
                });
            }
            let config = own_config(&around)?;
            let error = match start_in(&around.home, config).await {
                Ok(running) => return Self::of_own(running, around.home.socket(), None).await,
                Err(error) => error,
            };
            let Some(holder) = holder(&error) else {
                return Err(start_failed(&error));
            };
            if Instant::now() >= deadline {
                return Err(start_failed(&error));
            }
            wait(&holder).await;
        }
    }

    /// [`Client::connect`] for a command that only looks: a node of its own carries out no mirror
    /// rules, and where nothing is stored yet, nothing is made in the home either.
    pub(crate) async fn looking(session: &Session<'_>) -> Result<Self> {
        if session.home.store_dir().exists() {
            let around = Around {
                looks: true,
                ..Around::of(session.global.offline, session)
            };
            return Self::connect_with(around, session).await;
        }
        if let Some(client) = Self::running(session).await? {
            return Ok(client);
        }
        let scratch = Scratch::make(session)?;
        let settings = config::Config::read(&session.home, session.env)?;
        let key = SigningKey::from_seed(&rand::random());
        let socket = scratch.0.join("skep.sock");
        let config = Config {
            store: scratch.0.join("store"),
            keeps_rules: false,
            ..alone(node_config_with(
                key,
                socket.clone(),
                &session.home,
                session.env,
                &settings,
            )?)
        };
        let running = run::start(config).await.map_err(|e| start_failed(&e))?;
        Self::of_own(running, &socket, Some(scratch)).await
    }

    /// Talks to the node that runs; none if none does.
    pub(crate) async fn running(session: &Session<'_>) -> Result<Option<Self>> {
        Self::running_in(&Around::of(session.global.offline, session)).await
    }

    async fn running_in(around: &Around) -> Result<Option<Self>> {
        if let Some(address) = &around.given {
            if address.contains("://") {
                return Err(CliError::usage(
                    format!(
                        "`{address}` is not a socket, and a node is reached by its socket only"
                    ),
                    Hint::new("--node /run/skep/skep.sock, or the skep.sock of another home"),
                ));
            }
            let path = Path::new(address);
            let connection = Connection::connect(path).map_err(|e| {
                let message = format!("no node answers at `{}`", path.display());
                let hint = Hint::new("skep node run");
                CliError::new(Exit::Unreachable, message, hint).because(&e)
            })?;
            return Self::greet(connection, None, None).await.map(Some);
        }
        for path in [around.home.socket(), Path::new(SERVICE_SOCKET)] {
            // A socket file that nobody answers is left over from a node that was killed.
            let Ok(connection) = Connection::connect(path) else {
                continue;
            };
            match Self::greet(connection, None, None).await {
                // One that is just ending greets nobody.
                Err(error) if error.exit == Exit::Unreachable => {}
                greeted => return greeted.map(Some),
            }
        }
        Ok(None)
    }

    async fn of_own(running: Running, socket: &Path, scratch: Option<Scratch>) -> Result<Self> {
        let connection = Connection::connect(socket)
            .map_err(|e| CliError::io("reach our own node at", socket, &e))?;
        Self::greet(connection, Some(running), scratch).await
    }

    async fn greet(
        connection: Connection,
        own: Option<Running>,
        scratch: Option<Scratch>,
    ) -> Result<Self> {
        let mut client = Self {
            connection: Some(connection),
            own,
            around: None,
            _scratch: scratch,
        };
        let ours = Hello {
            version: VERSION,
            pid: std::process::id(),
        };
        let theirs: Hello = client
            .with_connection(move |connection| {
                connection.send(&ours, None)?;
                connection.receive().map(|(hello, _)| hello)
            })
            .await?;
        if theirs.version != VERSION {
            return Err(CliError::new(
                Exit::Failed,
                format!(
                    "the node (process {}) speaks version {} of the control protocol, this command {VERSION}",
                    theirs.pid, theirs.version
                ),
                Hint::new("start the node again with this skep: skep node stop; skep node run"),
            ));
        }
        Ok(client)
    }

    /// Whether the node is inside this process.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Asks, and gives the answer; a refusal is an error.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response> {
        self.exchange(request, None, |_, _| {})
            .await
            .map(|(response, _)| response)
    }

    /// Hands a file over with the question.
    pub(crate) async fn ask_with_file(
        &mut self,
        request: Request,
        file: std::fs::File,
    ) -> Result<Response> {
        let answered = self.exchange(request, Some(file), |_, _| {}).await;
        answered.map(|(response, _)| response)
    }

    /// Asks for what comes with a file.
    pub(crate) async fn ask_for_file(&mut self, request: Request) -> Result<(Response, OwnedFd)> {
        match self.exchange(request, None, |_, _| {}).await? {
            (response, Some(file)) => Ok((response, file)),
            (response, None) => Err(unexpected(&response)),
        }
    }

    /// Asks for what takes long: `progress` hears (done, all) in bytes.
    pub(crate) async fn ask_long(
        &mut self,
        request: Request,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Response> {
        let answered = self.exchange(request, None, progress).await;
        answered.map(|(response, _)| response)
    }

    /// Both: hands a file over, and hears how far the node is with it.
    pub(crate) async fn ask_long_with_file(
        &mut self,
        request: Request,
        file: std::fs::File,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Response> {
        let answered = self.exchange(request, Some(file), progress).await;
        answered.map(|(response, _)| response)
    }

    async fn exchange(
        &mut self,
        request: Request,
        file: Option<std::fs::File>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<(Response, Option<OwnedFd>)> {
        let told = Arc::new((request, file, Mutex::new(progress)));
        let mut nodes = 1;
        loop {
            let told = Arc::clone(&told);
            let answered = self.talk(move |connection| {
                let (request, file, progress) = &*told;
                ask_once(connection, request, file.as_ref(), progress)
            });
            let failed = match answered.await {
                Ok((Response::Refused(refused), _)) => {
                    let stopping = refused.why == Refusal::Stopping;
                    let failed = refused_error(refused);
                    if !stopping {
                        return Err(failed);
                    }
                    failed
                }
                Ok(answer) => return Ok(answer),
                Err(error) => gone(&error),
            };
            // Every request may be made twice: what was done is found done.
            let Some(around) = self.around.take().filter(|_| nodes < NODES_MAX) else {
                return Err(failed);
            };
            let wait = async |_: &str| tokio::time::sleep(LOCK_RETRY).await;
            *self = Self::found_or_started(around, wait).await?;
            nodes += 1;
        }
    }

    async fn with_connection<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> std::result::Result<T, control::Error> + Send + 'static,
    ) -> Result<T> {
        self.talk(work).await.map_err(|e| gone(&e))
    }

    /// Blocking work on a thread where it may block.
    async fn talk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> std::result::Result<T, control::Error> + Send + 'static,
    ) -> std::result::Result<T, control::Error> {
        let mut connection = self.connection.take().ok_or(control::Error::Gone)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut connection);
            (connection, result)
        });
        let (connection, result) = done.await.map_err(|_| control::Error::Gone)?;
        self.connection = Some(connection);
        result
    }

    /// Waits until the node that was told to stop has let go of everything, so that another one can
    /// be started.
    pub(crate) async fn until_gone(mut self) {
        let ended = self.with_connection(|connection| {
            let heard: std::result::Result<(Response, _), _> = connection.receive();
            heard.map(drop)
        });
        // An end is what is waited for.
        drop(ended.await);
    }

    /// Ends the conversation, and the node if it was ours.
    pub(crate) async fn close(self) {
        drop(self.connection);
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// Sends a request and hears its answer.
fn ask_once(
    connection: &mut Connection,
    request: &Request,
    file: Option<&std::fs::File>,
    progress: &Mutex<impl Fn(u64, u64)>,
) -> std::result::Result<(Response, Option<OwnedFd>), control::Error> {
    if let Some(mut file) = file {
        // The node before this one may have read some of it.
        file.rewind()?;
    }
    connection.send(request, file.map(|file| file.as_fd()))?;
    loop {
        match connection.receive()? {
            (Response::Progress(p), _) => {
                let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress(p.done_bytes, p.all_bytes);
            }
            answer => return Ok(answer),
        }
    }
}

fn gone(error: &control::Error) -> CliError {
    CliError::new(
        Exit::Unreachable,
        "the conversation with the node has ended",
        Hint::new("skep node status"),
    )
    .because(error)
}

/// What a command needs to know to reach a node.
struct Around {
    home: Home,
    env: Environment,
    /// The node that was named by `--node`.
    given: Option<String>,
    /// A node of our own has no network.
    offline: bool,
    /// A node of our own carries out no mirror rules.
    looks: bool,
}

impl Around {
    fn of(offline: bool, session: &Session<'_>) -> Self {
        Self {
            home: session.home.clone(),
            env: session.env.clone(),
            given: session.global.node.clone(),
            offline,
            looks: false,
        }
    }
}

/// `/…/p2p/PEER`, as the file of a repository names a node.
pub(crate) fn peer_text(node: &skep_proto::id::NodeId, address: &str) -> String {
    net::peer_text(node, address)
}

/// Whether a text says how to reach a node, and not which one.
pub(crate) fn is_address(text: &str) -> bool {
    net::is_address(text)
}

/// Reads what [`peer_text`] wrote.
pub(crate) fn parse_peer(text: &str) -> Option<(skep_proto::id::NodeId, String)> {
    net::parse_peer(text)
}

fn refused_error(refused: Refused) -> CliError {
    let exit = match refused.why {
        Refusal::Failed => Exit::Failed,
        Refusal::Untrusted => Exit::Untrusted,
        Refusal::NotFound => Exit::NotFound,
        Refusal::Unreachable | Refusal::Stopping => Exit::Unreachable,
    };
    let hint = match refused.hint {
        Some(hint) => Hint::new(hint),
        None => Hint::new(match exit {
            Exit::NotFound => "skep repo lists what is followed",
            Exit::Unreachable => "skep node peers",
            _ => "skep doctor looks at the node and its store",
        }),
    };
    CliError::new(exit, refused.message, hint)
}

/// An answer of another kind than the question: the two are of different builds.
pub(crate) fn unexpected(response: &Response) -> CliError {
    let kind = serde_json::to_value(response).ok();
    let kind = kind.and_then(|v| v.get("answer").map(ToString::to_string));
    CliError::new(
        Exit::Failed,
        format!(
            "the node answered something else: {}",
            kind.unwrap_or_default()
        ),
        Hint::new("start the node again with this skep: skep node stop; skep node run"),
    )
}
