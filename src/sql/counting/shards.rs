//! All groups of a query, in parts by the hash of their codes: each part has a lock of its own.
//!
//! Where memory ends, a part writes its groups to a file of the engine and begins anew; what belongs together is in
//! the same part, and is added again when the part is read.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result, internal_datafusion_err, internal_err};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::{SpillFile, SpillWriter};

use super::groups::{Added, Groups, Width};
use super::hash;

/// Parts: with nine million groups of three texts and five counts, one part is two megabytes.
pub const PARTS: usize = 256;

/// The part of a hash: of bits by which no place within it is found.
pub fn part(hash: u64) -> usize {
    (hash >> (u64::BITS - PARTS.ilog2())) as usize
}

/// The groups of a query.
pub struct Shards {
    width: Width,
    parts: Vec<Mutex<Part>>,
    memory: MemoryReservation,
    disk: Arc<DiskManager>,
}

struct Part {
    groups: Groups,
    spilled: Option<Spilled>,
}

struct Spilled {
    file: Arc<dyn SpillFile>,
    writer: Box<dyn SpillWriter>,
}

impl Shards {
    /// No groups; their memory is asked of this reservation.
    pub fn new(width: Width, memory: MemoryReservation, disk: Arc<DiskManager>) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::new(Part { groups: Groups::new(width), spilled: None })).collect();
        Shards { width, parts, memory, disk }
    }

    /// Words of a row.
    pub fn row_words(&self) -> usize {
        self.width.row
    }

    /// Adds rows that all belong to this part.
    pub fn add(&self, part: usize, rows: &[u64]) -> Result<()> {
        let mut part = self.part(part)?;
        self.add_to(&mut part, rows)
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
            Err(error) if part.groups.len() == 0 => Err(error),
            Err(_) => self.spill(part),
        }
    }

    fn spill(&self, part: &mut Part) -> Result<()> {
        if part.spilled.is_none() {
            let file = self.disk.create_tmp_file("counting groups")?;
            let writer = file.open_writer()?;
            part.spilled = Some(Spilled { file, writer });
        }
        let bytes: Vec<u8> = part.groups.rows().iter().flat_map(|word| word.to_le_bytes()).collect();
        if let Some(spilled) = &mut part.spilled {
            spilled.writer.write_all(&bytes)?;
        }
        part.groups.clear();
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
            self.forget(&groups);
        }
        Ok(())
    }

    /// Takes the groups of a part out. Their memory is given back with [`Shards::forget`].
    pub fn take(&self, part: usize) -> Result<Groups> {
        let mut part = self.part(part)?;
        let Some(mut spilled) = part.spilled.take() else {
            return Ok(std::mem::replace(&mut part.groups, Groups::new(self.width)));
        };
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
                return Ok(std::mem::replace(&mut part.groups, Groups::new(self.width)));
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

    /// Gives back the memory of groups that were taken out.
    pub fn forget(&self, groups: &Groups) {
        self.memory.shrink(groups.bytes());
    }

    fn part(&self, part: usize) -> Result<MutexGuard<'_, Part>> {
        let part = self.parts.get(part).ok_or_else(|| internal_datafusion_err!("no part {part}"))?;
        Ok(part.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
