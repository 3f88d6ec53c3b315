//! How long a way takes: counted from the agency's own dossiers, never asked of anybody.
//!
//! It must not know which way is meant, nor what a day costs.

use std::collections::BTreeMap;

use crate::pipeline::options::Via;
use crate::tables::{self, Table};

/// How many dossiers of a procedure and a channel took so many working days.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    least: u32,
    counts: BTreeMap<(String, i64), BTreeMap<i64, u64>>,
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

    /// Reads `quality.times(procedure_code, channel, working_days, dossiers)`. Fewer than `least` dossiers show nothing.
    ///
    /// # Errors
    ///
    /// Where a column is missing or of another type.
    pub fn of(table: &Table, least: u32) -> Result<Self, tables::Error> {
        let mut measured = Measured { least, counts: BTreeMap::new() };
        let (codes, channels) = (table.texts("procedure_code")?, table.ints("channel")?);
        let (days, dossiers) = (table.ints("working_days")?, table.ints("dossiers")?);
        for (((code, channel), days), dossiers) in codes.into_iter().zip(channels).zip(days).zip(dossiers) {
            let (Some(code), Some(channel), Some(days), Some(dossiers)) = (code, channel, days, dossiers) else {
                continue;
            };
            let counts = measured.counts.entry((code, channel)).or_default();
            *counts.entry(days.max(0)).or_default() += u64::try_from(dossiers).unwrap_or(0);
        }
        Ok(measured)
    }

    /// What the dossiers of a procedure and a channel show; none where there are too few.
    pub fn spread(&self, procedure_code: &str, via: Via) -> Option<Spread> {
        let counts = self.counts.get(&(procedure_code.to_owned(), via.code()))?;
        let all: u64 = counts.values().sum();
        let dossiers = u32::try_from(all).ok().filter(|all| *all >= self.least.max(1))?;
        Some(Spread { median_days: at(counts, all, 50)?, p90_days: at(counts, all, 90)?, dossiers })
    }
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
