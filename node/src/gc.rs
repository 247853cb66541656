//! Collecting: blobs that no release here has, and that nobody is working with, are removed, while
//! the node serves.
//!
//! A blob stays if any repository of the store holds a release with it, followed or not, or if a
//! fetch or a publication is at work with it ([`crate::in_use`]). Of those that remain, what a
//! release left goes at once; what nobody ever held (the rest of an abandoned fetch) when it has
//! lain long enough that nobody will go on with it. That a release is no longer held is durable
//! before the first of its blobs goes: a node that is killed between has blobs too many, never too
//! few. Who has a file open reads on; the name goes, not the bytes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;

use crate::core::Holding;
use crate::driver::Handle;
use crate::snapshot::Snapshot;
use crate::store::{self, Found, Store};

/// How long a blob that nobody holds stays when nobody asked to collect: who was fetching it may come
/// back after a weekend, and goes on where it was.
pub(crate) const ABANDONED: Duration = Duration::from_secs(7 * 86_400);
/// How long it stays even so: longer than between two files of a publication or an import.
pub(crate) const FRESH: Duration = Duration::from_secs(3_600);

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Collected {
    pub(crate) blobs: u64,
    pub(crate) size_bytes: u64,
    /// Nobody's, and too fresh to go.
    pub(crate) fresh: u64,
    pub(crate) fresh_bytes: u64,
}

/// Why nothing is removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("this node is read-only: {0}")]
    ReadOnly(String),
    #[error("the repository {0} could not be read from the store, so what it needs is not known")]
    Unknown(RepoId),
    #[error("`{0}` is damaged, and says what one release needs")]
    Damaged(String),
}

/// Which blobs are held at a moment, and until that is another one.
struct Roots {
    /// The maps that it was made of: what readers see shares them until one of them changes.
    of: Vec<Arc<BTreeMap<Sha256, Holding>>>,
    held: BTreeSet<Blake3>,
}

impl Roots {
    fn of(snapshot: &Snapshot) -> Self {
        let of: Vec<_> = snapshot
            .stored()
            .map(|repo| Arc::clone(&repo.holdings))
            .collect();
        let holdings = of.iter().flat_map(|holdings| holdings.values());
        let held = holdings.flat_map(|holding| holding.blobs.iter().map(|(hash, _)| *hash));
        let held = held.collect();
        Self { of, held }
    }

    fn is_of(&self, snapshot: &Snapshot) -> bool {
        let mut now = snapshot.stored().map(|repo| &repo.holdings);
        let same = self
            .of
            .iter()
            .all(|then| now.next().is_some_and(|now| Arc::ptr_eq(then, now)));
        same && now.next().is_none()
    }
}

/// The blobs, with their sizes, that nobody has any more once these releases are not held.
pub(crate) fn freed(
    snapshot: &Snapshot,
    going: &BTreeSet<(RepoId, Sha256)>,
) -> BTreeMap<Blake3, u64> {
    let holdings = snapshot.stored().flat_map(|repo| {
        let holdings = repo.holdings.iter();
        holdings.map(|(manifest, holding)| ((repo.id, *manifest), holding))
    });
    let (go, stay): (Vec<_>, Vec<_>) = holdings.partition(|(which, _)| going.contains(which));
    let mut freed: BTreeMap<Blake3, u64> = BTreeMap::new();
    freed.extend(
        go.into_iter()
            .flat_map(|(_, holding)| holding.blobs.iter().copied()),
    );
    for (hash, _) in stay.into_iter().flat_map(|(_, holding)| &holding.blobs) {
        freed.remove(hash);
    }
    freed
}

/// Removes what a release that is no longer held had, as far as nobody else has it.
pub(crate) fn remove(
    blobs: &BTreeMap<Blake3, u64>,
    node: &Handle,
    store: &dyn Store,
) -> Result<Collected, Error> {
    let mut collection = Collection::begin(node, store)?;
    let mut collected = Collected::default();
    for (hash, size_bytes) in blobs {
        if collection.remove(hash)? {
            collected.blobs += 1;
            collected.size_bytes += size_bytes;
        }
    }
    Ok(collected)
}

/// Removes everything that is nobody's and was last written so long ago; only says what it would
/// remove if `dry_run`.
pub(crate) fn sweep(
    older_than: Duration,
    dry_run: bool,
    node: &Handle,
    store: &dyn Store,
) -> Result<Collected, Error> {
    let mut collection = Collection::begin(node, store)?;
    let mut collected = Collected::default();
    let mut nobodys = Vec::new();
    store.blobs(&mut |found| {
        if !collection.roots.held.contains(&found.hash) {
            nobodys.push(found);
        }
    })?;
    for Found {
        hash,
        size_bytes,
        age,
    } in nobodys
    {
        if age < older_than {
            if !node.in_use().is_used(&hash) {
                collected.fresh += 1;
                collected.fresh_bytes += size_bytes;
            }
            continue;
        }
        let goes = match dry_run {
            true => !node.in_use().is_used(&hash),
            false => collection.remove(&hash)?,
        };
        if goes {
            collected.blobs += 1;
            collected.size_bytes += size_bytes;
        }
    }
    Ok(collected)
}

/// One run, and what it knows to be held.
struct Collection<'a> {
    node: &'a Handle,
    store: &'a dyn Store,
    roots: Roots,
}

impl<'a> Collection<'a> {
    /// Only where everything that could be held is known: else what a spoiled file named would go.
    fn begin(node: &'a Handle, store: &'a dyn Store) -> Result<Self, Error> {
        let snapshot = node.snapshot();
        let known: BTreeSet<RepoId> = snapshot.stored().map(|repo| repo.id).collect();
        let mut stored = store.repositories()?.into_iter();
        if let Some(unknown) = stored.find(|repo| !known.contains(repo)) {
            return Err(Error::Unknown(unknown));
        }
        for path in store.damaged()? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let is_holding = |(_, rest): (&str, &str)| rest.starts_with("holding-");
            if name.split_once('-').is_some_and(is_holding) {
                return Err(Error::Damaged(path.display().to_string()));
            }
        }
        let roots = Roots::of(&snapshot);
        Ok(Self { node, store, roots })
    }

    /// Removes a blob, unless somebody has it or works with it.
    fn remove(&mut self, hash: &Blake3) -> Result<bool, Error> {
        let removed = self.node.in_use().if_unused(hash, || {
            // A lease ends when readers see what it was for: so this is looked at last.
            let snapshot = self.node.snapshot();
            if let Some(why) = &snapshot.read_only {
                return Err(Error::ReadOnly(why.clone()));
            }
            if !self.roots.is_of(&snapshot) {
                self.roots = Roots::of(&snapshot);
            }
            if self.roots.held.contains(hash) {
                return Ok(false);
            }
            self.store.remove_blob(hash)?;
            Ok(true)
        });
        removed.unwrap_or(Ok(false))
    }
}
