//! All groups of a query, in parts by the hash of their codes: each part has a lock of its own.
//!
//! Small rows are kept until there are many for a part, and then added all at once: so a part's table is in the
//! processor's cache while it is visited, and where they never are so many, there is no table until its groups are told.
//!
//! Where memory ends, a part writes its groups to a file of the engine and begins anew; what belongs together is in
//! the same part, and is added again when the part is read.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::Count;

use super::groups::{Added, Groups, Width};
use super::hash;
use super::packing::Packing;

/// Parts: with nine million groups of three texts and five counts, one part is two megabytes.
pub const PARTS: usize = 256;

/// So many small rows are kept for a part before they are added: a quarter of a gigabyte in all parts.
const KEPT_ROWS: usize = 1 << 17;

/// The rows kept for a part are added in so many pieces, each with a table of half a megabyte.
const PIECES: usize = 4;

/// The part of a hash: of bits by which no place within it is found.
#[inline]
pub fn part(hash: u64) -> usize {
    (hash >> (u64::BITS - PARTS.ilog2())) as usize
}

/// The groups of a query.
pub struct Shards {
    width: Width,
    packing: Option<Packing>,
    parts: Vec<Mutex<Part>>,
    memory: MemoryReservation,
    disk: Arc<DiskManager>,
    /// How often a part was written.
    spills: Count,
}

struct Part {
    groups: Groups,
    /// Packed rows that are not added yet.
    kept: Vec<Vec<u64>>,
    kept_words: usize,
    spilled: Option<Spilled>,
}

impl Part {
    fn take_kept(&mut self) -> Vec<Vec<u64>> {
        self.kept_words = 0;
        std::mem::take(&mut self.kept)
    }
}

struct Spilled {
    file: Arc<dyn SpillFile>,
    writer: Box<dyn SpillWriter>,
}

impl Shards {
    /// No groups of so many columns; their memory is asked of this reservation.
    pub fn new(keys: usize, width: Width, memory: MemoryReservation, disk: Arc<DiskManager>, spills: Count) -> Self {
        let part = || Part { groups: Groups::new(width), kept: Vec::new(), kept_words: 0, spilled: None };
        let parts = (0..PARTS).map(|_| Mutex::new(part())).collect();
        Shards { width, packing: Packing::of(keys, width), parts, memory, disk, spills }
    }

    /// How small rows are packed, if they can be.
    pub fn packing(&self) -> Option<Packing> {
        self.packing
    }

    /// Adds rows that all belong to this part.
    pub fn add(&self, part: usize, rows: &[u64]) -> Result<()> {
        let mut part = self.part(part)?;
        self.add_to(&mut part, rows)
    }

    /// Keeps packed rows that all belong to this part, or adds them.
    pub fn keep(&self, part: usize, rows: Vec<u64>) -> Result<()> {
        let mut part = self.part(part)?;
        if self.memory.try_grow(bytes_of(&rows)).is_err() {
            self.add_kept(&mut part)?;
            return self.add_packed(&mut part, &rows);
        }
        part.kept_words += rows.len();
        part.kept.push(rows);
        // A table that is much larger than its new rows is not visited for them.
        if part.kept_words > self.width.codes * KEPT_ROWS.max(part.groups.len() * 2) {
            self.add_kept(&mut part)?;
        }
        Ok(())
    }

    /// Adds what was kept for a part. Its memory is given back first, for the table to grow into.
    fn add_kept(&self, part: &mut Part) -> Result<()> {
        let kept = part.take_kept();
        self.memory.shrink(kept.iter().map(bytes_of).sum());
        kept.iter().try_for_each(|rows| self.add_packed(part, rows))
    }

    fn add_packed(&self, part: &mut Part, rows: &[u64]) -> Result<()> {
        let Some(packing) = self.packing else { return internal_err!("rows are packed, and nobody knows how") };
        let mut row = vec![0; self.width.row];
        for packed in rows.chunks_exact(packing.words()) {
            packing.unpack(packed, &mut row);
            if part.groups.is_full() {
                self.make_room(part)?;
            }
            self.add_row(&mut part.groups, &row)?;
        }
        Ok(())
    }

    fn add_to(&self, part: &mut Part, rows: &[u64]) -> Result<()> {
        for row in rows.chunks_exact(self.width.row) {
            if part.groups.is_full() {
                self.make_room(part)?;
            }
            self.add_row(&mut part.groups, row)?;
        }
        Ok(())
    }

    fn add_row(&self, groups: &mut Groups, row: &[u64]) -> Result<()> {
        let hash = hash::words(row.get(..self.width.codes).unwrap_or_default());
        if groups.add(row, hash)? == Added::TooNarrow {
            // Seldom, and once for a part: not worth a way back where memory ends.
            self.memory.grow(groups.widened_bytes() - groups.bytes());
            groups.widen();
            if groups.add(row, hash)? == Added::TooNarrow {
                return internal_err!("a count does not fit into a wide row");
            }
        }
        Ok(())
    }

    fn make_room(&self, part: &mut Part) -> Result<()> {
        let before = part.groups.bytes();
        match self.memory.try_grow(part.groups.grown_bytes()) {
            Ok(()) => {
                part.groups.grow();
                self.memory.shrink(before);
                Ok(())
            }
            // The rows that are kept for other parts may take all memory: a table that can hold a few is made all the same.
            Err(_) if part.groups.places() == 0 => {
                self.memory.grow(part.groups.grown_bytes());
                part.groups.grow();
                Ok(())
            }
            Err(_) => self.spill(part),
        }
    }

