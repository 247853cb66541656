//! `skep publish`: packed, signed where the key is, and given to the node as a peer would give it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use skep_proto::control::{self, BlobRef, Request, Response};
use skep_proto::ebpf;
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{self, Body, Grant, Role, StatusState};
use skep_proto::name::{Name, PackageRef, RepoRef, Requirement, Version};
use skep_proto::package::dsse;
use skep_proto::package::source::{
    Assembled, FileDigest, Found, Problem, Source, assemble, with_repository,
};

use super::Session;
use super::repo::{could_not, create, parse_name, parse_repo, repo};
use crate::args::publish::Publish;
use crate::author::Author;
use crate::client::{Client, unexpected};
use crate::error::{CliError, Exit, Hint, Result, quoted};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::Repos;
use crate::home::{TEXT_FILE_BYTES_MAX, read_text, replace};
use crate::report::{Report, Value};

/// Bytes read from a file at a time.
const CHUNK_BYTES: usize = 256 << 10;

pub(crate) async fn run(args: &Publish, session: &Session<'_>) -> Result<Report> {
    let package = match (&args.yank, &args.deprecate) {
        (None, None) => Some(Package::read(&args.dir)?),
        _ => None,
    };
    let mut client = Client::connect(session).await?;
    let done = match &package {
        Some(package) => publish(package, args, session, &mut client).await,
        None => say_status(args, session, &mut client).await,
    };
    client.close().await;
    done
}

/// A package folder, read.
struct Package<'a> {
    dir: &'a Path,
    text: String,
    source: Source,
    found: Vec<Found>,
}

impl<'a> Package<'a> {
    fn read(dir: &'a Path) -> Result<Self> {
        let path = dir.join("skep.toml");
        if !path.exists() {
            return Err(CliError::new(
                Exit::NotFound,
                format!("there is no `{}`", path.display()),
                Hint::new("skep new NAME --from OBJECT.o, or give the folder of the package"),
            ));
        }
        let text = read_text(&path, TEXT_FILE_BYTES_MAX)?;
        let source = Source::parse(&text).map_err(|e| {
            let hint = format!("edit the file: {}", quoted(&path));
            let message = format!("`{}` is not a package file", path.display());
            CliError::new(Exit::Failed, message, Hint::new(hint)).because(&e)
        })?;
        let mut found = Vec::new();
        for (path, needed) in source.paths() {
            if let Err(error) = skep_proto::package::manifest::check_path(&path) {
                let hint =
                    Hint::new("paths in skep.toml are relative, inside the package's folder");
                return Err(CliError::new(Exit::Failed, error.to_string(), hint));
            }
            let is_object = source.objects.iter().any(|object| object.file == path);
            found.extend(read_file(dir, &path, needed, is_object)?);
        }
        Ok(Self {
            dir,
            text,
            source,
            found,
        })
    }
}

/// Hashes one file; none if it is not there and need not be.
fn read_file(dir: &Path, path: &str, needed: bool, is_object: bool) -> Result<Option<Found>> {
    let full = dir.join(path);
    let failed = |e: &std::io::Error| CliError::io("read", &full, e);
    let metadata = match fs::symlink_metadata(&full) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !needed => return Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::new(
                Exit::NotFound,
                format!("skep.toml names `{path}`, which is not there"),
                Hint::new("build the package first (`make`), or correct skep.toml"),
            ));
        }
        Err(e) => return Err(failed(&e)),
    };
    if !metadata.is_file() {
        return Err(CliError::new(
            Exit::Failed,
            format!("`{path}` is not a regular file"),
            Hint::new("a package has files only: no links, folders or devices"),
        ));
    }
    let mut file = fs::File::open(&full).map_err(|e| failed(&e))?;
    let mut digest = FileDigest::default();
    let mut object = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(|e| failed(&e))?;
        if read == 0 {
            break;
        }
        digest.update(&chunk[..read]);
        if is_object && object.len() <= ebpf::OBJECT_BYTES_MAX {
            object.extend_from_slice(&chunk[..read]);
        }
    }
    Ok(Some(Found {
        path: path.to_owned(),
        executable: metadata.mode() & 0o111 != 0,
        digest,
        object: is_object.then(|| ebpf::read(&object)),
    }))
}

