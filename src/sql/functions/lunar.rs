//! `lunar_to_solar(year, month, day, is_leap_month)` and `solar_to_lunar(date)`: the Vietnamese
//! lunar calendar of 1900 to 2100 at UTC+7.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Date32Array, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::args::{One, one};
use crate::calendar::lunar::{self, LunarDay};

/// The functions, ready for registration.
pub fn functions() -> [ScalarUDF; 2] {
    let (date, number) = (DataType::Date32, DataType::Int64);
    let lunar = vec![number.clone(), number.clone(), number, DataType::Boolean];
    let to_solar = LunarToSolar { signature: Signature::exact(lunar, Volatility::Immutable) };
    let to_lunar = SolarToLunar { signature: Signature::exact(vec![date], Volatility::Immutable) };
    [ScalarUDF::new_from_impl(to_solar), ScalarUDF::new_from_impl(to_lunar)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LunarToSolar {
    signature: Signature,
}

impl ScalarUDFImpl for LunarToSolar {
    fn name(&self) -> &'static str {
        "lunar_to_solar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let mut arrays = Vec::with_capacity(4);
        for (arg, kind) in args.args.iter().zip([DataType::Int64, DataType::Int64, DataType::Int64, DataType::Boolean])
        {
            arrays.push(cast(&arg.to_array(rows)?, &kind)?);
        }
        let [years, months, days, leaps] = arrays.as_slice() else {
            return exec_err!("lunar_to_solar: it takes a year, a month, a day and whether the month is a leap month");
        };
        let numbers = years.as_primitive::<Int64Type>().iter().zip(months.as_primitive::<Int64Type>());
        let solar = numbers.zip(days.as_primitive::<Int64Type>()).zip(leaps.as_boolean()).map(|row| match row {
            (((Some(year), Some(month)), Some(day)), Some(is_leap)) => solar(year, month, day, is_leap).map(Some),
            _ => Ok(None),
        });
        let solar = solar.collect::<Result<Date32Array>>()?;
        match is_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&solar, 0)?)),
            false => Ok(ColumnarValue::Array(Arc::new(solar))),
        }
    }
}

fn solar(year: i64, month: i64, day: i64, is_leap: bool) -> Result<i32> {
    let small = i16::try_from(year).ok().zip(u8::try_from(month).ok()).zip(u8::try_from(day).ok());
    let solar = small.and_then(|((year, month), day)| lunar::to_solar(LunarDay { year, month, is_leap, day }));
    match solar {
        Some(solar) => Ok(solar),
        None => exec_err!("lunar_to_solar: there is no such day in the lunar years 1900 to 2100"),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SolarToLunar {
    signature: Signature,
}

impl ScalarUDFImpl for SolarToLunar {
    fn name(&self) -> &'static str {
        "solar_to_lunar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [day] = args.args.as_slice() else { return exec_err!("solar_to_lunar: it takes one date") };
        match one::<Date32Type>(day)? {
            One::Value(day) => {
                let text = day.map(|day| lunar_day(day).map(|day| day.to_string())).transpose()?;
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(text)))
            }
            One::Column(days) => {
                let mut texts = StringBuilder::with_capacity(days.len(), days.len() * 10);
                for day in &days {
                    match day {
                        // What is written to a builder cannot fail.
                        Some(day) => {
                            let _ = write!(texts, "{}", lunar_day(day)?);
                            texts.append_value("");
                        }
                        None => texts.append_null(),
                    }
                }
                Ok(ColumnarValue::Array(Arc::new(texts.finish())))
            }
        }
    }
}

fn lunar_day(day: i32) -> Result<LunarDay> {
    match lunar::from_solar(day) {
        Some(day) => Ok(day),
        None => exec_err!("solar_to_lunar: the day lies outside the years 1900 to 2100"),
    }
}
