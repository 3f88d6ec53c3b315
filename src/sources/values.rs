//! The type policy: a raw value becomes a value of the declared type, or a reason.
//!
//! Never a default: what cannot be represented exactly is empty *and* has a
//! fault. Text is brought to NFC and otherwise kept as it is, blanks included.
//! This module must not know which source a value comes from.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{BATCH_ROWS, Batch, Error, Stop, TEXT_BYTES_MAX, Take, ValueFault};
use crate::pipeline::{Column, SourceTable, Type};

/// 1 January 1900 and 31 December 2200, in days since 1 January 1970.
const DAYS: std::ops::RangeInclusive<i64> = -25_567..=84_370;

/// Whole numbers up to this size are exact in double precision.
const EXACT: u64 = 1 << 53;

const DAY_MICROS: i64 = 86_400_000_000;

/// Why a value or a row could not be taken. It never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A number or bytes where text is declared.
    NotText,
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The text is longer than [`TEXT_BYTES_MAX`].
    TooLong,
    /// Not a whole number.
    NotAWholeNumber,
    /// Not a number.
    NotANumber,
    /// Infinite, or "not a number".
    NotFinite,
    /// More digits than the declared type holds exactly.
    TooLarge,
    /// Not yes or no.
    NotYesOrNo,
    /// Not a date in the declared format.
    NotADate,
    /// The form of a date, but no such day (30/02).
    NoSuchDay,
    /// A date outside the years 1900 to 2200: "no expiry" in disguise, or infinity.
    DateOutOfRange,
    /// A moment of the day where a date is declared.
    TimeOfDay,
    /// The row has more or fewer fields than the header.
    RaggedRow,
    /// A key column is empty.
    EmptyKey,
    /// Another row has the same key.
    DuplicateKey,
}

impl Reason {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Reason::NotText => "not a text",
            Reason::InvalidUtf8 => "invalid UTF-8",
            Reason::TooLong => "text too long",
            Reason::NotAWholeNumber => "not a whole number",
            Reason::NotANumber => "not a number",
            Reason::NotFinite => "not a finite number",
            Reason::TooLarge => "number too large",
            Reason::NotYesOrNo => "not yes or no",
            Reason::NotADate => "not a date",
            Reason::NoSuchDay => "no such day",
            Reason::DateOutOfRange => "date outside 1900 to 2200",
            Reason::TimeOfDay => "time of day in a date",
            Reason::RaggedRow => "wrong number of fields",
            Reason::EmptyKey => "empty key",
            Reason::DuplicateKey => "duplicate key",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A value as the source gave it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Nothing.
    Null,
    /// Text of a source that has types: it is not read as a number.
    Text(&'a [u8]),
    /// A field of a file without types: it is read as what is declared.
    Field(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A civil date, in days since 1 January 1970; any number.
    Days(i64),
    /// A civil date and time in Vietnam: microseconds since 1 January 1970, 0:00.
    Civil(i64),
    /// A UUID; as text it is written in groups with hyphens.
    Uuid([u8; 16]),
    /// Something else, already found unreadable.
    Fault(Reason),
}

/// Collects rows into batches of declared types.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Values>,
    faults: Vec<ValueFault>,
    row: usize,
    first_row: u64,
}

impl Rows {
    /// An empty collection for the columns of a table, in their order.
    pub(super) fn new(table: &SourceTable) -> Self {
        let fields: Vec<_> = table.columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true)).collect();
        Rows {
            schema: Arc::new(Schema::new(fields)),
            columns: table.columns.iter().map(Values::new).collect(),
            faults: Vec::new(),
            row: 0,
            first_row: 1,
        }
    }

    /// Adds the next row: `value` is asked for each column in turn.
    pub(super) fn row<'a>(&mut self, mut value: impl FnMut(usize) -> Raw<'a>) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            if let Err(reason) = column.push(value(index)) {
                self.faults.push(ValueFault { row: self.row, column: Some(index), reason });
            }
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

    /// Adds the value of one column; `row` counts from 0 in this batch.
    pub(super) fn push(&mut self, column: usize, row: usize, value: Raw<'_>) {
        if let Some(Err(reason)) = self.columns.get_mut(column).map(|values| values.push(value)) {
            self.faults.push(ValueFault { row, column: Some(column), reason });
        }
    }

    /// How many rows were handed over.
    pub(super) fn taken(&self) -> u64 {
        self.first_row - 1
    }

    /// Hands over the batch when it is full.
    pub(super) fn hand_over_when_full(&mut self, take: &Take<'_>) -> Result<(), Error> {
        if self.row < BATCH_ROWS { Ok(()) } else { self.hand_over(take) }
    }

    /// Hands over what is there.
    pub(super) fn hand_over(&mut self, take: &Take<'_>) -> Result<(), Error> {
        if self.row == 0 {
            return Ok(());
        }
        let arrays = self.columns.iter_mut().map(Values::finish).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|source| Error::Arrow { source })?;
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|fault| fault.row);
        let first_row = self.first_row;
        self.first_row += self.row as u64;
        self.row = 0;
        take(Batch { first_row, rows, faults }).map_err(|Stop| Error::Stopped)
    }
}

