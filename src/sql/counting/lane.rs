//! One stream of rows on its way into the groups.
//!
//! Rows are first added up in a small table that stays in the processor's cache: of few groups, only their sums travel.
//! Where that adds up little, rows go straight to their part, many at a time, so that its lock and its memory are
//! visited seldom.

use std::sync::{Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, internal_err};

use super::codes::{CODE_BITS, Codes, NULL};
use super::groups::{Added, Groups, Width};
use super::hash;
use super::packing::{IS_ROW, Packing};
use super::shards::{self, Shards};
use super::short::{self, Number, Short};
use super::spec::{CODES_PER_WORD, Measure, Spec};

/// The small table holds so many places at most: less than a megabyte.
const CACHED_PLACES: usize = 1 << 14;

/// Where it adds up less than two rows into one, it is not asked for so many rows.
const STRAIGHT_ROWS: usize = 1 << 20;

/// So many batches may have been packed in vain.
const PACKED_TRIES: usize = 16;

/// Rows that go to a part at a time.
const ROWS_AT_A_TIME: usize = 512;

/// A stream of rows.
pub struct Lane<'a> {
    spec: &'a Spec,
    shared: &'a [Mutex<Codes>],
    shards: &'a Shards,
    /// Per column.
    known: Vec<Known>,
    cached: Groups,
    cached_rows: usize,
    straight_rows: usize,
    /// Rows for each part, packed; those of large counts apart.
    packed: Vec<Vec<u64>>,
    parts: Vec<Vec<u64>>,
    packing: Option<Packing>,
    /// How many more batches may turn out to have larger counts before all are looked at row by row.
    packed_tries: usize,
    width: Width,
    /// The rows of a batch; kept, since a new one for each batch costs more than to fill it.
    words: Vec<u64>,
}

/// The values of a column that a lane has met: they are found without asking the others.
#[derive(Default)]
struct Known {
    codes: Codes,
    /// What a code of this lane is called by all.
    names: Vec<u16>,
    /// Whether there is no value with a code beside these.
    is_all: bool,
    /// By what all call them, those that are short.
    short: Short,
}

impl<'a> Lane<'a> {
    /// A lane into these groups; the codes are shared by all lanes.
    pub fn new(spec: &'a Spec, shared: &'a [Mutex<Codes>], shards: &'a Shards) -> Self {
        Lane {
            spec,
            shared,
            shards,
            known: shared.iter().map(|_| Known { names: vec![NULL], ..Known::default() }).collect(),
            cached: Groups::new(spec.width()),
            cached_rows: 0,
            straight_rows: 0,
            packed: vec![Vec::new(); shards::PARTS],
            parts: vec![Vec::new(); shards::PARTS],
            packing: shards.packing(),
            packed_tries: PACKED_TRIES,
            width: spec.width(),
            words: Vec::new(),
        }
    }

