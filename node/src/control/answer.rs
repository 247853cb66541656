//! The answers to what commands ask.

mod bundle;
mod doctor;
mod files;
mod log;
mod mirror;
mod release;
mod search;
mod stopped;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_proto::control::{
    GatewayLine, Mirror, Peer, Progress, Refusal, Refused, RepoLine, Request, Response, Status,
};
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::trust::Asked;
pub(crate) use stopped::{Stopped, without};
use tokio::sync::watch;

use super::{Connection, Error};
use crate::bundle::Known;
use crate::config::Config;
use crate::core::{Command, Input, Reply, RequestId};
use crate::driver::Handle;
use crate::gateway::pages::About;
use crate::gateway::{Mode, Refusals};
use crate::in_use::Lease;
use crate::keeper::Notes;
use crate::perform::InFlight;
use crate::search::Search;
use crate::snapshot::{RepoSnapshot, Snapshot};
use crate::store::Store;
use crate::{net, repos};

/// What the answers are made from.
pub(crate) struct Answers {
    pub(crate) config: Config,
    pub(crate) node: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stopped: Stopped,
    pub(crate) net: net::Net,
    pub(crate) gateways: Vec<(SocketAddr, Mode)>,
    pub(crate) refusals: Refusals,
    pub(crate) search: Search,
    pub(crate) in_flight: InFlight,
    pub(crate) notes: Notes,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) started: Instant,
    /// The same by the clock, read once: it says the same however often it is asked for.
    pub(crate) started_s: u64,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// How often somebody who waits hears how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How something that takes long is waited for.
struct Waiting<'a> {
    /// The longest; without one, until the core gives up.
    at_most: Option<Duration>,
    done_bytes: &'a dyn Fn() -> u64,
    all_bytes: u64,
}

/// An answer that is not one: what was refused, as the person is told.
type Answered = Result<Response, Refused>;

impl Answers {
    /// Answers one request.
    pub(super) fn answer(
        &self,
        request: Request,
        file: Option<OwnedFd>,
        known: &mut Option<Known>,
        connection: &mut Connection,
        lease: &mut Lease,
    ) -> Result<(), Error> {
        if let Request::OpenBlob { hash } = request {
            return self.open_blob(hash, connection);
        }
        if matches!(request, Request::Stop) {
            // Said first: the process may be gone before anything else is.
            let said = connection.send(&Response::Done, None);
            self.stop.send_replace(true);
            return said;
        }
        // The disk that is full is then the one a person named.
        let is_elsewhere = matches!(request, Request::ExportBundle { .. });
        let answered = match request {
            Request::CheckBundle { .. }
            | Request::ImportBundle { .. }
            | Request::ExportBundle { .. } => self.bundle(&request, file, known, connection),
            request => self.answer_without_file(request, file, connection, lease),
        };
        let response = answered.unwrap_or_else(|refused| {
            Response::Refused(match is_elsewhere {
                true => refused,
                false => self.mind_room(refused),
            })
        });
        connection.send(&response, None)
    }

    /// What failed for want of room says what to do, wherever it failed.
    fn mind_room(&self, refused: Refused) -> Refused {
        let no_room = std::io::Error::from(rustix::io::Errno::NOSPC).to_string();
        let hint = refused.message.contains(&no_room).then(|| {
            let path = self.config.store.display();
            format!("make room, then type the same again: df -h {path}")
        });
        Refused {
            hint: hint.or(refused.hint),
            ..refused
        }
    }

