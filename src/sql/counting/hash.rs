//! Hashes of short keys: one multiplication for each eight bytes.
//!
//! They spread what official codes and counts look like; nobody is kept from choosing values that collide.

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a text.
pub fn bytes(value: &[u8]) -> u64 {
    let mut hash = (value.len() as u64) ^ FACTOR;
    let (words, rest) = value.as_chunks::<8>();
    for word in words {
        hash = mixed(hash ^ u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        hash = mixed(hash ^ last);
    }
    hash
}

/// The hash of no words.
pub const NONE: u64 = FACTOR;

/// The hash of the words so far and one more.
#[inline]
pub fn and(hash: u64, word: u64) -> u64 {
    mixed(hash ^ word)
}

/// The hash of a few words.
#[inline]
pub fn words(words: &[u64]) -> u64 {
    let mut hash = NONE;
    for word in words {
        hash = and(hash, *word);
    }
    hash
}

#[inline]
fn mixed(word: u64) -> u64 {
    let product = u128::from(word) * 0xd6e8_feb8_6659_fd93_u128;
    (product as u64) ^ ((product >> 64) as u64)
}
