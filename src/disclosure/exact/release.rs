//! From a decided table to a released one: nothing but its own rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::super::Error;
use super::super::columns::{ColumnKind, ColumnSheet};
use super::super::released::{Account, Edition, Facts, Released};
use super::{Column, Decided, Kind, Value};

impl Released {
    /// The released table of a decided one. The same decided table always gives the same rows.
    ///
    /// # Errors
    ///
    /// Rows that are not those of the columns.
    pub fn exact(decided: &Decided) -> Result<Self, Error> {
        let period = decided.period();
        let failed = |source| Error::Build { table: decided.table().to_owned(), period, source };
        Ok(Released::from(Facts {
            name: decided.table().to_owned(),
            title: decided.title.clone(),
            period,
            edition: Edition::Final,
            columns: decided.columns.iter().map(sheet).collect(),
            table: batch(decided).map_err(failed)?,
            account: Account::Exact(Box::new(decided.account.clone())),
            provenance: decided.provenance.clone(),
        }))
    }
}

fn sheet(column: &Column) -> ColumnSheet {
    let kind = match column.kind {
        Kind::Dimension => ColumnKind::Dimension,
        Kind::Count => ColumnKind::Count,
        Kind::Share => ColumnKind::Share,
        Kind::Score => ColumnKind::Score,
        Kind::Flag => ColumnKind::Flag,
    };
    ColumnSheet {
        name: column.name.clone(),
        kind,
        title: column.title.clone(),
        unit: column.unit.clone(),
        meaning: column.meaning.clone(),
    }
}

fn batch(decided: &Decided) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut fields = Vec::with_capacity(decided.columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(decided.columns.len());
    for (place, column) in decided.columns.iter().enumerate() {
        let values = decided.rows.iter().map(|row| row.get(place).and_then(Option::as_ref));
        let (kind, array): (DataType, ArrayRef) = match column.kind {
            Kind::Dimension | Kind::Flag => {
                let words = values.map(|value| match value {
                    Some(Value::Text(text)) => Some(text.as_str()),
                    _ => None,
                });
                (DataType::Utf8, Arc::new(words.collect::<StringArray>()))
            }
            Kind::Count => {
                let counts = values.map(|value| match value {
                    Some(Value::Count(count)) => i64::try_from(*count).ok(),
                    _ => None,
                });
                (DataType::Int64, Arc::new(counts.collect::<Int64Array>()))
            }
            Kind::Share | Kind::Score => {
                let numbers = values.map(|value| match value {
                    Some(Value::Text(digits)) => digits.parse::<f64>().ok(),
                    _ => None,
                });
                (DataType::Float64, Arc::new(numbers.collect::<Float64Array>()))
            }
        };
        let is_word = matches!(column.kind, Kind::Dimension | Kind::Flag);
        fields.push(Field::new(&column.name, kind, !is_word));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}
