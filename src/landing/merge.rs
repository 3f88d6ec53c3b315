//! Buckets become one sorted Parquet file.
//!
//! Buckets that make a few row groups are a part. Threads take the parts in turn:
//! each sorts its buckets, leaves out the rows whose
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

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use arrow::error::ArrowError;

use super::Error;
use super::buckets::{Bucket, Shed};
use super::file::Digest;
use super::group::{Groups, PIECE_ROWS, Plan};
use super::packed::Layout;
use super::proof::Tally;
use crate::tables::TableName;

/// How many row groups a part makes: what it has beyond its last whole one is moved once more.
const PART_GROUPS: u64 = 2;

/// What is written, and how.
pub(super) struct Job<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) shed: &'a Shed<'a>,
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

/// Writes the rows of all buckets into the file, in order. `path` is for messages.
pub(super) fn write(job: &Job<'_>, buckets: Vec<Bucket>, file: &File, path: &Path) -> Result<Written, Error> {
    let (line, groups) = encode(job, &buckets, file, path)?;
    if let Some(error) = line.failure {
        return Err(error);
    }
    // What is needed no more is given back while the rest of the file becomes durable, and nobody waits for the
    // memory: giving back a quarter of a gigabyte takes longer.
    let freeing = std::thread::Builder::new().name("landing memory".to_owned());
    drop(freeing.spawn(|| drop(buckets)));
    let (digest, tally) = std::thread::scope(|scope| {
        scope.spawn(|| job.shed.clear());
        groups.finish()
    })?;
    Ok(Written { digest, tally, twins_tally: line.twins_tally, twins: line.twins })
}

/// Encodes the rows of all buckets.
fn encode<'j>(job: &Job<'j>, buckets: &[Bucket], file: &File, path: &Path) -> Result<(Line, Groups<'j>), Error> {
    let groups = Groups::new(job.plan, file, path)?;
    let parts = parts(buckets, job.group_rows * PART_GROUPS);
    let floor = Floor {
        job,
        groups,
        parts: &parts,
        early: Early::default(),
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
        scope.spawn(|| {
            if let Err(source) = floor.early.run(file) {
                floor.fail(Some(Error::io(path, source)));
            }
        });
        let workers: Vec<_> = (1..job.threads.min(parts.len())).map(|_| scope.spawn(|| floor.work())).collect();
        floor.work();
        // A thread that has panicked has left its failure.
        workers.into_iter().for_each(|worker| drop(worker.join()));
        floor.early.end();
    });
    let Floor { line, groups, .. } = floor;
    Ok((line.into_inner().unwrap_or_else(PoisonError::into_inner), groups))
}

fn crashed(table: &TableName) -> Error {
    Error::Crashed { source_name: table.schema.clone() }
}

/// Buckets that stand one behind the other and have about so many rows together; the last part is there even when
/// nothing is in it.
fn parts(buckets: &[Bucket], rows: u64) -> Vec<&[Bucket]> {
    let mut parts = Vec::new();
    let (mut from, mut so_far) = (0, 0);
    for (at, bucket) in buckets.iter().enumerate() {
        so_far += bucket.rows;
        if so_far >= rows {
            parts.extend(buckets.get(from..=at));
            (from, so_far) = (at + 1, 0);
        }
    }
    if so_far > 0 || parts.is_empty() {
        parts.extend(buckets.get(from..));
    }
    parts
}

/// Makes durable what was written while the rest is encoded, so that little is left to wait for.
#[derive(Default)]
struct Early {
    /// How many row groups were written since it was last done, and whether no more come.
    written: Mutex<(u32, bool)>,
    told: Condvar,
}

/// So many row groups are worth it.
const EARLY_GROUPS: u32 = 8;

impl Early {
    fn tell(&self) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        self.told.notify_one();
    }

    fn end(&self) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.told.notify_one();
    }

    fn run(&self, file: &File) -> std::io::Result<()> {
        loop {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let waits = |(groups, is_over): &mut (u32, bool)| *groups < EARLY_GROUPS && !*is_over;
            let mut written = self.told.wait_while(written, waits).unwrap_or_else(PoisonError::into_inner);
            if written.1 {
                return Ok(());
            }
            written.0 = 0;
            drop(written);
            // The system says only once that it could not write, so that this must be heard here.
            file.sync_data()?;
        }
    }
}

/// Where threads work together.
struct Floor<'a, 'f> {
    job: &'f Job<'a>,
    groups: Groups<'a>,
    parts: &'f [&'f [Bucket]],
    early: Early,
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

/// The rows of a part, packed. Each thread has one, and uses it again for its next part.
#[derive(Default)]
struct Sorted {
    /// The rows of one bucket as they came, and where each begins.
    loaded: Vec<u8>,
    begins: Vec<u32>,
    /// The rows of all buckets in order, and where each begins.
    bytes: Vec<u8>,
    order: Vec<u32>,
    /// The numbers of those that were left out.
    twins: Vec<u64>,
}

/// Somebody else has failed.
struct Over;

impl Floor<'_, '_> {
    fn work(&self) {
        let mut sorted = Sorted::default();
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(buckets) = self.parts.get(part) else { return };
            // A panic would leave the others waiting for ever.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.part(part, buckets, &mut sorted)));
            match done.unwrap_or_else(|_| Err(Some(crashed(self.job.plan.name)))) {
                Ok(()) => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail(&self, error: Option<Error>) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.failure = line.failure.take().or(error);
        self.moved.notify_all();
    }

    /// Waits for one's turn.
    fn turn(&self, is_mine: impl Fn(&Line) -> bool) -> Result<MutexGuard<'_, Line>, Over> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |line: &mut Line| line.failure.is_none() && !is_mine(line);
        let line = self.moved.wait_while(line, waits).unwrap_or_else(PoisonError::into_inner);
        if line.failure.is_some() { Err(Over) } else { Ok(line) }
    }

