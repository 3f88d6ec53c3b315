//! A released table as publication sees it: the one place that reads `disclosure`'s words.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::{Error, Period};
use crate::disclosure::{Account, ColumnKind, ColumnSheet, Edition, NoiseAccount, Provenance, Released};
use crate::language::Text;

/// A released table, its period read and its name proved to be a plain word.
pub(super) struct Sheet<'a> {
    /// Letters, digits and underscores: safe as a file name and in a link.
    pub(super) name: &'a str,
    /// Month, quarter, year or week.
    pub(super) period: Period,
    /// Where it is published: the period, and a mark of its edition where that is not the final one.
    pub(super) folder: String,
    /// The rows: those released, and columns that follow from them.
    pub(super) table: RecordBatch,
    /// What each column means, in the order of the table.
    pub(super) columns: Vec<ColumnSheet>,
    /// Which edition of its period it is.
    pub(super) edition: Edition,
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
        let (table, account) = (released.table().clone(), released.account());
        Ok(Sheet {
            name,
            period,
            folder: released.folder(),
            table,
            columns: released.columns().to_vec(),
            edition: released.edition(),
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

    /// The columns that name a row: the period and the dimensions.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.of_kind(ColumnKind::Dimension).map(|column| column.name.as_str()).collect()
    }

    /// The columns of a kind, in their order.
    pub(super) fn of_kind(&self, kind: ColumnKind) -> impl Iterator<Item = &ColumnSheet> {
        self.columns.iter().filter(move |column| column.kind == kind)
    }

    /// The type of a column.
    pub(super) fn kind(&self, column: &str) -> DataType {
        let found = self.table.schema_ref().column_with_name(column);
        found.map_or(DataType::Utf8, |(_, field)| field.data_type().clone())
    }

    /// Whether a cell of a column may be blank.
    pub(super) fn is_nullable(&self, column: &str) -> bool {
        self.table.schema_ref().column_with_name(column).is_none_or(|(_, field)| field.is_nullable())
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

/// The least and the most that a column of numbers may hold; none where there is no such bound.
pub(super) fn bounds(column: &ColumnSheet) -> (Option<u8>, Option<u8>) {
    let is_percent = column.unit.en == "%";
    // People may rate more often than dossiers were counted: a response rate has no upper bound.
    let is_rate = column.name.starts_with(super::derived::RESPONSE_RATE);
    match column.kind {
        ColumnKind::Count | ColumnKind::Score | ColumnKind::Band => (Some(0), None),
        ColumnKind::Share | ColumnKind::Low | ColumnKind::High if is_percent && !is_rate => (Some(0), Some(100)),
        ColumnKind::Share | ColumnKind::Low | ColumnKind::High => (Some(0), None),
        ColumnKind::Dimension | ColumnKind::Measurement | ColumnKind::Flag => (None, None),
    }
}

/// The words that a column of words is made of; none for every other column.
///
/// A cell without a figure says which kind of nothing it is: counted elsewhere, withheld, or known to nobody.
pub(super) fn words(column: &ColumnSheet) -> Option<&'static [&'static str]> {
    match column.name.as_str() {
        "status" => Some(&["published", "rolled_up", "withheld", "no_information"]),
        name if name.ends_with("_reliability") => Some(&["good", "fair", "poor"]),
        _ => None,
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
