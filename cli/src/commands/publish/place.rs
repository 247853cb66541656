//! Where a package is published, and by whom.

use skep_proto::control;
use skep_proto::id::RepoId;
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{Body, Grant, Role};
use skep_proto::name::{Name, RepoRef};

use super::package::Package;
use crate::args::publish::Publish;
use crate::author::{Author, bring_back_all};
use crate::client::Client;
use crate::commands::Session;
use crate::commands::parse::parse_repo;
use crate::commands::repo::{create, followed_already, is_unfinished, repo};
use crate::error::{CliError, Exit, Hint, Result};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::{Followed, Repos};

/// Where it is published, and by whom.
pub(super) struct Place {
    pub(super) repo: RepoId,
    pub(super) alias: Name,
    /// Opened only to sign: looking needs no passphrase.
    pub(super) key: Stored,
    pub(super) handle: control::Handle,
    pub(super) registrar: Option<Key>,
}

impl Place {
    pub(super) fn open(&self, session: &Session<'_>) -> Result<SigningKey> {
        let opened = self.key.open(session.ui, &session.passphrase)?;
        Ok(opened.signing)
    }
}

/// Where a package belongs.
pub(super) enum Where {
    In(Box<Place>),
    /// In a repository of one's own that is not there yet.
    First(Name),
}

/// Which repository is meant: `--repo`; else the one that skep.toml names; else the one where my
/// handle owns the name; else the only one where I publish; else, of somebody who has none yet,
/// one of their own.
pub(super) async fn place(
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
        match repo_and_mine(followed, session, client).await {
            Ok((_, handle)) => mine.extend(handle.map(|handle| (followed.alias.clone(), handle))),
            Err(error) if error.exit == Exit::NotFound => {
                let again = Repos::of(&session.home).find(&RepoRef::Id(followed.file.id));
                // Given up by another command just now; or begun by one that was ended.
                if again.is_ok() && !is_unfinished(followed, session, client).await? {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
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
pub(super) async fn first_place(
    alias: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Place> {
    let has_key = !Keys::of(&session.home)
        .usable(session.ui)?
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
    let made = create(alias, session, client).await?;
    match place_in(&RepoRef::Alias(alias.clone()), session, client).await {
        // Another command has made it meanwhile, and it is ours; or it is somebody else's.
        Err(e) if made.is_none() && e.exit == Exit::Forbidden => Err(followed_already(alias)),
        place => place,
    }
}

pub(super) async fn place_in(
    reference: &RepoRef,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Place> {
    let followed = Repos::of(&session.home).find(reference)?;
    let (repo, handle) = repo_and_mine(&followed, session, client).await?;
    let Some(handle) = handle else {
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
                found = found.or(keys.with_public(key, session.ui)?);
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

/// A repository, and the handle in it that lists one of the keys here. That none does is believed
/// only of a node that has all that these keys have signed: a registrar's log may be what it lost.
async fn repo_and_mine(
    followed: &Followed,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<(control::Repo, Option<control::Handle>)> {
    let (alias, id) = (&followed.alias, followed.file.id.to_string());
    let found = repo(&id, client).await?;
    let handle = my_handle(&found, session)?;
    if found.root_sha256.is_none() {
        return Err(CliError::new(
            Exit::NotFound,
            format!("nothing is known of `{alias}`: {}", found.line.state),
            Hint::new(
                "start `skep node run` beside a node that has the repository, or skep doctor",
            ),
        ));
    }
    if handle.is_some() || !bring_back_all(&session.home, &found.line.id, client).await? {
        return Ok((found, handle));
    }
    let found = repo(&id, client).await?;
    let handle = my_handle(&found, session)?;
    Ok((found, handle))
}

/// The handle of a repository that lists one of the keys here.
fn my_handle(repo: &control::Repo, session: &Session<'_>) -> Result<Option<control::Handle>> {
    let mine = Keys::of(&session.home).usable(session.ui)?;
    let is_mine = |key: &Key| mine.iter().any(|stored| stored.file.key() == *key);
    let publishes = |handle: &&control::Handle| {
        handle.roles.iter().any(|role| role == "publisher") && handle.keys.iter().any(is_mine)
    };
    Ok(repo.handles.iter().find(publishes).cloned())
}

/// A new name is granted in the same step, if the registrar's key is at hand.
pub(super) async fn own_name(
    place: &Place,
    name: &Name,
    alone: bool,
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
        Some(key) => keys.with_public(&key, session.ui)?,
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
    if !alone {
        author.confirmed(session.ui, client).await?;
    }
    author.say(vec![grant], client).await.map(|_| ())
}
