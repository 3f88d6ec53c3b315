//! The bytes of one value, in PostgreSQL's binary format, as the type policy takes it.
//!
//! Each type's `…_send` function in the server's source says what its bytes are.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::decode::{EPOCH_DAYS, Malformed, Plan, Wrong, exactly, int};
use super::types::Decode;
use crate::sources::values::{Raw, Reason};

const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

/// A value that may need a text of its own.
enum Value<'b> {
    Raw(Raw<'b>),
    /// An exact number, written out.
    Digits(String),
    /// What is only known as text.
    Written(String),
}

impl Value<'_> {
    fn raw(&self) -> Raw<'_> {
        match self {
            Value::Raw(raw) => *raw,
            Value::Digits(text) => Raw::Digits(text.as_bytes()),
            Value::Written(text) => Raw::Text(text.as_bytes()),
        }
    }
}

/// Gives the value of a field to `put`.
pub(super) fn raw<T>(plan: &Plan, bytes: &[u8], put: impl FnOnce(Raw<'_>) -> Result<T, Reason>) -> Result<T, Wrong> {
    if plan.is_list {
        return match list(plan.decode, bytes)? {
            Some(values) => {
                let values: Vec<_> = values.iter().map(|value| value.as_ref().map_or(Raw::Null, Value::raw)).collect();
                put(Raw::List(&values)).map_err(Wrong::Value)
            }
            None => put(Raw::Fault(Reason::SeveralDimensions)).map_err(Wrong::Value),
        };
    }
    put(value(plan.decode, bytes)?.raw()).map_err(Wrong::Value)
}

/// The values of an array; none when it has several dimensions.
fn list(decode: Decode, bytes: &[u8]) -> Result<Option<Vec<Option<Value<'_>>>>, Malformed> {
    let (dimensions, rest) = number(bytes)?;
    // Whether it has empty elements, and of which type they are, was known before.
    let (_, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
    match dimensions {
        0 if rest.is_empty() => return Ok(Some(Vec::new())),
        1 => {}
        2.. => return Ok(None),
        _ => return Err(Malformed),
    }
    let (count, rest) = number(rest)?;
    let (_, mut rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    // The count is believed no further than there are bytes: each element has four at least.
    let mut values = Vec::with_capacity(usize::try_from(count).map_err(|_| Malformed)?.min(rest.len() / 4));
    for _ in 0..count {
        let (length, after) = number(rest)?;
        if length == -1 {
            rest = after;
            values.push(None);
            continue;
        }
        let (bytes, after) =
            after.split_at_checked(usize::try_from(length).map_err(|_| Malformed)?).ok_or(Malformed)?;
        rest = after;
        values.push(Some(value(decode, bytes)?));
    }
    if rest.is_empty() { Ok(Some(values)) } else { Err(Malformed) }
}

fn number(bytes: &[u8]) -> Result<(i32, &[u8]), Malformed> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
    Ok((i32::from_be_bytes(*number), rest))
}

fn value(decode: Decode, bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    Ok(Value::Raw(match decode {
        Decode::Text => Raw::Text(bytes),
        Decode::Padded => Raw::Text(unpadded(bytes)),
        Decode::Versioned => match bytes.split_first() {
            Some((1, text)) => Raw::Text(text),
            _ => return Err(Malformed),
        },
        Decode::Uuid => Raw::Uuid(exactly(bytes)?),
        Decode::Int => Raw::Int(int(bytes)?),
        Decode::Unsigned => Raw::Int(i64::from(u32::from_be_bytes(exactly(bytes)?))),
        Decode::Float => Raw::Float(match bytes.len() {
            4 => f64::from(f32::from_be_bytes(exactly(bytes)?)),
            _ => f64::from_be_bytes(exactly(bytes)?),
        }),
        Decode::Numeric => return numeric(bytes),
        Decode::Bool => Raw::Bool(exactly::<1>(bytes)? != [0]),
        Decode::Date => Raw::Days(i64::from(i32::from_be_bytes(exactly(bytes)?)) + EPOCH_DAYS),
        Decode::Timestamp => Raw::Civil(micros(bytes)?),
        Decode::TimestampTz => Raw::Instant(micros(bytes)?),
        Decode::Time => Raw::Time(i64::from_be_bytes(exactly(bytes)?)),
        Decode::TimeTz => return time_with_zone(bytes).map(Value::Written),
        Decode::Interval => interval(bytes)?,
        Decode::Bytes => Raw::Bytes(bytes),
        Decode::Network => return network(bytes).map(Value::Written),
        Decode::Card => return card(bytes).map(Value::Written),
        Decode::Bits => return bits(bytes).map(Value::Written),
    }))
}

/// Microseconds since 1970; minus and plus infinity stay the smallest and the largest number.
fn micros(bytes: &[u8]) -> Result<i64, Malformed> {
    Ok(match i64::from_be_bytes(exactly(bytes)?) {
        i64::MIN => i64::MIN,
        micros => micros.saturating_add(EPOCH_MICROS),
    })
}

pub(super) fn unpadded(mut bytes: &[u8]) -> &[u8] {
    while let Some(shorter) = bytes.strip_suffix(b" ") {
        bytes = shorter;
    }
    bytes
}

fn interval(bytes: &[u8]) -> Result<Raw<'static>, Malformed> {
    let (micros, rest) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
    let (days, months) = number(rest)?;
    let (micros, months) = (i64::from_be_bytes(*micros), i32::from_be_bytes(exactly(months)?));
    Ok(match (micros, days, months) {
        // Infinity, from PostgreSQL 17 on.
        (i64::MIN, i32::MIN, i32::MIN) | (i64::MAX, i32::MAX, i32::MAX) => Raw::Fault(Reason::NotFinite),
        _ => Raw::Interval { months, days, micros },
    })
}

