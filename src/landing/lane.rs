//! Rows that come in the order of their key: encoded at once, without runs.
//!
//! A register that is read from its first row to its last usually stands in the
//! order of its key. Batches come from several threads; the lane puts them one
//! behind the other by the numbers of their rows, and gives whole row groups back
//! to be encoded. Keys that rise without a break are also the proof that none
//! stands in the table twice. At the first row that does not continue, the lane is
//! over: what it holds, and what it has encoded, goes the way of all other rows,
//! and the file is the same byte for byte. This module must not know how rows are
//! sorted or merged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::UInt64Type;
use tempfile::NamedTempFile;

use super::file::{self, Digest};
use super::group::{GROUP_BYTES, GROUP_ROWS, Groups, Plan, group_rows};
use super::proof::{Tally, add_sums};
use super::{Error, shown, store};

/// Rows that stand further behind than this come from another reader, which has a stretch of its own.
const AHEAD_ROWS_MAX: u64 = 1 << 20;

/// How much waits for rows that stand before it; who brings more waits with it, but not for ever: the reader of
/// the missing rows may be another that comes to them later, or a filter may have left them out.
const WAITING_BYTES_MAX: usize = 32 << 20;
const WAIT: Duration = Duration::from_millis(500);

/// In how many places the numbers of rows may have gaps: there rows were set aside.
const GAPS_MAX: usize = 1 << 16;

/// A place in the order, as bytes.
type Place = Box<[u8]>;

/// A batch whose keys rise.
pub(super) struct Stretch {
    /// The number of its first row, and how many rows it had before some were set aside.
    pub(super) first: u64,
    pub(super) count: u64,
    /// The keys of its first and its last row, as bytes; none when no row has one.
    pub(super) ends: Option<(Place, Place)>,
    /// The rows that are not set aside; the last column is their number.
    pub(super) rows: RecordBatch,
    pub(super) counts: Counts,
}

/// What is counted of rows as they come in.
#[derive(Default)]
pub(super) struct Counts {
    /// Of the rows that were not set aside.
    pub(super) tally: Tally,
    /// Control totals of all rows.
    pub(super) sums: Vec<(u64, i128)>,
    /// What the kept values themselves take, however they came: it decides how many rows are written together.
    pub(super) content_bytes: u64,
    /// The hashes and numbers of rows that were set aside and have a key.
    pub(super) bad: Vec<(u128, u64)>,
}

impl Counts {
    /// Adds others.
    pub(super) fn join(&mut self, mut other: Counts) {
        self.tally.join(&other.tally);
        add_sums(&mut self.sums, &other.sums);
        self.content_bytes += other.content_bytes;
        self.bad.append(&mut other.bad);
    }
}

/// Where rows in order go.
pub(super) struct Lane<'a> {
    plan: Plan<'a>,
    room: &'a Path,
    is_over: AtomicBool,
    state: Mutex<State<'a>>,
    /// Something that waited has found its place, or the lane is over.
    moved: Condvar,
}

#[derive(Default)]
struct State<'a> {
    counts: Counts,
    /// How many rows were taken, also those set aside: the next has the number behind.
    taken: u64,
    /// The last key.
    last: Option<Place>,
    /// What stands further behind.
    waiting: BTreeMap<u64, Stretch>,
    waiting_bytes: usize,
    /// Rows that fill no row group yet.
    rows: Vec<RecordBatch>,
    rows_count: u64,
    /// How many rows the row groups before them have.
    encoded: u64,
    /// Places from which on rows are numbered one by one, and the number there.
    numbers: Vec<(u64, u64)>,
    file: Option<Begun<'a>>,
}

/// A file that has been begun.
struct Begun<'a> {
    group_rows: u64,
    file: NamedTempFile,
    groups: Arc<Groups<'a>>,
}

/// Rows of one row group, to be encoded.
pub(super) struct Ready<'a> {
    groups: Arc<Groups<'a>>,
    index: u64,
    rows: Vec<RecordBatch>,
}

/// What became of a batch.
pub(super) enum Given<'a> {
    /// It continues; these row groups are full.
    Ready(Vec<Ready<'a>>),
    /// The lane is over, and this is what it held: with its numbers, and counted already.
    Over(Vec<RecordBatch>),
}

/// The whole table, in order.
pub(super) struct Whole {
    pub(super) file: NamedTempFile,
    pub(super) digest: Digest,
    pub(super) tally: Tally,
}

