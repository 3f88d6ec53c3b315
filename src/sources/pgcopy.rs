//! PostgreSQL's binary copy format (manual, `COPY`, section "Binary Format").
//!
//! Bytes come in as they arrive, rows go out as raw values. Nothing in the
//! stream is trusted: a length that does not fit is a protocol error, never a
//! read beyond the buffer.

use jiff::tz::TimeZone;
use tokio_postgres::types::{Kind, Type as PgType};

use super::values::{Raw, Reason, Rows, vietnam_micros};
use crate::pipeline::{Family, Type};

/// What every stream begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// 1 January 2000, where PostgreSQL counts from, in days since 1 January 1970.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

/// How the bytes of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Text of any kind, enumerations included.
    Text,
    /// Blank-padded text; the padding is no part of the value.
    Padded,
    /// 16 bytes, written with hyphens.
    Uuid,
    /// Whole numbers of 2, 4 and 8 bytes.
    Int,
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
    /// Microseconds of an instant.
    TimestampTz,
}

impl Decode {
    /// The decoder for a type, and the declared types that it can fill; none for types that we do not read.
    pub(super) fn of(kind: &PgType) -> Option<(Decode, &'static [Family])> {
        if let Kind::Enum(_) = kind.kind() {
            return Some((Decode::Text, &[Family::Text]));
        }
        if let Kind::Domain(base) = kind.kind() {
            return Decode::of(base);
        }
        Some(match *kind {
            PgType::TEXT | PgType::VARCHAR | PgType::NAME => (Decode::Text, &[Family::Text, Family::Date]),
            PgType::CHAR => (Decode::Text, &[Family::Text]),
            PgType::BPCHAR => (Decode::Padded, &[Family::Text, Family::Date]),
            PgType::UUID => (Decode::Uuid, &[Family::Text]),
            PgType::INT2 | PgType::INT4 | PgType::INT8 => (Decode::Int, &[Family::Int, Family::Float, Family::Bool]),
            PgType::FLOAT4 | PgType::FLOAT8 => (Decode::Float, &[Family::Float]),
            PgType::NUMERIC => (Decode::Numeric, &[Family::Int, Family::Float]),
            PgType::BOOL => (Decode::Bool, &[Family::Bool]),
            PgType::DATE => (Decode::Date, &[Family::Date]),
            PgType::TIMESTAMP => (Decode::Timestamp, &[Family::Date]),
            PgType::TIMESTAMPTZ => (Decode::TimestampTz, &[Family::Date]),
            _ => return None,
        })
    }
}

/// The stream is not what the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Turns arriving bytes into rows.
pub(super) struct Decoder {
    columns: Vec<(Decode, Type)>,
    buffer: Vec<u8>,
    header_seen: bool,
    finished: bool,
    zone: TimeZone,
}

impl Decoder {
    pub(super) fn new(columns: Vec<(Decode, Type)>) -> Self {
        let zone = crate::calendar::vietnam();
        Decoder { columns, buffer: Vec::new(), header_seen: false, finished: false, zone }
    }

    /// Takes what arrived, and gives every whole row in it to `rows`; the rest waits.
    pub(super) fn feed(&mut self, bytes: &[u8], rows: &mut Rows) -> Result<(), Malformed> {
        let mut held = std::mem::take(&mut self.buffer);
        held.extend_from_slice(bytes);
        let mut rest = held.as_slice();
        if !self.header_seen {
            let Some(after) = header(rest)? else {
                self.buffer = held;
                return Ok(());
            };
            self.header_seen = true;
            rest = after;
        }
        while !self.finished {
            match self.tuple(rest, rows)? {
                Some(after) => rest = after,
                None => break,
            }
        }
        if self.finished && !rest.is_empty() {
            return Err(Malformed);
        }
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    /// The stream has ended: it must have said so itself.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.finished { Ok(()) } else { Err(Malformed) }
    }

    /// One row from the front of `bytes`; none when it is not whole yet.
    fn tuple<'b>(&mut self, bytes: &'b [u8], rows: &mut Rows) -> Result<Option<&'b [u8]>, Malformed> {
        let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            self.finished = true;
            return Ok(Some(rest));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(Malformed);
        }
        let mut fields = Vec::with_capacity(self.columns.len());
        for _ in &self.columns {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            rest = after;
            match i32::from_be_bytes(*length) {
                -1 => fields.push(None),
                length => {
                    let length = usize::try_from(length).map_err(|_| Malformed)?;
                    let Some((value, after)) = rest.split_at_checked(length) else { return Ok(None) };
                    fields.push(Some(value));
                    rest = after;
                }
            }
        }
        let mut malformed = false;
        rows.row(|index| {
            let (Some((decode, declared)), Some(field)) = (self.columns.get(index), fields.get(index)) else {
                malformed = true;
                return Raw::Null;
            };
            let Some(bytes) = field else { return Raw::Null };
            value(*decode, *declared, bytes, &self.zone).unwrap_or_else(|Malformed| {
                malformed = true;
                Raw::Null
            })
        });
        if malformed { Err(Malformed) } else { Ok(Some(rest)) }
    }
}

