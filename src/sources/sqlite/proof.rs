//! Control totals: what SQLite sums itself, and what was received.
//!
//! Only whole numbers and dates in ISO 8601 are summed; SQLite keeps exact numbers
//! as floating point or as text, and has no sum of those. A sum is taken in two
//! halves, because one of 64 bits would overflow.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type};

use super::super::blocks::locked;
use super::super::{Batch, Totals};
use crate::pipeline::{SourceTable, Type};

const HALF: i128 = 1_000_000_000;

/// By column, how many values are filled, and their sum.
type Sums = BTreeMap<String, (u64, i128)>;

/// The columns whose totals can be compared, each with what to select: filled values, the two halves of
/// their sum, and how many values are of another type.
pub(super) fn selected(table: &SourceTable, quote: &dyn Fn(&str) -> String) -> Vec<(String, String)> {
    let columns = table.control_totals.iter().filter_map(|name| table.column(name));
    columns
        .filter_map(|column| {
            let name = format!("t.{}", quote(&column.name));
            let (kind, value) = match column.kind {
                Type::Int => ("integer", name.clone()),
                Type::Date if column.format.is_none() => {
                    ("text", format!("cast(strftime('%s', substr({name}, 1, 10)) as integer) / 86400"))
                }
                _ => return None,
            };
            let select = format!(
                "count({name}), coalesce(sum(({value}) / {HALF}), 0), coalesce(sum(({value}) % {HALF}), 0), \
                 count(*) filter (where typeof({name}) not in ('{kind}', 'null'))"
            );
            Some((column.name.clone(), select))
        })
        .collect()
}

/// The totals that one row of the source says, from its second column on.
pub(super) fn counted(names: &[(String, String)], row: &rusqlite::Row<'_>) -> rusqlite::Result<Sums> {
    let mut sums = Sums::new();
    for (index, (name, _)) in names.iter().enumerate() {
        let at = 1 + 4 * index;
        let (filled, high, low): (i64, i64, i64) = (row.get(at)?, row.get(at + 1)?, row.get(at + 2)?);
        if row.get::<_, i64>(at + 3)? == 0 {
            let sum = i128::from(high) * HALF + i128::from(low);
            sums.insert(name.clone(), (u64::try_from(filled).unwrap_or(0), sum));
        }
    }
    Ok(sums)
}

/// Adds up what is received, from any thread.
pub(super) struct Tally<'a> {
    table: &'a SourceTable,
    sums: Mutex<Sums>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(table: &'a SourceTable, names: &[(String, String)]) -> Self {
        Tally { table, sums: Mutex::new(names.iter().map(|(name, _)| (name.clone(), (0, 0))).collect()) }
    }

    pub(super) fn add(&self, batch: &Batch) {
        let mut sums = locked(&self.sums);
        sums.retain(|name, total| {
            let place = self.table.columns.iter().position(|column| column.name == *name);
            // A value that could not be read is in nobody's sum.
            let has_fault = batch.faults.iter().any(|fault| fault.column.is_some() && fault.column == place);
            match batch.rows.column_by_name(name).and_then(sum).filter(|_| !has_fault) {
                Some((filled, sum)) => {
                    *total = (total.0 + filled, total.1.saturating_add(sum));
                    true
                }
                None => false,
            }
        });
    }

    /// Both totals, of the columns that both have.
    pub(super) fn compared(self, rows_counted: u64, mut counted: Sums, rows_received: u64) -> (Totals, Totals) {
        let mut received = self.sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        counted.retain(|name, _| received.contains_key(name));
        received.retain(|name, _| counted.contains_key(name));
        let totals = |rows, sums| Totals { rows, keys: None, sums };
        (totals(rows_counted, counted), totals(rows_received, received))
    }
}

fn sum(array: &arrow::array::ArrayRef) -> Option<(u64, i128)> {
    let filled = (array.len() - array.null_count()) as u64;
    let sum = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum(),
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().flatten().map(i128::from).sum(),
        _ => return None,
    };
    Some((filled, sum))
}
