//! The only way from private to public: engine D, a differentially private release.
//!
//! Rows that name persons come in, a [`Released`] table goes out, in three steps:
//!
//! 1. [`Request::new`] bounds what each person contributes and counts cells over public code lists. Private.
//! 2. [`Request::draw`] adds discrete Gaussian noise, once, after the ledger has reserved [`Request::cost`]. The
//!    [`Draws`] are what the ledger keeps and replays; from here on nothing looks at a private row again.
//! 3. [`release`] is pure post-processing of draws, and the only maker of [`Released`].
//!
//! The **unit of protection** is all activity of one person in one calendar month. Two sets of rows are neighbours when
//! they differ by the records of one person in one month; every draw is `ρ`-zCDP for such neighbours, with the exact
//! `ρ` of [`Request::cost`]. Keys are public, so that an absent cell gets noise like any other and the shape of a table
//! says nothing. Rolling up cells with small counts serves legibility and protects nobody: the noise does that.
//!
//! Beside it stand engine E, exact counts with suppression ([`suppress`], over [`cells`]), the attacker that tries every
//! release of it ([`attack`]), engine K for analysts ([`cell_key`]), and the [`gate`] over all of them together.
//!
//! Polars (in its eager, in-memory form) and OpenDP are used here and, for OpenDP, nowhere else. This module must not
//! know the ledger, the clock, a file or a network; it must not put an exact count, or anything else computed from
//! rows without noise, into [`Draws`], [`Released`], [`Account`], an error or a log line.
//!
//! References: Bun and Steinke 2016 (zCDP); Canonne, Kamath and Steinke 2020 (the discrete Gaussian).

pub mod attack;
mod bins;
mod bounding;
mod budget;
pub mod cell_key;
pub mod cells;
mod columns;
mod draws;
mod editions;
pub mod exact;
mod figures;
pub mod fit;
pub mod gate;
mod noise;
mod period;
mod release;
mod released;
mod request;
pub mod suppress;

use crate::fault::{Explain, Place};
use crate::tables::{self, TableName};

pub use bounding::LeftOut;
pub use budget::{cost, cost_of, delta, epsilon, total};
pub use columns::{ColumnKind, ColumnSheet};
pub use draws::Draws;
pub use editions::{Asked, Part, weekly};
pub use period::{Month, Period, Quarter, Week, Year, closed_months, closed_weeks, whole_quarters, whole_years};
pub use release::{fits, release};
pub use released::{Account, Edition, ExactAccount, Hashed, Measurement, NoiseAccount, Provenance, Released};
pub use request::Request;

/// The most cells that one measure may have, over all its bins: the nation's communes by 300 groups by five bins, ten times.
pub const MAX_COUNTS: usize = 50_000_000;

