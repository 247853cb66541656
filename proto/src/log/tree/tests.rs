use super::*;

const N: u64 = 40;

fn leaves(n: u64) -> Vec<Sha256> {
    (0..n).map(|i| leaf(&i.to_be_bytes())).collect()
}

/// The definition of RFC 6962 §2.1, word by word.
fn defined(leaves: &[Sha256]) -> Sha256 {
    match leaves {
        [] => Sha256::of(&[]),
        [one] => *one,
        more => {
            let mut k = 1;
            while 2 * k < more.len() {
                k *= 2;
            }
            node(&defined(&more[..k]), &defined(&more[k..]))
        }
    }
}

#[test]
fn roots_are_as_defined() {
    let all = leaves(N);
    let tree: Tree = all.iter().copied().collect();
    let mut edge = Edge::new();
    assert_eq!(edge.root(), empty_root());
    for n in 0..=all.len() {
        let expected = defined(&all[..n]);
        assert_eq!(root(&all[..n]), expected, "{n}");
        assert_eq!(edge.root(), expected, "{n}");
        assert_eq!(edge.size(), n as u64);
        assert_eq!(tree.root_at(n as u64), Some(expected), "{n}");
        if let Some(next) = all.get(n) {
            edge.push(*next);
        }
    }
    assert_eq!(tree.root_at(N + 1), None);
    assert_eq!(tree.root_at(u64::MAX), None);
}

/// Every way to spoil `proof` by one hash.
fn spoilt(proof: &[Sha256]) -> Vec<Vec<Sha256>> {
    let mut all = Vec::new();
    for i in 0..proof.len() {
        let mut other = proof.to_vec();
        other[i] = leaf(b"other");
        all.push(other.clone());
        other.remove(i);
        all.push(other);
    }
    for i in 0..=proof.len() {
        let mut longer = proof.to_vec();
        longer.insert(i, leaf(b"more"));
        all.push(longer);
    }
    all
}

#[test]
fn consistency_proofs_verify_and_nothing_else_does() {
    let all = leaves(N);
    for n in 1..=N {
        let of_n = &all[..usize::try_from(n).unwrap()];
        let root_n = root(of_n);
        for m in 1..=n {
            let root_m = root(&of_n[..usize::try_from(m).unwrap()]);
            let proof = consistency_proof(of_n, m).unwrap();
            assert!(proof.len() <= 7, "{m} {n}");
            assert_eq!(verify_consistency(m, &root_m, n, &root_n, &proof), Ok(()));
            for bad in spoilt(&proof) {
                assert!(verify_consistency(m, &root_m, n, &root_n, &bad).is_err());
            }
            let other = leaf(b"other");
            assert!(verify_consistency(m, &other, n, &root_n, &proof).is_err());
            assert!(verify_consistency(m, &root_m, n, &other, &proof).is_err());
        }
    }
}

#[test]
fn proofs_for_other_sizes_are_refused() {
    let all = leaves(12);
    for n in 1..=12 {
        for m in 1..=n {
            let of_n = &all[..usize::try_from(n).unwrap()];
            let root_m = root(&of_n[..usize::try_from(m).unwrap()]);
            let (root_n, proof) = (root(of_n), consistency_proof(of_n, m).unwrap());
            for (i, j) in (0..=14).flat_map(|i| (0..=14).map(move |j| (i, j))) {
                // A larger tree over the same roots is refused by the number of hashes, unless the
                // path has the same shape: then the sizes lie, which is what a signature is for.
                let verified = verify_consistency(i, &root_m, j, &root_n, &proof).is_ok();
                assert!(
                    !verified || same_shape(m, n, i, j),
                    "{m} to {n} passes as {i} to {j}"
                );
            }
        }
    }
}

/// Whether paths from `m` to `n` and from `i` to `j` turn the same way at every step.
fn same_shape(m: u64, n: u64, i: u64, j: u64) -> bool {
    fn turns(m: u64, n: u64) -> (bool, Vec<bool>) {
        let (mut start, mut end, mut turns) = (0, n, Vec::new());
        while m != end {
            let middle = start + (1 << (end - start - 1).ilog2());
            turns.push(m <= middle);
            (start, end) = if m <= middle {
                (start, middle)
            } else {
                (middle, end)
            };
        }
        (start == 0, turns)
    }
    i != 0 && i <= j && turns(m, n) == turns(i, j)
}

