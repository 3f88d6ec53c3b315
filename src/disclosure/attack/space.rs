//! The tables that agree with what is published: the true counts, and the directions away from them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::cells::unseen::{Overflow, Unseen, Vector};
use super::super::cells::{Cells, Status};

/// The counts of atoms, and a basis of the directions that no published cell sees.
pub(super) struct Space {
    unseen: Unseen,
    /// The true count of each atom.
    pub counts: Vec<i64>,
    /// For each atom that can move, the directions that move it.
    movers: BTreeMap<u32, Vec<u32>>,
}

impl Space {
    /// From the published cells of all releases, the small ones first: those are equations of few atoms, and what they
    /// leave to the large ones is little.
    pub fn new(cells: &Cells) -> Result<Self, Overflow> {
        let counts = cells.atoms.iter().map(|count| i64::try_from(*count).map_err(|_| Overflow));
        let counts = counts.collect::<Result<Vec<i64>, Overflow>>()?;
        let mut unseen = Unseen::new(counts.len(), &[]);
        let mut published: Vec<_> = cells.cells.iter().filter(|cell| cell.status == Status::Published).collect();
        published.sort_by_key(|cell| cell.atoms.len());
        for cell in published {
            let effect = unseen.effect(&cell.atoms)?;
            unseen.publish(&effect)?;
        }
        let mut movers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (vector, name) in unseen.vectors().iter().zip(0_u32..) {
            for (atom, _) in vector {
                movers.entry(*atom).or_default().push(name);
            }
        }
        Ok(Space { unseen, counts, movers })
    }

    /// By how much each direction changes a cell.
    pub fn effect(&mut self, row: &[u32]) -> Result<Vector, Overflow> {
        self.unseen.effect(row)
    }

    pub fn direction(&self, vector: u32) -> &[(u32, i64)] {
        self.unseen.vectors().get(vector as usize).map_or(&[], Vec::as_slice)
    }

    pub fn count(&self, atom: u32) -> i64 {
        self.counts.get(atom as usize).copied().unwrap_or(0)
    }

    /// Up to so many directions around those of a cell, the nearest first, ascending.
    pub fn around(&self, effect: &[(u32, i64)], most: usize) -> Vec<u32> {
        let mut found: BTreeSet<u32> = BTreeSet::new();
        let mut next: VecDeque<u32> = effect.iter().map(|(vector, _)| *vector).collect();
        while let Some(vector) = next.pop_front() {
            if found.len() >= most {
                break;
            }
            if found.insert(vector) {
                let beside = self.direction(vector).iter().filter_map(|(atom, _)| self.movers.get(atom)).flatten();
                next.extend(beside.filter(|vector| !found.contains(vector)));
            }
        }
        found.into_iter().collect()
    }

    /// All directions that hang together with those of a cell, unless there are more than so many.
    pub fn near(&self, effect: &[(u32, i64)], most: usize) -> Option<Vec<u32>> {
        let all = self.around(effect, most + 1);
        (all.len() <= most).then_some(all)
    }
}
