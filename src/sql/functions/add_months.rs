//! `add_months(date, months, rounding)`: a date moved by months, the rounding said aloud.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Date32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::calendar::{self, Rounding};

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
        let rows = args.number_rows;
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let mut arrays = Vec::with_capacity(3);
        for (arg, wanted) in args.args.into_iter().zip([DataType::Date32, DataType::Int64, DataType::Utf8]) {
            arrays.push(cast(&arg.into_array(if is_scalar { 1 } else { rows })?, &wanted)?);
        }
        let [dates, months, words] = arrays.as_slice() else {
            return exec_err!("add_months takes a date, a number of months and a rounding");
        };
        let dates = dates.as_primitive::<Date32Type>();
        let months = months.as_primitive::<Int64Type>();
        let words = words.as_string::<i32>();
        let mut moved = Vec::with_capacity(dates.len());
        for ((days, months), word) in dates.iter().zip(months.iter()).zip(words.iter()) {
            moved.push(match (days, months, word) {
                (Some(days), Some(months), Some(word)) => Some(one(days, months, word)?),
                _ => None,
            });
        }
        let array = Date32Array::from(moved);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(array)))
    }
}

fn one(days: i32, months: i64, word: &str) -> Result<i32> {
    let Some(rounding) = Rounding::from_word(word) else {
        // An argument is not quoted: a column of a person may stand in its place.
        return exec_err!("add_months: the rounding is none of 'clamp', 'roll', 'error'");
    };
    let moved = calendar::from_days(days).and_then(|date| calendar::add_months(date, months, rounding));
    match moved {
        Some(date) => Ok(calendar::to_days(date)),
        None => exec_err!("add_months: the month that is reached has no such day, or lies outside the calendar"),
    }
}
