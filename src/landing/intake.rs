//! Rows as they come in: judged, packed, and put into the bucket of their place in
//! the order.
//!
//! Readers hand over batches from their own threads. Rows that come in the order of
//! their key go into a lane and are encoded at once. Some batches together are a
//! run, which its reader packs where readers are as many as the cores, and a thread of
//! its own where they are fewer, as many at once as there are cores; a reader that is
//! faster waits. The first runs wait until there are some of them, and say where the
//! buckets end. This module must not know what is made of the buckets.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{Scope, ThreadId};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::Error;
use super::buckets::{Bucket, Shed, Splitters};
use super::group::{Plan, content_bytes};
use super::lane::{Counts, Given, Lane, Left, Ready, Stretch, Whole};
use super::order::Order;
use super::packed::Layout;
use super::proof::{Controls, add_sums};
use super::sift::Sieve;
use super::spill::Spill;
use super::twins::{Hashes, Rising};
use crate::tables::TableName;

/// What a run holds before it is packed; if several threads bring rows, each has its part of these bytes.
const RUN_BYTES: usize = 20 << 20;
const RUN_ROWS: usize = 1 << 16;

/// So many runs are looked at before rows are divided: some of each of several readers.
const FIRST_RUNS: usize = 4;

/// The column with the number of a row in the order read.
const ROW: &str = "__row";

/// A batch, and which of its rows are set aside.
pub(super) struct Judged {
    pub(super) rows: RecordBatch,
    /// The number of each row in the order read.
    pub(super) numbers: UInt64Array,
    pub(super) bad: Option<Vec<bool>>,
}

impl Judged {
    /// Rows that did not come from the source tonight: they have no number, and none is set aside.
    pub(super) fn held(rows: RecordBatch) -> Self {
        Judged { numbers: UInt64Array::from(vec![0; rows.num_rows()]), rows, bad: None }
    }
}

/// The numbers of a batch's rows: a filter may have left out some between them.
pub(super) fn numbers(batch: &crate::sources::Batch) -> UInt64Array {
    UInt64Array::from_iter_values((0..batch.rows.num_rows()).map(|row| batch.number_of(row)))
}

/// What came in.
pub(super) struct Taken {
    pub(super) buckets: Vec<Bucket>,
    pub(super) counts: Counts,
    /// Whether the order in which rows came proves that no key came twice.
    pub(super) rises: bool,
}

/// What will be a run.
#[derive(Default)]
struct Pending {
    entries: Vec<Entry>,
    bytes: usize,
    rows: usize,
}

/// What a run is made of.
enum Entry {
    Judged(Judged),
    /// Rows that are not set aside, with their numbers, and counted already.
    Counted(RecordBatch),
}

impl Entry {
    fn rows(&self) -> &RecordBatch {
        match self {
            Entry::Judged(judged) => &judged.rows,
            Entry::Counted(rows) => rows,
        }
    }
}

/// Takes rows in.
pub(super) struct Intake<'a> {
    name: &'a TableName,
    order: &'a Order,
    controls: &'a Controls,
    plan: Plan<'a>,
    lane: Option<Lane<'a>>,
    threads: usize,
    hashes: &'a Hashes<'a>,
    shed: Shed<'a>,
    /// What each thread that brings rows has brought and not packed.
    pending: Mutex<HashMap<ThreadId, Pending>>,
    first: Mutex<Vec<Vec<Entry>>>,
    splitters: OnceLock<Splitters>,
    buckets: Mutex<Vec<Bucket>>,
    counts: Mutex<Counts>,
    rising: Rising,
    permits: (Mutex<usize>, Condvar),
    failure: Mutex<Option<Error>>,
}

