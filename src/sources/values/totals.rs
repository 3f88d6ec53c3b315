//! Control totals of what was read: how many values each summed column has, and their sum.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Decimal256Type, Int64Type};

use super::super::ValueFault;
use crate::pipeline::SourceTable;

/// The control totals of a table, as far as it was read.
pub(super) struct Sums(Vec<Sum>);

struct Sum {
    column: String,
    place: usize,
    filled: u64,
    /// None when a value could not be read, or when it left 128 bits.
    total: Option<i128>,
}

impl Sums {
    pub(super) fn new(table: &SourceTable) -> Self {
        let sum = |name: &String| {
            let place = table.columns.iter().position(|column| column.name == *name)?;
            Some(Sum { column: name.clone(), place, filled: 0, total: Some(0) })
        };
        Sums(table.control_totals.iter().filter_map(sum).collect())
    }

    pub(super) fn add(&mut self, rows: &RecordBatch, faults: &[ValueFault]) {
        for sum in &mut self.0 {
            let is_sound = faults.iter().all(|fault| fault.column.is_some_and(|column| column != sum.place));
            let total = rows.columns().get(sum.place).filter(|_| is_sound).and_then(|values| total(values.as_ref()));
            sum.filled += rows.columns().get(sum.place).map_or(0, |values| values.len() - values.null_count()) as u64;
            sum.total = sum.total.zip(total).and_then(|(before, total)| before.checked_add(total));
        }
    }

    pub(super) fn of_sound_columns(&self) -> BTreeMap<String, (u64, i128)> {
        let sound = |sum: &Sum| Some((sum.column.clone(), (sum.filled, sum.total?)));
        self.0.iter().filter_map(sound).collect()
    }
}

/// The sum of a column; none when it has no exact one in 128 bits.
fn total(values: &dyn Array) -> Option<i128> {
    let mut numbers = match values.data_type() {
        DataType::Int64 => return Some(values.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum()),
        DataType::Date32 => return Some(values.as_primitive::<Date32Type>().iter().flatten().map(i128::from).sum()),
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().iter().flatten(),
        DataType::Decimal256(..) => {
            let mut numbers = values.as_primitive::<Decimal256Type>().iter().flatten();
            return numbers.try_fold(0_i128, |sum, number| sum.checked_add(number.to_i128()?));
        }
        _ => return None,
    };
    numbers.try_fold(0_i128, i128::checked_add)
}
