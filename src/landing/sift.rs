//! Good rows and bad rows: what happens to a fault, and what a key must be.
//!
//! Rows come in as they were read and leave sorted by key, so that the same
//! content gives the same bytes in whatever order a server sends it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};

use super::Error;
use crate::pipeline::{OnFault, SourceTable};
use crate::sources::{BATCH_ROWS, Batch, Reason, ValueFault};
use crate::tables::{Table, TableName};

/// What was done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The row was set aside.
    Quarantined,
    /// The value became empty, and the row landed.
    Nulled,
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
    /// In how many rows. A row with two faults is counted under both.
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

/// A table whose bad rows are set aside.
pub(super) struct Sifted {
    pub(super) table: Table,
    pub(super) rows_quarantined: u64,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) findings: Vec<Finding>,
}

/// Takes batches, and keeps what is needed to judge them.
pub(super) struct Sieve<'a> {
    name: TableName,
    table: &'a SourceTable,
    batches: Vec<RecordBatch>,
    first_rows: Vec<u64>,
    /// Per batch: which of its rows are set aside.
    bad: Vec<Vec<bool>>,
    quarantined: Vec<Quarantined>,
    counts: BTreeMap<(Option<usize>, Reason, Effect), u64>,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(name: TableName, table: &'a SourceTable) -> Self {
        Sieve {
            name,
            table,
            batches: Vec::new(),
            first_rows: Vec::new(),
            bad: Vec::new(),
            quarantined: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Applies each column's policy to the faults of a batch.
    pub(super) fn take(&mut self, batch: Batch) -> Result<(), Error> {
        let index = self.batches.len();
        self.bad.push(vec![false; batch.rows.num_rows()]);
        self.batches.push(batch.rows);
        self.first_rows.push(batch.first_row);
        for ValueFault { row, column, reason } in batch.faults {
            let declared = column.and_then(|column| self.table.columns.get(column));
            match declared.map_or(OnFault::Quarantine, |declared| declared.on_fault) {
                OnFault::Quarantine => self.set_aside(index, row, column, reason),
                OnFault::Null => *self.counts.entry((column, reason, Effect::Nulled)).or_default() += 1,
                OnFault::Error => {
                    return Err(Error::Value {
                        table: self.name.clone(),
                        column: declared.map(|declared| declared.name.clone()).unwrap_or_default(),
                        row: batch.first_row + row as u64,
                        reason,
                    });
                }
            }
        }
        self.empty_keys(index);
        Ok(())
    }

    /// Finds duplicate keys, and gives the good rows in the order of their key.
    pub(super) fn finish(mut self) -> Result<Sifted, Error> {
        let keys = self.keys()?;
        let mut order = self.order(&keys);
        self.duplicate_keys(&keys, &order);
        order.retain(|&(batch, row)| !self.is_bad(batch, row));
        let table = self.gather(&order)?;
        let rows_quarantined = self.bad.iter().flatten().filter(|bad| **bad).count() as u64;
        let name = |column: Option<usize>| {
            column.and_then(|column| self.table.columns.get(column)).map(|column| column.name.clone())
        };
        let findings = self.counts.iter().map(|(&(column, reason, effect), &rows)| Finding {
            column: name(column),
            reason,
            effect,
            rows,
        });
        let findings = findings.collect();
        self.quarantined.sort();
        Ok(Sifted { table, rows_quarantined, quarantined: self.quarantined, findings })
    }

    fn set_aside(&mut self, batch: usize, row: usize, column: Option<usize>, reason: Reason) {
        if let Some(bad) = self.bad.get_mut(batch).and_then(|rows| rows.get_mut(row)) {
            *bad = true;
        }
        *self.counts.entry((column, reason, Effect::Quarantined)).or_default() += 1;
        let row = self.first_rows.get(batch).copied().unwrap_or(1) + row as u64;
        let column = column.and_then(|column| self.table.columns.get(column)).map(|column| column.name.clone());
        self.quarantined.push(Quarantined { row, reason, column });
    }

    fn is_bad(&self, batch: usize, row: usize) -> bool {
        self.bad.get(batch).and_then(|rows| rows.get(row)).copied().unwrap_or(true)
    }

    /// The key columns, as places in the contract.
    fn key_places(&self) -> Vec<usize> {
        let place = |part: &String| self.table.columns.iter().position(|column| column.name == *part);
        self.table.key.iter().filter_map(place).collect()
    }

    fn empty_keys(&mut self, batch: usize) {
        for place in self.key_places() {
            let Some(array) = self.batches.get(batch).and_then(|rows| rows.columns().get(place)).cloned() else {
                continue;
            };
            for row in (0..array.len()).filter(|row| array.is_null(*row)) {
                // A row that was set aside for the fault of this very column needs no second reason.
                if !self.is_bad(batch, row) {
                    self.set_aside(batch, row, Some(place), Reason::EmptyKey);
                }
            }
        }
    }

    /// The keys of all rows, in bytes that compare as the keys do.
    fn keys(&self) -> Result<Vec<Rows>, Error> {
        let failed = |source| Error::Arrow { table: self.name.clone(), source };
        let places = self.key_places();
        let kinds = places.iter().filter_map(|place| self.table.columns.get(*place));
        let converter = RowConverter::new(kinds.map(|column| SortField::new(column.kind.arrow())).collect());
        let converter = converter.map_err(failed)?;
        let mut keys = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            let columns: Vec<ArrayRef> =
                places.iter().filter_map(|place| batch.columns().get(*place).cloned()).collect();
            keys.push(converter.convert_columns(&columns).map_err(failed)?);
        }
        Ok(keys)
    }

    /// All rows, sorted by key; rows with the same key in the order read.
    fn order(&self, keys: &[Rows]) -> Vec<(usize, usize)> {
        let rows =
            self.batches.iter().enumerate().flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row)));
        let mut order: Vec<_> = rows.collect();
        order.sort_by(|a, b| key(keys, *a).cmp(&key(keys, *b)));
        order
    }

    /// Sets aside every row of a key that several rows have, also those that have other faults.
    fn duplicate_keys(&mut self, keys: &[Rows], order: &[(usize, usize)]) {
        let places = self.key_places();
        for same in order.chunk_by(|a, b| key(keys, *a) == key(keys, *b)).filter(|same| same.len() > 1) {
            for &(batch, row) in same {
                // An empty key has been set aside as such; two of them are not the same key.
                let arrays = self.batches.get(batch).map(RecordBatch::columns).unwrap_or_default();
                if !places.iter().any(|place| arrays.get(*place).is_none_or(|array| array.is_null(row))) {
                    self.set_aside(batch, row, None, Reason::DuplicateKey);
                }
            }
        }
    }

    fn gather(&self, order: &[(usize, usize)]) -> Result<Table, Error> {
        let failed = |source| Error::Arrow { table: self.name.clone(), source };
        let schema = schema(self.table);
        let sources: Vec<_> = self.batches.iter().collect();
        let mut batches = Vec::with_capacity(order.len().div_ceil(BATCH_ROWS));
        for part in order.chunks(BATCH_ROWS) {
            let rows = interleave_record_batch(&sources, part).map_err(failed)?;
            batches.push(RecordBatch::try_new(Arc::clone(&schema), rows.columns().to_vec()).map_err(failed)?);
        }
        Ok(Table { schema, batches })
    }
}

fn key(keys: &[Rows], (batch, row): (usize, usize)) -> Option<arrow::row::Row<'_>> {
    keys.get(batch).filter(|rows| row < rows.num_rows()).map(|rows| rows.row(row))
}

/// The schema of a landed table: declared types, nullable except the key.
fn schema(table: &SourceTable) -> SchemaRef {
    let field = |column: &crate::pipeline::Column| {
        Field::new(&column.name, column.kind.arrow(), !table.key.contains(&column.name))
    };
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}
