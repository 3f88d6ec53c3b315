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

mod blocks;
mod cells;
mod csv;
mod error;
mod excel;
mod files;
mod mysql;
mod ndjson;
mod objects;
mod odbc;
mod parquet;
mod postgres;
mod predicate;
mod sqlite;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;

use crate::pipeline::filter::{Condition, Dialect};
use crate::pipeline::{Family, Source, SourceKind, SourceTable, Type};

pub use error::Error;
pub use values::Reason;

/// The most rows that one batch holds.
pub const BATCH_ROWS: usize = 65_536;

/// The longest text, in bytes of UTF-8 after normalisation. A longer one is a
/// fault of its row: it keeps a batch of texts under the 2 GiB that Arrow can address.
pub const TEXT_BYTES_MAX: usize = 16_384;

/// All types: what a source without types can fill.
const ANY: [Family; 11] = [
    Family::Text,
    Family::Int,
    Family::Float,
    Family::Bool,
    Family::Date,
    Family::Decimal,
    Family::Timestamp,
    Family::Instant,
    Family::Time,
    Family::Interval,
    Family::Bytes,
];

/// What is asked of a table: its granted columns, and the rows for which the condition holds.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The table and its columns.
    pub table: &'a SourceTable,
    /// Which rows; none means all.
    pub condition: Option<&'a Condition>,
}

/// A column as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name at the source.
    pub name: String,
    /// The source's own word for its type.
    pub kind: String,
    /// The declared types that it can fill. Where the source has no types (CSV,
    /// SQLite) it can fill any, and each value is judged for itself.
    pub fills: &'static [Family],
    /// Whether each value is a list of such.
    pub is_list: bool,
    /// Whether our account may read it.
    pub granted: bool,
}

impl Found {
    /// Whether a column of the declared type can be filled from it.
    pub fn can_fill(&self, kind: Type) -> bool {
        self.is_list == kind.is_list() && self.fills.contains(&kind.family())
    }
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
    /// By column, in the order of the contract: how many of its texts were not in NFC and were brought to it.
    pub normalised: Vec<(usize, u64)>,
    /// The numbers of its rows, where a filter left out some between them; none means `first_row` and
    /// those that follow.
    pub numbers: Option<Vec<u64>>,
}

impl Batch {
    /// The number of a row in the order read; `row` counts from 0 in this batch.
    pub fn number_of(&self, row: usize) -> u64 {
        let number = self.numbers.as_ref().and_then(|numbers| numbers.get(row)).copied();
        number.unwrap_or(self.first_row + row as u64)
    }
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

/// What was asked of a source, what it counts itself, and what we received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The select, or the file and its columns. It holds no value of any row.
    pub asked: String,
    /// By the source, in the same snapshot and not by our reading.
    pub counted: Totals,
    /// By our reading, before any row is judged. It has what `counted` has and no more.
    pub received: Totals,
}

/// Totals over the rows asked for, by which two readings of them are compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// The exclusive or of a 64-bit hash of every row's key, in whatever hash the source can compute:
    /// with the number of rows it tells whether one was lost and another doubled.
    pub keys: Option<u64>,
    /// By column (the table's control totals): how many values are filled, and their sum as a whole
    /// number, of dates the sum of days since 1 January 1970, of decimals in units of their scale. A
    /// column with a value that could not be read is in neither reading's totals.
    pub sums: BTreeMap<String, (u64, i128)>,
}

impl Totals {
    /// What they are totals of: `rows`, `keys` where there is a digest of them, and the columns summed.
    pub fn names(&self) -> Vec<String> {
        let keys = self.keys.map(|_| "keys".to_owned());
        ["rows".to_owned()].into_iter().chain(keys).chain(self.sums.keys().cloned()).collect()
    }
}

/// What takes the batches, from several threads at once where the source has several readers. After
/// [`Stop`] nothing more is read.
pub type Take<'a> = dyn Fn(Batch) -> Result<(), Stop> + Sync + 'a;

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
    /// A MySQL or MariaDB server, inside one consistent read-only snapshot.
    Mysql(Box<mysql::Session>),
    /// What an ODBC driver reaches, inside one transaction where the driver has them.
    Odbc(Box<odbc::Session>),
    /// A folder of files. Each file is opened once: a file put in its place meanwhile is not read, and
    /// one that is written to meanwhile is refused.
    Files(files::Folder),
    /// Files in an S3-compatible store, each in the version that was listed first.
    Objects(Box<objects::Store>),
}

