//! A kept table as its rows: the base without what changed, and the changes.
//!
//! `sql` reads kept tables through its engine; this is for tables that fit in
//! memory, and for comparing keys. This module must not know what a column means.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Date32Array, RecordBatch, Scalar};
use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{and_kleene, cast, filter_record_batch, is_null, not, or_kleene};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::file;
use super::order::Order;
use super::{Error, Landed, shown};
use crate::pipeline::filter::{Comparison, Condition, Literal};
use crate::tables::{DELETED, Stored, Table};

impl Landed {
    /// Its rows, in order, in memory: for tables that fit there.
    pub fn table(&self) -> Result<Table, Error> {
        let failed = |source| Error::Arrow { table: self.name.clone(), source };
        let mut batches = Vec::new();
        let mut rows = 0;
        rows_of(&self.stored, &self.order, self.condition.as_ref(), None, &mut |batch| {
            rows += batch.num_rows();
            batches.push(batch);
            Ok(())
        })?;
        if self.stored.changes.is_some() && rows > 0 {
            let order = self.order.sorted(&self.order.columns(&batches).map_err(failed)?).map_err(failed)?;
            let gather = super::gather::Gather::new(&batches).map_err(failed)?;
            let sorted = gather.rows(&order, &self.stored.schema).map_err(failed)?;
            batches = vec![sorted];
        }
        Ok(Table { schema: Arc::clone(&self.stored.schema), batches })
    }
}

/// Gives the rows of a kept table, batch by batch, those of the base first. `columns` are those to read, in
/// the order of the schema; they hold the key and what the condition speaks of.
pub(super) fn rows_of(
    stored: &Stored,
    order: &Order,
    condition: Option<&Condition>,
    columns: Option<&[&str]>,
    give: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut changed = HashSet::new();
    if let Some(path) = &stored.changes {
        let key: Vec<&str> = stored.key.iter().map(String::as_str).collect();
        each(path, Some(&key), &mut |batch| {
            changed.extend(hashes(order, &stored.key, &batch).map_err(|source| arrow(path, source))?);
            Ok(())
        })?;
    }
    for path in &stored.base {
        each(path, columns, &mut |batch| {
            let failed = |source| arrow(path, source);
            let batch = if changed.is_empty() {
                batch
            } else {
                let hashes = hashes(order, &stored.key, &batch).map_err(failed)?;
                let mask: BooleanArray = hashes.iter().map(|hash| Some(!changed.contains(hash))).collect();
                filter_record_batch(&batch, &mask).map_err(failed)?
            };
            let batch = within(batch, condition).map_err(failed)?;
            if batch.num_rows() > 0 { give(batch) } else { Ok(()) }
        })?;
    }
    if let Some(path) = &stored.changes {
        let with_deleted: Option<Vec<&str>> = columns.map(|columns| columns.iter().copied().chain([DELETED]).collect());
        each(path, with_deleted.as_deref(), &mut |batch| {
            let failed = |source| arrow(path, source);
            let Ok(place) = batch.schema().index_of(DELETED) else { return Ok(()) };
            let kept = not(batch.column(place).as_boolean()).map_err(failed)?;
            let mut batch = filter_record_batch(&batch, &kept).map_err(failed)?;
            batch.remove_column(place);
            let batch = within(batch, condition).map_err(failed)?;
            if batch.num_rows() > 0 { give(batch) } else { Ok(()) }
        })?;
    }
    Ok(())
}

/// The hash of each row's key, wherever its columns stand.
pub(super) fn hashes(order: &Order, key: &[String], batch: &RecordBatch) -> Result<Vec<u128>, ArrowError> {
    let keys: Vec<ArrayRef> = key.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
    order.hashes_of(&keys)
}

/// Gives a file batch by batch.
pub(super) fn each(
    path: &Path,
    columns: Option<&[&str]>,
    give: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let (_, batches) = file::open(path, columns)?;
    for batch in batches {
        give(batch.map_err(|error| Error::Parquet { path: shown(path), source: error.into() })?)?;
    }
    Ok(())
}

fn arrow(path: &Path, source: ArrowError) -> Error {
    Error::Parquet { path: shown(path), source: source.into() }
}

/// The rows for which the condition holds.
pub(super) fn within(batch: RecordBatch, condition: Option<&Condition>) -> Result<RecordBatch, ArrowError> {
    match condition {
        Some(condition) => filter_record_batch(&batch, &holds(condition, &batch)?),
        None => Ok(batch),
    }
}

/// For which rows a condition holds; unknown is empty.
fn holds(condition: &Condition, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    let all = |value: bool| BooleanArray::from(vec![value; batch.num_rows()]);
    let column = |name: &String| {
        let column = batch.column_by_name(name).cloned();
        column.ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))
    };
    match condition {
        Condition::All(parts) => {
            parts.iter().try_fold(all(true), |so_far, part| and_kleene(&so_far, &holds(part, batch)?))
        }
        Condition::Any(parts) => {
            parts.iter().try_fold(all(false), |so_far, part| or_kleene(&so_far, &holds(part, batch)?))
        }
        Condition::Not(inner) => not(&holds(inner, batch)?),
        Condition::NotTrue(inner) => Ok(holds(inner, batch)?.iter().map(|value| Some(value != Some(true))).collect()),
        Condition::IsNull(name) => is_null(column(name)?.as_ref()),
        Condition::Compare(name, comparison, literal) => {
            let column = column(name)?;
            // A number may be larger than the column can hold, and is larger than all that it holds.
            let kind = match column.data_type() {
                DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => DataType::Decimal256(76, *scale),
                kind => kind.clone(),
            };
            let (column, value) = (cast(&column, &kind)?, cast(&scalar(literal), &kind)?);
            let (column, value): (&dyn Array, _) = (column.as_ref(), Scalar::new(value));
            match comparison {
                Comparison::Equal => cmp::eq(&column, &value),
                Comparison::NotEqual => cmp::neq(&column, &value),
                Comparison::Less => cmp::lt(&column, &value),
                Comparison::LessOrEqual => cmp::lt_eq(&column, &value),
                Comparison::Greater => cmp::gt(&column, &value),
                Comparison::GreaterOrEqual => cmp::gt_eq(&column, &value),
            }
        }
    }
}

fn scalar(literal: &Literal) -> ArrayRef {
    match literal {
        Literal::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        Literal::Int(value) => Arc::new(Int64Array::from(vec![*value])),
        Literal::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Literal::Date(date) => Arc::new(Date32Array::from(vec![crate::calendar::to_days(*date)])),
        Literal::Timestamp(micros) => Arc::new(TimestampMicrosecondArray::from(vec![*micros])),
        Literal::Instant(micros) => Arc::new(TimestampMicrosecondArray::from(vec![*micros]).with_timezone("+00:00")),
    }
}
