//! Date arithmetic that runs and is wrong in law: found in the plan of a select, before it reads a row.
//!
//! - Adding months or years as an interval says nothing about month ends: "one month from 31
//!   January" then is whatever the engine does. `add_months` names its rounding.
//! - A deadline *before* a day (*trước ngày*) does not move to the next working day: it would
//!   move to or past the day before which something has to be done.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr as SqlExpr, ObjectName, Query, Spanned, visit_expressions,
};

use super::Model;
use crate::fault::{Fault, Place};

/// What a select must not do with dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// Months are added without saying what happens at a month's end.
    MonthRounding,
    /// A deadline before a day is rolled to a working day.
    RollsBefore,
}

impl Misuse {
    /// As it is said to a person.
    pub fn fault(self, model: &Model) -> Fault {
        let (code, what, next) = match self {
            Misuse::MonthRounding => (
                "sql.month-rounding",
                "the select adds months or years as an interval, which does not say what becomes of the 31st",
                "write add_months(date, months, 'clamp') (the last day of the month: Civil Code 2015, Art. 148(3)), \
                 or 'roll', or 'error'",
            ),
            Misuse::RollsBefore => (
                "sql.rolls-before",
                "the select moves a deadline before a day to the next working day, where it no longer is before it",
                "leave next_working_day out; a deadline that ends on a working day before it is \
                 previous_working_day(before_day(...))",
            ),
        };
        let place =
            self.line(&model.query).map_or_else(|| Place::file(&model.path), |line| Place::line(&model.path, line));
        Fault::new(code, place, what, next)
    }

    /// The line of the select where it is written, where that is known.
    fn line(self, query: &Query) -> Option<usize> {
        let found = visit_expressions(query, |expr| {
            let is_it = match (self, expr) {
                (Misuse::MonthRounding, SqlExpr::Interval(_)) => true,
                (Misuse::MonthRounding, SqlExpr::Cast { data_type, .. }) => {
                    matches!(data_type, SqlType::Interval { .. })
                }
                (Misuse::RollsBefore, SqlExpr::Function(function)) => is_named(&function.name, NEXT_WORKING_DAY),
                _ => false,
            };
            let line = usize::try_from(expr.span().start.line).unwrap_or(0);
            if is_it && line > 0 { ControlFlow::Break(line) } else { ControlFlow::Continue(()) }
        });
        match found {
            ControlFlow::Break(line) => Some(line),
            ControlFlow::Continue(()) => None,
        }
    }
}

const NEXT_WORKING_DAY: &str = "next_working_day";
const BEFORE_DAY: &str = "before_day";
/// Functions that give one of their arguments as it is.
const CHOICES: [&str; 6] = ["coalesce", "nvl", "nullif", "greatest", "least", "on_day"];
/// Functions that step by an interval.
const SERIES: [&str; 2] = ["generate_series", "range"];

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case(wanted))
}

/// Every misuse in a plan, each once.
pub fn find(plan: &LogicalPlan) -> Result<Vec<Misuse>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if !found.contains(&Misuse::MonthRounding) && steps_by_months(expr, node) {
                    found.push(Misuse::MonthRounding);
                }
                if !found.contains(&Misuse::RollsBefore) && rolls_before(expr, node) {
                    found.push(Misuse::RollsBefore);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// Whether an expression moves a date by an interval that holds months.
fn steps_by_months(expr: &Expr, node: &LogicalPlan) -> bool {
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

/// The type of an expression over the inputs of its node.
fn kind(expr: &Expr, node: &LogicalPlan) -> Option<DataType> {
    node.inputs()
        .into_iter()
        .map(|input| input.schema())
        .chain([node.schema()])
        .find_map(|schema| expr.get_type(schema.as_ref()).ok())
}

/// Whether an expression rolls what is `before_day` of something.
fn rolls_before(expr: &Expr, node: &LogicalPlan) -> bool {
    let Expr::ScalarFunction(function) = expr else { return false };
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
