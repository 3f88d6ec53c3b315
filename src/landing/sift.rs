//! Good rows and bad rows: what happens to a fault, and what a key must be.
//!
//! Batches come from several threads. Each column's policy is applied to its
//! faults; a row whose key is empty is set aside, and later every row of a key
//! that several rows have. What is kept of a bad row is its number and reason,
//! never a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use arrow::array::Array;

use super::Error;
use crate::pipeline::{OnFault, SourceTable};
use crate::sources::{Batch, Reason, ValueFault};
use crate::tables::TableName;

/// What was done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The row was set aside.
    Quarantined,
    /// The value became empty, and the row landed.
    Nulled,
    /// The text was brought to NFC, and says the same; no row was set aside for it.
    Normalised,
}

/// How often something was wrong in a table. It holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The column; none when it is the row as a whole, or its key.
    pub column: Option<String>,
    /// What was wrong.
    pub reason: Reason,
    /// What was done.
    pub effect: Effect,
    /// In how many rows. A row with two faults is counted under both. Texts of a file are brought to NFC before
    /// its row filter is judged, so that rows which it leaves out are counted there too.
    pub rows: u64,
}

/// One reason why one row was set aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// Number of the row in the order read, counting from 1.
    pub row: u64,
    /// Why.
    pub reason: Reason,
    /// The column; none when it is the row as a whole, or its key.
    pub column: Option<String>,
}

/// The most rows of which the reasons are listed one by one; all are counted.
const LISTED_MAX: usize = 500_000;

/// Judges batches, from any thread, and keeps what was wrong.
pub(super) struct Sieve<'a> {
    name: TableName,
    table: &'a SourceTable,
    /// The places of the key's columns.
    key: Vec<usize>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    rows_taken: u64,
    rows_quarantined: u64,
    listed: Vec<(u64, Reason, Option<usize>)>,
    counts: BTreeMap<(Option<usize>, Reason, Effect), u64>,
    /// Columns of which a value could not be read.
    unread: BTreeSet<usize>,
}

/// What was wrong with the rows of a table.
pub(super) struct Sifted {
    pub(super) rows_taken: u64,
    pub(super) rows_quarantined: u64,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) findings: Vec<Finding>,
    pub(super) unread: BTreeSet<String>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(name: TableName, table: &'a SourceTable) -> Self {
        let place = |part: &String| table.columns.iter().position(|column| column.name == *part);
        let key = table.key.iter().filter_map(place).collect();
        Sieve { name, table, key, found: Mutex::new(Found::default()) }
    }

    /// Applies each column's policy, and says which rows of the batch are set aside; none means no row is.
    pub(super) fn judge(&self, batch: &Batch) -> Result<Option<Vec<bool>>, Error> {
        let rows = batch.rows.num_rows();
        let has_empty_keys =
            self.key.iter().any(|place| batch.rows.columns().get(*place).is_some_and(|array| array.null_count() > 0));
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.rows_taken += rows as u64;
        for (column, texts) in &batch.normalised {
            *found.counts.entry((Some(*column), Reason::NotNfc, Effect::Normalised)).or_default() += texts;
        }
        if batch.faults.is_empty() && !has_empty_keys {
            return Ok(None);
        }
        let mut bad = vec![false; rows];
        for ValueFault { row, column, reason } in batch.faults.iter().copied() {
            found.unread.extend(column);
            let declared = column.and_then(|column| self.table.columns.get(column));
            match declared.map_or(OnFault::Quarantine, |declared| declared.on_fault) {
                OnFault::Quarantine => found.set_aside(&mut bad, batch, row, column, reason),
                OnFault::Null => *found.counts.entry((column, reason, Effect::Nulled)).or_default() += 1,
                OnFault::Error => {
                    return Err(Error::Value {
                        table: self.name.clone(),
                        column: declared.map(|declared| declared.name.clone()).unwrap_or_default(),
                        row: batch.number_of(row),
                        reason,
                    });
                }
            }
        }
        for place in &self.key {
            let Some(array) = batch.rows.columns().get(*place) else { continue };
            for row in (0..array.len()).filter(|row| array.is_null(*row)) {
                // A row that was set aside for the fault of this very column needs no second reason.
                if !bad.get(row).copied().unwrap_or(true) {
                    found.set_aside(&mut bad, batch, row, Some(*place), Reason::EmptyKey);
                }
            }
        }
        found.rows_quarantined += bad.iter().filter(|bad| **bad).count() as u64;
        Ok(Some(bad))
    }

    /// Sets rows aside whose key other rows have too. `were_good` of them had no other fault.
    pub(super) fn twins(&self, rows: &[u64], were_good: u64) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.rows_quarantined += were_good;
        for row in rows {
            found.note(*row, None, Reason::DuplicateKey);
        }
    }

    /// All that was wrong.
    pub(super) fn finish(self) -> Sifted {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let name = |column: usize| self.table.columns.get(column).map(|column| column.name.clone());
        found.listed.sort_unstable();
        Sifted {
            rows_taken: found.rows_taken,
            rows_quarantined: found.rows_quarantined,
            quarantined: found
                .listed
                .into_iter()
                .map(|(row, reason, column)| Quarantined { row, reason, column: column.and_then(name) })
                .collect(),
            findings: found
                .counts
                .into_iter()
                .map(|((column, reason, effect), rows)| Finding { column: column.and_then(name), reason, effect, rows })
                .collect(),
            unread: found.unread.into_iter().filter_map(name).collect(),
        }
    }
}

impl Found {
    fn set_aside(&mut self, bad: &mut [bool], batch: &Batch, row: usize, column: Option<usize>, reason: Reason) {
        if let Some(bad) = bad.get_mut(row) {
            *bad = true;
        }
        self.note(batch.number_of(row), column, reason);
    }

    fn note(&mut self, row: u64, column: Option<usize>, reason: Reason) {
        *self.counts.entry((column, reason, Effect::Quarantined)).or_default() += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push((row, reason, column));
        }
    }
}