async fn publish(
    package: &Package<'_>,
    args: &Publish,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Report> {
    // Problems of the package come before any question.
    let nowhere = RepoId::from_hash(Sha256::of(&[]));
    let draft = assemble(&package.source, &nowhere, &package.found).map_err(|p| problems(&p))?;
    let place = match place(package, args, session, client).await? {
        Where::In(place) => *place,
        Where::First(alias) if args.dry_run => return Ok(first_dry_run(&draft, &alias, session)),
        Where::First(alias) => first_place(&alias, session, client).await?,
    };
    let assembled = assemble(&package.source, &place.repo, &package.found);
    let assembled = assembled.map_err(|p| problems(&p))?;
    let manifest = &assembled.manifest;
    let payload = manifest
        .to_payload()
        .map_err(|e| could_not("write the manifest", &e))?;
    let hash = skep_proto::package::manifest::manifest_hash(&payload);
    let size: u64 = manifest.files.iter().map(|file| file.size).sum();
    let called = format!("{}/{}@{}", place.alias, manifest.name, manifest.version);
    let report = Report::answer("publish")
        .fact("release", called.as_str())
        .fact("files", manifest.files.len() as u64)
        .fact("size", Value::Size(size))
        .fact("manifest", hash.to_string())
        .fact("signed_by", place.key.file.key().fingerprint());
    if already(&place, &manifest.name, &manifest.version, hash, client).await? {
        session.ui.say(&format!("already published: {called}"));
        return Ok(report);
    }
    if args.dry_run {
        session.ui.say("nothing was signed or kept (dry run)");
        return Ok(report.verbatim("payload", String::from_utf8_lossy(&payload)));
    }
    let signing = place.open(session)?;
    own_name(&place, &manifest.name, session, client).await?;
    let blobs = put_files(package, &assembled, client).await?;
    let said = Body::Publish(entry::Publish {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        signatures: dsse::sign(dsse::IN_TOTO, &payload, &signing),
        payload,
    });
    client
        .ask(Request::Publish {
            repo: place.repo,
            manifest: hash,
            blobs,
        })
        .await?;
    let mut author = Author::open(&session.home, place.repo, &signing, client).await?;
    author.say(vec![said], client).await?;
    remember_repository(package, &place.repo)?;
    next_step(&place, &manifest.name, session, client).await?;
    Ok(report)
}

/// Where it is published, and by whom.
struct Place {
    repo: RepoId,
    alias: Name,
    /// Opened only to sign: looking needs no passphrase.
    key: Stored,
    handle: control::Handle,
    registrar: Option<Key>,
}

impl Place {
    fn open(&self, session: &Session<'_>) -> Result<SigningKey> {
        let opened = self.key.open(session.ui, &session.passphrase)?;
        Ok(opened.signing)
    }
}

/// Where a package belongs.
enum Where {
    In(Box<Place>),
    /// In a repository of one's own that is not there yet.
    First(Name),
}

/// Which repository is meant: `--repo`; else the one that skep.toml names; else the one where my
/// handle owns the name; else the only one where I publish; else, of somebody who has none yet,
/// one of their own.
async fn place(
    package: &Package<'_>,
    args: &Publish,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Where> {
    let given = args.repo.as_deref().map(parse_repo).transpose()?;
    let named = package.source.package.repository.map(RepoRef::Id);
    if let Some(repo) = given.or(named) {
        let place = place_in(&repo, session, client).await?;
        return Ok(Where::In(Box::new(place)));
    }
    let followed = Repos::of(&session.home).list()?;
    let mut mine = Vec::new();
    for followed in &followed {
        let repo = repo(&followed.alias.to_string(), client).await?;
        if let Some(handle) = my_handle(&repo, session)? {
            mine.push((followed.alias.clone(), handle));
        }
    }
    let name = &package.source.package.name;
    let owning = mine.iter().find(|(_, handle)| handle.names.contains(name));
    match (owning, mine.as_slice()) {
        (Some((alias, _)), _) | (None, [(alias, _)]) => {
            let place = place_in(&RepoRef::Alias(alias.clone()), session, client).await?;
            Ok(Where::In(Box::new(place)))
        }
        (None, []) => session.login_name().map(Where::First).ok_or_else(|| {
            CliError::usage(
                "what shall your repository be called? Your login name cannot be its name",
                Hint::new("skep repo create NAME, then publish again"),
            )
        }),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|(alias, _)| alias.to_string()).collect();
            Err(CliError::usage(
                format!("which repository? You publish in {}", names.join(", ")),
                Hint::new(format!("--repo {}", names[0])),
            ))
        }
    }
}

