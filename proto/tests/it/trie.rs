//! The frontier trie: what the hash depends on, what comparing costs, and golden roots.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value, json};
use skep_proto::hash::Sha256;
use skep_proto::key::Key;
use skep_proto::log::tree::leaf;
use skep_proto::sync::trie::{Frontier, Part, Path, Prefix, Trie, root_of, view_record};

use crate::golden;

fn frontier(n: u64, size: u64) -> Frontier {
    Frontier {
        key: Key::ed25519(Sha256::of(&[&n.to_be_bytes()]).as_bytes()),
        size,
        root: leaf(&size.to_be_bytes()),
    }
}

fn record(n: u64, size: u64) -> (Path, Vec<u8>) {
    let frontier = frontier(n, size);
    (frontier.path(), frontier.to_record())
}

fn trie(records: impl IntoIterator<Item = (Path, Vec<u8>)>) -> Trie {
    let mut trie = Trie::new();
    for (path, record) in records {
        trie.insert(path, record);
    }
    trie
}

/// The paths at which two tries differ, found as two nodes find them: level by level, asking only
/// about children whose hashes differ. Counts the rounds and the prefixes asked about.
fn compare(mine: &Trie, theirs: &Trie) -> (BTreeSet<Vec<u8>>, usize, usize) {
    let (mut differ, mut rounds, mut asked) = (BTreeSet::new(), 0, 0);
    let mut open = vec![Prefix::default()];
    if mine.root() == theirs.root() {
        return (differ, rounds, asked);
    }
    while !open.is_empty() {
        rounds += 1;
        asked += open.len();
        let mut next = Vec::new();
        for prefix in open {
            match theirs.node(&prefix) {
                Part::Children(hashes) => next.extend(mine.differing(&prefix, &hashes)),
                Part::Records(theirs) => {
                    let theirs: BTreeSet<Vec<u8>> = theirs.into_iter().collect();
                    let mine = below(mine, &prefix);
                    differ.extend(mine.symmetric_difference(&theirs).cloned());
                }
            }
        }
        open = next;
    }
    (differ, rounds, asked)
}

/// All records below a prefix.
fn below(trie: &Trie, prefix: &Prefix) -> BTreeSet<Vec<u8>> {
    match trie.node(prefix) {
        Part::Records(records) => records.into_iter().collect(),
        Part::Children(_) => prefix
            .children()
            .flat_map(|child| below(trie, &child))
            .collect(),
    }
}

proptest! {
    /// Insertions, replacements and removals in any order leave what their outcome alone says.
    #[test]
    fn history_leaves_no_trace(
        steps in prop::collection::vec((0..60u64, any::<Option<u8>>()), 0..200)
    ) {
        let (mut held, mut model) = (Trie::new(), BTreeMap::new());
        for (at, (n, change)) in steps.into_iter().enumerate() {
            let before = match change {
                Some(size) => {
                    let (path, bytes) = record(n, size.into());
                    model.insert(path, bytes.clone());
                    held.insert(path, bytes)
                }
                None => {
                    let (path, _) = record(n, 0);
                    model.remove(&path);
                    held.remove(&path)
                }
            };
            prop_assert!(before.is_none() || before.map(|b| b.len()) == Some(Frontier::LEN));
            if at % 16 == 0 {
                prop_assert_eq!(held.root(), root_of(model.clone()));
            }
        }
        prop_assert_eq!(held.len(), model.len());
        prop_assert_eq!(held.root(), root_of(model.clone()));
        prop_assert_eq!(held.root(), trie(model.into_iter().rev()).root());
    }

    /// Equal roots if and only if equal sets; and the walk finds exactly what differs.
    #[test]
    fn comparing_finds_exactly_what_differs(
        common in prop::collection::btree_set(0..2_000u64, 0..200),
        mine in prop::collection::btree_map(0..2_000u64, 0..3u64, 0..40),
        theirs in prop::collection::btree_map(0..2_000u64, 0..3u64, 0..40),
    ) {
        let side = |own: &BTreeMap<u64, u64>| {
            let mut logs: BTreeMap<u64, u64> = common.iter().map(|n| (*n, 9)).collect();
            logs.extend(own.iter().map(|(n, size)| (*n, *size)));
            logs.into_iter().map(|(n, size)| record(n, size)).collect::<BTreeMap<_, _>>()
        };
        let (mine, theirs) = (side(&mine), side(&theirs));
        let of = |side: &BTreeMap<Path, Vec<u8>>| side.values().cloned().collect::<BTreeSet<_>>();
        let expected: BTreeSet<_> =
            of(&mine).symmetric_difference(&of(&theirs)).cloned().collect();
        let (mine, theirs) = (trie(mine), trie(theirs));
        prop_assert_eq!(mine.root() == theirs.root(), expected.is_empty());
        prop_assert_eq!(compare(&mine, &theirs).0, expected.clone());
        prop_assert_eq!(compare(&theirs, &mine).0, expected);
    }
}

#[test]
fn comparing_costs_what_differs_not_what_is_held() {
    let mut mine = trie((0..20_000).map(|n| record(n, 1)));
    let theirs = mine.clone();
    assert_eq!(compare(&mine, &theirs), (BTreeSet::new(), 0, 0));
    let (path, bytes) = record(7, 2);
    mine.insert(path, bytes);
    let (differ, rounds, asked) = compare(&mine, &theirs);
    assert_eq!(differ.len(), 2);
    assert!(
        rounds <= 5 && asked <= 5,
        "{rounds} rounds, {asked} prefixes"
    );
}

#[test]
fn golden_roots() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let frontiers = [0, 1, 2, 16, 17, 40].map(|count| {
        let mut records: Vec<_> = (0..count).map(|n| record(n, n + 1)).collect();
        if let Some(last) = records.last_mut() {
            let forked = Frontier::forked(frontier(count - 1, 0).key);
            *last = (forked.path(), forked.to_record());
        }
        let listed: Vec<Value> = records
            .iter()
            .map(|(_, record)| json!(hex(record)))
            .collect();
        json!({ "records": listed, "root": root_of(records).to_string() })
    });
    // As many records of a view: the key is CBOR `[1, "name N"]`, the record `[N]`.
    let views = [1u8, 16, 17].map(|count| {
        let pair = |n: u8| {
            let name = format!("name {n:02}");
            let key = [&[0x82, 0x01, 0x67], name.as_bytes()].concat();
            (key, vec![0x81, n])
        };
        let pairs: Vec<_> = (0..count).map(pair).collect();
        let root = root_of(pairs.iter().map(|(key, record)| view_record(key, record)));
        let listed = pairs
            .iter()
            .map(|(key, record)| json!([hex(key), hex(record)]));
        json!({ "records": listed.collect::<Vec<_>>(), "root": root.to_string() })
    });
    golden::check(
        "trie.json",
        &json!({ "frontier": frontiers, "view": views }),
    );
}
