//! Groups with their counts, in a table of words.
//!
//! A row is a few words: first its codes, of which the first is never 0, then its counts. Rows of the same codes are
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
#[derive(Debug)]
pub struct Groups {
    width: Width,
    words: Vec<u64>,
    /// Places, a power of two; 0 before the first row.
    places: usize,
    len: usize,
}

impl Groups {
    /// No groups.
    pub fn new(width: Width) -> Self {
        Groups { width, words: Vec::new(), places: 0, len: 0 }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether three in four places are taken: it grows before it takes a row.
    pub fn is_full(&self) -> bool {
        self.len * 4 >= self.places * 3
    }

    /// How many groups it could hold.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Bytes that it holds when it has grown.
    pub fn grown_bytes(&self) -> usize {
        self.grown_places() * self.width.row * size_of::<u64>()
    }

    fn grown_places(&self) -> usize {
        (self.places * 2).max(64)
    }

    /// Takes twice as many places.
    pub fn grow(&mut self) {
        let width = self.width;
        let places = self.grown_places();
        let rows = std::mem::replace(&mut self.words, vec![0; places * width.row]);
        self.places = places;
        for row in rows.chunks_exact(width.row).filter(|row| is_row(row)) {
            let codes = row.get(..width.codes).unwrap_or_default();
            let mut place = hash::words(codes) as usize & (places - 1);
            loop {
                match self.words.get_mut(place * width.row..(place + 1) * width.row) {
                    Some(free) if !is_row(free) => {
                        free.copy_from_slice(row);
                        break;
                    }
                    _ => place = (place + 1) & (places - 1),
                }
            }
        }
    }

    /// Adds a row. The table must not be full.
    pub fn add(&mut self, row: &[u64], hash: u64) -> Result<()> {
        let width = self.width;
        let mask = self.places.saturating_sub(1);
        let mut place = hash as usize & mask;
        while let Some(there) = self.words.get_mut(place * width.row..(place + 1) * width.row) {
            if !is_row(there) {
                there.copy_from_slice(row);
                self.len += 1;
                return Ok(());
            }
            let (codes, counts) = there.split_at_mut(width.codes);
            let (row_codes, row_counts) = row.split_at(width.codes);
            if codes == row_codes {
                let mut is_over = false;
                for (count, more) in counts.iter_mut().zip(row_counts) {
                    let (sum, over) = count.cast_signed().overflowing_add(more.cast_signed());
                    is_over |= over;
                    *count = sum.cast_unsigned();
                }
                return if is_over { exec_err!("a sum does not fit into 64 bits") } else { Ok(()) };
            }
            place = (place + 1) & mask;
        }
        internal_err!("a row was added before there was a place for it")
    }

    /// The groups.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.words.chunks_exact(self.width.row).filter(|row| is_row(row))
    }

    /// Forgets all groups, and keeps its places.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.len = 0;
    }
}

fn is_row(row: &[u64]) -> bool {
    row.first().is_some_and(|first| *first != 0)
}
