//! Functions from a date to a date: month ends, counted days, working days.
//!
//! "Trước ngày" (before a day), "kể từ ngày" (from a day) and "kể từ ngày tiếp theo" (from the
//! day after) are functions of their own: the law uses all of them, and they differ by a day.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::args::{map_one, map_two};
use super::preimage;
use crate::calendar::{NoData, WorkingDays, civil};

/// The functions, ready for registration.
pub fn functions(calendar: &Arc<WorkingDays>) -> impl Iterator<Item = ScalarUDF> {
    STEPS.into_iter().map(|(_, step)| {
        let mut kinds = vec![DataType::Date32];
        kinds.extend(step.takes_number().then_some(DataType::Int64));
        let signature = Signature::exact(kinds, Volatility::Immutable);
        ScalarUDF::new_from_impl(Days { signature, step, calendar: Known(Arc::clone(calendar)) })
    })
}

/// The calendar that the functions of a session share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known(pub Arc<WorkingDays>);

impl Hash for Known {
    /// By what it spans: a plan is hashed often, and a session has one calendar.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.span().hash(state);
    }
}

/// What a function does to its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// The last day of its month.
    LastDayOfMonth,
    /// *Trước ngày*: the last day that is before it.
    Before,
    /// *Vào ngày*: that day.
    On,
    /// *Kể từ ngày*: that day is the first of so many.
    From,
    /// *Kể từ ngày tiếp theo*, Civil Code 2015, Art. 147(2): the day after is the first of so many.
    FromDayAfter,
    /// Itself if it is a working day, otherwise the next.
    NextWorking,
    /// Itself if it is a working day, otherwise the one before.
    PreviousWorking,
    /// So many working days on, or back.
    AddWorking,
}

const STEPS: [(&str, Step); 8] = [
    ("last_day_of_month", Step::LastDayOfMonth),
    ("before_day", Step::Before),
    ("on_day", Step::On),
    ("days_from_day", Step::From),
    ("days_from_day_after", Step::FromDayAfter),
    ("next_working_day", Step::NextWorking),
    ("previous_working_day", Step::PreviousWorking),
    ("add_working_days", Step::AddWorking),
];

impl Step {
    fn name(self) -> &'static str {
        STEPS.iter().find(|(_, step)| *step == self).map_or("", |(name, _)| name)
    }

    fn takes_number(self) -> bool {
        matches!(self, Step::From | Step::FromDayAfter | Step::AddWorking)
    }

    /// The first date of which the result is `day` or later, and none where that is not known.
    fn reaches(self, day: i32, number: i64, calendar: &WorkingDays) -> Option<i32> {
        match self {
            Step::LastDayOfMonth => {
                let (year, month, _) = civil::split(day);
                civil::join(year, month, 1)
            }
            Step::Before => day.checked_add(1),
            Step::On => Some(day),
            Step::From => i32::try_from(i64::from(day).checked_sub(number.checked_sub(1)?)?).ok(),
            Step::FromDayAfter => i32::try_from(i64::from(day).checked_sub(number)?).ok(),
            Step::NextWorking => calendar.next_reaches(day),
            Step::PreviousWorking => calendar.previous_reaches(day),
            Step::AddWorking => calendar.add_reaches(day, number),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Days {
    signature: Signature,
    step: Step,
    calendar: Known,
}

impl ScalarUDFImpl for Days {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (args, calendar, name) = (&args.args, &self.calendar.0, self.step.name());
        match self.step {
            Step::LastDayOfMonth => {
                map_one::<Date32Type, Date32Type>(args, |day| inside(civil::last_day_of_month(day), name))
            }
            Step::Before => map_one::<Date32Type, Date32Type>(args, |day| inside(day.checked_sub(1), name)),
            Step::On => map_one::<Date32Type, Date32Type>(args, Ok),
            Step::From => map_two::<Date32Type, Int64Type, Date32Type>(args, |day, number| {
                shifted(day, number.saturating_sub(1), name)
            }),
            Step::FromDayAfter => {
                map_two::<Date32Type, Int64Type, Date32Type>(args, |day, number| shifted(day, number, name))
            }
            Step::NextWorking => map_one::<Date32Type, Date32Type>(args, |day| calendar.next(day).map_err(no_data)),
            Step::PreviousWorking => {
                map_one::<Date32Type, Date32Type>(args, |day| calendar.previous(day).map_err(no_data))
            }
            Step::AddWorking => map_two::<Date32Type, Int64Type, Date32Type>(args, |day, number| {
                calendar.add(day, number).map_err(no_data)
            }),
        }
    }

    fn preimage(&self, args: &[Expr], day: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let Some(date) = args.first() else { return Ok(PreimageResult::None) };
        let number = match (self.step.takes_number(), args.get(1)) {
            (false, _) => 0,
            (true, number) => match number.and_then(preimage::literal_number) {
                Some(number) => number,
                None => return Ok(PreimageResult::None),
            },
        };
        preimage::growing(date, day, info, |day| self.step.reaches(day, number, &self.calendar.0))
    }
}

fn shifted(day: i32, number: i64, name: &str) -> Result<i32> {
    inside(i64::from(day).checked_add(number).and_then(|day| i32::try_from(day).ok()), name)
}

fn inside(day: Option<i32>, name: &str) -> Result<i32> {
    match day {
        Some(day) => Ok(day),
        None => exec_err!("{name}: the day lies outside the calendar"),
    }
}

/// The missing year as DataFusion carries it: told with the file that is to be written.
pub fn no_data(error: NoData) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
