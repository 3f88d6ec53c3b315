//! Groups with their counts, in a table of words.
//!
//! A row is a few words, here in halves: first its codes, of which the first is never 0, then its counts. Rows of the same codes are
//! one group, whose counts are theirs added.

use datafusion::common::{Result, exec_err, internal_err};

use super::hash;

/// How many words a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// Words of codes.
    pub codes: usize,
    /// Words in all.
    pub row: usize,
}

/// The groups, each in the first free place from where its hash points to.
///
/// What is counted is mostly small: a count has four bytes until one does not fit, then all have eight. The table
/// is what is visited for every row, so its bytes are the time.
#[derive(Debug)]
pub struct Groups {
    width: Width,
    /// Half words: two of each code, then one or two of each count, then what fills the row up.
    cells: Vec<u32>,
    is_wide: bool,
    /// Places, a power of two; 0 before the first row.
    places: usize,
    len: usize,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It is counted.
    Yes,
    /// Nothing has changed: a count would not fit before the table is widened.
    TooNarrow,
}

impl Groups {
    /// No groups.
    pub fn new(width: Width) -> Self {
        Groups { width, cells: Vec::new(), is_wide: false, places: 0, len: 0 }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether three in four places are taken: it grows before it takes a row.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len * 4 >= self.places * 3
    }

    /// How many groups it could hold.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.cells.len() * size_of::<u32>()
    }

    /// Bytes that it holds when it has grown.
    pub fn grown_bytes(&self) -> usize {
        self.grown_places() * self.stride(self.is_wide) * size_of::<u32>()
    }

    /// Bytes that it holds when it is wide.
    pub fn widened_bytes(&self) -> usize {
        self.places * self.stride(true) * size_of::<u32>()
    }

    fn grown_places(&self) -> usize {
        (self.places * 2).max(64)
    }

    /// Half words of a row, so many that a row lies in few lines of the cache.
    #[inline]
    fn stride(&self, is_wide: bool) -> usize {
        let counts = self.width.row - self.width.codes;
        (self.width.codes * 2 + counts * if is_wide { 2 } else { 1 }).next_multiple_of(4)
    }

    /// Takes twice as many places.
    pub fn grow(&mut self) {
        let stride = self.stride(self.is_wide);
        let places = self.grown_places();
        let rows = std::mem::replace(&mut self.cells, vec![0; places * stride]);
        self.places = places;
        for row in rows.chunks_exact(stride).filter(|row| is_row(row)) {
            let hash = (0..self.width.codes).map(|place| word(row, place * 2)).fold(hash::NONE, hash::and);
            let mut place = hash as usize & (places - 1);
            loop {
                match self.cells.get_mut(place * stride..(place + 1) * stride) {
                    Some(free) if !is_row(free) => {
                        free.copy_from_slice(row);
                        break;
                    }
                    _ => place = (place + 1) & (places - 1),
                }
            }
        }
    }

    /// Gives each count eight bytes.
    pub fn widen(&mut self) {
        if self.is_wide {
            return;
        }
        let (narrow, wide) = (self.stride(false), self.stride(true));
        let mut cells = vec![0; self.places * wide];
        let codes = self.width.codes * 2;
        for (row, widened) in self.cells.chunks_exact(narrow).zip(cells.chunks_exact_mut(wide)) {
            let ((row_codes, row_counts), (codes, counts)) = (row.split_at(codes), widened.split_at_mut(codes));
            codes.copy_from_slice(row_codes);
            for (count, there) in counts.as_chunks_mut::<2>().0.iter_mut().zip(row_counts) {
                *count = halves(i64::from(there.cast_signed()));
            }
        }
        (self.cells, self.is_wide) = (cells, true);
    }

    /// Adds a row. The table must not be full.
    pub fn add(&mut self, row: &[u64], hash: u64) -> Result<Added> {
        let stride = self.stride(self.is_wide);
        let mask = self.places.saturating_sub(1);
        let mut place = hash as usize & mask;
        let (row_codes, row_counts) = row.split_at(self.width.codes);
        while let Some(there) = self.cells.get_mut(place * stride..(place + 1) * stride) {
            let is_new = !is_row(there);
            if is_new || has_codes(there, row_codes) {
                let (codes, counts) = there.split_at_mut(self.width.codes * 2);
                let added = if self.is_wide { add_wide(counts, row_counts)? } else { add_narrow(counts, row_counts) };
                if is_new && added == Added::Yes {
                    for (code, row_code) in codes.as_chunks_mut::<2>().0.iter_mut().zip(row_codes) {
                        *code = halves(row_code.cast_signed());
                    }
                    self.len += 1;
                }
                return Ok(added);
            }
            place = (place + 1) & mask;
        }
        internal_err!("a row was added before there was a place for it")
    }

    /// A word of codes of each group.
    pub fn codes(&self, at: usize) -> Vec<u64> {
        let mut words = Vec::with_capacity(self.len);
        for row in self.cells.chunks_exact(self.stride(self.is_wide)) {
            if is_row(row) {
                words.push(word(row, at * 2));
            }
        }
        words
    }

    /// A count of each group, in the same order: that of this word of a row.
    pub fn counts(&self, at: usize) -> Vec<i64> {
        let mut counts = Vec::with_capacity(self.len);
        let (codes, count) = (self.width.codes * 2, at.saturating_sub(self.width.codes));
        for row in self.cells.chunks_exact(self.stride(self.is_wide)) {
            if is_row(row) {
                counts.push(if self.is_wide {
                    word(row, codes + count * 2).cast_signed()
                } else {
                    row.get(codes + count).map_or(0, |count| i64::from(count.cast_signed()))
                });
            }
        }
        counts
    }

    /// The groups, row after row.
    pub fn rows(&self) -> Vec<u64> {
        let codes = self.width.codes * 2;
        let counts = self.width.row - self.width.codes;
        let mut words = Vec::with_capacity(self.len * self.width.row);
        for row in self.cells.chunks_exact(self.stride(self.is_wide)).filter(|row| is_row(row)) {
            words.extend((0..self.width.codes).map(|place| word(row, place * 2)));
            if self.is_wide {
                words.extend((0..counts).map(|place| word(row, codes + place * 2)));
            } else {
                let narrow = row.iter().skip(codes).take(counts);
                words.extend(narrow.map(|count| i64::from(count.cast_signed()).cast_unsigned()));
            }
        }
        words
    }

    /// Forgets all groups, and keeps its places.
    pub fn clear(&mut self) {
        self.cells.fill(0);
        self.len = 0;
    }
}

