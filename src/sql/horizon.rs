//! How far a window of due dates reaches in the tables: told to the scan, it leaves out whole row groups.
//!
//! An item says `due_on between $since and $until`, where `due_on` is computed from a column of a large table and
//! from numbers of the law: `add_months(licences.issued_on, terms.value, 'clamp')`. The law is a table of a few
//! rows in memory, so that every number it can give is known while the query is planned. For each of them the
//! function itself says which dates lead into the window (its preimage), and the large table is asked for those
//! dates alone, beside the exact condition, which stays: what is derived is never narrower than it. A landed
//! table is sorted by this column, and then is read as far as the window reaches and no further.
//!
//! A condition is carried back through functions with a preimage, days added and taken away, `case`, `coalesce`,
//! `least` and `greatest`, of which every branch counts. Where one branch cannot be carried back, nothing is derived.
//!
//! This file must not know what a function computes, nor any name of a table.

mod values;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, ScalarFunction};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, disjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, Filter, Join, JoinType, LogicalPlan, Operator, TryCast, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// More ranges of one column than this are drawn together, the nearest first.
const RANGES_MAX: usize = 32;

/// The rule; it stands before the one that pushes filters down, which carries what is derived to the scan.
#[derive(Debug)]
pub struct Horizon;

impl OptimizerRule for Horizon {
    fn name(&self) -> &'static str {
        "horizon"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(filter) => in_filter(filter),
            LogicalPlan::Join(join) => in_join(join),
            plan => Ok(Transformed::no(plan)),
        }
    }
}

fn in_filter(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(filter.input.schema());
    let predicate = filter.predicate.clone().transform_up(|expr| Ok(of_number(expr, &schema)))?;
    if predicate.transformed {
        return Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate.data, filter.input)?)));
    }
    let known = split_conjunction(&filter.predicate);
    let derived: Vec<Expr> = derive(&known, &filter.input)
        .into_iter()
        .flat_map(|derived| split_conjunction(&derived).into_iter().cloned().collect::<Vec<_>>())
        .filter(|derived| !known.contains(&derived))
        .collect();
    let Some(derived) = conjunction(derived) else { return Ok(Transformed::no(LogicalPlan::Filter(filter))) };
    let predicate = filter.predicate.and(derived);
    Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
}

/// The text of a whole number is empty where the number is: of the number it is known without looking at a row.
fn of_number(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let number = |text: &Expr| match text {
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Utf8 => {
            let is_number = expr.get_type(schema).is_ok_and(|kind| kind.is_integer());
            is_number.then(|| expr.as_ref().clone())
        }
        _ => None,
    };
    let found = match &expr {
        Expr::IsNull(text) => number(text).map(Expr::is_null),
        Expr::IsNotNull(text) => number(text).map(Expr::is_not_null),
        _ => None,
    };
    found.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

/// Of a join that gives a row only where both sides have one: what its condition asks of one side may be asked of
/// that side first.
fn in_join(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let (Some(condition), JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi) = (&join.filter, join.join_type)
    else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    // Both sides at once, for finding the values of a column of either.
    let found = derive(&split_conjunction(condition), &LogicalPlan::Join(join.clone()));
    let mut is_changed = false;
    for derived in found {
        for side in [&mut join.left, &mut join.right] {
            let is_of_side = derived.column_refs().iter().all(|column| side.schema().has_column(column));
            if is_of_side && !is_filtered(side, &derived) {
                *side = Arc::new(LogicalPlan::Filter(Filter::try_new(derived.clone(), Arc::clone(side))?));
                is_changed = true;
                break;
            }
        }
    }
    let plan = LogicalPlan::Join(join);
    Ok(if is_changed { Transformed::yes(plan) } else { Transformed::no(plan) })
}

/// Whether a plan begins with this filter already: the rule sees a plan several times.
fn is_filtered(plan: &LogicalPlan, derived: &Expr) -> bool {
    let asked = split_conjunction(derived);
    match plan {
        LogicalPlan::Filter(filter) => {
            let known = split_conjunction(&filter.predicate);
            asked.iter().all(|expr| known.contains(expr))
        }
        LogicalPlan::TableScan(scan) => asked.iter().all(|expr| scan.filters.contains(expr)),
        _ => false,
    }
}

/// Days from and to and with, of which either may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: Option<i32>,
    to: Option<i32>,
}

