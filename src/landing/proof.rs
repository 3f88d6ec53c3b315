//! That what was read is what the source has, and what was written is what was read.
//!
//! A [`Tally`] is rows, the sum of a 128-bit hash of every key, and the control
//! totals. It is taken of the rows that came in, batch by batch as the source gave
//! them, and again of what is handed to the encoders, piece by piece: that sorting,
//! spilling and merging have lost, doubled or mixed up no row. The file itself is
//! named for the digest of the bytes that were written. This module must not know
//! where either is.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int64Type};

use super::Error;
use crate::pipeline::SourceTable;
use crate::sources::{Answer, Totals};
use crate::tables::TableName;

/// Totals over rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many.
    pub(super) rows: u64,
    /// The sum of their keys' hashes, modulo 2¹²⁸.
    pub(super) keys: u128,
    /// Per control column: how many values are filled, and their sum.
    pub(super) sums: Vec<(u64, i128)>,
}

/// Which columns have control totals, as places in the contract.
#[derive(Debug, Clone)]
pub(super) struct Controls(Vec<(String, usize)>);

impl Controls {
    pub(super) fn of(table: &SourceTable) -> Self {
        let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
        Controls(table.control_totals.iter().filter_map(|name| Some((name.clone(), place(name)?))).collect())
    }

    /// The sums of the control columns alone.
    pub(super) fn sums(&self, columns: &[ArrayRef]) -> Vec<(u64, i128)> {
        let sum = |(_, place): &(String, usize)| columns.get(*place).map_or((0, 0), sum);
        self.0.iter().map(sum).collect()
    }

    /// What a file says must be what the source counts. `unread` are columns with values that could not be read.
    pub(super) fn compare(
        &self,
        table: &TableName,
        answer: &Answer,
        sums: &[(u64, i128)],
        unread: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let differ = |what: String| Err(Error::Mismatch { table: table.clone(), what });
        let Answer { counted, received, .. } = answer;
        if let (Some(counted), Some(received)) = (counted.keys, received.keys)
            && counted != received
        {
            return differ("the keys: a row was lost and another doubled".into());
        }
        for (name, counted) in &counted.sums {
            if let Some(received) = received.sums.get(name).filter(|received| *received != counted) {
                return differ(totals_differ(name, *counted, *received));
            }
        }
        let ours: BTreeMap<&str, (u64, i128)> =
            self.0.iter().zip(sums).map(|((name, _), sum)| (name.as_str(), *sum)).collect();
        for (name, received) in received.sums.iter().filter(|(name, _)| !unread.contains(*name)) {
            if let Some(taken) = ours.get(name.as_str()).filter(|taken| *taken != received) {
                return differ(totals_differ(name, *received, *taken));
            }
        }
        Ok(())
    }
}

/// Sums of personal columns are not shown: of a small table they would be a person's value.
fn totals_differ(name: &str, source: (u64, i128), ours: (u64, i128)) -> String {
    if source.0 == ours.0 {
        format!("the sum of {name}")
    } else {
        format!("the filled values of {name} ({} at the source, {} here)", source.0, ours.0)
    }
}

/// Rows by the source, by our reading, and by what we took in.
pub(super) fn compare_rows(table: &TableName, answer: &Answer, taken: u64) -> Result<(), Error> {
    let Totals { rows: received, .. } = answer.received;
    let rows_counted = answer.counted.rows;
    if rows_counted != received || received != taken {
        return Err(Error::CountMismatch { table: table.clone(), rows_counted, rows_received: received.min(taken) });
    }
    Ok(())
}

impl Tally {
    /// Adds the rows of a batch, whose keys have these hashes.
    pub(super) fn add(&mut self, columns: &[ArrayRef], hashes: &[u128], controls: &Controls) {
        let keys = hashes.iter().fold(0_u128, |sum, hash| sum.wrapping_add(*hash));
        self.join(&Tally { rows: hashes.len() as u64, keys, sums: controls.sums(columns) });
    }

    /// Adds another tally.
    pub(super) fn join(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.keys = self.keys.wrapping_add(other.keys);
        add_sums(&mut self.sums, &other.sums);
    }
}

/// Adds sums, column by column.
pub(super) fn add_sums(sums: &mut Vec<(u64, i128)>, more: &[(u64, i128)]) {
    sums.resize(sums.len().max(more.len()), (0, 0));
    for ((filled, sum), (more_filled, more)) in sums.iter_mut().zip(more) {
        *filled += more_filled;
        *sum = sum.wrapping_add(*more);
    }
}

fn sum(array: &ArrayRef) -> (u64, i128) {
    let filled = (array.len() - array.null_count()) as u64;
    let sum = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum(),
        DataType::Date32 => array.as_primitive::<Date32Type>().iter().flatten().map(i128::from).sum(),
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().iter().flatten().fold(0_i128, i128::wrapping_add)
        }
        // No source gives totals of other types.
        _ => return (filled, 0),
    };
    (filled, sum)
}
