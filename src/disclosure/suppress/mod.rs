//! Engine E: exact counts, of which some are withheld so that none of those can be computed.
//!
//! 1. **Primary** ([`Rules`]): cells of sensitive groups with 1 ≤ n < 5, and groups of which all records are of one
//!    category. In such a group every category is withheld, those with 0 as well: they tell the same.
//! 2. **Secondary**: cells are taken in the order in which one wants to publish them (totals first, then large ones),
//!    and each is published unless a primary cell would become derivable from what is published already (Langsrud 2024,
//!    by Gaussian elimination, here over a basis of what stays unseen; exact integers, see `cells/unseen.rs`). Earlier
//!    releases come first, as equations that nobody can take back; the cells that they withheld for their own sake stay
//!    protected. What is withheld once stays withheld.
//! 3. **Repair** ([`protect`]): elimination knows equations only, and counts are also known not to be negative. The
//!    attacker bounds every withheld cell; where the bounds are too narrow, a neighbour is withheld too, and both steps
//!    begin again.
//!
//! What this does not defend against: a reader who runs the same rules over every table that agrees with what is
//! published, and keeps those for which the same cells would have been withheld. Which cells are withheld depends on
//! counts, here as in every suppression; who needs a guarantee against that takes engine D.
//!
//! [`rounding`] is the simple alternative: small counts become 0 or a base, and all tables add up.
//!
//! It must not know a ledger, a clock, a file, or where counts came from.

mod error;
mod exchange;
mod primary;
mod repair;
pub mod rounding;

use super::cells::unseen::Unseen;
use super::cells::{Cell, Cells, Cube, Earlier, Layout, Status, Why};

pub use error::Error;
pub use repair::protect;

/// What is withheld for its own sake, and how wide the bounds of a withheld count must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A count from 1 up to below this is small.
    pub small_below: u64,
    /// Codes whose small counts are withheld, with all below them: (dimension, code). The total of a dimension makes
    /// all of it sensitive.
    pub sensitive: Vec<(String, String)>,
    /// The dimension of categories, of which a group must not have one alone: the answer, the level.
    pub unanimous_by: Option<String>,
    /// The bounds of a cell that is withheld for its own sake lie at least this far apart. For a unanimous cell of a
    /// group with fewer records, as far apart as the group allows.
    pub interval_min: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { small_below: 5, sensitive: Vec::new(), unanimous_by: None, interval_min: 3 }
    }
}

/// Decides about every cell by the rules, by equations alone. [`protect`] goes on with the attacker.
///
/// # Errors
///
/// The rules do not fit the cube, cells cannot be formed, or an earlier release lets a withheld cell be computed.
pub fn suppress(cube: &Cube, layouts: &[Layout], earlier: &[Earlier], rules: &Rules) -> Result<Cells, Error> {
    let mut cells = marked(cube, layouts, earlier, rules)?;
    eliminate(&mut cells, rules)?;
    Ok(cells)
}

/// All cells, of which those are withheld that must be for their own sake.
fn marked(cube: &Cube, layouts: &[Layout], earlier: &[Earlier], rules: &Rules) -> Result<Cells, Error> {
    let mut cells = Cells::new(cube, layouts, earlier)?;
    primary::mark(&mut cells, cube, rules)?;
    settle_known(&mut cells)?;
    Ok(cells)
}

/// Cells that follow from what is out already, as a quarter's do from published months: withholding one would protect
/// nothing, and so they are as settled as what they follow from.
fn settle_known(cells: &mut Cells) -> Result<(), Error> {
    let is_out = |cell: &Cell| cell.is_earlier && cell.status == Status::Published;
    let mut unseen = Unseen::new(cells.atoms.len(), &[]);
    for cell in cells.cells.iter().filter(|cell| is_out(cell)) {
        let overflow = |_| Error::TooIntricate { cell: cells.codes(cell).join(" ") };
        let effect = unseen.effect(&cell.atoms).map_err(overflow)?;
        unseen.publish(&effect).map_err(overflow)?;
    }
    if !cells.cells.iter().any(is_out) {
        return Ok(());
    }
    for cell in cells.cells.iter_mut().filter(|cell| !cell.is_earlier && cell.status == Status::Published) {
        cell.is_earlier = unseen.effect(&cell.atoms).is_ok_and(|effect| effect.is_empty());
    }
    Ok(())
}

/// Publishes what can be published: every undecided cell that reveals no protected one. Protected are the primary cells,
/// and those that a repair has withheld.
fn eliminate(cells: &mut Cells, rules: &Rules) -> Result<(), Error> {
    let is_protected = |cell: &&Cell| match cell.status {
        Status::Published => false,
        Status::Suppressed(why) => why.is_primary() || !cell.is_earlier,
    };
    let protected: Vec<&[u32]> = cells.cells.iter().filter(is_protected).map(|cell| cell.atoms.as_slice()).collect();
    let mut unseen = Unseen::new(cells.atoms.len(), &protected);
    for cell in cells.cells.iter().filter(|cell| cell.is_earlier && cell.status == Status::Published) {
        let overflow = |_| Error::TooIntricate { cell: cells.codes(cell).join(" ") };
        let effect = unseen.effect(&cell.atoms).map_err(overflow)?;
        unseen.publish(&effect).map_err(overflow)?;
    }
    for (order, cell) in cells.cells.iter().filter(is_protected).enumerate() {
        if unseen.is_derivable(cells.atoms.len(), order) {
            return Err(Error::Exposed { cell: cells.codes(cell).join(" ") });
        }
    }
    for candidate in wanted(cells, rules) {
        let Some(cell) = cells.cells.get_mut(candidate) else { continue };
        let effect = unseen.effect(&cell.atoms);
        let is_published = effect.is_ok_and(|effect| !unseen.reveals(&effect) && unseen.publish(&effect).is_ok());
        cell.status = if is_published { Status::Published } else { Status::Suppressed(Why::Secondary) };
    }
    Ok(())
}

/// The undecided cells, in the order in which one wants to publish them: wider ones first, then larger ones. A 0 ranks
/// as a count just above those that are small: withheld beside a small count it would protect it badly, since nothing
/// stands behind it.
fn wanted(cells: &Cells, rules: &Rules) -> Vec<usize> {
    let depth = |cell: &Cell| cells.trees().iter().zip(&cell.at).map(|(tree, node)| tree.depth(*node)).sum::<u32>();
    let rank = |cell: &Cell| if cell.count == 0 { rules.small_below.saturating_mul(2) } else { cell.count };
    let is_open = |(_, cell): &(usize, &Cell)| !cell.is_earlier && cell.status == Status::Published;
    let mut open: Vec<_> = cells
        .cells
        .iter()
        .enumerate()
        .filter(is_open)
        .map(|(place, cell)| (depth(cell), std::cmp::Reverse(rank(cell)), place))
        .collect();
    open.sort_unstable();
    open.into_iter().map(|(_, _, place)| place).collect()
}
