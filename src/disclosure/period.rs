//! Months, quarters and years, and which of them have closed.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::calendar::AsOf;

/// A calendar month, `2026-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    // The first day of the month.
    first: Date,
}

/// A quarter of a calendar year, `2026-Q3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quarter {
    first: Month,
}

/// A calendar year, `2026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Year {
    first: Month,
}

/// A week of a month, `2026-10-w2`: days 1 to 7, 8 to 14, 15 to 21, and the rest. Weeks lie within their month, whose
/// budget they spend, and share no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week {
    month: Month,
    /// 1 to 4.
    place: u8,
}

/// What a published table speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Period {
    /// `2026-10`
    Month(Month),
    /// `2026-Q3`
    Quarter(Quarter),
    /// `2026`
    Year(Year),
    /// `2026-10-w2`
    Week(Week),
}

/// The months from `first` on that have closed by `as_of`, in order.
///
/// A month has closed when `close_after_days` whole days have passed since its last day ended: October with 10 days
/// closes on 11 November.
pub fn closed_months(first: Month, as_of: AsOf, close_after_days: u16) -> Vec<Month> {
    std::iter::successors(Some(first), |month| month.next())
        .take_while(|month| {
            let closed_on =
                month.next().and_then(|next| next.first.checked_add(i64::from(close_after_days).days()).ok());
            closed_on.is_some_and(|day| day <= as_of.date())
        })
        .collect()
}

/// The weeks from the month of `first` on that have ended `after_days` whole days ago by `as_of`, in order.
pub fn closed_weeks(first: Month, as_of: AsOf, after_days: u16) -> Vec<Week> {
    let months = std::iter::successors(Some(first), |month| month.next());
    let weeks = months.flat_map(|month| Week::PLACES.map(|place| Week { month, place }));
    weeks
        .take_while(|week| {
            let closed_on = week.last_day().checked_add((i64::from(after_days) + 1).days()).ok();
            closed_on.is_some_and(|day| day <= as_of.date())
        })
        .collect()
}

/// The quarters of which all three months are among these, in order.
pub fn whole_quarters(months: &[Month]) -> Vec<Quarter> {
    let mut quarters: Vec<Quarter> = months.iter().map(|month| month.quarter()).collect();
    quarters.sort_unstable();
    quarters.dedup();
    quarters.retain(|quarter| quarter.months().iter().all(|month| months.contains(month)));
    quarters
}

/// The years of which all twelve months are among these, in order.
pub fn whole_years(months: &[Month]) -> Vec<Year> {
    let mut years: Vec<Year> = months.iter().map(|month| month.year()).collect();
    years.sort_unstable();
    years.dedup();
    years.retain(|year| year.months().iter().all(|month| months.contains(month)));
    years
}

impl Month {
    /// The month in which a day lies.
    pub fn of(date: Date) -> Self {
        Month { first: date.first_of_month() }
    }

    /// Its first day.
    pub fn first_day(self) -> Date {
        self.first
    }

    /// Its last day.
    pub fn last_day(self) -> Date {
        self.first.last_of_month()
    }

    /// The month after it; none after the year 9999.
    pub fn next(self) -> Option<Month> {
        Some(Month { first: self.first.checked_add(1.month()).ok()? })
    }

    /// The quarter in which it lies.
    pub fn quarter(self) -> Quarter {
        let back = i64::from((self.first.month() - 1) % 3);
        // A quarter begins in the same year, so that going back cannot leave the calendar.
        Quarter { first: Month { first: self.first.saturating_sub(back.months()) } }
    }

    /// The year in which it lies.
    pub fn year(self) -> Year {
        Year { first: Month { first: self.first.first_of_year() } }
    }
}

impl Week {
    /// The places of a week in its month.
    pub const PLACES: [u8; 4] = [1, 2, 3, 4];

    /// A week of a month; none for a place that no month has.
    pub fn new(month: Month, place: u8) -> Option<Self> {
        Self::PLACES.contains(&place).then_some(Week { month, place })
    }

    /// Its month.
    pub fn month(self) -> Month {
        self.month
    }

    /// Its place in the month, from 1.
    pub fn place(self) -> u8 {
        self.place
    }

    /// Its last day; that of the month for the fourth.
    pub fn last_day(self) -> Date {
        match self.place {
            1..=3 => self.month.first.saturating_add((i64::from(self.place) * 7 - 1).days()),
            _ => self.month.last_day(),
        }
    }
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-w{}", self.month, self.place)
    }
}

impl Quarter {
    /// Its three months; fewer only where the calendar ends, which no quarter reaches.
    pub fn months(self) -> Vec<Month> {
        std::iter::successors(Some(self.first), |month| month.next()).take(3).collect()
    }
}

impl Year {
    /// Its twelve months; fewer only where the calendar ends, which no year before 9999 reaches.
    pub fn months(self) -> Vec<Month> {
        std::iter::successors(Some(self.first), |month| month.next()).take(12).collect()
    }
}

impl Period {
    /// Its months, in order; of a week the month in which it lies.
    pub fn months(self) -> Vec<Month> {
        match self {
            Period::Month(month) => vec![month],
            Period::Quarter(quarter) => quarter.months(),
            Period::Year(year) => year.months(),
            Period::Week(week) => vec![week.month],
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

impl fmt::Display for Quarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first.first;
        write!(f, "{:04}-Q{}", first.year(), (first.month() - 1) / 3 + 1)
    }
}

impl fmt::Display for Year {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.first.first.year())
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Month(month) => month.fmt(f),
            Period::Quarter(quarter) => quarter.fmt(f),
            Period::Year(year) => year.fmt(f),
            Period::Week(week) => week.fmt(f),
        }
    }
}

impl FromStr for Month {
    type Err = Error;

    /// From `2026-10`; years 0001 to 9999.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Period { text: text.chars().take(20).collect() };
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let number = |digits: &str, length: usize| {
            let is_number = digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
            if is_number { digits.parse::<i16>().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let month = i8::try_from(number(month, 2)?).map_err(|_| wrong())?;
        let year = number(year, 4)?;
        let first = Date::new(year, month, 1).map_err(|_| wrong())?;
        if year == 0 { Err(wrong()) } else { Ok(Month { first }) }
    }
}

impl FromStr for Period {
    type Err = Error;

    /// From `2026-10`, `2026-Q3`, `2026` or `2026-10-w2`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((month, place)) = text.split_once("-w") {
            let week =
                place.parse().ok().filter(|_| place.len() == 1).and_then(|place| Week::new(month.parse().ok()?, place));
            return week.map(Period::Week).ok_or_else(|| Error::Period { text: text.chars().take(20).collect() });
        }
        if !text.contains('-') {
            let wrong = |_| Error::Period { text: text.chars().take(20).collect() };
            let january: Month = format!("{text}-01").parse().map_err(wrong)?;
            return Ok(Period::Year(january.year()));
        }
        let Some((year, quarter)) = text.split_once("-Q") else { return Ok(Period::Month(text.parse()?)) };
        let wrong = || Error::Period { text: text.chars().take(20).collect() };
        let month = match quarter {
            "1" => "01",
            "2" => "04",
            "3" => "07",
            "4" => "10",
            _ => return Err(wrong()),
        };
        let month: Month = format!("{year}-{month}").parse().map_err(|_| wrong())?;
        Ok(Period::Quarter(month.quarter()))
    }
}

impl TryFrom<String> for Month {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Period {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
