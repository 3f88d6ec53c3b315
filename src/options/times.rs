//! How long a way takes: counted from the agency's own dossiers, never asked of anybody.
//!
//! It must not know a person, nor what a day costs.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::calendar::civil::last_day_of_month;
use crate::calendar::{from_days, to_days};
use crate::pipeline::options::{Outcome, WayThere};
use crate::tables::{self, Table};

/// How many dossiers of a procedure and a channel took so many working days, by the month in which they were received.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    least: u32,
    counts: BTreeMap<(String, i64), BTreeMap<Date, BTreeMap<i64, u64>>>,
}

/// The middle and the edge of what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of the dossiers took no longer: working days.
    pub median_days: u16,
    /// Nine in ten took no longer: working days.
    pub p90_days: u16,
    /// How many were counted.
    pub dossiers: u32,
}

impl Measured {
    /// Nothing is known, and so every way takes what the law gives it.
    pub fn nothing() -> Self {
        Measured::default()
    }

    /// Reads `quality.times(procedure_code, channel, received_month, working_days, dossiers)`, a month as "2026-11".
    /// Fewer than `least` dossiers show nothing.
    ///
    /// # Errors
    ///
    /// Where a column is missing or of another type.
    pub fn of(table: &Table, least: u32) -> Result<Self, tables::Error> {
        let mut measured = Measured { least, counts: BTreeMap::new() };
        let (codes, channels) = (table.texts("procedure_code")?, table.ints("channel")?);
        let months = table.texts("received_month")?;
        let (days, dossiers) = (table.ints("working_days")?, table.ints("dossiers")?);
        for ((((code, channel), month), days), dossiers) in
            codes.into_iter().zip(channels).zip(months).zip(days).zip(dossiers)
        {
            let first = month.and_then(|month| format!("{month}-01").parse::<Date>().ok());
            let (Some(code), Some(channel), Some(first), Some(days), Some(dossiers)) =
                (code, channel, first, days, dossiers)
            else {
                continue;
            };
            let counts = measured.counts.entry((code, channel)).or_default().entry(first).or_default();
            *counts.entry(days.max(0)).or_default() += u64::try_from(dossiers).unwrap_or(0);
        }
        Ok(measured)
    }

    /// What the dossiers of a way show; none where there are too few. A dossier tells its procedure and its channel, and
    /// not which way was taken: only months count in which this way was in force from the first day to the last, and no
    /// other way of the outcome had the same procedure and channel.
    pub fn spread(&self, outcome: &Outcome, way: &WayThere) -> Option<Spread> {
        let (code, channel) = looks_like(way)?;
        let others = outcome.ways.iter().filter(|other| other.id != way.id && looks_like(other) == looks_like(way));
        let others: Vec<&WayThere> = others.collect();
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        for (first, of_month) in self.counts.get(&(code.to_owned(), channel))? {
            let Some(last) = last_day_of_month(to_days(*first)).and_then(from_days) else { continue };
            let is_there = way.in_force_on(*first) && way.in_force_on(last);
            let overlaps =
                |other: &&WayThere| other.in_force_from <= last && other.in_force_to.is_none_or(|to| to >= *first);
            if is_there && !others.iter().any(overlaps) {
                for (days, dossiers) in of_month {
                    *counts.entry(*days).or_default() += dossiers;
                }
            }
        }
        let all: u64 = counts.values().sum();
        let dossiers = u32::try_from(all).ok().filter(|all| *all >= self.least.max(1))?;
        Some(Spread { median_days: at(&counts, all, 50)?, p90_days: at(&counts, all, 90)?, dossiers })
    }
}

/// How the dossiers of a way look: their procedure and channel; none where no procedure code is sourced.
fn looks_like(way: &WayThere) -> Option<(&str, i64)> {
    Some((way.procedure_code.as_deref()?, way.via.code()))
}

/// The least number of days within which so many in a hundred were done (nearest rank).
fn at(counts: &BTreeMap<i64, u64>, all: u64, percent: u64) -> Option<u16> {
    let wanted = all.saturating_mul(percent).div_ceil(100);
    let mut seen = 0;
    let reached = counts.iter().find(|(_, count)| {
        seen += **count;
        seen >= wanted
    });
    reached.and_then(|(days, _)| u16::try_from(*days).ok())
}
