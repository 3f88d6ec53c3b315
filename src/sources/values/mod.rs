//! The type policy: a raw value becomes a value of the declared type, or a reason.
//!
//! Never a default: what cannot be represented exactly is empty *and* has a
//! fault. Text is brought to NFC, which is counted, and otherwise kept as it is,
//! blanks, tabs and line ends included; one with any other control character is a
//! fault. A file without types is read by the declared format or in
//! ISO 8601; a typed source's text is never read as a number. This module must
//! not know which source a value comes from.

mod moments;
mod numbers;
mod quick;
mod reason;
mod texts;
mod totals;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float64Builder,
    Int64Builder, IntervalMonthDayNanoBuilder, ListArray, RecordBatch, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use jiff::tz::TimeZone;

use super::{BATCH_ROWS, Batch, Error, Stop, TEXT_BYTES_MAX, Take, ValueFault};
use crate::pipeline::{Column, SourceTable, Type};
use moments::Form;
use totals::Sums;

pub(super) use moments::{DAYS, civil_days, iso_day, iso_moment, iso_time};
pub(super) use numbers::units;
pub(super) use quick::is_plain_text;
pub use reason::Reason;

/// As much text and bytes as one batch may hold before it is handed over, however few its rows.
const BATCH_BYTES: usize = 64 << 20;

