//! The hash that PostgreSQL computes of a key, computed here of the bytes received.
//!
//! It is Bob Jenkins's `lookup3` as `src/common/hashfn.c` of PostgreSQL has it,
//! in its 64-bit form with a seed: `hashint8extended` and `hashtextextended`
//! with the collation "C". A server on a machine of the other byte order hashes
//! text differently, so every session compares one hash before it trusts these.

/// What the three words of the state begin with, beside the length.
const START: u32 = 0x9e37_79b9_u32.wrapping_add(3_923_095);

/// `hashtextextended(text collate "C", seed)`.
pub(super) fn of_text(bytes: &[u8], seed: u64) -> u64 {
    // A value has at most 2^30 bytes.
    let mut state = State::new(bytes.len() as u32, seed);
    let (blocks, tail) = bytes.as_chunks::<12>();
    for block in blocks {
        state.add(block);
        state.mix();
    }
    // The lowest byte of the third word stands for the length, which is in the state already.
    let mut last = [0; 12];
    let places = (0..8).chain(9..12);
    for (place, byte) in places.zip(tail) {
        if let Some(slot) = last.get_mut(place) {
            *slot = *byte;
        }
    }
    state.add(&last);
    state.finish()
}

/// `hashint8extended(value, seed)`.
#[inline]
pub(super) fn of_int(value: i64, seed: u64) -> u64 {
    let (high, low) = ((value >> 32) as u32, value as u32);
    let folded = low ^ if value >= 0 { high } else { !high };
    let mut state = State::new(4, seed);
    state.a = state.a.wrapping_add(folded);
    state.finish()
}

struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    #[inline]
    fn new(length: u32, seed: u64) -> Self {
        let start = START.wrapping_add(length);
        let mut state = State { a: start, b: start, c: start };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    #[inline]
    fn add(&mut self, block: &[u8; 12]) {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *block;
        self.a = self.a.wrapping_add(u32::from_le_bytes([a0, a1, a2, a3]));
        self.b = self.b.wrapping_add(u32::from_le_bytes([b0, b1, b2, b3]));
        self.c = self.c.wrapping_add(u32::from_le_bytes([c0, c1, c2, c3]));
    }

    #[inline]
    fn mix(&mut self) {
        let State { a, b, c } = self;
        for turns in [4, 6, 8, 16, 19, 4] {
            // Each step works on the three words in turn.
            *a = a.wrapping_sub(*c) ^ c.rotate_left(turns);
            *c = c.wrapping_add(*b);
            (*a, *b, *c) = (*b, *c, *a);
        }
    }

    #[inline]
    fn finish(self) -> u64 {
        let State { mut a, mut b, mut c } = self;
        for turns in [14, 11, 25, 16, 4, 14, 24] {
            c = (c ^ b).wrapping_sub(b.rotate_left(turns));
            (a, b, c) = (b, c, a);
        }
        // After seven turns the words stand one place further than where they began.
        let (b, c) = (a, b);
        u64::from(b) << 32 | u64::from(c)
    }
}