/// A `numeric`: how many digits in base 10,000, the weight of the first, the sign, how many decimals are shown.
fn numeric(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let (head, digits) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
    let [n0, n1, w0, w1, s0, s1, d0, d1] = *head;
    let (weight, decimals) = (i32::from(i16::from_be_bytes([w0, w1])), usize::from(u16::from_be_bytes([d0, d1])));
    let negative = match u16::from_be_bytes([s0, s1]) {
        0 => false,
        0x4000 => true,
        // "Not a number", and the infinities.
        0xc000 | 0xd000 | 0xf000 => return Ok(Value::Raw(Raw::Fault(Reason::NotFinite))),
        _ => return Err(Malformed),
    };
    let (digits, rest) = digits.as_chunks::<2>();
    let are_digits = digits.iter().all(|digit| u16::from_be_bytes(*digit) < 10_000);
    if digits.len() != usize::from(u16::from_be_bytes([n0, n1])) || !rest.is_empty() || !are_digits {
        return Err(Malformed);
    }
    Ok(match short(digits, weight, decimals) {
        Some((unscaled, scale)) => {
            Value::Raw(Raw::Decimal { unscaled: if negative { -unscaled } else { unscaled }, scale })
        }
        None => Value::Digits(written(digits, weight, decimals, negative)),
    })
}

/// The number in units of its last decimal, and how many decimals it has; none when 128 bits are too few.
fn short(digits: &[[u8; 2]], weight: i32, decimals: usize) -> Option<(i128, u8)> {
    let scale = u8::try_from(decimals).ok()?;
    let mut units: i128 = 0;
    for digit in digits {
        units = units.checked_mul(10_000)?.checked_add(i128::from(u16::from_be_bytes(*digit)))?;
    }
    // The last group stands for 10,000^(weight - groups + 1); zeros between it and the last decimal are not sent.
    let last = i32::try_from(digits.len()).ok()? - weight - 1;
    let shift = i32::from(scale) - last.checked_mul(4)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let units = match shift {
        0.. => units.checked_mul(power)?,
        _ if units % power == 0 => units / power,
        _ => return None,
    };
    (scale <= 38).then_some((units, scale))
}

/// The number written out, as the server writes it.
fn written(digits: &[[u8; 2]], weight: i32, decimals: usize, negative: bool) -> String {
    // Groups that are not there are zeros, before the first as behind the last. Writing into a text cannot fail.
    let group = |place: i32| {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place));
        digit.map_or(0, |digit| u16::from_be_bytes(*digit))
    };
    let mut text = String::with_capacity(digits.len() * 4 + decimals + 4);
    if negative {
        text.push('-');
    }
    // Before the point stand the groups 0 to weight, the first of them without leading zeros.
    let _ = write!(text, "{}", if weight < 0 { 0 } else { group(0) });
    for place in 1..=weight {
        let _ = write!(text, "{:04}", group(place));
    }
    if decimals > 0 {
        text.push('.');
        let end = text.len() + decimals;
        let mut place = weight + 1;
        while text.len() < end {
            let _ = write!(text, "{:04}", group(place));
            place += 1;
        }
        text.truncate(end);
    }
    text
}

/// `08:30:00.5+07`, as the server writes it.
fn time_with_zone(bytes: &[u8]) -> Result<String, Malformed> {
    let (micros, west) = bytes.split_first_chunk::<8>().ok_or(Malformed)?;
    let (micros, west) = (i64::from_be_bytes(*micros), i32::from_be_bytes(exactly(west)?));
    let seconds = micros.div_euclid(1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match micros.rem_euclid(1_000_000) {
        0 => {}
        fraction => text.push_str(format!(".{fraction:06}").trim_end_matches('0')),
    }
    let (sign, away) = if west <= 0 { ('+', west.unsigned_abs()) } else { ('-', west.unsigned_abs()) };
    let _ = write!(text, "{sign}{:02}", away / 3600);
    let (minutes, seconds) = (away / 60 % 60, away % 60);
    if minutes != 0 || seconds != 0 {
        let _ = write!(text, ":{minutes:02}");
    }
    if seconds != 0 {
        let _ = write!(text, ":{seconds:02}");
    }
    Ok(text)
}

/// `10.0.0.0/8`, as the server writes it: a machine without its mask, a network with it.
fn network(bytes: &[u8]) -> Result<String, Malformed> {
    let ([family, mask, is_network, length], address) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
    let (mut text, bits) = match (family, length) {
        (2, 4) => (Ipv4Addr::from(exactly::<4>(address)?).to_string(), 32),
        (3, 16) => (sixteen(Ipv6Addr::from(exactly::<16>(address)?)), 128),
        _ => return Err(Malformed),
    };
    if *is_network != 0 || *mask != bits {
        let _ = write!(text, "/{mask}");
    }
    Ok(text)
}

/// An address of 16 bytes. The server still writes an IPv4 address behind twelve zeros with points.
fn sixteen(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => address.to_string(),
    }
}

fn card(bytes: &[u8]) -> Result<String, Malformed> {
    if ![6, 8].contains(&bytes.len()) {
        return Err(Malformed);
    }
    let parts: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(parts.join(":"))
}

fn bits(bytes: &[u8]) -> Result<String, Malformed> {
    let (count, bytes) = number(bytes)?;
    let count = usize::try_from(count).map_err(|_| Malformed)?;
    if bytes.len() != count.div_ceil(8) {
        return Err(Malformed);
    }
    let digits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1));
    Ok(digits.take(count).map(|bit| if bit == 1 { '1' } else { '0' }).collect())
}
