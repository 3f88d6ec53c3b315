//! One row at a time from a driver: its values, and the digest of its key.

use odbc_api::buffers::{AnyColumnBufferSlice, ColumnarDynBuffer};
use odbc_api::{BlockCursor, Cursor, ResultSetMetadata};
use twox_hash::XxHash3_128;

use super::columns::Form;
use super::{Statement, connect};
use crate::pipeline::SourceTable;
use crate::sources::Error;
use crate::sources::values::{Raw, Reason, Rows, iso_day, iso_moment, iso_time};

/// The rows of a statement.
pub(super) struct Fetch<'s> {
    cursor: BlockCursor<Statement<'s>, ColumnarDynBuffer>,
    forms: Vec<Form>,
    server: &'s str,
    table: &'s str,
}

/// The row that was fetched last.
pub(super) struct Row<'r> {
    buffer: &'r ColumnarDynBuffer,
    forms: &'r [Form],
}

impl<'s> Fetch<'s> {
    /// Binds a buffer for one row.
    pub(super) fn new(mut cursor: Statement<'s>, server: &'s str, table: &'s SourceTable) -> Result<Self, Error> {
        let failed = |error| connect::failed(server, &table.from, &error).error;
        let count = u16::try_from(cursor.num_result_cols().map_err(failed)?).unwrap_or(0);
        let mut forms = Vec::with_capacity(usize::from(count));
        for number in 1..=count {
            let form = Form::of(cursor.col_data_type(number).map_err(failed)?);
            forms.push(form.ok_or_else(|| Error::Protocol { table: table.from.clone() })?);
        }
        let buffer = ColumnarDynBuffer::try_from_descs(1, forms.iter().map(|form| form.buffer())).map_err(failed)?;
        let cursor = cursor.bind_buffer(buffer).map_err(failed)?;
        Ok(Fetch { cursor, forms, server, table: &table.from })
    }

    /// In which forms the columns come.
    pub(super) fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// The next row; none when there is no more.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        let (server, table, forms) = (self.server, self.table, self.forms.as_slice());
        let buffer = self.cursor.fetch().map_err(|error| connect::failed(server, table, &error).error)?;
        Ok(buffer.map(|buffer| Row { buffer, forms }))
    }
}

impl Row<'_> {
    /// Adds the row; `texts` are kept from row to row for what is converted, one for each column.
    pub(super) fn put(&self, rows: &mut Rows, texts: &mut Vec<String>) {
        texts.resize_with(self.forms.len(), String::new);
        let mut faults = vec![None; self.forms.len()];
        for ((place, text), fault) in texts.iter_mut().enumerate().zip(&mut faults) {
            *fault = self.convert(place, text).err();
        }
        rows.row(|place| match (faults.get(place).copied().flatten(), texts.get(place)) {
            (Some(reason), _) => Raw::Fault(reason),
            (None, Some(text)) => self.raw(place, text),
            (None, None) => Raw::Fault(Reason::RaggedRow),
        });
    }

    /// UTF-16 as UTF-8. What was cut is longer than may land.
    fn convert(&self, place: usize, text: &mut String) -> Result<(), Reason> {
        text.clear();
        let Some(values) = self.buffer_of(place).as_wide_text() else { return Ok(()) };
        if values.has_truncated_values().is_some() {
            return Err(Reason::TooLong);
        }
        for c in char::decode_utf16(values.get(0).unwrap_or_default().iter().copied()) {
            text.push(c.map_err(|_| Reason::InvalidUtf8)?);
        }
        Ok(())
    }

    fn raw<'v>(&'v self, place: usize, text: &'v str) -> Raw<'v> {
        let Some(form) = self.forms.get(place) else { return Raw::Fault(Reason::RaggedRow) };
        let buffer = self.buffer_of(place);
        match form {
            Form::Text | Form::Padded => match buffer.as_wide_text().map(|values| values.get(0).is_some()) {
                Some(true) if *form == Form::Padded => Raw::Text(text.trim_end_matches(' ').as_bytes()),
                Some(true) => Raw::Text(text.as_bytes()),
                _ => Raw::Null,
            },
            Form::Bytes => match buffer.as_binary() {
                Some(values) if values.has_truncated_values().is_some() => Raw::Fault(Reason::TooManyBytes),
                values => values.and_then(|values| values.get(0)).map_or(Raw::Null, Raw::Bytes),
            },
            Form::Real => {
                let value = buffer.as_nullable_slice::<f64>().and_then(|values| values.get(0));
                value.map_or(Raw::Null, |value| Raw::Float(*value))
            }
            form => match buffer.as_text() {
                // No number, date or time is as long as this.
                Some(values) if values.has_truncated_values().is_some() => Raw::Fault(Reason::TooLarge),
                values => values.and_then(|values| values.get(0)).map_or(Raw::Null, |text| of_text(*form, text)),
            },
        }
    }

    fn buffer_of(&self, place: usize) -> AnyColumnBufferSlice<'_> {
        self.buffer.column(place)
    }
}

