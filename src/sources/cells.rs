//! The values of an Arrow column, whatever its width, as the type policy takes them.
//!
//! A column is first brought to the widest form of its kind, and then read value
//! by value. Nothing is rounded: a nanosecond that a microsecond cannot hold is a
//! fault. This module must not know where the column comes from.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit, UInt64Type,
};
use arrow::error::ArrowError;

use super::values::{Raw, Reason, Rows};
use crate::pipeline::{Family, Type};

/// A column in the widest form of its kind.
pub(super) enum Cells {
    Text(LargeStringArray),
    Int(Int64Array),
    Unsigned(PrimitiveArray<UInt64Type>),
    Decimal(Decimal128Array, u8),
    Digits(LargeStringArray),
    Float(Float64Array),
    Bool(BooleanArray),
    Days(PrimitiveArray<Date32Type>),
    Millis(PrimitiveArray<Date64Type>),
    Civil(Int64Array, TimeUnit),
    Moment(Int64Array, TimeUnit),
    Time(Int64Array, TimeUnit),
    Interval(IntervalMonthDayNanoArray),
    Bytes(LargeBinaryArray),
    List(OffsetBuffer<i64>, Option<NullBuffer>, Box<Cells>),
    /// A kind that fills no declared type, with its length.
    Other(usize),
}

