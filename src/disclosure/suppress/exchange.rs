//! Exchanges: moving records between a few combinations of codes so that few cells change.
//!
//! An exchange takes a record from `a` to `b` along every dimension at once, with signs: in two dimensions one more at
//! `(a₁, a₂)` and `(b₁, b₂)`, one less at `(a₁, b₂)` and `(b₁, a₂)`. A cell changes only if in each of these dimensions
//! it holds exactly one of the two codes; every total over both stays. So whoever withholds the cells that change leaves
//! the exchange open, and the withheld cell can be anything that the counts at the corners allow (the hypercube method:
//! Giessing and Repsilber 2002).

use super::super::cells::unseen::Vector;
use super::super::cells::{Cell, Cells, Status, Tree};

/// An exchange, and what it costs.
pub(super) struct Exchange {
    /// By how much each atom changes in one step.
    pub direction: Vector,
    /// The most steps forward, with every count staying above 0 or at it; no more than asked for.
    pub up: i64,
    /// The most steps backward.
    pub down: i64,
    /// Published cells that change.
    pub changed: Vec<usize>,
    cost: u64,
}

/// The leaves of each dimension, with all codes that hold each.
pub(super) struct Exchanges {
    /// For each dimension and leaf, the nodes from the leaf up to the total.
    chains: Vec<Vec<Vec<u32>>>,
}

/// The most exchanges that are looked at for one cell, near ones and far ones.
const TRIED_MAX: usize = 4000;

/// One dimension of an exchange: a leaf inside of the cell, and one outside of it; none for a dimension that stays.
#[derive(Debug, Clone, Copy)]
struct Side {
    from: u32,
    to: Option<u32>,
}

impl Exchanges {
    pub fn new(trees: &[Tree]) -> Self {
        let chain = |tree: &Tree, leaf: u32| -> Vec<u32> {
            std::iter::successors(Some(leaf), |node| tree.parent(*node)).collect()
        };
        let chains = trees.iter().map(|tree| tree.leaf_nodes().into_iter().map(|leaf| chain(tree, leaf)).collect());
        Exchanges { chains: chains.collect() }
    }

    /// The exchange that changes a cell by as much as is needed, if there is one, and withholds the least; or the one
    /// that changes it most.
    pub fn best(&self, cells: &Cells, cell: &Cell, need: i64) -> Option<Exchange> {
        let near = self.best_of(cells, cell, need, true);
        let is_enough = |found: &Exchange| found.up + found.down >= need;
        if near.as_ref().is_some_and(is_enough) {
            return near;
        }
        let far = self.best_of(cells, cell, need, false);
        match (near, far) {
            (Some(near), Some(far)) if !is_enough(&far) && near.up + near.down >= far.up + far.down => Some(near),
            (near, far) => far.or(near),
        }
    }

    fn best_of(&self, cells: &Cells, cell: &Cell, need: i64, is_near: bool) -> Option<Exchange> {
        let sides: Vec<Vec<Side>> = sides(cells.trees(), cell, is_near);
        // The cap is shared out by dimension; what is cut off are the codes last in their lists.
        let each = (1..).take_while(|each: &usize| each.pow(4) <= TRIED_MAX).last().unwrap_or(1);
        let wide = sides.iter().filter(|sides| sides.len() > each).count().max(1);
        let narrow: usize = sides.iter().map(Vec::len).filter(|len| *len <= each).fold(1, usize::saturating_mul);
        let most = (1..=TRIED_MAX)
            .take_while(|most| {
                most.checked_pow(u32::try_from(wide).unwrap_or(4))
                    .is_some_and(|n| n.saturating_mul(narrow) <= TRIED_MAX)
            })
            .last()
            .unwrap_or(1)
            .max(each);
        let mut all: Vec<Vec<Side>> = vec![Vec::new()];
        for sides in &sides {
            let longer = |chosen: &Vec<Side>| {
                let chosen = chosen.clone();
                sides.iter().take(most).map(move |side| chosen.iter().copied().chain([*side]).collect::<Vec<Side>>())
            };
            all = all.iter().flat_map(longer).take(TRIED_MAX).collect();
        }
        let found = all.iter().filter_map(|sides| self.exchange(cells, sides, need));
        found.min_by_key(|found| {
            let width = (found.up + found.down).min(need);
            (std::cmp::Reverse(width), found.cost)
        })
    }

