//! Splits a block of records into fields and gives them to the type policy, column by column.
//!
//! A block without a quotation mark, which is nearly every block, is split where
//! its delimiters and line ends stand; one with quotation marks goes through the
//! csv crate. Both give what RFC 4180 says.

use super::super::values::{Raw, Reason, Rows};
use super::super::{BATCH_ROWS, Error, Take};

/// How the file is laid out, and which of its fields are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    /// One byte between fields.
    pub(super) delimiter: u8,
    /// Fields in the header.
    pub(super) width: usize,
    /// Per granted column, its place among the fields.
    pub(super) places: &'a [usize],
}

/// Gives all records of `bytes` to `rows`, and hands over the batches.
pub(super) fn split(bytes: &[u8], layout: Layout<'_>, rows: &mut Rows, take: &Take<'_>) -> Result<(), Error> {
    if memchr::memchr(b'"', bytes).is_some() {
        quoted(bytes, layout, rows, take)
    } else {
        plain(bytes, layout, rows, take)
    }
}

/// Blocks in which each delimiter and each line end is one.
fn plain(bytes: &[u8], layout: Layout<'_>, rows: &mut Rows, take: &Take<'_>) -> Result<(), Error> {
    let mut batch = Fields::new(bytes, layout);
    let mut start = 0;
    for at in memchr::memchr3_iter(layout.delimiter, b'\n', b'\r', bytes) {
        if bytes.get(at) == Some(&layout.delimiter) {
            batch.field(start, at);
        } else if start < at || batch.is_within() {
            batch.field(start, at);
            batch.end();
            if batch.count == BATCH_ROWS {
                batch.hand_over(rows, take)?;
            }
        }
        start = at + 1;
    }
    // The last record of a file may lack its line end.
    if start < bytes.len() || batch.is_within() {
        batch.field(start, bytes.len());
        batch.end();
    }
    batch.hand_over(rows, take)
}

/// Where the fields of a batch stand.
struct Fields<'a> {
    bytes: &'a [u8],
    /// The same where all of it is UTF-8, looked at once and not field by field.
    text: Option<&'a str>,
    layout: Layout<'a>,
    /// Start and end of each field, row after row, `width` of them in each.
    spans: Vec<(u32, u32)>,
    /// How many fields the record at hand has until now.
    fields: usize,
    count: usize,
    ragged: Vec<usize>,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], layout: Layout<'a>) -> Self {
        Fields {
            bytes,
            text: std::str::from_utf8(bytes).ok(),
            layout,
            spans: Vec::new(),
            fields: 0,
            count: 0,
            ragged: Vec::new(),
        }
    }

    fn is_within(&self) -> bool {
        self.fields > 0
    }

    fn field(&mut self, start: usize, end: usize) {
        if self.fields < self.layout.width {
            // A block is far below 4 GiB.
            self.spans.push((start as u32, end as u32));
        }
        self.fields += 1;
    }

    fn end(&mut self) {
        if self.fields != self.layout.width {
            self.ragged.push(self.count);
        }
        self.count += 1;
        self.spans.resize(self.count * self.layout.width, (0, 0));
        self.fields = 0;
    }

    fn hand_over(&mut self, rows: &mut Rows, take: &Take<'_>) -> Result<(), Error> {
        for (column, place) in self.layout.places.iter().enumerate() {
            let mut ragged = self.ragged.iter().peekable();
            for (row, fields) in self.spans.chunks_exact(self.layout.width.max(1)).enumerate() {
                let span = fields.get(*place).map_or(0..0, |(start, end)| *start as usize..*end as usize);
                if ragged.peek().is_some() && ragged.next_if_eq(&&row).is_some() {
                    rows.push(column, row, Raw::Null);
                } else if let Some(field) = self.text.and_then(|text| text.get(span.clone())) {
                    rows.push_field(column, row, field);
                } else {
                    rows.push(column, row, Raw::Field(self.bytes.get(span).unwrap_or_default()));
                }
            }
        }
        rows.rows(self.count);
        self.ragged.iter().for_each(|row| rows.break_row(*row, Reason::RaggedRow));
        self.spans.clear();
        self.ragged.clear();
        self.count = 0;
        rows.hand_over(take)
    }
}

/// Blocks in which a delimiter or a line end may stand inside quotation marks.
fn quoted(bytes: &[u8], layout: Layout<'_>, rows: &mut Rows, take: &Take<'_>) -> Result<(), Error> {
    let mut reader = super::parser(layout.delimiter).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    // Reading from memory cannot fail, and fields are bytes.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        if record.len() == layout.width {
            rows.row(|column| {
                let place = layout.places.get(column);
                Raw::Field(place.and_then(|place| record.get(*place)).unwrap_or_default())
            });
        } else {
            rows.broken_row(Reason::RaggedRow);
        }
        rows.hand_over_when_full(take)?;
    }
    rows.hand_over(take)
}
