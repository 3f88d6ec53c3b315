//! Versions of rules, months, ages and working days, counted here and nowhere else.
//!
//! Written from the Civil Code 2015 (Art. 147, 148), the Labour Code 2019 (Art. 111, 112) and the yearly notices on
//! days off, with nothing of `src/calendar/`.

use jiff::civil::{Date, Weekday, date};

use super::random::plus;

/// A version of a rule, as the law of a time says it.
#[derive(Debug, Clone, Copy)]
pub struct Term<V: 'static> {
    /// The name of the version: `driving_licence_term@2025-01-01`.
    pub name: &'static str,
    /// The first day on which it could be known.
    pub enacted_on: Date,
    /// Its first day.
    pub from: Date,
    /// Its last day; none while nothing ends it.
    pub to: Option<Date>,
    /// Suspensions: decided on, first day, last day.
    pub suspended: &'static [(Date, Date, Option<Date>)],
    /// Repealed or replaced by another act: decided on, the first day on which it is no longer in force.
    pub ended: Option<(Date, Date)>,
    /// Its numbers.
    pub value: V,
}

impl<V> Term<V> {
    /// A version that nothing ends.
    pub const fn new(name: &'static str, enacted_on: Date, from: Date, value: V) -> Self {
        Term { name, enacted_on, from, to: None, suspended: &[], ended: None, value }
    }

    /// A version that a later one replaces: enacted on this day, in force from that one.
    pub const fn until(self, decided_on: Date, on: Date) -> Self
    where
        V: Copy,
    {
        Term { ended: Some((decided_on, on)), ..self }
    }

    /// Whether it is in force on a day, by what is known on a day.
    pub fn holds(&self, day: Date, known_on: Date) -> bool {
        let is_known = self.enacted_on <= known_on;
        let is_within = self.from <= day && self.to.is_none_or(|to| day <= to);
        let is_ended = self.ended.is_some_and(|(decided_on, on)| decided_on <= known_on && on <= day);
        let is_suspended = self
            .suspended
            .iter()
            .any(|(decided_on, from, to)| *decided_on <= known_on && *from <= day && to.is_none_or(|to| day <= to));
        is_known && is_within && !is_ended && !is_suspended
    }
}

