//! Why there is no score sheet.

use crate::fault::{Explain, Place};
use crate::tables;

/// Why there is no score sheet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No version of the decision is in force on the last day of the period.
    #[error("no version of {decision} is in force at the end of {period}, as it was known then")]
    NotInForce {
        /// The decision.
        decision: String,
        /// The period.
        period: String,
    },
    /// A table of counts has another shape.
    #[error("{table} cannot be counted")]
    Table {
        /// Its name.
        table: String,
        /// What is wrong with it.
        #[source]
        source: tables::Error,
    },
    /// A number leaves 128 bits.
    #[error("a score of {decision} is too large to be computed exactly")]
    TooLarge {
        /// The decision.
        decision: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NotInForce { .. } => "quality.not-in-force",
            Error::Table { .. } => "quality.table",
            Error::TooLarge { .. } => "quality.too-large",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::NotInForce { decision, .. } | Error::TooLarge { decision } => {
                Place::file(format!("pipelines/indices/{decision}.toml"))
            }
            Error::Table { table, .. } => Place::Table(table.clone()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NotInForce { .. } => "ask for a period of its term, or add the version of that time".into(),
            Error::Table { .. } => "correct its select in sql/quality/indices/: every count is a whole number".into(),
            Error::TooLarge { .. } => "look at the counts: no number of dossiers is that large".into(),
        }
    }
}
