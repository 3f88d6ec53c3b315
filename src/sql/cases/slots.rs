//! Tables whose rows are exchanged between runs of one plan.
//!
//! Hundreds of cases ask the same few selects of a handful of rows each. Planning such a select
//! takes many times as long as running it, so a plan is made once and its tables are filled anew
//! for each case. This module must not know what a case is.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::datasource::{MemTable, TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::super::Model;
use super::super::engine::{Bound, Engine};
use super::super::steps;
use crate::calendar::WorkingDays;
use crate::tables::{Table, TableName};

/// A table of fixed columns; which rows it has is said before each run.
#[derive(Debug)]
pub(super) struct Slot {
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

impl Slot {
    /// Puts rows in place of those that were there; they are of the columns of the table that it was made from.
    pub(super) fn fill(&self, table: &Table) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = table.batches.clone();
    }
}

type Scan<'s> = Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 's>>;

impl TableProvider for Slot {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // As `async fn` is written out: the macro that hides this is not among our libraries.
    fn scan<'a, 'b, 'c, 'd, 's>(
        &'a self,
        state: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        filters: &'d [Expr],
        limit: Option<usize>,
    ) -> Scan<'s>
    where
        'a: 's,
        'b: 's,
        'c: 's,
        'd: 's,
        Self: 's,
    {
        let batches = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let schema = Arc::clone(&self.schema);
        Box::pin(async move { MemTable::try_new(schema, vec![batches])?.scan(state, projection, filters, limit).await })
    }
}

impl Engine {
    /// An engine for a handful of rows: splitting them over the cores would take longer than computing them.
    pub(super) fn of_one_core(calendar: WorkingDays) -> std::result::Result<Self, super::Error> {
        let engine = Engine::with_calendar(calendar)?;
        let state = engine.context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.execution.target_partitions = 1;
        drop(state);
        Ok(engine)
    }

    /// Registers an empty table whose rows are exchanged later.
    pub(super) fn slot(&self, name: &TableName, schema: &SchemaRef) -> Result<Arc<Slot>> {
        let slot = Arc::new(Slot { schema: Arc::clone(schema), rows: Mutex::default() });
        self.put(name, Arc::<Slot>::clone(&slot))?;
        Ok(slot)
    }

    /// The plan of a model for certain dates, as it is run again and again; `asked` is a column of which is to be
    /// told how it came about.
    pub(super) async fn prepare(&self, model: &Model, bound: &Bound, asked: Option<&str>) -> Result<LogicalPlan> {
        let plan = self.plan(&model.query, bound).await?;
        let plan = match asked {
            Some(column) => steps::with_account(&plan, column)?,
            None => plan,
        };
        self.context.state().optimize(&plan)
    }

    /// Runs such a plan on the rows that its tables have now.
    pub(super) async fn run_prepared(&self, plan: &LogicalPlan) -> Result<Table> {
        let state = self.context.state();
        let physical = state.query_planner().create_physical_plan(plan, &state).await?;
        let schema = physical.schema();
        let batches = collect(physical, self.context.task_ctx()).await?;
        Ok(Table { schema, batches })
    }
}

/// What an engine says when it cannot be set up.
pub(super) fn of_engine(error: DataFusionError) -> super::Error {
    super::Error::Engine { error: Box::new(error) }
}
