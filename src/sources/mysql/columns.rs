//! The types of MySQL and MariaDB: what a column can fill, and how its values are read.

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};

use crate::pipeline::{Family, Type};
use crate::sources::values::{Raw, Reason, civil_days};

const DAY_MICROS: i64 = 86_400_000_000;

/// The number of the character set that is none.
pub(super) const BINARY: u16 = 63;

const WHOLE: &[Family] = &[Family::Int, Family::Decimal, Family::Float, Family::Bool];
const TEXT: &[Family] = &[Family::Text, Family::Date, Family::Timestamp, Family::Instant, Family::Time];

/// The declared types that a column of this `data_type` can fill.
pub(super) fn fills(data_type: &str) -> &'static [Family] {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit" => WHOLE,
        "year" => &[Family::Int],
        "decimal" => &[Family::Decimal, Family::Int, Family::Float],
        "float" | "double" => &[Family::Float],
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => TEXT,
        "enum" | "set" | "json" | "uuid" | "inet4" | "inet6" => &[Family::Text],
        "date" => &[Family::Date],
        "datetime" => &[Family::Timestamp, Family::Date],
        "timestamp" => &[Family::Instant, Family::Timestamp, Family::Date],
        "time" => &[Family::Time, Family::Interval],
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => &[Family::Bytes],
        _ => &[],
    }
}

/// How the values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Bytes are text.
    Text,
    /// Bytes are bytes.
    Bytes,
    /// Bytes are the digits of an exact number.
    Digits,
    /// Bytes are a whole number, the highest first.
    Bits,
    /// A date has no time.
    Date,
    /// A date and time without a zone.
    Civil,
    /// A date and time, in UTC because our session is.
    Instant,
    /// A time of day.
    Time,
    /// A time that may be longer than a day.
    Interval,
    /// A number.
    Number,
}

impl Decode {
    pub(super) fn of(given: &Column, declared: Type) -> Decode {
        use ColumnType::*;
        match given.column_type() {
            MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => Decode::Digits,
            MYSQL_TYPE_BIT => Decode::Bits,
            MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE => Decode::Date,
            MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2 => Decode::Civil,
            MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIMESTAMP2 => Decode::Instant,
            MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 if declared == Type::Interval => Decode::Interval,
            MYSQL_TYPE_TIME | MYSQL_TYPE_TIME2 => Decode::Time,
            MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_YEAR | MYSQL_TYPE_FLOAT | MYSQL_TYPE_DOUBLE => Decode::Number,
            // MySQL gives JSON out in UTF-8, and says that it has no character set.
            MYSQL_TYPE_JSON | MYSQL_TYPE_ENUM | MYSQL_TYPE_SET => Decode::Text,
            _ if given.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) => Decode::Text,
            _ if given.character_set() == BINARY => Decode::Bytes,
            _ => Decode::Text,
        }
    }

    pub(super) fn raw(self, value: &Value) -> Raw<'_> {
        match value {
            Value::NULL => Raw::Null,
            Value::Int(value) => Raw::Int(*value),
            Value::UInt(value) => unsigned(*value),
            Value::Float(value) => Raw::Float(f64::from(*value)),
            Value::Double(value) => Raw::Float(*value),
            Value::Bytes(bytes) => match self {
                Decode::Digits => Raw::Digits(bytes),
                Decode::Bits => bits(bytes),
                Decode::Bytes => Raw::Bytes(bytes),
                _ => Raw::Text(bytes),
            },
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let time = Clock { days: 0, hour: *hour, minute: *minute, second: *second, micros: *micros };
                self.moment((*year, *month, *day), &time)
            }
            Value::Time(is_negative, days, hour, minute, second, micros) => {
                let time = Clock { days: *days, hour: *hour, minute: *minute, second: *second, micros: *micros };
                let micros = if *is_negative { -time.micros() } else { time.micros() };
                match self {
                    Decode::Interval => Raw::Interval { months: 0, days: 0, micros },
                    _ => Raw::Time(micros),
                }
            }
        }
    }

    /// Zeros in a date are no date; the server keeps them, and so they are seen here.
    fn moment(self, (year, month, day): (u16, u8, u8), time: &Clock) -> Raw<'static> {
        if (year, month, day) == (0, 0, 0) {
            return Raw::Fault(Reason::ZeroDate);
        }
        match civil_days(i64::from(year), i64::from(month), i64::from(day)) {
            Err(reason) => Raw::Fault(reason),
            Ok(days) => match self {
                Decode::Date => Raw::Days(days),
                Decode::Instant => Raw::Instant(days * DAY_MICROS + time.micros()),
                _ => Raw::Civil(days * DAY_MICROS + time.micros()),
            },
        }
    }
}

struct Clock {
    days: u32,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
}

impl Clock {
    fn micros(&self) -> i64 {
        let hours = i64::from(self.days) * 24 + i64::from(self.hour);
        let seconds = (hours * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.micros)
    }
}

fn unsigned(value: u64) -> Raw<'static> {
    match i64::try_from(value) {
        Ok(value) => Raw::Int(value),
        Err(_) => Raw::Decimal { unscaled: i128::from(value), scale: 0 },
    }
}

/// `bit(n)` has up to eight bytes.
fn bits(bytes: &[u8]) -> Raw<'static> {
    if bytes.len() > 8 {
        return Raw::Fault(Reason::TooLarge);
    }
    unsigned(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