impl Cells {
    /// Which declared types a column of this Arrow type can fill, and whether it holds lists.
    pub(super) fn fills(kind: &DataType) -> (&'static [Family], bool) {
        let one: &'static [Family] = match kind {
            DataType::Dictionary(_, value) => return Cells::fills(value),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                // A list of lists fills nothing.
                return match Cells::fills(item.data_type()) {
                    (fills, false) => (fills, true),
                    (_, true) => (&[], true),
                };
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                &[Family::Text, Family::Date, Family::Timestamp, Family::Instant, Family::Time, Family::Interval]
            }
            kind if kind.is_integer() => &[Family::Int, Family::Float, Family::Bool, Family::Decimal],
            DataType::Decimal32(_, 0)
            | DataType::Decimal64(_, 0)
            | DataType::Decimal128(_, 0)
            | DataType::Decimal256(_, 0) => &[Family::Decimal, Family::Int, Family::Float],
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                &[Family::Decimal, Family::Float]
            }
            kind if kind.is_floating() => &[Family::Float],
            DataType::Boolean => &[Family::Bool],
            DataType::Date32 | DataType::Date64 => &[Family::Date],
            DataType::Timestamp(_, None) => &[Family::Date, Family::Timestamp],
            DataType::Timestamp(_, Some(_)) => &[Family::Date, Family::Timestamp, Family::Instant],
            DataType::Time32(_) | DataType::Time64(_) => &[Family::Time],
            DataType::Interval(_) => &[Family::Interval],
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                &[Family::Bytes]
            }
            _ => &[],
        };
        (one, false)
    }

    /// The values of an array.
    pub(super) fn of(array: &ArrayRef) -> Result<Cells, ArrowError> {
        let whole = || cast(array, &DataType::Int64).map(|array| array.as_primitive::<Int64Type>().clone());
        Ok(match array.data_type() {
            DataType::Dictionary(_, value) => return Cells::of(&cast(array, value)?),
            DataType::List(item) | DataType::FixedSizeList(item, _) => {
                return Cells::of(&cast(array, &DataType::LargeList(std::sync::Arc::clone(item)))?);
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                Cells::List(list.offsets().clone(), list.nulls().cloned(), Box::new(Cells::of(list.values())?))
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Cells::Text(cast(array, &DataType::LargeUtf8)?.as_string::<i64>().clone())
            }
            DataType::UInt64 => Cells::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            kind if kind.is_integer() => Cells::Int(whole()?),
            DataType::Decimal128(_, scale) if *scale >= 0 => {
                Cells::Decimal(array.as_primitive::<Decimal128Type>().clone(), scale.unsigned_abs())
            }
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Cells::Digits(cast(array, &DataType::LargeUtf8)?.as_string::<i64>().clone())
            }
            kind if kind.is_floating() => {
                Cells::Float(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Boolean => Cells::Bool(array.as_boolean().clone()),
            DataType::Date32 => Cells::Days(array.as_primitive::<Date32Type>().clone()),
            DataType::Date64 => Cells::Millis(array.as_primitive::<Date64Type>().clone()),
            DataType::Timestamp(unit, None) => Cells::Civil(whole()?, *unit),
            DataType::Timestamp(unit, Some(_)) => Cells::Moment(whole()?, *unit),
            DataType::Time32(unit) => {
                let narrow = cast(array, &DataType::Int32)?;
                Cells::Time(cast(&narrow, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), *unit)
            }
            DataType::Time64(unit) => Cells::Time(whole()?, *unit),
            DataType::Interval(_) => {
                let wide = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
                Cells::Interval(wide.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Cells::Bytes(cast(array, &DataType::LargeBinary)?.as_binary::<i64>().clone())
            }
            _ => Cells::Other(array.len()),
        })
    }

    /// Pushes every value as one of the column at `column`, declared as `kind`.
    pub(super) fn push(&self, rows: &mut Rows, column: usize, kind: Type) {
        let mut items = Vec::new();
        for row in 0..self.len() {
            let Cells::List(offsets, nulls, values) = self else {
                rows.push(column, row, self.raw(row, kind.family()));
                continue;
            };
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                rows.push(column, row, Raw::Null);
                continue;
            }
            let at = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
            items.clear();
            items.extend((at(row)..at(row + 1)).map(|item| values.raw(item, kind.family())));
            rows.push(column, row, Raw::List(&items));
        }
    }

    fn len(&self) -> usize {
        match self {
            Cells::Text(array) | Cells::Digits(array) => array.len(),
            Cells::Int(array) | Cells::Civil(array, _) | Cells::Moment(array, _) | Cells::Time(array, _) => array.len(),
            Cells::Unsigned(array) => array.len(),
            Cells::Decimal(array, _) => array.len(),
            Cells::Float(array) => array.len(),
            Cells::Bool(array) => array.len(),
            Cells::Days(array) => array.len(),
            Cells::Millis(array) => array.len(),
            Cells::Interval(array) => array.len(),
            Cells::Bytes(array) => array.len(),
            Cells::List(offsets, ..) => offsets.len().saturating_sub(1),
            Cells::Other(length) => *length,
        }
    }

    /// One value; a list in a list is none.
    fn raw(&self, row: usize, family: Family) -> Raw<'_> {
        let value = match self {
            Cells::Text(array) => array.is_valid(row).then(|| Raw::Text(array.value(row).as_bytes())),
            Cells::Digits(array) => array.is_valid(row).then(|| Raw::Digits(array.value(row).as_bytes())),
            Cells::Int(array) => array.is_valid(row).then(|| Raw::Int(array.value(row))),
            Cells::Unsigned(array) => array
                .is_valid(row)
                .then(|| i64::try_from(array.value(row)).map_or(Raw::Fault(Reason::TooLarge), Raw::Int)),
            Cells::Decimal(array, scale) => {
                array.is_valid(row).then(|| Raw::Decimal { unscaled: array.value(row), scale: *scale })
            }
            Cells::Float(array) => array.is_valid(row).then(|| Raw::Float(array.value(row))),
            Cells::Bool(array) => array.is_valid(row).then(|| Raw::Bool(array.value(row))),
            Cells::Days(array) => array.is_valid(row).then(|| Raw::Days(i64::from(array.value(row)))),
            Cells::Millis(array) => array.is_valid(row).then(|| Raw::Civil(array.value(row).saturating_mul(1_000))),
            Cells::Civil(array, unit) => {
                array.is_valid(row).then(|| micros(array.value(row), *unit, family, Raw::Civil))
            }
            Cells::Moment(array, unit) => {
                array.is_valid(row).then(|| micros(array.value(row), *unit, family, Raw::Instant))
            }
            Cells::Time(array, unit) => array.is_valid(row).then(|| micros(array.value(row), *unit, family, Raw::Time)),
            Cells::Interval(array) => array.is_valid(row).then(|| {
                let value = array.value(row);
                if value.nanoseconds % 1_000 != 0 {
                    return Raw::Fault(Reason::TooPrecise);
                }
                Raw::Interval { months: value.months, days: value.days, micros: value.nanoseconds / 1_000 }
            }),
            Cells::Bytes(array) => array.is_valid(row).then(|| Raw::Bytes(array.value(row))),
            Cells::List(..) => Some(Raw::List(&[])),
            // The contract lets no other type through.
            Cells::Other(_) => Some(Raw::Fault(Reason::NotText)),
        };
        value.unwrap_or(Raw::Null)
    }
}

/// In microseconds. What does not fit saturates, and so stays out of range.
fn micros<'a>(value: i64, unit: TimeUnit, family: Family, raw: impl Fn(i64) -> Raw<'a>) -> Raw<'a> {
    raw(match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond if value % 1_000 == 0 => value / 1_000,
        // A nanosecond past midnight remains a time of day.
        TimeUnit::Nanosecond if family == Family::Date => value.div_euclid(1_000) + 1,
        TimeUnit::Nanosecond => return Raw::Fault(Reason::TooPrecise),
    })
}
