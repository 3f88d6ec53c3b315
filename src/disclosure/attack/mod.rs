//! The attacker: what a reader can compute about every withheld cell, tried before anything is released.
//!
//! A reader has the published cells of all releases, and knows that counts are whole and not negative. For a withheld
//! cell that leaves an interval: the least and the greatest value over all tables of counts that agree with what is
//! published. It is a linear programme, and is bounded from both sides, each exact:
//!
//! - **From inside**, by witnesses: other tables of whole counts that give the same published cells. They are found by
//!   moving along directions that no published cell sees, and prove that the interval is at least so wide, for an
//!   attacker of any strength. The gate believes nothing else.
//! - **From outside**, by a simplex in whole numbers with one common denominator. Its optimum is what a linear
//!   programme can find; nobody who knows more than the published cells is bounded by it.
//!
//! Moves along single directions are cheap and settle almost every cell. What they do not settle goes to the simplex,
//! over growing surroundings of the cell, and at last over all that hangs together with it. What is not settled then
//! counts as too narrow: the gate errs on the side of refusing.
//!
//! It takes nothing on trust from the engine that suppressed: cells, their status, and tables that the engine says are
//! witnesses, each of which is proved here first. So it checks tables of any origin.
//! Intervals from inside are made around the true counts and are private.

mod known;
mod moves;
mod simplex;
mod space;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cells::unseen::{Overflow, Vector};
use super::cells::{Cell, Cells, Status, Why};
pub(super) use known::Known;
use simplex::{Dictionary, Target};
use space::Space;

/// The values that a withheld cell can have, for one who solves a linear programme. Anybody can compute them from what
/// is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least whole value.
    pub min: u64,
    /// The greatest whole value; none when nothing published bounds it.
    pub max: Option<u64>,
}

impl Bounds {
    /// Whether the value is known.
    pub fn is_point(&self) -> bool {
        self.max == Some(self.min)
    }
}

/// What the attacker found over all cells. Nothing in it is computed from a withheld count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Published cells, those of earlier releases with them.
    pub published: usize,
    /// Withheld cells, those of earlier releases with them. Each was attacked.
    pub withheld: usize,
    /// How far apart the bounds of a cell must lie that is withheld for its own sake.
    pub interval_min: u64,
    /// Withheld cells whose bounds could not be proved to lie so far apart, by their codes.
    pub narrow: Vec<Vec<String>>,
}

impl Report {
    /// Whether every withheld cell is protected.
    pub fn is_safe(&self) -> bool {
        self.narrow.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { published, withheld, interval_min, narrow } = self;
        let found = if narrow.is_empty() { "none".to_owned() } else { narrow.len().to_string() };
        write!(
            f,
            "{published} cells published, {withheld} withheld; bounds narrower than {interval_min} were found for {found}"
        )
    }
}

/// Attacks every withheld cell.
pub fn attack(cells: &Cells, interval_min: u64) -> Report {
    let (narrow, _) = narrow(&mut cells.clone(), interval_min, Effort::Full);
    let codes = |place: usize| cells.cells.get(place).map(|cell| cells.codes(cell)).unwrap_or_default();
    Report {
        published: cells.len() - cells.suppressed(),
        withheld: cells.suppressed(),
        interval_min,
        narrow: narrow.into_iter().map(|(place, _)| codes(place)).collect(),
    }
}

/// The exact bounds that a linear programme finds for a cell, by its codes. A published cell is bounded by itself.
/// None when there is no such cell, or when the programme is too large or its numbers do not fit.
pub fn bounds(cells: &Cells, at: &[&str]) -> Option<Bounds> {
    let place = |(tree, code): (&super::cells::Tree, &&str)| tree.node(code).ok();
    let at = cells.trees().iter().zip(at).map(place).collect::<Option<Vec<u32>>>()?;
    let cell = cells.cells.get(cells.find(&at)?)?;
    let mut space = Space::new(cells).ok()?;
    let effect = space.effect(&cell.atoms).ok()?;
    if effect.is_empty() {
        return Some(Bounds { min: cell.count, max: Some(cell.count) });
    }
    let all = space.near(&effect, VECTORS_MAX)?;
    let mut dictionary = Dictionary::new(&space, &all).ok()?;
    let greatest = dictionary.push(&space, &cell.atoms, Target::Greatest).ok()?.optimum?;
    let least = dictionary.push(&space, &cell.atoms, Target::Least).ok()?.optimum?;
    let max = match greatest {
        simplex::Optimum::At(value) => Some(u64::try_from(value).ok()?),
        simplex::Optimum::Unbounded => None,
    };
    let simplex::Optimum::At(min) = least else { return None };
    Some(Bounds { min: u64::try_from(min).ok()?, max })
}

/// How much is tried for a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Moves, and the simplex over its nearest surroundings.
    Little,
    /// Moves, and the simplex over growing surroundings.
    Full,
}

