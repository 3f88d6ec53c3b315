//! A released table as publication sees it: the one place that reads `disclosure`'s words.

use arrow::array::RecordBatch;

use super::{Error, Period};
use crate::disclosure::{Account, ColumnSheet, NoiseAccount, Provenance, Released};
use crate::language::Text;

/// A released table, its period read and its name proved to be a plain word.
pub(super) struct Sheet<'a> {
    /// Letters, digits and underscores: safe as a file name and in a link.
    pub(super) name: &'a str,
    /// Month or quarter.
    pub(super) period: Period,
    /// Where it is published: the period, and a mark of its edition where that is not the final one.
    pub(super) folder: String,
    /// The rows.
    pub(super) table: &'a RecordBatch,
    /// What each column means, in the order of the table.
    pub(super) columns: &'a [ColumnSheet],
    /// How it was protected.
    pub(super) account: &'a Account,
    /// The account of the noise, where it was protected by noise.
    pub(super) noise: Option<&'a NoiseAccount>,
    /// Where the figures come from.
    pub(super) provenance: &'a Provenance,
    title: &'a Text,
}

impl<'a> Sheet<'a> {
    /// Reads a released table.
    pub(super) fn new(released: &'a Released) -> Result<Self, Error> {
        let name = released.name();
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || name.len() > 120 || !name.bytes().all(is_word) {
            return Err(Error::Name { name: name.to_owned() });
        }
        let period = released.period().to_string();
        let period =
            Period::parse(&period).ok_or_else(|| Error::Period { table: name.to_owned(), period: period.clone() })?;
        let (table, account) = (released.table(), released.account());
        Ok(Sheet {
            name,
            period,
            folder: released.folder(),
            table,
            columns: released.columns(),
            account,
            noise: released.noise(),
            provenance: released.provenance(),
            title: released.title(),
        })
    }

    /// Whether the table has a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.table.schema_ref().column_with_name(column).is_some()
    }

    /// What the cells of the table are.
    pub(super) fn breakdown(&self) -> Breakdown {
        match (self.has("commune_code"), self.has("procedure_group")) {
            (false, false) => Breakdown::Unit,
            (true, false) => Breakdown::Commune,
            (false, true) => Breakdown::Group,
            (true, true) => Breakdown::CommuneAndGroup,
        }
    }

    /// "Mức độ hài lòng theo xã, phường"; "Satisfaction by commune".
    pub(super) fn title(&self) -> &Text {
        self.title
    }
}

/// By what the rows of a table are broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breakdown {
    /// Not at all: one row for the whole unit.
    Unit,
    Commune,
    Group,
    CommuneAndGroup,
}
