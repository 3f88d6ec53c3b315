//! The one place in which a DataFusion session is set up.
//!
//! A session may read the tables that were registered and nothing else: no
//! statement but a select is planned, and no file can be named from SQL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::{Column, JoinType};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr as SqlExpr, Query, Statement, TypedString, Value, ValueWithSpan, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use jiff::civil::Date;

use super::counting::Counting;
pub use super::given::{PERIODS, given_tables};
use super::horizon::Horizon;
use super::keys::Keys;
use super::lineage::{self, Lineage};
use super::{Error, Misuse, Model, Units, functions, library, look_up, misuse};
use crate::calendar::WorkingDays;
use crate::tables::{Contract, DELETED, Stored, Table, TableName, intervals};

/// Memory of a session before operators spill: 2 GiB, above the 64 MiB per partition under which joins fail (measured,
/// see the engine notes), and enough for a nation's counts by commune, group and month, which take 0.8 GB, beside a
/// join that holds its smaller side.
const MEMORY_BYTES: usize = 2 << 30;

/// Up to this size the rows of a join's smaller side are held once, for all threads. DataFusion's own limits are
/// 1 MiB and 131,072 rows, beyond which it sends every row of the other side from thread to thread by the hash of its
/// key: of a look-up, twenty million rows with all their columns, for half a million that somebody asked for; of the
/// ratings of a nation, the same for five million, which took 16 instead of 11 CPU seconds.
const HELD_BYTES: usize = 512 << 20;

/// The same in rows, where only their number is known.
const HELD_ROWS: usize = 8 << 20;

/// Runs selects over named tables.
#[derive(Clone)]
pub struct Engine {
    pub(super) context: SessionContext,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Dates that a select may name: `$as_of`, `$until`, `$since`.
pub type Bound = BTreeMap<&'static str, Date>;

impl Engine {
    /// An engine without tables, and without a calendar: it knows no year's working days.
    pub fn new() -> Result<Self, Error> {
        Engine::with_calendar(WorkingDays::default())
    }

    /// An engine without tables whose functions know these working days.
    pub fn with_calendar(calendar: WorkingDays) -> Result<Self, Error> {
        Engine::with_memory(calendar, MEMORY_BYTES)
    }

