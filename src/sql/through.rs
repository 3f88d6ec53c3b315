//! Models that are read through, where their rows lie, instead of being made in memory.
//!
//! A standard table of a whole nation has twenty million rows, of which a night needs a few thousand: what reads
//! such a model reads its files, as far as its own conditions reach. The rows that nobody may rely on are left out
//! as they are of a table in memory ([`Table::sift`](crate::tables::Table::sift)), and counted in the same words. Empty columns are looked
//! for where the files' statistics leave a doubt. Rows of one grain are looked for unless the plan shows that the
//! grain is the key of one landed table, of which landing has proven that it is there once.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, JoinType, NullEquality, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit, when};

use super::engine::Bound;
use super::{Engine, Error, Model};
use crate::tables::{Contract, TableName};

/// The key of each landed table.
pub type Keys = BTreeMap<TableName, Vec<String>>;

/// What was left out of a model that is read through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The rows of its select.
    pub rows_read: u64,
    /// Those that may be relied on.
    pub rows_kept: u64,
    /// Why the others may not, counted.
    pub reasons: BTreeMap<String, u64>,
}

/// Which rows of a model may be relied on.
#[derive(Debug, Clone, Copy)]
pub struct Sieve<'a> {
    /// Columns that must not be empty.
    pub required: &'a [&'a str],
    /// The columns that identify a row; rows that share them are left out, all of them.
    pub grain: &'a [String],
    /// What is known to be there once.
    pub keys: &'a Keys,
}

impl Engine {
    /// Makes a model readable under its name without keeping its rows: whoever reads it reads what it is made from.
    ///
    /// # Errors
    ///
    /// As [`Engine::build`], save for values that do not fit their type: whoever reads them meets that.
    pub async fn build_through(
        &self,
        model: &Model,
        bound: &Bound,
        contract: Option<&Contract>,
        sieve: Sieve<'_>,
    ) -> Result<LeftOut, Error> {
        let failed = |error| Error::model(model, &error);
        let plan = self.plan(&model.query, bound).await.map_err(failed)?;
        let is_unique = sieve.grain.is_empty() || is_unique(sieve.grain, &plan, sieve.keys);
        let plan = match contract {
            Some(contract) => {
                let shape = contract.shape(plan.schema().as_arrow()).map_err(|what| Error::Contract {
                    model: model.name.clone(),
                    path: model.path.clone(),
                    what,
                })?;
                let columns = shape.fields().iter().map(|field| {
                    let value = column(field.name());
                    let is_so = value.get_type(plan.schema()).is_ok_and(|kind| kind == *field.data_type());
                    let value = if is_so { value } else { cast(value, field.data_type().clone()) };
                    value.alias(field.name())
                });
                let columns: Vec<Expr> = columns.collect();
                LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build).map_err(failed)?
            }
            None => plan,
        };
        let (plan, left_out) = self.sieved(plan, sieve, is_unique).await.map_err(failed)?;
        self.put(&model.name, Arc::new(ViewTable::new(plan, None))).map_err(failed)?;
        Ok(left_out)
    }

    /// The plan without the rows that nobody may rely on.
    async fn sieved(
        &self,
        plan: LogicalPlan,
        sieve: Sieve<'_>,
        is_unique: bool,
    ) -> Result<(LogicalPlan, LeftOut), DataFusionError> {
        let mut reasons = BTreeMap::new();
        let is_there = |name: &&&str| plan.schema().has_column(&Column::new_unqualified(**name));
        let required: Vec<&str> = sieve.required.iter().filter(is_there).copied().collect();
        let is_empty = |name: &&str| column(name).is_null();
        let full = required.iter().map(|name| column(name).is_not_null());
        let mut kept = LogicalPlanBuilder::from(plan.clone());
        if let Some(any_empty) = disjunction(required.iter().map(is_empty)) {
            let counts = required.iter().map(|name| Ok(count(when(is_empty(name), lit(1)).end()?).alias(*name)));
            let counts = counts.collect::<Result<Vec<_>, DataFusionError>>()?;
            let counted = LogicalPlanBuilder::from(plan.clone()).filter(any_empty)?;
            let counted = self.collect(counted.aggregate(Vec::<Expr>::new(), counts)?.build()?).await?.batches;
            for name in required.iter().copied() {
                reasons.insert(format!("{name}: empty"), number(&counted, name));
            }
            if reasons.values().any(|rows| *rows > 0)
                && let Some(full) = conjunction(full)
            {
                kept = kept.filter(full)?;
            }
        }
        if !is_unique {
            // Rows with an empty column count here too: they share their grain all the same.
            let twins = self.twins(&plan, sieve.grain).await?;
            if twins.iter().any(|batch| batch.num_rows() > 0) {
                let one = |kind| of_grain(kept.clone(), &twins, sieve.grain, kind);
                let several = self.rows(one(JoinType::LeftSemi)?).await?;
                reasons.insert(format!("{}: several rows", sieve.grain.join(", ")), several);
                kept = LogicalPlanBuilder::from(one(JoinType::LeftAnti)?);
            }
        }
        reasons.retain(|_, rows| *rows > 0);
        let kept = kept.build()?;
        let rows_read = self.rows(plan.clone()).await?;
        let rows_kept = if reasons.is_empty() { rows_read } else { self.rows(kept.clone()).await? };
        Ok((kept, LeftOut { rows_read, rows_kept, reasons }))
    }

    /// The grains of more than one row.
    async fn twins(&self, plan: &LogicalPlan, grain: &[String]) -> Result<Vec<RecordBatch>, DataFusionError> {
        const ROWS: &str = "__rows";
        let columns: Vec<Expr> = grain.iter().map(|name| column(name)).collect();
        let counted =
            LogicalPlanBuilder::from(plan.clone()).aggregate(columns.clone(), vec![count(lit(1)).alias(ROWS)])?;
        let twins = counted.filter(column(ROWS).gt(lit(1_i64)))?.project(columns)?.build()?;
        Ok(self.collect(twins).await?.batches)
    }

    async fn rows(&self, plan: LogicalPlan) -> Result<u64, DataFusionError> {
        const ROWS: &str = "__rows";
        let counted = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![count(lit(1)).alias(ROWS)])?;
        Ok(number(&self.collect(counted.build()?).await?.batches, ROWS))
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// A counted column of one row.
fn number(batches: &[RecordBatch], name: &str) -> u64 {
    let columns = batches.iter().filter_map(|batch| batch.column_by_name(name));
    let values = columns.filter_map(|column| column.as_primitive_opt::<Int64Type>());
    values.flat_map(|values| values.iter().flatten()).map(i64::unsigned_abs).sum()
}

