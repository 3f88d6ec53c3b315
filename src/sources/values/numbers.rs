//! Whole, exact and floating-point numbers, and yes or no. Nothing is rounded into an exact type.

use arrow::datatypes::i256;

use super::texts::utf8;
use super::{Raw, Reason};

/// Whole numbers up to this size are exact in double precision.
const EXACT: u64 = 1 << 53;

/// As many digits as every decimal fraction keeps on its way through double precision and back.
const FLOAT_DIGITS: usize = 15;

/// Digits that surely fit into 128 bits.
const HALF_DIGITS: usize = 38;
const HALF: i128 = 10_i128.pow(38);

pub(super) fn whole_number(raw: Raw<'_>) -> Result<Option<i64>, Reason> {
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
        Raw::Digits(_) | Raw::Decimal { .. } => match decimal(raw, 19, 0) {
            Ok(Some(value)) => value.to_i128().and_then(|v| i64::try_from(v).ok()).ok_or(Reason::TooLarge).map(Some),
            Ok(None) => Ok(None),
            Err(Reason::TooPrecise) => Err(Reason::NotAWholeNumber),
            Err(reason) => Err(reason),
        },
        Raw::List(_) => Err(Reason::NotAList),
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotAWholeNumber),
    }
}

pub(super) fn number(raw: Raw<'_>) -> Result<Option<f64>, Reason> {
    let value = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Float(value) => value,
        // Up to 2^53 the conversion is exact.
        Raw::Int(value) if value.unsigned_abs() <= EXACT => value as f64,
        Raw::Int(_) => return Err(Reason::TooLarge),
        Raw::Field(bytes) | Raw::Digits(bytes) => utf8(bytes)?.parse::<f64>().map_err(|_| Reason::NotANumber)?,
        Raw::Decimal { unscaled, scale } => {
            format!("{unscaled}e-{scale}").parse::<f64>().map_err(|_| Reason::NotANumber)?
        }
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotANumber),
    };
    if value.is_finite() { Ok(Some(value)) } else { Err(Reason::NotFinite) }
}

pub(super) fn yes_or_no(raw: Raw<'_>) -> Result<Option<bool>, Reason> {
    match raw {
        Raw::Null | Raw::Field([]) => Ok(None),
        Raw::Bool(value) => Ok(Some(value)),
        Raw::Int(0) => Ok(Some(false)),
        Raw::Int(1) => Ok(Some(true)),
        Raw::Digits(b"0") => Ok(Some(false)),
        Raw::Digits(b"1") => Ok(Some(true)),
        Raw::Field(b"0" | b"false" | b"False" | b"FALSE") => Ok(Some(false)),
        Raw::Field(b"1" | b"true" | b"True" | b"TRUE") => Ok(Some(true)),
        Raw::List(_) => Err(Reason::NotAList),
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotYesOrNo),
    }
}

/// The number in units of its scale. `digits` are 1 to 76, and `scale` is not more.
pub(super) fn decimal(raw: Raw<'_>, digits: u8, scale: u8) -> Result<Option<i256>, Reason> {
    match raw {
        Raw::Null | Raw::Field([]) => Ok(None),
        Raw::Field(bytes) | Raw::Digits(bytes) => scaled(bytes, digits, scale).map(Some),
        Raw::Int(value) => scaled(written(i128::from(value), 0).as_bytes(), digits, scale).map(Some),
        Raw::Decimal { unscaled, scale: has } => rescaled(unscaled, has, digits, scale).map(Some),
        Raw::Float(value) => of_float(value, digits, scale).map(Some),
        Raw::List(_) => Err(Reason::NotAList),
        Raw::Fault(reason) => Err(reason),
        _ => Err(Reason::NotANumber),
    }
}

/// A number that a source has summed up, in units of the scale; none when it has more decimals than that.
pub(in crate::sources) fn units(digits: &[u8], scale: u8) -> Option<i128> {
    scaled(digits, 76, scale).ok()?.to_i128()
}

/// An exact number written out: `-12.50` for -1250 in hundredths.
pub(super) fn written(unscaled: i128, scale: u8) -> String {
    let (sign, scale) = (if unscaled < 0 { "-" } else { "" }, usize::from(scale));
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Reads `-123.45`: digits with at most one point, and nothing else.
fn scaled(text: &[u8], digits: u8, scale: u8) -> Result<i256, Reason> {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let point = unsigned.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = unsigned.split_at(point.unwrap_or(unsigned.len()));
    let mut fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    let are_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    // A point needs a digit behind it; before it there may be none, as Oracle writes `.5`.
    if !are_digits(whole) || !are_digits(fraction) || (fraction.is_empty() && (point.is_some() || whole.is_empty())) {
        return Err(if is_not_finite(unsigned) { Reason::NotFinite } else { Reason::NotANumber });
    }
    let whole = whole.iter().position(|digit| *digit != b'0').and_then(|start| whole.get(start..)).unwrap_or_default();
    while let Some(shorter) = fraction.strip_suffix(b"0") {
        fraction = shorter;
    }
    let (digits, scale) = (usize::from(digits), usize::from(scale));
    if whole.len() > digits.saturating_sub(scale) {
        return Err(Reason::TooLarge);
    }
    if fraction.len() > scale {
        return Err(Reason::TooPrecise);
    }
    let zeros = scale - fraction.len();
    let add = |sum: i128, digit: &u8| sum * 10 + i128::from(digit - b'0');
    let total = match (whole.len() + scale).checked_sub(HALF_DIGITS) {
        // Below 10^38, and so below 2^127.
        None | Some(0) => {
            let sum = fraction.iter().fold(whole.iter().fold(0, add), add);
            i256::from_i128((0..zeros).fold(sum, |sum, _| sum * 10))
        }
        // Two halves of 38 digits at most: below 10^76, and so below 2^253.
        Some(upper) => {
            let all = || whole.iter().chain(fraction).chain(std::iter::repeat_n(&b'0', zeros));
            let (high, low) = (all().take(upper).fold(0, add), all().skip(upper).fold(0, add));
            i256::from_i128(high).wrapping_mul(i256::from_i128(HALF)).wrapping_add(i256::from_i128(low))
        }
    };
    Ok(if text.starts_with(b"-") { total.wrapping_neg() } else { total })
}

fn is_not_finite(text: &[u8]) -> bool {
    [&b"nan"[..], b"inf", b"infinity"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn rescaled(unscaled: i128, has: u8, digits: u8, scale: u8) -> Result<i256, Reason> {
    if has == scale && unscaled.unsigned_abs() < 10_u128.checked_pow(u32::from(digits)).unwrap_or(u128::MAX) {
        return Ok(i256::from_i128(unscaled));
    }
    scaled(written(unscaled, has).as_bytes(), digits, scale)
}

/// The decimal fraction that was written into a floating-point number, where it is sure which one.
fn of_float(value: f64, digits: u8, scale: u8) -> Result<i256, Reason> {
    if !value.is_finite() {
        return Err(Reason::NotFinite);
    }
    // The shortest digits that give this very number again.
    let shortest = format!("{value}");
    let significant = shortest.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let zeros = if shortest.contains('.') { 0 } else { shortest.len() - shortest.trim_end_matches('0').len() };
    if significant.saturating_sub(zeros) > FLOAT_DIGITS {
        return Err(Reason::Inexact);
    }
    scaled(shortest.as_bytes(), digits, scale)
}
