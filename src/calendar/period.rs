//! A month, a quarter or a year: what a figure of service speaks of.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

/// A calendar month (`2026-10`), quarter (`2026-Q4`) or year (`2026`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    first_day: Date,
    months: i8,
}

/// A text that names no month, quarter or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a month (2026-10), a quarter (2026-Q4) or a year (2026)")]
pub struct NotASpan;

impl Span {
    /// Its first day.
    pub fn first_day(self) -> Date {
        self.first_day
    }

    /// Its last day.
    pub fn last_day(self) -> Date {
        // A span ends in the year in which it begins.
        let month = self.first_day.month() + self.months - 1;
        Date::new(self.first_day.year(), month, 1).map_or(self.first_day, Date::last_of_month)
    }

    /// How many of its kind a year has: 12, 4 or 1.
    pub fn per_year(self) -> i64 {
        12 / i64::from(self.months.max(1))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = (self.first_day.year(), self.first_day.month());
        match self.months {
            1 => write!(f, "{year:04}-{month:02}"),
            3 => write!(f, "{year:04}-Q{}", (month - 1) / 3 + 1),
            _ => write!(f, "{year:04}"),
        }
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    /// From `2026-10`, `2026-Q4` or `2026`; years 0001 to 9999.
    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let number = |digits: &str, length: usize| {
            let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { digits.parse::<i16>().map_err(|_| NotASpan) } else { Err(NotASpan) }
        };
        let (year, month, months) = match text.split_once('-') {
            None => (text, 1, 12),
            Some((year, part)) => match part.strip_prefix('Q') {
                Some(quarter) => match number(quarter, 1)? {
                    quarter @ 1..=4 => (year, quarter * 3 - 2, 3),
                    _ => return Err(NotASpan),
                },
                None => (year, number(part, 2)?, 1),
            },
        };
        let year = number(year, 4)?;
        let month = i8::try_from(month).map_err(|_| NotASpan)?;
        let first_day = Date::new(year, month, 1).map_err(|_| NotASpan)?;
        if year == 0 { Err(NotASpan) } else { Ok(Span { first_day, months }) }
    }
}
