//! Small counts become 0 or a base: the simple alternative to withholding.
//!
//! Where a table shows a count above 0 and below the base, the smallest sets of records that make it up are each
//! rounded to 0 or to the base, and **every** cell is added up anew from them. So all tables add up, within and among
//! each other, and no count from 1 up to below the base is shown (Langsrud and Heldal 2018). Which sets are rounded up
//! is chosen so that the cells stay as near to their true counts as a greedy search finds: one by one, each time the
//! one that lessens the sum of squared differences most, then by exchanges.
//!
//! Who sees a 0 cannot tell it from a rounded one, and who sees the base neither. Unanimity is not treated.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cells::{Cells, Cube, Layout};
use super::Error;

/// Tables after rounding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rounded {
    /// For each table, its rows: codes in the order of the dimensions, and the rounded count.
    pub tables: BTreeMap<String, Vec<(Vec<String>, u64)>>,
    /// The furthest that a cell is from its true count. It may be published.
    pub difference_max: u64,
}

/// Rounds the small counts of tables to a base of 3 or more.
///
/// # Errors
///
/// A base below 3 or above 100; tables that cannot be formed.
pub fn round(cube: &Cube, layouts: &[Layout], base: u64) -> Result<Rounded, Error> {
    let step = i64::try_from(base).ok().filter(|base| (3..=100).contains(base)).ok_or(Error::Base { base })?;
    let cells = Cells::new(cube, layouts, &[])?;
    let mut table = Table::new(&cells, step);
    // Rounding may make another cell small, of which a part was large enough before.
    loop {
        let small = table.small_atoms();
        if small.is_empty() {
            break;
        }
        table.settle(&small);
    }
    let rounded = table.sums();
    let mut tables: BTreeMap<String, Vec<(Vec<String>, u64)>> = BTreeMap::new();
    for layout in cells.layouts() {
        let of_table = cells.members(&layout.table).filter_map(|place| {
            let count = u64::try_from(*rounded.get(place)?).ok()?;
            Some((cells.codes(cells.cells.get(place)?), count))
        });
        tables.insert(layout.table.clone(), of_table.collect());
    }
    let differences = cells.cells.iter().zip(&rounded).map(|(cell, now)| cell.count.abs_diff(now.unsigned_abs()));
    Ok(Rounded { tables, difference_max: differences.max().unwrap_or(0) })
}

/// Atoms under rounding, with the cells that each is part of.
struct Table<'a> {
    cells: &'a Cells,
    base: i64,
    counts: Vec<i64>,
    /// By how much each cell is now off its true count.
    off: Vec<i64>,
}

impl<'a> Table<'a> {
    fn new(cells: &'a Cells, base: i64) -> Self {
        let counts = cells.atoms.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect();
        Table { cells, base, counts, off: vec![0; cells.len()] }
    }

    fn count(&self, atom: u32) -> i64 {
        self.counts.get(atom as usize).copied().unwrap_or(0)
    }

    fn sums(&self) -> Vec<i64> {
        self.cells.cells.iter().map(|cell| cell.atoms.iter().map(|atom| self.count(*atom)).sum()).collect()
    }

    /// The small atoms of all cells that are small now.
    fn small_atoms(&self) -> Vec<u32> {
        let is_small = |count: &i64| (1..self.base).contains(count);
        let small = self.cells.cells.iter().zip(self.sums()).filter(|(_, sum)| is_small(sum));
        let atoms = small.flat_map(|(cell, _)| cell.atoms.iter().copied()).filter(|atom| is_small(&self.count(*atom)));
        atoms.collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// Rounds these atoms: all to 0, then up again where that brings the cells nearer.
    fn settle(&mut self, small: &[u32]) {
        for atom in small {
            self.shift(*atom, -self.count(*atom));
        }
        let mut up: BTreeSet<u32> = BTreeSet::new();
        // Each step lessens a sum of squares of whole numbers, so that this ends.
        loop {
            let best_up = self.best(small.iter().copied().filter(|atom| !up.contains(atom)), self.base);
            let best_down = self.best(up.iter().copied(), -self.base);
            let (by, (gain, atom)) = match (best_up, best_down) {
                (Some(raise), Some(lower)) if lower.0 > raise.0 => (-self.base, lower),
                (Some(raise), _) => (self.base, raise),
                (None, Some(lower)) => (-self.base, lower),
                (None, None) => break,
            };
            if gain <= 0 {
                break;
            }
            self.shift(atom, by);
            if !up.remove(&atom) {
                up.insert(atom);
            }
        }
    }

    /// The atom whose shift lessens the squared differences most, and by how much.
    fn best(&self, atoms: impl Iterator<Item = u32>, by: i64) -> Option<(i64, u32)> {
        atoms.map(|atom| (self.gain(atom, by), atom)).max_by_key(|(gain, atom)| (*gain, std::cmp::Reverse(*atom)))
    }

    fn gain(&self, atom: u32, by: i64) -> i64 {
        let cells = self.cells.part_of.get(atom as usize).into_iter().flatten();
        // off² − (off + by)², kept within reach by saturation: what saturates is far from a good choice anyhow.
        let gain = |off: i64| off.saturating_mul(2).saturating_add(by).saturating_mul(by).saturating_neg();
        cells.filter_map(|cell| self.off.get(*cell as usize)).fold(0_i64, |sum, off| sum.saturating_add(gain(*off)))
    }

    fn shift(&mut self, atom: u32, by: i64) {
        if let Some(count) = self.counts.get_mut(atom as usize) {
            *count = count.saturating_add(by);
        }
        for cell in self.cells.part_of.get(atom as usize).into_iter().flatten() {
            if let Some(off) = self.off.get_mut(*cell as usize) {
                *off = off.saturating_add(by);
            }
        }
    }
}
