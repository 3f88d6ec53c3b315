//! A large text file in blocks of whole records, read by one thread and parsed by many.
//!
//! One pass over the bytes finds where records end and counts them: a count that
//! knows nothing of the parser, and the number of each block's first row. A few
//! blocks are in flight at any time, whatever the file's size. This module must
//! not know what a record holds.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::Error;

/// How much of the file one block holds, about.
const BLOCK_BYTES: usize = 2 << 20;

/// The longest record. A longer one is passed over without being kept, and is a fault of its row.
pub(super) const RECORD_BYTES_MAX: usize = 8 << 20;

/// Finds the ends of records in bytes that come in pieces.
pub(super) trait Boundaries {
    /// Looks at the next bytes.
    fn see(&mut self, bytes: &[u8]) -> Ends;

    /// Whether bytes since the last end are a record without an end of its own.
    fn is_within(&self) -> bool;
}

/// The ends of records in a piece of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// How many records end in it.
    pub(super) records: u64,
    /// Behind the first of them.
    pub(super) first: Option<usize>,
    /// Behind the last of them, with the empty lines that follow.
    pub(super) last: Option<usize>,
}

/// Some whole records.
#[derive(Debug)]
pub(super) struct Block {
    /// Their bytes; none of a record that is too long.
    pub(super) bytes: Vec<u8>,
    /// How many records stand before it in the file.
    pub(super) before: u64,
    /// Whether it stands for one record that is longer than [`RECORD_BYTES_MAX`].
    pub(super) is_too_long: bool,
}

/// Reads blocks.
#[derive(Debug)]
pub(super) struct Blocks<R, B> {
    input: R,
    /// What tells where records end.
    pub(super) boundaries: B,
    /// Bytes that were read and belong to no block yet.
    rest: Vec<u8>,
    /// How many of `rest` the boundaries were shown.
    seen: usize,
    /// Whole records at the start of `rest`: behind their bytes, and how many.
    ready: Option<(usize, u64)>,
    records: u64,
    is_at_end: bool,
}

impl<R: Read, B: Boundaries> Blocks<R, B> {
    /// Blocks of what `input` gives.
    pub(super) fn new(input: R, boundaries: B) -> Self {
        Blocks { input, boundaries, rest: Vec::new(), seen: 0, ready: None, records: 0, is_at_end: false }
    }

    /// How many records all blocks until now hold.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The next block, in a buffer that may have been used before; none at the end.
    pub(super) fn next(&mut self, mut buffer: Vec<u8>) -> std::io::Result<Option<Block>> {
        buffer.clear();
        loop {
            if let Some((end, records)) = self.ready.take() {
                // What is left over moves to the other buffer: it is less than a record.
                buffer.extend_from_slice(self.rest.get(end..).unwrap_or_default());
                std::mem::swap(&mut buffer, &mut self.rest);
                buffer.truncate(end);
                self.seen = self.seen.saturating_sub(end);
                return Ok(Some(self.block(buffer, records, false)));
            }
            if self.is_at_end {
                let is_within = std::mem::take(&mut self.rest);
                return Ok(if is_within.is_empty() || !self.boundaries.is_within() {
                    None
                } else {
                    Some(self.block(is_within, 1, false))
                });
            }
            if self.rest.len() > RECORD_BYTES_MAX {
                return self.pass_over(buffer).map(Some);
            }
            self.fill()?;
            let ends = self.boundaries.see(self.rest.get(self.seen..).unwrap_or_default());
            self.ready = ends.last.map(|last| (self.seen + last, ends.records));
            self.seen = self.rest.len();
        }
    }

    /// Reads on to the end of a record that is too long, and keeps none of it.
    fn pass_over(&mut self, mut buffer: Vec<u8>) -> std::io::Result<Block> {
        buffer.clear();
        loop {
            self.rest.clear();
            self.fill()?;
            let ends = self.boundaries.see(&self.rest);
            self.seen = self.rest.len();
            if let Some(first) = ends.first {
                self.rest.drain(..first);
                self.seen -= first;
                let others = ends.records.saturating_sub(1);
                self.ready = ends.last.filter(|last| *last > first).map(|last| (last - first, others));
                return Ok(self.block(buffer, 1, true));
            }
            if self.is_at_end {
                return Ok(self.block(buffer, 1, true));
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>, records: u64, is_too_long: bool) -> Block {
        let before = self.records;
        self.records += records;
        Block { bytes, before, is_too_long }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        // One byte more, so that the end of the file is seen without the buffer growing once more.
        self.rest.reserve(BLOCK_BYTES + 1);
        let count = self.input.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut self.rest)?;
        self.is_at_end = count == 0;
        Ok(())
    }
}

/// Gives each block to one of several threads, as many as the machine has processors; the first error ends it.
pub(super) fn for_each<R: Read, B: Boundaries>(
    blocks: &mut Blocks<R, B>,
    failed: &dyn Fn(std::io::Error) -> Error,
    work: &(dyn Fn(&Block) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let threads = threads();
    // One block waits for each thread: enough that none waits for the disk.
    let (sender, receiver) = mpsc::sync_channel::<Block>(threads);
    // Owned by the threads alone: when the last of them is gone, sending fails and does not wait.
    let (receiver, used) = (Arc::new(Mutex::new(receiver)), Mutex::new(Vec::<Vec<u8>>::new()));
    let (is_over, fault) = (AtomicBool::new(false), Mutex::new(None));
    let stop = |error: Error| {
        is_over.store(true, Ordering::Relaxed);
        locked(&fault).get_or_insert(error);
    };
    std::thread::scope(|scope| {
        let worker = |receiver: Arc<Mutex<mpsc::Receiver<Block>>>| {
            loop {
                let next = locked(&receiver).recv();
                let Ok(block) = next else { return };
                // After a fault the queue is emptied, so that the reading thread does not wait.
                if !is_over.load(Ordering::Relaxed)
                    && let Err(error) = work(&block)
                {
                    stop(error);
                }
                locked(&used).push(block.bytes);
            }
        };
        for _ in 0..threads {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name("parse".to_owned());
            if let Err(source) = thread.spawn_scoped(scope, move || worker(receiver)) {
                stop(Error::Runtime { source });
            }
        }
        drop(receiver);
        while !is_over.load(Ordering::Relaxed) {
            let buffer = locked(&used).pop().unwrap_or_default();
            match blocks.next(buffer) {
                Ok(Some(block)) => {
                    // The threads take blocks until there are no more; without a thread there is nobody to send to.
                    if sender.send(block).is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(source) => stop(failed(source)),
            }
        }
        drop(sender);
    });
    match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// How many threads parse at once.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a mutex holds; a thread that panicked with it is reported by its own scope.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