    fn spill(&self, part: &mut Part) -> Result<()> {
        if part.spilled.is_none() {
            let file = self.disk.create_tmp_file("counting groups")?;
            let writer = file.open_writer()?;
            part.spilled = Some(Spilled { file, writer });
        }
        let kept = part.take_kept();
        let Some(spilled) = &mut part.spilled else { return Ok(()) };
        self.spills.add(1);
        let as_bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        spilled.writer.write_all(&as_bytes(&part.groups.rows()))?;
        part.groups.clear();
        for rows in kept {
            let Some(packing) = self.packing else { continue };
            let mut words = vec![0; rows.len() / packing.words() * self.width.row];
            for (packed, row) in rows.chunks_exact(packing.words()).zip(words.chunks_exact_mut(self.width.row)) {
                packing.unpack(packed, row);
            }
            spilled.writer.write_all(&as_bytes(&words))?;
            self.memory.shrink(bytes_of(&rows));
        }
        Ok(())
    }

    /// No more rows come. Where a part had to be written, all are: what is read again has the whole memory, part by part.
    pub fn settle(&self) -> Result<()> {
        let is_spilled = |part: usize| Ok::<_, DataFusionError>(self.part(part)?.spilled.is_some());
        let spilled = (0..PARTS).map(is_spilled).collect::<Result<Vec<_>>>()?;
        if !spilled.contains(&true) {
            return Ok(());
        }
        for part in 0..PARTS {
            let mut part = self.part(part)?;
            self.spill(&mut part)?;
            let groups = std::mem::replace(&mut part.groups, Groups::new(self.width));
            self.memory.shrink(groups.bytes());
        }
        Ok(())
    }

    /// Tells the groups of a part, some at a time, and forgets them. The table serves one part after the other: a new one
    /// for each would have to be cleared by the system.
    pub fn tell(&self, part: usize, table: &mut Groups, mut tell: impl FnMut(&Groups) -> Result<()>) -> Result<()> {
        let mut part = self.part(part)?;
        if part.spilled.is_some() {
            self.read_again(&mut part)?;
        }
        if part.groups.len() > 0 {
            let mut groups = std::mem::replace(&mut part.groups, Groups::new(self.width));
            for rows in part.take_kept() {
                self.fill(&mut groups, &rows)?;
                self.memory.shrink(bytes_of(&rows));
            }
            tell(&groups)?;
            self.memory.shrink(groups.bytes());
            return Ok(());
        }
        for rows in self.pieces(&mut part) {
            self.fill(table, &rows)?;
            tell(table)?;
            table.clear();
        }
        Ok(())
    }

    /// What was kept for a part, by bits of the hash that do not choose the part.
    fn pieces(&self, part: &mut Part) -> Vec<Vec<u64>> {
        let Some(packing) = self.packing else { return Vec::new() };
        let words = part.kept_words / PIECES + part.kept_words / 16;
        let mut pieces: Vec<_> = (0..PIECES).map(|_| Vec::with_capacity(words)).collect();
        for rows in part.take_kept() {
            for row in rows.chunks_exact(packing.words()) {
                let piece = (packing.hash(row) >> (u64::BITS - PARTS.ilog2() - PIECES.ilog2())) as usize % PIECES;
                if let Some(piece) = pieces.get_mut(piece) {
                    piece.extend_from_slice(row);
                }
            }
            self.memory.shrink(bytes_of(&rows));
        }
        pieces
    }

    /// Adds packed rows to a table, whether or not there is memory left: they are those of one part, and have given
    /// theirs back, or will.
    fn fill(&self, table: &mut Groups, rows: &[u64]) -> Result<()> {
        let Some(packing) = self.packing else { return Ok(()) };
        let mut row = vec![0; self.width.row];
        for packed in rows.chunks_exact(packing.words()) {
            packing.unpack(packed, &mut row);
            if table.is_full() {
                self.memory.grow(table.grown_bytes() - table.bytes());
                table.grow();
            }
            self.add_row(table, &row)?;
        }
        Ok(())
    }

    /// Reads the rows of a part that were written.
    fn read_again(&self, part: &mut Part) -> Result<()> {
        let Some(mut spilled) = part.spilled.take() else { return Ok(()) };
        spilled.writer.finish()?;
        let path = spilled.file.path().ok_or_else(|| internal_datafusion_err!("a spilled file has no path"))?;
        let mut file = std::fs::File::open(path)?;
        let row_bytes = self.width.row * size_of::<u64>();
        let mut bytes = vec![0; row_bytes * 4096];
        loop {
            let read = fill(&mut file, &mut bytes)?;
            let words = bytes.get(..read).unwrap_or_default().as_chunks::<8>().0;
            let rows: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows.chunks_exact(self.width.row) {
                if part.groups.is_full() {
                    let before = part.groups.bytes();
                    self.memory.try_grow(part.groups.grown_bytes())?;
                    part.groups.grow();
                    self.memory.shrink(before);
                }
                self.add_row(&mut part.groups, row)?;
            }
        }
    }

    fn part(&self, part: usize) -> Result<MutexGuard<'_, Part>> {
        let part = self.parts.get(part).ok_or_else(|| internal_datafusion_err!("no part {part}"))?;
        Ok(part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn bytes_of(rows: &Vec<u64>) -> usize {
    rows.capacity() * size_of::<u64>()
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut std::fs::File, bytes: &mut [u8]) -> Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