/// The first time: a key and a repository of one's own, after a question.
async fn first_place(alias: &Name, session: &Session<'_>, client: &mut Client) -> Result<Place> {
    let has_key = !Keys::of(&session.home)
        .list()?
        .iter()
        .all(|key| key.name == "node");
    let question = match has_key {
        true => format!("create the repository `{alias}`?"),
        false => format!("create your key and the repository `{alias}`?"),
    };
    if !session.ui.confirm(&question, true)? {
        return Err(CliError::usage(
            "nothing was published: there is no repository to publish in",
            Hint::new("skep repo create NAME, or skep repo add TICKET"),
        ));
    }
    create(alias, session, client).await?;
    place_in(&RepoRef::Alias(alias.clone()), session, client).await
}

/// What a first publish would do. The manifest names the repository, whose id is not known before
/// it is made: there is no payload to show.
fn first_dry_run(draft: &Assembled, alias: &Name, session: &Session<'_>) -> Report {
    let manifest = &draft.manifest;
    let size = manifest.files.iter().map(|file| file.size).sum();
    session.ui.say(&format!(
        "the repository `{alias}` would be created first\nnothing was signed or kept (dry run)"
    ));
    Report::answer("publish")
        .fact(
            "release",
            format!("{alias}/{}@{}", manifest.name, manifest.version),
        )
        .fact("files", manifest.files.len() as u64)
        .fact("size", Value::Size(size))
        .fact("manifest", Value::None)
        .fact("signed_by", Value::None)
}

