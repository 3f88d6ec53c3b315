//! Runs become one sorted Parquet file.
//!
//! The order is cut into parts of a few row groups, so that a part of every run
//! fits in memory. Threads take the parts in turn: each
//! reads its slices of all runs, sorts them together, leaves out the rows whose
//! key stands in the table more than once, and encodes. Row groups are cut at
//! fixed numbers of rows, and not where the parts are, so that the same rows give
//! the same bytes in whatever order they were read: what a part has beyond its
//! last whole row group is handed on to the next. This module must not know
//! where rows come from.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory};
use parquet::errors::ParquetError;

use super::file::{Digest, Parts, leaves};
use super::intake::{self, Block, Gather, Run};
use super::order::Order;
use super::proof::{Controls, Tally};
use super::spill::Spill;
use super::{Error, shown};
use crate::tables::TableName;

/// What the values of a row group take at most, before they are encoded, and how many rows it has.
const GROUP_BYTES: u64 = 10 << 20;
const GROUP_ROWS: u64 = 1 << 17;
const GROUP_ROWS_MIN: u64 = 256;

/// How many row groups a part makes: every part has an edge in every run, and what stands at an edge is read twice.
const PART_GROUPS: u64 = 3;

/// How many rows are gathered and encoded at once.
const PIECE_ROWS: usize = 16_384;

/// What is written, and how.
pub(super) struct Job<'a> {
    pub(super) name: &'a TableName,
    pub(super) order: &'a Order,
    pub(super) controls: &'a Controls,
    pub(super) runs: &'a [Run],
    /// Of the runs: the columns of `schema`, and the number of a row.
    pub(super) run_schema: &'a SchemaRef,
    /// Of the file.
    pub(super) schema: &'a SchemaRef,
    pub(super) spill: &'a Spill,
    /// Keys that stand in the table more than once.
    pub(super) twins: &'a HashMap<u128, u64>,
    /// How many rows a row group has.
    pub(super) group_rows: u64,
    pub(super) threads: usize,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) digest: Digest,
    pub(super) tally: Tally,
    /// The same of the rows that were left out because their key stands in the table more than once.
    pub(super) twins_tally: Tally,
    /// The numbers of those rows.
    pub(super) twins: Vec<u64>,
}

/// How many rows a row group has, by what the rows themselves say: the same for the same rows.
pub(super) fn group_rows(rows: u64, content_bytes: u64) -> u64 {
    let row_bytes = content_bytes.checked_div(rows).unwrap_or(0).max(1);
    1 << (GROUP_BYTES / row_bytes).clamp(GROUP_ROWS_MIN, GROUP_ROWS).ilog2()
}

/// Writes the rows of all runs into the file, in order. `path` is for messages.
pub(super) fn write(job: &Job<'_>, file: &File, path: &Path) -> Result<Written, Error> {
    let (parts, factory) = Parts::new(file, path, job.schema, job.order.names())?;
    let cuts = cuts(job.runs, job.group_rows * PART_GROUPS);
    let floor = Floor {
        job,
        path,
        factory,
        cuts: &cuts,
        next: AtomicUsize::new(0),
        line: Mutex::new(Line {
            start: 0,
            start_of: 0,
            carried: Vec::new(),
            carried_to: 0,
            parts: Some(parts),
            ready: BTreeMap::new(),
            group: 0,
            tally: Tally::default(),
            twins_tally: Tally::default(),
            twins: Vec::new(),
            failure: None,
        }),
        moved: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..job.threads.min(cuts.len() + 1) {
            scope.spawn(|| floor.work());
        }
        floor.work();
    });
    let line = floor.line.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = line.failure {
        return Err(error);
    }
    let Some(parts) = line.parts else { return Err(crashed(job.name)) };
    Ok(Written { digest: parts.finish()?, tally: line.tally, twins_tally: line.twins_tally, twins: line.twins })
}

fn crashed(table: &TableName) -> Error {
    Error::Crashed { source_name: table.schema.clone() }
}

/// Places in the order, rising, that cut the rows into parts of about `rows`.
fn cuts(runs: &[Run], rows: u64) -> Vec<Box<[u8]>> {
    let mut blocks: Vec<(&[u8], u64)> =
        runs.iter().flatten().map(|block| (block.first.as_ref(), block.rows as u64)).collect();
    blocks.sort_unstable();
    let mut cuts: Vec<Box<[u8]>> = Vec::new();
    let mut so_far = 0;
    for (first, more) in blocks {
        if so_far >= rows && cuts.last().is_none_or(|last| last.as_ref() < first) {
            cuts.push(first.into());
            so_far = 0;
        }
        so_far += more;
    }
    cuts
}

/// Where threads work together.
struct Floor<'a> {
    job: &'a Job<'a>,
    path: &'a Path,
    factory: ArrowRowGroupWriterFactory,
    cuts: &'a [Box<[u8]>],
    next: AtomicUsize,
    line: Mutex<Line<'a>>,
    moved: Condvar,
}

