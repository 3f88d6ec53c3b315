//! Pulling a source: read in one snapshot, check against the contract, set bad
//! rows aside, prove the totals, keep an immutable generation.
//!
//! [`pull`] lands each table or says why not; a table that fails takes no other
//! with it, unless the source answers no more. A row with a fault is quarantined
//! with its number and reason, or its value becomes empty, or the pull stops, as
//! the column says; a key that is empty or that two rows share quarantines every
//! row concerned, because nobody here can know which is right. What the source
//! counts, what was received and what was written must agree.
//!
//! However large a table is, less than 512 MB of memory are enough: rows that come
//! in the order of their key are encoded as they come; others are packed and divided
//! by their place in the order, what does not fit is spilled into files without names,
//! and each bucket is sorted into one
//! Parquet file, by the driving date and the key. The same rows are the same
//! bytes, whichever way they went. A table that is
//! read by increments is its last whole reading and one file of all changes
//! since, put together when it is read.
//!
//! This chapter must not know what a table means, nor how a source is read; and
//! nothing it reports holds a value of a row.

mod blind;
mod buckets;
mod changes;
mod contract;
mod erase;
mod error;
mod file;
mod gather;
mod group;
mod intake;
mod land;
mod lane;
mod manifest;
mod merge;
mod night;
mod order;
mod packed;
mod planned;
mod proof;
mod sift;
mod spill;
mod store;
mod together;
mod twins;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::calendar::AsOf;
use crate::pipeline::filter::{Condition, Dates};
use crate::pipeline::{Source, SourceKind, SourceTable};
use crate::sources::Snapshot;
use crate::tables::{Stored, Table, TableName};

pub use erase::{Erased, erase};
pub use error::Error;
pub use file::{Digest, read_generation, write_parquet};
pub use night::of_night;
pub use planned::Beside;
pub use sift::{Effect, Finding, Quarantined};
pub use store::{Generation, Store};

/// A source, pulled.
#[derive(Debug)]
pub struct Pulled {
    /// Its word in the pipeline.
    pub source: String,
    /// The tables that landed, in the order of the pipeline.
    pub tables: Vec<Landed>,
    /// Those that must not land (`blind`), with their rows, which are in memory alone. They have no generation.
    pub blind: Vec<(Landed, Table)>,
    /// Those that did not, and why. Nothing of them is visible.
    pub failed: Vec<(TableName, Error)>,
}

/// A table, landed.
#[derive(Debug)]
pub struct Landed {
    /// `<source>.<table>`.
    pub name: TableName,
    /// Its rows, as files; all columns nullable except the key's.
    pub stored: Stored,
    /// Where it is kept; none when nothing was put in place.
    pub generation: Option<Generation>,
    /// The select, or the file and its columns.
    pub asked: String,
    /// The columns that were read, in the order of the contract.
    pub columns: Vec<String>,
    /// Rows that the source gave tonight, by its own count in the same snapshot.
    pub rows_read: u64,
    /// Rows of those that were taken in.
    pub rows_landed: u64,
    /// Rows set aside.
    pub rows_quarantined: u64,
    /// What was wrong, counted by column and reason.
    pub findings: Vec<Finding>,
    /// What the source computed in the same snapshot and was found to agree: `rows`, `keys`, columns summed.
    pub proven: Vec<String>,
    /// Whether all rows were read, or what had changed.
    pub read: Read,
    /// How many bytes did not fit in memory and were kept in temporary files meanwhile; none for most tables.
    pub spilled_bytes: u64,
    /// How long reading, checking and writing took.
    pub seconds: f64,
    condition: Option<Condition>,
    order: order::Order,
    /// The folder that vanishes, of a plan.
    _temporary: Option<Arc<store::Temporary>>,
}

/// How a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All rows of the night.
    Whole {
        /// Why, where changes would have been enough.
        why: Option<&'static str>,
    },
    /// The rows changed since the last generation.
    Changes {
        /// Keys that have gone: deleted at the source, or no longer let through by the filter.
        gone: u64,
        /// Whether all keys were compared with the source's.
        compared: bool,
        /// Rows that the generation holds at least; those that a moving window has left since are among them.
        held_least: u64,
        /// Rows that it holds at most. Both are the same where the keys were compared.
        held: u64,
    },
}

/// Pulls the tables of `source` in one snapshot and keeps them in `store`.
///
/// `root` is the installation folder, to which the paths of sources are
/// relative; `dates` are those of the night. The call blocks until all is read
/// and written; it may be made from any thread, also from one of an asynchronous
/// runtime under `block_in_place`, because the work runs on threads of its own.
pub fn pull(source: &Source, root: &Path, dates: Dates<'_>, store: &Store) -> Result<Pulled, Error> {
    pull_within(source, root, dates, store, MEMORY_BYTES)
}

/// As [`pull`], with another bound: `memory_bytes` of packed rows stay in memory, and what is more is spilled. What
/// lands is the same whatever the bound.
pub fn pull_within(
    source: &Source,
    root: &Path,
    dates: Dates<'_>,
    store: &Store,
    memory_bytes: usize,
) -> Result<Pulled, Error> {
    // A runtime of a client must not be started inside another, and a decoder
    // that a damaged file brings down must not bring down the night.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("pull {}", source.name));
        let work = thread.spawn_scoped(scope, || pull_here(source, root, dates, store, memory_bytes));
        let work = work.map_err(|error| Error::Thread { source_name: source.name.clone(), source: error })?;
        work.join().unwrap_or_else(|_| Err(Error::Crashed { source_name: source.name.clone() }))
    })
}

