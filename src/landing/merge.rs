//! Buckets become one sorted Parquet file.
//!
//! Row groups are cut at fixed numbers of rows, and not where the buckets are, so that
//! the same rows give the same bytes in whatever order they were read. Threads take the
//! row groups in turn: each sorts the buckets that a row group is made of, leaves out the
//! rows whose key stands in the table more than once, and moves what is left piece by
//! piece through the cache into the encoders. A bucket of which two row groups have some
//! rows is sorted by whoever comes first. This module must not know where rows come from.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use arrow::error::ArrowError;

use super::Error;
use super::buckets::{Bucket, Shed};
use super::file::Digest;
use super::group::{Group, Groups, PIECE_ROWS, Plan};
use super::packed::Layout;
use super::proof::Tally;

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
    let left_out = LeftOut::of(job, &buckets)?;
    let groups = encode(job, &buckets, &left_out, file, path)?;
    // What is needed no more is given back while the rest of the file becomes durable, and nobody waits for the
    // memory: giving back a quarter of a gigabyte takes longer.
    let freeing = std::thread::Builder::new().name("landing memory".to_owned());
    drop(freeing.spawn(|| drop(buckets)));
    let (digest, tally) = std::thread::scope(|scope| {
        scope.spawn(|| job.shed.clear());
        groups.finish()
    })?;
    Ok(Written { digest, tally, twins_tally: left_out.tally, twins: left_out.numbers })
}

/// Rows whose key stands in the table more than once.
struct LeftOut {
    tally: Tally,
    numbers: Vec<u64>,
    /// How many rows stand before each bucket without them; the last number is that of all rows.
    starts: Vec<u64>,
}

impl LeftOut {
    /// Counts them: where a row group begins is known only then.
    fn of(job: &Job<'_>, buckets: &[Bucket]) -> Result<Self, Error> {
        let mut kept: Vec<u64> = buckets.iter().map(|bucket| bucket.rows).collect();
        let (mut tally, mut numbers) = (Tally::default(), Vec::new());
        if !job.twins.is_empty() {
            let found = Mutex::new((&mut kept, &mut tally, &mut numbers));
            each(job, buckets.len(), &|at, scratch| {
                let Some(bucket) = buckets.get(at) else { return Ok(()) };
                let Some((of_bucket, mut rows)) = scratch.sorted.left_out(job, bucket)? else { return Ok(()) };
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                let (kept, tally, numbers) = &mut *found;
                if let Some(kept) = kept.get_mut(at) {
                    *kept = kept.saturating_sub(of_bucket.rows);
                }
                tally.join(&of_bucket);
                numbers.append(&mut rows);
                Ok(())
            })?;
        }
        numbers.sort_unstable();
        let mut starts = Vec::with_capacity(kept.len() + 1);
        let mut before = 0;
        starts.push(before);
        starts.extend(kept.iter().map(|rows| {
            before += rows;
            before
        }));
        Ok(LeftOut { tally, numbers, starts })
    }
}

/// Encodes the rows of all buckets.
fn encode<'j>(
    job: &Job<'j>,
    buckets: &[Bucket],
    left_out: &LeftOut,
    file: &File,
    path: &Path,
) -> Result<Groups<'j>, Error> {
    let groups = Groups::new(job.plan, file, path)?;
    let starts = left_out.starts.as_slice();
    let rows = starts.last().copied().unwrap_or(0);
    let shared = buckets.iter().map(|_| Mutex::default()).collect();
    let floor = Floor { job, groups, buckets, starts, rows, shared, early: Early::default() };
    let count = usize::try_from(rows.div_ceil(job.group_rows)).unwrap_or(usize::MAX);
    let (encoded, early) = std::thread::scope(|scope| {
        let early = scope.spawn(|| floor.early.run(file));
        let encoded = each(job, count, &|index, scratch| floor.group(index as u64, scratch));
        floor.early.end();
        (encoded, early.join())
    });
    encoded?;
    match early {
        Ok(early) => early.map_err(|source| Error::io(path, source))?,
        Err(_) => return Err(crashed(job)),
    }
    Ok(floor.groups)
}

fn crashed(job: &Job<'_>) -> Error {
    Error::Crashed { source_name: job.plan.name.schema.clone() }
}

/// Does so many pieces of work on several threads, each of which has some memory that it uses again, until one fails.
fn each(
    job: &Job<'_>,
    count: usize,
    work: &(dyn Fn(usize, &mut Scratch) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let all = || {
        let mut scratch = Scratch::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            if let Err(error) = work(at, &mut scratch) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                next.store(count, Ordering::Relaxed);
            }
        }
    };
    let is_whole = std::thread::scope(|scope| {
        let others: Vec<_> = (1..job.threads.min(count)).map(|_| scope.spawn(all)).collect();
        all();
        // A thread that has panicked has left its work undone.
        let mut is_whole = true;
        for other in others {
            is_whole &= other.join().is_ok();
        }
        is_whole
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None if is_whole => Ok(()),
        None => Err(crashed(job)),
    }
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
    buckets: &'f [Bucket],
    /// How many rows stand before each bucket.
    starts: &'f [u64],
    /// How many there are.
    rows: u64,
    /// Buckets of which several row groups have some rows.
    shared: Vec<Mutex<Shared>>,
    early: Early,
}

/// A bucket that several row groups need.
#[derive(Default)]
struct Shared {
    sorted: Option<Arc<Sorted>>,
    /// How many have taken it.
    taken: u64,
}

/// The rows of a bucket as they came, and where each begins, in order.
#[derive(Default)]
struct Sorted {
    bytes: Vec<u8>,
    order: Vec<u32>,
}

