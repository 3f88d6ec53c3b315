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

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
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
        let (pieces, rows, empty) = (Vec::new(), 0, vec![0; writers.len()]);
        Ok(Group { groups: self, index, writers, empty, pieces, rows, tally: Tally::default() })
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
    /// How many values of each column are empty.
    empty: Vec<u64>,
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
        for (empty, column) in self.empty.iter_mut().zip(rows.columns()) {
            *empty += column.null_count() as u64;
        }
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
        let Group { groups, index, writers, empty, tally, .. } = self;
        let closed = writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>();
        let mut chunks = closed.map_err(|source| groups.failed(source))?;
        for ((chunk, empty), field) in chunks.iter_mut().zip(empty).zip(groups.plan.schema.fields()) {
            if matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
                count_empty(chunk, empty);
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

/// Says how many values are empty where nothing else is said of a column: that none is empty must not have to be read.
fn count_empty(chunk: &mut ArrowColumnChunk, empty: u64) {
    let close = chunk.close_mut();
    if close.metadata.statistics().is_none() {
        let counted = Statistics::byte_array(None, None, None, Some(empty), false);
        let builder = close.metadata.clone().into_builder().set_statistics(counted);
        if let Ok(metadata) = builder.build() {
            close.metadata = metadata;
        }
    }
}
