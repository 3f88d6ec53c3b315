//! What an agency reads: its sources, where they are, and each table as a
//! declared select.
//!
//! This module must not know how a source is reached.

use std::path::PathBuf;

use super::authorisation::Authorisation;
use super::blind::Blind;
use super::column::Column;
use super::filter::Filter;
use super::secret::SecretRef;
use crate::language::Text;

/// A database or a folder that the agency may read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its word; landed tables are called `<source>.<table>`.
    pub name: String,
    /// Its name for people.
    pub title: Text,
    /// What kind, and where.
    pub kind: SourceKind,
    /// On what ground it is read.
    pub authorisation: Authorisation,
    /// What is read from it.
    pub tables: Vec<SourceTable>,
}

/// Where a source is.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// An SQLite file.
    Sqlite {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of CSV files.
    Csv {
        /// Relative to the installation folder.
        path: PathBuf,
        /// One byte between fields.
        delimiter: u8,
    },
    /// A folder of files with one JSON object per line.
    NdJson {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of workbooks; `from` names the file and, after `#`, the sheet.
    Excel {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of Parquet files.
    Parquet {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// Parquet files in an S3-compatible store.
    ObjectStore(Bucket),
    /// A PostgreSQL server, version 14 or newer.
    Postgres(Server),
    /// A MySQL or MariaDB server.
    Mysql(Server),
    /// Whatever an ODBC driver reaches: SQL Server, Oracle, Db2.
    Odbc {
        /// The connection string, without a secret: `Driver={…};Server=…;UID=…`.
        connection: String,
        /// Reference to the password, which is added as `PWD=`.
        password: Option<SecretRef>,
    },
}

impl SourceKind {
    /// The word of the files.
    pub fn word(&self) -> &'static str {
        match self {
            SourceKind::Sqlite { .. } => "sqlite",
            SourceKind::Csv { .. } => "csv",
            SourceKind::NdJson { .. } => "ndjson",
            SourceKind::Excel { .. } => "excel",
            SourceKind::Parquet { .. } => "parquet",
            SourceKind::ObjectStore(_) => "s3",
            SourceKind::Postgres(_) => "postgres",
            SourceKind::Mysql(_) => "mysql",
            SourceKind::Odbc { .. } => "odbc",
        }
    }
}

/// Where a database server is, and as whom to connect.
///
/// A server that is not on this machine is reached over TLS, with its
/// certificate and its name verified; there is no other way.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name, address, or folder of a Unix socket (for MySQL, the socket itself).
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Account.
    pub user: String,
    /// Reference to its password.
    pub password: Option<SecretRef>,
    /// Certificates of the authorities to trust (PEM), relative to the installation folder; none means
    /// those of the system. With it, TLS is used on this machine too.
    pub authority: Option<PathBuf>,
    /// How many connections read one table at once, 1 to 16.
    pub readers: u8,
    /// How long it may say nothing while we wait for it, before it is given up, 1 to 86,400 seconds.
    pub silence_seconds: u32,
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `https://host`, or `http://` on this machine.
    pub endpoint: String,
    /// Its region, as the store names it.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the names of the files begin with.
    pub prefix: String,
    /// Reference to the access key.
    pub access_key: SecretRef,
    /// Reference to the secret key.
    pub secret_key: SecretRef,
}

/// A table of a source: a declared select.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// Its word; the landed table is `<source>.<name>`.
    pub name: String,
    /// Table or view at the source, where it differs from `name`; for files, the file's name.
    pub from: String,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The columns granted, in alphabetical order.
    pub columns: Vec<Column>,
    /// Which rows are asked for; none means all.
    pub filter: Option<Filter>,
    /// The date that its obligation is computed from: what is landed is sorted by it. None means by key.
    pub driving_date: Option<String>,
    /// How it is read on the nights after the first.
    pub load: Load,
    /// How many generations are kept, tonight's included.
    pub keep_generations: u16,
    /// The change of volume from one night to the next that a person must look at.
    pub volume: VolumeBound,
    /// Columns whose sums the source computes beside the count, to be compared with what landed.
    pub control_totals: Vec<String>,
    /// How its answers are taken in without their raters; none for a table that lands.
    pub blind: Option<Blind>,
    /// Where in the pipeline file it stands.
    pub line: Option<usize>,
}

/// How a table is read on the nights after the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// All rows that the filter lets through, every night.
    Snapshot,
    /// The rows changed since, by a cursor.
    Incremental {
        /// A column that never falls when a row changes: `updated_at`, or a counter.
        cursor: String,
        /// How far before the last cursor to begin, for rows that were committed late: minutes of an
        /// instant or a timestamp, days of a date, steps of a number.
        overlap: u32,
        /// After so many days all keys are compared, and what was deleted at the source goes.
        compare_days: u16,
    },
}

/// How much a table's volume may change from the last night that was not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeBound {
    /// The most that may be lost, in percent.
    pub drop_percent: u32,
    /// The most that may be added, in percent; none means any.
    pub rise_percent: Option<u32>,
    /// Changes of fewer rows are not looked at.
    pub least_rows: u64,
}

impl Default for VolumeBound {
    fn default() -> Self {
        VolumeBound { drop_percent: 20, rise_percent: None, least_rows: 50 }
    }
}

/// How many generations of a table are kept when its pipeline does not say: tonight's and the one before.
pub const GENERATIONS_KEPT: u16 = 2;

impl SourceTable {
    /// A table that is read whole every night, sorted by its key.
    pub fn snapshot(name: &str, from: &str, key: Vec<String>, columns: Vec<Column>) -> Self {
        SourceTable {
            name: name.to_owned(),
            from: from.to_owned(),
            key,
            columns,
            filter: None,
            driving_date: None,
            load: Load::Snapshot,
            keep_generations: GENERATIONS_KEPT,
            volume: VolumeBound::default(),
            control_totals: Vec::new(),
            blind: None,
            line: None,
        }
    }

    /// The granted column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