fn pull_here(
    source: &Source,
    root: &Path,
    dates: Dates<'_>,
    store: &Store,
    memory_bytes: usize,
) -> Result<Pulled, Error> {
    let as_of = AsOf::new(dates.as_of);
    authorised(source, as_of)?;
    let reading = |error| Error::Source { source_name: source.name.clone(), source: error };
    // Taken before the source is opened: who cannot keep the rows should not read them.
    let shelf = store.shelf(&source.name)?;
    let mut snapshot = Snapshot::open(source, root).map_err(reading)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    let means = Means { threads, seed: seed(), memory_bytes };
    let (mut tables, mut asides, mut blind, mut failed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut lost: Option<TableName> = None;
    for table in &source.tables {
        let name = TableName::new(&source.name, &table.name);
        if let Some(failed_at) = &lost {
            failed.push((name.clone(), Error::NotAsked { table: name, failed_at: failed_at.clone() }));
            continue;
        }
        match land(source, table, &mut snapshot, dates, &shelf, &means) {
            Ok(Came::Landed(landed, aside)) => {
                tables.push(*landed);
                asides.push((*aside, table.keep_generations));
            }
            Ok(Came::Blind(landed, rows)) => blind.push((*landed, rows)),
            Err(error) => {
                // A connection that is gone describes no table either.
                if matches!(error, Error::Source { .. }) && snapshot.describe(table).is_err() {
                    lost = Some(name.clone());
                }
                failed.push((name, error));
            }
        }
    }
    // The source is let go before files are put in place: our disk must not hold back its clean-up.
    drop(snapshot);
    for (landed, (aside, keep)) in tables.iter_mut().zip(asides) {
        match shelf.put_in_place(aside, as_of, keep) {
            Ok(generation) => landed.generation = Some(generation),
            Err(error) => failed.push((landed.name.clone(), error)),
        }
    }
    tables.retain(|landed| landed.generation.is_some());
    Ok(Pulled { source: source.name.clone(), tables, blind, failed })
}

/// Whether the source may be read for that night. Files were handed over once and stay what they are; the owner's
/// server gives what it holds today, also to a night that is run again.
fn authorised(source: &Source, as_of: AsOf) -> Result<(), Error> {
    let (source_name, term) = (source.name.clone(), &source.authorisation);
    let (from, to) = (term.from, term.to);
    if !term.holds_on(as_of) {
        return Err(Error::NotAuthorised { source_name, as_of, from, to });
    }
    let is_handed_over = match &source.kind {
        SourceKind::Sqlite { .. } | SourceKind::Csv { .. } | SourceKind::NdJson { .. } => true,
        SourceKind::Excel { .. } | SourceKind::Parquet { .. } => true,
        SourceKind::Postgres(_) | SourceKind::Mysql(_) | SourceKind::Odbc { .. } | SourceKind::ObjectStore(_) => false,
    };
    let today = AsOf::today();
    if !is_handed_over && !term.holds_on(today) {
        return Err(Error::NotAuthorisedToday { source_name, today, from, to });
    }
    Ok(())
}

/// How many bytes of packed rows stay in memory: together with what is being read and encoded, under 512 MB.
pub const MEMORY_BYTES: usize = 208 << 20;

/// What all tables of a source are landed with.
struct Means {
    threads: usize,
    seed: u64,
    memory_bytes: usize,
}

/// More threads need more memory, and the source does not give more.
const THREADS_MAX: usize = 8;

/// A number that nobody outside this process knows.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

fn land(
    source: &Source,
    table: &SourceTable,
    snapshot: &mut Snapshot,
    dates: Dates<'_>,
    shelf: &store::Shelf,
    means: &Means,
) -> Result<Came, Error> {
    let name = TableName::new(&source.name, &table.name);
    let source_name = || source.name.clone();
    let breaches = contract::check(source, table, snapshot)
        .map_err(|error| Error::Source { source_name: source_name(), source: error })?;
    if !breaches.is_empty() {
        return Err(Error::Contract { source_name: source_name(), breaches });
    }
    let condition = table.filter.as_ref().map(|filter| filter.on(dates)).transpose();
    let condition = condition.map_err(|what| Error::Filter { table: name.clone(), what })?;
    let pull = land::Pull {
        name,
        kind: &source.kind,
        table,
        as_of: AsOf::new(dates.as_of),
        condition,
        shelf,
        order: order::Order::of(table, means.seed),
        controls: proof::Controls::of(table),
        threads: means.threads,
        memory_bytes: means.memory_bytes,
    };
    if table.blind.is_some() {
        // It may have landed before it was declared so.
        shelf.forget(&pull.name)?;
        return blind::read(pull, snapshot).map(|(landed, rows)| Came::Blind(Box::new(landed), rows));
    }
    pull.land(snapshot).map(|(landed, aside)| Came::Landed(Box::new(landed), Box::new(aside)))
}

/// What came of a table: files aside, or rows in memory.
enum Came {
    Landed(Box<Landed>, Box<store::Aside>),
    Blind(Box<Landed>, Table),
}

/// The path as people should read it: relative to where they are, where possible.
fn shown(path: &Path) -> PathBuf {
    match std::env::current_dir() {
        Ok(here) => path.strip_prefix(&here).unwrap_or(path).to_path_buf(),
        Err(_) => path.to_path_buf(),
    }
}
