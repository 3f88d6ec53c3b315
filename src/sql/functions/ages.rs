//! A comparison of an age with a number becomes one of the birth date with a day.
//!
//! On a given day the age falls as the birth date rises, which the planner's preimage of a
//! function does not allow for. "At least 60 on 22 November 2026" is "born on 22 November 1966
//! or earlier", and a table sorted by birth date then is read as far as that.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

use crate::calendar::{Rounding, civil};

/// Rewrites `age_on(birth_date, day) >= years`, and the other comparisons, where day and years stand in the select.
#[derive(Debug)]
pub struct Ages;

impl FunctionRewrite for Ages {
    fn name(&self) -> &'static str {
        "ages"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let rewritten = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op.swap() {
                Some(swapped) => compared(left, *op, right).or_else(|| compared(right, swapped, left)),
                None => None,
            },
            Expr::Between(Between { expr: age, negated: false, low, high }) => {
                let (low, high) = (compared(age, Operator::GtEq, low), compared(age, Operator::LtEq, high));
                low.zip(high).map(|(low, high)| low.and(high))
            }
            _ => None,
        };
        Ok(rewritten.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

fn compared(age: &Expr, op: Operator, years: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = age else { return None };
    let [birth, on] = args.as_slice() else { return None };
    if func.name() != "age_on" || matches!(birth, Expr::Literal(..) | Expr::Cast(_)) {
        return None;
    }
    let on = literal(on, &DataType::Date32)?;
    let years = literal(years, &DataType::Int64)?;
    let (ScalarValue::Date32(Some(on)), ScalarValue::Int64(Some(years))) = (on, years) else { return None };
    let day = |years: i64| Some(lit(ScalarValue::Date32(Some(last_birth(on, years)?))));
    let birth = || birth.clone();
    match op {
        Operator::GtEq => Some(birth().lt_eq(day(years)?)),
        Operator::Gt => Some(birth().lt_eq(day(years.checked_add(1)?)?)),
        Operator::Lt => Some(birth().gt(day(years)?)),
        Operator::LtEq => Some(birth().gt(day(years.checked_add(1)?)?)),
        Operator::Eq => Some(birth().lt_eq(day(years)?).and(birth().gt(day(years.checked_add(1)?)?))),
        Operator::NotEq => Some(birth().gt(day(years)?).or(birth().lt_eq(day(years.checked_add(1)?)?))),
        _ => None,
    }
}

/// The last day on which one can be born and be of an age on a day.
fn last_birth(on: i32, years: i64) -> Option<i32> {
    const NEAR_DAYS: i32 = 4;
    let near = civil::add_months(on, years.checked_mul(-12)?, Rounding::Clamp)?;
    let (from, to) = (near.checked_sub(NEAR_DAYS)?, near.checked_add(NEAR_DAYS)?);
    let is_of_age = |birth: &i32| civil::age_on(*birth, on) >= years;
    // Both ends are looked at: the last birth is between them, or this is no answer.
    if !is_of_age(&from) || is_of_age(&to) {
        return None;
    }
    (from..=to).rev().find(is_of_age)
}

/// A value that stands in the select, as of a type; words such as `date '2026-07-01'` are casts of a text.
fn literal(expr: &Expr, kind: &DataType) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) if value.data_type() == *kind => Some(value.clone()),
        Expr::Literal(value, _) if value.data_type().is_integer() && kind.is_integer() => value.cast_to(kind).ok(),
        Expr::Cast(cast) if cast.field.data_type() == kind => match cast.expr.as_ref() {
            Expr::Literal(value @ ScalarValue::Utf8(_), _) => value.cast_to(kind).ok(),
            _ => None,
        },
        _ => None,
    }
}
