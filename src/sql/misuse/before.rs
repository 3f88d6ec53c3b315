//! A deadline before a day that is moved to the next working day.

use datafusion::common::Column;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::{BEFORE_DAY, CHOICES, NEXT_WORKING_DAY};

/// Whether an expression rolls what is `before_day` of something.
pub(super) fn rolls_before(function: &ScalarFunction, node: &LogicalPlan) -> bool {
    function.name() == NEXT_WORKING_DAY && function.args.iter().any(|arg| is_before_day(arg, &node.inputs()))
}

/// Whether the value of an expression is that of `before_day`, here or in a select below.
fn is_before_day(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    let is_it = |expr: &Expr| is_before_day(expr, inputs);
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, .. }) if func.name() == BEFORE_DAY => true,
        Expr::ScalarFunction(ScalarFunction { func, args }) if CHOICES.contains(&func.name()) => args.iter().any(is_it),
        Expr::Alias(alias) => is_before_day(&alias.expr, inputs),
        Expr::Cast(cast) => is_before_day(&cast.expr, inputs),
        Expr::TryCast(cast) => is_before_day(&cast.expr, inputs),
        Expr::Case(case) => {
            case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref()).any(is_it)
        }
        Expr::Column(column) => inputs.iter().any(|input| gives_before_day(input, column)),
        _ => false,
    }
}

/// Whether a column of a plan is `before_day` of something.
fn gives_before_day(plan: &LogicalPlan, column: &Column) -> bool {
    let Ok(index) = plan.schema().index_of_column(column) else { return false };
    match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(index).is_some_and(|expr| is_before_day(expr, &[projection.input.as_ref()]))
        }
        // These give their inputs' columns in the inputs' order, under names of their own.
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) => plan.inputs().iter().any(|input| {
            let same = input.schema().iter().nth(index);
            same.is_some_and(|(relation, field)| gives_before_day(input, &Column::new(relation.cloned(), field.name())))
        }),
        _ => plan.inputs().iter().any(|input| gives_before_day(input, column)),
    }
}
