//! The common forms of numbers, dates and texts, straight from bytes.
//!
//! Each function answers for the forms it knows and says nothing about all
//! others, which then take the long way of `values`: an answer from here is the
//! answer that the long way would give. This module must not know of columns.

/// A whole number of at most 18 digits.
pub(super) fn whole_number(bytes: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Eighteen digits fit into 64 bits whatever they are.
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit(*byte)?));
    }
    Some(if is_negative { -value } else { value })
}

/// How a date of ten or eight figures is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `2026-11-21`, with this byte between.
    YearMonthDay(u8),
    /// `21/11/2026`, with this byte between.
    DayMonthYear(u8),
    /// Any other.
    Other,
}

impl Form {
    /// The form that a declared format writes; ISO 8601 when none is declared.
    pub(super) fn of(format: Option<&str>) -> Form {
        let Some(format) = format else { return Form::YearMonthDay(b'-') };
        // A blank stands for any white space, and a percent sign for more than itself.
        let is_plain = |between: u8| between.is_ascii_punctuation() && between != b'%';
        match format.as_bytes() {
            [b'%', b'd', one, b'%', b'm', two, b'%', b'Y'] if one == two && is_plain(*one) => Form::DayMonthYear(*one),
            [b'%', b'Y', one, b'%', b'm', two, b'%', b'd'] if one == two && is_plain(*one) => Form::YearMonthDay(*one),
            _ => Form::Other,
        }
    }

    /// The days since 1 January 1970 of a date written out in full.
    pub(super) fn days(self, bytes: &[u8]) -> Option<i32> {
        let (year, month, day) = match (self, bytes) {
            (Form::YearMonthDay(between), [a, b, c, d, one, e, f, two, g, h]) if *one == between && *two == between => {
                (four(*a, *b, *c, *d)?, pair(*e, *f)?, pair(*g, *h)?)
            }
            (Form::DayMonthYear(between), [g, h, one, e, f, two, a, b, c, d]) if *one == between && *two == between => {
                (four(*a, *b, *c, *d)?, pair(*e, *f)?, pair(*g, *h)?)
            }
            _ => return None,
        };
        days(year, month, day)
    }
}

/// Whether a text is surely in NFC: Latin letters, composed, as Vietnamese is written. No combining sign
/// stands below U+0300, and U+1E80 to U+1EFF are composed letters that decompose to what composes again.
pub(super) fn is_composed(text: &str) -> bool {
    let mut bytes = text.as_bytes();
    loop {
        bytes = match bytes {
            [] => return true,
            [0..=0x7f, rest @ ..] | [0xc2..=0xcb, _, rest @ ..] | [0xe1, 0xba | 0xbb, _, rest @ ..] => rest,
            _ => return false,
        };
    }
}

fn digit(byte: u8) -> Option<u8> {
    Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
}

fn pair(tens: u8, ones: u8) -> Option<i32> {
    Some(i32::from(digit(tens)?) * 10 + i32::from(digit(ones)?))
}

fn four(a: u8, b: u8, c: u8, d: u8) -> Option<i32> {
    Some(pair(a, b)? * 100 + pair(c, d)?)
}

/// Howard Hinnant's `days_from_civil`, for the years 1 to 9999.
fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=length).contains(&day) {
        return None;
    }
    let year = year - i32::from(month <= 2);
    let era = year / 400;
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}
