//! Every whole number, or day, that an expression can have: of literals and of columns of small tables in memory.

use std::collections::BTreeSet;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::{BinaryExpr, Cast, Distinct, Expr, LogicalPlan, Operator, TableScan};

/// An expression with more values than this is not followed.
pub const VALUES_MAX: usize = 64;

/// A table of more rows is not looked through: a rule has fewer.
const ROWS_MAX: usize = 4096;

/// The values that an expression over the rows of a plan can have, beside null; days are days since 1970.
/// None where they are not known.
pub fn of(expr: &Expr, input: &LogicalPlan) -> Option<BTreeSet<i64>> {
    let values = match expr {
        Expr::Literal(value, _) => literal(value)?,
        Expr::Alias(alias) => of(&alias.expr, input)?,
        Expr::Cast(Cast { expr, field }) if field.data_type().is_integer() => {
            // A value that does not fit is an error of the query, not another value.
            of(expr, input).filter(|_| is_whole(expr, input))?
        }
        Expr::Negative(expr) => of(expr, input)?.into_iter().map(i64::checked_neg).collect::<Option<_>>()?,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if !is_whole(left, input) || !is_whole(right, input) {
                return None;
            }
            let (left, right) = (of(left, input)?, of(right, input)?);
            let op = match op {
                Operator::Plus => i64::checked_add,
                Operator::Minus => i64::checked_sub,
                Operator::Multiply => i64::checked_mul,
                _ => return None,
            };
            let pairs = left.iter().flat_map(|left| right.iter().map(move |right| op(*left, *right)));
            pairs.collect::<Option<_>>()?
        }
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then).chain(case.else_expr.iter());
            branches.map(|branch| of(branch, input)).collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()
        }
        Expr::Column(column) => of_column(column, input)?,
        _ => return None,
    };
    (values.len() <= VALUES_MAX).then_some(values)
}

fn is_whole(expr: &Expr, input: &LogicalPlan) -> bool {
    use datafusion::logical_expr::ExprSchemable;
    expr.get_type(input.schema()).is_ok_and(|kind| kind.is_integer())
}

fn literal(value: &ScalarValue) -> Option<BTreeSet<i64>> {
    if value.is_null() {
        return Some(BTreeSet::new());
    }
    match value {
        ScalarValue::Date32(Some(day)) => Some([i64::from(*day)].into()),
        value if value.data_type().is_integer() => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) => Some([value].into()),
            _ => None,
        },
        _ => None,
    }
}

fn of_column(column: &Column, plan: &LogicalPlan) -> Option<BTreeSet<i64>> {
    let index = plan.schema().maybe_index_of_column(column)?;
    at(index, plan)
}

/// The values of a column of a plan, by its position.
fn at(index: usize, plan: &LogicalPlan) -> Option<BTreeSet<i64>> {
    match plan {
        LogicalPlan::Projection(projection) => of(projection.expr.get(index)?, &projection.input),
        LogicalPlan::SubqueryAlias(alias) => at(index, &alias.input),
        LogicalPlan::Filter(filter) => at(index, &filter.input),
        LogicalPlan::Sort(sort) => at(index, &sort.input),
        LogicalPlan::Limit(limit) => at(index, &limit.input),
        LogicalPlan::Repartition(repartition) => at(index, &repartition.input),
        LogicalPlan::Distinct(Distinct::All(input)) => at(index, input),
        LogicalPlan::Aggregate(aggregate) => of(aggregate.group_expr.get(index)?, &aggregate.input)
            .filter(|_| !matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)])),
        // What a window adds comes after the columns that it reads.
        LogicalPlan::Window(window) if index < window.input.schema().fields().len() => at(index, &window.input),
        LogicalPlan::Join(join) => {
            let (_, field) = plan.schema().iter().nth(index).map(|(table, field)| (table, field.name()))?;
            let column = Column::new(plan.schema().qualified_field(index).0.cloned(), field);
            let sides = [&join.left, &join.right];
            let mut found = sides.into_iter().filter(|side| side.schema().has_column(&column));
            let side = found.next().filter(|_| found.next().is_none())?;
            of_column(&column, side)
        }
        LogicalPlan::TableScan(scan) => in_memory(index, scan),
        _ => None,
    }
}

/// The values of a column of a small table in memory.
fn in_memory(index: usize, scan: &TableScan) -> Option<BTreeSet<i64>> {
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<MemTable>()?;
    let index = scan.projection.as_ref().map_or(Some(index), |columns| columns.get(index).copied())?;
    let (mut values, mut rows) = (BTreeSet::new(), 0);
    for partition in &table.batches {
        let batches = partition.try_read().ok()?;
        for batch in batches.iter() {
            rows += batch.num_rows();
            let column = batch.columns().get(index)?;
            if rows > ROWS_MAX || !(column.data_type().is_integer() || *column.data_type() == DataType::Date32) {
                return None;
            }
            let column = match column.data_type() {
                DataType::Date32 => cast(column, &DataType::Int32).and_then(|days| cast(&days, &DataType::Int64)),
                _ => cast(column, &DataType::Int64),
            };
            let column = column.ok()?;
            // A number that 64 bits do not hold has become a null.
            if column.null_count() != batch.columns().get(index)?.null_count() {
                return None;
            }
            values.extend(column.as_primitive::<Int64Type>().iter().flatten());
            if values.len() > VALUES_MAX {
                return None;
            }
        }
    }
    Some(values)
}