/// A value as the source gave it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Nothing.
    Null,
    /// Text of a source that has types: it is not read as a number, but a date may be read from it.
    Text(&'a [u8]),
    /// A field of a file without types: it is read as what is declared.
    Field(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// An exact number as its digits, `-12.50`.
    Digits(&'a [u8]),
    /// An exact number in units of its scale: -1250 hundredths.
    Decimal {
        /// The number of units.
        unscaled: i128,
        /// How many of its digits stand behind the point.
        scale: u8,
    },
    /// A floating-point number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A civil date, in days since 1 January 1970; any number.
    Days(i64),
    /// A civil date and time: microseconds since 1 January 1970, 0:00. The ends of the range are infinity.
    Civil(i64),
    /// A moment: microseconds since 1970, UTC. The ends of the range are infinity.
    Instant(i64),
    /// A time of day in microseconds; any number.
    Time(i64),
    /// Months, days and microseconds, each by itself.
    Interval {
        /// Months.
        months: i32,
        /// Days.
        days: i32,
        /// Microseconds.
        micros: i64,
    },
    /// Bytes.
    Bytes(&'a [u8]),
    /// A UUID; as text it is written in groups with hyphens.
    Uuid([u8; 16]),
    /// A list of values; a list in a list has several dimensions.
    List(&'a [Raw<'a>]),
    /// Something else, already found unreadable.
    Fault(Reason),
}

/// Collects rows into batches of declared types.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Values>,
    zone: TimeZone,
    /// Per column, how many texts of this batch were brought to NFC.
    normalised: Vec<u64>,
    /// Text and bytes in this batch.
    bytes: usize,
    sums: Sums,
    faults: Vec<ValueFault>,
    row: usize,
    first_row: u64,
    /// The number of the first row of all.
    begun: u64,
}

impl Rows {
    /// An empty collection for the columns of a table, in their order.
    pub(super) fn new(table: &SourceTable) -> Self {
        let fields: Vec<_> = table.columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true)).collect();
        Rows {
            schema: Arc::new(Schema::new(fields)),
            columns: table.columns.iter().map(Values::of).collect(),
            zone: crate::calendar::vietnam(),
            normalised: vec![0; table.columns.len()],
            bytes: 0,
            sums: Sums::new(table),
            faults: Vec::new(),
            row: 0,
            first_row: 1,
            begun: 1,
        }
    }

    /// An empty collection whose first row has this number in the order read.
    pub(super) fn numbered_from(table: &SourceTable, first_row: u64) -> Self {
        Rows { first_row, begun: first_row, ..Rows::new(table) }
    }

    /// Says that a row of this batch, counting from 0, is unreadable as a whole; its values were pushed as empty.
    pub(super) fn break_row(&mut self, row: usize, reason: Reason) {
        self.faults.push(ValueFault { row, column: None, reason });
    }

    /// How many rows of this batch there are until now: the number of the next, counting from 0.
    pub(super) fn row_number(&self) -> usize {
        self.row
    }

    /// Adds the next row: `value` is asked for each column in turn.
    pub(super) fn row<'a>(&mut self, mut value: impl FnMut(usize) -> Raw<'a>) {
        for index in 0..self.columns.len() {
            self.push(index, self.row, value(index));
        }
        self.row += 1;
    }

    /// Adds a row that is unreadable as a whole.
    pub(super) fn broken_row(&mut self, reason: Reason) {
        self.faults.push(ValueFault { row: self.row, column: None, reason });
        self.row(|_| Raw::Null);
    }

    /// Adds `count` rows that a column-wise source has; each column is filled by [`Rows::push`].
    pub(super) fn rows(&mut self, count: usize) {
        self.row += count;
    }

    /// Adds the value of one column; `row` counts from 0 in this batch. The commonest forms go a shorter way.
    #[inline]
    pub(super) fn push(&mut self, column: usize, row: usize, value: Raw<'_>) {
        let Some(values) = self.columns.get_mut(column) else { return };
        let is_put = match (values, value) {
            (Values::Int(builder), Raw::Int(value)) => {
                builder.append_value(value);
                Some(())
            }
            (Values::Date(builder, Form::Iso), Raw::Text(text)) => {
                quick::iso_day(text).map(|day| builder.append_value(day))
            }
            (Values::Text(builder), Raw::Text(text)) => quick::plain_text(text).map(|text| {
                self.bytes += text.len();
                builder.append_value(text);
            }),
            _ => None,
        };
        if is_put.is_none() {
            self.push_judged(column, row, value);
        }
    }

    /// Adds a value of any form, or nothing and the reason.
    fn push_judged(&mut self, column: usize, row: usize, value: Raw<'_>) {
        let Some(values) = self.columns.get_mut(column) else { return };
        match values.push(value, &self.zone) {
            Ok(put) => {
                self.bytes += put.bytes;
                if put.is_normalised
                    && let Some(count) = self.normalised.get_mut(column)
                {
                    *count += 1;
                }
            }
            Err(reason) => self.faults.push(ValueFault { row, column: Some(column), reason }),
        }
    }

    /// Adds a field of a file without types, as [`Rows::push`] does; the commonest forms on a shorter way.
    #[inline]
    pub(super) fn push_field(&mut self, column: usize, row: usize, field: &str) {
        let Some(values) = self.columns.get_mut(column) else { return };
        let put = match values {
            Values::Int(builder) => quick::whole_number(field.as_bytes()).map(|value| builder.append_value(value)),
            Values::Date(builder, Form::Iso) => quick::iso_day(field.as_bytes()).map(|day| builder.append_value(day)),
            Values::Date(builder, Form::DayMonthYear(separator, _)) => {
                quick::local_day(field.as_bytes(), *separator).map(|day| builder.append_value(day))
            }
            // An empty field is no text, and any other in ASCII is one in NFC.
            Values::Text(builder)
                if (1..=TEXT_BYTES_MAX).contains(&field.len()) && quick::is_plain_text(field.as_bytes()) =>
            {
                self.bytes += field.len();
                builder.append_value(field);
                Some(())
            }
            _ => None,
        };
        if put.is_none() {
            self.push_judged(column, row, Raw::Field(field.as_bytes()));
        }
    }

    /// How many rows were handed over.
    pub(super) fn taken(&self) -> u64 {
        self.first_row - self.begun
    }

    /// The table's control totals over the rows handed over; a column with a fault has none.
    pub(super) fn sums(&self) -> BTreeMap<String, (u64, i128)> {
        self.sums.of_sound_columns()
    }

    /// Hands over the batch when it is full.
    pub(super) fn hand_over_when_full(&mut self, take: &Take<'_>) -> Result<(), Error> {
        if self.row < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(()) } else { self.hand_over(take) }
    }

    /// Hands over what is there.
    pub(super) fn hand_over(&mut self, take: &Take<'_>) -> Result<(), Error> {
        if self.row == 0 {
            return Ok(());
        }
        let failed = |source| Error::Arrow { source };
        let arrays = self.columns.iter_mut().map(Values::finish).collect::<Result<_, _>>().map_err(failed)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(failed)?;
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|fault| fault.row);
        self.sums.add(&rows, &faults);
        let first_row = self.first_row;
        self.first_row += self.row as u64;
        self.row = 0;
        self.bytes = 0;
        let normalised = self.normalised.iter_mut().map(std::mem::take).enumerate().filter(|(_, texts)| *texts > 0);
        let normalised = normalised.collect();
        take(Batch { first_row, rows, faults, normalised, numbers: None }).map_err(|Stop| Error::Stopped)
    }
}

/// What putting a value took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Put {
    /// Text or bytes that it needed.
    pub(super) bytes: usize,
    /// Whether a text was brought to NFC.
    pub(super) is_normalised: bool,
}

