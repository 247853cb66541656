//! The answers to what commands ask.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_proto::control::{
    BlobRef, Check, Hex, Log, Peer, Progress, Refusal, Refused, Release, Request, Response, Status,
};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::key::Key;
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::name::{Name, PackageRef, RepoRef, Version};
use skep_proto::repo::root::SignedRoot;
use skep_proto::trust::Asked;
use tokio::sync::watch;

use super::{Connection, Error};
use crate::config::Config;
use crate::core::{Command, Holding, HoldingReason, Input, Reply, RequestId, WantEnd};
use crate::driver::Handle;
use crate::perform::InFlight;
use crate::release::{self, Files};
use crate::snapshot::{NotFound, RepoSnapshot, Snapshot, facts, release_line};
use crate::store::Store;
use crate::{net, repos};

/// Entries in one answer about a log; the caller asks again from where they end.
const LOG_ENTRIES_MAX: u64 = 64;
/// How often somebody who waits for files hears how far they are.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What the answers are made from.
pub(crate) struct Answers {
    pub(crate) config: Config,
    pub(crate) node: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) net: net::Net,
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) in_flight: InFlight,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) started: Instant,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// An answer that is not one: what was refused, as the person is told.
type Answered = Result<Response, Refused>;

impl Answers {
    /// Answers one request.
    pub(super) fn answer(
        &self,
        request: Request,
        file: Option<OwnedFd>,
        connection: &mut Connection,
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
        let answered = self.answer_without_file(request, file, connection);
        let response =
            answered.unwrap_or_else(|refused| Response::Refused(self.mind_room(refused)));
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
            hint: refused.hint.or(hint),
            ..refused
        }
    }

    fn answer_without_file(
        &self,
        request: Request,
        file: Option<OwnedFd>,
        connection: &mut Connection,
    ) -> Answered {
        match request {
            Request::Status => Ok(self.status()),
            Request::Peers => Ok(self.peers()),
            Request::Reload => self.reload(),
            Request::AwaitSync { repo } => self.await_sync(repo),
            Request::Repo { repo } => {
                let snapshot = self.node.snapshot();
                Ok(Response::Repo(Box::new(
                    repo_of(&snapshot, &repo)?.report(),
                )))
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
            Request::Log { repo, key, from } => self.log(&repo, &key, from),
            Request::PutRoot { repo, root } => self.put_root(repo, &root),
            Request::Append {
                repo,
                key,
                entries,
                checkpoint,
            } => self.append(repo, key, entries, &checkpoint),
            Request::PutBlob => self.put_blob(file),
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
            Request::Stop | Request::OpenBlob { .. } => Err(failed("this is asked for on its own")),
        }
    }

    fn status(&self) -> Response {
        let snapshot = self.node.snapshot();
        Response::Status(Status {
            version: self.config.version.to_owned(),
            node: *snapshot.me.key(),
            pid: std::process::id(),
            up_s: self.started.elapsed().as_secs(),
            peers: snapshot.peers.len(),
            addresses: self.addresses(),
            repos: snapshot.repos().map(|repo| repo.line()).collect(),
            gateway: self.gateway.map(|address| format!("http://{address}")),
            read_only: snapshot.read_only.clone(),
        })
    }

    /// Where this node can be reached: what was configured, then where it listens.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = self.config.public_addresses.clone();
        addresses.extend(self.net.addresses());
        addresses.dedup();
        addresses
    }

    fn peers(&self) -> Response {
        let snapshot = self.node.snapshot();
        let peers = snapshot.peers.iter();
        Response::Peers {
            peers: peers
                .map(|(node, repos)| Peer {
                    node: *node.key(),
                    repos: repos.iter().copied().collect(),
                })
                .collect(),
        }
    }

    fn reload(&self) -> Answered {
        let read = repos::read_all(&self.config.repos);
        let read = read.map_err(|e| failed(crate::in_words(&e)))?;
        repos::configure_blocking(&self.node, &self.config, read);
        // What was told is done once the next question is answered.
        self.ask(Input::Probed)?;
        Ok(Response::Done)
    }

    fn await_sync(&self, repo: RepoId) -> Answered {
        let ask = |id| Input::Command(id, Command::AwaitSync { repo });
        match self.ask(ask)? {
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

    fn release(&self, package: &str, asked: &Asked) -> Answered {
        let snapshot = self.node.snapshot();
        let reference: PackageRef = package.parse().map_err(|e| failed(crate::in_words(&e)))?;
        let repo = repo_of(&snapshot, &reference.repo.to_string())?;
        let resolved = repo
            .resolve(&reference.name, reference.requirement.as_ref(), asked)
            .map_err(|e| Refused {
                hint: Some(match e {
                    NotFound::Version { .. } => {
                        format!("skep info {}/{}", reference.repo, reference.name)
                    }
                    _ => format!("skep repo show {}", reference.repo),
                }),
                ..not_found(e.to_string())
            })?;
        let subject = &resolved.subject;
        let payload = self.payload(repo, &subject.name, &subject.version, subject.manifest)?;
        let view = repo
            .view
            .as_deref()
            .ok_or_else(|| not_found(repo.state_text()))?;
        let owner = view.handle(&subject.owner.id);
        let owner = owner.ok_or_else(|| not_found("the owner is gone".to_owned()))?;
        let package = view.package(&subject.name);
        let release = package.and_then(|package| package.releases.get(&subject.version));
        let release = release.ok_or_else(|| not_found("the release is gone".to_owned()))?;
        Ok(Response::Release(Box::new(Release {
            repo: repo.id,
            alias: repo.alias().cloned(),
            name: subject.name.clone(),
            version: subject.version.clone(),
            manifest: subject.manifest,
            payload: Hex(payload.bytes),
            signatures: payload
                .signatures
                .iter()
                .map(|(key, signature)| (*key, Hex(signature.as_bytes().to_vec())))
                .collect(),
            owner: repo.handle(view, owner),
            signers: subject.signers.iter().copied().collect(),
            line: release_line(&subject.version, release),
            held: repo.holdings.contains_key(&subject.manifest),
            admitted: resolved.decision.admitted,
            facts: facts(&resolved.decision),
            ineffective: repo.ineffective(),
        })))
    }

    /// The payload of a manifest, from any entry that published it, and the signatures beside it.
    fn payload(
        &self,
        repo: &RepoSnapshot,
        name: &Name,
        version: &Version,
        manifest: Sha256,
    ) -> Result<release::Payload, Refused> {
        release::payload(repo, self.store.as_ref(), name, version, manifest).map_err(|e| Refused {
            why: Refusal::Failed,
            message: crate::in_words(&e),
            hint: Some("skep doctor".to_owned()),
        })
    }

    fn log(&self, repo: &RepoId, key: &Key, from: u64) -> Answered {
        let snapshot = self.node.snapshot();
        let repo = repo_of(&snapshot, &repo.to_string())?;
        let position = repo.logs.get(key);
        let size = position.map_or(0, |position| position.size);
        let to = size.min(from.saturating_add(LOG_ENTRIES_MAX));
        let entries = if from < to {
            let entries = self.store.entries(&repo.id, key, from, to);
            entries.map_err(|e| failed(crate::in_words(&e)))?
        } else {
            Vec::new()
        };
        let whole = position.and_then(|position| position.whole.as_ref());
        Ok(Response::Log(Log {
            size,
            checkpoint: whole.map(|checkpoint| Hex(checkpoint.to_bytes())),
            entries: entries.into_iter().map(Hex).collect(),
        }))
    }

    fn put_root(&self, repo: RepoId, root: &Hex) -> Answered {
        let root = SignedRoot::decode(&root.0).map_err(|e| failed(crate::in_words(&e)))?;
        self.command(Command::PutRoot { repo, root })
    }

    fn append(&self, repo: RepoId, key: Key, entries: Vec<Hex>, checkpoint: &Hex) -> Answered {
        let checkpoint = Checkpoint::from_bytes(&checkpoint.0);
        let checkpoint = checkpoint.map_err(|e| failed(crate::in_words(&e)))?.0;
        self.command(Command::Append {
            repo,
            key,
            entries: entries.into_iter().map(|entry| entry.0).collect(),
            checkpoint,
        })
    }

    fn put_blob(&self, file: Option<OwnedFd>) -> Answered {
        let file = file.ok_or_else(|| failed("no file came with the request"))?;
        let mut file = std::fs::File::from(file);
        let info = self.store.import(&mut file);
        let info = info.map_err(|e| failed(crate::in_words(&e)))?;
        Ok(Response::Blob(BlobRef {
            hash: info.hash,
            size_bytes: info.size,
        }))
    }

    fn publish(&self, repo: RepoId, manifest: Sha256, blobs: &[BlobRef]) -> Answered {
        for blob in blobs {
            let held = self.store.blob(&blob.hash);
            if held.map_err(|e| failed(crate::in_words(&e)))?.is_none() {
                return Err(failed(format!(
                    "the blob {} is not in the store",
                    blob.hash
                )));
            }
        }
        self.hold(repo, manifest, HoldingReason::Published, blobs)
    }

    fn hold(
        &self,
        repo: RepoId,
        manifest: Sha256,
        why: HoldingReason,
        blobs: &[BlobRef],
    ) -> Answered {
        let blobs = blobs.iter().map(|blob| (blob.hash, blob.size_bytes));
        let holding = Holding {
            why,
            blobs: blobs.collect(),
        };
        self.command(Command::Hold {
            repo,
            manifest,
            holding,
        })
    }

    /// Every file of a release, first the one that lists the others, if there is one.
    fn fetch(
        &self,
        id: RepoId,
        name: &Name,
        version: &Version,
        manifest: Sha256,
        connection: &mut Connection,
    ) -> Answered {
        let snapshot = self.node.snapshot();
        let repo = repo_of(&snapshot, &id.to_string())?;
        let payload = self.payload(repo, name, version, manifest)?;
        let untrusted = |e: release::Error| Refused {
            why: Refusal::Untrusted,
            message: crate::in_words(&e),
            hint: None,
        };
        let mut files = Files::of(&payload.bytes, &id, name, version).map_err(untrusted)?;
        if let Some(tree) = files.tree() {
            self.want(id, &[tree], connection)?;
            let bytes = release::read_tree(self.store.as_ref(), &tree).map_err(untrusted)?;
            files.add_tree(&bytes).map_err(untrusted)?;
        }
        self.want(id, &files.blobs(), connection)?;
        self.hold(id, manifest, HoldingReason::Used, &files.blobs())
    }

    /// Waits until the store has these blobs, telling how far it is.
    fn want(
        &self,
        repo: RepoId,
        blobs: &[BlobRef],
        connection: &mut Connection,
    ) -> Result<(), Refused> {
        let wanted = blobs
            .iter()
            .map(|blob| (blob.hash, blob.size_bytes))
            .collect();
        let all_bytes = blobs.iter().map(|blob| blob.size_bytes).sum();
        let mut request = RequestId(0);
        let (turn, mut reply) = self.node.begin(|id| {
            request = id;
            Input::Wanted {
                id,
                repo,
                blobs: wanted,
            }
        });
        if !self.runtime.block_on(turn) {
            return Err(stopping());
        }
        let reply = loop {
            let waited = self
                .runtime
                .block_on(async { tokio::time::timeout(PROGRESS_EVERY, &mut reply).await });
            match waited {
                Ok(reply) => break reply.map_err(|_| stopping())?,
                Err(_) => {
                    let done_bytes = self.in_flight.of(blobs.iter().map(|blob| &blob.hash));
                    let progress = Progress {
                        done_bytes,
                        all_bytes,
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
        };
        want_ended(reply, &self.node.snapshot())
    }

    fn command(&self, command: Command) -> Answered {
        done(self.ask(|id| Input::Command(id, command))?)
    }

    fn ask(&self, input: impl FnOnce(RequestId) -> Input) -> Result<Reply, Refused> {
        self.node.ask_blocking(input).ok_or_else(stopping)
    }

    fn open_blob(&self, hash: Blake3, connection: &mut Connection) -> Result<(), Error> {
        let opened = self.store.open(&hash).and_then(|file| {
            let info = self.store.blob(&hash)?;
            Ok(file.zip(info))
        });
        match opened {
            Ok(Some((file, info))) => {
                let blob = BlobRef {
                    hash,
                    size_bytes: info.size,
                };
                connection.send(&Response::Blob(blob), Some(file.as_fd()))
            }
            Ok(None) => {
                let refused = not_found(format!("the blob {hash} is not in the store"));
                connection.send(&Response::Refused(refused), None)
            }
            Err(error) => {
                let refused = failed(crate::in_words(&error));
                connection.send(&Response::Refused(refused), None)
            }
        }
    }

    fn doctor(&self) -> Response {
        let snapshot = self.node.snapshot();
        let mut checks = vec![match self.store.space() {
            Ok(space) => Check {
                ok: true,
                what: "store".to_owned(),
                text: format!("{} bytes used, {} free", space.used, space.free),
                hint: None,
            },
            Err(error) => Check {
                ok: false,
                what: "store".to_owned(),
                text: crate::in_words(&error),
                hint: Some(format!("ls -ld {}", self.config.store.display())),
            },
        }];
        if let Some(why) = &snapshot.read_only {
            checks.push(Check {
                ok: false,
                what: "store".to_owned(),
                text: format!("read-only: {why}"),
                hint: Some(format!("df -h {}", self.config.store.display())),
            });
        }
        for repo in snapshot.repos() {
            let line = repo.line();
            let packages = line.packages;
            let releases = line.releases;
            checks.push(Check {
                ok: line.state == "ok",
                what: "repository".to_owned(),
                text: format!(
                    "{}: {}; {packages} packages, {releases} releases",
                    repo.called(),
                    line.state
                ),
                hint: (line.state != "ok").then(|| format!("skep repo show {}", repo.called())),
            });
        }
        Response::Doctor { checks }
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

fn want_ended(reply: Reply, snapshot: &Snapshot) -> Result<(), Refused> {
    let (missing, liars) = match reply {
        Reply::Want(WantEnd::Stored) => return Ok(()),
        Reply::Want(WantEnd::Failed { missing, liars }) => (missing, liars),
        Reply::Want(WantEnd::Broken(why)) => return Err(failed(why)),
        other => return done(other).map(|_| ()),
    };
    if !liars.is_empty() {
        let names: Vec<String> = liars.iter().map(|peer| peer.key().fingerprint()).collect();
        return Err(Refused {
            why: Refusal::Untrusted,
            message: format!(
                "what {} sent is not what the manifest names, and nobody else has it",
                names.join(", ")
            ),
            hint: Some("try again when another peer is connected: skep node peers".to_owned()),
        });
    }
    let peers = snapshot.peers.len();
    Err(Refused {
        why: Refusal::Unreachable,
        message: match peers {
            0 => format!(
                "no peer is connected, and {} files are missing",
                missing.len()
            ),
            _ => format!(
                "none of {peers} connected peers has {} of the files",
                missing.len()
            ),
        },
        hint: Some("try again when a peer that has them is connected: skep node peers".to_owned()),
    })
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
    failed("the node is stopping")
}