/// The builder of one column.
enum Values {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder, Option<String>),
}

impl Values {
    fn new(column: &Column) -> Self {
        match column.kind {
            Type::Text => Values::Text(StringBuilder::new()),
            Type::Int => Values::Int(Int64Builder::new()),
            Type::Float => Values::Float(Float64Builder::new()),
            Type::Bool => Values::Bool(BooleanBuilder::new()),
            Type::Date => Values::Date(Date32Builder::new(), column.format.clone()),
            _ => Values::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        match self {
            Values::Text(builder) => append_text(builder, raw),
            Values::Int(builder) => append(whole_number(raw), |value| builder.append_option(value)),
            Values::Float(builder) => append(number(raw), |value| builder.append_option(value)),
            Values::Bool(builder) => append(yes_or_no(raw), |value| builder.append_option(value)),
            Values::Date(builder, format) => {
                append(civil_date(raw, format.as_deref()), |value| builder.append_option(value))
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Int(builder) => Arc::new(builder.finish()),
            Values::Float(builder) => Arc::new(builder.finish()),
            Values::Bool(builder) => Arc::new(builder.finish()),
            Values::Date(builder, _) => Arc::new(builder.finish()),
        }
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

fn append_text(builder: &mut StringBuilder, raw: Raw<'_>) -> Result<(), Reason> {
    let hyphenated;
    let bytes = match raw {
        Raw::Uuid(bytes) => {
            hyphenated = uuid_text(bytes);
            Ok(hyphenated.as_bytes())
        }
        Raw::Null | Raw::Field([]) => return append(Ok(None::<&str>), |value| builder.append_option(value)),
        Raw::Text(bytes) | Raw::Field(bytes) => Ok(bytes),
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotText),
    };
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).map_err(|_| Reason::InvalidUtf8)).and_then(|text| {
        // Normalising cannot make a text shorter than a third, so a huge one need not be normalised to be refused.
        if text.len() > 4 * TEXT_BYTES_MAX { Err(Reason::TooLong) } else { Ok(text) }
    });
    let composed = match text {
        Ok(text) if !text.is_ascii() && is_nfc_quick(text.chars()) != IsNormalized::Yes => {
            Ok(std::borrow::Cow::Owned(text.nfc().collect::<String>()))
        }
        other => other.map(std::borrow::Cow::Borrowed),
    };
    let composed = composed.and_then(|text| if text.len() > TEXT_BYTES_MAX { Err(Reason::TooLong) } else { Ok(text) });
    append(composed.map(Some), |value| builder.append_option(value))
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, as PostgreSQL writes it.
fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = crate::personal::hex(&bytes);
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}

fn whole_number(raw: Raw<'_>) -> Result<Option<i64>, Reason> {
    match raw {
        Raw::Null | Raw::Field([]) => Ok(None),
        Raw::Int(value) => Ok(Some(value)),
        Raw::Field(bytes) => match utf8(bytes)?.parse::<i64>() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => Reason::TooLarge,
                _ => Reason::NotAWholeNumber,
            }),
        },
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotAWholeNumber),
    }
}