/// The builder of one column.
pub(super) enum Values {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder, Form),
    Decimal128(Decimal128Builder, u8, u8),
    Decimal256(Decimal256Builder, u8, u8),
    Timestamp(TimestampMicrosecondBuilder, Form),
    Instant(TimestampMicrosecondBuilder, Form),
    Time(Time64MicrosecondBuilder, Form),
    Interval(IntervalMonthDayNanoBuilder),
    Bytes(BinaryBuilder),
    List(Box<List>),
}

impl Values {
    pub(super) fn of(column: &Column) -> Self {
        Values::new(column.kind, column.format.as_deref())
    }

    fn new(kind: Type, format: Option<&str>) -> Self {
        let form = || Form::new(format);
        match kind {
            Type::Text => Values::Text(StringBuilder::new()),
            Type::Int => Values::Int(Int64Builder::new()),
            Type::Float => Values::Float(Float64Builder::new()),
            Type::Bool => Values::Bool(BooleanBuilder::new()),
            Type::Date => Values::Date(Date32Builder::new(), form()),
            Type::Decimal { digits, scale } if digits <= 38 => {
                let builder = Decimal128Builder::new().with_data_type(kind.arrow());
                Values::Decimal128(builder, digits, scale)
            }
            Type::Decimal { digits, scale } => {
                let builder = Decimal256Builder::new().with_data_type(kind.arrow());
                Values::Decimal256(builder, digits, scale)
            }
            Type::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new(), form()),
            Type::Instant => Values::Instant(TimestampMicrosecondBuilder::new().with_data_type(kind.arrow()), form()),
            Type::Time => Values::Time(Time64MicrosecondBuilder::new(), form()),
            Type::Interval => Values::Interval(IntervalMonthDayNanoBuilder::new()),
            Type::Bytes => Values::Bytes(BinaryBuilder::new()),
            Type::List(family) => Values::List(Box::new(List::new(family.element(), format))),
            Type::DecimalList { digits, scale } => {
                Values::List(Box::new(List::new(Type::Decimal { digits, scale }, format)))
            }
        }
    }

    /// Appends the value, or nothing together with its reason.
    pub(super) fn push(&mut self, raw: Raw<'_>, zone: &TimeZone) -> Result<Put, Reason> {
        match self {
            Values::Text(builder) => return append_text(builder, raw),
            Values::Bytes(builder) => return append_bytes(builder, raw),
            Values::List(list) => return list.push(raw, zone),
            Values::Int(builder) => append(numbers::whole_number(raw), |value| builder.append_option(value)),
            Values::Float(builder) => append(numbers::number(raw), |value| builder.append_option(value)),
            Values::Bool(builder) => append(numbers::yes_or_no(raw), |value| builder.append_option(value)),
            Values::Date(builder, form) => append(moments::date(raw, form, zone), |value| builder.append_option(value)),
            Values::Decimal128(builder, digits, scale) => {
                let number = numbers::decimal(raw, *digits, *scale);
                // 38 digits are below 2^127.
                append(number, |value| builder.append_option(value.and_then(arrow::datatypes::i256::to_i128)))
            }
            Values::Decimal256(builder, digits, scale) => {
                append(numbers::decimal(raw, *digits, *scale), |value| builder.append_option(value))
            }
            Values::Timestamp(builder, form) => {
                append(moments::timestamp(raw, form, zone), |value| builder.append_option(value))
            }
            Values::Instant(builder, form) => append(moments::instant(raw, form), |value| builder.append_option(value)),
            Values::Time(builder, form) => append(moments::time(raw, form), |value| builder.append_option(value)),
            Values::Interval(builder) => append(moments::interval(raw), |value| builder.append_option(value)),
        }
        .map(|()| Put::default())
    }

    /// Whether the value can be taken; nothing is appended.
    fn judge(&self, raw: Raw<'_>, zone: &TimeZone) -> Result<(), Reason> {
        match self {
            Values::Text(_) => texts::text(raw).map(drop),
            Values::Bytes(_) => texts::bytes(raw).map(drop),
            // A list holds no list.
            Values::List(_) => Err(Reason::SeveralDimensions),
            Values::Int(_) => numbers::whole_number(raw).map(drop),
            Values::Float(_) => numbers::number(raw).map(drop),
            Values::Bool(_) => numbers::yes_or_no(raw).map(drop),
            Values::Date(_, form) => moments::date(raw, form, zone).map(drop),
            Values::Decimal128(_, digits, scale) | Values::Decimal256(_, digits, scale) => {
                numbers::decimal(raw, *digits, *scale).map(drop)
            }
            Values::Timestamp(_, form) => moments::timestamp(raw, form, zone).map(drop),
            Values::Instant(_, form) => moments::instant(raw, form).map(drop),
            Values::Time(_, form) => moments::time(raw, form).map(drop),
            Values::Interval(_) => moments::interval(raw).map(drop),
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Int(builder) => Arc::new(builder.finish()),
            Values::Float(builder) => Arc::new(builder.finish()),
            Values::Bool(builder) => Arc::new(builder.finish()),
            Values::Date(builder, _) => Arc::new(builder.finish()),
            Values::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Values::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Values::Timestamp(builder, _) | Values::Instant(builder, _) => Arc::new(builder.finish()),
            Values::Time(builder, _) => Arc::new(builder.finish()),
            Values::Interval(builder) => Arc::new(builder.finish()),
            Values::Bytes(builder) => Arc::new(builder.finish()),
            Values::List(list) => Arc::new(list.finish()?),
        })
    }
}