    fn answer_without_file(
        &self,
        request: Request,
        file: Option<OwnedFd>,
        connection: &mut Connection,
        lease: &mut Lease,
    ) -> Answered {
        self.refuse_stopped(&request)?;
        match request {
            Request::Status => Ok(Response::Status(self.status())),
            Request::Peers => Ok(Response::Peers {
                peers: self.peers(),
            }),
            Request::Reload => self.reload(),
            Request::AwaitSync { repo, wait_s } => self.await_sync(repo, wait_s, connection),
            Request::Repo { repo } => {
                let snapshot = self.node.snapshot();
                let repo = repo_of(&snapshot, &repo)?;
                let mut report = repo.report();
                report.line = self.line(repo);
                Ok(Response::Repo(Box::new(report)))
            }
            Request::Packages { repo } => {
                let snapshot = self.node.snapshot();
                let packages = repo_of(&snapshot, &repo)?.packages();
                Ok(Response::Packages { packages })
            }
            Request::Release {
                package,
                normal,
                allow_yanked,
                accept_change,
            } => {
                let asked = Asked {
                    normal,
                    allow_yanked,
                    accept_change,
                    admitted_before: None,
                };
                self.release(&package, &asked)
            }
            Request::Search { query, page } => self.find(&query, &page),
            Request::Log { repo, key, from } => self.log(&repo, &key, from),
            Request::PutRoot { repo, root } => self.put_root(repo, &root),
            Request::Append {
                repo,
                key,
                entries,
                checkpoint,
            } => self.append(repo, key, entries, &checkpoint),
            Request::PutBlob => self.put_blob(file, lease),
            Request::Publish {
                repo,
                manifest,
                blobs,
            } => self.publish(repo, manifest, &blobs),
            Request::Fetch {
                repo,
                name,
                version,
                manifest,
            } => self.fetch(repo, &name, &version, manifest, connection),
            Request::Admit {
                repo,
                name,
                version,
                manifest,
            } => self.command(Command::Admit {
                repo,
                name,
                version,
                manifest,
            }),
            Request::Addresses => Ok(Response::Addresses {
                node: *self.node.snapshot().me.key(),
                addresses: self.addresses(),
            }),
            Request::Doctor => Ok(self.doctor()),
            Request::Mirror => Ok(Response::Mirror(self.mirrored())),
            Request::Collect { dry_run, used } => self.collect(dry_run, used),
            Request::PlanMirror {
                repo,
                file,
                dropped,
            } => self.plan_mirror(repo, &file, &dropped),
            Request::LetGo { repo, dropped } => self.let_go(repo, &dropped),
            Request::Purge { repo } => self.purge(repo),
            Request::RecheckBlob { hash } => self.recheck_blob(&hash),
            Request::Stop
            | Request::OpenBlob { .. }
            | Request::CheckBundle { .. }
            | Request::ImportBundle { .. }
            | Request::ExportBundle { .. } => Err(failed("this is asked for on its own")),
        }
    }

    /// A repository in one line. What the disk spoiled, and nobody has brought back yet, is missing
    /// from a view that is well otherwise.
    fn line(&self, repo: &RepoSnapshot) -> RepoLine {
        let mut line = repo.line();
        let lost = self.spoiled_logs(repo).into_iter().find(|key| {
            let held = repo.logs.get(key);
            held.is_none_or(|position| position.whole.is_none())
        });
        if let Some(key) = lost.filter(|_| line.state == "ok") {
            let key = key.fingerprint();
            line.state = format!("the disk spoiled the log of {key}, and it is not here again yet");
        }
        line
    }

    fn gateway_lines(&self) -> Vec<GatewayLine> {
        let line = |(address, mode): &(SocketAddr, Mode)| GatewayLine {
            address: format!("http://{address}"),
            mode: mode.to_string(),
        };
        self.gateways.iter().map(line).collect()
    }

