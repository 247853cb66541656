//! What l3afd asks for: `…/REPO/NAME/VERSION/PLATFORM/ARTIFACT`.
//!
//! l3afd has in effect no time-out, checks nothing, does not ask again and shows nobody what it was
//! answered: so the answer is at once, of files that were verified and admitted, or a refusal that
//! is also kept for `node status` and `doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::name::{Name, RepoRef, Requirement, Version};
use skep_proto::package::manifest::File;
use skep_proto::render::l3afd::{Artifact, PLATFORM_LEN_MAX, Platform, select};
use skep_proto::text::check_line;
use skep_proto::trust::{Asked, Outcome};

use super::answer::{self, Files, OPEN_MAX, Ready};
use super::blobs::{self, Open};
use super::described::{Archive, Key};
use super::refusals::Refused;
use super::{Door, Doors, Mode};
use crate::core::{Command, Holding, HoldingReason, Input};
use crate::obtain::{Wanted, obtain};
use crate::release;
use crate::snapshot::{RepoSnapshot, Resolved};

pub(super) const ROUTE: &str = "/l3afd/{repo}/{name}/{version}/{platform}/{artifact}";
/// The word for the newest release that is admitted.
const LATEST: &str = "latest";
/// Names that a refusal lists.
const LISTED_MAX: usize = 50;

/// Releases that are being fetched because one was asked for.
#[derive(Default)]
pub(super) struct Fetching(Mutex<BTreeSet<Sha256>>);

/// The parts of a request's path.
struct Request {
    repo: RepoRef,
    name: Name,
    requirement: Option<Requirement>,
    platform: Platform,
    artifact: Artifact,
}

pub(super) async fn archive(
    State(door): State<Door>,
    Path(parts): Path<(String, String, String, String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mode = door.mode;
    let refused = match find(&door.doors, mode, parts).await {
        Ok(ready) => return answer::archive(ready, &method, &headers, mode),
        Err(refused) => refused,
    };
    door.doors.refusals.add(uri.path(), &refused);
    answer::refusal(&refused, mode)
}

fn refuse(status: StatusCode, why: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused::new(status, why, hint)
}

fn internal(why: String) -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, why, "skep doctor")
}

fn parse(parts: (String, String, String, String, String)) -> Result<Request, Refused> {
    let (repo, name, version, platform, artifact) = parts;
    let bad = |why: String| refuse(StatusCode::NOT_FOUND, why, "");
    let requirement = match version.as_str() {
        LATEST => None,
        exact => {
            let exact: Version = exact.parse().map_err(|e| bad(crate::in_words(&e)))?;
            Some(Requirement::Exact(exact))
        }
    };
    if check_line(&platform, PLATFORM_LEN_MAX).is_err() {
        return Err(bad("the platform is no word".to_owned()));
    }
    let artifact_name = skep_proto::text::harmless(&artifact);
    let artifact = Artifact::parse(&artifact).ok_or_else(|| {
        bad(format!(
            "`{artifact_name}` is not what l3afd can use: letters, digits, `_` and `-`, then .tar.gz or .zip"
        ))
    })?;
    Ok(Request {
        repo: repo.parse().map_err(|e| bad(crate::in_words(&e)))?,
        name: name.parse().map_err(|e| bad(crate::in_words(&e)))?,
        requirement,
        platform: Platform::of(&platform, std::env::consts::ARCH),
        artifact,
    })
}

