//! One signature for many messages: a Merkle tree over them, as RFC 9162 section 2.1 has it (SHA-256,
//! leaves and nodes told apart by a prefix), and the proof that a message is one of its leaves.

use sha2::{Digest as _, Sha256};

/// The length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256.
pub type Hash = [u8; HASH_BYTES];

/// The hash of a leaf.
#[must_use]
pub fn leaf(message: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(message).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over these leaves, and for each leaf the hashes that lead from it to the root. At least
/// one leaf.
#[must_use]
pub fn tree(leaves: &[Hash]) -> (Hash, Vec<Vec<Hash>>) {
    match leaves {
        [] => (Sha256::digest([]).into(), Vec::new()),
        [only] => (*only, vec![Vec::new()]),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            let ((left, mut paths), (right, right_paths)) = (tree(left), tree(right));
            paths.iter_mut().for_each(|path| path.push(right));
            paths.extend(right_paths.into_iter().map(|mut path| {
                path.push(left);
                path
            }));
            (node(&left, &right), paths)
        }
    }
}

/// The largest power of two below `size`, which is at least two.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// The root of a tree of `size` leaves in which that leaf stands at `index`, when that path leads to
/// it; `None` for a path that is none of such a tree.
#[must_use]
pub fn root(leaf: &Hash, index: u32, size: u32, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at / 2, last / 2);
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(size: usize) -> Vec<Hash> {
        (0..size).map(|number| leaf(&[u8::try_from(number).unwrap()])).collect()
    }

    #[test]
    fn every_leaf_of_a_tree_of_any_size_leads_to_its_root_and_no_other_place_does() {
        for size in 1..=16_u32 {
            let leaves = leaves(size as usize);
            let (top, paths) = tree(&leaves);
            for (index, path) in (0..).zip(&paths) {
                assert!(path.len() <= 4);
                let own = &leaves[index as usize];
                assert_eq!(root(own, index, size, path), Some(top), "{index} of {size}");
                for other in (0..size).filter(|other| *other != index) {
                    assert_ne!(root(own, other, size, path), Some(top), "{index} as {other} of {size}");
                }
                assert_eq!(root(own, size, size, path), None);
                assert_ne!(root(&leaf(b"other"), index, size, path), Some(top));
                if let Some((_, shorter)) = path.split_last() {
                    assert_ne!(root(own, index, size, shorter), Some(top));
                }
                let longer = [&path[..], &[top]].concat();
                assert_ne!(root(own, index, size, &longer), Some(top));
            }
        }
    }

    /// The test vectors of RFC 6962's reference implementation.
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let entries: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let leaves: Vec<Hash> = entries.into_iter().map(leaf).collect();
        let roots = [
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ];
        for (size, expected) in roots {
            assert_eq!(hex(tree(&leaves[..size]).0), expected, "{size}");
        }
    }
}
