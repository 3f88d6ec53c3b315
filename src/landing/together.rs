//! A large table as Parquet, encoded by several threads.
//!
//! Each row group is encoded by one of them and appended when its turn has come, so that the same rows give the
//! same bytes however many threads there are. This module must not know what the table is for.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory};
use parquet::errors::ParquetError;

use super::file::{Digest, Parts, leaves};
use super::{Error, shown};
use crate::sources::BATCH_ROWS;
use crate::tables::Table;

/// With fewer rows one thread is done before several have begun.
pub(super) const WORTH_ROWS: usize = 4 * BATCH_ROWS;

/// Where row groups wait for those before them.
struct Line {
    parts: Parts,
    ready: BTreeMap<usize, Vec<ArrowColumnChunk>>,
    next: usize,
    failure: Option<Error>,
}

/// Writes the table. `path` is for messages.
pub(super) fn write(table: &Table, file: &File, path: &Path) -> Result<Digest, Error> {
    let (parts, factory) = Parts::unsorted(file, path, &table.schema)?;
    let groups = groups(&table.batches);
    let line = Mutex::new(Line { parts, ready: BTreeMap::new(), next: 0, failure: None });
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(rows) = groups.get(index) else { return };
            let encoded = encode(&factory, index, table, rows);
            let encoded = encoded.map_err(|source| Error::Parquet { path: shown(path), source });
            let mut line = lock(&line);
            if let Err(error) = encoded.and_then(|chunks| append(&mut line, index, chunks)) {
                line.failure.get_or_insert(error);
            }
            if line.failure.is_some() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let Line { parts, failure, .. } = line.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)?;
    parts.finish()
}

/// The rows of each row group, as pieces of the batches in which they are.
fn groups(batches: &[RecordBatch]) -> Vec<Vec<RecordBatch>> {
    let mut groups = Vec::new();
    let (mut group, mut free) = (Vec::new(), BATCH_ROWS);
    for batch in batches {
        let mut rows = batch.clone();
        while rows.num_rows() > 0 {
            let fitting = rows.num_rows().min(free);
            group.push(rows.slice(0, fitting));
            rows = rows.slice(fitting, rows.num_rows() - fitting);
            free -= fitting;
            if free == 0 {
                groups.push(std::mem::take(&mut group));
                free = BATCH_ROWS;
            }
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

fn encode(
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    table: &Table,
    rows: &[RecordBatch],
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let mut writers = factory.create_column_writers(index)?;
    for batch in rows {
        let mut writers = writers.iter_mut();
        for (field, column) in table.schema.fields().iter().zip(batch.columns()) {
            for leaf in leaves(field, column)? {
                writers.next().ok_or_else(|| ParquetError::General("a column has no writer".into()))?.write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

fn append(line: &mut Line, index: usize, chunks: Vec<ArrowColumnChunk>) -> Result<(), Error> {
    line.ready.insert(index, chunks);
    while let Some(chunks) = line.ready.remove(&line.next) {
        line.parts.append(chunks)?;
        line.next += 1;
    }
    Ok(())
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}