/// From a path to an archive whose files are open, or the reason why there is none.
async fn find(
    doors: &Arc<Doors>,
    mode: Mode,
    parts: (String, String, String, String, String),
) -> Result<Ready, Refused> {
    let request = parse(parts)?;
    let snapshot = doors.node.snapshot();
    let repo = snapshot.repo(&request.repo).ok_or_else(|| {
        let followed: Vec<String> = snapshot.repos().map(|repo| repo.called()).collect();
        let there = listed(followed.iter().map(String::as_str));
        let why = format!(
            "this node does not follow a repository `{}`; it follows {there}",
            request.repo
        );
        refuse(StatusCode::NOT_FOUND, why, "skep repo add TICKET")
    })?;
    let resolved = admitted(repo, &request, mode)?;
    let manifest = resolved.subject.manifest;
    if !repo.holdings.contains_key(&manifest) {
        fetch(doors, repo, &resolved);
        let what = called(repo, &resolved);
        let why = format!("{what} is not here yet: it is being fetched");
        let hint = format!("skep get {what} before l3afd asks; it has stopped what ran before");
        return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, why, hint));
    }
    remember(doors, repo, &resolved, mode);
    let key = Key {
        repo: repo.id,
        manifest,
        platform: request.platform,
        artifact: request.artifact,
    };
    if let Some(ready) = at_hand(doors, &key)? {
        return Ok(ready);
    }
    // Reading a manifest, or a file that was not verified yet, is the disk's time.
    let (doors, reading) = (Arc::clone(doors), Arc::clone(&snapshot));
    let made = tokio::task::spawn_blocking(move || {
        let repo = reading.repo(&request.repo);
        let repo = repo.ok_or_else(|| internal("a repository is gone".to_owned()))?;
        let archive = match doors.archives.find(&key) {
            Some(archive) => archive,
            None => describe(&doors, repo, &key, &resolved)?,
        };
        opened(&doors, &key, &archive, |hash| {
            doors.blobs.open(doors.store.as_ref(), hash).map(Some)
        })?
        .ok_or_else(|| internal("a file is gone".to_owned()))
    });
    made.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request could not be answered");
        Err(internal("this node could not answer".to_owned()))
    })
}

/// An archive that was described before and whose files were verified: nothing of them is read.
fn at_hand(doors: &Arc<Doors>, key: &Key) -> Result<Option<Ready>, Refused> {
    let remembered = doors.archives.find(key);
    // To look after very many files takes the disk's time too.
    let Some(archive) = remembered.filter(|archive| archive.blobs.len() <= OPEN_MAX) else {
        return Ok(None);
    };
    opened(doors, key, &archive, |hash| {
        doors.blobs.open_seen(doors.store.as_ref(), hash)
    })
}

/// The archive with its files open, if `open` gives them all.
fn opened(
    doors: &Arc<Doors>,
    key: &Key,
    archive: &Arc<Archive>,
    open: impl Fn(&Blake3) -> Result<Option<Open>, blobs::Error>,
) -> Result<Option<Ready>, Refused> {
    let mut files = Files::new(doors);
    for hash in &archive.blobs {
        match open(hash).map_err(|e| internal(crate::in_words(&e)))? {
            Some(open) => files.keep(*hash, open.file),
            None => return Ok(None),
        }
    }
    Ok(Some(Ready {
        archive: Arc::clone(archive),
        files,
        media_type: key.artifact.format.media_type(),
    }))
}

/// The release that is meant, if it may be handed out.
fn admitted(repo: &RepoSnapshot, request: &Request, mode: Mode) -> Result<Resolved, Refused> {
    let asked = Asked {
        normal: mode == Mode::Normal,
        ..Asked::default()
    };
    let resolved = repo.resolve(&request.name, request.requirement.as_ref(), &asked);
    let resolved = resolved.map_err(|e| {
        let names = repo.view.as_ref().map(|view| {
            let names = view.packages.values().map(|package| package.name.as_str());
            listed(names)
        });
        let there = names.map_or(String::new(), |names| format!("; there are {names}"));
        let why = match e {
            crate::snapshot::NotFound::Package(_) => format!("{e}{there}"),
            _ => e.to_string(),
        };
        refuse(
            StatusCode::NOT_FOUND,
            why,
            format!("skep repo show {}", repo.called()),
        )
    })?;
    if resolved.decision.admitted {
        return Ok(resolved);
    }
    let failed = resolved.decision.facts.iter();
    let failed = failed.filter(|fact| fact.outcome == Outcome::Fail);
    let reasons: Vec<String> = failed
        .map(|fact| format!("{}: {}", fact.check, fact.text))
        .collect();
    let what = called(repo, &resolved);
    let why = format!("{what} is not admitted: {}", reasons.join("; "));
    let untrusted = reasons.iter().all(|reason| reason.starts_with("publisher"));
    let hint = match untrusted {
        true => format!("skep trust add {}/{}", repo.called(), resolved.subject.name),
        false => format!("skep verify --explain {what}"),
    };
    Err(refuse(StatusCode::FORBIDDEN, why, hint))
}

fn called(repo: &RepoSnapshot, resolved: &Resolved) -> String {
    let subject = &resolved.subject;
    format!("{}/{}@{}", repo.called(), subject.name, subject.version)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.take(LISTED_MAX + 1).collect();
    let more = names.len() > LISTED_MAX;
    names.truncate(LISTED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, false) => names.join(", "),
        (false, true) => format!("{}, …", names.join(", ")),
    }
}