/// What threads hand on to each other, part by part and row group by row group.
struct Line<'a> {
    /// How many rows stand before the part `start_of`.
    start: u64,
    start_of: usize,
    /// Rows in front of the part `carried_to` that fill no row group by themselves.
    carried: Vec<RecordBatch>,
    carried_to: usize,
    parts: Option<Parts<'a>>,
    /// Row groups that are encoded and wait for those before them: they are small.
    ready: BTreeMap<u64, Vec<ArrowColumnChunk>>,
    /// The row group that is appended next.
    group: u64,
    tally: Tally,
    twins_tally: Tally,
    twins: Vec<u64>,
    failure: Option<Error>,
}

/// Somebody else has failed.
struct Over;

impl<'a> Floor<'a> {
    fn work(&self) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part > self.cuts.len() {
                return;
            }
            // A panic would leave the others waiting for ever.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.part(part)));
            match done.unwrap_or_else(|_| Err(Some(crashed(self.job.name)))) {
                Ok(()) => {}
                Err(error) => {
                    let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
                    line.failure = line.failure.take().or(error);
                    self.moved.notify_all();
                    return;
                }
            }
        }
    }

    /// Waits for one's turn.
    fn turn(&self, is_mine: impl Fn(&Line<'a>) -> bool) -> Result<MutexGuard<'_, Line<'a>>, Over> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |line: &mut Line<'a>| line.failure.is_none() && !is_mine(line);
        let line = self.moved.wait_while(line, waits).unwrap_or_else(PoisonError::into_inner);
        if line.failure.is_some() { Err(Over) } else { Ok(line) }
    }

    fn part(&self, part: usize) -> Result<(), Option<Error>> {
        let over = |_: Over| None::<Error>;
        let slices = self.slices(part).map_err(Some)?;
        let gather = Gather::new(&slices).map_err(|source| Some(self.arrow(source)))?;
        let (order, twins) = self.order(&slices, &gather).map_err(Some)?;
        drop(slices);
        let rows = order.len() as u64;
        let begin = {
            let mut line = self.turn(|line| line.start_of == part).map_err(over)?;
            let begin = line.start;
            line.start += rows;
            line.start_of += 1;
            line.twins.extend(twins);
            self.moved.notify_all();
            begin
        };
        let size = self.job.group_rows;
        let end = begin + rows;
        let is_last = part == self.cuts.len();
        // Rows before `whole` fill row groups that end in this part.
        let whole = if is_last { end } else { (end / size * size).max(begin) };
        let fills = is_last || end / size > begin / size;
        let mut tally = Tally::default();
        let behind = order.get(if fills { (whole - begin) as usize } else { 0 }..).unwrap_or_default();
        let mut behind = self.gather(&gather, behind, &mut tally).map_err(Some)?;
        let mut line = self.turn(|line| line.carried_to == part).map_err(over)?;
        let mut carried = std::mem::take(&mut line.carried);
        if fills {
            line.carried = behind;
        } else {
            carried.append(&mut behind);
            line.carried = std::mem::take(&mut carried);
        }
        line.carried_to += 1;
        drop(line);
        self.moved.notify_all();
        let mut from = begin;
        while fills && from < whole {
            let until = ((from / size + 1) * size).min(whole);
            let range = (from - begin) as usize..(until - begin) as usize;
            let own = order.get(range).unwrap_or_default();
            self.group(from / size, std::mem::take(&mut carried), &gather, own, &mut tally)?;
            from = until;
        }
        if is_last && from == begin && !carried.is_empty() {
            self.group((begin - 1) / size, carried, &gather, &[], &mut tally)?;
        }
        self.line.lock().unwrap_or_else(PoisonError::into_inner).tally.join(&tally);
        Ok(())
    }

    /// Encodes a row group, and appends it with those that waited for it.
    fn group(
        &self,
        index: u64,
        carried: Vec<RecordBatch>,
        gather: &Gather,
        own: &[u32],
        tally: &mut Tally,
    ) -> Result<(), Option<Error>> {
        let chunks = self.encode(index, carried, gather, own, tally).map_err(Some)?;
        // Who is early leaves it for whoever brings the one before: nobody waits with an encoded row group.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.ready.insert(index, chunks);
        let Line { parts, ready, group, .. } = &mut *line;
        let Some(parts) = parts.as_mut() else { return Err(Some(crashed(self.job.name))) };
        while let Some(chunks) = ready.remove(group) {
            parts.append(chunks).map_err(Some)?;
            *group += 1;
        }
        Ok(())
    }

    fn encode(
        &self,
        index: u64,
        carried: Vec<RecordBatch>,
        gather: &Gather,
        own: &[u32],
        tally: &mut Tally,
    ) -> Result<Vec<ArrowColumnChunk>, Error> {
        let failed = |source: ParquetError| Error::Parquet { path: shown(self.path), source };
        let mut writers = self.factory.create_column_writers(index as usize).map_err(failed)?;
        let mut write = |rows: &RecordBatch| {
            let mut writers = writers.iter_mut();
            for (field, column) in self.job.schema.fields().iter().zip(rows.columns()) {
                for leaf in leaves(field, column)? {
                    writers.next().map_or(Ok(()), |writer| writer.write(&leaf))?;
                }
            }
            Ok(())
        };
        for rows in carried {
            write(&rows).map_err(failed)?;
        }
        for piece in own.chunks(PIECE_ROWS) {
            for rows in self.gather(gather, piece, tally)? {
                write(&rows).map_err(failed)?;
            }
        }
        writers.into_iter().map(|writer| writer.close().map_err(failed)).collect()
    }

    /// The rows of a part, gathered and counted.
    fn gather(&self, gather: &Gather, order: &[u32], tally: &mut Tally) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::with_capacity(order.len().div_ceil(PIECE_ROWS));
        for piece in order.chunks(PIECE_ROWS) {
            let rows = gather.rows(piece, self.job.schema).map_err(|source| self.arrow(source))?;
            let hashes = self.job.order.hashes(rows.columns()).map_err(|source| self.arrow(source))?;
            tally.add(rows.columns(), &hashes, self.job.controls);
            batches.push(rows);
        }
        Ok(batches)
    }

    /// The slices of all runs that belong to a part.
    fn slices(&self, part: usize) -> Result<Vec<RecordBatch>, Error> {
        let low = part.checked_sub(1).and_then(|part| self.cuts.get(part)).map(AsRef::as_ref);
        let high = self.cuts.get(part).map(AsRef::as_ref);
        let mut slices = Vec::new();
        for run in self.job.runs {
            let begin = low.map_or(0, |low| run.partition_point(|block| block.first.as_ref() <= low).saturating_sub(1));
            let end = high.map_or(run.len(), |high| run.partition_point(|block| block.first.as_ref() < high));
            let blocks = run.get(begin..end).unwrap_or_default();
            let read = intake::read(blocks, self.job.run_schema, self.job.spill)?;
            for (index, (block, rows)) in blocks.iter().zip(read).enumerate() {
                let rows = self.within(block, rows, low, high.filter(|_| index + 1 == blocks.len()))?;
                slices.extend(Some(rows).filter(|rows| rows.num_rows() > 0));
            }
        }
        Ok(slices)
    }

    /// The rows of a block from `low` on and before `high`.
    fn within(
        &self,
        block: &Block,
        rows: RecordBatch,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
    ) -> Result<RecordBatch, Error> {
        let low = low.filter(|low| block.first.as_ref() < *low);
        if low.is_none() && high.is_none() {
            return Ok(rows);
        }
        // A block is searched by a dozen of its rows: bringing all of them into bytes costs as much as sorting them.
        let before = |place: &[u8]| {
            let (mut from, mut until) = (0, rows.num_rows());
            while from < until {
                let middle = from.midpoint(until);
                let bytes = self.job.order.bytes(&rows.slice(middle, 1)).map_err(|source| self.arrow(source))?;
                if bytes.row(0).data() < place { from = middle + 1 } else { until = middle }
            }
            Ok::<usize, Error>(from)
        };
        let from = low.map_or(Ok(0), before)?;
        let until = high.map_or(Ok(rows.num_rows()), before)?;
        Ok(rows.slice(from, until.saturating_sub(from)))
    }

    /// The rows of a part in order, and the numbers of those left out.
    fn order(&self, slices: &[RecordBatch], gather: &Gather) -> Result<(Vec<u32>, Vec<u64>), Error> {
        if slices.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut order =
            self.job.order.sorted(&self.job.order.among(gather.columns())).map_err(|source| self.arrow(source))?;
        if self.job.twins.is_empty() {
            return Ok((order, Vec::new()));
        }
        let mut is_twin = Vec::with_capacity(order.len());
        let mut tally = Tally::default();
        for rows in slices {
            let mut hashes = self.job.order.hashes(rows.columns()).map_err(|source| self.arrow(source))?;
            let mask: Vec<bool> = hashes.iter().map(|hash| self.job.twins.contains_key(&(*hash).max(1))).collect();
            let left = filter_record_batch(rows, &BooleanArray::from(mask.clone()));
            hashes.retain(|hash| self.job.twins.contains_key(&(*hash).max(1)));
            tally.add(left.map_err(|source| self.arrow(source))?.columns(), &hashes, self.job.controls);
            is_twin.extend(mask);
        }
        self.line.lock().unwrap_or_else(PoisonError::into_inner).twins_tally.join(&tally);
        let numbers = gather.columns().get(self.job.run_schema.fields().len() - 1);
        let numbers = numbers.and_then(|numbers| numbers.as_primitive_opt::<UInt64Type>());
        let numbers = numbers.map_or(&[][..], |numbers| numbers.values());
        let mut twins = Vec::new();
        order.retain(|row| {
            let is_twin = is_twin.get(*row as usize).copied().unwrap_or(false);
            twins.extend(numbers.get(*row as usize).filter(|_| is_twin));
            !is_twin
        });
        Ok((order, twins))
    }

    fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.job.name.clone(), source }
    }
}
