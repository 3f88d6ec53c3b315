//! Values of a column that is grouped by, and the small numbers that stand for them.

use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};

use super::hash;

/// The code of a null; values have the codes after it.
pub const NULL: u16 = 0;

/// Bits of a code.
pub const CODE_BITS: u32 = u16::BITS;

/// So many bytes of values are kept.
const MOST_BYTES: usize = 16 << 20;

/// Values, each with its code: what was met first has the code 1.
///
/// When the codes or the room are used up, it is closed: a value that has no code by then never gets one.
#[derive(Debug, Clone, Default)]
pub struct Codes {
    bytes: Vec<u8>,
    /// Where each value ends; its code is its place, from 1.
    ends: Vec<u32>,
    /// Codes by the hash of their value, a power of two of them; 0 where there is none.
    slots: Vec<u16>,
    is_closed: bool,
}

impl Codes {
    /// The code of a value, if it has one.
    pub fn find(&self, value: &[u8]) -> Option<u16> {
        self.probe(value).ok()
    }

    /// The code of a value; it is given one if there are any left.
    pub fn code(&mut self, value: &[u8]) -> Option<u16> {
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = match self.probe(value) {
            Ok(code) => return Some(code),
            Err(slot) => slot,
        };
        let code = u16::try_from(self.ends.len() + 1).ok();
        let end = u32::try_from(self.bytes.len() + value.len()).ok();
        let (Some(code), Some(end), false) = (code, end, self.is_closed) else {
            self.is_closed = true;
            return None;
        };
        if end as usize > MOST_BYTES {
            self.is_closed = true;
            return None;
        }
        self.bytes.extend_from_slice(value);
        self.ends.push(end);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = code;
        }
        Some(code)
    }

    /// The values by their code, as an array of this type that begins with a null.
    pub fn values(&self, kind: &DataType) -> Result<ArrayRef> {
        let values = (0..=self.ends.len()).map(|code| if code == 0 { None } else { self.value(code as u16) });
        if *kind == DataType::Utf8 {
            // Only whole texts were put in.
            let texts = values.map(|value| value.and_then(|value| std::str::from_utf8(value).ok()));
            return Ok(std::sync::Arc::new(texts.collect::<StringArray>()));
        }
        let numbers = values.map(|value| value.and_then(|value| value.try_into().ok()).map(i64::from_le_bytes));
        let numbers: ArrayRef = std::sync::Arc::new(numbers.collect::<Int64Array>());
        if numbers.null_count() != 1 {
            return internal_err!("a code without a value");
        }
        Ok(match kind {
            // There is no way from 64 bits to a day but by 32.
            DataType::Date32 => cast(&cast(&numbers, &DataType::Int32)?, kind)?,
            kind => cast(&numbers, kind)?,
        })
    }

    fn value(&self, code: u16) -> Option<&[u8]> {
        let place = usize::from(code).checked_sub(1)?;
        let end = *self.ends.get(place)? as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |start| *start as usize);
        self.bytes.get(start..end)
    }

    /// The code of a value, or the slot where it would be.
    fn probe(&self, value: &[u8]) -> Result<u16, usize> {
        let Some(mask) = self.slots.len().checked_sub(1) else { return Err(0) };
        let mut slot = hash::bytes(value) as usize & mask;
        loop {
            match self.slots.get(slot) {
                Some(&code) if code != 0 => {
                    if self.value(code) == Some(value) {
                        return Ok(code);
                    }
                }
                _ => return Err(slot),
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(64);
        self.slots = vec![0; slots];
        for code in 1..=self.ends.len() as u16 {
            let Some(value) = self.value(code) else { continue };
            let mut slot = hash::bytes(value) as usize & (slots - 1);
            while self.slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & (slots - 1);
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = code;
            }
        }
    }
}
