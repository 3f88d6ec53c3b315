//! When people may be written to: quiet hours, and the days of Tết.
//!
//! Pure: it is given the hours, the days, and an instant or a date. It must not know who is written to.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan};

use crate::calendar::vietnam;
use crate::pipeline::Pipeline;
use crate::pipeline::attention::Quiet;

/// The hours and days in which nothing is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    quiet: Option<Quiet>,
    closed: BTreeSet<Date>,
}

/// Whether the window is open at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hour {
    /// It is, until this instant; none where it never closes.
    Open(Option<Timestamp>),
    /// It is not, until this instant.
    Closed(Timestamp),
}

impl Window {
    /// A window that is closed in these hours of every day, and on these days.
    pub fn new(quiet: Option<Quiet>, closed: BTreeSet<Date>) -> Self {
        Window { quiet, closed }
    }

    /// The window of an agency, by the calendar as it was known on a day.
    pub fn of(pipeline: &Pipeline, known_on: Date) -> Self {
        let is_closed_on_tet = pipeline.attention.is_closed_on_tet;
        let closed = if is_closed_on_tet { pipeline.calendar.tet(known_on) } else { BTreeSet::new() };
        Window::new(pipeline.attention.quiet, closed)
    }

    /// Whether the hour allows sending; which day it is does not matter.
    pub fn at(&self, now: Timestamp) -> Hour {
        let Some(quiet) = self.quiet else { return Hour::Open(None) };
        let civil = now.to_zoned(vietnam()).datetime();
        let next = |time: Time| {
            let date = if civil.time() < time { Some(civil.date()) } else { civil.date().tomorrow().ok() };
            let instant = date.and_then(|date| date.to_datetime(time).to_zoned(vietnam()).ok());
            // Only the last day of the year 9999 has no next.
            instant.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
        };
        match is_within(quiet, civil.time()) {
            true => Hour::Closed(next(quiet.to)),
            false => Hour::Open(Some(next(quiet.from))),
        }
    }

    /// The instant at which the window opened last, if it is open and ever closes.
    pub fn opened(&self, now: Timestamp) -> Option<Timestamp> {
        let quiet = self.quiet?;
        let civil = now.to_zoned(vietnam()).datetime();
        if is_within(quiet, civil.time()) {
            return None;
        }
        let date = if civil.time() < quiet.to { civil.date().yesterday().ok()? } else { civil.date() };
        Some(date.to_datetime(quiet.to).to_zoned(vietnam()).ok()?.timestamp())
    }

    /// Whether nothing is sent on this day unless it is due.
    pub fn is_closed_on(&self, day: Date) -> bool {
        self.closed.contains(&day)
    }

    /// The day itself if it is open, otherwise the last open one before it.
    pub fn open_until(&self, day: Date) -> Date {
        self.nearest(day, |day| day.saturating_sub(1.day()))
    }

    /// The day itself if it is open, otherwise the next open one.
    pub fn open_from(&self, day: Date) -> Date {
        self.nearest(day, |day| day.saturating_add(1.day()))
    }

    /// The closed days are finitely many, so that each step leads nearer to an open one or to the end of time.
    fn nearest(&self, mut day: Date, step: impl Fn(Date) -> Date) -> Date {
        for _ in 0..=self.closed.len() {
            if !self.is_closed_on(day) {
                break;
            }
            day = step(day);
        }
        day
    }
}

fn is_within(quiet: Quiet, time: Time) -> bool {
    match quiet.from < quiet.to {
        true => (quiet.from..quiet.to).contains(&time),
        // Over midnight.
        false => time >= quiet.from || time < quiet.to,
    }
}
