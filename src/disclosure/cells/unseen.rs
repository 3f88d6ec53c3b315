//! What published cells leave open: the directions in which atoms can move while no published cell changes.
//!
//! A published cell is an equation over the atoms, its coefficients all 1. The equations have a space of solutions
//! around the true counts; [`Unseen`] keeps a basis of its directions, as sparse vectors of integers. At first that is
//! one direction for each atom. Publishing a cell takes one away: the vectors that it sees are combined, against one of
//! them, into vectors that it does not see. In tables the vectors stay short (add one here and there, take one away
//! there and here), and this is why the basis is kept in place of the equations.
//!
//! **Arithmetic is exact**: integers of 64 bits, each step checked; a vector is divided by the greatest common divisor
//! of its entries. A cell is derivable from the published ones over the rational numbers if and only if no direction of
//! the basis changes it: its row is a combination of published rows exactly where it vanishes on all that they do not
//! see. So nothing depends on a rounding or on the choice of a prime. Where a step would overflow, it is not made and
//! [`Overflow`] says so; whoever asked must then withhold the cell, which is the safe side.

use std::collections::BTreeMap;

/// A step that does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Overflow;

/// A direction: places and whole numbers, ascending by place, none of them 0.
pub(in super::super) type Vector = Vec<(u32, i64)>;

/// A basis of the directions that no published cell sees.
#[derive(Debug, Clone)]
pub(in super::super) struct Unseen {
    vectors: Vec<Vector>,
    /// For each place, the vectors that move it; may name vectors that no longer do.
    moved_by: Vec<Vec<u32>>,
    protected: Vec<bool>,
}

impl Unseen {
    /// Nothing is published yet. The rows of `protected` are cells that must not become derivable; each gets a place of
    /// its own, after those of the atoms, at which every vector says by how much it changes that cell.
    pub fn new(atoms: usize, protected: &[&[u32]]) -> Self {
        let mut vectors: Vec<Vector> = (0_u32..).take(atoms).map(|atom| vec![(atom, 1)]).collect();
        let mut moved_by: Vec<Vec<u32>> = (0_u32..).take(atoms).map(|atom| vec![atom]).collect();
        for (row, place) in protected.iter().zip(u32::try_from(atoms).unwrap_or(u32::MAX)..) {
            for atom in *row {
                if let Some(vector) = vectors.get_mut(*atom as usize) {
                    vector.push((place, 1));
                }
            }
            moved_by.push(row.to_vec());
        }
        let flags = std::iter::repeat_n(false, atoms).chain(std::iter::repeat_n(true, protected.len()));
        Unseen { vectors, moved_by, protected: flags.collect() }
    }

    /// By how much each vector of the basis changes a cell; those that do not are left out.
    pub fn effect(&mut self, row: &[u32]) -> Result<Vector, Overflow> {
        let mut effect: BTreeMap<u32, i64> = BTreeMap::new();
        for place in row {
            for vector in self.movers(*place) {
                let by = self.entry(vector, *place);
                let sum = effect.entry(vector).or_insert(0);
                *sum = sum.checked_add(by).ok_or(Overflow)?;
            }
        }
        effect.retain(|_, by| *by != 0);
        Ok(effect.into_iter().collect())
    }

    /// Whether publishing a cell with this effect would make a protected one derivable: one whose own effect is a
    /// multiple of it, so that every direction left would keep it.
    pub fn reveals(&mut self, effect: &[(u32, i64)]) -> bool {
        let length = |vector: u32| self.vectors.get(vector as usize).map_or(usize::MAX, Vec::len);
        let Some(&(shortest, by)) = effect.iter().min_by_key(|(vector, _)| length(*vector)) else { return false };
        let is_protected = |(place, _): &(u32, i64)| self.protected.get(*place as usize) == Some(&true);
        let touched: Vector = self.vector(shortest).iter().copied().filter(is_protected).collect();
        touched.into_iter().any(|(place, own)| {
            let movers = self.movers(place);
            let is_multiple = |(vector, seen): &(u32, i64)| {
                i128::from(self.entry(*vector, place)) * i128::from(by) == i128::from(own) * i128::from(*seen)
            };
            movers.len() == effect.len() && effect.iter().all(is_multiple)
        })
    }