/// What follows the header; none when it is not whole yet.
fn header(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<19>() else { return Ok(None) };
    let (signature, numbers) = fixed.split_at(SIGNATURE.len());
    let (flags, extension) = numbers.split_first_chunk::<4>().ok_or(Malformed)?;
    // The upper half of the flags are critical ones, of which none is known since OIDs left with PostgreSQL 12.
    if signature != SIGNATURE || u32::from_be_bytes(*flags) >> 16 != 0 {
        return Err(Malformed);
    }
    let extension = u32::from_be_bytes(extension.try_into().map_err(|_| Malformed)?);
    Ok(rest.split_at_checked(usize::try_from(extension).map_err(|_| Malformed)?).map(|(_, after)| after))
}

fn value<'b>(decode: Decode, declared: Type, bytes: &'b [u8], zone: &TimeZone) -> Result<Raw<'b>, Malformed> {
    Ok(match decode {
        Decode::Text => Raw::Text(bytes),
        Decode::Padded => Raw::Text(unpadded(bytes)),
        Decode::Uuid => Raw::Uuid(exactly(bytes)?),
        Decode::Int => Raw::Int(match bytes.len() {
            2 => i64::from(i16::from_be_bytes(exactly(bytes)?)),
            4 => i64::from(i32::from_be_bytes(exactly(bytes)?)),
            _ => i64::from_be_bytes(exactly(bytes)?),
        }),
        Decode::Float => Raw::Float(match bytes.len() {
            4 => f64::from(f32::from_be_bytes(exactly(bytes)?)),
            _ => f64::from_be_bytes(exactly(bytes)?),
        }),
        Decode::Numeric => Numeric::read(bytes)?.value(declared),
        Decode::Bool => Raw::Bool(exactly::<1>(bytes)? != [0]),
        Decode::Date => Raw::Days(match i32::from_be_bytes(exactly(bytes)?) {
            i32::MIN => i64::MIN,
            i32::MAX => i64::MAX,
            days => i64::from(days) + EPOCH_DAYS,
        }),
        Decode::Timestamp => Raw::Civil(micros(bytes)?),
        Decode::TimestampTz => Raw::Civil(vietnam_micros(zone, micros(bytes)?)),
    })
}

/// Microseconds since 1970; minus and plus infinity stay the smallest and the largest number.
fn micros(bytes: &[u8]) -> Result<i64, Malformed> {
    Ok(match i64::from_be_bytes(exactly(bytes)?) {
        i64::MIN => i64::MIN,
        micros => micros.saturating_add(EPOCH_MICROS),
    })
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed)
}

fn unpadded(mut bytes: &[u8]) -> &[u8] {
    while let Some(shorter) = bytes.strip_suffix(b" ") {
        bytes = shorter;
    }
    bytes
}

/// A `numeric`: digits in base 10,000, the first of which stands for 10,000^weight.
struct Numeric {
    digits: Vec<u16>,
    weight: i16,
    sign: u16,
}

impl Numeric {
    const NEGATIVE: u16 = 0x4000;

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (head, digits) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
        let [n0, n1, w0, w1, s0, s1, _, _] = *head;
        let digits: Vec<u16> =
            digits.chunks(2).map(|pair| exactly(pair).map(u16::from_be_bytes)).collect::<Result<_, _>>()?;
        if digits.len() != usize::from(u16::from_be_bytes([n0, n1])) || digits.iter().any(|digit| *digit > 9999) {
            return Err(Malformed);
        }
        Ok(Numeric { digits, weight: i16::from_be_bytes([w0, w1]), sign: u16::from_be_bytes([s0, s1]) })
    }

    fn value(&self, declared: Type) -> Raw<'static> {
        if ![0, Self::NEGATIVE].contains(&self.sign) {
            // 0xC000 is "not a number", 0xD000 and 0xF000 are the infinities.
            return Raw::Fault(Reason::NotFinite);
        }
        match declared {
            Type::Int => self.whole().map_or_else(Raw::Fault, Raw::Int),
            _ => self.decimal().parse().map_or(Raw::Fault(Reason::NotANumber), Raw::Float),
        }
    }

    /// Exactly, or the reason why not.
    fn whole(&self) -> Result<i64, Reason> {
        let mut total: i64 = 0;
        let negative = self.sign == Self::NEGATIVE;
        // Summed on the negative side, which reaches one further than the positive.
        for place in 0..=i32::from(self.weight) {
            let digit = usize::try_from(place).ok().and_then(|place| self.digits.get(place)).copied().unwrap_or(0);
            total = total.checked_mul(10_000).and_then(|t| t.checked_sub(i64::from(digit))).ok_or(Reason::TooLarge)?;
        }
        let whole_digits = usize::try_from(i32::from(self.weight) + 1).unwrap_or(0);
        if self.digits.iter().skip(whole_digits).any(|digit| *digit != 0) {
            return Err(Reason::NotAWholeNumber);
        }
        if negative { Ok(total) } else { total.checked_neg().ok_or(Reason::TooLarge) }
    }

    /// Written out with an exponent, for the exact rounding of the standard parser.
    fn decimal(&self) -> String {
        let mut text = String::from(if self.sign == Self::NEGATIVE { "-0" } else { "0" });
        for digit in &self.digits {
            text.push_str(&format!("{digit:04}"));
        }
        // The last digit group stands for 10,000^(weight - count + 1).
        let exponent = (i64::from(self.weight) - self.digits.len() as i64 + 1) * 4;
        text.push_str(&format!("e{exponent}"));
        text
    }
}
