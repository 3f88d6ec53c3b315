//! What can go wrong with SQL.

use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::{Model, functions};
use crate::calendar::NoData;
use crate::fault::{Explain, Fault, Place};
use crate::tables::TableName;

/// A model or a query could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The select of a model failed.
    ///
    /// It holds words and not the error of DataFusion: that one may quote a value of a person, and
    /// whoever walked its causes would print it.
    #[error("the select of {model} failed: {what}")]
    Model {
        /// Its table.
        model: TableName,
        /// Its file.
        path: PathBuf,
        /// What is wrong, without any value of a row.
        what: String,
    },
    /// The select of a model needs a day of a year whose holidays are not known.
    #[error("the select of {model} failed: {error}")]
    NoCalendar {
        /// Its table.
        model: TableName,
        /// Its file.
        path: PathBuf,
        /// The year. It is told above.
        error: NoData,
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
    #[error("the query failed: {}", first_line(error))]
    Query {
        /// What DataFusion said. It is told above, its causes would only repeat it.
        error: Box<DataFusionError>,
    },
    /// Something other than one select.
    #[error("only one select is allowed here: {0}")]
    NotASelect(String),
    /// The session could not be set up or a table not be registered.
    #[error("the SQL engine could not be set up: {}", first_line(error))]
    Engine {
        /// What DataFusion said. It is told above, its causes would only repeat it.
        error: Box<DataFusionError>,
    },
}

impl Error {
    /// The failure of a model, told without any value of its rows.
    pub(super) fn model(model: &Model, error: &DataFusionError) -> Self {
        let (name, path) = (model.name.clone(), model.path.clone());
        match no_data(error) {
            Some(error) => Error::NoCalendar { model: name, path, error },
            None => Error::Model { model: name, path, what: without_values(error) },
        }
    }
}

/// The year without a calendar that an error comes from, if it does.
fn no_data(error: &DataFusionError) -> Option<NoData> {
    match error.find_root() {
        DataFusionError::External(cause) => cause.downcast_ref::<NoData>().copied(),
        DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
            ArrowError::ExternalError(cause) => cause.downcast_ref::<NoData>().copied(),
            _ => None,
        },
        _ => None,
    }
}

/// What is said when a value could not be computed: a cast quotes the value that it cannot convert.
const HIDDEN: &str = "a value could not be computed or converted (it is not shown: it may be personal)";

/// What is wrong, as far as it is known from the text of the select alone.
///
/// Planning sees names and types and no rows. Whatever happened while rows were computed may quote
/// one, save for the errors of our own functions, which never do.
fn without_values(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_) => first_line(error),
        DataFusionError::ResourcesExhausted(_) => "it needs more memory than a select may take".into(),
        DataFusionError::Execution(text) if functions::speaks(text) => first_line(error),
        _ => HIDDEN.into(),
    }
}

fn first_line(error: &DataFusionError) -> String {
    if let Some(error) = no_data(error) {
        return error.to_string();
    }
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
            Error::NoCalendar { .. } => "calendar.no-data",
            Error::Contract { .. } => "sql.contract",
            Error::Query { .. } => "sql.query",
            Error::NotASelect(_) => "sql.not-a-select",
            Error::Engine { .. } => "sql.engine",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Model { path, .. } | Error::NoCalendar { path, .. } | Error::Contract { path, .. } => {
                Place::file(path)
            }
            Error::Query { .. } | Error::NotASelect(_) => Place::Thing("the query".into()),
            Error::Engine { .. } => Place::Thing("the SQL engine".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Model { .. } => "correct the file; `chudong check` runs it on empty tables".into(),
            Error::NoCalendar { error: NoData { year }, .. } => format!(
                "write pipelines/law/calendar/{year}.toml from the notices of that year (a night knows a year from the \
                 first of January before it), or keep days so far away out of the function's reach by a condition \
                 on the date itself"
            ),
            Error::Contract { .. } => {
                "give the column under this name and type, with cast(... as ...) if need be".into()
            }
            Error::Query { .. } => "`chudong query --tables` lists what can be asked".into(),
            Error::NotASelect(_) => "write one select statement; nothing can be changed from here".into(),
            Error::Engine { .. } => "run again; if it happens again, report it with the lines above".into(),
        }
    }
}
