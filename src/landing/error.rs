//! What can go wrong while landing a source.

use std::path::PathBuf;

use jiff::civil::Date;

use super::shown;
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::sources::{self, Reason};
use crate::tables::TableName;

/// A source that was not landed. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The authorisation does not cover the day.
    #[error("the authorisation of the source {source_name} holds from {from} to {to}, not on {as_of}")]
    NotAuthorised {
        /// The source.
        source_name: String,
        /// The day.
        as_of: AsOf,
        /// First day of the term.
        from: Date,
        /// Last day of the term.
        to: Date,
    },
    /// The authorisation covers the night, and is over today, when the owner's server is read.
    #[error(
        "the authorisation of the source {source_name} holds from {from} to {to}, not today, {today}, and a server \
         gives what it holds today"
    )]
    NotAuthorisedToday {
        /// The source.
        source_name: String,
        /// The day by the clock.
        today: AsOf,
        /// First day of the term.
        from: Date,
        /// Last day of the term.
        to: Date,
    },
    /// The source cannot be read.
    #[error("the source {source_name} was not read")]
    Source {
        /// The source.
        source_name: String,
        /// Why.
        #[source]
        source: sources::Error,
    },
    /// Tables or columns are not as declared. [`Error::faults`] gives them one by one.
    #[error("the source {source_name} does not keep its contract: {}", list(.breaches))]
    Contract {
        /// The source.
        source_name: String,
        /// Every breach.
        breaches: Vec<Fault>,
    },
    /// A value has a fault, in a column that stops the pull.
    #[error("row {row}, column {column}: {reason}, and this column stops the pull (on_fault = \"error\")")]
    Value {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The row in the order read, counting from 1.
        row: u64,
        /// Why.
        reason: Reason,
    },
    /// Rows were lost or doubled on the way.
    #[error("the source counts {rows_counted} rows, but {rows_received} were received")]
    CountMismatch {
        /// The table.
        table: TableName,
        /// Rows by the source's own count.
        rows_counted: u64,
        /// Rows that came.
        rows_received: u64,
    },
    /// The source's totals and ours differ, or what was written is not what came in.
    #[error("the table does not prove: {what} do not agree")]
    Mismatch {
        /// The table.
        table: TableName,
        /// Which totals.
        what: String,
    },
    /// The declared key tells no rows apart.
    #[error("the declared key is no key: {rows} rows share theirs with others")]
    NotAKey {
        /// The table.
        table: TableName,
        /// Rows that are not the first of their key.
        rows: u64,
    },
    /// The row filter has no value on this night.
    #[error("the row filter has no value tonight: {what}")]
    Filter {
        /// The table.
        table: TableName,
        /// Why.
        what: String,
    },
    /// The source failed at an earlier table, and answers no more.
    #[error("the table was not asked for: the source had failed at {failed_at} and answers no more")]
    NotAsked {
        /// The table.
        table: TableName,
        /// Where it failed.
        failed_at: TableName,
    },
    /// Rows cannot be arranged.
    #[error("the rows of {table} cannot be arranged")]
    Arrow {
        /// The table.
        table: TableName,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The system gives no thread.
    #[error("the system gives no thread for reading the source {source_name}")]
    Thread {
        /// The source.
        source_name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A library broke down over the data.
    #[error("reading the source {source_name} broke down over data that no reader expected")]
    Crashed {
        /// The source.
        source_name: String,
    },
    /// Another run is pulling the same source.
    #[error("another run is pulling the source {source_name} at this moment")]
    Busy {
        /// The source.
        source_name: String,
    },
    /// The disk is full, or a quota is.
    #[error("no space is left for the landed rows")]
    DiskFull {
        /// The folder.
        path: PathBuf,
    },
    /// The folder may not be written to.
    #[error("the landing folder may not be written to")]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Anything else that the system refuses.
    #[error("the landed rows cannot be kept")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A generation says nothing that can be understood.
    #[error("the generation cannot be read")]
    Manifest {
        /// Its manifest.
        path: PathBuf,
    },
    /// The Parquet library refuses.
    #[error("the file of landed rows cannot be written or read")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: parquet::errors::ParquetError,
    },
}

impl Error {
    /// Everything that is wrong, one by one: several breaches of a contract are several faults.
    pub fn faults(&self) -> Vec<Fault> {
        match self {
            Error::Contract { breaches, .. } => breaches.clone(),
            Error::Source { source, .. } => vec![source.fault()],
            other => vec![other.fault()],
        }
    }

