//! `add_months(date, months, rounding)`: a date moved by months, the rounding said aloud.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::args::map_two;
use super::preimage;
use crate::calendar::{Rounding, civil};

/// The function, ready for registration.
pub fn function() -> ScalarUDF {
    let text = |kind: DataType| TypeSignature::Exact(vec![DataType::Date32, DataType::Int64, kind]);
    let signature = Signature::one_of(vec![text(DataType::Utf8), text(DataType::Utf8View)], Volatility::Immutable);
    ScalarUDF::new_from_impl(AddMonths { signature })
}

/// `rounding` is `'clamp'` (the last day of the month: Civil Code 2015, Art. 148(3)),
/// `'roll'` (the first day of the next month) or `'error'`. A null argument gives null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AddMonths {
    signature: Signature,
}

impl ScalarUDFImpl for AddMonths {
    fn name(&self) -> &'static str {
        "add_months"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(words) = args.args.get(2) else { return exec_err!("add_months: its rounding is missing") };
        match words {
            ColumnarValue::Scalar(word) => {
                let Some(rounding) = word.try_as_str().flatten().map(rounding).transpose()? else {
                    let nothing = ColumnarValue::Scalar(ScalarValue::Int64(None));
                    let date = args.args.into_iter().next().unwrap_or_else(|| nothing.clone());
                    return map_two::<Date32Type, Int64Type, Date32Type>(&[date, nothing], |days, _| Ok(days));
                };
                map_two::<Date32Type, Int64Type, Date32Type>(&args.args, |days, months| moved(days, months, rounding))
            }
            ColumnarValue::Array(words) => {
                let words = cast(words, &DataType::Utf8)?;
                // A rounding that differs from row to row becomes a column of numbers, and its nulls those of the result.
                let mut roundings = Vec::with_capacity(words.len());
                for word in words.as_string::<i32>() {
                    roundings.push(word.map(rounding).transpose()?);
                }
                by_row(&args.args, args.number_rows, &roundings)
            }
        }
    }

    fn preimage(&self, args: &[Expr], day: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let [date, months, Expr::Literal(word, _)] = args else { return Ok(PreimageResult::None) };
        let rounding = word.try_as_str().flatten().and_then(Rounding::from_word);
        match (preimage::literal_number(months), rounding) {
            // An error is part of what 'error' means, and must not be lost with the call.
            (Some(months), Some(rounding @ (Rounding::Clamp | Rounding::Roll))) => {
                preimage::growing(date, day, info, |day| reaches(day, months, rounding))
            }
            _ => Ok(PreimageResult::None),
        }
    }
}

/// The first date that, moved, is `day` or later: it lies within a few days of `day` moved back.
fn reaches(day: i32, months: i64, rounding: Rounding) -> Option<i32> {
    const NEAR_DAYS: i32 = 4;
    let back = civil::add_months(day, months.checked_neg()?, Rounding::Clamp)?;
    let (from, to) = (back.checked_sub(NEAR_DAYS)?, back.checked_add(NEAR_DAYS)?);
    let reached = |date: i32| civil::add_months(date, months, rounding).map(|moved| moved >= day);
    // Both ends are looked at: the first date is between them, or this is no answer.
    if reached(from)? || !reached(to)? {
        return None;
    }
    (from..=to).find(|date| reached(*date) == Some(true))
}

fn rounding(word: &str) -> Result<Rounding> {
    match Rounding::from_word(word) {
        Some(rounding) => Ok(rounding),
        // An argument is not quoted: a column of a person may stand in its place.
        None => exec_err!("add_months: the rounding is none of 'clamp', 'roll', 'error'"),
    }
}

fn moved(days: i32, months: i64, rounding: Rounding) -> Result<i32> {
    match civil::add_months(days, months, rounding) {
        Some(moved) => Ok(moved),
        None => exec_err!("add_months: the month that is reached has no such day, or lies outside the calendar"),
    }
}

fn by_row(args: &[ColumnarValue], rows: usize, roundings: &[Option<Rounding>]) -> Result<ColumnarValue> {
    let [dates, months, ..] = args else { return exec_err!("add_months: a date and a number of months are missing") };
    let dates = cast(&dates.to_array(rows)?, &DataType::Date32)?;
    let months = cast(&months.to_array(rows)?, &DataType::Int64)?;
    let rows = dates.as_primitive::<Date32Type>().iter().zip(months.as_primitive::<Int64Type>()).zip(roundings);
    let moved = rows.map(|row| match row {
        ((Some(days), Some(months)), Some(rounding)) => moved(days, months, *rounding).map(Some),
        _ => Ok(None),
    });
    let array = moved.collect::<Result<datafusion::arrow::array::Date32Array>>()?;
    Ok(ColumnarValue::Array(std::sync::Arc::new(array)))
}
