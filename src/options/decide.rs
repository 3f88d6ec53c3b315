//! Weighs the ways of a sheet for one person. No allocation for a person: a night may have a million of them.
//!
//! It must not know words, in whichever language.

use super::sheet::Sheet;
use crate::calendar::to_days;
use crate::pipeline::options::{ByDueDay, Criterion, WAYS_MAX};

/// How a way stands to one person, as the select says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// 0: open to the person; n: not open, for the reason n − 1 of the sheet; [`Cell::ABSENT`]: there is no such way.
    pub standing: u8,
    /// The status by which the person pays, by its place in the sheet.
    pub status: u8,
    /// 0: no right is lost; n: the right n − 1 of the sheet is.
    pub right: u8,
}

impl Cell {
    /// The standing of a way of which the select says nothing.
    pub const ABSENT: u8 = u8::MAX;

    /// A way of which the select says nothing.
    pub const NOTHING: Cell = Cell { standing: Cell::ABSENT, status: 0, right: 0 };
}

/// One person before the ways of a sheet.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The last day on which the obligation can be met, in days since 1970.
    pub due_on: i32,
    /// How each way stands to the person, in the order of the sheet's ways.
    pub cells: &'a [Cell],
    /// What counts first for the person; none where nothing was said.
    pub wish: Option<Criterion>,
}

/// What became of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// It is no way for this person: nothing is said of it.
    Absent,
    /// Not open, for this reason.
    Closed(u8),
    /// It would lose this right.
    LosesRight(u8),
    /// It would miss the deadline.
    Late,
    /// This other way is as good in everything and better in something.
    Dominated(u8),
    /// It remains, in this place; 0 is the one that is recommended.
    Ranked(u8),
}

/// What became of every way of a sheet, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    places: [Place; WAYS_MAX],
    ways: u8,
}

impl Decision {
    /// What became of each way.
    pub fn places(&self) -> &[Place] {
        self.places.get(..usize::from(self.ways)).unwrap_or_default()
    }

    /// The way that is recommended, by its place in the sheet; none where none is without harm.
    pub fn recommended(&self) -> Option<usize> {
        self.at(0)
    }

    /// The way in this place of the order.
    pub fn at(&self, rank: u8) -> Option<usize> {
        self.places().iter().position(|place| *place == Place::Ranked(rank))
    }
}

/// What is compared: the criteria, of which time is two numbers.
const NUMBERS: usize = Criterion::WORDS.len() + 1;

/// A cost that nobody said is more than any that somebody did.
const UNKNOWN: u64 = u64::MAX;

/// A sheet as numbers.
#[derive(Debug, Clone)]
pub struct Scales {
    policy: Vec<Criterion>,
    ways: Vec<Scale>,
}

#[derive(Debug, Clone)]
struct Scale {
    costs: Vec<u64>,
    visits: u64,
    median_days: u64,
    p90_days: u64,
    documents: u64,
    duties: u64,
    /// By when it has to be begun or be done, in days since 1970.
    needed_on: i32,
}

impl Scales {
    /// The numbers of a sheet.
    pub fn of(sheet: &Sheet) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(UNKNOWN);
        let ways = sheet.ways.iter().take(WAYS_MAX).map(|way| Scale {
            costs: way.costs.iter().map(|cost| cost.as_ref().map_or(UNKNOWN, |cost| cost.vnd.into())).collect(),
            visits: way.visits.into(),
            median_days: way.time.median_days.into(),
            p90_days: way.time.p90_days.into(),
            documents: count(way.documents.len()),
            duties: count(way.duties.len()),
            needed_on: to_days(match sheet.by_due_day {
                ByDueDay::Settled => way.time.ready_on.0,
                ByDueDay::Filed => sheet.as_of.0,
            }),
        });
        Scales { policy: sheet.policy.clone(), ways: ways.collect() }
    }

    /// How many ways there are.
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// Whether there is no way.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Decides for one person.
    pub fn decide(&self, case: &Case<'_>) -> Decision {
        let mut decision =
            Decision { places: [Place::Absent; WAYS_MAX], ways: u8::try_from(self.ways.len()).unwrap_or(0) };
        let mut numbers = [[0; NUMBERS]; WAYS_MAX];
        let mut order = [0_u8; WAYS_MAX];
        let mut remaining = 0;
        for (at, (way, cell)) in self.ways.iter().zip(case.cells).enumerate() {
            let Some(place) = decision.places.get_mut(at) else { break };
            *place = harm(way, *cell, case.due_on);
            if *place == Place::Ranked(0)
                && let (Some(number), Some(next)) = (numbers.get_mut(at), order.get_mut(remaining))
            {
                *number = self.numbers(way, *cell, case.wish);
                *next = u8::try_from(at).unwrap_or(0);
                remaining += 1;
            }
        }
        // The ways of a sheet are in the order of their words, so that those that are alike in everything have an order.
        let order = order.get_mut(..remaining).unwrap_or_default();
        let number = |way: u8| numbers.get(usize::from(way)).copied().unwrap_or([UNKNOWN; NUMBERS]);
        order.sort_unstable_by_key(|way| (number(*way), *way));
        let mut rank = 0;
        for (at, way) in order.iter().enumerate() {
            // Whatever beats a way stands before it in every order of the criteria.
            let better = order.iter().take(at).find(|other| dominates(&number(**other), &number(*way)));
            let Some(place) = decision.places.get_mut(usize::from(*way)) else { continue };
            match better {
                Some(other) => *place = Place::Dominated(*other),
                None => {
                    *place = Place::Ranked(rank);
                    rank += 1;
                }
            }
        }
        decision
    }

    /// What is compared, in the order that counts for a person.
    fn numbers(&self, way: &Scale, cell: Cell, wish: Option<Criterion>) -> [u64; NUMBERS] {
        let mut numbers = [0; NUMBERS];
        let mut at = 0;
        let mut put = |number: u64| {
            if let Some(place) = numbers.get_mut(at) {
                *place = number;
            }
            at += 1;
        };
        let rest = self.policy.iter().copied().filter(|criterion| Some(*criterion) != wish);
        for criterion in wish.into_iter().chain(rest) {
            match criterion {
                Criterion::Cost => put(way.costs.get(usize::from(cell.status)).copied().unwrap_or(UNKNOWN)),
                Criterion::Visits => put(way.visits),
                Criterion::Time => {
                    put(way.median_days);
                    put(way.p90_days);
                }
                Criterion::Documents => put(way.documents),
                Criterion::Duties => put(way.duties),
            }
        }
        numbers
    }
}

/// Why a way is out for its own sake; it remains as [`Place::Ranked`] otherwise.
fn harm(way: &Scale, cell: Cell, due_on: i32) -> Place {
    match (cell.standing, cell.right) {
        (Cell::ABSENT, _) => Place::Absent,
        (0, 0) if way.needed_on > due_on => Place::Late,
        (0, 0) => Place::Ranked(0),
        (0, right) => Place::LosesRight(right - 1),
        (reason, _) => Place::Closed(reason - 1),
    }
}

/// Whether one way is as good as another in everything, and better in something.
fn dominates(one: &[u64; NUMBERS], other: &[u64; NUMBERS]) -> bool {
    one != other && one.iter().zip(other).all(|(one, other)| one <= other)
}
