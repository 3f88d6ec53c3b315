//! Codes of short values, each found by one comparison of numbers.
//!
//! Official codes, days and months have no more than fifteen bytes: as numbers they are compared at once, where a text
//! is compared by a call. What is not found here is looked for among all values.

use super::hash;

/// A longer value has no number.
const MOST_BYTES: usize = 15;

/// A value as a number, never 0.
pub type Number = u128;

/// The number of the value that stands here in these bytes; none where it is too long.
#[inline]
pub fn of_text(bytes: &[u8], start: usize, end: usize) -> Option<Number> {
    let length = end.checked_sub(start).filter(|length| *length <= MOST_BYTES)?;
    // Behind a value stands the next one: both are read, and the next one is cut off.
    let number = match bytes.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(there) => Number::from_le_bytes(*there) & ((1 << (length * 8)) - 1),
        None => bytes.get(start..end)?.iter().rev().fold(0, |number, byte| (number << 8) | Number::from(*byte)),
    };
    Some(number | (length as Number + 1) << 120)
}

/// The number of a whole number.
#[inline]
pub fn of_number(value: i64) -> Number {
    Number::from(value.cast_unsigned()) | 1 << 120
}

/// Codes by the numbers of their values.
#[derive(Debug, Default)]
pub struct Short {
    /// A power of two, at least half of them 0.
    numbers: Vec<Number>,
    codes: Vec<u16>,
    len: usize,
}

impl Short {
    /// The code that was put here for this number.
    #[inline]
    pub fn find(&self, number: Number) -> Option<u16> {
        let place = self.place(number)?;
        if *self.numbers.get(place)? == number { self.codes.get(place).copied() } else { None }
    }

    /// Puts a code here, once for a number.
    pub fn put(&mut self, number: Number, code: u16) {
        if (self.len + 1) * 2 > self.numbers.len() {
            self.grow();
        }
        let there = self.place(number).and_then(|place| self.numbers.get_mut(place).zip(self.codes.get_mut(place)));
        if let Some(there) = there {
            (*there.0, *there.1) = (number, code);
            self.len += 1;
        }
    }

    fn grow(&mut self) {
        let slots = (self.numbers.len() * 2).max(64);
        let numbers = std::mem::replace(&mut self.numbers, vec![0; slots]);
        let codes = std::mem::replace(&mut self.codes, vec![0; slots]);
        for (number, code) in numbers.into_iter().zip(codes).filter(|(number, _)| *number != 0) {
            let there = self.place(number).and_then(|place| self.numbers.get_mut(place).zip(self.codes.get_mut(place)));
            if let Some(there) = there {
                (*there.0, *there.1) = (number, code);
            }
        }
    }

    /// Where a number is, or would be.
    #[inline]
    fn place(&self, number: Number) -> Option<usize> {
        let mask = self.numbers.len().checked_sub(1)?;
        let mut place = hash::words(&[number as u64, (number >> 64) as u64]) as usize & mask;
        while self.numbers.get(place).is_some_and(|there| *there != 0 && *there != number) {
            place = (place + 1) & mask;
        }
        Some(place)
    }
}
