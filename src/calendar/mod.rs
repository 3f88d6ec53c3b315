//! Civil dates in Vietnam, working days, the lunar year, and the only reader of the clock.
//!
//! Everything that decides takes [`AsOf`]; nothing else may ask what day it is,
//! so that a run can speak for yesterday and a replayed night gives the same
//! bytes. This module must not know what a date is for.

pub mod civil;
pub mod cron;
pub mod lunar;
mod months;
mod period;
mod working_days;

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

pub use months::{Rounding, add_months};
pub use period::{NotASpan, Span};
pub use working_days::{NoData, WorkingDays, known_from};

/// The time zone of Vietnam, Indochina Time, UTC+7 without summer time.
pub const ZONE: &str = "Asia/Ho_Chi_Minh";

/// The civil date, in Vietnam, for which a run speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsOf(Date);

impl AsOf {
    /// A run that speaks for this date.
    pub fn new(date: Date) -> Self {
        AsOf(date)
    }

    /// A run that speaks for today, by the clock.
    pub fn today() -> Self {
        AsOf(now().to_zoned(vietnam()).date())
    }

    /// The date.
    pub fn date(self) -> Date {
        self.0
    }

    /// Eight in the morning of that day in Vietnam: the `Date` of every letter of that night.
    pub fn morning(self) -> Timestamp {
        match self.0.at(8, 0, 0, 0).to_zoned(vietnam()) {
            Ok(zoned) => zoned.timestamp(),
            // Only the last days of the year 9999 have no such instant.
            Err(_) => Timestamp::MAX,
        }
    }
}

/// The day for which a night speaks, and the day whose knowledge of the law it uses.
///
/// A night knows what was known on its own day (`AsOf` turns into such a `Day` by
/// itself); only a replay asks what another day would have made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// The civil date, in Vietnam, for which it speaks.
    pub as_of: AsOf,
    /// What was decided after this date is not known.
    pub known_on: Date,
}

impl Day {
    /// A day seen from another.
    pub fn known(as_of: Date, known_on: Date) -> Self {
        Day { as_of: AsOf(as_of), known_on }
    }
}

impl From<AsOf> for Day {
    fn from(as_of: AsOf) -> Self {
        Day { as_of, known_on: as_of.date() }
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AsOf {
    type Err = jiff::Error;

    /// From ISO 8601, `2026-11-21`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(AsOf)
    }
}

/// The present instant: for the time stamps of the ledger, for the scheduler and
/// for measuring how long a step took; never for deciding anything about a person.
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The zone of Vietnam; where the system's own database lacks it, the fixed offset, which is the same.
pub fn vietnam() -> TimeZone {
    TimeZone::get(ZONE).unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(7)))
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// A date as Arrow's `Date32`: days since 1 January 1970.
pub fn to_days(date: Date) -> i32 {
    // Years -9999 to 9999 are less than eight million days apart.
    (date - EPOCH).get_days()
}

/// A date from Arrow's `Date32`; none when it lies outside the years -9999 to 9999.
pub fn from_days(days: i32) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}