impl Range {
    fn holds(self, day: i64) -> bool {
        self.from.is_none_or(|from| i64::from(from) <= day) && self.to.is_none_or(|to| day <= i64::from(to))
    }

    fn is_open(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// What the comparisons of a condition ask of the columns that their dates are computed from.
fn derive(known: &[&Expr], input: &LogicalPlan) -> Vec<Expr> {
    let mut windows: Vec<(&Expr, Range)> = Vec::new();
    for (expr, range) in known.iter().filter_map(|expr| compared(expr)) {
        // Of a bare column there is nothing to derive.
        if matches!(expr, Expr::Column(_)) {
            continue;
        }
        match windows.iter_mut().find(|(known, _)| *known == expr) {
            Some((_, window)) => {
                window.from = window.from.max(range.from);
                window.to = [window.to, range.to].into_iter().flatten().min();
            }
            None => windows.push((expr, range)),
        }
    }
    windows.into_iter().filter_map(|(expr, window)| asked(&carried_back(expr, window, input)?)).collect()
}

/// A comparison of an expression with a day, as the days that it allows.
fn compared(expr: &Expr) -> Option<(&Expr, Range)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (day(left), day(right)) {
            (None, Some(day)) => Some((left, range(*op, day)?)),
            (Some(day), None) => Some((right, range(op.swap()?, day)?)),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            Some((expr, Range { from: Some(day(low)?), to: Some(day(high)?) }))
        }
        _ => None,
    }
}

fn range(op: Operator, day: i32) -> Option<Range> {
    let (from, to) = match op {
        Operator::Eq => (Some(day), Some(day)),
        Operator::GtEq => (Some(day), None),
        Operator::Gt => (Some(day.checked_add(1)?), None),
        Operator::LtEq => (None, Some(day)),
        Operator::Lt => (None, Some(day.checked_sub(1)?)),
        _ => return None,
    };
    Some(Range { from, to })
}

fn day(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Literal(ScalarValue::Date32(day), _) => *day,
        _ => None,
    }
}

/// The columns, and the days of each, of which one must hold where the expression is in the range; none where
/// that cannot be said. A null in the expression fails its comparison, as it does those of the columns.
fn carried_back(expr: &Expr, range: Range, input: &LogicalPlan) -> Option<Vec<(Column, Range)>> {
    let any_of = |branches: Vec<&Expr>| {
        let found = branches.into_iter().map(|branch| carried_back(branch, range, input));
        Some(found.collect::<Option<Vec<_>>>()?.concat())
    };
    match expr {
        Expr::Alias(alias) => carried_back(&alias.expr, range, input),
        Expr::Literal(value, _) if value.is_null() => Some(Vec::new()),
        Expr::Literal(ScalarValue::Date32(Some(day)), _) => (!range.holds((*day).into())).then(Vec::new),
        Expr::Column(column) => {
            if is_date(expr, input) && values::of(expr, input).is_none() {
                return Some(vec![(column.clone(), range)]);
            }
            let values = values::of(expr, input)?;
            (!values.into_iter().any(|day| range.holds(day))).then(Vec::new)
        }
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) if is_date(expr, input) => {
            carried_back(expr, range, input)
        }
        Expr::Case(case) => {
            let otherwise = case.else_expr.iter().map(AsRef::as_ref);
            any_of(case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(otherwise).collect())
        }
        Expr::ScalarFunction(call) if ["coalesce", "least", "greatest", "nvl"].contains(&call.func.name()) => {
            any_of(call.args.iter().collect())
        }
        Expr::ScalarFunction(call) => through_function(call, range, input),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) => {
            let days = values::of(right, input).filter(|_| is_date(left, input))?;
            let mut found = Vec::new();
            for days in days {
                let back = if *op == Operator::Plus { days.checked_neg()? } else { days };
                let moved = |day: i32| i32::try_from(i64::from(day).checked_add(back)?).ok();
                let moved = Range { from: range.from.and_then(moved), to: range.to.and_then(moved) };
                found.extend(carried_back(left, moved, input)?);
            }
            Some(found)
        }
        _ => None,
    }
}