/// Describes the archive by the manifest, having seen that each file of it is what it should be.
fn describe(
    doors: &Doors,
    repo: &RepoSnapshot,
    key: &Key,
    resolved: &Resolved,
) -> Result<Arc<Archive>, Refused> {
    let files = files(doors, repo, resolved)?;
    let unfit = |why: String| {
        let hint = format!("skep info {}", called(repo, resolved));
        refuse(StatusCode::NOT_FOUND, why, hint)
    };
    let chosen = select(&files, key.platform).map_err(|e| unfit(e.to_string()))?;
    let room = doors.archives.room(chosen.len()).ok_or_else(|| {
        let why = "too many large archives are being sent".to_owned();
        refuse(StatusCode::SERVICE_UNAVAILABLE, why, "ask again later")
    })?;
    let mut sums = BTreeMap::new();
    for file in &chosen {
        let open = doors.blobs.open(doors.store.as_ref(), &file.blake3);
        let open = open.map_err(|e| internal(crate::in_words(&e)))?;
        sums.insert(file.blake3, open.crc32);
    }
    let sum_of = |file: &File| sums.get(&file.blake3).copied().unwrap_or_default();
    let content = key
        .artifact
        .render(&chosen, sum_of)
        .map_err(|e| unfit(e.to_string()))?;
    let blobs = sums.into_keys().collect();
    Ok(doors.archives.keep(key.clone(), content, blobs, room))
}

/// Every file of a release, by a manifest that is checked as `get` checks it.
fn files(doors: &Doors, repo: &RepoSnapshot, resolved: &Resolved) -> Result<Vec<File>, Refused> {
    let subject = &resolved.subject;
    let store = doors.store.as_ref();
    let files = release::checked_files(repo, store, subject);
    files.map_err(|e| {
        let hint = format!("skep verify --explain {}", called(repo, resolved));
        refuse(StatusCode::FORBIDDEN, crate::in_words(&e), hint)
    })
}

/// Fetches what was asked for and is not here, once at a time; whoever asked is not kept waiting.
fn fetch(doors: &Arc<Doors>, repo: &RepoSnapshot, resolved: &Resolved) {
    let subject = &resolved.subject;
    let wanted = Wanted {
        repo: repo.id,
        name: subject.name.clone(),
        version: subject.version.clone(),
        manifest: subject.manifest,
    };
    let lock = |doors: &Doors, change: &dyn Fn(&mut BTreeSet<Sha256>) -> bool| {
        let fetching = doors.fetching.0.lock();
        change(&mut fetching.unwrap_or_else(PoisonError::into_inner))
    };
    if !lock(doors, &|all| all.insert(subject.manifest)) {
        return;
    }
    let doors = Arc::clone(doors);
    tokio::spawn(async move {
        let snapshot = doors.node.snapshot();
        let got = obtain(
            &wanted,
            HoldingReason::Used,
            &snapshot,
            &doors.node,
            &doors.store,
        )
        .await;
        if let Err(why) = got {
            let what = format!("{}@{}", wanted.name, wanted.version);
            tracing::warn!(what, why, "could not fetch what l3afd asked for");
        }
        lock(&doors, &|all| all.remove(&wanted.manifest));
    });
}

/// What trusted mode admitted is remembered: another manifest under this version is then told. So is
/// that the release is used here, in either mode: a rule that lets it go would stop l3afd one day.
fn remember(doors: &Doors, repo: &RepoSnapshot, resolved: &Resolved, mode: Mode) {
    let subject = &resolved.subject;
    let mut news = Vec::new();
    let key = (subject.name.clone(), subject.version.clone());
    if mode == Mode::Trusted && repo.admitted.get(&key) != Some(&subject.manifest) {
        news.push(Command::Admit {
            repo: repo.id,
            name: key.0,
            version: key.1,
            manifest: subject.manifest,
        });
    }
    let holding = repo.holdings.get(&subject.manifest);
    if let Some(holding) = holding.filter(|holding| holding.why == HoldingReason::Kept) {
        let why = HoldingReason::Used;
        let blobs = holding.blobs.clone();
        news.push(Command::Hold {
            repo: repo.id,
            manifest: subject.manifest,
            holding: Holding { why, blobs },
        });
    }
    // The answer does not wait for the disk; asked again, it is remembered then.
    for command in news {
        let node = doors.node.clone();
        tokio::runtime::Handle::current().spawn(async move {
            drop(node.ask(|id| Input::Command(id, command)).await);
        });
    }
}
