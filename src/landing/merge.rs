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

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::error::ArrowError;

use super::Error;
use super::file::Digest;
use super::gather::Gather;
use super::group::{Groups, PIECE_ROWS, Plan};
use super::proof::Tally;
use super::run::{self, Block, Run};
use super::spill::Spill;
use crate::tables::TableName;

/// How many row groups a part makes: every part has an edge in every run, and what stands at an edge is read twice.
const PART_GROUPS: u64 = 2;

/// What is written, and how.
pub(super) struct Job<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) runs: &'a [Run],
    /// Of the runs: the columns of the file, and the number of a row.
    pub(super) run_schema: &'a SchemaRef,
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

/// Writes the rows of all runs into the file, in order. `path` is for messages.
pub(super) fn write(job: &Job<'_>, file: &File, path: &Path) -> Result<Written, Error> {
    let groups = Groups::new(job.plan, file, path)?;
    let cuts = cuts(job.runs, job.group_rows * PART_GROUPS);
    let floor = Floor {
        job,
        groups,
        cuts: &cuts,
        next: AtomicUsize::new(0),
        line: Mutex::new(Line {
            start: 0,
            start_of: 0,
            carried: Vec::new(),
            carried_to: 0,
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
    let Floor { line, groups, .. } = floor;
    let line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = line.failure {
        return Err(error);
    }
    let (digest, tally) = groups.finish()?;
    Ok(Written { digest, tally, twins_tally: line.twins_tally, twins: line.twins })
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
    groups: Groups<'a>,
    cuts: &'a [Box<[u8]>],
    next: AtomicUsize,
    line: Mutex<Line>,
    moved: Condvar,
}

/// What threads hand on to each other, part by part and row group by row group.
struct Line {
    /// How many rows stand before the part `start_of`.
    start: u64,
    start_of: usize,
    /// Rows in front of the part `carried_to` that fill no row group by themselves.
    carried: Vec<RecordBatch>,
    carried_to: usize,
    twins_tally: Tally,
    twins: Vec<u64>,
    failure: Option<Error>,
}

/// Somebody else has failed.
struct Over;

impl Floor<'_> {
    fn work(&self) {
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part > self.cuts.len() {
                return;
            }
            // A panic would leave the others waiting for ever.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.part(part)));
            match done.unwrap_or_else(|_| Err(Some(crashed(self.job.plan.name)))) {
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
    fn turn(&self, is_mine: impl Fn(&Line) -> bool) -> Result<MutexGuard<'_, Line>, Over> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |line: &mut Line| line.failure.is_none() && !is_mine(line);
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
        let behind = order.get(if fills { (whole - begin) as usize } else { 0 }..).unwrap_or_default();
        let mut behind = self.gather(&gather, behind).map_err(Some)?;
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
            self.group(from / size, std::mem::take(&mut carried), &gather, own).map_err(Some)?;
            from = until;
        }
        if is_last && from == begin && !carried.is_empty() {
            self.group((begin - 1) / size, carried, &gather, &[]).map_err(Some)?;
        }
        Ok(())
    }

    /// Encodes a row group: what was carried into it, and rows of the part.
    fn group(&self, index: u64, carried: Vec<RecordBatch>, gather: &Gather, own: &[u32]) -> Result<(), Error> {
        let mut group = self.groups.begin(index)?;
        let before: usize = carried.iter().map(RecordBatch::num_rows).sum();
        for rows in carried {
            group.write(rows)?;
        }
        // So that what is gathered at once is encoded at once, and not moved together with what stands beside it.
        let (first, rest) = own.split_at(own.len().min(before.next_multiple_of(PIECE_ROWS) - before));
        for piece in [first].into_iter().filter(|first| !first.is_empty()).chain(rest.chunks(PIECE_ROWS)) {
            self.gather(gather, piece)?.into_iter().try_for_each(|rows| group.write(rows))?;
        }
        group.end()
    }

    /// The rows of a part, gathered.
    fn gather(&self, gather: &Gather, order: &[u32]) -> Result<Vec<RecordBatch>, Error> {
        let piece = |piece| gather.rows(piece, self.job.plan.schema).map_err(|source| self.arrow(source));
        order.chunks(PIECE_ROWS).map(piece).collect()
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
            let read = run::read(blocks, self.job.run_schema, self.job.spill)?;
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
                let bytes = self.job.plan.order.bytes(&rows.slice(middle, 1)).map_err(|source| self.arrow(source))?;
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
        let mut order = self
            .job
            .plan
            .order
            .sorted(&self.job.plan.order.among(gather.columns()))
            .map_err(|source| self.arrow(source))?;
        if self.job.twins.is_empty() {
            return Ok((order, Vec::new()));
        }
        let mut is_twin = Vec::with_capacity(order.len());
        let mut tally = Tally::default();
        for rows in slices {
            let mut hashes = self.job.plan.order.hashes(rows.columns()).map_err(|source| self.arrow(source))?;
            let mask: Vec<bool> = hashes.iter().map(|hash| self.job.twins.contains_key(&(*hash).max(1))).collect();
            let left = filter_record_batch(rows, &BooleanArray::from(mask.clone()));
            hashes.retain(|hash| self.job.twins.contains_key(&(*hash).max(1)));
            tally.add(left.map_err(|source| self.arrow(source))?.columns(), &hashes, self.job.plan.controls);
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
        Error::Arrow { table: self.job.plan.name.clone(), source }
    }
}