    /// The same with so many bytes of memory before operators write what they hold to the disk: 2 GiB is usual.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the session")]
    pub fn with_memory(calendar: WorkingDays, memory_bytes: usize) -> Result<Self, Error> {
        let engine = |error| Error::Engine { error: Box::new(error) };
        let mut config =
            SessionConfig::new().with_information_schema(false).with_create_default_catalog_and_schema(true);
        let options = config.options_mut();
        // Wrong minima and maxima over several files, apache/datafusion issue 24816.
        options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        options.optimizer.hash_join_single_partition_threshold = HELD_BYTES;
        options.optimizer.hash_join_single_partition_threshold_rows = HELD_ROWS;
        // Text is Utf8 everywhere: what a table holds does not depend on how it was read.
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.parquet.schema_force_view_types = false;
        let five = std::num::NonZeroUsize::MIN.saturating_add(4);
        let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes), five);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc().map_err(engine)?;
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
        let state = state.with_optimizer_rules(rules()).with_physical_optimizer_rules(physical_rules()).build();
        let mut context = SessionContext::new_with_state(state);
        context.register_function_rewrite(Arc::new(functions::Ages)).map_err(engine)?;
        for function in functions::all(&Arc::new(calendar)) {
            context.register_udf(function);
        }
        Ok(Engine { context })
    }

    /// Makes a table readable under its name.
    pub fn register(&self, name: &TableName, table: &Table) -> Result<(), Error> {
        let engine = |error| Error::Engine { error: Box::new(error) };
        let provider = MemTable::try_new(Arc::clone(&table.schema), vec![table.batches.clone()]).map_err(engine)?;
        self.put(name, Arc::new(provider)).map_err(engine)
    }

    pub(super) fn put(&self, name: &TableName, provider: Arc<dyn TableProvider>) -> Result<(), DataFusionError> {
        let schema = self.schema(&name.schema)?;
        if schema.table_exist(&name.table) {
            schema.deregister_table(&name.table)?;
        }
        schema.register_table(name.table.clone(), provider)?;
        Ok(())
    }

    /// Makes a table unknown, and lets go of its rows where nobody else holds them.
    pub fn forget(&self, name: &TableName) {
        if let Ok(schema) = self.schema(&name.schema) {
            // One that was not known is not known.
            drop(schema.deregister_table(&name.table));
        }
    }

    /// How a query is carried out, with what each step did: for finding out what was read.
    pub async fn explain(&self, text: &str) -> Result<String, Error> {
        let failed = |error| Error::Query { error: Box::new(error) };
        let query = library::parse_select(text).map_err(|(what, _)| Error::NotASelect(what))?;
        let plan = self.plan(&query, &Bound::new()).await.map_err(failed)?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(failed)?;
        let batches = frame.explain(false, true).map_err(failed)?.collect().await.map_err(failed)?;
        let text = datafusion::arrow::util::pretty::pretty_format_batches(&batches);
        text.map(|text| text.to_string()).map_err(|error| failed(error.into()))
    }

    /// Makes a table of files readable under its name.
    ///
    /// Each file is read by its row groups, of which those are skipped that a query over the sorted
    /// columns does not need. Filters reach the base and the changes alike.
    pub fn register_stored(&self, name: &TableName, stored: &Stored) -> Result<(), Error> {
        let engine = |error| Error::Engine { error: Box::new(error) };
        let provider = self.stored(stored).map_err(engine)?;
        self.put(name, provider).map_err(engine)
    }

    fn stored(&self, stored: &Stored) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let packed = intervals::packed_schema(&stored.schema);
        let base = files(&stored.base, &packed, &stored.sorted_by)?;
        if stored.changes.is_none() && stored.condition.is_none() && packed == stored.schema {
            return Ok(base);
        }
        let names: Vec<&str> = stored.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut rows = self.context.read_table(base)?;
        if let Some(path) = &stored.changes {
            let mut fields: Vec<_> = packed.fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new(DELETED, DataType::Boolean, false)));
            let schema: SchemaRef = Arc::new(Schema::new(fields));
            let changes = files(std::slice::from_ref(path), &schema, &stored.sorted_by)?;
            let changes = self.context.read_table(changes)?;
            let column = |name: &str| Expr::Column(Column::new_unqualified(name));
            let keys =
                stored.key.iter().map(|name| column(name).alias(format!("__changed_{name}"))).collect::<Vec<_>>();
            let changed: Vec<String> = stored.key.iter().map(|name| format!("__changed_{name}")).collect();
            let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
            let key: Vec<&str> = stored.key.iter().map(String::as_str).collect();
            // The changes are few: theirs is the side that is held in memory.
            let kept = changes.clone().select(keys)?.join(rows, JoinType::RightAnti, &changed, &key, None)?;
            let all: Vec<Expr> = names.iter().map(|name| column(name)).collect();
            let changes = changes.filter(Expr::Not(Box::new(column(DELETED))))?.select(all.clone())?;
            rows = kept.select(all)?.union(changes)?;
        }
        if packed != stored.schema {
            let queried = packed.fields().iter().zip(stored.schema.fields()).map(|(packed, field)| {
                let column = Expr::Column(Column::new_unqualified(field.name()));
                let is_packed = packed.data_type() != field.data_type();
                if is_packed { functions::unpacked(column).alias(field.name()) } else { column }
            });
            rows = rows.select(queried.collect::<Vec<_>>())?;
        }
        if let Some(condition) = &stored.condition {
            rows = rows.alias("t")?;
            let condition = rows.parse_sql_expr(condition)?;
            let all: Vec<Expr> =
                names.iter().map(|name| Expr::Column(Column::new(Some("t"), *name)).alias(*name)).collect();
            rows = rows.filter(condition)?.select(all)?;
        }
        Ok(rows.into_view())
    }

    pub(super) fn schema(&self, name: &str) -> Result<Arc<dyn SchemaProvider>, DataFusionError> {
        let catalogs = self.context.catalog_names();
        let catalog = catalogs
            .first()
            .and_then(|name| self.context.catalog(name))
            .ok_or_else(|| DataFusionError::Internal("the session has no catalog".into()))?;
        if let Some(schema) = catalog.schema(name) {
            return Ok(schema);
        }
        let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
        catalog.register_schema(name, Arc::clone(&schema))?;
        Ok(schema)
    }

    /// Runs a model and makes its table readable.
    pub async fn build(&self, model: &Model, bound: &Bound, contract: Option<&Contract>) -> Result<Table, Error> {
        let made = self.run_query(&model.query, bound, None).await;
        self.finish(model, contract, made)
    }

    /// Brings what the select of a model gave into the expected form, and makes it readable.
    pub(super) fn finish(
        &self,
        model: &Model,
        contract: Option<&Contract>,
        made: Result<Table, DataFusionError>,
    ) -> Result<Table, Error> {
        let table = made.map_err(|error| Error::model(model, &error))?;
        let table = match contract {
            Some(contract) => contract.apply(table).map_err(|what| Error::Contract {
                model: model.name.clone(),
                path: model.path.clone(),
                what,
            })?,
            None => table,
        };
        self.register(&model.name, &table)?;
        Ok(table)
    }

    /// Runs a model that looks up rows of large tables by their key, and makes its table readable: as
    /// [`Engine::build`], with the same rows, read another way.
    ///
    /// The keys of all rows are then read and compared first; what else a row has is unpacked only where its key is
    /// one of those asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::build`].
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the session")]
    pub async fn look_up(&self, model: &Model, bound: &Bound, contract: Option<&Contract>) -> Result<Table, Error> {
        let state = SessionStateBuilder::new_from_existing(self.context.state());
        let state = state.with_physical_optimizer_rules(look_up::rules()).build();
        Engine { context: SessionContext::new_with_state(state) }.build(model, bound, contract).await
    }

    /// Runs a model for other dates than the night's, to look at what it gives: its table stays as it is.
    pub async fn look(&self, model: &Model, bound: &Bound) -> Result<Table, Error> {
        self.run_query(&model.query, bound, None).await.map_err(|error| Error::model(model, &error))
    }

    /// Runs a select that a person typed, and gives no more than so many of its rows.
    pub async fn query(&self, text: &str, most: Option<usize>) -> Result<Table, Error> {
        let query = library::parse_select(text).map_err(|(what, _)| Error::NotASelect(what))?;
        self.run_query(&query, &Bound::new(), most).await.map_err(|error| Error::Query { error: Box::new(error) })
    }

    /// Which columns take part in those of a model, and in its rows, by what its select names.
    pub async fn lineage(&self, model: &Model, bound: &Bound) -> Result<Lineage, Error> {
        let plan = self.plan(&model.query, bound).await;
        plan.and_then(|plan| lineage::trace(&plan)).map_err(|error| Error::model(model, &error))
    }

    /// What a model's select does that it must not, by its plan and the units of the rules that it reads.
    pub async fn misuses(&self, model: &Model, bound: &Bound, units: &Units) -> Result<Vec<Misuse>, Error> {
        let plan = self.plan(&model.query, bound).await;
        plan.and_then(|plan| misuse::find(&plan, units)).map_err(|error| Error::model(model, &error))
    }

    pub(super) async fn plan(&self, query: &Query, bound: &Bound) -> Result<LogicalPlan, DataFusionError> {
        let mut query = Box::new(query.clone());
        bind(&mut query, bound);
        let statement = DfStatement::Statement(Box::new(Statement::Query(query)));
        let plan = self.context.state().statement_to_plan(statement).await?;
        let closed = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        closed.verify_plan(&plan)?;
        Ok(plan)
    }

    pub(super) async fn run_query(
        &self,
        query: &Query,
        bound: &Bound,
        most: Option<usize>,
    ) -> Result<Table, DataFusionError> {
        let plan = self.plan(query, bound).await?;
        let plan = match most {
            Some(most) => LogicalPlanBuilder::from(plan).limit(0, Some(most))?.build()?,
            None => plan,
        };
        self.collect(plan).await
    }

    /// Runs a plan.
    pub(super) async fn collect(&self, plan: LogicalPlan) -> Result<Table, DataFusionError> {
        let frame = self.context.execute_logical_plan(plan).await?;
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let batches: Vec<RecordBatch> = frame.collect().await?;
        // A collected batch may know better than the plan which columns can be null.
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(Table { schema, batches })
    }
}

