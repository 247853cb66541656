//! Starting and stopping a node: the adapters are built, the core is restored from the store, the
//! driver runs, and the control socket says that it does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use skep_proto::hash::Blake3;
use skep_proto::id::{NodeId, RepoId};
use skep_proto::sync::blobs::List;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::control::{self, Answers, Socket, Stopped};
use crate::core::{Core, Input};
use crate::driver::{Driver, Handle, Parts};
use crate::gateway::pages::About;
use crate::gateway::{Doors, Gateway, Mode, Refusals};
use crate::search::{self, Search};
use crate::snapshot::Snapshot;
use crate::store::disk::Disk;
use crate::store::{self, Event, Store};
use crate::{gateway, keeper, net, repos, restore};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not open the store `{}`", path.display())]
    Store {
        path: PathBuf,
        #[source]
        source: store::Error,
    },
    #[error("could not start the network")]
    Net(#[source] net::Error),
    #[error("could not listen on {address} for HTTP")]
    Gateway {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("could not listen on the control socket `{}`", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Repos(#[from] repos::Error),
}

/// What peers are served from: the snapshot says whether, the store says what.
struct Serving {
    store: Arc<dyn Store>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl net::BlobSource for Serving {
    fn offered(&self, _: &NodeId, repo: &RepoId, hash: &Blake3) -> bool {
        self.snapshot.borrow().offers(repo, hash)
    }

    fn list(&self, hash: &Blake3) -> std::io::Result<Option<List>> {
        let Some(info) = self.store.blob(hash).map_err(std::io::Error::other)? else {
            return Ok(None);
        };
        let list = self.store.group_list(hash).map_err(std::io::Error::other)?;
        Ok(list.map(|bytes| List {
            size: info.size,
            bytes,
        }))
    }

    fn group(&self, hash: &Blake3, index: u64) -> std::io::Result<Option<Vec<u8>>> {
        self.store
            .read_group(hash, index)
            .map_err(std::io::Error::other)
    }
}

/// A running node. Dropping it stops it without waiting; [`Running::stop`] waits.
pub struct Running {
    handle: Handle,
    net: net::Net,
    gateways: Vec<(SocketAddr, Mode)>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    socket: Socket,
    damage: Vec<String>,
}

/// What the store had when it was opened.
struct Opened {
    store: Arc<dyn Store>,
    restored: Vec<crate::core::Restored>,
    stopped: Stopped,
    /// In words.
    damage: Vec<String>,
}

/// Starts a node. When this returns it is ready: the store is open, repositories are loaded, and
/// the control socket answers.
pub async fn start(config: Config) -> Result<Running, Error> {
    let me = NodeId::from_key(config.key.key());
    let followed = repos::read_all(&config.repos)?;
    raise_descriptor_limit();
    let Opened {
        store,
        restored,
        stopped: without,
        damage,
    } = open_store(&config).await?;
    let followed = control::without(&without, followed);
    let (shown, snapshot) = watch::channel(Arc::new(Snapshot::empty(me)));
    let source = Arc::new(Serving {
        store: Arc::clone(&store),
        snapshot,
    });
    let net_config = net::Config {
        key: config.key.clone(),
        listen: config
            .listen
            .iter()
            .map(|address| net::Listen {
                ip: address.ip(),
                port: address.port(),
            })
            .collect(),
        mdns: config.mdns,
        gossip: config.gossip,
        limits: net::Limits::default(),
    };
    let (net, events) = net::Net::start(net_config, source)
        .await
        .map_err(Error::Net)?;
    let core = Core::new(me, config.seed, restored);
    let driver = Driver::new(Parts {
        me,
        core,
        seed: config.seed,
        store: Arc::clone(&store),
        net: net.clone(),
        events,
        shown,
        dials: config.dial,
    });
    let in_flight = driver.in_flight.clone();
    let handle = driver.handle.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = vec![tokio::spawn(driver.run(stopped.clone()))];
    repos::configure(&handle, &config, followed).await;
    // Readers look at the snapshot: what is followed stands in it once the next input is answered.
    handle.ask(Input::Probed).await;
    let refusals = Refusals::default();
    let search = Search::new(Arc::clone(&store));
    let following = search::follow(search.clone(), handle.clone(), stopped.clone());
    tasks.push(tokio::spawn(following));
    let (mut listeners, mut gateways) = (Vec::new(), Vec::new());
    for Gateway { listen, mode } in config.gateways.iter().copied() {
        let (listener, bound) = gateway::bind(listen)
            .await
            .map_err(|source| Error::Gateway {
                address: listen,
                source,
            })?;
        gateways.push((bound, mode));
        listeners.push((listener, mode));
    }
    let notes = keeper::Notes::default();
    let keeper = keeper::Keeper {
        node: handle.clone(),
        store: Arc::clone(&store),
        quota: config.quota,
        notes: notes.clone(),
    };
    if config.keeps_rules {
        tasks.push(tokio::spawn(keeper.run(stopped.clone())));
    }
    let path = config.socket.clone();
    let answers = Arc::new(Answers {
        config,
        node: handle.clone(),
        store: Arc::clone(&store),
        stopped: without,
        net: net.clone(),
        gateways: gateways.clone(),
        refusals: refusals.clone(),
        search: search.clone(),
        in_flight,
        notes,
        stop: stop.clone(),
        started: std::time::Instant::now(),
        started_s: crate::unix_s(),
        runtime: tokio::runtime::Handle::current(),
    });
    let about: Arc<dyn About> = Arc::<Answers>::clone(&answers);
    let doors = Arc::new(Doors::new(handle.clone(), store, refusals, search, about));
    for (listener, mode) in listeners {
        let serve = gateway::serve(listener, mode, Arc::clone(&doors), stopped.clone());
        tasks.push(tokio::spawn(serve));
    }
    let socket =
        control::listen(&path, answers).map_err(|source| Error::Socket { path, source })?;
    Ok(Running {
        handle,
        net,
        gateways,
        stop,
        tasks,
        socket,
        damage,
    })
}

/// As many descriptors as the system lets this process have: each connection and each file that is
/// sent needs one, and many systems begin with 1,024 for the sake of programs that use `select`.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

async fn open_store(config: &Config) -> Result<Opened, Error> {
    let (path, faults) = (config.store.clone(), config.faults.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let failed = |source| Error::Store {
            path: path.clone(),
            source,
        };
        let store = Disk::open(&path, faults).map_err(failed)?;
        let restored = restore::restore(&store).map_err(failed)?;
        let damage = store.events().into_iter().filter(Event::is_damage);
        Ok(Opened {
            restored,
            stopped: store.stopped(),
            damage: damage.map(|event| event.to_string()).collect(),
            store: Arc::new(store),
        })
    });
    match opened.await {
        Ok(opened) => opened,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

impl Running {
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where peers can reach it, as multiaddresses.
    pub fn addresses(&self) -> Vec<String> {
        self.net.addresses()
    }

    /// What was found damaged on the disk when the store was opened, in words.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Where the HTTP side listens.
    pub fn gateways(&self) -> &[(SocketAddr, Mode)] {
        &self.gateways
    }

    /// Whether the event loop turns, as `/healthz` says it.
    pub async fn turns(&self) -> bool {
        gateway::turns(&self.handle).await
    }

    /// Why `/readyz` does not say 200, if it does not.
    pub fn unready(&self) -> Option<String> {
        gateway::unready(&self.handle)
    }

    /// Waits until `/readyz` says 200.
    pub async fn ready(&self) {
        let mut handle = self.handle.clone();
        // Looked at again after each change; without a driver nothing changes any more.
        while self.unready().is_some() {
            if !handle.changed().await {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until somebody stops the node through the control socket.
    pub async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender is ours: it cannot be gone.
        drop(stop.wait_for(|stop| *stop).await);
    }

    /// Stops and waits until everything that runs has ended.
    pub async fn stop(self) {
        let Self {
            stop,
            tasks,
            socket,
            net,
            handle,
            ..
        } = self;
        drop(socket);
        stop.send_replace(true);
        drop(handle);
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the node had failed");
            }
        }
        net.stop().await;
    }
}