/// What could not be protected or released. No variant says anything about a row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table of records lacks a column, or has one of another type.
    #[error("the records of {table} cannot be read")]
    Records {
        /// The table.
        table: TableName,
        /// What is wrong with it.
        #[source]
        source: Box<tables::Error>,
    },
    /// Records could not be handed from Arrow to Polars.
    #[error("the records of {table} cannot be prepared for bounding")]
    Arrow {
        /// The table.
        table: TableName,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Polars could not sort the records.
    #[error("the contributions in {table} cannot be bounded: Polars failed ({kind})")]
    Polars {
        /// The table.
        table: TableName,
        /// Which kind of error. The text of the error is left out, since it may quote values.
        kind: &'static str,
    },
    /// A measure has too many cells.
    #[error("the table {table} would have more than {MAX_COUNTS} counts")]
    TooLarge {
        /// The table to be published.
        table: String,
    },
    /// A cost is not an exact fraction.
    #[error("the privacy cost cannot be computed: {what}")]
    Cost {
        /// Why.
        what: String,
    },
    /// OpenDP did not give noise.
    #[error("no noise could be drawn for the table {table}: {what}")]
    Noise {
        /// The table to be published.
        table: String,
        /// What OpenDP said, without values.
        what: String,
    },
    /// OpenDP's own account of the cost is higher than ours.
    #[error("OpenDP says that the table {table} costs rho = {claimed}, more than the {reserved} that was computed")]
    Calibration {
        /// The table to be published.
        table: String,
        /// By OpenDP.
        claimed: f64,
        /// By us.
        reserved: f64,
    },
    /// Text that is not a month or a quarter.
    #[error("\"{text}\" is not a period")]
    Period {
        /// Its beginning.
        text: String,
    },
    /// Stored draws that cannot be read.
    #[error("stored draws cannot be read: {what}")]
    Draws {
        /// Why.
        what: String,
    },
    /// Draws that are not one month, nor the three months of a quarter.
    #[error("draws of {months} are neither one month nor the three months of a quarter")]
    NotAPeriod {
        /// Their months.
        months: String,
    },
    /// Draws that were made under another policy, or other code lists.
    #[error("the draws of {month} do not belong to the policy {policy}: {what}")]
    OtherPolicy {
        /// Of the draws.
        month: Month,
        /// The policy's name.
        policy: String,
        /// What differs.
        what: String,
    },
    /// A stored exact table that cannot be read.
    #[error("a stored exact table cannot be read: {what}")]
    Decided {
        /// Why.
        what: String,
    },
    /// Arrow could not build a released table.
    #[error("the table {table} of {period} cannot be built")]
    Build {
        /// The table to be published.
        table: String,
        /// Its period.
        period: Period,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Records { .. } => "disclosure.records",
            Error::Arrow { .. } | Error::Polars { .. } => "disclosure.bounding",
            Error::TooLarge { .. } => "disclosure.too-large",
            Error::Cost { .. } => "disclosure.cost",
            Error::Noise { .. } => "disclosure.noise",
            Error::Calibration { .. } => "disclosure.calibration",
            Error::Period { .. } => "disclosure.period",
            Error::Draws { .. } => "disclosure.draws",
            Error::NotAPeriod { .. } => "disclosure.not-a-period",
            Error::OtherPolicy { .. } => "disclosure.other-policy",
            Error::Decided { .. } => "disclosure.decided",
            Error::Build { .. } => "disclosure.build",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Records { table, .. } | Error::Arrow { table, .. } | Error::Polars { table, .. } => {
                Place::Table(table.to_string())
            }
            Error::TooLarge { table }
            | Error::Noise { table, .. }
            | Error::Calibration { table, .. }
            | Error::Build { table, .. } => Place::Thing(format!("released table {table}")),
            Error::Cost { .. } => Place::Thing("privacy policy".into()),
            Error::Period { text } => Place::Thing(format!("period \"{text}\"")),
            Error::Draws { .. } => Place::Thing("stored draws".into()),
            Error::Decided { .. } => Place::Thing("stored exact table".into()),
            Error::NotAPeriod { months } => Place::Thing(format!("draws of {months}")),
            Error::OtherPolicy { month, .. } => Place::Thing(format!("draws of {month}")),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::Records { .. } => "correct the SQL file of this table so that it gives the columns that its head names",
            Error::Arrow { .. } | Error::Polars { .. } => {
                "run again with more memory; when it fails again, report the code and this text"
            }
            Error::TooLarge { .. } => "measure by fewer dimensions, or by shorter code lists",
            Error::Cost { .. } => "choose a sigma of at least 1, and sigmas that are multiples of each other",
            Error::Noise { .. } => {
                "see that the system's random source works, then run again; the reserved budget stays spent"
            }
            Error::Calibration { .. } => "publish nothing and report this: the noise library and the accounts disagree",
            Error::Period { .. } => "write a month like 2026-10 or a quarter like 2026-Q3",
            Error::Draws { .. } => "run `chudong ledger verify`; draws that were changed cannot be published",
            Error::NotAPeriod { .. } => "release one month, or the three months of one quarter",
            Error::OtherPolicy { .. } => {
                "leave what was published under the earlier policy as it is, and use the new one for months not yet drawn"
            }
            Error::Decided { .. } => "run `chudong ledger verify`; an exact table that was changed cannot be published",
            Error::Build { .. } => "run again with more memory; when it fails again, report the code and this text",
        }
        .into()
    }
}
