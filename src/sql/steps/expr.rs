//! What is told of the value of an expression: an expression itself, over the columns of the same relation.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit, when};
use datafusion::sql::unparser::expr_to_sql;

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

/// The most signs of a condition that are told.
const CONDITION_CHARS_MAX: usize = 300;

/// That of the arm that is taken, with which it is, on what condition, and by which values: the conditions are the
/// select's own.
fn of_case(sides: &[&Followed], case: &Case, expr: &Expr) -> Result<Expr> {
    let deciding = deciding(sides, case);
    let arms = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    let (count, is_choice) = (arms.clone().count(), arms.clone().all(|arm| matches!(**arm, Expr::Literal(..))));
    let taken = |at: usize, condition: Option<&Expr>, arm: &Expr| -> Result<Expr> {
        let place = format!("{}/{count}", at + 1);
        let condition = condition.map_or_else(|| "else".to_owned(), |when| condition_of(case, when));
        if is_choice {
            return Ok(node(&format!("choice {place} {condition}"), expr.clone(), deciding.clone()));
        }
        let mut parts = vec![tell(sides, arm)?];
        parts.extend(deciding.iter().cloned());
        Ok(node(&format!("branch {place} {condition}"), arm.clone(), parts))
    };
    let mut told = case.clone();
    for (at, (when, then)) in told.when_then_expr.iter_mut().enumerate() {
        **then = taken(at, Some(when.as_ref()), then)?;
    }
    if let Some(other) = &mut told.else_expr {
        **other = taken(case.when_then_expr.len(), None, other)?;
    }
    Ok(Expr::Case(told))
}

/// What the conditions of a choice look at, each value with the name that the select has for it.
fn deciding(sides: &[&Followed], case: &Case) -> Vec<Expr> {
    let mut columns: Vec<&Column> = Vec::new();
    for column in case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when)).flat_map(|e| e.column_refs())
    {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns.sort();
    let named = |column: &Column| {
        let value = Expr::Column(column.clone());
        node(&format!("named {}", column.flat_name()), value, vec![of_column(sides, column)])
    };
    columns.into_iter().map(named).collect()
}

/// A condition as it is written in the select, without the dates of the night put in its words.
fn condition_of(case: &Case, when: &Expr) -> String {
    let written = |expr: &Expr| expr_to_sql(expr).map_or_else(|_| expr.to_string(), |sql| sql.to_string());
    let condition = match &case.expr {
        Some(of) => format!("{} = {}", written(of), written(when)),
        None => written(when),
    };
    // The whole stands in brackets, and names in quotation marks, that say nothing.
    let bare = condition.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let is_whole = |text: &str| {
        let mut depth = 0_i32;
        text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    };
    let condition = bare.filter(|bare| is_whole(bare)).unwrap_or(&condition).replace('"', "");
    // A date of the night is a cast of its text.
    let condition = condition.replace("CAST('", "'").replace("' AS DATE)", "'");
    match condition.char_indices().nth(CONDITION_CHARS_MAX) {
        Some((end, _)) => format!("{}…", condition.get(..end).unwrap_or_default()),
        None => condition,
    }
}

fn first_of(sides: &[&Followed], function: &ScalarFunction) -> Result<Expr> {
    let mut told = lit(datafusion::common::ScalarValue::Utf8(None));
    for arg in function.args.iter().rev() {
        told = when(arg.clone().is_not_null(), tell(sides, arg)?).otherwise(told)?;
    }
    Ok(told)
}
