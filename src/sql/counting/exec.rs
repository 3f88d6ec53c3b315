//! The step of a plan that counts.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::JoinSet;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::codes::{CODE_BITS, Codes};
use super::groups::Groups;
use super::lane::Lane;
use super::rest::Rest;
use super::shards::{PARTS, Shards};
use super::spec::{CODES_PER_WORD, Spec};

/// Counts rows by the codes of what they are grouped by.
#[derive(Debug)]
pub struct CountExec {
    spec: Arc<Spec>,
    /// The aggregation as it was planned, in its two halves.
    last: Arc<AggregateExec>,
    first: Arc<AggregateExec>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    work: Mutex<Option<Work>>,
}

/// Done when all rows are counted.
type Done = Shared<BoxFuture<'static, Result<(), Arc<DataFusionError>>>>;

/// One execution.
#[derive(Clone)]
struct Work {
    counted: Arc<Counted>,
    done: Done,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

struct Counted {
    codes: Vec<Mutex<Codes>>,
    shards: Shards,
    rest: Rest,
    /// Lanes that have had no row yet.
    waiting: AtomicUsize,
}

/// How often a lane that has rows gives way after each batch while another one waits for its first. What that one waits
/// for, the smaller side of a join, is read by tasks of its own and then put together by one thread: read early, that
/// thread works beside the lanes that have rows, and not after them with the others idle.
const TURNS: usize = 16;

impl CountExec {
    /// The step in place of these two halves of an aggregation.
    pub fn new(spec: Arc<Spec>, last: Arc<AggregateExec>, first: Arc<AggregateExec>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(last.schema()),
            Partitioning::UnknownPartitioning(first.input().output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        CountExec {
            spec,
            last,
            first,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            work: Mutex::new(None),
        }
    }

    fn begin(&self, context: &Arc<TaskContext>) -> Work {
        let lanes = self.first.input().output_partitioning().partition_count();
        let runtime = context.runtime_env();
        let memory = MemoryConsumer::new("CountExec").with_can_spill(true).register(&runtime.memory_pool);
        let (keys, width) = (self.spec.keys.len(), self.spec.width());
        let spills = MetricBuilder::new(&self.metrics).spill_count(0);
        let counted = Arc::new(Counted {
            codes: self.spec.keys.iter().map(|_| Mutex::default()).collect(),
            shards: Shards::new(keys, width, memory, Arc::clone(&runtime.disk_manager), spills),
            rest: Rest::new(Arc::clone(&self.last), Arc::clone(&self.first), lanes, Arc::clone(context)),
            waiting: AtomicUsize::new(lanes),
        });
        let input = Arc::clone(self.first.input());
        let (spec, of_all, context) = (Arc::clone(&self.spec), Arc::clone(&counted), Arc::clone(context));
        let done = async move {
            let mut tasks = JoinSet::new();
            for lane in 0..lanes {
                let rows = input.execute(lane, Arc::clone(&context))?;
                tasks.spawn(count(lane, rows, Arc::clone(&spec), Arc::clone(&of_all)));
            }
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
            }
            of_all.shards.settle()?;
            of_all.rest.close();
            Ok(())
        };
        Work { counted, done: done.map(|ended: Result<()>| ended.map_err(Arc::new)).boxed().shared() }
    }
}

/// Counts the rows of one lane.
async fn count(lane: usize, mut rows: SendableRecordBatchStream, spec: Arc<Spec>, counted: Arc<Counted>) -> Result<()> {
    let mut counting = Lane::new(&spec, &counted.codes, &counted.shards);
    let mut next = rows.next().await;
    counted.waiting.fetch_sub(1, Ordering::Relaxed);
    while let Some(batch) = next {
        if let Some(rest) = counting.take(&batch?)? {
            let sender = counted.rest.sender(lane)?;
            // Whoever does not listen any more has failed, and says so.
            let _ = sender.send(rest).await;
        }
        // Lanes that have rows keep all threads busy; those that wait for the smaller side of a join have to get their
        // turn, or else all wait for it in the end.
        tokio::task::yield_now().await;
        for _ in 1..TURNS {
            if counted.waiting.load(Ordering::Relaxed) == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        next = rows.next().await;
    }
    counting.finish()
}

impl DisplayAs for CountExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountExec: of ")?;
        self.last.fmt_as(kind, f)
    }
}

