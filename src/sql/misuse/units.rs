//! Numbers of the law, and what the functions that take them count.
//!
//! A number is followed from the call to the table of its rule, through selects, joins, unions, groups and choices.
//! One of which that cannot be told is not judged.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::{ADD_MONTHS, CHOICES, MAKE_DATE, Misuse, Units, argument, kind, written_number};
use crate::sql::library::LAW;

/// A date plus or minus a number, as it is named to a person.
pub(super) const STEP: &str = "date + number";

/// The units of something that is neither a time nor a place in the calendar by itself.
const SILENT: [&str; 1] = ["count"];

/// Which argument of a function is which number, in words and in units: a place in the calendar may be a distance from
/// the end of the period before it ("the 20th of the next month").
const COUNTED: [(&str, usize, &str, &[&str]); 7] = [
    (ADD_MONTHS, 1, "months", &["months"]),
    ("days_from_day", 1, "days", &["days", "day_of_month"]),
    ("days_from_day_after", 1, "days", &["days", "day_of_month"]),
    ("add_working_days", 1, "working days", &["working_days"]),
    (MAKE_DATE, 0, "years", &["year"]),
    (MAKE_DATE, 1, "months of a year", &["month"]),
    (MAKE_DATE, 2, "days of a month", &["day_of_month"]),
];

/// Where an expression gives a number of the law to what counts something else.
pub(super) fn misused(expr: &Expr, node: &LogicalPlan, units: &Units) -> Vec<Misuse> {
    match expr {
        Expr::ScalarFunction(function) => {
            let counted = COUNTED.iter().filter(|(name, ..)| *name == function.name());
            let judged = counted.filter_map(|(_, at, words, fit)| Some((argument(function, *at)?, *words, *fit)));
            judged.flat_map(|(given, words, fit)| of(given, node, units, (function.name(), words, fit))).collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            let is_date = |side: &Expr| matches!(kind(side, node), Some(DataType::Date32));
            let given = match (is_date(left), is_date(right)) {
                (true, false) => right,
                (false, true) => left,
                _ => return Vec::new(),
            };
            of(given, node, units, (STEP, "days", &["days", "day_of_month"]))
        }
        _ => Vec::new(),
    }
}

fn of(
    given: &Expr,
    node: &LogicalPlan,
    units: &Units,
    (function, words, fit): (&str, &'static str, &[&str]),
) -> Vec<Misuse> {
    let mut found = Vec::new();
    for (rule, times) in rules_of(given, &node.inputs()) {
        let Some(unit) = units.get(&rule) else { continue };
        let counts = match (unit.as_str(), times) {
            ("years", 12) => "months",
            ("weeks", 7) => "days",
            (unit, _) => unit,
        };
        if !fit.contains(&counts) && !SILENT.contains(&counts) {
            let (function, unit) = (function.to_owned(), unit.clone());
            found.push(Misuse::Unit { function, rule, unit, wanted: words });
        }
    }
    found
}

/// The rules whose number an expression gives, each with how often it is taken; none where it gives none, or where that
/// cannot be told.
pub(super) fn rules_of(expr: &Expr, inputs: &[&LogicalPlan]) -> Vec<(String, i64)> {
    let both = |left: &Expr, right: &Expr| {
        let mut found = rules_of(left, inputs);
        found.extend(rules_of(right, inputs));
        found
    };
    match expr {
        Expr::Alias(alias) => rules_of(&alias.expr, inputs),
        Expr::Cast(cast) => rules_of(&cast.expr, inputs),
        Expr::TryCast(cast) => rules_of(&cast.expr, inputs),
        Expr::Negative(inner) => rules_of(inner, inputs),
        Expr::Column(column) => inputs.iter().find_map(|input| of_column(input, column)).unwrap_or_default(),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Multiply, right }) => {
            let (of, times) = match (written_number(left), written_number(right)) {
                (None, Some(times)) => (rules_of(left, inputs), times),
                (Some(times), None) => (rules_of(right, inputs), times),
                _ => return Vec::new(),
            };
            of.into_iter().map(|(rule, by)| (rule, by.saturating_mul(times))).collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => both(left, right),
        Expr::ScalarFunction(ScalarFunction { func, args }) if CHOICES.contains(&func.name()) => {
            args.iter().flat_map(|arg| rules_of(arg, inputs)).collect()
        }
        Expr::Case(case) => {
            let arms = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            arms.flat_map(|arm| rules_of(arm, inputs)).collect()
        }
        _ => Vec::new(),
    }
}

/// The rules whose number a column of a plan gives; none where the plan has no such column.
fn of_column(plan: &LogicalPlan, column: &Column) -> Option<Vec<(String, i64)>> {
    let at = plan.schema().index_of_column(column).ok()?;
    Some(match plan {
        LogicalPlan::TableScan(scan) => {
            let is_law = scan.table_name.schema().is_some_and(|schema| LAW.contains(&schema));
            let is_number = is_law && plan.schema().field(at).name() == "value";
            is_number.then(|| (scan.table_name.table().to_owned(), 1)).into_iter().collect()
        }
        LogicalPlan::Projection(node) => {
            node.expr.get(at).map(|expr| rules_of(expr, &[node.input.as_ref()])).unwrap_or_default()
        }
        // These give their inputs' columns in the inputs' order, under names of their own.
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) => plan
            .inputs()
            .iter()
            .filter_map(|input| {
                let (relation, field) = input.schema().iter().nth(at)?;
                of_column(input, &Column::new(relation.cloned(), field.name()))
            })
            .flatten()
            .collect(),
        LogicalPlan::Aggregate(node) => {
            let given = match at.checked_sub(node.group_expr.len()) {
                None => node.group_expr.get(at),
                Some(at) => node.aggr_expr.get(at).and_then(extreme),
            };
            given.map(|expr| rules_of(expr, &[node.input.as_ref()])).unwrap_or_default()
        }
        _ => plan.inputs().iter().find_map(|input| of_column(input, column)).unwrap_or_default(),
    })
}

/// What the least or the greatest is taken of.
fn extreme(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Alias(alias) => extreme(&alias.expr),
        Expr::AggregateFunction(AggregateFunction { func, params }) if ["min", "max"].contains(&func.name()) => {
            params.args.first()
        }
        _ => None,
    }
}
