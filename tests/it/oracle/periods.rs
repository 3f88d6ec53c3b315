//! Periods of a tax and the days on which their returns are due.

use jiff::civil::Date;

use super::law::{Term, in_force, joined, last_of_month, months_later, rolled};
use super::random::plus;
use super::{Night, Random};

/// A month, a quarter or a year.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// Its first day.
    pub first: Date,
    /// Its last day.
    pub last: Date,
}

impl Period {
    /// The period of so many months that ends on this last day of a month.
    pub fn ending(last: Date, months: i64) -> Self {
        // Back from the first day of the next month, which every month has.
        Period { first: months_later(plus(last, 1), -months), last }
    }

    /// Whether something that holds from one day to another holds on a day of this period.
    pub fn touches(&self, starts_on: Option<Date>, ends_on: Option<Date>) -> bool {
        starts_on.is_none_or(|starts_on| starts_on <= self.last) && ends_on.is_none_or(|ends_on| self.first <= ends_on)
    }

    /// The first day after it.
    pub fn next_day(&self) -> Date {
        plus(self.last, 1)
    }

    /// `2026-10`.
    pub fn month(&self) -> String {
        format!("{:04}-{:02}", self.last.year(), self.last.month())
    }

    /// `2026-Q3`.
    pub fn quarter(&self) -> String {
        format!("{:04}-Q{}", self.last.year(), self.last.month() / 3)
    }
}

/// The periods of so many months, counted from January, that end in the two years before the last day that the night
/// looks at.
pub fn periods(night: &Night, months: i64) -> Vec<Period> {
    let mut found = Vec::new();
    let mut first = joined(i64::from(night.until.year()) - 2, 1, 1);
    while first <= night.until {
        let next = months_later(first, months);
        found.push(Period { first, last: plus(next, -1) });
        first = next;
    }
    found
}

/// The last day of this month of the year before the last day that the night looks at, of that year and of the two
/// before them.
pub fn year_ends(night: &Night, month: i64) -> Vec<Date> {
    let year = i64::from(night.until.year());
    (year - 3..=year).map(|year| last_of_month(joined(year, month, 1))).collect()
}

/// The day on which something that the tax law asks for by this day is due, if the night looks at it: a day of rest
/// moves it to the next working day (Decree 252/2026, Art. 3(7); before it the Civil Code 2015, Art. 148(5)).
pub fn tax_day(nominal_on: Date, night: &Night) -> Option<Date> {
    // No rest is as long as twenty days; of years far away the days off are not known.
    let may_be_seen = plus(night.since, -20) <= nominal_on && nominal_on <= night.until;
    may_be_seen.then(|| rolled(nominal_on, night.known_on)).filter(|due_on| night.sees(*due_on))
}

/// The version in force on the first day after a period, which counts for its return.
pub fn after<V>(terms: &'static [Term<V>], period: &Period, night: &Night) -> Option<&'static Term<V>> {
    in_force(terms, period.next_day(), night.known_on)
}

/// The last day of a period of so many months, counted from January, whose return may be due in the night's window:
/// so many months after it.
pub fn last_day(random: &mut Random, night: &Night, months: i64, later_months: i64) -> Date {
    let due_on = random.due(night);
    let mut last = last_of_month(months_later(due_on.first_of_month(), -later_months));
    while i64::from(last.month()) % months != 0 {
        last = last_of_month(months_later(last.first_of_month(), -1));
    }
    let last = last;
    match random.below(8) {
        0 => plus(months_later(plus(last, 1), -months), -1),
        1 => plus(months_later(plus(last, 1), months), -1),
        _ => last,
    }
}

/// A day at or about the edges of a period, or long before it.
pub fn edge(random: &mut Random, period: Period) -> Date {
    match random.below(8) {
        0..2 => random.near(period.first),
        2..4 => random.near(period.last),
        4 => random.day(period.first, period.last),
        _ => random.day(plus(period.first, -900), plus(period.first, -2)),
    }
}

/// The same, after a day or never.
pub fn edge_after(random: &mut Random, period: Period, starts_on: Date) -> Option<Date> {
    let ends_on = match random.below(10) {
        0..2 => random.near(period.first),
        2..4 => random.near(period.last),
        4 => random.day(period.first, period.last),
        5 => random.day(plus(period.first, -400), plus(period.last, 100)),
        _ => return None,
    };
    (starts_on <= ends_on).then_some(ends_on)
}
