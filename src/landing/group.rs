//! Row groups: how many rows they have, encoded piece by piece on any thread, and
//! put into the file in order, whoever brings them first.
//!
//! A page may end only between pieces, and pieces are cut at fixed places of a row
//! group, so that the same rows give the same bytes however they arrive. This
//! module must not know where rows come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, max, min};
use arrow::datatypes::{DataType, Date32Type, Int64Type, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;

use super::file::{Digest, Parts, leaves};
use super::order::Order;
use super::proof::{Controls, Tally};
use super::{Error, shown};
use crate::tables::TableName;

/// What the values of a row group take at most, before they are encoded, and how many rows it has.
pub(super) const GROUP_BYTES: u64 = 10 << 20;
pub(super) const GROUP_ROWS: u64 = 1 << 17;
const GROUP_ROWS_MIN: u64 = 256;

/// How many rows are gathered and encoded at once.
pub(super) const PIECE_ROWS: usize = 16_384;

/// How many rows a row group has, by what the rows themselves say: the same for the same rows.
pub(super) fn group_rows(rows: u64, content_bytes: u64) -> u64 {
    let row_bytes = content_bytes.checked_div(rows).unwrap_or(0).max(1);
    1 << (GROUP_BYTES / row_bytes).clamp(GROUP_ROWS_MIN, GROUP_ROWS).ilog2()
}

/// What the values of these columns take, whatever buffers hold them.
pub(super) fn content_bytes(columns: &[ArrayRef]) -> u64 {
    columns.iter().map(content).sum()
}

fn content(array: &ArrayRef) -> u64 {
    let rows = array.len() as u64;
    let ends = |offsets: &[i32]| match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => (last - first) as u64,
        _ => 0,
    };
    match array.data_type() {
        DataType::Utf8 => rows * 4 + ends(array.as_string::<i32>().value_offsets()),
        DataType::Binary => rows * 4 + ends(array.as_binary::<i32>().value_offsets()),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (offsets, values) = (list.value_offsets(), list.values());
            let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
            rows * 4 + content(&values.slice(first as usize, (last - first) as usize))
        }
        kind => rows * kind.primitive_width().unwrap_or(1) as u64,
    }
}

/// What every row group of a table needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) name: &'a TableName,
    pub(super) order: &'a Order,
    pub(super) controls: &'a Controls,
    /// Of the file.
    pub(super) schema: &'a SchemaRef,
}

/// A file that row groups are put into.
pub(super) struct Groups<'a> {
    plan: Plan<'a>,
    path: PathBuf,
    factory: ArrowRowGroupWriterFactory,
    line: Mutex<Line>,
}

struct Line {
    parts: Parts,
    /// Row groups that are encoded and wait for those before them: they are small.
    ready: BTreeMap<u64, Vec<ArrowColumnChunk>>,
    /// The row group that is appended next.
    next: u64,
    tally: Tally,
}

impl<'a> Groups<'a> {
    /// Begins a file. `path` is for messages.
    pub(super) fn new(plan: Plan<'a>, file: &File, path: &Path) -> Result<Self, Error> {
        let (parts, factory) = Parts::new(file, path, plan.schema, plan.order.names())?;
        let line = Line { parts, ready: BTreeMap::new(), next: 0, tally: Tally::default() };
        Ok(Groups { plan, path: path.into(), factory, line: Mutex::new(line) })
    }

    /// Begins the row group that has this place in the file.
    pub(super) fn begin(&self, index: u64) -> Result<Group<'_>, Error> {
        let writers = self.factory.create_column_writers(index as usize).map_err(|source| self.failed(source))?;
        let (pieces, rows, said) = (Vec::new(), 0, vec![Said::default(); writers.len()]);
        Ok(Group { groups: self, index, writers, said, pieces, rows, tally: Tally::default() })
    }

    /// Writes the footer and makes the file durable; its digest, and what was encoded into it.
    pub(super) fn finish(self) -> Result<(Digest, Tally), Error> {
        let line = self.line.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((line.parts.finish()?, line.tally))
    }

    fn failed(&self, source: ParquetError) -> Error {
        Error::Parquet { path: shown(&self.path), source }
    }
}

/// A row group that is being encoded.
pub(super) struct Group<'g> {
    groups: &'g Groups<'g>,
    index: u64,
    writers: Vec<ArrowColumnWriter>,
    /// What is said of each column where the encoder says nothing.
    said: Vec<Said>,
    /// Rows that do not fill a piece yet.
    pieces: Vec<RecordBatch>,
    rows: usize,
    tally: Tally,
}

