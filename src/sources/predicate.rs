//! The row filter of a source that cannot filter: a file.
//!
//! The condition is judged over the values as they were read, with SQL's three
//! values. A row whose filter column could not be read is kept, so that it is set
//! aside with its reason and not lost without a word. [`may_be`] says of a part of
//! a file, from the least and the greatest of its values, that no row in it can
//! pass. This module must not know of files.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Datum, Decimal256Array, Float64Array, Int64Array, RecordBatch, Scalar,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{and_kleene, cast, filter_record_batch, is_null, not, or_kleene};
use arrow::datatypes::{DataType, i256};
use arrow::error::ArrowError;

use super::{Answer, Batch, Error, Request, Stop, Take, ValueFault, counted};
use crate::pipeline::filter::{Comparison, Condition, Literal};

/// Which rows of a batch the condition holds for; unknown is null. Its columns must be in the batch, in
/// their declared types.
pub(super) fn mask(condition: &Condition, rows: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    let all = |value: bool| BooleanArray::from(vec![value; rows.num_rows()]);
    let column = |name: &str| {
        rows.column_by_name(name)
            .ok_or_else(|| ArrowError::SchemaError(format!("the filter's column {name} is missing")))
    };
    match condition {
        Condition::All(parts) => {
            parts.iter().try_fold(all(true), |so_far, part| and_kleene(&so_far, &mask(part, rows)?))
        }
        Condition::Any(parts) => {
            parts.iter().try_fold(all(false), |so_far, part| or_kleene(&so_far, &mask(part, rows)?))
        }
        Condition::Not(inner) => not(&mask(inner, rows)?),
        Condition::NotTrue(inner) => Ok(mask(inner, rows)?.iter().map(|value| Some(value != Some(true))).collect()),
        Condition::IsNull(name) => is_null(column(name)?),
        Condition::Compare(name, comparison, literal) => compare(column(name)?, *comparison, literal)
            .map_err(|_| ArrowError::CastError(format!("the filter compares {name} with a value of another type"))),
    }
}

fn compare(column: &ArrayRef, comparison: Comparison, literal: &Literal) -> Result<BooleanArray, ArrowError> {
    let (column, value) = comparable(column, literal)?;
    let value: &dyn Datum = &Scalar::new(value);
    let column: &dyn Datum = &column;
    match comparison {
        Comparison::Equal => cmp::eq(column, value),
        Comparison::NotEqual => cmp::neq(column, value),
        Comparison::Less => cmp::lt(column, value),
        Comparison::LessOrEqual => cmp::lt_eq(column, value),
        Comparison::Greater => cmp::gt(column, value),
        Comparison::GreaterOrEqual => cmp::gt_eq(column, value),
    }
}

/// The column and the value as arrays of one type; texts that hold dates compare as texts, as in SQLite.
fn comparable(column: &ArrayRef, literal: &Literal) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let array = |array: ArrayRef| Ok((ArrayRef::clone(column), array));
    let no = || Err(ArrowError::CastError("no common type".to_owned()));
    match (column.data_type(), literal) {
        (DataType::Utf8, Literal::Text(text)) => array(std::sync::Arc::new(StringArray::from(vec![text.as_str()]))),
        (DataType::Utf8, Literal::Date(date)) => array(std::sync::Arc::new(StringArray::from(vec![date.to_string()]))),
        (DataType::Int64, Literal::Int(value)) => array(std::sync::Arc::new(Int64Array::from(vec![*value]))),
        // A whole number in a filter is written by hand, and far below 2^53.
        (DataType::Float64, Literal::Int(value)) => array(std::sync::Arc::new(Float64Array::from(vec![*value as f64]))),
        (DataType::Boolean, Literal::Bool(value)) => array(std::sync::Arc::new(BooleanArray::from(vec![*value]))),
        (DataType::Date32, Literal::Date(date)) => {
            array(std::sync::Arc::new(Date32Array::from(vec![crate::calendar::to_days(*date)])))
        }
        (DataType::Timestamp(_, zone), Literal::Date(date)) => {
            let micros = midnight_micros(*date, zone.is_some());
            array(std::sync::Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone_opt(zone.clone())))
        }
        (DataType::Timestamp(_, None), Literal::Timestamp(micros))
        | (DataType::Timestamp(_, Some(_)), Literal::Instant(micros)) => {
            let DataType::Timestamp(_, zone) = column.data_type() else { return no() };
            array(std::sync::Arc::new(TimestampMicrosecondArray::from(vec![*micros]).with_timezone_opt(zone.clone())))
        }
        (DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale), Literal::Int(value)) => {
            let scale = *scale;
            let power = u32::try_from(scale).ok().and_then(|scale| i256::from_i128(10).checked_pow(scale));
            let Some(units) = power.and_then(|power| i256::from_i128(i128::from(*value)).checked_mul(power)) else {
                return no();
            };
            let value = Decimal256Array::from(vec![units]).with_precision_and_scale(76, scale)?;
            Ok((cast(column, &DataType::Decimal256(76, scale))?, std::sync::Arc::new(value)))
        }
        _ => no(),
    }
}

