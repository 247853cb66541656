//! Nothing unverified is where it could be read: a blob has the hash that names it.

use skep_node::store::Store as _;
use skep_proto::blob;
use skep_proto::hash::Blake3;

use super::{Broken, ensure};
use crate::host::Host;

const LAW: &str = "nothing unverified is readable";

/// Before the core is told that a blob is stored.
pub fn what_is_stored_has_its_hash(host: &Host, hash: &Blake3) -> Result<(), Broken> {
    let found = bytes(host, hash).map(|bytes| Blake3::of(&[&bytes]));
    ensure(found == Some(*hash), LAW, || match found {
        Some(found) => format!("`{hash}` holds the bytes of `{found}`"),
        None => format!("`{hash}` is said to be stored, and is not"),
    })
}

/// At the end of a run.
pub fn every_blob_has_its_hash(host: &Host) -> Result<(), Broken> {
    for hash in &host.disk.blobs {
        if bytes(host, hash).is_some() {
            what_is_stored_has_its_hash(host, hash)?;
        }
    }
    Ok(())
}

/// All bytes of a blob that is whole.
fn bytes(host: &Host, hash: &Blake3) -> Option<Vec<u8>> {
    let store = &host.disk.store;
    let info = store.blob(hash).ok()??;
    let groups = (0..blob::group_count(info.size)).map(|index| store.read_group(hash, index));
    let groups: Option<Vec<Vec<u8>>> = groups.map(|group| group.ok()?).collect();
    Some(groups?.concat())
}
