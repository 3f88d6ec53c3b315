//! How a query came to a date: told by the query itself.
//!
//! The plan of a model is rewritten so that beside a column stands how its value came about, row
//! by row: every call of a function on the way, with its arguments and its result, down to columns of
//! tables and numbers of the law. The very plan that gives the value gives the account, so that
//! the two cannot differ. The way leads through projections, aliases, filters, joins, unions,
//! groups and the least or greatest of several rows; what a window, another aggregate or a subquery
//! gives is told as the value that it gave. The form of the account is in `told`.
//!
//! This module must not know what a date is for, nor how it is put in words.

mod expr;
mod follow;
mod join;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};

use super::engine::{Bound, Engine};
use super::{Error, Model};
use crate::tables::Table;

use follow::Follower;

/// The column of text in which an account stands, beside those of the model.
pub const TOLD: &str = "__told";

/// Which rows are asked for: `subject_id`, `object_id` (may be null), `period`.
pub const KEYS: [&str; 3] = ["subject_id", "object_id", "period"];

impl Engine {
    /// Runs a model and tells how a column of it came about: its rows with the column [`TOLD`].
    ///
    /// `only` is a table of the columns [`KEYS`]; none means every row.
    pub async fn steps(
        &self,
        model: &Model,
        bound: &Bound,
        column: &str,
        only: Option<&Table>,
    ) -> Result<Table, Error> {
        let told = async {
            let plan = self.plan(&model.query, bound).await?;
            let plan = with_account(&plan, column)?;
            let plan = match only {
                Some(keys) => narrowed(plan, keys)?,
                None => plan,
            };
            self.collect(plan).await
        };
        told.await.map_err(|error| Error::model(model, &error))
    }
}

/// A plan with the account of one of its columns.
pub(super) fn with_account(plan: &LogicalPlan, column: &str) -> Result<LogicalPlan, DataFusionError> {
    let at = plan.schema().fields().iter().position(|field| field.name() == column);
    let at = at.ok_or_else(|| DataFusionError::Plan(format!("there is no column {column}")))?;
    let followed = Follower::default().follow(plan, &BTreeSet::from([at]))?;
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let asked = Expr::Column(Column::from(plan.schema().qualified_field(at)));
    let told = followed.tell(&asked)?.alias(TOLD);
    LogicalPlanBuilder::from(followed.plan).project(columns.into_iter().chain([told]))?.build()
}

/// The rows with these keys alone. One key is a filter, which is pushed down to the tables; many are a semi-join, below
/// which the span of their subjects is such a filter: whoever asks for neighbours has no other rows told.
fn narrowed(plan: LogicalPlan, keys: &Table) -> Result<LogicalPlan, DataFusionError> {
    let place = |name: &str| -> Result<Expr, DataFusionError> {
        let at = plan.schema().fields().iter().position(|field| field.name() == name);
        let at = at.ok_or_else(|| DataFusionError::Plan(format!("there is no column {name}")))?;
        Ok(Expr::Column(Column::from(plan.schema().qualified_field(at))))
    };
    let columns = KEYS.iter().map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;
    if keys.rows() == 1 {
        let mut builder = LogicalPlanBuilder::from(plan.clone());
        for (name, column) in KEYS.iter().zip(columns) {
            let value = keys.texts(name).map_err(|error| DataFusionError::External(Box::new(error)))?;
            builder = builder.filter(match value.into_iter().next().flatten() {
                Some(value) => column.eq(lit(value)),
                None => column.is_null(),
            })?;
        }
        return builder.build();
    }
    let plan = match (span(keys)?, columns.first()) {
        (Some((first, last)), Some(subject)) => {
            let subject = subject.clone().cast_to(&DataType::Utf8, plan.schema())?;
            LogicalPlanBuilder::from(plan).filter(subject.between(lit(first), lit(last)))?.build()?
        }
        _ => plan,
    };
    let provider = MemTable::try_new(Arc::clone(&keys.schema), vec![keys.batches.clone()])?;
    let asked = LogicalPlanBuilder::scan("__asked", provider_as_source(Arc::new(provider)), None)?.build()?;
    let whole = |expr: Expr| coalesce(vec![expr, lit(ScalarValue::Utf8(Some(String::new())))]);
    let there = KEYS.iter().map(|name| whole(Expr::Column(Column::new(Some("__asked"), *name)))).collect::<Vec<_>>();
    let here: Vec<Expr> = columns.into_iter().map(whole).collect();
    LogicalPlanBuilder::from(plan).join_with_expr_keys(asked, JoinType::LeftSemi, (here, there), None)?.build()
}

/// The least and the greatest subject of these keys.
fn span(keys: &Table) -> Result<Option<(String, String)>, DataFusionError> {
    let subjects = keys.shared_texts("subject_id").map_err(|error| DataFusionError::External(Box::new(error)))?;
    let mut span: Option<(&str, &str)> = None;
    for subject in (0..keys.rows()).filter_map(|row| subjects.get(row)) {
        span = span.map_or(Some((subject, subject)), |(first, last)| Some((first.min(subject), last.max(subject))));
    }
    Ok(span.map(|(first, last)| (first.to_owned(), last.to_owned())))
}