impl Group<'_> {
    /// Takes the next rows, which have the columns of the file.
    pub(super) fn write(&mut self, mut rows: RecordBatch) -> Result<(), Error> {
        while rows.num_rows() > 0 {
            let fitting = rows.num_rows().min(PIECE_ROWS - self.rows);
            self.pieces.push(rows.slice(0, fitting));
            self.rows += fitting;
            rows = rows.slice(fitting, rows.num_rows() - fitting);
            if self.rows == PIECE_ROWS {
                self.encode()?;
            }
        }
        Ok(())
    }

    /// Encodes a piece, and counts it: this is what is compared with what came in.
    fn encode(&mut self) -> Result<(), Error> {
        let Plan { name, order, controls, schema } = self.groups.plan;
        let arrow = |source| Error::Arrow { table: name.clone(), source };
        self.rows = 0;
        let rows = match (self.pieces.pop(), self.pieces.is_empty()) {
            (None, _) => return Ok(()),
            (Some(rows), true) => rows,
            (Some(rows), false) => {
                self.pieces.push(rows);
                let rows = concat_batches(schema, &self.pieces).map_err(arrow)?;
                self.pieces.clear();
                rows
            }
        };
        let hashes = order.hashes(rows.columns()).map_err(arrow)?;
        self.tally.add(rows.columns(), &hashes, controls);
        // Each column has one leaf, a list too.
        self.said.iter_mut().zip(rows.columns()).for_each(|(said, column)| said.add(column));
        let mut writers = self.writers.iter_mut();
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            for leaf in leaves(field, column).map_err(|source| self.groups.failed(source))? {
                let written = writers.next().map_or(Ok(()), |writer| writer.write(&leaf));
                written.map_err(|source| self.groups.failed(source))?;
            }
        }
        Ok(())
    }

    /// Ends it, and appends it with those that waited for it.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.encode()?;
        let Group { groups, index, writers, said, tally, .. } = self;
        let closed = writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>();
        let mut chunks = closed.map_err(|source| groups.failed(source))?;
        for ((chunk, said), field) in chunks.iter_mut().zip(&said).zip(groups.plan.schema.fields()) {
            if let Some(statistics) = said.statistics(field.data_type()) {
                say(chunk, statistics);
            }
        }
        // Who is early leaves it for whoever brings the one before: nobody waits with an encoded row group.
        let mut line = groups.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.tally.join(&tally);
        line.ready.insert(index, chunks);
        let Line { parts, ready, next, .. } = &mut *line;
        while let Some(chunks) = ready.remove(next) {
            parts.append(chunks)?;
            *next += 1;
        }
        Ok(())
    }
}

/// What a reader may skip a row group by.
#[derive(Debug, Clone, Default)]
struct Said {
    /// How many values are empty: that none is must not have to be read.
    empty: u64,
    /// The least and the greatest number or day. The encoder would find them too, and take ten times as long.
    ends: Option<(i64, i64)>,
}

impl Said {
    fn add(&mut self, column: &ArrayRef) {
        self.empty += column.null_count() as u64;
        let ends = if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
            min(numbers).zip(max(numbers))
        } else if let Some(days) = column.as_primitive_opt::<Date32Type>() {
            min(days).map(i64::from).zip(max(days).map(i64::from))
        } else {
            None
        };
        if let Some((least, greatest)) = ends {
            let (before, behind) = self.ends.unwrap_or((least, greatest));
            self.ends = Some((before.min(least), behind.max(greatest)));
        }
    }

    /// As a file says it; none where the encoder does.
    fn statistics(&self, kind: &DataType) -> Option<Statistics> {
        let empty = Some(self.empty);
        let ends = |wanted: fn((i64, i64)) -> i64| self.ends.map(wanted);
        let (least, greatest) = (ends(|ends| ends.0), ends(|ends| ends.1));
        match kind {
            DataType::Utf8 | DataType::Binary => Some(Statistics::byte_array(None, None, None, empty, false)),
            DataType::Int64 => Some(Statistics::int64(least, greatest, None, empty, false)),
            DataType::Date32 => {
                let day = |day: Option<i64>| day.and_then(|day| i32::try_from(day).ok());
                Some(Statistics::int32(day(least), day(greatest), None, empty, false))
            }
            _ => None,
        }
    }
}

/// Says so where the encoder has said nothing.
fn say(chunk: &mut ArrowColumnChunk, statistics: Statistics) {
    let close = chunk.close_mut();
    if close.metadata.statistics().is_none() {
        let builder = close.metadata.clone().into_builder().set_statistics(statistics);
        if let Ok(metadata) = builder.build() {
            close.metadata = metadata;
        }
    }
}
