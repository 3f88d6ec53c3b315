//! Withholding more, until the attacker's bounds are wide enough.

use super::super::attack::{self, Effort};
use super::super::cells::{Cell, Cells, Cube, Earlier, Layout, Status, Why};
use super::exchange::{Exchange, Exchanges};
use super::{Error, Rules, eliminate, marked};

/// The most rounds of attack and repair. Each withholds at least one more cell; a table that needs more rounds than
/// this is mostly withheld, and should be published by wider groups.
const ROUNDS_MAX: usize = 60;

/// Decides about every cell so that the attacker finds each withheld one bounded as widely as the rules ask.
///
/// Two ways are gone, and the one that withholds less is taken: elimination with repairs, which is better where cells
/// hang together by few equations; and exchanges for every primary cell, with all else published, which is better where
/// the directions that elimination leaves are long and run into counts of 0.
///
/// # Errors
///
/// As [`super::suppress`]; and when no further cell can be withheld although some bounds are too narrow.
pub fn protect(cube: &Cube, layouts: &[Layout], earlier: &[Earlier], rules: &Rules) -> Result<Cells, Error> {
    let exchanged = marked(cube, layouts, earlier, rules)?;
    let mut eliminated = exchanged.clone();
    eliminate(&mut eliminated, rules)?;
    let exchanged = widen(exchanged, rules, None);
    // Repairs are worth while as long as they withhold less than is known to be enough.
    let most = exchanged.as_ref().map_or(usize::MAX, Cells::suppressed);
    match widen(eliminated, rules, Some(most)) {
        Ok(eliminated) if eliminated.suppressed() <= most => Ok(eliminated),
        repaired => exchanged.or(repaired),
    }
}

/// Withholds more cells until none is bounded too narrowly. After an elimination, no more than `most`.
fn widen(mut cells: Cells, rules: &Rules, most: Option<usize>) -> Result<Cells, Error> {
    let exchanges = Exchanges::new(cells.trees());
    for round in 0..ROUNDS_MAX {
        let (narrow, mut known) = if round == 0 && most.is_none() {
            // Almost everything is still published, and almost nothing can move: there is nothing to be found.
            let known = attack::Known::new(&cells);
            (attack::unproved(&cells, &known, rules.interval_min), known)
        } else {
            attack::narrow(&mut cells, rules.interval_min, Effort::Little)
        };
        let Some((first, _)) = narrow.first().copied() else { return Ok(cells) };
        let before = cells.suppressed();
        if most.is_some_and(|most| before > most) {
            return Err(too_narrow(&cells, narrow.len(), first));
        }
        for (place, need) in &narrow {
            let Ok(need) = i64::try_from(*need) else { continue };
            let Some(cell) = cells.cells.get(*place) else { continue };
            // An exchange for another cell may have settled this one.
            if known.width(*place) >= need {
                continue;
            }
            match exchanges.best(&cells, cell, need) {
                Some(exchange) => apply(&mut cells, &mut known, &exchange),
                None => {
                    if let Some(more) = neighbour(&cells, *place, need.unsigned_abs()) {
                        withhold(&mut cells, more);
                    }
                }
            }
        }
        if cells.suppressed() == before && !attack::unproved(&cells, &known, rules.interval_min).is_empty() {
            stuck(&mut cells, rules, &narrow).ok_or_else(|| too_narrow(&cells, narrow.len(), first))?;
        }
    }
    Err(Error::TooNarrow { cells: cells.suppressed(), first: format!("after {ROUNDS_MAX} rounds") })
}

/// Withholds a neighbour of every cell for which exchanges change nothing any more. None when there is none.
fn stuck(cells: &mut Cells, rules: &Rules, narrow: &[(usize, u64)]) -> Option<()> {
    let more: Vec<usize> = narrow.iter().filter_map(|(place, need)| neighbour(cells, *place, *need)).collect();
    if more.is_empty() {
        // The last word is the whole effort.
        let (still, _) = attack::narrow(cells, rules.interval_min, Effort::Full);
        return still.is_empty().then_some(());
    }
    for place in more {
        withhold(cells, place);
    }
    Some(())
}

fn apply(cells: &mut Cells, known: &mut attack::Known, exchange: &Exchange) {
    for place in &exchange.changed {
        withhold(cells, *place);
    }
    for steps in [exchange.up, -exchange.down].into_iter().filter(|steps| *steps != 0) {
        let table: Vec<(u32, i64)> = exchange.direction.iter().map(|(atom, by)| (*atom, by * steps)).collect();
        if known.learn(cells, &table) {
            cells.others.push(table);
        }
    }
}

fn withhold(cells: &mut Cells, place: usize) {
    if let Some(cell) = cells.cells.get_mut(place).filter(|cell| can_be_withheld(cell)) {
        cell.status = Status::Suppressed(Why::Secondary);
    }
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
