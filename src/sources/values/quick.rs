//! Whole numbers, dates and texts in their commonest form, straight from bytes.
//!
//! Each function answers for the one form that it knows and is silent about all
//! others, which then take the long way: an answer from here is the answer that
//! the long way would give.

use crate::sources::TEXT_BYTES_MAX;

/// A whole number of at most 18 digits.
#[inline]
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

/// The days since 1 January 1970 of a day of the years 1900 to 2200 written as `2026-11-21`.
#[inline]
pub(super) fn iso_day(bytes: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    day(pair(*y1, *y2)? * 100 + pair(*y3, *y4)?, pair(*m1, *m2)?, pair(*d1, *d2)?)
}

/// The same of `21/11/2026`, with this byte between.
#[inline]
pub(super) fn local_day(bytes: &[u8], separator: u8) -> Option<i32> {
    let [d1, d2, one, m1, m2, two, y1, y2, y3, y4] = bytes else { return None };
    if *one != separator || *two != separator {
        return None;
    }
    day(pair(*y1, *y2)? * 100 + pair(*y3, *y4)?, pair(*m1, *m2)?, pair(*d1, *d2)?)
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    Some(byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
}

#[inline]
fn pair(tens: u8, ones: u8) -> Option<i32> {
    Some(i32::from(digit(tens)?) * 10 + i32::from(digit(ones)?))
}

/// Years begin in March here, so that the leap day is the last; 719,468 days lie between 1 March 0 and 1970.
#[inline]
fn day(year: i32, month: i32, day: i32) -> Option<i32> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1900..=2200).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let year = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468)
}

/// A text that may land as it is: neither empty nor too long.
#[inline]
pub(super) fn plain_text(text: &[u8]) -> Option<&str> {
    let is_plain = (1..=TEXT_BYTES_MAX).contains(&text.len()) && is_plain_text(text);
    // All of it is ASCII, so that this never fails.
    if is_plain { std::str::from_utf8(text).ok() } else { None }
}

/// Whether the text may land as it is, unless it is too long: all of it is ASCII, and it has no control character
/// but tabs and line ends.
#[inline]
pub(in crate::sources) fn is_plain_text(text: &[u8]) -> bool {
    // Nearly no text has a tab or a line end, so that it is looked at byte by byte only where one may be.
    is_printable(text) || (text.is_ascii() && !has_controls(text))
}

/// Whether a byte is an ASCII control character other than a tab, a line feed and a carriage return.
pub(super) fn has_controls(text: &[u8]) -> bool {
    // Without a way out in the middle, so that many bytes are looked at in one step.
    text.iter().fold(false, |seen, byte| seen | (byte.is_ascii_control() & !matches!(byte, b'\t' | b'\n' | b'\r')))
}

/// Whether each byte is one from the blank to the tilde.
#[inline]
fn is_printable(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let odd = words.iter().fold(0, |odd, word| odd | odd_bytes(*word));
    let rest = match (text.last_chunk::<8>(), rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        // The last eight bytes, or four, may overlap with those before.
        (Some(last), ..) => odd_bytes(*last),
        (None, Some([a, b, c, d]), Some([e, f, g, h])) => odd_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        _ => u64::from(!rest.iter().all(|byte| (b' '..=b'~').contains(byte))),
    };
    odd | rest == 0
}

/// Not 0 where one of the bytes lies below the blank or above the tilde. Each is judged by its highest bit, which
/// is set in it, in what is left of it without a blank, or in the byte after it. What it borrows from the byte above
/// it or carries over counts for nothing, for then it is odd itself.
#[inline]
fn odd_bytes(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let word = u64::from_le_bytes(word);
    (word | word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES)) & (ONES * 0x80)
}
