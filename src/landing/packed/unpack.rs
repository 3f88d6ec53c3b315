//! Rows become columns again, in whatever order they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayData, BooleanBufferBuilder};
use arrow::array::{ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, make_array};
use arrow::buffer::{Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use super::{EMPTY, Kind, Layout, SHORT_BYTES, UNPACK_ROWS, broken, length, load, unfolded};

/// Which bytes of a word count, by how many they are; what is empty is zero.
const MASKS: [u64; 16] = [
    0,
    0xff,
    0xffff,
    0xff_ffff,
    0xffff_ffff,
    0xff_ffff_ffff,
    0xffff_ffff_ffff,
    0xff_ffff_ffff_ffff,
    u64::MAX,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
];

/// The values of a column so far.
enum Values {
    Word4(Vec<i32>),
    Word8(Vec<i64>),
    Wide(MutableBuffer, usize),
    Bit(BooleanBufferBuilder),
    Bytes(Vec<i32>, Text),
    Made(Vec<Vec<u8>>),
}

/// A column so far.
struct Column {
    values: Values,
    /// Which values are filled; none while all are.
    filled: Option<BooleanBufferBuilder>,
    rows: usize,
}

impl Layout {
    /// The columns by which rows are sorted, of the packed rows that begin there.
    pub(in crate::landing) fn sorting(&self, bytes: &[u8], begins: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
        self.unpack(bytes, begins, self.sorting)
    }

    /// The columns that the schema has, which are all but the number.
    pub(in crate::landing) fn rows(
        &self,
        bytes: &[u8],
        begins: &[u32],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let columns = self.unpack(bytes, begins, self.places.len() - 1)?;
        RecordBatch::try_new(Arc::clone(schema), self.in_place(&columns, schema.fields().len())?)
    }

    /// All columns and the number.
    pub(in crate::landing) fn all(&self, bytes: &[u8], begins: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
        self.in_place(&self.unpack(bytes, begins, self.places.len())?, self.places.len())
    }

    /// The columns with these places, which are among those that stand first.
    pub(in crate::landing) fn some(
        &self,
        bytes: &[u8],
        begins: &[u32],
        wanted: &[usize],
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let stands = |wanted: &usize| self.places.iter().position(|place| place == wanted).ok_or_else(broken);
        let stands = wanted.iter().map(stands).collect::<Result<Vec<_>, _>>()?;
        let columns = self.unpack(bytes, begins, stands.iter().max().map_or(0, |last| last + 1))?;
        stands.iter().map(|at| columns.get(*at).cloned().ok_or_else(broken)).collect()
    }

    fn in_place(&self, columns: &[ArrayRef], count: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        let stands = |wanted: usize| self.places.iter().position(|place| *place == wanted);
        (0..count).map(|place| stands(place).and_then(|at| columns.get(at)).cloned().ok_or_else(broken)).collect()
    }

    /// The first columns in the order of a row.
    fn unpack(&self, bytes: &[u8], begins: &[u32], count: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut columns: Vec<Column> =
            self.kinds.iter().take(count).map(|kind| Column::new(*kind, begins.len())).collect();
        let (mut heads, mut ends) = (Vec::with_capacity(UNPACK_ROWS), Vec::with_capacity(UNPACK_ROWS));
        let mut codes: Vec<u8> = Vec::with_capacity(UNPACK_ROWS);
        for begins in begins.chunks(UNPACK_ROWS) {
            heads.clear();
            ends.clear();
            for begin in begins {
                let head = *begin as usize + length(bytes, *begin as usize).1;
                heads.push(head);
                ends.push(head + self.head_bytes());
            }
            for (at, column) in columns.iter_mut().enumerate() {
                let (byte, shift) = (at / 2, at % 2 * 4);
                codes.clear();
                codes.extend(heads.iter().map(|head| bytes.get(head + byte).map_or(EMPTY, |byte| byte >> shift & 15)));
                column.read(bytes, &codes, &mut ends)?;
            }
        }
        let kinds = self.places.iter().map(|place| self.schema.fields().get(*place).map(|field| field.data_type()));
        let columns = columns.into_iter().zip(kinds).zip(&self.places);
        columns.map(|((column, kind), place)| self.finish(column, kind.ok_or_else(broken)?, *place)).collect()
    }

    fn finish(&self, column: Column, kind: &DataType, place: usize) -> Result<ArrayRef, ArrowError> {
        let nulls = column.filled.map(|mut filled| NullBuffer::new(filled.finish()));
        let primitive = |values: Buffer| {
            let data = ArrayData::builder(kind.clone()).len(column.rows).add_buffer(values).nulls(nulls.clone());
            data.build().map(make_array)
        };
        Ok(match column.values {
            Values::Word4(values) => primitive(Buffer::from_vec(values))?,
            Values::Word8(values) => primitive(Buffer::from_vec(values))?,
            Values::Wide(values, _) => primitive(values.into())?,
            Values::Bit(mut bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Values::Bytes(offsets, data) => {
                let (offsets, data) = (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(data.finish()));
                match kind {
                    DataType::Utf8 => Arc::new(StringArray::try_new(offsets, data, nulls)?),
                    _ => Arc::new(BinaryArray::try_new(offsets, data, nulls)?),
                }
            }
            Values::Made(rows) => {
                let converter = self.converter(place)?;
                let parser = converter.parser();
                let columns = converter.convert_rows(rows.iter().map(|row| parser.parse(row)))?;
                columns.into_iter().next().ok_or_else(broken)?
            }
        })
    }
}

impl Column {
    fn new(kind: Kind, rows: usize) -> Self {
        let values = match kind {
            Kind::Word4 => Values::Word4(Vec::with_capacity(rows)),
            Kind::Word8 => Values::Word8(Vec::with_capacity(rows)),
            Kind::Wide(width) => Values::Wide(MutableBuffer::new(rows * width), width),
            Kind::Bit => Values::Bit(BooleanBufferBuilder::new(rows)),
            Kind::Bytes => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Values::Bytes(offsets, Text::new(rows * 12))
            }
            Kind::Made => Values::Made(Vec::with_capacity(rows)),
        };
        Column { values, filled: None, rows: 0 }
    }

    /// Reads the next value of each of these rows, which has this half byte and begins there.
    fn read(&mut self, bytes: &[u8], codes: &[u8], ends: &mut [usize]) -> Result<(), ArrowError> {
        let before = self.rows;
        self.rows += codes.len();
        let rows = codes.iter().zip(ends);
        match &mut self.values {
            Values::Word4(values) => values.extend(rows.map(|(code, end)| unfolded(word(bytes, *code, end)) as i32)),
            Values::Word8(values) => values.extend(rows.map(|(code, end)| unfolded(word(bytes, *code, end)))),
            Values::Wide(values, width) => {
                for (code, end) in rows {
                    if *code == EMPTY {
                        values.extend_zeros(*width);
                    } else {
                        values.extend_from_slice(bytes.get(*end..*end + *width).ok_or_else(broken)?);
                        *end += *width;
                    }
                }
            }
            Values::Bit(bits) => rows.for_each(|(code, _)| bits.append(*code == 1)),
            Values::Bytes(offsets, data) => {
                for (code, end) in rows {
                    data.put(bytes, *code, end)?;
                    offsets.push(i32::try_from(data.end).map_err(|_| ArrowError::OffsetOverflowError(data.end))?);
                }
            }
            Values::Made(values) => {
                for (code, end) in rows {
                    values.push(text(bytes, *code, end)?.to_vec());
                }
            }
        }
        // Of what is made of others, the bytes say whether it is empty.
        if self.filled.is_some() || codes.contains(&EMPTY) {
            let filled = self.filled.get_or_insert_with(|| {
                let mut filled = BooleanBufferBuilder::new(before + codes.len());
                filled.append_n(before, true);
                filled
            });
            codes.iter().for_each(|code| filled.append(*code != EMPTY));
        }
        Ok(())
    }
}

/// The number of so many bytes, behind which the next value begins.
#[inline]
fn word(bytes: &[u8], code: u8, end: &mut usize) -> u64 {
    let mask = MASKS.get(usize::from(code)).copied().unwrap_or(0);
    let word = load(bytes, *end) & mask;
    *end += usize::from(if code == EMPTY { 0 } else { code });
    word
}

/// The bytes of texts, one behind the other, with room behind the last in which a short one is written whole.
struct Text {
    bytes: Vec<u8>,
    end: usize,
}

impl Text {
    fn new(room: usize) -> Self {
        Text { bytes: vec![0; room + SHORT_BYTES], end: 0 }
    }

    /// Appends the bytes behind their length; short ones with as many as are moved at once.
    #[inline]
    fn put(&mut self, bytes: &[u8], code: u8, end: &mut usize) -> Result<(), ArrowError> {
        let length = word(bytes, code, end) as usize;
        if self.bytes.len() - self.end < length + SHORT_BYTES {
            self.grow(length);
        }
        let short = bytes.get(*end..).and_then(|rest| rest.first_chunk::<SHORT_BYTES>());
        let room = self.bytes.get_mut(self.end..).and_then(|rest| rest.first_chunk_mut::<SHORT_BYTES>());
        match (short, room) {
            (Some(short), Some(room)) if length <= SHORT_BYTES => *room = *short,
            _ => {
                let text = bytes.get(*end..*end + length).ok_or_else(broken)?;
                self.bytes.get_mut(self.end..self.end + length).ok_or_else(broken)?.copy_from_slice(text);
            }
        }
        self.end += length;
        *end += length;
        Ok(())
    }

    #[cold]
    fn grow(&mut self, length: usize) {
        self.bytes.resize(self.bytes.len() * 2 + length, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes
    }
}

/// The bytes behind their length.
#[inline]
fn text<'b>(bytes: &'b [u8], code: u8, end: &mut usize) -> Result<&'b [u8], ArrowError> {
    let length = word(bytes, code, end) as usize;
    let text = bytes.get(*end..*end + length).ok_or_else(broken)?;
    *end += length;
    Ok(text)
}