/// What a lane leaves when no more rows come.
pub(super) enum Left<'a> {
    /// All rows are encoded, but for those of these last row groups.
    Whole(Vec<Ready<'a>>),
    /// It is over.
    Over(Vec<RecordBatch>),
}

impl<'a> Lane<'a> {
    pub(super) fn new(plan: Plan<'a>, room: &'a Path) -> Self {
        Lane { plan, room, is_over: AtomicBool::new(false), state: Mutex::default(), moved: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether rows no longer come in order.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Takes a batch.
    pub(super) fn take(&self, stretch: Stretch) -> Result<Given<'a>, Error> {
        let is_early = |state: &mut State<'a>| {
            let is_next = stretch.first == state.taken + 1;
            !is_next && state.waiting_bytes > WAITING_BYTES_MAX && !self.is_over()
        };
        let waited = self.moved.wait_timeout_while(self.state(), WAIT, is_early);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_far = stretch.first > state.taken + AHEAD_ROWS_MAX;
        if self.is_over() || waited.timed_out() || is_far {
            let mut held = self.end(&mut state);
            held.push(stretch.rows);
            state.counts.join(stretch.counts);
            return Ok(Given::Over(held));
        }
        state.waiting_bytes += stretch.rows.get_array_memory_size();
        // Two batches with the same numbers are no order.
        let doubled = state.waiting.insert(stretch.first, stretch);
        let continues = doubled.is_none() && state.advance();
        if let Some(doubled) = doubled {
            state.keep(doubled);
        }
        if !continues {
            return Ok(Given::Over(self.end(&mut state)));
        }
        self.moved.notify_all();
        state.full(self.plan, self.room).map(Given::Ready)
    }

    /// A batch came that is in no order.
    pub(super) fn give_up(&self) -> Vec<RecordBatch> {
        self.end(&mut self.state())
    }

    fn end(&self, state: &mut State<'a>) -> Vec<RecordBatch> {
        self.is_over.store(true, Ordering::Relaxed);
        self.moved.notify_all();
        for (_, stretch) in std::mem::take(&mut state.waiting) {
            state.keep(stretch);
        }
        state.rows_count = 0;
        std::mem::take(&mut state.rows)
    }

    /// No more rows come.
    pub(super) fn close(&self) -> Left<'a> {
        let mut state = self.state();
        let (tally_rows, content_bytes) = (state.counts.tally.rows, state.counts.content_bytes);
        let size = state.file.as_ref().map(|begun| begun.group_rows);
        // A table of less than a row group is as quickly sorted. One whose rows became longer or shorter must be cut
        // otherwise than it was begun.
        let is_whole = state.waiting.is_empty() && size == Some(group_rows(tally_rows, content_bytes));
        if self.is_over() || !is_whole {
            return Left::Over(self.end(&mut state));
        }
        let rows = state.rows_count;
        Left::Whole(if rows > 0 { state.ready(rows).into_iter().collect() } else { Vec::new() })
    }

    /// What was counted, and the file when all rows are in it. To be called when everything is encoded.
    pub(super) fn finish(self) -> Result<(Counts, Option<Whole>), Error> {
        let is_over = self.is_over();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(begun) = state.file.filter(|_| !is_over) else { return Ok((state.counts, None)) };
        let Some(groups) = Arc::into_inner(begun.groups) else {
            return Err(Error::Crashed { source_name: self.plan.name.schema.clone() });
        };
        let (digest, tally) = groups.finish()?;
        Ok((state.counts, Some(Whole { file: begun.file, digest, tally })))
    }

    /// Gives back what was encoded, with its numbers, after the lane is over and nothing is being encoded any more.
    pub(super) fn read_back(&self, give: &mut dyn FnMut(Vec<ArrayRef>)) -> Result<(), Error> {
        let (begun, numbers) = {
            let mut state = self.state();
            (state.file.take(), std::mem::take(&mut state.numbers))
        };
        let Some(Begun { file, groups, .. }) = begun else { return Ok(()) };
        let Some(groups) = Arc::into_inner(groups) else {
            return Err(Error::Crashed { source_name: self.plan.name.schema.clone() });
        };
        groups.finish()?;
        let mut place = 0_u64;
        let (_, batches) = file::open(file.path(), None)?;
        for batch in batches {
            let batch = batch.map_err(|error| Error::Parquet { path: shown(file.path()), source: error.into() })?;
            let mut columns = batch.columns().to_vec();
            let rows = place..place + batch.num_rows() as u64;
            columns.push(Arc::new(UInt64Array::from_iter_values(rows.clone().map(|row| number(&numbers, row)))));
            place = rows.end;
            give(columns);
        }
        Ok(())
    }
}