/// The withheld cells whose bounds are not proved to be wide enough, and how wide they should be; with what is proved.
pub(super) fn narrow(cells: &mut Cells, interval_min: u64, effort: Effort) -> (Vec<(usize, u64)>, Known) {
    let mut known = Known::new(cells);
    let mut open = unproved(cells, &known, interval_min);
    // What cannot be computed is not proved.
    let Ok(mut space) = Space::new(cells) else { return (open, known) };
    let mut found = Vec::new();
    let mut surroundings = Surroundings::default();
    open.retain(|(place, need)| {
        let Some(cell) = cells.cells.get(*place) else { return false };
        let mut witness = |table: Vector| {
            if known.learn(cells, &table) {
                found.push(table);
            }
            (known.width(*place), known.high(*place))
        };
        !surroundings.is_wide(&mut space, cell, *need, effort, &mut witness)
    });
    cells.others.extend(found);
    (open, known)
}

/// The withheld cells that what is known does not prove to be bounded widely enough.
pub(super) fn unproved(cells: &Cells, known: &Known, interval_min: u64) -> Vec<(usize, u64)> {
    let withheld = cells.cells.iter().enumerate().filter_map(|(place, cell)| match cell.status {
        Status::Published => None,
        Status::Suppressed(why) => Some((place, need(cell, why, interval_min))),
    });
    withheld.filter(|(place, need)| i64::try_from(*need).is_ok_and(|need| known.width(*place) < need)).collect()
}

/// How far apart the bounds of a cell have to lie. A secondary cell tells nothing of its own: it must not be known.
fn need(cell: &Cell, why: Why, interval_min: u64) -> u64 {
    match (why, cell.group) {
        (Why::Secondary, _) => 1,
        (Why::Unanimous, Some(group)) => interval_min.min(group).clamp(1, NEED_MAX),
        _ => interval_min.clamp(1, NEED_MAX),
    }
}

/// The widest bounds that are asked for: more than any count, and far from what 64 bits hold.
const NEED_MAX: u64 = 1 << 42;

/// The sizes, in directions, of the surroundings over which the simplex is tried, one after the other.
const SURROUNDINGS: [usize; 3] = [40, 160, VECTORS_MAX];

/// The most directions that a simplex takes.
const VECTORS_MAX: usize = 640;

/// The surroundings of the last cell, which are often those of the next.
#[derive(Default)]
struct Surroundings {
    last: Option<(Vec<u32>, Dictionary)>,
}

/// Takes another table of counts, and says how far apart the proven values of the cell lie now, and how far above its
/// true count they reach.
type Witness<'a> = dyn FnMut(Vector) -> (i64, i64) + 'a;

impl Surroundings {
    /// Whether witnesses prove that the bounds of a cell lie at least `need` apart.
    fn is_wide(&mut self, space: &mut Space, cell: &Cell, need: u64, effort: Effort, witness: &mut Witness) -> bool {
        let Ok(need) = i64::try_from(need) else { return false };
        let Ok(effect) = space.effect(&cell.atoms) else { return false };
        // The empty difference is the true table; it may be wide already by what was learnt for another cell.
        if witness(Vector::new()).0 >= need {
            return true;
        }
        if effect.is_empty() {
            return false;
        }
        let (width, _) = witness(moves::walk(space, &effect, 1, need));
        if width >= need || witness(moves::walk(space, &effect, -1, need - width)).0 >= need {
            return true;
        }
        let mut tried = 0;
        let sizes = if effort == Effort::Little { SURROUNDINGS.get(..1) } else { SURROUNDINGS.get(..) };
        for most in sizes.unwrap_or_default() {
            let vectors = space.around(&effect, *most);
            if vectors.len() == tried {
                break;
            }
            tried = vectors.len();
            if self.push(space, vectors, cell, need, witness).is_ok_and(|is_wide| is_wide) {
                return true;
            }
        }
        false
    }

    /// Whether the simplex finds witnesses that differ along these directions alone.
    fn push(
        &mut self,
        space: &Space,
        vectors: Vec<u32>,
        cell: &Cell,
        need: i64,
        witness: &mut Witness,
    ) -> Result<bool, Overflow> {
        let mut dictionary = match self.last.take() {
            Some((same, dictionary)) if same == vectors => dictionary,
            _ => Dictionary::new(space, &vectors)?,
        };
        let truth = i64::try_from(cell.count).map_err(|_| Overflow)?;
        let found = dictionary.push(space, &cell.atoms, Target::AtLeast(truth.saturating_add(need)))?;
        let (mut width, high) = witness(found.witness.unwrap_or_default());
        if width < need {
            let found =
                dictionary.push(space, &cell.atoms, Target::AtMost(truth.saturating_add(high).saturating_sub(need)))?;
            width = witness(found.witness.unwrap_or_default()).0;
        }
        // A dictionary on which a step failed is not used again.
        self.last = Some((vectors, dictionary));
        Ok(width >= need)
    }
}
