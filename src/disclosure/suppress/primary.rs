//! Which cells are withheld for their own sake.

use super::super::cells::{Cell, Cells, Cube, Status, Why};
use super::{Error, Rules};

/// Marks small cells of sensitive groups, and unanimous ones. Cells of earlier releases stay as they are.
pub(super) fn mark(cells: &mut Cells, cube: &Cube, rules: &Rules) -> Result<(), Error> {
    small(cells, rules)?;
    if let Some(dimension) = &rules.unanimous_by {
        unanimous(cells, cube, dimension)?;
    }
    Ok(())
}

fn small(cells: &mut Cells, rules: &Rules) -> Result<(), Error> {
    let mut sensitive = Vec::with_capacity(rules.sensitive.len());
    for (dimension, code) in &rules.sensitive {
        let place = dimension_place(cells, dimension)?;
        if let Some(tree) = cells.trees().get(place) {
            sensitive.push((place, tree.node(code)?));
        }
    }
    let trees = cells.trees().to_vec();
    for cell in cells.cells.iter_mut().filter(|cell| !cell.is_earlier) {
        let is_sensitive = sensitive.iter().any(|(place, above)| {
            let at = trees.get(*place).zip(cell.at.get(*place));
            at.is_some_and(|(tree, node)| tree.is_over(*above, *node))
        });
        if is_sensitive && (1..rules.small_below).contains(&cell.count) {
            cell.status = Status::Suppressed(Why::Small);
        }
    }
    Ok(())
}

/// Where one of the codes below another has all its records, those codes are withheld.
fn unanimous(cells: &mut Cells, cube: &Cube, dimension: &str) -> Result<(), Error> {
    let place = dimension_place(cells, dimension)?;
    let Some(tree) = cells.trees().get(place).cloned() else { return Ok(()) };
    let siblings: Vec<Vec<u32>> = (0_u32..).take(tree.len()).map(|node| tree.children(node).collect()).collect();
    let count = |at: &[u32]| cube.sum(&cube.atoms_of(at));
    let is_unanimous = Status::Suppressed(Why::Unanimous);
    let is_open = |cell: &&mut Cell| match cell.is_earlier {
        true => cell.status == is_unanimous,
        false => cell.status == Status::Published,
    };
    for cell in cells.cells.iter_mut().filter(is_open) {
        let Some(node) = cell.at.get(place).copied() else { continue };
        let Some(parent) = tree.parent(node) else { continue };
        let Some(categories) = siblings.get(parent as usize).filter(|categories| categories.len() > 1) else {
            continue;
        };
        let of = |category: u32| {
            let mut at = cell.at.clone();
            if let Some(node) = at.get_mut(place) {
                *node = category;
            }
            count(&at)
        };
        let all = of(parent);
        if all > 0 && categories.iter().any(|category| of(*category) == all) {
            cell.status = is_unanimous;
            cell.group = Some(all);
        }
    }
    Ok(())
}

fn dimension_place(cells: &Cells, dimension: &str) -> Result<usize, Error> {
    let unknown = || Error::UnknownDimension { dimension: dimension.to_owned() };
    cells.trees().iter().position(|tree| tree.name() == dimension).ok_or_else(unknown)
}
