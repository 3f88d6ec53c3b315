//! What witnesses prove: other tables of counts that give the same published cells.

use std::collections::BTreeMap;

use super::super::cells::{Cells, Status};

/// For each withheld cell, how far below and above its true count proven tables reach.
pub(in super::super) struct Known {
    reach: Vec<(i64, i64)>,
}

impl Known {
    /// Nothing but the true counts, and the tables that come with the cells.
    pub fn new(cells: &Cells) -> Self {
        let mut known = Known { reach: vec![(0, 0); cells.len()] };
        for other in &cells.others {
            known.learn(cells, other);
        }
        known
    }

    /// Proves that counts which differ from the true ones by this are a table of the same published cells, and keeps
    /// how far they reach. False when they are not.
    pub fn learn(&mut self, cells: &Cells, difference: &[(u32, i64)]) -> bool {
        let mut change: BTreeMap<u32, i64> = BTreeMap::new();
        for (atom, by) in difference {
            let (Some(count), Some(of)) = (cells.atoms.get(*atom as usize), cells.part_of.get(*atom as usize)) else {
                return false;
            };
            if i64::try_from(*count).ok().and_then(|count| count.checked_add(*by)).is_none_or(|count| count < 0) {
                return false;
            }
            for cell in of {
                let sum = change.entry(*cell).or_insert(0);
                let Some(more) = sum.checked_add(*by) else { return false };
                *sum = more;
            }
        }
        change.retain(|_, by| *by != 0);
        let status = |cell: &u32| cells.cells.get(*cell as usize).map(|cell| cell.status);
        if change.keys().any(|cell| status(cell) == Some(Status::Published)) {
            return false;
        }
        for (cell, by) in change {
            if let Some((low, high)) = self.reach.get_mut(cell as usize) {
                *low = (*low).min(by);
                *high = (*high).max(by);
            }
        }
        true
    }

    /// How far apart the proven values of a cell lie.
    pub fn width(&self, cell: usize) -> i64 {
        self.reach.get(cell).map_or(0, |(low, high)| high.saturating_sub(*low))
    }

    /// How far above its true count a cell reaches.
    pub fn high(&self, cell: usize) -> i64 {
        self.reach.get(cell).map_or(0, |(_, high)| *high)
    }
}
