//! The order in which rows lie in a landed file, and the hash of a row's key.
//!
//! Rows are in order by driving date and key, empty ones first. Sorting compares
//! the first 16 bytes of that, as numbers, and looks at the values themselves
//! only where those are equal. This module must not know where rows come from
//! nor where they go.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_comparator};
use arrow::compute::{SortOptions, concat};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use twox_hash::XxHash3_128;

use crate::pipeline::SourceTable;

/// Fewer rows than this are sorted by comparing them: counting 256 buckets for each byte costs more.
const RADIX_ROWS_MIN: usize = 256;

/// By which columns rows are put in order, and which of them are the key.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Places in the contract: the driving date, then the key.
    places: Vec<usize>,
    /// Their names.
    names: Vec<String>,
    kinds: Vec<DataType>,
    key: Vec<usize>,
    key_kinds: Vec<DataType>,
    /// A number of this process: nobody who writes into a source can make two keys that hash alike.
    seed: u64,
}

impl Order {
    /// The order of a table's rows.
    pub(super) fn of(table: &SourceTable, seed: u64) -> Self {
        let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let key: Vec<usize> = table.key.iter().filter_map(place).collect();
        let mut places: Vec<usize> = table.driving_date.iter().filter_map(place).collect();
        places
            .extend(key.iter().filter(|place| table.driving_date.as_ref().and_then(place_of(table)) != Some(**place)));
        let kind = |place: &usize| table.columns.get(*place).map(|column| column.kind.arrow());
        let name = |place: &usize| table.columns.get(*place).map(|column| column.name.clone());
        Order {
            names: places.iter().filter_map(name).collect(),
            kinds: places.iter().filter_map(kind).collect(),
            key_kinds: key.iter().filter_map(kind).collect(),
            places,
            key,
            seed,
        }
    }

    /// The columns by which rows are sorted.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The places of those columns.
    pub(super) fn places(&self) -> &[usize] {
        &self.places
    }

    /// The places of the key's columns.
    pub(super) fn key(&self) -> &[usize] {
        &self.key
    }

    /// Whether rows are in order by their key alone.
    pub(super) fn is_by_key(&self) -> bool {
        self.places == self.key
    }

    /// Whether the key of each row stands behind that of the one before it, and none beside it.
    pub(super) fn rises(&self, columns: &[ArrayRef]) -> Result<bool, ArrowError> {
        let columns: Vec<ArrayRef> = self.key.iter().filter_map(|place| columns.get(*place).cloned()).collect();
        if let [one] = columns.as_slice()
            && let Some(numbers) = one.as_primitive_opt::<Int64Type>().filter(|numbers| numbers.null_count() == 0)
        {
            return Ok(numbers.values().is_sorted_by(|a, b| a < b));
        }
        let options = SortOptions { descending: false, nulls_first: true };
        let comparators: Result<Vec<_>, _> =
            columns.iter().map(|column| make_comparator(column.as_ref(), column.as_ref(), options)).collect();
        let comparators = comparators?;
        let rows = columns.first().map_or(0, |column| column.len());
        let compare = |row: usize| {
            let each = comparators.iter().map(|compare| compare(row - 1, row));
            each.fold(Ordering::Equal, Ordering::then)
        };
        Ok((1..rows).all(|row| compare(row) == Ordering::Less))
    }

