//! Nothing unverified is where it could be read: a blob has the hash that names it.

use skep_proto::hash::Blake3;

use super::{Broken, ensure};
use crate::host::Host;

/// When a blob is put in its place.
pub fn a_blob_has_its_hash(host: &Host, hash: &Blake3) -> Result<(), Broken> {
    let Some(blob) = host.disk.blobs.get(hash).filter(|blob| blob.whole) else {
        return Ok(());
    };
    let found = Blake3::of(&[&blob.bytes()]);
    ensure(found == *hash, "a blob has its hash", || {
        format!("`{hash}` holds the bytes of `{found}`")
    })
}

/// At the end of a run.
pub fn every_blob_has_its_hash(host: &Host) -> Result<(), Broken> {
    host.disk
        .blobs
        .keys()
        .try_for_each(|hash| a_blob_has_its_hash(host, hash))
}
