//! The values of one column of a copy, until they are a batch.
//!
//! What nearly all columns of a register are is put together here, at a few
//! nanoseconds a value: numbers, days, truth values, and texts of which each byte is
//! printable ASCII and so needs no look at its form. Everything else goes through the type
//! policy that all sources share. This module must not know how rows come.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, NullBufferBuilder, PrimitiveArray, StringArray, StringBuilder};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Date32Type, Int64Type};
use arrow::error::ArrowError;
use jiff::tz::TimeZone;

use super::binary::raw;
use super::decode::{EPOCH_DAYS, Plan, Wrong, exactly, int};
use super::types::Decode;
use crate::pipeline::{Column, Type};
use crate::sources::TEXT_BYTES_MAX;
use crate::sources::values::{DAYS, Put, Raw, Reason, Values, append_text, is_plain_text};

/// The values of one column, so far.
pub(super) enum Cells {
    Int(Numbers<Int64Type>),
    Date(Numbers<Date32Type>),
    Bool(BooleanBuilder),
    Text(Texts),
    Other(Values),
}

impl Cells {
    /// For about so many rows.
    pub(super) fn new(column: &Column, plan: &Plan, rows: usize) -> Self {
        match (plan.decode, column.kind) {
            _ if plan.is_list => Cells::Other(Values::of(column)),
            (Decode::Int, Type::Int) => Cells::Int(Numbers::new(rows)),
            (Decode::Date, Type::Date) => Cells::Date(Numbers::new(rows)),
            (Decode::Bool, Type::Bool) => Cells::Bool(BooleanBuilder::with_capacity(rows)),
            (Decode::Text, Type::Text) => Cells::Text(Texts::new(rows)),
            _ => Cells::Other(Values::of(column)),
        }
    }

    #[inline]
    pub(super) fn append_null(&mut self, zone: &TimeZone) {
        match self {
            Cells::Int(numbers) => numbers.put_null(),
            Cells::Date(days) => days.put_null(),
            Cells::Bool(builder) => builder.append_null(),
            Cells::Text(texts) => texts.put_null(),
            // Nothing is never at fault.
            Cells::Other(values) => drop(values.push(Raw::Null, zone)),
        }
    }

    /// Appends the value, or nothing together with what is wrong.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], plan: &Plan, zone: &TimeZone) -> Result<Put, Wrong> {
        match self {
            Cells::Int(numbers) => numbers.put(int(bytes)?),
            Cells::Date(numbers) => {
                // Infinity is the smallest or the largest number, and as far out of range as it looks.
                let days = i64::from(i32::from_be_bytes(exactly(bytes)?)) + EPOCH_DAYS;
                match i32::try_from(days) {
                    Ok(days) if DAYS.contains(&i64::from(days)) => numbers.put(days),
                    _ => {
                        numbers.put_null();
                        return Err(Wrong::Value(Reason::DateOutOfRange));
                    }
                }
            }
            Cells::Bool(builder) => builder.append_value(exactly::<1>(bytes)? != [0]),
            Cells::Text(texts) => {
                if bytes.len() > TEXT_BYTES_MAX || !is_plain_text(bytes) {
                    return texts.put_other(bytes);
                }
                texts.put(bytes)?;
            }
            Cells::Other(values) => return raw(plan, bytes, |raw| values.push(raw, zone)),
        }
        Ok(Put::default())
    }

    /// What was appended; room is made for as many `rows` again.
    pub(super) fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Cells::Int(numbers) => Arc::new(std::mem::replace(numbers, Numbers::new(rows)).finish()?),
            Cells::Date(days) => Arc::new(std::mem::replace(days, Numbers::new(rows)).finish()?),
            Cells::Bool(builder) => Arc::new(std::mem::replace(builder, BooleanBuilder::with_capacity(rows)).finish()),
            Cells::Text(texts) => Arc::new(std::mem::replace(texts, Texts::new(rows)).finish()?),
            Cells::Other(values) => values.finish()?,
        })
    }
}

/// Values of one width.
pub(super) struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    filled: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn new(rows: usize) -> Self {
        Numbers { values: Vec::with_capacity(rows), filled: NullBufferBuilder::new(rows) }
    }

    #[inline]
    fn put(&mut self, value: T::Native) {
        self.values.push(value);
        self.filled.append_non_null();
    }

    #[inline]
    fn put_null(&mut self) {
        self.values.push(T::Native::default());
        self.filled.append_null();
    }

    fn finish(mut self) -> Result<PrimitiveArray<T>, ArrowError> {
        PrimitiveArray::try_new(self.values.into(), self.filled.finish())
    }
}

/// Texts, one behind the other. That they are UTF-8 is looked at once for all of them, when they are a batch.
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    filled: NullBufferBuilder,
    /// Where a text that is not ASCII is judged.
    other: StringBuilder,
}

impl Texts {
    fn new(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Texts {
            bytes: Vec::with_capacity(rows * 16),
            ends,
            filled: NullBufferBuilder::new(rows),
            other: StringBuilder::with_capacity(0, 0),
        }
    }

    #[inline]
    fn put(&mut self, text: &[u8]) -> Result<(), Wrong> {
        self.bytes.extend_from_slice(text);
        // A batch is handed over long before its texts are so many.
        self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Wrong::Malformed)?);
        self.filled.append_non_null();
        Ok(())
    }

    #[inline]
    fn put_null(&mut self) {
        self.ends.push(self.ends.last().copied().unwrap_or(0));
        self.filled.append_null();
    }

    /// Appends a text whose form must be looked at, or nothing together with what is wrong.
    fn put_other(&mut self, text: &[u8]) -> Result<Put, Wrong> {
        let before = self.other.values_slice().len();
        match append_text(&mut self.other, Raw::Text(text)) {
            Ok(put) => {
                let judged = self.other.values_slice().get(before..).unwrap_or_default();
                self.bytes.extend_from_slice(judged);
                self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Wrong::Malformed)?);
                self.filled.append_non_null();
                if self.other.values_slice().len() > OTHER_BYTES {
                    self.other = StringBuilder::with_capacity(0, 0);
                }
                Ok(put)
            }
            Err(reason) => {
                self.put_null();
                Err(Wrong::Value(reason))
            }
        }
    }

    fn finish(mut self) -> Result<StringArray, ArrowError> {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        StringArray::try_new(ends, self.bytes.into(), self.filled.finish())
    }
}

/// Beyond this, the judged texts are let go: they stay in a cache.
const OTHER_BYTES: usize = 32 << 10;
