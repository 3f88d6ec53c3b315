//! Which of PostgreSQL's types is read how, and into what: one table.
//!
//! A type that is not in it is asked for as text, written by the server itself:
//! so there is none that cannot be read. Money is asked for as the exact number
//! that it is.

use tokio_postgres::types::{Kind, Type as PgType};

use crate::pipeline::Family;

/// How the bytes of a value are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Text of any kind, enumerations included.
    Text,
    /// Blank-padded text; the padding is no part of the value.
    Padded,
    /// Text behind one byte that says which version of JSON follows.
    Versioned,
    /// 16 bytes, written with hyphens.
    Uuid,
    /// Whole numbers of 2, 4 and 8 bytes.
    Int,
    /// Whole numbers of 4 bytes without a sign.
    Unsigned,
    /// Floating-point numbers of 4 and 8 bytes.
    Float,
    /// Digits in base 10,000.
    Numeric,
    /// One byte.
    Bool,
    /// Days.
    Date,
    /// Microseconds of civil time.
    Timestamp,
    /// Microseconds of a moment.
    TimestampTz,
    /// Microseconds of a day.
    Time,
    /// Microseconds of a day, and its distance from UTC.
    TimeTz,
    /// Microseconds, days, months.
    Interval,
    /// Bytes.
    Bytes,
    /// The address of a machine or a network.
    Network,
    /// The address of a network card.
    Card,
    /// Bits, written as digits.
    Bits,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) decode: Decode,
    /// Whether each value is a list of such.
    pub(super) is_list: bool,
    /// The type that the server is asked to give it as, where it is not its own.
    pub(super) cast: Option<&'static str>,
    /// The declared types that it, or each value of the list, can fill.
    pub(super) fills: &'static [Family],
}

/// A text may say anything that has a declared format.
const TEXTS: &[Family] = &[Family::Text, Family::Date, Family::Timestamp, Family::Instant, Family::Time];
const TEXT: &[Family] = &[Family::Text];
const EXACT: &[Family] = &[Family::Decimal, Family::Int, Family::Float, Family::Text];

impl Reading {
    /// How a column of the type is read.
    pub(super) fn of(kind: &PgType) -> Reading {
        match kind.kind() {
            Kind::Domain(base) => return Reading::of(base),
            Kind::Array(element) => {
                let one = Reading::of(element);
                let cast = match one.cast {
                    None => None,
                    Some("numeric") => Some("numeric[]"),
                    Some(_) => Some("text[]"),
                };
                return Reading { is_list: true, cast, ..one };
            }
            _ => {}
        }
        let (decode, cast, fills) = match scalar(kind) {
            Some((decode, fills)) => (decode, None, fills),
            None if *kind == PgType::MONEY => (Decode::Numeric, Some("numeric"), EXACT),
            None => (Decode::Text, Some("text"), TEXT),
        };
        Reading { decode, is_list: false, cast, fills }
    }
}

/// The types with a decoder, and what each can fill.
fn scalar(kind: &PgType) -> Option<(Decode, &'static [Family])> {
    if let Kind::Enum(_) = kind.kind() {
        return Some((Decode::Text, TEXT));
    }
    Some(match *kind {
        PgType::TEXT | PgType::VARCHAR | PgType::NAME => (Decode::Text, TEXTS),
        PgType::BPCHAR => (Decode::Padded, TEXTS),
        PgType::JSON | PgType::XML => (Decode::Text, TEXT),
        PgType::JSONB => (Decode::Versioned, TEXT),
        PgType::UUID => (Decode::Uuid, TEXT),
        PgType::INET | PgType::CIDR => (Decode::Network, TEXT),
        PgType::MACADDR | PgType::MACADDR8 => (Decode::Card, TEXT),
        PgType::BIT | PgType::VARBIT => (Decode::Bits, TEXT),
        PgType::INT2 | PgType::INT4 | PgType::INT8 => {
            (Decode::Int, &[Family::Int, Family::Float, Family::Bool, Family::Decimal])
        }
        PgType::OID | PgType::XID | PgType::CID => (Decode::Unsigned, &[Family::Int]),
        PgType::FLOAT4 | PgType::FLOAT8 => (Decode::Float, &[Family::Float]),
        PgType::NUMERIC => (Decode::Numeric, EXACT),
        PgType::BOOL => (Decode::Bool, &[Family::Bool]),
        PgType::DATE => (Decode::Date, &[Family::Date]),
        PgType::TIMESTAMP => (Decode::Timestamp, &[Family::Timestamp, Family::Date]),
        PgType::TIMESTAMPTZ => (Decode::TimestampTz, &[Family::Instant, Family::Date]),
        PgType::TIME => (Decode::Time, &[Family::Time]),
        PgType::TIMETZ => (Decode::TimeTz, TEXT),
        PgType::INTERVAL => (Decode::Interval, &[Family::Interval]),
        PgType::BYTEA => (Decode::Bytes, &[Family::Bytes]),
        _ => return None,
    })
}