impl Snapshot {
    /// Connects to a source, or opens its file or folder. `root` is the installation folder.
    pub fn open(source: &Source, root: &Path) -> Result<Self, Error> {
        let folder = |path: &Path, kind| files::Folder::open(&root.join(path), path, kind).map(Snapshot::Files);
        match &source.kind {
            SourceKind::Sqlite { path } => Ok(Snapshot::Sqlite(sqlite::Database::open(&root.join(path), path)?)),
            SourceKind::Csv { path, delimiter } => folder(path, files::Kind::Csv { delimiter: *delimiter }),
            SourceKind::NdJson { path } => folder(path, files::Kind::NdJson),
            SourceKind::Excel { path } => folder(path, files::Kind::Excel),
            SourceKind::Parquet { path } => folder(path, files::Kind::Parquet),
            SourceKind::ObjectStore(bucket) => Ok(Snapshot::Objects(Box::new(objects::Store::open(bucket, root)?))),
            SourceKind::Postgres(server) => Ok(Snapshot::Postgres(Box::new(postgres::Session::open(server, root)?))),
            SourceKind::Mysql(server) => Ok(Snapshot::Mysql(Box::new(mysql::Session::open(server, root)?))),
            SourceKind::Odbc { connection, password } => {
                Ok(Snapshot::Odbc(Box::new(odbc::Session::open(connection, password.as_ref())?)))
            }
        }
    }

    /// The names of its tables, views or files, for saying what was probably meant.
    pub fn tables(&mut self) -> Result<Vec<String>, Error> {
        match self {
            Snapshot::Sqlite(database) => database.tables(),
            Snapshot::Postgres(session) => session.tables(),
            Snapshot::Mysql(session) => session.tables(),
            Snapshot::Odbc(session) => session.tables(),
            Snapshot::Files(folder) => folder.tables(),
            Snapshot::Objects(store) => store.tables(),
        }
    }

    /// The columns of a table, in the source's order; none when there is no such table.
    pub fn describe(&mut self, table: &SourceTable) -> Result<Option<Vec<Found>>, Error> {
        match self {
            Snapshot::Sqlite(database) => database.describe(table),
            Snapshot::Postgres(session) => session.describe(table),
            Snapshot::Mysql(session) => session.describe(table),
            Snapshot::Odbc(session) => session.describe(table),
            Snapshot::Files(folder) => folder.describe(table),
            Snapshot::Objects(store) => store.describe(table),
        }
    }

    /// Reads the granted columns of a table that was described and keeps the contract.
    pub fn read(&mut self, request: Request<'_>, take: &Take<'_>) -> Result<Answer, Error> {
        match self {
            Snapshot::Sqlite(database) => database.read(request, take),
            Snapshot::Postgres(session) => session.read(request, take),
            Snapshot::Mysql(session) => session.read(request, take),
            Snapshot::Odbc(session) => session.read(request, take),
            Snapshot::Files(folder) => folder.read(request, take),
            Snapshot::Objects(store) => store.read(request, take),
        }
    }
}

/// The select of the granted columns, and the one that counts the rows.
///
/// Columns are qualified: SQLite would read a bare `"name"` that does not exist
/// as the text 'name'.
fn selects(request: Request<'_>, relation: &str, dialect: Dialect) -> (String, String) {
    let columns: Vec<_> =
        request.table.columns.iter().map(|column| format!("t.{}", dialect.quote(&column.name))).collect();
    let rows = request.condition.map(|condition| format!(" where {}", condition.sql(dialect))).unwrap_or_default();
    // Oracle has no `as` before the name of a table.
    let named = if dialect == Dialect::Odbc { "t" } else { "as t" };
    (
        format!("select {} from {relation} {named}{rows}", columns.join(", ")),
        format!("select count(*) from {relation} {named}{rows}"),
    )
}

/// Totals of a source that counts its rows and nothing else.
fn counted(rows: u64) -> Totals {
    Totals { rows, ..Totals::default() }
}

/// Both totals with the control totals that both have: a column that either could not sum is in neither.
fn comparable(mut counted: Totals, mut received: Totals) -> (Totals, Totals) {
    counted.sums.retain(|column, _| received.sums.contains_key(column));
    received.sums.retain(|column, _| counted.sums.contains_key(column));
    (counted, received)
}

/// A name in double quotes, for SQL.
fn quote(name: &str) -> String {
    Dialect::Standard.quote(name)
}
