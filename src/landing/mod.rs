//! Pulling a source: read in one snapshot, check against the contract, set bad
//! rows aside, prove the counts, keep an immutable Parquet generation.
//!
//! [`pull`] lands all tables of a source or none. A row with a fault is
//! quarantined with its number and reason, or its value becomes empty, or the
//! pull stops, as the column says; a key that is empty or that two rows share
//! quarantines every row concerned, because nobody here can know which is
//! right. Landed and quarantined rows together must be as many as the source
//! counted in the same snapshot.
//!
//! This chapter must not know what a table means, nor how a source is read; and
//! nothing it reports holds a value of a row.

mod contract;
mod erase;
mod error;
mod sift;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::calendar::AsOf;
use crate::pipeline::{Source, SourceTable};
use crate::sources::{self, Answer, Batch, Request, Snapshot, Stop};
use crate::tables::{Table, TableName};

pub use erase::{Erased, erase};
pub use error::Error;
pub use sift::{Effect, Finding, Quarantined};
pub use store::{Digest, Generation, Store, read_generation, write_parquet};

/// A source, landed.
#[derive(Debug)]
pub struct Pulled {
    /// Its word in the pipeline.
    pub source: String,
    /// Its tables, in the order of the pipeline.
    pub tables: Vec<Landed>,
}

/// A table, landed.
#[derive(Debug)]
pub struct Landed {
    /// `<source>.<table>`.
    pub name: TableName,
    /// The rows, sorted by key; all columns nullable except the key's.
    pub table: Table,
    /// Where it is kept; none when nothing is to be written.
    pub generation: Option<Generation>,
    /// The select, or the file and its columns.
    pub asked: String,
    /// The columns that were read, in the order of the contract.
    pub columns: Vec<String>,
    /// Rows at the source in the same snapshot, by its own count.
    pub rows_read: u64,
    /// Rows in `table`.
    pub rows_landed: u64,
    /// Rows set aside.
    pub rows_quarantined: u64,
    /// What was wrong, counted by column and reason.
    pub findings: Vec<Finding>,
    /// How long reading and checking took; writing is not in it.
    pub seconds: f64,
}

/// Pulls all tables of `source` in one snapshot and keeps them in `store`.
///
/// `root` is the installation folder, to which the paths of sources are
/// relative. The call blocks until all is read and written; it may be made from
/// any thread, also from one of an asynchronous runtime under `block_in_place`,
/// because the work runs on a thread of its own.
pub fn pull(source: &Source, root: &Path, as_of: AsOf, store: &Store) -> Result<Pulled, Error> {
    // A runtime of a client must not be started inside another, and a decoder
    // that a damaged file brings down must not bring down the night.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("pull {}", source.name));
        let work = thread.spawn_scoped(scope, || pull_here(source, root, as_of, store));
        let work = work.map_err(|error| Error::Thread { source_name: source.name.clone(), source: error })?;
        work.join().unwrap_or_else(|_| Err(Error::Crashed { source_name: source.name.clone() }))
    })
}

fn pull_here(source: &Source, root: &Path, as_of: AsOf, store: &Store) -> Result<Pulled, Error> {
    if !source.authorisation.holds_on(as_of) {
        let (from, to) = (source.authorisation.from, source.authorisation.to);
        return Err(Error::NotAuthorised { source_name: source.name.clone(), as_of, from, to });
    }
    let reading = |error| Error::Source { source_name: source.name.clone(), source: error };
    // Taken before the source is opened: who cannot keep the rows should not read them.
    let shelf = store.shelf(&source.name)?;
    let mut snapshot = Snapshot::open(source, root).map_err(reading)?;
    let breaches = contract::check(source, &mut snapshot).map_err(reading)?;
    if !breaches.is_empty() {
        return Err(Error::Contract { source_name: source.name.clone(), breaches });
    }
    let mut tables = Vec::with_capacity(source.tables.len());
    let mut asides = Vec::with_capacity(source.tables.len());
    for table in &source.tables {
        let name = TableName::new(&source.name, &table.name);
        let (landed, quarantined) = land(name, table, &mut snapshot)?;
        if let Some(shelf) = &shelf {
            asides.push(shelf.write_aside(&landed.name, &landed.table, &quarantined)?);
        }
        tables.push(landed);
    }
    // The source is let go before files are put in place: our disk must not hold back its clean-up.
    drop(snapshot);
    if let Some(shelf) = shelf {
        for (landed, aside) in tables.iter_mut().zip(asides) {
            landed.generation = Some(shelf.put_in_place(aside, as_of)?);
        }
    }
    Ok(Pulled { source: source.name.clone(), tables })
}

/// Reads one table and sets its bad rows aside.
fn land(name: TableName, table: &SourceTable, snapshot: &mut Snapshot) -> Result<(Landed, Vec<Quarantined>), Error> {
    let begun = crate::calendar::now();
    let taken = Mutex::new((sift::Sieve::new(name.clone(), table), None));
    let answer = snapshot.read(Request { table, condition: None }, &|batch: Batch| {
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (sieve, refused) = &mut *taken;
        sieve.take(batch).map_err(|error| {
            *refused = Some(error);
            Stop
        })
    });
    let (sieve, refused) = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = refused {
        return Err(error);
    }
    let Answer { asked, counted, .. } = answer.map_err(|source| explained(&name, source))?;
    let rows_counted = counted.rows;
    let sifted = sieve.finish()?;
    let rows_landed = sifted.table.rows() as u64;
    let rows_quarantined = sifted.rows_quarantined;
    if rows_landed + rows_quarantined != rows_counted {
        return Err(Error::CountMismatch { table: name, rows_counted, rows_landed, rows_quarantined });
    }
    let landed = Landed {
        name,
        table: sifted.table,
        generation: None,
        asked,
        columns: table.columns.iter().map(|column| column.name.clone()).collect(),
        rows_read: rows_counted,
        rows_landed,
        rows_quarantined,
        findings: sifted.findings,
        seconds: (crate::calendar::now() - begun).total(jiff::Unit::Second).unwrap_or(0.0),
    };
    Ok((landed, sifted.quarantined))
}

fn explained(table: &TableName, source: sources::Error) -> Error {
    Error::Source { source_name: table.schema.clone(), source }
}

/// The path as people should read it: relative to where they are, where possible.
fn shown(path: &Path) -> PathBuf {
    match std::env::current_dir() {
        Ok(here) => path.strip_prefix(&here).unwrap_or(path).to_path_buf(),
        Err(_) => path.to_path_buf(),
    }
}
