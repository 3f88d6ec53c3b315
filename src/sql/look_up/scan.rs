//! The scan of a landed table of which few rows are asked for.
//!
//! Row groups are given out one by one, so that no thread waits for another. Of a row group the key column is read
//! first; where no key is asked for it is passed over, and so are pages.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelectionPolicy, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::{ChunkReader, Length};

use super::key_set::{Answer, Asked, hash};

/// Rows are skipped one by one where fewer than one in sixteen is asked for; above, all are unpacked and then left out.
const RUN_ROWS: usize = 8;

/// A row group's keys are read at once; ours have half as many.
const GROUP_ROWS: usize = 256 << 10;

/// Reads of files the rows whose key is asked for.
#[derive(Debug)]
pub(super) struct KeyedScan {
    work: Arc<Work>,
    asked: Arc<Asked>,
    properties: Arc<PlanProperties>,
}

/// What is read, shared by all threads.
#[derive(Debug)]
struct Work {
    files: Vec<PathBuf>,
    schema: SchemaRef,
    /// The key's place in the schema.
    key: usize,
    opened: OnceLock<std::result::Result<Vec<Group>, Arc<DataFusionError>>>,
    next: AtomicUsize,
}

/// A row group of a file.
#[derive(Debug, Clone)]
struct Group {
    file: usize,
    place: usize,
    metadata: ArrowReaderMetadata,
}

impl KeyedScan {
    /// The same rows by the key in this column; none where they do not lie in files of ours, or where the condition
    /// of the scan does better by leaving out what its files are sorted by.
    pub(super) fn of(scan: &DataSourceExec, key: usize, asked: &Arc<Asked>, threads: usize) -> Result<Option<Self>> {
        let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() else { return Ok(None) };
        let sorted_by = config.output_ordering.first().and_then(|order| order.first().expr.downcast_ref::<Column>());
        let is_sifted = match (source.filter(), sorted_by) {
            (Some(condition), Some(first)) => {
                collect_columns(&condition).iter().any(|column| column.name() == first.name())
            }
            _ => false,
        };
        let is_plain = config.limit.is_none()
            && config.table_partition_cols().is_empty()
            && !source.table_parquet_options().global.pushdown_filters
            && config.file_source().projection().is_none_or(|columns| {
                let names = config.projected_schema().ok();
                columns.iter().enumerate().all(|(place, column)| {
                    let name = names.as_ref().and_then(|schema| schema.fields().get(place));
                    let read = column.expr.downcast_ref::<Column>();
                    read.zip(name).is_some_and(|(read, name)| read.name() == name.name())
                })
            });
        if is_sifted || !is_plain {
            return Ok(None);
        }
        let disk = LocalFileSystem::new();
        let mut files = Vec::new();
        for file in config.file_groups.iter().flat_map(|group| group.files()) {
            let Ok(path) = disk.path_to_filesystem(&file.object_meta.location) else { return Ok(None) };
            if file.range.is_some() {
                return Ok(None);
            }
            files.push(path);
        }
        let schema = scan.schema();
        let properties = super::properties(Arc::clone(&schema), threads.max(1));
        let work = Work { files, schema, key, opened: OnceLock::new(), next: AtomicUsize::new(0) };
        Ok(Some(KeyedScan { work: Arc::new(work), asked: Arc::clone(asked), properties }))
    }
}