/// The builder of a column of lists.
pub(super) struct List {
    element: Type,
    items: Values,
    lengths: Vec<usize>,
    filled: Vec<bool>,
}

impl List {
    fn new(element: Type, format: Option<&str>) -> Self {
        List { element, items: Values::new(element, format), lengths: Vec::new(), filled: Vec::new() }
    }

    fn push(&mut self, raw: Raw<'_>, zone: &TimeZone) -> Result<Put, Reason> {
        let judged = match raw {
            Raw::Null | Raw::Field([]) => Ok(None),
            Raw::List(items) => self.judged(items, zone).map(|()| Some(items)),
            Raw::Fault(reason) => Err(reason),
            _ => Err(Reason::NotAList),
        };
        let items = judged.as_ref().ok().copied().flatten();
        self.lengths.push(items.map_or(0, <[_]>::len));
        self.filled.push(items.is_some());
        // Numbers take room as text does.
        let mut total = Put { bytes: items.map_or(0, <[_]>::len) * size_of::<i64>(), is_normalised: false };
        for item in items.unwrap_or_default() {
            // Each was judged; a value of a list that is refused must not stay behind in it.
            let put = self.items.push(*item, zone)?;
            total.bytes += put.bytes;
            total.is_normalised |= put.is_normalised;
        }
        judged.map(|_| total)
    }

    fn judged(&self, items: &[Raw<'_>], zone: &TimeZone) -> Result<(), Reason> {
        let mut bytes = 0;
        for item in items {
            match item {
                Raw::List(_) => return Err(Reason::SeveralDimensions),
                Raw::Text(text) | Raw::Bytes(text) | Raw::Digits(text) => bytes += text.len(),
                _ => {}
            }
            self.items.judge(*item, zone)?;
        }
        // All lists of a batch stay below the 2^31 values and bytes that Arrow can address.
        if items.len() > TEXT_BYTES_MAX || bytes > TEXT_BYTES_MAX { Err(Reason::TooManyValues) } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let items = self.items.finish()?;
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let filled = NullBuffer::from(std::mem::take(&mut self.filled));
        let filled = (filled.null_count() > 0).then_some(filled);
        ListArray::try_new(Arc::new(Field::new_list_field(self.element.arrow(), true)), offsets, items, filled)
    }
}

/// Appends the value, or nothing together with its reason.
fn append<T>(value: Result<Option<T>, Reason>, mut put: impl FnMut(Option<T>)) -> Result<(), Reason> {
    match value {
        Ok(value) => {
            put(value);
            Ok(())
        }
        Err(reason) => {
            put(None);
            Err(reason)
        }
    }
}

pub(super) fn append_text(builder: &mut StringBuilder, raw: Raw<'_>) -> Result<Put, Reason> {
    let text = texts::text(raw);
    builder.append_option(text.as_ref().ok().and_then(Option::as_ref).map(|text| text.text.as_ref()));
    Ok(text?.map_or_else(Put::default, |text| Put { bytes: text.text.len(), is_normalised: text.is_normalised }))
}

fn append_bytes(builder: &mut BinaryBuilder, raw: Raw<'_>) -> Result<Put, Reason> {
    let bytes = texts::bytes(raw);
    builder.append_option(bytes.as_ref().ok().and_then(Option::as_deref));
    Ok(bytes?.map_or_else(Put::default, |bytes| Put { bytes: bytes.len(), is_normalised: false }))
}
