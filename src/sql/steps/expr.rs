//! What is told of the value of an expression: an expression itself, over the columns of the same relation.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit, when};

use super::follow::{Followed, Origin};
use super::told::node;

/// Functions that give the first of their arguments that is not null.
const FIRST_OF: [&str; 2] = ["coalesce", "nvl"];

impl Followed {
    /// What is told of an expression over the columns of this relation.
    pub(super) fn tell(&self, expr: &Expr) -> Result<Expr> {
        tell(&[self], expr)
    }
}

/// What is told of an expression over the columns of these relations.
pub(super) fn tell(sides: &[&Followed], expr: &Expr) -> Result<Expr> {
    match expr {
        Expr::Alias(alias) => tell(sides, &alias.expr),
        Expr::Column(column) => Ok(of_column(sides, column)),
        Expr::Literal(..) => Ok(node("given", expr.clone(), vec![])),
        // The night's dates are casts of a text; of a column the value stays what it is.
        Expr::Cast(cast) if matches!(*cast.expr, Expr::Literal(..)) => Ok(node("given", expr.clone(), vec![])),
        Expr::Cast(cast) => tell(sides, &cast.expr),
        Expr::TryCast(cast) => tell(sides, &cast.expr),
        Expr::Case(case) => of_case(sides, case, expr),
        Expr::ScalarFunction(function) if FIRST_OF.contains(&function.name()) => first_of(sides, function),
        Expr::ScalarFunction(function) => call(sides, function.name(), expr, &function.args.iter().collect::<Vec<_>>()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                call(sides, &op.to_string(), expr, &[left, right])
            }
            _ => Ok(node("untold comparison", expr.clone(), vec![])),
        },
        Expr::Negative(inner) => call(sides, "negative", expr, &[inner]),
        _ => Ok(node("untold", expr.clone(), vec![])),
    }
}

fn call(sides: &[&Followed], name: &str, expr: &Expr, args: &[&Expr]) -> Result<Expr> {
    let parts = args.iter().map(|arg| tell(sides, arg)).collect::<Result<Vec<_>>>()?;
    Ok(node(&format!("call {name}"), expr.clone(), parts))
}

fn of_column(sides: &[&Followed], column: &Column) -> Expr {
    let value = Expr::Column(column.clone());
    match sides.iter().find_map(|side| side.origin(column)) {
        Some(Origin::Told { column, .. }) => Expr::Column(column.clone()),
        Some(Origin::Stands(of)) => node(of, value, vec![]),
        None => node("untold", value, vec![]),
    }
}

/// That of the arm that is taken: the conditions are the select's own.
fn of_case(sides: &[&Followed], case: &Case, expr: &Expr) -> Result<Expr> {
    let arms = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    if arms.clone().all(|arm| matches!(**arm, Expr::Literal(..))) {
        let mut deciding: Vec<&Column> = Vec::new();
        for column in
            case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when)).flat_map(|e| e.column_refs())
        {
            if !deciding.contains(&column) {
                deciding.push(column);
            }
        }
        deciding.sort();
        let parts = deciding.into_iter().map(|column| of_column(sides, column)).collect();
        return Ok(node("choice", expr.clone(), parts));
    }
    let mut told = case.clone();
    for (_, then) in &mut told.when_then_expr {
        **then = tell(sides, then)?;
    }
    if let Some(other) = &mut told.else_expr {
        **other = tell(sides, other)?;
    }
    Ok(Expr::Case(told))
}

fn first_of(sides: &[&Followed], function: &ScalarFunction) -> Result<Expr> {
    let mut told = lit(datafusion::common::ScalarValue::Utf8(None));
    for arg in function.args.iter().rev() {
        told = when(arg.clone().is_not_null(), tell(sides, arg)?).otherwise(told)?;
    }
    Ok(told)
}
