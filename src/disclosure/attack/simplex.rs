//! The primal simplex method in whole numbers.
//!
//! The tables that agree with what is published are `x = x₀ + N t ≥ 0`: the true counts, which are a feasible point, and
//! free steps along directions. No first phase is needed: each free step is taken until a count reaches 0, and that
//! count takes its place among the variables that stand at 0. From there on it is the method as it is taught, over a
//! dictionary whose entries are whole numbers over one common denominator (Edmonds 1967; Bareiss 1968: each new entry
//! is a determinant, so that the division is exact). Entries are checked: what does not fit into 64 bits is an error,
//! never a wrong number.

use super::super::cells::unseen::{Overflow, Vector};
use super::space::Space;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The greatest value that a linear programme finds.
    Greatest,
    /// The least.
    Least,
    /// A witness of at least this value.
    AtLeast(i64),
    /// A witness of at most this value.
    AtMost(i64),
}

/// The end of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optimum {
    /// The whole value nearest to the optimum, inside of it.
    At(i64),
    /// There is none.
    Unbounded,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The optimum, if the search went so far.
    pub optimum: Option<Optimum>,
    /// The furthest table of whole counts that was met on the way, as differences to the true counts.
    pub witness: Option<Vector>,
}

/// `x_row = (constant + Σ entries · y) / denominator`, where each `y` is an atom that stands at 0.
struct Row {
    atom: u32,
    constant: i64,
    entries: Vec<i64>,
}