    fn part(&self, part: usize, buckets: &[Bucket], sorted: &mut Sorted) -> Result<(), Option<Error>> {
        let over = |_: Over| None::<Error>;
        self.sort(buckets, sorted).map_err(Some)?;
        let Sorted { bytes, order, twins, .. } = sorted;
        let (bytes, order) = (bytes.as_slice(), order.as_slice());
        let rows = order.len() as u64;
        let begin = {
            let mut line = self.turn(|line| line.start_of == part).map_err(over)?;
            let begin = line.start;
            line.start += rows;
            line.start_of += 1;
            line.twins.append(twins);
            self.moved.notify_all();
            begin
        };
        let size = self.job.group_rows;
        let end = begin + rows;
        let is_last = part + 1 == self.parts.len();
        // Rows before `whole` fill row groups that end in this part.
        let whole = if is_last { end } else { (end / size * size).max(begin) };
        let fills = is_last || end / size > begin / size;
        let behind = order.get(if fills { (whole - begin) as usize } else { 0 }..).unwrap_or_default();
        let mut behind = self.unpack(bytes, behind).map_err(Some)?;
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
            self.group(from / size, std::mem::take(&mut carried), bytes, own).map_err(Some)?;
            from = until;
        }
        if is_last && from == begin && !carried.is_empty() {
            self.group((begin - 1) / size, carried, bytes, &[]).map_err(Some)?;
        }
        Ok(())
    }

    /// Encodes a row group: what was carried into it, and rows of the part.
    fn group(&self, index: u64, carried: Vec<RecordBatch>, bytes: &[u8], own: &[u32]) -> Result<(), Error> {
        let mut group = self.groups.begin(index)?;
        let before: usize = carried.iter().map(RecordBatch::num_rows).sum();
        for rows in carried {
            group.write(rows)?;
        }
        // So that what is gathered at once is encoded at once, and not moved together with what stands beside it.
        let (first, rest) = own.split_at(own.len().min(before.next_multiple_of(PIECE_ROWS) - before));
        for piece in [first].into_iter().filter(|first| !first.is_empty()).chain(rest.chunks(PIECE_ROWS)) {
            self.unpack(bytes, piece)?.into_iter().try_for_each(|rows| group.write(rows))?;
        }
        group.end()?;
        self.early.tell();
        Ok(())
    }

    /// The rows that begin there.
    fn unpack(&self, bytes: &[u8], order: &[u32]) -> Result<Vec<RecordBatch>, Error> {
        let layout = &self.job.shed.layout;
        let piece = |piece| layout.rows(bytes, piece, self.job.plan.schema).map_err(|source| self.arrow(source));
        order.chunks(PIECE_ROWS).map(piece).collect()
    }

    /// The rows of buckets in order, without those whose key stands in the table more than once.
    fn sort(&self, buckets: &[Bucket], sorted: &mut Sorted) -> Result<(), Error> {
        let Job { shed, plan, .. } = self.job;
        sorted.order.clear();
        let mut end = 0;
        for bucket in buckets {
            sorted.loaded.clear();
            sorted.begins.clear();
            shed.load(bucket, &mut sorted.loaded, &mut sorted.begins)?;
            if !self.job.twins.is_empty() {
                self.leave_out(sorted)?;
            }
            let Sorted { loaded, begins, bytes, order, .. } = &mut *sorted;
            let sorting = shed.layout.sorting(loaded, begins).map_err(|source| self.arrow(source))?;
            let rows = plan.order.sorted(&sorting).map_err(|source| self.arrow(source))?;
            // While the bucket is in the cache: unpacking looks at each row once per column.
            let begins = rows.iter().filter_map(|row| begins.get(*row as usize));
            end = Layout::gather(loaded, begins, bytes, end, order).map_err(|source| self.arrow(source))?;
        }
        Ok(())
    }

    /// Leaves out the rows whose key stands in the table more than once, and counts them.
    fn leave_out(&self, sorted: &mut Sorted) -> Result<(), Error> {
        let Job { shed, plan, twins, .. } = self.job;
        let failed = |source| self.arrow(source);
        let Sorted { loaded, begins, .. } = &mut *sorted;
        let keys = shed.layout.some(loaded, begins, plan.order.key()).map_err(failed)?;
        let hashes = plan.order.hashes_of(&keys).map_err(failed)?;
        let is_twin = |hash: &u128| twins.contains_key(&(*hash).max(1));
        let mut left_out = Vec::new();
        let mut each = hashes.iter();
        begins.retain(|begin| {
            let is_twin = each.next().is_some_and(is_twin);
            left_out.extend(Some(*begin).filter(|_| is_twin));
            !is_twin
        });
        if left_out.is_empty() {
            return Ok(());
        }
        let columns = shed.layout.all(&sorted.loaded, &left_out).map_err(failed)?;
        let hashes: Vec<u128> = hashes.into_iter().filter(is_twin).collect();
        let mut tally = Tally::default();
        tally.add(&columns, &hashes, plan.controls);
        self.line.lock().unwrap_or_else(PoisonError::into_inner).twins_tally.join(&tally);
        let numbers = columns.last().and_then(|numbers| numbers.as_primitive_opt::<UInt64Type>());
        sorted.twins.extend(numbers.map_or(&[][..], |numbers| numbers.values()));
        Ok(())
    }

    fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.job.plan.name.clone(), source }
    }
}
