//! Which keys stand in a table more than once, and in which of two tables a key
//! stands: by 128-bit hashes of the keys, in bounded memory.
//!
//! Two different keys of a thousand million rows hash alike with a probability
//! of one in 10²⁰, and nobody can choose them so, because the hash is seeded
//! anew by each process. Hashes are parted by their first bits; a part is looked
//! at by itself. This module must not know what a key is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Error;
use super::spill::{Offset, Spill};

/// Into how many parts hashes are divided.
const PARTS: usize = 256;

/// How many hashes a part keeps in memory before they are written down: 16 MiB for all parts.
const PART_HASHES: usize = 4096;

/// The first and the last key of a batch, as bytes that compare as keys do.
type Ends = (Box<[u8]>, Box<[u8]>);

/// The cheapest proof that no key came twice: batches whose keys rise, and none between the ends of another.
#[derive(Default)]
pub(super) struct Rising {
    is_over: AtomicBool,
    /// Of each batch.
    ends: Mutex<Vec<Ends>>,
}

impl Rising {
    /// Whether some keys did not rise.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Some keys do not rise: no, they do not.
    pub(super) fn give_up(&self) -> bool {
        self.is_over.store(true, Ordering::Relaxed);
        false
    }

    /// A batch whose keys rise.
    pub(super) fn add(&self, first: Box<[u8]>, last: Box<[u8]>) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push((first, last));
    }

    /// Whether every key stands in one place only.
    pub(super) fn is_proven(&self) -> bool {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.sort_unstable();
        let stands_behind = |pair: &[Ends]| match pair {
            [(_, last), (first, _)] => last < first,
            _ => true,
        };
        !self.is_over() && ends.windows(2).all(stands_behind)
    }
}

/// Hashes of keys, parted.
pub(super) struct Hashes<'s> {
    spill: &'s Spill,
    parts: Vec<Mutex<Part>>,
}

#[derive(Default)]
struct Part {
    recent: Vec<u128>,
    /// Where those written down stand, and how many.
    written: Vec<(Offset, usize)>,
}

impl<'s> Hashes<'s> {
    pub(super) fn new(spill: &'s Spill) -> Self {
        Hashes { spill, parts: (0..PARTS).map(|_| Mutex::new(Part::default())).collect() }
    }

    /// Adds hashes, from any thread.
    pub(super) fn add(&self, hashes: &[u128]) -> Result<(), Error> {
        // Put in the order of their parts first, so that each part is locked once.
        let part_of = |hash: &u128| (hash >> 120) as usize;
        let mut ends = [0_usize; PARTS];
        for hash in hashes {
            if let Some(end) = ends.get_mut(part_of(hash)) {
                *end += 1;
            }
        }
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        let mut parted = vec![0_u128; hashes.len()];
        for hash in hashes {
            if let Some(end) = ends.get_mut(part_of(hash)) {
                if let Some(place) = parted.get_mut(*end) {
                    *place = *hash;
                }
                *end += 1;
            }
        }
        let mut from = 0;
        for (part, end) in self.parts.iter().zip(ends) {
            let hashes = parted.get(from..end).unwrap_or_default();
            from = end;
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.recent.extend_from_slice(hashes);
            if part.recent.len() >= PART_HASHES {
                let mut bytes = Vec::with_capacity(part.recent.len() * 16);
                part.recent.iter().for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
                let offset = self.spill.append(&bytes)?;
                let count = part.recent.len();
                part.written.push((offset, count));
                part.recent.clear();
            }
        }
        Ok(())
    }

    /// The hashes of one part.
    fn part(&self, index: usize) -> Result<Vec<u128>, Error> {
        let Some(part) = self.parts.get(index) else { return Ok(Vec::new()) };
        let part = part.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut hashes, mut bytes) = (part.recent.clone(), Vec::new());
        for (offset, count) in &part.written {
            bytes.clear();
            self.spill.read(*offset, count * 16, &mut bytes)?;
            let (each, _) = bytes.as_chunks::<16>();
            hashes.extend(each.iter().map(|bytes| u128::from_le_bytes(*bytes)));
        }
        Ok(hashes)
    }

    /// The hashes that were added more than once, each with how often; sorted.
    pub(super) fn repeated(&self, threads: usize) -> Result<Vec<(u128, u64)>, Error> {
        self.each_part(threads, |index| Ok(repeated(&self.part(index)?)))
    }

    /// The hashes that only `self` has, or only `other`, with how often: positive for `self`.
    pub(super) fn differing(&self, other: &Hashes<'_>, threads: usize) -> Result<Vec<(u128, i64)>, Error> {
        self.each_part(threads, |index| {
            let mut counts: HashMap<u128, i64> = HashMap::new();
            self.part(index)?.into_iter().for_each(|hash| *counts.entry(hash).or_default() += 1);
            other.part(index)?.into_iter().for_each(|hash| *counts.entry(hash).or_default() -= 1);
            Ok(counts.into_iter().filter(|(_, count)| *count != 0).collect())
        })
    }

    fn each_part<T: Send>(
        &self,
        threads: usize,
        look: impl Fn(usize) -> Result<Vec<(u128, T)>, Error> + Sync,
    ) -> Result<Vec<(u128, T)>, Error> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Ok(Vec::new()));
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= PARTS {
                    break;
                }
                let part = look(index);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *found, part) {
                    (Ok(found), Ok(part)) => found.extend(part),
                    (Ok(_), Err(error)) => *found = Err(error),
                    (Err(_), _) => break,
                }
            }
        };
        let few = self.parts.iter().all(|part| part.lock().is_ok_and(|part| part.written.is_empty()));
        std::thread::scope(|scope| {
            // Where all is in memory, a thread costs more than it saves.
            for _ in 1..if few { 1 } else { threads } {
                scope.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        found.sort_unstable_by_key(|(hash, _)| *hash);
        Ok(found)
    }
}

/// An open table of hashes, twice as large as they are many; zero is a free place.
fn repeated(hashes: &[u128]) -> Vec<(u128, u64)> {
    let mask = (hashes.len() * 2).next_power_of_two() - 1;
    let mut table = vec![0_u128; mask + 1];
    let mut counts: HashMap<u128, u64> = HashMap::new();
    for hash in hashes.iter().map(|hash| (*hash).max(1)) {
        let mut at = hash as usize & mask;
        loop {
            match table.get_mut(at) {
                Some(place) if *place == 0 => {
                    *place = hash;
                    break;
                }
                Some(place) if *place == hash => {
                    *counts.entry(hash).or_insert(1) += 1;
                    break;
                }
                Some(_) => at = (at + 1) & mask,
                None => break,
            }
        }
    }
    counts.into_iter().collect()
}
