//! A map that is made once and then only read.
//!
//! The node of a tree has room for eleven items, also where one stands in it. A view has a map for
//! the releases of each package, for the claims of each release and for the keys of each claim, and
//! most of them have one: ten thousand packages would take forty megabytes of empty places.

use std::borrow::Borrow;
use std::ops::Index;

/// Keys in order, each once, with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted<K, V>(Box<[(K, V)]>);

impl<K, V> Sorted<K, V> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_slice(&self) -> &[(K, V)] {
        &self.0
    }

    pub fn iter(&self) -> Iter<'_, K, V> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.0.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Sorted<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.0.binary_search_by(|(it, _)| it.borrow().cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

/// Items by reference, in the order of their keys.
pub type Iter<'a, K, V> =
    std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

/// Of a key that comes twice the last value counts.
impl<K: Ord, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut items: Vec<(K, V)> = items.into_iter().collect();
        // Stable: what came last of one key stands last.
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        items.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(items.into())
    }
}

impl<'a, K, V> IntoIterator for &'a Sorted<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for Sorted<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key)
            .expect("whoever indexes knows that it is there")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_map_of_the_same_items(items: Vec<(u8, u16)>) {
            let tree: BTreeMap<u8, u16> = items.iter().copied().collect();
            let sorted: Sorted<u8, u16> = items.into_iter().collect();
            prop_assert!(sorted.iter().eq(tree.iter()));
            prop_assert!(sorted.iter().rev().eq(tree.iter().rev()));
            prop_assert!(sorted.keys().eq(tree.keys()) && sorted.values().eq(tree.values()));
            prop_assert_eq!((sorted.len(), sorted.is_empty()), (tree.len(), tree.is_empty()));
            for key in 0..=u8::MAX {
                prop_assert_eq!(sorted.get(&key), tree.get(&key));
                prop_assert_eq!(sorted.contains_key(&key), tree.contains_key(&key));
            }
        }
    }
}
