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
use skep_proto::id::RepoId;
use skep_proto::name::{Name, RepoRef, Requirement, Version};
use skep_proto::package::manifest::File;
use skep_proto::render::Content;
use skep_proto::render::l3afd::{Artifact, PLATFORM_LEN_MAX, Platform, select};
use skep_proto::text::check_line;
use skep_proto::trust::{Asked, Outcome};

use super::answer::{self, Ready};
use super::refusals::Refused;
use super::{Door, Doors, Mode};
use crate::core::{Command, Holding, HoldingReason, Input};
use crate::obtain::{Wanted, obtain};
use crate::release;
use crate::snapshot::{RepoSnapshot, Resolved};

pub(super) const ROUTE: &str = "/l3afd/{repo}/{name}/{version}/{platform}/{artifact}";
/// The word for the newest release that is admitted.
const LATEST: &str = "latest";
/// How many archives are remembered, described: some kilobytes each.
const ARCHIVES_MAX: usize = 1_024;
/// Names that a refusal lists.
const LISTED_MAX: usize = 50;

/// One archive of one release.
type Key = (RepoId, Sha256, Platform, Artifact);

/// An archive, described, and the files in it.
struct Archive {
    content: Arc<Content>,
    blobs: Vec<Blake3>,
}

/// Archives that were asked for, and releases that are being fetched because one was.
#[derive(Default)]
pub(super) struct Archives {
    described: Mutex<BTreeMap<Key, Arc<Archive>>>,
    fetching: Mutex<BTreeSet<Sha256>>,
}

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
    let doors = Arc::clone(&door.doors);
    // Reading a manifest, or a file that was not verified yet, is the disk's time.
    let found = tokio::task::spawn_blocking(move || find(&doors, mode, parts)).await;
    let refused = match found {
        Ok(Ok(ready)) => return answer::archive(ready, &method, &headers, mode),
        Ok(Err(refused)) => refused,
        Err(error) => {
            tracing::error!(%error, "a request could not be answered");
            internal("this node could not answer".to_owned())
        }
    };
    tracing::warn!(
        path = uri.path(),
        status = refused.status.as_u16(),
        why = refused.why,
        hint = refused.hint,
        "refused l3afd"
    );
    door.doors.refusals.add(uri.path(), &refused);
    answer::refusal(&refused, mode)
}

fn refuse(status: StatusCode, why: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused {
        status,
        why: why.into(),
        hint: hint.into(),
    }
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
fn find(
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
    let archive = described(doors, repo, &request, &resolved)?;
    let files = archive.blobs.iter().map(|hash| {
        let open = doors.blobs.open(doors.store.as_ref(), hash);
        let open = open.map_err(|e| internal(crate::in_words(&e)))?;
        Ok((*hash, open.file))
    });
    let files = files.collect::<Result<_, Refused>>()?;
    remember(doors, repo, &resolved, mode);
    let tag = Blake3::of(&[
        manifest.as_bytes(),
        format!("{}/{}", request.platform, request.artifact).as_bytes(),
    ]);
    Ok(Ready {
        content: Arc::clone(&archive.content),
        files,
        media_type: request.artifact.format.media_type(),
        tag: tag.to_string(),
    })
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

/// The archive, from those that were asked for before or made from the manifest.
fn described(
    doors: &Doors,
    repo: &RepoSnapshot,
    request: &Request,
    resolved: &Resolved,
) -> Result<Arc<Archive>, Refused> {
    let manifest = resolved.subject.manifest;
    let key = (
        repo.id,
        manifest,
        request.platform,
        request.artifact.clone(),
    );
    let lock = || {
        doors
            .archives
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if let Some(archive) = lock().get(&key) {
        return Ok(Arc::clone(archive));
    }
    let files = files(doors, repo, resolved)?;
    let unfit = |why: String| {
        let hint = format!("skep info {}", called(repo, resolved));
        refuse(StatusCode::NOT_FOUND, why, hint)
    };
    let chosen = select(&files, request.platform).map_err(|e| unfit(e.to_string()))?;
    let mut sums = BTreeMap::new();
    for file in &chosen {
        let open = doors.blobs.open(doors.store.as_ref(), &file.blake3);
        let open = open.map_err(|e| internal(crate::in_words(&e)))?;
        sums.insert(file.blake3, open.crc32);
    }
    let sum_of = |file: &File| sums.get(&file.blake3).copied().unwrap_or_default();
    let content = request
        .artifact
        .render(&chosen, sum_of)
        .map_err(|e| unfit(e.to_string()))?;
    let archive = Arc::new(Archive {
        content: Arc::new(content),
        blobs: sums.into_keys().collect(),
    });
    let mut all = lock();
    if all.len() >= ARCHIVES_MAX {
        all.clear();
    }
    all.insert(key, Arc::clone(&archive));
    Ok(archive)
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
        let fetching = doors.archives.fetching.lock();
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
