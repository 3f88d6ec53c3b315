//! Joins on the number behind a text.
//!
//! A register numbers its people; the standard tables hold such a number as text, because others do not. A staging
//! file then says `cast(person_id as varchar) as subject_id`, and a look-up of few subjects would write out the number
//! of every person only to throw it away. The text of a whole number is that number's alone, so that
//! `cast(number as varchar) = text` is `number = cast(text as bigint)` where writing the number out gives the text
//! again: `007` and `1e3` are nobody's. The number is joined on, and the text comes from the side that has it.
//!
//! This file must not know any name of a table.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
    cast, try_cast,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The rule; it stands before the one that leaves out columns that nobody needs.
#[derive(Debug)]
pub struct Keys;

/// The names under which the two numbers travel.
const NUMBERS: (&str, &str) = ("__number_held", "__number_read");

impl OptimizerRule for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
        Ok(by_number(join)?.map_or_else(|| Transformed::no(plan), Transformed::yes))
    }
}

/// The join by a number; none where neither side's key is the text of one.
fn by_number(join: &Join) -> Result<Option<LogicalPlan>> {
    if join.join_type != JoinType::Inner || join.null_equality == NullEquality::NullEqualsNull {
        return Ok(None);
    }
    for (place, (left, right)) in join.on.iter().enumerate() {
        let (Expr::Column(left), Expr::Column(right)) = (left, right) else { continue };
        let sides = [(&join.left, left, &join.right, right, true), (&join.right, right, &join.left, left, false)];
        for (held, number_of, read, text, is_left) in sides {
            let Some((held, number)) = with_number(held, number_of)? else { continue };
            // Where both are texts of numbers, one by one is enough: the other is found when this is done.
            let Some(read) = with_text(read, text)? else { continue };
            let (left, right) = if is_left { (held, read) } else { (read, held) };
            let mut on = join.on.clone();
            let read_number = Expr::Column(Column::new_unqualified(NUMBERS.1));
            let pair = (Expr::Column(number), read_number);
            if let Some(known) = on.get_mut(place) {
                *known = if is_left { pair } else { (pair.1, pair.0) };
            }
            let joined = Join::try_new(
                Arc::new(left),
                Arc::new(right),
                on,
                join.filter.clone(),
                JoinType::Inner,
                join.join_constraint,
                join.null_equality,
                join.null_aware,
            )?;
            // What is equal is taken from where it stands as text already.
            let columns = join.schema.iter().map(|(table, field)| {
                let column = Column::new(table.cloned(), field.name());
                if column == *number_of {
                    Expr::Column(text.clone()).alias_qualified(table.cloned(), field.name())
                } else {
                    Expr::Column(column)
                }
            });
            let columns: Vec<Expr> = columns.collect();
            return LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build().map(Some);
        }
    }
    Ok(None)
}

/// The plan with one more column: the number of which this column is the text.
fn with_number(plan: &LogicalPlan, text: &Column) -> Result<Option<(LogicalPlan, Column)>> {
    let Some(index) = plan.schema().maybe_index_of_column(text) else { return Ok(None) };
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(expr) = projection.expr.get(index) else { return Ok(None) };
            let (input, number) = match bare(expr) {
                Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Utf8 => {
                    // Of other widths the text would be read as another number, or not at all.
                    match expr.get_type(projection.input.schema())? {
                        DataType::Int64 => (projection.input.as_ref().clone(), expr.as_ref().clone()),
                        _ => return Ok(None),
                    }
                }
                Expr::Column(column) => match with_number(&projection.input, column)? {
                    Some((input, number)) => (input, Expr::Column(number)),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            };
            let mut columns = projection.expr.clone();
            columns.push(number.alias(NUMBERS.0));
            let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?);
            Ok(Some((plan, Column::new_unqualified(NUMBERS.0))))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let column = Column::from(alias.input.schema().qualified_field(index));
            let Some((input, number)) = with_number(&alias.input, &column)? else { return Ok(None) };
            let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some((LogicalPlan::SubqueryAlias(plan), Column::new(Some(alias.alias.clone()), number.name))))
        }
        LogicalPlan::Filter(filter) => {
            let Some((input, number)) = with_number(&filter.input, text)? else { return Ok(None) };
            Ok(Some((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?), number)))
        }
        _ => Ok(None),
    }
}

/// The rows whose text is that of a number, with the number.
fn with_text(plan: &LogicalPlan, text: &Column) -> Result<Option<LogicalPlan>> {
    let column = Expr::Column(text.clone());
    if column.get_type(plan.schema())? != DataType::Utf8 || plan.schema().has_column_with_unqualified_name(NUMBERS.1) {
        return Ok(None);
    }
    let number = try_cast(column.clone(), DataType::Int64);
    let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(number.clone().alias(NUMBERS.1));
    let is_its_text = cast(number, DataType::Utf8).eq(column);
    LogicalPlanBuilder::from(plan.clone()).filter(is_its_text)?.project(columns)?.build().map(Some)
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        expr => expr,
    }
}
