//! `skep node`: run it, look at it, stop it.

mod gc;

use std::time::{Duration, Instant};

use skep_proto::control::{GatewayLine, GatewayRefusal, RepoLine, Request, Response, Status};

use skep_node::run::Running;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Session;
use crate::args::node::{Action, Node};
use crate::client::{Client, node_config, start, start_failed, unexpected};
use crate::error::{CliError, Exit, Hint, Result, could_not};
use crate::home::config::Config;
use crate::report::{Report, Table, Value};
use crate::supervisor::Supervisor;

/// How often `status --wait` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) async fn run(args: &Node, session: &Session<'_>) -> Result<Report> {
    match &args.action {
        Action::Run { with_stdin } => serve(*with_stdin, session).await,
        Action::Status { wait } => {
            let mut client = running(*wait, session).await?;
            status(&mut client).await.map(|status| report(&status))
        }
        Action::Peers => {
            let mut client = running(None, session).await?;
            peers(&mut client).await
        }
        Action::Gc { dry_run, used } => {
            let mut client = Client::connect_offline(session).await?;
            let collected = gc::collect(*dry_run, *used, session, &mut client).await;
            client.close().await;
            collected
        }
        Action::Stop => {
            let mut client = running(None, session).await?;
            let status = status(&mut client).await?;
            client.ask(Request::Stop).await?;
            let mut waiting = session.ui.progress("waiting until it has stopped", None);
            waiting.during(client.until_gone()).await;
            Ok(Report::answer("node.stop").fact("pid", u64::from(status.pid)))
        }
    }
}

/// Runs until Ctrl-C, SIGTERM, `skep node stop`, or the end of stdin if that was asked for.
async fn serve(with_stdin: bool, session: &Session<'_>) -> Result<Report> {
    crate::logs::start(session.global.verbose, session.env);
    let settings = Config::read(&session.home, session.env)?;
    let config = node_config(session, &settings)?;
    // Heeded from before the start: a node that is told to go while it comes up goes cleanly too.
    let heed = |kind| signal(kind).map_err(|e| could_not("heed signals", &e));
    let mut interrupt = heed(SignalKind::interrupt())?;
    let mut terminate = heed(SignalKind::terminate())?;
    let supervisor = Supervisor::of(session.env);
    let running = start(session, config).await.map_err(|e| start_failed(&e))?;
    if let Err(error) = greet(session).await {
        running.stop().await;
        return Err(error);
    }
    tokio::select! {
        () = running.stopped() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_stdin(with_stdin) => {}
        () = report_to(&supervisor, &running) => {}
    }
    supervisor.stopping();
    session.ui.say("stopping");
    tokio::select! {
        () = running.stop() => {}
        // Somebody who insists is let go: the store is safe to be left at any moment.
        _ = interrupt.recv() => return Err(CliError::interrupted()),
    }
    Ok(Report::answer("node.run").fact("stopped", true))
}

/// Tells the service manager when the node is ready, and then that it lives; never ends.
async fn report_to(supervisor: &Supervisor, running: &Running) {
    if let Some(why) = running.unready() {
        tracing::warn!(%why, "the node is not ready");
        supervisor.status(&why);
    }
    running.ready().await;
    let gateways = running.gateways().iter();
    let gateways: Vec<String> = gateways
        .map(|(address, mode)| format!("http://{address} ({mode} mode)"))
        .collect();
    supervisor.ready(&match gateways.is_empty() {
        true => "ready, without a gateway".to_owned(),
        false => format!("ready at {}", gateways.join(" ")),
    });
    let Some(every) = supervisor.wants_life_every() else {
        return std::future::pending().await;
    };
    loop {
        // The sign of life is the event loop's, not this task's.
        match running.turns().await {
            true => supervisor.alive(),
            false => tracing::error!("the event loop does not turn"),
        }
        tokio::time::sleep(every).await;
    }
}

/// Ends when stdin does, if that is heeded. Whoever holds the other end of a pipe cannot fail to end
/// it: it ends with that process, however that ended.
async fn end_of_stdin(heeded: bool) {
    if !heeded {
        return std::future::pending().await;
    }
    let (tell, ended) = oneshot::channel::<()>();
    // A thread of its own, which nothing waits for: reading stdin cannot be given up.
    std::thread::spawn(move || {
        // What stands in it does not matter; that it cannot be read is an end too.
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        drop(tell);
    });
    drop(ended.await);
}

/// How it can be reached, and a ticket for each package of one's own.
async fn greet(session: &Session<'_>) -> Result<()> {
    let Some(mut client) = Client::running(session).await? else {
        return Err(CliError::new(
            Exit::Failed,
            "the node does not answer on its own socket",
            Hint::new("skep doctor"),
        ));
    };
    let status = status(&mut client).await?;
    session.ui.say(&format!(
        "node {} is running (process {})",
        status.node.fingerprint(),
        status.pid
    ));
    let local = |address: &String| {
        ["/ip4/127.", "/ip6/::1/"]
            .iter()
            .any(|local| address.starts_with(local))
    };
    match status.addresses.iter().find(|address| !local(address)) {
        Some(_) if !session_has_public(session)? => {
            session.ui.say("reachable on this network only: set `addresses` in config.toml if others can reach it");
        }
        Some(_) => {}
        None => session.ui.say("reachable on this machine only"),
    }
    for address in &status.addresses {
        session.ui.say(&format!("listening  {address}"));
    }
    for gateway in &status.gateways {
        say_gateway(gateway, &status.repos, session);
    }
    for repo in &status.repos {
        let called = repo
            .alias
            .as_ref()
            .map_or(repo.id.to_string(), ToString::to_string);
        session.ui.say(&format!(
            "follows    {called}: {}, releases: {}",
            repo.state, repo.releases
        ));
    }
    for (alias, name) in own_packages(session, &mut client).await? {
        let ticket = super::repo::ticket(&alias, Some(&name), session, &mut client).await?;
        let ticket = ticket.to_text_that_fits();
        session.ui.say(&format!(
            "give a friend of {alias}/{name}:\n  skep get {ticket}"
        ));
    }
    Ok(())
}

