//! Columns become rows, each in the bucket where it belongs.

use arrow::array::{ArrayData, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::Rows;

use super::{CHUNK_ROWS, EMPTY, Kind, LONG, Layout, SHORT_BYTES, broken, column, folded};

/// Packed rows, bucket by bucket.
pub(in crate::landing) struct Packed {
    pub(in crate::landing) bytes: Vec<u8>,
    /// Per bucket, where its rows end and how many they are.
    pub(in crate::landing) buckets: Vec<(usize, u32)>,
}

/// The values of a column.
enum Values<'a> {
    Word4(ArrayData),
    Word8(ArrayData),
    Wide(ArrayData, usize),
    Bit(&'a BooleanArray),
    Bytes(&'a [i32], &'a [u8]),
    Made(Rows),
}

/// A column, with the half byte of each value.
struct Column<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    codes: Vec<u8>,
}

impl Layout {
    /// Packs batches; `bucket_of` says of each row, in the order of the batches, to which of the buckets it belongs.
    pub(in crate::landing) fn pack(
        &self,
        batches: &[RecordBatch],
        bucket_of: &[u16],
        buckets: usize,
    ) -> Result<Packed, ArrowError> {
        let mut columns = Vec::with_capacity(batches.len());
        let mut lengths = Vec::with_capacity(bucket_of.len());
        for batch in batches {
            let from = lengths.len();
            lengths.resize(from + batch.num_rows(), (2 + self.head_bytes()) as u32);
            columns.push(self.columns(batch, lengths.get_mut(from..).unwrap_or_default())?);
        }
        for length in lengths.iter_mut().filter(|length| **length as usize >= LONG) {
            *length = length.checked_add(2).filter(|length| *length < 1 << 31).ok_or_else(broken)?;
        }
        let mut placed = vec![(0_usize, 0_u32); buckets];
        for (bucket, length) in bucket_of.iter().zip(&lengths) {
            if let Some((bytes, rows)) = placed.get_mut(usize::from(*bucket)) {
                *bytes += *length as usize;
                *rows += 1;
            }
        }
        let mut before = 0;
        for (bytes, _) in &mut placed {
            before += std::mem::replace(bytes, before);
        }
        let mut packed = Packed { bytes: vec![0; before], buckets: placed };
        let mut scratch = Scratch::default();
        let mut rows = bucket_of.iter().zip(&lengths);
        for (batch, columns) in batches.iter().zip(&columns) {
            for from in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
                let count = CHUNK_ROWS.min(batch.num_rows() - from);
                scratch.lengths.clear();
                scratch.buckets.clear();
                for (bucket, length) in rows.by_ref().take(count) {
                    scratch.lengths.push(*length);
                    scratch.buckets.push(*bucket);
                }
                scratch.fill(columns, from);
                scratch.scatter(&mut packed);
            }
        }
        Ok(packed)
    }

    /// The columns in the order of a row; adds to the lengths what they take.
    fn columns<'b>(&self, batch: &'b RecordBatch, lengths: &mut [u32]) -> Result<Vec<Column<'b>>, ArrowError> {
        let mut columns = Vec::with_capacity(self.places.len());
        for (place, kind) in self.places.iter().zip(&self.kinds) {
            let array = column(batch.columns(), *place)?;
            let values = match kind {
                Kind::Word4 => Values::Word4(array.to_data()),
                Kind::Word8 => Values::Word8(array.to_data()),
                Kind::Wide(width) => Values::Wide(array.to_data(), *width),
                Kind::Bit => Values::Bit(array.as_boolean_opt().ok_or_else(broken)?),
                Kind::Bytes if *array.data_type() == DataType::Utf8 => {
                    let texts = array.as_string_opt::<i32>().ok_or_else(broken)?;
                    Values::Bytes(texts.value_offsets(), texts.value_data())
                }
                Kind::Bytes => {
                    let bytes = array.as_binary_opt::<i32>().ok_or_else(broken)?;
                    Values::Bytes(bytes.value_offsets(), bytes.value_data())
                }
                Kind::Made => {
                    let whole = batch.columns().get(*place).cloned();
                    Values::Made(self.converter(*place)?.convert_columns(&whole.into_iter().collect::<Vec<_>>())?)
                }
            };
            // Arrow has bytes for what is empty too.
            let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0 && *kind != Kind::Made);
            let mut column = Column { values, nulls, codes: Vec::new() };
            column.measure(lengths);
            columns.push(column);
        }
        Ok(columns)
    }
}