    /// Where this node can be reached: what was configured, then where it listens.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = self.config.public_addresses.clone();
        addresses.extend(self.net.addresses());
        addresses.dedup();
        addresses
    }

    fn reload(&self) -> Answered {
        let read = repos::read_all(&self.config.repos);
        let read = read.map_err(|e| failed(crate::in_words(&e)))?;
        let read = without(&self.stopped, read);
        repos::configure_blocking(&self.node, &self.config, read);
        // What was told is done once the next question is answered.
        self.ask(Input::Probed)?;
        Ok(Response::Done)
    }

    fn await_sync(&self, repo: RepoId, wait_s: u64, connection: &mut Connection) -> Answered {
        let waiting = Waiting {
            at_most: Some(Duration::from_secs(wait_s)),
            done_bytes: &|| 0,
            all_bytes: 0,
        };
        let ask = |id| Input::Command(id, Command::AwaitSync { repo });
        match self.wait(ask, &waiting, connection)? {
            Reply::TimedOut => Err(Refused {
                why: Refusal::Unreachable,
                message: "no peer that has the repository could be reached".to_owned(),
                hint: Some("is the other node running, and can you reach its address?".to_owned()),
            }),
            Reply::Lied { peer, what } => Err(Refused {
                why: Refusal::Untrusted,
                message: format!(
                    "{} sent what does not verify: {what}",
                    peer.key().fingerprint()
                ),
                hint: Some("nothing of it was kept; ask for a ticket of another node".to_owned()),
            }),
            reply => done(reply),
        }
    }

    /// Waits for what takes long, and tells whoever asked how far it is.
    fn wait(
        &self,
        input: impl FnOnce(RequestId) -> Input,
        waiting: &Waiting<'_>,
        connection: &mut Connection,
    ) -> Result<Reply, Refused> {
        let mut request = RequestId(0);
        let (turn, mut reply) = self.node.begin(|id| {
            request = id;
            input(id)
        });
        if !self.runtime.block_on(turn) {
            return Err(stopping());
        }
        let begun = Instant::now();
        loop {
            let waited = self
                .runtime
                .block_on(async { tokio::time::timeout(PROGRESS_EVERY, &mut reply).await });
            if let Ok(reply) = waited {
                return reply.map_err(|_| stopping());
            }
            if waiting.at_most.is_some_and(|most| begun.elapsed() >= most) {
                self.node.tell_blocking(Input::Abandoned(request));
                return Ok(Reply::TimedOut);
            }
            let progress = Progress {
                done_bytes: (waiting.done_bytes)(),
                all_bytes: waiting.all_bytes,
            };
            if connection
                .send(&Response::Progress(progress), None)
                .is_err()
            {
                // The command is gone: what came stays, and is resumed the next time.
                self.node.tell_blocking(Input::Abandoned(request));
                return Err(failed("the command is gone"));
            }
        }
    }

    fn command(&self, command: Command) -> Answered {
        done(self.ask(|id| Input::Command(id, command))?)
    }

    fn ask(&self, input: impl FnOnce(RequestId) -> Input) -> Result<Reply, Refused> {
        self.node.ask_blocking(input).ok_or_else(stopping)
    }
}

impl About for Answers {
    fn status(&self) -> Status {
        let snapshot = self.node.snapshot();
        Status {
            version: self.config.version.to_owned(),
            node: *snapshot.me.key(),
            pid: std::process::id(),
            started_s: self.started_s,
            up_s: self.started.elapsed().as_secs(),
            peers: snapshot.peers.len(),
            addresses: self.addresses(),
            repos: snapshot
                .repos()
                .map(|repo| self.line(repo))
                .chain(self.stopped_lines())
                .collect(),
            gateways: self.gateway_lines(),
            refusals: self.refusals.all(),
            read_only: snapshot.read_only.clone(),
        }
    }

    fn mirror(&self) -> Mirror {
        self.mirrored()
    }

    fn peers(&self) -> Vec<Peer> {
        let snapshot = self.node.snapshot();
        let peers = snapshot.peers.iter();
        peers
            .map(|(node, repos)| Peer {
                node: *node.key(),
                repos: repos.iter().copied().collect(),
            })
            .collect()
    }
}

fn repo_of<'a>(snapshot: &'a Snapshot, repo: &str) -> Result<&'a Arc<RepoSnapshot>, Refused> {
    let reference: RepoRef = repo.parse().map_err(|e| failed(crate::in_words(&e)))?;
    snapshot.repo(&reference).ok_or_else(|| Refused {
        why: Refusal::NotFound,
        message: format!("this node does not follow a repository `{repo}`"),
        hint: Some("skep repo, or skep repo add TICKET".to_owned()),
    })
}

fn done(reply: Reply) -> Answered {
    match reply {
        Reply::Done => Ok(Response::Done),
        Reply::Refused(why) => Err(failed(why)),
        Reply::Size(size) => Err(failed(format!(
            "the log has {size} entries now: somebody else signed with this key meanwhile"
        ))),
        Reply::TimedOut => Err(failed("it took too long")),
        Reply::Lied { what, .. } => Err(failed(what)),
        Reply::Want(_) => Err(failed("an answer to something else")),
    }
}

fn failed(message: impl Into<String>) -> Refused {
    Refused {
        why: Refusal::Failed,
        message: message.into(),
        hint: None,
    }
}

fn not_found(message: String) -> Refused {
    Refused {
        why: Refusal::NotFound,
        message,
        hint: None,
    }
}

fn stopping() -> Refused {
    Refused {
        why: Refusal::Stopping,
        message: "the node is stopping".to_owned(),
        hint: Some("type the same again: without a node, a command runs one by itself".to_owned()),
    }
}
