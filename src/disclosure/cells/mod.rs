//! Exact counts as cells of linked, hierarchical tables, and what has been decided about each.
//!
//! Everything is one **cube**: dimensions that are trees of codes (province → commune, procedure → group, year →
//! quarter → month), and an exact count for every combination of their leaves. A table is a [`Layout`]: which nodes of
//! which dimensions it shows; dimensions that it does not name stand at their total. Two tables, or two releases, that
//! show the same coordinates show the same cell. Whatever links tables is a dimension, too: earlier months are leaves
//! of the period, and a preliminary and a final edition are a tree `all → early, late`, of which the preliminary shows
//! `early` and the final `all`.
//!
//! Counts are private until an engine has decided; nothing here prints one. This part knows no rule, no engine, no row.

mod cube;
mod error;
mod layout;
mod tree;
pub(super) mod unseen;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use cube::{Cube, MAX_ATOMS};
pub use error::Error;
pub use layout::{Axis, Layout};
pub use tree::Tree;

/// The most cells that are decided together.
pub const MAX_CELLS: usize = 1_000_000;

/// Why a cell is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It counts few records of a sensitive group.
    Small,
    /// It would tell that all records of a group are of one category.
    Unanimous,
    /// It would let a small or a unanimous cell be computed.
    Secondary,
}

impl Why {
    /// Whether the cell is withheld for its own sake: its value must not be found.
    pub fn is_primary(self) -> bool {
        self != Why::Secondary
    }
}

/// What has been decided about a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its count is published.
    Published,
    /// Its count is withheld. A reader sees that it is, never why.
    Suppressed(Why),
}

/// A cell of an earlier release, as the ledger keeps it: codes in the order of the cube's dimensions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// A code for each dimension.
    pub at: Vec<String>,
    /// What was decided then.
    pub status: Status,
    /// What was published then; nothing for a suppressed cell.
    pub count: Option<u64>,
}

impl fmt::Debug for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Earlier({})", self.at.join(" "))
    }
}

/// A cell: its coordinates, its exact count, its status.
#[derive(Clone)]
pub struct Cell {
    /// A node of each tree, by its place.
    pub(super) at: Vec<u32>,
    /// The atoms that it adds up, ascending.
    pub(super) atoms: Vec<u32>,
    pub(super) count: u64,
    pub(super) status: Status,
    /// Decided by an earlier release, or follows from what is out: it is not decided again.
    pub(super) is_earlier: bool,
    /// For a unanimous cell, how many records its group has: its bounds cannot lie further apart.
    pub(super) group: Option<u64>,
}

/// The cells of linked tables, with earlier releases, each with its status. Exact, and so private.
///
/// Atoms are the smallest sets of records that any cell tells apart.
#[derive(Clone)]
pub struct Cells {
    trees: Vec<Tree>,
    pub(super) cells: Vec<Cell>,
    tables: Vec<(Layout, Vec<usize>)>,
    /// The exact count of each atom.
    pub(super) atoms: Vec<u64>,
    /// For each atom, the cells that add it up, ascending.
    pub(super) part_of: Vec<Vec<u32>>,
    /// For each combination of leaves, its atom, if any cell adds it up.
    pub(super) atom_of: Vec<Option<u32>>,
    /// Differences to other tables of counts that give the same published cells, as far as an engine found some. Who
    /// uses one proves it first.
    pub(super) others: Vec<unseen::Vector>,
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cells({} tables, {} cells)", self.tables.len(), self.cells.len())
    }
}

impl Cells {
    /// The cells of these tables over a cube, all published until a rule says otherwise, together with those of earlier
    /// releases, which stay as they were decided.
    ///
    /// # Errors
    ///
    /// A layout or an earlier cell that names no code of the cube; an earlier figure that the records no longer give;
    /// too many cells.
    pub fn new(cube: &Cube, layouts: &[Layout], earlier: &[Earlier]) -> Result<Self, Error> {
        let mut coordinates: BTreeMap<Vec<u32>, Option<&Earlier>> = BTreeMap::new();
        for old in earlier {
            let known = coordinates.entry(cube.place(&old.at)?).or_insert(None);
            // What one release withheld and another published is out.
            if known.is_none_or(|known| known.status != Status::Published) {
                *known = Some(old);
            }
        }
        let mut shown = Vec::with_capacity(layouts.len());
        for layout in layouts {
            let of_table = layout.coordinates(cube.trees())?;
            for at in &of_table {
                coordinates.entry(at.clone()).or_insert(None);
            }
            if coordinates.len() > MAX_CELLS {
                return Err(Error::TooManyCells { table: layout.table.clone() });
            }
            shown.push(of_table);
        }
        let mut cells = Vec::with_capacity(coordinates.len());
        for (at, old) in &coordinates {
            let atoms = cube.atoms_of(at);
            let count = cube.sum(&atoms);
            if let Some(old) = old {
                agree(old, count)?;
            }
            let status = old.map_or(Status::Published, |old| old.status);
            cells.push(Cell { at: at.clone(), atoms, count, status, is_earlier: old.is_some(), group: None });
        }
        let place: BTreeMap<&Vec<u32>, usize> = coordinates.keys().zip(0..).collect();
        let tables = layouts
            .iter()
            .zip(&shown)
            .map(|(layout, of_table)| {
                let mut members: Vec<usize> = of_table.iter().filter_map(|at| place.get(at).copied()).collect();
                members.sort_unstable();
                members.dedup();
                (layout.clone(), members)
            })
            .collect();
        let mut cells = Cells {
            trees: cube.trees().to_vec(),
            cells,
            tables,
            atoms: vec![],
            part_of: vec![],
            atom_of: vec![],
            others: vec![],
        };
        cells.merge(cube);
        Ok(cells)
    }

