//! Intervals as Parquet can keep them: months, days and nanoseconds in sixteen bytes.
//!
//! Parquet has no type that holds what an interval of Arrow holds, and its
//! writer refuses it. Here each is its three numbers, little-endian, one behind
//! the other: nothing is lost, and nothing is parsed to read it back. No column
//! that is declared lands as bytes of a fixed size, so such a column is always
//! one of intervals. This module must not know where files are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray, ListArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

/// Four bytes of months, four of days, eight of nanoseconds.
const BYTES: i32 = 16;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const PACKED: DataType = DataType::FixedSizeBinary(BYTES);

/// The schema as files have it: intervals, also in lists, as bytes.
pub fn packed_schema(schema: &SchemaRef) -> SchemaRef {
    with_kinds(schema, packed_kind)
}

/// The schema as queries see it.
pub fn unpacked_schema(schema: &SchemaRef) -> SchemaRef {
    with_kinds(schema, unpacked_kind)
}

/// A batch as files have it.
pub fn pack_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(pack).collect::<Result<_, _>>()?;
    RecordBatch::try_new(packed_schema(batch.schema_ref()), columns)
}

/// A batch as queries see it.
pub fn unpack_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(unpack).collect::<Result<_, _>>()?;
    RecordBatch::try_new(unpacked_schema(batch.schema_ref()), columns)
}

/// A column as files have it; one without intervals as it is.
pub fn pack(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if let Some(intervals) = array.as_primitive_opt::<IntervalMonthDayNanoType>() {
        let mut bytes = Vec::with_capacity(intervals.len() * BYTES as usize);
        for interval in intervals.values() {
            bytes.extend_from_slice(&interval.months.to_le_bytes());
            bytes.extend_from_slice(&interval.days.to_le_bytes());
            bytes.extend_from_slice(&interval.nanoseconds.to_le_bytes());
        }
        let packed = FixedSizeBinaryArray::try_new(BYTES, bytes.into(), intervals.nulls().cloned())?;
        return Ok(Arc::new(packed));
    }
    in_list(array, packed_kind, pack)
}

/// A column as queries see it; one without packed intervals as it is.
pub fn unpack(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if *array.data_type() == PACKED {
        let intervals: IntervalMonthDayNanoArray =
            array.as_fixed_size_binary().iter().map(|bytes| bytes.and_then(interval)).collect();
        return Ok(Arc::new(intervals));
    }
    in_list(array, unpacked_kind, unpack)
}

/// The type as queries see it; none where it is the same as in files.
pub fn unpacked_kind(kind: &DataType) -> Option<DataType> {
    other_kind(kind, &PACKED, &INTERVAL)
}

fn packed_kind(kind: &DataType) -> Option<DataType> {
    other_kind(kind, &INTERVAL, &PACKED)
}

fn other_kind(kind: &DataType, from: &DataType, to: &DataType) -> Option<DataType> {
    match kind {
        kind if kind == from => Some(to.clone()),
        DataType::List(item) if item.data_type() == from => {
            Some(DataType::List(Arc::new(item.as_ref().clone().with_data_type(to.clone()))))
        }
        _ => None,
    }
}

fn with_kinds(schema: &SchemaRef, other: fn(&DataType) -> Option<DataType>) -> SchemaRef {
    let field = |field: &FieldRef| match other(field.data_type()) {
        Some(kind) => Arc::new(Field::clone(field).with_data_type(kind)),
        None => Arc::clone(field),
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn in_list(
    array: &ArrayRef,
    other: fn(&DataType) -> Option<DataType>,
    turn: fn(&ArrayRef) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let (Some(list), Some(DataType::List(item))) = (array.as_list_opt::<i32>(), other(array.data_type())) else {
        return Ok(Arc::clone(array));
    };
    let turned = ListArray::try_new(item, list.offsets().clone(), turn(list.values())?, list.nulls().cloned())?;
    Ok(Arc::new(turned))
}

fn interval(bytes: &[u8]) -> Option<IntervalMonthDayNano> {
    let (months, rest) = bytes.split_first_chunk()?;
    let (days, rest) = rest.split_first_chunk()?;
    let (nanoseconds, _) = rest.split_first_chunk()?;
    Some(IntervalMonthDayNano::new(
        i32::from_le_bytes(*months),
        i32::from_le_bytes(*days),
        i64::from_le_bytes(*nanoseconds),
    ))
}
