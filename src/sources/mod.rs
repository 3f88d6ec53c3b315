//! Reading authorised databases and files, read-only.
//!
//! A [`Snapshot`] is one source at one moment: all of its tables are read as
//! they were when it was opened. It says which columns a table has
//! ([`Snapshot::describe`]), and gives the granted ones, never more, in bounded
//! batches together with the number of rows that the source itself counts
//! ([`Snapshot::read`]). Each value arrives in its declared type, or as empty
//! with the [`Reason`] why it could not be read.
//!
//! This chapter must not know what happens to a row with a fault (`landing`
//! decides), where rows are kept, or what any column means. It blocks: call it
//! from a thread that belongs to no asynchronous runtime, as `landing::pull`
//! does.

mod csv;
mod error;
mod files;
mod parquet;
mod pgcopy;
mod postgres;
mod sqlite;
mod values;

use std::path::Path;

use arrow::array::RecordBatch;

use crate::pipeline::{Source, SourceKind, SourceTable, Type};

pub use error::Error;
pub use values::Reason;

/// The most rows that one batch holds.
pub const BATCH_ROWS: usize = 65_536;

/// The longest text, in bytes of UTF-8 after normalisation. A longer one is a
/// fault of its row: it keeps a batch of texts under the 2 GiB that Arrow can address.
pub const TEXT_BYTES_MAX: usize = 16_384;

/// All types: what a source without types can fill.
const ANY: [Type; 5] = [Type::Text, Type::Int, Type::Float, Type::Bool, Type::Date];

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name at the source.
    pub name: String,
    /// The source's own word for its type.
    pub kind: String,
    /// The declared types that it can fill. Where the source has no types (CSV,
    /// SQLite) it can fill any, and each value is judged for itself.
    pub fills: &'static [Type],
    /// Whether our account may read it.
    pub granted: bool,
}

/// Up to [`BATCH_ROWS`] rows as they were read.
#[derive(Debug)]
pub struct Batch {
    /// Number of its first row in the order read, counting from 1.
    pub first_row: u64,
    /// The granted columns in the order of the contract, in their declared
    /// types, all nullable; empty where a value had a fault.
    pub rows: RecordBatch,
    /// What could not be read, by rising row.
    pub faults: Vec<ValueFault>,
}

/// A value, or a whole row, that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueFault {
    /// Row in the batch, counting from 0.
    pub row: usize,
    /// Column in the order of the contract; none when it is the row as a whole.
    pub column: Option<usize>,
    /// Why.
    pub reason: Reason,
}

/// What was asked of a source, and how many rows it says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The select, or the file and its columns. It holds no value of any row.
    pub asked: String,
    /// Rows in the same snapshot, according to the source and not to our reading.
    pub rows_counted: u64,
}

/// What takes the batches. After [`Stop`] nothing more is read.
pub type Take<'a> = dyn FnMut(Batch) -> Result<(), Stop> + 'a;

/// The taker wants no more rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// One source at one moment. A closed list.
#[derive(Debug)]
pub enum Snapshot {
    /// An SQLite file, inside one read transaction.
    Sqlite(sqlite::Database),
    /// A PostgreSQL server, inside one `repeatable read read only` transaction.
    Postgres(Box<postgres::Session>),
    /// A folder of files. Each file is opened once; a file replaced meanwhile is not noticed.
    Files(files::Folder),
}

impl Snapshot {
    /// Connects to a source, or opens its file or folder. `root` is the installation folder.
    pub fn open(source: &Source, root: &Path) -> Result<Self, Error> {
        match &source.kind {
            SourceKind::Sqlite { path } => Ok(Snapshot::Sqlite(sqlite::Database::open(&root.join(path), path)?)),
            SourceKind::Csv { path, delimiter } => {
                let kind = files::Kind::Csv { delimiter: *delimiter };
                Ok(Snapshot::Files(files::Folder::open(&root.join(path), path, kind)?))
            }
            SourceKind::Parquet { path } => {
                Ok(Snapshot::Files(files::Folder::open(&root.join(path), path, files::Kind::Parquet)?))
            }
            SourceKind::Postgres { host, port, database, user, password } => {
                let server = postgres::Server { host, port: *port, database, user, password: password.as_ref() };
                Ok(Snapshot::Postgres(Box::new(postgres::Session::open(&server)?)))
            }
        }
    }

    /// The names of its tables, views or files, for saying what was probably meant.
    pub fn tables(&mut self) -> Result<Vec<String>, Error> {
        match self {
            Snapshot::Sqlite(database) => database.tables(),
            Snapshot::Postgres(session) => session.tables(),
            Snapshot::Files(folder) => folder.tables(),
        }
    }

    /// The columns of a table, in the source's order; none when there is no such table.
    pub fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        match self {
            Snapshot::Sqlite(database) => database.describe(table),
            Snapshot::Postgres(session) => session.describe(table),
            Snapshot::Files(folder) => folder.describe(table),
        }
    }

    /// Reads the granted columns of a table that was described and keeps the contract.
    pub fn read(&mut self, table: &SourceTable, take: &mut Take<'_>) -> Result<Answer, Error> {
        match self {
            Snapshot::Sqlite(database) => database.read(table, take),
            Snapshot::Postgres(session) => session.read(table, take),
            Snapshot::Files(folder) => folder.read(table, take),
        }
    }
}

/// The select of the granted columns, and the one that counts the rows.
///
/// Columns are qualified: SQLite would read a bare `"name"` that does not exist
/// as the text 'name'.
fn selects(table: &SourceTable, relation: &str) -> (String, String) {
    let columns: Vec<_> = table.columns.iter().map(|column| format!("t.{}", quote(&column.name))).collect();
    (format!("select {} from {relation} as t", columns.join(", ")), format!("select count(*) from {relation} as t"))
}

/// A name in double quotes, for SQL.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