    /// The dimensions, in the order of all coordinates.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How many cells there are, earlier ones with them.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The tables, in the order in which they were given.
    pub fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.tables.iter().map(|(layout, _)| layout)
    }

    /// The rows of a table: codes in the order of the dimensions, the status, and the count of a published cell.
    pub fn rows(&self, table: &str) -> Vec<Earlier> {
        self.members(table).filter_map(|cell| self.cells.get(cell)).map(|cell| self.outcome(cell)).collect()
    }

    /// The places of the cells of a table.
    pub(super) fn members(&self, table: &str) -> impl Iterator<Item = usize> {
        let members = self.tables.iter().find(|(layout, _)| layout.table == table).map(|(_, members)| members);
        members.into_iter().flatten().copied()
    }

    /// Every cell as it is to be remembered for later releases, earlier ones with it.
    pub fn outcomes(&self) -> Vec<Earlier> {
        self.cells.iter().map(|cell| self.outcome(cell)).collect()
    }

    /// How many cells are withheld.
    pub fn suppressed(&self) -> usize {
        self.cells.iter().filter(|cell| cell.status != Status::Published).count()
    }

    /// Decides about a cell by hand: it is withheld, and an earlier decision to publish it cannot be taken back.
    ///
    /// # Errors
    ///
    /// The codes name no cell of these tables.
    pub fn withhold(&mut self, at: &[&str]) -> Result<(), Error> {
        let codes: Vec<String> = at.iter().map(|code| (*code).to_owned()).collect();
        let wanted = tree::place(&self.trees, &codes)?;
        let unknown = || Error::UnknownCode { dimension: "all".into(), code: codes.join(" ") };
        let cell = self.find(&wanted).and_then(|place| self.cells.get_mut(place)).ok_or_else(unknown)?;
        if cell.status == Status::Published && !cell.is_earlier {
            cell.status = Status::Suppressed(Why::Secondary);
        }
        Ok(())
    }

    /// The codes of a cell.
    pub(super) fn codes(&self, cell: &Cell) -> Vec<String> {
        let code = |(tree, node): (&Tree, &u32)| tree.code(*node).to_owned();
        self.trees.iter().zip(&cell.at).map(code).collect()
    }

    /// The place of a cell, if it is one of these.
    pub(super) fn find(&self, at: &[u32]) -> Option<usize> {
        // Cells stand in the order of their coordinates.
        self.cells.binary_search_by(|cell| cell.at.as_slice().cmp(at)).ok()
    }

    /// Joins combinations of leaves that the same cells add up into atoms. What no cell adds up is left out.
    fn merge(&mut self, cube: &Cube) {
        let mut part_of: Vec<Vec<u32>> = vec![Vec::new(); cube.len()];
        for (cell, place) in self.cells.iter_mut().zip(0_u32..) {
            for combination in std::mem::take(&mut cell.atoms) {
                if let Some(of) = part_of.get_mut(combination as usize) {
                    of.push(place);
                }
            }
        }
        let mut known: HashMap<&[u32], u32> = HashMap::new();
        for (of, count) in part_of.iter().zip(cube.counts()) {
            if of.is_empty() {
                self.atom_of.push(None);
                continue;
            }
            let next = u32::try_from(self.atoms.len()).unwrap_or(u32::MAX);
            let atom = *known.entry(of).or_insert(next);
            if atom == next {
                self.atoms.push(0);
                self.part_of.push(of.clone());
                for cell in of {
                    if let Some(cell) = self.cells.get_mut(*cell as usize) {
                        cell.atoms.push(atom);
                    }
                }
            }
            if let Some(sum) = self.atoms.get_mut(atom as usize) {
                *sum += count;
            }
            self.atom_of.push(Some(atom));
        }
    }

    fn outcome(&self, cell: &Cell) -> Earlier {
        let count = (cell.status == Status::Published).then_some(cell.count);
        Earlier { at: self.codes(cell), status: cell.status, count }
    }
}

/// An earlier figure must be what the records give today: else some of them came, went or changed.
fn agree(old: &Earlier, count: u64) -> Result<(), Error> {
    match (old.status, old.count) {
        (Status::Published, Some(published)) if published == count => Ok(()),
        (Status::Suppressed(_), None) => Ok(()),
        _ => Err(Error::Changed { cell: old.at.join(" ") }),
    }
}
