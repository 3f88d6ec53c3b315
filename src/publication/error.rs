//! What can go wrong between a released table and the shelf.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::fault::{Explain, Place};

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table name that is not a plain word cannot be a file name.
    #[error("the table name {name:?} is not made of the letters a to z, digits and underscores")]
    Name {
        /// The name.
        name: String,
    },
    /// The period is no month, no quarter and no year.
    #[error("the period {period:?} is no month (2026-10), no quarter (2026-Q3) and no year (2026)")]
    Period {
        /// The table.
        table: String,
        /// Its period, as it says.
        period: String,
    },
    /// Two tables would have the same files.
    #[error("the table {table} was released twice for {period}")]
    Twice {
        /// The table.
        table: String,
        /// The period.
        period: String,
    },
    /// A period that is already published would differ.
    #[error("{period} is published, and its file {file} {how}")]
    WouldChange {
        /// The period.
        period: String,
        /// The file, relative to the shelf.
        file: PathBuf,
        /// In what way it differs.
        how: Difference,
    },
    /// A file or folder could not be written.
    #[error("could not {doing}")]
    Write {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something on the shelf could not be read for comparison.
    #[error("could not read what is published")]
    Read {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A column is of a type that has no form in a CSV file.
    #[error("the column {column} has the type {found}, and only text, whole numbers and doubles are published")]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        found: arrow::datatypes::DataType,
    },
    /// A double is infinite or not a number.
    #[error("the column {column} holds a value that is not a finite number in row {row}")]
    NotFinite {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The row, counting from 1.
        row: usize,
    },
    /// A column that the page needs cannot be read.
    #[error("the table cannot be shown")]
    Column {
        /// The table.
        table: String,
        /// Which, and why.
        #[source]
        source: crate::tables::Error,
    },
    /// The Parquet writer refused the table.
    #[error("the table cannot be written as Parquet")]
    Parquet {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A sheet could not be written as JSON.
    #[error("the description of the table cannot be written as JSON")]
    Json {
        /// The table, or the list of codes.
        table: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Arrow could not add what follows from a table, or read a published one.
    #[error("the table cannot be put together")]
    Derive {
        /// The table, or its file.
        table: String,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A sheet on the shelf is not one that this program wrote.
    #[error("what is published cannot be understood")]
    Stock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The key is none that can sign. Nothing of it is said.
    #[error("the key that signs lists of checksums is {is}")]
    SigningKey {
        /// What it is instead.
        is: &'static str,
    },
    /// A table that does not stand on the shelf cannot be restated or withdrawn.
    #[error("{table} is not published for {period}")]
    NotPublished {
        /// The period, or the place in it.
        period: String,
        /// The table.
        table: String,
    },
    /// Disclosure control admits no such table for the period.
    #[error("{table} of {period} is not among what disclosure control releases now")]
    NotReleased {
        /// The period.
        period: String,
        /// The table.
        table: String,
    },
    /// A restatement in which no value differs.
    #[error("no value of {table} of {period} would change")]
    NothingChanged {
        /// The period.
        period: String,
        /// The table.
        table: String,
    },
    /// The page's template failed.
    #[error("the page cannot be made from its template")]
    Page {
        /// Where and why.
        #[source]
        source: minijinja::Error,
    },
}

/// In what way a published file differs from what would be published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Other bytes.
    Content,
    /// It is not there.
    Missing,
    /// It is there, and nothing released would put it there.
    Unexpected,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Difference::Content => "would change",
            Difference::Missing => "is missing on the shelf",
            Difference::Unexpected => "belongs to no released table",
        })
    }
}

impl Error {
    /// Whether there was no room left, on the disk or under a quota.
    fn is_out_of_room(&self) -> bool {
        matches!(self, Error::Write { source, .. } if matches!(
            source.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        ))
    }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Name { .. } => "publication.table-name",
            Error::Period { .. } => "publication.period",
            Error::Twice { .. } => "publication.table-twice",
            Error::WouldChange { .. } => "publication.would-change",
            Error::Write { .. } if self.is_out_of_room() => "publication.disk-full",
            Error::Write { .. } => "publication.cannot-write",
            Error::Read { .. } => "publication.cannot-read",
            Error::Type { .. } => "publication.column-type",
            Error::NotFinite { .. } => "publication.not-finite",
            Error::Column { .. } => "publication.column",
            Error::Parquet { .. } => "publication.parquet",
            Error::Json { .. } => "publication.json",
            Error::Derive { .. } => "publication.table",
            Error::Stock { .. } => "publication.stock",
            Error::SigningKey { .. } => "publication.signing-key",
            Error::NotPublished { .. } => "publication.not-published",
            Error::NotReleased { .. } => "publication.not-released",
            Error::NothingChanged { .. } => "publication.nothing-changed",
            Error::Page { .. } => "publication.page",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Name { name } => Place::Table(name.clone()),
            Error::WouldChange { file, .. } => Place::file(file),
            Error::Write { path, .. } | Error::Read { path, .. } | Error::Stock { path, .. } => Place::file(path),
            Error::SigningKey { .. } => Place::Thing("[publication] signing_key".into()),
            Error::Page { .. } => Place::file("index.html"),
            Error::Period { table, .. }
            | Error::Twice { table, .. }
            | Error::Type { table, .. }
            | Error::NotFinite { table, .. }
            | Error::Column { table, .. }
            | Error::Derive { table, .. }
            | Error::NotPublished { table, .. }
            | Error::NotReleased { table, .. }
            | Error::NothingChanged { table, .. }
            | Error::Parquet { table, .. }
            | Error::Json { table, .. } => Place::Table(table.clone()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Name { .. } => "rename the measure in the pipeline's privacy policy".into(),
            Error::WouldChange { how: Difference::Unexpected, .. } => {
                "move the file out of the published folder, or restore the measure that made it".into()
            }
            Error::WouldChange { .. } => {
                "restore the published file, or the policy and program that made it; published figures are never rewritten"
                    .into()
            }
            Error::Write { .. } if self.is_out_of_room() => {
                "free some space and run again; what was published before is untouched".into()
            }
            Error::Write { .. } => "allow this program to write there, or choose another state folder, and run again".into(),
            Error::Read { .. } => "allow this program to read the shelf, or restore it from a copy, and run again".into(),
            Error::Stock { .. } => "restore the published file from a copy, and run again".into(),
            Error::SigningKey { .. } => {
                "make one with `openssl genpkey -algorithm ed25519`, and put it where the reference points, with mode 600".into()
            }
            Error::NotPublished { .. } => "name a period and a table that stand in the published folder".into(),
            Error::NotReleased { .. } => {
                "see that the policy still measures it, and that the month was drawn under this policy".into()
            }
            Error::NothingChanged { .. } => "there is nothing to do; what is published stands".into(),
            Error::Twice { .. } => "give each measure of the privacy policy a table name of its own".into(),
            Error::Period { .. }
            | Error::Type { .. }
            | Error::NotFinite { .. }
            | Error::Column { .. }
            | Error::Derive { .. }
            | Error::Parquet { .. }
            | Error::Json { .. }
            | Error::Page { .. } => "report this with the code above: the program made a table that it cannot publish".into(),
        }
    }
}
