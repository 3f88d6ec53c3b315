//! Dates that are made of a year, a month and a day, and may not be.

use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr::ScalarFunction;

use super::units::rules_of;
use super::{MAKE_DATE, argument, written_number};

/// The days of each month of a common year.
const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The last day that every month of every year has.
const EVERYWHERE: i64 = 28;

/// Whether a call of `make_date` may be given a day that is none. A day of the law is held against its month where the
/// rule is read; one that is taken from a date may be the 29th of February.
pub(super) fn may_not_be(function: &ScalarFunction, node: &LogicalPlan) -> bool {
    if function.name() != MAKE_DATE {
        return false;
    }
    let (Some(month), Some(day)) = (argument(function, 1), argument(function, 2)) else { return false };
    let month_number = written_number(month);
    if month_number.is_some_and(|month| !(1..=12).contains(&month)) {
        return true;
    }
    let longest = match month_number.and_then(|month| usize::try_from(month - 1).ok()) {
        Some(month) => DAYS.get(month).copied().unwrap_or(EVERYWHERE),
        None => EVERYWHERE,
    };
    match written_number(day) {
        Some(day) => !(1..=longest).contains(&day),
        None => rules_of(day, &node.inputs()).is_empty(),
    }
}
