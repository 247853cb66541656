//! A repository of one's own: its root document, registrar, handle and first grant.

use skep_proto::control::{Hex, Request};
use skep_proto::hash::Sha256;
use skep_proto::id::{HandleId, RepoId};
use skep_proto::key::SigningKey;
use skep_proto::log::entry::{Body, Grant, HandleOperation, Role, RootNotice, handle_message};
use skep_proto::name::Name;
use skep_proto::repo::root::{self, RootDocument, RootKeys, SignedRoot, Visibility};
use skep_proto::trust::file::{Glob, Pin, RepoFile, append_rule};

use crate::author::Author;
use crate::client::Client;
use crate::commands::Session;
use crate::error::{CliError, Exit, Hint, Result, could_not, quoted};
use crate::home::keys::{Keys, Stored};
use crate::home::repos::Repos;

/// A repository that was just made.
pub(crate) struct Made {
    pub(crate) id: RepoId,
    pub(crate) handle: HandleId,
    pub(crate) root_key: Stored,
}

/// Makes a repository with its root document, registrar, handle and the first grant at once; each
/// of its keys is made if it is not there.
pub(crate) async fn create(
    alias: &Name,
    session: &Session<'_>,
    client: &mut Client,
) -> Result<Made> {
    let repos = Repos::of(&session.home);
    if repos
        .list()?
        .iter()
        .any(|followed| followed.alias == *alias)
    {
        return Err(CliError::new(
            Exit::Failed,
            format!("you follow a repository `{alias}` already"),
            Hint::new("take another alias: skep repo create OTHER"),
        ));
    }
    let signing = signing_key(alias, session)?;
    let (registrar_key, registrar) = made_key(&format!("{alias}.registrar"), session)?;
    let (root_key, root_signing) = made_key(&format!("{alias}.root"), session)?;
    let document = RootDocument::first(
        alias.as_str(),
        RootKeys {
            keys: vec![root_signing.key()],
            threshold: 1,
        },
        registrar.key(),
        Visibility::Public,
    );
    let payload = document
        .to_payload()
        .map_err(|e| could_not("make a root document", &e))?;
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
    let file = RepoFile {
        id,
        root: Pin { version: 1, sha256 },
        peers: Vec::new(),
        keep: None,
        share: None,
        trust: Vec::new(),
    };
    let everything = vec![
        "*".parse::<Glob>()
            .map_err(|e| could_not("write a rule", &e))?,
    ];
    let text = append_rule(&file.to_text(), &everything, alias, &handle);
    repos.add(
        alias,
        &text.map_err(|e| could_not("write the file of the repository", &e))?,
    )?;
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
    Author::open(&session.home, id, &registrar, client)
        .await?
        .say(said, client)
        .await?;
    let mut author = Author::open(&session.home, id, &signing, client).await?;
    author.say(vec![Body::Hello], client).await?;
    session.ui.say(&format!(
        "created {alias} ({id})\nroot key in {}: move this off this machine\nregistrar key in {}",
        quoted(&root_key.path),
        quoted(&registrar_key.path)
    ));
    Ok(Made {
        id,
        handle,
        root_key,
    })
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
    if let Ok(stored) = keys.find(name) {
        let opened = stored.open(session.ui, &session.passphrase)?;
        return Ok((stored, opened.signing));
    }
    let passphrase = session.passphrase.for_new(name, session.ui)?;
    let seed: zeroize::Zeroizing<[u8; 32]> = zeroize::Zeroizing::new(rand::random());
    let signing = SigningKey::from_seed(&seed);
    let stored = keys.create(name, &signing, passphrase.as_ref().map(|p| p.as_str()))?;
    Ok((stored, signing))
}
