//! The types of ODBC: what a column can fill, and in which form it is fetched.

use odbc_api::DataType;
use odbc_api::buffers::BufferDesc;
use odbc_api::sys::SqlDataType;

use crate::pipeline::Family;
use crate::sources::TEXT_BYTES_MAX;

/// SQL Server's own types: a time with more digits, XML, and a moment with its offset.
const TIME2: i16 = -154;
const XML: i16 = -152;
const TIMESTAMP_OFFSET: i16 = -155;
const GUID: i16 = -11;

/// Digits, dates and times are shorter than this.
const SHORT_BYTES: usize = 127;

/// In which form a column is fetched, and what it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text in UTF-16.
    Text,
    /// The same, padded with blanks that are no part of it.
    Padded,
    /// The digits of a whole number.
    Whole,
    /// The digits of an exact number.
    Exact,
    /// A floating-point number.
    Real,
    /// `0` or `1`.
    Bit,
    /// A date in ISO 8601.
    Date,
    /// A date and time in ISO 8601, without an offset.
    Civil,
    /// A date and time in ISO 8601 with its offset.
    Moment,
    /// A time of day in ISO 8601.
    Time,
    /// Bytes.
    Bytes,
}

impl Form {
    /// None for types that are not read.
    pub(super) fn of(kind: DataType) -> Option<Form> {
        Some(match kind {
            DataType::Char { .. } | DataType::WChar { .. } => Form::Padded,
            DataType::Varchar { .. }
            | DataType::WVarchar { .. }
            | DataType::LongVarchar { .. }
            | DataType::WLongVarchar { .. } => Form::Text,
            DataType::Numeric { .. } | DataType::Decimal { .. } => Form::Exact,
            DataType::Integer | DataType::SmallInt | DataType::BigInt | DataType::TinyInt => Form::Whole,
            DataType::Float { .. } | DataType::Real | DataType::Double => Form::Real,
            DataType::Bit => Form::Bit,
            DataType::Date => Form::Date,
            DataType::Timestamp { .. } => Form::Civil,
            DataType::Time { .. } => Form::Time,
            DataType::Binary { .. } | DataType::Varbinary { .. } | DataType::LongVarbinary { .. } => Form::Bytes,
            DataType::Other { data_type: SqlDataType(TIMESTAMP_OFFSET), .. } => Form::Moment,
            DataType::Other { data_type: SqlDataType(TIME2), .. } => Form::Time,
            DataType::Other { data_type: SqlDataType(GUID | XML), .. } => Form::Text,
            _ => return None,
        })
    }

    /// The buffer for one value. Where it could be too small, what is cut is longer than may land.
    pub(super) fn buffer(self) -> BufferDesc {
        match self {
            Form::Text | Form::Padded => BufferDesc::WText { max_str_len: TEXT_BYTES_MAX + 1 },
            Form::Bytes => BufferDesc::Binary { max_bytes: TEXT_BYTES_MAX + 1 },
            Form::Real => BufferDesc::F64 { nullable: true },
            _ => BufferDesc::Text { max_str_len: SHORT_BYTES },
        }
    }
}

/// The declared types that a column can fill. `is_sqlite` is true for a system that keeps texts in columns of numbers.
pub(super) fn fills(kind: DataType, is_sqlite: bool) -> &'static [Family] {
    match Form::of(kind) {
        // Of a text its driver makes the number 0.
        Some(Form::Real) if is_sqlite => &[],
        Some(Form::Text | Form::Padded) => {
            &[Family::Text, Family::Date, Family::Timestamp, Family::Instant, Family::Time]
        }
        Some(Form::Whole) => &[Family::Int, Family::Decimal, Family::Float, Family::Bool],
        Some(Form::Exact) => &[Family::Decimal, Family::Int, Family::Float],
        Some(Form::Real) => &[Family::Float],
        Some(Form::Bit) => &[Family::Bool],
        Some(Form::Date) => &[Family::Date],
        // PostgreSQL's driver calls its moments so too, and leaves their zone out: it is ours, see `connect`.
        Some(Form::Civil) => &[Family::Timestamp, Family::Date],
        Some(Form::Moment) => &[Family::Instant, Family::Timestamp, Family::Date],
        Some(Form::Time) => &[Family::Time],
        Some(Form::Bytes) => &[Family::Bytes],
        None => &[],
    }
}

/// The type in words.
pub(super) fn word(kind: DataType) -> String {
    let sized = |word: &str, length: Option<std::num::NonZeroUsize>| match length {
        Some(length) => format!("{word}({length})"),
        None => word.to_owned(),
    };
    match kind {
        DataType::Unknown => "of no known type".to_owned(),
        DataType::Char { length } | DataType::WChar { length } => sized("char", length),
        DataType::Varchar { length } | DataType::WVarchar { length } => sized("varchar", length),
        DataType::LongVarchar { .. } | DataType::WLongVarchar { .. } => "long varchar".to_owned(),
        DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale } => {
            format!("decimal({precision},{scale})")
        }
        DataType::Integer => "integer".to_owned(),
        DataType::SmallInt => "smallint".to_owned(),
        DataType::TinyInt => "tinyint".to_owned(),
        DataType::BigInt => "bigint".to_owned(),
        DataType::Float { .. } | DataType::Real | DataType::Double => "floating-point".to_owned(),
        DataType::Bit => "bit".to_owned(),
        DataType::Date => "date".to_owned(),
        DataType::Time { .. } => "time".to_owned(),
        DataType::Timestamp { .. } => "timestamp".to_owned(),
        DataType::Binary { length } | DataType::Varbinary { length } => sized("binary", length),
        DataType::LongVarbinary { .. } => "long binary".to_owned(),
        DataType::Other { data_type, .. } => format!("ODBC's type {}", data_type.0),
    }
}
