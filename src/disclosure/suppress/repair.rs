//! Withholding more, until the attacker's bounds are wide enough.

use std::collections::BTreeSet;

use super::super::attack;
use super::super::cells::{Cell, Cells, Cube, Earlier, Layout, Status, Why};
use super::{Error, Rules, eliminate, marked};

/// The most rounds of attack and repair. Each withholds at least one more cell; a table that needs more rounds than
/// this is mostly withheld, and should be published by wider groups.
const ROUNDS_MAX: usize = 100;

/// Decides about every cell so that the attacker finds each withheld one bounded as widely as the rules ask.
///
/// # Errors
///
/// As [`super::suppress`]; and when no further cell can be withheld although some bounds are too narrow.
pub fn protect(cube: &Cube, layouts: &[Layout], earlier: &[Earlier], rules: &Rules) -> Result<Cells, Error> {
    let open = marked(cube, layouts, earlier, rules)?;
    let mut withheld: BTreeSet<usize> = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let mut cells = open.clone();
        for place in &withheld {
            if let Some(cell) = cells.cells.get_mut(*place).filter(|cell| cell.status == Status::Published) {
                cell.status = Status::Suppressed(Why::Secondary);
            }
        }
        eliminate(&mut cells, rules)?;
        let narrow = attack::narrow(&cells, rules.interval_min);
        let Some((first, _)) = narrow.first() else { return Ok(cells) };
        let more: BTreeSet<usize> =
            narrow.iter().filter_map(|(place, need)| neighbour(&cells, *place, *need)).collect();
        let before = withheld.len();
        withheld.extend(more);
        if withheld.len() == before {
            return Err(too_narrow(&cells, narrow.len(), *first));
        }
    }
    Err(Error::TooNarrow { cells: 0, first: format!("after {ROUNDS_MAX} rounds") })
}

fn too_narrow(cells: &Cells, count: usize, first: usize) -> Error {
    let first = cells.cells.get(first).map(|cell| cells.codes(cell).join(" ")).unwrap_or_default();
    Error::TooNarrow { cells: count, first }
}

/// A published cell to withhold beside a withheld one whose bounds are too narrow: in the tightest of the sums that it
/// is part of, the smallest part that counts something, or else the sum itself.
fn neighbour(cells: &Cells, narrow: usize, need: u64) -> Option<usize> {
    let cell = cells.cells.get(narrow)?;
    let mut families: Vec<Family> = (0..cell.at.len()).filter_map(|axis| family(cells, cell, axis)).collect();
    // The sum over what is withheld bounds each part: the smallest is the tightest.
    families.sort_by_key(|family| (family.withheld, family.parent));
    let tight = families.iter().filter(|family| family.withheld < need.saturating_mul(2)).count().max(1);
    let near = families.iter().take(tight).find_map(|family| family.smallest.or(family.parent));
    near.or_else(|| families.iter().find_map(|family| family.smallest.or(family.parent)))
        .or_else(|| beside(cells, cell))
}

/// A sum that a cell is part of, along one dimension.
struct Family {
    /// The sum over the withheld parts.
    withheld: u64,
    /// The smallest published part that counts something and can be withheld.
    smallest: Option<usize>,
    /// The sum itself, if it is published and can be withheld.
    parent: Option<usize>,
}

fn can_be_withheld(cell: &Cell) -> bool {
    cell.status == Status::Published && !cell.is_earlier
}

fn family(cells: &Cells, cell: &Cell, axis: usize) -> Option<Family> {
    let (tree, node) = (cells.trees().get(axis)?, *cell.at.get(axis)?);
    let above = tree.parent(node)?;
    let at = |node: u32| {
        let mut at = cell.at.clone();
        *at.get_mut(axis)? = node;
        let place = cells.find(&at)?;
        Some((place, cells.cells.get(place)?))
    };
    // A sum that no table shows bounds nothing.
    let (parent, sum) = at(above).filter(|(_, sum)| sum.status == Status::Published)?;
    let parts: Vec<(usize, &Cell)> = tree.children(above).filter_map(at).collect();
    let withheld = parts.iter().filter(|(_, part)| part.status != Status::Published).map(|(_, part)| part.count).sum();
    let open = parts.iter().filter(|(_, part)| can_be_withheld(part) && part.count > 0);
    let smallest = open.min_by_key(|(place, part)| (part.count, *place)).map(|(place, _)| *place);
    Some(Family { withheld, smallest, parent: can_be_withheld(sum).then_some(parent) })
}

/// The smallest published cell that shares records with this one.
fn beside(cells: &Cells, cell: &Cell) -> Option<usize> {
    let shares = |other: &Cell| other.atoms.iter().any(|atom| cell.atoms.binary_search(atom).is_ok());
    let open = cells.cells.iter().enumerate().filter(|(_, other)| can_be_withheld(other) && shares(other));
    open.min_by_key(|(place, other)| (other.count == 0, other.count, *place)).map(|(place, _)| place)
}
