//! Rows of small counts, in no more words than their codes take.
//!
//! Where each row is one of millions of groups, rows wait until many of them are added at once; a nation's rows take
//! eight bytes each while they wait. Most counts of a single row are nought or one, and codes leave bits free.

use super::codes::CODE_BITS;
use super::groups::Width;
use super::spec::CODES_PER_WORD;

/// The first word of a row has this bit, so that it is never 0.
pub const IS_ROW: u64 = 1 << 63;

/// The bits of a last word of codes in which counts lie.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    width: Width,
    /// Where the counts begin, above the codes.
    shift: u32,
    /// The bits of a count.
    bits: u32,
}

impl Packing {
    /// The packing of rows by so many columns; none where a count would have no bit.
    pub fn of(keys: usize, width: Width) -> Option<Self> {
        let in_last = keys.checked_sub(width.codes.checked_sub(1)? * CODES_PER_WORD)?;
        let shift = u32::try_from(in_last).ok()? * CODE_BITS;
        let counts = u32::try_from(width.row.checked_sub(width.codes)?).ok()?;
        let bits = IS_ROW.ilog2().checked_sub(shift)?.checked_div(counts)?;
        (bits > 0).then_some(Packing { width, shift, bits })
    }

    /// Words of a packed row.
    pub fn words(&self) -> usize {
        self.width.codes
    }

    /// The last word of a row with its counts; none where one of them is negative or too large.
    pub fn last_word(&self, row: &[u64]) -> Option<u64> {
        let (codes, counts) = row.split_at_checked(self.width.codes)?;
        let (packed, all) =
            counts.iter().rev().fold((0_u64, 0), |(packed, all), count| ((packed << self.bits) | count, all | count));
        let codes = codes.last()?;
        (all >> self.bits == 0).then_some(codes | (packed << self.shift))
    }

    /// Puts a packed row into words of its own.
    pub fn unpack(&self, packed: &[u64], row: &mut [u64]) {
        let Some((codes, counts)) = row.split_at_mut_checked(self.width.codes) else { return };
        codes.copy_from_slice(packed);
        let Some(last) = codes.last_mut() else { return };
        let mut packed = (*last & !IS_ROW) >> self.shift;
        *last &= IS_ROW | ((1 << self.shift) - 1);
        for count in counts {
            *count = packed & ((1 << self.bits) - 1);
            packed >>= self.bits;
        }
    }
}