    /// Counts rows, and gives those back of which a value has no code: theirs are other groups.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let mut words = std::mem::take(&mut self.words);
        let mut left: Vec<u32> = Vec::new();
        let is_straight = self.straight_rows >= batch.num_rows() && self.packed_tries > 0;
        let packing = self.packing.filter(|_| is_straight);
        let is_packed = match packing {
            Some(packing) => self.pack(batch, packing, &mut words, &mut left)?,
            None => false,
        };
        let width = if is_packed { self.width.codes } else { self.width.row };
        if !is_packed {
            self.packed_tries -= usize::from(packing.is_some());
            left.clear();
            self.codes(batch, width, &mut words, &mut left)?;
            for (measure, place) in self.spec.measures.iter().zip(self.spec.places()) {
                fill(measure, batch, |row, at, word| {
                    if let Some(there) = words.get_mut(row * width + place + at) {
                        *there = word;
                    }
                })?;
            }
        }
        let rest = if left.is_empty() { None } else { Some(leave_out(batch, &left, &mut words, width)?) };
        match packing.filter(|_| is_packed) {
            Some(packing) => {
                self.straight_rows -= batch.num_rows();
                for row in words.chunks_exact(width) {
                    if row.first().is_some_and(|first| *first != 0) {
                        self.send_packed(packing, row)?;
                    }
                }
            }
            None => {
                for row in words.chunks_exact(width) {
                    if row.first().is_some_and(|first| *first != 0) {
                        self.add(row)?;
                    }
                }
            }
        }
        self.words = words;
        Ok(rest)
    }

    /// Puts rows into packed words; whether their counts are that small.
    fn pack(
        &mut self,
        batch: &RecordBatch,
        packing: Packing,
        words: &mut Vec<u64>,
        left: &mut Vec<u32>,
    ) -> Result<bool> {
        let width = packing.words();
        self.codes(batch, width, words, left)?;
        let mut all = 0;
        for (measure, place) in self.spec.measures.iter().zip(self.spec.places()) {
            let count = place - self.width.codes;
            fill(measure, batch, |row, at, word| {
                if let Some(last) = words.get_mut(row * width + width - 1) {
                    *last |= packing.bits_of(count + at, word);
                }
                all |= word;
            })?;
            if !packing.fits(all) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes words for so many rows, with the codes of all columns in the first of each.
    fn codes(&mut self, batch: &RecordBatch, width: usize, words: &mut Vec<u64>, left: &mut Vec<u32>) -> Result<()> {
        words.clear();
        words.resize(batch.num_rows() * width, 0);
        for row in words.chunks_exact_mut(width) {
            if let Some(first) = row.first_mut() {
                *first = IS_ROW;
            }
        }
        (0..self.spec.keys.len()).try_for_each(|column| self.encode(column, batch, width, words, left))
    }

    /// What is still on its way arrives.
    pub fn finish(mut self) -> Result<()> {
        self.drain()?;
        for (part, rows) in self.packed.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.shards.keep(part, rows)?;
        }
        for (part, rows) in self.parts.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.shards.add(part, rows)?;
        }
        Ok(())
    }

    /// Puts the codes of a column into the words of its rows.
    fn encode(
        &mut self,
        column: usize,
        batch: &RecordBatch,
        width: usize,
        words: &mut [u64],
        left: &mut Vec<u32>,
    ) -> Result<()> {
        let Some(key) = self.spec.keys.get(column) else { return Ok(()) };
        let values = key.expr.evaluate(batch)?.into_array(batch.num_rows())?;
        let (place, shift) = (column / CODES_PER_WORD, (column % CODES_PER_WORD) as u32 * CODE_BITS);
        let rows = words.chunks_exact_mut(width).filter_map(|row| row.get_mut(place));
        let mut put = |number: usize, word: &mut u64, code: Option<u16>| match code {
            Some(code) => *word |= u64::from(code) << shift,
            None => left.push(number as u32),
        };
        if let Some(texts) = values.as_string_opt::<i32>() {
            let (bytes, ends) = (texts.value_data(), texts.value_offsets());
            let texts = ends.iter().zip(ends.iter().skip(1)).map(|(start, end)| (*start as usize, *end as usize));
            for (number, (word, (start, end))) in rows.zip(texts).enumerate() {
                let code = if values.is_null(number) {
                    Some(NULL)
                } else {
                    let value = || bytes.get(start..end).unwrap_or_default();
                    self.short_code(column, short::of_text(bytes, start, end), |this| this.code(column, value()))
                };
                put(number, word, code);
            }
        } else {
            let numbers = numbers(&values)?;
            for (number, (word, value)) in rows.zip(numbers.as_primitive::<Int64Type>()).enumerate() {
                let code = value.map_or(Some(NULL), |value| {
                    let code = |this: &mut Self| this.code(column, &value.to_le_bytes());
                    self.short_code(column, Some(short::of_number(value)), code)
                });
                put(number, word, code);
            }
        }
        Ok(())
    }

    /// The code of a value, by its number if it has one.
    fn short_code(
        &mut self,
        column: usize,
        number: Option<Number>,
        code: impl FnOnce(&mut Self) -> Option<u16>,
    ) -> Option<u16> {
        let found = number.and_then(|number| self.known.get(column)?.short.find(number));
        if found.is_some() {
            return found;
        }
        let code = code(self)?;
        if let Some((number, known)) = number.zip(self.known.get_mut(column)) {
            known.short.put(number, code);
        }
        Some(code)
    }

    fn code(&mut self, column: usize, value: &[u8]) -> Option<u16> {
        let known = self.known.get_mut(column)?;
        if let Some(code) = known.codes.find(value) {
            return known.names.get(usize::from(code)).copied();
        }
        if known.is_all {
            return None;
        }
        let mut shared = self.shared.get(column)?.lock().unwrap_or_else(PoisonError::into_inner);
        let code = shared.code(value);
        if code.is_none() {
            // Closed: nothing is added any more, and nobody has to be asked again.
            let short = std::mem::take(&mut known.short);
            *known = Known { codes: shared.clone(), names: (0..=u16::MAX).collect(), is_all: true, short };
        } else if let Some(code) = code.filter(|_| known.codes.code(value).is_some()) {
            known.names.push(code);
        }
        code
    }

    fn add(&mut self, row: &[u64]) -> Result<()> {
        let hash = hash::words(row.get(..self.width.codes).unwrap_or_default());
        if self.straight_rows > 0 {
            self.straight_rows -= 1;
            return self.send(row, hash);
        }
        if self.cached.is_full() {
            if self.cached.places() < CACHED_PLACES {
                self.cached.grow();
            } else {
                self.drain()?;
            }
        }
        self.cached_rows += 1;
        if self.cached.add(row, hash)? == Added::TooNarrow {
            self.cached.widen();
            if self.cached.add(row, hash)? == Added::TooNarrow {
                return internal_err!("a count does not fit into a wide row");
            }
        }
        Ok(())
    }

    /// The rows of the small table go to their parts.
    fn drain(&mut self) -> Result<()> {
        if self.cached_rows < self.cached.len() * 2 {
            self.straight_rows = STRAIGHT_ROWS;
        }
        self.cached_rows = 0;
        let mut cached = std::mem::replace(&mut self.cached, Groups::new(self.width));
        for row in cached.rows().chunks_exact(self.width.row) {
            self.send(row, hash::words(row.get(..self.width.codes).unwrap_or_default()))?;
        }
        cached.clear();
        self.cached = cached;
        Ok(())
    }

    fn send(&mut self, row: &[u64], hash: u64) -> Result<()> {
        let part = shards::part(hash);
        if let Some((packing, last)) = self.packing.and_then(|packing| Some((packing, packing.last_word(row)?))) {
            return self.put(packing, part, row.get(..packing.words() - 1).unwrap_or_default(), last);
        }
        let Some(rows) = self.parts.get_mut(part) else { return Ok(()) };
        rows.extend_from_slice(row);
        if rows.len() >= ROWS_AT_A_TIME * row.len() {
            self.shards.add(part, rows)?;
            rows.clear();
        }
        Ok(())
    }

    fn send_packed(&mut self, packing: Packing, row: &[u64]) -> Result<()> {
        let Some((last, before)) = row.split_last() else { return Ok(()) };
        self.put(packing, shards::part(packing.hash(row)), before, *last)
    }

    /// Puts a packed row to those of its part.
    #[inline]
    fn put(&mut self, packing: Packing, part: usize, before: &[u64], last: u64) -> Result<()> {
        let Some(rows) = self.packed.get_mut(part) else { return Ok(()) };
        let full = ROWS_AT_A_TIME * packing.words();
        if rows.capacity() == 0 {
            rows.reserve_exact(full);
        }
        if !before.is_empty() {
            rows.extend_from_slice(before);
        }
        rows.push(last);
        if rows.len() >= full {
            self.shards.keep(part, std::mem::take(rows))?;
        }
        Ok(())
    }
}