impl ExecutionPlan for CountExec {
    fn name(&self) -> &'static str {
        "CountExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.first.input()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.first.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let first = Arc::clone(&self.first).replace_children(children, options)?;
        let Ok(first) = Arc::downcast::<AggregateExec>(first) else {
            return internal_err!("an aggregation has become something else");
        };
        Ok(Arc::new(CountExec::new(Arc::clone(&self.spec), Arc::clone(&self.last), first)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = datafusion::physical_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(mode))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { counted, done } = work.get_or_insert_with(|| self.begin(&context)).clone();
        let lanes = self.properties.partitioning.partition_count();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (spec, schema) = (Arc::clone(&self.spec), self.schema());
        let batch_rows = context.session_config().batch_size();
        let groups = async move {
            done.await.map_err(DataFusionError::Shared)?;
            let rest = counted.rest.groups(partition).map_or_else(|| stream::empty().boxed(), StreamExt::boxed);
            let told = Told::new(spec, schema, counted, (partition..PARTS).step_by(lanes), batch_rows)?;
            let told = told.inspect(move |batch| {
                if let Ok(batch) = batch {
                    metrics.record_output(batch.num_rows());
                }
            });
            Ok::<_, DataFusionError>(stream::iter(told).chain(rest))
        };
        let groups = stream::once(groups).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), groups)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The groups of some parts, batch by batch.
struct Told {
    spec: Arc<Spec>,
    schema: SchemaRef,
    counted: Arc<Counted>,
    /// The values of each column by their code.
    values: Vec<ArrayRef>,
    parts: std::iter::StepBy<std::ops::Range<usize>>,
    batch_rows: usize,
    ready: std::vec::IntoIter<RecordBatch>,
    /// Where groups are put together.
    table: Groups,
}

impl Told {
    fn new(
        spec: Arc<Spec>,
        schema: SchemaRef,
        counted: Arc<Counted>,
        parts: std::iter::StepBy<std::ops::Range<usize>>,
        batch_rows: usize,
    ) -> Result<Self> {
        let values = spec.keys.iter().zip(&counted.codes).map(|(key, codes)| {
            let codes = codes.lock().unwrap_or_else(PoisonError::into_inner);
            codes.values(&key.kind)
        });
        let values = values.collect::<Result<_>>()?;
        let table = Groups::new(spec.width());
        Ok(Told { spec, schema, counted, values, parts, batch_rows, ready: Vec::new().into_iter(), table })
    }

    /// The groups of a part, and its memory given back.
    fn part(&mut self, part: usize) -> Result<Vec<RecordBatch>> {
        let mut table = std::mem::replace(&mut self.table, Groups::new(self.spec.width()));
        let mut batches = Vec::new();
        self.counted.shards.tell(part, &mut table, |groups| {
            if groups.len() > 0 {
                let batch = self.batch(groups)?;
                // As many batches as need be, none much smaller than the others.
                let rows = batch.num_rows().div_ceil(batch.num_rows().div_ceil(self.batch_rows.max(1)));
                for from in (0..batch.num_rows()).step_by(rows) {
                    batches.push(batch.slice(from, rows.min(batch.num_rows() - from)));
                }
            }
            Ok(())
        })?;
        self.table = table;
        Ok(batches)
    }

    fn batch(&self, groups: &Groups) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (place, values) in self.values.chunks(CODES_PER_WORD).enumerate() {
            let words = groups.codes(place);
            for (column, values) in values.iter().enumerate() {
                let shift = column as u32 * CODE_BITS;
                let codes: Vec<u32> = words.iter().map(|word| u32::from((word >> shift) as u16)).collect();
                columns.push(take(values, &UInt32Array::from(codes), None)?);
            }
        }
        for (measure, place) in self.spec.measures.iter().zip(self.spec.places()) {
            let counts = groups.counts(place);
            let nulls = measure.may_be_null.then(|| groups.counts(place + 1).iter().map(|rows| *rows > 0).collect());
            columns.push(Arc::new(Int64Array::new(counts.into(), nulls)));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| internal_datafusion_err!("counts are not what was planned: {error}"))
    }
}

impl Iterator for Told {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.next() {
                return Some(Ok(batch));
            }
            let part = self.parts.next()?;
            match self.part(part) {
                Ok(batches) => self.ready = batches.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