/// Midnight of a date: as a civil time, or as the moment in Vietnam.
fn midnight_micros(date: jiff::civil::Date, is_moment: bool) -> i64 {
    let civil = i64::from(crate::calendar::to_days(date)) * 86_400_000_000;
    if !is_moment {
        return civil;
    }
    let moment = date.to_zoned(crate::calendar::vietnam()).map(|zoned| zoned.timestamp().as_microsecond());
    moment.unwrap_or(civil)
}

/// What is known of a column in a part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The least and the greatest value; whole numbers, or days of a date.
    pub(super) range: Option<(i64, i64)>,
    /// Empty values, and rows.
    pub(super) nulls: Option<(u64, u64)>,
}

/// Whether the condition may have this value for a row of the part: no says surely not.
pub(super) fn may_be(condition: &Condition, wanted: bool, known: &dyn Fn(&str) -> Known) -> bool {
    match condition {
        Condition::All(parts) if wanted => parts.iter().all(|part| may_be(part, true, known)),
        Condition::All(parts) => parts.iter().any(|part| may_be(part, false, known)),
        Condition::Any(parts) if wanted => parts.iter().any(|part| may_be(part, true, known)),
        Condition::Any(parts) => parts.iter().all(|part| may_be(part, false, known)),
        Condition::Not(inner) => may_be(inner, !wanted, known),
        // It holds for what is false and for what nobody knows.
        Condition::NotTrue(inner) => wanted || may_be(inner, true, known),
        Condition::IsNull(column) => {
            known(column).nulls.is_none_or(|(nulls, rows)| if wanted { nulls > 0 } else { nulls < rows })
        }
        Condition::Compare(column, comparison, literal) => {
            let Some((least, greatest)) = known(column).range else { return true };
            let value = match literal {
                Literal::Int(value) => *value,
                Literal::Date(date) => i64::from(crate::calendar::to_days(*date)),
                _ => return true,
            };
            match (comparison, wanted) {
                (Comparison::Equal, true) | (Comparison::NotEqual, false) => least <= value && value <= greatest,
                (Comparison::Equal, false) | (Comparison::NotEqual, true) => least != value || greatest != value,
                (Comparison::Less, true) | (Comparison::GreaterOrEqual, false) => least < value,
                (Comparison::LessOrEqual, true) | (Comparison::Greater, false) => least <= value,
                (Comparison::Greater, true) | (Comparison::LessOrEqual, false) => greatest > value,
                (Comparison::GreaterOrEqual, true) | (Comparison::Less, false) => greatest >= value,
            }
        }
    }
}

/// The names of the columns that a condition speaks of.
pub(super) fn columns(condition: &Condition) -> Vec<&str> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(columns).collect(),
        Condition::Not(inner) | Condition::NotTrue(inner) => columns(inner),
        Condition::IsNull(column) | Condition::Compare(column, ..) => vec![column],
    }
}

/// Lets through to the taker what was asked for, and counts what it leaves out; from any thread.
pub(super) struct Sifter<'a> {
    condition: Option<&'a Condition>,
    /// The places of the condition's columns among the granted ones.
    places: Vec<usize>,
    take: &'a Take<'a>,
    left_out: AtomicU64,
    failed: Mutex<Option<Error>>,
}

