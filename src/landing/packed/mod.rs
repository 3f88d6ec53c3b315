//! Rows as bytes, one behind the other: what is kept of a table between reading and
//! writing it.
//!
//! A row is moved as one piece, where in columns each of its values would be moved
//! by itself; and it takes about half the room, because numbers, dates and lengths
//! take only the bytes that they need. The columns by which rows are sorted come
//! first and the number of the row last, so that neither costs where it is not asked
//! for. This module must not know in which order rows are wanted.
//!
//! A row is its length (2 bytes, or 4 of which the first bit is set), half a byte per
//! column, and then the columns. The half byte is [`EMPTY`], or how many bytes a
//! number takes or the length of a text, or the value itself of a truth value.

mod pack;
mod unpack;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::order::Order;

pub(super) use pack::Packed;

/// How many rows are packed at once, column by column: so many stay in the first cache.
const CHUNK_ROWS: usize = 1024;

/// How many are unpacked at once: so many stay in the first cache together with what is made of them.
const UNPACK_ROWS: usize = 512;

/// So many bytes of a row are moved at once: most rows are moved in two steps.
const STEP_BYTES: usize = 32;

/// The half byte of a value that is empty.
const EMPTY: u8 = 15;

/// So many bytes are moved at once: a text that is not longer is moved with what stands behind it.
const SHORT_BYTES: usize = 16;

/// A row of this length or more has 4 bytes for it.
const LONG: usize = 1 << 15;

/// How values of a type are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As many of the 4 bytes as are needed.
    Word4,
    /// As many of the 8 bytes as are needed.
    Word8,
    /// All of so many bytes.
    Wide(usize),
    Bit,
    /// Bytes behind their length.
    Bytes,
    /// What arrow makes of a value that is made of others, as bytes.
    Made,
}

impl Kind {
    fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Boolean => Kind::Bit,
            DataType::Utf8 | DataType::Binary => Kind::Bytes,
            kind => match kind.primitive_width() {
                Some(4) => Kind::Word4,
                Some(8) => Kind::Word8,
                Some(width @ (16 | 32)) => Kind::Wide(width),
                _ => Kind::Made,
            },
        }
    }
}

/// How the rows of a table are packed.
pub(super) struct Layout {
    schema: SchemaRef,
    /// The columns in the order in which they stand in a row.
    places: Vec<usize>,
    kinds: Vec<Kind>,
    sorting: usize,
}

impl Layout {
    /// Of rows with these columns, of which the last is their number.
    pub(super) fn new(schema: &SchemaRef, order: &Order) -> Self {
        // The key is among them.
        let mut places = order.places().to_vec();
        let sorting = places.len();
        let rest: Vec<usize> = (0..schema.fields().len()).filter(|place| !places.contains(place)).collect();
        places.extend(rest);
        let kind = |place: &usize| schema.fields().get(*place).map(|field| Kind::of(field.data_type()));
        Layout { kinds: places.iter().filter_map(kind).collect(), schema: Arc::clone(schema), places, sorting }
    }

    /// The columns of a row and its number.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many bytes say what the columns hold.
    fn head_bytes(&self) -> usize {
        self.places.len().div_ceil(2)
    }

    /// Appends where each of these packed rows begins.
    pub(super) fn begins(bytes: &[u8], from: usize, begins: &mut Vec<u32>) -> Result<(), ArrowError> {
        let mut at = from;
        while at < bytes.len() {
            begins.push(u32::try_from(at).map_err(|_| broken())?);
            let (length, _) = length(bytes, at);
            at += length.max(1);
        }
        Ok(())
    }

    /// The bytes of the row that begins there.
    pub(super) fn row(bytes: &[u8], at: u32) -> &[u8] {
        let at = at as usize;
        bytes.get(at..at + length(bytes, at).0).unwrap_or_default()
    }

    /// Moves the rows that begin there to `end` and behind it, in this order; says where each begins now, and where
    /// the last ends.
    pub(super) fn gather<'b>(
        bytes: &[u8],
        begins: impl Iterator<Item = &'b u32>,
        into: &mut Vec<u8>,
        mut end: usize,
        begin_now: &mut Vec<u32>,
    ) -> Result<usize, ArrowError> {
        // Rows that were left out are not written, and a long row may be written beyond its end.
        let most = end + bytes.len() + STEP_BYTES;
        if into.len() < most {
            into.resize(most, 0);
        }
        for begin in begins {
            begin_now.push(u32::try_from(end).map_err(|_| broken())?);
            let row = bytes.get(*begin as usize..).unwrap_or_default();
            let (length, _) = length(row, 0);
            let mut done = 0;
            while done < length {
                let step = row.get(done..).and_then(|rest| rest.first_chunk::<STEP_BYTES>());
                let room = into.get_mut(end + done..).and_then(|rest| rest.first_chunk_mut::<STEP_BYTES>());
                let (Some(step), Some(room)) = (step, room) else {
                    let rest = row.get(done..length).ok_or_else(broken)?;
                    into.get_mut(end + done..end + length).ok_or_else(broken)?.copy_from_slice(rest);
                    break;
                };
                *room = *step;
                done += STEP_BYTES;
            }
            end += length;
        }
        Ok(end)
    }

    /// What arrow makes of the values of a column, which are made of others.
    fn converter(&self, place: usize) -> Result<RowConverter, ArrowError> {
        let kind = self.schema.fields().get(place).map(|field| field.data_type().clone());
        RowConverter::new(vec![SortField::new(kind.unwrap_or(DataType::Null))])
    }
}

/// The length of the row that begins there, and how many bytes say it.
#[inline]
fn length(bytes: &[u8], at: usize) -> (usize, usize) {
    let word = load(bytes, at) as u32;
    if word & 1 == 0 { ((word & 0xffff) as usize >> 1, 2) } else { (word as usize >> 1, 4) }
}

/// The 8 bytes from there on; behind the last byte are zeros.
#[inline]
fn load(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    }
}

/// So that numbers near zero take few bytes, whichever their sign.
#[inline]
fn folded(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn unfolded(word: u64) -> i64 {
    (word >> 1).cast_signed() ^ -((word & 1).cast_signed())
}

fn broken() -> ArrowError {
    ArrowError::ComputeError("packed rows are not as they were packed".into())
}

fn column(columns: &[ArrayRef], place: usize) -> Result<&dyn Array, ArrowError> {
    columns.get(place).map(AsRef::as_ref).ok_or_else(broken)
}