impl<'a> Intake<'a> {
    /// An empty one; with a lane, rows that come in the order of their key are encoded at once. Of what is packed,
    /// so many bytes stay in memory.
    pub(super) fn new(
        plan: Plan<'a>,
        lane: Option<Lane<'a>>,
        (spill, memory_bytes): (&'a Spill, usize),
        hashes: &'a Hashes<'a>,
        threads: usize,
    ) -> Self {
        let Plan { name, order, controls, schema } = plan;
        // Rows with an empty key come in too, before they are set aside.
        let mut fields: Vec<_> =
            schema.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        fields.push(Arc::new(Field::new(ROW, DataType::UInt64, false)));
        let layout = Layout::new(&Arc::new(Schema::new(fields)), order);
        Intake {
            name,
            order,
            controls,
            plan,
            lane,
            threads,
            hashes,
            shed: Shed::new(name, order, layout, (spill, memory_bytes)),
            pending: Mutex::default(),
            first: Mutex::default(),
            splitters: OnceLock::new(),
            buckets: Mutex::default(),
            counts: Mutex::default(),
            rising: Rising::default(),
            permits: (Mutex::new(threads), Condvar::new()),
            failure: Mutex::new(None),
        }
    }

    /// Takes a batch; false when something has failed and no more is wanted.
    pub(super) fn take<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, judged: Judged) -> bool {
        match self.lane.as_ref().filter(|lane| !lane.is_over()) {
            Some(lane) => {
                if let Err(error) = self.take_in_lane(scope, lane, judged) {
                    self.fail(error);
                }
            }
            None => self.push(scope, Entry::Judged(judged)),
        }
        self.failure.lock().is_ok_and(|failure| failure.is_none())
    }

