//! The author's side: a key and its tip, and what it says in a repository.
//!
//! Signing happens here, never in the node; the node is given what a peer would give it. The tip,
//! durable before anything is sent, is what keeps a key from forking its own log after a crash.

use std::path::PathBuf;
use std::time::Duration;

use skep_proto::control::{Hex, Log, Request, Response};
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::checkpoint::Checkpoint;
use skep_proto::log::entry::{Body, Entry};
use skep_proto::log::tip::{Standing, TIP_BYTES_MAX, Tip};

use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::{Home, Lock, faults, lock, read_if_there, replace};
use crate::ui::Ui;

/// How long another command that signs with the same key is waited for: it signs at once, and
/// gives its node a few kilobytes.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How long a peer is waited for that confirms the registrar's log, in seconds.
const CONFIRM_S: u64 = 5;

/// A key that can say something in a repository.
pub(crate) struct Author<'a> {
    home: &'a Home,
    repo: RepoId,
    signing: &'a SigningKey,
    tip: Tip,
    /// Of the tip: who read it before another process wrote it would sign a second history.
    _lock: Lock,
}

impl<'a> Author<'a> {
    /// Reads the tip, catches up with what the node holds of the log, and gives the node what it
    /// has not confirmed yet.
    pub(crate) async fn open(
        home: &'a Home,
        repo: RepoId,
        signing: &'a SigningKey,
        client: &mut Client,
    ) -> Result<Self> {
        let lock = lock_tip(home, &repo, &signing.key()).await?;
        let tip = read_tip(home, &repo, &signing.key())?;
        let mut author = Self {
            home,
            repo,
            signing,
            tip,
            _lock: lock,
        };
        author.catch_up(client).await?;
        author.send_pending(client).await?;
        Ok(author)
    }

    /// Says `bodies`, in order: signed, durable here, then in the node. Gives the size of the log.
    pub(crate) async fn say(&mut self, bodies: Vec<Body>, client: &mut Client) -> Result<u64> {
        let claimed_at = now_s();
        let entries = bodies
            .into_iter()
            .map(|body| Entry { claimed_at, body }.encode())
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| {
                let hint = Hint::none("the cause names the field");
                CliError::new(Exit::Failed, "this does not fit an entry of the log", hint)
                    .because(&e)
            })?;
        let appended = self.tip.append(self.signing, entries).map(|_| ());
        appended.map_err(|e| self.tip_failed(&e))?;
        self.write_tip()?;
        self.send_pending(client).await?;
        Ok(self.tip.size())
    }

    /// How many entries the key has signed here.
    pub(crate) fn size(&self) -> u64 {
        self.tip.size()
    }

    /// Of a registrar's log: comes back once a peer is seen to hold what is here. There is one writer
    /// of that log, and its home may be an old copy: what it signed on top of it would be a fork.
    pub(crate) async fn confirmed(&mut self, ui: &Ui, client: &mut Client) -> Result<()> {
        let held = self.log(client, self.tip.size()).await?;
        if held.confirmed {
            return Ok(());
        }
        if !held.ever_confirmed {
            if self.tip.size() > 0 {
                ui.say_detail("no peer has ever had the registrar's log: signing alone");
            }
            return Ok(());
        }
        let mut asking = ui.progress("asking a peer for the registrar's log", None);
        let request = Request::AwaitSync {
            repo: self.repo,
            wait_s: CONFIRM_S,
        };
        match asking.during(client.ask(request)).await {
            Ok(_) => {}
            Err(error) if error.exit == Exit::Unreachable => {}
            Err(error) => return Err(error),
        }
        drop(asking);
        self.catch_up(client).await?;
        if self.log(client, self.tip.size()).await?.confirmed {
            return Ok(());
        }
        let message = "no peer has confirmed the registrar's log: this might be an old copy of it";
        let hint = "start `skep node run` beside a node that follows the repository; or, if nobody \
                    else ever signs with the registrar's key, say --alone";
        Err(CliError::new(Exit::Unreachable, message, Hint::new(hint)))
    }

    async fn catch_up(&mut self, client: &mut Client) -> Result<()> {
        let held = self.log(client, self.tip.size()).await?;
        let Some(theirs) = held.checkpoint else {
            return Ok(());
        };
        let theirs = checkpoint(&theirs)?;
        let before = self.tip.clone();
        if let Standing::Ahead { .. } = self.tip.hear(&theirs).map_err(|e| self.forked(&e))? {
            let mut entries: Vec<Hex> = held.entries;
            while self.tip.size() + (entries.len() as u64) < theirs.size {
                let from = self.tip.size() + entries.len() as u64;
                let more = self.log(client, from).await?;
                if more.entries.is_empty() {
                    break;
                }
                entries.extend(more.entries);
            }
            let entries = entries.iter().map(|entry| &entry.0);
            let extended = self.tip.extend(&theirs, entries);
            extended.map_err(|e| self.forked(&e))?;
        }
        // Usually the node has nothing new, and what is on disk stays.
        match self.tip == before {
            true => Ok(()),
            false => self.write_tip(),
        }
    }

    async fn log(&self, client: &mut Client, from: u64) -> Result<Log> {
        let request = Request::Log {
            repo: self.repo,
            key: self.signing.key(),
            from,
        };
        match client.ask(request).await? {
            Response::Log(log) => Ok(log),
            other => Err(unexpected(&other)),
        }
    }

    async fn send_pending(&mut self, client: &mut Client) -> Result<()> {
        let pending: Vec<Hex> = self.tip.pending().iter().cloned().map(Hex).collect();
        let Some(checkpoint) = self.tip.checkpoint().filter(|_| !pending.is_empty()) else {
            return Ok(());
        };
        let request = Request::Append {
            repo: self.repo,
            key: self.signing.key(),
            entries: pending,
            checkpoint: Hex(checkpoint.to_bytes()),
        };
        match client.ask(request).await? {
            Response::Done => {}
            other => return Err(unexpected(&other)),
        }
        let size = self.tip.size();
        self.tip
            .acknowledge(size)
            .map_err(|e| self.tip_failed(&e))?;
        self.write_tip()
    }

    fn write_tip(&self) -> Result<()> {
        let path = tip_file(self.home, &self.repo, &self.signing.key());
        if let Some(dir) = path.parent() {
            self.home.create_dir(dir)?;
        }
        replace(&path, &self.tip.to_bytes(), 0o600, &faults::TIP)
    }

    fn tip_failed(&self, error: &skep_proto::log::tip::Error) -> CliError {
        let path = tip_file(self.home, &self.repo, &self.signing.key());
        let hint = Hint::new(format!("the file is {}", quoted(&path)));
        CliError::new(Exit::Failed, "could not use the tip of this key", hint).because(error)
    }

    /// The log holds what this key's tip does not know: a restored backup, or a second device.
    fn forked(&self, error: &skep_proto::log::tip::CatchUpError) -> CliError {
        CliError::new(
            Exit::Failed,
            format!(
                "the log of {} is not the one that this key signed here",
                self.signing.key().fingerprint()
            ),
            Hint::new("use a key on one device only: add a key of its own for the other one"),
        )
        .because(error)
    }
}