    fn exchange(&self, cells: &Cells, sides: &[Side], need: i64) -> Option<Exchange> {
        let direction = self.corners(cells, sides);
        let steps = |sense: i64| {
            direction.iter().fold(need, |steps, (atom, by)| {
                let count = cells.atoms.get(*atom as usize).and_then(|count| i64::try_from(*count).ok()).unwrap_or(0);
                let falls = -by * sense;
                if falls > 0 { steps.min(count / falls) } else { steps }
            })
        };
        let (up, down) = (steps(1), steps(-1));
        if direction.is_empty() || up + down == 0 {
            return None;
        }
        let mut cost = 0;
        let mut changed = Vec::new();
        for place in self.changed(cells, sides) {
            let cell = cells.cells.get(place)?;
            if cell.status == Status::Published {
                // What is out cannot be withheld.
                if cell.is_earlier {
                    return None;
                }
                cost += price(cells, cell);
                changed.push(place);
            }
        }
        Some(Exchange { direction, up, down, changed, cost })
    }

    /// The atoms at the corners, with their signs.
    fn corners(&self, cells: &Cells, sides: &[Side]) -> Vector {
        let mut corners: Vec<(usize, i64)> = vec![(0, 1)];
        for (side, chains) in sides.iter().zip(&self.chains) {
            let at = |index: usize, leaf: u32| index * chains.len() + leaf as usize;
            corners = corners
                .iter()
                .flat_map(|(index, sign)| {
                    let to = side.to.map(|to| (at(*index, to), -sign));
                    [Some((at(*index, side.from), *sign)), to].into_iter().flatten()
                })
                .collect();
        }
        let atom = |(index, sign): (usize, i64)| Some((*cells.atom_of.get(index)?.as_ref()?, sign));
        let mut direction: Vector = corners.into_iter().filter_map(atom).collect();
        direction.sort_unstable();
        // Corners that no cell tells apart are one atom.
        direction.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 += next.1;
            }
            is_same
        });
        direction.retain(|(_, by)| *by != 0);
        direction
    }

    /// The cells that change: those that hold exactly one end of each side.
    fn changed(&self, cells: &Cells, sides: &[Side]) -> Vec<usize> {
        let mut all: Vec<Vec<u32>> = vec![Vec::with_capacity(sides.len())];
        for (side, chains) in sides.iter().zip(&self.chains) {
            let chain = |leaf: u32| chains.get(leaf as usize).map_or(&[][..], Vec::as_slice);
            let (from, to) = (chain(side.from), side.to.map(chain).unwrap_or_default());
            let one = from.iter().filter(|node| !to.contains(node));
            let other = to.iter().filter(|node| !from.contains(node));
            let nodes: Vec<u32> = one.chain(other).copied().collect();
            let longer = |at: Vec<u32>| {
                let nodes = nodes.clone();
                nodes.into_iter().map(move |node| at.iter().copied().chain([node]).collect::<Vec<u32>>())
            };
            all = all.into_iter().flat_map(longer).collect();
        }
        all.iter().filter_map(|at| cells.find(at)).collect()
    }
}

/// What withholding a cell costs: each one something, wide ones and large ones more.
fn price(cells: &Cells, cell: &Cell) -> u64 {
    let depth: u32 = cells.trees().iter().zip(&cell.at).map(|(tree, node)| tree.depth(*node)).sum();
    100 + 200_u64.saturating_sub(20 * u64::from(depth)) + u64::from(cell.count.checked_ilog2().unwrap_or(0))
}

/// For each dimension, the pairs of leaves between which to exchange. A dimension at whose total the cell stands stays.
fn sides(trees: &[Tree], cell: &Cell, is_near: bool) -> Vec<Vec<Side>> {
    let of = |(tree, node): (&Tree, &u32)| -> Vec<Side> {
        let inside = tree.leaves(*node);
        let Some(parent) = tree.parent(*node) else {
            return inside.iter().map(|leaf| Side { from: *leaf, to: None }).collect();
        };
        let around = if is_near { parent } else { 0 };
        let outside = tree.leaves(around).iter().filter(|leaf| !inside.contains(leaf));
        outside.flat_map(|to| inside.iter().map(|from| Side { from: *from, to: Some(*to) })).collect()
    };
    trees.iter().zip(&cell.at).map(of).collect()
}
