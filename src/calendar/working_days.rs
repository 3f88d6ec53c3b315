//! Working days as an array: every question is answered by an index, none by a loop.
//!
//! Built once from the years that are known; what lies outside them is [`NoData`], never a
//! guess. It must not know why a day is free: that is data of `pipelines/law/calendar/`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::{Date, Weekday, date};

use super::{civil, to_days};

/// The working days of consecutive years. Days are `Date32`: days since 1 January 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingDays {
    /// The first day of the first year.
    first: i32,
    /// For each day from the first, how many working days lie before it; one entry more than there are days.
    before: Vec<u32>,
    /// The working days, in order.
    days: Vec<i32>,
}

/// A day is asked for of a year whose holidays are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the public holidays of the year {year} are not known, and whether a day of it is a working day is not guessed"
)]
pub struct NoData {
    /// The year.
    pub year: i16,
}

impl Default for WorkingDays {
    /// Of no year.
    fn default() -> Self {
        WorkingDays { first: 0, before: vec![0], days: Vec::new() }
    }
}

impl WorkingDays {
    /// The working days of these years: Monday to Friday, save for the days that say otherwise.
    pub fn new(years: RangeInclusive<i16>, otherwise: &BTreeMap<Date, bool>) -> Self {
        let (Ok(first), Ok(last)) = (Date::new(*years.start(), 1, 1), Date::new(*years.end(), 12, 31)) else {
            return WorkingDays::default();
        };
        if last < first {
            return WorkingDays::default();
        }
        let mut known = WorkingDays { first: to_days(first), ..WorkingDays::default() };
        let days = first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last);
        for (day, index) in days.zip(known.first..) {
            let is_weekday = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            if otherwise.get(&day).copied().unwrap_or(is_weekday) {
                known.days.push(index);
            }
            known.before.push(u32::try_from(known.days.len()).unwrap_or(u32::MAX));
        }
        known
    }

    /// Whether it knows no year at all.
    pub fn is_empty(&self) -> bool {
        self.before.len() < 2
    }

    /// The first and the last day that it knows; none when it knows no year.
    pub fn span(&self) -> Option<(i32, i32)> {
        let length = i32::try_from(self.before.len()).ok()?.checked_sub(2)?;
        (length >= 0).then(|| (self.first, self.first.saturating_add(length)))
    }

    /// Whether a day is one.
    pub fn is_working(&self, day: i32) -> Result<bool, NoData> {
        Ok(self.count_before(day)? != self.count_through(day)?)
    }

    /// The day itself if it is one, otherwise the next.
    pub fn next(&self, day: i32) -> Result<i32, NoData> {
        self.nth(i64::from(self.count_before(day)?))
    }

    /// The day itself if it is one, otherwise the one before.
    pub fn previous(&self, day: i32) -> Result<i32, NoData> {
        self.nth(i64::from(self.count_through(day)?) - 1)
    }

    /// So many working days on, counting from the day after; back for a negative number; the day itself for none.
    pub fn add(&self, day: i32, number: i64) -> Result<i32, NoData> {
        match number {
            0 => Ok(day),
            1.. => self.nth(i64::from(self.count_through(day)?).saturating_add(number - 1)),
            _ => self.nth(i64::from(self.count_before(day)?).saturating_add(number)),
        }
    }

    /// How many lie after one day, up to another and with it; negative when the other is earlier.
    pub fn between(&self, from: i32, to: i32) -> Result<i64, NoData> {
        Ok(i64::from(self.count_through(to)?) - i64::from(self.count_through(from)?))
    }

    /// The first day of which [`WorkingDays::next`] is `target` or later; none where it is not known.
    pub fn next_reaches(&self, target: i32) -> Option<i32> {
        self.known(i64::from(self.count_to(target)?) - 1)?.checked_add(1)
    }

    /// The first day of which [`WorkingDays::previous`] is `target` or later; none where it is not known.
    pub fn previous_reaches(&self, target: i32) -> Option<i32> {
        self.known(i64::from(self.count_to(target)?))
    }

    /// The first day of which [`WorkingDays::add`] is `target` or later; none where it is not known.
    pub fn add_reaches(&self, target: i32, number: i64) -> Option<i32> {
        if number == 0 {
            return Some(target);
        }
        let index = i64::from(self.count_to(target)?).checked_sub(number)?;
        match number {
            1.. => self.known(index),
            _ => self.known(index - 1)?.checked_add(1),
        }
    }

    /// How many lie before a day that is known.
    fn count_before(&self, day: i32) -> Result<u32, NoData> {
        let end = self.before.len().saturating_sub(1);
        self.offset(day)
            .filter(|offset| *offset < end)
            .and_then(|offset| self.count(offset))
            .ok_or_else(|| no_data(day))
    }

    /// How many lie before the end of a day that is known.
    fn count_through(&self, day: i32) -> Result<u32, NoData> {
        self.offset(day).and_then(|offset| self.count(offset + 1)).ok_or_else(|| no_data(day))
    }

    /// How many lie before a day that is known, or before the day after the last.
    fn count_to(&self, day: i32) -> Option<u32> {
        if self.is_empty() { None } else { self.offset(day).and_then(|offset| self.count(offset)) }
    }

    fn offset(&self, day: i32) -> Option<usize> {
        usize::try_from(i64::from(day) - i64::from(self.first)).ok()
    }

    fn count(&self, offset: usize) -> Option<u32> {
        self.before.get(offset).copied()
    }

    fn known(&self, index: i64) -> Option<i32> {
        self.days.get(usize::try_from(index).ok()?).copied()
    }

    fn nth(&self, index: i64) -> Result<i32, NoData> {
        self.known(index).ok_or_else(|| {
            let beyond = if index < 0 { self.first.saturating_sub(1) } else { self.end() };
            no_data(beyond)
        })
    }

    /// The day after the last.
    fn end(&self) -> i32 {
        self.span().map_or(self.first, |(_, last)| last.saturating_add(1))
    }
}

fn no_data(day: i32) -> NoData {
    let (year, _, _) = civil::split(day);
    NoData { year: i16::try_from(year).unwrap_or(if year < 0 { i16::MIN } else { i16::MAX }) }
}

/// The first day of a year's calendar may be known from this day: the first of January of the year before.
pub fn known_from(year: i16) -> Date {
    Date::new(year.saturating_sub(1), 1, 1).unwrap_or(date(1, 1, 1))
}