#[test]
fn inclusion_proofs_verify_and_nothing_else_does() {
    let all = leaves(N);
    for n in 1..=N {
        let of_n = &all[..usize::try_from(n).unwrap()];
        let root_n = root(of_n);
        for index in 0..n {
            let own = of_n[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(of_n, index).unwrap();
            assert_eq!(verify_inclusion(index, &own, n, &root_n, &proof), Ok(()));
            for bad in spoilt(&proof) {
                assert!(verify_inclusion(index, &own, n, &root_n, &bad).is_err());
            }
            for elsewhere in (0..n + 2).filter(|i| *i != index) {
                assert!(verify_inclusion(elsewhere, &own, n, &root_n, &proof).is_err());
            }
        }
        assert_eq!(inclusion_proof(of_n, n), None);
    }
}

#[test]
fn an_inner_node_cannot_pass_as_an_entry() {
    let all = leaves(2);
    let preimage = [all[0].as_bytes().as_slice(), all[1].as_bytes()].concat();
    assert_ne!(leaf(&preimage), root(&all));
    assert_ne!(leaf(&preimage), node(&all[0], &all[1]));
}

#[test]
fn an_edge_proves_what_it_was_extended_by() {
    let all = leaves(N);
    for m in 0..=all.len() {
        let mut edge = Edge::new();
        all[..m].iter().for_each(|leaf| edge.push(*leaf));
        for n in m..=all.len() {
            assert_eq!(
                edge.consistency_proof(&all[m..n]),
                consistency_proof(&all[..n], m as u64),
                "{m} {n}"
            );
        }
    }
}

#[test]
fn sizes_at_the_limit_do_not_panic() {
    let hash = leaf(b"x");
    let long = vec![hash; 200];
    for n in [0, 1, SIZE_MAX - 1, SIZE_MAX, SIZE_MAX + 1, u64::MAX] {
        for m in [0, 1, 2, 1 << 62, SIZE_MAX - 1, SIZE_MAX, u64::MAX] {
            for len in [0, 1, 62, 63, 64, 200] {
                assert!(verify_inclusion(m, &hash, n, &empty_root(), &long[..len]).is_err());
                assert!(verify_consistency(m, &hash, n, &empty_root(), &long[..len]).is_err());
            }
        }
    }
    let (same, other) = (&hash, &empty_root());
    assert_eq!(
        verify_consistency(SIZE_MAX, same, SIZE_MAX, same, &[]),
        Ok(())
    );
    let past = SIZE_MAX + 1;
    let refused = Err(Error::Size {
        part: past,
        size: past,
    });
    assert_eq!(verify_consistency(past, same, past, same, &[]), refused);
    // The last leaf of the largest tree hangs below 62 complete subtrees.
    let mut at_limit = *same;
    long[..62]
        .iter()
        .for_each(|next| at_limit = node(next, &at_limit));
    assert_eq!(
        verify_inclusion(SIZE_MAX - 1, same, SIZE_MAX, &at_limit, &long[..62]),
        Ok(())
    );
    assert!(verify_inclusion(SIZE_MAX - 1, same, SIZE_MAX, other, &long[..62]).is_err());
}

fn encoded(size: u64, hashes: &[Sha256]) -> Vec<u8> {
    let edge = Edge {
        size,
        hashes: hashes.to_vec(),
    };
    let mut writer = Writer::new();
    edge.write(&mut writer);
    writer.finish()
}

fn read(bytes: &[u8]) -> Result<Edge, bytes::Error> {
    let mut reader = Reader::strict(bytes, 4096)?;
    let edge = Edge::read(&mut reader)?;
    reader.end()?;
    Ok(edge)
}

#[test]
fn an_edge_is_written_and_read() {
    let mut edge = Edge::new();
    for leaf in leaves(N) {
        assert_eq!(read(&encoded(edge.size, &edge.hashes)), Ok(edge.clone()));
        edge.push(leaf);
    }
    let hashes = vec![leaf(b"x"); 63];
    assert!(read(&encoded(SIZE_MAX, &hashes)).is_ok());
    assert!(read(&encoded(SIZE_MAX + 1, &hashes[..1])).is_err());
    assert!(read(&encoded(3, &hashes[..1])).is_err());
    assert!(read(&encoded(3, &hashes[..3])).is_err());
}

#[test]
fn the_edge_of_a_tree_is_the_one_that_grew_with_it() {
    let (mut tree, mut edge) = (Tree::new(), Edge::new());
    for n in 0..70_u8 {
        assert_eq!(tree.edge(), edge, "{n} leaves");
        let leaf = leaf(&[n]);
        tree.push(leaf);
        edge.push(leaf);
    }
}