    /// Takes away what a published cell with this effect sees.
    ///
    /// # Errors
    ///
    /// A number would not fit into 64 bits; nothing has been changed then.
    pub fn publish(&mut self, effect: &[(u32, i64)]) -> Result<(), Overflow> {
        let cost = |(vector, by): &(u32, i64)| (by.unsigned_abs(), self.vector(*vector).len(), *vector);
        let Some(&(pivot, seen)) = effect.iter().min_by_key(|entry| cost(entry)) else { return Ok(()) };
        let pivot_vector = self.vector(pivot).to_vec();
        let mut combined = Vec::with_capacity(effect.len());
        for &(vector, by) in effect.iter().filter(|(vector, _)| *vector != pivot) {
            combined.push((vector, combine(self.vector(vector), seen, &pivot_vector, by)?));
        }
        for (vector, entries) in combined {
            let old = self.vectors.get_mut(vector as usize).map(|place| std::mem::replace(place, entries));
            let old = old.unwrap_or_default();
            for (place, _) in &pivot_vector {
                let is_new = old.binary_search_by_key(place, |entry| entry.0).is_err();
                if is_new && let Some(movers) = self.moved_by.get_mut(*place as usize) {
                    movers.push(vector);
                }
            }
        }
        if let Some(vector) = self.vectors.get_mut(pivot as usize) {
            vector.clear();
        }
        Ok(())
    }

    /// Whether a protected cell, by its order, is derivable.
    pub fn is_derivable(&mut self, atoms: usize, protected: usize) -> bool {
        u32::try_from(atoms + protected).is_ok_and(|place| self.movers(place).is_empty())
    }

    /// The basis, with empty vectors where a direction is gone.
    pub fn vectors(&self) -> &[Vector] {
        &self.vectors
    }

    fn vector(&self, vector: u32) -> &[(u32, i64)] {
        self.vectors.get(vector as usize).map_or(&[], Vec::as_slice)
    }

    fn entry(&self, vector: u32, place: u32) -> i64 {
        let entries = self.vector(vector);
        let found = entries.binary_search_by_key(&place, |entry| entry.0).ok();
        found.and_then(|at| entries.get(at)).map_or(0, |entry| entry.1)
    }

    /// The vectors that move a place; the list is cleaned on the way.
    fn movers(&mut self, place: u32) -> Vec<u32> {
        let Some(list) = self.moved_by.get_mut(place as usize) else { return Vec::new() };
        let mut movers = std::mem::take(list);
        movers.sort_unstable();
        movers.dedup();
        movers.retain(|vector| self.entry(*vector, place) != 0);
        if let Some(list) = self.moved_by.get_mut(place as usize) {
            list.clone_from(&movers);
        }
        movers
    }
}

/// `seen · vector − by · pivot`, divided by what all its entries share, and so not seen any more.
fn combine(vector: &[(u32, i64)], seen: i64, pivot: &[(u32, i64)], by: i64) -> Result<Vector, Overflow> {
    let shared = gcd(seen.unsigned_abs(), by.unsigned_abs());
    let shared = i64::try_from(shared).map_err(|_| Overflow)?;
    let (seen, by) = (seen.checked_div(shared).ok_or(Overflow)?, by.checked_div(shared).ok_or(Overflow)?);
    let mut sum = Vec::with_capacity(vector.len() + pivot.len());
    let (mut left, mut right) = (vector.iter().peekable(), pivot.iter().peekable());
    loop {
        let (place, one, other) = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(&&(a, x)), Some(&&(b, y))) if a == b => {
                left.next();
                right.next();
                (a, x, y)
            }
            (Some(&&(a, x)), other) if other.is_none_or(|&&(b, _)| a < b) => {
                left.next();
                (a, x, 0)
            }
            (_, Some(&&(b, y))) => {
                right.next();
                (b, 0, y)
            }
            (Some(&&(a, x)), None) => {
                left.next();
                (a, x, 0)
            }
        };
        let kept = one.checked_mul(seen).ok_or(Overflow)?;
        let taken = other.checked_mul(by).ok_or(Overflow)?;
        let entry = kept.checked_sub(taken).ok_or(Overflow)?;
        if entry != 0 {
            sum.push((place, entry));
        }
    }
    let shared = sum.iter().fold(0, |shared, (_, entry)| gcd(shared, entry.unsigned_abs()));
    if let Ok(shared) = i64::try_from(shared)
        && shared > 1
    {
        for (_, entry) in &mut sum {
            *entry /= shared;
        }
    }
    Ok(sum)
}

pub(in super::super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
