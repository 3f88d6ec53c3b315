//! Decides for many people at once, on all cores: people who are alike are told the same, and it is said once.
//!
//! It must not know whose case is whose.

use std::collections::HashMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use super::cases::Cases;
use super::decide::{Case, Cell, Scales};
use super::sheet::Sheet;
use super::told::Explained;
use crate::pipeline::options::{Criterion, WAYS_MAX};

/// What became of many cases, in columns.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// The way that is recommended, by its place in the sheet; [`Decided::NONE`] where none is.
    ways: Vec<u8>,
    /// Which explanation.
    explained: Vec<u32>,
    /// SHA-256 of the explanations, or the marks made of them.
    digests: Vec<String>,
}

impl Decided {
    const NONE: u8 = u8::MAX;

    /// The way that is recommended in a case, by its place in the sheet.
    pub fn way(&self, at: usize) -> Option<usize> {
        self.ways.get(at).filter(|way| **way != Self::NONE).map(|way| usize::from(*way))
    }

    /// The same, with a mark in place of the SHA-256 of each explanation.
    #[must_use]
    pub fn marked(mut self, mark: impl Fn(&str) -> String) -> Self {
        self.digests.iter_mut().for_each(|digest| *digest = mark(digest));
        self
    }

    /// The SHA-256 of the explanation of a case, or the mark that was made of it.
    pub fn digest(&self, at: usize) -> &str {
        let place = self.explained.get(at).and_then(|place| usize::try_from(*place).ok());
        place.and_then(|place| self.digests.get(place)).map(String::as_str).unwrap_or_default()
    }

    /// How many different explanations there are.
    pub fn explanations(&self) -> usize {
        self.digests.len()
    }

    fn take_in(&mut self, other: Decided) {
        let before = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        self.ways.extend(other.ways);
        self.explained.extend(other.explained.into_iter().map(|place| place.saturating_add(before)));
        self.digests.extend(other.digests);
    }
}

/// Cases that are decided by one core at once: fewer are not worth a thread.
const PER_CORE_MIN: usize = 4096;

/// Decides every case.
pub fn decide_all(sheet: &Sheet, scales: &Scales, cases: &Cases) -> Decided {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let size = cases.len().div_ceil(cores).max(PER_CORE_MIN);
    let parts: Vec<std::ops::Range<usize>> =
        (0..cases.len()).step_by(size).map(|from| from..cases.len().min(from.saturating_add(size))).collect();
    let mut decided = Decided::default();
    thread::scope(|scope| {
        let part = |range| scope.spawn(move || decide_part(sheet, scales, cases, range));
        let working: Vec<_> = parts.into_iter().map(part).collect();
        for part in working {
            decided.take_in(part.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    decided
}

/// All that the words of an explanation depend on beside the sheet.
#[derive(PartialEq, Eq, Hash)]
struct Alike {
    due_on: i32,
    wish: Option<Criterion>,
    cells: [Cell; WAYS_MAX],
}

impl Alike {
    fn of(case: &Case<'_>) -> Self {
        let mut cells = [Cell::NOTHING; WAYS_MAX];
        cells.iter_mut().zip(case.cells).for_each(|(place, cell)| *place = *cell);
        Alike { due_on: case.due_on, wish: case.wish, cells }
    }
}

fn decide_part(sheet: &Sheet, scales: &Scales, cases: &Cases, range: std::ops::Range<usize>) -> Decided {
    let mut decided = Decided::default();
    decided.ways.reserve(range.len());
    decided.explained.reserve(range.len());
    let mut known: HashMap<Alike, (u8, u32)> = HashMap::new();
    for at in range {
        let Some(case) = cases.get(at) else { continue };
        let (way, place) = *known.entry(Alike::of(&case)).or_insert_with(|| {
            let decision = scales.decide(&case);
            let way = decision.recommended().and_then(|way| u8::try_from(way).ok()).unwrap_or(Decided::NONE);
            decided.digests.push(Explained::of(sheet, &case, &decision).sha256);
            (way, u32::try_from(decided.digests.len() - 1).unwrap_or(u32::MAX))
        });
        decided.ways.push(way);
        decided.explained.push(place);
    }
    decided
}
