//! Functions from dates to a number or a truth value: ages and working days.

use std::sync::Arc;

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::args::{One, map_two, one};
use super::days::{Known, no_data};
use crate::calendar::{WorkingDays, civil};

/// The functions, ready for registration.
pub fn functions(calendar: &Arc<WorkingDays>) -> impl Iterator<Item = ScalarUDF> {
    [Count::AgeOn, Count::WorkingDaysBetween, Count::IsWorkingDay].into_iter().map(|count| {
        let dates = if count == Count::IsWorkingDay { 1 } else { 2 };
        let signature = Signature::exact(vec![DataType::Date32; dates], Volatility::Immutable);
        ScalarUDF::new_from_impl(Counts { signature, count, calendar: Known(Arc::clone(calendar)) })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Count {
    /// `age_on(birth_date, date)`: full years; a birthday on 29 February is reached on 28 February in common years.
    AgeOn,
    /// `working_days_between(a, b)`: those after `a`, up to `b` and with it; negative when `b` is earlier.
    WorkingDaysBetween,
    /// `is_working_day(date)`.
    IsWorkingDay,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Counts {
    signature: Signature,
    count: Count,
    calendar: Known,
}

impl ScalarUDFImpl for Counts {
    fn name(&self) -> &'static str {
        match self.count {
            Count::AgeOn => "age_on",
            Count::WorkingDaysBetween => "working_days_between",
            Count::IsWorkingDay => "is_working_day",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.count == Count::IsWorkingDay { DataType::Boolean } else { DataType::Int64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (args, calendar) = (&args.args, &self.calendar.0);
        match self.count {
            Count::AgeOn => {
                map_two::<Date32Type, Date32Type, Int64Type>(args, |birth, on| Ok(civil::age_on(birth, on)))
            }
            Count::WorkingDaysBetween => map_two::<Date32Type, Date32Type, Int64Type>(args, |from, to| {
                calendar.between(from, to).map_err(no_data)
            }),
            Count::IsWorkingDay => {
                let [day] = args.as_slice() else { return exec_err!("is_working_day: it takes one date") };
                let is_working =
                    |day: Option<i32>| day.map(|day| calendar.is_working(day).map_err(no_data)).transpose();
                match one::<Date32Type>(day)? {
                    One::Value(day) => Ok(ColumnarValue::Scalar(ScalarValue::Boolean(is_working(day)?))),
                    One::Column(days) => {
                        let answers = days.iter().map(is_working).collect::<Result<BooleanArray>>()?;
                        Ok(ColumnarValue::Array(Arc::new(answers)))
                    }
                }
            }
        }
    }
}