/// One command at a time signs with a key in a repository.
async fn lock_tip(home: &Home, repo: &RepoId, key: &Key) -> Result<Lock> {
    home.create_dir(&home.tips_dir())?;
    let path = home.tips_dir().join(format!("{repo}.{key}.lock"));
    let busy = || {
        let message = format!("another command signs with {}", key.fingerprint());
        let hint = Hint::new("wait until it is done, then type the same again");
        CliError::new(Exit::Failed, message, hint)
    };
    lock(&path, LOCK_WAIT, busy).await
}

fn read_tip(home: &Home, repo: &RepoId, key: &Key) -> Result<Tip> {
    let path = tip_file(home, repo, key);
    let Some(bytes) = read_if_there(&path, TIP_BYTES_MAX as u64)? else {
        return Ok(Tip::new(*repo, *key));
    };
    Tip::from_bytes(&bytes, repo, key).map_err(|e| {
        let message = format!("could not use `{}`", path.display());
        let hint = "restore it from a backup; without it, move it away: the log is then fetched from the node";
        CliError::new(Exit::Failed, message, Hint::new(hint)).because(&e)
    })
}

/// How far a key has signed lies beside the key.
fn tip_file(home: &Home, repo: &RepoId, key: &Key) -> PathBuf {
    home.tips_dir().join(format!("{repo}.{key}"))
}

fn checkpoint(hex: &Hex) -> Result<Checkpoint> {
    Checkpoint::from_bytes(&hex.0)
        .map(|claimed| claimed.0)
        .map_err(|e| {
            let hint = Hint::new("skep node stop; skep node run");
            CliError::new(
                Exit::Failed,
                "the node sent a checkpoint that cannot be read",
                hint,
            )
            .because(&e)
        })
}

/// Unix seconds, for display only.
fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}