/// A vertex, and how everything depends on the variables that stand at 0 there.
pub(super) struct Dictionary {
    denominator: i64,
    rows: Vec<Row>,
    /// The atom of each column; [`NONE`] for one that moves nothing.
    columns: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Dictionary {
    /// The tables that are reached along these directions, at one of their vertices.
    pub fn new(space: &Space, vectors: &[u32]) -> Result<Self, Overflow> {
        let mut atoms: Vec<u32> = vectors.iter().flat_map(|v| space.direction(*v)).map(|(atom, _)| *atom).collect();
        atoms.sort_unstable();
        atoms.dedup();
        let empty = |atom: &u32| Row { atom: *atom, constant: space.count(*atom), entries: vec![0; vectors.len()] };
        let mut rows: Vec<Row> = atoms.iter().map(empty).collect();
        for (column, vector) in vectors.iter().enumerate() {
            for (atom, entry) in space.direction(*vector) {
                let row = atoms.binary_search(atom).ok().and_then(|row| rows.get_mut(row));
                if let Some(place) = row.and_then(|row| row.entries.get_mut(column)) {
                    *place = *entry;
                }
            }
        }
        let mut dictionary = Dictionary { denominator: 1, rows, columns: vec![NONE; vectors.len()] };
        for column in 0..vectors.len() {
            let down = dictionary.blocks(column, -1, usize::MAX, false);
            let Some(row) = down.or_else(|| dictionary.blocks(column, 1, usize::MAX, false)) else { continue };
            dictionary.pivot(row, column)?;
            // The row now says how far the free step went, which nobody asks.
            let leaving = dictionary.rows.swap_remove(row);
            if let Some(name) = dictionary.columns.get_mut(column) {
                *name = leaving.atom;
            }
        }
        Ok(dictionary)
    }

    /// Looks for a value of the sum of these atoms.
    pub fn push(&mut self, space: &Space, atoms: &[u32], target: Target) -> Result<Found, Overflow> {
        let sign = if matches!(target, Target::Greatest | Target::AtLeast(_)) { 1 } else { -1 };
        let goal = match target {
            Target::AtLeast(value) => Some(value),
            Target::AtMost(value) => Some(value.checked_neg().ok_or(Overflow)?),
            Target::Greatest | Target::Least => None,
        };
        let objective = self.objective(space, atoms, sign)?;
        self.rows.push(objective);
        let found = self.climb(space, goal);
        self.rows.pop();
        let found = found?;
        let signed = |optimum| match optimum {
            Optimum::At(value) => Optimum::At(value.saturating_mul(sign)),
            Optimum::Unbounded => Optimum::Unbounded,
        };
        Ok(Found { optimum: found.optimum.map(signed), witness: found.witness })
    }

    /// The sum of atoms, as a row.
    fn objective(&self, space: &Space, atoms: &[u32], sign: i64) -> Result<Row, Overflow> {
        let mut sum = Row { atom: NONE, constant: 0, entries: vec![0; self.columns.len()] };
        let is_wanted = |atom: u32| atoms.binary_search(&atom).is_ok();
        let mut seen = 0_i64;
        for row in self.rows.iter().filter(|row| is_wanted(row.atom)) {
            add(&mut sum.constant, row.constant, sign)?;
            seen = seen.checked_add(space.count(row.atom)).ok_or(Overflow)?;
            for (entry, by) in sum.entries.iter_mut().zip(&row.entries) {
                add(entry, *by, sign)?;
            }
        }
        for (entry, atom) in sum.entries.iter_mut().zip(&self.columns).filter(|(_, atom)| is_wanted(**atom)) {
            add(entry, self.denominator, sign)?;
            seen = seen.checked_add(space.count(*atom)).ok_or(Overflow)?;
        }
        // What does not move stays at its true count.
        let all = atoms.iter().try_fold(0_i64, |all, atom| all.checked_add(space.count(*atom))).ok_or(Overflow)?;
        let still = (all - seen).checked_mul(self.denominator).ok_or(Overflow)?;
        add(&mut sum.constant, still, sign)?;
        Ok(sum)
    }

    /// Makes the last row as great as it can be, or as the goal says.
    fn climb(&mut self, space: &Space, goal: Option<i64>) -> Result<Found, Overflow> {
        let last = self.rows.len().saturating_sub(1);
        let (mut best, mut witness) = (None, None);
        let mut stalled = 0_usize;
        for _ in 0..PIVOTS_PER_LINE * (self.rows.len() + self.columns.len()) {
            let value = self.rows.get(last).map_or(0, |row| row.constant);
            let is_whole = goal.is_some() && self.rows.iter().all(|row| row.constant % self.denominator == 0);
            if is_whole && best.is_none_or(|best| value / self.denominator > best) {
                best = Some(value / self.denominator);
                witness = Some(self.table(space, None));
            }
            if goal.zip(best).is_some_and(|(goal, best)| best >= goal) {
                return Ok(Found { optimum: None, witness });
            }
            // The smallest names first cannot go round in a circle, the steepest column is faster.
            let is_careful = stalled > STALLED_MAX;
            let Some(column) = self.enters(last, is_careful) else {
                let optimum = Some(Optimum::At(value.div_euclid(self.denominator)));
                return Ok(Found { optimum, witness });
            };
            let Some(row) = self.blocks(column, 1, last, is_careful) else {
                // Without a bound, a table of whole counts goes on to others in whole multiples of the denominator.
                let steps = goal.map(|goal| goal.saturating_sub(value / self.denominator).max(1));
                let further = steps.filter(|_| is_whole).map(|steps| self.table(space, Some((column, steps))));
                return Ok(Found { optimum: Some(Optimum::Unbounded), witness: further.or(witness) });
            };
            stalled = if self.rows.get(row).is_some_and(|row| row.constant == 0) { stalled + 1 } else { 0 };
            self.pivot(row, column)?;
            self.exchange(row, column);
        }
        Ok(Found { optimum: None, witness })
    }

    /// The counts at this vertex, or so many times the denominator further along a column, as differences to the true
    /// ones.
    fn table(&self, space: &Space, further: Option<(usize, i64)>) -> Vector {
        let named = |atom: &u32| *atom != NONE;
        let at_row = self.rows.iter().filter(|row| named(&row.atom)).map(|row| {
            let along = further.and_then(|(column, steps)| Some(row.entries.get(column)?.saturating_mul(steps)));
            (row.atom, (row.constant / self.denominator).saturating_add(along.unwrap_or(0)))
        });
        let at_column = self.columns.iter().enumerate().filter(|(_, atom)| named(atom)).map(|(place, atom)| {
            let along = further.filter(|(column, _)| *column == place).map(|(_, steps)| steps);
            (*atom, along.map_or(0, |steps| steps.saturating_mul(self.denominator)))
        });
        let difference = |(atom, count): (u32, i64)| (atom, count.saturating_sub(space.count(atom)));
        at_row.chain(at_column).map(difference).filter(|(_, by)| *by != 0).collect()
    }

    /// The column whose growth makes the last row grow.
    fn enters(&self, last: usize, is_careful: bool) -> Option<usize> {
        let objective = self.rows.get(last)?;
        let rising = objective.entries.iter().zip(&self.columns).enumerate();
        let rising = rising.filter(|(_, (entry, atom))| **entry > 0 && **atom != NONE);
        if is_careful {
            rising.min_by_key(|(_, (_, atom))| **atom).map(|(column, _)| column)
        } else {
            rising.max_by_key(|(_, (entry, atom))| (**entry, std::cmp::Reverse(**atom))).map(|(column, _)| column)
        }
    }

    /// The row whose count is the first to reach 0 when a column grows (`sense` 1) or shrinks (−1).
    fn blocks(&self, column: usize, sense: i64, but: usize, is_careful: bool) -> Option<usize> {
        let mut first: Option<(usize, i128, i128, u32)> = None;
        for (place, row) in self.rows.iter().enumerate().filter(|(place, _)| *place != but) {
            let falls = i128::from(row.entries.get(column).copied().unwrap_or(0)) * -i128::from(sense);
            if falls <= 0 {
                continue;
            }
            let constant = i128::from(row.constant);
            let is_first = first.is_none_or(|(_, other, fell, atom)| {
                let (this, other) = (constant * fell, other * falls);
                // Of those that come at once, the largest entry keeps numbers small, the smallest name ends circles.
                this < other || (this == other && if is_careful { row.atom < atom } else { falls > fell })
            });
            if is_first {
                first = Some((place, constant, falls, row.atom));
            }
        }
        first.map(|(place, ..)| place)
    }

    /// Exchanges the variable of a row with that of a column.
    fn pivot(&mut self, row: usize, column: usize) -> Result<(), Overflow> {
        let Some(taken) = self.rows.get_mut(row) else { return Ok(()) };
        let by = taken.entries.get(column).copied().unwrap_or(0);
        let (constant, entries) = (taken.constant, std::mem::take(&mut taken.entries));
        let sign = by.signum();
        let old = self.denominator;
        for line in self.rows.iter_mut().filter(|line| !line.entries.is_empty()) {
            let Some(own) = line.entries.get(column).copied() else { continue };
            if own == 0 && by.unsigned_abs() == old.unsigned_abs() {
                continue;
            }
            line.constant = exchanged(line.constant, by, own, constant, old, sign)?;
            for (entry, other) in line.entries.iter_mut().zip(&entries) {
                *entry = exchanged(*entry, by, own, *other, old, sign)?;
            }
            if let Some(entry) = line.entries.get_mut(column) {
                *entry = own.checked_mul(sign).ok_or(Overflow)?;
            }
        }
        let turned = |entry: i64| entry.checked_mul(-sign).ok_or(Overflow);
        let mut entries = entries.into_iter().map(turned).collect::<Result<Vec<i64>, Overflow>>()?;
        if let Some(entry) = entries.get_mut(column) {
            *entry = old.checked_mul(sign).ok_or(Overflow)?;
        }
        if let Some(line) = self.rows.get_mut(row) {
            line.constant = turned(constant)?;
            line.entries = entries;
        }
        self.denominator = by.checked_abs().ok_or(Overflow)?;
        Ok(())
    }

    /// The names after a pivot.
    fn exchange(&mut self, row: usize, column: usize) {
        if let (Some(row), Some(column)) = (self.rows.get_mut(row), self.columns.get_mut(column)) {
            std::mem::swap(&mut row.atom, column);
        }
    }
}

/// Pivots for each row and column, before a search is given up.
const PIVOTS_PER_LINE: usize = 20;

/// Steps that went nowhere, before columns are chosen with care.
const STALLED_MAX: usize = 50;

fn add(sum: &mut i64, by: i64, sign: i64) -> Result<(), Overflow> {
    *sum = by.checked_mul(sign).and_then(|by| sum.checked_add(by)).ok_or(Overflow)?;
    Ok(())
}

/// `sign · (entry · by − own · other) / old`, exactly.
fn exchanged(entry: i64, by: i64, own: i64, other: i64, old: i64, sign: i64) -> Result<i64, Overflow> {
    let product = i128::from(entry) * i128::from(by);
    let new = product.checked_sub(i128::from(own) * i128::from(other)).ok_or(Overflow)?;
    let old = i128::from(old);
    if new % old != 0 {
        return Err(Overflow);
    }
    i64::try_from(new / old * i128::from(sign)).map_err(|_| Overflow)
}
