//! Adding months to a date, with the rounding said aloud.
//!
//! "One month from 31 January" has no plain answer; the law gives one, and a
//! program that does not say which it uses is wrong in silence (Catala refuses
//! such an addition; so do we).

use jiff::ToSpan;
use jiff::civil::Date;

/// What to do when the month has no such day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The last day of the month: Civil Code 2015, Art. 148(3).
    Clamp,
    /// The first day of the next month.
    Roll,
    /// No answer.
    Error,
}

impl Rounding {
    /// From the word used in SQL.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "clamp" => Some(Rounding::Clamp),
            "roll" => Some(Rounding::Roll),
            "error" => Some(Rounding::Error),
            _ => None,
        }
    }
}

/// `date` moved by a number of months, which may be negative.
///
/// None when the month has no such day and the rounding is [`Rounding::Error`],
/// or when the result leaves the years -9999 to 9999.
pub fn add_months(date: Date, months: i64, rounding: Rounding) -> Option<Date> {
    let span = jiff::Span::new().try_months(months).ok()?;
    let clamped = date.checked_add(span).ok()?;
    if clamped.day() == date.day() {
        return Some(clamped);
    }
    match rounding {
        Rounding::Clamp => Some(clamped),
        Rounding::Roll => clamped.checked_add(1.day()).ok(),
        Rounding::Error => None,
    }
}