/// A number, a date or a time as a driver writes it.
fn of_text(form: Form, bytes: &[u8]) -> Raw<'_> {
    match (form, std::str::from_utf8(bytes)) {
        (_, Err(_)) => Raw::Fault(Reason::InvalidUtf8),
        (Form::Bit, Ok(_)) => Raw::Field(bytes),
        (Form::Date, Ok(text)) => iso_day(text).map_or_else(no_date, Raw::Days),
        (Form::Civil | Form::Moment, Ok(text)) => match iso_moment(text) {
            Ok((civil, None)) => Raw::Civil(civil),
            Ok((civil, Some(offset_seconds))) => Raw::Instant(civil - offset_seconds * 1_000_000),
            Err(reason) => no_date(reason),
        },
        (Form::Time, Ok(text)) => iso_time(text).map_or_else(Raw::Fault, Raw::Time),
        (_, Ok(text)) if text.eq_ignore_ascii_case("nan") => Raw::Fault(Reason::NotFinite),
        (_, Ok(_)) => Raw::Digits(bytes),
    }
}

/// Why a driver's date is none. PostgreSQL's driver writes the zeros of a date for infinity as well, and ODBC has no
/// other way to ask.
fn no_date(reason: Reason) -> Raw<'static> {
    Raw::Fault(if reason == Reason::ZeroDate { Reason::ZeroDateOrInfinity } else { reason })
}

/// The exclusive or of a hash of each row's key, of the bytes as the driver gave them.
pub(super) struct Keys {
    digest: u64,
    bytes: Vec<u8>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Keys { digest: 0, bytes: Vec::new() }
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Adds the key of a row, whose parts stand at these places.
    pub(super) fn add(&mut self, row: &Row<'_>, places: &[usize]) {
        self.bytes.clear();
        for place in places {
            self.add_part(row.buffer_of(*place));
        }
        // Half of 128 bits is as good a hash of 64.
        self.digest ^= XxHash3_128::oneshot(&self.bytes) as u64;
    }

    /// A part with its length before it, so that two parts are not another two.
    fn add_part(&mut self, buffer: AnyColumnBufferSlice<'_>) {
        let before = self.bytes.len();
        let filled = if let Some(values) = buffer.as_wide_text() {
            values.get(0).map(|text| text.iter().for_each(|unit| self.bytes.extend_from_slice(&unit.to_be_bytes())))
        } else if let Some(values) = buffer.as_text() {
            values.get(0).map(|text| self.bytes.extend_from_slice(text))
        } else if let Some(values) = buffer.as_binary() {
            values.get(0).map(|bytes| self.bytes.extend_from_slice(bytes))
        } else {
            let value = buffer.as_nullable_slice::<f64>().and_then(|values| values.get(0));
            value.map(|value| self.bytes.extend_from_slice(&value.to_bits().to_be_bytes()))
        };
        let length = if filled.is_some() { (self.bytes.len() - before) as u64 } else { u64::MAX };
        self.bytes.extend_from_slice(&length.to_be_bytes());
    }
}