/// The version in force on a day, by what is known on a day: one at most, since each that another took the place of is
/// ended here by that one.
pub fn in_force<V>(terms: &'static [Term<V>], day: Date, known_on: Date) -> Option<&'static Term<V>> {
    let mut holding = terms.iter().filter(|term| term.holds(day, known_on));
    let found = holding.next();
    assert!(holding.next().is_none(), "two versions hold on {day}, as known on {known_on}");
    found
}

/// How many days a month has.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// The last day of the month of this day.
pub fn last_of_month(day: Date) -> Date {
    let (year, month) = (i64::from(day.year()), i64::from(day.month()));
    joined(year, month, days_in_month(year, month))
}

/// So many months later: the same day of the month, or its last day where it has none (Civil Code 2015, Art. 148(3)).
pub fn months_later(day: Date, months: i64) -> Date {
    let (mut year, mut month) = (i64::from(day.year()), i64::from(day.month()) + months);
    while month > 12 {
        (year, month) = (year + 1, month - 12);
    }
    while month < 1 {
        (year, month) = (year - 1, month + 12);
    }
    joined(year, month, i64::from(day.day()).min(days_in_month(year, month)))
}

/// So many years later, by the same rule: 29 February becomes 28 February in common years.
pub fn years_later(day: Date, years: i64) -> Date {
    months_later(day, 12 * years)
}

/// A day from its parts, which must be right.
pub fn joined(year: i64, month: i64, day: i64) -> Date {
    date(year as i16, month as i8, day as i8)
}

/// Completed years on a day.
pub fn age(birth: Date, on: Date) -> i64 {
    let mut years = 0;
    while years_later(birth, years + 1) <= on {
        years += 1;
    }
    years
}

/// Days off on a weekday: the day, and the day on which it was decided where that was later than usual.
const OFF: [(Date, Option<Date>); 50] = [
    // 2024: notices 5015/TB-LĐTBXH and 1570/TB-LĐTBXH.
    (date(2024, 1, 1), None),
    (date(2024, 2, 8), Some(date(2023, 11, 22))),
    (date(2024, 2, 9), None),
    (date(2024, 2, 12), None),
    (date(2024, 2, 13), None),
    (date(2024, 2, 14), None),
    (date(2024, 4, 18), None),
    (date(2024, 4, 29), Some(date(2024, 4, 12))),
    (date(2024, 4, 30), None),
    (date(2024, 5, 1), None),
    (date(2024, 9, 2), None),
    (date(2024, 9, 3), Some(date(2023, 11, 22))),
    // 2025: notice 6150/TB-BLĐTBXH.
    (date(2025, 1, 1), None),
    (date(2025, 1, 27), Some(date(2024, 12, 3))),
    (date(2025, 1, 28), None),
    (date(2025, 1, 29), None),
    (date(2025, 1, 30), None),
    (date(2025, 1, 31), None),
    (date(2025, 4, 7), None),
    (date(2025, 4, 30), None),
    (date(2025, 5, 1), None),
    (date(2025, 5, 2), Some(date(2024, 12, 3))),
    (date(2025, 9, 1), Some(date(2024, 12, 3))),
    (date(2025, 9, 2), None),
    // 2026: letter 12729/VPCP-KGVX, notice 9441/TB-BNV, Resolution 28/2026/QH16.
    (date(2026, 1, 1), None),
    (date(2026, 1, 2), Some(date(2025, 12, 25))),
    (date(2026, 2, 16), None),
    (date(2026, 2, 17), None),
    (date(2026, 2, 18), None),
    (date(2026, 2, 19), None),
    (date(2026, 2, 20), Some(date(2025, 10, 16))),
    (date(2026, 4, 27), None),
    (date(2026, 4, 30), None),
    (date(2026, 5, 1), None),
    (date(2026, 8, 31), Some(date(2025, 10, 16))),
    (date(2026, 9, 1), Some(date(2025, 10, 16))),
    (date(2026, 9, 2), None),
    (date(2026, 11, 24), Some(date(2026, 5, 8))),
    // 2027, in part assumed until its notice comes.
    (date(2027, 1, 1), None),
    (date(2027, 2, 5), None),
    (date(2027, 2, 8), None),
    (date(2027, 2, 9), None),
    (date(2027, 2, 10), None),
    (date(2027, 2, 11), None),
    (date(2027, 4, 16), None),
    (date(2027, 4, 30), None),
    (date(2027, 5, 3), None),
    (date(2027, 9, 2), None),
    (date(2027, 9, 3), None),
    (date(2027, 11, 24), Some(date(2026, 5, 8))),
];

/// Saturdays that are worked for a day off, and when that was decided.
const WORKED: [(Date, Date); 4] = [
    (date(2024, 5, 4), date(2024, 4, 12)),
    (date(2025, 4, 26), date(2024, 12, 3)),
    (date(2026, 1, 10), date(2025, 12, 25)),
    (date(2026, 8, 22), date(2025, 10, 16)),
];

/// Whether a day of 2024 to 2027 is worked, by what is known on a day.
pub fn is_worked(day: Date, known_on: Date) -> bool {
    assert!((2024..=2027).contains(&day.year()), "the days off of the year of {day} are not known");
    let is_weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    if is_weekend {
        return WORKED.iter().any(|(worked, decided_on)| *worked == day && *decided_on <= known_on);
    }
    !OFF.iter().any(|(off, decided_on)| *off == day && decided_on.is_none_or(|decided_on| decided_on <= known_on))
}

/// So many working days after a day, which is not counted itself; backwards where negative.
pub fn working_days_later(day: Date, count: i64, known_on: Date) -> Date {
    let step = count.signum();
    let (mut day, mut left) = (day, count.abs());
    while left > 0 {
        day = plus(day, step);
        left -= i64::from(is_worked(day, known_on));
    }
    day
}

/// The day itself where it is worked, otherwise the next one that is.
pub fn rolled(day: Date, known_on: Date) -> Date {
    let mut day = day;
    while !is_worked(day, known_on) {
        day = plus(day, 1);
    }
    day
}

/// What is counted here, on days that others have published.
#[test]
fn days_are_counted_as_published() {
    let known_on = date(2026, 11, 22);
    // The year 2026 is finalised by 4 May 2027, as 30 April 2027 is a holiday.
    assert_eq!(rolled(date(2027, 4, 30), known_on), date(2027, 5, 4));
    assert_eq!(working_days_later(date(2026, 11, 16), 7, known_on), date(2026, 11, 26));
    assert_eq!(working_days_later(date(2026, 2, 23), -1, known_on), date(2026, 2, 13));
    assert_eq!(working_days_later(date(2026, 1, 9), 1, known_on), date(2026, 1, 10));
    assert_eq!(working_days_later(date(2026, 1, 9), 1, date(2025, 12, 24)), date(2026, 1, 12));
    assert_eq!(months_later(date(2026, 1, 31), 1), date(2026, 2, 28));
    assert_eq!(months_later(date(2028, 2, 29), -24), date(2026, 2, 28));
    assert_eq!(age(date(2012, 2, 29), date(2026, 2, 28)), 14);
    assert_eq!(age(date(2012, 2, 29), date(2026, 2, 27)), 13);
}
