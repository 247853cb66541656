//! A repository of one's own: its root document, registrar, handle and first grant.

use skep_proto::control::{Hex, Request};
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::{Key, SigningKey};
use skep_proto::log::entry::{Body, Grant, HandleOperation, Role, RootNotice, handle_message};
use skep_proto::name::Name;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::trust::file::{Glob, Pin, RepoFile, Who, append_rule};

use super::repo;
use crate::author::{Author, was_heard};
use crate::client::Client;
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result, could_not, quoted};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::{Followed, Repos};

/// A repository that was just made.
pub(crate) struct Made {
    pub(crate) id: RepoId,
    pub(crate) handle: HandleId,
    pub(crate) root_key: Stored,
}

/// Makes a repository with its root document, registrar, handle and the first grant; each of its
/// keys is made if it is not there. Every step is found done if it is, so a command that was ended
/// on the way is carried on by the next. None, and nothing done, if the alias is followed already.
pub(crate) async fn create(
    alias: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Option<Made>> {
    let _lock = session.home.lock(session.ui).await?;
    let repos = Repos::of(&session.home);
    let followed = repos.list()?;
    let followed = followed.into_iter().find(|one| one.alias == *alias);
    if let Some(followed) = &followed
        && !is_unfinished(followed, session, client).await?
    {
        return Ok(None);
    }
    let signing = signing_key(alias, session)?;
    let (registrar_key, registrar) = made_key(&registrar_name(alias), session)?;
    let (root_key, root_signing) = made_key(&root_name(alias), session)?;
    let payload = first_root(alias, root_signing.key(), registrar.key())?;
    let message = root::message(&payload);
    let signatures = [&root_signing, &registrar]
        .map(|key| (key.key(), key.sign(&message)))
        .to_vec();
    let (id, sha256) = (root::repo_id(&payload), Sha256::of(&[&payload]));
    let signed = SignedRoot {
        payload,
        signatures,
    };
    let mut operation = HandleOperation {
        prev: None,
        label: alias.clone(),
        publish_threshold: 1,
        change_threshold: 1,
        keys: vec![signing.key()],
        receive: Vec::new(),
        drop: Vec::new(),
        about: String::new(),
        signatures: Vec::new(),
    };
    let message = handle_message(&id, &operation);
    operation.signatures = vec![(signing.key(), signing.sign(&message))];
    let handle = HandleId::from_bytes(*operation.hash(&id).as_bytes());
    write_file(alias, (id, sha256), handle, followed, &repos)?;
    client.ask(Request::Reload).await?;
    let root = Hex(signed.encode());
    client.ask(Request::PutRoot { repo: id, root }).await?;
    let said = vec![
        Body::Handle(Box::new(operation)),
        Body::Grant(Grant {
            handle,
            role: Role::Publisher,
            names: Vec::new(),
        }),
        Body::Root(RootNotice { version: 1, sha256 }),
    ];
    let mut author = Author::open(&session.home, id, &registrar, client).await?;
    // They are signed together: with the first of them all of them are there.
    if author.size() == 0 {
        author.say(said, client).await?;
    }
    drop(author);
    // Who began it may have chosen another key, and so another handle.
    let first = repo(alias.as_str(), client).await?;
    let handle = first.handles.first().map_or(handle, |first| first.id);
    let mut author = Author::open(&session.home, id, &signing, client).await?;
    if author.size() == 0 {
        author.say(vec![Body::Hello], client).await?;
    }
    session.ui.say(&format!(
        "created {alias} ({id})\nroot key in {}: move this off this machine\nregistrar key in {}",
        quoted(&root_key.path),
        quoted(&registrar_key.path)
    ));
    Ok(Some(Made {
        id,
        handle,
        root_key,
    }))
}

pub(crate) fn followed_already(alias: &Name) -> CliError {
    CliError::new(
        Exit::Failed,
        format!("you follow a repository `{alias}` already"),
        Hint::new("take another alias: skep repo create OTHER"),
    )
}

/// Whether this is what a command that was ended has left: the repository that the keys here make,
/// without what its registrar says first. One whose registrar was heard before has lost it, and is
/// not made anew.
async fn is_unfinished(
    followed: &Followed,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<bool> {
    let keys = Keys::of(&session.home);
    let (root, registrar) = (root_name(&followed.alias), registrar_name(&followed.alias));
    if !keys.is_taken(&root)? || !keys.is_taken(&registrar)? {
        return Ok(false);
    }
    let (root, registrar) = (keys.find(&root)?, keys.find(&registrar)?);
    let (root, registrar) = (root.file.key(), registrar.file.key());
    let payload = first_root(&followed.alias, root, registrar)?;
    if root::repo_id(&payload) != followed.file.id {
        return Ok(false);
    }
    if was_heard(&session.home, &followed.file.id, &registrar)? {
        return Ok(false);
    }
    let id = followed.file.id.to_string();
    Ok(repo(&id, client).await?.handles.is_empty())
}

/// The root document that begins a repository: from the same keys the same one.
fn first_root(alias: &Name, root: Key, registrar: Key) -> Result<Vec<u8>> {
    let keys = RootKeys {
        keys: vec![root],
        threshold: 1,
    };
    RootDocument::first(alias.as_str(), keys, registrar, Visibility::Public)
        .to_payload()
        .map_err(|e| could_not("make a root document", &e))
}

fn root_name(alias: &Name) -> String {
    format!("{alias}.root")
}

fn registrar_name(alias: &Name) -> String {
    format!("{alias}.registrar")
}

/// The file of the repository, which trusts its own handle. Of one that was left there, what a
/// person may have written stays.
fn write_file(
    alias: &Name,
    (id, sha256): (RepoId, Sha256),
    handle: HandleId,
    before: Option<Followed>,
    repos: &Repos<'_>,
) -> Result<()> {
    let new = RepoFile {
        id,
        root: Pin { version: 1, sha256 },
        peers: Vec::new(),
        keep: Vec::new(),
        kept: Vec::new(),
        share: None,
        trust: Vec::new(),
    };
    let (file, text) = match &before {
        Some(before) => (&before.file, before.text.clone()),
        None => (&new, new.to_text()),
    };
    let is_ours = |who: &Who| matches!(who, Who::Handle { handle: ours, .. } if *ours == handle);
    if file
        .trust
        .iter()
        .any(|rule| rule.publishers.iter().any(is_ours))
    {
        return Ok(());
    }
    let everything = ["*"
        .parse::<Glob>()
        .map_err(|e| could_not("write a rule", &e))?];
    let text = append_rule(&text, &everything, alias, &handle);
    let text = text.map_err(|e| could_not("write the file of the repository", &e))?;
    match before {
        Some(_) => repos.edit(alias, &text),
        None => repos.add(alias, &text),
    }
}

/// The key that signs: the one that is chosen, else a new one named like the repository.
fn signing_key(alias: &Name, session: &Session<'_>) -> Result<SigningKey> {
    let keys = Keys::of(&session.home);
    let chosen = keys.choose(session.global.key.as_deref(), session.login_name().as_ref());
    match chosen {
        Ok(stored) => Ok(stored.open(session.ui, &session.passphrase)?.signing),
        Err(e) if e.exit == Exit::NotFound && session.global.key.is_none() => {
            made_key(alias.as_str(), session).map(|(_, signing)| signing)
        }
        Err(e) => Err(e),
    }
}

/// A key of this name: the one that an interrupted command made, else a new one.
fn made_key(name: &str, session: &Session<'_>) -> Result<(Stored, SigningKey)> {
    let keys = Keys::of(&session.home);
    if keys.is_taken(name)? {
        let stored = keys.find(name)?;
        let opened = stored.open(session.ui, &session.passphrase)?;
        return Ok((stored, opened.signing));
    }
    let passphrase = session.passphrase.for_new(name, session.ui)?;
    let seed: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(rand::random());
    let signing = SigningKey::from_seed(&seed);
    let stored = keys.create(name, &signing, passphrase.as_ref().map(|p| p.as_str()))?;
    Ok((stored, signing))
}
