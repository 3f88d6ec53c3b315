//! Months that are added without a word about month ends.

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::{ADD_MONTHS, argument, bare, kind};

/// Functions that step by an interval.
const SERIES: [&str; 2] = ["generate_series", "range"];

/// The words for what becomes of the 31st.
pub(super) const WORDS: [&str; 3] = ["clamp", "roll", "error"];

/// Whether a call of `add_months` does not say in the select, by one of its words, how it rounds.
pub(super) fn has_no_rounding(function: &ScalarFunction) -> bool {
    if function.name() != ADD_MONTHS {
        return false;
    }
    let word = argument(function, 2).and_then(|word| match bare(word) {
        Expr::Literal(word, _) => word.try_as_str().flatten(),
        _ => None,
    });
    !word.is_some_and(|word| WORDS.contains(&word))
}

/// Whether an expression moves a date by an interval that holds months.
pub(super) fn steps_by_months(expr: &Expr, node: &LogicalPlan) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            // Of two intervals the sum is an interval, and is looked at where it meets a date.
            match (has_months(left, node), has_months(right, node)) {
                (true, false) => !is_interval(right, node),
                (false, true) => !is_interval(left, node),
                _ => false,
            }
        }
        Expr::ScalarFunction(function) if SERIES.contains(&function.name()) => {
            function.args.iter().any(|arg| has_months(arg, node))
        }
        _ => false,
    }
}

/// Whether an expression is an interval that holds months, or may hold some.
fn has_months(expr: &Expr, node: &LogicalPlan) -> bool {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => interval.months != 0,
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => *months != 0,
        Expr::Alias(alias) => has_months(&alias.expr, node),
        Expr::Negative(inner) => has_months(inner, node),
        // An interval of days, however often it is taken, has no months.
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) if is_interval(left, node) || is_interval(right, node) => {
            let date = [left, right].into_iter().any(|part| !is_interval(part, node) && is_date(part, node));
            !date && (has_months(left, node) || has_months(right, node))
        }
        other => {
            matches!(kind(other, node), Some(DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::MonthDayNano)))
        }
    }
}

fn is_interval(expr: &Expr, node: &LogicalPlan) -> bool {
    matches!(kind(expr, node), Some(DataType::Interval(_)))
}

fn is_date(expr: &Expr, node: &LogicalPlan) -> bool {
    matches!(kind(expr, node), Some(DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)))
}
