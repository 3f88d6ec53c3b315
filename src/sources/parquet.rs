//! Parquet files: the granted columns and no others.
//!
//! The number of rows is the one in the file's footer, written by whoever wrote
//! the file; the values are decoded from its pages, several row groups at once.
//! A row group in which no row can be asked for, by its own statistics, is not
//! read. The files of a folder and those of a store are read by the same code:
//! [`Parts`] says where the bytes are.

use std::fs::File;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::basic::Type as Physical;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use ::parquet::file::reader::ChunkReader;
use ::parquet::file::statistics::Statistics;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::blocks::{locked, threads};
use super::cells::Cells;
use super::files::{Named, Stamp};
use super::predicate::{self, Known, Sifter};
use super::values::{DAYS, Rows};
use super::{Answer, BATCH_ROWS, Error, Found, Request, Take};
use crate::pipeline::filter::Condition;
use crate::pipeline::{SourceTable, Type};

/// Where the bytes of a file are.
pub(super) trait Parts: Sync {
    /// What the library reads from.
    type Reader: ChunkReader + 'static;

    /// Gives these ranges of the file; others need not be had.
    fn parts(&self, ranges: &[Range<u64>]) -> Result<Self::Reader, Error>;

    /// What the library said, as an error that names the file.
    fn failed(&self, source: ParquetError) -> Error;
}

/// A file whose footer was read.
pub(super) struct Footed<P> {
    pub(super) parts: P,
    pub(super) footer: ArrowReaderMetadata,
}

/// The columns of the file.
pub(super) fn describe(file: &Named) -> Result<Vec<Found>, Error> {
    Ok(found(&open(file)?.footer))
}

/// Reads the granted columns.
pub(super) fn read(file: &Named, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
    read_all(&[open(file)?], file.asked(request), request, take)
}

/// The columns that a footer names.
pub(super) fn found(footer: &ArrowReaderMetadata) -> Vec<Found> {
    let column = |field: &arrow::datatypes::FieldRef| {
        let (fills, is_list) = Cells::fills(field.data_type());
        Found { name: field.name().clone(), kind: field.data_type().to_string(), fills, is_list, granted: true }
    };
    footer.schema().fields().iter().map(column).collect()
}

/// What the footer says, with moments of the oldest form in microseconds: in the nanoseconds that the library
/// would take, the year 9999 is another year.
pub(super) fn footer(
    metadata: ::parquet::file::metadata::ParquetMetaData,
) -> Result<ArrowReaderMetadata, ParquetError> {
    let metadata = std::sync::Arc::new(metadata);
    let footer = ArrowReaderMetadata::try_new(std::sync::Arc::clone(&metadata), ArrowReaderOptions::new())?;
    let columns = footer.parquet_schema().columns();
    let is_old = |name: &str| {
        columns
            .iter()
            .any(|column| column.physical_type() == Physical::INT96 && column.path().parts() == [name.to_owned()])
    };
    if !columns.iter().any(|column| column.physical_type() == Physical::INT96) {
        return Ok(footer);
    }
    let field = |field: &arrow::datatypes::FieldRef| match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_old(field.name()) => {
            Field::new(field.name(), DataType::Timestamp(TimeUnit::Microsecond, zone.clone()), field.is_nullable())
        }
        _ => field.as_ref().clone(),
    };
    let schema = Schema::new(footer.schema().fields().iter().map(field).collect::<Vec<_>>());
    ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new().with_schema(std::sync::Arc::new(schema)))
}

/// Reads the granted columns of all files, as one table.
pub(super) fn read_all<P: Parts>(
    files: &[Footed<P>],
    asked: String,
    request: Request<'_>,
    take: &Take<'_>,
) -> Result<Answer, Error> {
    let (tasks, records) = tasks(files);
    let sifter = Sifter::new(request, take);
    let (next, taken, fault) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(None));
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let take: &Take<'_> = &|batch| sifter.take(batch);
            if request.condition.is_some_and(|condition| !can_pass(condition, request.table, task)) {
                sifter.leave_out(task.rows);
                taken.fetch_add(task.rows, Ordering::Relaxed);
                continue;
            }
            match read_group(task, request.table, take) {
                Ok(rows) => taken.fetch_add(rows, Ordering::Relaxed),
                Err(error) => {
                    locked(&fault).get_or_insert(error);
                    next.fetch_add(tasks.len(), Ordering::Relaxed) as u64
                }
            };
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads().min(tasks.len()) {
            if let Err(source) = std::thread::Builder::new().name("decode".to_owned()).spawn_scoped(scope, work) {
                locked(&fault).get_or_insert(Error::Runtime { source });
            }
        }
        work();
    });
    sifter.outcome(locked(&fault).take().map_or(Ok(()), Err))?;
    Ok(sifter.answer(asked, records, taken.into_inner()))
}