    /// An error of the system at `path`, sorted by what a person can do about it.
    pub(super) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = shown(path);
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::DiskFull { path },
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Error::ReadOnly { path, source },
            _ => Error::Io { path, source },
        }
    }

    /// Whether it says that nothing may be written there.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Error::ReadOnly { .. })
    }
}

fn list(breaches: &[Fault]) -> String {
    breaches.iter().map(|fault| format!("{}: {}", fault.place, fault.what)).collect::<Vec<_>>().join("; ")
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NotAuthorised { .. } | Error::NotAuthorisedToday { .. } => "landing.not-authorised",
            Error::Source { source, .. } => source.code(),
            Error::Contract { breaches, .. } => breaches.first().map_or("landing.contract", |fault| fault.code),
            Error::Value { .. } => "landing.value",
            Error::CountMismatch { .. } => "landing.count-mismatch",
            Error::Mismatch { .. } => "landing.mismatch",
            Error::NotAKey { .. } => "landing.not-a-key",
            Error::Filter { .. } => "landing.filter",
            Error::NotAsked { .. } => "landing.not-asked",
            Error::Arrow { .. } => "landing.arrow",
            Error::Thread { .. } => "landing.thread",
            Error::Crashed { .. } => "landing.crashed",
            Error::Busy { .. } => "landing.busy",
            Error::DiskFull { .. } => "landing.disk-full",
            Error::ReadOnly { .. } => "landing.read-only",
            Error::Io { .. } => "landing.io",
            Error::Manifest { .. } => "landing.manifest",
            Error::Parquet { .. } => "landing.parquet",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Source { source, .. } => source.place(),
            Error::NotAuthorised { source_name, .. }
            | Error::NotAuthorisedToday { source_name, .. }
            | Error::Contract { source_name, .. }
            | Error::Thread { source_name, .. }
            | Error::Crashed { source_name }
            | Error::Busy { source_name } => Place::Thing(format!("source {source_name}")),
            Error::Value { table, .. }
            | Error::CountMismatch { table, .. }
            | Error::Mismatch { table, .. }
            | Error::NotAKey { table, .. }
            | Error::Filter { table, .. }
            | Error::NotAsked { table, .. }
            | Error::Arrow { table, .. } => Place::Table(table.to_string()),
            Error::DiskFull { path }
            | Error::ReadOnly { path, .. }
            | Error::Io { path, .. }
            | Error::Manifest { path }
            | Error::Parquet { path, .. } => Place::file(path),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NotAuthorised { .. } | Error::NotAuthorisedToday { .. } => {
                "ask the owner to renew it, and write the new term into pipeline.toml; until then the source is not read"
                    .into()
            }
            Error::Source { source, .. } => source.next(),
            Error::Contract { breaches, .. } => breaches.first().map(|fault| fault.next.clone()).unwrap_or_default(),
            Error::Value { .. } => {
                "ask the owner to correct the row, or set on_fault to \"quarantine\" or \"null\" for the column".into()
            }
            Error::CountMismatch { .. } => {
                "ask the owner to check the table and its indexes; nothing of this table was kept".into()
            }
            Error::Mismatch { .. } => {
                "run again; if it stays, ask the owner to check the table, and report this with the code".into()
            }
            Error::NotAKey { .. } => "correct key in pipeline.toml, or ask the owner what identifies a row".into(),
            Error::Filter { .. } => "correct filter in pipeline.toml, or the rule that it names".into(),
            Error::NotAsked { .. } => "see the fault of that table, and run again".into(),
            Error::Arrow { .. } => "report this with the code; it is a fault of chudong".into(),
            Error::Thread { .. } => "check the limit on threads, and run again".into(),
            Error::Crashed { .. } => "ask the owner for the data again, and report this with the code".into(),
            Error::Busy { .. } => "wait until it has finished, and run again".into(),
            Error::DiskFull { .. } => "free space, or name another state folder, and run again; nothing is lost".into(),
            Error::ReadOnly { .. } => "let the service's account write there, or name another state folder".into(),
            Error::Io { .. } => "look at the folder and its disk, and run again; nothing is lost".into(),
            Error::Manifest { .. } => {
                "remove it with its .quarantine.parquet; the next pull reads the table whole".into()
            }
            Error::Parquet { .. } => "remove the file and pull again".into(),
        }
    }
}