    /// The sort columns of several batches, put end to end.
    pub(super) fn columns(&self, batches: &[RecordBatch]) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut columns = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let parts: Vec<&dyn Array> =
                batches.iter().filter_map(|batch| batch.columns().get(*place).map(AsRef::as_ref)).collect();
            columns.push(concat(&parts)?);
        }
        Ok(columns)
    }

    /// The sort columns among all columns of a batch.
    pub(super) fn among(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.places.iter().filter_map(|place| columns.get(*place).cloned()).collect()
    }

    /// The rows of these columns in order; rows that are equal stay as they were.
    pub(super) fn sorted(&self, columns: &[ArrayRef]) -> Result<Vec<u32>, ArrowError> {
        let (prefixes, is_exact) = prefixes(columns);
        if is_exact && prefixes.is_sorted() {
            return Ok((0..).take(prefixes.len()).collect());
        }
        let (mut order, edges) = by_leading_bytes(&prefixes, is_exact);
        if edges.is_empty() {
            return Ok(order);
        }
        // Only where the bytes say nothing more, the values themselves are looked at.
        let options = SortOptions { descending: false, nulls_first: true };
        let comparators: Result<Vec<_>, _> =
            columns.iter().map(|column| make_comparator(column.as_ref(), column.as_ref(), options)).collect();
        let comparators = comparators?;
        let prefix = |row: &u32| prefixes.get(*row as usize);
        for range in edges {
            let Some(alike) = order.get_mut(range) else { continue };
            alike.sort_by(|a, b| {
                let all = || {
                    let each = comparators.iter().map(|compare| compare(*a as usize, *b as usize));
                    each.fold(Ordering::Equal, Ordering::then)
                };
                prefix(a).cmp(&prefix(b)).then_with(all)
            });
        }
        Ok(order)
    }

    /// The sort columns of each row as bytes that compare as the rows do.
    pub(super) fn bytes(&self, sorting: &[ArrayRef]) -> Result<arrow::row::Rows, ArrowError> {
        RowConverter::new(self.kinds.iter().cloned().map(SortField::new).collect())?.convert_columns(sorting)
    }

    /// The keys of a batch as bytes that compare as they do.
    pub(super) fn key_bytes(&self, columns: &[ArrayRef]) -> Result<arrow::row::Rows, ArrowError> {
        let keys: Vec<ArrayRef> = self.key.iter().filter_map(|place| columns.get(*place).cloned()).collect();
        RowConverter::new(self.key_kinds.iter().cloned().map(SortField::new).collect())?.convert_columns(&keys)
    }

    /// The first 16 bytes of the order of each row: a row that has lesser ones stands before.
    pub(super) fn prefixes(&self, columns: &[ArrayRef]) -> Vec<u128> {
        prefixes(&self.among(columns)).0
    }

    /// The hash of each row's key.
    pub(super) fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
        let keys: Vec<ArrayRef> = self.key.iter().filter_map(|place| columns.get(*place).cloned()).collect();
        self.hashes_of(&keys)
    }

    /// The same, of the key's columns alone, in the order of the key.
    pub(super) fn hashes_of(&self, keys: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
        let hash = |bytes: &[u8]| XxHash3_128::oneshot_with_seed(self.seed, bytes);
        if let [one] = keys {
            if let Some(texts) = one.as_string_opt::<i32>() {
                return Ok((0..texts.len()).map(|row| hash(texts.value(row).as_bytes())).collect());
            }
            if let Some(numbers) = one.as_primitive_opt::<Int64Type>() {
                return Ok(numbers.values().iter().map(|number| of_number(*number, self.seed)).collect());
            }
        }
        let rows = RowConverter::new(self.key_kinds.iter().cloned().map(SortField::new).collect())?;
        Ok(rows.convert_columns(keys)?.iter().map(|row| hash(row.data())).collect())
    }
}

impl Order {
    /// The hash of a key together with another value of its row; empty is a value too.
    pub(super) fn joined(&self, hash: u128, value: Option<i64>) -> u128 {
        let mut bytes = [0; 25];
        let (key, rest) = bytes.split_at_mut(16);
        key.copy_from_slice(&hash.to_le_bytes());
        if let (Some((filled, place)), Some(value)) = (rest.split_first_mut(), value) {
            *filled = 1;
            place.copy_from_slice(&value.to_le_bytes());
        }
        XxHash3_128::oneshot_with_seed(self.seed, &bytes)
    }
}

/// The hash of a key that is one number: two different numbers never hash alike, because the number can be computed
/// back from the first half.
#[inline]
fn of_number(number: i64, seed: u64) -> u128 {
    let high = mixed(number.cast_unsigned() ^ seed);
    let low = mixed(number.cast_unsigned().wrapping_add(high.rotate_left(32)) ^ !seed);
    u128::from(high) << 64 | u128::from(low)
}

/// The last step of the generator SplitMix64: every bit of the word goes into every bit of what comes out.
#[inline]
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn place_of(table: &SourceTable) -> impl Fn(&String) -> Option<usize> {
    |name| table.columns.iter().position(|column| column.name == *name)
}

