//! What runs and is wrong in law, or another night would compute otherwise: found in the plan of a select, before it
//! reads a row.
//!
//! - Adding months or years as an interval says nothing about month ends: "one month from 31
//!   January" then is whatever the engine does. `add_months` names its rounding, by one of three words.
//! - A deadline *before* a day (*trước ngày*) does not move to the next working day: it would
//!   move to or past the day before which something has to be done.
//! - `make_date` of a day that not every year has fails on the night of a year that has none.
//! - What asks the clock, or chance, gives another answer when a night is replayed.
//! - A number of the law is of a unit: months are not given to a function that counts days.

mod before;
mod months;
mod places;
mod units;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr as SqlExpr, ObjectName, Query, Spanned, visit_expressions,
};

use super::Model;
use crate::fault::{Fault, Place};

/// The unit of each rule, by its name.
pub type Units = BTreeMap<String, String>;

/// What a select must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misuse {
    /// Months are added without saying what happens at a month's end.
    MonthRounding,
    /// What happens at a month's end is said by a word that there is not.
    RoundingWord,
    /// A deadline before a day is rolled to a working day.
    RollsBefore,
    /// A date is made of a day that not every year, or not every month, has.
    NoSuchDay,
    /// The clock is asked, or chance: by this function.
    Volatile(String),
    /// A number of the law is used as something that it is not.
    Unit {
        /// The function, or `date + number`.
        function: String,
        /// The rule.
        rule: String,
        /// What it counts.
        unit: String,
        /// What the function counts.
        wanted: &'static str,
    },
}

impl Misuse {
    /// As it is said to a person.
    pub fn fault(self, model: &Model) -> Fault {
        let (code, what, next): (_, String, String) = match &self {
            Misuse::MonthRounding => (
                "sql.month-rounding",
                "the select adds months or years as an interval, which does not say what becomes of the 31st".into(),
                "write add_months(date, months, 'clamp') (the last day of the month: Civil Code 2015, Art. 148(3)), \
                 or 'roll', or 'error'"
                    .into(),
            ),
            Misuse::RoundingWord => (
                "sql.rounding-word",
                "the rounding of add_months is none of the three words, or not written in the select".into(),
                "write 'clamp' (the last day of the month: Civil Code 2015, Art. 148(3)), 'roll' or 'error'".into(),
            ),
            Misuse::RollsBefore => (
                "sql.rolls-before",
                "the select moves a deadline before a day to the next working day, where it no longer is before it"
                    .into(),
                "leave next_working_day out; a deadline that ends on a working day before it is \
                 previous_working_day(before_day(...))"
                    .into(),
            ),
            Misuse::NoSuchDay => (
                "sql.no-such-day",
                "make_date may be given a day that its month does not have, in every year or in common years".into(),
                "move a date by add_months(date, months, 'clamp'), take last_day_of_month(date), or give make_date a \
                 day up to the 28th, or that of a rule"
                    .into(),
            ),
            Misuse::Volatile(function) => (
                "sql.volatile",
                format!("{function}() is asked: a night that is replayed would get another answer"),
                "use $as_of, the date of the night; nothing of a select may depend on the clock or on chance".into(),
            ),
            Misuse::Unit { function, rule, unit, wanted } => (
                "sql.unit",
                format!("{function} counts {wanted}, and is given the rule {rule}, which counts {unit}"),
                format!(
                    "use the function of that unit: add_months for months and years (times 12), days_from_day_after \
                     for days, add_working_days for working days; or correct the unit in pipelines/law/{rule}.toml"
                ),
            ),
        };
        let place =
            self.line(&model.query).map_or_else(|| Place::file(&model.path), |line| Place::line(&model.path, line));
        Fault::new(code, place, what, next)
    }

    /// The line of the select where it is written, where that is known.
    fn line(&self, query: &Query) -> Option<usize> {
        let found = visit_expressions(query, |expr| {
            let line = usize::try_from(expr.span().start.line).unwrap_or(0);
            if self.is_written(expr) && line > 0 { ControlFlow::Break(line) } else { ControlFlow::Continue(()) }
        });
        match found {
            ControlFlow::Break(line) => Some(line),
            ControlFlow::Continue(()) => None,
        }
    }