fn number(raw: Raw<'_>) -> Result<Option<f64>, Reason> {
    let value = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Float(value) => value,
        // Up to 2^53 the conversion is exact.
        Raw::Int(value) if value.unsigned_abs() <= EXACT => value as f64,
        Raw::Int(_) => return Err(Reason::TooLarge),
        Raw::Field(bytes) => utf8(bytes)?.parse::<f64>().map_err(|_| Reason::NotANumber)?,
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotANumber),
    };
    if value.is_finite() { Ok(Some(value)) } else { Err(Reason::NotFinite) }
}

fn yes_or_no(raw: Raw<'_>) -> Result<Option<bool>, Reason> {
    match raw {
        Raw::Null | Raw::Field([]) => Ok(None),
        Raw::Bool(value) => Ok(Some(value)),
        Raw::Int(0) => Ok(Some(false)),
        Raw::Int(1) => Ok(Some(true)),
        Raw::Field(b"0" | b"false" | b"False" | b"FALSE") => Ok(Some(false)),
        Raw::Field(b"1" | b"true" | b"True" | b"TRUE") => Ok(Some(true)),
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotYesOrNo),
    }
}

fn civil_date(raw: Raw<'_>, format: Option<&str>) -> Result<Option<i32>, Reason> {
    let days = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Days(days) => days,
        // Infinity is neither a day nor a time of day.
        Raw::Civil(i64::MIN | i64::MAX) => return Err(Reason::DateOutOfRange),
        Raw::Civil(micros) if !DAYS.contains(&micros.div_euclid(DAY_MICROS)) => return Err(Reason::DateOutOfRange),
        Raw::Civil(micros) if micros.rem_euclid(DAY_MICROS) != 0 => return Err(Reason::TimeOfDay),
        Raw::Civil(micros) => micros.div_euclid(DAY_MICROS),
        Raw::Text(bytes) | Raw::Field(bytes) => {
            let text = utf8(bytes)?;
            let date = match format {
                Some(format) => formatted(text, format)?,
                None => iso(text)?,
            };
            i64::from(crate::calendar::to_days(date))
        }
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotADate),
    };
    if !DAYS.contains(&days) {
        return Err(Reason::DateOutOfRange);
    }
    i32::try_from(days).map(Some).map_err(|_| Reason::DateOutOfRange)
}

/// An instant (microseconds since 1970, UTC) as civil time in Vietnam, in the same measure;
/// what lies outside the years -9999 to 9999 stays out of range.
pub(super) fn vietnam_micros(zone: &TimeZone, micros: i64) -> i64 {
    match Timestamp::from_microsecond(micros) {
        Ok(instant) => micros.saturating_add(i64::from(zone.to_offset(instant).seconds()) * 1_000_000),
        Err(_) => i64::MAX,
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| Reason::InvalidUtf8)
}

/// A date in the declared `strftime` letters.
fn formatted(text: &str, format: &str) -> Result<Date, Reason> {
    let parts = BrokenDownTime::parse(format, text).map_err(|_| Reason::NotADate)?;
    parts.to_date().map_err(|_| Reason::NoSuchDay)
}

/// A date in ISO 8601, `2026-11-21`, with nothing behind it but midnight.
fn iso(text: &str) -> Result<Date, Reason> {
    let (head, tail) = text.split_at_checked(10).ok_or(Reason::NotADate)?;
    let number = |range: std::ops::Range<usize>| {
        let digits = head.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i16>().ok())?
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return Err(Reason::NotADate);
    };
    if head.as_bytes().get(4) != Some(&b'-') || head.as_bytes().get(7) != Some(&b'-') {
        return Err(Reason::NotADate);
    }
    if !tail.is_empty() {
        let time = tail.strip_prefix(['T', ' ']).ok_or(Reason::NotADate)?;
        // `00:00`, `00:00:00` and `00:00:00.000` are midnight; anything else says more than a date.
        let midnight = ["00:00", "00:00:00"].contains(&time)
            || time.strip_prefix("00:00:00.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b == b'0'));
        if !midnight {
            let of_a_clock = time.bytes().all(|b| b.is_ascii_digit() || b":.+-Z".contains(&b));
            return Err(if of_a_clock { Reason::TimeOfDay } else { Reason::NotADate });
        }
    }
    let small = |part: i16| i8::try_from(part).map_err(|_| Reason::NoSuchDay);
    Date::new(year, small(month)?, small(day)?).map_err(|_| Reason::NoSuchDay)
}
