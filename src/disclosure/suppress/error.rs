//! Why exact counts cannot be protected.

use super::super::cells;
use crate::fault::{Explain, Place};

/// Exact counts that cannot be released. Coordinates are codes of public lists; no variant says a count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Cells that cannot be formed.
    #[error(transparent)]
    Cells(#[from] cells::Error),
    /// Rules over a dimension that the records do not have.
    #[error("the rules speak of the dimension {dimension}, which the records do not have")]
    UnknownDimension {
        /// The dimension.
        dimension: String,
    },
    /// Earlier releases already let a withheld cell be computed.
    #[error("earlier releases let the withheld cell ({cell}) be computed")]
    Exposed {
        /// Its codes.
        cell: String,
    },
    /// Earlier releases hang together in a way whose numbers do not fit.
    #[error("the earlier releases around the cell ({cell}) hang together in a way that cannot be computed exactly")]
    TooIntricate {
        /// Its codes.
        cell: String,
    },
    /// No further cell can be withheld to widen the bounds of some.
    #[error("{cells} withheld cells stay bounded more narrowly than the rules allow, the first of them ({first})")]
    TooNarrow {
        /// How many.
        cells: usize,
        /// The codes of one.
        first: String,
    },
    /// A base of rounding that leaves nothing to round, or too much.
    #[error("small counts cannot be rounded to the base {base}")]
    Base {
        /// The base.
        base: u64,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Cells(error) => error.code(),
            Error::UnknownDimension { .. } => "disclosure.unknown-dimension",
            Error::Exposed { .. } => "disclosure.exposed",
            Error::TooIntricate { .. } => "disclosure.too-intricate",
            Error::TooNarrow { .. } => "disclosure.too-narrow",
            Error::Base { .. } => "disclosure.base",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Cells(error) => error.place(),
            Error::UnknownDimension { .. } | Error::Base { .. } => Place::Thing("suppression rules".into()),
            Error::Exposed { .. } | Error::TooIntricate { .. } => Place::Thing("earlier release".into()),
            Error::TooNarrow { .. } => Place::Thing("suppressed tables".into()),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Cells(error) => return error.next(),
            Error::UnknownDimension { .. } => "name a dimension of the records in the rules",
            Error::Exposed { .. } => "withdraw the earlier release; a cell that is out cannot be withheld again",
            Error::TooIntricate { .. } => "publish this table without those earlier releases, over records of its own",
            Error::TooNarrow { .. } => "publish by wider groups or longer periods, or without a total",
            Error::Base { .. } => "round to the base 3 or 5",
        }
        .into()
    }
}