/// The number of the row at a place.
fn number(numbers: &[(u64, u64)], place: u64) -> u64 {
    let behind = numbers.partition_point(|(from, _)| *from <= place);
    let (from, number) = behind.checked_sub(1).and_then(|at| numbers.get(at)).copied().unwrap_or_default();
    number + (place - from)
}

impl<'a> State<'a> {
    /// Moves on over what continues; false when something does not.
    fn advance(&mut self) -> bool {
        while let Some(stretch) = self.waiting.remove(&(self.taken + 1)) {
            let last = self.last.as_deref();
            let rises = stretch.ends.as_ref().is_none_or(|(first, _)| last.is_none_or(|last| last < first.as_ref()));
            self.waiting_bytes = self.waiting_bytes.saturating_sub(stretch.rows.get_array_memory_size());
            self.taken += stretch.count;
            if let Some((_, last)) = &stretch.ends {
                self.last = Some(last.clone());
            }
            let numbered = self.number(&stretch.rows);
            self.keep(stretch);
            if !rises || !numbered {
                return false;
            }
        }
        true
    }

    fn keep(&mut self, stretch: Stretch) {
        self.counts.join(stretch.counts);
        if stretch.rows.num_rows() > 0 {
            self.rows_count += stretch.rows.num_rows() as u64;
            self.rows.push(stretch.rows);
        }
    }

    /// Remembers where numbers have gaps; false when they have too many.
    fn number(&mut self, rows: &RecordBatch) -> bool {
        let numbers = rows.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let numbers = numbers.map_or(&[][..], |numbers| numbers.values());
        for (place, given) in (self.encoded + self.rows_count..).zip(numbers) {
            if self.numbers.last().is_none_or(|(from, number)| number + (place - from) != *given) {
                self.numbers.push((place, *given));
            }
        }
        self.numbers.len() <= GAPS_MAX
    }

    /// The row groups that are full.
    fn full(&mut self, plan: Plan<'a>, room: &Path) -> Result<Vec<Ready<'a>>, Error> {
        if self.file.is_none() && (self.rows_count >= GROUP_ROWS || self.counts.content_bytes >= GROUP_BYTES) {
            let group_rows = group_rows(self.counts.tally.rows, self.counts.content_bytes);
            let file = store::aside(room)?;
            let groups = Arc::new(Groups::new(plan, store::handle(&file), room)?);
            self.file = Some(Begun { group_rows, file, groups });
        }
        let mut ready = Vec::new();
        while let Some(size) = self.file.as_ref().map(|begun| begun.group_rows).filter(|size| self.rows_count >= *size)
        {
            ready.extend(self.ready(size));
        }
        Ok(ready)
    }

    /// The first rows, as the next row group.
    fn ready(&mut self, size: u64) -> Option<Ready<'a>> {
        let begun = self.file.as_ref()?;
        let (groups, index) = (Arc::clone(&begun.groups), self.encoded / begun.group_rows);
        let (mut left, mut rows) = (size as usize, Vec::new());
        let mut behind = Vec::new();
        for batch in std::mem::take(&mut self.rows) {
            let fitting = left.min(batch.num_rows());
            if fitting > 0 {
                rows.push(batch.slice(0, fitting));
            }
            if fitting < batch.num_rows() {
                behind.push(batch.slice(fitting, batch.num_rows() - fitting));
            }
            left -= fitting;
        }
        self.rows = behind;
        self.rows_count -= size;
        self.encoded += size;
        Some(Ready { groups, index, rows })
    }
}

impl Ready<'_> {
    /// Encodes the row group, and appends it.
    pub(super) fn encode(self, plan: Plan<'_>) -> Result<(), Error> {
        let mut group = self.groups.begin(self.index)?;
        let columns: Vec<usize> = (0..plan.schema.fields().len()).collect();
        for rows in self.rows {
            // Only a key has no empty values, and rows without one were set aside.
            let columns = columns.iter().filter_map(|column| rows.columns().get(*column).cloned()).collect();
            let rows = RecordBatch::try_new(Arc::clone(plan.schema), columns);
            group.write(rows.map_err(|source| Error::Arrow { table: plan.name.clone(), source })?)?;
        }
        group.end()
    }
}
