//! What can go wrong with a prepared dossier. No value of a person is in any of it.

use crate::fault::{Explain, Place};
use crate::tables;

/// A dossier that cannot be prepared, read or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The select of the form does not give what the form expects.
    #[error("the prepared values of {item} cannot be read")]
    Table {
        /// The item.
        item: String,
        /// What is wrong.
        #[source]
        source: Box<tables::Error>,
    },
    /// Batches that do not fit together.
    #[error("the prepared values of {item} cannot be put together")]
    Batch {
        /// The item.
        item: String,
        /// What Arrow said.
        #[source]
        source: Box<arrow::error::ArrowError>,
    },
    /// A kept basis is no basis.
    #[error("the form that a dossier was prepared with cannot be read or written")]
    Basis(#[source] serde_json::Error),
    /// A kept dossier is no dossier. What serde says of it may hold a value, and is left out.
    #[error("a kept dossier cannot be read")]
    Kept,
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Table { .. } => "dossiers.table",
            Error::Batch { .. } => "dossiers.batch",
            Error::Basis(_) => "dossiers.basis",
            Error::Kept => "dossiers.kept",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Table { item, .. } | Error::Batch { item, .. } => Place::Table(format!("dossiers.{item}")),
            Error::Basis(_) | Error::Kept => Place::Thing("a prepared dossier in the ledger".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Table { .. } | Error::Batch { .. } => "correct the select in sql/dossiers/".into(),
            Error::Basis(_) | Error::Kept => "run chudong ledger verify; a newer version may have written it".into(),
        }
    }
}
