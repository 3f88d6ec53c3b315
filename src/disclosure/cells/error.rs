//! What is wrong with cells, tables and earlier releases.

use super::{MAX_ATOMS, MAX_CELLS};
use crate::fault::{Explain, Place};

/// Cells that cannot be formed. Codes come from public lists; no variant says a count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Codes that form no tree.
    #[error("the code \"{code}\" of the dimension {dimension} {what}")]
    Tree {
        /// The dimension.
        dimension: String,
        /// The code.
        code: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A code that the dimension does not have.
    #[error("the dimension {dimension} has no code \"{code}\"")]
    UnknownCode {
        /// The dimension.
        dimension: String,
        /// The code.
        code: String,
    },
    /// A dimension that the cube does not have.
    #[error("the table {table} is by {dimension}, which is no dimension of its records")]
    UnknownDimension {
        /// The table.
        table: String,
        /// The dimension.
        dimension: String,
    },
    /// Coordinates that are too few or too many.
    #[error("{codes} codes were given for {dimensions} dimensions")]
    Width {
        /// How many dimensions there are.
        dimensions: usize,
        /// How many codes were given.
        codes: usize,
    },
    /// Too many combinations of leaves.
    #[error("the dimensions have more than {MAX_ATOMS} combinations of their leaves")]
    TooManyAtoms,
    /// Too many cells.
    #[error("the table {table} brings more than {MAX_CELLS} cells together")]
    TooManyCells {
        /// The table.
        table: String,
    },
    /// More records in one combination than can be added up.
    #[error("one combination of codes counts too many records to be added up")]
    TooManyRecords,
    /// A figure of an earlier release is not what the records give today.
    #[error("the cell ({cell}) was decided over other records than there are today")]
    Changed {
        /// Its codes.
        cell: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Tree { .. } => "disclosure.tree",
            Error::UnknownCode { .. } | Error::Width { .. } => "disclosure.unknown-code",
            Error::UnknownDimension { .. } => "disclosure.unknown-dimension",
            Error::TooManyAtoms | Error::TooManyCells { .. } | Error::TooManyRecords => "disclosure.too-many-cells",
            Error::Changed { .. } => "disclosure.changed",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Tree { dimension, .. } | Error::UnknownCode { dimension, .. } => {
                Place::Thing(format!("dimension {dimension}"))
            }
            Error::UnknownDimension { table, .. } | Error::TooManyCells { table } => {
                Place::Thing(format!("released table {table}"))
            }
            Error::Width { .. } | Error::TooManyAtoms | Error::TooManyRecords => Place::Thing("dimensions".into()),
            Error::Changed { .. } => Place::Thing("earlier release".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Tree { .. } => "correct the code list: each code once, after the one above it",
            Error::UnknownCode { .. } | Error::Width { .. } => "use codes of the public code lists, one per dimension",
            Error::UnknownDimension { .. } => "name dimensions that the records have",
            Error::TooManyAtoms | Error::TooManyCells { .. } | Error::TooManyRecords => {
                "decide about fewer tables at once, or by fewer dimensions"
            }
            Error::Changed { .. } => {
                "count late records under a dimension of their own (early, late), or declare a restatement"
            }
        }
        .into()
    }
}
