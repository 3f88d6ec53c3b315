//! What a comparison with a function's result says of its argument: told to the planner, it prunes files.
//!
//! Each function here grows with its date (it never falls while the date rises), so that
//! "the result is `day` or later" is "the date is at least some first date". Whoever knows
//! that first date for every day knows the answer to every comparison.

use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;

/// The preimage of a day under a function that grows with `date`; `reaches` gives the first date whose result
/// is a day or later, and none where that is not known.
///
/// Where `date` is such a function of another expression, the preimage is that of both: the planner takes one
/// function at a time, and cuts what is left out of the comparison before it comes to the next.
pub fn growing(
    date: &Expr,
    day: &Expr,
    info: &SimplifyContext,
    reaches: impl Fn(i32) -> Option<i32>,
) -> Result<PreimageResult> {
    let Some(day) = literal_day(day) else { return Ok(PreimageResult::None) };
    // Of a call without a column nothing is gained, and its error would be lost.
    if matches!(date, Expr::Literal(..)) {
        return Ok(PreimageResult::None);
    }
    let after = day.checked_add(1).and_then(&reaches);
    let Some((lower, upper)) = reaches(day).zip(after) else { return Ok(PreimageResult::None) };
    if let (Some((inner, lower)), Some((_, upper))) = (reached(date, lower, info)?, reached(date, upper, info)?) {
        return range(inner, lower, upper);
    }
    range(date.clone(), lower, upper)
}

fn range(expr: Expr, lower: i32, upper: i32) -> Result<PreimageResult> {
    let interval = Interval::try_new(ScalarValue::Date32(Some(lower)), ScalarValue::Date32(Some(upper)))?;
    Ok(PreimageResult::Range { expr, interval: Box::new(interval) })
}

/// The expression in a function that grows with it, and its first value whose result is a day or later.
fn reached(call: &Expr, day: i32, info: &SimplifyContext) -> Result<Option<(Expr, i32)>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = call else { return Ok(None) };
    let day = Expr::Literal(ScalarValue::Date32(Some(day)), None);
    let PreimageResult::Range { expr, interval } = func.preimage(args, &day, info)? else { return Ok(None) };
    match interval.lower() {
        ScalarValue::Date32(Some(lower)) => Ok(Some((expr, *lower))),
        _ => Ok(None),
    }
}

fn literal_day(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Literal(ScalarValue::Date32(day), _) => *day,
        _ => None,
    }
}

/// A number that stands in the select.
pub fn literal_number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        _ => None,
    }
}