/// DataFusion's rules, and ours: before the one that carries filters down to the scans, and before the one that leaves
/// out columns.
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == "push_down_filter").unwrap_or(rules.len());
    rules.insert(place, Arc::new(Horizon));
    let place = rules.iter().position(|rule| rule.name() == "optimize_projections").unwrap_or(rules.len());
    rules.insert(place, Arc::new(Keys));
    rules
}

/// DataFusion's rules for how a plan is carried out, and ours: before the one that spreads rows over threads.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let place = rules.iter().position(|rule| rule.name() == "EnsureRequirements").unwrap_or(rules.len());
    rules.insert(place, Arc::new(Counting));
    rules
}

/// Parquet files sorted by these columns, as a table.
fn files(
    paths: &[PathBuf],
    schema: &SchemaRef,
    sorted_by: &[String],
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let mut urls = Vec::with_capacity(paths.len());
    for path in paths {
        // A listing of a file that is gone is empty, and so would be the table. A way up in a path that somebody gave, as
        // in `../state`, is none in an address.
        let path = std::fs::canonicalize(path)?;
        // A path of ours may hold what a pattern is made of; encoded, it is a name and nothing else.
        let path = object_store::path::Path::from_absolute_path(path)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        urls.push(ListingTableUrl::parse(format!("file:///{path}"))?);
    }
    let order = sorted_by.iter().map(|name| Expr::Column(Column::new_unqualified(name)).sort(true, true)).collect();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_sort_order(vec![order]);
    let config =
        ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(Arc::clone(schema));
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// Puts the dates in place of their words, in the parsed select and so never as text.
fn bind(query: &mut Query, bound: &Bound) {
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        let SqlExpr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(word) = &value.value else { return ControlFlow::Continue(()) };
        if let Some(date) = bound.get(word.as_str()) {
            let value = Value::SingleQuotedString(date.to_string());
            *expr = SqlExpr::TypedString(TypedString {
                data_type: SqlType::Date,
                value: ValueWithSpan { value, span: Span::empty() },
                uses_odbc_syntax: false,
            });
        }
        ControlFlow::Continue(())
    });
}
