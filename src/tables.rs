//! Named Arrow tables: what landing gives and `sql` adds to.
//!
//! A [`Table`] is a schema and its record batches. Chapters that decide read
//! whole columns out of it with the typed readers below, and so know neither
//! DataFusion nor Polars. This module must not know what any table means.

use std::collections::BTreeMap;
use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, SchemaRef};
use jiff::civil::Date;

use crate::fault::{Explain, Place};

/// The full name of a table, `schema.table`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The first part: a source, or a folder of `sql/`.
    pub schema: String,
    /// The second part.
    pub table: String,
}

impl TableName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        TableName { schema: schema.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A table in memory: its schema, and its rows in batches.
#[derive(Debug, Clone)]
pub struct Table {
    /// Names, types and nullability of the columns.
    pub schema: SchemaRef,
    /// The rows; a table without rows may have no batch at all.
    pub batches: Vec<RecordBatch>,
}

/// All tables of a run, by name.
pub type Tables = BTreeMap<TableName, Table>;

/// A column that is not there, or not of the type that the reader needs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The column is missing.
    #[error("column {column} is missing")]
    Missing {
        /// Its name.
        column: String,
    },
    /// The column cannot be read as the type asked for.
    #[error("column {column} cannot be read as {wanted}")]
    Type {
        /// Its name.
        column: String,
        /// The type asked for.
        wanted: DataType,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A date lies outside the years -9999 to 9999.
    #[error("column {column} holds a date outside the years -9999 to 9999")]
    Date {
        /// Its name.
        column: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Missing { .. } => "tables.column-missing",
            Error::Type { .. } => "tables.column-type",
            Error::Date { .. } => "tables.date-range",
        }
    }

    fn place(&self) -> Place {
        let (Error::Missing { column } | Error::Type { column, .. } | Error::Date { column }) = self;
        Place::Thing(format!("column {column}"))
    }

    fn next(&self) -> String {
        "correct the select that makes this table so that it gives the column under this name and type".into()
    }
}

impl Table {
    /// A table of one batch.
    pub fn from_batch(batch: RecordBatch) -> Self {
        Table { schema: batch.schema(), batches: vec![batch] }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// All rows as one batch.
    pub fn to_batch(&self) -> Result<RecordBatch, arrow::error::ArrowError> {
        concat_batches(&self.schema, &self.batches)
    }

    /// Whether it has a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }

    /// A column as text; numbers and dates are written out as Arrow writes them (dates in ISO 8601).
    pub fn texts(&self, column: &str) -> Result<Vec<Option<String>>, Error> {
        self.read(column, &DataType::Utf8, |array, out| {
            let array = array.as_string::<i32>();
            out.extend(array.iter().map(|value| value.map(str::to_owned)));
            Ok(())
        })
    }

    /// A column as civil dates.
    pub fn dates(&self, column: &str) -> Result<Vec<Option<Date>>, Error> {
        self.read(column, &DataType::Date32, |array, out| {
            for days in array.as_primitive::<Date32Type>() {
                let date = days.map(|days| crate::calendar::from_days(days).ok_or(()));
                out.push(date.transpose().map_err(|()| Error::Date { column: column.to_owned() })?);
            }
            Ok(())
        })
    }

    /// A column as whole numbers.
    pub fn ints(&self, column: &str) -> Result<Vec<Option<i64>>, Error> {
        self.read(column, &DataType::Int64, |array, out| {
            out.extend(array.as_primitive::<Int64Type>());
            Ok(())
        })
    }

    /// A column as floating-point numbers.
    pub fn floats(&self, column: &str) -> Result<Vec<Option<f64>>, Error> {
        self.read(column, &DataType::Float64, |array, out| {
            out.extend(array.as_primitive::<Float64Type>());
            Ok(())
        })
    }

    /// A column as yes or no.
    pub fn bools(&self, column: &str) -> Result<Vec<Option<bool>>, Error> {
        self.read(column, &DataType::Boolean, |array, out| {
            out.extend(array.as_boolean());
            Ok(())
        })
    }

    fn read<T>(
        &self,
        column: &str,
        wanted: &DataType,
        mut take: impl FnMut(&dyn Array, &mut Vec<Option<T>>) -> Result<(), Error>,
    ) -> Result<Vec<Option<T>>, Error> {
        let mut out = Vec::with_capacity(self.rows());
        let Some((index, _)) = self.schema.column_with_name(column) else {
            return Err(Error::Missing { column: column.to_owned() });
        };
        for batch in &self.batches {
            let array = cast(batch.column(index), wanted).map_err(|source| Error::Type {
                column: column.to_owned(),
                wanted: wanted.clone(),
                source,
            })?;
            take(array.as_ref(), &mut out)?;
        }
        Ok(out)
    }
}
