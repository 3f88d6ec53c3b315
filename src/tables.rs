//! Named Arrow tables: what landing gives and `sql` adds to.
//!
//! A [`Table`] is a schema and its record batches. Chapters that decide read
//! whole columns out of it with the typed readers below, and so know neither
//! DataFusion nor Polars. This module must not know what any table means.

pub mod intervals;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
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

/// A table as files: what a landed table is, however large.
///
/// Its rows are those of `base` whose key is not in `changes`, and those of
/// `changes` that are not deleted. Each file is sorted by `sorted_by`, with
/// statistics per row group, so that a reader skips what it does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Names, types and nullability of the columns.
    pub schema: SchemaRef,
    /// Parquet files with whole rows, each key once among them. Intervals stand in files as [`intervals`] packs them.
    pub base: Vec<PathBuf>,
    /// A Parquet file with the rows changed since, each key once: the columns of `schema`, and the
    /// column [`DELETED`], which says that the key is gone.
    pub changes: Option<PathBuf>,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The columns by which each file is sorted, rising, empty ones first.
    pub sorted_by: Vec<String>,
    /// Which of its rows count tonight, as a condition of standard SQL over `t`; none means all. Rows that a
    /// moving window has left may still stand in a file.
    pub condition: Option<String>,
}

/// The column of [`Stored::changes`] that is true where the key is gone.
pub const DELETED: &str = "__deleted";

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

    /// A column as text, like [`Table::texts`], as it stands in memory: where the table holds it as text, the two share
    /// it.
    pub fn shared_texts(&self, column: &str) -> Result<Texts, Error> {
        let mut texts = Texts::default();
        let mut rows = 0;
        let read: Result<Vec<Option<()>>, Error> = self.read(column, &DataType::Utf8, |array, _| {
            texts.starts.push(rows);
            texts.parts.push(array.as_string::<i32>().clone());
            rows += array.len();
            Ok(())
        });
        read.map(|_| texts)
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

/// A column of texts, by row: 20 to 40 bytes for each, and no place on the heap of its own.
#[derive(Clone, Default)]
pub struct Texts {
    /// The first row of each part.
    starts: Vec<usize>,
    parts: Vec<StringArray>,
}

/// What stands in it may be a person's.
impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} texts]", self.parts.iter().map(Array::len).sum::<usize>())
    }
}

impl Texts {
    /// The text of a row; none where it is empty, or where there is no such row.
    pub fn get(&self, row: usize) -> Option<&str> {
        let part = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        let (start, part) = (self.starts.get(part)?, self.parts.get(part)?);
        let row = row - start;
        (row < part.len() && part.is_valid(row)).then(|| part.value(row))
    }
}

/// A table without the rows that nobody may rely on, and how many those were by reason.
pub type Sifted = (Table, BTreeMap<String, u64>);

impl Table {
    /// Leaves out rows in which a required column is empty, and all rows that share one grain.
    ///
    /// Which of two rows of one person is right cannot be known: one may say that
    /// the person has died or refuses, or give another address.
    pub fn sift(&self, required: &[&str], grain: &[String]) -> Result<Sifted, arrow::error::ArrowError> {
        let batch = self.to_batch()?;
        let mut keep = vec![true; batch.num_rows()];
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        for (name, column) in required.iter().filter_map(|name| Some((*name, batch.column_by_name(name)?))) {
            // A row with two empty columns counts under both.
            for (_, keep) in keep.iter_mut().enumerate().filter(|(row, _)| column.is_null(*row)) {
                *reasons.entry(format!("{name}: empty")).or_default() += 1;
                *keep = false;
            }
        }
        let columns: Vec<_> = grain.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
        if !columns.is_empty() {
            let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
            let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
            let mut seen: HashMap<&[u8], u32> = HashMap::with_capacity(batch.num_rows());
            for row in &rows {
                *seen.entry(row.data()).or_default() += 1;
            }
            for (row, keep) in rows.iter().zip(&mut keep) {
                if *keep && seen.get(row.data()).is_some_and(|times| *times > 1) {
                    *reasons.entry(format!("{}: several rows", grain.join(", "))).or_default() += 1;
                    *keep = false;
                }
            }
        }
        if reasons.is_empty() {
            return Ok((self.clone(), reasons));
        }
        let kept = filter_record_batch(&batch, &BooleanArray::from(keep))?;
        Ok((Table::from_batch(kept), reasons))
    }
}

/// The columns that the readers of a table expect.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Name, type, and whether it may be null.
    pub columns: Vec<(String, DataType, bool)>,
    /// Whether it may give more columns than these: facts of an obligation.
    pub is_open: bool,
}

impl Contract {
    /// The form of a table that has these columns, or what is wrong with them: their names, and types that are
    /// brought into the expected ones by a cast.
    pub fn shape(&self, found: &Schema) -> Result<SchemaRef, String> {
        let expected = |name: &str| self.columns.iter().find(|(known, _, _)| known == name);
        for (name, _, _) in &self.columns {
            if found.column_with_name(name).is_none() {
                let found: Vec<_> = found.fields().iter().map(|field| field.name().clone()).collect();
                return Err(format!("the column {name} is missing (it gives {})", found.join(", ")));
            }
        }
        if !self.is_open
            && let Some(field) = found.fields().iter().find(|field| expected(field.name()).is_none())
        {
            return Err(format!("the column {} is not expected", field.name()));
        }
        let mut fields = Vec::new();
        for field in found.fields() {
            let wanted = match expected(field.name()) {
                Some((_, wanted, _)) => wanted.clone(),
                None if matches!(field.data_type(), DataType::Utf8View | DataType::LargeUtf8) => DataType::Utf8,
                None => field.data_type().clone(),
            };
            if !is_same_kind(field.data_type(), &wanted) {
                return Err(format!("the column {} is {}, not {wanted}", field.name(), field.data_type()));
            }
            fields.push(Field::new(field.name(), wanted, true));
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Brings a table into the expected form, or says what is wrong with it.
    pub fn apply(&self, table: Table) -> Result<Table, String> {
        let expected = |name: &str| self.columns.iter().find(|(known, _, _)| known == name);
        let schema = self.shape(&table.schema)?;
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let mut batches = Vec::with_capacity(table.batches.len());
        for batch in &table.batches {
            let mut columns = Vec::with_capacity(batch.num_columns());
            for (column, field) in batch.columns().iter().zip(schema.fields()) {
                // What Arrow says quotes the value that it cannot convert, which may be a person's.
                let array = cast_with_options(column, field.data_type(), &options).map_err(|_| {
                    let (name, kind) = (field.name(), field.data_type());
                    format!("the column {name} holds a value that does not fit {kind} (it is not shown)")
                })?;
                if let Some((name, _, false)) = expected(field.name())
                    && array.null_count() > 0
                {
                    return Err(format!("the column {name} is empty in {} rows", array.null_count()));
                }
                columns.push(array);
            }
            batches.push(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| error.to_string())?);
        }
        Ok(Table { schema, batches })
    }
}

fn is_same_kind(found: &DataType, wanted: &DataType) -> bool {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    found == wanted
        || *found == DataType::Null
        || (is_text(found) && is_text(wanted))
        || (found.is_integer() && wanted.is_integer())
        || (found.is_floating() && wanted.is_floating())
}