/// Rows in order of the leading bytes of their prefixes, as many as fit into a word beside the number of the
/// row, and the ranges of rows in which these are alike although more would have to be compared. Bytes that
/// are the same in all rows are passed over.
fn by_leading_bytes(prefixes: &[u128], is_exact: bool) -> (Vec<u32>, Vec<Range<usize>>) {
    let first = prefixes.first().copied().unwrap_or(0);
    let differing = prefixes.iter().fold(0, |bits, prefix| bits | (prefix ^ first));
    let row_bits = usize::BITS - prefixes.len().leading_zeros();
    let shifts: Vec<u32> =
        (0..16).rev().map(|byte| byte * 8).filter(|shift| (differing >> shift) & 0xff != 0).collect();
    let fitting = shifts.get(..shifts.len().min(((64 - row_bits) / 8) as usize)).unwrap_or_default();
    let pack = |(row, prefix): (u64, &u128)| {
        let bytes = fitting.iter().fold(0, |word, shift| (word << 8) | ((prefix >> shift) as u64 & 0xff));
        (bytes << row_bits) | row
    };
    let mut words: Vec<u64> = (0..).zip(prefixes).map(pack).collect();
    if words.len() < RADIX_ROWS_MIN {
        words.sort_unstable();
    } else {
        let mut other = vec![0; words.len()];
        for digit in (0..).take(fitting.len()) {
            by_digit(&words, &mut other, row_bits + digit * 8);
            std::mem::swap(&mut words, &mut other);
        }
    }
    let mut alike = Vec::new();
    if !is_exact || fitting.len() < shifts.len() {
        let mut from = 0;
        for same in words.chunk_by(|a, b| a >> row_bits == b >> row_bits) {
            alike.extend((same.len() > 1).then_some(from..from + same.len()));
            from += same.len();
        }
    }
    let row = |word: u64| (word & ((1 << row_bits) - 1)) as u32;
    (words.into_iter().map(row).collect(), alike)
}

/// Moves words into the order of one of their bytes; those in which it is alike stay as they were.
fn by_digit(words: &[u64], into: &mut [u64], shift: u32) {
    let digit = |word: &u64| (word >> shift) as u8;
    let mut places = [0_usize; 256];
    for word in words {
        if let Some(count) = places.get_mut(usize::from(digit(word))) {
            *count += 1;
        }
    }
    let mut before = 0;
    for place in &mut places {
        before += std::mem::replace(place, before);
    }
    for word in words {
        if let Some(place) = places.get_mut(usize::from(digit(word))) {
            if let Some(to) = into.get_mut(*place) {
                *to = *word;
            }
            *place += 1;
        }
    }
}

/// The first 16 bytes of each row's order, and whether they say all of it.
fn prefixes(columns: &[ArrayRef]) -> (Vec<u128>, bool) {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut prefixes = vec![0_u128; rows];
    let mut free: u32 = 128;
    for column in columns {
        match column.data_type() {
            DataType::Date32 if free >= 32 => {
                free -= 32;
                let dates = column.as_primitive::<Date32Type>();
                // Within the years 1900 to 2200 no date comes near the ends; empty is before all.
                for (prefix, date) in prefixes.iter_mut().zip(dates.values()) {
                    *prefix |= u128::from((date.cast_unsigned() ^ (1 << 31)).max(1)) << free;
                }
                if let Some(nulls) = dates.nulls().filter(|nulls| nulls.null_count() > 0) {
                    for (prefix, is_filled) in prefixes.iter_mut().zip(nulls) {
                        *prefix &= if is_filled { u128::MAX } else { !(u128::from(u32::MAX) << free) };
                    }
                }
            }
            DataType::Int64 if free >= 64 && column.null_count() == 0 => {
                free -= 64;
                let numbers = column.as_primitive::<Int64Type>();
                for (prefix, number) in prefixes.iter_mut().zip(numbers.values()) {
                    *prefix |= u128::from((*number as u64) ^ (1 << 63)) << free;
                }
            }
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                let most = (free / 8) as usize;
                for (row, prefix) in prefixes.iter_mut().enumerate().filter(|(row, _)| texts.is_valid(*row)) {
                    let mut bytes = [0_u8; 16];
                    let text = texts.value(row).as_bytes();
                    let text = text.get(..text.len().min(most)).unwrap_or_default();
                    bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
                    *prefix |= u128::from_be_bytes(bytes) >> (128 - free);
                }
                return (prefixes, false);
            }
            _ => return (prefixes, false),
        }
    }
    (prefixes, true)
}