/// How many bytes a number takes.
#[inline]
fn needed(word: u64) -> u8 {
    (71 - (word | 1).leading_zeros() as u8) / 8 - u8::from(word == 0)
}

impl Column<'_> {
    /// Finds the half byte of each value, and adds what it takes to the length of its row.
    fn measure(&mut self, lengths: &mut [u32]) {
        // More than 2 GiB in a row is an error when all columns are added up.
        let grow = |length: &mut u32, bytes: usize| {
            *length = length.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        };
        let small = |length: &mut u32, code: u8| {
            *length = length.saturating_add(u32::from(code));
            code
        };
        let rows = lengths.iter_mut();
        self.codes.reserve(rows.len());
        match &self.values {
            Values::Word4(data) => {
                let values = data.buffer::<i32>(0).iter();
                let code = |(length, value): (&mut u32, &i32)| small(length, needed(folded(i64::from(*value))));
                self.codes.extend(rows.zip(values).map(code));
            }
            Values::Word8(data) => {
                let values = data.buffer::<i64>(0).iter();
                self.codes.extend(rows.zip(values).map(|(length, value)| small(length, needed(folded(*value)))));
            }
            Values::Wide(_, width) => {
                rows.for_each(|length| grow(length, *width));
                self.codes.resize(lengths.len(), 0);
            }
            Values::Bit(bits) => self.codes.extend(bits.values().iter().map(u8::from)),
            Values::Bytes(offsets, _) => self.codes.extend(rows.zip(offsets.windows(2)).map(|(length, pair)| {
                let bytes = between(pair).1;
                grow(length, bytes);
                small(length, needed(bytes as u64))
            })),
            Values::Made(made) => self.codes.extend(rows.zip(made).map(|(length, bytes)| {
                let bytes = bytes.data().len();
                grow(length, bytes);
                small(length, needed(bytes as u64))
            })),
        }
        let Some(nulls) = self.nulls else { return };
        // What lies under an empty value takes nothing.
        let width = |code: u8, row: usize| match &self.values {
            Values::Bit(_) => 0,
            Values::Wide(_, width) => *width,
            Values::Bytes(offsets, _) => {
                usize::from(code) + offsets.get(row..row + 2).map_or(0, |pair| between(pair).1)
            }
            _ => usize::from(code),
        };
        for (row, (code, length)) in self.codes.iter_mut().zip(lengths).enumerate() {
            if nulls.is_null(row) {
                *length = length.saturating_sub(width(*code, row) as u32);
                *code = EMPTY;
            }
        }
    }

    /// Writes the values of these rows behind what they have already.
    fn write(&self, from: usize, ends: &mut [usize], into: &mut [u8]) {
        let codes = self.codes.get(from..).unwrap_or_default();
        let rows = ends.iter_mut().zip(codes);
        match &self.values {
            Values::Word4(data) => {
                let values = data.buffer::<i32>(0).get(from..).unwrap_or_default();
                rows.zip(values).for_each(|((end, code), value)| put_word(into, end, *code, folded(i64::from(*value))));
            }
            Values::Word8(data) => {
                let values = data.buffer::<i64>(0).get(from..).unwrap_or_default();
                rows.zip(values).for_each(|((end, code), value)| put_word(into, end, *code, folded(*value)));
            }
            Values::Wide(data, width) => {
                let bytes = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
                let values = bytes.get((data.offset() + from) * width..).unwrap_or_default();
                for ((end, code), value) in rows.zip(values.chunks_exact(*width)) {
                    if *code != EMPTY {
                        put_bytes(into, end, value);
                    }
                }
            }
            Values::Bit(_) => {}
            Values::Bytes(offsets, data) => {
                let offsets = offsets.get(from..).unwrap_or_default();
                for ((end, code), pair) in rows.zip(offsets.windows(2)).filter(|((_, code), _)| **code != EMPTY) {
                    let (start, length) = between(pair);
                    put_word(into, end, *code, length as u64);
                    put_text(into, end, data.get(start..).unwrap_or_default(), length);
                }
            }
            Values::Made(made) => {
                let values = (from..made.num_rows()).map(|row| made.row(row));
                for ((end, code), value) in rows.zip(values).filter(|((_, code), _)| **code != EMPTY) {
                    put_word(into, end, *code, value.data().len() as u64);
                    put_bytes(into, end, value.data());
                }
            }
        }
    }
}

