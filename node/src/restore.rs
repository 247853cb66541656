//! What the store kept, as the core is rebuilt from it.

use std::collections::BTreeMap;

use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::key::Key;

use crate::core::{
    Basis, CutProof, Holding, Restored, RestoredLog, Restriction, pin_from_bytes, restriction_key,
};
use crate::store::{Error, FactKind, Loaded, Store};

/// Everything that the store has, repository by repository.
pub fn restore(store: &dyn Store) -> Result<Vec<Restored>, Error> {
    let mut repos: BTreeMap<RepoId, Restored> = BTreeMap::new();
    store.load(&mut |loaded| {
        take(&mut repos, loaded);
        Ok(())
    })?;
    Ok(repos.into_values().collect())
}

fn take(repos: &mut BTreeMap<RepoId, Restored>, loaded: Loaded) {
    let id = match &loaded {
        Loaded::Repository { repo }
        | Loaded::Root { repo, .. }
        | Loaded::Entries { repo, .. }
        | Loaded::Checkpoints { repo, .. }
        | Loaded::Evidence { repo, .. }
        | Loaded::Fact { repo, .. } => *repo,
    };
    let restored = repos.entry(id).or_insert_with(|| Restored::nothing(id));
    match loaded {
        Loaded::Repository { .. } => {}
        Loaded::Root { signed, .. } => restored.roots.push(signed),
        Loaded::Entries {
            key,
            aside,
            entries,
            ..
        } => {
            let log = branches(restored, aside).entry(key).or_default();
            for entry in entries {
                log.facts.push(&id, &entry);
            }
        }
        Loaded::Checkpoints {
            key,
            aside,
            whole,
            ahead,
            ..
        } => {
            let log = branches(restored, aside).entry(key).or_default();
            (log.whole, log.ahead) = (whole, ahead);
        }
        Loaded::Evidence { evidence, .. } => {
            restored.evidence.insert(*evidence.key(), evidence);
        }
        Loaded::Fact {
            kind, key, value, ..
        } => take_fact(restored, kind, &key, &value),
    }
}

fn branches(restored: &mut Restored, aside: bool) -> &mut BTreeMap<Key, RestoredLog> {
    match aside {
        true => &mut restored.aside,
        false => &mut restored.logs,
    }
}

/// A fact whose form is not ours is of a newer version or damaged: it is left alone, on disk.
fn take_fact(restored: &mut Restored, kind: FactKind, key: &str, value: &[u8]) {
    match kind {
        FactKind::Admitted => {
            let parts = key
                .split_once('@')
                .and_then(|(name, version)| Some((name.parse().ok()?, version.parse().ok()?)));
            if let (Some(release), Ok(hash)) = (parts, <[u8; 32]>::try_from(value)) {
                restored.admitted.insert(release, Sha256::from_bytes(hash));
            }
        }
        FactKind::Holding => {
            if let (Ok(manifest), Ok(holding)) = (key.parse(), Holding::from_bytes(value)) {
                restored.holdings.insert(manifest, holding);
            }
        }
        FactKind::Followed => restored.followed = pin_from_bytes(value),
        FactKind::Confirmed => restored.confirmed.extend(key.parse::<Key>()),
        FactKind::Shown => restored.shown = Basis::from_bytes(value).ok(),
        FactKind::CutProof => {
            if let Ok(cut) = CutProof::from_bytes(value) {
                restored.cuts.insert(cut.mark.key, cut);
            }
        }
        FactKind::Restriction => {
            if let (Some(key), Ok(restriction)) =
                (restriction_key(key), Restriction::from_bytes(value))
            {
                restored.restrictions.insert(key, restriction);
            }
        }
    }
}