impl DisplayAs for KeyedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.work.schema.fields().iter().map(|field| field.name().as_str());
        let key = self.work.schema.fields().get(self.work.key).map_or("", |field| field.name());
        write!(f, "KeyedScan: key={key}, columns=[{}]", names.collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for KeyedScan {
    fn name(&self) -> &str {
        "KeyedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, part: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if part == 0 {
            // While the few are being collected; who is told what went wrong is who reads.
            let work = Arc::clone(&self.work);
            drop(tokio::task::spawn_blocking(move || drop(work.groups().map(|_| ()))));
        }
        let (work, asked) = (Arc::clone(&self.work), Arc::clone(&self.asked));
        let batch_rows = context.session_config().batch_size();
        let rows = async move {
            let asked = asked.known().await?;
            let mut read = RecordBatchReceiverStream::builder(Arc::clone(&work.schema), 2);
            let to = read.tx();
            read.spawn_blocking(move || {
                // Nobody listens any more: what is left need not be read.
                work.read(&asked, batch_rows, |batch| to.blocking_send(Ok(batch)).is_ok())
            });
            Ok::<_, DataFusionError>(read.build())
        };
        let rows = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

impl Work {
    /// Reads row groups until none is left, or nobody wants more.
    fn read(&self, asked: &Answer, batch_rows: usize, mut give: impl FnMut(RecordBatch) -> bool) -> Result<()> {
        let groups = self.groups()?;
        let mut open: Option<(usize, Arc<File>)> = None;
        let (mut hashes, mut found) = (Vec::new(), Vec::new());
        while let Some(group) = groups.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if open.as_ref().is_none_or(|(file, _)| *file != group.file) {
                open = Some((group.file, Arc::new(self.file(group.file)?)));
            }
            let Some((_, file)) = &open else { continue };
            let Some(keys) = self.keys(group, file)? else { continue };
            if let Some(asked) = asked {
                hash(&keys, &mut hashes)?;
                asked.places(&hashes, &mut found);
            }
            let (selection, keys) = match asked {
                Some(_) if found.is_empty() => continue,
                Some(_) if found.len() < keys.len() => {
                    let places: UInt64Array = found.iter().map(|place| *place as u64).collect();
                    (Some(runs(&found)), take(&keys, &places, None)?)
                }
                _ => (None, keys),
            };
            let others = self.schema.fields().iter().enumerate().filter(|(at, _)| *at != self.key);
            let others: Vec<usize> = others.filter_map(|(_, field)| place(group, field.name())).collect();
            let mut given = 0;
            for batch in rows(group, file, &others, batch_rows, selection)? {
                let batch = batch?;
                let keys = keys.slice(given, batch.num_rows());
                given += batch.num_rows();
                if !give(self.in_form(&batch, &keys)?) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The row groups of all files; read once, by whoever comes first.
    fn groups(&self) -> Result<&[Group]> {
        match self.opened.get_or_init(|| self.open().map_err(Arc::new)) {
            Ok(groups) => Ok(groups),
            Err(error) => Err(DataFusionError::Shared(Arc::clone(error))),
        }
    }

    fn open(&self) -> Result<Vec<Group>> {
        let mut groups = Vec::new();
        for file in 0..self.files.len() {
            // Where its pages lie, so that those in which nobody is asked for stay where they are.
            let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load(&self.file(file)?, options)?;
            let of_file = 0..metadata.metadata().num_row_groups();
            groups.extend(of_file.map(|place| Group { file, place, metadata: metadata.clone() }));
        }
        Ok(groups)
    }

    fn file(&self, file: usize) -> Result<File> {
        let path = self.files.get(file).ok_or_else(|| exec_datafusion_err!("a file of a look-up is not known"))?;
        Ok(File::open(path)?)
    }

    /// The keys of a group; none where the file has no such column, and so no value that is asked for.
    fn keys(&self, group: &Group, file: &Arc<File>) -> Result<Option<ArrayRef>> {
        let field = self.schema.field(self.key);
        let Some(key) = place(group, field.name()) else { return Ok(None) };
        let batches = rows(group, file, &[key], GROUP_ROWS, None)?.collect::<std::result::Result<Vec<_>, _>>()?;
        let keys: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
        let keys = match keys.as_slice() {
            [] => return Ok(None),
            _ => concat(&keys)?,
        };
        Ok(Some(if keys.data_type() == field.data_type() { keys } else { cast(&keys, field.data_type())? }))
    }

    /// A batch with the columns of the schema, in their order; a column that the file has not is empty.
    fn in_form(&self, batch: &RecordBatch, keys: &ArrayRef) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().enumerate().map(|(at, field)| {
            if at == self.key {
                return Ok(Arc::clone(keys));
            }
            match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(column) => cast(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// These rows, each by itself.
fn runs(rows: &[usize]) -> RowSelection {
    let (mut runs, mut next) = (Vec::with_capacity(rows.len() * 2), 0);
    for row in rows {
        if *row > next {
            runs.push(RowSelector::skip(row - next));
        }
        runs.push(RowSelector::select(1));
        next = row + 1;
    }
    RowSelection::from(runs)
}

/// A column's place in the file.
fn place(group: &Group, name: &str) -> Option<usize> {
    group.metadata.schema().index_of(name).ok()
}

/// These rows of these columns of a group.
fn rows(
    group: &Group,
    file: &Arc<File>,
    columns: &[usize],
    batch_rows: usize,
    selection: Option<RowSelection>,
) -> Result<ParquetRecordBatchReader> {
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(Disk(Arc::clone(file)), group.metadata.clone());
    let mask = ProjectionMask::roots(reader.parquet_schema(), columns.iter().copied());
    let reader = reader.with_row_groups(vec![group.place]).with_projection(mask).with_batch_size(batch_rows);
    let reader = match selection {
        Some(rows) => {
            reader.with_row_selection(rows).with_row_selection_policy(RowSelectionPolicy::Auto { threshold: RUN_ROWS })
        }
        None => reader,
    };
    Ok(reader.build()?)
}

/// A file that is read at places, without a place of its own: the library's way opens the file anew and seeks in it for
/// each page, and four threads wait for each other in the system.
struct Disk(Arc<File>);

impl Length for Disk {
    fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |file| file.len())
    }
}

impl ChunkReader for Disk {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::new(From { file: Arc::clone(&self.0), next: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// What stands in the file from a place on.
struct From {
    file: Arc<File>,
    next: u64,
}

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(into, self.next)?;
        self.next += count as u64;
        Ok(count)
    }
}