    /// Whether an expression of the text may be the one that is meant.
    fn is_written(&self, expr: &SqlExpr) -> bool {
        match (self, expr) {
            (Misuse::MonthRounding, SqlExpr::Interval(_)) => true,
            (Misuse::MonthRounding, SqlExpr::Cast { data_type, .. }) => matches!(data_type, SqlType::Interval { .. }),
            (Misuse::RollsBefore, SqlExpr::Function(function)) => is_named(&function.name, NEXT_WORKING_DAY),
            (Misuse::RoundingWord, SqlExpr::Function(function)) => {
                let is_sound = months::WORDS.iter().any(|word| expr.to_string().ends_with(&format!("'{word}')")));
                is_named(&function.name, ADD_MONTHS) && !is_sound
            }
            (Misuse::NoSuchDay, SqlExpr::Function(function)) => is_named(&function.name, MAKE_DATE),
            (Misuse::Volatile(name), SqlExpr::Function(function)) => is_named(&function.name, name),
            (Misuse::Unit { function: name, .. }, SqlExpr::Function(function)) => is_named(&function.name, name),
            (Misuse::Unit { function, .. }, SqlExpr::BinaryOp { op, .. }) => {
                let is_step = matches!(op, BinaryOperator::Plus | BinaryOperator::Minus);
                function == units::STEP && is_step && expr.to_string().contains("value")
            }
            _ => false,
        }
    }
}

const NEXT_WORKING_DAY: &str = "next_working_day";
const BEFORE_DAY: &str = "before_day";
const ADD_MONTHS: &str = "add_months";
const MAKE_DATE: &str = "make_date";
/// Functions that give one of their arguments as it is.
const CHOICES: [&str; 6] = ["coalesce", "nvl", "nullif", "greatest", "least", "on_day"];

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.value.eq_ignore_ascii_case(wanted))
}

/// Every misuse in a plan, each once; `rules` are the units of the rules.
pub fn find(plan: &LogicalPlan, rules: &Units) -> Result<Vec<Misuse>> {
    let mut found: Vec<Misuse> = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let units = units::misused(expr, node, rules);
                for misuse in of_expression(expr, node).into_iter().chain(units) {
                    if !found.contains(&misuse) {
                        found.push(misuse);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn of_expression(expr: &Expr, node: &LogicalPlan) -> Option<Misuse> {
    if months::steps_by_months(expr, node) {
        return Some(Misuse::MonthRounding);
    }
    let Expr::ScalarFunction(function) = expr else { return None };
    if before::rolls_before(function, node) {
        return Some(Misuse::RollsBefore);
    }
    if months::has_no_rounding(function) {
        return Some(Misuse::RoundingWord);
    }
    if places::may_not_be(function, node) {
        return Some(Misuse::NoSuchDay);
    }
    let is_volatile = function.func.signature().volatility != Volatility::Immutable;
    is_volatile.then(|| Misuse::Volatile(function.name().to_owned()))
}

/// The type of an expression over the inputs of its node.
fn kind(expr: &Expr, node: &LogicalPlan) -> Option<DataType> {
    node.inputs()
        .into_iter()
        .map(|input| input.schema())
        .chain([node.schema()])
        .find_map(|schema| expr.get_type(schema.as_ref()).ok())
}

/// What a function is called with, at a place.
fn argument(function: &ScalarFunction, at: usize) -> Option<&Expr> {
    function.args.get(at)
}

/// An expression without the casts and names around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        Expr::Cast(cast) => bare(&cast.expr),
        Expr::TryCast(cast) => bare(&cast.expr),
        other => other,
    }
}

/// A whole number that is written in the select.
fn written_number(expr: &Expr) -> Option<i64> {
    match bare(expr) {
        Expr::Literal(value, _) => value.cast_to(&DataType::Int64).ok().and_then(|value| match value {
            datafusion::common::ScalarValue::Int64(number) => number,
            _ => None,
        }),
        Expr::Negative(inner) => written_number(inner).and_then(i64::checked_neg),
        _ => None,
    }
}