fn session_has_public(session: &Session<'_>) -> Result<bool> {
    let settings = Config::read(&session.home, session.env)?;
    Ok(!settings.addresses.value.is_empty())
}

/// Packages whose owner lists a key of this home.
async fn own_packages(
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Vec<(String, skep_proto::name::Name)>> {
    let mine = crate::home::keys::Keys::of(&session.home).usable(session.ui)?;
    let mut own = Vec::new();
    for followed in crate::home::repos::Repos::of(&session.home).list()? {
        let repo = super::repo::repo(followed.alias.as_str(), client).await?;
        let is_mine =
            |key: &skep_proto::key::Key| mine.iter().any(|stored| stored.file.key() == *key);
        for handle in repo
            .handles
            .iter()
            .filter(|handle| handle.keys.iter().any(is_mine))
        {
            let names = handle.names.iter().cloned();
            own.extend(names.map(|name| (followed.alias.to_string(), name)));
        }
    }
    Ok(own)
}

async fn running(wait_s: Option<u64>, session: &Session<'_>) -> Result<Client> {
    let deadline = Instant::now() + Duration::from_secs(wait_s.unwrap_or(0));
    let mut waiting = session.ui.progress("waiting for a node", None);
    loop {
        match Client::running(session).await {
            Ok(Some(client)) => return Ok(client),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Ok(None) if Instant::now() >= deadline => {
                let message = format!("no node is running in `{}`", session.home.root().display());
                return Err(CliError::new(
                    Exit::Unreachable,
                    message,
                    Hint::new("skep node run"),
                ));
            }
            _ => waiting.during(tokio::time::sleep(LOOK_AGAIN)).await,
        }
    }
}

async fn status(client: &mut Client) -> Result<Status> {
    match client.ask(Request::Status).await? {
        Response::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

fn report(status: &Status) -> Report {
    let mut repos = Table::new(&["repository", "state", "logs", "packages", "releases"]);
    for line in &status.repos {
        let called = line
            .alias
            .as_ref()
            .map_or(line.id.to_string(), ToString::to_string);
        repos.push([
            called.into(),
            line.state.as_str().into(),
            (line.logs as u64).into(),
            (line.packages as u64).into(),
            (line.releases as u64).into(),
        ]);
    }
    let started = i64::try_from(status.started_s).map_or(Value::None, Value::Time);
    Report::answer("node.status")
        .fact("node", status.node.fingerprint())
        .fact("version", status.version.as_str())
        .fact("pid", u64::from(status.pid))
        .fact("started", started)
        .fact("peers", status.peers as u64)
        .fact("addresses", status.addresses.clone())
        .fact("read_only", status.read_only.clone())
        .table("repositories", repos)
        .table("gateways", gateway_table(&status.gateways))
        .table("refused", refusal_table(&status.refusals))
}

fn gateway_table(gateways: &[GatewayLine]) -> Table {
    let mut table = Table::new(&["gateway", "mode"]);
    for gateway in gateways {
        table.push([
            gateway.address.as_str().into(),
            gateway.mode.as_str().into(),
        ]);
    }
    table
}

/// What the gateway refused last: the tools that asked do not show it.
fn refusal_table(refusals: &[GatewayRefusal]) -> Table {
    let columns = ["path", "status", "times", "last", "why", "hint"];
    let mut table = Table::new(&columns);
    for refusal in refusals {
        table.push([
            refusal.path.as_str().into(),
            u64::from(refusal.status).into(),
            refusal.times.into(),
            Value::Time(i64::try_from(refusal.last_s).unwrap_or(i64::MAX)),
            refusal.why.as_str().into(),
            refusal.hint.as_str().into(),
        ]);
    }
    table
}

/// Where the gateway listens, and what l3afd is given for each repository.
fn say_gateway(gateway: &GatewayLine, repos: &[RepoLine], session: &Session<'_>) {
    let GatewayLine { address, mode } = gateway;
    session
        .ui
        .say(&format!("gateway    {address} ({mode} mode)"));
    if mode == "normal" {
        session
            .ui
            .warn(&format!("{address} hands out what no policy admitted"));
    }
    for repo in repos {
        let called = repo
            .alias
            .as_ref()
            .map_or(repo.id.to_string(), ToString::to_string);
        session.ui.say(&format!(
            "l3afd      [ebpf-repo] url: {address}/l3afd/{called}"
        ));
    }
}

async fn peers(client: &mut Client) -> Result<Report> {
    let peers = match client.ask(Request::Peers).await? {
        Response::Peers { peers } => peers,
        other => return Err(unexpected(&other)),
    };
    let mut table = Table::new(&["node", "repositories"]);
    for peer in peers {
        let repos: Vec<String> = peer.repos.iter().map(ToString::to_string).collect();
        table.push([peer.node.fingerprint().into(), repos.into()]);
    }
    Ok(Report::list("node.peers", table))
}
