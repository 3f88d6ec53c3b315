//! Rows divided by their place in the order: every row of a bucket stands before
//! every row of the next.
//!
//! Where buckets end is taken from the first rows that come. A bucket that becomes
//! too large all the same, because later rows are others, is cut again by its own
//! rows. What fits stays in memory, the rest is spilled. This module must not know
//! what a row means.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::Error;
use super::order::Order;
use super::packed::{Layout, Packed};
use super::spill::{Offset, Spill};
use crate::tables::TableName;

/// Into how many buckets rows are divided at most: of ten million rows one has 1 MB, and is sorted in the cache of a
/// core together with what sorting it takes.
pub(super) const BUCKETS_MAX: usize = 512;

/// Fewer rows than this need no second bucket.
const BUCKET_ROWS: usize = 1 << 15;

/// A bucket beyond this is cut again: each thread has a few of them in memory.
const BUCKET_BYTES_MAX: usize = 24 << 20;

/// How many rows are looked at to find where buckets end.
const SAMPLE_ROWS: usize = 1 << 14;

/// Where the buckets end, by the leading bytes of the order.
pub(super) struct Splitters {
    ends: Vec<u128>,
    /// The first end that is worth looking at, by the leading bits of the distance from the first end of all.
    near: Vec<u16>,
    shift: u32,
}

/// Into so many steps the distance from the first end to the last is divided, about: a few for each bucket.
const STEPS_LOG: u32 = 12;

impl Splitters {
    /// By the first rows of a table; all of them when no more come.
    pub(super) fn of(order: &Order, first: &[&[ArrayRef]], is_all: bool) -> Self {
        let count = |columns: &&[ArrayRef]| columns.first().map_or(0, |column| column.len());
        let rows: usize = first.iter().map(count).sum();
        let buckets = if is_all { (rows / BUCKET_ROWS).clamp(1, BUCKETS_MAX) } else { BUCKETS_MAX };
        let step = (rows / SAMPLE_ROWS).max(1);
        let mut sample: Vec<u128> = Vec::new();
        for columns in first.iter().filter(|_| buckets > 1) {
            sample.extend(order.prefixes(columns).into_iter().step_by(step));
        }
        Splitters::between(evenly(sample, buckets))
    }

    fn between(ends: Vec<u128>) -> Self {
        let (first, last) = (ends.first().copied().unwrap_or(0), ends.last().copied().unwrap_or(0));
        let shift = (u128::BITS - (last - first).leading_zeros()).saturating_sub(STEPS_LOG);
        let steps = (last - first) >> shift;
        let near = (0..=steps).map(|step| ends.partition_point(|end| *end < first + (step << shift)) as u16).collect();
        Splitters { ends, near, shift }
    }

    pub(super) fn buckets(&self) -> usize {
        self.ends.len() + 1
    }

    /// How many ends are not behind a row with these leading bytes.
    #[inline]
    fn bucket(&self, prefix: u128) -> u16 {
        let first = self.ends.first().copied().unwrap_or(u128::MAX);
        let Some(distance) = prefix.checked_sub(first) else { return 0 };
        let step = usize::try_from(distance >> self.shift).unwrap_or(usize::MAX);
        let Some(near) = self.near.get(step) else { return self.ends.len() as u16 };
        let rest = self.ends.get(usize::from(*near)..).unwrap_or_default();
        // Where many ends lie close together, looking at one after the other would take long.
        match rest.get(NEAR_MOST) {
            Some(end) if *end <= prefix => near + rest.partition_point(|end| *end <= prefix) as u16,
            _ => near + rest.iter().take(NEAR_MOST).take_while(|end| **end <= prefix).count() as u16,
        }
    }

    /// To which bucket each row belongs.
    pub(super) fn assign(&self, order: &Order, columns: &[ArrayRef], to: &mut Vec<u16>) {
        to.extend(order.prefixes(columns).into_iter().map(|prefix| self.bucket(prefix)));
    }
}

/// So many ends are looked at one after the other.
const NEAR_MOST: usize = 4;

/// Values of the sample that divide it into so many parts of one size.
fn evenly<T: Ord + Clone>(mut sample: Vec<T>, parts: usize) -> Vec<T> {
    sample.sort_unstable();
    let mut bounds: Vec<T> = (1..parts).filter_map(|part| sample.get(sample.len() * part / parts).cloned()).collect();
    bounds.dedup();
    bounds
}

