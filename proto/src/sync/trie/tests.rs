use super::*;
use crate::bytes::{Reader, Writer};
use crate::key::Key;
use crate::log::tree::leaf;

/// A record whose bytes sort otherwise than its path, as those of logs do.
fn record(n: u64) -> (Path, Vec<u8>) {
    let frontier = Frontier {
        key: Key::ed25519(leaf(&n.to_be_bytes()).as_bytes()),
        size: n,
        root: leaf(b"root"),
    };
    (frontier.path(), frontier.to_record())
}

fn trie(numbers: impl IntoIterator<Item = u64>) -> Trie {
    let mut trie = Trie::new();
    for (path, record) in numbers.into_iter().map(record) {
        trie.insert(path, record);
    }
    trie
}

/// The definition, over all records below a prefix of `depth` nibbles.
fn defined(records: &[(Path, Vec<u8>)], depth: usize) -> Sha256 {
    if records.is_empty() {
        return Sha256::from_bytes([0; 32]);
    }
    if records.len() <= 16 {
        let mut sorted: Vec<&[u8]> = records.iter().map(|(_, record)| &record[..]).collect();
        sorted.sort();
        return Sha256::of(&[&[2], &sorted.concat()]);
    }
    let hashes = (0..16).map(|child| {
        let nibble = |path: &Path| {
            if depth.is_multiple_of(2) {
                path[depth / 2] >> 4
            } else {
                path[depth / 2] & 15
            }
        };
        let below = records.iter().filter(|(path, _)| nibble(path) == child);
        defined(&below.cloned().collect::<Vec<_>>(), depth + 1)
    });
    let hashes: Vec<[u8; 32]> = hashes.map(|hash| *hash.as_bytes()).collect();
    Sha256::of(&[&[3], &hashes.concat()])
}

#[test]
fn roots_are_as_defined() {
    for count in [0, 1, 2, 15, 16, 17, 18, 300] {
        let records: Vec<_> = (0..count).map(record).collect();
        let expected = defined(&records, 0);
        assert_eq!(trie(0..count).root(), expected, "{count}");
        assert_eq!(root_of(records), expected, "{count}");
    }
    assert_eq!(Trie::new().root(), EMPTY);
}

#[test]
fn what_is_put_replaced_and_taken_away_leaves_no_trace() {
    let mut held = trie(0..40);
    let before = held.root();
    for n in 40..80 {
        let (path, record) = record(n);
        assert_eq!(held.insert(path, record), None);
        assert_ne!(held.root(), before);
    }
    assert_eq!((held.len(), held.root()), (80, trie((0..80).rev()).root()));
    for n in 0..80 {
        let (path, record) = record(n);
        assert_eq!(
            held.insert(path, b"replaced".to_vec()),
            Some(record.clone())
        );
        assert_eq!(
            held.insert(path, record.clone()).as_deref(),
            Some(&b"replaced"[..])
        );
        assert_eq!(held.get(&path), Some(&record[..]));
    }
    for n in (40..80).rev() {
        assert_eq!(held.remove(&record(n).0), Some(record(n).1));
        assert_eq!(held.remove(&record(n).0), None);
        assert_eq!(held.root(), trie(0..n).root());
    }
    assert_eq!((held.len(), held.root()), (40, before));
}

#[test]
fn paths_that_were_ground_out_go_no_deeper_than_a_path() {
    let mut trie = Trie::new();
    let ground = |n: u8| {
        let mut path = [0xab; 32];
        path[31] = n;
        (path, vec![n])
    };
    for n in 0..=255 {
        let (path, record) = ground(n);
        trie.insert(path, record);
    }
    assert_eq!(trie.root(), root_of((0..=255).map(ground)));
    let mut nibbles = [0xa, 0xb].repeat(31);
    let almost = Prefix::new(&nibbles).expect("62 nibbles");
    assert!(matches!(trie.node(&almost), Part::Children(_)));
    nibbles.push(7);
    let sixteen = trie.node(&Prefix::new(&nibbles).expect("63 nibbles"));
    assert_eq!(
        sixteen,
        Part::Records((0x70..=0x7f).map(|n| vec![n]).collect())
    );
    nibbles.push(1);
    let whole = Prefix::new(&nibbles).expect("64 nibbles");
    assert_eq!(trie.node(&whole), Part::Records(vec![vec![0x71]]));
    assert_eq!(whole.children().count(), 0);
    for n in 0..=255 {
        assert_eq!(trie.remove(&ground(n).0), Some(vec![n]));
    }
    assert_eq!((trie.len(), trie.root()), (0, EMPTY));
}

#[test]
fn a_prefix_below_a_leaf_holds_its_records_only() {
    let trie = trie(0..10);
    for n in 0..10 {
        let (path, record) = record(n);
        let nibbles: Vec<u8> = path
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .collect();
        for len in 16..=64 {
            let prefix = Prefix::new(&nibbles[..len]).expect("nibbles");
            assert_eq!(trie.node(&prefix), Part::Records(vec![record.clone()]));
        }
    }
    let nowhere = Prefix::new(&[0; 64]).expect("nibbles");
    assert_eq!(trie.node(&nowhere), Part::Records(Vec::new()));
    assert_eq!(trie.node(&nowhere).hash(), EMPTY);
}

#[test]
fn a_part_hashes_to_what_its_parent_says() {
    let trie = trie(0..1000);
    let mut open = vec![Prefix::default()];
    assert_eq!(trie.node(&open[0]).hash(), trie.root());
    let mut records = 0;
    while let Some(prefix) = open.pop() {
        match trie.node(&prefix) {
            Part::Children(hashes) => {
                for (child, hash) in prefix.children().zip(*hashes) {
                    assert_eq!(trie.node(&child).hash(), hash);
                    open.push(child);
                }
            }
            Part::Records(below) => {
                assert!(below.len() <= RECORDS_MAX);
                records += below.len();
            }
        }
    }
    assert_eq!(records, 1000);
}

#[test]
fn prefixes_hold_nibbles_up_to_a_path() {
    let full = [15; NIBBLES_MAX];
    assert!(Prefix::new(&full).is_some());
    assert!(Prefix::new(&[0; NIBBLES_MAX + 1]).is_none());
    assert!(Prefix::new(&[16]).is_none());
    let read = |nibbles: &[u8]| {
        let mut writer = Writer::new();
        writer.bytes(nibbles);
        let bytes = writer.finish();
        Prefix::read(&mut Reader::strict(&bytes, 100)?)
    };
    assert_eq!(read(&full).ok(), Prefix::new(&full));
    assert!(read(&[0; NIBBLES_MAX + 1]).is_err());
    assert!(read(&[0, 16]).is_err());
    let mut writer = Writer::new();
    Prefix::new(&[1, 2]).expect("nibbles").write(&mut writer);
    assert_eq!(writer.finish(), [0x42, 1, 2]);
}

#[test]
fn records_of_logs_are_read_back() {
    let (_, bytes) = record(7);
    assert_eq!(bytes.len(), Frontier::LEN);
    let frontier = Frontier::from_record(&bytes).expect("a record");
    assert_eq!((frontier.size, frontier.to_record()), (7, bytes.clone()));
    assert_eq!(Frontier::from_record(&bytes[1..]), None);
    assert_eq!(Frontier::from_record(&[bytes, vec![0]].concat()), None);
    let forked = Frontier::forked(frontier.key);
    assert_eq!(forked.path(), frontier.path());
    let expected = [&frontier.key.as_bytes()[..], &[0xff; 8], &[0; 32]].concat();
    assert_eq!(forked.to_record(), expected);
}