async fn place_in(
    reference: &RepoRef,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Place> {
    let followed = Repos::of(&session.home).find(reference)?;
    let repo = repo(&followed.alias.to_string(), client).await?;
    let Some(handle) = my_handle(&repo, session)? else {
        return Err(CliError::new(
            Exit::Forbidden,
            format!("none of your keys publishes in `{}`", followed.alias),
            Hint::new("its registrar must list your key: skep key export"),
        ));
    };
    let keys = Keys::of(&session.home);
    let chosen = match &session.global.key {
        Some(name) => Some(keys.find(name)?),
        None => {
            let mut found = None;
            for key in &handle.keys {
                found = found.or(keys.with_public(key)?);
            }
            found
        }
    };
    let stored = chosen.ok_or_else(|| {
        CliError::new(
            Exit::NotFound,
            "the key is gone",
            Hint::new("skep key list"),
        )
    })?;
    Ok(Place {
        repo: repo.line.id,
        alias: followed.alias,
        key: stored,
        handle,
        registrar: repo.registrar,
    })
}

/// The handle of a repository that lists one of the keys here.
fn my_handle(repo: &control::Repo, session: &Session<'_>) -> Result<Option<control::Handle>> {
    let mine = Keys::of(&session.home).list()?;
    let is_mine = |key: &Key| mine.iter().any(|stored| stored.file.key() == *key);
    let publishes = |handle: &&control::Handle| {
        handle.roles.iter().any(|role| role == "publisher") && handle.keys.iter().any(is_mine)
    };
    Ok(repo.handles.iter().find(publishes).cloned())
}

/// Whether this very manifest is published; another one under the version is an error.
async fn already(
    place: &Place,
    name: &Name,
    version: &Version,
    hash: Sha256,
    client: &mut Client,
) -> Result<bool> {
    let request = Request::Release {
        package: format!("{}/{name}@{version}", place.repo),
        normal: true,
        allow_yanked: true,
        accept_change: true,
    };
    match client.ask(request).await {
        Ok(Response::Release(release)) if release.manifest == hash => Ok(true),
        Ok(Response::Release(_)) => Err(CliError::new(
            Exit::Failed,
            format!(
                "{}/{name}@{version} is published, with other content",
                place.alias
            ),
            Hint::new("bump the version in skep.toml: a published version never changes"),
        )),
        Ok(other) => Err(unexpected(&other)),
        Err(error) if error.exit == Exit::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A new name is granted in the same step, if the registrar's key is at hand.
async fn own_name(
    place: &Place,
    name: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    let repo = repo(&place.repo.to_string(), client).await?;
    let owner = repo
        .handles
        .iter()
        .find(|handle| handle.names.iter().any(|owned| owned.fold() == name.fold()));
    match owner {
        Some(owner) if owner.id == place.handle.id && owner.names.contains(name) => return Ok(()),
        Some(owner) => {
            return Err(CliError::new(
                Exit::Failed,
                format!(
                    "`{name}` belongs to `{}`, perhaps in another spelling",
                    owner.label
                ),
                Hint::new("take another name in skep.toml"),
            ));
        }
        None => {}
    }
    let keys = Keys::of(&session.home);
    let registrar = match place.registrar {
        Some(key) => keys.with_public(&key)?,
        None => None,
    };
    let Some(registrar) = registrar else {
        return Err(CliError::new(
            Exit::Forbidden,
            format!("`{name}` is not yours yet in `{}`", place.alias),
            Hint::new("ask the holder of its registrar key to grant you the name"),
        ));
    };
    let signing = registrar.open(session.ui, &session.passphrase)?.signing;
    let grant = Body::Grant(Grant {
        handle: place.handle.id,
        role: Role::Publisher,
        names: vec![name.clone()],
    });
    let mut author = Author::open(&session.home, place.repo, &signing, client).await?;
    author.say(vec![grant], client).await.map(|_| ())
}

/// Gives every file to the store, and checks that it is the one that was hashed.
async fn put_files(
    package: &Package<'_>,
    assembled: &Assembled,
    client: &mut Client,
) -> Result<Vec<BlobRef>> {
    let mut blobs = Vec::new();
    for found in &package.found {
        let path = package.dir.join(&found.path);
        let file = fs::File::open(&path).map_err(|e| CliError::io("read", &path, &e))?;
        let blob = put(file, client).await?;
        if !found.digest.is_blob(&blob.hash) {
            return Err(CliError::new(
                Exit::Failed,
                format!("`{}` changed while it was published", found.path),
                Hint::new("publish again when nothing writes to it"),
            ));
        }
        blobs.push(blob);
    }
    for (path, bytes) in &assembled.made {
        let mut file = tempfile(path)?;
        std::io::Write::write_all(&mut file, bytes).map_err(|e| could_not("write a list", &e))?;
        std::io::Seek::rewind(&mut file).map_err(|e| could_not("write a list", &e))?;
        blobs.push(put(file, client).await?);
    }
    Ok(blobs)
}

/// A file without a name, for what the tool itself adds to a release.
fn tempfile(path: &str) -> Result<fs::File> {
    let made = rustix::fs::memfd_create(path.replace('/', "-"), rustix::fs::MemfdFlags::CLOEXEC);
    made.map(Into::into)
        .map_err(|e| could_not("make a list", &std::io::Error::from(e)))
}

async fn put(file: fs::File, client: &mut Client) -> Result<BlobRef> {
    match client.ask_with_file(Request::PutBlob, file).await? {
        Response::Blob(blob) => Ok(blob),
        other => Err(unexpected(&other)),
    }
}

/// The first publish writes the repository into skep.toml.
fn remember_repository(package: &Package<'_>, repo: &RepoId) -> Result<()> {
    if package.source.package.repository == Some(*repo) {
        return Ok(());
    }
    let path = package.dir.join("skep.toml");
    match with_repository(&package.text, repo) {
        Ok(text) => replace(&path, text.as_bytes(), 0o644),
        Err(error) => {
            let hint = format!("edit the file: {}", quoted(&path));
            Err(CliError::new(
                Exit::Failed,
                error.to_string(),
                Hint::new(hint),
            ))
        }
    }
}

async fn next_step(
    place: &Place,
    name: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<()> {
    session.ui.say(&format!("published {}/{name}", place.alias));
    if client.is_own() {
        session
            .ui
            .say("kept here; shared while a node runs: run `skep node run` for a ticket");
    } else {
        let ticket = super::repo::ticket(&place.repo.to_string(), Some(name), client).await?;
        session.ui.say(&format!("give a friend: skep get {ticket}"));
    }
    Ok(())
}

fn problems(problems: &[Problem]) -> CliError {
    let first = problems.first();
    let (message, hint) = first.map_or(("", ""), |p| (p.message.as_str(), p.hint.as_str()));
    let mut error = CliError::new(Exit::Failed, message, Hint::new(hint));
    for problem in problems.iter().skip(1) {
        error = error.detail("also", format!("{}; {}", problem.message, problem.hint));
    }
    error
}

/// `--yank`, `--deprecate` and their `--undo`.
async fn say_status(args: &Publish, session: &Session<'_>, client: &mut Client) -> Result<Report> {
    let (text, state) = match (&args.yank, &args.deprecate) {
        (Some(text), _) => (text, StatusState::Yanked),
        (None, Some(text)) => (text, StatusState::Deprecated),
        (None, None) => {
            return Err(CliError::usage(
                "nothing to say",
                Hint::new("skep publish --help"),
            ));
        }
    };
    let reference: PackageRef = text.parse().map_err(|e: skep_proto::name::Error| {
        CliError::usage(
            e.to_string(),
            Hint::new("skep publish --yank REPO/NAME@VERSION"),
        )
    })?;
    let version = match reference.requirement {
        Some(Requirement::Exact(version)) => Some(version),
        None if state == StatusState::Deprecated => None,
        _ => {
            let hint = Hint::new("skep publish --yank REPO/NAME@VERSION");
            return Err(CliError::usage("a yank is of one exact version", hint));
        }
    };
    let successor = args.successor.as_deref().map(parse_name).transpose()?;
    let place = place_in(&reference.repo, session, client).await?;
    if !place.handle.names.contains(&reference.name) {
        return Err(CliError::new(
            Exit::Forbidden,
            format!(
                "`{}` is not a package of yours in `{}`",
                reference.name, place.alias
            ),
            Hint::new(format!("skep info {}/{}", place.alias, reference.name)),
        ));
    }
    exists(&place, &reference.name, version.as_ref(), client).await?;
    let verb = match (state, args.undo) {
        (StatusState::Yanked, false) => "yank",
        (StatusState::Yanked, true) => "take the yank back of",
        (StatusState::Deprecated, false) => "deprecate",
        (StatusState::Deprecated, true) => "take the deprecation back of",
    };
    let of = version
        .as_ref()
        .map_or(String::new(), |version| format!("@{version}"));
    let what = format!("{}/{}{of}", place.alias, reference.name);
    if state == StatusState::Yanked && !session.ui.confirm(&format!("{verb} {what}?"), false)? {
        return Err(CliError::usage(
            "nothing was said",
            Hint::new("the same again with --yes"),
        ));
    }
    let said = Body::Status(entry::Status {
        name: reference.name.clone(),
        version,
        state,
        on: !args.undo,
        reason: args.because.clone().unwrap_or_default(),
        successor,
    });
    let signing = place.open(session)?;
    let mut author = Author::open(&session.home, place.repo, &signing, client).await?;
    author.say(vec![said], client).await?;
    Ok(Report::answer("publish.status")
        .fact("of", what)
        .fact(
            "state",
            if state == StatusState::Yanked {
                "yanked"
            } else {
                "deprecated"
            },
        )
        .fact("on", !args.undo))
}

async fn exists(
    place: &Place,
    name: &Name,
    version: Option<&Version>,
    client: &mut Client,
) -> Result<()> {
    let request = Request::Packages {
        repo: place.repo.to_string(),
    };
    let packages = match client.ask(request).await? {
        Response::Packages { packages } => packages,
        other => return Err(unexpected(&other)),
    };
    let package = packages.iter().find(|package| package.name == *name);
    let found = match (package, version) {
        (Some(package), Some(version)) => package.releases.iter().any(|r| r.version == *version),
        (Some(_), None) => true,
        (None, _) => false,
    };
    match found {
        true => Ok(()),
        false => Err(CliError::new(
            Exit::NotFound,
            format!("there is no such release of `{name}` in `{}`", place.alias),
            Hint::new(format!("skep info {}/{name}", place.alias)),
        )),
    }
}
