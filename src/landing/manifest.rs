//! What a generation is: a small file that names the Parquet files it is made of.
//!
//! It is written last, so that a generation is there whole or not at all. Parquet
//! files are named for their bytes and never change; several generations may name
//! the same. This module must not know how the files are made.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file::Digest;
use crate::personal::hex;
use crate::pipeline::filter::{Comparison, Condition, Literal};
use crate::pipeline::{Server, SourceKind, SourceTable, Type};
use crate::tables::Stored;

/// The form of manifests; one of another form is not continued.
const FORM: u32 = 1;

const DAY_MICROS: i64 = 86_400_000_000;

/// One generation of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    form: u32,
    /// A digest of all that the rows depend on: source, columns, types, key, filter, driving date.
    pub(super) contract: String,
    /// All rows of some night.
    pub(super) base: Part,
    /// The rows changed since.
    pub(super) changes: Option<Part>,
    /// The columns that identify a row.
    pub(super) key: Vec<String>,
    /// The columns by which the files are sorted.
    pub(super) sorted_by: Vec<String>,
    /// The condition of the night.
    pub(super) condition: Option<Said>,
    /// The greatest value of the cursor that was seen.
    pub(super) high: Option<Value>,
    /// When the keys were last compared with the source's, in days since 1 January 1970.
    pub(super) compared_on: Option<i32>,
}

/// A Parquet file of a generation, in the same folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) rows: u64,
}

/// A condition as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    All(Vec<Said>),
    Any(Vec<Said>),
    Not(Box<Said>),
    NotTrue(Box<Said>),
    IsNull(String),
    Compare(String, String, Value),
}

/// A value as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    /// Days since 1 January 1970.
    Date(i32),
    Timestamp(i64),
    Instant(i64),
}

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

impl Part {
    /// A file named for its bytes.
    pub(super) fn new(digest: &Digest, rows: u64) -> Self {
        let sha256 = hex(digest);
        Part { file: format!("{}.parquet", sha256.get(..32).unwrap_or_default()), sha256, rows }
    }
}

impl Manifest {
    /// The generation of a table that was read whole.
    pub(super) fn whole(
        (kind, table): (&SourceKind, &SourceTable),
        base: Part,
        condition: Option<&Condition>,
        sorted_by: &[String],
    ) -> Self {
        Manifest {
            form: FORM,
            contract: contract(kind, table),
            base,
            changes: None,
            key: table.key.clone(),
            sorted_by: sorted_by.to_vec(),
            condition: condition.map(Said::of),
            high: None,
            compared_on: None,
        }
    }

    /// From its file; none when it is not one of this form.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Manifest>(bytes).ok().filter(|manifest| manifest.form == FORM)
    }

    /// Its file, and the digest of it.
    pub(super) fn bytes(&self) -> Result<(Vec<u8>, Digest), serde_json::Error> {
        let bytes = serde_json::to_vec_pretty(self)?;
        let digest = Sha256::digest(&bytes).into();
        Ok((bytes, digest))
    }

    /// Whether it was made from the same source under the same contract.
    pub(super) fn fits(&self, kind: &SourceKind, table: &SourceTable) -> bool {
        self.contract == contract(kind, table)
    }

    /// The files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.parts().map(|part| part.file.as_str())
    }

    /// The base, and the changes where there are some.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.base).chain(&self.changes)
    }

    /// The table as files in this folder.
    pub(super) fn stored(&self, folder: &Path, schema: arrow::datatypes::SchemaRef) -> Stored {
        use crate::pipeline::filter::Dialect;
        Stored {
            schema,
            base: vec![folder.join(&self.base.file)],
            changes: self.changes.as_ref().map(|part| folder.join(&part.file)),
            key: self.key.clone(),
            sorted_by: self.sorted_by.clone(),
            condition: self.condition().map(|condition| condition.sql(Dialect::Standard)),
        }
    }

    /// The condition of its night.
    pub(super) fn condition(&self) -> Option<Condition> {
        self.condition.as_ref().and_then(Said::condition)
    }
}

/// Which source it is: another database continues nothing, whatever it is called here.
fn origin(kind: &SourceKind) -> (&'static str, String) {
    let server = |server: &Server| {
        let Server { host, port, database, user, .. } = server;
        format!("{host}\n{port}\n{database}\n{user}")
    };
    let place = match kind {
        SourceKind::Sqlite { path } | SourceKind::NdJson { path } | SourceKind::Excel { path } => shown(path),
        SourceKind::Csv { path, .. } | SourceKind::Parquet { path } => shown(path),
        SourceKind::ObjectStore(bucket) => format!("{}\n{}\n{}", bucket.endpoint, bucket.bucket, bucket.prefix),
        SourceKind::Postgres(found) | SourceKind::Mysql(found) => server(found),
        SourceKind::Odbc { connection, .. } => connection.clone(),
    };
    (kind.word(), place)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A digest of all that the rows of a table depend on.
fn contract(kind: &SourceKind, table: &SourceTable) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (&column.name, column.kind.word(), &column.format, format!("{:?}", column.on_fault)))
        .collect();
    let filter = table.filter.as_ref().map(|filter| &filter.text);
    let all = (
        FORM,
        origin(kind),
        &table.from,
        &table.key,
        columns,
        filter,
        &table.driving_date,
        format!("{:?}", table.load),
    );
    hex(&Sha256::digest(serde_json::to_vec(&all).unwrap_or_default()))
}

