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
    /// It would miss the deadline, or be over before it can be taken.
    Late,
    /// This other way is as good in everything and better in something, and everything is known of both.
    Dominated(u8),
    /// It remains, in this place; 0 is the one that is recommended.
    Ranked(u8),
}

/// What became of every way of a sheet, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decision {
    places: [Place; WAYS_MAX],
    ways: u8,
    beside: Option<u8>,
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

    /// The way with which the recommended one is compared: of those without harm, the one that comes next by the order of
    /// the criteria, whether it is beaten or remains; none where there is no other.
    pub fn beside(&self) -> Option<usize> {
        self.beside.map(usize::from)
    }

    /// The way in this place of the order.
    pub fn at(&self, rank: u8) -> Option<usize> {
        self.places().iter().position(|place| *place == Place::Ranked(rank))
    }
}

/// What is compared: the criteria, of which time is two numbers.
const NUMBERS: usize = Criterion::WORDS.len() + 1;

/// A sheet as numbers.
#[derive(Debug, Clone)]
pub struct Scales {
    policy: Vec<Criterion>,
    by_due_day: ByDueDay,
    ways: Vec<Scale>,
}

/// A way as numbers; days since 1970.
#[derive(Debug, Clone)]
struct Scale {
    /// By status; none where a part of it is not known.
    costs: Vec<Option<u32>>,
    visits: u64,
    median_days: u64,
    p90_days: u64,
    documents: u64,
    duties: u64,
    /// How many months are paid at once; 0 where nothing is paid by the month.
    months: u16,
    opens_on: i32,
    filed_on: i32,
    ready_on: i32,
    until: i32,
}

/// A way before one person: what is compared, in the order that counts for the person. Less is better.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    at: u8,
    numbers: [u64; NUMBERS],
    /// Where the cost stands among the numbers.
    cost_at: usize,
    is_cost_known: bool,
    months: u16,
}

impl Weight {
    /// The numbers without the cost.
    fn rest(&self) -> [u64; NUMBERS] {
        let mut rest = self.numbers;
        rest.get_mut(self.cost_at).into_iter().for_each(|cost| *cost = 0);
        rest
    }

    /// As good in everything, and better in something. What is not known is neither; nor is another term: whoever pays for
    /// six months pays less tonight than for twelve, and again sooner.
    fn dominates(&self, other: &Weight) -> bool {
        let is_comparable = self.is_cost_known && other.is_cost_known && self.months == other.months;
        let mut pairs = self.numbers.iter().zip(&other.numbers);
        is_comparable && self.numbers != other.numbers && pairs.all(|(one, other)| one <= other)
    }

    /// Whether it stands before another one: by everything where both costs are known, otherwise by the rest.
    fn is_before(&self, other: &Weight) -> bool {
        if self.is_cost_known && other.is_cost_known {
            (self.numbers, self.at) < (other.numbers, other.at)
        } else {
            (self.rest(), self.at) < (other.rest(), other.at)
        }
    }
}

