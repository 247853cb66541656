//! What is fetched of a blob, into the store: proven first, then kept. Whoever carries out the core's
//! effects does it with these, so that no interpreter has a way of its own to believe bytes.

use skep_proto::blob::{self, GroupList, group_count};
use skep_proto::claimed::{Claimed, Verified};
use skep_proto::fault::Fault;
use skep_proto::hash::Blake3;
use skep_proto::sync::blobs::{Group, List};

use crate::core::{FetchEnd, Held};
use crate::store::{self, Store};

/// Why what a peer sent is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The peer delivers nothing more, and why.
    Peer(FetchEnd),
    /// Our disk failed, in words.
    Disk(String),
}

/// What the store has of a blob that is to be fetched. One whose last group an earlier process
/// wrote, and did not live to put in its place, is put there now: nothing of it is left to ask for.
///
/// # Errors
/// The store's.
pub fn begin(store: &dyn Store, hash: Blake3, size_bytes: u64) -> Result<Held, store::Error> {
    begin_with(store, hash, size_bytes, None)
}

/// A list from a peer, against the hash, and the blob begun with it. `size_bytes` is what the
/// manifest says, which no peer vouches for.
pub fn list(
    store: &dyn Store,
    hash: Blake3,
    size_bytes: u64,
    Claimed(list): &Claimed<List>,
) -> Result<Held, Error> {
    let proven =
        GroupList::prove(&hash, list.size, &list.bytes).map_err(|e| Error::Peer(end_of(&e)))?;
    if proven.size() != size_bytes {
        // The manifest is wrong, or the peer is: nobody can tell yet.
        return Err(Error::Peer(FetchEnd::NotFound));
    }
    let begun = begin_with(store, hash, size_bytes, Some(&proven));
    begun.map_err(|error| of_store(&error))
}

/// A group from a peer, verified and written: its number, and its size in bytes.
pub fn group(
    store: &dyn Store,
    hash: Blake3,
    Claimed(group): &Claimed<Group>,
) -> Result<(u64, u64), Error> {
    let written = store.write_group(&hash, group.index, &group.bytes);
    written.map_err(|error| of_store(&error))?;
    Ok((group.index, group.bytes.len() as u64))
}

fn begin_with(
    store: &dyn Store,
    hash: Blake3,
    size_bytes: u64,
    list: Option<&Verified<GroupList>>,
) -> Result<Held, store::Error> {
    Ok(match store.begin(&hash, size_bytes, list)? {
        store::Held::Whole => Held::Whole,
        store::Held::Part { groups, .. } if groups.len() as u64 == group_count(size_bytes) => {
            store.finish(&hash)?;
            Held::Whole
        }
        store::Held::Part { groups, list } => Held::Part { groups, list },
    })
}

fn of_store(error: &store::Error) -> Error {
    match error {
        store::Error::Blob(error) => Error::Peer(end_of(error)),
        error => Error::Disk(crate::in_words(error)),
    }
}

/// Whom an error blames: a size that the manifest got wrong is not the fault of who has the blob.
fn end_of(error: &blob::Error) -> FetchEnd {
    match error.fault() {
        Fault::Peer => FetchEnd::Lied,
        Fault::Publisher => FetchEnd::NotFound,
        Fault::Us => FetchEnd::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;
    use skep_proto::blob::{GROUP_BYTES, GroupLister};

    #[test]
    fn a_blob_that_an_earlier_process_left_one_step_short_is_whole() {
        let store = Memory::default();
        let bytes = b"the whole of it";
        let (hash, size) = (Blake3::of(&[bytes]), bytes.len() as u64);
        let held = begin(&store, hash, size).expect("begun");
        assert!(matches!(held, Held::Part { groups, .. } if groups.is_empty()));
        store.write_group(&hash, 0, bytes).expect("written");
        // The process ends here; the next one begins again.
        let held = begin(&store, hash, size).expect("begun again");
        assert!(matches!(held, Held::Whole));
        assert!(store.blob(&hash).expect("looked for").is_some());
    }

    #[test]
    fn a_size_that_a_manifest_got_wrong_is_no_lie_of_who_has_the_blob() {
        let len = usize::try_from(2 * GROUP_BYTES + 5).expect("small");
        let bytes = vec![7; len];
        let mut lister = GroupLister::new();
        lister.update(&bytes).expect("small");
        let proven = lister.finish();
        let (hash, true_list) = (
            *proven.hash(),
            Claimed(List {
                size: proven.size(),
                bytes: proven.to_bytes(),
            }),
        );
        // More groups than the blob has, and a last group of another length.
        for wrong in [3 * GROUP_BYTES + 1, 2 * GROUP_BYTES + 6] {
            let told = list(&Memory::new(), hash, wrong, &true_list);
            assert_eq!(told, Err(Error::Peer(FetchEnd::NotFound)), "{wrong}");
        }
        let small = b"of one group";
        let (hash, store) = (Blake3::of(&[small]), Memory::new());
        begin(&store, hash, small.len() as u64 + 1).expect("begun");
        let told = Claimed(Group {
            index: 0,
            bytes: small.to_vec(),
        });
        assert_eq!(
            group(&store, hash, &told),
            Err(Error::Peer(FetchEnd::NotFound))
        );
    }

    #[test]
    fn a_false_list_and_a_false_group_are_lies() {
        let store = Memory::new();
        let bytes = vec![7; usize::try_from(2 * GROUP_BYTES).expect("small")];
        let hash = Blake3::of(&[&bytes]);
        let false_list = Claimed(List {
            size: 2 * GROUP_BYTES,
            bytes: vec![1; 64],
        });
        let told = list(&store, hash, 2 * GROUP_BYTES, &false_list);
        assert_eq!(told, Err(Error::Peer(FetchEnd::Lied)));
        let small = b"of one group";
        let hash = Blake3::of(&[small]);
        begin(&store, hash, small.len() as u64).expect("begun");
        let told = Claimed(Group {
            index: 0,
            bytes: b"of one grouP".to_vec(),
        });
        assert_eq!(group(&store, hash, &told), Err(Error::Peer(FetchEnd::Lied)));
    }
}
