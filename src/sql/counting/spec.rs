//! What is counted, by what: read from the plan of an aggregation.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::groups::Width;

/// An expression over the rows that are counted.
pub type Expr = Arc<dyn PhysicalExpr>;

/// Codes in one word; the bits above them say that there is a row.
pub const CODES_PER_WORD: usize = 3;

/// More columns than these are not grouped by here.
const MOST_KEYS: usize = 2 * CODES_PER_WORD;

/// What is counted, by what.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What is grouped by.
    pub keys: Vec<Key>,
    /// What is counted.
    pub measures: Vec<Measure>,
}

/// A column that is grouped by.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its value.
    pub expr: Expr,
    /// Its type.
    pub kind: DataType,
}

/// A count or a sum.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Whether values are added, and not counted.
    pub is_sum: bool,
    /// The values; none where rows are counted.
    pub of: Option<Expr>,
    /// Which rows take part.
    pub filter: Option<Expr>,
    /// Whether a group may have no value, and so no sum: a second word counts them.
    pub may_be_null: bool,
}

impl Spec {
    /// What this aggregation counts; none where it does something else too.
    pub fn of(aggregate: &AggregateExec, rows: &SchemaRef) -> Result<Option<Self>> {
        let group = aggregate.group_expr();
        if group.has_grouping_set() || group.expr().is_empty() || group.expr().len() > MOST_KEYS {
            return Ok(None);
        }
        let mut keys = Vec::new();
        for (expr, _) in group.expr() {
            let kind = expr.data_type(rows)?;
            if !can_be_coded(&kind) {
                return Ok(None);
            }
            keys.push(Key { expr: Arc::clone(expr), kind });
        }
        let mut measures = Vec::new();
        for (function, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
            let Some(measure) = Measure::of(function, filter.as_ref(), rows)? else { return Ok(None) };
            measures.push(measure);
        }
        Ok((!measures.is_empty()).then_some(Spec { keys, measures }))
    }

    /// The words of a row.
    pub fn width(&self) -> Width {
        let codes = self.keys.len().div_ceil(CODES_PER_WORD);
        Width { codes, row: codes + self.measures.iter().map(Measure::words).sum::<usize>() }
    }

    /// Where the words of each measure begin in a row.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.measures.iter().scan(self.width().codes, |next, measure| {
            let place = *next;
            *next += measure.words();
            Some(place)
        })
    }
}

impl Measure {
    fn of(function: &AggregateFunctionExpr, filter: Option<&Expr>, rows: &SchemaRef) -> Result<Option<Self>> {
        if function.is_distinct() || !function.order_bys().is_empty() || function.ignore_nulls() {
            return Ok(None);
        }
        let [of] = function.expressions().try_into().map_or([None], |[of]: [Expr; 1]| [Some(of)]);
        let Some(of) = of else { return Ok(None) };
        let filter = filter.cloned();
        let may_be_null = of.nullable(rows)? || filter.is_some();
        Ok(match function.fun().name() {
            "count" => {
                let of = (!is_value(&of)).then_some(of);
                Some(Measure { is_sum: false, of, filter, may_be_null: false })
            }
            "sum" if of.data_type(rows)? == DataType::Int64 && *function.field().data_type() == DataType::Int64 => {
                Some(Measure { is_sum: true, of: Some(of), filter, may_be_null })
            }
            _ => None,
        })
    }

    fn words(&self) -> usize {
        if self.may_be_null { 2 } else { 1 }
    }
}

/// Whether it is the same value in each row, and not a null.
fn is_value(expr: &Expr) -> bool {
    expr.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
}

/// Texts, whole numbers, days and the like.
fn can_be_coded(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Timestamp(_, _)
    )
}