/// Whether a row of the table has these codes. It is asked for every row: so it is a loop over places, here and below,
/// and not one over pairs, which is made of calls.
#[inline]
fn has_codes(there: &[u32], codes: &[u64]) -> bool {
    for at in 0..codes.len() {
        if codes.get(at).is_none_or(|code| *code != word(there, at * 2)) {
            return false;
        }
    }
    true
}

/// Adds counts of four bytes, all or none.
#[inline]
fn add_narrow(counts: &mut [u32], more: &[u64]) -> Added {
    for at in 0..more.len() {
        let (Some(count), Some(more)) = (counts.get(at), more.get(at)) else { return Added::TooNarrow };
        let Ok(more) = i32::try_from(more.cast_signed()) else { return Added::TooNarrow };
        if count.cast_signed().checked_add(more).is_none() {
            return Added::TooNarrow;
        }
    }
    for at in 0..more.len() {
        if let (Some(count), Some(more)) = (counts.get_mut(at), more.get(at)) {
            *count = count.wrapping_add(*more as u32);
        }
    }
    Added::Yes
}

/// Adds counts of eight bytes.
fn add_wide(counts: &mut [u32], more: &[u64]) -> Result<Added> {
    for (count, more) in counts.as_chunks_mut::<2>().0.iter_mut().zip(more) {
        let there = u64::from(count[0]) | u64::from(count[1]) << 32;
        let Some(sum) = there.cast_signed().checked_add(more.cast_signed()) else {
            return exec_err!("a sum does not fit into 64 bits");
        };
        *count = halves(sum);
    }
    Ok(Added::Yes)
}

/// A word as its lower and its upper half.
#[inline]
fn halves(word: i64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The word whose lower half stands here.
#[inline]
fn word(row: &[u32], place: usize) -> u64 {
    match row.get(place..place + 2) {
        Some([lower, upper]) => u64::from(*lower) | u64::from(*upper) << 32,
        _ => 0,
    }
}

#[inline]
fn is_row(row: &[u32]) -> bool {
    word(row, 0) != 0
}