/// What a thread uses again for its next work.
#[derive(Default)]
struct Scratch {
    sorted: Sorted,
    /// Rows that are unpacked together, one behind the other, where the last ends, and where each begins.
    bytes: Vec<u8>,
    end: usize,
    begins: Vec<u32>,
}

impl Floor<'_, '_> {
    /// Encodes a row group.
    fn group(&self, index: u64, scratch: &mut Scratch) -> Result<(), Error> {
        let size = self.job.group_rows;
        let (from, until) = (index * size, (index * size + size).min(self.rows));
        let mut group = self.groups.begin(index)?;
        let first = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let places = self.starts.iter().zip(self.starts.iter().skip(1)).enumerate().skip(first);
        for (at, (start, end)) in places.take_while(|(_, (start, _))| **start < until) {
            let Some(bucket) = self.buckets.get(at).filter(|_| start < end) else { continue };
            let range = (from.max(*start) - start) as usize..(until.min(*end) - start) as usize;
            let Scratch { sorted: own, bytes, end: filled, begins } = &mut *scratch;
            let shared;
            let sorted = if *start < from || *end > until {
                shared = self.shared(at, bucket, (end - 1) / size - start / size + 1)?;
                shared.as_ref()
            } else {
                own.sort(self.job, bucket)?;
                &*own
            };
            let mut rows = sorted.order.get(range).unwrap_or_default();
            while !rows.is_empty() {
                let (fitting, behind) = rows.split_at(rows.len().min(PIECE_ROWS - begins.len()));
                rows = behind;
                let gathered = Layout::gather(&sorted.bytes, fitting.iter(), bytes, *filled, begins);
                *filled = gathered.map_err(|source| self.arrow(source))?;
                if begins.len() == PIECE_ROWS {
                    self.piece(&mut group, bytes, begins)?;
                    *filled = 0;
                }
            }
        }
        let Scratch { bytes, end, begins, .. } = scratch;
        self.piece(&mut group, bytes, begins)?;
        *end = 0;
        group.end()?;
        self.early.tell();
        Ok(())
    }

    /// Encodes rows that stand one behind the other.
    fn piece(&self, group: &mut Group<'_>, bytes: &[u8], begins: &mut Vec<u32>) -> Result<(), Error> {
        let rows = self.job.shed.layout.rows(bytes, begins, self.job.plan.schema);
        begins.clear();
        group.write(rows.map_err(|source| self.arrow(source))?)
    }

    /// A bucket that so many row groups need; the last to take it leaves nothing.
    fn shared(&self, at: usize, bucket: &Bucket, users: u64) -> Result<Arc<Sorted>, Error> {
        let Some(shared) = self.shared.get(at) else { return Err(crashed(self.job)) };
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let sorted = match shared.sorted.take() {
            Some(sorted) => sorted,
            None => {
                let mut sorted = Sorted::default();
                sorted.sort(self.job, bucket)?;
                Arc::new(sorted)
            }
        };
        shared.taken += 1;
        if shared.taken < users {
            shared.sorted = Some(Arc::clone(&sorted));
        }
        Ok(sorted)
    }

    fn arrow(&self, source: ArrowError) -> Error {
        self.job.shed.arrow(source)
    }
}

impl Sorted {
    /// Loads a bucket and puts its rows in order, without those whose key stands in the table more than once.
    fn sort(&mut self, job: &Job<'_>, bucket: &Bucket) -> Result<(), Error> {
        let failed = |source| job.shed.arrow(source);
        self.load(job, bucket)?;
        if !job.twins.is_empty() {
            let hashes = self.hashes(job)?;
            let mut each = hashes.iter();
            self.order.retain(|_| !each.next().is_some_and(|hash| is_twin(job, hash)));
        }
        let sorting = job.shed.layout.sorting(&self.bytes, &self.order).map_err(failed)?;
        let rows = job.plan.order.sorted(&sorting).map_err(failed)?;
        self.order = rows.iter().filter_map(|row| self.order.get(*row as usize).copied()).collect();
        Ok(())
    }

    fn load(&mut self, job: &Job<'_>, bucket: &Bucket) -> Result<(), Error> {
        self.bytes.clear();
        self.order.clear();
        job.shed.load(bucket, &mut self.bytes, &mut self.order)
    }

    /// The hashes of the keys of all rows.
    fn hashes(&self, job: &Job<'_>) -> Result<Vec<u128>, Error> {
        let Job { shed, plan, .. } = job;
        let keys = shed.layout.some(&self.bytes, &self.order, plan.order.key());
        keys.and_then(|keys| plan.order.hashes_of(&keys)).map_err(|source| shed.arrow(source))
    }

    /// The rows of a bucket whose key stands in the table more than once, counted, and their numbers.
    fn left_out(&mut self, job: &Job<'_>, bucket: &Bucket) -> Result<Option<(Tally, Vec<u64>)>, Error> {
        let Job { shed, plan, .. } = job;
        self.load(job, bucket)?;
        let all = self.hashes(job)?;
        let twins = self.order.iter().zip(all).filter(|(_, hash)| is_twin(job, hash));
        let (begins, hashes): (Vec<u32>, Vec<u128>) = twins.unzip();
        if begins.is_empty() {
            return Ok(None);
        }
        let columns = shed.layout.all(&self.bytes, &begins).map_err(|source| shed.arrow(source))?;
        let mut tally = Tally::default();
        tally.add(&columns, &hashes, plan.controls);
        let numbers = columns.last().and_then(|numbers| numbers.as_primitive_opt::<UInt64Type>());
        Ok(Some((tally, numbers.map_or_else(Vec::new, |numbers| numbers.values().to_vec()))))
    }
}

fn is_twin(job: &Job<'_>, hash: &u128) -> bool {
    job.twins.contains_key(&(*hash).max(1))
}