impl Scales {
    /// The numbers of a sheet.
    pub fn of(sheet: &Sheet) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let statuses = u8::try_from(sheet.statuses.len()).unwrap_or(u8::MAX);
        let ways = sheet.ways.iter().take(WAYS_MAX).map(|way| Scale {
            costs: (0..statuses).map(|status| way.amount(status)).collect(),
            visits: way.visits.into(),
            median_days: way.time.median_days.into(),
            p90_days: way.time.p90_days.into(),
            documents: count(way.documents.len()),
            duties: count(way.duties.len()),
            months: way.months.unwrap_or(0),
            opens_on: to_days(way.time.opens_on.0.max(sheet.as_of.0)),
            filed_on: to_days(way.time.filed_on.0.max(sheet.as_of.0)),
            ready_on: to_days(way.time.ready_on.0),
            until: way.until.map_or(i32::MAX, |until| to_days(until.0)),
        });
        Scales { policy: sheet.policy.clone(), by_due_day: sheet.by_due_day, ways: ways.collect() }
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
        let ways = u8::try_from(self.ways.len()).unwrap_or(0);
        let mut decision = Decision { places: [Place::Absent; WAYS_MAX], ways, beside: None };
        let mut weights = [Weight::default(); WAYS_MAX];
        let mut remaining = 0;
        for (at, (way, cell)) in (0..ways).zip(self.ways.iter().zip(case.cells)) {
            let place = self.harm(way, *cell, case.due_on);
            decision.put(at, place);
            if place == Place::Ranked(0)
                && let Some(next) = weights.get_mut(remaining)
            {
                *next = self.weight(at, way, *cell, case.wish);
                remaining += 1;
            }
        }
        decision.order(weights.get_mut(..remaining).unwrap_or_default());
        decision
    }

    /// What is compared, in the order that counts for a person.
    fn weight(&self, at: u8, way: &Scale, cell: Cell, wish: Option<Criterion>) -> Weight {
        let cost = way.costs.get(usize::from(cell.status)).copied().flatten();
        let mut weight = Weight { at, is_cost_known: cost.is_some(), months: way.months, ..Weight::default() };
        let mut next = 0;
        let mut put = |number: u64| {
            weight.numbers.get_mut(next).into_iter().for_each(|place| *place = number);
            next += 1;
            next - 1
        };
        let mut cost_at = 0;
        let rest = self.policy.iter().copied().filter(|criterion| Some(*criterion) != wish);
        for criterion in wish.into_iter().chain(rest) {
            let _at = match criterion {
                Criterion::Cost => {
                    cost_at = put(cost.unwrap_or(0).into());
                    cost_at
                }
                Criterion::Visits => put(way.visits),
                Criterion::Time => {
                    put(way.median_days);
                    put(way.p90_days)
                }
                Criterion::Documents => put(way.documents),
                Criterion::Duties => put(way.duties),
            };
        }
        weight.cost_at = cost_at;
        weight
    }

    /// Why a way is out for its own sake; it remains as [`Place::Ranked`] otherwise.
    fn harm(&self, way: &Scale, cell: Cell, due_on: i32) -> Place {
        // Whoever has less time than a reader is given files on the last day, if the way is open then.
        let filed_on = way.filed_on.min(due_on).max(way.opens_on);
        let is_ready_late = self.by_due_day == ByDueDay::Settled && way.ready_on > due_on;
        match (cell.standing, cell.right) {
            (Cell::ABSENT, _) => Place::Absent,
            (0, 0) if filed_on > due_on || filed_on > way.until || is_ready_late => Place::Late,
            (0, 0) => Place::Ranked(0),
            (0, right) => Place::LosesRight(right - 1),
            (reason, _) => Place::Closed(reason - 1),
        }
    }
}

impl Decision {
    fn put(&mut self, at: u8, place: Place) {
        self.places.get_mut(usize::from(at)).into_iter().for_each(|found| *found = place);
    }

    /// Puts the ways without harm in their order.
    ///
    /// Those whose cost is known stand among themselves in the order of all criteria, less those that are beaten; each of
    /// the others comes in where the rest of the criteria puts it: its cost speaks neither for it nor against it.
    fn order(&mut self, weights: &mut [Weight]) {
        // Whatever beats a way stands before it in every order of the criteria. The ways of a sheet are in the order of
        // their words, so that those that are alike in everything have an order.
        weights.sort_unstable_by_key(|weight| (!weight.is_cost_known, weight.numbers, weight.at));
        let (known, unknown) = weights.split_at(weights.partition_point(|weight| weight.is_cost_known));
        let beats = |at: usize, way: &Weight| known.iter().take(at).find(|other| other.dominates(way));
        for (at, way) in known.iter().enumerate() {
            if let Some(other) = beats(at, way) {
                self.put(way.at, Place::Dominated(other.at));
            }
        }
        let mut unbeaten = known.iter().enumerate().filter(|(at, way)| beats(*at, way).is_none()).map(|(_, way)| way);
        let mut others = unknown.iter();
        let (mut one, mut other) = (unbeaten.next(), others.next());
        let mut first = None;
        for rank in 0..self.ways {
            let next = match (one, other) {
                (Some(known), Some(unknown)) if known.is_before(unknown) => &mut one,
                (Some(_), None) => &mut one,
                _ => &mut other,
            };
            let Some(way) = next.take() else { break };
            self.put(way.at, Place::Ranked(rank));
            first = first.or(Some(way.at));
            one = one.or_else(|| unbeaten.next());
            other = other.or_else(|| others.next());
        }
        let next = |ways: &[Weight]| ways.iter().find(|way| Some(way.at) != first).copied();
        let nearest = match (next(known), next(unknown)) {
            (Some(known), Some(unknown)) if unknown.is_before(&known) => Some(unknown),
            (known, unknown) => known.or(unknown),
        };
        self.beside = nearest.map(|way| way.at);
    }
}
