//! A bare ping of libp2p between two processes, over the transport that nodes use first: TCP with
//! TLS, yamux. What a message must take at least.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, ping, tcp, tls, yamux};

/// How often a ping follows the one before: as publishes do, each alone on the connection.
const EVERY: Duration = Duration::from_millis(1);
/// How long one ping may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Round trips in milliseconds, `count` of them.
pub(super) fn round_trips_ms(count: u32) -> Result<Vec<f64>> {
    let mut pong = Pong::start()?;
    let address = pong.address()?;
    runtime()?.block_on(async {
        let mut swarm = swarm()?;
        swarm.dial(address)?;
        let mut found = Vec::new();
        while found.len() < count as usize {
            let event = tokio::time::timeout(PATIENCE, swarm.select_next_some()).await;
            match event.context("libp2p does not answer a ping")? {
                SwarmEvent::Behaviour(ping::Event { result, .. }) => {
                    found.push(result?.as_secs_f64() * 1000.0);
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                _ => {}
            }
        }
        Ok(found)
    })
}

/// Answers pings until stdin ends.
pub(crate) fn pong() -> Result<()> {
    std::thread::spawn(|| {
        // Whoever started us holds the other end: its end is ours.
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    runtime()?.block_on(async {
        let mut swarm = swarm()?;
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                super::print(&format!("{address}\n"));
            }
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built.context("could not start a runtime")
}

fn swarm() -> Result<Swarm<ping::Behaviour>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::new().nodelay(true),
            (tls::Config::new, noise::Config::new),
            yamux::Config::default,
        )?
        .with_behaviour(|_| ping::Behaviour::new(ping::Config::new().with_interval(EVERY)))
        .unwrap_or_else(|never| match never {})
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    Ok(swarm)
}

/// The other process.
struct Pong(Child);

impl Drop for Pong {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Pong {
    fn start() -> Result<Self> {
        let own = std::env::current_exe().context("could not find this program")?;
        let started = Command::new(own)
            .arg("pong")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        started.map(Self).context("could not start the other end")
    }

    fn address(&mut self) -> Result<Multiaddr> {
        let stdout = self.0.stdout.as_mut().context("no stdout")?;
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line)? == 0 {
            bail!("the other end of the ping ended");
        }
        Ok(line.trim().parse()?)
    }
}