/// Some rows of a bucket, packed.
#[derive(Clone)]
pub(super) struct Slice {
    kept: Kept,
    bytes: usize,
    /// Whether the keys of these rows were hashed.
    is_hashed: bool,
}

#[derive(Clone)]
enum Kept {
    /// From this place on.
    Memory(Arc<Vec<u8>>, usize),
    Spilled(Offset),
}

/// Rows that belong together.
#[derive(Default)]
pub(super) struct Bucket {
    slices: Vec<Slice>,
    pub(super) rows: u64,
    bytes: usize,
}

impl Bucket {
    fn push(&mut self, slice: Slice, rows: u32) {
        self.rows += u64::from(rows);
        self.bytes += slice.bytes;
        self.slices.push(slice);
    }
}

/// Where packed rows are kept, and how they are understood.
pub(super) struct Shed<'a> {
    pub(super) name: &'a TableName,
    pub(super) order: &'a Order,
    pub(super) layout: Layout,
    spill: &'a Spill,
    /// Packed rows up to this stay in memory.
    memory_bytes: usize,
    held_bytes: AtomicUsize,
}

impl<'a> Shed<'a> {
    /// An empty one, in which rows of so many bytes stay in memory.
    pub(super) fn new(
        name: &'a TableName,
        order: &'a Order,
        layout: Layout,
        (spill, memory_bytes): (&'a Spill, usize),
    ) -> Self {
        Shed { name, order, layout, spill, memory_bytes, held_bytes: AtomicUsize::new(0) }
    }

    /// Keeps packed rows, and gives each bucket what it has of them.
    pub(super) fn keep(&self, packed: Packed, is_hashed: bool, buckets: &Mutex<Vec<Bucket>>) -> Result<(), Error> {
        let Packed { bytes, buckets: ends } = packed;
        let stays = self.held_bytes.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() <= self.memory_bytes;
        let (held, spilled) =
            if stays { (Some(Arc::new(bytes)), None) } else { (None, Some(self.spill.append(&bytes)?)) };
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let count = buckets.len().max(ends.len());
        buckets.resize_with(count, Bucket::default);
        let mut from = 0;
        for (bucket, (end, rows)) in buckets.iter_mut().zip(ends) {
            let kept = match (&held, spilled) {
                (Some(held), _) => Kept::Memory(Arc::clone(held), from),
                (None, Some(offset)) => Kept::Spilled(offset.behind(from)),
                (None, None) => continue,
            };
            if rows > 0 {
                bucket.push(Slice { kept, bytes: end - from, is_hashed }, rows);
            }
            from = end;
        }
        Ok(())
    }

    /// Appends the rows of a slice.
    fn load_slice(&self, slice: &Slice, into: &mut Vec<u8>) -> Result<(), Error> {
        match &slice.kept {
            Kept::Memory(bytes, from) => {
                into.extend_from_slice(bytes.get(*from..*from + slice.bytes).unwrap_or_default());
                Ok(())
            }
            Kept::Spilled(offset) => self.spill.read(*offset, slice.bytes, into),
        }
    }

    /// Appends the rows of a bucket, and where each begins.
    pub(super) fn load(&self, bucket: &Bucket, bytes: &mut Vec<u8>, begins: &mut Vec<u32>) -> Result<(), Error> {
        let from = bytes.len();
        bytes.reserve(bucket.bytes);
        bucket.slices.iter().try_for_each(|slice| self.load_slice(slice, bytes))?;
        Layout::begins(bytes, from, begins).map_err(|source| self.arrow(source))
    }

    /// Lets go of what was spilled, when nothing of it is needed any more.
    pub(super) fn clear(&self) {
        self.spill.clear();
    }

    /// Gives the keys of all rows that were not hashed when they came.
    pub(super) fn unhashed(
        &self,
        buckets: &[Bucket],
        threads: usize,
        take: &(dyn Fn(&[ArrayRef]) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let slices: Vec<&Slice> =
            buckets.iter().flat_map(|bucket| &bucket.slices).filter(|slice| !slice.is_hashed).collect();
        self.each(&slices, threads, &|slice| {
            let (mut bytes, mut begins) = (Vec::new(), Vec::new());
            self.load_slice(slice, &mut bytes)?;
            let columns = Layout::begins(&bytes, 0, &mut begins)
                .and_then(|()| self.layout.some(&bytes, &begins, self.order.key()))
                .map_err(|source| self.arrow(source))?;
            take(&columns)
        })
    }

    /// Cuts what is too large, until nothing is or its rows all have the same place.
    pub(super) fn cut(&self, buckets: Vec<Bucket>, threads: usize) -> Result<Vec<Bucket>, Error> {
        let mut cut = Vec::with_capacity(buckets.len());
        let mut left: Vec<Bucket> = buckets.into_iter().rev().collect();
        while let Some(bucket) = left.pop() {
            if bucket.bytes <= BUCKET_BYTES_MAX {
                cut.push(bucket);
                continue;
            }
            let rows = bucket.rows;
            let parts = self.divided(bucket, threads)?;
            for part in parts.into_iter().rev() {
                // Rows that all have one place cannot be told apart, and those of one key are few.
                if part.rows == rows { cut.push(part) } else { left.push(part) }
            }
        }
        Ok(cut)
    }

    fn divided(&self, bucket: Bucket, threads: usize) -> Result<Vec<Bucket>, Error> {
        let parts = (2 * bucket.bytes / BUCKET_BYTES_MAX).clamp(2, BUCKETS_MAX);
        let looked_at = bucket.slices.len().min(64);
        let mut sample: Vec<Box<[u8]>> = Vec::new();
        for at in 0..looked_at {
            let Some(slice) = bucket.slices.get(at * bucket.slices.len() / looked_at) else { continue };
            let (bytes, begins) = self.loaded(slice)?;
            let step = (begins.len() * looked_at / SAMPLE_ROWS).max(1);
            let some: Vec<u32> = begins.into_iter().step_by(step).collect();
            let places = self.places(&bytes, &some)?;
            sample.extend(places.iter().map(|place| Box::from(place.data())));
        }
        let splitters = evenly(sample, parts);
        let divided = Mutex::new(Vec::new());
        let slices: Vec<&Slice> = bucket.slices.iter().collect();
        self.each(&slices, threads, &|slice| {
            let (bytes, begins) = self.loaded(slice)?;
            let places = self.places(&bytes, &begins)?;
            let of = |place: &[u8]| splitters.partition_point(|splitter| splitter.as_ref() <= place);
            let mut parts: Vec<(Vec<u8>, u32)> = vec![(Vec::new(), 0); splitters.len() + 1];
            for (begin, place) in begins.iter().zip(places.iter()) {
                if let Some((part, rows)) = parts.get_mut(of(place.data())) {
                    part.extend_from_slice(Layout::row(&bytes, *begin));
                    *rows += 1;
                }
            }
            let mut packed =
                Packed { bytes: Vec::with_capacity(bytes.len()), buckets: Vec::with_capacity(parts.len()) };
            for (part, rows) in parts {
                packed.bytes.extend_from_slice(&part);
                packed.buckets.push((packed.bytes.len(), rows));
            }
            self.keep(packed, slice.is_hashed, &divided)
        })?;
        Ok(divided.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn loaded(&self, slice: &Slice) -> Result<(Vec<u8>, Vec<u32>), Error> {
        let (mut bytes, mut begins) = (Vec::with_capacity(slice.bytes), Vec::new());
        self.load_slice(slice, &mut bytes)?;
        Layout::begins(&bytes, 0, &mut begins).map_err(|source| self.arrow(source))?;
        Ok((bytes, begins))
    }

    /// Where rows stand in the order, as bytes.
    fn places(&self, bytes: &[u8], begins: &[u32]) -> Result<arrow::row::Rows, Error> {
        let sorting = self.layout.sorting(bytes, begins).map_err(|source| self.arrow(source))?;
        self.order.bytes(&sorting).map_err(|source| self.arrow(source))
    }

    /// Looks at slices on several threads, each at its own, until one fails.
    fn each(
        &self,
        slices: &[&Slice],
        threads: usize,
        look: &(dyn Fn(&Slice) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(slice) = slices.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = look(slice) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    next.store(slices.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(slices.len()) {
                scope.spawn(work);
            }
            work();
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    pub(super) fn arrow(&self, source: ArrowError) -> Error {
        Error::Arrow { table: self.name.clone(), source }
    }
}