#[inline]
fn between(pair: &[i32]) -> (usize, usize) {
    match pair {
        [from, until] => (*from as usize, (until - from) as usize),
        _ => (0, 0),
    }
}

/// Writes 8 bytes, of which so many stay: what is written next covers the others.
#[inline]
fn put_word(into: &mut [u8], end: &mut usize, code: u8, word: u64) {
    if code == EMPTY {
        return;
    }
    if let Some(room) = into.get_mut(*end..).and_then(|rest| rest.first_chunk_mut::<8>()) {
        *room = word.to_le_bytes();
    }
    *end += usize::from(code);
}

/// Writes the first bytes of these; short texts with as many bytes as are moved at once.
#[inline]
fn put_text(into: &mut [u8], end: &mut usize, bytes: &[u8], length: usize) {
    let room = into.get_mut(*end..).and_then(|rest| rest.first_chunk_mut::<SHORT_BYTES>());
    match (room, bytes.first_chunk::<SHORT_BYTES>()) {
        (Some(room), Some(text)) if length <= SHORT_BYTES => {
            *room = *text;
            *end += length;
        }
        _ => put_bytes(into, end, bytes.get(..length).unwrap_or_default()),
    }
}

#[inline]
fn put_bytes(into: &mut [u8], end: &mut usize, bytes: &[u8]) {
    if let Some(room) = into.get_mut(*end..*end + bytes.len()) {
        room.copy_from_slice(bytes);
    }
    *end += bytes.len();
}

/// Copies a row, which is some times as long as what is moved at once: in steps, and the last bytes once more.
#[inline]
fn put_row(room: &mut [u8], row: &[u8]) {
    match (room.last_chunk_mut::<SHORT_BYTES>(), row.last_chunk::<SHORT_BYTES>()) {
        (Some(to), Some(from)) => *to = *from,
        _ => return room.copy_from_slice(row),
    }
    let steps = room.as_chunks_mut::<SHORT_BYTES>().0.iter_mut().zip(row.as_chunks::<SHORT_BYTES>().0);
    steps.for_each(|(to, from)| *to = *from);
}

/// Where some rows are put together before each goes to its bucket.
#[derive(Default)]
struct Scratch {
    lengths: Vec<u32>,
    buckets: Vec<u16>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// The half bytes of a column that is not there.
const NONE: [u8; 0] = [];

/// Between rows, so that a word or a short text may be written whole.
const SLACK_BYTES: usize = SHORT_BYTES;

impl Scratch {
    fn fill(&mut self, columns: &[Column<'_>], from: usize) {
        self.ends.clear();
        let mut at = 0;
        for length in &self.lengths {
            self.ends.push(at);
            at += *length as usize + SLACK_BYTES;
        }
        if self.bytes.len() < at {
            self.bytes.resize(at, 0);
        }
        for (end, length) in self.ends.iter_mut().zip(&self.lengths) {
            let is_long = *length as usize >= LONG;
            put_word(&mut self.bytes, end, if is_long { 4 } else { 2 }, u64::from(*length) << 1 | u64::from(is_long));
        }
        for halves in columns.chunks(2) {
            let codes = |at: usize| halves.get(at).and_then(|column| column.codes.get(from..)).unwrap_or(&NONE);
            let (first, second) = (codes(0), codes(1));
            for ((row, end), first) in self.ends.iter_mut().enumerate().zip(first) {
                if let Some(byte) = self.bytes.get_mut(*end) {
                    *byte = first | second.get(row).copied().unwrap_or(0) << 4;
                }
                *end += 1;
            }
        }
        for column in columns {
            column.write(from, &mut self.ends, &mut self.bytes);
        }
    }

    fn scatter(&self, packed: &mut Packed) {
        let mut at = 0;
        for (bucket, length) in self.buckets.iter().zip(&self.lengths) {
            let length = *length as usize;
            if let Some((end, _)) = packed.buckets.get_mut(usize::from(*bucket)) {
                if let (Some(room), Some(row)) =
                    (packed.bytes.get_mut(*end..*end + length), self.bytes.get(at..at + length))
                {
                    put_row(room, row);
                }
                *end += length;
            }
            at += length + SLACK_BYTES;
        }
    }
}