impl<'a> Sifter<'a> {
    pub(super) fn new(request: Request<'a>, take: &'a Take<'a>) -> Self {
        let names = request.condition.map(columns).unwrap_or_default();
        let places =
            request.table.columns.iter().enumerate().filter(|(_, column)| names.contains(&column.name.as_str()));
        Sifter {
            condition: request.condition,
            places: places.map(|(place, _)| place).collect(),
            take,
            left_out: AtomicU64::new(0),
            failed: Mutex::new(None),
        }
    }

    /// Takes a batch as it was read.
    pub(super) fn take(&self, batch: Batch) -> Result<(), Stop> {
        let Some(condition) = self.condition else { return (self.take)(batch) };
        let rows = batch.rows.num_rows();
        match self.sifted(batch, condition) {
            Ok(kept) => {
                self.leave_out(rows.saturating_sub(kept.rows.num_rows()) as u64);
                if kept.rows.num_rows() == 0 { Ok(()) } else { (self.take)(kept) }
            }
            Err(source) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(Error::Arrow { source });
                Err(Stop)
            }
        }
    }

    /// Counts rows that were passed over unread, because none of them can be asked for.
    pub(super) fn leave_out(&self, rows: u64) {
        self.left_out.fetch_add(rows, Ordering::Relaxed);
    }

    /// What came of the reading; the filter's own error goes before the stop that it caused.
    pub(super) fn outcome(&self, worked: Result<(), Error>) -> Result<(), Error> {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => worked,
        }
    }

    /// The answer of a file of `records` rows by its own count, of which `read` were read or passed over.
    ///
    /// What was left out is taken from both, so that a row that the parser lost is missed.
    pub(super) fn answer(&self, asked: String, records: u64, read: u64) -> Answer {
        let left_out = self.left_out.load(Ordering::Relaxed);
        let asked = if self.condition.is_some() { format!("{asked} ({records} rows in all)") } else { asked };
        Answer {
            asked,
            counted: counted(records.saturating_sub(left_out)),
            received: counted(read.saturating_sub(left_out)),
        }
    }

    /// The answer of a source of which all rows were read, because it would compare otherwise than we do.
    ///
    /// Its totals are of all rows, and so are those that were received; sums that agree are left out, for
    /// they are not those of the rows that were let through.
    pub(super) fn without_left_out(&self, mut answer: Answer) -> Answer {
        let left_out = self.left_out.load(Ordering::Relaxed);
        answer.counted.rows = answer.counted.rows.saturating_sub(left_out);
        answer.received.rows = answer.received.rows.saturating_sub(left_out);
        if left_out > 0 && answer.counted.sums == answer.received.sums {
            answer.counted.sums.clear();
            answer.received.sums.clear();
        }
        answer
    }

    fn sifted(&self, batch: Batch, condition: &Condition) -> Result<Batch, ArrowError> {
        let holds = mask(condition, &batch.rows)?;
        let mut keep: Vec<bool> = holds.iter().map(|holds| holds == Some(true)).collect();
        for fault in &batch.faults {
            let is_of_filter = fault.column.is_none_or(|column| self.places.contains(&column));
            if let Some(keep) = keep.get_mut(fault.row).filter(|_| is_of_filter) {
                *keep = true;
            }
        }
        if keep.iter().all(|keep| *keep) {
            return Ok(batch);
        }
        let numbers: Vec<u64> =
            keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(row, _)| batch.number_of(row)).collect();
        let mut place = 0;
        let places: Vec<Option<usize>> = keep
            .iter()
            .map(|keep| {
                let here = keep.then_some(place);
                place += usize::from(*keep);
                here
            })
            .collect();
        let moved = |fault: ValueFault| {
            let row = places.get(fault.row).copied().flatten()?;
            Some(ValueFault { row, ..fault })
        };
        Ok(Batch {
            first_row: numbers.first().copied().unwrap_or(batch.first_row),
            rows: filter_record_batch(&batch.rows, &BooleanArray::from(keep))?,
            faults: batch.faults.into_iter().filter_map(moved).collect(),
            // What was brought to NFC is counted over all that was read.
            normalised: batch.normalised,
            numbers: Some(numbers),
        })
    }
}
