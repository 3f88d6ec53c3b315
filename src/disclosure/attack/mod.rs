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
//! It takes nothing from the engine that suppressed, only cells and their status; so it checks tables of any origin.
//! Intervals from inside are made around the true counts and are private.

mod moves;
mod simplex;
mod space;

use std::fmt;

use serde::Serialize;

use super::cells::unseen::Overflow;
use super::cells::{Cell, Cells, Status, Why};
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    let codes = |place: usize| cells.cells.get(place).map(|cell| cells.codes(cell)).unwrap_or_default();
    Report {
        published: cells.len() - cells.suppressed(),
        withheld: cells.suppressed(),
        interval_min,
        narrow: narrow(cells, interval_min).into_iter().map(|(place, _)| codes(place)).collect(),
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

/// The withheld cells whose bounds are not proved to be wide enough, and how wide they should be.
pub(super) fn narrow(cells: &Cells, interval_min: u64) -> Vec<(usize, u64)> {
    let withheld = cells.cells.iter().enumerate().filter_map(|(place, cell)| match cell.status {
        Status::Published => None,
        Status::Suppressed(why) => Some((place, cell, need(cell, why, interval_min))),
    });
    let Ok(mut space) = Space::new(cells) else {
        // What cannot be computed is not proved.
        return withheld.map(|(place, _, need)| (place, need)).collect();
    };
    let mut surroundings = Surroundings::default();
    let is_narrow = |(_, cell, need): &(usize, &Cell, u64)| !surroundings.is_wide(&mut space, cell, *need);
    withheld.filter(is_narrow).map(|(place, _, need)| (place, need)).collect()
}

/// How far apart the bounds of a cell have to lie. A secondary cell tells nothing of its own: it must not be known.
fn need(cell: &Cell, why: Why, interval_min: u64) -> u64 {
    match (why, cell.group) {
        (Why::Secondary, _) => 1,
        (Why::Unanimous, Some(group)) => interval_min.min(group).max(1),
        _ => interval_min.max(1),
    }
}

/// The sizes, in directions, of the surroundings over which the simplex is tried, one after the other.
const SURROUNDINGS: [usize; 3] = [40, 160, VECTORS_MAX];

/// The most directions that a simplex takes.
const VECTORS_MAX: usize = 640;

/// The surroundings of the last cell, which are often those of the next.
#[derive(Default)]
struct Surroundings {
    last: Option<(Vec<u32>, Dictionary)>,
}

impl Surroundings {
    /// Whether witnesses prove that the bounds of a cell lie at least `need` apart.
    fn is_wide(&mut self, space: &mut Space, cell: &Cell, need: u64) -> bool {
        let Ok(need) = i64::try_from(need) else { return false };
        let Ok(effect) = space.effect(&cell.atoms) else { return false };
        if effect.is_empty() {
            return false;
        }
        let up = moves::gain(space, &effect, 1, need);
        if up >= need || up + moves::gain(space, &effect, -1, need - up) >= need {
            return true;
        }
        let mut tried = 0;
        for most in SURROUNDINGS {
            let vectors = space.around(&effect, most);
            if vectors.len() == tried {
                break;
            }
            tried = vectors.len();
            if self.width(space, vectors, cell, need).is_ok_and(|width| width >= need) {
                return true;
            }
        }
        false
    }

    /// How far apart witnesses were found that move along these directions alone.
    fn width(&mut self, space: &Space, vectors: Vec<u32>, cell: &Cell, need: i64) -> Result<i64, Overflow> {
        let mut dictionary = match self.last.take() {
            Some((same, dictionary)) if same == vectors => dictionary,
            _ => Dictionary::new(space, &vectors)?,
        };
        let truth = i64::try_from(cell.count).map_err(|_| Overflow)?;
        let high = dictionary.push(space, &cell.atoms, Target::AtLeast(truth.saturating_add(need)))?;
        let high = high.witness.unwrap_or(truth).max(truth);
        let mut low = truth;
        if high - truth < need {
            let found = dictionary.push(space, &cell.atoms, Target::AtMost(high - need))?;
            low = found.witness.unwrap_or(truth).min(truth);
        }
        // A dictionary on which a step failed is not used again.
        self.last = Some((vectors, dictionary));
        Ok(high - low)
    }
}
