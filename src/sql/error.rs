//! What can go wrong with SQL.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

use crate::fault::{Explain, Fault, Place};
use crate::tables::TableName;

/// A model or a query could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The select of a model failed.
    #[error("the select of {model} failed: {}", cause(source))]
    Model {
        /// Its table.
        model: TableName,
        /// Its file.
        path: PathBuf,
        /// What DataFusion said.
        source: Box<DataFusionError>,
    },
    /// The select of a model gives a column of another type, or lacks one.
    #[error("{model} does not give what its readers expect: {what}")]
    Contract {
        /// Its table.
        model: TableName,
        /// Its file.
        path: PathBuf,
        /// Which column, and how.
        what: String,
    },
    /// A query typed by a person failed.
    #[error("the query failed: {}", cause(source))]
    Query {
        /// What DataFusion said.
        source: Box<DataFusionError>,
    },
    /// Something other than one select.
    #[error("only one select is allowed here: {0}")]
    NotASelect(String),
    /// The session could not be set up or a table not be registered.
    #[error("the SQL engine could not be set up: {}", cause(source))]
    Engine {
        /// What DataFusion said.
        source: Box<DataFusionError>,
    },
}

fn cause(error: &DataFusionError) -> String {
    // The root says what is wrong, what wraps it names rules of the optimizer. The first line of it
    // says enough; the rest is a backtrace or a list of all columns.
    let text = error.find_root().strip_backtrace();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Explain for Error {
    /// The text of the error holds its cause already.
    fn fault(&self) -> Fault {
        Fault::new(self.code(), self.place(), self.to_string(), self.next())
    }

    fn code(&self) -> &'static str {
        match self {
            Error::Model { .. } => "sql.model",
            Error::Contract { .. } => "sql.contract",
            Error::Query { .. } => "sql.query",
            Error::NotASelect(_) => "sql.not-a-select",
            Error::Engine { .. } => "sql.engine",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Model { path, .. } | Error::Contract { path, .. } => Place::file(path),
            Error::Query { .. } | Error::NotASelect(_) => Place::Thing("the query".into()),
            Error::Engine { .. } => Place::Thing("the SQL engine".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Model { .. } => "correct the file; `chudong check` runs it on empty tables".into(),
            Error::Contract { .. } => {
                "give the column under this name and type, with cast(... as ...) if need be".into()
            }
            Error::Query { .. } => "`chudong query --tables` lists what can be asked".into(),
            Error::NotASelect(_) => "write one select statement; nothing can be changed from here".into(),
            Error::Engine { .. } => "run again; if it happens again, report it with the lines above".into(),
        }
    }
}
