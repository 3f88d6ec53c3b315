//! Several connections that work on one table at the same time.
//!
//! Each has a thread of its own, and draws the next part when it has done one. The
//! first failure stops them all. This module must not know what a part is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::connection::{Connection, Failure, Halt, Target};
use crate::sources::{Error, Totals};

/// One of several readers of a table.
pub(super) enum Reader<'c> {
    First(&'c mut Connection),
    /// Filled when it is connected.
    Other(&'c mut Option<Connection>),
}

/// What a reader does with the ranges that it draws: their totals, with their numbers.
pub(super) type Drawn = Vec<(usize, Totals)>;

/// Lets all readers work at once, each on its own thread, until all parts are done or one has failed; that one
/// stops the others. The totals are in the order of the parts.
pub(super) fn side_by_side(
    first: &mut Connection,
    others: &mut [Option<Connection>],
    parts: usize,
    work: impl Fn(Reader<'_>, &AtomicUsize, &Halt) -> Result<Drawn, Failure> + Sync,
) -> Result<Vec<Totals>, Failure> {
    let (tell, halt) = watch::channel(false);
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let drawn = Mutex::new(Vec::with_capacity(parts));
    let reader = |reader: Reader<'_>| match work(reader, &next, &halt) {
        Ok(totals) => drawn.lock().unwrap_or_else(PoisonError::into_inner).extend(totals),
        Err(failure) => {
            // The first failure is the cause; those of readers that were stopped for it say nothing.
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            tell.send_replace(true);
        }
    };
    let ended = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for other in others {
            let thread = std::thread::Builder::new().name("postgres reader".to_owned());
            match thread.spawn_scoped(scope, || reader(Reader::Other(other))) {
                Ok(thread) => threads.push(thread),
                // Whoever is there draws the ranges of who is not.
                Err(_) => break,
            }
        }
        reader(Reader::First(first));
        threads.into_iter().all(|thread| thread.join().is_ok())
    });
    if let Some(failure) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    let mut drawn = drawn.into_inner().unwrap_or_else(PoisonError::into_inner);
    drawn.sort_unstable_by_key(|(part, _)| *part);
    // Every part was drawn by a reader that ended well, or some of the table is missing.
    if ended && drawn.len() == parts {
        Ok(drawn.into_iter().map(|(_, totals)| totals).collect())
    } else {
        Err(Failure::Ours(Error::Stopped))
    }
}

/// Draws ranges until there are none.
pub(super) fn each(
    next: &AtomicUsize,
    ranges: &[String],
    mut work: impl FnMut(usize, &str) -> Result<Totals, Failure>,
) -> Result<Drawn, Failure> {
    let mut drawn = Vec::new();
    loop {
        let part = next.fetch_add(1, Ordering::Relaxed);
        let Some(range) = ranges.get(part) else { return Ok(drawn) };
        drawn.push((part, work(part, range)?));
    }
}

/// Another connection in the same snapshot; none when the server has no room for it.
pub(super) fn connect(target: &Target, begin: &str) -> Result<Option<Connection>, Failure> {
    match Connection::open(target, begin) {
        Ok(connection) => Ok(Some(connection)),
        // The night goes on with those that it has.
        Err(Error::Full { .. }) => Ok(None),
        Err(error) => Err(Failure::Ours(error)),
    }
}
