//! What can go wrong while reading a source.

use std::path::PathBuf;

use crate::fault::{Explain, Place};
use crate::pipeline::secret;

/// A source that cannot be read. No variant holds a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("the source file does not exist")]
    NoFile {
        /// Its path, relative to the installation folder.
        path: PathBuf,
    },
    /// There is no such folder.
    #[error("the source folder does not exist")]
    NoFolder {
        /// Its path, relative to the installation folder.
        path: PathBuf,
    },
    /// The system refuses to read it.
    #[error("the source cannot be read")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A link, a pipe or a device where a file was expected: it may lead out of the granted folder.
    #[error("the source file is a link or no plain file")]
    NotPlain {
        /// Its path, relative to the installation folder.
        path: PathBuf,
    },
    /// SQLite refuses.
    #[error("the SQLite database cannot be read: {error}")]
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// What SQLite said. It is told above, its causes would only repeat it.
        error: rusqlite::Error,
    },
    /// The CSV file has no header row.
    #[error("the file is empty, not even a header row is there")]
    NoHeader {
        /// Its path.
        path: PathBuf,
    },
    /// The file was written to while it was read, or another stands in its place.
    #[error("the file was changed while it was read")]
    Changed {
        /// Its path.
        path: PathBuf,
    },
    /// Not one object is in the file of objects.
    #[error("the file is empty, not one object is in it")]
    Empty {
        /// Its path.
        path: PathBuf,
    },
    /// The workbook cannot be read.
    #[error("the workbook cannot be read: {said}")]
    Workbook {
        /// Its path.
        path: PathBuf,
        /// Why, in our words.
        said: &'static str,
    },
    /// Two files of one table have different columns.
    #[error("the file has other columns than the other files of its table")]
    Unlike {
        /// Its path.
        path: PathBuf,
    },
    /// More files than a table has.
    #[error("the name stands for more than ten thousand files")]
    TooManyFiles {
        /// The name.
        path: PathBuf,
    },
    /// The object store does not let us in.
    #[error("the object store refuses our keys, or our account may not read there")]
    StoreRefuses {
        /// Endpoint and bucket.
        store: String,
    },
    /// The object store does not answer, or not as it should.
    #[error("the object store does not answer as it should")]
    Store {
        /// Endpoint and bucket.
        store: String,
    },
    /// The CSV file is in UTF-16.
    #[error("the file is in UTF-16, not in UTF-8")]
    Utf16 {
        /// Its path.
        path: PathBuf,
    },
    /// A quotation mark is never closed: what follows it is not rows any more.
    #[error("a quotation mark that is opened here is never closed")]
    OpenQuote {
        /// Its path.
        path: PathBuf,
        /// The line that opens it, counting from 1.
        line: usize,
    },
    /// The Parquet file is damaged or not one.
    #[error("the file is not a whole Parquet file")]
    Parquet {
        /// Its path.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: ::parquet::errors::ParquetError,
    },
    /// The object store is not on this machine, and the connection would not be protected.
    #[error("the object store is not on this machine, and the connection would be in the clear")]
    ClearStore {
        /// Endpoint and bucket.
        store: String,
    },
    /// The server is not on this machine, or its authority is named, and it offers no TLS.
    #[error("the server offers no TLS, and the connection would be in the clear")]
    NotProtected {
        /// Host, port and database.
        server: String,
    },
    /// The server's certificate is not from an authority that we trust, or is for another name.
    #[error("the server cannot prove that it is who it should be: {said}")]
    Certificate {
        /// Host, port and database.
        server: String,
        /// What the library said.
        said: String,
    },
    /// The authorities to trust cannot be had.
    #[error("the certificates of authorities cannot be read: {said}")]
    Authority {
        /// Its path, relative to the installation folder; none when it is the system's own.
        path: Option<PathBuf>,
        /// What the system or the library said.
        said: String,
    },
    /// The server is older than what we ask of it.
    #[error("the server has version {version}")]
    TooOld {
        /// Host, port and database.
        server: String,
        /// Its version.
        version: String,
    },
    /// The server, or our account, has no connection left.
    #[error("the server has no room for our connection: {said}")]
    Full {
        /// Host, port and database.
        server: String,
        /// What the server said.
        said: String,
    },
    /// The server is connected and says nothing.
    #[error("the server said nothing for {seconds} seconds")]
    Silent {
        /// Host, port and database.
        server: String,
        /// What was read.
        table: String,
        /// How long.
        seconds: u32,
    },
    /// The password cannot be had.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// Nobody answers.
    #[error("the server cannot be reached: {said}")]
    Unreachable {
        /// Host, port and database.
        server: String,
        /// What the library said.
        said: String,
    },
    /// The server does not let us in.
    #[error("the server refuses the connection: {said}")]
    Refused {
        /// Host, port and database.
        server: String,
        /// What the server said.
        said: String,
    },
    /// The server failed, or the connection broke, while a table was described or read.
    #[error("the server stopped in the middle: {said}")]
    Server {
        /// Host, port and database.
        server: String,
        /// What was read.
        table: String,
        /// What the server said, or its code alone where its words could quote a value.
        said: String,
    },
    /// Our account lacks a right.
    #[error("our account lacks a right: {said}")]
    Denied {
        /// Host, port and database.
        server: String,
        /// What was read.
        table: String,
        /// What the server said.
        said: String,
    },
    /// The server would give only the rows that a policy lets our account see.
    #[error("a row-level security policy would hide rows from our account without a word")]
    HidesRows {
        /// Host, port and database.
        server: String,
        /// What was read.
        table: String,
    },
    /// The server broke off a statement: it took too long, or somebody there ended it.
    #[error("the server broke the statement off: {said}")]
    BrokenOff {
        /// Host, port and database.
        server: String,
        /// What was read.
        table: String,
        /// What the server said.
        said: String,
    },
    /// The server sent what the protocol does not allow.
    #[error("the server sent something that its protocol does not allow")]
    Protocol {
        /// What was read.
        table: String,
    },
    /// Rows do not fit into an Arrow batch.
    #[error("the rows do not fit their declared types")]
    Arrow {
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The runtime of a connection cannot be started.
    #[error("the system refuses what a connection needs")]
    Runtime {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The taker wanted no more rows, for a reason of its own.
    #[error("reading was stopped")]
    Stopped,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NoFile { .. } => "sources.no-file",
            Error::NoFolder { .. } => "sources.no-folder",
            Error::Io { .. } => "sources.unreadable",
            Error::NotPlain { .. } => "sources.not-plain",
            Error::Sqlite { error, .. } => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => "sources.not-a-database",
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => "sources.busy",
                Some(rusqlite::ErrorCode::DatabaseCorrupt) => "sources.damaged",
                _ => "sources.sqlite",
            },
            Error::NoHeader { .. } => "sources.no-header",
            Error::Changed { .. } => "sources.changed",
            Error::Empty { .. } => "sources.empty",
            Error::Workbook { .. } => "sources.workbook",
            Error::Unlike { .. } => "sources.unlike",
            Error::TooManyFiles { .. } => "sources.too-many-files",
            Error::StoreRefuses { .. } => "sources.store-refuses",
            Error::Store { .. } => "sources.store",
            Error::Utf16 { .. } => "sources.utf-16",
            Error::OpenQuote { .. } => "sources.open-quote",
            Error::Parquet { .. } => "sources.parquet",
            Error::ClearStore { .. } | Error::NotProtected { .. } => "sources.clear-text",
            Error::Certificate { .. } => "sources.certificate",
            Error::Authority { .. } => "sources.authority",
            Error::TooOld { .. } => "sources.too-old",
            Error::Full { .. } => "sources.full",
            Error::Silent { .. } => "sources.silent",
            Error::Secret(error) => error.code(),
            Error::Unreachable { .. } => "sources.unreachable",
            Error::Refused { .. } => "sources.refused",
            Error::Server { .. } => "sources.server",
            Error::Denied { .. } => "sources.denied",
            Error::HidesRows { .. } => "sources.hides-rows",
            Error::BrokenOff { .. } => "sources.broken-off",
            Error::Protocol { .. } => "sources.protocol",
            Error::Arrow { .. } => "sources.arrow",
            Error::Runtime { .. } => "sources.runtime",
            Error::Stopped => "sources.stopped",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::NoFile { path }
            | Error::NoFolder { path }
            | Error::NotPlain { path }
            | Error::Io { path, .. }
            | Error::Sqlite { path, .. }
            | Error::NoHeader { path }
            | Error::Changed { path }
            | Error::Utf16 { path }
            | Error::Empty { path }
            | Error::Workbook { path, .. }
            | Error::Unlike { path }
            | Error::TooManyFiles { path }
            | Error::Parquet { path, .. } => Place::file(path),
            Error::OpenQuote { path, line } => Place::line(path, *line),
            Error::StoreRefuses { store } | Error::Store { store } | Error::ClearStore { store } => {
                Place::Thing(format!("object store {store}"))
            }
            Error::Authority { path: Some(path), .. } => Place::file(path),
            Error::Authority { path: None, .. } => Place::Thing("this machine".into()),
            Error::Secret(error) => error.place(),
            Error::Unreachable { server, .. }
            | Error::Refused { server, .. }
            | Error::NotProtected { server }
            | Error::Certificate { server, .. }
            | Error::TooOld { server, .. }
            | Error::Full { server, .. } => Place::Thing(format!("server {server}")),
            Error::Server { server, table, .. }
            | Error::Denied { server, table, .. }
            | Error::HidesRows { server, table }
            | Error::BrokenOff { server, table, .. }
            | Error::Silent { server, table, .. } => Place::Thing(format!("{table} at server {server}")),
            Error::Protocol { table } => Place::Thing(table.clone()),
            Error::Arrow { .. } | Error::Runtime { .. } | Error::Stopped => Place::Thing("this process".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NoFile { .. } | Error::NoFolder { .. } => {
                "put it there, or correct the path of the source in pipeline.toml".into()
            }
            Error::Io { .. } => "let the service's account read it".into(),
            Error::NotPlain { .. } => "put the file itself into the folder; a link is not followed".into(),
            Error::Sqlite { error, .. } => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => {
                    "check the path in pipeline.toml, and ask the owner for the database file itself".into()
                }
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    "another program holds the file; run again when it has finished".into()
                }
                // A writer that was interrupted has left a journal, which whoever only reads may not roll back.
                Some(rusqlite::ErrorCode::ReadOnly) => {
                    "its writer was interrupted: let the owner's program open the file again, or ask for a copy that is \
                     made when nobody writes"
                        .into()
                }
                _ => "ask the owner for an undamaged copy of the file".into(),
            },
            Error::NoHeader { .. } => "ask the owner for the file again; its first line names the columns".into(),
            Error::Changed { .. } => {
                "run again when its owner has finished writing it; files are best put in place by a rename".into()
            }
            Error::Empty { .. } => "ask the owner for the file again; an export of no rows is not taken for one".into(),
            Error::Workbook { .. } => {
                "open it in a spreadsheet program, save it again without a password, or ask its owner for it".into()
            }
            Error::Unlike { .. } => "ask the owner for files of one form, or name them as tables of their own".into(),
            Error::TooManyFiles { .. } => "correct from or prefix in pipeline.toml".into(),
            Error::StoreRefuses { .. } => {
                "check the two keys that pipeline.toml names, and ask the owner to let our account list and read the bucket".into()
            }
            Error::Store { .. } => "check endpoint, region and bucket, and that the store is running; then run again".into(),
            Error::Utf16 { .. } => "export it again as \"CSV UTF-8\"".into(),
            Error::OpenQuote { .. } => "close it, or double it where it belongs to the text, and export again".into(),
            Error::Parquet { .. } => {
                "fetch the file again from its owner; it was cut short or is another format".into()
            }
            Error::ClearStore { .. } => "name an endpoint that begins with https://".into(),
            Error::NotProtected { .. } => {
                "ask the owner to switch TLS on at the server (ssl = on, and a certificate for this name)".into()
            }
            Error::Certificate { .. } => {
                "check that host is the name in the certificate, and let authority name the certificate of who issued it"
                    .into()
            }
            Error::Authority { path: Some(_), .. } => {
                "let authority name a PEM file with the certificate of who issued the server's".into()
            }
            Error::Authority { path: None, .. } => {
                "install the package ca-certificates, or let authority name a PEM file".into()
            }
            Error::TooOld { .. } => "PostgreSQL 14 or newer is read; ask the owner for a newer server or a replica".into(),
            Error::Full { .. } => "ask the owner for more connections, or lower readers in pipeline.toml".into(),
            Error::Silent { .. } => {
                "look whether the server hangs; if it only is slow, raise silence_seconds in pipeline.toml".into()
            }
            Error::Secret(error) => error.next(),
            Error::Unreachable { .. } => "check host and port, and that the server is running; then run again".into(),
            Error::Refused { .. } => "check the database, the account and the secret that pipeline.toml names".into(),
            Error::Server { .. } => "look at the server's log, and run again; nothing of this table was kept".into(),
            Error::Denied { .. } => {
                "ask the owner to grant our account usage on the schema and select on the granted columns".into()
            }
            Error::HidesRows { .. } => "ask the owner for a view with exactly the rows that are granted, and name it in \
                                        from; or to exempt our account from the policy (bypassrls)"
                .into(),
            Error::BrokenOff { .. } => "where it took too long, ask the owner for an index on the columns of the filter, \
                                        or for a longer time limit; then run again: nothing of this table was kept"
                .into(),
            Error::Protocol { .. } => {
                "check that the server is of a version that is read (PostgreSQL 14 or newer) with nothing in between"
                    .into()
            }
            Error::Arrow { .. } | Error::Stopped => "report this with the code; it is a fault of chudong".into(),
            Error::Runtime { .. } => "check the limits on threads and open files, and run again".into(),
        }
    }
}
