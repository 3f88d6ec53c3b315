//! Rows of small counts, in no more words than their codes take.
//!
//! Where each row is one of millions of groups, rows wait until many of them are added at once; a nation's rows take
//! eight bytes each while they wait. Most counts of a single row are nought or one, and codes leave bits free.

use super::codes::CODE_BITS;
use super::groups::Width;
use super::hash;
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
    #[inline]
    pub fn words(&self) -> usize {
        self.width.codes
    }

    /// The last word of a row with its counts; none where one of them is negative or too large.
    #[inline]
    pub fn last_word(&self, row: &[u64]) -> Option<u64> {
        let (codes, counts) = row.split_at_checked(self.width.codes)?;
        let (mut word, mut all) = (*codes.last()?, 0);
        for at in 0..counts.len() {
            let count = *counts.get(at)?;
            word |= self.bits_of(at, count);
            all |= count;
        }
        self.fits(all).then_some(word)
    }

    /// The bits of a count of a row, in its last word.
    #[inline]
    pub fn bits_of(&self, count: usize, value: u64) -> u64 {
        value.wrapping_shl(self.shift.wrapping_add(self.bits.wrapping_mul(count as u32)))
    }

    /// Whether counts can be packed of which these are the bits.
    #[inline]
    pub fn fits(&self, all: u64) -> bool {
        all.wrapping_shr(self.bits) == 0
    }

    /// The last word of a packed row without its counts.
    #[inline]
    pub fn codes_of(&self, last: u64) -> u64 {
        last & (IS_ROW | !u64::MAX.wrapping_shl(self.shift))
    }

    /// The hash of a packed row: that of its codes.
    #[inline]
    pub fn hash(&self, packed: &[u64]) -> u64 {
        match packed.split_last() {
            Some((last, codes)) => hash::and(hash::words(codes), self.codes_of(*last)),
            None => hash::NONE,
        }
    }

    /// Puts a packed row into words of its own.
    #[inline]
    pub fn unpack(&self, packed: &[u64], row: &mut [u64]) {
        let Some((codes, counts)) = row.split_at_mut_checked(self.width.codes) else { return };
        codes.copy_from_slice(packed);
        let Some(last) = codes.last_mut() else { return };
        let mut packed = (*last & !IS_ROW).wrapping_shr(self.shift);
        *last = self.codes_of(*last);
        for count in counts {
            *count = packed & !u64::MAX.wrapping_shl(self.bits);
            packed = packed.wrapping_shr(self.bits);
        }
    }
}