fn is_date(expr: &Expr, input: &LogicalPlan) -> bool {
    expr.get_type(input.schema()).is_ok_and(|kind| kind == DataType::Date32)
}

/// By the preimage of the function, for every number that its second argument can have.
fn through_function(call: &ScalarFunction, range: Range, input: &LogicalPlan) -> Option<Vec<(Column, Range)>> {
    let (date, rest) = call.args.split_first()?;
    if !is_date(date, input) {
        return None;
    }
    let mut calls = vec![vec![date.clone()]];
    for arg in rest {
        let values: Vec<Expr> = match arg {
            Expr::Literal(..) => vec![arg.clone()],
            _ => values::of(arg, input)?.into_iter().map(lit).collect(),
        };
        let longer = calls.iter().flat_map(|call| {
            values.iter().map(|value| call.iter().cloned().chain(std::iter::once(value.clone())).collect())
        });
        calls = longer.collect();
        if calls.len() > values::VALUES_MAX {
            return None;
        }
    }
    let info = SimplifyContext::builder().with_schema(Arc::clone(input.schema())).build();
    let mut found = Vec::new();
    for args in calls {
        let reached = |day: i32| {
            let day = Expr::Literal(ScalarValue::Date32(Some(day)), None);
            match call.func.preimage(&args, &day, &info) {
                Ok(PreimageResult::Range { expr, interval }) => match (interval.lower(), interval.upper()) {
                    (ScalarValue::Date32(Some(lower)), ScalarValue::Date32(Some(upper))) => {
                        Some((expr, *lower, *upper))
                    }
                    _ => None,
                },
                _ => None,
            }
        };
        let first = range.from.and_then(reached);
        let last = range.to.and_then(reached);
        let inner = first.as_ref().or(last.as_ref()).map(|(expr, _, _)| expr.clone())?;
        // Both are of the same expression, or only one is used.
        let last = last.filter(|(expr, _, _)| *expr == inner);
        let back = Range {
            from: first.map(|(_, lower, _)| lower),
            // What is equal to the last day ends before this one.
            to: last.and_then(|(_, _, upper)| upper.checked_sub(1)),
        };
        found.extend(carried_back(&inner, back, input)?);
    }
    Some(found)
}

/// The ranges as one condition; none where it would ask nothing.
fn asked(found: &[(Column, Range)]) -> Option<Expr> {
    if found.iter().any(|(_, range)| range.is_open()) {
        return None;
    }
    let mut columns: Vec<&Column> = Vec::new();
    for (column, _) in found {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let conditions = columns.into_iter().flat_map(|column| {
        let ranges = found.iter().filter(|(of, _)| of == column).map(|(_, range)| *range).collect();
        drawn_together(ranges).into_iter().filter_map(|range| {
            let column = || Expr::Column(column.clone());
            let day = |day: i32| Expr::Literal(ScalarValue::Date32(Some(day)), None);
            let from = range.from.map(|from| column().gt_eq(day(from)));
            let to = range.to.map(|to| column().lt_eq(day(to)));
            conjunction(from.into_iter().chain(to))
        })
    });
    disjunction(conditions)
}

/// Ranges in order, those that touch made one.
fn drawn_together(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_by_key(|range| range.from);
    let mut apart: Vec<Range> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if touches(*last, range) => last.to = last.to.zip(range.to).map(|(a, b)| a.max(b)),
            _ => apart.push(range),
        }
    }
    while apart.len() > RANGES_MAX {
        let gaps = apart.windows(2).map(|pair| match pair {
            [left, right] => i64::from(right.from.unwrap_or(i32::MIN)) - i64::from(left.to.unwrap_or(i32::MAX)),
            _ => i64::MAX,
        });
        let Some((index, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else { break };
        let right = apart.remove(index + 1);
        if let Some(left) = apart.get_mut(index) {
            left.to = right.to;
        }
    }
    apart
}

fn touches(left: Range, right: Range) -> bool {
    match (left.to, right.from) {
        (Some(to), Some(from)) => i64::from(from) <= i64::from(to) + 1,
        _ => true,
    }
}