/// Rows that have a value without a code.
fn leave_out(batch: &RecordBatch, left: &[u32], words: &mut [u64], width: usize) -> Result<RecordBatch> {
    let mut is_left = vec![false; batch.num_rows()];
    for row in left {
        let row = *row as usize;
        let there = is_left.get_mut(row).zip(words.get_mut(row * width));
        let (is_left, first) = there.ok_or_else(|| exec_datafusion_err!("no row {row}"))?;
        (*is_left, *first) = (true, 0);
    }
    Ok(filter_record_batch(batch, &BooleanArray::from(is_left))?)
}

/// Hands over what a measure counts: of each row its first or second word, where it is not 0.
fn fill(measure: &Measure, batch: &RecordBatch, mut put: impl FnMut(usize, usize, u64)) -> Result<()> {
    let evaluated = |expr: &super::spec::Expr| expr.evaluate(batch)?.into_array(batch.num_rows());
    let is_asked = measure.filter.as_ref().map(evaluated).transpose()?;
    let is_asked = is_asked.as_ref().and_then(|asked| asked.as_boolean_opt());
    let is_in = |row: usize| is_asked.is_none_or(|asked| asked.is_valid(row) && asked.value(row));
    let values = measure.of.as_ref().map(evaluated).transpose()?;
    let rows = 0..batch.num_rows();
    let Some(values) = values else {
        rows.for_each(|row| put(row, 0, u64::from(is_in(row))));
        return Ok(());
    };
    if !measure.is_sum {
        rows.for_each(|row| put(row, 0, u64::from(is_in(row) && values.is_valid(row))));
        return Ok(());
    }
    let numbers = values.as_primitive::<Int64Type>();
    if numbers.null_count() == 0 && is_asked.is_none() && !measure.may_be_null {
        for (row, number) in numbers.values().iter().enumerate() {
            put(row, 0, number.cast_unsigned());
        }
        return Ok(());
    }
    for (row, number) in numbers.iter().enumerate() {
        if let Some(number) = number.filter(|_| is_in(row)) {
            put(row, 0, number.cast_unsigned());
            if measure.may_be_null {
                put(row, 1, 1);
            }
        }
    }
    Ok(())
}

/// Whole numbers, days and truth values as numbers of 64 bits.
fn numbers(values: &ArrayRef) -> Result<ArrayRef> {
    let values = if *values.data_type() == DataType::Date32 { &cast(values, &DataType::Int32)? } else { values };
    Ok(cast(values, &DataType::Int64)?)
}