    fn take_in_lane<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        lane: &'scope Lane<'a>,
        judged: Judged,
    ) -> Result<(), Error> {
        if judged.rows.num_rows() == 0 {
            return Ok(());
        }
        let held = match self.stretch(judged).map_err(|source| self.arrow(source))? {
            Ok(stretch) => match lane.take(stretch)? {
                Given::Ready(groups) => {
                    self.encode(scope, groups);
                    return Ok(());
                }
                Given::Over(held) => held,
            },
            Err(judged) => {
                self.push(scope, Entry::Judged(judged));
                lane.give_up()
            }
        };
        held.into_iter().for_each(|rows| self.push(scope, Entry::Counted(rows)));
        Ok(())
    }

    fn encode<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, groups: Vec<Ready<'a>>) {
        for ready in groups {
            self.spawn(scope, move || ready.encode(self.plan));
        }
    }

    /// A batch as the lane wants it; back when its rows are in no order.
    fn stretch(&self, judged: Judged) -> Result<Result<Stretch, Judged>, ArrowError> {
        let (first, last) = match (judged.numbers.values().first(), judged.numbers.values().last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => return Ok(Err(judged)),
        };
        let count = judged.numbers.len() as u64;
        if last.checked_sub(first) != Some(count - 1) {
            return Ok(Err(judged));
        }
        let keyed = self.keyed(&judged)?;
        if !self.order.rises(keyed.columns())? {
            return Ok(Err(judged));
        }
        let end = |row: usize| {
            Ok::<_, ArrowError>(Box::from(self.order.key_bytes(keyed.slice(row, 1).columns())?.row(0).data()))
        };
        let ends = match keyed.num_rows() {
            0 => None,
            rows => Some((end(0)?, end(rows - 1)?)),
        };
        let mut counts = Counts { sums: self.controls.sums(judged.rows.columns()), ..Counts::default() };
        let (rows, hashes) = self.good(judged, &mut counts.bad)?;
        counts.tally.add(rows.columns(), &hashes, self.controls);
        counts.content_bytes = content_bytes(rows.columns());
        Ok(Ok(Stretch { first, count, ends, rows, counts }))
    }

    /// The rows that have a key: those that are set aside for another fault may still share theirs with others.
    fn keyed(&self, judged: &Judged) -> Result<RecordBatch, ArrowError> {
        if judged.bad.is_none() {
            return Ok(judged.rows.clone());
        }
        let columns = judged.rows.columns();
        let key: Vec<&ArrayRef> = self.order.key().iter().filter_map(|place| columns.get(*place)).collect();
        let has_key = |row: usize| key.iter().all(|part| part.is_valid(row));
        let mask: BooleanArray = (0..judged.rows.num_rows()).map(|row| Some(has_key(row))).collect();
        filter_record_batch(&judged.rows, &mask)
    }

    fn push<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, entry: Entry) {
        let full = {
            let mut threads = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let count = threads.len().max(1);
            let pending = threads.entry(std::thread::current().id()).or_default();
            pending.bytes += entry.rows().get_array_memory_size();
            pending.rows += entry.rows().num_rows();
            pending.entries.push(entry);
            // What waits in all threads together is bounded, however many they are.
            (pending.bytes * count >= RUN_BYTES || pending.rows >= RUN_ROWS).then(|| std::mem::take(pending))
        };
        if let Some(Pending { entries, .. }) = full {
            self.begin(scope, entries, false);
        }
    }

    /// Begins a run, or waits with it while it is not known where buckets end.
    fn begin<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, entries: Vec<Entry>, is_last: bool) {
        let runs = {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.extend(Some(entries).filter(|entries| !entries.is_empty()));
            if self.splitters.get().is_none() && (is_last || first.len() >= FIRST_RUNS) {
                let columns: Vec<&[ArrayRef]> = first.iter().flatten().map(|entry| entry.rows().columns()).collect();
                drop(self.splitters.set(Splitters::of(self.order, &columns, is_last)));
            }
            self.splitters.get().map(|splitters| (splitters, std::mem::take(&mut *first)))
        };
        let Some((splitters, runs)) = runs else { return };
        // Readers that are as many as the cores need no further threads, and have the rows in their caches.
        let is_many = self.pending.lock().is_ok_and(|threads| threads.len() >= self.threads);
        for entries in runs {
            if !is_many {
                self.spawn(scope, move || self.run(entries, splitters));
            } else if let Err(error) = self.run(entries, splitters) {
                self.fail(error);
            }
        }
    }

    /// Encodes and packs what is left.
    pub(super) fn flush<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        // The readers have gone: what the lane still gives is packed by threads of ours.
        self.put_down();
        if let Some(lane) = &self.lane
            && let Err(error) = self.leave(scope, lane)
        {
            self.fail(error);
        }
        self.put_down();
        self.begin(scope, Vec::new(), true);
    }

    /// What is left of each thread becomes a run by itself, so that all cores have some of it.
    fn put_down(&self) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let left = pending.into_values().map(|pending| pending.entries).filter(|entries| !entries.is_empty());
        self.first.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
    }

    /// Ends the lane: what is in it goes into its file, or what its file holds goes the way of the others.
    fn leave<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, lane: &'scope Lane<'a>) -> Result<(), Error> {
        match lane.close() {
            Left::Whole(groups) => self.encode(scope, groups),
            Left::Over(held) => held.into_iter().for_each(|rows| self.push(scope, Entry::Counted(rows))),
        }
        let (count, freed) = &self.permits;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(freed.wait_while(count, |count| *count < self.threads).unwrap_or_else(PoisonError::into_inner));
        if !lane.is_over() || self.failure.lock().is_ok_and(|failure| failure.is_some()) {
            return Ok(());
        }
        lane.read_back(&mut |columns| match RecordBatch::try_new(Arc::clone(self.shed.layout.schema()), columns) {
            Ok(rows) => self.push(scope, Entry::Counted(rows)),
            Err(source) => self.fail(self.arrow(source)),
        })
    }

    fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() -> Result<(), Error> + Send + 'scope,
    ) {
        let (count, freed) = &self.permits;
        let mut count = freed
            .wait_while(count.lock().unwrap_or_else(PoisonError::into_inner), |count| *count == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        drop(count);
        scope.spawn(move || {
            // Given back however the work ends.
            let _permit = Permit(&self.permits);
            if let Err(error) = work() {
                self.fail(error);
            }
        });
    }

    fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.name.clone(), source }
    }

    /// All that came in, or what failed; and the file, where all rows came in order.
    pub(super) fn finish(self) -> Result<(Taken, Shed<'a>, Option<Whole>), Error> {
        if let Some(error) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (of_lane, whole) = self.lane.map_or_else(|| Ok(Default::default()), Lane::finish)?;
        let buckets = self.buckets.into_inner().unwrap_or_else(PoisonError::into_inner);
        if whole.is_none() {
            self.hashes.add(&of_lane.bad.iter().map(|(hash, _)| *hash).collect::<Vec<_>>())?;
        }
        counts.join(of_lane);
        let rises = whole.is_some() || self.rising.is_proven();
        Ok((Taken { buckets, counts, rises }, self.shed, whole))
    }

    fn run(&self, entries: Vec<Entry>, splitters: &Splitters) -> Result<(), Error> {
        let failed = |source| self.arrow(source);
        let mut rises = true;
        for entry in &entries {
            rises = rises && self.rises(entry).map_err(failed)?;
        }
        let mut counts = Counts::default();
        let (mut good, mut buckets) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let rows = match entry {
                Entry::Judged(judged) => {
                    add_sums(&mut counts.sums, &self.controls.sums(judged.rows.columns()));
                    let (rows, hashes) = self.good(judged, &mut counts.bad).map_err(failed)?;
                    if !rises {
                        self.hashes.add(&hashes)?;
                    }
                    counts.tally.add(rows.columns(), &hashes, self.controls);
                    counts.content_bytes += content_bytes(rows.columns());
                    rows
                }
                Entry::Counted(rows) => {
                    self.hashes.add(&self.order.hashes(rows.columns()).map_err(failed)?)?;
                    rows
                }
            };
            if rows.num_rows() > 0 {
                splitters.assign(self.order, rows.columns(), &mut buckets);
                good.push(rows);
            }
        }
        self.hashes.add(&counts.bad.iter().map(|(hash, _)| *hash).collect::<Vec<_>>())?;
        if !good.is_empty() {
            let packed = self.shed.layout.pack(&good, &buckets, splitters.buckets()).map_err(failed)?;
            drop(good);
            self.shed.keep(packed, !rises, &self.buckets)?;
        }
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).join(counts);
        Ok(())
    }

    /// Whether the keys of a batch rise, as far as all of them have done so.
    fn rises(&self, entry: &Entry) -> Result<bool, ArrowError> {
        // Of rows that were counted already, those that were set aside are missing.
        let Entry::Judged(judged) = entry else { return Ok(self.rising.give_up()) };
        if self.rising.is_over() {
            return Ok(false);
        }
        let keyed = self.keyed(judged)?;
        if !self.order.rises(keyed.columns())? {
            return Ok(self.rising.give_up());
        }
        if keyed.num_rows() > 0 {
            let end = |row: usize| {
                let row = keyed.slice(row, 1);
                Ok::<Box<[u8]>, ArrowError>(self.order.key_bytes(row.columns())?.row(0).data().into())
            };
            self.rising.add(end(0)?, end(keyed.num_rows() - 1)?);
        }
        Ok(true)
    }

    /// The rows that are not set aside, with their numbers and the hashes of their keys.
    fn good(&self, judged: Judged, bad_keys: &mut Vec<(u128, u64)>) -> Result<(RecordBatch, Vec<u128>), ArrowError> {
        let Judged { rows, numbers, bad } = judged;
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(numbers.clone()));
        let Some(bad) = bad else {
            let rows = RecordBatch::try_new(Arc::clone(self.shed.layout.schema()), columns)?;
            let hashes = self.order.hashes(rows.columns())?;
            return Ok((rows, hashes));
        };
        let rows = RecordBatch::try_new(Arc::clone(self.shed.layout.schema()), columns)?;
        let hashes = self.order.hashes(rows.columns())?;
        let key: Vec<&ArrayRef> = self.order.key().iter().filter_map(|place| rows.columns().get(*place)).collect();
        for (row, (hash, number)) in hashes.iter().zip(numbers.values()).enumerate() {
            // Two empty keys are not the same key.
            if bad.get(row).copied().unwrap_or(true) && key.iter().all(|part| part.is_valid(row)) {
                bad_keys.push((*hash, *number));
            }
        }
        let is_good = |row: &usize| !bad.get(*row).copied().unwrap_or(true);
        let kept = hashes.iter().enumerate().filter(|(row, _)| is_good(row)).map(|(_, hash)| *hash).collect();
        let mask: BooleanArray = bad.iter().map(|bad| Some(!bad)).collect();
        Ok((filter_record_batch(&rows, &mask)?, kept))
    }
}

/// A place among those that may work at once.
struct Permit<'a>(&'a (Mutex<usize>, Condvar));

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.1.notify_all();
    }
}

/// Judges a batch; what is set aside is told to the sieve.
pub(super) fn judged(sieve: &Sieve<'_>, batch: crate::sources::Batch) -> Result<Judged, Error> {
    let bad = sieve.judge(&batch)?;
    Ok(Judged { numbers: numbers(&batch), rows: batch.rows, bad })
}