impl Said {
    /// A condition, to be written down.
    pub(super) fn of(condition: &Condition) -> Self {
        let all = |parts: &[Condition]| parts.iter().map(Said::of).collect();
        match condition {
            Condition::All(parts) => Said::All(all(parts)),
            Condition::Any(parts) => Said::Any(all(parts)),
            Condition::Not(inner) => Said::Not(Box::new(Said::of(inner))),
            Condition::NotTrue(inner) => Said::NotTrue(Box::new(Said::of(inner))),
            Condition::IsNull(column) => Said::IsNull(column.clone()),
            Condition::Compare(column, comparison, literal) => {
                Said::Compare(column.clone(), comparison.sign().to_owned(), Value::of(literal))
            }
        }
    }

    /// The condition that was written down; none when somebody changed the file.
    pub(super) fn condition(&self) -> Option<Condition> {
        let all = |parts: &[Said]| parts.iter().map(Said::condition).collect::<Option<Vec<_>>>();
        Some(match self {
            Said::All(parts) => Condition::All(all(parts)?),
            Said::Any(parts) => Condition::Any(all(parts)?),
            Said::Not(inner) => Condition::Not(Box::new(inner.condition()?)),
            Said::NotTrue(inner) => Condition::NotTrue(Box::new(inner.condition()?)),
            Said::IsNull(column) => Condition::IsNull(column.clone()),
            Said::Compare(column, sign, value) => {
                let comparison = COMPARISONS.into_iter().find(|comparison| comparison.sign() == sign)?;
                Condition::Compare(column.clone(), comparison, value.literal())
            }
        })
    }
}

impl Value {
    fn of(literal: &Literal) -> Self {
        match literal {
            Literal::Text(value) => Value::Text(value.clone()),
            Literal::Int(value) => Value::Int(*value),
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Date(value) => Value::Date(crate::calendar::to_days(*value)),
            Literal::Timestamp(value) => Value::Timestamp(*value),
            Literal::Instant(value) => Value::Instant(*value),
        }
    }

    /// As conditions have it.
    pub(super) fn literal(&self) -> Literal {
        match self {
            Value::Text(value) => Literal::Text(value.clone()),
            Value::Int(value) => Literal::Int(*value),
            Value::Bool(value) => Literal::Bool(*value),
            Value::Date(value) => Literal::Date(day(*value)),
            Value::Timestamp(value) => Literal::Timestamp(*value),
            Value::Instant(value) => Literal::Instant(*value),
        }
    }

    /// The greatest of a cursor column, in its own measure (days, microseconds, steps).
    pub(super) fn greatest(array: &ArrayRef) -> Option<i64> {
        match array.data_type() {
            DataType::Int64 => arrow::compute::max(array.as_primitive::<Int64Type>()),
            DataType::Date32 => arrow::compute::max(array.as_primitive::<Date32Type>()).map(i64::from),
            DataType::Timestamp(..) => arrow::compute::max(array.as_primitive::<TimestampMicrosecondType>()),
            _ => None,
        }
        .filter(|_| array.null_count() < array.len())
    }

    /// A cursor of this type from its own measure; one of time is not later than the night.
    ///
    /// A row that says it changed in the year 2199 would otherwise hide every change until then. To begin
    /// earlier than necessary loses nothing.
    pub(super) fn cursor(kind: Type, value: i64, night: Date) -> Option<Self> {
        // The end of the night's day, wherever on Earth the clock stood that wrote it.
        let end_micros = (i64::from(crate::calendar::to_days(night)) + 1) * DAY_MICROS;
        match kind {
            Type::Int => Some(Value::Int(value)),
            Type::Date => i32::try_from(value).ok().map(|days| Value::Date(days.min(crate::calendar::to_days(night)))),
            Type::Timestamp => Some(Value::Timestamp(value.min(end_micros))),
            Type::Instant => Some(Value::Instant(value.min(end_micros))),
            _ => None,
        }
    }

    /// So far back: days of a date, minutes of a moment, steps of a number.
    pub(super) fn before(&self, overlap: u32) -> Literal {
        let minutes = |micros: i64| micros.saturating_sub(i64::from(overlap) * 60_000_000);
        match self {
            Value::Int(value) => Literal::Int(value.saturating_sub(i64::from(overlap))),
            Value::Date(date) => Literal::Date(day(date.saturating_sub(i32::try_from(overlap).unwrap_or(i32::MAX)))),
            Value::Timestamp(value) => Literal::Timestamp(minutes(*value)),
            Value::Instant(value) => Literal::Instant(minutes(*value)),
            other => other.literal(),
        }
    }

    /// In its own measure.
    pub(super) fn measure(&self) -> Option<i64> {
        match self {
            Value::Int(value) | Value::Timestamp(value) | Value::Instant(value) => Some(*value),
            Value::Date(days) => Some(i64::from(*days)),
            Value::Text(_) | Value::Bool(_) => None,
        }
    }
}

/// A day that the calendar has: the nearest one.
fn day(days: i32) -> Date {
    crate::calendar::from_days(days).unwrap_or(if days < 0 { Date::MIN } else { Date::MAX })
}
