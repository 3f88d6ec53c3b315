//! Synthetic data from a seed: the sources of the sample agency, and large
//! standard tables for benchmarks.
//!
//! The same seed and the same number of people give the same rows on every
//! machine and with any number of threads (`draw.rs`). Nobody in the data exists:
//! personal identification numbers begin with a province that does not exist,
//! plates are in series that are never issued, addresses are at hosts reserved
//! for examples. This chapter must not know the rules, the ledger or the clock;
//! its data speaks of the night of 21 November 2026.

mod agency;
mod dossiers;
mod draw;
mod files;
mod names;
mod papers;
mod services;
mod standard;
mod world;

use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::fault::{Explain, Place};
use dossiers::Year;
use files::Rows;
use services::Service;
use standard::Table;
use world::World;

pub use world::NIGHT;

/// The seed of the committed samples.
pub const DEFAULT_SEED: u64 = 20_261_121;

/// How many people the committed samples have.
pub const DEFAULT_PEOPLE: u64 = 5000;

/// What to write.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many people, 1 to [`Format::people_max`].
    pub people: u64,
    /// From which everything follows; [`DEFAULT_SEED`] for the committed samples.
    pub seed: u64,
    /// The folder to write to; it is made where it is missing, and files of the same names are replaced.
    pub out: PathBuf,
    /// Which files.
    pub format: Format,
}

/// Which files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The sources of `pipelines/an-binh/`: SQLite and CSV, three dossiers per person, and how they were served.
    Agency,
    /// The standard tables of a whole country as Parquet, compressed with zstd.
    Parquet,
    /// The same as CSV, dates in ISO 8601, an empty field for a missing value.
    Csv,
    /// Parquet and CSV.
    Both,
}

impl Format {
    /// The words of the command line.
    pub const WORDS: [(&'static str, Format); 4] =
        [("agency", Format::Agency), ("parquet", Format::Parquet), ("csv", Format::Csv), ("both", Format::Both)];

    /// How many people there may be: those of one province, or of the country.
    pub fn people_max(self) -> u64 {
        match self {
            Format::Agency => world::PROVINCE_MAX,
            Format::Parquet | Format::Csv | Format::Both => world::COUNTRY_MAX,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The files, in the order in which they were written.
    pub files: Vec<WrittenFile>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Where it stands.
    pub path: PathBuf,
    /// Rows in it; for a database, in all its tables.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Samples that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// So many people cannot be made.
    #[error("samples of {people} people cannot be made")]
    People {
        /// How many were asked for.
        people: u64,
        /// How many there may be at most in this format.
        most: u64,
    },
    /// A file could not be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An SQLite database could not be written.
    #[error("the database {} cannot be written", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A Parquet file could not be written.
    #[error("{} cannot be written", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: ParquetError,
    },
    /// Rows could not be put into a table.
    #[error("rows cannot be put into a table")]
    Arrow {
        /// What the library said.
        #[source]
        source: ArrowError,
    },
    /// A thread that made rows ended before it had made them.
    #[error("a thread that made rows ended early")]
    WorkerLost,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::People { .. } => "samples.people",
            Error::Write { .. } => "samples.write",
            Error::Database { .. } => "samples.database",
            Error::Parquet { .. } => "samples.parquet",
            Error::Arrow { .. } => "samples.rows",
            Error::WorkerLost => "samples.worker-lost",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::People { .. } => Place::Thing("option --people".into()),
            Error::Write { path, .. } | Error::Database { path, .. } | Error::Parquet { path, .. } => Place::file(path),
            Error::Arrow { .. } | Error::WorkerLost => Place::Thing("verb samples".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::People { most, .. } => format!("ask for 1 to {most} people"),
            Error::Write { .. } | Error::Database { .. } | Error::Parquet { .. } => {
                "choose a folder that may be written to and has room, and start again".into()
            }
            Error::Arrow { .. } | Error::WorkerLost => "start again with fewer people, and report the fault".into(),
        }
    }
}

/// Writes synthetic data. Each file takes its place only when it is whole.
pub fn write(options: &Options) -> Result<Summary, Error> {
    let Options { people, seed, ref out, format } = *options;
    let most = format.people_max();
    if !(1..=most).contains(&people) {
        return Err(Error::People { people, most });
    }
    let (parquet, csv) = match format {
        Format::Agency => return Ok(Summary { files: agency::write(&World::an_binh(people, seed), out)? }),
        Format::Parquet => (true, false),
        Format::Csv => (false, true),
        Format::Both => (true, true),
    };
    let world = World::country(people, seed);
    let year = Year::of(&world);
    let mut files = Vec::new();
    for table in Table::ALL {
        let batch = |range| table.batch(&year, range);
        let rows = Rows { schema: table.schema(), sources: table.sources(&world), batch: &batch, date_format: None };
        let path = |extension: &str| standard_file(out, table, extension);
        files.extend(files::write(&rows, parquet.then(|| path("parquet")), csv.then(|| path("csv")))?);
    }
    Ok(Summary { files })
}

/// Names and schemas of the standard tables as they are written.
pub fn standard_tables() -> Vec<(&'static str, SchemaRef)> {
    Table::ALL.iter().map(|table| (table.name(), table.schema())).collect()
}

/// Names and schemas of the standard tables that the sample agency alone fills: how its services are provided.
pub fn service_tables() -> Vec<(&'static str, SchemaRef)> {
    Service::ALL.iter().map(|table| (table.name(), table.schema())).collect()
}

fn standard_file(out: &Path, table: Table, extension: &str) -> PathBuf {
    out.join(format!("{}.{extension}", table.name()))
}
