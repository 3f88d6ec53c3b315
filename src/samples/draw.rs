//! Counter-based randomness: a value is a function of (seed, stream, row, field).
//!
//! Nothing is drawn "next": any row of any table can be made alone, in any order
//! and on any thread, and is always the same row. The mixing function is the
//! finaliser of SplitMix64 (Steele, Lea and Flood 2014, with Stafford's variant
//! 13), a bijection of 64 bits; each part of the counter is added with the
//! golden-ratio increment and mixed once. It is made for plausible data, and
//! must never be used for keys, noise or anything that protects a person.

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What is drawn, so that two tables never share their values.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// A person, by index.
    Person = 1,
    /// A person's identity cards.
    IdentityCard,
    /// A person's driving licences.
    Licence,
    /// A person's vehicles.
    Vehicle,
    /// A person's temporary residences.
    Residence,
    /// A person's health insurance cards.
    Insurance,
    /// A dossier, by index.
    Dossier,
    /// The rating of a dossier, by the dossier's index.
    Rating,
    /// A commune, by index.
    Commune,
    /// A commune on a working day: how busy it was.
    Workload,
    /// Where a person lives.
    Address,
    /// Whom the register of drivers takes for the holder of a licence.
    Holder,
}

/// The values of one row, each asked for by the number of its field.
#[derive(Debug, Clone, Copy)]
pub struct Draw(u64);

impl Draw {
    /// The values of a row.
    pub fn new(seed: u64, stream: Stream, row: u64) -> Self {
        let table = mix(seed.wrapping_add((stream as u64).wrapping_mul(GOLDEN)));
        Draw(mix(table.wrapping_add(row.wrapping_mul(GOLDEN))))
    }

    /// 64 uniform bits.
    pub fn bits(self, field: u64) -> u64 {
        mix(self.0.wrapping_add(field.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// A uniform number from 0 up to and without `end`; 0 when `end` is 0.
    pub fn below(self, field: u64, end: u64) -> u64 {
        // The high half of the product maps 64 bits onto the range; its bias is below end / 2^64.
        ((u128::from(self.bits(field)) * u128::from(end)) >> 64) as u64
    }

    /// A uniform day from `first` to `last`, both included; `first` when the range is empty.
    pub fn day(self, field: u64, first: i32, last: i32) -> i32 {
        let days = u64::try_from(i64::from(last) - i64::from(first) + 1).unwrap_or(0);
        first.saturating_add(i32::try_from(self.below(field, days)).unwrap_or(0))
    }

    /// True `per_mille` times out of a thousand.
    pub fn chance(self, field: u64, per_mille: u64) -> bool {
        self.below(field, 1000) < per_mille
    }

    /// One of the values, each as often as its weight; `otherwise` when there is none.
    pub fn weighted<T: Copy>(self, field: u64, values: &[(T, u32)], otherwise: T) -> T {
        let total = values.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = self.below(field, total);
        for (value, weight) in values {
            match left.checked_sub(u64::from(*weight)) {
                None => return *value,
                Some(rest) => left = rest,
            }
        }
        otherwise
    }

    /// One of the words, each as often; the empty word when there is none.
    pub fn word(self, field: u64, words: &[&'static str]) -> &'static str {
        let at = self.below(field, words.len() as u64);
        words.get(at as usize).copied().unwrap_or_default()
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A prime above every table size: multiplying by it permutes the rows of any table.
const PRIME: u128 = (1 << 61) - 1;

/// Row `row` of `rows` in a scattered order: every row comes exactly once.
///
/// 2^61 - 1 is prime, so it has no factor in common with a smaller number, and
/// multiplication by it modulo `rows` is a permutation.
pub fn scattered(row: u64, rows: u64, offset: u64) -> u64 {
    if rows == 0 {
        return 0;
    }
    ((u128::from(row) * PRIME + u128::from(offset)) % u128::from(rows)) as u64
}
