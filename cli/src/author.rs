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
        author.bring_back(client).await?;
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

    /// The node has had more of this log than it has now: nothing is signed before the rest is back.
    async fn bring_back(&mut self, client: &mut Client) -> Result<()> {
        match bring_back(self.home, &self.tip, client).await? {
            true => self.catch_up(client).await,
            false => Ok(()),
        }
    }

    async fn log(&self, client: &mut Client, from: u64) -> Result<Log> {
        log(&self.repo, &self.signing.key(), from, client).await
    }

    async fn send_pending(&mut self, client: &mut Client) -> Result<()> {
        if self.tip.pending().is_empty() {
            return Ok(());
        }
        append(&self.tip, client).await?;
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

async fn log(repo: &RepoId, key: &Key, from: u64, client: &mut Client) -> Result<Log> {
    let request = Request::Log {
        repo: *repo,
        key: *key,
        from,
    };
    match client.ask(request).await? {
        Response::Log(log) => Ok(log),
        other => Err(unexpected(&other)),
    }
}

/// Gives the node what it has not acknowledged, and makes it look for what it has lost.
async fn append(tip: &Tip, client: &mut Client) -> Result<()> {
    let Some(checkpoint) = tip.checkpoint() else {
        return Ok(());
    };
    let request = Request::Append {
        repo: *tip.repo(),
        key: *tip.key(),
        entries: tip.pending().iter().cloned().map(Hex).collect(),
        checkpoint: Hex(checkpoint.to_bytes()),
    };
    match client.ask(request).await? {
        Response::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Whether the node holds everything of a log that it has acknowledged, if need be once more: what
/// its disk spoiled may still have the entries, which the tip's checkpoint proves.
async fn brought_back(tip: &Tip, client: &mut Client) -> Result<bool> {
    if held(tip, client).await? >= tip.acknowledged() {
        return Ok(true);
    }
    match append(tip, client).await {
        Ok(()) => Ok(true),
        // It has said why not; who asked says it with what to do.
        Err(error) if error.exit == Exit::Failed => Ok(false),
        Err(error) => Err(error),
    }
}

async fn held(tip: &Tip, client: &mut Client) -> Result<u64> {
    let log = log(tip.repo(), tip.key(), tip.size(), client).await?;
    Ok(log.size)
}

/// Every log of this home's keys that a node has had more of than it has now.
pub(crate) struct Behind {
    pub(crate) repo: RepoId,
    pub(crate) key: Key,
    pub(crate) held: u64,
    pub(crate) acknowledged: u64,
}

/// Puts back what can be had on this machine of logs that the store's disk spoiled. What cannot is
/// no reason not to go on: `doctor` lists it, and who needs it says so.
pub(crate) async fn salvage(home: &Home, client: &mut Client) {
    let damaged = home.store_dir().join("damaged");
    // Usually there is nothing, and no question is asked.
    let Ok(set_aside) = std::fs::read_dir(damaged) else {
        return;
    };
    let names: Vec<String> = set_aside
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let mut spoiled = tips(home);
    spoiled.retain(|tip| {
        let name = format!("{}-{}", tip.repo(), tip.key());
        names.iter().any(|found| found.starts_with(&name))
    });
    put_back(spoiled, client).await;
}

/// The logs of this home's keys of which the node has lost something that is not to be had here.
pub(crate) async fn all_behind(home: &Home, client: &mut Client) -> Vec<Behind> {
    let mut behind = Vec::new();
    for tip in put_back(tips(home), client).await {
        // A repository that is not followed any more is nobody's concern.
        let Ok(held) = held(&tip, client).await else {
            continue;
        };
        if held < tip.acknowledged() {
            behind.push(Behind {
                repo: *tip.repo(),
                key: *tip.key(),
                held,
                acknowledged: tip.acknowledged(),
            });
        }
    }
    behind
}

/// Puts back what can be had on this machine; gives those of which the node still lacks something. A
/// registrar's log admits the others: once it is back, they can be.
async fn put_back(mut tips: Vec<Tip>, client: &mut Client) -> Vec<Tip> {
    loop {
        let mut missing = Vec::new();
        let before = tips.len();
        for tip in tips {
            if !brought_back(&tip, client).await.is_ok_and(|back| back) {
                missing.push(tip);
            }
        }
        if missing.is_empty() || missing.len() == before {
            return missing;
        }
        tips = missing;
    }
}

/// Whether a node has ever confirmed to hold what a key of this home said in a repository.
pub(crate) fn was_heard(home: &Home, repo: &RepoId, key: &Key) -> Result<bool> {
    Ok(read_tip(home, repo, key)?.acknowledged() > 0)
}

/// Brings back what the node has lost of everything that this home's keys have signed in a
/// repository. True if there was something; fails if nobody has it: what the repository says here is
/// not what it is.
pub(crate) async fn bring_back_all(
    home: &Home,
    repo: &RepoId,
    client: &mut Client,
) -> Result<bool> {
    let mut brought = false;
    for tip in tips(home).iter().filter(|tip| tip.repo() == repo) {
        brought |= bring_back(home, tip, client).await?;
    }
    Ok(brought)
}

/// Brings back what the node has lost of a log, since its disk spoiled it or it is an older copy: from
/// what was set aside, or from peers. True if there was something.
async fn bring_back(home: &Home, tip: &Tip, client: &mut Client) -> Result<bool> {
    if held(tip, client).await? >= tip.acknowledged() {
        return Ok(false);
    }
    if brought_back(tip, client).await? {
        return Ok(true);
    }
    // Peers may have all of it, or enough to make good what was set aside.
    let request = Request::AwaitSync {
        repo: *tip.repo(),
        wait_s: CONFIRM_S,
    };
    match client.ask(request).await {
        Ok(_) => {}
        Err(error) if error.exit == Exit::Unreachable => {}
        Err(error) => return Err(error),
    }
    match brought_back(tip, client).await? {
        true => Ok(true),
        false => Err(behind(home, tip, client).await),
    }
}

/// How far every key of the home has signed, in every repository. A file that cannot be read is left
/// out: whoever signs with that key says so.
fn tips(home: &Home) -> Vec<Tip> {
    let Ok(files) = std::fs::read_dir(home.keys_dir().join("tips")) else {
        return Vec::new();
    };
    let names = files
        .flatten()
        .filter_map(|file| file.file_name().into_string().ok());
    let mut tips: Vec<(String, Tip)> = names
        .filter_map(|name| {
            let (repo, key) = name.split_once('.')?;
            let tip = read_tip(home, &repo.parse().ok()?, &key.parse().ok()?).ok()?;
            Some((name, tip))
        })
        .collect();
    tips.sort_by(|(one, _), (other, _)| one.cmp(other));
    tips.into_iter().map(|(_, tip)| tip).collect()
}

/// The node has lost entries that it had acknowledged, and nobody has brought them back.
async fn behind(home: &Home, tip: &Tip, client: &mut Client) -> CliError {
    let held = held(tip, client).await.unwrap_or_default();
    let message = format!(
        "the store has {held} of the {} entries that {} has signed in this repository",
        tip.acknowledged(),
        tip.key().fingerprint()
    );
    let kept = set_aside(home, &format!("{}-{}", tip.repo(), tip.key()));
    let hint = match &kept {
        Some(kept) => format!(
            "its disk spoiled the others ({}), and no peer has brought them back: start `skep node \
             run` beside a node that follows the repository, or put the store back from a backup",
            quoted(kept)
        ),
        None => "it is an older copy, and no peer has brought the others: start `skep node run` \
                 beside a node that follows the repository, or put the newer store back"
            .to_owned(),
    };
    CliError::new(Exit::Failed, message, Hint::new(hint))
}

/// Where the store keeps a root document of a repository that its disk spoiled.
pub(crate) fn spoiled_root(home: &Home, repo: &RepoId) -> Option<PathBuf> {
    set_aside(home, &format!("{repo}-roots-"))
}

/// Something that was set aside, by how its name begins.
fn set_aside(home: &Home, begins: &str) -> Option<PathBuf> {
    let kept = std::fs::read_dir(home.store_dir().join("damaged")).ok()?;
    let mut kept = kept.flatten().filter(|kept| {
        let name = kept.file_name();
        name.to_str().is_some_and(|name| name.starts_with(begins))
    });
    kept.next().map(|kept| kept.path())
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
