//! The one place in which a DataFusion session is set up.
//!
//! A session may read the tables that were registered and nothing else: no
//! statement but a select is planned, and no file can be named from SQL.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Query, Statement, TypedString, Value, ValueWithSpan, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use jiff::civil::Date;

use super::lineage::{self, Lineage};
use super::{Error, Model, functions, library};
use crate::calendar::AsOf;
use crate::pipeline::Pipeline;
use crate::tables::{Contract, Table, TableName};

/// Memory of a session before operators spill: 1 GiB, above the 64 MiB per
/// partition under which joins fail (measured, see the engine notes).
const MEMORY_BYTES: usize = 1 << 30;

/// Runs selects over named tables.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Dates that a select may name: `$as_of`, `$until`.
pub type Bound = BTreeMap<&'static str, Date>;

impl Engine {
    /// An engine without tables.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the session")]
    pub fn new() -> Result<Self, Error> {
        let engine = |error| Error::Engine { error: Box::new(error) };
        let mut config =
            SessionConfig::new().with_information_schema(false).with_create_default_catalog_and_schema(true);
        let options = config.options_mut();
        // Wrong minima and maxima over several files, apache/datafusion issue 24816.
        options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        // Text is Utf8 everywhere: what a table holds does not depend on how it was read.
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.parquet.schema_force_view_types = false;
        let five = std::num::NonZeroUsize::MIN.saturating_add(4);
        let pool = TrackConsumersPool::new(FairSpillPool::new(MEMORY_BYTES), five);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc().map_err(engine)?;
        let state =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        let context = SessionContext::new_with_state(state);
        for function in functions::all() {
            context.register_udf(function);
        }
        Ok(Engine { context })
    }

    /// Makes a table readable under its name.
    pub fn register(&self, name: &TableName, table: &Table) -> Result<(), Error> {
        let engine = |error| Error::Engine { error: Box::new(error) };
        let provider = MemTable::try_new(Arc::clone(&table.schema), vec![table.batches.clone()]).map_err(engine)?;
        self.schema(&name.schema)
            .and_then(|schema| {
                if schema.table_exist(&name.table) {
                    schema.deregister_table(&name.table)?;
                }
                schema.register_table(name.table.clone(), Arc::new(provider))
            })
            .map_err(engine)?;
        Ok(())
    }

    fn schema(&self, name: &str) -> Result<Arc<dyn SchemaProvider>, DataFusionError> {
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
        let table = self.run_query(&model.query, bound, None).await.map_err(|error| Error::model(model, &error))?;
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

    async fn plan(&self, query: &Query, bound: &Bound) -> Result<LogicalPlan, DataFusionError> {
        let mut query = Box::new(query.clone());
        bind(&mut query, bound);
        let statement = DfStatement::Statement(Box::new(Statement::Query(query)));
        let plan = self.context.state().statement_to_plan(statement).await?;
        let closed = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        closed.verify_plan(&plan)?;
        Ok(plan)
    }

    async fn run_query(&self, query: &Query, bound: &Bound, most: Option<usize>) -> Result<Table, DataFusionError> {
        let plan = self.plan(query, bound).await?;
        let frame = self.context.execute_logical_plan(plan).await?;
        let frame = if most.is_some() { frame.limit(0, most)? } else { frame };
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        let batches: Vec<RecordBatch> = frame.collect().await?;
        // A collected batch may know better than the plan which columns can be null.
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(Table { schema, batches })
    }
}

/// Puts the dates in place of their words, in the parsed select and so never as text.
fn bind(query: &mut Query, bound: &Bound) {
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(word) = &value.value else { return ControlFlow::Continue(()) };
        if let Some(date) = bound.get(word.as_str()) {
            let value = Value::SingleQuotedString(date.to_string());
            *expr = Expr::TypedString(TypedString {
                data_type: SqlType::Date,
                value: ValueWithSpan { value, span: Span::empty() },
                uses_odbc_syntax: false,
            });
        }
        ControlFlow::Continue(())
    });
}

/// The tables that exist before any source is read: the law in force on the day, and the public code lists.
///
/// A rule is `law.<rule>(key, value, unit, rule_version)`; a rule that is not in
/// force on the day is an empty table.
pub fn given_tables(pipeline: &Pipeline, as_of: AsOf) -> Vec<(TableName, Table)> {
    let mut tables = Vec::new();
    for rule in &pipeline.law.rules {
        let version = rule.in_force(as_of);
        let values = version.map(|version| version.values.as_slice()).unwrap_or_default();
        let name = version.map(|version| rule.version_name(version));
        let keys: StringArray = values.iter().map(|(key, _)| key.clone()).collect();
        let numbers: Int64Array = values.iter().map(|(_, value)| Some(*value)).collect();
        let units: StringArray = values.iter().map(|_| Some(rule.unit.clone())).collect();
        let versions: StringArray = values.iter().map(|_| name.clone()).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", Arc::new(keys)),
            ("value", Arc::new(numbers)),
            ("unit", Arc::new(units)),
            ("rule_version", Arc::new(versions)),
        ];
        tables.extend(table("law", &rule.name, columns));
    }
    let communes = &pipeline.unit.communes;
    let codes: StringArray = communes.iter().map(|commune| Some(commune.code.clone())).collect();
    let names: StringArray = communes.iter().map(|commune| Some(commune.name.vi.clone())).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("commune_code", Arc::new(codes)), ("name", Arc::new(names))];
    tables.extend(table("codes", "communes", columns));
    let pairs =
        pipeline.procedure_groups.iter().flat_map(|group| group.procedures.iter().map(move |code| (code, &group.id)));
    let (codes, groups): (Vec<_>, Vec<_>) = pairs.map(|(code, id)| (Some(code.clone()), Some(id.clone()))).unzip();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("procedure_code", Arc::new(StringArray::from(codes))),
        ("procedure_group", Arc::new(StringArray::from(groups))),
    ];
    tables.extend(table("codes", "procedures", columns));
    tables
}

fn table(schema: &str, name: &str, columns: Vec<(&str, ArrayRef)>) -> Option<(TableName, Table)> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).ok()?;
    Some((TableName::new(schema, name), Table::from_batch(batch)))
}
