//! Rows of which a value has no code: they are counted as the plan said at first.
//!
//! A value either has a code for the whole query or has none from the first row that asked for it on, so that no
//! group has rows on both ways.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, Partitioning, ReplaceChildrenOptions};
use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Batches that may wait between a lane and the rest.
const WAITING: usize = 2;

/// The other way of a query, made when its first row comes.
pub struct Rest {
    last: Arc<AggregateExec>,
    first: Arc<AggregateExec>,
    lanes: usize,
    context: Arc<TaskContext>,
    way: Mutex<Option<Way>>,
}

struct Way {
    into: Vec<Sender<RecordBatch>>,
    out: Vec<Option<SendableRecordBatchStream>>,
}

impl Rest {
    /// No rows yet, of so many lanes: `first` and `last` are the two halves of the aggregation as it was planned.
    pub fn new(last: Arc<AggregateExec>, first: Arc<AggregateExec>, lanes: usize, context: Arc<TaskContext>) -> Self {
        Rest { last, first, lanes, context, way: Mutex::new(None) }
    }

    /// Where the rows of a lane go.
    pub fn sender(&self, lane: usize) -> Result<Sender<RecordBatch>> {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        if way.is_none() {
            *way = Some(self.open()?);
        }
        let sender = way.as_ref().and_then(|way| way.into.get(lane)).cloned();
        sender.ok_or_else(|| internal_datafusion_err!("no lane {lane}"))
    }

    /// No lane has any more rows.
    pub fn close(&self) {
        if let Some(way) = self.way.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            way.into.clear();
        }
    }

    /// The groups of one partition; none where no row went this way.
    pub fn groups(&self, partition: usize) -> Option<SendableRecordBatchStream> {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        way.as_mut()?.out.get_mut(partition)?.take()
    }

    fn open(&self) -> Result<Way> {
        let schema = self.first.input().schema();
        let (mut into, mut partitions) = (Vec::new(), Vec::new());
        for _ in 0..self.lanes {
            let (sender, receiver) = channel(WAITING);
            into.push(sender);
            let rows = Rows { schema: Arc::clone(&schema), receiver: Mutex::new(Some(receiver)) };
            partitions.push(Arc::new(rows) as Arc<dyn PartitionStream>);
        }
        let rows = StreamingTableExec::try_new(schema, partitions, None, [], false, None)?;
        let new = || ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let first = Arc::clone(&self.first).replace_children(vec![Arc::new(rows)], new())?;
        let by = Partitioning::Hash(self.last.group_expr().input_exprs(), self.lanes);
        let spread = Arc::new(RepartitionExec::try_new(first, by)?);
        let last = Arc::clone(&self.last).replace_children(vec![spread], new())?;
        let out = (0..self.lanes).map(|partition| {
            // It runs from now on, not only when somebody asks for its groups: the lanes wait for it.
            let mut stream = RecordBatchReceiverStream::builder(last.schema(), WAITING);
            let (sender, mut groups) = (stream.tx(), last.execute(partition, Arc::clone(&self.context))?);
            stream.spawn(async move {
                while let Some(batch) = groups.next().await {
                    // Nobody listens any more: nobody wants to know.
                    if sender.send(batch).await.is_err() {
                        break;
                    }
                }
                Ok(())
            });
            Ok(Some(stream.build()))
        });
        Ok(Way { into, out: out.collect::<Result<_>>()? })
    }
}

/// Rows that a lane sends.
#[derive(Debug)]
struct Rows {
    schema: SchemaRef,
    receiver: Mutex<Option<Receiver<RecordBatch>>>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            receiver.recv().await.map(|batch| (Ok(batch), Some(receiver)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
