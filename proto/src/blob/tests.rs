use proptest::prelude::*;

use super::{
    BLOB_BYTES_MAX, Error, GROUP_BYTES, GROUPS_MAX, GroupList, GroupLister, group_count, group_len,
};
use crate::claimed::Verified;
use crate::fault::Fault;
use crate::hash::Blake3;

const GROUP: usize = 262_144;

/// Bytes in which no two groups are equal.
fn blob(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new()
        .update(&size.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn list_of(bytes: &[u8]) -> Verified<GroupList> {
    let mut lister = GroupLister::new();
    lister.update(bytes).expect("below the limit");
    lister.finish()
}

fn groups(bytes: &[u8]) -> Vec<&[u8]> {
    match bytes {
        [] => vec![bytes],
        _ => bytes.chunks(GROUP).collect(),
    }
}

/// Sizes around the borders of groups, and of the powers of two of them.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![0, 1, 63, 64, 65, 1023, 1024, 1025];
    for groups in [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31] {
        for off in [-1025, -1024, -1, 0, 1, 1024, 1025] {
            sizes.push((groups * GROUP).saturating_add_signed(off));
        }
    }
    sizes
}

#[test]
fn a_list_belongs_to_the_plain_hash_at_every_border() {
    for size in sizes() {
        let bytes = blob(size);
        let list = list_of(&bytes);
        let hash = Blake3::of(&[&bytes]);
        assert_eq!((*list.hash(), list.size()), (hash, size as u64), "{size}");
        let again = GroupList::prove(&hash, size as u64, &list.to_bytes());
        assert_eq!(again.as_ref(), Ok(&list), "{size}");
        assert_eq!(list.group_count(), groups(&bytes).len() as u64, "{size}");
        for (index, group) in groups(&bytes).into_iter().enumerate() {
            assert_eq!(
                list.verify_group(index as u64, group),
                Ok(()),
                "{size} {index}"
            );
            let len = group_len(size as u64, index as u64);
            assert_eq!(len, Some(group.len()), "{size} {index}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_list_is_found() {
    let bytes = blob(2 * GROUP + 77);
    let list = list_of(&bytes);
    for at in 0..list.to_bytes().len() {
        let mut altered = list.to_bytes();
        altered[at] ^= 1 << (at % 8);
        let proven = GroupList::prove(list.hash(), list.size(), &altered);
        let hash = *list.hash();
        assert_eq!(proven, Err(Error::List { hash }), "byte {at}");
    }
}

#[test]
fn every_flipped_byte_of_a_group_is_found() {
    let bytes = blob(GROUP + 2_000);
    let list = list_of(&bytes);
    let hash = *list.hash();
    let mut group = bytes[GROUP..].to_vec();
    for at in 0..group.len() {
        group[at] ^= 1 << (at % 8);
        assert_eq!(
            list.verify_group(1, &group),
            Err(Error::Group { hash, index: 1 })
        );
        group[at] ^= 1 << (at % 8);
    }
    assert_eq!(list.verify_group(1, &group), Ok(()));
}

#[test]
fn a_group_in_the_place_of_another_is_refused() {
    let mut bytes = blob(GROUP);
    bytes.extend_from_within(..);
    bytes.extend_from_slice(&blob(GROUP + 1)[1..]);
    let list = list_of(&bytes);
    let hash = *list.hash();
    assert_ne!(
        list.values[0], list.values[1],
        "equal bytes at two places of the tree"
    );
    let last = &bytes[2 * GROUP..];
    assert_eq!(
        list.verify_group(0, last),
        Err(Error::Group { hash, index: 0 })
    );
    assert_eq!(
        list.verify_group(2, &bytes[..GROUP]),
        Err(Error::Group { hash, index: 2 })
    );
    let count = 3;
    for index in [3, u64::MAX / GROUP_BYTES, u64::MAX] {
        let refused = list.verify_group(index, last);
        assert_eq!(refused, Err(Error::NoSuchGroup { hash, index, count }));
    }
}

#[test]
fn a_list_of_the_wrong_length_is_refused() {
    let bytes = blob(3 * GROUP);
    let list = list_of(&bytes);
    let (hash, size, good) = (*list.hash(), list.size(), list.to_bytes());
    for bad in [
        &good[..good.len() - 1],
        &good[..good.len() - 32],
        &good[..32],
        &[],
        &[good.as_slice(), &good[..32]].concat(),
        &vec![7; 32 * 16_384],
        &vec![7; 32 * 16_385],
    ] {
        let refused = GroupList::prove(&hash, size, bad);
        assert_eq!(refused, Err(Error::List { hash }), "{} bytes", bad.len());
    }
}

#[test]
fn a_false_size_is_refused_and_no_honest_peer_is_blamed() {
    let bytes = blob(2 * GROUP + 100);
    let list = list_of(&bytes);
    let hash = *list.hash();
    for size in [0, 1, GROUP_BYTES, 2 * GROUP_BYTES, 3 * GROUP_BYTES + 1] {
        let refused = GroupList::prove(&hash, size, &list.to_bytes());
        assert_eq!(refused, Err(Error::OtherSize { hash, size }));
    }
    for size in [2 * GROUP_BYTES + 1, 2 * GROUP_BYTES + 99, 3 * GROUP_BYTES] {
        let list = GroupList::prove(&hash, size, &list.to_bytes()).expect("as many groups");
        let refused = list
            .verify_group(2, &bytes[2 * GROUP..])
            .expect_err("false size");
        assert_eq!(refused, Error::OtherSize { hash, size });
        assert_eq!(refused.fault(), Fault::Publisher);
        // What fits the false size is no group of the blob.
        let len = group_len(size, 2).expect("three groups");
        let padded = list.verify_group(2, &vec![0; len]);
        assert_eq!(padded, Err(Error::Group { hash, index: 2 }));
    }
}

#[test]
fn a_false_size_of_a_blob_of_one_group_is_refused() {
    let bytes = blob(100);
    let hash = Blake3::of(&[&bytes]);
    let list = GroupList::prove(&hash, 99, &[]).expect("nothing to prove yet");
    assert_eq!(
        list.verify_group(0, &bytes),
        Err(Error::OtherSize { hash, size: 99 })
    );
    assert_eq!(
        list.verify_group(0, &bytes[..99]),
        Err(Error::Group { hash, index: 0 })
    );
    let short = list.verify_group(0, &bytes[..98]);
    assert_eq!(
        short,
        Err(Error::Length {
            hash,
            index: 0,
            len: 98,
            expected: 99
        })
    );
    let empty = list.verify_group(0, &[]);
    assert_eq!(empty.map_err(|e| e.fault()), Err(Fault::Peer));
}

#[test]
fn a_list_of_another_level_of_the_tree_is_refused() {
    let bytes = blob(4 * GROUP);
    let list = list_of(&bytes);
    let coarse: Vec<u8> = list.values.chunks(2).flat_map(super::subtree).collect();
    let (hash, size) = (*list.hash(), list.size());
    let refused = GroupList::prove(&hash, size, &coarse);
    assert_eq!(refused, Err(Error::OtherSize { hash, size }));
    // With the size that fits, no bytes fit it.
    let list = GroupList::prove(&hash, 2 * GROUP_BYTES, &coarse).expect("two nodes of the tree");
    for group in groups(&bytes) {
        assert_eq!(
            list.verify_group(0, group),
            Err(Error::Group { hash, index: 0 })
        );
    }
}

#[test]
fn a_group_that_is_too_long_or_empty_is_refused() {
    let bytes = blob(2 * GROUP);
    let list = list_of(&bytes);
    let refused = list.verify_group(0, &bytes).map_err(|e| e.fault());
    assert_eq!(refused, Err(Fault::Peer));
    let refused = list.verify_group(0, &[]).map_err(|e| e.fault());
    assert_eq!(refused, Err(Fault::Peer));
}

#[test]
fn a_blob_at_the_limit_is_fine_and_one_byte_more_is_not() {
    let hash = Blake3::of(&[]);
    let list = vec![7; 32 * 16_384];
    let at = GroupList::prove(&hash, BLOB_BYTES_MAX, &list);
    assert_eq!(
        at,
        Err(Error::List { hash }),
        "the size is fine, the list is not"
    );
    let size = BLOB_BYTES_MAX + 1;
    let beyond = GroupList::prove(&hash, size, &list);
    assert_eq!(beyond, Err(Error::TooLarge { size }));
    assert_eq!(group_count(BLOB_BYTES_MAX), GROUPS_MAX);

    // A lister near the limit, without hashing four gibibytes.
    let mut lister = GroupLister::new();
    lister.size = BLOB_BYTES_MAX - 1;
    assert_eq!(lister.update(&[0, 0]), Err(Error::TooLarge { size }));
    assert_eq!(lister.update(&[0]), Ok(()));
    assert_eq!(lister.update(&[0]), Err(Error::TooLarge { size }));
}

#[test]
fn group_arithmetic_holds_at_the_ends() {
    assert_eq!(
        (group_count(0), group_len(0, 0), group_len(0, 1)),
        (1, Some(0), None)
    );
    assert_eq!(
        (group_count(1), group_len(1, 0), group_len(1, 1)),
        (1, Some(1), None)
    );
    let end = GROUP_BYTES;
    assert_eq!((group_count(end), group_len(end, 0)), (1, Some(GROUP)));
    assert_eq!((group_count(end + 1), group_len(end + 1, 1)), (2, Some(1)));
    assert_eq!(group_len(u64::MAX, u64::MAX), None);
    let last = group_count(u64::MAX) - 1;
    assert_eq!(group_len(u64::MAX, last), Some(GROUP - 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn how_a_blob_is_cut_while_reading_changes_nothing(
        size in 0..4 * GROUP,
        cuts in prop::collection::vec(1..GROUP + 3, 1..40),
    ) {
        let bytes = blob(size);
        let mut lister = GroupLister::new();
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.into_iter().cycle());
        while let (false, Some(cut)) = (rest.is_empty(), cuts.next()) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            lister.update(now).expect("below the limit");
            rest = later;
        }
        let list = lister.finish();
        prop_assert_eq!(*list.hash(), Blake3::of(&[&bytes]));
        prop_assert_eq!(&list, &list_of(&bytes));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found(size in 1..5 * GROUP, at: prop::sample::Index, bit in 0_u32..8) {
        let mut bytes = blob(size);
        let list = list_of(&bytes);
        let at = at.index(size);
        bytes[at] ^= 1_u8 << bit;
        let hash = *list.hash();
        for (index, group) in groups(&bytes).into_iter().enumerate() {
            let index = index as u64;
            let expected = match at / GROUP == usize::try_from(index).expect("small") {
                true => Err(Error::Group { hash, index }),
                false => Ok(()),
            };
            prop_assert_eq!(list.verify_group(index, group), expected);
        }
    }
}
