//! An exact count for every combination of leaves.

use std::fmt;

use super::{Error, Tree, tree};

/// The most combinations of leaves.
pub const MAX_ATOMS: usize = 2_000_000;

/// Exact counts of records by all dimensions, absent combinations with 0. Private.
#[derive(Clone)]
pub struct Cube {
    trees: Vec<Tree>,
    counts: Vec<u64>,
}

impl fmt::Debug for Cube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cube({} dimensions, {} combinations)", self.trees.len(), self.counts.len())
    }
}

impl Cube {
    /// A cube in which nothing has been counted.
    ///
    /// # Errors
    ///
    /// More than [`MAX_ATOMS`] combinations of leaves.
    pub fn new(trees: Vec<Tree>) -> Result<Self, Error> {
        let sizes = trees.iter().map(|tree| tree.leaves(0).len());
        let size = sizes.clone().try_fold(1_usize, |size, leaves| size.checked_mul(leaves));
        match size {
            Some(size) if size <= MAX_ATOMS => Ok(Cube { trees, counts: vec![0; size] }),
            _ => Err(Error::TooManyAtoms),
        }
    }

    /// Counts records at a combination of leaves, one code for each dimension.
    ///
    /// # Errors
    ///
    /// A code that is no leaf of its dimension.
    pub fn add(&mut self, at: &[&str], count: u64) -> Result<(), Error> {
        if at.len() != self.trees.len() {
            return Err(Error::Width { dimensions: self.trees.len(), codes: at.len() });
        }
        let mut index = 0;
        for (tree, code) in self.trees.iter().zip(at) {
            index = index * tree.leaves(0).len() + tree.leaf(code)? as usize;
        }
        if let Some(counted) = self.counts.get_mut(index) {
            *counted = counted.checked_add(count).filter(|sum| *sum < COUNT_MAX).ok_or(Error::TooManyRecords)?;
        }
        Ok(())
    }

    /// The dimensions.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How many combinations of leaves there are.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The combinations of leaves below a node of each tree, ascending.
    pub(in super::super) fn atoms_of(&self, at: &[u32]) -> Vec<u32> {
        let mut atoms = vec![0_u32];
        for (tree, node) in self.trees.iter().zip(at) {
            // The product of all sizes is at most MAX_ATOMS.
            let width = u32::try_from(tree.leaves(0).len()).unwrap_or(u32::MAX);
            let leaves = tree.leaves(*node);
            atoms = atoms.iter().flat_map(|atom| leaves.iter().map(move |leaf| atom * width + leaf)).collect();
        }
        atoms
    }

    pub(in super::super) fn sum(&self, atoms: &[u32]) -> u64 {
        // MAX_ATOMS counts, each under COUNT_MAX, do not overflow.
        atoms.iter().filter_map(|atom| self.counts.get(*atom as usize)).sum()
    }

    pub(super) fn place(&self, codes: &[String]) -> Result<Vec<u32>, Error> {
        tree::place(&self.trees, codes)
    }
}

/// Above any number of records; sums of [`MAX_ATOMS`] counts stay within 64 bits with a sign.
const COUNT_MAX: u64 = 1 << 40;