/// A row group to be read.
struct Task<'a, P> {
    file: &'a Footed<P>,
    group: usize,
    metadata: &'a RowGroupMetaData,
    first_row: u64,
    rows: u64,
}

/// The row groups of all files, and the number of rows that the files say they have.
fn tasks<P>(files: &[Footed<P>]) -> (Vec<Task<'_, P>>, u64) {
    let mut tasks = Vec::new();
    let (mut first_row, mut records) = (1, 0);
    for file in files {
        let metadata = file.footer.metadata();
        records += u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        for (group, metadata) in metadata.row_groups().iter().enumerate() {
            let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
            tasks.push(Task { file, group, metadata, first_row, rows });
            first_row += rows;
        }
    }
    (tasks, records)
}

fn read_group<P: Parts>(task: &Task<'_, P>, table: &SourceTable, take: &Take<'_>) -> Result<u64, Error> {
    let failed = |source: ParquetError| task.file.parts.failed(source);
    let schema = task.file.footer.schema();
    let roots = table.columns.iter().filter_map(|column| schema.index_of(&column.name).ok());
    let mask = ProjectionMask::roots(task.file.footer.parquet_schema(), roots);
    let chunks = task.metadata.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
    let ranges: Vec<_> = chunks.map(|(_, chunk)| range(chunk)).collect();
    let reader = task.file.parts.parts(&ranges)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(reader, task.file.footer.clone())
        .with_row_groups(vec![task.group])
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(failed)?;
    let mut rows = Rows::numbered_from(table, task.first_row);
    for batch in reader {
        let batch = batch.map_err(|error| failed(error.into()))?;
        for (index, column) in table.columns.iter().enumerate() {
            // A column that vanished since the contract was checked gives no values; the batch is then refused.
            if let Some(array) = batch.column_by_name(&column.name) {
                Cells::of(array).map_err(|error| failed(error.into()))?.push(&mut rows, index, column.kind);
            }
        }
        rows.rows(batch.num_rows());
        rows.hand_over(take)?;
    }
    Ok(rows.taken())
}

/// Where a column of a row group stands; a damaged footer may say anything, but the library checks what it reads.
fn range(chunk: &::parquet::file::metadata::ColumnChunkMetaData) -> Range<u64> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let (start, length) = (u64::try_from(start).unwrap_or(0), u64::try_from(chunk.compressed_size()).unwrap_or(0));
    start..start.saturating_add(length)
}

/// Whether a row of the group can pass the filter, or has to be kept because its filter column cannot be read.
fn can_pass<P>(condition: &Condition, table: &SourceTable, task: &Task<'_, P>) -> bool {
    let known = |name: &str| known(name, table, task).unwrap_or(Known { range: None, nulls: None });
    predicate::may_be(condition, true, &known)
}

/// What the statistics say of a column whose values can all be read: others must reach the type policy.
fn known<P>(name: &str, table: &SourceTable, task: &Task<'_, P>) -> Option<Known> {
    let declared = table.column(name)?;
    let schema = task.file.footer.parquet_schema();
    let leaf = schema.columns().iter().position(|column| column.path().parts() == [name.to_owned()])?;
    let kind = task.file.footer.schema().field_with_name(name).ok()?.data_type();
    let statistics = task.metadata.columns().get(leaf)?.statistics()?;
    let range = match statistics {
        Statistics::Int32(found) => (i64::from(*found.min_opt()?), i64::from(*found.max_opt()?)),
        Statistics::Int64(found) => (*found.min_opt()?, *found.max_opt()?),
        _ => return None,
    };
    let is_readable = match (declared.kind, kind) {
        (Type::Int, kind) => kind.is_signed_integer(),
        (Type::Date, DataType::Date32) => DAYS.contains(&range.0) && DAYS.contains(&range.1),
        _ => false,
    };
    let nulls = statistics.null_count_opt().map(|nulls| (nulls, task.rows));
    is_readable.then_some(Known { range: Some(range), nulls })
}

/// A file of a folder: each row group is read through a handle of its own, for they would move each other's place.
struct Local<'a> {
    file: &'a Named,
    stamp: Stamp,
}

impl Parts for Local<'_> {
    type Reader = File;

    fn parts(&self, _: &[Range<u64>]) -> Result<File, Error> {
        let (handle, opened) = self.file.open_watched()?;
        if opened.stamp() == self.stamp { Ok(handle) } else { Err(Error::Changed { path: self.file.shown.clone() }) }
    }

    fn failed(&self, source: ParquetError) -> Error {
        Error::Parquet { path: self.file.shown.clone(), source }
    }
}

fn open(file: &Named) -> Result<Footed<Local<'_>>, Error> {
    let (handle, opened) = file.open_watched()?;
    let parts = Local { file, stamp: opened.stamp() };
    let footer = ParquetMetaDataReader::new().parse_and_finish(&handle).and_then(footer);
    let footer = footer.map_err(|source| parts.failed(source))?;
    Ok(Footed { parts, footer })
}