/// The rows whose grain is, or is not, one of these; empty is equal to empty.
fn of_grain(
    rows: LogicalPlanBuilder,
    twins: &[RecordBatch],
    grain: &[String],
    kind: JoinType,
) -> Result<LogicalPlan, DataFusionError> {
    let Some(first) = twins.first() else { return rows.build() };
    let table = MemTable::try_new(first.schema(), vec![twins.to_vec()])?;
    let twins = LogicalPlanBuilder::scan("__twins", provider_as_source(Arc::new(table)), None)?.build()?;
    let keys = |table: Option<&str>| -> Vec<Column> {
        grain.iter().map(|name| Column::new(table.map(TableReference::bare), name)).collect()
    };
    let keys = (keys(None), keys(Some("__twins")));
    rows.join_detailed(twins, kind, keys, None, NullEquality::NullEqualsNull)?.build()
}

/// Whether no two rows of a plan share these columns: they are the key of a landed table, of which the plan
/// chooses rows and columns and does nothing else.
fn is_unique(grain: &[String], plan: &LogicalPlan, keys: &Keys) -> bool {
    let columns = grain.iter().map(Column::new_unqualified).collect();
    holds_key(columns, plan, keys)
}

fn holds_key(columns: Vec<Column>, plan: &LogicalPlan, keys: &Keys) -> bool {
    let key_of = |table: &TableReference| {
        keys.get(&TableName::new(table.schema().unwrap_or_default(), table.table()))
            .is_some_and(|key| key.iter().all(|name| columns.iter().any(|column| column.name == *name)))
    };
    let within = |input: &LogicalPlan| -> Option<Vec<Column>> {
        let indexes = columns.iter().map(|column| plan.schema().maybe_index_of_column(column));
        indexes.map(|index| Some(Column::from(input.schema().qualified_field(index?)))).collect()
    };
    match plan {
        LogicalPlan::TableScan(scan) => key_of(&scan.table_name),
        LogicalPlan::SubqueryAlias(alias) if key_of(&alias.alias) => true,
        LogicalPlan::SubqueryAlias(alias) => {
            within(&alias.input).is_some_and(|columns| holds_key(columns, &alias.input, keys))
        }
        LogicalPlan::Filter(filter) => holds_key(columns, &filter.input, keys),
        LogicalPlan::Projection(projection) => {
            let indexes = columns.iter().map(|column| plan.schema().maybe_index_of_column(column));
            let plain =
                indexes.map(|index| projection.expr.get(index?).and_then(|expr| plain(expr, &projection.input)));
            plain.collect::<Option<Vec<_>>>().is_some_and(|columns| holds_key(columns, &projection.input, keys))
        }
        _ => false,
    }
}

/// The column that an expression is, under another name or as the text of its number.
fn plain(expr: &Expr, input: &LogicalPlan) -> Option<Column> {
    match expr {
        Expr::Column(column) => Some(column.clone()),
        Expr::Alias(alias) => plain(&alias.expr, input),
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Utf8 => {
            expr.get_type(input.schema()).is_ok_and(|kind| kind.is_integer()).then(|| plain(expr, input))?
        }
        _ => None,
    }
}
