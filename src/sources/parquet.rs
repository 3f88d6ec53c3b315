//! Parquet files: the granted columns and no others.
//!
//! The number of rows is the one in the file's footer, written by whoever wrote
//! the file; the values are decoded from its pages.

use std::fs::File;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::errors::ParquetError;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, UInt64Type,
};

use super::files::Named;
use super::values::{Raw, Reason, Rows, vietnam_micros};
use super::{Answer, BATCH_ROWS, Error, Found, Request, Take, counted};
use crate::pipeline::{Family, SourceTable};

/// The columns of the file.
pub(super) fn describe(file: &Named) -> Result<Vec<Found>, Error> {
    let builder = open(file)?;
    let column = |field: &arrow::datatypes::FieldRef| Found {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        fills: fills(field.data_type()),
        is_list: false,
        granted: true,
    };
    Ok(builder.schema().fields().iter().map(column).collect())
}

/// Reads the granted columns.
pub(super) fn read(file: &Named, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    let table = request.table;
    let failed = |source: ParquetError| Error::Parquet { path: file.shown.clone(), source };
    let builder = open(file)?;
    let rows_counted = builder.metadata().file_metadata().num_rows();
    let roots = table.columns.iter().filter_map(|column| builder.schema().index_of(&column.name).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(failed)?;
    let zone = crate::calendar::vietnam();
    let taken = for_each_batch(reader, table, take, &zone, &|error| failed(error.into()))?;
    let rows_counted = u64::try_from(rows_counted).unwrap_or(0);
    Ok(Answer { asked: file.asked(table), counted: counted(rows_counted), received: counted(taken) })
}

fn for_each_batch(
    reader: ::parquet::arrow::arrow_reader::ParquetRecordBatchReader,
    table: &SourceTable,
    take: &Take<'_>,
    zone: &jiff::tz::TimeZone,
    failed: &dyn Fn(arrow::error::ArrowError) -> Error,
) -> Result<u64, Error> {
    let mut rows = Rows::new(table);
    for batch in reader {
        let batch = batch.map_err(failed)?;
        for (index, column) in table.columns.iter().enumerate() {
            // A column that vanished since the contract was checked gives no values; the batch is then refused.
            if let Some(array) = batch.column_by_name(&column.name) {
                push_all(&mut rows, index, array, zone).map_err(failed)?;
            }
        }
        rows.rows(batch.num_rows());
        rows.hand_over(take)?;
    }
    Ok(rows.taken())
}

fn open(file: &Named) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let handle = file.open()?;
    ParquetRecordBatchReaderBuilder::try_new(handle)
        .map_err(|source| Error::Parquet { path: file.shown.clone(), source })
}

/// Which declared types a column of this Arrow type can fill.
fn fills(kind: &DataType) -> &'static [Family] {
    match kind {
        DataType::Dictionary(_, value) => fills(value),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => &[Family::Text, Family::Date],
        kind if kind.is_integer() => &[Family::Int, Family::Float, Family::Bool],
        DataType::Decimal128(_, 0) => &[Family::Int],
        kind if kind.is_floating() => &[Family::Float],
        DataType::Boolean => &[Family::Bool],
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => &[Family::Date],
        _ => &[],
    }
}

/// Pushes every value of a column, whatever its width.
fn push_all(
    rows: &mut Rows,
    column: usize,
    array: &ArrayRef,
    zone: &jiff::tz::TimeZone,
) -> Result<(), arrow::error::ArrowError> {
    let mut push = |row: usize, value: Option<Raw<'_>>| rows.push(column, row, value.unwrap_or(Raw::Null));
    match array.data_type() {
        DataType::Dictionary(_, value) => push_all(rows, column, &cast(array, value)?, zone)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let array = cast(array, &DataType::LargeUtf8)?;
            let texts = array.as_string::<i64>().iter().enumerate();
            texts.for_each(|(row, value)| push(row, value.map(|text| Raw::Text(text.as_bytes()))));
        }
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().iter().enumerate();
            values.for_each(|(row, value)| {
                push(row, value.map(|value| i64::try_from(value).map_or(Raw::Fault(Reason::TooLarge), Raw::Int)));
            });
        }
        DataType::Decimal128(_, 0) => {
            let values = array.as_primitive::<Decimal128Type>().iter().enumerate();
            values.for_each(|(row, value)| {
                push(row, value.map(|value| i64::try_from(value).map_or(Raw::Fault(Reason::TooLarge), Raw::Int)));
            });
        }
        kind if kind.is_integer() => {
            let array = cast(array, &DataType::Int64)?;
            let values = array.as_primitive::<Int64Type>().iter().enumerate();
            values.for_each(|(row, value)| push(row, value.map(Raw::Int)));
        }
        kind if kind.is_floating() => {
            let array = cast(array, &DataType::Float64)?;
            let values = array.as_primitive::<Float64Type>().iter().enumerate();
            values.for_each(|(row, value)| push(row, value.map(Raw::Float)));
        }
        DataType::Boolean => {
            array.as_boolean().iter().enumerate().for_each(|(row, value)| push(row, value.map(Raw::Bool)));
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>().iter().enumerate();
            values.for_each(|(row, value)| push(row, value.map(|days| Raw::Days(i64::from(days)))));
        }
        DataType::Date64 => {
            let values = array.as_primitive::<Date64Type>().iter().enumerate();
            values.for_each(|(row, value)| push(row, value.map(|millis| Raw::Civil(millis.saturating_mul(1000)))));
        }
        DataType::Timestamp(unit, named) => {
            let micros = to_micros(array, *unit)?;
            let values = micros.iter().enumerate();
            let civil = |micros: i64| if named.is_some() { vietnam_micros(zone, micros) } else { micros };
            values.for_each(|(row, value)| push(row, value.map(|micros| Raw::Civil(civil(micros)))));
        }
        // The contract lets no other type through.
        _ => (0..array.len()).for_each(|row| push(row, Some(Raw::Fault(Reason::NotText)))),
    }
    Ok(())
}

/// Time stamps in microseconds; those that do not fit saturate, and so stay out of range.
fn to_micros(array: &ArrayRef, unit: TimeUnit) -> Result<PrimitiveArray<Int64Type>, arrow::error::ArrowError> {
    let plain = cast(array, &DataType::Int64)?;
    let plain = plain.as_primitive::<Int64Type>();
    Ok(match unit {
        TimeUnit::Second => plain.unary(|value| value.saturating_mul(1_000_000)),
        TimeUnit::Millisecond => plain.unary(|value| value.saturating_mul(1_000)),
        TimeUnit::Microsecond => plain.clone(),
        // Rounded up, so that a nanosecond past midnight remains a time of day.
        TimeUnit::Nanosecond => plain.unary(|nanos| nanos.div_euclid(1_000) + i64::from(nanos.rem_euclid(1_000) != 0)),
    })
}
